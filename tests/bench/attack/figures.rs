//! What was measured: how long honest requests took, without an attack and with one, and what it cost whom.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_tests::bench::times::{Times, load};

use crate::honest::Seen;

/// What the numbers are.
pub(crate) const UNITS: &str = "times in milliseconds, processes in percent of one core, memory in MiB";

/// Above the rows.
pub(crate) fn head() -> String {
    format!(
        "attack         round  {}  ratio   lost   late |  gateway  client  attackers |  open  memory   load",
        Times::HEAD
    )
}

/// One attack, or none, for a while.
pub(crate) struct Phase {
    pub(crate) seen: Seen,
    pub(crate) lasted: Duration,
    /// On cores: the gateway, this program with the upstream in it, the attackers.
    pub(crate) cpu: [Duration; 3],
    /// Connections to the gateway at its end.
    pub(crate) open: f64,
    /// Of the gateway, at its end.
    pub(crate) memory_kib: u64,
}

impl Phase {
    /// A row of the table; `quiet` is what it is held against.
    pub(crate) fn row(&self, attack: &str, round: u32, quiet: &Self) -> String {
        let times = Times::of(&self.seen.took);
        let late = Times::of(&self.seen.late).at(99).as_secs_f64() * 1000.0;
        let [gateway, client, attackers] = self.cpu.map(|cpu| cpu.as_secs_f64() / self.lasted.as_secs_f64() * 100.0);
        format!(
            "{attack:14} {round:5}  {} {:6.2} {:6} {late:6.2} | {gateway:8.0} {client:7.0} {attackers:10.0} | {:5} {:7} {:>6}",
            times.row(),
            times.ratio_to(&Times::of(&quiet.seen.took)),
            self.seen.lost.len(),
            self.open,
            self.memory_kib / 1024,
            load(),
        )
    }
}

/// All rounds of one attack, or of none.
#[derive(Default)]
pub(crate) struct Sum {
    took: Vec<Duration>,
    lost: BTreeMap<String, usize>,
    gateway: Duration,
}

impl Sum {
    /// Adds a round.
    pub(crate) fn add(&mut self, phase: Phase) {
        self.took.extend(phase.seen.took);
        for why in phase.seen.lost {
            *self.lost.entry(why).or_default() += 1;
        }
        self.gateway += phase.cpu[0];
    }

    /// A row of the table of all rounds, and what was lost below it.
    pub(crate) fn row(&self, attack: &str, quiet: &Self) -> String {
        let times = Times::of(&self.took);
        let (ratio, gateway) = (times.ratio_to(&Times::of(&quiet.took)), self.gateway.as_millis());
        let lost: Vec<String> = self.lost.iter().map(|(why, count)| format!("\n    lost: {count} × {why}")).collect();
        let (times, lost) = (times.row(), lost.concat());
        format!("{attack:14}   all  {times} {ratio:6.2}   the gateway took {gateway} ms of CPU{lost}")
    }
}
