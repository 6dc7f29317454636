//! Names into addresses, in the background. Literal addresses are there at once; a name whose server of
//! names is gone keeps its last good answer. No request ever waits for a name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tracing::warn;

use super::Pool;
use crate::config::ServerAddress;

/// The servers that are given by address.
pub(super) fn literal(servers: &[ServerAddress]) -> Vec<SocketAddr> {
    let address = |server: &ServerAddress| Some(SocketAddr::new(server.host.parse::<IpAddr>().ok()?, server.port));
    servers.iter().filter_map(address).collect()
}

/// Resolves the pool's names again and again; returns at once if it has none.
pub(super) async fn keep_resolving(pool: Arc<Pool>) {
    let servers = &pool.terms.servers;
    if literal(servers).len() == servers.len() {
        return;
    }
    let mut last_good = vec![Vec::new(); servers.len()];
    loop {
        for (server, known) in servers.iter().zip(&mut last_good) {
            match tokio::net::lookup_host((server.host.as_str(), server.port)).await {
                Ok(addresses) => *known = addresses.collect(),
                Err(error) => {
                    warn!(target: "error", upstream = %pool.id(), host = server.host, %error, "a name does not resolve");
                }
            }
        }
        let mut all: Vec<SocketAddr> = last_good.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        pool.replace(&all);
        tokio::time::sleep(pool.terms.resolve_interval).await;
    }
}
