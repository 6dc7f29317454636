//! What the layout promises, read from the sources: dependencies point one way, and each thing that only
//! one file may do is done in that file only.

use std::path::{Path, PathBuf};

/// Every source file of the gateway, by its path below `gateway/src`, without its tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
                files.push((path.strip_prefix(&root).unwrap().display().to_string(), code));
            }
        }
    }
    assert!(files.len() > 50, "this reads the sources");
    files
}

/// The lines of code, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The files in which a line of code holds one of `words`.
fn naming(words: &[&str]) -> Vec<String> {
    let holds = |text: &str| code(text).any(|line| words.iter().any(|word| line.contains(word)));
    let mut files: Vec<String> = sources().into_iter().filter(|(_, text)| holds(text)).map(|(path, _)| path).collect();
    files.sort();
    files
}

#[test]
fn domain_files_name_no_engine_no_store_and_no_format() {
    let domain = [
        "routing.rs",
        "routing/",
        "cors.rs",
        "cors/",
        "policy.rs",
        "session.rs",
        "limit.rs",
        "ids.rs",
        "clock.rs",
        "secret.rs",
    ];
    let is_domain = |path: &String| domain.iter().any(|start| path.starts_with(start));
    let named = naming(&["pingora", "fred", "serde", "sqlx", "hyper"]);
    assert_eq!(named.into_iter().filter(is_domain).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn only_the_redis_store_names_its_client() {
    for file in naming(&["fred::"]) {
        assert!(file.starts_with("store/redis"), "{file}");
    }
}

#[test]
fn deciding_names_no_engine() {
    let deciding =
        ["auth", "limiter", "inbound", "session/", "store", "problem", "reply", "config", "outgoing", "gateway/admit"];
    for file in naming(&["pingora"]) {
        assert!(!deciding.iter().any(|start| file.starts_with(start)), "{file} names the engine");
    }
}

#[test]
fn whoever_admits_knows_no_engine_and_not_what_it_carries_along() {
    let named = naming(&["pingora", "Session", "RequestHeader", "Journey", "async_trait"]);
    assert!(!named.contains(&"gateway/admit.rs".to_owned()), "another engine could not ask it");
}

#[test]
fn rooms_know_nobody() {
    // Refusals name what is full, and authentication names refusals: nothing leads back.
    let named = naming(&["crate::auth", "crate::problem", "crate::session"]);
    assert_eq!(named.into_iter().filter(|file| file == "overload.rs").count(), 0);
}

#[test]
fn only_identity_says_who_it_is() {
    assert_eq!(naming(&["X_USER_ID", "\"x-user-id\""]), ["identity.rs"]);
}

#[test]
fn only_policy_makes_a_permit() {
    assert_eq!(naming(&["Permit {", "Ok(Permit"]), ["policy.rs"]);
}

#[test]
fn only_problem_knows_how_refusals_are_answered() {
    let statuses = ["UNAUTHORIZED", "FORBIDDEN", "BAD_REQUEST", "METHOD_NOT_ALLOWED", "GATEWAY_TIMEOUT", "BAD_GATEWAY"];
    // The admin listener is no part of the journey.
    let files: Vec<String> = naming(&statuses).into_iter().filter(|file| file != "admin.rs").collect();
    assert_eq!(files, ["problem.rs"]);
}

#[test]
fn only_the_style_of_pages_is_not_escaped() {
    assert_eq!(naming(&["PreEscaped"]), ["pages/theme.rs"]);
}

#[test]
fn only_the_clock_reads_the_time() {
    assert_eq!(naming(&["SystemTime::now"]), ["clock.rs"]);
}

#[test]
fn only_main_ends_the_process() {
    assert_eq!(naming(&["process::exit", "process::abort"]), Vec::<String>::new());
    assert_eq!(naming(&["fn main() -> ExitCode"]), ["cli.rs", "main.rs"]);
}

#[test]
fn every_file_says_what_it_owns() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{path} has no module doc");
        let doc: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let doc = doc.join(" ");
        assert!(doc.len() > 80 && doc.contains(". "), "{path} says too little");
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../ARCHITECTURE.md")).unwrap();
    let promised = page.split_once("### What is promised").unwrap().1.split_once("### What is not").unwrap().0;
    let named: Vec<&str> = promised.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(named.len() > 30, "{named:?}");
    let text = |folder: &str, file: &str| std::fs::read_to_string(root.join(format!("tests/{folder}/{file}.rs")));
    for name in named {
        let (file, promise) = name.trim_start_matches("attacks ").split_once("::").unwrap();
        let found = ["e2e", "attacks"].iter().filter_map(|folder| text(folder, file).ok());
        assert!(found.into_iter().any(|tests| tests.contains(&format!("fn {promise}"))), "{name}");
    }
}
