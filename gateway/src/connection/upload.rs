//! A request's body on its way in over HTTP/2, where the engine waits for it as long as a server would: here is noted
//! when something of it came, so that whoever serves the stream ends one that falls silent. It relies on the journey to
//! tell. It reads no bytes and ends nothing itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What stands in the place of a time.
const NOT_AWAITED: u64 = 0;
const DONE: u64 = u64::MAX;
const OVERDUE: u64 = u64::MAX - 1;

/// A body that may be waited for. Only one task at a time tells of it.
#[derive(Debug)]
pub struct Upload {
    made: Instant,
    /// When it was heard of last, in microseconds after `made`; or how it ended.
    heard: AtomicU64,
}

impl Default for Upload {
    fn default() -> Self {
        Self { made: Instant::now(), heard: AtomicU64::new(NOT_AWAITED) }
    }
}

impl Upload {
    /// It is waited for from now on, unless it is done.
    pub fn hear(&self) {
        if self.heard.load(Ordering::Relaxed) < OVERDUE {
            let after = u64::try_from(self.made.elapsed().as_micros()).unwrap_or(OVERDUE);
            self.heard.store(after.clamp(NOT_AWAITED + 1, OVERDUE - 1), Ordering::Relaxed);
        }
    }

    /// It is not waited for any more: it is whole, or the answer has begun.
    pub fn done(&self) {
        self.heard.store(DONE, Ordering::Relaxed);
    }

    /// Whether it was waited for too long.
    pub fn is_overdue(&self) -> bool {
        self.heard.load(Ordering::Relaxed) == OVERDUE
    }

    /// Waits until the body has been silent for `silence`, or is not there `whole` after now.
    pub async fn overdue(&self, silence: Duration, whole: Duration) {
        let end = Instant::now() + whole;
        loop {
            let now = Instant::now();
            let due = match self.heard.load(Ordering::Relaxed) {
                DONE | OVERDUE => return std::future::pending().await,
                NOT_AWAITED => now + silence.min(whole), // What is heard of meanwhile is not due before.
                heard => (self.made + Duration::from_micros(heard) + silence).min(end),
            };
            if due <= now {
                return self.heard.store(OVERDUE, Ordering::Relaxed);
            }
            sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const SILENCE: Duration = Duration::from_secs(10);
    const WHOLE: Duration = Duration::from_mins(1);

    /// How long an upload is put up with that begins after five seconds and is heard of `times` times, `every` so often.
    async fn borne(every: Duration, times: u32, is_done: bool) -> Option<u64> {
        let upload = Upload::default();
        let began = Instant::now();
        let telling = async {
            sleep(Duration::from_secs(5)).await;
            upload.hear();
            for _ in 0..times {
                sleep(every).await;
                upload.hear();
            }
            if is_done {
                upload.done();
                upload.hear(); // What comes beside an answer.
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = telling => None,
            overdue = timeout(WHOLE * 9, upload.overdue(SILENCE, WHOLE)) => {
                assert_eq!(overdue.is_ok(), upload.is_overdue());
                overdue.ok().map(|()| began.elapsed().as_secs())
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_waited_for_until_it_is_silent_or_late() {
        assert_eq!(borne(SILENCE, 0, false).await, Some(15), "nothing comes");
        assert_eq!(borne(Duration::from_secs(9), 2, false).await, Some(33), "it falls silent");
        assert_eq!(borne(Duration::from_secs(9), 99, false).await, Some(60), "it goes on and on");
        assert_eq!(borne(Duration::from_secs(9), 2, true).await, None, "it is whole");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_never_overdue() {
        let upload = Upload::default();
        assert!(timeout(WHOLE * 9, upload.overdue(SILENCE, WHOLE)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_silent_for_long_is_late_in_time() {
        let (upload, began) = (Upload::default(), Instant::now());
        let telling = async {
            sleep(Duration::from_secs(1)).await;
            upload.hear();
        };
        tokio::join!(telling, upload.overdue(WHOLE * 9, WHOLE));
        assert_eq!(began.elapsed().as_secs(), 60);
    }
}
