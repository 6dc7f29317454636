//! The configuration as types that can't be wrong. [`load`] reads a TOML file once: `reader` hands out its
//! keys, `resolve` turns them into a [`Config`] or reports every mistake at once, with line and remedy.
//! Whoever holds a `Config` checks nothing again; nothing here connects, binds or resolves names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;

use self::reader::Reading;
use crate::cookies::Cookies;
use crate::ids::{Kid, UpstreamId};
use crate::limit::Backoff;
use crate::pages;
use crate::routing::Route;
use crate::secret::Secret;
use crate::session::{Cap, Lifetimes};
use crate::store::Memory;

mod addresses;
mod errors;
mod hints;
mod names;
mod origins;
mod reader;
mod resolve;
mod secrets;
mod upstream;
mod values;
mod webhook;

pub use errors::{ConfigErrors, Mistake, Place};
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
    /// Pools of servers.
    pub upstreams: BTreeMap<UpstreamId, Upstream>,
    /// The routes, the gateway's own endpoints among them, in the order of the file.
    /// [`crate::routing::RouteTable::conflicts`] found none.
    pub routes: Vec<Arc<Route>>,
    /// Who is told of what happens to sessions, if anybody.
    pub webhook: Option<WebhookTerms>,
    /// Logs.
    pub telemetry: Telemetry,
    /// How the process ends.
    pub shutdown: Shutdown,
}

/// One address that requests come in on: HTTP/1.1 without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// How long an idle connection is kept.
    pub keepalive: Duration,
    /// The longest silence while a client sends a request.
    pub read_timeout: Duration,
    /// The longest that a client may take to accept a part of the answer.
    pub write_timeout: Duration,
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

/// When the store is asked what was revoked, beside at every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// How often it is asked about open streams.
    pub stream_interval: Duration,
}

/// Access and refresh tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audience: String,
    /// Life of an access token.
    pub access_ttl: Duration,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Life of sessions and the retry window.
    pub lifetimes: Lifetimes,
    /// What signs access tokens.
    pub signing: Signing,
    /// Further keys whose tokens are accepted, such as those of the time before.
    pub also_accept: Vec<VerifyingKey>,
    /// What derives refresh tokens; made on first start and kept in the store if `None`.
    pub refresh_secret: Option<Secret>,
}

impl Tokens {
    /// How long revocations must be remembered.
    pub fn memory(&self) -> Memory {
        Memory { access_life: self.access_ttl + self.leeway }
    }
}

/// How access tokens are signed (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of this registered name.
    pub fn parse(raw: &str) -> Option<Self> {
        [Self::Es256, Self::EdDsa, Self::Rs256, Self::Hs256].into_iter().find(|algorithm| algorithm.name() == raw)
    }
}

/// What signs access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// A key that the first gateway makes and the store keeps for all.
    Stored(Algorithm),
    /// A given key: a private key in PEM (PKCS#8), or for HS256 at least 32 secret bytes.
    Given {
        /// How it signs.
        algorithm: Algorithm,
        /// The key.
        key: Secret,
        /// Its name; its RFC 7638 thumbprint if `None`.
        kid: Option<Kid>,
    },
}

/// A key whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    /// The algorithm that it is for, and no other.
    pub algorithm: Algorithm,
    /// The key: a public key in PEM, or for HS256 the secret bytes.
    pub key: Secret,
    /// Its name; its RFC 7638 thumbprint if `None`.
    pub kid: Option<Kid>,
}

/// Login by upstream: who checks credentials, and where its answer names the user.
#[derive(Clone, Debug)]
pub struct Login {
    /// The pool that checks credentials.
    pub upstream: UpstreamId,
    /// The path that credentials are posted to.
    pub path: String,
    /// How they are sent.
    pub format: LoginFormat,
    /// The field of the credentials that names the account, for limits.
    pub account_field: String,
    /// JSON pointer (RFC 6901) to a JWT in the answer, whose claims are then read in its place.
    pub token: Option<String>,
    /// JSON pointer to the subject.
    pub subject: String,
    /// JSON pointer to the roles: an array of strings, or one string of words.
    pub roles: Option<String>,
    /// JSON pointer to the scopes: an array of strings, or one string of words.
    pub scopes: Option<String>,
    /// How long the upstream may take.
    pub timeout: Duration,
    /// The delay after failures.
    pub backoff: Backoff,
    /// How users are asked about again when their sessions are renewed, if they are.
    pub recheck: Option<Recheck>,
}

/// How the login upstream is asked about a user whose session is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// The path that is read; `{subject}` in it stands for the user, who is also named in `X-User-Id`.
    pub path: String,
    /// JSON pointer to the roles.
    pub roles: Option<String>,
    /// JSON pointer to the scopes.
    pub scopes: Option<String>,
    /// JSON pointer to what is `true` of a disabled user.
    pub disabled: Option<String>,
    /// The statuses by which it says that there is no such user any more.
    pub gone: Vec<u16>,
    /// How long the upstream may take.
    pub timeout: Duration,
    /// What happens when it gives no usable answer.
    pub unavailable: WhenUnavailable,
}

/// What happens to a renewal while the upstream can't be asked about its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnavailable {
    /// It goes on with what was granted before.
    Renew,
    /// It is refused with 503, and can be tried again.
    Refuse,
}

/// Pages for people.
#[derive(Clone, Debug)]
pub struct Pages {
    /// Where they are, and how they look.
    pub terms: pages::Terms,
    /// The route that creates accounts: a public one to an upstream, with one path.
    pub register: Option<Arc<Route>>,
}

/// How credentials are sent to the login upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFormat {
    /// As a JSON object.
    Json,
    /// As `application/x-www-form-urlencoded`.
    Form,
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

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long it still accepts while it says that it is not ready, so that others notice.
    pub notice: Duration,
    /// How long requests in flight may take after that.
    pub deadline: Duration,
}
