//! Generated histories of revocations, trims, flushes, failovers and cut connections: several gateways follow one
//! store that forgets and comes back, and what any of them knew stays revoked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{LazyLock, Mutex, MutexGuard};

use async_trait::async_trait;
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::ids::{Jti, SessionId, Subject};
use crate::revocation::view::Verdict;
use crate::store::Stand;
use crate::store::feed::{Page, Place, Revocation};
use crate::store::measured::Witness as _;

const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);
const MEMORY: Memory = Memory { access_life: Duration::from_mins(15) };
const GATEWAYS: usize = 3;
/// So many are told at once, so that histories have many pages.
const PAGE: usize = 3;

/// Where gateways follow, in all histories: to make one for each costs more than they do.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

#[test]
fn a_clock_that_steps_ahead_is_followed_patiently_and_one_that_steps_back_at_once() {
    let (began, second) = (Instant::now(), Duration::from_secs(1));
    let mut clock = PatientClock::default();
    assert_eq!(clock.show(NOON, began), NOON);
    assert_eq!(clock.show(NOON.after(second), began + second), NOON.after(second));
    let ahead = NOON.after(Duration::from_hours(2));
    assert_eq!(clock.show(ahead, began + 2 * second), NOON.after(3 * second));
    assert_eq!(clock.show(ahead, began + 10_000 * second), ahead);
    assert_eq!(clock.show(NOON, began + 10_001 * second), NOON);
}

#[test]
fn what_the_store_could_not_be_told_it_is_told_though_the_view_has_gone_out_of_use() {
    let mut history = History::new();
    history.follow(0);
    history.take(&Step::Void(0, 1));
    let (follower, now) = (&history.gateways[0], history.now());
    follower.view().set_max_staleness(None);
    RUNTIME.block_on(async {
        tokio::select! {
            () = follower.run(|| (MEMORY, now)) => {}
            () = follower.settle(tokio::time::Instant::now() + Duration::from_secs(10)) => {}
        }
    });
    assert_eq!(history.world().primary.listed.len(), 1);
}

#[test]
fn a_user_who_left_everywhere_is_of_a_later_epoch_than_any_that_is_known_by_whatever_clock() {
    let (history, alice) = (History::new(), subject(1));
    let (follower, here) = (&history.gateways[0], Partition::of(&alice, PartitionCount::ONE));
    let noon = u64::try_from(NOON.as_micros()).unwrap();
    assert!(follower.void_all_of(&alice, here, 0, NOON));
    assert_eq!(follower.view().user(&alice).unwrap().epoch, noon, "of whom nothing was known");
    let ahead = noon + 300_000_000;
    for (of_token, known, expected) in
        [(0, ahead - 1, ahead), (ahead - 1, ahead + 9, ahead + 10), (ahead + 19, ahead + 11, ahead + 20)]
    {
        follower.view().apply(here, &Revocation::User { subject: alice.clone(), epoch: known, disabled: false });
        assert!(follower.void_all_of(&alice, here, of_token, NOON));
        assert_eq!(follower.view().user(&alice).unwrap().epoch, expected);
    }
    follower.view().set_max_staleness(None);
    assert!(!follower.void_all_of(&alice, here, 0, NOON), "where no view is in use nothing is held");
}

#[test]
fn what_was_voided_again_while_the_store_was_told_of_it_is_still_owed_and_nothing_else_is() {
    let mut owed = Owed::default();
    let session = |number: u8| Revocation::Session { sid: SessionId::from_bytes(id(number)), until: NOON };
    let alice = Revocation::User { subject: subject(1), epoch: 1, disabled: false };
    for revocation in [&session(1), &session(2), &alice] {
        owed.add(revocation);
    }
    let told = owed.voided();
    owed.add(&session(1));
    owed.tell(told);
    assert!(!owed.is_settled());
    owed.add(&alice);
    owed.tell(told + 1);
    assert!(!owed.is_settled());
    owed.tell(told + 2);
    assert!(owed.is_settled());
}

#[test]
fn a_user_who_is_disabled_stays_so_when_they_leave_everywhere_unless_they_were_let_in_since() {
    let (history, alice) = (History::new(), subject(1));
    let (follower, here) = (&history.gateways[0], Partition::of(&alice, PartitionCount::ONE));
    let noon = u64::try_from(NOON.as_micros()).unwrap();
    for (of_token, expected) in [(noon, true), (noon + 10, false)] {
        follower.view().clear();
        follower.view().apply(here, &Revocation::User { subject: alice.clone(), epoch: noon + 10, disabled: true });
        assert!(follower.void_all_of(&alice, here, of_token, NOON));
        let known = follower.view().user(&alice).unwrap();
        assert_eq!((known.epoch, known.disabled), (noon + 11, expected));
    }
}

/// A feed that has nothing to tell, and does something when it is asked for changes.
struct Silent<F>(F);

#[async_trait]
impl<F: Fn(Partition) + Send + Sync + 'static> Feed for Silent<F> {
    async fn changes(&self, partition: Partition, after: &Cursor) -> Result<Changes, StoreError> {
        (self.0)(partition);
        Ok(Changes::Next { revocations: Vec::new(), cursor: *after, more: false })
    }

    async fn snapshot(&self, _: Partition, _: Option<&Place>) -> Result<Page, StoreError> {
        Ok(Page { revocations: Vec::new(), next: Next::Changes(Cursor::default()) })
    }

    async fn restore(
        &self,
        _: Partition,
        _: &[Revocation],
        _: Memory,
        _: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        Ok(Vec::new())
    }
}

/// How old a view is after it was brought up to date from a feed of so many partitions, and how long ago it was that
/// the partition of this number was asked for changes, which took it a while.
fn ages(partitions: PartitionCount, number: u8) -> (Duration, Duration) {
    let asked = Arc::new(Mutex::new(None));
    let note = Arc::clone(&asked);
    let answer = move |partition: Partition| {
        if partition.number() == number {
            let now = Instant::now();
            while now.elapsed() < Duration::from_millis(5) {}
            *note.lock().unwrap() = Some(now);
        }
    };
    let view = Arc::new(View::new(Some(Duration::from_hours(1))));
    let follower = Follower::new(Arc::new(Silent(answer)), partitions, Arc::clone(&view), Arc::new(Metrics::new()));
    RUNTIME.block_on(follower.follow(MEMORY, NOON)).unwrap();
    let age = asked.lock().unwrap().unwrap().elapsed();
    (view.staleness(), age)
}

#[test]
fn a_view_is_as_old_as_the_question_and_not_as_its_answer() {
    let (view, question) = ages(PartitionCount::ONE, 0);
    assert!(view >= question, "{view:?}, {question:?}");
}

#[test]
fn a_view_is_as_old_as_what_is_known_of_its_oldest_partition() {
    let (view, question) = ages(PartitionCount::CLUSTER, 8);
    assert!(view >= question, "{view:?}, {question:?}: half of the partitions were asked before");
}

#[tokio::test]
async fn who_revoked_something_relies_on_no_answer_from_before_and_on_no_view_that_has_none() {
    let view = Arc::new(View::new(Some(Duration::from_hours(1))));
    let feed = Arc::new(Silent(|_| ()));
    let follower = Follower::new(feed, PartitionCount::ONE, Arc::clone(&view), Arc::new(Metrics::new()));
    follower.follow(MEMORY, NOON).await.unwrap();
    assert!(view.is_fresh());
    view.catch_up().await; // which nobody does
    assert!(!view.is_fresh());
    follower.follow(MEMORY, NOON).await.unwrap();
    assert!(view.is_fresh());
}

/// What a store holds, in the plainest way.
#[derive(Clone, Debug, Default)]
struct Server {
    log: Vec<(u64, Revocation)>,
    last: u64,
    added: u64,
    listed: BTreeMap<String, Revocation>,
}

/// What a revocation is about.
fn name(revocation: &Revocation) -> String {
    match revocation {
        Revocation::Token { jti, .. } => format!("token {jti}"),
        Revocation::Session { sid, .. } => format!("session {sid}"),
        Revocation::User { subject, .. } => format!("user {subject}"),
    }
}

/// Whether `one` says no less than `other` about the same thing.
fn covers(one: &Revocation, other: &Revocation) -> bool {
    match (one, other) {
        (Revocation::Token { until: one, .. }, Revocation::Token { until: other, .. })
        | (Revocation::Session { until: one, .. }, Revocation::Session { until: other, .. }) => one >= other,
        (Revocation::User { epoch: one, .. }, Revocation::User { epoch: other, .. }) => one >= other,
        _ => false,
    }
}

impl Server {
    fn revoke(&mut self, tick: u64, revocation: Revocation) {
        self.last = tick.max(self.last + 1);
        self.added += 1;
        self.log.push((self.last, revocation.clone()));
        let known = self.listed.entry(name(&revocation)).or_insert_with(|| revocation.clone());
        if covers(&revocation, known) {
            *known = revocation;
        }
    }

    fn user(&self, subject: &Subject) -> (u64, bool) {
        match self.listed.get(&format!("user {subject}")) {
            Some(Revocation::User { epoch, disabled, .. }) => (*epoch, *disabled),
            _ => (0, false),
        }
    }

    /// Users whom nobody has to hear of any more are not in a snapshot.
    fn tells(revocation: &Revocation, now: Timestamp) -> bool {
        match revocation {
            Revocation::User { epoch, disabled, .. } => *disabled || moment(*epoch).after(MEMORY.access_life) > now,
            _ => true,
        }
    }
}

fn moment(epoch: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(epoch).unwrap())
}

/// A store, its replica, and the ways to it.
#[derive(Default)]
struct World {
    primary: Server,
    replica: Server,
    now: Timestamp,
    tick: u64,
    connections: [u64; GATEWAYS],
    is_cut: [bool; GATEWAYS],
    /// Whose next question is the first one since a flush. Until then nobody trims: that takes two commands by hand,
    /// and the stream would have to be as long again as it was, in the 50 ms between two questions.
    is_flushed: [bool; GATEWAYS],
    /// What others revoke while a gateway asks: one at each question.
    meanwhile: VecDeque<Revocation>,
}

impl World {
    fn revoke(&mut self, revocation: Revocation) {
        self.tick += 1;
        let tick = self.tick;
        self.primary.revoke(tick, revocation);
    }

    fn reconnect(&mut self) {
        for connection in &mut self.connections {
            *connection += 1;
        }
        self.is_flushed = [false; GATEWAYS];
    }
}

/// The way of one gateway to the store.
struct Wire {
    world: Arc<Mutex<World>>,
    gateway: usize,
}

impl Wire {
    fn world(&self) -> Result<MutexGuard<'_, World>, StoreError> {
        let mut world = self.world.lock().unwrap();
        if let Some(revocation) = world.meanwhile.pop_front() {
            world.revoke(revocation);
        }
        if world.is_cut[self.gateway] { Err(StoreError::Unavailable("cut".to_owned())) } else { Ok(world) }
    }
}

#[async_trait]
impl Feed for Wire {
    async fn changes(&self, _: Partition, after: &Cursor) -> Result<Changes, StoreError> {
        let world = self.world()?;
        let Server { log, last, added, .. } = &world.primary;
        let rest: Vec<_> = log.iter().filter(|(id, _)| *id > after.last.0).collect();
        Ok(match () {
            () if world.connections[self.gateway] != after.connection => Changes::Gap(Gap::Reconnected),
            () if *last < after.last.0 || *added < after.added => Changes::Gap(Gap::Lost),
            () if after.added + rest.len() as u64 != *added => Changes::Gap(Gap::Trimmed),
            () if rest.last().map_or(after.last.0, |(id, _)| *id) != *last => Changes::Gap(Gap::Trimmed),
            () => {
                let told = &rest[..rest.len().min(PAGE)];
                let more = told.len() < rest.len();
                let last = told.last().map_or(after.last.0, |(id, _)| *id);
                let cursor = Cursor { last: (last, 0), added: after.added + told.len() as u64, ..*after };
                Changes::Next { revocations: told.iter().map(|(_, one)| one.clone()).collect(), cursor, more }
            }
        })
    }

    async fn snapshot(&self, _: Partition, from: Option<&Place>) -> Result<Page, StoreError> {
        let world = self.world()?;
        let connection = world.connections[self.gateway];
        let now = Cursor { last: (world.primary.last, 0), added: world.primary.added, connection, ..Cursor::default() };
        let cursor = from.map_or(now, |place| place.cursor);
        if cursor.connection != connection {
            return Err(StoreError::Unavailable("connected anew".to_owned()));
        }
        // By number of name, so that what is listed meanwhile may be missed, but nothing else.
        let all: Vec<_> = world.primary.listed.iter().collect();
        let begin = from.map_or(0, |place| place.scan);
        let bucket = |name: &str| name.bytes().map(u64::from).sum::<u64>() % 4;
        let told = all.iter().filter(|(name, one)| bucket(name) == begin && Server::tells(one, world.now));
        let revocations = told.map(|(_, one)| (*one).clone()).collect();
        let next = if begin == 3 { Next::Changes(cursor) } else { Next::Page(Place { cursor, scan: begin + 1 }) };
        Ok(Page { revocations, next })
    }

    async fn restore(
        &self,
        _: Partition,
        revocations: &[Revocation],
        _: Memory,
        _: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let mut world = self.world()?;
        let mut users = Vec::new();
        for revocation in revocations {
            let known = world.primary.listed.get(&name(revocation));
            if !known.is_some_and(|known| covers(known, revocation)) {
                world.revoke(revocation.clone());
            }
            if let Revocation::User { subject, .. } = revocation {
                let (epoch, disabled) = world.primary.user(subject);
                users.push(Revocation::User { subject: subject.clone(), epoch, disabled });
            }
        }
        Ok(users)
    }
}

#[derive(Clone, Debug)]
enum Step {
    RevokeToken(u8, u64),
    EndSession(u8, u64),
    RaiseEpoch(u8),
    Disable(u8, bool),
    /// Revokes a token while the next question is asked.
    Meanwhile(u8),
    Follow(usize),
    Cut(usize, bool),
    /// Loses a gateway's logout on its way to the store.
    Void(usize, u8),
    /// The same of a user.
    VoidAll(usize, u8),
    Replicate,
    FailOver,
    Restart,
    Flush,
    Trim(usize),
    Sweep(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let gateway = 0..GATEWAYS;
    prop_oneof![
        4 => (0_u8..5, 60_u64..900).prop_map(|(token, secs)| Step::RevokeToken(token, secs)),
        4 => (0_u8..5, 60_u64..900).prop_map(|(session, secs)| Step::EndSession(session, secs)),
        3 => (0_u8..3).prop_map(Step::RaiseEpoch),
        3 => (0_u8..3, any::<bool>()).prop_map(|(user, disabled)| Step::Disable(user, disabled)),
        2 => (0_u8..5).prop_map(Step::Meanwhile),
        9 => gateway.clone().prop_map(Step::Follow),
        3 => (gateway.clone(), any::<bool>()).prop_map(|(gateway, is_cut)| Step::Cut(gateway, is_cut)),
        1 => (gateway.clone(), 0_u8..5).prop_map(|(gateway, session)| Step::Void(gateway, session)),
        1 => (gateway.clone(), 0_u8..3).prop_map(|(gateway, user)| Step::VoidAll(gateway, user)),
        2 => Just(Step::Replicate),
        2 => Just(Step::FailOver),
        1 => Just(Step::Restart),
        1 => Just(Step::Flush),
        2 => (0_usize..6).prop_map(Step::Trim),
        2 => gateway.prop_map(Step::Sweep),
        3 => (1_u64..1500).prop_map(Step::Wait),
    ]
}

fn id(number: u8) -> [u8; 16] {
    [number + 1; 16]
}

fn subject(number: u8) -> Subject {
    Subject::parse(&format!("user-{number}")).unwrap()
}

struct History {
    world: Arc<Mutex<World>>,
    gateways: Vec<Follower>,
    /// What each gateway must refuse from then on.
    known: Vec<BTreeMap<String, Revocation>>,
    /// What was ever revoked.
    ever: BTreeMap<String, Revocation>,
}

type Outcome = Result<(), TestCaseError>;

impl History {
    fn new() -> Self {
        let world = Arc::new(Mutex::new(World { now: NOON, ..World::default() }));
        let follower = |gateway| {
            let feed = Arc::new(Wire { world: Arc::clone(&world), gateway });
            let view = Arc::new(View::new(Some(Duration::from_hours(1))));
            Follower::new(feed, PartitionCount::ONE, view, Arc::new(Metrics::new()))
        };
        Self {
            gateways: (0..GATEWAYS).map(follower).collect(),
            known: vec![BTreeMap::new(); GATEWAYS],
            ever: BTreeMap::new(),
            world: Arc::clone(&world),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.world().now
    }

    fn until(&self, secs: u64) -> Timestamp {
        self.now().after(Duration::from_secs(secs))
    }

    fn token(&self, number: u8, secs: u64) -> Revocation {
        Revocation::Token { jti: Jti::from_bytes(id(number)), until: self.until(secs) }
    }

    fn session(&self, number: u8, secs: u64) -> Revocation {
        let mut bytes = [number + 101; 16];
        bytes[0] = 0; // the only partition
        Revocation::Session { sid: SessionId::from_bytes(bytes), until: self.until(secs) }
    }

    fn note(&mut self, revocation: &Revocation) {
        self.ever.insert(name(revocation), revocation.clone());
    }

    fn revoke(&mut self, revocation: Revocation) {
        self.note(&revocation);
        self.world().revoke(revocation);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::RevokeToken(..) | Step::EndSession(..) | Step::RaiseEpoch(_) | Step::Disable(..) => self.change(step),
            Step::Meanwhile(number) => {
                let revocation = self.token(number, 300);
                self.note(&revocation);
                self.world().meanwhile.push_back(revocation);
            }
            Step::Follow(gateway) => self.follow(gateway),
            Step::Void(gateway, number) => {
                let revocation = self.session(number, 600);
                self.note(&revocation);
                let Revocation::Session { sid, until } = revocation else { return };
                assert!(self.gateways[gateway].void(sid, until));
                self.remember(gateway, &Revocation::Session { sid, until });
            }
            Step::VoidAll(gateway, number) => {
                let (subject, now) = (subject(number), self.now());
                let follower = &self.gateways[gateway];
                assert!(follower.void_all_of(&subject, Partition::of(&subject, PartitionCount::ONE), 0, now));
                let user = follower.view().user(&subject).unwrap();
                let revocation = Revocation::User { subject, epoch: user.epoch, disabled: user.disabled };
                self.note(&revocation);
                self.remember(gateway, &revocation);
            }
            Step::Sweep(gateway) => self.gateways[gateway].view().sweep(MEMORY.access_life, self.now()),
            _ => self.happen(step),
        }
    }

    /// Something is revoked, or a user enabled again.
    fn change(&mut self, step: &Step) {
        match *step {
            Step::RevokeToken(number, secs) => self.revoke(self.token(number, secs)),
            Step::EndSession(number, secs) => self.revoke(self.session(number, secs)),
            Step::RaiseEpoch(number) => {
                let (subject, now) = (subject(number), self.now());
                let (before, disabled) = self.world().primary.user(&subject);
                let epoch = (before + 1).max(u64::try_from(now.as_micros()).unwrap());
                self.revoke(Revocation::User { subject, epoch, disabled });
            }
            Step::Disable(number, disabled) => {
                let (subject, now) = (subject(number), self.now());
                let (before, was_disabled) = self.world().primary.user(&subject);
                match (disabled, was_disabled) {
                    (false, true) => self.revoke(Revocation::User { subject, epoch: before, disabled }),
                    (false, false) => {}
                    (true, _) => {
                        let epoch = (before + 1).max(u64::try_from(now.as_micros()).unwrap());
                        self.revoke(Revocation::User { subject, epoch, disabled });
                    }
                }
            }
            _ => unreachable!("{step:?} changes nothing"),
        }
    }

    /// Something befalls the store, or time.
    fn happen(&mut self, step: &Step) {
        match *step {
            Step::Cut(gateway, is_cut) => {
                let mut world = self.world();
                if world.is_cut[gateway] && !is_cut {
                    world.connections[gateway] += 1;
                    world.is_flushed[gateway] = false;
                }
                world.is_cut[gateway] = is_cut;
            }
            Step::Replicate => {
                let mut world = self.world();
                world.replica = world.primary.clone();
            }
            Step::FailOver => {
                let mut world = self.world();
                world.primary = world.replica.clone();
                world.reconnect();
            }
            Step::Restart => {
                let mut world = self.world();
                world.primary = Server::default();
                world.reconnect();
            }
            Step::Flush => {
                let mut world = self.world();
                world.primary = Server::default();
                world.is_flushed = [true; GATEWAYS];
            }
            Step::Trim(count) => {
                let mut world = self.world();
                let is_soon = world.is_flushed.contains(&true);
                let log = &mut world.primary.log;
                log.drain(..if is_soon { 0 } else { count.min(log.len()) });
            }
            Step::Wait(secs) => {
                let mut world = self.world();
                world.now = world.now.after(Duration::from_secs(secs));
            }
            _ => unreachable!("{step:?} befalls nobody"),
        }
    }

    /// What the store knew when a gateway began to ask, that gateway knows once it has followed.
    fn follow(&mut self, gateway: usize) {
        let before: Vec<_> = self.world().primary.listed.values().cloned().collect();
        let followed = RUNTIME.block_on(self.gateways[gateway].follow(MEMORY, self.now()));
        if followed.is_ok() {
            self.world().is_flushed[gateway] = false;
            for revocation in &before {
                self.remember(gateway, revocation);
            }
        }
    }

    fn remember(&mut self, gateway: usize, revocation: &Revocation) {
        let known = self.known[gateway].entry(name(revocation)).or_insert_with(|| revocation.clone());
        if covers(revocation, known) {
            *known = revocation.clone();
        }
    }

    /// What `gateway` says of a token that falls with `revocation` and nothing else.
    fn verdict(&self, gateway: usize, revocation: &Revocation) -> Verdict {
        let nobody = Subject::parse("nobody").unwrap();
        let (mut subject, mut sid, mut jti) = (&nobody, SessionId::from_bytes([0; 16]), Jti::from_bytes([0; 16]));
        let mut old = u64::MAX;
        match revocation {
            Revocation::Token { jti: revoked, .. } => jti = *revoked,
            Revocation::Session { sid: ended, .. } => sid = *ended,
            Revocation::User { subject: user, epoch, .. } => (subject, old) = (user, epoch - 1),
        }
        self.gateways[gateway].view().verdict(&Stand { subject, sid, jti, epoch: old }, self.now())
    }

    /// Whether a token that falls with it may be young enough still.
    fn matters(&self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Token { until, .. } | Revocation::Session { until, .. } => *until > self.now(),
            Revocation::User { epoch, .. } => moment(*epoch).after(MEMORY.access_life) > self.now(),
        }
    }

    fn check(&self) -> Outcome {
        for gateway in 0..GATEWAYS {
            for revocation in self.known[gateway].values().filter(|one| self.matters(one)) {
                prop_assert_eq!(self.verdict(gateway, revocation), Verdict::Revoked, "{} {:?}", gateway, revocation);
            }
            for number in 0..5 {
                for valid in [self.token(number, 1), self.session(number, 1)] {
                    if !self.ever.contains_key(&name(&valid)) {
                        prop_assert_ne!(self.verdict(gateway, &valid), Verdict::Revoked, "{} {:?}", gateway, valid);
                    }
                }
            }
        }
        Ok(())
    }

    /// Heals everything, and checks that all gateways and the store agree on all that any of them knew.
    fn settle(&mut self) -> Outcome {
        for gateway in 0..GATEWAYS {
            self.take(&Step::Cut(gateway, false));
        }
        for round in 0..3 {
            for gateway in 0..GATEWAYS {
                self.follow(gateway);
            }
            if round == 0 {
                self.check()?;
            }
        }
        let primary = self.world().primary.clone();
        for known in self.known.clone().iter().flat_map(BTreeMap::values).filter(|one| self.matters(one)) {
            let restored = primary.listed.get(&name(known)).is_some_and(|listed| covers(listed, known));
            prop_assert!(restored, "the store knows {:?}", known);
            for gateway in 0..GATEWAYS {
                prop_assert_eq!(self.verdict(gateway, known), Verdict::Revoked, "{} {:?}", gateway, known);
            }
        }
        for number in 0..3 {
            let subject = subject(number);
            let (epoch, disabled) = primary.user(&subject);
            let (sid, jti) = (SessionId::from_bytes([0; 16]), Jti::from_bytes([0; 16]));
            let token = Stand { subject: &subject, sid, jti, epoch };
            let expected = if disabled { Verdict::Revoked } else { Verdict::Stands };
            for gateway in 0..GATEWAYS {
                let verdict = self.gateways[gateway].view().verdict(&token, self.now());
                prop_assert_eq!(verdict, expected, "{} {}", gateway, &subject);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_any_gateway_knew_stays_revoked_everywhere_and_nothing_else_does(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
            history.check()?;
        }
        history.settle()?;
    }
}
