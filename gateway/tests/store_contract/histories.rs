//! Generated histories of two users: each step is taken by the store and by the model, and both must answer
//! the same. Redis decides in Lua what the model decides in Rust, so this is what holds the two together.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::ids::{Jti, SessionId, Subject};
use portcullis::limit::{Backoff, Quota};
use portcullis::policy::Grants;
use portcullis::revocation::follower::Follower;
use portcullis::revocation::view::Verdict;
use portcullis::session::{Cap, Cause, Lifetimes, Presented, Session, TokenHash, WhenFull};
use portcullis::store::{Check, Counted, Ending, Leasable, Opening, Stand, Standing, Store, Take};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::fixture::{Fixture, MEMORY, NOW, follower, secs, session, subject, token};
use crate::model::Model;

/// Some fifteen seconds; `PROPTEST_CASES` may ask for more.
const HISTORIES: u32 = 500;

/// Comparing everything costs five questions, so it is done after each so many steps, and at the end.
const COMPARE_EVERY: usize = 4;

/// Short, so that histories run into every end.
const LIFETIMES: Lifetimes = Lifetimes {
    idle: Duration::from_mins(10),
    absolute: Duration::from_mins(30),
    retry_window: Duration::from_secs(30),
};

const BACKOFF: Backoff = Backoff {
    free: 1,
    first: Duration::from_millis(700),
    longest: Duration::from_secs(9),
    forget: Duration::from_mins(1),
};

#[derive(Clone, Debug)]
enum Step {
    Open(Index, Option<Cap>),
    /// Presents a token so many generations from the current one.
    Rotate {
        session: Index,
        off: i64,
        forged: bool,
        regranted: bool,
    },
    EndThis(Index, Index, Cause),
    EndOthers(Index, Index, Cause),
    EndAll(Index, Cause),
    Disable(Index, bool),
    Revoke {
        token: Index,
        secs: u64,
    },
    Check {
        session: Index,
        token: Index,
        epoch: u64,
        takes: Vec<(u8, u32)>,
    },
    /// The clock of whoever takes may be behind.
    Take {
        takes: Vec<(u8, u32)>,
        behind_ms: u64,
    },
    /// By user if so, and then counted where checks count.
    Lease {
        by_user: bool,
        of: (u8, u32),
        want: u32,
        behind_ms: u64,
    },
    GiveBack {
        by_user: bool,
        of: (u8, u32),
        cells: u32,
    },
    LoginFailed {
        key: u8,
        behind_ms: u64,
    },
    LoginSucceeded(u8),
    Wait(Duration),
}

fn cap() -> impl Strategy<Value = Option<Cap>> {
    let when_full = prop_oneof![2 => Just(WhenFull::EvictOldest), 1 => Just(WhenFull::RefuseNew)];
    let cap = (1_u32..4, when_full).prop_map(|(most, when_full)| Cap { most: most.try_into().unwrap(), when_full });
    prop::option::of(cap)
}

fn step() -> impl Strategy<Value = Step> {
    let takes = || prop::collection::vec((0_u8..2, 1_u32..4), 0..4);
    let behind = || prop_oneof![3 => Just(0_u64), 1 => 0_u64..5_000];
    let off = || prop_oneof![6 => Just(0_i64), 3 => Just(-1), 1 => -3_i64..3];
    let index = any::<Index>;
    let cause = || prop::sample::select(&Cause::ALL[..]);
    prop_oneof![
        4 => (index(), cap()).prop_map(|(user, cap)| Step::Open(user, cap)),
        8 => (index(), off(), prop::bool::weighted(0.05), prop::bool::weighted(0.2))
            .prop_map(|(session, off, forged, regranted)| Step::Rotate { session, off, forged, regranted }),
        1 => (index(), index(), cause()).prop_map(|(user, session, cause)| Step::EndThis(user, session, cause)),
        1 => (index(), index(), cause()).prop_map(|(user, session, cause)| Step::EndOthers(user, session, cause)),
        1 => (index(), cause()).prop_map(|(user, cause)| Step::EndAll(user, cause)),
        1 => (index(), any::<bool>()).prop_map(|(user, disabled)| Step::Disable(user, disabled)),
        1 => (index(), 0_u64..1200).prop_map(|(token, secs)| Step::Revoke { token, secs }),
        4 => (index(), index(), 0_u64..3, takes())
            .prop_map(|(session, token, epoch, takes)| Step::Check { session, token, epoch, takes }),
        3 => (takes(), behind()).prop_map(|(takes, behind_ms)| Step::Take { takes, behind_ms }),
        3 => (any::<bool>(), (0_u8..2, 1_u32..4), 0_u32..6, behind())
            .prop_map(|(by_user, of, want, behind_ms)| Step::Lease { by_user, of, want, behind_ms }),
        2 => (any::<bool>(), (0_u8..2, 1_u32..4), 0_u32..4)
            .prop_map(|(by_user, of, cells)| Step::GiveBack { by_user, of, cells }),
        2 => (0_u8..2, behind()).prop_map(|(key, behind_ms)| Step::LoginFailed { key, behind_ms }),
        1 => (0_u8..2).prop_map(Step::LoginSucceeded),
        5 => prop_oneof![
            4 => (0_u64..3_000_000).prop_map(Duration::from_micros),
            3 => (1_u64..60).prop_map(Duration::from_secs),
            1 => (1_u64..20).prop_map(Duration::from_mins),
        ].prop_map(Step::Wait),
    ]
}

/// Runs the histories on one store, each with users of its own.
pub(crate) fn agree(fixture: impl Future<Output = Fixture>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let fixture = runtime.block_on(fixture);
    let follower = Arc::new(follower(&fixture.store));
    let cases = HISTORIES.max(Config::default().cases);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let (histories, mut count) = (prop::collection::vec(step(), 1..40), std::cell::Cell::new(0_u32));
    let outcome = runner.run(&histories, |steps| {
        count.set(count.get() + 1);
        let mut history = History::new(Arc::clone(&fixture.store), Arc::clone(&follower), count.get());
        for (number, step) in steps.iter().enumerate() {
            runtime.block_on(history.take(step))?;
            if number % COMPARE_EVERY == 0 {
                runtime.block_on(history.compare())?;
            }
        }
        runtime.block_on(history.compare())
    });
    drop(fixture);
    assert!(*count.get_mut() >= cases);
    outcome.unwrap();
}

struct History {
    store: Arc<dyn Store>,
    follower: Arc<Follower>,
    model: Model,
    number: u32,
    users: [Subject; 2],
    /// All that were ever opened, as they were then or when they last moved on.
    sessions: Vec<Session>,
    tokens: [Jti; 3],
    now: Timestamp,
}

type Outcome = Result<(), TestCaseError>;

impl History {
    fn new(store: Arc<dyn Store>, follower: Arc<Follower>, number: u32) -> Self {
        Self {
            store,
            follower,
            model: Model::default(),
            number,
            users: [subject(&format!("alice-{number}")), subject(&format!("bob-{number}"))],
            sessions: Vec::new(),
            tokens: [Jti::random(), Jti::random(), Jti::random()],
            now: NOW,
        }
    }

    async fn take(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Open(user, cap) => self.open(user, *cap).await?,
            Step::Rotate { session, off, forged, regranted } => {
                // Nothing at all, which must not be mistaken for "as before".
                let grants = regranted.then(Grants::default);
                self.rotate(session, *off, *forged, grants.as_ref()).await?;
            }
            Step::EndThis(user, session, cause) => self.end(user, Ending::This(self.sid(*session)), *cause).await?,
            Step::EndOthers(user, session, cause) => self.end(user, Ending::Others(self.sid(*session)), *cause).await?,
            Step::EndAll(user, cause) => self.end(user, Ending::All, *cause).await?,
            Step::Disable(user, disabled) => {
                let user = user.get(&self.users);
                self.store.set_disabled(user, *disabled, MEMORY, self.now).await.unwrap();
                self.model.set_disabled(user, *disabled, MEMORY, self.now);
            }
            Step::Revoke { token, secs: life } => {
                let (jti, until) = (*token.get(&self.tokens), self.now.after(secs(*life)));
                self.store.revoke(&self.users[0], jti, until, MEMORY, self.now).await.unwrap();
                self.model.revoke(jti, until);
            }
            Step::Check { session, token, epoch, takes } => self.check(session, token, *epoch, takes).await?,
            Step::Take { takes, behind_ms } => {
                let (takes, now) = (self.takes(takes), self.behind(*behind_ms));
                prop_assert_eq!(self.store.take(&takes, now).await.unwrap(), self.model.take(&takes, now));
            }
            Step::Lease { by_user, of, want, behind_ms } => {
                let (of, now) = (self.leasable(*by_user, *of), self.behind(*behind_ms));
                prop_assert_eq!(self.store.lease(&of, *want, now).await.unwrap(), self.model.lease(&of, *want, now));
            }
            Step::GiveBack { by_user, of, cells } => {
                let of = self.leasable(*by_user, *of);
                self.store.give_back(&of, *cells).await.unwrap();
                self.model.give_back(&of, *cells);
            }
            Step::LoginFailed { key, behind_ms } => self.login_failed(*key, self.behind(*behind_ms)).await?,
            Step::LoginSucceeded(key) => {
                let key = self.login(*key);
                self.store.login_succeeded(&key).await.unwrap();
                self.model.login_succeeded(&key);
            }
            Step::Wait(span) => self.now = self.now.after(*span),
        }
        Ok(())
    }

    async fn open(&mut self, user: &Index, cap: Option<Cap>) -> Outcome {
        let asked = session(&*self.store, user.get(&self.users), self.now);
        let asked = Session { expires_at: LIFETIMES.expiry(self.now, self.now), ..asked };
        let opening = self.store.open(asked.clone(), cap, MEMORY).await.unwrap();
        prop_assert_eq!(&opening, &self.model.open(asked, cap, MEMORY));
        if let Opening::Opened { session, .. } = opening {
            self.sessions.push(session);
        }
        Ok(())
    }

    async fn rotate(&mut self, index: &Index, off: i64, forged: bool, grants: Option<&Grants>) -> Outcome {
        let sid = self.sid(*index);
        let current = self.model.session(sid, self.now).map_or(0, |session| session.generation);
        let presented = token(sid, u32::try_from(i64::from(current) + off).unwrap_or(0));
        let presented = if forged { Presented { hash: TokenHash([9; 32]), ..presented } } else { presented };
        let rotation = self.store.rotate(&presented, grants, &LIFETIMES, MEMORY, self.now).await.unwrap();
        prop_assert_eq!(rotation, self.model.rotate(&presented, grants, &LIFETIMES, MEMORY, self.now));
        Ok(())
    }

    async fn end(&mut self, user: &Index, ending: Ending, cause: Cause) -> Outcome {
        let user = user.get(&self.users);
        let ended = self.store.end(user, ending, cause, MEMORY, self.now).await.unwrap();
        prop_assert_eq!(ended, self.model.end(user, ending, cause, MEMORY, self.now));
        Ok(())
    }

    async fn check(&mut self, index: &Index, jti: &Index, epoch: u64, takes: &[(u8, u32)]) -> Outcome {
        let sid = self.sid(*index);
        let owner = self.sessions.iter().find(|session| session.id == sid);
        let subject = owner.map_or_else(|| self.users[0].clone(), |session| session.subject.clone());
        let takes = self.takes(takes);
        let check = Check { subject: &subject, sid, jti: *jti.get(&self.tokens), epoch, takes: &takes };
        let answer = self.store.check(&check, self.now).await.unwrap();
        prop_assert_eq!(&answer, &self.model.check(&check, self.now));
        self.follower.follow(MEMORY, self.now).await.unwrap();
        let stand = Stand { subject: &subject, sid, jti: check.jti, epoch };
        let is_revoked = self.follower.view().verdict(&stand, self.now) == Verdict::Revoked;
        prop_assert_eq!(is_revoked, answer == Standing::Revoked, "who follows knows");
        Ok(())
    }

    async fn login_failed(&mut self, key: u8, now: Timestamp) -> Outcome {
        let key = self.login(key);
        let wait = self.store.login_failed(&key, &BACKOFF, now).await.unwrap();
        prop_assert_eq!(wait, self.model.login_failed(&key, &BACKOFF, now));
        prop_assert_eq!(self.store.login_delay(&key, self.now).await.unwrap(), self.model.login_delay(&key, self.now));
        Ok(())
    }

    /// All that can be asked about the two users.
    async fn compare(&self) -> Outcome {
        for user in &self.users {
            prop_assert_eq!(self.store.user(user).await.unwrap(), self.model.user(user));
            let listed = self.store.sessions(user, self.now).await.unwrap();
            prop_assert_eq!(listed, self.model.sessions(user, self.now));
        }
        if let Some(last) = self.sessions.last() {
            let found = self.store.session(last.id, self.now).await.unwrap();
            prop_assert_eq!(found, self.model.session(last.id, self.now));
        }
        Ok(())
    }

    /// One of those that were opened; now and then one that never was.
    fn sid(&self, index: Index) -> SessionId {
        let unknown = SessionId::from_bytes([0; 16]);
        self.sessions.get(index.index(self.sessions.len() + 1)).map_or(unknown, |session| session.id)
    }

    fn behind(&self, behind_ms: u64) -> Timestamp {
        self.now.before(Duration::from_millis(behind_ms))
    }

    fn login(&self, key: u8) -> String {
        format!("login-{}-{key}", self.number)
    }

    /// One of those that [`Self::takes`] takes from.
    fn leasable(&self, by_user: bool, of: (u8, u32)) -> Leasable {
        let Take { limit, key, quota } = self.takes(&[of]).remove(0);
        let whom = if by_user { Counted::User(subject(&key)) } else { Counted::Other(key) };
        Leasable { limit, whom, quota }
    }

    /// Limits of one to three at once, one in 0.7 seconds.
    fn takes(&self, takes: &[(u8, u32)]) -> Vec<Take> {
        let quota = |burst| Quota::new(3, Duration::from_micros(2_100_001), burst).unwrap();
        let limit = |id: u8| portcullis::ids::LimitId::parse(&format!("limit-{id}")).unwrap();
        let key = format!("key-{}", self.number);
        takes.iter().map(|(id, burst)| Take { limit: limit(*id), key: key.clone(), quota: quota(*burst) }).collect()
    }
}
