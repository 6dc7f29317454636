//! Ends sessions because of what an upstream did (`[sessions] revoke_on`). It does so before the upstream's
//! answer goes out, and behind it for as long as the store can't be asked, since what the upstream did can't
//! be taken back. Which answers count is not its concern.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::Cause;
use crate::clock::Clock;
use crate::ids::{RouteId, Subject};
use crate::metrics::{Held, Metrics, RevocationOutcome};
use crate::policy::Permit;
use crate::routing::{Revokes, Route};
use crate::store::{Ending, Memory, Store, StoreError};

/// The most revocations that wait for the store.
const MOST_WAITING: usize = 1000;
/// How long one is tried again.
const PATIENCE: Duration = Duration::from_mins(15);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Ends sessions, sooner or later.
pub struct Revoker {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    clock: Clock,
    waiting: TaskTracker,
    places: Arc<Semaphore>,
    patience: Duration,
    hurry: CancellationToken,
    stop: CancellationToken,
}

/// Sessions that are to end.
struct Revocation {
    subject: Subject,
    ending: Ending,
    memory: Memory,
    route: RouteId,
}

/// What a revocation holds while it waits: its place, and a count in the metrics.
type Place = (OwnedSemaphorePermit, Held);

impl Revoker {
    /// Ends sessions in `store`; gives up whatever still waits when `stop` is cancelled.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, clock: Clock, stop: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(MOST_WAITING));
        let (waiting, hurry) = (TaskTracker::new(), CancellationToken::new());
        Self { store, metrics, clock, waiting, places, patience: PATIENCE, hurry, stop }
    }

    /// Ends what the route of `permit` says that a successful answer to a request for `path` ends. When this
    /// returns it is done, or waits for the store. It is done too if nobody waits for that any more.
    pub async fn succeeded(self: &Arc<Self>, permit: &Permit, path: &str, memory: Memory) {
        let Some(revocation) = Revocation::of(permit, path, memory) else { return };
        // A task of its own: what the upstream did stands, even if the one who asked for it goes away.
        let ending = self.waiting.spawn(Arc::clone(self).try_once(revocation));
        if let Err(broken) = ending.await
            && broken.is_panic()
        {
            std::panic::resume_unwind(broken.into_panic()); // The request's, as it would be without the task.
        }
    }

    async fn try_once(self: Arc<Self>, revocation: Revocation) {
        match self.end(&revocation).await {
            Ok(ended) => self.done(&revocation, ended, RevocationOutcome::AtOnce),
            Err(error) => self.put_off(revocation, &error),
        }
    }

    /// Tries what waits again soon and often, since little time is left.
    pub fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Waits for what waits, until `end` and no longer: whether all of it was done.
    pub async fn drain(&self, end: Instant) -> bool {
        self.hurry();
        self.waiting.close();
        let drained = timeout_at(end, self.waiting.wait()).await.is_ok();
        self.stop.cancel();
        self.waiting.wait().await;
        drained
    }

    async fn end(&self, revocation: &Revocation) -> Result<u64, StoreError> {
        let Revocation { subject, ending, memory, route: _ } = revocation;
        self.store.end(subject, *ending, Cause::Revoked, *memory, self.clock.now()).await
    }

    fn put_off(self: &Arc<Self>, revocation: Revocation, cause: &StoreError) {
        let Revocation { subject, route, .. } = &revocation;
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            error!(target: "error", %subject, %route, %cause, "sessions were not ended: too many revocations wait");
            return self.metrics.revoked(RevocationOutcome::Overflowed);
        };
        warn!(target: "error", %subject, %route, %cause, "sessions are not ended yet: trying again");
        let place = (place, self.metrics.revocation_waits());
        self.waiting.spawn(Arc::clone(self).keep_trying(revocation, place));
    }

    async fn keep_trying(self: Arc<Self>, revocation: Revocation, _place: Place) {
        let trying = timeout(self.patience, self.end_at_last(&revocation));
        if let Some(Ok(ended)) = self.stop.run_until_cancelled(trying).await {
            return self.done(&revocation, ended, RevocationOutcome::Later);
        }
        let Revocation { subject, route, .. } = &revocation;
        error!(target: "error", %subject, %route, "sessions were not ended: the store gave no answer for too long");
        self.metrics.revoked(RevocationOutcome::GivenUp);
    }

    async fn end_at_last(&self, revocation: &Revocation) -> u64 {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.hurry.run_until_cancelled(sleep(pause)).await.is_none() {
                sleep(FIRST_PAUSE).await;
            }
            if let Ok(ended) = self.end(revocation).await {
                return ended;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn done(&self, revocation: &Revocation, ended: u64, outcome: RevocationOutcome) {
        let Revocation { subject, route, .. } = revocation;
        info!(target: "auth", %subject, %route, ended, "sessions ended by an upstream's answer");
        self.metrics.sessions_ended("route", ended);
        self.metrics.revoked(outcome);
    }
}

impl Revocation {
    fn of(permit: &Permit, path: &str, memory: Memory) -> Option<Self> {
        let route = permit.route();
        let caller = || permit.caller().known();
        let (subject, ending) = match route.revokes.as_ref()? {
            Revokes::OthersOfCaller => caller().map(|known| (known.subject.clone(), Ending::Others(known.sid)))?,
            Revokes::AllOfCaller => caller().map(|known| (known.subject.clone(), Ending::All))?,
            Revokes::AllOf { param } => (named(route, path, param)?, Ending::All),
        };
        Some(Self { subject, ending, memory, route: route.id.clone() })
    }
}

/// The user whom the parameter `param` of `path` names. What can't be a subject never logged in.
fn named(route: &Route, path: &str, param: &str) -> Option<Subject> {
    let mut subject = None;
    route.path.capture(path, |name, value| {
        if name == param {
            subject = percent_decode_str(value).decode_utf8().ok().and_then(|raw| Subject::parse(&raw).ok());
        }
    });
    subject
}

#[cfg(test)]
mod tests;
