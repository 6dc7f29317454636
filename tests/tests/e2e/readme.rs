//! The README is true: its walk-through, run as it stands against the quickstart's own configuration,
//! prints what it says.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::process::Stand;

fn repository(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The blocks of this kind in the walk-through, as one text.
fn blocks(readme: &str, kind: &str) -> String {
    let walk =
        readme.split("<!-- walk-through -->").nth(1).and_then(|rest| rest.split("<!-- /walk-through -->").next());
    let fences: Vec<&str> = walk.expect("the README has a walk-through").split("```").skip(1).step_by(2).collect();
    fences.iter().filter_map(|fence| fence.strip_prefix(kind)?.strip_prefix('\n')).collect()
}

/// What is the same in every run: words without digits, and statuses.
fn shape(text: &str) -> Vec<String> {
    let word = |word: &str| match word {
        _ if word.len() == 3 && word < "600" && word.bytes().all(|byte| byte.is_ascii_digit()) => word.to_owned(),
        _ if word.contains('…') || word.chars().any(|c| c.is_ascii_digit()) || word.len() > 30 => "#".to_owned(),
        _ => word.to_owned(),
    };
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '…');
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    lines
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("date:"))
        .map(|line| line.split(|c| !in_word(c)).filter(|part| !part.is_empty()).map(word).collect::<Vec<_>>().join(" "))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_through_prints_what_the_readme_says() {
    let readme = repository("README.md");
    let quickstart = repository("config/quickstart.toml")
        .replace("127.0.0.1:8080\"\n", "127.0.0.1:0\"\n")
        .replace("127.0.0.1:9090", "127.0.0.1:0")
        .replace("127.0.0.1:9000", "@BACKEND@")
        .replace("format = \"text\"", "format = \"json\"");
    let stand = Stand::start_with(&quickstart).await;
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &blocks(&readme, "sh")]).env("GATEWAY", stand.url()).stdin(Stdio::null());
    let output = shell.output().await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shape(&printed), shape(&blocks(&readme, "text")), "{printed}");
}

#[test]
fn the_example_in_the_readme_is_the_one_that_is_checked() {
    let readme = repository("README.md");
    let example = repository("config/examples/in-front-of-your-api.toml");
    let example: Vec<&str> = example.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(readme.contains(&example.join("\n")), "the README shows another file than config/examples");
}
