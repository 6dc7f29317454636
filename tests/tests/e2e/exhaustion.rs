//! What the system runs out of: descriptors and disks. The gateway goes on with what is left, says so in its metrics,
//! and is well again by itself.

use portcullis_tests::{Client, eventually};
use tokio::net::TcpStream;

use crate::process::Stand;

async fn metric(stand: &Stand, line: &str) -> f64 {
    let metrics = stand.admin().get("/metrics").await.body;
    metrics.lines().find_map(|other| other.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_descriptors_serves_again_when_there_are_some() {
    let stand = Stand::start_under("ulimit -n 96", "", |_| {}).await;
    assert_eq!(stand.client().get("/public/x").await.status, 200);
    let mut crowd = Vec::new();
    for _ in 0..150 {
        crowd.push(TcpStream::connect(stand.address()).await.unwrap());
    }
    eventually("it runs out", || async { stand.logs().contains("accepting fails") }).await;
    drop(crowd);
    eventually("it serves again", || async {
        let client = stand.client();
        client.try_send(client.request(reqwest::Method::GET, "/public/x")).await.is_some_and(|it| it.status == 200)
    })
    .await;
    let errors = metric(&stand, r#"portcullis_accept_errors_total{kind="descriptors",listener="public"}"#).await;
    assert!((1.0..1000.0).contains(&errors), "it paused in between: {errors}");
    let logs = stand.stop().await;
    assert!(logs.contains("fewer files may be open than"), "it said so when it started: {logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_log_lines_and_no_request() {
    let stand = Stand::start_under(":", "folder = \"logs\"", |folder| {
        std::fs::create_dir(folder.join("logs")).unwrap();
        for stream in ["api", "error"] {
            std::os::unix::fs::symlink("/dev/full", folder.join(format!("logs/{stream}.log"))).unwrap();
        }
    })
    .await;
    for _ in 0..20 {
        assert_eq!(stand.client().get("/public/x").await.status, 200);
    }
    eventually("they are counted", || async { metric(&stand, "portcullis_log_lines_lost_total").await >= 20.0 }).await;
    let told = stand.stop().await.matches("log lines were lost").count();
    assert!((1..=4).contains(&told), "each of the two says so, and not for ever: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_no_disk_left_is_unavailable_and_what_needs_none_goes_on() {
    // A file may have 512 KiB, and whoever writes more is told so instead of being ended.
    let stand = Stand::start_under("trap '' XFSZ; ulimit -f 1024", "", |_| {}).await;
    let client = stand.client();
    assert_eq!(client.register("alice").await.status, 201);
    let mut alice = client.clone();
    alice.keep(&client.try_login("alice", Client::PASSWORD).await);
    let mut refusal = None;
    for _ in 0..2000 {
        let answer = alice.refresh().await;
        if answer.status != 200 {
            refusal = Some(answer);
            break;
        }
    }
    let refusal = refusal.expect("the disk is full sooner or later");
    assert_eq!(refusal.problem(), "503 store_unavailable: Try again shortly");
    assert_eq!(refusal.header("retry-after"), "1");
    assert_eq!(client.get("/public/x").await.status, 200);
    assert_eq!(alice.get("/users/me").await.status, 200, "what is there can be read");
    stand.stop().await;
}
