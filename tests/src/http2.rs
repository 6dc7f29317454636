//! A client of HTTP/2 without TLS, and one that writes frames as it likes, to see what a gateway makes of them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::Answer;

/// What every client begins with: the preface and its settings, of which there are none.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One connection of HTTP/2.
pub struct Http2 {
    send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    /// Connects to a listener that speaks it without TLS.
    ///
    /// # Panics
    /// If there is none.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("it listens")).await
    }

    /// Speaks it over a connection that stands, such as one inside TLS.
    ///
    /// # Panics
    /// If the other side does not.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        Self { send, connection: tokio::spawn(connection) }
    }

    /// Begins a request whose body is to follow.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn open(&mut self, request: Request<()>) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.send.clone().ready().await?.send_request(request, false)
    }

    /// Begins a request that has this body.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn begin(&mut self, request: Request<()>, body: &str) -> Result<ResponseFuture, h2::Error> {
        if body.is_empty() {
            return Ok(self.send.clone().ready().await?.send_request(request, true)?.0);
        }
        let (response, mut stream) = self.open(request).await?;
        // Who is refused by what the head says may have the answer, and the stream be over, before this.
        let _ = stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true);
        Ok(response)
    }

    /// Sends a request, and reads its whole answer.
    ///
    /// # Errors
    /// Those of the connection or stream.
    pub async fn send(&mut self, request: Request<()>, body: &str) -> Result<Answer, h2::Error> {
        let (head, mut stream) = self.begin(request, body).await?.await?.into_parts();
        let mut body = Vec::new();
        while let Some(bytes) = stream.data().await {
            let bytes = bytes?;
            stream.flow_control().release_capacity(bytes.len())?;
            body.extend_from_slice(&bytes);
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Begins a `GET` of a stream: its head.
    ///
    /// # Errors
    /// Those of the connection or stream.
    pub async fn stream(&mut self, request: Request<()>) -> Result<Response<h2::RecvStream>, h2::Error> {
        self.begin(request, "").await?.await
    }

    /// How the connection ends, within ten seconds.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(self) -> Result<(), h2::Error> {
        drop(self.send);
        let ended = tokio::time::timeout(Duration::from_secs(10), self.connection).await;
        ended.expect("it ends in time").expect("it does not panic")
    }
}

/// A `GET` of `path`.
///
/// # Panics
/// If `path` is none.
pub fn get(path: &str) -> http::request::Builder {
    Request::get(format!("http://gateway.test{path}"))
}

/// A frame (RFC 9113 §4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Someone who writes frames as they like.
pub struct Frames(TcpStream);

impl Frames {
    /// Connects, and says the preface.
    ///
    /// # Panics
    /// If there is nobody.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(PREFACE).await.expect("it reads");
        Self(stream)
    }

    /// Writes these frames.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn write(&mut self, frames: &[u8]) {
        self.0.write_all(frames).await.expect("it reads");
    }

    /// Writes these frames, and waits until `stream` is answered or reset, or the connection ends: which of those it
    /// was, with the status if that is 200 or 400 (RFC 7541 appendix A), or the reason (RFC 9113 §7).
    ///
    /// # Panics
    /// If nothing of that happens within 20 seconds.
    pub async fn outcome(&mut self, frames: &[u8], stream: u32) -> String {
        let _ = self.0.write_all(frames).await; // It may be closed by then.
        let mut heard = Vec::new();
        let outcome = async {
            loop {
                let end = all(&heard).find_map(|(kind, on, payload)| match (kind, payload) {
                    (1, [0x88, ..]) if on == stream => Some("answered 200".to_owned()),
                    (1, [0x8c, ..]) if on == stream => Some("answered 400".to_owned()),
                    (1, _) if on == stream => Some("answered".to_owned()),
                    (3, [.., reason]) if on == stream => Some(format!("reset {reason}")),
                    (7, [_, _, _, _, _, _, _, reason, ..]) => Some(format!("goaway {reason}")),
                    _ => None,
                });
                if let Some(end) = end {
                    return end;
                }
                if matches!(self.0.read_buf(&mut heard).await, Ok(0) | Err(_)) {
                    return "closed".to_owned();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), outcome).await.expect("it answers, resets or ends")
    }

    /// Writes these frames so many times, each time once those before have been read, which the answer to a ping
    /// tells: the reason of the other side's GOAWAY (RFC 9113 §6.8), if it gave one.
    ///
    /// # Panics
    /// If it does not answer a ping within 20 seconds.
    pub async fn paced(mut self, times: usize, frames: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
        let mut heard = Vec::new();
        for round in 0..times {
            let (frames, ping) = (frames(u32::try_from(round).unwrap_or(u32::MAX)), frame(6, 0, 0, &[0; 8]));
            let _ = self.0.write_all(&[frames, ping].concat()).await; // It may be closed by then.
            let answer = async {
                while all(&heard).filter(|(kind, _, _)| *kind == 6).count() <= round {
                    if matches!(self.0.read_buf(&mut heard).await, Ok(0) | Err(_)) {
                        return false;
                    }
                }
                true
            };
            let limit = Duration::from_secs(20);
            if !tokio::time::timeout(limit, answer).await.expect("it answers a ping, or closes") {
                break;
            }
        }
        goaway(&heard)
    }

    /// Writes these frames again and again until the other side closes: the reason of its GOAWAY (RFC 9113 §6.8), if it
    /// gave one; and how many bytes it took.
    ///
    /// # Panics
    /// If it does not close within 20 seconds.
    pub async fn flood(self, mut frames: impl FnMut(u32) -> Vec<u8>) -> (Option<u32>, usize) {
        let (mut from, mut to) = self.0.into_split();
        let reading = tokio::spawn(async move {
            let mut heard = Vec::new();
            let _ = from.read_to_end(&mut heard).await;
            heard
        });
        let flooding = async {
            let mut sent = 0;
            for round in 0.. {
                let bytes = frames(round);
                if to.write_all(&bytes).await.is_err() {
                    break;
                }
                sent += bytes.len();
            }
            sent
        };
        let limit = Duration::from_secs(20);
        let sent = tokio::time::timeout(limit, flooding).await.expect("it does not take this for ever");
        drop(to);
        let heard = tokio::time::timeout(limit, reading).await.expect("it closes").expect("it does not panic");
        (goaway(&heard), sent)
    }
}

/// The reason in the last GOAWAY among these frames.
fn goaway(frames: &[u8]) -> Option<u32> {
    let payload = all(frames).filter(|(kind, _, _)| *kind == 7).map(|(_, _, payload)| payload).last()?;
    Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?))
}

/// The whole frames among these bytes: kind, stream and payload.
fn all(mut bytes: &[u8]) -> impl Iterator<Item = (u8, u32, &[u8])> {
    std::iter::from_fn(move || {
        let (&[high, middle, low, kind, _, stream @ ..], rest) = bytes.split_first_chunk::<9>()?;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let (payload, after) = rest.split_at_checked(length)?;
        bytes = after;
        Some((kind, u32::from_be_bytes(stream), payload))
    })
}

/// Fields as they stand in a head (RFC 7541 §6.2.2): none of them indexed, nothing compressed.
///
/// # Panics
/// If one is too long for a length of one byte.
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        assert!(text.len() < 127, "its length fits into seven bits");
        [&[text.len().to_le_bytes()[0]], text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}
