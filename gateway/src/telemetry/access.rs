//! The access line: what is written down of every request. Names and numbers, never a token, a cookie or a
//! body; what a client wrote is shortened. A request only leaves a [`Record`] in the queues of its streams; the
//! threads that empty those make lines of it, and redact queries (`line.rs`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::queue::Queue;
use crate::clock::{Clock, Timestamp};
use crate::ids::RequestId;

/// A request that took longer stands in the `performance` stream too.
const SLOW: Duration = Duration::from_secs(1);
/// The most bytes of what a client wrote in any one field.
const MAX_FIELD: usize = 512;

/// One request that ended.
pub struct AccessLine<'a> {
    /// Its name.
    pub request_id: &'a RequestId,
    /// Who sent it.
    pub client: IpAddr,
    /// The method.
    pub method: &'a str,
    /// The host it named.
    pub host: &'a str,
    /// The canonical path, or the raw one if it was refused.
    pub path: &'a str,
    /// The query, not yet redacted.
    pub query: Option<&'a str>,
    /// The route, or `-`.
    pub route: &'a str,
    /// The status; 0 if nobody was there to be answered.
    pub status: u16,
    /// The reason it was refused for, or `-`.
    pub reason: &'static str,
    /// The caller, if known.
    pub subject: Option<&'a str>,
    /// How long it took.
    pub duration: Duration,
    /// The server that answered.
    pub upstream: Option<SocketAddr>,
    /// How long that server took to begin its answer.
    pub upstream_duration: Option<Duration>,
    /// Bytes of the answer's body, unless it was cut off.
    pub bytes_out: Option<usize>,
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
}

/// Where access lines go: to all streams that hold them, or nowhere. Clones are the same.
#[derive(Clone, Default)]
pub struct AccessLog(Option<Arc<Streams>>);

struct Streams {
    first: Queue,
    others: Vec<Queue>,
    clock: Clock,
}

impl AccessLog {
    /// Lines stand in each of `queues`.
    pub(super) fn to(mut queues: Vec<Queue>) -> Self {
        let first = queues.pop();
        Self(first.map(|first| Arc::new(Streams { first, others: queues, clock: Clock::system() })))
    }

    /// Nobody wants to know.
    pub fn nowhere() -> Self {
        Self(None)
    }

    /// Has `line` written down, and waits for nothing.
    pub fn note(&self, line: &AccessLine<'_>) {
        let Some(streams) = &self.0 else { return };
        let record = Record::of(line, streams.clock.now());
        for queue in &streams.others {
            queue.push_record(record.clone());
        }
        streams.first.push_record(record);
        if line.duration > SLOW {
            let AccessLine { request_id, route, status, duration, upstream_duration, .. } = line;
            let (duration_ms, upstream_ms) = (millis(*duration), upstream_duration.map(millis));
            info!(target: "performance", %request_id, route, status, duration_ms, upstream_ms, "slow request");
        }
    }
}

/// Milliseconds to the microsecond.
fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// What a line is made of, in one piece of memory besides itself.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) client: IpAddr,
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) duration: Duration,
    pub(super) upstream: Option<SocketAddr>,
    pub(super) upstream_duration: Option<Duration>,
    pub(super) bytes_out: Option<usize>,
    texts: String,
    /// Where each text ends in `texts`; [`ABSENT`] if there is none.
    ends: [u16; TEXTS],
}

/// How many texts a record has, in the order of [`Text`].
const TEXTS: usize = 8;
const ABSENT: u16 = u16::MAX;

/// A text of a record.
#[derive(Clone, Copy)]
pub(super) enum Text {
    RequestId,
    Method,
    Host,
    Path,
    Query,
    Route,
    Subject,
    UserAgent,
}

impl Record {
    pub(super) fn of(line: &AccessLine<'_>, at: Timestamp) -> Self {
        let AccessLine { request_id, client, method, host, path, query, route, status, reason, .. } = *line;
        let AccessLine { subject, duration, upstream, upstream_duration, bytes_out, user_agent, .. } = *line;
        let given: [Option<&str>; TEXTS] =
            [Some(request_id.as_str()), Some(method), Some(host), Some(path), query, Some(route), subject, user_agent];
        let given = given.map(|text| text.map(shortened));
        let mut texts = String::with_capacity(given.iter().flatten().map(|text| text.len()).sum());
        let ends = given.map(|text| {
            text.map_or(ABSENT, |text| {
                texts.push_str(text);
                u16::try_from(texts.len()).expect("eight shortened texts are shorter than that")
            })
        });
        Self { at, client, status, reason, duration, upstream, upstream_duration, bytes_out, texts, ends }
    }

    /// One of its texts, if it has that.
    pub(super) fn text(&self, which: Text) -> Option<&str> {
        let at = which as usize;
        let end = self.ends[at];
        let before = self.ends[..at].iter().rev().find(|end| **end != ABSENT).copied().unwrap_or(0);
        (end != ABSENT).then(|| &self.texts[usize::from(before)..usize::from(end)])
    }

    /// How many bytes it holds while it waits.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.texts.len()
    }
}

fn shortened(text: &str) -> &str {
    if text.len() <= MAX_FIELD {
        return text;
    }
    let end = (MAX_FIELD..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    &text[..end]
}
