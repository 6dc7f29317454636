//! What one configuration amounts to: routes, authentication, endpoints and upstreams, built together and
//! swapped together. A request keeps the snapshot it began with. Building one binds and changes nothing
//! outside it.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::auth::Authenticator;
use crate::auth::bad_tokens::BadTokens;
use crate::auth::keyring::Keyring;
use crate::config::Config;
use crate::limiter::Limiter;
use crate::metrics::{Metrics, RouteMeters};
use crate::overload::{Capacity, Counts, Room};
use crate::revocation::follower::Follower;
use crate::routing::RouteTable;
use crate::secret::Secret;
use crate::session::audit::Audit;
use crate::session::endpoints::{Endpoints, LoginService, PageService};
use crate::session::recheck::Recheck;
use crate::session::renewal::{self, Renewals};
use crate::store::Store;
use crate::upstream::Upstreams;

/// One configuration at work.
pub struct Snapshot {
    /// Where requests go.
    pub routes: RouteTable,
    /// What is counted of each of those.
    pub meters: RouteMeters,
    /// Who sends them.
    pub auth: Arc<Authenticator>,
    /// What the gateway serves itself.
    pub endpoints: Endpoints,
    /// What limits them.
    pub limiter: Arc<Limiter>,
    /// Room for requests.
    pub requests: Room,
    /// Room for tunnels and streams of events.
    pub streams: Room,
    /// The pools of servers.
    pub upstreams: Upstreams,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How often the store is asked about open streams.
    pub stream_interval: Duration,
    /// Who sends it administers; none if nobody may over HTTP.
    pub admin_token: Option<Secret>,
}

/// What outlives a configuration.
#[derive(Clone)]
pub struct Lasting {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Keeps the view of revocations.
    pub follower: Arc<Follower>,
    /// Limits, with what was counted locally.
    pub limiter: Arc<Limiter>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Tells of what happened to sessions.
    pub audit: Arc<Audit>,
    /// What is on its way.
    pub counts: Arc<Counts>,
    /// Who sent bad tokens.
    pub bad_tokens: Arc<BadTokens>,
}

impl Snapshot {
    /// Puts `config` to work with the keys of `keyring`.
    pub fn build(config: &Config, keyring: Keyring, lasting: &Lasting) -> Self {
        let Lasting { store, follower, limiter, metrics, audit, counts, bad_tokens } = lasting;
        let upstreams = Upstreams::start(&config.upstreams, counts, metrics);
        let tokens = Arc::new(config.tokens.clone());
        let auth = Arc::new(Authenticator {
            renewals: Renewals::new(renewal::Parts {
                keyring: keyring.clone(),
                tokens: Arc::clone(&tokens),
                store: Arc::clone(store),
                metrics: Arc::clone(metrics),
                audit: Arc::clone(audit),
                cookies: config.cookies.clone(),
                recheck: recheck(config, &upstreams),
            }),
            cookies: config.cookies.clone(),
            bad_tokens: Arc::clone(bad_tokens),
            bad_token_quota: config.overload.bad_tokens,
            keyring,
            tokens,
            store: Arc::clone(store),
            follower: Arc::clone(follower),
            limiter: Arc::clone(limiter),
            metrics: Arc::clone(metrics),
        });
        let login = config.login.clone().and_then(|terms| {
            let pool = Arc::clone(upstreams.pool(&terms.upstream)?);
            let room = Room::new(&counts.logins, Capacity::new(terms.concurrency, 0));
            Some(LoginService { terms, pool, cap: config.cap, room })
        });
        let pages = config.pages.as_ref().map(|terms| PageService::new(terms, &upstreams));
        Self {
            meters: RouteMeters::new(&config.routes, metrics),
            routes: RouteTable::new(config.routes.clone()),
            endpoints: Endpoints { auth: Arc::clone(&auth), login, pages },
            auth,
            limiter: Arc::clone(limiter),
            requests: Room::new(&counts.requests, config.overload.requests),
            streams: Room::new(&counts.streams, config.overload.streams),
            upstreams,
            trusted_proxies: config.trusted_proxies.clone(),
            stream_interval: config.revocation.stream_interval,
            admin_token: config.admin.token.clone(),
        }
    }
}

/// How users are asked about again, if they are.
fn recheck(config: &Config, upstreams: &Upstreams) -> Option<Recheck> {
    let login = config.login.as_ref()?;
    let terms = login.recheck.clone()?;
    let pool = Arc::clone(upstreams.pool(&login.upstream)?);
    Some(Recheck { terms, pool })
}
