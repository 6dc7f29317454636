//! An upstream that keeps every byte it was sent, so that tests can say exactly what was forwarded. It
//! speaks just enough HTTP/1.1: `/stall` never answers, `/cut` breaks off in its body, `/garbage` is none at all,
//! `/status/503` answers with that, `/plants` sets cookies, `/secure` insists on TLS, `/kept` may be cached, `/events` keeps sending events and `/event` sends one, an
//! upgrade is answered with 101 and echoed (`/frames` keeps sending frames, `/deaf` reads nothing, `/reset` is gone at once), and everything
//! else gets 200, unless a test says otherwise.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Cookies of the gateway's names, and one of the server's own.
const PLANTED: &str =
    "Set-Cookie: portcullis-access=evil; Path=/\r\nSet-Cookie: theme=dark\r\nSet-Cookie: Portcullis-Refresh=evil\r\n";
/// What a network takes.
const LATENCY: Duration = Duration::from_millis(20);

/// Answers by target.
type Says = BTreeMap<String, String>;
/// How often a stream goes on.
const BEAT: Duration = Duration::from_millis(5);

/// The payload of a frame that `/frames` sends.
const FRAME: usize = 100_000;

/// The head of such a frame: binary, whole, unmasked, its length in eight bytes.
const FRAME_HEAD: [u8; 10] = [0x82, 127, 0, 0, 0, 0, 0, 0x01, 0x86, 0xa0];

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Request line and headers, without the blank line.
    pub head: String,
    /// The body, with its framing if it is chunked.
    pub body: Vec<u8>,
}

impl Recorded {
    /// `GET /path`.
    pub fn target(&self) -> &str {
        self.head.lines().next().unwrap_or("").trim_end_matches(" HTTP/1.1")
    }

    /// All values of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        pairs.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The one value of a header; nothing if it is missing or there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The names of all headers, in lower case.
    pub fn names(&self) -> Vec<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }
}

/// What a recorder knows.
#[derive(Default)]
struct Notes {
    seen: Mutex<Vec<Recorded>>,
    says: Mutex<Says>,
    streams: AtomicUsize,
}

/// A running recorder.
pub struct Recorder {
    address: SocketAddr,
    notes: Arc<Notes>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let notes = Arc::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&notes)));
        Self { address, notes, task }
    }

    /// Has it answer `target`, such as `GET /users/1`, with this status and body from now on.
    ///
    /// # Panics
    /// If a test panicked while it did the same.
    pub fn say(&self, target: &str, status: u16, body: &str) {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.notes.says.lock().expect("no test panics while it holds this").insert(target.to_owned(), answer);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Recorded> {
        self.notes.seen.lock().expect("no test panics while it holds this").clone()
    }

    /// How many tunnels and streams of events are open on its side.
    pub fn streams(&self) -> usize {
        self.notes.streams.load(Ordering::SeqCst)
    }

    /// The last request.
    ///
    /// # Panics
    /// If there was none.
    pub fn last(&self) -> Recorded {
        self.seen().pop().expect("a request reached the upstream")
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, notes: Arc<Notes>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&notes)));
    }
}

async fn serve(mut stream: TcpStream, notes: Arc<Notes>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let head_end = read_until(&mut stream, &mut buffer, b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
        buffer.drain(..head_end + 4);
        let request = Recorded { head, body: Vec::new() };
        let body_end = match (request.header("content-length"), request.header("transfer-encoding")) {
            (Some(length), _) => read_at_least(&mut stream, &mut buffer, length.parse().ok()?).await?,
            (None, Some(_)) => read_until(&mut stream, &mut buffer, b"0\r\n\r\n").await? + 5,
            (None, None) => 0,
        };
        let body: Vec<u8> = buffer.drain(..body_end).collect();
        let target = request.target().to_owned();
        let upgrade = request.header("upgrade").is_some();
        notes.seen.lock().expect("no test panics while it holds this").push(Recorded { body, ..request });
        let said = notes.says.lock().expect("no test panics while it holds this").get(&target).cloned();
        if let Some(answer) = said {
            stream.write_all(answer.as_bytes()).await.ok()?;
            continue;
        }
        if target.ends_with("/stall") {
            std::future::pending::<()>().await;
        }
        if target.ends_with("/cut") {
            stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nhalf").await.ok()?;
            return None;
        }
        if target.ends_with("/garbage") {
            stream.write_all(b"this is no HTTP\r\n\r\n").await.ok()?;
            return None;
        }
        if upgrade || target.ends_with("/events") || target.ends_with("/event") {
            notes.streams.fetch_add(1, Ordering::SeqCst);
            let ended = if upgrade { tunnel(stream, &target).await } else { events(stream, &target).await };
            notes.streams.fetch_sub(1, Ordering::SeqCst);
            return ended;
        }
        let status = target.rsplit_once("/status/").map_or("200", |(_, status)| status);
        let planted = if target.ends_with("/plants") { PLANTED } else { "" };
        let rest = if status == "304" { "\r\n" } else { "Content-Length: 2\r\n\r\n{}" };
        let kept = if target.ends_with("/kept") { "Cache-Control: private, max-age=600\r\n" } else { "" };
        let insists = if target.ends_with("/secure") { "Strict-Transport-Security: max-age=1\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 {status} x\r\nServer: recorder\r\nCDN-Cache-Control: public\r\n{planted}{kept}{insists}{rest}"
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn tunnel(mut stream: TcpStream, target: &str) -> Option<()> {
    // A 101 that comes before the engine has noted the end of the request ends its tunnel at once (Pingora
    // 0.9.1, `proxy_handle_upstream`). No server across a network is that fast; this one would be.
    tokio::time::sleep(LATENCY).await;
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    stream.write_all(accepted.as_bytes()).await.ok()?;
    if target.ends_with("/reset") {
        return stream.set_zero_linger().ok(); // And it is gone.
    }
    let (mut from, mut to) = stream.split();
    let half = vec![7; FRAME / 2];
    match target.rsplit('/').next() {
        Some("frames") => loop {
            // In two pieces, so that there is nearly always one on its way.
            to.write_all(&FRAME_HEAD).await.ok()?;
            to.write_all(&half).await.ok()?;
            tokio::time::sleep(BEAT).await;
            to.write_all(&half).await.ok()?;
        },
        Some("deaf") => std::future::pending().await,
        _ => tokio::io::copy(&mut from, &mut to).await.ok().map(|_| ()),
    }
}

/// Sends events until the other side is gone; or one, and waits for that.
async fn events(mut stream: TcpStream, target: &str) -> Option<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()?;
    loop {
        stream.write_all(b"9\r\ndata: x\n\n\r\n").await.ok()?;
        let gone = stream.read_u8();
        if target.ends_with("/event") {
            return gone.await.ok().map(|_| ());
        }
        if tokio::time::timeout(BEAT, gone).await.is_ok() {
            return None;
        }
    }
}

async fn read_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            return Some(at);
        }
        read_more(stream, buffer).await?;
    }
}

async fn read_at_least(stream: &mut TcpStream, buffer: &mut Vec<u8>, length: usize) -> Option<usize> {
    while buffer.len() < length {
        read_more(stream, buffer).await?;
    }
    Some(length)
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}
