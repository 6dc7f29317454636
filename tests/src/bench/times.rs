//! How long requests took: percentiles by nearest rank.

use std::time::Duration;

/// Times in ascending order.
pub struct Times(Vec<Duration>);

impl Times {
    /// Above [`Times::row`].
    pub const HEAD: &str = "count     p50     p95     p99     max";

    /// Orders them.
    pub fn of(times: &[Duration]) -> Self {
        let mut times = times.to_vec();
        times.sort_unstable();
        Self(times)
    }

    /// The least time that `percent` of all are no longer than; none is zero.
    pub fn at(&self, percent: usize) -> Duration {
        self.at_permille(percent * 10)
    }

    /// The same in thousandths.
    pub fn at_permille(&self, permille: usize) -> Duration {
        let rank = (self.0.len() * permille).div_ceil(1000).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// How many times those of `other` the slowest percent of these take at the least.
    pub fn ratio_to(&self, other: &Self) -> f64 {
        self.at(99).as_secs_f64() / other.at(99).as_secs_f64()
    }

    /// Their number, and percentiles in milliseconds.
    pub fn row(&self) -> String {
        let [p50, p95, p99, max] = [50, 95, 99, 100].map(|percent| self.at(percent).as_secs_f64() * 1000.0);
        format!("{:5} {p50:7.2} {p95:7.2} {p99:7.2} {max:7.2}", self.0.len())
    }
}

/// What the machine had to do during the last minute: processes that ran or waited for it.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
