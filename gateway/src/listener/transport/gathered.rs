//! A stream whose writes are gathered until they are flushed, so that a head and a small body leave in one piece: one
//! system call, one TLS record. What waits is sent before more is read, too, since who reads may wait for long. It
//! relies on whoever writes to flush what is whole. An idle stream keeps no buffer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// So much is copied and kept; what makes it more is sent along with it as it is.
const MOST: usize = 4096;
/// What most heads of answers fit into, with a small body.
const USUAL: usize = 1024;
/// How many pieces are sent at once.
const PIECES: usize = 8;

/// A stream, and what was written to it and not sent yet.
#[derive(Debug)]
pub(in crate::listener) struct Gathered<S: AsyncWrite + Unpin> {
    stream: S,
    waiting: BytesMut,
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// `stream`, to which nothing was written yet.
    pub(super) fn new(stream: S) -> Self {
        Self { stream, waiting: BytesMut::new() }
    }

    /// What it is made of.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// What it is made of.
    pub(super) fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))?;
            self.sent(sent)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what waits and as much of `pieces` as goes with it: how much of them, at least something.
    fn poll_send_with(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let before = self.waiting.len();
            let mut all = [IoSlice::new(&[]); PIECES];
            all[0] = IoSlice::new(&self.waiting);
            for (slot, piece) in all[1..].iter_mut().zip(pieces) {
                *slot = IoSlice::new(piece);
            }
            let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &all))?;
            self.sent(sent.min(before))?;
            if sent > before {
                return Poll::Ready(Ok(sent - before));
            }
        }
    }

    /// Forgets so many bytes of what waited, and the buffer with the last of them.
    fn sent(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.waiting.advance(bytes);
        if self.waiting.is_empty() {
            self.waiting = BytesMut::new();
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let more = pieces.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.len()));
        if this.waiting.len().saturating_add(more) <= MOST {
            if this.waiting.capacity() == 0 {
                this.waiting.reserve(more.max(USUAL));
            }
            for piece in pieces {
                this.waiting.extend_from_slice(piece);
            }
            return Poll::Ready(Ok(more));
        }
        if this.waiting.is_empty() {
            return Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        }
        this.poll_send_with(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncWrite + Unpin> Drop for Gathered<S> {
    /// What was begun and not ended, such as an answer whose server broke off, is sent as far as that is possible now.
    fn drop(&mut self) {
        if !self.waiting.is_empty() {
            let _ = self.flush().now_or_never();
        }
    }
}

#[cfg(test)]
mod tests;
