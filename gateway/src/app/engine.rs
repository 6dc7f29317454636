//! The engine at work: one for each worker, around the same gateway, and what it is told once. It relies on the
//! listeners to hand it connections. What it is told for each request is said where the request is.

use std::io;
use std::sync::Arc;

use pingora::apps::HttpServerOptions;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::gateway::Gateway;
use crate::listener::Acceptor;

/// The most connections to servers that are kept while nobody uses them.
const MOST_KEPT: usize = 10_000;

/// Workers around `gateway`, to which listeners hand connections. Whatever they serve when `end` says so is cut off.
pub(super) fn acceptor(config: &Config, gateway: &Gateway, end: &CancellationToken) -> io::Result<Acceptor> {
    let terms = terms(config);
    let Gateway { current, metrics, access, .. } = gateway.clone();
    Acceptor::new(config.process.workers(), || proxy(&terms, gateway.clone()), current, metrics, access, end)
}

/// The engine around the gateway. It lets CONNECT through to us, who refuse it like anything else: its own refusal
/// would name it, and have no reason.
fn proxy(terms: &Arc<ServerConf>, gateway: Gateway) -> HttpProxy<Gateway> {
    let mut options = HttpServerOptions::default();
    options.allow_connect_method_proxying = true;
    let mut proxy = http_proxy(terms, gateway);
    proxy.server_options = Some(options);
    proxy
}

/// What the engine is told once; everything else it is told per request.
fn terms(config: &Config) -> Arc<ServerConf> {
    // Each worker keeps its share of the connections that may be in use, so that none is made anew for want of a place.
    let needed = config.overload.requests.all().min(MOST_KEPT);
    let upstream_keepalive_pool_size = needed.div_ceil(config.process.workers().get());
    // `max_retries` counts attempts, of which a pool has at most ten.
    Arc::new(ServerConf { upstream_keepalive_pool_size, max_retries: 10, ..ServerConf::default() })
}
