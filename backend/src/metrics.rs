//! What is counted and measured, declared in one place. Labels are route patterns, methods and stable names,
//! never paths, users or addresses. Each service has a registry of its own, so tests can't disturb each other.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// The content type of [`Metrics::render`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// All metrics of one service.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    refusals: IntCounterVec,
    /// Password hashes computed, be it to keep one, to check one, or to spend the time of a check; by algorithm.
    pub(crate) password_hashes: IntCounterVec,
    /// Passwords that wait for a worker.
    pub(crate) password_queue: IntGauge,
    /// Passwords that were turned away because the queue was full.
    pub(crate) password_queue_full: IntCounter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let registry = &registry;
        let counters = |name, help, labels: &[&str]| keep(registry, IntCounterVec::new(opts(name, help), labels));
        Self {
            requests: counters("requests_total", "Requests answered.", &["route", "method", "status"]),
            request_duration: keep(
                registry,
                HistogramVec::new(
                    HistogramOpts::from(opts("request_duration_seconds", "Time from request to answer."))
                        .buckets(DURATION_BUCKETS.to_vec()),
                    &["route", "method"],
                ),
            ),
            refusals: counters("refusals_total", "Requests refused, by stable reason.", &["route", "reason"]),
            password_hashes: counters(
                "password_hashes_total",
                "Password hashes computed, by algorithm.",
                &["algorithm"],
            ),
            password_queue: keep(
                registry,
                IntGauge::with_opts(opts("password_queue", "Passwords that wait for a worker.")),
            ),
            password_queue_full: keep(
                registry,
                IntCounter::with_opts(opts("password_queue_full_total", "Passwords turned away by a full queue.")),
            ),
            registry: registry.clone(),
        }
    }

    /// Takes down one answer.
    pub(crate) fn observe(&self, seen: &Answered<'_>) {
        let Answered { route, method, status, reason, duration } = *seen;
        self.requests.with_label_values(&[route, method, status.as_str()]).inc();
        self.request_duration.with_label_values(&[route, method]).observe(duration.as_secs_f64());
        if let Some(reason) = reason {
            self.refusals.with_label_values(&[route, reason]).inc();
        }
    }

    /// All metrics in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("writing to a Vec can't fail");
        String::from_utf8(text).expect("the text format is UTF-8")
    }
}

/// One answered request.
#[derive(Clone, Copy)]
pub(crate) struct Answered<'a> {
    pub(crate) route: &'a str,
    pub(crate) method: &'a str,
    pub(crate) status: http::StatusCode,
    pub(crate) reason: Option<&'a str>,
    pub(crate) duration: Duration,
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("portcullis_backend")
}

fn keep<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("metric names are static and well-formed");
    registry.register(Box::new(metric.clone())).expect("each metric is registered once");
    metric
}
