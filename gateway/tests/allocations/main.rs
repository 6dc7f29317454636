//! What it takes to let a request pass: the decision allocates nothing, so that it costs the same on every thread and
//! whatever else the process does. Counted by an allocator of this program's own.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use allocation_counter::measure;
use futures_util::FutureExt as _;
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use portcullis::auth::claims::Claims;
use portcullis::auth::keyring::Keyring;
use portcullis::clock::Clock;
use portcullis::config;
use portcullis::gateway::admit::{self, Asked, Noted};
use portcullis::gateway::snapshot::{Lasting, Snapshot};
use portcullis::inbound::Inbound;
use portcullis::limiter::Limiter;
use portcullis::metrics::Metrics;
use portcullis::outgoing::Outgoing;
use portcullis::revocation::follower::Follower;
use portcullis::revocation::view::View;
use portcullis::session::audit::Audit;
use portcullis::store::Store;
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::feed::Feed;
use portcullis::webhook::Webhook;

const CONFIG: &str = r#"
[listeners.public]
address = "127.0.0.1:0"
[store]
url = "embedded:store.db"
[tokens]
issuer = "http://gateway.test"
audience = "test"
[upstreams.api]
servers = ["127.0.0.1:9"]
[revocation]
mode = "replicated"
[[route]]
id = "me"
match = { path = "/me" }
upstream = "api"
policy = "authenticated"
[[route]]
id = "other"
match = { path = "/posts", methods = ["POST"] }
upstream = "api"
policy = "authenticated"
[[route]]
id = "public"
match = { path = "/posts", methods = ["GET"] }
upstream = "api"
policy = "public"
[[route]]
id = "optional"
match = { path = "/posts/{id}/*" }
upstream = "api"
policy = "optional"
[limits.user]
rate = "1000/s"
burst = 1000
per = "user"
accuracy = "leased"
[limits.address]
rate = "1000/s"
burst = 1000
per = "address"
accuracy = "leased"
[[route]]
id = "limited"
match = { path = "/limited" }
upstream = "api"
policy = "authenticated"
limits = ["user", "address"]
"#;

/// A configuration at work in `folder`.
async fn snapshot(folder: &Path) -> Snapshot {
    let config = config::parse(CONFIG, "test.toml", folder, &|_| None).map_err(|errors| errors.to_string()).unwrap();
    let (clock, metrics) = (Clock::system(), Arc::new(Metrics::new()));
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&folder.join("store.db")).await.unwrap());
    let keyring = Keyring::default();
    keyring.load(&*store, &config.tokens, clock.now()).await.unwrap();
    let view = Arc::new(View::new(config.revocation.max_staleness));
    let feed: Arc<dyn Feed> = Arc::<dyn Store>::clone(&store);
    let follower = Arc::new(Follower::new(feed, store.partitions(), view, Arc::clone(&metrics)));
    follower.follow(config.tokens.memory(), clock.now()).await.unwrap();
    let (counts, bad_tokens) = Default::default();
    let lasting = Lasting {
        limiter: Arc::new(Limiter::new(Arc::clone(&store), Arc::clone(&metrics))),
        audit: Arc::new(Audit::new(Arc::clone(&metrics), Webhook::new(clock, Arc::clone(&metrics)))),
        store,
        follower,
        metrics,
        counts,
        bad_tokens,
    };
    Snapshot::build(&config, keyring, &lasting)
}

/// A good token, as its header holds it.
fn bearer(snapshot: &Snapshot) -> HeaderValue {
    let now = Clock::system().now().as_secs();
    let id = "AAAAAAAAAAAAAAAAAAAAAA";
    let claims = format!(
        r#"{{"iss":"http://gateway.test","aud":"test","sub":"alice","sid":"{id}","jti":"{id}","iat":{now},
            "exp":{},"epoch":0}}"#,
        now + 60
    );
    let claims: Claims<'_> = serde_json::from_str(&claims).unwrap();
    let token = snapshot.auth.keyring.current().unwrap().signing.token(&claims).unwrap();
    format!("Bearer {token}").parse().unwrap()
}

fn request<'a>(path: &'a str, headers: &'a HeaderMap) -> Inbound<'a> {
    Inbound {
        method: &Method::GET,
        authority: "gateway.test",
        host: "gateway.test",
        path,
        query: None,
        headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// How many allocations it takes to admit a request.
fn allocations(snapshot: &Snapshot, request: &Inbound<'_>) -> u64 {
    let (now, mut route, mut outgoing) = (Clock::system().now(), None, Outgoing::default());
    let counted = measure(|| {
        let place = admit::enter(snapshot, request).unwrap();
        let asked = Asked { snapshot, request, now, place: Some(&place) };
        let noted = Noted { route: &mut route, outgoing: &mut outgoing };
        let admitted = admit::admit(asked, noted).now_or_never();
        assert!(admitted.is_some_and(|permit| permit.is_ok()), "{} passes, and waits for nothing", request.path);
    });
    counted.count_total
}

fn usual() -> HeaderMap {
    HeaderMap::from_iter([
        (HOST, HeaderValue::from_static("gateway.test")),
        (USER_AGENT, HeaderValue::from_static("test/1.0")),
        (ACCEPT, HeaderValue::from_static("*/*")),
    ])
}

#[tokio::test]
async fn a_request_without_a_token_is_admitted_without_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path()).await;
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(7)))).count_total, 1, "they are counted");
    for path in ["/posts", "/posts/7/comments"] {
        assert_eq!(allocations(&snapshot, &request(path, &usual())), 0, "{path}");
    }
}

#[tokio::test]
async fn a_request_with_a_token_that_is_known_is_admitted_without_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path()).await;
    let mut headers = usual();
    headers.insert(AUTHORIZATION, bearer(&snapshot));
    let request = request("/me", &headers);
    assert!(allocations(&snapshot, &request) > 0, "its signature is computed, and what it says is kept");
    assert_eq!(allocations(&snapshot, &request), 0);
}

#[tokio::test]
async fn a_request_that_takes_from_leases_is_admitted_without_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path()).await;
    let mut headers = usual();
    headers.insert(AUTHORIZATION, bearer(&snapshot));
    let request = request("/limited", &headers);
    for _ in 0..20 {
        let (now, mut route, mut outgoing) = (Clock::system().now(), None, Outgoing::default());
        let asked = Asked { snapshot: &snapshot, request: &request, now, place: None };
        let admitted = admit::admit(asked, Noted { route: &mut route, outgoing: &mut outgoing }).await;
        assert!(admitted.is_ok(), "its token is known then, and shares are leased that last for a while");
        assert_eq!(outgoing.readings.len(), 2);
    }
    assert_eq!(allocations(&snapshot, &request), 0);
}
