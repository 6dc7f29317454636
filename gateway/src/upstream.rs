//! Pools of servers: who is in one, which of them work, and whose turn it is. Names are resolved and
//! health is checked in the background, so that a request never waits for either. How a request is sent
//! to the chosen server is the engine's concern; what is asked by ourselves is `call.rs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::{self, UpstreamHeader};
use crate::ids::UpstreamId;
use crate::metrics::{Held, Metrics, UpstreamMeter};
use crate::overload::{self, Counts, Full, Rank, Room};
use crate::panics;
use crate::problem::Denied;

mod call;
mod health;
mod resolve;

pub use call::CallError;

/// So many failures in a row, and a server counts as down.
const DOWN_AFTER: u32 = 2;
/// How many requests share a connection of HTTP/2 to a server.
const MAX_STREAMS: usize = 100;
/// How often such a connection is tried while it is open: a server that vanished would hold up all of them.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// All pools of one configuration. Their background work ends when this is dropped.
pub struct Upstreams {
    pools: BTreeMap<UpstreamId, Arc<Pool>>,
    _background: DropGuard,
}

impl Upstreams {
    /// Starts the background work of each pool.
    pub fn start(configured: &BTreeMap<UpstreamId, config::Upstream>, counts: &Counts, metrics: &Arc<Metrics>) -> Self {
        let ended = CancellationToken::new();
        let pool = |(id, terms): (&UpstreamId, &config::Upstream)| {
            let pool = Arc::new(Pool::new(id.clone(), terms.clone(), counts, Arc::clone(metrics)));
            keep(&ended, &pool, resolve::keep_resolving);
            keep(&ended, &pool, health::keep_checking);
            (id.clone(), pool)
        };
        Self { pools: configured.iter().map(pool).collect(), _background: ended.drop_guard() }
    }

    /// The pool of this name.
    pub fn pool(&self, id: &UpstreamId) -> Option<&Arc<Pool>> {
        self.pools.get(id)
    }
}

/// Has `work` done for `pool` until `ended`, panics or not.
fn keep<F>(ended: &CancellationToken, pool: &Arc<Pool>, work: fn(Arc<Pool>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (pool, metrics) = (Arc::clone(pool), Arc::clone(&pool.metrics));
    let working = panics::again(move || metrics.panicked("upstream"), move || work(Arc::clone(&pool)));
    tokio::spawn(ended.clone().run_until_cancelled_owned(working));
}

impl Drop for Upstreams {
    /// Takes the servers out of the metrics. Those that a newer configuration has too are back with their next check.
    fn drop(&mut self) {
        for pool in self.pools.values() {
            pool.servers.load().iter().for_each(|server| pool.metrics.upstream_server_gone(&pool.id, server.address()));
        }
    }
}

/// A named pool of servers.
pub struct Pool {
    id: UpstreamId,
    terms: config::Upstream,
    room: Room,
    servers: ArcSwap<Vec<Server>>,
    turn: AtomicUsize,
    /// A server came or went down: it should be looked at soon.
    news: Notify,
    metrics: Arc<Metrics>,
    meter: UpstreamMeter,
}

/// A place among the requests of a pool, given back when it is dropped.
pub struct PoolPlace {
    _place: overload::Place,
    _shown: Held,
}

/// One server of a pool: a resolved address, and whether it works. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Server(Arc<State>);

#[derive(Debug)]
struct State {
    place: Place,
    failures: AtomicU32,
}

/// Where a server is, and what it calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    address: SocketAddr,
    /// As configured, for the `Host` of our own requests.
    host: HeaderValue,
}

impl Server {
    /// A new server is in use, but on probation: its first failure takes it out.
    fn new(place: Place) -> Self {
        Self(Arc::new(State { place, failures: AtomicU32::new(DOWN_AFTER - 1) }))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.0.place.address
    }

    fn is_up(&self) -> bool {
        self.0.failures.load(Ordering::Relaxed) < DOWN_AFTER
    }
}

impl Pool {
    fn new(id: UpstreamId, terms: config::Upstream, counts: &Counts, metrics: Arc<Metrics>) -> Self {
        let room = Room::new(&counts.upstream(&id), terms.requests);
        let (servers, turn, news) = (ArcSwap::default(), AtomicUsize::new(0), Notify::new());
        let meter = metrics.upstream(&id);
        let pool = Self { id, terms, room, servers, turn, news, metrics, meter };
        pool.replace(&resolve::literal(&pool.terms.servers));
        pool
    }

    /// Its name.
    pub fn id(&self) -> &UpstreamId {
        &self.id
    }

    /// A place among the requests that are on their way to it.
    pub fn enter(&self, rank: Rank) -> Result<PoolPlace, Denied> {
        let place = self.room.enter(rank).ok_or(Denied::Overloaded(Full::Upstream))?;
        Ok(PoolPlace { _place: place, _shown: self.meter.entered() })
    }

    /// Notes that the answer of one of its servers began.
    pub fn answered(&self, after: Duration) {
        self.meter.answered(after);
    }

    /// How many servers are tried for one request.
    pub fn attempts(&self) -> usize {
        self.terms.attempts
    }

    /// The headers that every request to it carries.
    pub fn headers(&self) -> &[UpstreamHeader] {
        &self.terms.headers
    }

    /// Whether its servers are spoken to in HTTP/2.
    pub fn speaks_http2(&self) -> bool {
        self.terms.http2
    }

    /// The longest silence in a tunnel.
    pub fn tunnel_timeout(&self) -> Duration {
        self.terms.tunnel_timeout
    }

    /// The next server that works and is not among `tried`. The turn goes round among those that qualify,
    /// so that the share of one that is down does not fall to its neighbour alone.
    pub fn pick(&self, tried: &[SocketAddr]) -> Result<Server, Denied> {
        let servers = self.servers.load();
        let fit = || servers.iter().filter(|server| server.is_up() && !tried.contains(&server.address()));
        let place = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(fit().count());
        // One may have gone down since they were counted.
        let next = place.and_then(|place| fit().nth(place).or_else(|| fit().next()));
        next.cloned().ok_or(Denied::NoServer)
    }

    /// The engine's view of a server, with every timeout set; `upgrade` is a tunnel, which may be silent.
    pub fn peer(&self, server: &Server, upgrade: bool, read_timeout: Option<Duration>) -> Box<HttpPeer> {
        let terms = &self.terms;
        let mut peer = Box::new(HttpPeer::new(server.address(), false, String::new()));
        let options = &mut peer.options;
        options.connection_timeout = Some(terms.connect_timeout);
        options.total_connection_timeout = Some(terms.connect_timeout);
        options.idle_timeout = Some(terms.idle_timeout);
        options.read_timeout =
            Some(if upgrade { terms.tunnel_timeout } else { read_timeout.unwrap_or(terms.read_timeout) });
        options.write_timeout = Some(if upgrade { terms.tunnel_timeout } else { terms.write_timeout });
        if terms.http2 {
            options.set_http_version(2, 2);
            options.max_h2_streams = MAX_STREAMS;
            options.h2_ping_interval = Some(PING_INTERVAL);
        }
        peer
    }

    /// Notes that a server could not be reached.
    pub fn failed(&self, server: &Server) {
        let failures = server.0.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures == DOWN_AFTER {
            tracing::warn!(target: "error", upstream = %self.id, server = %server.address(), "the server is down");
            self.news.notify_one();
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

    /// Takes these for its servers; one that stays keeps what is known of it.
    fn replace(&self, places: &[Place]) {
        let old = self.servers.load_full();
        let kept = |place: &Place| old.iter().find(|server| server.0.place == *place).cloned();
        let new: Vec<Server> = places.iter().map(|at| kept(at).unwrap_or_else(|| Server::new(at.clone()))).collect();
        for gone in old.iter().filter(|server| !places.iter().any(|place| place.address == server.address())) {
            self.metrics.upstream_server_gone(&self.id, gone.address());
        }
        for server in &new {
            self.report(server);
        }
        self.servers.store(Arc::new(new));
        self.news.notify_one();
    }
}

#[cfg(test)]
mod tests;
