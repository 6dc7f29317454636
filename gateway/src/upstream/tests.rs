use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::config::{HealthCheck, ServerAddress};
use crate::overload::Capacity;

const SHORT: Duration = Duration::from_millis(20);

pub(super) fn terms(servers: &[SocketAddr]) -> config::Upstream {
    let server = |at: &SocketAddr| ServerAddress { host: at.ip().to_string(), port: at.port() };
    config::Upstream {
        http2: false,
        servers: servers.iter().map(server).collect(),
        health: HealthCheck::Tcp { interval: SHORT, timeout: Duration::from_secs(1) },
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(1),
        write_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        tunnel_timeout: Duration::from_mins(5),
        attempts: 3,
        requests: Capacity::new(100, 0),
        resolve_interval: SHORT,
        headers: vec![UpstreamHeader {
            name: http::HeaderName::from_static("x-gateway-secret"),
            value: HeaderValue::from_static("shared"),
        }],
    }
}

fn start(terms: config::Upstream) -> (Upstreams, Arc<Pool>) {
    start_counted(terms, &Arc::new(Metrics::new()))
}

fn start_counted(terms: config::Upstream, metrics: &Arc<Metrics>) -> (Upstreams, Arc<Pool>) {
    let id = UpstreamId::parse("pool").unwrap();
    let upstreams = Upstreams::start(&BTreeMap::from([(id.clone(), terms)]), &Counts::default(), metrics);
    let pool = Arc::clone(upstreams.pool(&id).unwrap());
    (upstreams, pool)
}

/// A server that answers each request with its secret header, its body and so many bytes more.
async fn server(padding: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let echo = service_fn(move |request: http::Request<hyper::body::Incoming>| async move {
                let secret = request.headers()["x-gateway-secret"].to_str().unwrap().to_owned();
                let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
                let text = format!("{secret} {}{}", String::from_utf8_lossy(&body), "x".repeat(padding));
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), echo));
        }
    });
    address
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A pool whose servers are checked once, at the earliest when the test first waits.
fn never_checked(servers: &[SocketAddr]) -> config::Upstream {
    let health = HealthCheck::Tcp { interval: Duration::from_hours(1), timeout: SHORT };
    config::Upstream { health, ..terms(servers) }
}

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(SHORT).await;
    }
    panic!("it never happened");
}

async fn post(pool: &Pool, deadline: Duration) -> Result<String, CallError> {
    let answer = pool.post("/x", &http::HeaderMap::new(), Bytes::from_static(b"hi"), deadline).await?;
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}

#[tokio::test]
async fn servers_take_turns_and_a_tried_one_is_not_picked_again() {
    let servers = [server(0).await, server(0).await];
    let (_upstreams, pool) = start(terms(&servers));
    let picked: Vec<SocketAddr> = (0..4).map(|_| pool.pick(&[]).unwrap().address()).collect();
    assert_eq!(picked[0], picked[2]);
    assert_eq!(picked[1], picked[3]);
    assert_ne!(picked[0], picked[1]);
    assert_eq!(pool.pick(&servers[..1]).unwrap().address(), servers[1]);
    assert!(matches!(pool.pick(&servers), Err(Denied::NoServer)));
}

#[tokio::test]
async fn a_dead_server_goes_down_and_comes_back() {
    let dead = nobody().await;
    let (_upstreams, pool) = start(terms(&[dead]));
    until(|| pool.pick(&[]).is_err()).await;
    let _listener = TcpListener::bind(dead).await.unwrap();
    until(|| pool.pick(&[]).is_ok()).await;
}

#[tokio::test]
async fn requests_that_fail_to_connect_bring_a_server_down_too() {
    let slow_checks = config::Upstream {
        health: HealthCheck::Tcp { interval: Duration::from_hours(1), timeout: SHORT },
        ..terms(&[server(0).await])
    };
    let (_upstreams, pool) = start(slow_checks);
    let server = pool.pick(&[]).unwrap();
    until(|| server.0.failures.load(Ordering::Relaxed) == 0).await;
    pool.failed(&server);
    assert!(pool.pick(&[]).is_ok(), "one failure is none");
    pool.failed(&server);
    assert!(pool.pick(&[]).is_err());
}

#[tokio::test]
async fn a_new_server_is_out_with_its_first_failure() {
    let (_upstreams, pool) = start(never_checked(&[nobody().await]));
    pool.failed(&pool.pick(&[]).unwrap());
    assert!(pool.pick(&[]).is_err());
}

#[tokio::test]
async fn the_share_of_a_server_that_is_down_falls_to_all_others() {
    let (_upstreams, pool) = start(never_checked(&[server(0).await, server(0).await, server(0).await]));
    let down = pool.pick(&[]).unwrap();
    pool.failed(&down);
    pool.failed(&down);
    let picked: Vec<SocketAddr> = (0..6).map(|_| pool.pick(&[]).unwrap().address()).collect();
    for at in &picked {
        assert_ne!(*at, down.address());
        assert_eq!(picked.iter().filter(|other| *other == at).count(), 3, "{picked:?}");
    }
}

#[tokio::test]
async fn servers_are_shown_until_their_configuration_is_gone() {
    let metrics = Arc::new(Metrics::new());
    let (upstreams, pool) = start_counted(never_checked(&[server(0).await]), &metrics);
    let up = format!("server=\"http://{}\"", pool.pick(&[]).unwrap().address());
    assert!(metrics.render().contains(&up));
    drop(upstreams);
    assert!(!metrics.render().contains(&up));
}

#[tokio::test]
async fn an_http_check_wants_success() {
    let unhealthy = config::Upstream {
        health: HealthCheck::Http { path: "/".to_owned(), interval: SHORT, timeout: SHORT },
        headers: Vec::new(), // The test server drops a request without its secret.
        ..terms(&[server(0).await])
    };
    let (_upstreams, pool) = start(unhealthy);
    until(|| pool.pick(&[]).is_err()).await;
}

#[tokio::test]
async fn names_are_resolved_in_the_background() {
    let at = server(0).await;
    let named = config::Upstream {
        servers: vec![ServerAddress { host: "localhost".to_owned(), port: at.port() }],
        ..terms(&[])
    };
    let (_upstreams, pool) = start(named);
    until(|| pool.pick(&[]).is_ok()).await;
}

#[tokio::test]
async fn a_call_reaches_a_server_that_lives_with_the_pools_headers() {
    let (_upstreams, pool) = start(terms(&[nobody().await, server(0).await]));
    for _ in 0..2 {
        assert_eq!(post(&pool, Duration::from_secs(5)).await.as_deref(), Ok("shared hi"));
    }
}

#[tokio::test]
async fn a_call_that_can_not_succeed_says_why() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (servers, expected) in [
        (vec![nobody().await], CallError::Unreachable),
        (vec![silent.local_addr().unwrap()], CallError::Timeout),
        (vec![server(MAX_PADDING).await], CallError::TooLarge),
    ] {
        let (_upstreams, pool) = start(terms(&servers));
        assert_eq!(post(&pool, Duration::from_millis(500)).await, Err(expected));
    }
}

#[tokio::test]
async fn calls_are_counted_and_a_single_attempt_that_fails_counts_against_the_server() {
    let metrics = Arc::new(Metrics::new());
    let (_upstreams, pool) = start_counted(config::Upstream { attempts: 1, ..terms(&[server(0).await]) }, &metrics);
    post(&pool, Duration::from_secs(5)).await.unwrap();
    assert!(metrics.render().contains("portcullis_upstream_duration_seconds_count{upstream=\"pool\"} 1"));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alone = config::Upstream { attempts: 1, ..never_checked(&[listener.local_addr().unwrap()]) };
    let (_upstreams, pool) = start_counted(alone, &metrics);
    let server = pool.pick(&[]).unwrap();
    until(|| server.0.failures.load(Ordering::Relaxed) == 0).await;
    drop(listener);
    for _ in 0..DOWN_AFTER {
        assert_eq!(post(&pool, Duration::from_secs(5)).await, Err(CallError::Unreachable));
    }
    assert!(!server.is_up());
    assert!(metrics.render().contains("portcullis_upstream_failures_total{kind=\"connect\",upstream=\"pool\"} 2"));
}

const MAX_PADDING: usize = 65 * 1024;

#[test]
fn every_timeout_of_a_peer_is_set() {
    let pool = Pool::new(UpstreamId::parse("pool").unwrap(), terms(&[]), &Counts::default(), Arc::new(Metrics::new()));
    let server = Server::new(resolve::literal(&terms(&["127.0.0.1:1".parse().unwrap()]).servers).remove(0));
    let options = pool.peer(&server, false, None).options;
    for set in [
        options.connection_timeout,
        options.total_connection_timeout,
        options.read_timeout,
        options.write_timeout,
        options.idle_timeout,
    ] {
        assert_eq!(set, Some(Duration::from_secs(1)));
    }
    assert_eq!(pool.peer(&server, true, None).options.read_timeout, Some(Duration::from_mins(5)));
    assert_eq!(pool.peer(&server, false, Some(SHORT)).options.read_timeout, Some(SHORT));
}
