//! What the gateway's user must be allowed in Redis: neither less nor more than operators are told, and what becomes of
//! a revocation where a command is missing.

use std::sync::Arc;

use portcullis::session::{Cap, Session, WhenFull};
use portcullis::store::feed::{Changes, Cursor, Feed as _, Next, Revocation};
use portcullis::store::redis::RedisStore;
use portcullis::store::{Check, Ending, KeyPurpose, Stand, Standing, Store, StoreError, StoredKey};

use crate::fixture::{
    LIFETIMES, LOGOUT, MEMORY, NOW, check_of, connect, connect_as_told, follower, leasable, opened, secs, session,
    subject, token, told_rules,
};
use crate::redis_only::{live_a_little, until_up};
use crate::redis_server::RedisServer;

#[tokio::test]
async fn operators_are_told_to_allow_what_is_used_and_nothing_else() {
    let server = RedisServer::start();
    let store = Arc::new(connect_as_told(&server).await);
    until_up(&store).await;
    live_a_little(&store).await;
    let shared: Arc<dyn Store> = Arc::<RedisStore>::clone(&store);
    follower(&shared).follow(MEMORY, NOW).await.unwrap();
    let session = opened(&*store, &subject("alice"), NOW).await;
    let Check { subject, sid, jti, epoch, .. } = check_of(&session);
    store.standing(&[Stand { subject, sid, jti, epoch }], NOW).await.unwrap();
    store.sessions(subject, NOW).await.unwrap();
    store
        .restore(sid.partition(), &[Revocation::Session { sid, until: NOW.after(secs(9)) }], MEMORY, NOW)
        .await
        .unwrap();
    store.lease(&leasable("api", "192.0.2.1", 5), 3, NOW).await.unwrap();
    store.give_back(&leasable("api", "192.0.2.1", 5), 3).await.unwrap();
    let (purpose, algorithm, created_at) = (KeyPurpose::Signing, "ES256".to_owned(), NOW);
    let material = portcullis::secret::Secret::new([7; 32]);
    store.found_keys(&StoredKey { purpose, name: "one".to_owned(), algorithm, material, created_at }).await.unwrap();

    assert_eq!(server.ask(&["ACL", "LOG"]).trim(), "", "nothing was refused");
    let used = server.ask(&["INFO", "commandstats"]);
    let commands = told_rules().into_iter().filter_map(|rule| rule.strip_prefix('+'));
    let unused: Vec<_> = commands.filter(|command| !used.contains(&format!("cmdstat_{command}:calls="))).collect();
    assert_eq!(unused, [""; 0]);
}

/// How a session, or a token of it, is revoked.
#[derive(Clone, Copy, Debug)]
enum Way {
    Logout,
    Others,
    Everywhere,
    Disabled,
    Reuse,
    Eviction,
    Token,
    Restored,
    UserRestored,
}

impl Way {
    const ALL: [Self; 9] = [
        Self::Logout,
        Self::Others,
        Self::Everywhere,
        Self::Disabled,
        Self::Reuse,
        Self::Eviction,
        Self::Token,
        Self::Restored,
        Self::UserRestored,
    ];

    async fn revoke(self, store: &RedisStore, check: &Check<'_>) -> Result<(), StoreError> {
        let Check { subject, sid, jti, .. } = *check;
        let (partition, until) = (sid.partition(), NOW.after(secs(60)));
        let end = async |ending| store.end(subject, ending, LOGOUT, MEMORY, NOW).await.map(drop);
        match self {
            Self::Logout => end(Ending::This(sid)).await,
            Self::Others => end(Ending::Others(portcullis::ids::SessionId::random(partition))).await,
            Self::Everywhere => end(Ending::All).await,
            Self::Disabled => store.set_disabled(subject, true, MEMORY, NOW).await,
            Self::Reuse => store.rotate(&token(sid, 0), None, &LIFETIMES, MEMORY, NOW).await.map(drop),
            Self::Eviction => {
                let one = Some(Cap { most: 1.try_into().unwrap(), when_full: WhenFull::EvictOldest });
                store.open(session(store, subject, NOW), one, MEMORY).await.map(drop)
            }
            Self::Token => store.revoke(subject, jti, until, MEMORY, NOW).await,
            Self::Restored => {
                store.restore(partition, &[Revocation::Session { sid, until }], MEMORY, NOW).await.map(drop)
            }
            Self::UserRestored => {
                let epoch = u64::try_from(NOW.as_micros()).unwrap();
                let user = Revocation::User { subject: subject.clone(), epoch, disabled: false };
                store.restore(partition, &[user], MEMORY, NOW).await.map(drop)
            }
        }
    }
}

/// The commands of which scripts that revoke may consist.
fn commands_that_may_be_refused() -> impl Iterator<Item = &'static str> {
    let connecting = ["hello", "client|setname", "client|id", "time", "info", "evalsha", "script|load"];
    let elsewhere = ["exists", "hlen", "hsetnx", "xinfo|stream", "xrange", "zmscore", "zscan"];
    let others = [connecting, elsewhere].concat();
    told_rules().into_iter().filter_map(|rule| rule.strip_prefix('+')).filter(move |rule| !others.contains(rule))
}

struct Scene {
    server: RedisServer,
    /// Sees what became of it.
    seeing: RedisStore,
    /// May do less and less.
    refused: RedisStore,
    cursor: Cursor,
}

impl Scene {
    async fn new() -> Self {
        let server = RedisServer::start();
        let (seeing, refused) = (connect(&server, secs(5)).await, connect_as_told(&server).await);
        let here = seeing.partition(&subject("alice"));
        let Next::Changes(cursor) = seeing.snapshot(here, None).await.unwrap().next else { panic!("there is nothing") };
        Self { server, seeing, refused, cursor }
    }

    fn allow(&self, sign: char, command: &str) {
        assert_eq!(self.server.ask(&["ACL", "SETUSER", "gateway", &format!("{sign}{command}")]).trim(), "OK");
    }

    /// Whether anything was told since this was last asked.
    async fn is_told(&mut self) -> bool {
        let here = self.seeing.partition(&subject("alice"));
        let changes = self.seeing.changes(here, &self.cursor).await.unwrap();
        let Changes::Next { revocations, cursor, more: false } = changes else { panic!("{changes:?}") };
        self.cursor = cursor;
        !revocations.is_empty()
    }

    async fn is_revoked(&self, check: &Check<'_>) -> bool {
        self.seeing.check(check, NOW).await.unwrap() == Standing::Revoked
            || self.seeing.session(check.sid, NOW).await.unwrap().is_none()
    }

    /// A session that can be revoked in this way.
    async fn session(&self, way: Way, name: &str) -> Session {
        let session = opened(&self.seeing, &subject(name), NOW).await;
        let spent = if matches!(way, Way::Reuse) { 0..3 } else { 0..0 };
        for generation in spent {
            self.seeing.rotate(&token(session.id, generation), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
        }
        session
    }
}

#[tokio::test]
async fn a_script_that_is_refused_a_command_revokes_nothing_of_which_nobody_is_told() {
    let mut scene = Scene::new().await;
    let mut failed = 0;
    for command in commands_that_may_be_refused() {
        let mut tried = Vec::new();
        scene.allow('-', command);
        for way in Way::ALL {
            let session = scene.session(way, &format!("{way:?}-{command}")).await;
            let check = check_of(&session);
            assert!(!scene.is_told().await, "nothing was revoked yet");
            failed += u32::from(way.revoke(&scene.refused, &check).await.is_err());
            let (is_revoked, is_told) = (scene.is_revoked(&check).await, scene.is_told().await);
            assert!(is_told || !is_revoked, "{way:?} without {command}");
            tried.push((way, check.jti, session));
        }
        scene.allow('+', command);
        for (way, jti, session) in tried {
            let check = Check { jti, ..check_of(&session) };
            way.revoke(&scene.refused, &check).await.unwrap();
            assert!(scene.is_revoked(&check).await, "{way:?}, tried again after {command}");
            let is_left = scene.seeing.session(session.id, NOW).await.unwrap().is_some();
            assert_eq!(is_left, matches!(way, Way::Token), "{way:?}, tried again after {command}");
            scene.is_told().await;
        }
    }
    assert!(failed > 60, "{failed}");
}

#[tokio::test]
async fn a_user_who_can_not_be_enabled_is_let_in_nowhere() {
    let mut scene = Scene::new().await;
    let alice = subject("alice");
    for command in commands_that_may_be_refused() {
        scene.seeing.set_disabled(&alice, true, MEMORY, NOW).await.unwrap();
        scene.is_told().await;
        scene.allow('-', command);
        let enabled = scene.refused.set_disabled(&alice, false, MEMORY, NOW).await;
        let (is_disabled, was_told) = (scene.seeing.user(&alice).await.unwrap().disabled, scene.is_told().await);
        assert!(!(was_told && is_disabled), "{command}: others let in whom the store does not");
        scene.allow('+', command);
        scene.refused.set_disabled(&alice, false, MEMORY, NOW).await.unwrap();
        assert!(scene.is_told().await, "{command}: {enabled:?}, and then everybody hears of it");
    }
}
