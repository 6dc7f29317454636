//! A Redis of one's own: started on a free port, stopped, stalled and flushed on purpose, and ended with
//! the test. It keeps nothing on disk.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A running redis-server.
pub struct Redis {
    port: u16,
    server: Option<Child>,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// If there is no redis-server; `tests/run` installs it.
    pub async fn start() -> Self {
        let mut redis = Self { port: free_port(), server: None };
        redis.restart().await;
        redis
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Makes it a copy of another one, and waits until it is.
    ///
    /// # Panics
    /// If it never is.
    pub async fn follow(&self, other: &Self) {
        self.command(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]).await.expect("it answers");
        for _ in 0..1000 {
            let state = self.command(&["INFO", "replication"]).await.unwrap_or_default();
            if state.contains("master_link_status:up") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not become a replica");
    }

    /// Makes it a server of its own, with what it has by now: whatever the other one is told from then on is lost.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn promote(&self) {
        self.command(&["REPLICAOF", "NO", "ONE"]).await.expect("it answers");
    }

    /// Starts it again, empty, on the same port.
    pub async fn restart(&mut self) {
        self.stop();
        let port = self.port.to_string();
        let args =
            ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"];
        let mut command = Command::new("redis-server");
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(std::env::temp_dir());
        self.server = Some(command.spawn().expect("redis-server is not there: run tests/run, which installs it"));
        for _ in 0..500 {
            if self.answers().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server did not come up");
    }

    async fn answers(&self) -> bool {
        self.command(&["PING"]).await.is_some_and(|answer| answer.starts_with("+PONG"))
    }

    /// Ends it as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Stops it from answering while its connections stay open.
    pub fn stall(&self) {
        self.signal("-STOP");
    }

    /// Lets it answer again.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let server = self.server.as_ref().expect("it runs");
        let done = Command::new("kill").args([signal, &server.id().to_string()]).status();
        assert!(done.is_ok_and(|status| status.success()), "kill {signal} works on our own child");
    }

    /// Forgets everything, scripts too.
    pub async fn flush(&self) {
        self.command(&["FLUSHALL"]).await.expect("it answers");
        self.command(&["SCRIPT", "FLUSH"]).await.expect("it answers");
    }

    /// Sends one command on a connection of its own: the raw answer, as far as it came at once.
    pub async fn command(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            let _ = write!(request, "${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = vec![0; 65536];
        let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut answer)).await.ok()?.ok()?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    /// How often a command was called since [`Redis::reset_counts`], by `INFO commandstats`.
    pub async fn calls(&self, command: &str) -> u64 {
        let stats = self.command(&["INFO", "commandstats"]).await.expect("it answers");
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0)
    }

    /// Counts from zero again.
    pub async fn reset_counts(&self) {
        self.command(&["CONFIG", "RESETSTAT"]).await.expect("it answers");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    probe.local_addr().expect("it is bound").port()
}
