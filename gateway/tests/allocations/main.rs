//! What it takes to let a request pass: the decision allocates nothing, so that it costs the same on every thread and
//! whatever else the process does. Counted by an allocator of this program's own.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use allocation_counter::measure;
use futures_util::FutureExt as _;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use portcullis::auth::keyring::Keyring;
use portcullis::clock::Clock;
use portcullis::config;
use portcullis::gateway::admit::{self, Asked, Noted};
use portcullis::gateway::snapshot::{Lasting, Snapshot};
use portcullis::inbound::Inbound;
use portcullis::limiter::Limiter;
use portcullis::metrics::Metrics;
use portcullis::outgoing::Outgoing;
use portcullis::session::audit::Audit;
use portcullis::store::Store;
use portcullis::store::embedded::EmbeddedStore;
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
"#;

/// A configuration at work in `folder`.
async fn snapshot(folder: &Path) -> Snapshot {
    let config = config::parse(CONFIG, "test.toml", folder, &|_| None).map_err(|errors| errors.to_string()).unwrap();
    let (clock, metrics) = (Clock::system(), Arc::new(Metrics::new()));
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&folder.join("store.db")).await.unwrap());
    let keyring = Keyring::default();
    keyring.load(&*store, &config.tokens, clock.now()).await.unwrap();
    let (counts, bad_tokens) = Default::default();
    let lasting = Lasting {
        limiter: Arc::new(Limiter::new(Arc::clone(&store), Arc::clone(&metrics))),
        audit: Arc::new(Audit::new(Arc::clone(&metrics), Webhook::new(clock, Arc::clone(&metrics)))),
        store,
        metrics,
        counts,
        bad_tokens,
    };
    Snapshot::build(&config, keyring, &lasting)
}

#[tokio::test]
async fn a_request_without_a_token_is_admitted_without_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path()).await;
    let headers = HeaderMap::from_iter([
        (HOST, HeaderValue::from_static("gateway.test")),
        (USER_AGENT, HeaderValue::from_static("test/1.0")),
        (ACCEPT, HeaderValue::from_static("*/*")),
    ]);
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(7)))).count_total, 1, "they are counted");
    for path in ["/posts", "/posts/7/comments"] {
        let request = Inbound {
            method: &Method::GET,
            authority: "gateway.test",
            host: "gateway.test",
            path,
            query: None,
            headers: &headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let (now, mut route, mut outgoing) = (Clock::system().now(), None, Outgoing::default());
        let allocations = measure(|| {
            let place = admit::enter(&snapshot, &request).unwrap();
            let asked = Asked { snapshot: &snapshot, request: &request, now, place: Some(&place) };
            let noted = Noted { route: &mut route, outgoing: &mut outgoing };
            let admitted = admit::admit(asked, noted).now_or_never();
            assert!(admitted.is_some_and(|permit| permit.is_ok()), "{path} passes, and waits for nothing");
        });
        assert_eq!(allocations.count_total, 0, "{path}");
        assert!(route.is_some());
    }
}
