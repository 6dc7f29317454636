//! One connection of HTTP/1.1: the head of each request is read and judged here, and only one that can be read in one
//! way is handed to the engine, one after another, until either side has had enough. What a client may take its time
//! for is bounded here: an idle connection, a head, and how many requests there are. It relies on the connection to
//! follow chunks, and on the engine to read bodies and to answer.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use pingora::apps::{HttpServerApp as _, ReusedHttpStream};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};
use tokio::time::timeout;
use tracing::warn;

use super::Terms;
use super::refusal::Refused;
use super::transport::Transport;
use super::workers::Worker;
use crate::config::Bounds;
use crate::connection::chunks::Chunks;
use crate::connection::entrance::Entrance;
use crate::connection::{Connection, PATIENCE};
use crate::inbound::Malformed;
use crate::problem::Denied;

mod head;

use head::Head;

/// What most heads fit into, and a small body with them.
const USUAL: usize = 4096;

/// A head that can be read in one way, and what came with it.
struct Readable {
    bytes: BytesMut,
    /// Those of the body, as far as they came.
    chunks: Option<Chunks>,
}

/// A head that was refused, and the bytes it came in.
struct Unread {
    denied: Denied,
    head: Head,
    bytes: BytesMut,
}

/// Serves a connection to its end.
pub(super) async fn serve(worker: &Worker, transport: Transport, peer: SocketAddr, terms: &Terms) {
    let client = peer.ip().to_canonical();
    let entrance = Arc::new(Entrance::new(&terms.transport, terms.bounds.body));
    let Ok(connection) = Connection::new(transport, &entrance) else { return };
    let mut stream: Stream = Box::new(connection);
    let ending = worker.ending.subscribe();
    for left in (0..terms.bounds.requests_per_connection).rev() {
        let is_first = left + 1 == terms.bounds.requests_per_connection;
        let Some(first) = first_bytes(&mut stream, is_first, worker, terms).await else { return };
        let began = Instant::now();
        let Readable { bytes, chunks } = match read_head(&mut stream, first, &terms.bounds).await {
            Ok(Some(readable)) => readable,
            Ok(None) => return,
            Err(unread) => return Box::pin(refuse(&unread, client, began, stream, worker, terms)).await,
        };
        if let Some(chunks) = chunks {
            let Some(expecting) = expect(stream, chunks) else { return };
            stream = expecting;
        }
        let exchange = hand_over(stream, bytes, left > 0, worker, &ending, terms);
        let reusable = tokio::select! {
            biased; // See `overdue`.
            cause = entrance.carrier.overdue(PATIENCE) => {
                // Both its sides were stuck, so that the engine did not look at either.
                let (listener, reason) = (&terms.name, cause.reason());
                warn!(target: "error", listener, client = %peer.ip(), reason, "a stream did not end and was cut off");
                return;
            }
            reusable = exchange => reusable,
        };
        let Some(reusable) = reusable else { return };
        (stream, _) = reusable.consume();
    }
}

/// `stream`, with these chunks to come; it is never another one than was made here.
fn expect(stream: Stream, chunks: Chunks) -> Option<Stream> {
    let mut connection = stream.into_any().downcast::<Connection<Transport>>().ok()?;
    connection.expect(chunks);
    Some(connection)
}

/// Has the engine answer the request that begins with `bytes`; the connection, if it can be used again. Not a future
/// itself: one that held the session, which is large, would move it back and forth.
fn hand_over<'a>(
    stream: Stream,
    bytes: BytesMut,
    keeps: bool,
    worker: &'a Worker,
    ending: &'a ShutdownWatch,
    terms: &Terms,
) -> impl Future<Output = Option<ReusedHttpStream>> + use<'a> {
    let mut session = ServerSession::new_http1(stream);
    // All of it is there, so that the engine reads no head from the connection. It closes a connection on which
    // more came than the request.
    session.set_pipelined_prefix(bytes);
    session.set_keepalive_reuses_remaining(Some(u32::from(keeps)));
    session.set_read_timeout(Some(terms.read_timeout));
    session.set_write_timeout(Some(terms.write_timeout));
    worker.proxy.process_new_http(session, ending)
}

/// Waits for a request to begin: its first bytes, unless there are to be none.
async fn first_bytes(stream: &mut Stream, is_first: bool, worker: &Worker, terms: &Terms) -> Option<BytesMut> {
    let patience = if is_first { terms.bounds.header_timeout } else { terms.keepalive };
    tokio::select! {
        biased;
        bytes = timeout(patience, poll_fn(|cx| poll_bytes(stream, cx))) => bytes.ok().flatten(),
        () = worker.stop.cancelled() => None,
        () = terms.crowd.pressed(), if !is_first => None,
    }
}

/// What has come, if anything: an idle connection has no buffer.
fn poll_bytes(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Option<BytesMut>> {
    let mut bytes = [MaybeUninit::uninit(); USUAL];
    let mut bytes = ReadBuf::uninit(&mut bytes);
    let read = ready!(Pin::new(stream).poll_read(cx, &mut bytes));
    Poll::Ready(read.ok().map(|()| BytesMut::from(bytes.filled())).filter(|bytes| !bytes.is_empty()))
}

/// Reads a head that begins with these bytes, and whatever came with it; nothing if the client is gone.
async fn read_head(stream: &mut Stream, mut bytes: BytesMut, bounds: &Bounds) -> Result<Option<Readable>, Unread> {
    let mut head = Head::default();
    let whole = match judge(&mut head, &bytes, bounds.max_header_bytes) {
        Ok(None) => {
            let rest = fill(stream, &mut head, &mut bytes, bounds.max_header_bytes);
            let whole = timeout(bounds.header_timeout, rest).await;
            whole.map_or(Err(Denied::HeadTimeout), |whole| whole.map_err(Denied::Malformed))
        }
        whole => whole.map_err(Denied::Malformed),
    };
    let chunks = match whole {
        Ok(Some(length)) => chunks(&head, &bytes[length..]).map_err(Denied::Malformed),
        Ok(None) => return Ok(None),
        Err(denied) => Err(denied),
    };
    match chunks {
        Ok(chunks) => Ok(Some(Readable { bytes: head.with_path(bytes), chunks })),
        Err(denied) => Err(Unread { denied, head, bytes }),
    }
}

/// The chunks of the body, if it comes in any, of which these bytes came with the head.
fn chunks(head: &Head, bytes: &[u8]) -> Result<Option<Chunks>, Malformed> {
    if !head.is_chunked() {
        return Ok(None);
    }
    let mut chunks = Chunks::default();
    chunks.follow(bytes)?;
    Ok(Some(chunks))
}

/// The length of the head once all of it has come; nothing if the client is gone.
async fn fill(
    stream: &mut Stream,
    head: &mut Head,
    bytes: &mut BytesMut,
    most: usize,
) -> Result<Option<usize>, Malformed> {
    loop {
        if bytes.capacity() == bytes.len() {
            bytes.reserve(USUAL);
        }
        if !matches!(stream.read_buf(bytes).await, Ok(1..)) {
            return Ok(None);
        }
        if let Some(length) = judge(head, bytes, most)? {
            return Ok(Some(length));
        }
    }
}

/// The length of the head, if it is whole; it must be no more than `most`.
fn judge(head: &mut Head, bytes: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    match head.read(bytes)? {
        Some(length) if length <= most => Ok(Some(length)),
        None if bytes.len() < most => Ok(None),
        Some(_) | None => Err(Malformed::HeadersTooLarge),
    }
}

async fn refuse(unread: &Unread, client: IpAddr, began: Instant, stream: Stream, worker: &Worker, terms: &Terms) {
    let request = unread.head.method_and_path(&unread.bytes);
    Refused { client, request, hsts: terms.transport.hsts(), began }
        .tell(&unread.denied, stream, &worker.metrics, &worker.access)
        .await;
}
