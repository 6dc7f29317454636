//! What the Redis store promises beyond the contract: how it behaves while Redis fails, what it sends, and
//! what it leaves in Redis.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis::ids::{Jti, Partition, SessionId};
use portcullis::limit::Backoff;
use portcullis::metrics::Metrics;
use portcullis::policy::{Grants, Known};
use portcullis::revocation::view::{Verdict, View};
use portcullis::secret::Secret;
use portcullis::session::{Cap, Cause, Rotation, WhenFull};
use portcullis::store::feed::{Changes, Cursor, Feed as _, Gap, MOST_IN_A_PAGE, Next, Revocation};
use portcullis::store::redis::{Health, RedisStore};
use portcullis::store::{Check, Ending, KeyPurpose, Stand, Standing, Store, StoreError, StoredKey};
use portcullis::streams::carrier::{Carrier, Kind};
use portcullis::streams::{Open, Streams, Watched};

use crate::fixture::{
    EXPIRED, LIFETIMES, LOGOUT, MEMORY, NOW, check_of, connect, connect_as_told, follower, leasable, opened, opening,
    secs, session, subject, take, token,
};
use crate::redis_server::RedisServer;

/// As short as in production.
const TIMEOUT: Duration = Duration::from_millis(250);

/// One connection, so that Redis sees everything in the order in which it was asked.
async fn connect_once(server: &RedisServer) -> RedisStore {
    RedisStore::connect(&Secret::new(server.url()), TIMEOUT, 1, "portcullis").await.unwrap()
}

pub(crate) async fn until_up(store: &RedisStore) {
    let mut health = store.health();
    let up = health.wait_for(|health| matches!(health, Health::Up { .. }));
    tokio::time::timeout(secs(20), up).await.expect("it recovers").unwrap();
}

async fn until_down(store: &RedisStore) {
    let mut health = store.health();
    tokio::time::timeout(secs(20), health.wait_for(|health| *health == Health::Down)).await.expect("noticed").unwrap();
}

/// Asks until there is an answer: while connections are made anew, some questions still fail.
async fn eventually<T>(question: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let started = Instant::now();
    loop {
        match question().await {
            Ok(answer) => return answer,
            Err(error) => assert!(started.elapsed() < secs(20), "it recovers: {error}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn until_answered(store: &RedisStore) {
    until_up(store).await;
    eventually(async || store.ping().await).await;
}

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_redis_that_is_down_at_start_is_waited_for_and_may_go_down_again() {
    let mut server = RedisServer::absent();
    let store = connect_once(&server).await;
    let started = Instant::now();
    assert!(is_unavailable(&store.ping().await));
    assert!(is_unavailable(&store.rotate(&token(Fixed::SID, 0), None, &LIFETIMES, MEMORY, NOW).await));
    assert!(is_unavailable(&store.check(&check_of(&Fixed::session(&store)), NOW).await));
    assert!(started.elapsed() < TIMEOUT * 2, "no two wait for their time to be up");
    for _ in 0..2 {
        server.start_again();
        until_up(&store).await;
        eventually(async || store.open(Fixed::session(&store), None, MEMORY).await).await;
        server.stop();
        until_down(&store).await;
        assert!(is_unavailable(&store.user(&subject("alice")).await));
    }
}

struct Fixed;

impl Fixed {
    const SID: portcullis::ids::SessionId = portcullis::ids::SessionId::from_bytes([0; 16]);

    fn session(store: &RedisStore) -> portcullis::session::Session {
        crate::fixture::session(store, &subject("alice"), NOW)
    }
}

#[tokio::test]
async fn what_a_stalled_redis_was_asked_is_not_done_later() {
    let server = RedisServer::start();
    let store = connect_once(&server).await;
    let (alice, bob) = (subject("alice"), subject("bob"));
    let session = opened(&store, &alice, NOW).await;
    let other = opened(&store, &bob, NOW).await;
    store.rotate(&token(other.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    store.end(&subject("carol"), Ending::All, LOGOUT, MEMORY, NOW).await.unwrap(); // so that its script is known
    let before = evalsha_calls(&server);

    server.stall();
    let started = Instant::now();
    assert!(is_unavailable(&store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await));
    assert!(started.elapsed() < TIMEOUT * 4);
    assert!(is_unavailable(&store.end(&bob, Ending::All, LOGOUT, MEMORY, NOW).await));
    assert!(is_unavailable(&store.open(crate::fixture::session(&store, &bob, NOW), None, MEMORY).await));
    server.go_on();

    until_answered(&store).await;
    assert_eq!(evalsha_calls(&server), before + 3, "the scripts did reach Redis");
    assert_eq!(store.sessions(&bob, NOW).await.unwrap().len(), 1, "neither ended nor opened");
    assert_eq!(store.user(&bob).await.unwrap().epoch, 0);
    let retried = store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert!(matches!(retried, Rotation::Rotated(_)), "{retried:?}");
}

fn evalsha_calls(server: &RedisServer) -> u64 {
    let stats = server.ask(&["INFO", "commandstats"]);
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    calls.and_then(|calls| calls.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn a_long_stall_is_survived_without_a_restart() {
    let server = RedisServer::start();
    let store = connect_once(&server).await;
    let session = opened(&store, &subject("alice"), NOW).await;
    server.stall();
    let started = Instant::now();
    loop {
        let asked = Instant::now();
        assert!(is_unavailable(&store.user(&session.subject).await));
        if asked.elapsed() < TIMEOUT / 10 {
            break; // the stuck connection was given up: unavailable at once
        }
        assert!(started.elapsed() < secs(20), "a connection without answers is given up");
    }
    assert_eq!(*store.health().borrow(), Health::Down);
    server.go_on();
    until_up(&store).await;
    assert_eq!(eventually(async || store.session(session.id, NOW).await).await, Some(session));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_never_shift_an_answer_to_another() {
    const USERS: usize = 60;
    let server = RedisServer::start();
    let store = Arc::new(connect(&server, secs(5)).await);
    let mut sessions = Vec::new();
    for user in 0..USERS {
        sessions.push(opened(&*store, &subject(&format!("user-{user}")), NOW).await);
    }
    for round in 0..5 {
        server.stall();
        let asked: Vec<_> = (0..USERS * 3)
            .map(|index| {
                let (store, session) = (Arc::clone(&store), sessions[index % USERS].clone());
                tokio::spawn(async move {
                    let _ = store.session(session.id, NOW).await;
                    let _ = store.sessions(&session.subject, NOW).await;
                })
            })
            .collect();
        for _ in 0..round * 20 {
            tokio::task::yield_now().await;
        }
        for (index, task) in asked.iter().enumerate() {
            if index % 3 != round % 3 {
                task.abort(); // some before they were sent, some while Redis has the question
            }
        }
        server.go_on();
        let answers = (0..USERS).map(|user| {
            let (store, session) = (Arc::clone(&store), sessions[user].clone());
            tokio::spawn(async move {
                assert_eq!(store.session(session.id, NOW).await.unwrap(), Some(session.clone()));
                assert_eq!(store.sessions(&session.subject, NOW).await.unwrap(), [session]);
            })
        });
        for answer in answers.collect::<Vec<_>>() {
            answer.await.unwrap();
        }
        for task in asked {
            let _ = task.await;
        }
    }
}

#[tokio::test]
async fn a_check_with_a_user_limit_is_one_round_trip() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    let session = opened(&store, &subject("alice"), NOW).await;
    let takes = [take("api", "alice", 9), take("wide", "alice", 9)];
    let check = Check { takes: &takes, ..check_of(&session) };
    store.check(&check, NOW).await.unwrap(); // loads the script

    let mut monitor = server.cli().arg("monitor").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "OK");
    assert!(matches!(store.check(&check, NOW).await.unwrap(), Standing::Good(_)));
    server.ask(&["ECHO", "that was it"]);
    let seen: Vec<String> = lines.by_ref().take_while(|line| !line.contains("that was it")).collect();
    monitor.kill().unwrap();
    monitor.wait().unwrap();

    let (inside, sent): (Vec<_>, Vec<_>) = seen.iter().partition(|line| line.contains(" lua] "));
    // Connections introduce themselves, and the store's pulse asks for the time once a second.
    let others = ["\"TIME\"", "\"COMMAND\"", "\"HELLO\"", "\"CLIENT\""];
    let is_ours = |line: &&&String| !others.iter().any(|other| line.contains(other));
    let ours: Vec<_> = sent.iter().filter(is_ours).collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert!(ours[0].contains("\"EVALSHA\""), "{ours:?}");
    for part in [":blacklist", ":user:alice", ":rate_limit:api:9x1000000us:alice", ":rate_limit:wide:9x1000000us:alice"]
    {
        assert!(inside.iter().any(|line| line.contains(part)), "{part} was looked at: {inside:?}");
    }
}

#[tokio::test]
async fn scripts_and_data_that_vanish_are_got_over() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    let session = opened(&store, &subject("alice"), NOW).await;
    server.ask(&["SCRIPT", "FLUSH"]);
    let rotation = store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)));
    server.ask(&["FLUSHALL"]);
    assert_eq!(store.rotate(&token(session.id, 1), None, &LIFETIMES, MEMORY, NOW).await.unwrap(), EXPIRED);
    opened(&store, &subject("alice"), NOW).await;
}

#[tokio::test]
async fn a_session_that_the_user_s_set_has_lost_falls_with_the_epoch_and_says_why() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    let alice = subject("alice");
    let session = opened(&store, &alice, NOW).await;
    server.ask(&["DEL", "portcullis:{0}:sessions:alice"]);
    assert_eq!(store.end(&alice, Ending::All, Cause::Revoked, MEMORY, NOW).await.unwrap(), 0);
    for _ in 0..2 {
        let rotation = store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
        assert_eq!(rotation, Rotation::Ended(Cause::Revoked), "asked again, the same");
    }
    server.ask(&["SET", &format!("portcullis:{{0}}:ended:{}", session.id), "1900000000000000 a whim"]);
    let read = store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
}

#[tokio::test]
async fn what_somebody_else_wrote_is_corrupt_and_never_a_session() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    let session = opened(&store, &subject("alice"), NOW).await;
    let key = format!("portcullis:{{0}}:session:{}", session.id);
    for (field, value) in [("generation", "x"), ("expires_at", ""), ("roles", "a,b"), ("token_hash", "AAAA")] {
        let before = server.ask(&["HGET", &key, field]);
        server.ask(&["HSET", &key, field, value]);
        let read = store.session(session.id, NOW).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{field}: {read:?}");
        server.ask(&["HSET", &key, field, before.trim_end()]);
    }
    server.ask(&["HSET", &key, "created_at", "x"]);
    let rotated = store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await;
    assert!(matches!(rotated, Err(StoreError::Corrupt(_))), "{rotated:?}");
    server.ask(&["SET", &key, "a string"]);
    let wrong_type = store.session(session.id, NOW).await;
    assert!(matches!(wrong_type, Err(StoreError::Corrupt(_))), "{wrong_type:?}");
}

/// Does a bit of everything.
pub(crate) async fn live_a_little(store: &RedisStore) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let reused = opened(store, &alice, NOW).await;
    for generation in [0, 1, 2, 0] {
        store.rotate(&token(reused.id, generation), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    }
    let ended = opened(store, &alice, NOW).await;
    store.end(&alice, Ending::This(ended.id), LOGOUT, MEMORY, NOW).await.unwrap();
    let kept = opened(store, &bob, NOW).await;
    let evicting = Cap { most: 1.try_into().unwrap(), when_full: WhenFull::EvictOldest };
    opening(store, session(store, &subject("carol"), NOW), Some(evicting)).await;
    opening(store, session(store, &subject("carol"), NOW), Some(evicting)).await;
    store.revoke(&bob, Jti::random(), NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    let takes = [take("api", "bob", 5)];
    store.check(&Check { takes: &takes, ..check_of(&kept) }, NOW).await.unwrap();
    store.take(&takes, NOW).await.unwrap();
    for key in ["192.0.2.1", "192.0.2.2"] {
        let leased = leasable("api", key, 5);
        if key.ends_with('1') {
            store.lease(&leased, 5, NOW).await.unwrap();
        }
        store.give_back(&leased, 3).await.unwrap();
    }
    let backoff = Backoff { free: 0, first: secs(1), longest: secs(9), forget: secs(60) };
    store.login_failed("bob", &backoff, NOW).await.unwrap();
    store.set_disabled(&alice, true, MEMORY, NOW).await.unwrap();
    store.set_disabled(&alice, false, MEMORY, NOW).await.unwrap();
    let key = StoredKey {
        purpose: KeyPurpose::Refresh,
        name: "one".to_owned(),
        algorithm: "HS256".to_owned(),
        material: Secret::new([7; 32]),
        created_at: NOW,
    };
    store.add_key(&key).await.unwrap();
}

#[tokio::test]
async fn every_key_goes_away_by_itself_but_for_four_kinds() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    live_a_little(&store).await;
    let keys = server.ask(&["KEYS", "*"]);
    assert!(keys.lines().count() > 9, "{keys}");
    for key in keys.lines() {
        assert!(key.starts_with("portcullis:"), "{key}");
        let is_lasting = key.contains(":user:")
            || key.ends_with(":revocations")
            || key.ends_with(":blacklist")
            || key.contains(":keys:");
        let left: i64 = server.ask(&["PTTL", key]).trim().parse().unwrap();
        assert_eq!(left == -1, is_lasting, "{key}: {left}");
    }
}

#[tokio::test]
async fn every_revocation_is_announced_in_order() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    live_a_little(&store).await;
    let stream = server.ask(&["XRANGE", "portcullis:{0}:revocations", "-", "+"]);
    let lines: Vec<&str> = stream.lines().collect();
    let kinds: Vec<_> = lines.windows(4).filter(|four| four[0] == "kind").map(|four| (four[1], four[3])).collect();
    let expected = [
        ("session", "alice"),
        ("session", "alice"),
        ("session", "carol"),
        ("token", "bob"),
        ("user", "alice"),
        ("user", "alice"),
    ];
    assert_eq!(kinds, expected, "reuse, logout, eviction, revocation, disabling, enabling");
}

#[tokio::test]
async fn a_store_that_is_dropped_leaves_no_connection() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    store.ping().await.unwrap();
    let ours = || server.ask(&["CLIENT", "LIST"]).lines().filter(|line| line.contains("name=fred")).count();
    let until = async |count| {
        let started = Instant::now();
        while ours() != count {
            assert!(started.elapsed() < secs(10), "there are {} connections, not {count}", ours());
            tokio::task::yield_now().await;
        }
    };
    until(2).await;
    drop(store);
    until(0).await;
}

#[tokio::test]
async fn a_wrong_password_is_unavailable_and_shown_nowhere() {
    let server = RedisServer::start();
    server.ask(&["CONFIG", "SET", "requirepass", "the-right-one"]);
    let url = format!("redis://:hunter2@127.0.0.1:{}", server.port());
    let (lines, _guard) = log_lines();
    let store = RedisStore::connect(&Secret::new(url), TIMEOUT, 1, "portcullis").await.unwrap();
    let error = store.ping().await.unwrap_err().to_string();
    let started = Instant::now();
    while !lines.text().contains("redis does not answer") {
        assert!(started.elapsed() < secs(10), "{}", lines.text());
        tokio::task::yield_now().await;
    }
    let lines = lines.text();
    for text in [&error, &lines] {
        assert!(!text.contains("hunter2") && !text.contains("redis://"), "{text}");
    }
}

#[tokio::test]
async fn a_redis_that_evicts_is_warned_of() {
    for (policy, is_warned) in [("allkeys-lru", true), ("volatile-ttl", true), ("noeviction", false)] {
        let server = RedisServer::start();
        server.ask(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let (lines, _guard) = log_lines();
        let store = connect_as_told(&server).await;
        until_up(&store).await;
        store.ping().await.unwrap();
        let started = Instant::now();
        while is_warned && !lines.text().contains(policy) {
            assert!(started.elapsed() < secs(10), "{}", lines.text());
            tokio::task::yield_now().await;
        }
        assert_eq!(lines.text().contains("noeviction"), is_warned, "{policy}: {}", lines.text());
    }
}

#[tokio::test]
async fn a_prefix_that_would_break_hash_tags_is_refused() {
    for prefix in ["", "a{b}"] {
        assert!(RedisStore::connect(&Secret::new("redis://localhost"), TIMEOUT, 1, prefix).await.is_err());
    }
}

/// `cargo test -p portcullis --test store_contract -- --ignored --nocapture look`
#[tokio::test]
#[ignore = "a measurement, not a claim"]
async fn what_a_look_at_ten_thousand_streams_costs() {
    const STREAMS: u32 = 10_000;
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let streams = Arc::new(Streams::new(Arc::new(Metrics::new())));
    let before = resident();
    let open: Vec<_> = (0..STREAMS).map(|number| begin(&streams, &store, &format!("user-{number}"))).collect();
    let after = resident();
    for round in 0..5 {
        server.ask(&["CONFIG", "RESETSTAT"]);
        let began = Instant::now();
        streams.look(&View::new(None), &store, MEMORY.access_life, NOW).await;
        let stats = server.ask(&["INFO", "commandstats"]);
        let redis = stats.lines().find(|line| line.starts_with("cmdstat_evalsha")).unwrap_or_default();
        println!("round {round}: {:?}; {redis}", began.elapsed());
    }
    println!("{} bytes a stream, with its caller and carrier", (after - before) / u64::from(STREAMS));
    assert!(open.iter().all(|open| open.ended().is_none()));
}

fn begin(streams: &Arc<Streams>, store: &RedisStore, name: &str) -> Open {
    let subject = subject(name);
    let known = Arc::new(Known {
        sid: SessionId::random(store.partition(&subject)),
        jti: Jti::random(),
        epoch: 0,
        grants: Grants::default(),
        authenticated_at: NOW,
        issued_at: NOW,
        expires_at: NOW,
        subject,
    });
    let watched = Watched { known, ends_at: NOW.after(secs(60)), confirmed_at: NOW };
    streams.begin(&Arc::new(Carrier::default()), Kind::Bytes, Some(watched))
}

/// What is logged on this thread, where a test's whole runtime lives.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn log_lines() -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

/// The stream's last id, how many entries were ever added to it, and how many it has.
fn extent(server: &RedisServer) -> (String, String, String) {
    let info = server.ask(&["XINFO", "STREAM", STREAM]);
    let lines: Vec<&str> = info.lines().collect();
    let field = |name: &str| {
        let at = lines.iter().position(|line| *line == name).unwrap();
        lines[at + 1].to_owned()
    };
    (field("last-generated-id"), field("entries-added"), field("length"))
}

const LIST: &str = "portcullis:{0}:blacklist";
const STREAM: &str = "portcullis:{0}:revocations";

/// Revokes so many tokens.
async fn revoke_some(store: &dyn Store, count: usize) {
    for _ in 0..count {
        store.revoke(&subject("alice"), Jti::random(), NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    }
}

/// What a gap relies on.
#[tokio::test]
async fn trimming_and_deleting_change_neither_the_count_nor_the_last_id() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    revoke_some(&store, 6).await;
    let (last, added, _) = extent(&server);
    assert_eq!(added, "6");
    for (command, left) in [
        (["XTRIM", STREAM, "MAXLEN", "4"], "4"),
        (["XTRIM", STREAM, "MINID", last.as_str()], "1"),
        (["XDEL", STREAM, last.as_str(), "0-1"], "0"),
    ] {
        server.ask(&command);
        assert_eq!(extent(&server), (last.clone(), added.clone(), left.to_owned()), "{command:?}");
    }
    revoke_some(&store, 1).await;
    assert_eq!(extent(&server).1, "7");
}

/// A reader that has read to the end of a store in which three tokens are revoked, and the store.
async fn reader(server: &RedisServer) -> (Arc<dyn Store>, Partition, Cursor) {
    let store: Arc<dyn Store> = Arc::new(connect(server, secs(5)).await);
    let here = store.partition(&subject("alice"));
    revoke_some(&*store, 3).await;
    let Next::Changes(cursor) = store.snapshot(here, None).await.unwrap().next else { panic!("three are one page") };
    (store, here, cursor)
}

#[tokio::test]
async fn what_a_reader_has_missed_is_a_gap_and_what_it_has_read_is_not() {
    type Trim = fn(&RedisServer) -> String;
    let trims: [(&str, Trim); 3] = [
        ("trimmed by length", |server| server.ask(&["XTRIM", STREAM, "MAXLEN", "0"])),
        ("trimmed by age", |server| server.ask(&["XTRIM", STREAM, "MINID", "99999999999999-0"])),
        ("deleted", |server| server.ask(&["XDEL", STREAM, &extent(server).0])),
    ];
    for (name, trim) in trims {
        let server = RedisServer::start();
        let (store, here, cursor) = reader(&server).await;
        let trim = || trim(&server);
        trim();
        let nothing = store.changes(here, &cursor).await.unwrap();
        assert!(
            matches!(nothing, Changes::Next { ref revocations, more: false, .. } if revocations.is_empty()),
            "{name}"
        );
        revoke_some(&*store, 1).await;
        trim();
        assert_eq!(store.changes(here, &cursor).await.unwrap(), Changes::Gap(Gap::Trimmed), "{name}");
        revoke_some(&*store, 1).await;
        assert_eq!(store.changes(here, &cursor).await.unwrap(), Changes::Gap(Gap::Trimmed), "{name}: and it stays one");
    }
}

#[tokio::test]
async fn a_flushed_redis_is_a_gap_however_much_was_added_since() {
    for added in 0..5 {
        let server = RedisServer::start();
        let (store, here, cursor) = reader(&server).await;
        server.ask(&["FLUSHALL"]);
        revoke_some(&*store, added).await;
        let changes = store.changes(here, &cursor).await.unwrap();
        assert!(matches!(changes, Changes::Gap(Gap::Lost | Gap::Trimmed)), "{added}: {changes:?}");
    }
}

#[tokio::test]
async fn a_redis_that_follows_another_tells_no_changes() {
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let (store, here, cursor) = reader(&server).await;
    assert!(store.changes(here, &cursor).await.is_ok());
    server.ask(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    assert!(store.changes(here, &cursor).await.is_err(), "what the other one knows may not have come yet");
    assert!(store.snapshot(here, None).await.is_err());
}

#[tokio::test]
async fn a_redis_that_has_followed_another_is_a_gap_though_it_has_come_as_far() {
    let server = RedisServer::start();
    let (store, here, cursor) = reader(&server).await;
    server.ask(&["REPLICAOF", "127.0.0.1", "1"]); // nobody is there, so nothing is lost
    server.ask(&["REPLICAOF", "NO", "ONE"]);
    let changes = eventually(async || store.changes(here, &cursor).await).await;
    assert_eq!(changes, Changes::Gap(Gap::Lost), "nobody can tell");
    let Next::Changes(anew) = store.snapshot(here, None).await.unwrap().next else { panic!("three are one page") };
    assert_eq!(anew, Cursor { history: anew.history, ..cursor }, "by nothing else");
    assert!(matches!(store.changes(here, &anew).await.unwrap(), Changes::Next { .. }));
}

#[tokio::test]
async fn a_list_that_somebody_deleted_is_a_gap_and_is_restored() {
    let server = RedisServer::start();
    let store: Arc<dyn Store> = Arc::new(connect(&server, secs(5)).await);
    let follower = follower(&store);
    let session = opened(&*store, &subject("alice"), NOW).await;
    follower.follow(MEMORY, NOW).await.unwrap();
    store.end(&session.subject, Ending::This(session.id), LOGOUT, MEMORY, NOW).await.unwrap();
    follower.follow(MEMORY, NOW).await.unwrap();
    server.ask(&["DEL", LIST]);
    assert!(matches!(store.check(&check_of(&session), NOW).await.unwrap(), Standing::Good(_)));
    follower.follow(MEMORY, NOW).await.unwrap();
    assert_eq!(store.check(&check_of(&session), NOW).await.unwrap(), Standing::Revoked);
}

#[tokio::test]
async fn users_whose_list_somebody_deleted_are_known_to_who_begins_to_follow_then() {
    let server = RedisServer::start();
    let store: Arc<dyn Store> = Arc::new(connect(&server, secs(5)).await);
    let first = follower(&store);
    let (alice, bob, carol) = (subject("alice"), subject("bob"), subject("carol"));
    let long_ago = NOW.before(Duration::from_hours(1));
    first.follow(MEMORY, long_ago).await.unwrap();
    let sessions = [opened(&*store, &alice, NOW).await, opened(&*store, &bob, NOW).await];
    store.end(&carol, Ending::All, LOGOUT, MEMORY, long_ago).await.unwrap();
    store.set_disabled(&bob, true, MEMORY, long_ago).await.unwrap();
    store.end(&alice, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap();
    first.follow(MEMORY, NOW).await.unwrap();
    server.ask(&["DEL", LIST]);
    first.follow(MEMORY, NOW).await.unwrap();

    let second = follower(&store);
    second.follow(MEMORY, NOW).await.unwrap();
    for session in &sessions {
        // Of another session, so that nothing but its user makes it fall.
        let sid = SessionId::random(store.partition(&session.subject));
        let stand = Stand { subject: &session.subject, sid, jti: Jti::random(), epoch: session.epoch };
        assert_eq!(second.view().verdict(&stand, NOW), Verdict::Revoked, "{}", session.subject);
    }
    let listed = server.ask(&["ZRANGE", LIST, "0", "-1", "WITHSCORES"]);
    assert!(listed.contains("user:bob\ninf"), "{listed}");
    assert!(!listed.contains("user:carol"), "what is long over stays away: {listed}");
    let told = extent(&server);
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually(async || first.follow(MEMORY, NOW).await).await;
    assert_eq!(extent(&server), told, "what is listed is no news");
}

#[tokio::test]
async fn a_full_redis_takes_every_revocation_and_no_login() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    let alice = subject("alice");
    let sessions = [opened(&store, &alice, NOW).await, opened(&store, &alice, NOW).await];
    for generation in 0..3 {
        store.rotate(&token(sessions[0].id, generation), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    }
    let check = check_of(&sessions[1]);
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let reused = store.rotate(&token(sessions[0].id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
    store.revoke(&alice, check.jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    assert_eq!(store.check(&check, NOW).await.unwrap(), Standing::Revoked);
    let login = store.open(session(&store, &alice, NOW), None, MEMORY).await;
    assert!(is_unavailable(&login), "{login:?}");
    assert_eq!(store.end(&alice, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap(), 1);
    store.set_disabled(&alice, true, MEMORY, NOW).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_can_not_be_read_is_neither_empty_nor_a_gap() {
    let server = RedisServer::start();
    let (store, here, cursor) = reader(&server).await;
    server.ask(&["SET", STREAM, "something else"]);
    assert!(store.changes(here, &cursor).await.is_err());
    assert!(store.snapshot(here, None).await.is_err());
}

#[tokio::test]
async fn a_redis_that_follows_another_says_of_no_token_that_it_stands() {
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let store = connect(&server, secs(5)).await;
    let session = opened(&store, &subject("alice"), NOW).await;
    assert_eq!(store.check(&check_of(&session), NOW).await.unwrap(), Standing::Good(Vec::new()));
    server.ask(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    assert!(store.check(&check_of(&session), NOW).await.is_err());
    let Check { subject, sid, jti, epoch, .. } = check_of(&session);
    assert!(store.standing(&[Stand { subject, sid, jti, epoch }], NOW).await.is_err());
}

/// Longer than it takes until a connection is made anew.
#[tokio::test]
async fn after_a_long_stall_commands_are_written_out_at_once_again() {
    let server = RedisServer::start();
    let store = connect_once(&server).await;
    server.stall();
    let stalled = Instant::now();
    while stalled.elapsed() < secs(6) {
        let tries = (0..8).map(|_| async { store.user(&subject("alice")).await.is_err() });
        assert!(join_all(tries).await.into_iter().all(|failed| failed));
    }
    server.go_on();
    until_up(&store).await;
    for number in 0..100 {
        // Two commands, one after the other, the first time.
        let jti = Jti::random();
        let revoked = store.revoke(&subject("alice"), jti, NOW.after(secs(60)), MEMORY, NOW).await;
        assert!(revoked.is_ok(), "{number}: {revoked:?}");
        assert!(store.user(&subject("alice")).await.is_ok(), "{number}");
    }
}

#[tokio::test]
async fn a_connection_made_anew_is_a_gap() {
    let mut server = RedisServer::start();
    let (store, here, cursor) = reader(&server).await;
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    let anew = eventually(async || store.changes(here, &cursor).await).await;
    assert_eq!(anew, Changes::Gap(Gap::Reconnected), "to the same server, though that can't be told");
    server.stop();
    server.start_again();
    let restarted = eventually(async || store.changes(here, &cursor).await).await;
    assert_eq!(restarted, Changes::Gap(Gap::Reconnected));
}

#[tokio::test]
async fn a_snapshot_is_of_one_connection() {
    let server = RedisServer::start();
    let (store, here, _) = reader(&server).await;
    revoke_some(&*store, MOST_IN_A_PAGE + 100).await;
    let Next::Page(place) = store.snapshot(here, None).await.unwrap().next else { panic!("more than a page") };
    assert!(store.snapshot(here, Some(&place)).await.is_ok());
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually(async || store.snapshot(here, None).await).await;
    let rest = store.snapshot(here, Some(&place)).await;
    assert!(is_unavailable(&rest), "behind another connection there may be another server: {rest:?}");
}

#[tokio::test]
async fn an_entry_that_can_not_be_read_is_passed_over_once_it_is_over_and_not_before() {
    let now = portcullis::clock::Clock::system().now();
    let [ended, lasting] = [now.before(secs(660)), now].map(|until| until.as_micros().to_string());
    for entry in [&["kind", "token", "jti", "x"][..], &["kind", "device", "sub", "alice"], &["user", "alice"]] {
        let server = RedisServer::start();
        let (store, here, cursor) = reader(&server).await;
        let add = |until: &[&str]| server.ask(&[&["XADD", STREAM, "*"], entry, until].concat());
        add(&["until", &ended]);
        let over = store.changes(here, &cursor).await.unwrap();
        let Changes::Next { revocations, cursor, more: false } = over else { panic!("{entry:?}: {over:?}") };
        assert_eq!(revocations, []);
        add(&["until", &lasting]);
        for _ in 0..2 {
            let read = store.changes(here, &cursor).await;
            assert!(matches!(read, Err(StoreError::Corrupt(_))), "{entry:?}: {read:?}");
        }
    }
    for name in ["device:x", "token:x", "x"] {
        let server = RedisServer::start();
        let (store, here, _) = reader(&server).await;
        server.ask(&["ZADD", LIST, &ended, name]);
        assert_eq!(store.snapshot(here, None).await.unwrap().revocations.len(), 3, "{name}");
        server.ask(&["ZADD", LIST, &lasting, name]);
        let read = store.snapshot(here, None).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{name}: {read:?}");
    }
}

#[tokio::test]
async fn a_kind_that_only_newer_gateways_know_is_said_to_need_one() {
    let server = RedisServer::start();
    let (store, here, cursor) = reader(&server).await;
    server.ask(&["XADD", STREAM, "*", "kind", "device", "sub", "alice", "until", "9000000000000000"]);
    let read = store.changes(here, &cursor).await.unwrap_err().to_string();
    assert!(read.contains("upgrade this one"), "{read}");
}

#[tokio::test]
async fn what_is_long_over_leaves_the_blacklist() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    let alice = subject("alice");
    let (now, jti) = (portcullis::clock::Clock::system().now(), Jti::random());
    let long_ago = now.before(Duration::from_hours(1));
    for _ in 0..50 {
        store.revoke(&alice, Jti::random(), long_ago.after(secs(60)), MEMORY, long_ago).await.unwrap();
    }
    let count = || server.ask(&["ZCARD", LIST]).trim().to_owned();
    assert_eq!(count(), "50", "by the clock of whoever revokes it is not over");
    store.revoke(&alice, jti, now.after(secs(60)), MEMORY, now).await.unwrap();
    assert_eq!(count(), "1");
    store.revoke(&alice, Jti::random(), now.after(secs(60)), MEMORY, now.after(Duration::from_hours(9))).await.unwrap();
    assert_eq!(count(), "2", "a clock that is ahead sweeps nothing that matters to others");
}

#[tokio::test]
async fn who_is_disabled_stays_on_the_blacklist_however_long_ago_that_was() {
    let server = RedisServer::start();
    let store = connect(&server, secs(5)).await;
    let (bob, carol) = (subject("bob"), subject("carol"));
    let here = store.partition(&bob);
    let now = portcullis::clock::Clock::system().now();
    let long_ago = now.before(Duration::from_hours(1));
    store.set_disabled(&bob, true, MEMORY, long_ago).await.unwrap();
    let epoch = u64::try_from(long_ago.as_micros()).unwrap();
    let lost = [Revocation::User { subject: carol.clone(), epoch, disabled: true }];
    store.restore(here, &lost, MEMORY, long_ago).await.unwrap();
    store.revoke(&subject("alice"), Jti::random(), now.after(secs(60)), MEMORY, now).await.unwrap();
    let told = store.snapshot(here, None).await.unwrap().revocations;
    let is_told = |user| move |one: &Revocation| matches!(one, Revocation::User { subject, disabled: true, .. } if subject == user);
    assert!(told.iter().any(is_told(&bob)) && told.iter().any(is_told(&carol)), "{told:?}");
}
