//! A store for one test, with what it needs to live, and sessions and tokens to try it with.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::ids::{Jti, LimitId, Role, Scope, SessionId, Subject};
use portcullis::limit::Quota;
use portcullis::metrics::Metrics;
use portcullis::policy::Grants;
use portcullis::revocation::follower::Follower;
use portcullis::revocation::view::View;
use portcullis::secret::Secret;
use portcullis::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, TokenHash};
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::feed::Feed;
use portcullis::store::redis::RedisStore;
use portcullis::store::{Check, Counted, Leasable, Memory, Opening, Store, Take};

use crate::redis_server::RedisServer;

/// A store and whatever must not go before it does.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    _kept: Box<dyn Any + Send>,
}

pub(crate) async fn embedded() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path().join("state.db")).await.unwrap();
    Fixture { store: Arc::new(store), _kept: Box::new(folder) }
}

pub(crate) async fn redis() -> Fixture {
    let server = RedisServer::start();
    let store = connect_as_told(&server).await;
    Fixture { store: Arc::new(store), _kept: Box::new(server) }
}

pub(crate) async fn connect(server: &RedisServer, timeout: Duration) -> RedisStore {
    RedisStore::connect(&Secret::new(server.url()), timeout, 2, "portcullis").await.unwrap()
}

/// What operators are told to let the gateway's user do in Redis.
pub(crate) fn told_rules() -> Vec<&'static str> {
    let told = include_str!("../../../config/production.toml");
    let lines = told.lines().map(|line| line.trim_start_matches(['#', ' ']));
    let rules = lines.skip_while(|line| !line.starts_with("user gateway")).take_while(|line| !line.is_empty());
    let rules: Vec<_> = rules.flat_map(str::split_whitespace).skip_while(|rule| !rule.starts_with('~')).collect();
    assert!(rules.len() > 9, "the rules are not where they were: {rules:?}");
    rules
}

/// [`connect`], as a user who may do what operators are told, and nothing else.
pub(crate) async fn connect_as_told(server: &RedisServer) -> RedisStore {
    let rules = [&["ACL", "SETUSER", "gateway", "reset", "on", ">pass"], &told_rules()[..]].concat();
    assert_eq!(server.ask(&rules).trim(), "OK");
    let url = server.url().replace("//", "//gateway:pass@");
    RedisStore::connect(&Secret::new(url), Duration::from_secs(5), 2, "portcullis").await.unwrap()
}

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const MEMORY: Memory = Memory { access_life: Duration::from_mins(15) };
pub(crate) const LIFETIMES: Lifetimes = Lifetimes {
    idle: Duration::from_hours(1),
    absolute: Duration::from_hours(3),
    retry_window: Duration::from_secs(30),
};

/// Why most sessions of these tests end.
pub(crate) const LOGOUT: Cause = Cause::LoggedOut;
/// What becomes of a token whose session ended by itself or never was.
pub(crate) const EXPIRED: Rotation = Rotation::Ended(Cause::Expired);

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

/// The hash of the token of `sid` at `generation`.
pub(crate) fn hash(sid: SessionId, generation: u32) -> TokenHash {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(sid.as_bytes());
    hash[28..].copy_from_slice(&generation.to_be_bytes());
    TokenHash(hash)
}

/// The token of `sid` at `generation`.
pub(crate) fn token(sid: SessionId, generation: u32) -> Presented {
    Presented { sid, generation, hash: hash(sid, generation), successor: hash(sid, generation.saturating_add(1)) }
}

/// A session that has just begun, with everything in it that can be.
pub(crate) fn session(store: &dyn Store, subject: &Subject, now: Timestamp) -> Session {
    let id = SessionId::random(store.partition(subject));
    Session {
        id,
        subject: subject.clone(),
        grants: Grants {
            roles: ["admin", "user"].map(|role| Role::parse(role).unwrap()).into(),
            scopes: ["posts:read", "posts:write"].map(|scope| Scope::parse(scope).unwrap()).into(),
        },
        generation: 0,
        token_hash: hash(id, 0),
        rotated_at: now,
        created_at: now,
        expires_at: LIFETIMES.expiry(now, now),
        epoch: 0,
        address: "2001:db8::7".parse().unwrap(),
        user_agent: "Mozilla/5.0 (a \"quoted\" one; ünïcode)".to_owned(),
    }
}

/// Opens one for `subject`.
pub(crate) async fn opened(store: &dyn Store, subject: &Subject, now: Timestamp) -> Session {
    match opening(store, session(store, subject, now), None).await {
        Opening::Opened { session, .. } => session,
        other => panic!("{other:?}"),
    }
}

/// What becomes of `session` when it is to be opened.
pub(crate) async fn opening(store: &dyn Store, session: Session, cap: Option<Cap>) -> Opening {
    store.open(session, cap, MEMORY).await.unwrap()
}

/// A check of some access token of `session`.
pub(crate) fn check_of(session: &Session) -> Check<'_> {
    Check { subject: &session.subject, sid: session.id, jti: Jti::random(), epoch: session.epoch, takes: &[] }
}

/// A view of what `store` knows, that is in use but knows nothing yet.
pub(crate) fn follower(store: &Arc<dyn Store>) -> Follower {
    let view = Arc::new(View::new(Some(Duration::from_mins(1))));
    let feed: Arc<dyn Feed> = Arc::<dyn Store>::clone(store);
    Follower::new(feed, store.partitions(), view, Arc::new(Metrics::new()))
}

/// Takes from a limit of `burst`, one a second.
pub(crate) fn take(limit: &str, key: &str, burst: u32) -> Take {
    let quota = Quota::new(1, secs(1), burst).unwrap();
    Take { limit: LimitId::parse(limit).unwrap(), key: key.to_owned(), quota }
}

/// Leases from a limit of `burst`, one a second.
pub(crate) fn leasable(limit: &str, key: &str, burst: u32) -> Leasable {
    let Take { limit, key, quota } = take(limit, key, burst);
    Leasable { limit, whom: Counted::Other(key), quota }
}
