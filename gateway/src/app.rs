//! The composition root: builds every part from a [`Config`], by hand, and takes them down again. A running
//! [`App`] can be given another configuration, wholly or not at all. Signals and the command line are not
//! known here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::apps::HttpServerOptions;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{AdminParts, AdminServer, Api, Readiness};
use crate::auth::keyring::{self, Keyring, KeyringError};
use crate::clock::Clock;
use crate::config::{Config, Listener, StoreConfig};
use crate::connection::PATIENCE;
use crate::gateway::Gateway;
use crate::gateway::snapshot::{Lasting, Snapshot};
use crate::limiter::{self, Limiter};
use crate::listener::{Acceptor, Tls};
use crate::metrics::{Metrics, ReloadOutcome};
use crate::revocation::follower::Follower;
use crate::revocation::replicated::Replicated;
use crate::revocation::view::View;
use crate::session::audit::Audit;
use crate::session::revoker::Revoker;
use crate::store::embedded::EmbeddedStore;
use crate::store::feed::Feed;
use crate::store::measured::Measured;
use crate::store::redis::RedisStore;
use crate::store::{Store, StoreError};
use crate::streams::{Cause, Streams};
use crate::telemetry::{AccessLog, Lost};
use crate::webhook::Webhook;

mod background;

/// How often the view of revocations is looked at.
const VIEW: Duration = Duration::from_secs(1);
/// How often the store is asked whether it works.
const PING: Duration = Duration::from_secs(1);
/// How often lost log lines are counted.
const LOGS: Duration = Duration::from_secs(1);
/// How often the cache of tokens is measured.
const TOKENS: Duration = Duration::from_secs(1);
/// How soon keys are asked for again while there are none.
const KEYS_RETRY: Duration = Duration::from_millis(250);
/// Why a gateway can't start, or can't take another configuration.
#[derive(Debug, Error)]
pub enum AppError {
    /// The store can't be opened.
    #[error("the store can't be opened: {0}")]
    Store(#[from] StoreError),
    /// A key can't be used.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// An address can't be listened on.
    #[error("{what} can't listen on {address}: {why}")]
    Listen {
        /// Which listener.
        what: String,
        /// The address.
        address: SocketAddr,
        /// Why.
        why: std::io::Error,
    },
    /// The new configuration changes what only a restart can.
    #[error("restart required: {0} can't change while the gateway runs")]
    RestartRequired(&'static str),
}

/// A running gateway.
pub struct App {
    config: Config,
    current: Arc<ArcSwap<Snapshot>>,
    lasting: Lasting,
    acceptor: Acceptor,
    addresses: BTreeMap<String, SocketAddr>,
    tls: BTreeMap<String, Arc<Tls>>,
    admin: AdminServer,
    readiness: Arc<Readiness>,
    streams: Arc<Streams>,
    clock: Clock,
    revoker: Arc<Revoker>,
    background: CancellationToken,
}

impl App {
    /// Builds and starts everything: it serves when this returns, and tells `access` of each request.
    pub async fn start(config: Config, clock: Clock, access: AccessLog) -> Result<Self, AppError> {
        let store = open_store(&config.store).await?;
        Self::start_with(store, config, clock, access).await
    }

    /// [`App::start`] with a store that is open already, in place of the one that `config` names.
    pub async fn start_with(
        store: Arc<dyn Store>,
        config: Config,
        clock: Clock,
        access: AccessLog,
    ) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::new());
        let store: Arc<dyn Store> = Arc::new(Measured::new(store, Arc::clone(&metrics)));
        let (store, follower) = followed(store, &config, &metrics);
        let limiter = Arc::new(Limiter::new(Arc::clone(&store), Arc::clone(&metrics)));
        let audit = Arc::new(Audit::new(Arc::clone(&metrics), Webhook::new(clock.clone(), Arc::clone(&metrics))));
        audit.webhook.apply(config.webhook.as_ref());
        let (counts, bad_tokens) = Default::default();
        let lasting = Lasting { store, follower, limiter, metrics: Arc::clone(&metrics), audit, counts, bad_tokens };
        let keyring = Keyring::default();
        first_keys(&keyring, &config, &lasting, &clock).await?;
        let readiness = Arc::new(Readiness::default());
        readiness.keys_known(keyring.current().is_ok());
        let current = Arc::new(ArcSwap::from_pointee(Snapshot::build(&config, keyring, &lasting)));
        let streams = Arc::new(Streams::new(Arc::clone(&metrics)));
        let background = CancellationToken::new();
        let (ours, stop) = (Arc::clone(&lasting.store), background.child_token());
        let revoker = Arc::new(Revoker::new(ours, Arc::clone(&metrics), clock.clone(), stop));
        let gateway = Gateway {
            current: Arc::clone(&current),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
            access: access.clone(),
            streams: Arc::clone(&streams),
            revoker: Arc::clone(&revoker),
        };
        let acceptor = Acceptor::new(engine(gateway), Arc::clone(&current), Arc::clone(&metrics), access);
        let mut addresses = BTreeMap::new();
        let mut tls = BTreeMap::new();
        for listener in &config.listeners {
            let refused = |why| listen_error(&listener.name, listener.address, why);
            let secure = Tls::of(listener, clock.now(), &metrics).map_err(|why| refused(std::io::Error::other(why)))?;
            tls.extend(secure.clone().map(|secure| (listener.name.clone(), secure)));
            addresses.insert(listener.name.clone(), acceptor.listen(listener.clone(), secure).await.map_err(refused)?);
        }
        let api = Arc::new(Api::new(Arc::clone(&current), clock.clone(), Arc::clone(&metrics)));
        let parts = AdminParts { metrics, readiness: Arc::clone(&readiness), api };
        let admin = AdminServer::start(config.admin.address, parts).await;
        let admin = admin.map_err(|why| listen_error("admin", config.admin.address, why))?;
        tell_what_is_opened(&config);
        let app = Self {
            config,
            current,
            lasting,
            acceptor,
            addresses,
            tls,
            admin,
            readiness,
            streams,
            clock,
            revoker,
            background,
        };
        app.watch_store();
        app.follow_revocations();
        app.renew_keys();
        app.watch_tokens();
        app.watch_streams();
        app.tidy_limits();
        app.watch_certificates();
        Ok(app)
    }

    /// Where each listener listens.
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// Where the admin listener listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Takes another configuration: wholly, or the last one stays.
    pub async fn reload(&mut self, config: Config) -> Result<(), AppError> {
        let outcome = self.prepare(&config).await;
        let counted = if outcome.is_ok() { ReloadOutcome::Applied } else { ReloadOutcome::Refused };
        self.lasting.metrics.reloaded(counted);
        self.current.store(Arc::new(outcome?));
        self.lasting.audit.webhook.apply(config.webhook.as_ref());
        self.lasting.follower.set_max_staleness(config.revocation.max_staleness);
        tell_what_is_opened(&config);
        for listener in &config.listeners {
            if let Some(tls) = self.tls.get(&listener.name) {
                tls.take(listener.transport.certificates(), self.clock.now());
            }
        }
        self.config = config;
        info!(target: "performance", "the new configuration is at work");
        Ok(())
    }

    /// Counts a configuration that could not even be read.
    pub fn refuse_reload(&self) {
        self.lasting.metrics.reloaded(ReloadOutcome::Refused);
    }

    async fn prepare(&self, config: &Config) -> Result<Snapshot, AppError> {
        let fixed = [
            ("[listeners]", but_certificates(&config.listeners) == but_certificates(&self.config.listeners)),
            ("[admin]", config.admin.address == self.config.admin.address),
            ("[store]", config.store == self.config.store),
            ("[telemetry]", config.telemetry == self.config.telemetry),
        ];
        if let Some((section, _)) = fixed.into_iter().find(|(_, same)| !same) {
            return Err(AppError::RestartRequired(section));
        }
        let keyring = self.current.load().auth.keyring.succeeded();
        keyring.load(&*self.lasting.store, &config.tokens, self.clock.now()).await?;
        Ok(Snapshot::build(config, keyring, &self.lasting))
    }

    /// Says that it is not ready, goes on serving for a while so that others notice, then stops accepting
    /// and waits for requests in flight and revocations; streams that are still open then are told to go: whether all
    /// of them ended.
    pub async fn shut_down(self) -> bool {
        self.readiness.drain();
        tokio::time::sleep(self.config.shutdown.notice).await;
        let deadline = self.config.shutdown.deadline;
        let end = Instant::now() + deadline;
        self.revoker.hurry();
        let mut drained = self.acceptor.drain(deadline).await;
        let revoked = self.revoker.drain(end).await;
        if !drained {
            self.streams.end_all(Cause::Leaving);
            drained = self.acceptor.drain(PATIENCE).await;
        }
        self.lasting.audit.webhook.finish().await;
        self.background.cancel();
        self.admin.stop().await;
        drained && revoked
    }

    /// Keeps counting the log lines that are lost.
    pub fn watch_logs(&self, lost: Lost) {
        let metrics = Arc::clone(&self.lasting.metrics);
        self.every(Duration::ZERO, move || {
            metrics.log_lines_lost(lost.lines());
            std::future::ready(LOGS)
        });
    }

    /// Keeps asking the store whether it works.
    fn watch_store(&self) {
        let (store, readiness) = (Arc::clone(&self.lasting.store), Arc::clone(&self.readiness));
        let view = Arc::clone(self.lasting.follower.view());
        let answered = Arc::new(AtomicBool::new(true));
        self.every(Duration::ZERO, move || {
            let (store, readiness) = (Arc::clone(&store), Arc::clone(&readiness));
            let (view, answered) = (Arc::clone(&view), Arc::clone(&answered));
            async move {
                let answer = store.ping().await;
                let was = answered.swap(answer.is_ok(), Ordering::Relaxed);
                // A view that is fresh stands in for it.
                readiness.store_answers(answer.is_ok() || view.is_fresh());
                match answer {
                    Ok(_) if !was => info!(target: "error", "the store answers"),
                    Err(error) if was => warn!(target: "error", %error, "the store does not answer"),
                    _ => {}
                }
                PING
            }
        });
    }

    /// Keeps the view of revocations up to date, if it is in use.
    fn follow_revocations(&self) {
        let (current, clock, follower) =
            (Arc::clone(&self.current), self.clock.clone(), Arc::clone(&self.lasting.follower));
        let terms = move || (current.load().auth.tokens.memory(), clock.now());
        let (follow, tend, ended) = (Arc::clone(&follower), terms.clone(), self.background.clone());
        self.every(Duration::ZERO, move || {
            let (follower, terms, ended) = (Arc::clone(&follow), terms.clone(), ended.clone());
            async move {
                ended.run_until_cancelled(follower.run(terms)).await;
                Duration::ZERO
            }
        });
        self.every(Duration::ZERO, move || {
            let (memory, now) = tend();
            follower.tend(memory, now);
            std::future::ready(VIEW)
        });
    }

    /// Keeps telling how many tokens are known again.
    fn watch_tokens(&self) {
        let (current, metrics) = (Arc::clone(&self.current), Arc::clone(&self.lasting.metrics));
        self.every(Duration::ZERO, move || {
            let usage = current.load().auth.keyring.current().map(|keys| keys.verifier.usage());
            metrics.tokens_kept(usage.unwrap_or_default());
            std::future::ready(TOKENS)
        });
    }

    /// Keeps looking for keys that were made elsewhere; while there are none at all, often.
    fn renew_keys(&self) {
        let (current, store, clock) = (Arc::clone(&self.current), Arc::clone(&self.lasting.store), self.clock.clone());
        let readiness = Arc::clone(&self.readiness);
        self.every(Duration::ZERO, move || {
            let (snapshot, store, clock) = (current.load_full(), Arc::clone(&store), clock.clone());
            let readiness = Arc::clone(&readiness);
            async move {
                let auth = &snapshot.auth;
                if let Err(error) = auth.keyring.load(&*store, &auth.tokens, clock.now()).await {
                    warn!(target: "error", %error, "keys could not be renewed");
                }
                let known = auth.keyring.current().is_ok();
                readiness.keys_known(known);
                if known { keyring::RELOAD } else { KEYS_RETRY }
            }
        });
    }

    /// Keeps asking the store whether open streams may go on.
    fn watch_streams(&self) {
        let (current, store, clock) = (Arc::clone(&self.current), Arc::clone(&self.lasting.store), self.clock.clone());
        let streams = Arc::clone(&self.streams);
        self.every(Duration::ZERO, move || {
            let (snapshot, store, now) = (current.load_full(), Arc::clone(&store), clock.now());
            let streams = Arc::clone(&streams);
            async move {
                streams.look(&*store, snapshot.auth.tokens.memory().access_life, now).await;
                snapshot.stream_interval
            }
        });
    }

    /// Keeps giving back what was leased of limits and is not needed.
    fn tidy_limits(&self) {
        let (limiter, clock) = (Arc::clone(&self.lasting.limiter), self.clock.clone());
        self.every(Duration::ZERO, move || {
            let (limiter, now) = (Arc::clone(&limiter), clock.now());
            async move {
                limiter.tidy(now).await;
                limiter::TIDY
            }
        });
    }

    /// Keeps looking for new certificates.
    fn watch_certificates(&self) {
        for tls in self.tls.values() {
            let (tls, clock) = (Arc::clone(tls), self.clock.clone());
            self.every(tls.check_interval, move || {
                let (tls, clock) = (Arc::clone(&tls), clock.clone());
                async move {
                    let interval = tls.check_interval;
                    // Whether it panicked is in the log; the next look comes anyway.
                    let _ = tokio::task::spawn_blocking(move || tls.look_again(clock.now())).await;
                    interval
                }
            });
        }
    }

    /// Runs a step again and again, each time after as long as it says, until the app ends.
    fn every<F>(&self, first: Duration, step: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Duration> + Send + 'static,
    {
        tokio::spawn(background::repeat(self.background.clone(), Arc::clone(&self.lasting.metrics), first, step));
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.background.cancel();
    }
}

fn listen_error(what: &str, address: SocketAddr, why: std::io::Error) -> AppError {
    AppError::Listen { what: what.to_owned(), address, why }
}

/// Listeners without what may change while they listen.
fn but_certificates(listeners: &[Listener]) -> Vec<Listener> {
    let fixed = |listener: &Listener| Listener { transport: listener.transport.but_certificates(), ..listener.clone() };
    listeners.iter().map(fixed).collect()
}

/// `store` with a view of its revocations, and who keeps that.
fn followed(store: Arc<dyn Store>, config: &Config, metrics: &Arc<Metrics>) -> (Arc<dyn Store>, Arc<Follower>) {
    let view = Arc::new(View::new(config.revocation.max_staleness));
    let feed: Arc<dyn Feed> = Arc::<dyn Store>::clone(&store);
    let follower = Arc::new(Follower::new(feed, store.partitions(), view, Arc::clone(metrics)));
    (Arc::new(Replicated::new(store, Arc::clone(&follower))), follower)
}

/// Opens the store of a configuration.
pub(crate) async fn open_store(terms: &StoreConfig) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match terms {
        StoreConfig::Embedded { path } => Arc::new(EmbeddedStore::open(path).await?),
        StoreConfig::Redis { url, timeout, connections, prefix } => {
            Arc::new(RedisStore::connect(url, *timeout, *connections, prefix).await?)
        }
    })
}

/// Loads the keys once. A store that is gone is no reason not to start: keys are asked for until it is
/// there. A key that can't be used is.
async fn first_keys(keyring: &Keyring, config: &Config, lasting: &Lasting, clock: &Clock) -> Result<(), KeyringError> {
    match keyring.load(&*lasting.store, &config.tokens, clock.now()).await {
        Ok(()) => Ok(()),
        Err(KeyringError::Store(error)) => {
            warn!(target: "error", %error, "starting without keys: nobody can log in until the store answers");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Routes that accept what is refused elsewhere are told to who runs this, whenever they come to be.
fn tell_what_is_opened(config: &Config) {
    for route in config.routes.iter().filter(|route| !route.accept.is_empty()) {
        let accepts: Vec<String> = route.accept.iter().map(ToString::to_string).collect();
        warn!(target: "error", route = %route.id, accepts = accepts.join(","), "a route accepts paths that servers read differently");
    }
}

/// The engine around the gateway. It lets CONNECT through to us, who refuse it like anything else: its own refusal
/// would name it, and have no reason.
fn engine(gateway: Gateway) -> HttpProxy<Gateway> {
    let mut options = HttpServerOptions::default();
    options.allow_connect_method_proxying = true;
    let mut proxy = http_proxy(&engine_terms(), gateway);
    proxy.server_options = Some(options);
    proxy
}

/// What the engine is told once; everything else it is told per request.
fn engine_terms() -> Arc<ServerConf> {
    let defaults = ServerConf::default();
    // `max_retries` counts attempts, of which a pool has at most ten.
    Arc::new(ServerConf { upstream_keepalive_pool_size: 512, max_retries: 10, ..defaults })
}
