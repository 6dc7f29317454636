//! Metrics that every request moves, found once for each route and upstream: to find one by its labels takes a lock
//! and a hash, which is more than to move it. What is unusual is found by its labels each time.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::{Held, Metrics, REASONLESS};
use crate::ids::UpstreamId;
use crate::routing::Route;

/// Statuses of most answers.
const USUAL: [u16; 8] = [200, 201, 202, 204, 206, 302, 304, 404];

/// What is counted of each route of one configuration.
pub struct RouteMeters {
    metrics: Arc<Metrics>,
    /// By the address of the route, which is where it is for as long as the configuration.
    meters: Vec<(usize, RouteMeter)>,
}

struct RouteMeter {
    route: Arc<Route>,
    duration: OnceLock<Histogram>,
    usual: [OnceLock<IntCounter>; USUAL.len()],
}

impl RouteMeters {
    /// For `routes`.
    pub fn new(routes: &[Arc<Route>], metrics: &Arc<Metrics>) -> Self {
        let meter = |route: &Arc<Route>| {
            let meter = RouteMeter { route: Arc::clone(route), duration: OnceLock::new(), usual: Default::default() };
            (place(route), meter)
        };
        let mut meters: Vec<_> = routes.iter().map(meter).collect();
        meters.sort_by_key(|(place, _)| *place);
        Self { metrics: Arc::clone(metrics), meters }
    }

    /// A request that took `route` ended.
    pub fn done(&self, route: &Arc<Route>, status: u16, reason: &str, took: Duration) {
        let usual = USUAL.iter().position(|usual| *usual == status).filter(|_| reason == REASONLESS);
        let found = self.meters.binary_search_by_key(&place(route), |(place, _)| *place);
        let (Some(usual), Ok(found)) = (usual, found) else {
            return self.metrics.request_done(route.id.as_str(), status, reason, took);
        };
        let RouteMeter { route, duration, usual: counters } = &self.meters[found].1;
        let route = route.id.as_str();
        counters[usual].get_or_init(|| self.metrics.request_counter(route, status, reason)).inc();
        duration.get_or_init(|| self.metrics.request_timer(route)).observe(took.as_secs_f64());
    }
}

fn place(route: &Arc<Route>) -> usize {
    Arc::as_ptr(route).addr()
}

/// What is counted of the requests to one upstream.
pub struct UpstreamMeter {
    in_flight: IntGauge,
    duration: Histogram,
}

impl UpstreamMeter {
    /// A request is on its way to it for as long as this is held.
    pub fn entered(&self) -> Held {
        Held::hold(&self.in_flight)
    }

    /// The answer of one of its servers began.
    pub fn answered(&self, after: Duration) {
        self.duration.observe(after.as_secs_f64());
    }
}

impl Metrics {
    /// What is counted of the requests to `upstream`.
    pub fn upstream(&self, upstream: &UpstreamId) -> UpstreamMeter {
        let label = [upstream.as_str()];
        let in_flight = self.upstream_in_flight.with_label_values(&label);
        UpstreamMeter { in_flight, duration: self.upstream_duration.with_label_values(&label) }
    }
}
