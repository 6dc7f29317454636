//! What happened to sessions that somebody must hear of: a line in the `auth` log, a count, and an event for whoever
//! receives them. It outlives configurations, so that an event under way is not lost by a reload. Nobody waits for it.

use serde::Serialize;
use tracing::warn;

use std::sync::Arc;

use super::Session;
use super::renewal::Device;
use crate::clock::Timestamp;
use crate::config::Event;
use crate::metrics::Metrics;
use crate::webhook::Webhook;

/// Tells of what happened to sessions.
pub struct Audit {
    metrics: Arc<Metrics>,
    /// Who else is told.
    pub webhook: Webhook,
}

/// That a refresh token was used twice.
#[derive(Serialize)]
struct Reused<'a> {
    subject: &'a str,
    session: String,
    opened_from: Place<'a>,
    presented_from: Place<'a>,
}

#[derive(Serialize)]
struct Place<'a> {
    address: String,
    user_agent: &'a str,
}

impl Audit {
    /// Tells `webhook`, too.
    pub fn new(metrics: Arc<Metrics>, webhook: Webhook) -> Self {
        Self { metrics, webhook }
    }

    /// `device` presented a refresh token of `session` that had been spent, and the session was ended.
    pub fn reused(&self, session: &Session, device: &Device, now: Timestamp) {
        self.metrics.refresh_reused();
        warn!(
            target: "auth",
            subject = %session.subject,
            session = %session.id,
            opened_from = %session.address,
            opened_with = session.user_agent,
            client = %device.address,
            user_agent = device.user_agent,
            "a refresh token was used twice: its session was ended",
        );
        let data = Reused {
            subject: session.subject.as_str(),
            session: session.id.to_string(),
            opened_from: Place { address: session.address.to_string(), user_agent: &session.user_agent },
            presented_from: Place { address: device.address.to_string(), user_agent: &device.user_agent },
        };
        self.webhook.tell(Event::SessionReused, data, now);
    }
}
