//! Pages of other origins: those that a route names may read its answers, refusals included; all others are
//! served like anybody, and their browsers are told nothing.

use std::time::Duration;

use portcullis_tests::{Answer, Client, Kind, Stack, Visitor};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const APP: &str = "https://app.example.com";
const EVIL: &str = "https://evil.example";
const READER: &str = "https://reader.example.com";

const TERMS: &str = r#"
[auth]
cors = "app"
[cors.app]
origins = ["https://app.example.com", "https://*.preview.example.com"]
credentials = true
[cors.read]
origins = ["https://reader.example.com"]
credentials = true
methods = ["GET"]
[[route]]
id = "page_read"
match = { path = "/page_read/*" }
upstream = "recorder"
policy = "authenticated"
cors = "read"
[cors.all]
origins = ["*"]
[limits.once]
rate = "1/hour"
per = "address"
[upstreams.dead]
servers = ["127.0.0.1:1"]
[[route]]
id = "page"
match = { path = "/page/*", methods = ["GET", "DELETE"] }
upstream = "recorder"
policy = "authenticated"
cors = "app"
[[route]]
id = "page_write"
match = { path = "/page/*", methods = ["PUT"] }
upstream = "recorder"
policy = "public"
cors = "all"
[[route]]
id = "page_admins"
match = { path = "/page_admins/*" }
upstream = "recorder"
policy = { roles = ["admin"] }
cors = "app"
[[route]]
id = "page_once"
match = { path = "/page_once/*" }
upstream = "recorder"
policy = "authenticated"
limit = "once"
cors = "app"
[[route]]
id = "page_dead"
match = { path = "/page_dead/*" }
upstream = "dead"
policy = "public"
cors = "app"
[[route]]
id = "page_public"
match = { path = "/page_public/*" }
upstream = "recorder"
policy = "public"
cors = "all"
"#;

async fn start(kind: Kind) -> Stack {
    Stack::builder(kind).extra(TERMS).start().await
}

/// What a page of `origin` gets.
async fn page(client: &Client, origin: &str, path: &str) -> Answer {
    client.send(client.request(Method::GET, path).header("Origin", origin)).await
}

/// What a browser gets that asks for a page of `origin`.
async fn preflight(stack: &Stack, origin: &str, method: &str, path: &str, headers: &str) -> Answer {
    let request = stack.anonymous().request(Method::OPTIONS, path).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", method);
    stack.anonymous().send(request.header("Access-Control-Request-Headers", headers)).await
}

/// The names of all `Access-Control-*` of an answer, without that beginning.
fn said(answer: &Answer) -> Vec<&str> {
    let names = answer.headers.keys().filter_map(|name| name.as_str().strip_prefix("access-control-"));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn assert_readable(answer: &Answer, name: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), APP, "{name}");
    assert_eq!(answer.header("access-control-allow-credentials"), "true", "{name}");
    let exposed = answer.header("access-control-expose-headers");
    assert_eq!(exposed, "x-request-id, ratelimit, ratelimit-policy, retry-after", "{name}");
    assert_eq!(answer.header("vary"), "Origin", "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_needs_no_token_and_takes_from_no_limit() {
    let stack = start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    for _ in 0..3 {
        let answer = preflight(&stack, APP, "POST", "/page_once/x", "authorization,content-type").await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header("access-control-allow-origin"), APP);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, POST, PUT, PATCH, DELETE");
        assert!(answer.header("access-control-allow-headers").contains("authorization"));
        assert_eq!(answer.header("access-control-max-age"), "600");
        assert_eq!(answer.header("vary"), "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        assert_eq!(answer.header("ratelimit"), "");
    }
    assert!(stack.recorder.seen().is_empty(), "the upstream is not asked");
    assert_eq!(page(&alice, APP, "/page_once/x").await.status, 200, "all of the limit is there");
    assert_eq!(page(&alice, APP, "/page_once/x").await.status, 429);
    let labelled = stack.metric(r#"portcullis_requests_total{reason="-",route="page_once",status="204"}"#).await;
    let allowed = stack.metric(r#"portcullis_preflights_total{outcome="allowed",route="page_once"}"#).await;
    assert!(labelled > 2.5 && allowed > 2.5, "{labelled} {allowed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_goes_by_the_route_of_the_request_to_come() {
    let stack = start(Kind::Embedded).await;
    let read = preflight(&stack, APP, "DELETE", "/page/x", "").await;
    assert_eq!(read.header("access-control-allow-origin"), APP);
    assert_eq!(read.header("access-control-allow-methods"), "GET, HEAD, DELETE", "PUT has other terms");
    let write = preflight(&stack, EVIL, "PUT", "/page/x", "").await;
    assert_eq!(write.header("access-control-allow-origin"), "*");
    assert_eq!(write.header("access-control-allow-methods"), "PUT");
    assert_eq!(write.header("access-control-allow-credentials"), "");
    let login = preflight(&stack, "https://a.preview.example.com", "POST", "/auth/login", "content-type").await;
    assert_eq!(login.header("access-control-allow-origin"), "https://a.preview.example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_that_asks_too_much_is_granted_nothing() {
    let stack = start(Kind::Embedded).await;
    for (outcome, origin, headers) in
        [("origin", EVIL, ""), ("origin", "null", ""), ("headers", APP, "authorization,x-admin")]
    {
        let answer = preflight(&stack, origin, "DELETE", "/page/x", headers).await;
        assert_eq!((answer.status, said(&answer)), (204, vec![]), "{outcome} {origin}");
        assert!(answer.header("vary").starts_with("Origin, "), "{outcome}");
    }
    for (outcome, expected) in [("origin", 2.0), ("headers", 1.0), ("allowed", 0.0)] {
        let counted =
            stack.metric(&format!(r#"portcullis_preflights_total{{outcome="{outcome}",route="page"}}"#)).await;
        assert!((counted - expected).abs() < 0.5, "{outcome}: {counted}");
    }
    let unrouted = preflight(&stack, APP, "PATCH", "/page/x", "").await;
    assert_eq!((unrouted.status, said(&unrouted)), (405, vec![]), "no route takes it");
    assert!(stack.recorder.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_network_is_never_granted() {
    let stack = start(Kind::Embedded).await;
    let client = stack.anonymous();
    let request = client.request(Method::OPTIONS, "/page_public/x").header("Origin", APP);
    let request = request.header("Access-Control-Request-Method", "GET");
    let answer = client.send(request.header("Access-Control-Request-Private-Network", "true")).await;
    assert_eq!(said(&answer), ["allow-headers", "allow-methods", "allow-origin", "max-age"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_are_no_preflight_of_ours_go_on() {
    let stack = start(Kind::Embedded).await;
    assert_eq!(preflight(&stack, APP, "GET", "/public/x", "").await.status, 200);
    assert_eq!(stack.recorder.last().target(), "OPTIONS /public/x", "no terms: the upstream answers");
    assert_eq!(preflight(&stack, APP, "GET", "/echo/x", "").await.status, 401, "and only if it may be asked");
    let client = stack.anonymous();
    let answer = client.send(client.request(Method::OPTIONS, "/page_public/x").header("Origin", APP)).await;
    assert_eq!((answer.status, said(&answer)), (200, vec!["allow-origin", "expose-headers"]));
    assert_eq!(stack.recorder.last().target(), "OPTIONS /page_public/x");
    let malformed = preflight(&stack, APP, "GET", "/page_public/a%2Fb", "").await;
    assert_eq!((malformed.status, said(&malformed)), (400, vec![]), "what can be read in two ways has no route");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_read_every_answer_and_every_refusal() {
    let mut stack = start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    let anonymous = stack.anonymous();
    for (client, path, status) in [
        (&alice, "/page/x", 200),
        (&alice, "/page/status/404", 404),
        (&anonymous, "/page/x", 401),
        (&alice, "/page_admins/x", 403),
        (&alice, "/page_once/x", 200),
        (&alice, "/page_once/x", 429),
        (&alice, "/page/garbage", 502),
        (&alice, "/page/stall", 504),
        (&alice, "/page_dead/x", 503),
        (&alice, "/auth/me", 200),
        (&anonymous, "/auth/me", 401),
    ] {
        let answer = page(client, APP, path).await;
        assert_eq!(answer.status, status, "{path} {}", answer.body);
        assert_readable(&answer, &format!("{path} {status}"));
    }
    let body = json!({ "username": "alice", "password": "wrong" });
    let wrong = anonymous.request(Method::POST, "/auth/login").header("Origin", APP).json(&body);
    assert_readable(&anonymous.send(wrong).await, "a failed login");
    stack.redis.as_mut().unwrap().stop();
    let gone = page(&alice, APP, "/page/x").await;
    assert_eq!(gone.status, 503);
    assert_readable(&gone, "the store is gone");
    for (path, status) in [("/nowhere", 404), ("/public/x", 200)] {
        let answer = page(&anonymous, APP, path).await;
        assert_eq!((answer.status, said(&answer), answer.header("vary")), (status, vec![], ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pages_are_served_and_told_nothing() {
    let stack = start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    for origin in
        [EVIL, "null", "http://app.example.com", "https://app.example.com:8443", "https://preview.example.com"]
    {
        let answer = page(&alice, origin, "/page/x").await;
        assert_eq!((answer.status, said(&answer), answer.header("vary")), (200, vec![], "Origin"), "{origin}");
    }
    let none = alice.get("/page/x").await;
    assert_eq!((said(&none), none.header("vary")), (vec![], "Origin"), "a cache is to know that it depends");
    let open = page(&alice, EVIL, "/page_public/x").await;
    assert_eq!(
        (open.header("access-control-allow-origin"), open.header("access-control-allow-credentials")),
        ("*", "")
    );
}

/// A server that has its own mind about pages of other origins.
async fn opinionated() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let _ = stream.read(&mut request).await;
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nVary: Accept-Encoding\r\n\
                    Access-Control-Allow-Origin: https://evil.example\r\nAccess-Control-Allow-Credentials: true\r\n\
                    Access-Control-Allow-Private-Network: true\r\nAccess-Control-Expose-Headers: X-Secret\r\n\r\n{}";
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_writer_where_there_are_terms() {
    let route = |id: &str, terms: &str| {
        format!(
            "[[route]]\nid = \"{id}\"\nmatch = {{ path = \"/{id}\" }}\nupstream = \"own\"\npolicy = \"public\"\n{terms}\n"
        )
    };
    let pool = format!("[upstreams.own]\nservers = [\"{}\"]\nhealth = {{ interval = \"1h\" }}\n", opinionated().await);
    let extra = format!("{TERMS}{pool}{}{}", route("ours", "cors = \"app\""), route("theirs", ""));
    let stack = Stack::builder(Kind::Embedded).extra(&extra).start().await;
    let client = stack.anonymous();

    let ours = page(&client, APP, "/ours").await;
    assert_eq!(said(&ours), ["allow-credentials", "allow-origin", "expose-headers"]);
    assert_eq!(ours.header("access-control-allow-origin"), APP);
    assert!(!ours.header("access-control-expose-headers").contains("X-Secret"));
    let vary: Vec<_> = ours.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept-Encoding", "Origin"], "what it varied by before, it varies by still");
    assert_eq!(said(&page(&client, EVIL, "/ours").await), Vec::<&str>::new());

    let theirs = page(&client, APP, "/theirs").await;
    assert_eq!(said(&theirs), ["allow-credentials", "allow-origin", "allow-private-network", "expose-headers"]);
    assert_eq!(theirs.header("access-control-allow-origin"), EVIL, "without terms it is not for us to say");
    assert_eq!(theirs.header("vary"), "Accept-Encoding");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_may_send_cookies_may_change_something_with_them() {
    let stack = Stack::builder(Kind::Embedded).extra(TERMS).extra("[cookies]\n").start().await;
    let mut alice = Visitor::new(&stack.anonymous());
    alice.login("alice").await;
    for (name, origin, path, status) in [
        ("a page that the route names", APP, "/page/x", 200),
        ("another one", EVIL, "/page/x", 403),
        ("a page that another route names", APP, "/echo/x", 403),
        ("a page whose requests of this method are not granted", READER, "/page_read/x", 403),
        ("our endpoints share as [auth] says", APP, "/auth/sessions/x", 404),
    ] {
        let request = alice.request(Method::DELETE, path).header("origin", origin);
        let answer = alice.send(request.header("sec-fetch-site", "same-site")).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert!(status != 403 || answer.reason() == "cross_site", "{name}: {}", answer.body);
    }
    stack.clock.advance(Duration::from_mins(15));
    let request = alice.request(Method::GET, "/page/x").header("origin", APP);
    let renewed = alice.send(request).await;
    assert_readable(&renewed, "renewed on the way");
    assert_eq!(renewed.headers.get_all("set-cookie").iter().count(), 2);
}
