//! What was measured: percentiles by nearest rank, of both kinds of requests, and how they compare.

use std::time::Duration;

/// How long requests took.
#[derive(Default)]
pub(crate) struct Figures {
    good: Vec<Duration>,
    expired: Vec<Duration>,
}

impl Figures {
    /// Above the rows.
    pub(crate) const HEAD: &str = "round  kind     count     p50     p95     p99     max   p99 ratio   load";

    /// Adds one request.
    pub(crate) fn note(&mut self, expired: bool, took: Duration) {
        if expired { self.expired.push(took) } else { self.good.push(took) }
    }

    /// Adds those of a round.
    pub(crate) fn add(&mut self, round: &Self) {
        self.good.extend(&round.good);
        self.expired.extend(&round.expired);
    }

    /// Two rows of the table, and what else the machine had to do meanwhile.
    pub(crate) fn row(&self, round: &str) -> String {
        let (good, expired) = (sorted(&self.good), sorted(&self.expired));
        let ratio = at(&expired, 99).as_secs_f64() / at(&good, 99).as_secs_f64();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        let good = times(&good);
        format!("{round:5}  good     {good}\n       expired  {}   {ratio:9.2}  {load:>5}", times(&expired))
    }
}

fn sorted(times: &[Duration]) -> Vec<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    times
}

/// The least time that `percent` of all are no longer than.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn times(sorted: &[Duration]) -> String {
    let [p50, p95, p99, max] = [50, 95, 99, 100].map(|percent| at(sorted, percent).as_secs_f64() * 1000.0);
    format!("{:5} {p50:7.2} {p95:7.2} {p99:7.2} {max:7.2}", sorted.len())
}
