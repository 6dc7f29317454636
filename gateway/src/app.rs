//! The composition root: builds every part from a [`Config`], by hand, and takes them down again. A running
//! [`App`] can be given another configuration, wholly or not at all. Signals and the command line are not
//! known here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{AdminParts, AdminServer, Api, Readiness};
use crate::auth::keyring::{Keyring, KeyringError};
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, Listener, StoreConfig};
use crate::connection::PATIENCE;
use crate::gateway::Gateway;
use crate::gateway::snapshot::{Lasting, Snapshot};
use crate::limiter::Limiter;
use crate::listener::{Acceptor, Tls};
use crate::metrics::{Metrics, ReloadOutcome};
use crate::revocation::follower::Follower;
use crate::revocation::view::View;
use crate::session::audit::Audit;
use crate::session::revoker::Revoker;
use crate::store::embedded::EmbeddedStore;
use crate::store::feed::Feed;
use crate::store::measured::Measured;
use crate::store::redis::RedisStore;
use crate::store::{Store, StoreError};
use crate::streams::{Cause, Streams};
use crate::telemetry::AccessLog;
use crate::webhook::Webhook;

mod background;
mod engine;

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
    /// The threads that serve connections can't be had.
    #[error("the workers can't be started: {0}")]
    Workers(std::io::Error),
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
            access,
            streams: Arc::clone(&streams),
            revoker: Arc::clone(&revoker),
        };
        let acceptor = engine::acceptor(&config, &gateway, &background).map_err(AppError::Workers)?;
        let (addresses, tls) = listen(&config.listeners, &acceptor, clock.now(), &metrics).await?;
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
        app.watch();
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
        self.lasting.follower.view().set_max_staleness(config.revocation.max_staleness);
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
            ("[process]", config.process == self.config.process),
        ];
        if let Some((section, _)) = fixed.into_iter().find(|(_, same)| !same) {
            return Err(AppError::RestartRequired(section));
        }
        let keyring = self.current.load().auth.keyring.succeeded();
        keyring.load(&*self.lasting.store, &config.tokens, self.clock.now()).await?;
        // One that can't be told is told again and again, and by each login.
        let _ = self.lasting.store.remember(config.tokens.memory(), self.clock.now()).await;
        Ok(Snapshot::build(config, keyring, &self.lasting))
    }

    /// What returns when no other thread serves anybody any more: all their access lines are on their way then.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        let acceptor = self.acceptor.clone();
        async move { acceptor.ended().await }
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
        self.lasting.follower.settle(end).await;
        if !drained {
            self.streams.end_all(Cause::Leaving);
            drained = self.acceptor.drain(PATIENCE).await;
        }
        self.lasting.limiter.close(self.clock.now()).await;
        self.lasting.audit.webhook.finish().await;
        self.background.cancel();
        self.admin.stop().await;
        drained && revoked
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.background.cancel();
    }
}

/// Opens all listeners: where each listens, and the certificates of those that speak TLS.
async fn listen(
    listeners: &[Listener],
    acceptor: &Acceptor,
    now: Timestamp,
    metrics: &Arc<Metrics>,
) -> Result<(BTreeMap<String, SocketAddr>, BTreeMap<String, Arc<Tls>>), AppError> {
    let (mut addresses, mut tls) = (BTreeMap::new(), BTreeMap::new());
    for listener in listeners {
        let refused = |why| listen_error(&listener.name, listener.address, why);
        let secure = Tls::of(listener, now, metrics).map_err(|why| refused(std::io::Error::other(why)))?;
        tls.extend(secure.clone().map(|secure| (listener.name.clone(), secure)));
        addresses.insert(listener.name.clone(), acceptor.listen(listener.clone(), secure).await.map_err(refused)?);
    }
    Ok((addresses, tls))
}

fn listen_error(what: &str, address: SocketAddr, why: std::io::Error) -> AppError {
    AppError::Listen { what: what.to_owned(), address, why }
}

/// Listeners without what may change while they listen.
fn but_certificates(listeners: &[Listener]) -> Vec<Listener> {
    let fixed = |listener: &Listener| Listener { transport: listener.transport.but_certificates(), ..listener.clone() };
    listeners.iter().map(fixed).collect()
}

/// `store`, measured and with a view of its revocations, and who keeps that.
fn followed(store: Arc<dyn Store>, config: &Config, metrics: &Arc<Metrics>) -> (Arc<dyn Store>, Arc<Follower>) {
    let view = Arc::new(View::new(config.revocation.max_staleness));
    let store = Arc::new(Measured::new(store, Arc::clone(metrics), Arc::<View>::clone(&view)));
    let feed: Arc<dyn Feed> = Arc::<Measured>::clone(&store);
    let follower = Follower::new(feed, store.partitions(), view, Arc::clone(metrics));
    (store, Arc::new(follower))
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
