//! What was measured: percentiles of both kinds of requests, and how they compare.

use std::time::Duration;

use portcullis_tests::bench::times::{Times, load};

/// How long requests took.
#[derive(Default)]
pub(crate) struct Figures {
    good: Vec<Duration>,
    expired: Vec<Duration>,
}

impl Figures {
    /// Above the rows.
    pub(crate) fn head() -> String {
        format!("round  kind     {}   p99 ratio   load", Times::HEAD)
    }

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
        let (good, expired) = (Times::of(&self.good), Times::of(&self.expired));
        let (ratio, load) = (expired.ratio_to(&good), load());
        format!("{round:5}  good     {}\n       expired  {}   {ratio:9.2}  {load:>5}", good.row(), expired.row())
    }
}
