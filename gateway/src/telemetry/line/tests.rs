use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use tracing::info;

use super::super::tests::Captured;
use super::super::{AccessLine, audible};
use super::*;
use crate::ids::RequestId;

/// The line that is written of `line`, but for its time.
fn written(format: LogFormat, line: &AccessLine<'_>) -> String {
    let mut bytes = Vec::new();
    let record = Record::of(line, Timestamp::from_micros(1_700_000_000_123_456));
    Writer::new(format, Arc::default()).write(&record, &mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("2023-11-14T22:13:20.123456Z"), "{text}");
    text.replacen("2023-11-14T22:13:20.123456Z", "", 1)
}

/// What the subscriber makes of an event with the same fields, but for its time.
fn by_subscriber(format: LogFormat, line: &AccessLine<'_>) -> String {
    let AccessLine { request_id, client, method, host, path, query, route, status, reason, .. } = line;
    let AccessLine { subject, duration, upstream, upstream_duration, bytes_out, user_agent, .. } = line;
    let millis = |span: Duration| (span.as_secs_f64() * 1_000_000.0).round() / 1000.0;
    let query = query.map(|query| redact_query(query, &[]));
    let upstream = upstream.map(|server| server.to_string());
    let (duration_ms, upstream_ms) = (millis(*duration), upstream_duration.map(millis));
    let text = Captured::default().during(format, Box::new(audible(tracing::Level::INFO)), || {
        info!(
            target: "api",
            %request_id, %client, method, host, path, query = query.as_deref(), route, status, reason, subject,
            duration_ms, upstream, upstream_ms, bytes_out, user_agent, "request",
        );
    });
    let from = if format == LogFormat::Json { "{\"timestamp\":\"".len() } else { 0 };
    let end = from + "2023-11-14T22:13:20.123456Z".len();
    format!("{}{}", &text[..from], &text[end..])
}

fn id() -> RequestId {
    RequestId::parse("r1").unwrap()
}

/// What no test asks about.
fn usual(request_id: &RequestId) -> AccessLine<'_> {
    AccessLine {
        request_id,
        client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        method: "GET",
        host: "api.example",
        path: "/posts",
        query: None,
        route: "posts",
        status: 200,
        reason: "-",
        subject: None,
        duration: Duration::ZERO,
        upstream: None,
        upstream_duration: None,
        bytes_out: None,
        user_agent: None,
    }
}

#[test]
fn an_access_line_is_one_json_object_without_secrets() {
    let id = id();
    let line = AccessLine {
        query: Some("a=1&token=sekret"),
        subject: Some("alice"),
        duration: Duration::from_micros(1500),
        bytes_out: Some(2),
        user_agent: Some("curl\n{\"fake\": \"line\"}"),
        ..usual(&id)
    };
    insta::assert_snapshot!(written(LogFormat::Json, &line), @r#"{"timestamp":"","level":"INFO","message":"request","request_id":"r1","client":"127.0.0.1","method":"GET","host":"api.example","path":"/posts","query":"a=1&token=…","route":"posts","status":200,"reason":"-","subject":"alice","duration_ms":1.5,"bytes_out":2,"user_agent":"curl\n{\"fake\": \"line\"}","target":"api"}"#);
}

#[test]
fn a_client_can_not_write_lines_of_its_own() {
    let agent = "curl\r\n2026-01-01 INFO auth: logged in \u{1b}[31m\u{85}\u{2028}\u{202e}";
    let id = id();
    for format in [LogFormat::Json, LogFormat::Text] {
        let text = written(format, &AccessLine { path: agent, user_agent: Some(agent), ..usual(&id) });
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(char::is_control) && !line.contains(['\u{2028}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn what_a_client_wrote_is_shortened() {
    let long = "é".repeat(1000);
    let id = id();
    let line = AccessLine { path: &long, user_agent: Some(&long[2..]), ..usual(&id) };
    let text = written(LogFormat::Json, &line);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["path"].as_str().unwrap().len(), 512);
    assert_eq!(object["user_agent"].as_str().unwrap().len(), 512);
}

#[test]
fn a_second_is_written_anew_when_it_is_another() {
    let mut second = Second::default();
    let mut shown = |micros| {
        let mut bytes = Vec::new();
        second.write(Timestamp::from_micros(micros), &mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(shown(1_700_000_000_999_999), "2023-11-14T22:13:20.999999Z");
    assert_eq!(shown(1_700_000_001_000_000), "2023-11-14T22:13:21.000000Z");
    assert_eq!(shown(-1), "1969-12-31T23:59:59.999999Z");
}

prop_compose! {
    fn odd_text()(text in prop_oneof!["[ -~]{0,40}", "\\PC{0,30}", any::<String>()]) -> String { text }
}

proptest! {
    #[test]
    fn a_line_is_what_the_subscriber_would_write(
        (path, host) in (odd_text(), odd_text()),
        (query, subject, agent) in (
            prop::option::of("[a-z=&%0-9\"\\\\é]{0,30}"), prop::option::of("[!-~]{1,20}"), prop::option::of(odd_text())
        ),
        (client, server) in (any::<IpAddr>(), any::<Option<SocketAddr>>()),
        status in 0..600_u16,
        (micros, upstream_micros) in (0..10_000_000_000_u64, prop::option::of(0..10_000_000_u64)),
        bytes_out in any::<Option<usize>>(),
    ) {
        let id = id();
        let line = AccessLine {
            client,
            path: &path,
            host: &host,
            query: query.as_deref(),
            subject: subject.as_deref(),
            user_agent: agent.as_deref(),
            status,
            duration: Duration::from_micros(micros),
            upstream: server,
            upstream_duration: upstream_micros.map(Duration::from_micros),
            bytes_out,
            ..usual(&id)
        };
        for format in [LogFormat::Json, LogFormat::Text] {
            prop_assert_eq!(written(format, &line), by_subscriber(format, &line));
        }
    }
}
