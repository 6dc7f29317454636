//! The kinds of metrics that the table can declare, and how one is added to a registry. What they are named
//! and what fills them is the table's concern.

use prometheus::core::Collector;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

/// A kind of metric.
pub(super) trait Declared: Collector + Clone + 'static {
    /// An empty one. `buckets` are upper bounds, for histograms.
    fn declare(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<Self>;
}

impl Declared for IntCounterVec {
    fn declare(name: &str, help: &str, labels: &[&str], _: &[f64]) -> Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Declared for IntCounter {
    fn declare(name: &str, help: &str, _: &[&str], _: &[f64]) -> Result<Self> {
        Self::new(name, help)
    }
}

impl Declared for IntGaugeVec {
    fn declare(name: &str, help: &str, labels: &[&str], _: &[f64]) -> Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Declared for IntGauge {
    fn declare(name: &str, help: &str, _: &[&str], _: &[f64]) -> Result<Self> {
        Self::new(name, help)
    }
}

impl Declared for Gauge {
    fn declare(name: &str, help: &str, _: &[&str], _: &[f64]) -> Result<Self> {
        Self::new(name, help)
    }
}

impl Declared for HistogramVec {
    fn declare(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<Self> {
        Self::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
    }
}

/// A row of the table, added to `registry`.
pub(super) fn registered<M: Declared>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> M {
    M::declare(name, help, labels, buckets)
        .and_then(|metric| registry.register(Box::new(metric.clone())).map(|()| metric))
        .expect("the table declares each name once, with a valid name and labels")
}
