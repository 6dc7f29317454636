//! Messages of HTTP/1.1 that have a length, read with as few system calls and copies as can be: one read and one write for
//! a small one. For both ends of a benchmark that saturates what is between them; `wire.rs` is for all others. Bodies
//! are counted, and only their beginning is kept.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is read at once.
const BUFFER: usize = 64 * 1024;
/// So much of a message is kept; a head that is longer is none.
const KEPT: usize = 16 * 1024;

/// A connection, and what was read of it.
pub struct Line {
    stream: TcpStream,
    buffer: Box<[u8]>,
    filled: usize,
}

/// A message, as far as it is kept.
pub struct Message<'a> {
    /// The first line and the headers, with the empty line behind them.
    pub head: &'a [u8],
    /// The beginning of its body.
    pub body: &'a [u8],
    /// How long the body was.
    pub length: usize,
}

impl Line {
    /// Takes a stream over.
    pub fn of(stream: TcpStream) -> Self {
        // Small messages are not to wait for each other; without it they would only be slower.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: vec![0; BUFFER].into_boxed_slice(), filled: 0 }
    }

    /// The stream alone, to be kept and not used.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends these bytes; `None` if the other side has gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()
    }

    /// Reads the next message to its end; `None` if the other side has gone, or sends something else.
    pub async fn receive(&mut self) -> Option<Message<'_>> {
        self.filled = 0; // Nothing is sent before the last message was answered, so nothing is left of it.
        let head = loop {
            self.read().await?;
            if let Some(end) = head_end(&self.buffer[..self.filled]) {
                break end;
            }
        };
        let length = match value(&self.buffer[..head], b"content-length") {
            Some(length) => std::str::from_utf8(length).ok()?.parse().ok()?,
            None => 0,
        };
        let mut missing = (head + length).checked_sub(self.filled)?;
        while missing > 0 {
            if self.filled == BUFFER {
                self.filled = KEPT;
            }
            missing = missing.checked_sub(self.read().await?)?;
        }
        let kept = (head + length).min(KEPT);
        Some(Message { head: &self.buffer[..head], body: &self.buffer[head..kept], length })
    }

    async fn read(&mut self) -> Option<usize> {
        let free = if self.filled < KEPT { KEPT } else { BUFFER };
        let read = self.stream.read(&mut self.buffer[self.filled..free]).await.ok().filter(|read| *read > 0)?;
        self.filled += read;
        Some(read)
    }
}

impl Message<'_> {
    /// The status of an answer.
    pub fn status(&self) -> &[u8] {
        self.head.get(9..12).unwrap_or_default()
    }

    /// Whether the other side closes the connection behind it.
    pub fn is_last(&self) -> bool {
        value(self.head, b"connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
    }

    /// All of it as text, for people.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&[self.head, self.body].concat()).into_owned()
    }
}

/// The first value of a header, by its name in lower case.
pub fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.find_map(|line| {
        let (start, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":")?;
        start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Where the head ends. Looks at every fourth byte as long as it is none of those that end it.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 3;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' if bytes[at - 3..=at] == *b"\r\n\r\n" => return Some(at + 1),
            b'\r' | b'\n' => at += 1,
            _ => at += 4,
        }
    }
    None
}
