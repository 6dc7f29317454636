//! The real program: started with a configuration file, stopped and reloaded by signals, and honest in its
//! exit codes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use portcullis_backend::{Config, DatabaseUrl, Server};
use portcullis_tests::{Client, Recorder, eventually, listening};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The admin token of a [`Stand`].
pub(crate) const ADMIN_TOKEN: &str = "Zk3vR8qLw1XbT6yHn0PcJ5sUd9GfMa2e";

/// More than a worker can let go of before the process has ended, if nobody waits for it.
const STREAMS: usize = 60;

const UPGRADE: &[u8] = b"GET /public/tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const UPGRADED: &[u8] = b"HTTP/1.1 101";

/// A built program of the workspace, beside this test's own.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(program.exists(), "{} is not built: cargo build --workspace", program.display());
    program
}

/// A gateway in a process of its own, and what stands around it.
pub(crate) struct Stand {
    gateway: Child,
    folder: tempfile::TempDir,
    address: String,
    _backend: Server,
    recorder: Recorder,
}

impl Stand {
    /// A gateway whose `[telemetry]` has these keys too.
    pub(crate) async fn start(telemetry: &str) -> Self {
        Self::start_under(":", telemetry, |_| {}).await
    }

    /// [`Stand::start`] after these commands of a shell, such as limits, in a folder that was prepared.
    pub(crate) async fn start_under(commands: &str, telemetry: &str, prepare: impl FnOnce(&Path)) -> Self {
        let toml = include_str!("process.toml").replace("@TELEMETRY@", telemetry);
        Self::launch(commands, &toml, prepare).await
    }

    /// A gateway of this configuration.
    pub(crate) async fn start_with(toml: &str) -> Self {
        Self::launch(":", toml, |_| {}).await
    }

    async fn launch(commands: &str, toml: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = DatabaseUrl::parse(&format!("sqlite:{}", folder.path().join("backend.db").display())).unwrap();
        let backend = Server::start(Config::new("127.0.0.1:0".parse().unwrap(), database)).await.unwrap();
        let recorder = Recorder::start().await;
        let toml = toml
            .replace("@BACKEND@", &backend.address().to_string())
            .replace("@RECORDER@", &recorder.address().to_string());
        std::fs::write(folder.path().join("portcullis.toml"), toml).unwrap();
        std::fs::write(folder.path().join("admin-token"), ADMIN_TOKEN).unwrap();
        prepare(folder.path());
        let gateway = spawn(commands, folder.path(), "out.log");
        let mut stand = Self { gateway, folder, address: String::new(), _backend: backend, recorder };
        eventually("it listens", || async {
            stand.listening("public").is_some() && stand.listening("admin").is_some()
        })
        .await;
        stand.address = stand.listening("public").unwrap();
        stand
    }

    /// A second gateway in this folder, of the same configuration and store, that ends with the test.
    pub(crate) async fn another(&self) -> Another {
        let log = self.folder.path().join("another.log");
        let gateway = spawn(":", self.folder.path(), "another.log");
        let address = |listener| listening(&std::fs::read_to_string(&log).unwrap(), listener);
        eventually("it listens", || async { address("public").is_some() && address("admin").is_some() }).await;
        let client = |listener| Client::anonymous(format!("http://{}", address(listener).unwrap()));
        Another { client: client("public"), admin: client("admin"), _gateway: gateway }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self) -> Client {
        Client::anonymous(self.url())
    }

    /// Someone who has the admin token.
    pub(crate) fn admin(&self) -> Client {
        Client::anonymous(format!("http://{}", self.listening("admin").unwrap())).with_access(ADMIN_TOKEN)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.parse().unwrap()
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.gateway.id().unwrap()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn logs(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out.log")).unwrap()
    }

    /// Where a listener says that it listens.
    fn listening(&self, listener: &str) -> Option<String> {
        listening(&self.logs(), listener)
    }

    fn signal(&self, signal: &str) {
        let id = self.process().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Stops it as an operator would: what it logged.
    pub(crate) async fn stop(mut self) -> String {
        self.end().await;
        self.logs()
    }

    /// [`Stand::stop`]: its folder, with its store.
    pub(crate) async fn stop_and_keep(mut self) -> tempfile::TempDir {
        self.end().await;
        self.folder
    }

    async fn end(&mut self) {
        self.signal("-TERM");
        assert_eq!(self.gateway.wait().await.unwrap().code(), Some(0));
    }
}

/// Who asks a second gateway of a [`Stand`], and its admin listener.
pub(crate) struct Another {
    pub(crate) client: Client,
    pub(crate) admin: Client,
    _gateway: Child,
}

/// Runs the gateway of `folder` after these commands of a shell.
fn spawn(commands: &str, folder: &Path, log: &str) -> Child {
    let log = std::fs::File::create(folder.join(log)).unwrap();
    let mut gateway = Command::new("sh");
    gateway.args(["-c", &format!("{commands}; exec \"$0\" run")]).arg(program("portcullis")).current_dir(folder);
    gateway.stdout(Stdio::from(log.try_clone().unwrap())).stderr(Stdio::from(log)).kill_on_drop(true).spawn().unwrap()
}

pub(crate) async fn run(arguments: &[&str], folder: &Path) -> (i32, String, String) {
    let output =
        Command::new(program("portcullis")).args(arguments).current_dir(folder).env_clear().output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn hup_loads_the_configuration_again_all_or_nothing() {
    let stand = Stand::start("").await;
    let path = stand.folder.path().join("portcullis.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let reloads = |outcome: &'static str| stand.logs().contains(outcome);

    std::fs::write(&path, good.replace("policy = \"public\"", "policy = \"pubic\"")).unwrap();
    stand.signal("-HUP");
    eventually("it complains", || async { reloads("the new configuration is wrong; the last one stays") }).await;
    assert_eq!(stand.client().get("/public/x").await.status, 200);

    std::fs::write(&path, good.replace("policy = \"public\"", "policy = \"authenticated\"")).unwrap();
    stand.signal("-HUP");
    eventually("it is at work", || async { stand.client().get("/public/x").await.status == 401 }).await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let mut stand = Stand::start("").await;
    let client = stand.client();
    let cut = tokio::spawn(async move { client.try_send(client.request(reqwest::Method::GET, "/public/stall")).await });
    eventually("the request is under way", || async { !stand.recorder.seen().is_empty() }).await;
    stand.signal("-TERM");
    eventually("it stops", || async { stand.logs().contains("stopping") }).await;
    stand.signal("-TERM");
    assert_eq!(stand.gateway.wait().await.unwrap().code(), Some(4));
    assert!(cut.await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_cut_off_have_their_access_lines_whoever_served_them() {
    for workers in [1, 2, 3] {
        let toml = include_str!("process.toml").replace("@TELEMETRY@", &format!("[process]\nworkers = {workers}"));
        let mut stand = Stand::start_with(&toml).await;
        let mut tunnels = Vec::new();
        for _ in 0..STREAMS {
            let mut tunnel = TcpStream::connect(stand.address()).await.unwrap();
            tunnel.write_all(UPGRADE).await.unwrap();
            tunnel.read_exact(&mut [0; UPGRADED.len()]).await.unwrap();
            tunnels.push(tunnel);
        }
        stand.signal("-TERM");
        eventually("it stops", || async { stand.logs().contains("stopping") }).await;
        stand.signal("-TERM");
        assert_eq!(stand.gateway.wait().await.unwrap().code(), Some(4), "{workers} workers");
        let logs = stand.logs();
        let lines = logs.lines().filter(|line| line.contains(r#""path":"/public/tunnel""#)).count();
        assert_eq!(lines, STREAMS, "{workers} workers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wrong.toml"), "[listeners.public]\naddress = 8080\n").unwrap();
    let (code, _, errors) = run(&["check", "wrong.toml"], folder.path()).await;
    assert_eq!(code, 1);
    assert!(errors.contains("wrong.toml:2 "), "{errors}");
    assert_eq!(run(&["run", "--config", "missing.toml"], folder.path()).await.0, 1);
    assert_eq!(run(&["no-such-command"], folder.path()).await.0, 2);
    let (code, version, _) = run(&["version"], folder.path()).await;
    assert_eq!((code, version.starts_with("portcullis ")), (0, true));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let toml = include_str!("process.toml")
        .replace("@BACKEND@", "127.0.0.1:1")
        .replace("@RECORDER@", "127.0.0.1:1")
        .replace("@TELEMETRY@", "")
        .replacen("127.0.0.1:0", &address, 1);
    std::fs::write(folder.path().join("taken.toml"), toml).unwrap();
    std::fs::write(folder.path().join("admin-token"), ADMIN_TOKEN).unwrap();
    let (code, logs, _) = run(&["run", "--config", "taken.toml"], folder.path()).await;
    assert_eq!(code, 3, "{logs}");
    assert!(logs.contains("can't listen on"), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_what_would_happen_and_sends_nothing() {
    let stand = Stand::start("").await;
    let folder = stand.folder.path();
    let mut alice = stand.client();
    alice.register("alice").await;
    alice.keep(&alice.try_login("alice", Client::PASSWORD).await);
    let token = alice.access_token();
    for (question, expected) in [
        (&["GET", "/nowhere"][..], "404 no_route"),
        (&["PATCH", "/users/me"], "405 method_not_allowed"),
        (&["GET", "/users/me"], "401 no_credential"),
        (&["GET", "/public/../users/me", "--as", "bob"], "forwarded to backend as GET /users/me with X-User-Id: bob"),
        (&["GET", "/admins/x", "--as", "bob", "--roles", "user"], "403 missing_role"),
        (&["GET", "/admins/x", "--as", "bob", "--roles", "admin"], "X-User-Roles: admin"),
        (&["POST", "/auth/register"], "forwarded to backend as POST /users without X-User-Id"),
        (&["GET", "/users/me", "--token", &token], "with X-User-Id: "),
        (&["GET", "/users/me", "--token", "garbage"], "401 token_invalid"),
        (&["GET", "/a%2fb"], "400 malformed_request"),
        (&["GET", "/public/a;b"], "400 malformed_request"),
        (&["GET", "/archive/a;b"], "accepts   matrix_parameters,encoded_slash"),
    ] {
        let (code, answer, errors) = run(&[&["explain"], question].concat(), folder).await;
        assert_eq!(code, 0, "{question:?} {errors}");
        assert!(answer.contains(expected), "{question:?}\n{answer}");
    }
    alice.logout("this").await;
    let (_, answer, _) = run(&["explain", "GET", "/users/me", "--token", &token], folder).await;
    assert!(answer.contains("401 token_revoked"), "{answer}");
    let (code, table, _) = run(&["routes"], folder).await;
    assert_eq!(code, 0);
    assert!(table.lines().next().unwrap().starts_with("ROUTE"), "{table}");
    assert!(table.contains("auth.login"), "{table}");
    let opened = table.lines().find(|line| line.starts_with("archive")).unwrap();
    assert!(opened.contains("  matrix_parameters,encoded_slash  "), "{table}");
    let logs = stand.stop().await;
    assert!(logs.contains(r#""route":"archive","accepts":"matrix_parameters,encoded_slash""#), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_and_listed_without_showing_them() {
    let stand = Stand::start("").await;
    let folder = stand.folder.path();
    let (code, made, errors) = run(&["keys", "generate"], folder).await;
    assert_eq!(code, 0, "{errors}");
    let name = made.split(' ').next().unwrap().to_owned();
    let (_, list, _) = run(&["keys", "list"], folder).await;
    assert!(list.contains(&name), "{list}");
    let (code, _, _) = run(&["keys", "generate", "--algorithm", "EdDSA", "--out", "key.pem"], folder).await;
    assert_eq!(code, 0);
    assert!(std::fs::read_to_string(folder.join("key.pem")).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    let (code, _, errors) = run(&["keys", "generate", "--out", "key.pem"], folder).await;
    assert_eq!(code, 1, "a key is never overwritten: {errors}");
    assert!(![made, list].concat().contains("PRIVATE"));
}
