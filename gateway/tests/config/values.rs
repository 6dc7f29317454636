//! Each kind of value: what is read as what, and what is refused.

use std::time::Duration;

use portcullis::config::{HealthCheck, ServerAddress};
use portcullis::limit::{Accuracy, LimitBy, Quota};

use crate::{and, mistakes, parse, with};

/// The message of the one mistake of `text`.
fn mistake(text: &str) -> String {
    let errors = parse(text).expect_err(text);
    let [mistake] = errors.mistakes() else { panic!("one mistake:\n{errors}") };
    mistake.message.clone()
}

#[test]
fn a_span_of_time_has_a_unit() {
    let leeway = |raw: &str| with("audience", &format!("audience = \"a\"\nleeway = {raw}"));
    for (raw, expected) in [("\"250ms\"", 250), ("\"5s\"", 5000), ("\"1m\"", 60_000), ("\"0s\"", 0)] {
        let config = parse(&leeway(raw)).unwrap();
        assert_eq!(config.tokens.leeway, Duration::from_millis(expected), "{raw}");
    }
    for (raw, expected) in [
        ("15", r#"15 has no unit; write "15s", "15m", "15h" or "15d""#),
        ("\"15\"", r#"15 has no unit; write "15s", "15m", "15h" or "15d""#),
        ("1.5", r#"1.5 has no unit; write "1.5s", "1.5m", "1.5h" or "1.5d""#),
        ("\"1M\"", r#""1M" is no span of time; write "250ms", "30s", "15m", "12h" or "7d""#),
        ("\"soon\"", r#""soon" is no span of time; write "250ms", "30s", "15m", "12h" or "7d""#),
        ("\"\"", r#""" is no span of time; write "250ms", "30s", "15m", "12h" or "7d""#),
        ("\"11years\"", r#""11years" is longer than 10 years"#),
        ("true", "this is true or false; write a text in quotes"),
    ] {
        assert_eq!(mistake(&leeway(raw)), expected, "{raw}");
    }
}

#[test]
fn a_cache_has_a_size_or_is_none() {
    let cache = |raw: &str| with("audience", &format!("audience = \"a\"\ncache = {raw}"));
    for (raw, expected) in [("\"64KiB\"", 64 << 10), ("\"1MiB\"", 1 << 20), ("\"0B\"", 0)] {
        assert_eq!(parse(&cache(raw)).unwrap().tokens.cache, expected, "{raw}");
    }
    assert_eq!(parse(&and("")).unwrap().tokens.cache, 16 << 20, "nobody has to think of it");
    for (raw, expected) in [
        ("0", r#"0 has no unit; write "0B", "0KiB" or "0MiB""#),
        ("\"0\"", r#"0 has no unit; write "0B", "0KiB" or "0MiB""#),
        ("\"none\"", r#""none" is no size; write "500B", "32KiB", "16MiB" or "2GiB""#),
    ] {
        assert_eq!(mistake(&cache(raw)), expected, "{raw}");
    }
}

#[test]
fn a_size_has_a_unit() {
    let of_body = |raw: &str| and(&format!("max_body = {raw}"));
    let route =
        |text: &str| parse(text).unwrap().routes.iter().find(|route| route.id.as_str() == "posts").cloned().unwrap();
    for (raw, expected) in [
        ("\"500B\"", Some(500)),
        ("\"32KiB\"", Some(32 << 10)),
        ("\"1 MiB\"", Some(1 << 20)),
        ("\"2GiB\"", Some(2 << 30)),
        ("\"unlimited\"", None),
    ] {
        assert_eq!(route(&of_body(raw)).max_body, expected, "{raw}");
    }
    assert_eq!(route(&and("")).max_body, Some(16 << 20), "nobody has to think of it");
    for (raw, expected) in [
        ("15", r#"15 has no unit; write "15B", "15KiB" or "15MiB""#),
        ("\"15\"", r#"15 has no unit; write "15B", "15KiB" or "15MiB""#),
        ("\"0B\"", r#""0B" is no size; write "500B", "32KiB", "16MiB" or "2GiB""#),
        ("\"15MB\"", r#""15MB" is no size; write "500B", "32KiB", "16MiB" or "2GiB""#),
        ("\"-1B\"", r#""-1B" is no size; write "500B", "32KiB", "16MiB" or "2GiB""#),
        ("\"99999999999GiB\"", r#""99999999999GiB" is no size; write "500B", "32KiB", "16MiB" or "2GiB""#),
    ] {
        assert_eq!(mistake(&of_body(raw)), expected, "{raw}");
    }
}

#[test]
fn what_clients_may_cost_is_always_bounded() {
    let listener = |line: &str| with("[listeners.public]", &format!("[listeners.public]\n{line}"));
    let bounds = parse(&listener("")).unwrap().listeners[0].bounds;
    assert_eq!((bounds.header_timeout, bounds.max_header_bytes), (Duration::from_secs(10), 32 << 10));
    assert_eq!((bounds.max_connections, bounds.connections_per_address), (10_000, 256));
    assert_eq!(bounds.streams_per_address, 500);
    assert_eq!((bounds.requests_per_connection, bounds.body.min_rate), (1000, 500));
    assert_eq!(parse(&listener("min_body_rate = \"2KiB/s\"")).unwrap().listeners[0].bounds.body.min_rate, 2048);
    let brief = parse(&listener("request_timeout = \"5s\"")).unwrap().listeners[0].bounds.body;
    assert_eq!(brief.grace, brief.request_timeout, "nobody has to say both");
    for (line, expected) in [
        ("min_body_rate = \"500B\"", r#""500B" is no rate of bytes; write "500B/s" or "2KiB/s""#),
        ("max_header_bytes = \"1MiB\"", r#"write a size from "1KiB" to "256KiB""#),
        ("max_connections = 0", "0 is out of range; write 1 to 1000000"),
        ("request_timeout = \"0s\"", "zero is too short; write a longer time"),
        (
            "request_timeout = \"5s\"\nbody_grace = \"6s\"",
            "the whole request has to arrive before it is over; write at most request_timeout",
        ),
    ] {
        assert_eq!(mistake(&listener(line)), expected, "{line}");
    }
}

#[test]
fn a_limit_is_exact_unless_it_says_otherwise() {
    let accuracy = |line: &str| {
        let text = and(&format!("limit = \"api\"\n[limits.api]\nrate = \"9/s\"\nper = \"route\"\n{line}"));
        parse(&text).unwrap().routes.last().unwrap().limits[0].accuracy
    };
    assert_eq!(accuracy(""), Accuracy::Exact);
    assert_eq!(accuracy("accuracy = \"exact\""), Accuracy::Exact);
    assert_eq!(accuracy("accuracy = \"leased\""), Accuracy::Leased);
}

#[test]
fn a_rate_has_a_period() {
    let limit = |raw: &str| and(&format!("limit = \"api\"\n[limits.api]\nrate = {raw}\nper = \"route\""));
    for (raw, count, secs) in
        [("100/min", 100, 60), ("5/s", 5, 1), ("7/hour", 7, 3600), ("5/10s", 5, 10), ("1 / day", 1, 86_400)]
    {
        let config = parse(&limit(&format!("\"{raw}\""))).unwrap();
        let limit = &config.routes.last().unwrap().limits[0];
        assert_eq!(limit.by, LimitBy::Route);
        assert_eq!(Some(limit.quota), Quota::new(count, Duration::from_secs(secs), count), "{raw}");
    }
    for (raw, expected) in [
        ("100", r#"100 in what time? write "100/s", "100/min" or "100/hour""#),
        ("\"100\"", r#"100 in what time? write "100/s", "100/min" or "100/hour""#),
        ("\"fast\"", r#""fast" is no rate; write "100/min", "5/s" or "5/10s""#),
        ("\"0/s\"", r#""0/s" is no rate; write "100/min", "5/s" or "5/10s""#),
        ("\"-1/s\"", r#""-1/s" is no rate; write "100/min", "5/s" or "5/10s""#),
        ("\"5/10\"", r#""5/10" is no rate; write "100/min", "5/s" or "5/10s""#),
        ("\"5/0s\"", r#""5/0s" is no rate; write "100/min", "5/s" or "5/10s""#),
        ("\"4000000000/s\"", "the rate is too high or too low to be counted exactly; write one a second to one a year"),
    ] {
        assert_eq!(mistake(&limit(raw)), expected, "{raw}");
    }
}

#[test]
fn a_server_is_a_host_and_a_port() {
    let servers = |raw: &str| with("servers", &format!("servers = [{raw}]"));
    for (raw, host, port) in [
        ("127.0.0.1:9000", "127.0.0.1", 9000),
        ("[::1]:9000", "::1", 9000),
        ("Backend_1.internal:80", "backend_1.internal", 80),
    ] {
        let config = parse(&servers(&format!("\"{raw}\""))).unwrap();
        let upstream = config.upstreams.values().next().unwrap();
        assert_eq!(upstream.servers, [ServerAddress { host: host.to_owned(), port }], "{raw}");
    }
    for (raw, expected) in [
        ("", r#"the list is empty; write at least one server, such as "127.0.0.1:9000""#),
        ("\"127.0.0.1\"", r#""127.0.0.1" has no port; write "127.0.0.1:80""#),
        ("\"a:0\"", "a server has a port from 1 to 65535"),
        ("\"a:70000\"", r#""70000" is no port"#),
        ("\"http://a:1/x\"", r#"a server has no scheme and no path; write "a:1""#),
        ("\"a b:1\"", r#""a b:1" is no server; write "127.0.0.1:9000" or "backend.internal:9000""#),
        ("9000", "this is a number; write a text in quotes"),
        ("\"a:1\", \"a:1\"", "a server is there twice; write each one once"),
    ] {
        assert_eq!(mistake(&servers(raw)), expected, "{raw}");
    }
}

#[test]
fn an_address_to_listen_on_is_an_ip_address_and_a_port() {
    for (raw, expected) in [
        ("localhost:8080", r#""localhost:8080" is no address to listen on; write "127.0.0.1:8080""#),
        (
            ":8080",
            r#"":8080" is no address to listen on; write "127.0.0.1:8080", or "0.0.0.0:8080" for all interfaces"#,
        ),
        (
            "0.0.0.0",
            r#""0.0.0.0" is no address to listen on; write an IP address and a port, such as "127.0.0.1:8080" or "[::1]:8080""#,
        ),
    ] {
        assert_eq!(mistake(&with("address", &format!("address = \"{raw}\""))), expected, "{raw}");
    }
}

#[test]
fn the_admin_listener_is_kept_from_the_outside() {
    let admin = |keys: &str| and(&format!("[admin]\naddress = \"0.0.0.0:9090\"\n{keys}"));
    assert!(mistake(&admin("")).starts_with("0.0.0.0:9090 can be reached from outside"));
    assert_eq!(parse(&admin("exposed = true")).unwrap().admin.address.port(), 9090);
}

#[test]
fn trusted_proxies_are_networks_and_never_everybody() {
    let trusted = |raw: &str| format!("trusted_proxies = [\"{raw}\"]{}", and(""));
    for (raw, expected) in [("10.0.0.0/8", "10.0.0.0/8"), ("192.0.2.1", "192.0.2.1/32"), ("fd00::/8", "fd00::/8")] {
        assert_eq!(parse(&trusted(raw)).unwrap().trusted_proxies[0].to_string(), expected);
    }
    for (raw, expected) in [
        ("10.1.2.3/8", r#""10.1.2.3/8" has bits beyond its prefix; write "10.0.0.0/8""#),
        ("0.0.0.0/0", "this trusts everybody to name any client address; write your proxies' networks"),
        ("proxy", r#""proxy" is no network; write "10.0.0.0/8" or "192.0.2.1""#),
    ] {
        assert_eq!(mistake(&trusted(raw)), expected, "{raw}");
    }
}

#[test]
fn a_pointer_leads_into_a_document() {
    let login = |raw: &str| and(&format!("[login]\nupstream = \"backend\"\npath = \"/login\"\nsubject = \"{raw}\""));
    for good in ["/id", "/user/0/id", "/a~1b~0c", "/"] {
        assert_eq!(parse(&login(good)).unwrap().login.unwrap().subject, good);
    }
    for (raw, expected) in [
        ("id", r#"a JSON pointer begins with "/"; write "/id""#),
        ("$.user.id", r#"a JSON pointer begins with "/"; write "/user/id""#),
        ("/a~b", r#""~" in a JSON pointer is written "~0", and "/" in a name "~1""#),
    ] {
        assert_eq!(mistake(&login(raw)), expected, "{raw}");
    }
}

#[test]
fn a_method_is_one_that_can_be_routed() {
    let methods = |raw: &str| with("match", &format!("match = {{ path = \"/x\", methods = [{raw}] }}"));
    for (raw, expected) in [
        ("\"get\"", r#"unknown method "get"; did you mean "GET"?"#),
        ("\"PSOT\"", r#"unknown method "PSOT"; did you mean "POST"?"#),
        ("\"CONNECT\"", "CONNECT is never forwarded; leave it out"),
        ("\"GET\", \"GET\"", "GET is there twice; write it once"),
        ("", "the list is empty; leave methods out to match every method"),
    ] {
        assert_eq!(mistake(&methods(raw)), expected, "{raw}");
    }
}

#[test]
fn paths_hosts_and_rewrites_are_what_requests_can_have() {
    let matched = |raw: &str| with("match", &format!("match = {{ {raw} }}"));
    for (raw, expected) in [
        (r#"path = "posts""#, "a path begins with \"/\""),
        (r#"path = "/a", host = "a:80""#, "a host is a name such as"),
        (r#"path = "/a", host = "*""#, "leave host out to match every host"),
    ] {
        assert!(mistake(&matched(raw)).starts_with(expected), "{raw}");
    }
    let rewritten = |raw: &str| with("upstream", &format!("upstream = \"backend\"\nrewrite = \"{raw}\""));
    parse(&rewritten("/v2/*")).unwrap();
    assert_eq!(mistake(&rewritten("/{id}")), "the path pattern has no parameter \"id\"");
}

#[test]
fn a_policy_names_roles_or_scopes() {
    let policy = |raw: &str| with("policy", &format!("policy = {raw}"));
    for (raw, expected) in [
        ("\"admin\"", r#"unknown policy "admin"; write "public", "optional" or "authenticated""#),
        ("{ roles = [] }", "the list is empty; name a role, or nobody could pass"),
        (
            "{ roles = [\"a,b\"] }",
            "\"a,b\" can't be granted: it has a character that is not allowed here; use visible ASCII without quotes, \"\\\" and \",\"",
        ),
        ("{ roles = [\"a\"], scopes = [\"b\"] }", r#"write either { roles = ["NAME"] } or { scopes = ["NAME"] }"#),
        ("{}", r#"write either { roles = ["NAME"] } or { scopes = ["NAME"] }"#),
        ("true", "this is true or false; write a text in quotes"),
    ] {
        assert_eq!(mistake(&policy(raw)), expected, "{raw}");
    }
}

#[test]
fn health_is_a_connection_or_an_answer() {
    let health = |raw: &str| with("servers", &format!("servers = [\"a:1\"]\nhealth = {raw}"));
    let check = |raw: &str| parse(&health(raw)).unwrap().upstreams.into_values().next().unwrap().health;
    let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(2));
    assert_eq!(check("{}"), HealthCheck::Tcp { interval, timeout });
    assert_eq!(check(r#"{ path = "/up?x=1" }"#), HealthCheck::Http { path: "/up?x=1".to_owned(), interval, timeout });
    for (raw, expected) in [
        (r#"{ path = "livez" }"#, "write a path that begins with \"/\", such as \"/livez\""),
        (r#"{ path = "/a b" }"#, "write a path that begins with \"/\", such as \"/livez\""),
        (r#"{ timeout = "6s" }"#, "a check takes longer than the time between two; write timeout at most interval"),
    ] {
        assert_eq!(mistake(&health(raw)), expected, "{raw}");
    }
}

#[test]
fn a_number_is_in_its_range() {
    let attempts = |raw: &str| with("servers", &format!("servers = [\"a:1\"]\nattempts = {raw}"));
    for (raw, expected) in [
        ("0", "0 is out of range; write 1 to 10"),
        ("-1", "-1 is out of range; write 1 to 10"),
        ("99999999999", "99999999999 is out of range; write 1 to 10"),
        ("\"2\"", "this is a text; write a whole number from 1 to 10, without quotes"),
        ("1.5", "this is a number; write a whole number from 1 to 10, without quotes"),
    ] {
        assert_eq!(mistake(&attempts(raw)), expected, "{raw}");
    }
}

#[test]
fn what_is_written_by_mistake_does_not_spoil_the_terminal() {
    let shown = mistakes(&with("policy", &format!("policy = \"{}\\u001b[31m\"", "x".repeat(100))));
    assert!(shown.len() < 250 && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn every_span_of_time_ends_up_where_it_belongs() {
    let text = r#"
keepalive = "1s"
read_timeout = "2s"
write_timeout = "3s"
"#;
    let config = parse(&with("address", &format!("address = \"127.0.0.1:0\"{text}"))).unwrap();
    let listener = &config.listeners[0];
    insta::assert_compact_debug_snapshot!(
        (listener.keepalive, listener.read_timeout, listener.write_timeout), @"(1s, 2s, 3s)");

    let text = r#"servers = ["a:1"]
connect_timeout = "1s"
read_timeout = "2s"
write_timeout = "3s"
idle_timeout = "4s"
tunnel_timeout = "5s"
resolve_interval = "6s"
"#;
    let up = parse(&with("servers", text)).unwrap().upstreams.into_values().next().unwrap();
    let spans = (up.connect_timeout, up.read_timeout, up.write_timeout, up.idle_timeout, up.tunnel_timeout);
    insta::assert_compact_debug_snapshot!((spans, up.resolve_interval), @"((1s, 2s, 3s, 4s, 5s), 6s)");

    let text = r#"audience = "a"
access_ttl = "1s"
refresh_ttl = "2s"
absolute_ttl = "3s"
retry_window = "4s"
leeway = "5s"
"#;
    let tokens = parse(&with("audience", text)).unwrap().tokens;
    insta::assert_compact_debug_snapshot!(
        (tokens.access_ttl, tokens.lifetimes, tokens.leeway),
        @"(1s, Lifetimes { idle: 2s, absolute: 3s, retry_window: 4s }, 5s)");

    let text = r#"
[login]
upstream = "backend"
path = "/login"
subject = "/id"
timeout = "1s"
backoff = { free = 2, first = "3s", longest = "4s", forget = "5s" }
[shutdown]
notice = "6s"
deadline = "7s"
"#;
    let config = parse(&and(text)).unwrap();
    let login = config.login.unwrap();
    insta::assert_compact_debug_snapshot!(
        (login.timeout, login.backoff, config.shutdown),
        @"(1s, Backoff { free: 2, first: 3s, longest: 4s, forget: 5s }, Shutdown { notice: 6s, deadline: 7s })");
}

#[test]
fn streams_are_looked_at_before_revocations_are_forgotten() {
    let interval = |raw: &str, access: &str| {
        let tokens = format!("audience = \"a\"\naccess_ttl = {access}\nleeway = \"0s\"");
        format!("{}\n[revocation]\nstream_interval = {raw}", with("audience", &tokens))
    };
    for (raw, access, expected) in
        [("\"50ms\"", "\"15m\"", 50), ("\"1m\"", "\"2m\"", 60_000), ("\"5s\"", "\"10s\"", 5000)]
    {
        let config = parse(&interval(raw, access)).unwrap();
        assert_eq!(config.revocation.stream_interval, Duration::from_millis(expected), "{raw} {access}");
    }
    assert_eq!(parse(&and("")).unwrap().revocation.stream_interval, Duration::from_secs(1));
    let short = with("audience", "audience = \"a\"\naccess_ttl = \"1s\"\nleeway = \"0s\"");
    assert_eq!(parse(&short).unwrap().revocation.stream_interval, Duration::from_millis(500), "the default fits");
    for (raw, access, expected) in [
        ("\"49ms\"", "\"15m\"", r#"write at least "50ms""#),
        ("\"61s\"", "\"15m\"", r#"write at most "1m", or raise tokens.access_ttl if that is short"#),
        ("\"6s\"", "\"10s\"", r#"write at most "5s", or raise tokens.access_ttl if that is short"#),
        ("\"0s\"", "\"15m\"", "zero is too short; write a longer time"),
    ] {
        assert_eq!(mistake(&interval(raw, access)), expected, "{raw} {access}");
    }
}

#[test]
fn what_a_route_accepts_is_said_in_words() {
    let accept = |list: &str| with("policy", &format!("policy = \"public\"\naccept = {list}"));
    let config = parse(&accept(r#"["encoded_slash", "matrix_parameters", "encoded_percent"]"#)).unwrap();
    let accepting: Vec<_> = config.routes.iter().filter(|route| !route.accept.is_empty()).collect();
    let [route] = accepting[..] else { panic!("one route") };
    let names: Vec<String> = route.accept.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["matrix_parameters", "encoded_slash", "encoded_percent"]);
    assert!(!route.reveal_software);
    for (list, expected) in [
        (
            r#"["encoded_nul"]"#,
            "unknown thing to accept \"encoded_nul\"; write \"matrix_parameters\", \"encoded_slash\" or \"encoded_percent\"",
        ),
        ("[]", "the list is empty; leave accept out to refuse what is ambiguous"),
        ("true", "this is true or false; write a list in brackets"),
    ] {
        assert_eq!(mistake(&accept(list)), expected);
    }
}
