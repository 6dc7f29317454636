//! Clients that ask over connections that are kept: as fast as they are answered, or at a fixed rate however long the
//! answers take. Every answer is checked. One thread does it all, so that it takes little from what it shares a core
//! with; at a fixed rate it sleeps only where there is much time, since timers are coarser than the times that are measured.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::lean::{Line, Message};

/// How long an answer may take before the benchmark is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether there were answers enough.
const STEP: Duration = Duration::from_millis(10);
/// A timer may be late by so much.
const COARSE: Duration = Duration::from_micros(1500);

/// Who asks on one connection, one request after the other.
pub trait Client: Send + 'static {
    /// The next request, as it is written.
    fn request(&mut self) -> &[u8];

    /// Looks at the answer.
    ///
    /// # Errors
    /// What is wrong with it.
    fn accept(&mut self, answer: &Message<'_>) -> Result<(), String>;
}

/// How much a round asks.
#[derive(Clone, Copy)]
pub struct Span {
    /// Not measured.
    pub warm: Duration,
    /// Nor are so many answers, however long they take; at a fixed rate, it does not count.
    pub warm_answers: u64,
    /// Measured.
    pub measured: Duration,
}

/// What clients did who were never idle.
pub struct Saturated<U> {
    /// Answers in the measured time.
    pub answers: u64,
    /// How long that was.
    pub lasted: Duration,
    /// What was looked at when it began and when it ended.
    pub seen: [U; 2],
}

/// Has each client ask again as soon as it is answered. `look` is called when the measured time begins and ends.
///
/// # Errors
/// The first answer that was wrong or did not come.
pub async fn saturate<U>(
    address: SocketAddr,
    clients: Vec<impl Client>,
    span: Span,
    look: impl Fn() -> U,
) -> Result<Saturated<U>, String> {
    let (answers, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let (answers, over) = (Arc::clone(&answers), Arc::clone(&over));
        tasks.spawn(async move {
            let mut line = None;
            while !over.load(Relaxed) {
                exchange(address, &mut line, &mut client).await?;
                answers.fetch_add(1, Relaxed);
            }
            Ok::<_, String>(())
        });
    }
    let now = || (Instant::now(), answers.load(Relaxed), look());
    let measured = async {
        tokio::time::sleep(span.warm).await;
        while answers.load(Relaxed) < span.warm_answers {
            tokio::time::sleep(STEP).await;
        }
        let first = now();
        tokio::time::sleep(span.measured).await;
        [first, now()]
    };
    tokio::pin!(measured);
    let [first, last] = loop {
        tokio::select! {
            both = &mut measured => break both,
            Some(ended) = tasks.join_next() => ended.map_err(|why| why.to_string())??,
        }
    };
    over.store(true, Relaxed);
    all_end(tasks).await?;
    Ok(Saturated { answers: last.1 - first.1, lasted: last.0 - first.0, seen: [first.2, last.2] })
}

/// Waits until the clients have their last answers.
async fn all_end(mut tasks: JoinSet<Result<(), String>>) -> Result<(), String> {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|why| why.to_string())??;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, all).await.map_err(|_| format!("no answer within {PATIENCE:?}"))?
}

/// One request and its answer, on a new connection if there is none or the last answer said that it closes.
///
/// # Errors
/// If the answer is wrong or there is none.
pub async fn exchange(address: SocketAddr, line: &mut Option<Line>, client: &mut impl Client) -> Result<(), String> {
    let connected = match line.take() {
        Some(connected) => connected,
        None => Line::of(TcpStream::connect(address).await.map_err(|why| why.to_string())?),
    };
    let connected = line.insert(connected);
    connected.send(client.request()).await.ok_or("the request was not taken")?;
    let answer = connected.receive().await.ok_or("there was no answer")?;
    client.accept(&answer)?;
    if answer.is_last() {
        *line = None;
    }
    Ok(())
}

/// Whose turn it is, and what is due.
#[derive(Default)]
struct Turns {
    idle: VecDeque<usize>,
    /// Requests that found nobody idle.
    waiting: VecDeque<Instant>,
    took: Vec<Duration>,
}

/// Asks `rate` times a second: how long each answer took from the moment at which its request was due.
///
/// # Errors
/// The first answer that was wrong or did not come.
pub async fn pace(
    address: SocketAddr,
    clients: Vec<impl Client>,
    rate: f64,
    span: Span,
) -> Result<Vec<Duration>, String> {
    let turns = Arc::new(Mutex::new(Turns::default()));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    let measured_from = began + span.warm;
    let mut asked: Vec<UnboundedSender<Instant>> = Vec::new();
    for (number, client) in clients.into_iter().enumerate() {
        let (sender, due) = unbounded_channel();
        asked.push(sender);
        lock(&turns).idle.push_back(number);
        tasks.spawn(answer_turns(address, client, number, due, Arc::clone(&turns), measured_from));
    }
    let end = measured_from + span.measured;
    let step = Duration::from_secs_f64(1.0 / rate);
    let mut due = began;
    while due < end {
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            if let Some(spare) = early.checked_sub(COARSE) {
                tokio::time::sleep(spare).await;
            } else {
                std::thread::yield_now(); // Whoever shares the core goes first.
                tokio::task::yield_now().await;
            }
            continue;
        }
        let mut turns = lock(&turns);
        match turns.idle.pop_front() {
            Some(number) => drop(asked[number].send(due)), // Who has gone tells why below.
            None => turns.waiting.push_back(due),
        }
        drop(turns);
        due += step;
        if let Some(ended) = tasks.try_join_next() {
            ended.map_err(|why| why.to_string())??;
        }
    }
    drop(asked);
    all_end(tasks).await?;
    let took = std::mem::take(&mut lock(&turns).took);
    Ok(took)
}

/// Asks whenever it is told to, and goes on while somebody waits.
async fn answer_turns(
    address: SocketAddr,
    mut client: impl Client,
    number: usize,
    mut turn: UnboundedReceiver<Instant>,
    turns: Arc<Mutex<Turns>>,
    measured_from: Instant,
) -> Result<(), String> {
    let mut line = None;
    while let Some(mut due) = turn.recv().await {
        loop {
            exchange(address, &mut line, &mut client).await?;
            let now = Instant::now();
            let mut turns = lock(&turns);
            if due >= measured_from {
                turns.took.push(now - due);
            }
            match turns.waiting.pop_front() {
                Some(next) => due = next,
                None => break turns.idle.push_back(number),
            }
        }
    }
    Ok(())
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
