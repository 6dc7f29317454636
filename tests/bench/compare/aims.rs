//! What is aimed at, held against what was found. An aim whose figures are not there is neither met nor missed.

use crate::cells::{self, Work};
use crate::measure::{Figures, Latency};
use crate::results::{Results, Spread};

/// One aim.
pub(crate) struct Aim {
    pub(crate) what: &'static str,
    pub(crate) bound: Bound,
    pub(crate) found: Option<Spread>,
}

/// On which side of a figure it is met.
pub(crate) enum Bound {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
}

impl Aim {
    /// Whether the median meets it.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.found.map(|found| match self.bound {
            Bound::AtMost(most, _) => found.median <= most,
            Bound::AtLeast(least, _) => found.median >= least,
        })
    }

    /// The verdict, and by how much it is missed.
    pub(crate) fn verdict(&self) -> String {
        let (Bound::AtMost(bound, unit) | Bound::AtLeast(bound, unit)) = self.bound;
        match (self.is_met(), self.found) {
            (Some(true), _) => "met".to_owned(),
            (Some(false), Some(found)) => format!("**missed** by {:.2}{unit}", (found.median - bound).abs()),
            _ => "not measured".to_owned(),
        }
    }
}

/// All of them.
pub(crate) fn all(results: &Results) -> Vec<Aim> {
    let cost = |ours: (Work, &str), theirs: (Work, &str)| {
        let (ours, theirs) = (results.find(ours.0, ours.1)?, results.find(theirs.0, theirs.1)?);
        ours.compared(theirs, |ours, theirs| ours.cpu_us / theirs.cpu_us)
    };
    let replicated = (Work::Everything, cells::REPLICATED_NAME);
    let every_request = (Work::Everything, cells::EVERY_REQUEST_NAME);
    // Programs as they are to be run, and those that were built alike, are compared with each other.
    let guided = (Work::Everything, cells::GUIDED_REPLICATED_NAME);
    let shipped = results.find(guided.0, guided.1).map_or(replicated, |_| guided);
    let ratio = |what, most, found| Aim { what, bound: Bound::AtMost(most, ""), found };
    vec![
        ratio(
            "CPU of everything on, `replicated`, to HAProxy's HS256 check",
            1.0,
            cost(shipped, (Work::Hs256, cells::HAPROXY)),
        ),
        ratio(
            "CPU of everything on, `replicated`, to Envoy's HS256 check",
            0.6,
            cost(shipped, (Work::Hs256, cells::ENVOY)),
        ),
        ratio(
            "CPU of everything on, `replicated`, to bare Pingora's pass-through",
            1.1,
            cost(replicated, (Work::PassThrough, cells::BARE)),
        ),
        ratio("CPU of everything on, `every_request`, to `replicated`", 1.4, cost(every_request, replicated)),
        Aim {
            what: "Latency that everything on, `replicated`, adds to pass-through at half of saturation, p99",
            bound: Bound::AtMost(300.0, " µs"),
            found: added_latency(results, |latency| latency.p99),
        },
        Aim {
            what: "The same by the usual p99, which pauses of the machine are not in",
            bound: Bound::AtMost(300.0, " µs"),
            found: added_latency(results, |latency| latency.usual_p99),
        },
        ratio(
            "CPU of a bad token to a good one uncached",
            1.5,
            cost((Work::BadTokens, cells::PORTCULLIS), (Work::Es256, cells::UNCACHED_NAME)),
        ),
        Aim {
            what: "Memory that 10,000 idle connections take less than with Pingora's defaults",
            bound: Bound::AtLeast(400.0, " MB"),
            found: saved_memory(results),
        },
        ratio(
            "p99 of reads while 50 logins a second are tried, to a quiet p99",
            2.0,
            Spread::of(results.logins.iter().map(|logins| logins.busy.p99 / logins.quiet.p99)),
        ),
    ]
}

fn added_latency(results: &Results, percentile: impl Fn(Latency) -> f64) -> Option<Spread> {
    let ours = results.find(Work::Everything, cells::REPLICATED_NAME)?;
    let passing = results.find(Work::PassThrough, cells::PORTCULLIS)?;
    let of = |figures: &Figures| figures.latency.map(&percentile);
    Spread::of(ours.rounds.iter().zip(&passing.rounds).filter_map(|(ours, passing)| Some(of(ours)? - of(passing)?)))
}

fn saved_memory(results: &Results) -> Option<Spread> {
    let find = |who| results.idle.iter().find(|found| found.cell.who == who);
    let megabytes = |bytes_each: f64| bytes_each * 10_000.0 / 1e6;
    find(cells::BARE)?.compared(find(cells::PORTCULLIS)?, |bare, ours| megabytes(bare.bytes_each() - ours.bytes_each()))
}
