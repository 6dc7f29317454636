//! What a client writes never becomes a line of a header, nor a way to another origin: whatever of it comes back
//! is a name that was checked, or a path of this origin.

use portcullis_tests::{Client, Kind, Stack, raw};

const TERMS: &str = r#"
[cookies]
[pages]
enabled = true
home = "/optional/home"
[cors.app]
origins = ["https://app.test", "https://*.apps.test"]
credentials = true
[[route]]
id = "shared"
match = { path = "/shared/*" }
upstream = "recorder"
policy = "public"
cors = "app"
[[route]]
id = "app"
match = { path = "/app/*" }
upstream = "recorder"
policy = "authenticated"
unauthenticated = "redirect"
"#;

/// Line ends in every spelling that something on the way might decode, and what would come behind them.
const LINE_ENDS: [&str; 10] = [
    "%0d%0aX-Injected:%20yes",
    "%0aX-Injected:%20yes",
    "%0dX-Injected:%20yes",
    "%250d%250aX-Injected:%20yes",
    "%E5%98%8A%E5%98%8DX-Injected:%20yes",
    "%c4%8d%c4%8aX-Injected:%20yes",
    "%E2%80%A8X-Injected:%20yes",
    "%C2%85X-Injected:%20yes",
    "%0d%0a%0d%0a<script>",
    "%00X-Injected:%20yes",
];

/// The head of an answer, line by line.
fn head(answer: &str) -> Vec<String> {
    answer.split("\r\n\r\n").next().unwrap_or("").split(['\r', '\n']).map(str::to_ascii_lowercase).collect()
}

fn value(head: &[String], name: &str) -> Option<String> {
    let line = head.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
    Some(line.to_owned())
}

async fn stack() -> Stack {
    let stack = Stack::builder(Kind::Embedded).extra(TERMS).start().await;
    stack.anonymous().register("alice").await;
    stack
}

async fn ask(stack: &Stack, target: &str, lines: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{lines}\r\n");
    raw(stack.address(), request.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_end_of_a_client_ends_a_line_of_an_answer() {
    let stack = stack().await;
    let person = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";
    for evil in LINE_ENDS {
        for target in [
            format!("/auth/sign-in?return_to=/{evil}"),
            format!("/auth/sign-in?return_to={evil}"),
            format!("/auth/sign-in?reason={evil}&new={evil}&return_to=/x?{evil}"),
            format!("/app/x?{evil}"),
            format!("/app/{evil}"),
            format!("/nowhere/{evil}"),
            format!("/shared/{evil}"),
        ] {
            for lines in [
                person.to_owned(),
                format!(
                    "Origin: https://{evil}.apps.test\r\nX-Request-Id: {evil}\r\nCookie: portcullis-access={evil}\r\n"
                ),
            ] {
                let answer = ask(&stack, &target, &lines).await;
                let head = head(&answer);
                assert!(head[0].starts_with("http/1.1 "), "{target}: {answer}");
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{target}: one answer: {answer}");
                assert!(!head.iter().any(|line| line.starts_with("x-injected")), "{target}: {answer}");
                assert_eq!(value(&head, "access-control-allow-origin"), None, "{target}: {answer}");
                if let Some(location) = value(&head, "location") {
                    assert!(location.starts_with("/auth/sign-in"), "{target}: {location}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn a_form_leads_on_to_this_origin_only() {
    let stack = stack().await;
    let body = format!("username=alice&password={}", Client::PASSWORD.replace(' ', "+"));
    let elsewhere = [
        "//evil.test",
        "///evil.test",
        "////evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/%09/evil.test",
        "%09//evil.test",
        "/%0d/evil.test",
        "/%0a/evil.test",
        "%00//evil.test",
        "%20//evil.test",
        "https:evil.test",
        "https:/evil.test",
        "https:///evil.test",
        "hTTps://evil.test",
        "data:text/html,x",
        "javascript:alert(1)",
        "vbscript:x",
        "evil.test",
        "@evil.test",
        ".evil.test",
        ":80/x",
        "/.//evil.test",
        "/..//evil.test",
        "/x/..//evil.test",
        "/%252f/evil.test",
        "/%252fevil.test",
        "/%255cevil.test",
        "//gateway.test@evil.test",
        "http://gateway.test.evil.test",
        "http://gateway.test/",
        "%ef%bc%8f%ef%bc%8fevil.test",
        "/%e2%80%a8/evil.test",
        "?next=//evil.test",
        "/x?%0d%0aX-Injected:yes",
        "/x?y=%5cevil.test",
        "/x?%E2%80%A8",
        "%23",
        "",
        "/auth/sign-in",
        "/auth/sign-in?return_to=//evil.test",
    ];
    // Some of them twice: only the first counts, wherever a parser would look.
    let targets = elsewhere.map(|to| format!("return_to={to}")).into_iter().chain([
        "return_to=//evil.test&return_to=/x".to_owned(),
        "return_to[]=/x".to_owned(),
        "RETURN_TO=/x".to_owned(),
        "return_to=/x%23//evil.test".to_owned(),
    ]);
    for query in targets {
        let request = format!(
            "POST /auth/sign-in?{query} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = raw(stack.address(), request.as_bytes()).await;
        let head = head(&answer);
        assert!(head[0].starts_with("http/1.1 303"), "{query}: {answer}");
        assert_eq!(value(&head, "location").as_deref(), Some("/optional/home"), "{query}");
        assert_eq!(head.iter().filter(|line| line.starts_with("set-cookie: portcullis-")).count(), 2, "{query}");
        assert_eq!(head.iter().filter(|line| line.starts_with("set-cookie:")).count(), 2, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_names_no_host_that_the_client_named() {
    let stack = stack().await;
    for host in ["evil.test", "gateway.test:80", "evil.test:4711", "[::1]"] {
        let request = format!(
            "GET /app/x?y HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\n\
             Forwarded: host=evil.test\r\nSec-Fetch-Mode: navigate\r\n\r\n"
        );
        let head = head(&raw(stack.address(), request.as_bytes()).await);
        let location = value(&head, "location");
        assert_eq!(location.as_deref(), Some("/auth/sign-in?return_to=%2fapp%2fx%3fy"), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_comes_back_only_to_the_letter() {
    let stack = stack().await;
    let allowed = ask(&stack, "/shared/x", "Origin: https://app.test\r\n").await;
    assert_eq!(value(&head(&allowed), "access-control-allow-origin").as_deref(), Some("https://app.test"));
    for origin in [
        "https://app.test.evil.test",
        "https://evil.test/https://app.test",
        "https://app.test@evil.test",
        "https://evilapp.test",
        "http://app.test",
        "https://app.test:444",
        "https://APP.test%00",
        "https://app.test/",
        "null",
        "https://x.apps.test.evil.test",
        "https://evil.test?.apps.test",
        "https://evil.test#.apps.test",
        "https://evil.test\\.apps.test",
        "https://.apps.test",
        "https://evil.test .apps.test",
        "https://a_b`.apps.test/",
    ] {
        let answer = ask(&stack, "/shared/x", &format!("Origin: {origin}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{origin}");
        assert_eq!(value(&head(&answer), "access-control-allow-origin"), None, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_request_is_a_name_or_a_new_one() {
    let mut stack = stack().await;
    stack.reload(|toml| format!("trusted_proxies = [\"127.0.0.0/8\"]\n{toml}")).await.unwrap();
    let id = async |given: &str| {
        let answer = ask(&stack, "/nowhere", &format!("X-Request-Id: {given}\r\n")).await;
        let body = answer.split("\r\n\r\n").nth(1).unwrap().to_owned();
        let id = value(&head(&answer), "x-request-id").unwrap();
        assert!(body.contains(&format!("\"instance\":\"{id}\"")), "{answer}");
        id
    };
    assert_eq!(id("abc-1.2_3").await, "abc-1.2_3");
    for given in
        ["a b", "a,b", "a;b", "a\"b", "a\\b", "<script>", "{\"a\":1}", "a%0d%0ab", "é", "a\tb", &"x".repeat(65)]
    {
        let id = id(given).await;
        assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{given}: {id}");
    }
}
