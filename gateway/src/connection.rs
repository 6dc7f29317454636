//! A client's connection as the engine sees it: reads and writes pass through, until the stream that it carries
//! is to end. Then the engine finds the end of the request's bytes, and so ends the request on both sides and
//! writes its access line; a WebSocket's client is told why. Chunks of a body that can't be read in one way only are an
//! error of reading. It relies on whoever drives the connection to poll [`Carrier::overdue`], and decides nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::streams::carrier::{Carrier, State};

pub mod chunks;
pub mod entrance;
mod farewell;
mod frames;
pub mod upload;

use chunks::Chunks;
use entrance::Entrance;
use farewell::Farewell;
use frames::Frames;

/// How long the engine has to end a request once it can know that it is to end.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How much is read of what nobody wants any more, so that closing does not take the answer along (RFC 9112 §9.6).
pub const MOST_LOST: usize = 1024 * 1024;

/// A connection, and what it carries.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    carrier: Arc<Carrier>,
    /// What the engine hands along to those who answer.
    digest: Arc<ProxyDigest>,
    frames: Frames,
    /// Of a body that comes in, or came in last.
    chunks: Option<Chunks>,
    /// Bytes that came after malformed chunks.
    lost: usize,
    /// Once a stream of frames is to end.
    farewell: Option<Box<Farewell>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// `stream`, which ends when the carrier of `entrance` says so.
    pub fn new(stream: S, entrance: &Arc<Entrance>) -> pingora::Result<Self> {
        let carrier = Arc::clone(&entrance.carrier);
        Ok(Self {
            stream,
            carrier,
            digest: entrance.digest()?,
            frames: Frames::new(),
            chunks: None,
            lost: 0,
            farewell: None,
        })
    }

    /// Holds what is read from now on to `chunks`.
    pub fn expect(&mut self, chunks: Chunks) {
        self.chunks = Some(chunks);
    }

    /// A read of what goes on. Something malformed is told once; what comes after it is nobody's to read, and so much of
    /// it is the end.
    fn poll_next_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            let Some(chunks) = &mut self.chunks else { return Poll::Ready(Ok(())) };
            let is_news = !chunks.are_broken();
            match chunks.follow(&buffer.filled()[before..]) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(malformed) if is_news => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, malformed)));
                }
                Err(_) => {
                    self.lost += buffer.filled().len() - before;
                    buffer.set_filled(before);
                    if self.lost > MOST_LOST {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }

    /// A read of what is to end: the end of the file, when all is said.
    fn poll_last_read(&mut self, cx: &mut Context<'_>, state: State) -> Poll<io::Result<()>> {
        if let Some(farewell) = farewell(&mut self.farewell, state) {
            ready!(farewell.poll(cx, &mut self.stream, &self.frames));
        }
        Poll::Ready(Ok(()))
    }

    /// A write to what is to end: the rest of a frame that has begun, and nothing else.
    fn poll_last_write(&mut self, cx: &mut Context<'_>, bytes: &[u8], state: State) -> Poll<io::Result<usize>> {
        if let Some(farewell) = farewell(&mut self.farewell, state) {
            let unfinished = self.frames.unfinished(bytes);
            if unfinished > 0 && !farewell.is_late(cx) {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..unfinished]))?;
                self.frames.follow(&bytes[..written]);
                return Poll::Ready(Ok(written));
            }
            ready!(farewell.poll(cx, &mut self.stream, &self.frames));
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the stream was ended")))
    }
}

/// How what is in `state` is to end, if it is cut into frames: begun now, or before.
fn farewell(farewell: &mut Option<Box<Farewell>>, state: State) -> Option<&mut Farewell> {
    let cause = state.cause().filter(|_| state.has_frames())?;
    Some(&mut **farewell.get_or_insert_with(|| Box::new(Farewell::new(cause))))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let state = this.carrier.state();
        match state.cause() {
            None => this.poll_next_read(cx, buffer),
            Some(_) => this.poll_last_read(cx, state),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let state = this.carrier.state();
        if state.cause().is_some() {
            return this.poll_last_write(cx, bytes, state);
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        if state.has_frames() {
            this.frames.follow(&bytes[..written]);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let state = self.carrier.state();
        if state.has_frames() || state.cause().is_some() {
            // A tunnel is written in one piece anyway.
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
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
impl<S: IO> Shutdown for Connection<S> {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

#[async_trait]
impl<S: IO> Peek for Connection<S> {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.stream.try_peek(buffer).await
    }
}

impl<S: IO> UniqueID for Connection<S> {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl<S: IO> Ssl for Connection<S> {}

impl<S: IO> GetTimingDigest for Connection<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl<S: IO> GetProxyDigest for Connection<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl<S: IO> GetSocketDigest for Connection<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[cfg(test)]
mod tests;
