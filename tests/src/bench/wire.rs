//! Just enough HTTP/1.1 for both ends of a benchmark: messages with a length, over connections that are kept. It
//! adds little to what is measured, which a client library would not.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Connections to one address; as many as there are requests at once.
pub struct Connections {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
}

/// A connection, and what has been read of it beyond the last message.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A complete answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The status line and headers.
    pub head: String,
    /// What follows them.
    pub body: String,
}

impl Connections {
    /// None yet.
    pub fn to(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Sends a request that may be repeated, and reads its answer. A connection that was closed while it was idle is
    /// no failure: the request goes over a new one (RFC 9110 §9.2.2).
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn exchange(&self, request: &str) -> Result<Answer, String> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = idle
            && let Ok(answer) = connection.exchange(request).await
        {
            return Ok(self.keep(connection, answer));
        }
        let stream = TcpStream::connect(self.address).await.map_err(|why| why.to_string())?;
        let mut connection = Connection::of(stream);
        let answer = connection.exchange(request).await?;
        Ok(self.keep(connection, answer))
    }

    fn keep(&self, connection: Connection, answer: Answer) -> Answer {
        if !answer.is_last() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        answer
    }
}

impl Connection {
    /// Takes a stream over.
    pub fn of(stream: TcpStream) -> Self {
        // Small messages are not to wait for each other; without it they would only be slower.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn exchange(&mut self, request: &str) -> Result<Answer, String> {
        self.send(request).await.ok_or("the gateway took no request")?;
        let (head, body) = self.receive().await.ok_or("the gateway broke off")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("that is no answer")?;
        Ok(Answer { status, head, body })
    }

    /// Sends a whole message; `None` if the other side has gone.
    pub async fn send(&mut self, message: &str) -> Option<()> {
        self.stream.write_all(message.as_bytes()).await.ok()
    }

    /// The head and the body of the next message; `None` if the other side has gone.
    pub async fn receive(&mut self) -> Option<(String, String)> {
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
    pub fn cookies(&self) -> Option<String> {
        let pairs: Vec<&str> = values(&self.head, "set-cookie").filter_map(|line| line.split(';').next()).collect();
        (pairs.len() == 2).then(|| pairs.join("; "))
    }

    /// Whether the other side closes the connection behind it.
    pub fn is_last(&self) -> bool {
        values(&self.head, "connection").any(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// The values of a header.
pub fn values<'a>(head: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = head.lines().filter_map(|line| line.split_once(':'));
    pairs.filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A request with this header, unless it is empty, and this JSON body.
pub fn request(method: &str, path: &str, (name, value): (&str, &str), body: &str) -> String {
    let header = if value.is_empty() { String::new() } else { format!("{name}: {value}\r\n") };
    let length = body.len();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {length}\r\n") };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n{header}{length}\r\n{body}"
    )
}
