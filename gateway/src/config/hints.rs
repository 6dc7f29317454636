//! What somebody meant who wrote something else: the nearest word that we know, and our word for what
//! other gateways call otherwise. Knows words only; where they stand in the file is the reader's concern.

/// The word of `known` that `word` was probably meant to be.
pub(super) fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let scored = known.into_iter().map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate));
    scored
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Tells that no `what` is called `word`, and which one may have been meant.
pub(super) fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let all: Vec<String> = known.clone().map(quoted).collect();
    let remedy = match (near(word, known), all.as_slice()) {
        (Some(meant), _) => format!("did you mean {}?", quoted(meant)),
        (None, []) => format!("there is no {what} yet"),
        (None, [one]) => format!("write {one}"),
        (None, [others @ .., last]) => format!("write {} or {last}", others.join(", ")),
    };
    format!("unknown {what} {}; {remedy}", quoted(word))
}

/// `word` in quotes, on one line and not too long.
pub(super) fn quoted(word: &str) -> String {
    const MOST: usize = 60;
    let more = if word.chars().nth(MOST).is_some() { "…" } else { "" };
    format!("\"{}{more}\"", word.chars().take(MOST).collect::<String>().escape_debug())
}

/// What to write in place of a key that we don't have but others do. `table` is where it stands.
pub(super) fn renamed(table: &str, key: &str) -> Option<&'static str> {
    let section = table.split('.').next().unwrap_or_default();
    let inside_match = table.rsplit('.').next() == Some("match");
    RENAMED.iter().find(|(at, keys, _)| *at == section && !inside_match && keys.contains(&key)).map(|(_, _, say)| *say)
}

/// Section, keys that others use there, and what to write.
const RENAMED: &[(&str, &[&str], &str)] = &[
    ("", &["routes", "rules"], "write each route as a [[route]]"),
    ("", &["listen", "listener", "bind", "server", "port", "entrypoints"], "write [listeners.NAME] with an address"),
    (
        "",
        &["upstream", "backend", "backends", "services", "service", "clusters"],
        "write [upstreams.NAME] with servers",
    ),
    ("", &["limit", "rate_limit", "rate_limits", "ratelimit"], "write [limits.NAME] with a rate"),
    ("", &["jwt", "token"], "write [tokens]"),
    ("", &["redis", "database", "storage"], "write [store] with a url"),
    ("", &["log", "logs", "logging", "access_log"], "write [telemetry]"),
    ("", &["metrics", "health"], "metrics and health are served by [admin]"),
    ("route", &["backend", "service", "cluster", "proxy_pass", "target", "to"], r#"write upstream = "NAME""#),
    (
        "route",
        &["path", "host", "method", "methods"],
        r#"it belongs in match = { path = "/posts/*", methods = ["GET"] }"#,
    ),
    ("route", &["name"], r#"write id = "NAME""#),
    ("route", &["auth", "authenticated", "public", "middlewares"], r#"write policy = "authenticated" or "public""#),
    ("route", &["roles", "scopes"], r#"write policy = { roles = ["NAME"] } or { scopes = ["NAME"] }"#),
    ("route", &["rate_limit"], r#"write limit = "NAME", the name of a [limits.NAME]"#),
    (
        "route",
        &["strip_prefix", "prefix", "rewrite_path"],
        r#"write rewrite = "/*", where "*" is what match has at its end"#,
    ),
    ("route", &["timeout"], r#"write read_timeout = "30s""#),
    ("listeners", &["bind", "listen", "port", "host"], r#"write address = "127.0.0.1:8080""#),
    (
        "listeners",
        &["cert", "certificate", "key", "ssl"],
        r#"in [listeners.NAME.tls] write certificates = [{ chain = "cert.pem", key = { file = "key.pem" } }]"#,
    ),
    ("listeners", &["timeout"], "write read_timeout, write_timeout or keepalive"),
    ("admin", &["bind", "listen", "port", "host"], r#"write address = "127.0.0.1:9090""#),
    (
        "upstreams",
        &["server", "url", "targets", "nodes", "backends", "address", "addresses"],
        r#"write servers = ["127.0.0.1:9000"]"#,
    ),
    ("upstreams", &["timeout"], "write connect_timeout or read_timeout"),
    ("upstreams", &["health_check", "healthcheck"], r#"write health = { path = "/livez" }"#),
    ("upstreams", &["retries", "retry"], "write attempts, which counts the first one too"),
    ("upstreams", &["tls", "weights", "weight"], "this version does not have it"),
    ("limits", &["by", "key", "scope"], r#"write per = "user", "address", "account" or "route""#),
    ("limits", &["requests", "period", "window", "limit", "average"], r#"write rate = "100/min""#),
    (
        "cors",
        &["origin", "allow_origins", "allow_origin", "allowed_origins"],
        r#"write origins = ["https://app.example.com"]"#,
    ),
    ("cors", &["allow_credentials"], "write credentials = true"),
    ("cors", &["allow_methods", "allowed_methods"], "write methods, or leave it out to allow what is routed"),
    ("cors", &["allow_headers", "allowed_headers"], r#"write headers = ["X-Client"]"#),
    ("cors", &["expose_headers", "exposed_headers"], r#"write expose = ["X-Total-Count"]"#),
    ("tokens", &["secret", "signing_key", "private_key"], r#"write key = { env = "NAME" } or { file = "PATH" }"#),
    ("tokens", &["expiry", "ttl", "exp"], r#"write access_ttl = "15m" or refresh_ttl = "7d""#),
    ("login", &["url", "endpoint"], "write upstream and path"),
    (
        "store",
        &["type", "host", "address", "path", "dsn"],
        r#"write url = "embedded:data/portcullis.db" or { env = "REDIS_URL" }"#,
    ),
    ("store", &["password", "username"], "it belongs in the URL, given as url = { env = \"REDIS_URL\" }"),
    ("process", &["threads", "worker_threads", "worker_processes", "cores", "cpus"], "write workers = 4"),
    ("telemetry", &["file", "path", "dir", "directory"], r#"write folder = "logs""#),
    ("shutdown", &["timeout", "grace", "grace_period", "drain"], r#"write deadline = "30s""#),
];
