//! One contender at one kind of work, once: started, checked, saturated, perhaps asked at a fixed rate, and stopped. It is
//! measured only if it refuses what it has to refuse and tells the upstream who asks.

use std::time::Duration;

use portcullis_tests::bench::load::{self, Client, Saturated, Span};
use portcullis_tests::bench::process::Usage;
use portcullis_tests::bench::times::Times;
use portcullis_tests::bench::wire::Connections;

use crate::Wrong;
use crate::bench::Bench;
use crate::cells::{Cell, Work};
use crate::clients::{Browser, Program, Question, request};
use crate::contender::Running;
use crate::keys::{Keys, tampered};
use crate::machine::undisturbed;
use crate::results::Spread;

/// What a round found.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// Of the contender, for each request.
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
    /// Of one core; below it, the load was not enough.
    pub(crate) busy_percent: f64,
    pub(crate) memory_mib: f64,
    pub(crate) latency: Option<Latency>,
}

/// How long answers took at a fixed rate, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// The median of the p99 of each [`RUN`] of answers. Pauses that fall into fewer than half of them, whoever makes
    /// them, are not in it.
    pub(crate) usual_p99: f64,
}

/// So many answers on end tell a p99, and come in a tenth of a second.
const RUN: usize = 1000;

impl Latency {
    /// From what each answer took, in the order in which they came.
    pub(crate) fn of(took: &[Duration]) -> Self {
        let at = |times: &Times, permille| times.at_permille(permille).as_secs_f64() * 1e6;
        let times = Times::of(took);
        let [p50, p99, p999] = [500, 990, 999].map(|permille| at(&times, permille));
        let usual = Spread::of(took.chunks(RUN).map(|run| at(&Times::of(run), 990)));
        Self { p50, p99, p999, usual_p99: usual.map_or(p99, |usual| usual.median) }
    }
}

/// A contender that does nearly as much as it can is no measure of latency.
const ROOM: f64 = 1.25;

/// So many answers, and each of the 10,000 tokens was among the questions.
const EACH_ONCE: u64 = 12_000;

/// Measures a cell; `rate` is known once it was measured what half of saturation is.
pub(crate) async fn measure(cell: &Cell, bench: &Bench, rate: Option<f64>) -> Result<Figures, Wrong> {
    undisturbed(async || measure_once(cell, bench, rate).await).await
}

async fn measure_once(cell: &Cell, bench: &Bench, rate: Option<f64>) -> Result<Figures, Wrong> {
    let running = Running::start(&cell.setup, bench).await?;
    let figures = measure_running(cell, bench, &running, rate).await;
    let figures = figures.map_err(|wrong| match running.said() {
        said if said.is_empty() => wrong,
        said => format!("{wrong}\nit said: {}", said.chars().take(1000).collect::<String>()),
    });
    running.stop().await?;
    figures
}

async fn measure_running(cell: &Cell, bench: &Bench, running: &Running, rate: Option<f64>) -> Result<Figures, Wrong> {
    check(cell, bench, running).await?;
    let saturated = match cell.work {
        Work::Refresh => {
            let browsers = Browser::all(&Connections::to(running.address), bench).await?;
            saturate(running, browsers, bench.pace.span).await?
        }
        work => {
            // Who keeps tokens is to have seen each of them once.
            let warm_answers = if work == Work::Tokens { EACH_ONCE } else { 0 };
            let span = Span { warm_answers, ..bench.pace.span };
            saturate(running, Program::all(work, bench.keys())?, span).await?
        }
    };
    if saturated.answers == 0 {
        return Err("nothing was answered in the measured time".to_owned());
    }
    let mut figures = Figures::of(&saturated);
    if let Some(rate) = rate.filter(|rate| cell.paced && figures.per_second > rate * ROOM) {
        let clients = Program::all(cell.work, bench.keys())?;
        let took = load::pace(running.address, clients, rate, bench.pace.paced).await?;
        figures.latency = Some(Latency::of(&took));
    }
    Ok(figures)
}

async fn saturate(running: &Running, clients: Vec<impl Client>, span: Span) -> Result<Saturated<Usage>, Wrong> {
    load::saturate(running.address, clients, span, || running.usage()).await
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
impl Figures {
    fn of(saturated: &Saturated<Usage>) -> Self {
        let Saturated { answers, lasted, seen: [before, after] } = saturated;
        let cpu = (after.cpu.saturating_sub(before.cpu)).as_secs_f64();
        Self {
            cpu_us: cpu * 1e6 / *answers as f64,
            per_second: *answers as f64 / lasted.as_secs_f64(),
            busy_percent: cpu * 100.0 / lasted.as_secs_f64(),
            memory_mib: after.memory_kib as f64 / 1024.0,
            latency: None,
        }
    }
}

/// Asks what has to be refused, and what has to be passed on in the caller's own name whatever it says about it.
async fn check(cell: &Cell, bench: &Bench, running: &Running) -> Result<(), Wrong> {
    let (keys, path) = (bench.keys(), cell.work.path());
    let Some(algorithm) = cell.work.algorithm() else {
        return Ok(()); // It passes on; each answer is checked while it is measured.
    };
    let good = keys.token(algorithm, 7)?;
    let forged = "X-User-Id: mallory\r\n";
    for (what, token, status, user) in [
        ("no token", None, b"401", String::new()),
        ("a signature that does not hold", Some(tampered(&good)), b"401", String::new()),
        ("an expired token", Some(keys.expired(algorithm)?), b"401", String::new()),
        ("a good token", Some(good.clone()), b"200", Keys::user(7)),
        ("the same token again", Some(good.clone()), b"200", Keys::user(7)),
        ("the good one with another signature", Some(tampered(&good)), b"401", String::new()),
    ] {
        let request = request(path, token.as_deref(), forged, 0);
        let mut client = Program::of(Question { request, status, user: user.into_bytes(), length: None });
        let asked = load::exchange(running.address, &mut None, &mut client).await;
        asked.map_err(|wrong| format!("not measured, since it fails at {what}: {wrong}"))?;
    }
    Ok(())
}
