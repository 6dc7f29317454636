//! Just enough HTTP/1.1 for both ends of a benchmark: messages with a length, over connections that are kept. It
//! adds little to what is measured, which a client library would not.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Connections to one address; as many as there are requests at once.
pub(crate) struct Connections {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
}

/// A connection, and what has been read of it beyond the last message.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Connections {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&self, request: &str) -> Result<Answer, String> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::of(TcpStream::connect(self.address).await.map_err(|why| why.to_string())?),
        };
        connection.send(request).await.ok_or("the gateway took no request")?;
        let (head, body) = connection.receive().await.ok_or("the gateway broke off")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("that is no answer")?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(Answer { status, head, body })
    }
}

impl Connection {
    pub(crate) fn of(stream: TcpStream) -> Self {
        // Small messages are not to wait for each other; without it they would only be slower.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    pub(crate) async fn send(&mut self, message: &str) -> Option<()> {
        self.stream.write_all(message.as_bytes()).await.ok()
    }

    /// The head and the body of the next message; `None` if the other side has gone.
    pub(crate) async fn receive(&mut self) -> Option<(String, String)> {
        let head_end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at,
                None => self.read().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let length = values(&head, "content-length").next().and_then(|length| length.parse().ok()).unwrap_or(0);
        let (body_from, end) = (head_end + 4, head_end + 4 + length);
        while self.buffer.len() < end {
            self.read().await?;
        }
        let body = String::from_utf8_lossy(&self.buffer[body_from..end]).into_owned();
        self.buffer.drain(..end);
        Some((head, body))
    }

    async fn read(&mut self) -> Option<()> {
        self.stream.read_buf(&mut self.buffer).await.ok().filter(|read| *read > 0).map(|_| ())
    }
}

impl Answer {
    /// What a browser sends from now on as `Cookie`, if the answer brings both cookies.
    pub(crate) fn cookies(&self) -> Option<String> {
        let pairs: Vec<&str> = values(&self.head, "set-cookie").filter_map(|line| line.split(';').next()).collect();
        (pairs.len() == 2).then(|| pairs.join("; "))
    }
}

/// The values of a header.
pub(crate) fn values<'a>(head: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = head.lines().filter_map(|line| line.split_once(':'));
    pairs.filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A request with these cookies and this JSON body.
pub(crate) fn request(method: &str, path: &str, cookies: &str, body: &str) -> String {
    let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    let length = body.len();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {length}\r\n") };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n{cookies}{length}\r\n{body}"
    )
}
