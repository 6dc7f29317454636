//! Tells somebody else of what happened: posts an event as signed JSON, and again if that fails, a bounded number of
//! times. Nobody waits for it: events wait in a bounded number of places, and one that finds none is counted,
//! logged and dropped. What events mean is not known here, and neither is their order kept.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::clock::{Clock, Timestamp};
use crate::config::{Event, WebhookTerms};
use crate::ids::random_bytes;
use crate::metrics::Metrics;

mod call;
mod signature;

use call::Receiver;

/// How many events may wait to be delivered.
const PLACES: usize = 256;
/// How many are on their way at once.
const AT_ONCE: usize = 8;
/// The time from the first attempt to the second; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long the last events may take when the process ends.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// Delivers events, if anybody wants them.
pub struct Webhook {
    sender: Arc<Sender>,
    places: Arc<Semaphore>,
    deliveries: TaskTracker,
}

struct Sender {
    receiver: ArcSwapOption<Receiver>,
    at_once: Semaphore,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// One event on its way.
struct Notice {
    id: String,
    event: Event,
    body: Bytes,
    _place: OwnedSemaphorePermit,
}

#[derive(Serialize)]
struct Body<'a, D> {
    id: &'a str,
    r#type: &'static str,
    occurred_at: String,
    data: D,
}

impl Webhook {
    /// With nobody to tell.
    pub fn new(clock: Clock, metrics: Arc<Metrics>) -> Self {
        let at_once = Semaphore::new(AT_ONCE);
        let sender = Arc::new(Sender { receiver: ArcSwapOption::empty(), at_once, clock, metrics });
        Self { sender, places: Arc::new(Semaphore::new(PLACES)), deliveries: TaskTracker::new() }
    }

    /// Takes other terms, also for what is under way.
    pub fn apply(&self, terms: Option<&WebhookTerms>) {
        self.sender.receiver.store(terms.map(|terms| Arc::new(Receiver::new(terms.clone()))));
    }

    /// Has an event delivered, if somebody wants it.
    pub fn tell(&self, event: Event, data: impl Serialize, now: Timestamp) {
        let wanted = |receiver: &Arc<Receiver>| receiver.terms.events.contains(&event);
        if !self.sender.receiver.load_full().as_ref().is_some_and(wanted) {
            return;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.sender.metrics.webhook(event.name(), "dropped");
            warn!(target: "error", event = event.name(), "an event was dropped: too many wait for the webhook");
            return;
        };
        let id = format!("evt_{}", uuid::Uuid::now_v7().simple());
        let body = Body { id: &id, r#type: event.name(), occurred_at: now.to_rfc3339(), data };
        let body = serde_json::to_vec(&body).expect("our own bodies have text keys and no failing parts");
        let notice = Notice { id, event, body: body.into(), _place: place };
        let sender = Arc::clone(&self.sender);
        self.deliveries.spawn(async move { sender.deliver(&notice).await });
    }

    /// Lets the last events be delivered.
    pub async fn finish(&self) {
        self.deliveries.close();
        if tokio::time::timeout(LAST_EVENTS, self.deliveries.wait()).await.is_err() {
            warn!(target: "error", left = self.deliveries.len(), "events were not delivered before the end");
        }
    }
}

/// What became of one attempt.
enum Attempt {
    Delivered,
    /// It may work later.
    Failed(String),
    /// It never will.
    Refused(String),
}

impl Sender {
    async fn deliver(&self, notice: &Notice) {
        let Notice { id, event, .. } = notice;
        let event = event.name();
        let mut attempts = 0;
        let why = loop {
            // Asked for anew each time: a reload may have mended what failed.
            let Some(receiver) = self.receiver.load_full() else { break "there is no webhook any more".to_owned() };
            attempts += 1;
            match self.attempt(&receiver, notice).await {
                Attempt::Delivered => {
                    self.metrics.webhook(event, "delivered");
                    info!(target: "auth", event, id, attempts, "an event was delivered");
                    return;
                }
                Attempt::Refused(why) => break why,
                Attempt::Failed(why) if attempts >= receiver.terms.attempts => break why,
                Attempt::Failed(why) => {
                    self.metrics.webhook(event, "failed");
                    warn!(target: "error", event, id, attempts, why, "an event could not be delivered yet");
                }
            }
            tokio::time::sleep(pause(attempts, random_bytes())).await;
        };
        self.metrics.webhook(event, "given_up");
        warn!(target: "error", event, id, attempts, why, "an event could not be delivered and never will be");
    }

    async fn attempt(&self, receiver: &Receiver, notice: &Notice) -> Attempt {
        let _permit = self.at_once.acquire().await; // It is never closed.
        let signed = signature::headers(&receiver.terms.key, &notice.id, &notice.body, self.clock.now());
        match receiver.post(signed, notice.body.clone()).await {
            Ok(status) if status.is_success() => Attempt::Delivered,
            Ok(status) if status.is_server_error() || matches!(status.as_u16(), 408 | 429) => {
                Attempt::Failed(format!("it answered {status}"))
            }
            Ok(status) => Attempt::Refused(format!("it answered {status}")),
            Err(why) => Attempt::Failed(why.to_string()),
        }
    }
}

/// How long to wait after the `attempts`th attempt: twice as long each time, and up to half of it less, so that
/// many that failed together do not come again together.
fn pause(attempts: u32, random: [u8; 1]) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let longest = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    longest.saturating_sub(longest / 2 * u32::from(random[0]) / u32::from(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_are_spread() {
        for (attempts, longest) in [(1, 4), (2, 8), (3, 16), (4, 32), (5, 60), (1000, 60)] {
            assert_eq!(pause(attempts, [0]), Duration::from_secs(longest));
            assert_eq!(pause(attempts, [255]), Duration::from_secs(longest) / 2);
        }
    }

    #[tokio::test]
    async fn who_finds_no_place_is_dropped_and_counted() {
        let metrics = Arc::new(Metrics::new());
        let webhook = Webhook::new(Clock::system(), Arc::clone(&metrics));
        let url = "http://127.0.0.1:9/".parse().unwrap();
        let (key, timeout) = (crate::secret::Secret::new([7; 32]), Duration::from_secs(1));
        let terms = WebhookTerms { url, key, timeout, attempts: 1, events: vec![Event::SessionReused] };
        webhook.tell(Event::SessionReused, (), Timestamp::from_secs(0));
        assert_eq!(webhook.deliveries.len(), 0, "nobody wants it");
        webhook.apply(Some(&terms));
        for _ in 0..PLACES + 5 {
            webhook.tell(Event::SessionReused, (), Timestamp::from_secs(0)); // Never waits: this runtime has one thread.
        }
        assert_eq!(webhook.deliveries.len(), PLACES);
        let dropped = r#"portcullis_webhook_events_total{event="session.reused",outcome="dropped"} 5"#;
        assert!(metrics.render().contains(dropped), "{}", metrics.render());
    }
}
