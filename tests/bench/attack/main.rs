//! How long an honest client waits while others attack the gateway, against how long it waits while nobody does. The
//! gateway, the attackers, and the client with the upstream are a process each, so that what each costs can be told
//! apart. It prints what it measured and judges nothing but the answers to the honest client.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use portcullis_tests::bench::{process, upstream};

mod attackers;
mod figures;
mod gateway;
mod honest;
mod terms;

use attackers::{Attackers, Tally};
use figures::{Phase, Sum};
use gateway::{Counters, Gateway, OPEN};
use honest::Honest;
use terms::{Attack, Kind, Terms};

/// How long an attack goes on before it is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the gateway may take to be rid of attackers who have gone.
const REST: Duration = Duration::from_secs(20);

/// Why there are no figures.
type Wrong = String;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("run") => portcullis::cli::main(),
        Some(attackers::WORD) => attackers::main(),
        _ => bench(&Terms::parse()),
    }
}

/// One thread, so that the client takes little from those it measures.
#[tokio::main(flavor = "current_thread")]
async fn bench(terms: &Terms) -> ExitCode {
    match run(terms).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("bench-attack: {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Who is there.
struct Bench<'a> {
    terms: &'a Terms,
    gateway: Gateway,
    honest: Honest,
}

/// What came of an attack, or of none, in all rounds.
#[derive(Default)]
struct Outcome {
    figures: Sum,
    tally: Tally,
    counters: Counters,
}

async fn run(terms: &Terms) -> Result<(), Wrong> {
    let upstream = upstream::start().await.map_err(|why| why.to_string())?;
    let gateway = Gateway::start(terms, upstream).await?;
    let honest = Honest::sign_in(gateway.public).await?;
    let bench = Bench { terms, gateway, honest };
    let memory = bench.gateway.usage().memory_kib;
    println!("{} honest requests each time, {} a second; {}", bench.count(), terms.rate, figures::UNITS);
    println!("{}", figures::head());
    let mut quiet = Outcome::default();
    let mut attacked: Vec<_> = terms.attacks.iter().map(|attack| (*attack, Outcome::default())).collect();
    for round in 1..=terms.rounds {
        let alone = bench.phase(None, &mut quiet).await?;
        println!("{}", alone.row("quiet", round, &alone));
        for (attack, outcome) in &mut attacked {
            let phase = bench.phase(Some(*attack), outcome).await?;
            println!("{}", phase.row(&attack.to_string(), round, &alone));
            outcome.figures.add(phase);
        }
        quiet.figures.add(alone);
    }
    println!("{}", quiet.figures.row("quiet", &quiet.figures));
    for (attack, outcome) in &attacked {
        println!("{}", outcome.figures.row(&attack.to_string(), &quiet.figures));
    }
    for (attack, outcome) in &attacked {
        outcome.explain(*attack);
    }
    println!(
        "the gateway's memory: {} MiB at first, {} MiB now",
        memory / 1024,
        bench.gateway.usage().memory_kib / 1024
    );
    Ok(())
}

impl Bench<'_> {
    /// How many honest requests there are in one round, of each kind.
    fn count(&self) -> u32 {
        (self.terms.rate.saturating_mul(self.terms.seconds) / self.terms.rounds).max(1)
    }

    /// Lets the honest client ask while this attack goes on, and notes what it did.
    async fn phase(&self, attack: Option<Attack>, outcome: &mut Outcome) -> Result<Phase, Wrong> {
        let before = self.gateway.counters().await?;
        let attackers = match attack {
            Some(attack) => Some(self.let_loose(attack).await.map_err(|why| why.to_string())?),
            None => None,
        };
        tokio::time::sleep(SETTLE).await;
        let cost = || {
            let attackers = attackers.as_ref().map(Attackers::usage).unwrap_or_default();
            [self.gateway.usage(), process::usage(std::process::id()), attackers]
        };
        let (began, costs) = (Instant::now(), cost());
        let seen = self.honest.ask(self.count(), self.terms.rate).await?;
        let (lasted, after) = (began.elapsed(), cost());
        let counters = self.gateway.counters().await?;
        let phase = Phase {
            seen,
            lasted,
            cpu: [0, 1, 2].map(|who| after[who].cpu.saturating_sub(costs[who].cpu)),
            open: counters.get(OPEN).copied().unwrap_or_default(),
            memory_kib: after[0].memory_kib,
        };
        if let Some(attackers) = attackers {
            outcome.note(attackers.stop().await?, &before, &counters);
            self.rest().await?;
        }
        Ok(phase)
    }

    async fn let_loose(&self, attack: Attack) -> std::io::Result<Attackers> {
        let to: SocketAddr = if attack.kind == Kind::H2flood { self.gateway.h2c } else { self.gateway.public };
        Attackers::start(attack, to, self.honest.token(), self.terms.pin).await
    }

    /// Waits until the gateway is rid of the attackers.
    async fn rest(&self) -> Result<(), Wrong> {
        let end = Instant::now() + REST;
        while Instant::now() < end {
            let open = self.gateway.counters().await?.get(OPEN).copied().unwrap_or_default();
            if open < 1.0 {
                return Ok(());
            }
            tokio::time::sleep(SETTLE / 10).await;
        }
        println!("the gateway still had connections of the attackers after {REST:?}");
        Ok(())
    }
}

impl Outcome {
    fn note(&mut self, tally: Tally, before: &Counters, after: &Counters) {
        for (what, count) in tally {
            *self.tally.entry(what).or_default() += count;
        }
        for (name, value) in after.iter().filter(|(name, _)| *name != OPEN) {
            let more = value - before.get(name).copied().unwrap_or_default();
            if more > 0.0 {
                *self.counters.entry(name.clone()).or_default() += more;
            }
        }
    }

    /// Tells what the attackers got, and what the gateway counted meanwhile, the honest client's requests among it.
    fn explain(&self, attack: Attack) {
        println!("{attack}: the attackers saw");
        self.tally.iter().for_each(|(what, count)| println!("    {count:9} {what}"));
        println!("  the gateway counted");
        self.counters.iter().for_each(|(name, count)| println!("    {count:9} {name}"));
    }
}
