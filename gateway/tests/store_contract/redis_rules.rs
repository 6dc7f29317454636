//! What the gateway's user must be allowed in Redis: neither less nor more than operators are told, and what becomes of
//! a revocation where a command is missing.

use std::sync::Arc;

use portcullis::session::{Cap, Session, WhenFull};
use portcullis::store::feed::{Feed as _, Revocation};
use portcullis::store::redis::RedisStore;
use portcullis::store::{Check, Ending, KeyPurpose, Stand, Standing, Store, StoreError, StoredKey};

use crate::fixture::{
    LIFETIMES, LOGOUT, MEMORY, NOW, check_of, connect, connect_as_told, follower, leasable, opened, secs, session,
    subject, token, told_rules,
};
use crate::redis_only::{STREAM, live_a_little, until_up};
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

/// The commands that scripts consist of.
fn commands_in_scripts() -> impl Iterator<Item = &'static str> {
    let others = ["hello", "client|setname", "client|id", "time", "info", "evalsha", "script|load"];
    told_rules().into_iter().filter_map(|rule| rule.strip_prefix('+')).filter(move |rule| !others.contains(rule))
}

struct Scene {
    server: RedisServer,
    /// Sees what became of it.
    seeing: RedisStore,
    /// May do less and less.
    refused: RedisStore,
}

impl Scene {
    async fn new() -> Self {
        let server = RedisServer::start();
        let (seeing, refused) = (connect(&server, secs(5)).await, connect_as_told(&server).await);
        Self { server, seeing, refused }
    }

    fn allow(&self, sign: char, command: &str) {
        assert_eq!(self.server.ask(&["ACL", "SETUSER", "gateway", &format!("{sign}{command}")]).trim(), "OK");
    }

    fn told(&self) -> u32 {
        self.server.ask(&["XLEN", STREAM]).trim().parse().unwrap()
    }

    async fn is_revoked(&self, check: &Check<'_>) -> bool {
        self.seeing.check(check, NOW).await.unwrap() == Standing::Revoked
            || self.seeing.session(check.sid, NOW).await.unwrap().is_none()
    }

    /// A session whose first token was spent three times over.
    async fn session(&self, name: &str) -> Session {
        let session = opened(&self.seeing, &subject(name), NOW).await;
        for generation in 0..3 {
            self.seeing.rotate(&token(session.id, generation), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
        }
        session
    }
}

#[tokio::test]
async fn a_script_that_is_refused_a_command_revokes_nothing_of_which_nobody_is_told() {
    let scene = Scene::new().await;
    let mut failed = 0;
    for way in Way::ALL {
        for command in commands_in_scripts() {
            let session = scene.session(&format!("{way:?}-{command}")).await;
            let (check, before) = (check_of(&session), scene.told());
            scene.allow('-', command);
            failed += u32::from(way.revoke(&scene.refused, &check).await.is_err());
            let (is_revoked, is_told) = (scene.is_revoked(&check).await, scene.told() > before);
            assert!(is_told || !is_revoked, "{way:?} without {command}");
            scene.allow('+', command);
            way.revoke(&scene.refused, &check).await.unwrap();
            assert!(scene.is_revoked(&check).await && scene.told() > before, "{way:?}, tried again after {command}");
            assert!(scene.seeing.sessions(check.subject, NOW).await.unwrap().len() <= 1, "{way:?}, {command}");
        }
    }
    assert!(failed > 60, "{failed}");
}

#[tokio::test]
async fn a_user_who_can_not_be_enabled_is_let_in_nowhere() {
    let scene = Scene::new().await;
    let alice = subject("alice");
    for command in commands_in_scripts() {
        scene.seeing.set_disabled(&alice, true, MEMORY, NOW).await.unwrap();
        let before = scene.told();
        scene.allow('-', command);
        let enabled = scene.refused.set_disabled(&alice, false, MEMORY, NOW).await;
        let (is_disabled, is_told) = (scene.seeing.user(&alice).await.unwrap().disabled, scene.told() > before);
        assert!(!(is_told && is_disabled), "{command}: others let in whom the store does not");
        scene.allow('+', command);
        scene.refused.set_disabled(&alice, false, MEMORY, NOW).await.unwrap();
        assert!(scene.told() > before, "{command}: {enabled:?}, and then everybody hears of it");
    }
}
