//! What carries a stream: the thread between whoever decides that it ends and whoever moves its bytes, which is
//! a connection of HTTP/1.1, or will be one stream of an HTTP/2 connection. Looking at it costs one atomic load.
//! It never touches the bytes.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::Cause;

const CAUSE: u64 = 0b0111;
const FRAMES: u64 = 0b1000;
const NUMBER_SHIFT: u32 = 8;

/// How a stream is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes, of which nothing is known.
    Bytes,
    /// WebSocket frames.
    Frames,
}

/// What a connection carries now: nothing, or a stream that goes on or is to end.
///
/// The number of the stream is part of the state, so that the end of one never hits the next on the same
/// connection.
#[derive(Debug, Default)]
pub struct Carrier {
    state: AtomicU64,
    driver: AtomicWaker,
}

/// What a [`Carrier`] carried when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(u64);

impl State {
    /// Whether it is cut into frames.
    pub fn has_frames(self) -> bool {
        self.0 & FRAMES != 0
    }

    /// Why it is to end, if it is.
    pub fn cause(self) -> Option<Cause> {
        Cause::of_bits(self.0 & CAUSE)
    }

    fn number(self) -> u64 {
        self.0 >> NUMBER_SHIFT
    }
}

impl Carrier {
    /// What it carries now.
    pub fn state(&self) -> State {
        State(self.state.load(Ordering::Acquire))
    }

    /// Begins to carry stream `number`.
    pub(super) fn begin(&self, number: u64, kind: Kind) {
        let frames = if kind == Kind::Frames { FRAMES } else { 0 };
        self.state.store(number << NUMBER_SHIFT | frames, Ordering::Release);
    }

    /// Lets go of what it carries.
    pub(super) fn release(&self) {
        self.state.store(0, Ordering::Release);
    }

    /// Asks for the end of stream `number`: whether it is carried and nobody asked before.
    pub(super) fn end(&self, number: u64, cause: Cause) -> bool {
        let asked = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            let goes_on = State(state).number() == number && State(state).cause().is_none();
            goes_on.then_some(state | cause.bits())
        });
        self.driver.wake();
        asked.is_ok()
    }

    /// Waits until a stream has not ended for `patience` after it was asked to. Whoever moves the bytes polls this
    /// *before* it looks at the state: it is then woken by what it did not see.
    pub async fn overdue(&self, patience: Duration) -> Cause {
        loop {
            let (asked, cause) = self.asked().await;
            tokio::time::sleep(patience).await;
            if self.state() == asked {
                return cause;
            }
        }
    }

    async fn asked(&self) -> (State, Cause) {
        poll_fn(|cx| {
            self.driver.register(cx.waker());
            let state = self.state();
            state.cause().map_or(Poll::Pending, |cause| Poll::Ready((state, cause)))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn the_end_of_one_stream_never_hits_the_next_on_its_connection() {
        let carrier = Carrier::default();
        carrier.begin(1, Kind::Bytes);
        carrier.release();
        assert!(!carrier.end(1, Cause::Revoked), "it has ended");
        carrier.begin(2, Kind::Frames);
        assert!(!carrier.end(1, Cause::Revoked), "another is carried");
        assert_eq!((carrier.state().cause(), carrier.state().has_frames()), (None, true));
        assert!(carrier.end(2, Cause::Over));
        assert!(!carrier.end(2, Cause::Revoked), "only the first to ask is heard");
        assert_eq!((carrier.state().cause(), carrier.state().has_frames()), (Some(Cause::Over), true));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_stream_that_does_not_end_when_asked_is_overdue() {
        let carrier = Carrier::default();
        carrier.begin(1, Kind::Bytes);
        let mut overdue = Box::pin(carrier.overdue(PATIENCE));
        assert!(tokio::time::timeout(PATIENCE * 9, overdue.as_mut()).await.is_err(), "nobody asked");
        carrier.end(1, Cause::Revoked);
        assert!(tokio::time::timeout(PATIENCE / 2, overdue.as_mut()).await.is_err());
        carrier.release();
        carrier.begin(2, Kind::Bytes);
        assert!(tokio::time::timeout(PATIENCE * 9, overdue.as_mut()).await.is_err(), "it ended in time");
        carrier.end(2, Cause::Over);
        assert_eq!(tokio::time::timeout(PATIENCE * 2, overdue).await, Ok(Cause::Over));
    }
}
