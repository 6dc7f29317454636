//! How a WebSocket ends that the gateway ends (RFC 6455 §7.1): after the frame that is being sent comes a Close
//! frame, then no more is sent, and the client's own Close is awaited, since closing a socket with something
//! unread in it may destroy what was sent. A client that does not play along is not waited for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::frames::Frames;
use crate::streams::Cause;

/// How long all of it may take; less than [`super::PATIENCE`], so that the engine can end the request.
const LONGEST: Duration = Duration::from_millis(500);

/// FIN, and the opcode of a Close frame.
const FIN_CLOSE: u8 = 0x88;

/// How far it is.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A frame is not whole yet.
    Frame,
    /// So many bytes of the Close frame were sent.
    Close(usize),
    /// The client is to know that nothing more comes.
    HalfClose,
    /// The client's last bytes go nowhere.
    Drain,
    /// All is said.
    Said,
}

/// A WebSocket that ends.
#[derive(Debug)]
pub(super) struct Farewell {
    step: Step,
    close: Vec<u8>,
    late: Pin<Box<Sleep>>,
}

impl Farewell {
    pub(super) fn new(cause: Cause) -> Self {
        Self { step: Step::Frame, close: close_frame(cause), late: Box::pin(tokio::time::sleep(LONGEST)) }
    }

    /// Whether it has taken too long.
    pub(super) fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        self.late.as_mut().poll(cx).is_ready()
    }

    /// Goes on as far as it can: ready when all is said, or is not worth saying any more.
    pub(super) fn poll<S>(&mut self, cx: &mut Context<'_>, stream: &mut S, frames: &Frames) -> Poll<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while !matches!(self.step, Step::Said) && !self.is_late(cx) {
            self.step = ready!(self.poll_step(cx, Pin::new(stream), frames));
        }
        Poll::Ready(())
    }

    /// The step after this one.
    fn poll_step<S>(&self, cx: &mut Context<'_>, stream: Pin<&mut S>, frames: &Frames) -> Poll<Step>
    where
        S: AsyncRead + AsyncWrite,
    {
        Poll::Ready(match self.step {
            Step::Frame if !frames.are_whole() => return Poll::Pending, // Whoever writes the rest goes on here.
            Step::Frame if frames.are_closed() => Step::HalfClose,
            Step::Frame => Step::Close(0),
            Step::Close(sent) if sent == self.close.len() => Step::HalfClose,
            Step::Close(sent) => match ready!(stream.poll_write(cx, &self.close[sent..])) {
                Ok(0) | Err(_) => Step::Said,
                Ok(more) => Step::Close(sent + more),
            },
            Step::HalfClose => match ready!(stream.poll_shutdown(cx)) {
                Ok(()) => Step::Drain,
                Err(_) => Step::Said,
            },
            Step::Drain => {
                let mut lost = [0; 4096];
                let mut lost = ReadBuf::new(&mut lost);
                match ready!(stream.poll_read(cx, &mut lost)) {
                    Ok(()) if !lost.filled().is_empty() => Step::Drain,
                    Ok(()) | Err(_) => Step::Said,
                }
            }
            Step::Said => Step::Said,
        })
    }
}

/// A Close frame that says why, unmasked as a server's frames are.
fn close_frame(cause: Cause) -> Vec<u8> {
    let reason = cause.reason().as_bytes();
    let length = u8::try_from(2 + reason.len()).expect("reasons are short; RFC 6455 §5.5 allows 123 bytes");
    let mut frame = vec![FIN_CLOSE, length];
    frame.extend(cause.close_code().to_be_bytes());
    frame.extend(reason);
    frame
}
