//! Whether checking passwords delays other requests: users who are signed in read through the gateway while others try to
//! log in, and while nobody does. The service behind is the one of this repository, which hashes with Argon2; it may use
//! both cores, as the scheduler has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis_tests::bench::load::{self, Span};
use portcullis_tests::bench::wire::{self, Connections};
use tokio::time::MissedTickBehavior;

use crate::Wrong;
use crate::bench::Bench;
use crate::cells::{EVERY_REQUEST, Setup};
use crate::clients::{Program, Question, request};
use crate::contender::{Running, free_address};
use crate::measure::Latency;

/// Reads a second.
const READS: f64 = 200.0;
/// Logins that are tried in a second.
pub(crate) const LOGINS: u32 = 50;
/// Connections of those who read.
const READERS: usize = 16;
const PASSWORD: &str = "three green lamps at noon";

/// How long reads took.
pub(crate) struct Logins {
    pub(crate) quiet: Latency,
    pub(crate) busy: Latency,
    /// Logins that were answered with tokens, and that were not, in a second.
    pub(crate) done: f64,
    pub(crate) refused: f64,
}

/// Measures both.
pub(crate) async fn measure(bench: &Bench) -> Result<Logins, Wrong> {
    let address = free_address()?;
    let listen = address.to_string();
    let database = format!("sqlite:{}", bench.scratch().join(format!("backend-{}.db", address.port())).display());
    let args = ["--listen", &listen, "--database", &database, "--log", "error"];
    let backend = Running::start_program(bench, &bench.programs().backend, address, &args).await?;
    let words = [("LOGIN_UPSTREAM", "backend"), ("LOGIN_PATH", "/users/authenticate"), ("LOGIN_SUBJECT", "/id")];
    let mut words: Vec<_> = words.map(|(name, value)| (name, value.to_owned())).into();
    words.push(("BACKEND", listen));
    let setup = Setup::Portcullis(EVERY_REQUEST);
    let gateway = Running::start_with(&setup, bench, words, crate::contender::CORE).await?;
    let found = both(bench, &gateway).await;
    let found = found.map_err(|wrong| format!("{wrong}\n{}\n{}", gateway.said(), backend.said()));
    gateway.stop().await?;
    backend.stop().await?;
    found
}

async fn both(bench: &Bench, gateway: &Running) -> Result<Logins, Wrong> {
    let connections = Arc::new(Connections::to(gateway.address));
    let credentials = format!("{{\"username\":\"reader\",\"password\":\"{PASSWORD}\"}}");
    let login = wire::request("POST", "/auth/login", ("Cookie", ""), &credentials);
    let registered =
        connections.exchange(&wire::request("POST", "/auth/register", ("Cookie", ""), &credentials)).await?;
    if registered.status != 201 {
        return Err(format!("nobody can register: {} {}", registered.head, registered.body));
    }
    let answer = connections.exchange(&login).await?;
    let token = answer.cookies().and_then(|pairs| Some(pairs.split_once("; ")?.0.split_once('=')?.1.to_owned()));
    let token = token.ok_or_else(|| format!("a login was answered with {} {}", answer.head, answer.body))?;
    let quiet = reads(bench, gateway, &token).await?;
    let (done, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let trying = tokio::spawn(try_logins(connections, login, Arc::clone(&done), Arc::clone(&refused)));
    let began = Instant::now();
    let busy = reads(bench, gateway, &token).await;
    trying.abort();
    let a_second = |count: &AtomicU64| {
        let count = u32::try_from(count.load(Relaxed)).unwrap_or(u32::MAX);
        f64::from(count) / began.elapsed().as_secs_f64()
    };
    Ok(Logins { quiet, busy: busy?, done: a_second(&done), refused: a_second(&refused) })
}

/// Reads one's own record, for a while.
async fn reads(bench: &Bench, gateway: &Running, token: &str) -> Result<Latency, Wrong> {
    let question = || Question {
        request: request("/users/me", Some(token), "", 0),
        status: b"200",
        user: b"{".to_vec(),
        length: None,
    };
    let clients = (0..READERS).map(|_| Program::of(question())).collect();
    let span = Span { warm: Duration::from_secs(1), warm_answers: 0, measured: bench.pace.logins };
    Ok(Latency::of(&load::pace(gateway.address, clients, READS, span).await?))
}

/// Tries to log in again and again, however long the answers take.
async fn try_logins(connections: Arc<Connections>, login: String, done: Arc<AtomicU64>, refused: Arc<AtomicU64>) {
    let login = Arc::new(login);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / LOGINS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let (connections, login) = (Arc::clone(&connections), Arc::clone(&login));
        let (done, refused) = (Arc::clone(&done), Arc::clone(&refused));
        tokio::spawn(async move {
            let answer = connections.exchange(&login).await;
            let count = if answer.is_ok_and(|answer| answer.status == 200) { done } else { refused };
            count.fetch_add(1, Relaxed);
        });
    }
}
