//! A connection whose client pays for frames that carry nothing: pings, settings, priorities, window updates, resets.
//! What it asks for and what it is sent earns it some, time a few more; one who has none left is not read any more. It
//! relies on whoever serves the connection to look at its [`Meter`] and to send the client away.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Frame, Frames};
use crate::listener::PREFACE;

/// What a client has at first, and at most.
const MOST: u32 = 1000;
/// What it earns with each request, for the settings and priorities that come with it.
const PER_REQUEST: u32 = 4;
/// What it earns with each piece of an answer, for the two windows that it opens again.
const PER_PIECE: u32 = 4;
/// What it earns each second, for pings.
const PER_SECOND: u32 = 10;

/// Whether a client has spent all that it had.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<AtomicBool>);

impl Meter {
    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends when it is; polled by whoever drives the connection, and so woken.
    pub(super) async fn spent(&self) {
        std::future::poll_fn(|_| if self.is_spent() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// A connection of HTTP/2 with a meter.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    inward: Frames,
    outward: Frames,
    purse: Purse,
    meter: Meter,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S) -> Self {
        let (inward, outward) = (Frames::after(PREFACE.len()), Frames::after(0));
        Self { stream, inward, outward, purse: Purse::new(Instant::now()), meter: Meter::default() }
    }

    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

/// What a client has.
#[derive(Debug)]
struct Purse {
    left: u32,
    /// When it was last paid for the time.
    paid_at: Instant,
}

impl Purse {
    fn new(now: Instant) -> Self {
        Self { left: MOST, paid_at: now }
    }

    fn earn(&mut self, amount: u32) {
        self.left = self.left.saturating_add(amount).min(MOST);
    }

    /// Pays for a frame: whether it could.
    fn pay(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            let now = now();
            let seconds = now.saturating_duration_since(self.paid_at).as_secs();
            self.paid_at += Duration::from_secs(seconds);
            self.earn(u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(PER_SECOND));
        }
        let could = self.left > 0;
        self.left = self.left.saturating_sub(1);
        could
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, inward, purse, meter, .. } = self.get_mut();
        if meter.is_spent() {
            return Poll::Pending; // Whoever serves it was woken when that happened.
        }
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(cx, buffer))?;
        inward.follow(&buffer.filled()[before..], |frame| match frame {
            Frame::Headers => purse.earn(PER_REQUEST),
            Frame::Data => {}
            Frame::Other if purse.pay(Instant::now) => {}
            Frame::Other => meter.0.store(true, Ordering::Relaxed),
        });
        if meter.is_spent() {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, outward, purse, .. } = self.get_mut();
        let written = ready!(Pin::new(stream).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let sent = left.min(slice.len());
            outward.follow(&slice[..sent], |frame| {
                if frame == Frame::Data {
                    purse.earn(PER_PIECE);
                }
            });
            left -= sent;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl<S: IO> Shutdown for Metered<S> {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl<S: IO> Peek for Metered<S> {}

impl<S: IO> UniqueID for Metered<S> {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl<S: IO> Ssl for Metered<S> {}

impl<S: IO> GetTimingDigest for Metered<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl<S: IO> GetProxyDigest for Metered<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<S: IO> GetSocketDigest for Metered<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_carry_nothing_are_paid_for_by_requests_answers_and_time() {
        let start = Instant::now();
        let mut purse = Purse::new(start);
        let at = |seconds| move || start + Duration::from_secs(seconds);
        assert_eq!((0..2000).take_while(|_| purse.pay(at(0))).count(), 1000, "what it had");
        purse.earn(PER_REQUEST);
        assert_eq!((0..2000).take_while(|_| purse.pay(at(0))).count(), 4);
        assert_eq!((0..2000).take_while(|_| purse.pay(at(3))).count(), 30, "ten a second");
        assert!(!purse.pay(at(3)), "which are paid once");
        assert_eq!((0..2000).take_while(|_| purse.pay(at(1_000_000))).count(), 1000, "no more than at first");
    }
}
