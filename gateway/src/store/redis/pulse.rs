//! Feels Redis' pulse once a second: whether it answers, how fast, and what time its clock shows. Relies on
//! fred to reconnect, and connects anew where fred has given up or got stuck. Decides nothing about requests.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::{Client, Pool};
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::{ConnectHandle, InfoKind, Value};
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::link::cause;

const PERIOD: Duration = Duration::from_secs(1);

/// So many pings in a row without an answer on an open connection, and it is made anew. fred's own check for
/// unresponsive connections starts over with every command that is written, so it never ends under load.
const STUCK_AFTER: u32 = 3;

/// Whether Redis answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Up {
        /// How long the last ping took.
        latency: Duration,
    },
    /// It does not.
    Down,
}

/// What Redis' clock showed at a moment of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    micros: i64,
    taken: Instant,
}

impl Sample {
    /// What it shows now, or a little less: time goes by the same everywhere, even where clocks differ, and
    /// the sample is as old as its way back at least.
    pub(super) fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.taken.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.micros.saturating_add(elapsed)
    }
}

/// What the task tells the rest.
pub(super) struct Signs {
    pub(super) health: watch::Sender<Health>,
    /// `None` until Redis has answered since it was last connected to.
    pub(super) sample: watch::Sender<Option<Sample>>,
    /// Asks for a ping before the second is over.
    pub(super) hurry: Notify,
}

impl Signs {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            health: watch::Sender::new(Health::Down),
            sample: watch::Sender::new(None),
            hurry: Notify::new(),
        })
    }
}

/// One connection and what runs it.
struct Connection {
    client: Client,
    router: ConnectHandle,
    unanswered: u32,
}

impl Drop for Connection {
    /// fred's own task would outlive the store, and keep the connection open.
    fn drop(&mut self) {
        self.router.abort();
    }
}

/// Runs until it is dropped.
pub(super) async fn watch(pool: Pool, patience: Duration, signs: Arc<Signs>, is_logged: bool) {
    let mut connections: Vec<Connection> = pool
        .clients()
        .iter()
        .map(|client| Connection { client: client.clone(), router: client.connect(), unanswered: 0 })
        .collect();
    let mut connected = pool.clients()[0].reconnect_rx();
    let mut errors = pool.clients()[0].error_rx();
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_up = None;
    let mut is_first = true;
    let mut policy_checked = !is_logged;
    loop {
        tokio::select! {
            _ = period.tick() => {}
            Ok(_) = connected.recv() => {}
            () = signs.hurry.notified() => {}
        }
        let answers = join_all(connections.iter_mut().map(|connection| connection.ping(patience))).await;
        let health = signs.read(answers);
        let is_up = matches!(health, Health::Up { .. });
        // The first ping comes before the first connection: that is no news.
        let is_news = was_up != Some(is_up) && (is_up || !is_first);
        is_first = false;
        if is_news && is_logged {
            let last = errors.try_recv().ok().map(|(error, _)| cause(&error));
            report(is_up, last.as_deref().unwrap_or("no connection yet"));
            was_up = Some(is_up);
        }
        while errors.try_recv().is_ok() {} // only news since the last ping are of interest
        if is_up && !policy_checked {
            policy_checked = warn_of_eviction(pool.next_connected(), patience).await;
        }
    }
}

type Answer = Result<(Duration, Sample), Error>;

impl Signs {
    /// What the answers of all connections say together.
    fn read(&self, answers: Vec<Answer>) -> Health {
        let was_lost = answers.iter().all(|answer| matches!(answer, Err(error) if *error.kind() != ErrorKind::Timeout));
        let health = match answers.into_iter().find_map(Result::ok) {
            Some((latency, sample)) => {
                self.sample.send_replace(Some(sample));
                Health::Up { latency }
            }
            None => Health::Down,
        };
        if was_lost {
            self.sample.send_replace(None); // the next connection may be to another server, with another clock
        }
        self.health.send_replace(health);
        health
    }
}

impl Connection {
    /// Connects anew. Two of fred's tasks at once get in each other's way, for good: commands of the new one would be
    /// written out only with the next ping.
    async fn begin_anew(&mut self) {
        self.router.abort();
        let _ = (&mut self.router).await; // An aborted task goes on until it is dropped.
        self.router = self.client.connect();
        self.unanswered = 0;
    }

    async fn ping(&mut self, patience: Duration) -> Answer {
        let is_stuck = self.unanswered >= STUCK_AFTER;
        if self.router.is_finished() || is_stuck {
            self.begin_anew().await;
        }
        if !self.client.is_connected() {
            return Err(Error::new(ErrorKind::IO, "not connected"));
        }
        let answer = time(&self.client, patience).await;
        let is_unanswered = matches!(&answer, Err(error) if *error.kind() == ErrorKind::Timeout);
        self.unanswered = if is_unanswered { self.unanswered + 1 } else { 0 };
        answer
    }
}

/// Asks Redis for the time.
pub(super) async fn time(client: &Client, patience: Duration) -> Answer {
    let sent = Instant::now();
    let command = fred::types::CustomCommand::new_static("TIME", fred::types::ClusterHash::Random, false);
    let question = client.custom::<(i64, i64), Value>(command, Vec::new());
    let (seconds, micros) =
        timeout(patience, question).await.map_err(|_| Error::new(ErrorKind::Timeout, "no answer in time"))??;
    let taken = Instant::now();
    let micros = seconds.saturating_mul(1_000_000).saturating_add(micros);
    Ok((taken - sent, Sample { micros, taken }))
}

fn report(is_up: bool, cause: &str) {
    if is_up {
        tracing::info!(target: "error", "redis answers");
    } else {
        tracing::warn!(target: "error", cause, "redis does not answer");
    }
}

/// A Redis that evicts keys forgets sessions and, worse, revocations. Answers whether it could be asked.
async fn warn_of_eviction(client: &Client, patience: Duration) -> bool {
    let Ok(Ok(memory)) = timeout(patience, client.info::<String>(Some(InfoKind::Memory))).await else { return false };
    let policy = memory.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).unwrap_or("unknown");
    if policy != "noeviction" {
        tracing::warn!(target: "error", maxmemory_policy = policy, "redis may evict sessions and revocations; set `noeviction`");
    }
    true
}
