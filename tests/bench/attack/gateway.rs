//! The gateway as it is run in earnest, in a process of its own: this program is `portcullis` too. It logs to a file,
//! which tells where it listens. Beyond its configuration nothing is set for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use portcullis_tests::bench::process::{self, Usage};
use portcullis_tests::bench::wire::{self, Connections};
use portcullis_tests::{Redis, listening};
use tokio::process::{Child, Command};

use crate::Wrong;
use crate::terms::{Store, Terms};

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) public: SocketAddr,
    pub(crate) h2c: SocketAddr,
    admin: Connections,
    child: Child,
    _folder: tempfile::TempDir,
    _redis: Option<Redis>,
}

/// Counters by name and labels.
pub(crate) type Counters = BTreeMap<String, f64>;

impl Gateway {
    /// Starts one in front of `upstream`.
    pub(crate) async fn start(terms: &Terms, upstream: SocketAddr) -> Result<Self, Wrong> {
        let folder = tempfile::tempdir().map_err(|why| why.to_string())?;
        let redis = match terms.store {
            Store::Embedded => None,
            Store::Redis => Some(Redis::start().await),
        };
        let store = redis.as_ref().map_or_else(|| "embedded:store.db".to_owned(), Redis::url);
        let toml = include_str!("gateway.toml").replace("@STORE@", &store);
        let toml = toml.replace("@UPSTREAM@", &upstream.to_string());
        let child = spawn(&toml, folder.path(), terms.pin).map_err(|why| why.to_string())?;
        let logs = folder.path().join("out.log");
        for _ in 0..500 {
            let said = std::fs::read_to_string(&logs).unwrap_or_default();
            let at = |listener| listening(&said, listener).and_then(|address| address.parse().ok());
            if let (Some(public), Some(h2c), Some(admin)) = (at("public"), at("h2c"), at("admin")) {
                let admin = Connections::to(admin);
                return Ok(Self { public, h2c, admin, child, _folder: folder, _redis: redis });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("the gateway does not listen:\n{}", std::fs::read_to_string(&logs).unwrap_or_default()))
    }

    /// What it has cost so far.
    pub(crate) fn usage(&self) -> Usage {
        self.child.id().map(process::usage).unwrap_or_default()
    }

    /// What it has counted so far; [`OPEN`] among it.
    pub(crate) async fn counters(&self) -> Result<Counters, Wrong> {
        let metrics = self.admin.exchange(&wire::request("GET", "/metrics", ("Accept", "*/*"), "")).await?.body;
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.strip_prefix("portcullis_")?.rsplit_once(' '));
        let wanted = pairs.filter(|(name, _)| name.contains("_total") || *name == OPEN);
        Ok(wanted.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }
}

/// The connections that are open.
pub(crate) const OPEN: &str = "connections_open";

fn spawn(toml: &str, folder: &Path, pin: bool) -> std::io::Result<Child> {
    std::fs::write(folder.join("portcullis.toml"), toml)?;
    let log = std::fs::File::create(folder.join("out.log"))?;
    let mut command = ourselves(pin.then_some(0))?;
    command.arg("run").env_remove("PORTCULLIS_CONFIG").current_dir(folder);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()
}

/// This program, perhaps on one core only.
pub(crate) fn ourselves(core: Option<usize>) -> std::io::Result<Command> {
    let program = std::env::current_exe()?;
    Ok(match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("--cpu-list").arg(core.to_string()).arg(program);
            command
        }
    })
}
