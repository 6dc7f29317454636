//! Whether servers work, asked in the background: by a connection, or by a request that must be answered
//! with 2xx. One answer brings a server back; it takes several failures to lose one, and those of real
//! requests count too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Pool, Server, call};
use crate::config::HealthCheck;

/// How soon a server that is new or down is looked at (again), unless checks are more frequent anyway.
const SOON: Duration = Duration::from_secs(1);

/// Checks the pool's servers again and again; sooner while one is down, so that it is back soon.
pub(super) async fn keep_checking(pool: Arc<Pool>) {
    let interval = match pool.terms.health {
        HealthCheck::Tcp { interval, .. } | HealthCheck::Http { interval, .. } => interval,
    };
    loop {
        let servers = pool.servers.load_full();
        join_all(servers.iter().map(|server| check(&pool, server))).await;
        let all_up = servers.iter().all(Server::is_up);
        tokio::select! {
            () = sleep(if all_up { interval } else { interval.min(SOON) }) => {}
            () = pool.news.notified() => sleep(interval.min(SOON)).await,
        }
    }
}

async fn check(pool: &Pool, server: &Server) {
    let works = match &pool.terms.health {
        HealthCheck::Tcp { timeout, .. } => connects(server.address(), *timeout).await,
        HealthCheck::Http { path, timeout, .. } => answers(pool, server, path, *timeout).await,
    };
    if works { pool.works(server) } else { pool.failed(server) }
}

async fn connects(address: SocketAddr, within: Duration) -> bool {
    timeout(within, TcpStream::connect(address)).await.is_ok_and(|connected| connected.is_ok())
}

async fn answers(pool: &Pool, server: &Server, path: &str, within: Duration) -> bool {
    let answer = call::exchange(pool, server, call::request(pool, server, Method::GET, path));
    timeout(within, answer).await.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status().is_success()))
}
