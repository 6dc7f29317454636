//! Secrets come from the environment or a file, can't be guessed, and are never shown.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use portcullis::config::{self, Signing, StoreConfig};

use crate::{GOOD_SECRET, LEAST, each, env, parse, with};

fn hs256(key: &str) -> String {
    with("audience", &format!("audience = \"portcullis\"\nalgorithm = \"HS256\"\nkey = {key}"))
}

#[test]
fn a_secret_that_could_be_guessed_is_refused() {
    let cases = [
        ("literal", r#""hunter2""#),
        ("short", r#"{ env = "SHORT" }"#),
        ("placeholder", r#"{ env = "PLACEHOLDER" }"#),
        ("one_byte", r#"{ env = "ONE_BYTE" }"#),
        ("repeated", r#"{ env = "REPEATED" }"#),
        ("sequence", r#"{ env = "SEQUENCE" }"#),
        ("jwt_io", r#"{ env = "JWT_IO" }"#),
        ("public_key", r#"{ env = "PUBLIC_KEY" }"#),
        ("jwk", r#"{ env = "JWK" }"#),
        ("empty", r#"{ env = "EMPTY" }"#),
        ("unset", r#"{ env = "NOT_SET" }"#),
        ("no_name", r#"{ env = "hunter2-hunter2" }"#),
        ("in_place_of_a_name", r#"{ env = "hunter2" }"#),
        ("no_file", r#"{ file = "no/such/file" }"#),
        ("both", r#"{ env = "GOOD", file = "x" }"#),
        ("neither", "{}"),
        ("other_source", r#"{ vault = "x" }"#),
    ];
    assert_snapshot!(each(cases.map(|(name, key)| (name, hs256(key)))), @r#"
    literal: portcullis.toml:10 tokens.key: a secret never stands in this file; write { env = "NAME" } or { file = "PATH" }, and change it if it was real
    short: portcullis.toml:10 tokens.key: this secret has 15 bytes, but needs 32; make one by `openssl rand -base64 48`
    placeholder: portcullis.toml:10 tokens.key: this secret is well known or a placeholder; make one by `openssl rand -base64 48`
    one_byte: portcullis.toml:10 tokens.key: this secret is too regular to be random; make one by `openssl rand -base64 48`
    repeated: portcullis.toml:10 tokens.key: this secret is too regular to be random; make one by `openssl rand -base64 48`
    sequence: portcullis.toml:10 tokens.key: this secret is too regular to be random; make one by `openssl rand -base64 48`
    jwt_io: portcullis.toml:10 tokens.key: this secret is well known or a placeholder; make one by `openssl rand -base64 48`
    public_key: portcullis.toml:10 tokens.key: this holds a key, which others may know, and no secret; make one by `openssl rand -base64 48`
    jwk: portcullis.toml:10 tokens.key: this holds a key, which others may know, and no secret; make one by `openssl rand -base64 48`
    empty: portcullis.toml:10 tokens.key.env: the environment variable "EMPTY" is not set; set it
    unset: portcullis.toml:10 tokens.key.env: the environment variable "NOT_SET" is not set; set it
    no_name: portcullis.toml:10 tokens.key.env: this is no name of an environment variable; write letters, digits and "_"
    in_place_of_a_name: portcullis.toml:10 tokens.key.env: the environment variable that this names is not set; set it
    no_file: portcullis.toml:10 tokens.key.file: the file "no/such/file" can't be read: No such file or directory (os error 2)
    both: portcullis.toml:10 tokens.key.file: the file "x" can't be read: No such file or directory (os error 2)
    neither: portcullis.toml:10 tokens.key: write either { env = "NAME" } or { file = "PATH" }
    other_source: portcullis.toml:10 tokens.key: write either { env = "NAME" } or { file = "PATH" }
    portcullis.toml:10 tokens.key.vault: unknown key; the keys here are env, file
    "#);
}

#[test]
fn a_good_secret_is_taken_from_the_environment_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), format!("{GOOD_SECRET}\r\n")).unwrap();
    for source in [r#"{ env = "GOOD" }"#, r#"{ file = "key" }"#] {
        let config = config::parse(&hs256(source), "x", folder.path(), &env).unwrap();
        let Signing::Given { key, .. } = config.tokens.signing else { panic!("a key was given") };
        assert_eq!(key.expose_str(), Some(GOOD_SECRET), "{source}");
    }
}

#[test]
fn secret_files_are_sought_from_the_configurations_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.toml");
    fs::write(folder.path().join("key"), GOOD_SECRET).unwrap();
    fs::write(&path, hs256(r#"{ file = "key" }"#)).unwrap();
    config::load(&path, &env).unwrap();
}

#[test]
fn a_secret_file_that_is_empty_or_huge_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |content: String| {
        fs::write(folder.path().join("key"), content).unwrap();
        config::parse(&hs256(r#"{ file = "key" }"#), "portcullis.toml", folder.path(), &env).unwrap_err().to_string()
    };
    assert_snapshot!(refusal("\n".to_owned()), @r#"
    portcullis.toml:10 tokens.key.file: the file "key" is empty
    "#);
    assert_snapshot!(refusal("x".repeat(70_000)), @r#"
    portcullis.toml:10 tokens.key.file: the file "key" can't be read: it is larger than 64 KiB
    "#);
}

#[test]
fn a_url_with_credentials_is_a_secret() {
    let cases = [
        ("user info", r#""redis://:hunter2@127.0.0.1:6379""#),
        ("query", r#""redis-sentinel://127.0.0.1:26379?sentinelServiceName=main&sentinelPassword=hunter2""#),
        ("a cluster", r#"{ env = "CLUSTER_URL" }"#),
        ("no store", r#"{ env = "SHORT" }"#),
        ("no host", r#""redis://""#),
        ("no path", r#""embedded:""#),
    ];
    assert_snapshot!(each(cases.map(|(name, url)| (name, with("url", &format!("url = {url}"))))), @r#"
    user info: portcullis.toml:5 store.url: a URL with credentials is a secret; write { env = "REDIS_URL" } or { file = "PATH" }, and change the password
    query: portcullis.toml:5 store.url: a URL with credentials is a secret; write { env = "REDIS_URL" } or { file = "PATH" }, and change the password
    a cluster: portcullis.toml:5 store.url: Redis Cluster is not supported in this version; use one Redis or Sentinel
    no store: portcullis.toml:5 store.url: this is no store; write "embedded:data/portcullis.db", "redis://HOST:6379", or { env = "REDIS_URL" }
    no host: portcullis.toml:5 store.url: the URL has no host; write "redis://HOST:6379"
    no path: portcullis.toml:5 store.url: the path is missing; write "embedded:data/portcullis.db"
    "#);
    for url in [r#"{ env = "REDIS_URL" }"#, r#""rediss://127.0.0.1""#, r#""redis-sentinel://127.0.0.1:26379""#] {
        let config = parse(&with("url", &format!("url = {url}"))).unwrap();
        assert!(matches!(config.store, StoreConfig::Redis { .. }), "{url}");
        assert!(!format!("{config:?}").contains("127.0.0.1:6379"), "a URL is not shown");
    }
}

#[test]
fn keys_are_told_apart_by_what_they_say_they_are() {
    let signing = |key: &str| with("audience", &format!("audience = \"a\"\nkey = {{ env = \"{key}\" }}"));
    let accepted = |key: &str| format!("{LEAST}[[tokens.accept]]\nalgorithm = \"ES256\"\nkey = {{ env = \"{key}\" }}");
    parse(&signing("PRIVATE_KEY")).unwrap();
    parse(&accepted("PUBLIC_KEY")).unwrap();
    assert_snapshot!(each([
        ("signing_by_a_public_key", signing("PUBLIC_KEY")),
        ("signing_by_sec1", signing("SEC1_KEY")),
        ("signing_by_no_key", signing("GOOD")),
        ("accepting_a_private_key", accepted("PRIVATE_KEY")),
    ]), @r#"
    signing_by_a_public_key: portcullis.toml:9 tokens.key: this holds "PUBLIC KEY", but must be a private key in PKCS#8; convert by `openssl pkcs8 -topk8 -nocrypt`
    signing_by_sec1: portcullis.toml:9 tokens.key: this holds "EC PRIVATE KEY", but must be a private key in PKCS#8; convert by `openssl pkcs8 -topk8 -nocrypt`
    signing_by_no_key: portcullis.toml:9 tokens.key: this is not in PEM, but must be a private key in PKCS#8; convert by `openssl pkcs8 -topk8 -nocrypt`
    accepting_a_private_key: portcullis.toml:18 tokens.accept.key: this holds "PRIVATE KEY", but must be a public key; take it from the private one by `openssl pkey -pubout`
    "#);
}

#[test]
fn a_header_that_sounds_secret_is_one() {
    let cases = [
        ("literal", r#"X-Gateway-Secret = "hunter2""#),
        ("line_break", r#"X-Gateway-Secret = { env = "LINE_BREAK" }"#),
        ("managed", r#"X_User_ID = "admin""#),
        ("no_name", r#""X Y" = "z""#),
    ];
    let text = |header: &str| with("servers", &format!("servers = [\"a:1\"]\nheaders = {{ {header} }}"));
    assert_snapshot!(each(cases.map(|(name, header)| (name, text(header)))), @r#"
    literal: portcullis.toml:11 upstreams.backend.headers.X-Gateway-Secret: a secret never stands in this file; write { env = "NAME" } or { file = "PATH" }, and change it if it was real
    line_break: portcullis.toml:11 upstreams.backend.headers.X-Gateway-Secret: a header holds no line breaks and no control characters; change the value
    managed: portcullis.toml:11 upstreams.backend.headers.X_User_ID: "X_User_ID" is set by the gateway for each request; write another name
    no_name: portcullis.toml:11 upstreams.backend.headers.X Y: "X Y" is no header name; write one such as "X-Gateway-Secret"
    "#);
    let good = r#"servers = ["a:1"]
headers = { X-Gateway-Secret = { env = "GOOD" }, X-Environment = "test" }"#;
    let config = config::parse(&with("servers", good), "x", Path::new("."), &env).unwrap();
    assert!(!format!("{config:?}").contains(GOOD_SECRET));
}

#[test]
fn the_admin_token_can_be_sent_and_not_be_guessed() {
    let admin = |token: &str| with("url", &format!("url = \"embedded:x\"\n[admin]\ntoken = {token}"));
    let config = parse(&admin(r#"{ env = "GOOD" }"#)).unwrap();
    assert_eq!(
        config.admin.token.and_then(|token| token.expose_str().map(str::to_owned)),
        Some(GOOD_SECRET.to_owned())
    );
    assert!(parse(LEAST).unwrap().admin.token.is_none());
    assert_snapshot!(each([
        ("literal", admin(r#""hunter2""#)),
        ("short", admin(r#"{ env = "SHORT" }"#)),
        ("placeholder", admin(r#"{ env = "PLACEHOLDER" }"#)),
        ("not_for_a_header", admin(r#"{ env = "SPACED" }"#)),
    ]), @r#"
    literal: portcullis.toml:7 admin.token: a secret never stands in this file; write { env = "NAME" } or { file = "PATH" }, and change it if it was real
    short: portcullis.toml:7 admin.token: this secret has 15 bytes, but needs 32; make one by `openssl rand -base64 48`
    placeholder: portcullis.toml:7 admin.token: this secret is well known or a placeholder; make one by `openssl rand -base64 48`
    not_for_a_header: portcullis.toml:7 admin.token: this secret can't be sent in a header; make one by `openssl rand -base64 48`
    "#);
}
