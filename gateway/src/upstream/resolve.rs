//! Names into addresses, in the background. Literal addresses are there at once; a name whose server of
//! names is gone keeps its last good answer. No request ever waits for a name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::join_all;
use http::HeaderValue;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Place, Pool};
use crate::config::ServerAddress;

/// The servers that are given by address.
pub(super) fn literal(servers: &[ServerAddress]) -> Vec<Place> {
    let place = |server: &ServerAddress| Some(place(server, SocketAddr::new(server.host.parse().ok()?, server.port)));
    servers.iter().filter_map(place).collect()
}

fn place(server: &ServerAddress, address: SocketAddr) -> Place {
    let host = match server.host.parse::<IpAddr>() {
        Ok(_) => address.to_string(),
        Err(_) => format!("{}:{}", server.host, server.port),
    };
    Place { address, host: HeaderValue::from_str(&host).expect("names are checked when the configuration is read") }
}

/// What is known of a name.
struct Name<'a> {
    server: &'a ServerAddress,
    /// The last good answer.
    addresses: Vec<SocketAddr>,
    failing: bool,
}

/// Resolves the pool's names again and again; returns at once if it has none.
pub(super) async fn keep_resolving(pool: Arc<Pool>) {
    let servers = &pool.terms.servers;
    let mut current = literal(servers);
    if current.len() == servers.len() {
        return;
    }
    let mut names: Vec<Name<'_>> =
        servers.iter().map(|server| Name { server, addresses: Vec::new(), failing: false }).collect();
    loop {
        join_all(names.iter_mut().map(|name| resolve(&pool, name))).await;
        let found = places(&names);
        if found != current {
            info!(target: "error", upstream = %pool.id(), servers = found.len(), "the servers have changed");
            pool.replace(&found);
            current = found;
        }
        sleep(pool.terms.resolve_interval).await;
    }
}

async fn resolve(pool: &Pool, name: &mut Name<'_>) {
    let host = name.server.host.as_str();
    let failed = match tokio::net::lookup_host((host, name.server.port)).await {
        Ok(addresses) => {
            name.addresses = addresses.collect();
            false
        }
        Err(error) => {
            if !name.failing {
                warn!(target: "error", upstream = %pool.id(), host, %error, "a name does not resolve");
            }
            true
        }
    };
    if name.failing && !failed {
        info!(target: "error", upstream = %pool.id(), host, "the name resolves again");
    }
    name.failing = failed;
}

/// Every address once, always in the same order: servers of names shuffle their answers.
fn places(names: &[Name<'_>]) -> Vec<Place> {
    let of_name = |name: &Name<'_>| -> Vec<Place> { name.addresses.iter().map(|at| place(name.server, *at)).collect() };
    let mut places: Vec<Place> = names.iter().flat_map(of_name).collect();
    places.sort_by_key(|place| place.address);
    places.dedup_by_key(|place| place.address);
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UpstreamId;
    use crate::metrics::Metrics;
    use crate::overload::Counts;
    use crate::upstream::tests::terms;

    #[tokio::test]
    async fn a_name_that_no_longer_resolves_keeps_its_last_good_answer() {
        let pool =
            Pool::new(UpstreamId::parse("pool").unwrap(), terms(&[]), &Counts::default(), Arc::new(Metrics::new()));
        let server = ServerAddress { host: "no..name".to_owned(), port: 80 };
        let last_good = vec![SocketAddr::from(([192, 0, 2, 1], 80))];
        let mut name = Name { server: &server, addresses: last_good.clone(), failing: false };
        resolve(&pool, &mut name).await;
        assert!(name.failing);
        assert_eq!(name.addresses, last_good);
    }

    #[test]
    fn an_answer_in_another_order_changes_nothing() {
        let server = ServerAddress { host: "api.example".to_owned(), port: 80 };
        let name = |last: [u8; 2]| Name {
            server: &server,
            addresses: last.map(|last| SocketAddr::from(([192, 0, 2, last], 80))).to_vec(),
            failing: false,
        };
        assert_eq!(places(&[name([1, 2])]), places(&[name([2, 1]), name([1, 2])]));
        assert_eq!(places(&[name([1, 2])])[0].host, "api.example:80");
    }

    #[test]
    fn an_ipv6_address_is_bracketed_in_the_host() {
        let server = ServerAddress { host: "::1".to_owned(), port: 80 };
        assert_eq!(literal(&[server])[0].host, "[::1]:80");
    }
}
