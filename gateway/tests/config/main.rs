//! What a configuration file promises: good ones load, bad ones say everything that is wrong with them, and
//! nothing at all makes the reader fall over.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod cookies;
mod cors;
mod mistakes;
mod overload;
mod pages;
mod properties;
mod secrets;
mod sessions;
mod shipped;
mod tls;
mod values;
mod webhook;

use std::path::Path;

use portcullis::config::{self, Config, ConfigErrors};

/// The least that a gateway needs; what a test adds comes behind it, or in place of a line.
const LEAST: &str = r#"
[listeners.public]
address = "127.0.0.1:8080"
[store]
url = "embedded:data/portcullis.db"
[tokens]
issuer = "http://127.0.0.1:8080"
audience = "portcullis"
[upstreams.backend]
servers = ["127.0.0.1:9000"]
[[route]]
id = "posts"
match = { path = "/posts/*" }
upstream = "backend"
policy = "public"
"#;

/// 32 bytes that no list knows.
const GOOD_SECRET: &str = "q7Jx0vR2mZ9tKc4LwB8yNf3HsD6gPa1E";

fn env(name: &str) -> Option<String> {
    Some(match name {
        "GOOD" => GOOD_SECRET.to_owned(),
        "SHORT" => "hunter2-hunter2".to_owned(),
        "PLACEHOLDER" => "please-Change_Me-before-going-live-0".to_owned(),
        "ONE_BYTE" => "a".repeat(64),
        "REPEATED" => "0123456789abcdef0123456789abcdef".to_owned(),
        "SEQUENCE" => "abcdefghijklmnopqrstuvwxyz0123456789".to_owned(),
        "JWT_IO" => "a-string-secret-at-least-256-bits-long".to_owned(),
        "WEBHOOK" => "whsec_mI1v7Qe0pXzT4uJ9sYkR2bGhWnL6cDfA8oEiVtBxKqM=".to_owned(),
        "WEBHOOK_URL" => "https://hooks.example.com/hunter2".to_owned(),
        "JWT_KEY" => "mI1v7Qe0pXzT4uJ9-sYkR2bGhWnL6cDfA8oEi_VtBxKqM".to_owned(),
        "EMPTY" => String::new(),
        "SPACED" => "q7Jx0vR2 mZ9tKc4L wB8yNf3H sD6gPa1E".to_owned(),
        "REDIS_URL" => "redis://:hunter2@127.0.0.1:6379".to_owned(),
        "CLUSTER_URL" => "redis-cluster://:hunter2@127.0.0.1:6379".to_owned(),
        "PRIVATE_KEY" => "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(),
        "PUBLIC_KEY" => "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(),
        "SEC1_KEY" => "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n".to_owned(),
        "JWK" => r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#.to_owned(),
        "LINE_BREAK" => "one\r\nX-User-Id: admin".to_owned(),
        _ => return None,
    })
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    config::parse(text, "portcullis.toml", Path::new("."), &env)
}

/// Every mistake of `text`, as it is shown.
fn mistakes(text: &str) -> String {
    parse(text).expect_err("there are mistakes").to_string()
}

/// The mistakes of each case, by its name; none may show what is secret in these tests.
fn each<const N: usize>(cases: [(&str, String); N]) -> String {
    let shown = cases.map(|(name, text)| format!("{name}: {}", mistakes(&text))).join("\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    shown
}

/// [`LEAST`] with `new` in place of the line that begins with `key`.
fn with(key: &str, new: &str) -> String {
    assert!(LEAST.lines().any(|line| line.starts_with(key)), "{key}");
    let line = |line| if str::starts_with(line, key) { new } else { line };
    LEAST.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// [`LEAST`] and a section more, which begins in line 16.
fn and(section: &str) -> String {
    format!("{LEAST}{section}")
}
