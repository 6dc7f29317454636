//! Connections are served by as many threads as the configuration says, and each of them by one.

use std::collections::BTreeMap;

use portcullis_tests::Client;

use crate::process::Stand;

/// How many requests show who serves them.
const REQUESTS: u32 = 200;

/// How often each worker was put to work, by its name: for how long depends on the host of the machine, too.
fn work(stand: &Stand) -> BTreeMap<String, u64> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", stand.process())).unwrap();
    let workers = threads.filter_map(|thread| {
        let folder = thread.ok()?.path();
        let name = std::fs::read_to_string(folder.join("comm")).ok()?;
        let name = name.trim().strip_prefix("worker-")?;
        let turns = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        Some((name.to_owned(), turns.trim().split(' ').nth(2)?.parse().ok()?))
    });
    workers.collect()
}

/// Who serves this client: who works most while it asks.
async fn server_of(client: &Client, stand: &Stand) -> String {
    let before = work(stand);
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/none").await.status, 404);
    }
    let growth = work(stand).into_iter().map(|(name, turns)| (turns - before[&name], name));
    growth.max().unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_stays_with_one_worker_and_the_next_goes_to_another() {
    let toml = include_str!("process.toml").replace("@TELEMETRY@", "[process]\nworkers = 3");
    let stand = Stand::start_with(&toml).await;
    let names: Vec<_> = work(&stand).into_keys().collect();
    assert_eq!(names, ["0", "1", "2"]);
    let clients = [stand.client(), stand.client(), stand.client()];
    for client in &clients {
        assert_eq!(client.get("/none").await.status, 404, "it is connected");
    }
    let mut servers = Vec::new();
    for client in &clients {
        servers.push(server_of(client, &stand).await);
    }
    servers.sort();
    assert_eq!(servers, names, "each serves one");
    stand.stop().await;
}
