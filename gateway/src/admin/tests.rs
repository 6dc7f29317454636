//! What the admin listener answers, asked over real connections.

use std::path::Path;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::auth::keyring::Keyring;
use crate::clock::Clock;
use crate::config;
use crate::gateway::snapshot::{Lasting, Snapshot};
use crate::limiter::Limiter;
use crate::revocation::follower::Follower;
use crate::revocation::view::View;
use crate::session::audit::Audit;
use crate::store::Store;
use crate::store::embedded::EmbeddedStore;
use crate::store::feed::Feed;
use crate::webhook::Webhook;

const CONFIG: &str = r#"
[listeners.public]
address = "127.0.0.1:8080"
[store]
url = "embedded:unused"
[tokens]
issuer = "http://127.0.0.1:8080"
audience = "test"
[upstreams.backend]
servers = ["127.0.0.1:9"]
[[route]]
id = "all"
match = { path = "/*" }
upstream = "backend"
policy = "public"
"#;

/// The API of a configuration without an admin token.
async fn api(metrics: &Arc<Metrics>) -> Arc<Api> {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder.path().join("store.db")).await.unwrap());
    let limiter = Arc::new(Limiter::new(Arc::clone(&store), Arc::clone(metrics)));
    let config = config::parse(CONFIG, "test.toml", Path::new(""), &|_| None).unwrap();
    let audit = Arc::new(Audit::new(Arc::clone(metrics), Webhook::new(Clock::system(), Arc::clone(metrics))));
    let (feed, view): (Arc<dyn Feed>, _) = (Arc::<dyn Store>::clone(&store), Arc::new(View::new(None)));
    let follower = Arc::new(Follower::new(feed, store.partitions(), view, Arc::clone(metrics)));
    let (counts, bad_tokens) = Default::default();
    let lasting = Lasting { store, follower, limiter, metrics: Arc::clone(metrics), audit, counts, bad_tokens };
    let current = ArcSwap::from_pointee(Snapshot::build(&config, Keyring::default(), &lasting));
    Arc::new(Api::new(Arc::new(current), Clock::system(), Arc::clone(metrics)))
}

async fn start() -> (AdminServer, AdminParts) {
    let metrics = Arc::new(Metrics::new());
    let parts = AdminParts { api: api(&metrics).await, metrics, readiness: Arc::new(Readiness::default()) };
    parts.readiness.keys_known(true);
    (AdminServer::start("127.0.0.1:0".parse().unwrap(), parts.clone()).await.unwrap(), parts)
}

/// The whole answer to one request, head and body.
async fn ask(server: &AdminServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn it_lives_and_shows_its_metrics() {
    let (server, _parts) = start().await;
    let lives = ask(&server, "GET /livez").await;
    assert!(lives.starts_with("HTTP/1.1 200 OK\r\n") && lives.ends_with("\r\n\r\nok\n"), "{lives}");
    let metrics = ask(&server, "GET /metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4\r\n"), "{metrics}");
    assert!(metrics.contains("\nportcullis_build_info{version="), "{metrics}");
}

#[tokio::test]
async fn while_it_drains_it_lives_but_is_not_ready() {
    let (server, parts) = start().await;
    assert!(ask(&server, "GET /readyz").await.starts_with("HTTP/1.1 200 "));
    parts.readiness.drain();
    let answer = ask(&server, "GET /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("about to stop"), "{answer}");
    assert!(ask(&server, "GET /livez").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_head_request_has_the_status_without_the_body() {
    let (server, parts) = start().await;
    parts.readiness.drain();
    let answer = ask(&server, "HEAD /readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn what_is_not_there_is_refused_as_a_problem() {
    let (server, _parts) = start().await;
    let missing = ask(&server, "GET /").await;
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    let wrong = ask(&server, "POST /metrics").await;
    assert!(wrong.starts_with("HTTP/1.1 405 ") && wrong.contains("allow: GET, HEAD\r\n"), "{wrong}");
    for refused in [missing, wrong] {
        assert!(refused.contains("content-type: application/problem+json\r\n"), "{refused}");
    }
}

#[tokio::test]
async fn without_a_token_there_is_no_api_and_it_says_what_to_write() {
    let (server, _parts) = start().await;
    for path in ["/admin/v1/users/alice", "/admin/v1/nothing"] {
        let off = ask(&server, &format!("GET {path}")).await;
        assert!(off.starts_with("HTTP/1.1 404 ") && off.contains("Write [admin] token = { env ="), "{off}");
    }
}

#[tokio::test]
async fn a_stopped_listener_lets_go_of_idle_connections_and_of_its_port() {
    let (server, _parts) = start().await;
    let mut idle = TcpStream::connect(server.address()).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: admin\r\n\r\n").await.unwrap();
    let mut first = [0; 1];
    idle.read_exact(&mut first).await.unwrap();
    server.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    TcpListener::bind(server.address()).await.unwrap();
}
