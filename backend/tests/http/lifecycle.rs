//! Stopping: what runs is finished, what is idle is closed, what takes too long is cut off.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_backend::Stopped;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::service::{PASSWORD, Service};

#[tokio::test]
async fn a_running_request_is_finished_and_nothing_new_is_accepted() {
    let service = Service::start().await;
    let address = service.server.address();
    let (mut running, rest) = half_sent(address).await;
    let stopping = tokio::spawn(service.server.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished(), "it waits for the request that runs");

    running.write_all(rest.as_bytes()).await.expect("it still reads");
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.expect("it answers and closes");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(stopping.await.expect("it stops"), Stopped::Drained);
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_stop() {
    let service = Service::start().await;
    let mut idle = TcpStream::connect(service.server.address()).await.expect("it accepts");
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it reads");
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.expect("it answers");
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(service.server.stop().await, Stopped::Drained);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_cut_off() {
    let service = Service::start_with(|config| config.drain = Duration::from_millis(50)).await;
    let (mut running, _) = half_sent(service.server.address()).await;
    assert_eq!(service.server.stop().await, Stopped::CutOff { connections: 1 });
    let mut nothing = Vec::new();
    assert_eq!(running.read_to_end(&mut nothing).await.unwrap_or(0), 0, "it is cut off without an answer");
}

/// A request whose body is still to come, once the service is waiting for that; and the body.
async fn half_sent(address: SocketAddr) -> (TcpStream, String) {
    let body = json!({"username": "alice", "password": PASSWORD}).to_string();
    let head = format!(
        "POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.expect("it asks for the body");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    (stream, body)
}
