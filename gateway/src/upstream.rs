//! Pools of servers: who is in one, which of them work, and whose turn it is. Names are resolved and
//! health is checked in the background, so that a request never waits for either. How a request is sent
//! to the chosen server is the engine's concern; what is asked by ourselves is `call.rs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::upstreams::peer::HttpPeer;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::{self, UpstreamHeader};
use crate::ids::UpstreamId;
use crate::metrics::Metrics;
use crate::problem::Denied;

mod call;
mod health;
mod resolve;

pub use call::CallError;

/// So many failures in a row, and a server counts as down.
const DOWN_AFTER: u32 = 2;

/// All pools of one configuration. Their background work ends when this is dropped.
pub struct Upstreams {
    pools: BTreeMap<UpstreamId, Arc<Pool>>,
    _background: DropGuard,
}

impl Upstreams {
    /// Starts the background work of each pool.
    pub fn start(configured: &BTreeMap<UpstreamId, config::Upstream>, metrics: &Arc<Metrics>) -> Self {
        let ended = CancellationToken::new();
        let pool = |(id, terms): (&UpstreamId, &config::Upstream)| {
            let pool = Arc::new(Pool::new(id.clone(), terms.clone(), Arc::clone(metrics)));
            tokio::spawn(ended.clone().run_until_cancelled_owned(resolve::keep_resolving(Arc::clone(&pool))));
            tokio::spawn(ended.clone().run_until_cancelled_owned(health::keep_checking(Arc::clone(&pool))));
            (id.clone(), pool)
        };
        Self { pools: configured.iter().map(pool).collect(), _background: ended.drop_guard() }
    }

    /// The pool of this name.
    pub fn pool(&self, id: &UpstreamId) -> Option<&Arc<Pool>> {
        self.pools.get(id)
    }
}

/// A named pool of servers.
pub struct Pool {
    id: UpstreamId,
    terms: config::Upstream,
    servers: ArcSwap<Vec<Server>>,
    turn: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// One server of a pool: a resolved address, and whether it works. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Server(Arc<State>);

#[derive(Debug)]
struct State {
    address: SocketAddr,
    failures: AtomicU32,
}

impl Server {
    fn new(address: SocketAddr) -> Self {
        Self(Arc::new(State { address, failures: AtomicU32::new(0) }))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    fn is_up(&self) -> bool {
        self.0.failures.load(Ordering::Relaxed) < DOWN_AFTER
    }
}

impl Pool {
    fn new(id: UpstreamId, terms: config::Upstream, metrics: Arc<Metrics>) -> Self {
        let pool = Self { id, terms, servers: ArcSwap::default(), turn: AtomicUsize::new(0), metrics };
        pool.replace(&resolve::literal(&pool.terms.servers));
        pool
    }

    /// Its name.
    pub fn id(&self) -> &UpstreamId {
        &self.id
    }

    /// How many servers are tried for one request.
    pub fn attempts(&self) -> usize {
        self.terms.attempts
    }

    /// The headers that every request to it carries.
    pub fn headers(&self) -> &[UpstreamHeader] {
        &self.terms.headers
    }

    /// The longest silence in a tunnel.
    pub fn tunnel_timeout(&self) -> Duration {
        self.terms.tunnel_timeout
    }

    /// The next server that works and is not among `tried`.
    pub fn pick(&self, tried: &[SocketAddr]) -> Result<Server, Denied> {
        let servers = self.servers.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let from_here = servers.iter().cycle().skip(turn % servers.len().max(1)).take(servers.len());
        let mut fit = from_here.filter(|server| server.is_up() && !tried.contains(&server.address()));
        fit.next().cloned().ok_or(Denied::NoServer)
    }

    /// The engine's view of a server, with every timeout set; `upgrade` is a tunnel, which may be silent.
    pub fn peer(&self, server: &Server, upgrade: bool, read_timeout: Option<Duration>) -> Box<HttpPeer> {
        let terms = &self.terms;
        let mut peer = HttpPeer::new(server.address(), false, String::new());
        let options = &mut peer.options;
        options.connection_timeout = Some(terms.connect_timeout);
        options.total_connection_timeout = Some(terms.connect_timeout);
        options.idle_timeout = Some(terms.idle_timeout);
        options.read_timeout =
            Some(if upgrade { terms.tunnel_timeout } else { read_timeout.unwrap_or(terms.read_timeout) });
        options.write_timeout = Some(if upgrade { terms.tunnel_timeout } else { terms.write_timeout });
        Box::new(peer)
    }

    /// Notes that a server could not be reached.
    pub fn failed(&self, server: &Server) {
        let failures = server.0.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures == DOWN_AFTER {
            tracing::warn!(target: "error", upstream = %self.id, server = %server.address(), "the server is down");
        }
        self.report(server);
    }

    /// Notes that a server works.
    fn works(&self, server: &Server) {
        if server.0.failures.swap(0, Ordering::Relaxed) >= DOWN_AFTER {
            tracing::info!(target: "error", upstream = %self.id, server = %server.address(), "the server is up again");
        }
        self.report(server);
    }

    fn report(&self, server: &Server) {
        self.metrics.upstream_server(&self.id, server.address(), server.is_up());
    }

    /// Takes these addresses for its servers; one that stays keeps what is known of it.
    fn replace(&self, addresses: &[SocketAddr]) {
        let old = self.servers.load_full();
        let kept = |address: &SocketAddr| old.iter().find(|server| server.address() == *address).cloned();
        let new: Vec<Server> = addresses.iter().map(|at| kept(at).unwrap_or_else(|| Server::new(*at))).collect();
        for gone in old.iter().filter(|server| !addresses.contains(&server.address())) {
            self.metrics.upstream_server_gone(&self.id, gone.address());
        }
        for server in &new {
            self.report(server);
        }
        self.servers.store(Arc::new(new));
    }
}

#[cfg(test)]
mod tests;
