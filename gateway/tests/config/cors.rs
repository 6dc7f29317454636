//! `[cors.NAME]`: what browsers would ignore, and what would open answers to pages that nobody meant.

use insta::assert_snapshot;
use portcullis::cors::{Cors, Pages, RequestHeaders};

use crate::{and, each, mistakes, parse};

/// The terms `app` with these keys, used by the route of [`crate::LEAST`].
fn app(keys: &str) -> String {
    and(&format!("cors = \"app\"\n[cors.app]\n{keys}"))
}

fn read(keys: &str) -> Cors {
    let config = parse(&app(keys)).unwrap();
    let route = config.routes.iter().find(|route| route.id.as_str() == "posts").unwrap();
    Cors::clone(route.cors.as_ref().unwrap())
}

#[test]
fn origins_are_all_that_must_be_said() {
    let cors = read(r#"origins = ["https://app.example.com"]"#);
    let Pages::Of { origins, credentials } = &cors.pages else { panic!("{cors:?}") };
    assert!(origins.allows("https://app.example.com"));
    assert!(!credentials);
    assert_eq!((cors.methods, cors.max_age.as_secs()), (None, 600));
    let RequestHeaders::Only(headers) = cors.headers else { panic!("the default names headers") };
    assert!(headers.iter().any(|name| name == "authorization") && headers.iter().any(|name| name == "content-type"));
    assert_eq!(cors.exposed, ["x-request-id", "ratelimit", "ratelimit-policy", "retry-after"]);
}

#[test]
fn what_we_expose_ourselves_is_exposed_once() {
    let cors = read(
        "origins = [\"*\"]\nexpose = [\"X-Total-Count\", \"Retry-After\"]\nheaders = [\"*\"]\nmethods = [\"GET\"]",
    );
    assert_eq!((cors.pages, cors.headers), (Pages::All, RequestHeaders::Any));
    assert_eq!(cors.exposed, ["x-request-id", "ratelimit", "ratelimit-policy", "retry-after", "x-total-count"]);
}

#[test]
fn our_own_endpoints_have_terms_of_their_own() {
    let config = parse(&and("[auth]\ncors = \"app\"\n[cors.app]\norigins = [\"*\"]")).unwrap();
    for route in &config.routes {
        let own = route.id.as_str().starts_with("auth.");
        assert_eq!(route.cors.is_some(), own, "{}", route.id);
    }
}

#[test]
fn origins_that_no_browser_sends_are_refused() {
    let cases = [
        ("a path", "https://app.example.com/"),
        ("upper case", "https://App.example.com"),
        ("no scheme", "app.example.com"),
        ("another scheme", "ftp://app.example.com"),
        ("its own port", "https://app.example.com:443"),
        ("a port of its own", "http://localhost:port"),
        ("a user", "https://me@app.example.com"),
        ("another spelling", "http://127.1"),
        ("a top-level domain", "https://*.com"),
        ("a star inside", "https://app.*.example.com"),
        ("no origin", "null"),
        ("nothing", ""),
    ];
    assert_snapshot!(each(cases.map(|(name, origin)| (name, app(&format!("origins = [{origin:?}]"))))), @r#"
    a path: portcullis.toml:18 cors.app.origins: "https://app.example.com/" is no origin: an origin has a host in lower case, as browsers write it, and no path; write "https://app.example.com"
    upper case: portcullis.toml:18 cors.app.origins: "https://App.example.com" is no origin: an origin has a host in lower case, as browsers write it, and no path; write "https://app.example.com"
    no scheme: portcullis.toml:18 cors.app.origins: "app.example.com" is no origin: an origin begins with https:// or http://; write "https://app.example.com"
    another scheme: portcullis.toml:18 cors.app.origins: "ftp://app.example.com" is no origin: an origin begins with https:// or http://; write "https://app.example.com"
    its own port: portcullis.toml:18 cors.app.origins: "https://app.example.com:443" is no origin: an origin has a port only if it is not the scheme's own; write "https://app.example.com"
    a port of its own: portcullis.toml:18 cors.app.origins: "http://localhost:port" is no origin: an origin has a port only if it is not the scheme's own; write "https://app.example.com"
    a user: portcullis.toml:18 cors.app.origins: "https://me@app.example.com" is no origin: an origin has a host in lower case, as browsers write it, and no path; write "https://app.example.com"
    another spelling: portcullis.toml:18 cors.app.origins: "http://127.1" is no origin: an origin has a host in lower case, as browsers write it, and no path; write "https://app.example.com"
    a top-level domain: portcullis.toml:18 cors.app.origins: "https://*.com" is no origin: an origin has a host in lower case, as browsers write it, and no path; write "https://app.example.com"
    a star inside: portcullis.toml:18 cors.app.origins: "https://app.*.example.com" is no origin: an origin has a host in lower case, as browsers write it, and no path; write "https://app.example.com"
    no origin: portcullis.toml:18 cors.app.origins: "null" is every page without an origin of its own, such as one in a sandbox; leave it out
    nothing: portcullis.toml:18 cors.app.origins: "" is no origin: an origin begins with https:// or http://; write "https://app.example.com"
    "#);
}

#[test]
fn what_browsers_would_ignore_or_nobody_meant_is_refused() {
    let app_is = |keys: &str| app(&format!("origins = [\"https://app.example.com\"]\n{keys}"));
    assert_snapshot!(each([
        ("no origins", app("")),
        ("an empty list", app("origins = []")),
        ("every page and one more", app(r#"origins = ["*", "https://app.example.com"]"#)),
        ("every page, as the user", app("origins = [\"*\"]\ncredentials = true")),
        ("the same page twice", app(r#"origins = ["https://a.example", "https://b.example", "https://a.example"]"#)),
        ("pages that can be forged", app("origins = [\"http://app.example.com\"]\ncredentials = true")),
        ("every header, as the user", app_is("credentials = true\nheaders = [\"*\"]")),
        ("a header that pages can't send", app_is(r#"headers = ["Cookie", "Sec-Fetch-Site"]"#)),
        ("some headers", app_is(r#"headers = ["X-*"]"#)),
        ("a header twice", app_is(r#"headers = ["X-Client", "x-client"]"#)),
        ("a header that pages can't read", app_is(r#"expose = ["Set-Cookie"]"#)),
        ("no methods", app_is("methods = []")),
        ("a method twice", app_is(r#"methods = ["GET", "GET"]"#)),
        ("too long", app_is(r#"max_age = "25h""#)),
        ("parts of seconds", app_is(r#"max_age = "1500ms""#)),
        ("no unit", app_is("max_age = 600")),
        ("others' words", app("allow_origins = [\"*\"]\nallow_credentials = true")),
        ("no name", and("[cors]\norigins = [\"*\"]")),
        ("terms that are not there", and("cors = \"ap\"\n[cors.app]\norigins = [\"*\"]\n[auth]\ncors = \"other\"")),
    ]), @r#"
    no origins: portcullis.toml:17 cors.app.origins: is missing; write origins = ["https://app.example.com"], the pages that may call
    an empty list: portcullis.toml:18 cors.app.origins: the list is empty; write "https://app.example.com"
    every page and one more: portcullis.toml:18 cors.app.origins: "*" is every page that there is; name the origins that you trust
    every page, as the user: portcullis.toml:18 cors.app.origins: with credentials = true every page could read what belongs to your users, so browsers ignore "*"; name the origins
    the same page twice: portcullis.toml:18 cors.app.origins: "https://a.example" is there twice; write it once
    pages that can be forged: portcullis.toml:18 cors.app.origins: whoever is on the way can forge a page over plain HTTP and read what belongs to your users; write https://, or credentials = false
    every header, as the user: portcullis.toml:20 cors.app.headers: with credentials = true browsers ignore "*"; name the headers
    a header that pages can't send: portcullis.toml:19 cors.app.headers: browsers let no page send cookie; leave it out
    portcullis.toml:19 cors.app.headers: browsers let no page send sec-fetch-site; leave it out
    some headers: portcullis.toml:19 cors.app.headers: "X-*" is no name of a header; write whole names, such as "X-Total-Count"
    a header twice: portcullis.toml:19 cors.app.headers: x-client is there twice; write it once
    a header that pages can't read: portcullis.toml:19 cors.app.expose: browsers let no page read Set-Cookie; leave it out
    no methods: portcullis.toml:19 cors.app.methods: the list is empty; leave methods out to allow what is routed
    a method twice: portcullis.toml:19 cors.app.methods: GET is there twice; write it once
    too long: portcullis.toml:19 cors.app.max_age: no browser remembers it for so long; write at most "1d"
    parts of seconds: portcullis.toml:19 cors.app.max_age: browsers count whole seconds; write "10m"
    no unit: portcullis.toml:19 cors.app.max_age: 600 has no unit; write "600s", "600m", "600h" or "600d"
    others' words: portcullis.toml:18 cors.app.allow_origins: unknown key; write origins = ["https://app.example.com"]
    portcullis.toml:19 cors.app.allow_credentials: unknown key; write credentials = true
    no name: portcullis.toml:17 cors.origins: terms have a name; write [cors.NAME] with origins
    terms that are not there: portcullis.toml:16 route.posts.cors: unknown cors "ap"; did you mean "app"?
    portcullis.toml:20 auth.cors: unknown cors "other"; write "app"
    "#);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = app(r#"origins = ["https://app.example.com/", "null", "http://plain.example"]
credentials = true
methods = ["get"]
headers = ["*"]
expose = ["*"]
max_age = "2d"
"#);
    assert_snapshot!(mistakes(&text), @r#"
    portcullis.toml:18 cors.app.origins: "https://app.example.com/" is no origin: an origin has a host in lower case, as browsers write it, and no path; write "https://app.example.com"
    portcullis.toml:18 cors.app.origins: "null" is every page without an origin of its own, such as one in a sandbox; leave it out
    portcullis.toml:18 cors.app.origins: whoever is on the way can forge a page over plain HTTP and read what belongs to your users; write https://, or credentials = false
    portcullis.toml:20 cors.app.methods: unknown method "get"; did you mean "GET"?
    portcullis.toml:21 cors.app.headers: with credentials = true browsers ignore "*"; name the headers
    portcullis.toml:22 cors.app.expose: "*" is no name of a header; write whole names, such as "X-Total-Count"
    portcullis.toml:23 cors.app.max_age: no browser remembers it for so long; write at most "1d"
    "#);
}

#[test]
fn pages_on_this_machine_may_be_plain() {
    parse(&app("origins = [\"http://localhost:3000\", \"http://127.0.0.1:8081\"]\ncredentials = true")).unwrap();
}
