//! A connection on a pipe whose other end is the client.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::config::{BodyPace, Transport};
use crate::inbound::Malformed;
use crate::metrics::Metrics;
use crate::streams::carrier::Kind;
use crate::streams::{Cause, Open, Streams};

const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
const HELLO: &[u8] = b"\x81\x05hello";
const REVOKED: &[u8] = b"\x88\x11\x0f\xa1session_revoked";

const PACE: BodyPace = BodyPace { request_timeout: Duration::from_secs(1), min_rate: 1, grace: Duration::from_secs(1) };

struct Pipe {
    connection: Connection<DuplexStream>,
    client: DuplexStream,
    streams: Arc<Streams>,
    open: Open,
}

/// A connection that carries a stream, on a pipe that holds `capacity` bytes.
fn pipe(kind: Kind, capacity: usize) -> Pipe {
    let (ours, client) = duplex(capacity);
    let entrance = Arc::new(Entrance::new(&Transport::Plain { h2c: false }, PACE));
    let streams = Arc::new(Streams::new(Arc::new(Metrics::new())));
    let open = streams.begin(&entrance.carrier, kind, None);
    Pipe { connection: Connection::new(ours, &entrance).unwrap(), client, streams, open }
}

/// All that a client gets until nothing more comes; it then closes as one should.
async fn received(mut client: DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn what_is_not_to_end_passes_as_it_is() {
    let Pipe { mut connection, mut client, open, .. } = pipe(Kind::Bytes, 1024);
    client.write_all(b"question").await.unwrap();
    let mut question = [0; 8];
    connection.read_exact(&mut question).await.unwrap();
    let slices = [IoSlice::new(b"an"), IoSlice::new(b"swer")];
    assert_eq!(connection.write_vectored(&slices).await.unwrap(), 6);
    AsyncWriteExt::shutdown(&mut connection).await.unwrap();
    assert_eq!((&question, received(client).await), (b"question", b"answer".to_vec()));
    assert_eq!(open.ended(), None);
}

#[tokio::test]
async fn bytes_that_are_to_end_are_at_their_end_on_both_sides() {
    let Pipe { mut connection, mut client, streams, open } = pipe(Kind::Bytes, 1024);
    connection.write_all(b"data: 1\n\n").await.unwrap();
    client.write_all(b"unread").await.unwrap();
    streams.end_all(Cause::Revoked);
    assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(connection.write(b"data: 2\n\n").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    drop(connection);
    assert_eq!(received(client).await, b"data: 1\n\n");
    assert_eq!(open.ended(), Some(Cause::Revoked));
}

#[tokio::test]
async fn broken_chunks_are_told_once_and_nobody_reads_what_follows() {
    let Pipe { mut connection, mut client, open: _open, .. } = pipe(Kind::Bytes, 1024);
    connection.expect(Chunks::default());
    let mut buffer = [0; 64];
    client.write_all(b"2\r\nab\r\n").await.unwrap();
    assert_eq!(connection.read(&mut buffer).await.unwrap(), 7);
    client.write_all(b"x\r\n").await.unwrap();
    let told = connection.read(&mut buffer).await.unwrap_err();
    assert!(matches!(told.get_ref().and_then(|told| told.downcast_ref()), Some(Malformed::Chunk(_))), "{told}");
    client.write_all(b"0\r\n\r\nGET / HTTP/1.1\r\n").await.unwrap();
    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    assert_eq!(connection.read(&mut buffer).await.unwrap(), 0, "all of it is lost, so that closing loses no answer");
}

#[tokio::test]
async fn a_flood_behind_broken_chunks_comes_to_an_end() {
    let Pipe { mut connection, mut client, open: _open, .. } = pipe(Kind::Bytes, 1024);
    connection.expect(Chunks::default());
    client.write_all(b"x\r\n").await.unwrap();
    let mut buffer = [0; 64];
    connection.read(&mut buffer).await.unwrap_err();
    let flood = tokio::spawn(async move {
        let mut sent = 0;
        while client.write_all(&[b'0'; 1024]).await.is_ok() {
            sent += 1024;
        }
        sent
    });
    assert_eq!(connection.read(&mut buffer).await.unwrap(), 0);
    drop(connection);
    let sent: usize = flood.await.unwrap();
    assert!((MOST_LOST..MOST_LOST + 4096).contains(&sent), "{sent}");
}

#[tokio::test]
async fn chunks_that_are_whole_are_followed_no_further_until_there_are_more() {
    let Pipe { mut connection, mut client, open: _open, .. } = pipe(Kind::Bytes, 1024);
    let mut buffer = [0; 64];
    for next in [&b"GET / HTTP/1.1\r\n"[..], b"0\r\n\r\n", b"GET / HTTP/1.1\r\n"] {
        client.write_all(b"0\r\n\r\n").await.unwrap();
        connection.expect(Chunks::default());
        assert_eq!(connection.read(&mut buffer).await.unwrap(), 5);
        client.write_all(next).await.unwrap();
        assert_eq!(connection.read(&mut buffer).await.unwrap(), next.len());
    }
}

#[tokio::test]
async fn an_idle_websocket_is_told_why_however_small_the_steps() {
    for capacity in [1, 2, 3, 1024] {
        let Pipe { mut connection, client, streams, open: _open } = pipe(Kind::Frames, capacity);
        let client = tokio::spawn(received(client));
        connection.write_all(HEAD).await.unwrap();
        connection.write_all(HELLO).await.unwrap();
        streams.end_all(Cause::Revoked);
        assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0, "the end of the file");
        assert_eq!(client.await.unwrap(), [HEAD, HELLO, REVOKED].concat(), "{capacity}");
    }
}

#[tokio::test]
async fn a_frame_that_has_begun_is_whole_before_the_close() {
    for vectored in [false, true] {
        for at in 0..=HELLO.len() {
            let Pipe { mut connection, client, streams, open: _open } = pipe(Kind::Frames, 1024);
            let client = tokio::spawn(received(client));
            connection.write_all(HEAD).await.unwrap();
            connection.write_all(&HELLO[..at]).await.unwrap();
            streams.end_all(Cause::Over);
            let rest = [&HELLO[at..], HELLO, HELLO].concat();
            let rest = if at == 0 { &rest[HELLO.len()..] } else { &rest };
            let mut sent = 0;
            let error = loop {
                let slices = [IoSlice::new(b""), IoSlice::new(&rest[sent..])];
                let written = if vectored {
                    connection.write_vectored(&slices).await
                } else {
                    connection.write(&rest[sent..]).await
                };
                match written {
                    Ok(written) => sent += written,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
            let whole = if at == 0 { &b""[..] } else { HELLO };
            let expected = [HEAD, whole, b"\x88\x0e\x0f\xa1session_over"].concat();
            assert_eq!(client.await.unwrap(), expected, "from byte {at} on");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_never_whole_is_followed_by_nothing() {
    let Pipe { mut connection, client, streams, open: _open } = pipe(Kind::Frames, 1024);
    connection.write_all(HEAD).await.unwrap();
    connection.write_all(&HELLO[..4]).await.unwrap();
    streams.end_all(Cause::Revoked);
    assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0, "in time");
    drop(connection);
    assert_eq!(received(client).await, [HEAD, &HELLO[..4]].concat());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_client_that_does_not_close_or_does_not_read() {
    for capacity in [1024, HEAD.len() + 1] {
        let Pipe { mut connection, mut client, streams, open: _open } = pipe(Kind::Frames, capacity);
        connection.write_all(HEAD).await.unwrap();
        client.write_all(b"last words").await.unwrap();
        streams.end_all(Cause::Leaving);
        let began = tokio::time::Instant::now();
        assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(began.elapsed() < PATIENCE, "the engine has time to end the request");
    }
}

#[tokio::test]
async fn a_server_that_has_closed_is_not_contradicted() {
    let Pipe { mut connection, client, streams, open: _open } = pipe(Kind::Frames, 1024);
    let client = tokio::spawn(received(client));
    connection.write_all(&[HEAD, b"\x88\x02\x03\xe8"].concat()).await.unwrap();
    streams.end_all(Cause::Revoked);
    assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(client.await.unwrap(), [HEAD, b"\x88\x02\x03\xe8"].concat());
}

#[tokio::test]
async fn an_answer_that_switched_nothing_gets_no_frame() {
    let Pipe { mut connection, client, streams, open: _open } = pipe(Kind::Frames, 1024);
    connection.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n{}").await.unwrap();
    streams.end_all(Cause::Revoked);
    assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0);
    drop(connection);
    assert_eq!(received(client).await, b"HTTP/1.1 502 Bad Gateway\r\n\r\n{}");
}
