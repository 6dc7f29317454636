//! The body of a request on its way to a server: no larger than its route lets through, and no slower than its
//! listener puts up with. A body that is refused half-way leaves its server with half a request, never with one that
//! looks whole. It counts bytes and keeps none.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::config::BodyPace;
use crate::problem::Denied;
use crate::routing::Route;

/// What came so far.
#[derive(Debug, Default)]
pub struct Body {
    received: u64,
}

/// Refuses a body that says it is too large, before anything of it is forwarded.
pub(super) fn declared(headers: &HeaderMap, route: &Route) -> Result<(), Denied> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    within(length.unwrap_or(0), route.max_body)
}

fn within(bytes: u64, limit: Option<u64>) -> Result<(), Denied> {
    match limit {
        Some(limit) if bytes > limit => Err(Denied::BodyTooLarge { limit }),
        _ => Ok(()),
    }
}

impl Body {
    /// Whether anything came.
    pub(super) fn has_begun(&self) -> bool {
        self.received > 0
    }

    /// Takes `bytes` more of it, `after` the request began; no `pace` is asked for once it is answered.
    pub(super) fn take(
        &mut self,
        bytes: usize,
        limit: Option<u64>,
        after: Duration,
        pace: Option<&BodyPace>,
    ) -> Result<(), Denied> {
        self.received = self.received.saturating_add(bytes as u64);
        within(self.received, limit)?;
        let Some(pace) = pace else { return Ok(()) };
        // An average: a server that takes its time, and so holds the client up, has let through more than this before.
        let due = pace.min_rate.saturating_mul(after.saturating_sub(pace.grace).as_secs());
        if self.received < due || after > pace.request_timeout {
            return Err(Denied::BodyTimeout);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: BodyPace =
        BodyPace { request_timeout: Duration::from_mins(5), min_rate: 500, grace: Duration::from_secs(10) };

    #[test]
    fn a_body_may_be_slow_for_a_while_and_then_keeps_up() {
        let take = |bytes, secs| Body::default().take(bytes, None, Duration::from_secs(secs), Some(&PACE)).is_ok();
        assert!(take(1, 10), "nobody asks yet");
        assert!(!take(499, 11));
        assert!(take(500, 11));
        assert!(!take(usize::MAX, 301), "however much there is");
    }

    #[test]
    fn all_pieces_of_a_body_count() {
        let mut body = Body::default();
        let mut take = |bytes| body.take(bytes, Some(10), Duration::ZERO, Some(&PACE)).is_ok();
        assert_eq!([take(5), take(5), take(0), take(1)], [true, true, true, false]);
    }
}
