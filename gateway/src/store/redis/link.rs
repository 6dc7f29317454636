//! The way to Redis: sends scripts and commands, and bounds each in time. Relies on fred to match answers to
//! questions, also when a caller has gone away. Errors leave here as ours, with nothing of the URL in them.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::{Client, Pool};
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, LuaInterface};
use fred::types::Value;
use fred::types::config::Server;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::pulse::{self, Health, Signs};
use super::reply::Reply;
use super::script::Script;
use super::settings;
use crate::clock::micros;
use crate::panics;
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::text::corrupt;

/// How long opening waits for a Redis that is there.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// Connections to one Redis and the task that watches them.
pub(super) struct Link {
    pool: Pool,
    timeout: Duration,
    signs: Arc<Signs>,
    watcher: JoinHandle<()>,
    is_cluster: bool,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Link {
    /// Begins to connect. Waits a moment for the first answer, but goes on without it. How Redis is gets logged if
    /// nobody else does that.
    pub(super) async fn open(
        url: &Secret,
        timeout: Duration,
        connections: usize,
        is_logged: bool,
    ) -> Result<Self, StoreError> {
        let config = settings::server(url)?;
        let is_cluster = config.server.is_clustered();
        let pool = Pool::new(
            config,
            Some(settings::performance(timeout)),
            Some(settings::connection()),
            Some(settings::reconnection()),
            connections.max(1),
        )
        .map_err(|error| failure(&error))?;
        let signs = Signs::new();
        let mut sampled = signs.sample.subscribe();
        let (clients, shown) = (pool.clone(), Arc::clone(&signs));
        let watch = move || pulse::watch(clients.clone(), timeout, Arc::clone(&shown), is_logged);
        let watcher = tokio::spawn(panics::again(|| {}, watch));
        let first = sampled.wait_for(Option::is_some);
        let _ = tokio::time::timeout(FIRST_ANSWER, first).await;
        Ok(Self { pool, timeout, signs, watcher, is_cluster })
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.signs.health.subscribe()
    }

    /// Tells whenever a connection was made anew, before anything is sent over it.
    pub(super) fn reconnections(&self) -> broadcast::Receiver<Server> {
        self.pool.next().reconnect_rx()
    }

    pub(super) async fn ping(&self) -> Result<Duration, StoreError> {
        let (latency, _) = pulse::time(self.client()?, self.timeout).await.map_err(|error| failure(&error))?;
        Ok(latency)
    }

    /// Runs `script` on keys of one hash tag.
    pub(super) async fn run(&self, script: &Script, keys: Vec<String>, args: Vec<String>) -> Result<Reply, StoreError> {
        self.ask(|client| evaluate(client, script, keys, args)).await.and_then(Reply::new)
    }

    /// [`Self::run`] for scripts that begin with `prelude.lua`: they do nothing once the caller was told
    /// that they didn't. The deadline is set before the wait begins, so it ends first.
    pub(super) async fn run_in_time(
        &self,
        script: &Script,
        base: String,
        keys: Vec<String>,
        args: impl IntoIterator<Item = String>,
    ) -> Result<(String, Reply), StoreError> {
        let args = [base, self.deadline()?.to_string()].into_iter().chain(args).collect();
        let mut reply = self.run(script, keys, args).await?;
        let word = reply.text()?;
        if word == "too_late" {
            self.signs.hurry.notify_one(); // perhaps its clock was set
            return Err(StoreError::TooLate);
        }
        Ok((word, reply))
    }

    /// Sends one command, or what little it takes, and waits no longer than the timeout.
    pub(super) async fn ask<'a, T, F>(&'a self, question: impl FnOnce(&'a Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = timeout(self.timeout, question(self.client()?)).await;
        answer.map_err(|_| unavailable("no answer in time"))?.map_err(|error| failure(&error))
    }

    /// A connected client; at once an error if there is none, since fred would queue.
    fn client(&self) -> Result<&Client, StoreError> {
        let client = self.pool.next_connected();
        if client.is_connected() { Ok(client) } else { Err(unavailable("not connected")) }
    }

    /// The moment, by Redis' clock, at which the caller gives up.
    fn deadline(&self) -> Result<i64, StoreError> {
        let sample = *self.signs.sample.borrow();
        let sample = sample.ok_or_else(|| unavailable("not connected"))?;
        Ok(sample.now().saturating_add(micros(self.timeout)))
    }
}

/// `EVALSHA`, one round trip; only if Redis has forgotten the script it is loaded first.
async fn evaluate(client: &Client, script: &Script, keys: Vec<String>, args: Vec<String>) -> Result<Value, Error> {
    match client.evalsha(script.hash(), keys.clone(), args.clone()).await {
        Err(error) if error.details().starts_with("NOSCRIPT") => {
            let _: Value = client.script_load_cluster(script.source()).await?;
            client.evalsha(script.hash(), keys, args).await
        }
        answer => answer,
    }
}

fn unavailable(cause: &str) -> StoreError {
    StoreError::Unavailable(cause.to_owned())
}

/// What fred's error means for the caller.
fn failure(error: &Error) -> StoreError {
    let cause = cause(error);
    let is_foreign = *error.kind() == ErrorKind::Parse || matches!(cause.as_str(), "WRONGTYPE" | "ERR");
    if is_foreign { corrupt(cause) } else { unavailable(&cause) }
}

/// Why it failed, in words that are safe to log: the code that an answer of Redis begins with, or the kind of
/// fred's own error. What follows the code may quote arguments.
pub(super) fn cause(error: &Error) -> String {
    let code = error.details().split_whitespace().next().unwrap_or_default();
    let is_code = code.len() > 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { code.to_owned() } else { error.kind().to_str().to_ascii_lowercase() }
}
