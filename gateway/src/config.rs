//! The configuration as types that can't be wrong. [`load`] reads a TOML file once: `reader` hands out its
//! keys, `resolve` turns them into a [`Config`] or reports every mistake at once, with line and remedy.
//! Whoever holds a `Config` checks nothing again; nothing here connects, binds or resolves names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;

use self::reader::Reading;
use crate::clock::Timestamp;
use crate::cookies::Cookies;
use crate::ids::UpstreamId;
use crate::limit::Quota;
use crate::overload::Capacity;
use crate::pages;
use crate::routing::Route;
use crate::secret::Secret;
use crate::session::Cap;

mod addresses;
mod bounds;
mod errors;
mod hints;
mod login;
mod names;
mod origins;
mod reader;
mod resolve;
mod secrets;
mod tls;
mod tokens;
mod upstream;
mod values;
mod webhook;

pub use bounds::{BodyPace, Bounds};
pub use errors::{ConfigErrors, Mistake, Place};
pub use login::{Login, LoginFormat, Recheck, WhenUnavailable};
pub use tls::{CertificateSource, CertificateTerms, KeySource, SourceError, TlsTerms, Transport};
pub use tokens::{Algorithm, Signing, Tokens, VerifyingKey};
pub use upstream::{HealthCheck, ServerAddress, Upstream, UpstreamHeader};
pub use webhook::{Event, WebhookTerms, WebhookUrl, WebhookUrlError};

/// Reads the configuration in the file `path`; `env` looks up environment variables.
///
/// Files that it names for secrets are sought from its folder; `[store]` and `[telemetry]` name places
/// seen from the working directory.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|why| ConfigErrors::unreadable(&name, &why))?;
    parse(&text, &name, path.parent().unwrap_or(Path::new("")), env)
}

/// Reads the configuration `text`, which mistakes call `file_name`; see [`load`].
pub fn parse(
    text: &str,
    file_name: &str,
    base_dir: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigErrors> {
    let (document, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        return Err(ConfigErrors::syntax(file_name, text, &broken));
    }
    let reading = Reading::new(text, base_dir, env);
    let config = reading.document(&document, resolve::config);
    reading.finish(file_name, config)
}

/// Everything that a gateway is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where requests come in, by name.
    pub listeners: Vec<Listener>,
    /// Where health, metrics and administration are served.
    pub admin: Admin,
    /// Proxies whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where state lives.
    pub store: StoreConfig,
    /// When it is asked what was revoked.
    pub revocation: Revocation,
    /// Access and refresh tokens.
    pub tokens: Tokens,
    /// Tokens in cookies, if browsers may carry them there.
    pub cookies: Option<Arc<Cookies>>,
    /// Login by upstream; without it the gateway only checks tokens.
    pub login: Option<Login>,
    /// How many sessions a user may have; any number if `None`.
    pub cap: Option<Cap>,
    /// Pages for people, if there are any.
    pub pages: Option<Pages>,
    /// How much may be on its way at once.
    pub overload: Overload,
    /// Pools of servers.
    pub upstreams: BTreeMap<UpstreamId, Upstream>,
    /// The routes, the gateway's own endpoints among them, in the order of the file.
    /// [`crate::routing::RouteTable::conflicts`] found none.
    pub routes: Vec<Arc<Route>>,
    /// Who is told of what happens to sessions, if anybody.
    pub webhook: Option<WebhookTerms>,
    /// What the process takes of the machine.
    pub process: Process,
    /// Logs.
    pub telemetry: Telemetry,
    /// How the process ends.
    pub shutdown: Shutdown,
}

impl Config {
    /// What can be used as it is, but should be looked at: a certificate that has expired, for one.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let certificates = self.listeners.iter().flat_map(|listener| listener.transport.certificates());
        certificates.flat_map(|terms| terms.warnings(now)).collect()
    }
}

/// One address that requests come in on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// How it speaks.
    pub transport: Transport,
    /// How long an idle connection is kept.
    pub keepalive: Duration,
    /// The longest silence while a client sends a request.
    pub read_timeout: Duration,
    /// The longest that a client may take to accept a part of the answer.
    pub write_timeout: Duration,
    /// What clients may cost.
    pub bounds: Bounds,
}

/// Health, metrics and administration.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Who sends it may call the admin API, which is not served without.
    pub token: Option<Secret>,
}

/// Where state lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// A SQLite file, for one gateway.
    Embedded {
        /// The file; it and its folder are made if missing.
        path: PathBuf,
    },
    /// A Redis, shared by all gateways.
    Redis {
        /// `redis://`, `rediss://` or `redis-sentinel://`, credentials and all.
        url: Secret,
        /// How long one command may take.
        timeout: Duration,
        /// Connections in the pool.
        connections: usize,
        /// What every key begins with; `portcullis` by default.
        prefix: String,
    },
}

/// When the store is asked what was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// How old the view of revocations may be that is asked in its place; none if there is no such view.
    pub max_staleness: Option<Duration>,
    /// How often it is asked about open streams.
    pub stream_interval: Duration,
}

/// How much may be on its way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Requests.
    pub requests: Capacity,
    /// Tunnels and streams of events, which wait more than they work.
    pub streams: Capacity,
    /// How many tokens with signatures that do not hold an address may send.
    pub bad_tokens: Quota,
}

/// Pages for people.
#[derive(Clone, Debug)]
pub struct Pages {
    /// Where they are, and how they look.
    pub terms: pages::Terms,
    /// The route that creates accounts: a public one to an upstream, with one path.
    pub register: Option<Arc<Route>>,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// How a line looks.
    pub format: LogFormat,
    /// The least severe level that is written, for our own lines.
    pub level: tracing::Level,
    /// A folder in which the streams `auth`, `api`, `error` and `performance` each have a file.
    pub folder: Option<PathBuf>,
    /// Query parameters whose values are not written, in lower case.
    pub redact: Vec<String>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What the process takes of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// How many threads serve connections, if that was said.
    pub workers: Option<NonZeroUsize>,
}

impl Process {
    /// How many threads serve connections: as many as the process may use cores, if nothing else was said.
    pub fn workers(self) -> NonZeroUsize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.workers.unwrap_or_else(cores)
    }
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long it still accepts while it says that it is not ready, so that others notice.
    pub notice: Duration,
    /// How long requests in flight may take after that.
    pub deadline: Duration,
}
