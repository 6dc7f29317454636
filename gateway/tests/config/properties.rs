//! Nothing makes the reader fall over, and nothing that it lets through is in conflict with itself.

use std::path::Path;

use portcullis::config;
use portcullis::routing::RouteTable;
use proptest::prelude::*;

use crate::{LEAST, env, parse};

const PRODUCTION: &str = include_str!("../../../config/production.toml");

/// Whatever comes out is either whole or says why not, and never shows what must not be shown.
fn holds(text: &str) {
    match config::parse(text, "x.toml", Path::new("."), &env) {
        Ok(config) => assert!(RouteTable::conflicts(&config.routes).is_empty()),
        Err(errors) => {
            assert!(!errors.mistakes().is_empty());
            assert!(errors.to_string().lines().all(|line| line.starts_with("x.toml")));
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,300}") {
        holds(&text);
    }

    #[test]
    fn a_spoilt_line_is_answered(line in 0_usize..200, with in "[ -~]{0,40}") {
        let mut lines: Vec<&str> = PRODUCTION.lines().collect();
        let at = line % lines.len();
        lines[at] = &with;
        holds(&lines.join("\n"));
    }

    #[test]
    fn a_piece_that_is_gone_or_doubled_is_answered(from in 0_usize..9000, length in 0_usize..200, doubled: bool) {
        let text: Vec<char> = PRODUCTION.chars().collect();
        let from = from % text.len();
        let to = (from + length).min(text.len());
        let piece: String = if doubled { text[from..to].iter().collect() } else { String::new() };
        let text: String = text[..from].iter().collect::<String>() + &piece + &piece + &text[to..].iter().collect::<String>();
        holds(&text);
    }

    #[test]
    fn any_value_of_any_key_is_answered(
        line in 0_usize..200,
        value in prop_oneof![
            Just("1".to_owned()), Just("-1.5".to_owned()), Just("true".to_owned()), Just("[]".to_owned()),
            Just("{}".to_owned()), Just("[[1], {}]".to_owned()), Just("1979-05-27".to_owned()), Just("\"\"".to_owned()),
            "[ -!#-\\[\\]-~]{0,20}".prop_map(|text| format!("\"{text}\"")),
        ],
    ) {
        let lines: Vec<&str> = PRODUCTION.lines().collect();
        let at = line % lines.len();
        let spoilt = lines[at].split_once('=').map(|(key, _)| format!("{key}= {value}"));
        let text: Vec<&str> = lines.iter().enumerate()
            .map(|(index, line)| if index == at { spoilt.as_deref().unwrap_or(line) } else { line })
            .collect();
        holds(&text.join("\n"));
    }

    #[test]
    fn routes_that_load_are_never_in_conflict(
        paths in prop::collection::vec("(/(a|b|\\{x\\}|\\{y\\})){1,3}(/\\*)?", 1..5),
    ) {
        let route = |(index, path): (usize, &String)| format!(
            "[[route]]\nid = \"r{index}\"\nmatch = {{ path = \"{path}\" }}\nupstream = \"backend\"\npolicy = \"public\"\n"
        );
        let text = format!("{LEAST}{}", paths.iter().enumerate().map(route).collect::<String>());
        if let Ok(config) = parse(&text) {
            prop_assert!(RouteTable::conflicts(&config.routes).is_empty());
            prop_assert_eq!(config.routes.len(), paths.len() + 4);
        }
    }
}
