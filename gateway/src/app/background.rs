//! What the app does again and again beside serving: asking whether the store works, for keys, about streams.
//! It sees to it that no step is the last, whatever becomes of it. What the steps do is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::App;
use crate::auth::keyring;
use crate::limiter;
use crate::metrics::Metrics;
use crate::panics::{self, Panicked};
use crate::telemetry::Lost;

/// How often the view of revocations is looked at.
const VIEW: Duration = Duration::from_secs(1);
/// How often the store is asked whether it works.
const PING: Duration = Duration::from_secs(1);
/// How often lost log lines are counted.
const LOGS: Duration = Duration::from_secs(1);
/// How often the cache of tokens is measured.
const TOKENS: Duration = Duration::from_secs(1);
/// How soon keys are asked for again while there are none.
const KEYS_RETRY: Duration = Duration::from_millis(250);

/// How often the store is told how long tokens are accepted here; well within [`Memory::SAID`].
const LIVES: Duration = Duration::from_secs(20);
/// How soon it is told again that did not answer.
const LIVES_RETRY: Duration = Duration::from_secs(1);

/// How soon a step runs again that panicked.
const AFTER_PANIC: Duration = Duration::from_secs(1);

impl App {
    /// Begins all that is done beside serving.
    pub(super) fn watch(&self) {
        self.watch_store();
        self.follow_revocations();
        self.renew_keys();
        self.say_how_long_tokens_live();
        self.watch_tokens();
        self.watch_streams();
        self.tidy_limits();
        self.watch_certificates();
    }

    /// Keeps counting the log lines that are lost.
    pub fn watch_logs(&self, lost: Lost) {
        let metrics = Arc::clone(&self.lasting.metrics);
        self.every(Duration::ZERO, move || {
            metrics.log_lines_lost(lost.lines());
            std::future::ready(LOGS)
        });
    }

    /// Keeps asking the store whether it works.
    fn watch_store(&self) {
        let (store, readiness) = (Arc::clone(&self.lasting.store), Arc::clone(&self.readiness));
        let view = Arc::clone(self.lasting.follower.view());
        let answered = Arc::new(AtomicBool::new(true));
        self.every(Duration::ZERO, move || {
            let (store, readiness) = (Arc::clone(&store), Arc::clone(&readiness));
            let (view, answered) = (Arc::clone(&view), Arc::clone(&answered));
            async move {
                let answer = store.ping().await;
                let was = answered.swap(answer.is_ok(), Ordering::Relaxed);
                // A view that is fresh stands in for it.
                readiness.store_answers(answer.is_ok() || view.is_fresh());
                match answer {
                    Ok(_) if !was => info!(target: "error", "the store answers"),
                    Err(error) if was => warn!(target: "error", %error, "the store does not answer"),
                    _ => {}
                }
                PING
            }
        });
    }

    /// Keeps the view of revocations up to date, if it is in use.
    fn follow_revocations(&self) {
        let (current, clock, follower) =
            (Arc::clone(&self.current), self.clock.clone(), Arc::clone(&self.lasting.follower));
        let terms = move || (current.load().auth.tokens.memory(), clock.now());
        let (follow, tend, ended) = (Arc::clone(&follower), terms.clone(), self.background.clone());
        self.every(Duration::ZERO, move || {
            let (follower, terms, ended) = (Arc::clone(&follow), terms.clone(), ended.clone());
            async move {
                ended.run_until_cancelled(follower.run(terms)).await;
                Duration::ZERO
            }
        });
        self.every(Duration::ZERO, move || {
            let (follower, (memory, now)) = (Arc::clone(&follower), tend());
            async move {
                panics::aside(move || follower.tend(memory, now)).await; // Of a million it takes a while.
                VIEW
            }
        });
    }

    /// Keeps telling how many tokens are known again.
    fn watch_tokens(&self) {
        let (current, metrics) = (Arc::clone(&self.current), Arc::clone(&self.lasting.metrics));
        self.every(Duration::ZERO, move || {
            let usage = current.load().auth.keyring.current().map(|keys| keys.verifier.usage());
            metrics.tokens_kept(usage.unwrap_or_default());
            std::future::ready(TOKENS)
        });
    }

    /// Keeps looking for keys that were made elsewhere; while there are none at all, often.
    fn renew_keys(&self) {
        let (current, store, clock) = (Arc::clone(&self.current), Arc::clone(&self.lasting.store), self.clock.clone());
        let readiness = Arc::clone(&self.readiness);
        self.every(Duration::ZERO, move || {
            let (snapshot, store, clock) = (current.load_full(), Arc::clone(&store), clock.clone());
            let readiness = Arc::clone(&readiness);
            async move {
                let auth = &snapshot.auth;
                if let Err(error) = auth.keyring.load(&*store, &auth.tokens, clock.now()).await {
                    warn!(target: "error", %error, "keys could not be renewed");
                }
                let known = auth.keyring.current().is_ok();
                readiness.keys_known(known);
                if known { keyring::RELOAD } else { KEYS_RETRY }
            }
        });
    }

    /// Keeps telling the store how long tokens are accepted here, and the view how long they are anywhere.
    fn say_how_long_tokens_live(&self) {
        let (current, store, clock) = (Arc::clone(&self.current), Arc::clone(&self.lasting.store), self.clock.clone());
        let view = Arc::clone(self.lasting.follower.view());
        self.every(Duration::ZERO, move || {
            let (memory, store, now) = (current.load().auth.tokens.memory(), Arc::clone(&store), clock.now());
            let view = Arc::clone(&view);
            async move {
                let Ok(longest) = store.remember(memory, now).await else { return LIVES_RETRY };
                view.remember(longest);
                LIVES
            }
        });
    }

    /// Keeps asking whether open streams may go on.
    fn watch_streams(&self) {
        let (current, store, clock) = (Arc::clone(&self.current), Arc::clone(&self.lasting.store), self.clock.clone());
        let (streams, view) = (Arc::clone(&self.streams), Arc::clone(self.lasting.follower.view()));
        self.every(Duration::ZERO, move || {
            let (snapshot, store, now) = (current.load_full(), Arc::clone(&store), clock.now());
            let (streams, view) = (Arc::clone(&streams), Arc::clone(&view));
            async move {
                streams.look(&view, &*store, snapshot.auth.tokens.memory().access_life, now).await;
                snapshot.stream_interval
            }
        });
    }

    /// Keeps giving back what was leased of limits and is not needed.
    fn tidy_limits(&self) {
        let (limiter, clock) = (Arc::clone(&self.lasting.limiter), self.clock.clone());
        self.every(Duration::ZERO, move || {
            let (limiter, now) = (Arc::clone(&limiter), clock.now());
            async move {
                limiter.tidy(now).await;
                limiter::TIDY
            }
        });
    }

    /// Keeps looking for new certificates.
    fn watch_certificates(&self) {
        for tls in self.tls.values() {
            let (tls, clock) = (Arc::clone(tls), self.clock.clone());
            self.every(tls.check_interval, move || {
                let (tls, clock) = (Arc::clone(&tls), clock.clone());
                async move {
                    let interval = tls.check_interval;
                    panics::aside(move || tls.look_again(clock.now())).await;
                    interval
                }
            });
        }
    }

    /// Runs a step again and again, each time after as long as it says, until the app ends.
    fn every<F>(&self, first: Duration, step: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Duration> + Send + 'static,
    {
        tokio::spawn(repeat(self.background.clone(), Arc::clone(&self.lasting.metrics), first, step));
    }
}

/// Runs `step` until `ended`. One that panics is counted, and the next one runs.
async fn repeat<F>(ended: CancellationToken, metrics: Arc<Metrics>, first: Duration, mut step: impl FnMut() -> F + Send)
where
    F: Future<Output = Duration> + Send + 'static,
{
    let mut pause = first;
    while ended.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = panics::caught(async { step().await }).await.unwrap_or_else(|Panicked| {
            metrics.panicked("background");
            AFTER_PANIC
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_panics_is_not_the_last() {
        let (ended, steps) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&steps);
        let metrics = Arc::new(Metrics::new());
        let running = tokio::spawn(repeat(ended.clone(), Arc::clone(&metrics), Duration::ZERO, move || {
            let step = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert_ne!(step, 1, "on purpose");
                Duration::from_secs(1)
            }
        }));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(steps.load(Ordering::Relaxed) >= 9, "{steps:?}");
        assert!(metrics.render().contains(r#"portcullis_panics_total{where="background"} 1"#));
        ended.cancel();
        running.await.unwrap();
    }
}
