//! Connections are served by as many threads as the configuration says, and each of them by one.

use std::collections::BTreeMap;

use portcullis_tests::Client;

use crate::process::Stand;

/// How many requests show who serves them.
const REQUESTS: u64 = 40;

/// How often each worker has gone to sleep, by its name.
fn sleeps(stand: &Stand) -> BTreeMap<String, u64> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", stand.process())).unwrap();
    let read = |folder: &std::path::Path, file| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    let sleeps = |status: &str| {
        status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok())
    };
    threads
        .filter_map(|thread| {
            let folder = thread.ok()?.path();
            let name = read(&folder, "comm").trim().to_owned();
            name.starts_with("worker-").then(|| sleeps(&read(&folder, "status")).map(|count| (name, count)))?
        })
        .collect()
}

/// Who serves this client.
async fn servers_of(client: &Client, stand: &Stand) -> Vec<String> {
    let before = sleeps(stand);
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/none").await.status, 404);
    }
    let after = sleeps(stand).into_iter();
    after.filter(|(name, count)| count - before[name] >= REQUESTS / 2).map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_stays_with_one_worker_and_the_next_goes_to_another() {
    let toml = include_str!("process.toml").replace("@TELEMETRY@", "[process]\nworkers = 3");
    let stand = Stand::start_with(&toml).await;
    let names: Vec<_> = sleeps(&stand).into_keys().collect();
    assert_eq!(names, ["worker-0", "worker-1", "worker-2"]);
    let clients = [stand.client(), stand.client(), stand.client()];
    for client in &clients {
        assert_eq!(client.get("/none").await.status, 404, "it is connected");
    }
    let mut servers = Vec::new();
    for client in &clients {
        servers.extend(servers_of(client, &stand).await);
    }
    servers.sort();
    assert_eq!(servers, names, "each serves one");
    stand.stop().await;
}
