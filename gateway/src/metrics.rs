//! Metrics: one table, whose help texts are the doc comments. Labels are names from the configuration or
//! from enums, never what a client sent, so their number is bounded. Each gateway has its own registry;
//! nothing is global.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use crate::auth::verified::Usage;
use crate::clock::Timestamp;
use crate::cors;
use crate::ids::{LimitId, RouteId, UpstreamId};
use crate::overload::Full;

mod declared;
mod meters;
mod outcome;
mod revocation;

use declared::registered;
pub use meters::{RouteMeters, UpstreamMeter};
pub use outcome::{LeaseOutcome, LimitOutcome, ReloadOutcome, RevocationOutcome, RotationOutcome};

/// The reason of what was not refused.
pub const REASONLESS: &str = "-";

/// Seconds, from a cached answer to a patient upstream.
const REQUEST_BUCKETS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Seconds, from a Redis on the same host to one that is about to be given up.
const STORE_BUCKETS: [f64; 10] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];

/// Declares the metrics: a field, its kind, its name and its labels; the doc comment is the help text.
macro_rules! table {
    (@buckets) => { &[] };
    (@buckets $buckets:ident) => { &$buckets };
    ($(#[doc = $help:literal] $field:ident: $kind:ty = $name:literal [$($label:literal),*] $(in $buckets:ident)?;)+) => {
        /// All metrics of one gateway.
        pub struct Metrics {
            registry: Registry,
            /// Found once: nearly all that are looked at.
            good_tokens: OnceLock<IntCounter>,
            $(#[doc = $help] $field: $kind,)+
        }

        impl Metrics {
            fn declare() -> Self {
                let registry = Registry::new();
                $(let $field: $kind = registered(
                    &registry, concat!("portcullis_", $name), $help.trim(), &[$($label),*], table!(@buckets $($buckets)?),
                );)+
                Self { registry, good_tokens: OnceLock::new(), $($field,)+ }
            }
        }
    };
}

table! {
    /// Requests that ended, by route, status and reason of refusal; status 0 is a client that went away.
    requests: IntCounterVec = "requests_total" ["route", "status", "reason"];
    /// Time from the request's header to the end of its answer, in seconds.
    request_duration: HistogramVec = "request_duration_seconds" ["route"] in REQUEST_BUCKETS;
    /// Requests refused, by route and reason.
    denied: IntCounterVec = "denied_total" ["route", "reason"];
    /// Requests refused because as many were on their way as may be, by what was full and the upstream if it was one.
    requests_shed: IntCounterVec = "requests_shed_total" ["scope", "upstream"];
    /// Panics that were caught, by where; each is a fault of ours.
    panics: IntCounterVec = "panics_total" ["where"];
    /// Preflights of pages of other origins, by route and what stood in the way; allowed if nothing did.
    preflights: IntCounterVec = "preflights_total" ["route", "outcome"];
    /// Requests on their way.
    requests_in_flight: IntGauge = "requests_in_flight" [];
    /// Connections of clients.
    connections_open: IntGauge = "connections_open" [];
    /// TLS handshakes, by listener and outcome: done, timeout, or what was wrong with the client.
    tls_handshakes: IntCounterVec = "tls_handshakes_total" ["listener", "outcome"];
    /// When a certificate expires, in seconds since 1970, by listener and file.
    certificate_expiry: IntGaugeVec = "certificate_expiry_timestamp_seconds" ["listener", "certificate"];
    /// Changed files of certificates, by listener and outcome: applied, or refused so that the last one stays.
    certificate_reloads: IntCounterVec = "certificate_reloads_total" ["listener", "outcome"];
    /// Connections of clients closed as soon as they came, by listener and what there were too many of: all, address.
    connections_refused: IntCounterVec = "connections_refused_total" ["listener", "reason"];
    /// Open streams: every WebSocket, and answers of unknown or great length to known users.
    streams_open: IntGauge = "streams_open" [];
    /// Open streams of which the store could not tell whether their session stands.
    streams_unconfirmed: IntGauge = "streams_unconfirmed" [];
    /// Streams that the gateway ended, by cause.
    streams_ended: IntCounterVec = "streams_ended_total" ["cause"];
    /// Access tokens issued.
    tokens_issued: IntCounterVec = "tokens_issued_total" [];
    /// Access tokens verified, by outcome.
    tokens_verified: IntCounterVec = "tokens_verified_total" ["outcome"];
    /// Access tokens that were verified before and came again.
    token_cache_hits: IntCounter = "token_cache_hits_total" [];
    /// Access tokens that had to be verified anew.
    token_cache_misses: IntCounter = "token_cache_misses_total" [];
    /// Verified access tokens that are known again.
    token_cache_tokens: IntGauge = "token_cache_tokens" [];
    /// Bytes that they take.
    token_cache_bytes: IntGauge = "token_cache_bytes" [];
    /// Logins tried, by outcome.
    logins: IntCounterVec = "logins_total" ["outcome"];
    /// Refresh tokens presented, by outcome: rotated, replayed, shared, reused, ended, invalid or unknown.
    session_rotations: IntCounterVec = "session_rotations_total" ["outcome"];
    /// Sessions ended before their time, by what ended them.
    sessions_ended: IntCounterVec = "sessions_ended_total" ["scope"];
    /// Answers of upstreams that ended sessions, by when: at once, later, never (given up) or not even tried (overflowed).
    revocations: IntCounterVec = "route_revocations_total" ["outcome"];
    /// Revocations that wait for the store.
    revocations_waiting: IntGauge = "route_revocations_waiting" [];
    /// For how long, in seconds, revocations may be unknown to the view; 0 if it is not in use.
    revocation_staleness: Gauge = "revocation_staleness_seconds" [];
    /// Revocations in the view, by kind: token, session, user.
    revocation_entries: IntGaugeVec = "revocation_view_entries" ["kind"];
    /// Memory of the view, in bytes.
    revocation_bytes: IntGauge = "revocation_view_bytes" [];
    /// Snapshots of all revocations, by why one was taken: start, reconnected, trimmed, lost, owed.
    revocation_snapshots: IntCounterVec = "revocation_snapshots_total" ["cause"];
    /// Tokens about which the store was asked because the view was too old.
    revocation_asked: IntCounterVec = "revocation_asked_total" [];
    /// What limits decided, by limit; local is one that the store could not count.
    limit_decisions: IntCounterVec = "limit_decisions_total" ["limit", "outcome"];
    /// Leases that were asked of the store or given back to it, by limit and outcome.
    limit_leases: IntCounterVec = "limit_leases_total" ["limit", "outcome"];
    /// Counts of which this gateway keeps a share.
    limit_lease_keys: IntGauge = "limit_lease_keys" [];
    /// Whether the store answers.
    store_up: IntGauge = "store_up" [];
    /// Time that the store took, in seconds, by command and outcome.
    store_command: HistogramVec = "store_command_seconds" ["command", "outcome"] in STORE_BUCKETS;
    /// Whether a server works, by upstream and address.
    upstream_server_up: IntGaugeVec = "upstream_server_up" ["upstream", "server"];
    /// Requests on their way to an upstream; tunnels and streams of events only until they begin.
    upstream_in_flight: IntGaugeVec = "upstream_requests_in_flight" ["upstream"];
    /// Time from choosing a server to the head of its answer, in seconds.
    upstream_duration: HistogramVec = "upstream_duration_seconds" ["upstream"] in REQUEST_BUCKETS;
    /// Requests that an upstream failed, by kind.
    upstream_failures: IntCounterVec = "upstream_failures_total" ["upstream", "kind"];
    /// Refresh tokens that were used twice, so that their sessions were ended.
    refresh_reuse: IntCounterVec = "refresh_reuse_total" [];
    /// Events for the webhook, by outcome: delivered, failed (and tried again), `given_up` or dropped.
    webhook_events: IntCounterVec = "webhook_events_total" ["event", "outcome"];
    /// Calls to the admin API, by action and outcome: done, or the reason of refusal.
    admin_calls: IntCounterVec = "admin_calls_total" ["action", "outcome"];
    /// Log lines that could not be written.
    log_lines_lost: IntCounterVec = "log_lines_lost_total" [];
    /// Connections that could not be accepted, by listener and kind.
    accept_errors: IntCounterVec = "accept_errors_total" ["listener", "kind"];
    /// Configurations loaded while running, by outcome.
    config_reloads: IntCounterVec = "config_reloads_total" ["outcome"];
    /// The version that runs; always 1.
    build_info: IntGaugeVec = "build_info" ["version"];
}

/// Counts something for as long as it is held.
pub struct Held(IntGauge);

impl Held {
    fn hold(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// A registry of its own, all at zero.
    pub fn new() -> Self {
        let metrics = Self::declare();
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        metrics
    }

    /// The text format of Prometheus.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// A request is on its way for as long as this is held.
    pub fn in_flight(&self) -> Held {
        Held::hold(&self.requests_in_flight)
    }

    /// A connection is open for as long as this is held.
    pub fn connection_opened(&self) -> Held {
        Held::hold(&self.connections_open)
    }

    /// A TLS handshake ended.
    pub fn tls_handshake(&self, listener: &str, outcome: &str) {
        self.tls_handshakes.with_label_values(&[listener, outcome]).inc();
    }

    /// A certificate is shown to clients until then. Its label holds a colon, which no listener has in its name:
    /// see `url`.
    pub fn certificate_expires(&self, listener: &str, file: &str, at: Timestamp) {
        self.certificate_expiry.with_label_values(&[listener, &format!("file:{file}")]).set(at.as_secs());
    }

    /// A listener shows a certificate no more.
    pub fn certificate_gone(&self, listener: &str, file: &str) {
        let _ = self.certificate_expiry.remove_label_values(&[listener, &format!("file:{file}")]);
    }

    /// The files of a certificate changed.
    pub fn certificate_reloaded(&self, listener: &str, outcome: ReloadOutcome) {
        self.certificate_reloads.with_label_values(&[listener, outcome.name()]).inc();
    }

    /// A connection was one too many.
    pub fn connection_refused(&self, listener: &str, reason: &str) {
        self.connections_refused.with_label_values(&[listener, reason]).inc();
    }

    /// A stream is open for as long as this is held.
    pub fn stream_opened(&self) -> Held {
        Held::hold(&self.streams_open)
    }

    /// So many streams could not be confirmed.
    pub fn streams_unconfirmed(&self, count: usize) {
        self.streams_unconfirmed.set(whole(count));
    }

    /// The gateway has a stream end.
    pub fn stream_ended(&self, cause: &str) {
        self.streams_ended.with_label_values(&[cause]).inc();
    }

    /// A request ended.
    pub fn request_done(&self, route: &str, status: u16, reason: &str, took: Duration) {
        self.request_counter(route, status, reason).inc();
        self.request_timer(route).observe(took.as_secs_f64());
    }

    fn request_counter(&self, route: &str, status: u16, reason: &str) -> IntCounter {
        self.requests.with_label_values(&[route, status_text(status, &mut [0; 3]), reason])
    }

    fn request_timer(&self, route: &str) -> Histogram {
        self.request_duration.with_label_values(&[route])
    }

    /// A request was refused.
    pub fn denied(&self, route: &str, reason: &str) {
        self.denied.with_label_values(&[route, reason]).inc();
    }

    /// A request was refused because something was full; `upstream` is `-` unless that was one.
    pub fn shed(&self, full: Full, upstream: &str) {
        self.requests_shed.with_label_values(&[full.name(), upstream]).inc();
    }

    /// A panic was caught.
    pub fn panicked(&self, place: &'static str) {
        self.panics.with_label_values(&[place]).inc();
    }

    /// A preflight was answered.
    pub fn preflight(&self, route: &RouteId, outcome: cors::Outcome) {
        self.preflights.with_label_values(&[route.as_str(), outcome.name()]).inc();
    }

    /// An access token was issued.
    pub fn token_issued(&self) {
        self.tokens_issued.with_label_values::<&str>(&[]).inc();
    }

    /// An access token was looked at.
    pub fn token_verified(&self, outcome: &str) {
        let counter = || self.tokens_verified.with_label_values(&[outcome]);
        if outcome == "ok" { self.good_tokens.get_or_init(counter).inc() } else { counter().inc() }
    }

    /// An access token was looked up among those that were verified before.
    pub fn token_looked_up(&self, known: bool) {
        if known { &self.token_cache_hits } else { &self.token_cache_misses }.inc();
    }

    /// So many verified tokens are known again.
    pub fn tokens_kept(&self, usage: Usage) {
        let Usage { tokens, bytes } = usage;
        self.token_cache_tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
        self.token_cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A login was tried.
    pub fn login(&self, outcome: &str) {
        self.logins.with_label_values(&[outcome]).inc();
    }

    /// A refresh token was presented.
    pub fn rotated(&self, outcome: RotationOutcome) {
        self.session_rotations.with_label_values(&[outcome.name()]).inc();
    }

    /// Sessions were ended.
    pub fn sessions_ended(&self, scope: &str, count: u64) {
        self.sessions_ended.with_label_values(&[scope]).inc_by(count);
    }

    /// A revocation is over.
    pub fn revoked(&self, outcome: RevocationOutcome) {
        let outcome = match outcome {
            RevocationOutcome::AtOnce => "at_once",
            RevocationOutcome::Later => "later",
            RevocationOutcome::GivenUp => "given_up",
            RevocationOutcome::Overflowed => "overflowed",
        };
        self.revocations.with_label_values(&[outcome]).inc();
    }

    /// A revocation waits for the store for as long as this is held.
    pub fn revocation_waits(&self) -> Held {
        Held::hold(&self.revocations_waiting)
    }

    /// A limit decided.
    pub fn limit_decided(&self, limit: &LimitId, outcome: LimitOutcome) {
        let outcome = match outcome {
            LimitOutcome::Allowed => "allowed",
            LimitOutcome::Refused => "refused",
            LimitOutcome::Local => "local",
        };
        self.limit_decisions.with_label_values(&[limit.as_str(), outcome]).inc();
    }

    /// A lease was asked for, or given back.
    pub fn leased(&self, limit: &LimitId, outcome: LeaseOutcome) {
        self.limit_leases.with_label_values(&[limit.as_str(), outcome.name()]).inc();
    }

    /// There are shares of so many counts.
    pub fn lease_keys(&self, keys: usize) {
        self.limit_lease_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// The store answered, or did not.
    pub fn store_is_up(&self, up: bool) {
        self.store_up.set(i64::from(up));
    }

    /// The store took so long.
    pub fn store_took(&self, command: &str, ok: bool, took: Duration) {
        let outcome = if ok { "ok" } else { "error" };
        self.store_command.with_label_values(&[command, outcome]).observe(took.as_secs_f64());
    }

    /// A server works, or does not.
    pub fn upstream_server(&self, upstream: &UpstreamId, server: SocketAddr, up: bool) {
        self.upstream_server_up.with_label_values(&[upstream.as_str(), &url(server)]).set(i64::from(up));
    }

    /// A server left its pool.
    pub fn upstream_server_gone(&self, upstream: &UpstreamId, server: SocketAddr) {
        let _ = self.upstream_server_up.remove_label_values(&[upstream.as_str(), &url(server)]);
    }

    /// An upstream failed a request.
    pub fn upstream_failed(&self, upstream: &UpstreamId, kind: &str) {
        self.upstream_failures.with_label_values(&[upstream.as_str(), kind]).inc();
    }

    /// A refresh token was used twice.
    pub fn refresh_reused(&self) {
        self.refresh_reuse.with_label_values::<&str>(&[]).inc();
    }

    /// An event was delivered, or was not.
    pub fn webhook(&self, event: &str, outcome: &str) {
        self.webhook_events.with_label_values(&[event, outcome]).inc();
    }

    /// The admin API was called.
    pub fn administered(&self, action: &str, outcome: &str) {
        self.admin_calls.with_label_values(&[action, outcome]).inc();
    }

    /// So many log lines were lost so far.
    pub fn log_lines_lost(&self, total: u64) {
        let counter = self.log_lines_lost.with_label_values::<&str>(&[]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// A connection could not be accepted.
    pub fn accept_failed(&self, listener: &str, kind: &'static str) {
        self.accept_errors.with_label_values(&[listener, kind]).inc();
    }

    /// A new configuration was tried.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.config_reloads.with_label_values(&[outcome.name()]).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A server as a label. The crate tells label values apart by a hash of them strung together, so server
/// 12.0.0.1 of `api` would be 2.0.0.1 of `api1`; no id can run into a URL.
fn url(server: SocketAddr) -> String {
    format!("http://{server}")
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn status_text(status: u16, digits: &mut [u8; 3]) -> &str {
    let digit = |place: u16| u8::try_from(status / place % 10).unwrap_or(0) + b'0';
    *digits = [digit(100), digit(10), digit(1)];
    std::str::from_utf8(digits).unwrap_or("000")
}

#[cfg(test)]
mod tests;
