//! A real redis-server of a test's own, on a free port, gone when the test is. It can be stopped, stalled
//! and asked like the one that an operator runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

pub(crate) struct RedisServer {
    port: u16,
    running: Option<(Child, BufReader<ChildStdout>)>,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one and waits until it accepts connections.
    pub(crate) fn start() -> Self {
        let mut server = Self { port: 0, running: None, folder: tempfile::tempdir().unwrap() };
        for _ in 0..20 {
            server.port = free_port();
            if server.spawn() {
                return server;
            }
        }
        panic!("redis-server does not start on any port");
    }

    /// A port on which none runs, for `start_again`.
    pub(crate) fn absent() -> Self {
        Self { port: free_port(), running: None, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts it on the port that it had.
    pub(crate) fn start_again(&mut self) {
        assert!(self.spawn(), "the port was taken by somebody else");
    }

    pub(crate) fn stop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops the process in its tracks: connections stay, nothing is answered.
    pub(crate) fn stall(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// What redis-cli prints.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let output = self.cli().args(command).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn cli(&self) -> Command {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        cli
    }

    /// Whether it accepts connections; not if the port is taken.
    fn spawn(&mut self) -> bool {
        let mut child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(self.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is missing; tests/run installs what the tests need");
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let is_ready = log.by_ref().lines().map_while(Result::ok).any(|line| line.contains("Ready to accept"));
        if is_ready {
            self.running = Some((child, log));
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        is_ready
    }

    fn signal(&self, signal: &str) {
        let (child, _) = self.running.as_ref().unwrap();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
