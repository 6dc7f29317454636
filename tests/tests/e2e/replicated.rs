//! `[revocation] mode = "replicated"`: requests are answered without asking the store, and what was revoked is refused
//! all the same: at once by the gateway that revoked it, soon by the others, and by all of them whatever becomes of
//! the store. Nobody else is refused because of it.

use std::time::{Duration, Instant};

use portcullis_tests::{Builder, Client, Kind, Redis, Stack, Switch, Visitor, eventually, on_both_stores};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::Stand;

/// Gateways that know by themselves what was revoked, and believe it for half a second.
fn stack(kind: Kind) -> Builder {
    Stack::builder(kind)
        .admin("token = { file = \"admin-token\" }")
        .file("admin-token", ADMIN_TOKEN)
        .extra("[revocation]\nmode = \"replicated\"\nmax_staleness = \"500ms\"\nstream_interval = \"100ms\"\n")
}

const ADMIN_TOKEN: &str = "qspMrHbzuXGrDObHC+l74s0J8S9FyGJk4AKaD2AQ6++sLNSN3aI3ndurkV64F3Hj";

/// That configuration in another mode.
fn in_mode(mode: &str, toml: &str) -> String {
    let (before, _) = toml.split_once("[revocation]").unwrap();
    format!("{before}[revocation]\nmode = \"{mode}\"\n")
}

/// How often a gateway asked the store about a token.
async fn asked(stack: &Stack) -> f64 {
    let count = |outcome| format!(r#"portcullis_store_command_seconds_count{{command="check",outcome="{outcome}"}}"#);
    stack.metric_everywhere(&count("ok")).await + stack.metric_everywhere(&count("error")).await
}

/// Waits until these clients' gateways answer without the store.
async fn views_are_fresh(stack: &Stack, clients: &[&Client]) {
    let fresh = || async {
        let before = asked(stack).await;
        for client in clients {
            client.get("/echo/x").await;
        }
        asked(stack).await - before < 0.5
    };
    eventually("gateways know by themselves", fresh).await;
}

async fn status(client: &Client) -> u16 {
    client.get("/echo/x").await.status
}

/// Waits until somebody is refused, who up to then passes or is told to come again.
async fn until_refused(client: &Client) {
    eventually("it is refused", || async {
        let answer = client.get("/echo/x").await;
        assert!(matches!(answer.status, 200 | 401 | 503), "{}", answer.problem());
        answer.status == 401
    })
    .await;
}

/// Who must never pass again, and who must never be refused.
struct Watch<'a> {
    out: &'a [&'a Client],
    known: &'a [&'a Client],
}

impl Watch<'_> {
    /// Asks for all of them again and again until `over`.
    async fn until<F: Future<Output = bool>>(&self, what: &str, mut over: impl FnMut() -> F) {
        eventually(what, || {
            let over = over();
            async {
                for client in self.out {
                    let answer = client.get("/echo/x").await;
                    assert!(matches!(answer.status, 401 | 503), "{what}: {} for who logged out", answer.status);
                }
                for client in self.known {
                    let answer = client.get("/echo/x").await;
                    assert!(matches!(answer.status, 200 | 503), "{what}: {}", answer.problem());
                }
                over.await
            }
        })
        .await;
    }
}

on_both_stores! {
    async fn a_request_asks_the_store_nothing(kind: Kind) {
        let stack = stack(kind).start().await;
        let alice = stack.login("alice").await;
        views_are_fresh(&stack, &[&alice]).await;
        let count = async || {
            let metrics = stack.admin().get("/metrics").await.body;
            let begins = "portcullis_store_command_seconds_count";
            // What is asked for all requests together.
            let beside = ["\"changes\"", "\"ping\"", "\"keys\"", "\"standing\"", "\"remember\""];
            let is_ours = |line: &&str| line.starts_with(begins) && !beside.iter().any(|word| line.contains(word));
            let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            metrics.lines().filter(is_ours).map(value).sum::<f64>()
        };
        let before = count().await;
        for _ in 0..50 {
            assert_eq!(status(&alice).await, 200);
        }
        assert!(count().await - before < 0.5);
        assert_eq!(alice.get("/limited/x").await.status, 200);
        assert!((count().await - before - 1.0).abs() < 0.5, "a limit that is counted exactly costs one");
    }

    async fn a_logout_holds_at_once_here_and_soon_on_other_gateways(kind: Kind) {
        let mut stack = stack(kind).start().await;
        let another = stack.another_gateway().await;
        let bob = stack.login("bob").await;
        let bob_elsewhere = another.with_access(&bob.access_token());
        views_are_fresh(&stack, &[&bob, &bob_elsewhere]).await;
        for scope in ["this", "all", "others"].into_iter().cycle().take(15) {
            let phone = stack.login("alice").await;
            let laptop = stack.login_again("alice").await;
            let gone = match scope {
                "this" => vec![&phone],
                "all" => vec![&phone, &laptop],
                _ => vec![&laptop],
            };
            assert_eq!(phone.logout(scope).await.status, 204);
            for one in gone {
                assert_eq!(one.get("/echo/x").await.reason(), "token_revoked", "{scope}: at once");
                until_refused(&another.with_access(&one.access_token())).await;
            }
            assert_eq!(status(&bob).await, 200);
            assert_eq!(status(&bob_elsewhere).await, 200);
        }
    }

    async fn whatever_revokes_holds_at_once_here(kind: Kind) {
        let caps = "[sessions]\nmax_per_user = 2\nwhen_full = \"evict_oldest\"\n";
        let stack = stack(kind).extra(caps).start().await;
        let evicted = stack.login("alice").await;
        views_are_fresh(&stack, &[&evicted]).await;
        stack.login_again("alice").await;
        let mut third = stack.login_again("alice").await;
        assert_eq!(evicted.get("/echo/x").await.reason(), "token_revoked", "evicted");

        let stale = third.refresh_token();
        for _ in 0..2 {
            assert_eq!(third.refresh().await.status, 200);
        }
        assert_eq!(third.refresh_with(&stale).await.reason(), "refresh_reused");
        assert_eq!(third.get("/echo/x").await.reason(), "token_revoked", "reused");

        let bob = stack.login("bob").await;
        let me = bob.get("/auth/me").await.json();
        assert_eq!(status(&bob).await, 200);
        let admin = |path: String| {
            let admin = stack.admin();
            async move {
                let request = admin.request(Method::POST, &path).bearer_auth(ADMIN_TOKEN);
                admin.send(request).await.status
            }
        };
        let subject = me["sub"].as_str().unwrap_or_else(|| panic!("{me}"));
        assert_eq!(admin(format!("/admin/v1/users/{subject}/disable")).await, 200);
        assert_eq!(bob.get("/echo/x").await.reason(), "token_revoked", "disabled");
        assert_eq!(admin(format!("/admin/v1/users/{subject}/enable")).await, 200);
        let bob = stack.login_again("bob").await;
        assert_eq!(status(&bob).await, 200, "enabled again");
    }

    async fn a_stream_ends_with_its_session_though_the_store_is_not_asked(kind: Kind) {
        let mut stack = stack(kind).start().await;
        let another = stack.another_gateway().await;
        let alice = stack.login("alice").await;
        let elsewhere = another.with_access(&alice.access_token());
        views_are_fresh(&stack, &[&alice, &elsewhere]).await;
        let mut tunnel = TcpStream::connect(stack.address()).await.unwrap();
        let token = alice.access_token();
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let request = format!("GET /echo/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{upgrade}\r\n");
        tunnel.write_all(request.as_bytes()).await.unwrap();
        let mut head = vec![0; 12];
        tunnel.read_exact(&mut head).await.unwrap();
        assert_eq!(head, b"HTTP/1.1 101");
        let standing = r#"portcullis_store_command_seconds_count{command="standing",outcome="ok"}"#;
        assert_eq!(elsewhere.logout("this").await.status, 204);
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), tunnel.read_to_end(&mut rest)).await.unwrap();
        assert!(String::from_utf8_lossy(&rest).contains("session_revoked"));
        assert!(stack.metric(standing).await < 1.5, "but for a look before the view was there");
    }

    async fn a_reload_puts_the_view_to_use_and_out_of_use(kind: Kind) {
        let mut stack = stack(kind).start().await;
        let alice = stack.login("alice").await;
        views_are_fresh(&stack, &[&alice]).await;
        stack.reload(|toml| in_mode("every_request", &toml)).await.unwrap();
        let before = asked(&stack).await;
        assert_eq!(status(&alice).await, 200);
        assert!(asked(&stack).await - before > 0.5, "the store is asked again");
        let bob = stack.login("bob").await;
        bob.logout("this").await;
        stack.reload(|toml| in_mode("replicated", &toml)).await.unwrap();
        views_are_fresh(&stack, &[&alice]).await;
        assert_eq!(bob.get("/echo/x").await.reason(), "token_revoked", "also what was revoked meanwhile");
        assert_eq!(status(&alice).await, 200);
    }
}

async fn ready(stack: &Stack) -> bool {
    stack.admin().get("/readyz").await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_does_not_answer_is_stood_in_for_no_longer_than_the_bound() {
    let stack = stack(Kind::Redis).impatient().start().await;
    let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
    views_are_fresh(&stack, &[&alice]).await;
    assert_eq!(bob.logout("this").await.status, 204);
    let redis = stack.redis.as_ref().unwrap();
    for _ in 0..2 {
        redis.stall();
        let stalled = Instant::now();
        assert_eq!(status(&alice).await, 200, "the view is fresh");
        assert!(ready(&stack).await);
        let watch = Watch { out: &[&bob], known: &[&alice] };
        watch.until("nobody passes", || async { status(&alice).await == 503 }).await;
        assert!(stalled.elapsed() > Duration::from_millis(300), "{:?}", stalled.elapsed());
        assert_eq!(alice.get("/echo/x").await.reason(), "store_unavailable");
        assert_eq!(bob.get("/echo/x").await.reason(), "token_revoked", "what is known is known");
        assert_eq!(alice.get("/available/x").await.status, 200, "where the route says so, the signature is enough");
        assert_eq!(bob.get("/available/x").await.status, 401);
        eventually("not ready", || async { !ready(&stack).await }).await;
        assert!(stack.metric("portcullis_revocation_asked_total").await > 0.5);
        eventually("shown", || async { stack.metric("portcullis_revocation_staleness_seconds").await > 0.5 }).await;
        redis.resume();
        watch.until("who is known passes again", || async { status(&alice).await == 200 }).await;
        views_are_fresh(&stack, &[&alice]).await;
        eventually("ready", || async { ready(&stack).await }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_is_told_again_what_was_revoked() {
    let mut stack = stack(Kind::Redis).impatient().start().await;
    let (alice, carol, bob) = (stack.login("alice").await, stack.login("carol").await, stack.login("bob").await);
    views_are_fresh(&stack, &[&bob]).await;
    assert_eq!(alice.logout("this").await.status, 204);
    assert_eq!(carol.logout("all").await.status, 204);
    for is_long in [false, true] {
        stack.redis.as_mut().unwrap().stop();
        let watch = Watch { out: &[&alice, &carol], known: &[&bob] };
        let how = if is_long { 503 } else { 200 };
        watch.until("Redis is gone", || async { status(&bob).await == how }).await;
        stack.redis.as_mut().unwrap().restart().await;
        watch.until("and back", || async { status(&bob).await == 200 }).await;
        views_are_fresh(&stack, &[&bob]).await;
        let third = stack.another_gateway().await;
        for gone in [&alice, &carol] {
            assert_eq!(third.with_access(&gone.access_token()).get("/echo/x").await.reason(), "token_revoked");
        }
        assert_eq!(status(&third.with_access(&bob.access_token())).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_redis_is_told_again_what_was_revoked() {
    let mut stack = stack(Kind::Redis).start().await;
    let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
    views_are_fresh(&stack, &[&bob]).await;
    assert_eq!(alice.logout("this").await.status, 204);
    stack.redis.as_ref().unwrap().flush().await;
    let lost = r#"portcullis_revocation_snapshots_total{cause="lost"}"#;
    let watch = Watch { out: &[&alice], known: &[&bob] };
    watch.until("noticed", || async { stack.metric(lost).await > 0.5 }).await;
    let third = stack.another_gateway().await;
    assert_eq!(third.with_access(&alice.access_token()).get("/echo/x").await.reason(), "token_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_to_a_flushed_redis_is_let_in_by_views_that_remember_a_logout_everywhere() {
    let mut stack = stack(Kind::Redis).start().await;
    let another = stack.another_gateway().await;
    let (gone, bob) = (stack.login("alice").await, stack.login("bob").await);
    let gone_there = another.with_access(&gone.access_token());
    views_are_fresh(&stack, &[&bob, &another.with_access(&bob.access_token())]).await;
    assert_eq!(gone.logout("all").await.status, 204);
    until_refused(&gone_there).await;
    let redis = stack.redis.as_ref().unwrap();
    // Nobody can follow for a while, so no view hears of the loss and tells Redis again.
    redis.command(&["ACL", "SETUSER", "default", "-xinfo"]).await.unwrap();
    redis.flush().await;
    let mut alice = stack.login_again("alice").await;
    assert_eq!(status(&alice).await, 200, "by the gateway that let her in");
    let alice_there = another.with_access(&alice.access_token());
    assert_eq!(status(&alice_there).await, 200, "and by another one");
    redis.command(&["ACL", "SETUSER", "default", "+xinfo"]).await.unwrap();
    let watch = Watch { out: &[&gone, &gone_there], known: &[&alice, &alice_there, &bob] };
    // Redis counts what it was told for the login, but not what they had read before.
    let gap = r#"portcullis_revocation_snapshots_total{cause="trimmed"}"#;
    watch.until("noticed", || async { stack.metric_everywhere(gap).await > 1.5 }).await;
    views_are_fresh(&stack, &[&alice, &alice_there]).await;
    assert_eq!(alice.refresh().await.status, 200, "and her session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lost_a_logout_is_told_of_it_when_it_takes_over() {
    let mut stack = stack(Kind::Redis).impatient().start().await;
    let replica = Redis::start().await;
    let switch = Switch::to(stack.redis.as_ref().unwrap().address()).await;
    let (url, by_switch) = (stack.redis.as_ref().unwrap().url(), format!("redis://{}", switch.address()));
    let gateway = stack.another_gateway_with(|toml| toml.replace(&url, &by_switch)).await;
    let second = stack.another_gateway_with(|toml| toml.replace(&url, &by_switch)).await;
    let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
    let at = |gateway: &Client, who: &Client| gateway.with_access(&who.access_token());
    let (alice_with_one, alice_elsewhere) = (at(&gateway, &alice), at(&second, &alice));
    let (bob_with_one, bob_elsewhere) = (at(&gateway, &bob), at(&second, &bob));
    views_are_fresh(&stack, &[&bob_with_one, &bob_elsewhere]).await;

    replica.follow(stack.redis.as_ref().unwrap()).await;
    replica.promote().await; // it hears of nothing that comes now
    assert_eq!(alice_with_one.logout("this").await.status, 204);
    until_refused(&alice_elsewhere).await;
    let reconnected = r#"portcullis_revocation_snapshots_total{cause="reconnected"}"#;
    let before = stack.metric_everywhere(reconnected).await;
    switch.lead_to(replica.address());
    stack.redis.as_mut().unwrap().stop();
    let watch = Watch { out: &[&alice_with_one, &alice_elsewhere], known: &[&bob_with_one, &bob_elsewhere] };
    let both = || async { stack.metric_everywhere(reconnected).await > before + 1.5 };
    watch.until("failed over", both).await;
    watch.until("well", || async { status(&bob_with_one).await == 200 && status(&bob_elsewhere).await == 200 }).await;
    let third = stack.another_gateway_with(|toml| toml.replace(&url, &by_switch)).await;
    assert_eq!(at(&third, &alice).get("/echo/x").await.reason(), "token_revoked");
    let renewed = third.post("/auth/refresh", &json!({ "refresh_token": alice.refresh_token() })).await;
    assert_eq!(renewed.reason(), "refresh_ended", "the session came back with the replica, and went again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_trimmed_while_a_gateway_was_cut_off_is_known_to_it_all_the_same() {
    let mut stack = stack(Kind::Redis).start().await;
    let switch = Switch::to(stack.redis.as_ref().unwrap().address()).await;
    let (url, by_switch) = (stack.redis.as_ref().unwrap().url(), format!("redis://{}", switch.address()));
    let gateway = stack.another_gateway_with(|toml| toml.replace(&url, &by_switch)).await;
    let bob = stack.login("bob").await;
    let bob_there = gateway.with_access(&bob.access_token());
    for is_cut in [false, true] {
        let alice = stack.login("alice").await;
        let alice_there = gateway.with_access(&alice.access_token());
        views_are_fresh(&stack, &[&bob, &bob_there]).await;
        assert_eq!(status(&alice_there).await, 200);
        if is_cut {
            switch.cut();
        } else {
            switch.hold(true);
        }
        assert_eq!(alice.logout("this").await.status, 204);
        let redis = stack.redis.as_ref().unwrap();
        redis.command(&["XTRIM", "portcullis:{0}:revocations", "MAXLEN", "0"]).await.unwrap();
        if is_cut {
            switch.lead_to(redis.address());
        } else {
            switch.hold(false);
        }
        until_refused(&alice_there).await;
        let watch = Watch { out: &[&alice, &alice_there], known: &[&bob, &bob_there] };
        let cause = if is_cut { "reconnected" } else { "trimmed" };
        let line = format!(r#"portcullis_revocation_snapshots_total{{cause="{cause}"}}"#);
        watch.until(cause, || async { stack.metric_everywhere(&line).await > 0.5 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_while_redis_is_gone_holds_here_and_everywhere_when_it_is_back() {
    let mut stack = stack(Kind::Redis).impatient().start().await;
    let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
    let (carol, dave) = (stack.login("carol").await, stack.login("dave").await);
    views_are_fresh(&stack, &[&bob]).await;
    stack.redis.as_ref().unwrap().stall();
    assert_eq!(alice.logout("this").await.reason(), "store_unavailable", "it is not known everywhere");
    let by_refresh_token = json!({ "refresh_token": carol.refresh_token() });
    assert_eq!(carol.post("/auth/logout", &by_refresh_token).await.reason(), "store_unavailable");
    for client in [&alice, &carol] {
        assert_eq!(client.get("/echo/x").await.reason(), "token_revoked", "but here");
        assert_eq!(client.logout("this").await.problem(), HELD_HERE, "asked again, the same");
    }
    eventually("the view is too old", || async { status(&dave).await == 503 }).await;
    assert_eq!(dave.logout("this").await.reason(), "store_unavailable");
    assert_eq!(dave.get("/echo/x").await.reason(), "token_revoked", "that too is known here, whatever else is not");
    stack.redis.as_ref().unwrap().resume();
    let owed = r#"portcullis_revocation_snapshots_total{cause="owed"}"#;
    let watch = Watch { out: &[&alice, &carol, &dave], known: &[&bob] };
    watch.until("told", || async { stack.metric(owed).await > 0.5 }).await;
    let third = stack.another_gateway().await;
    for client in [&alice, &carol, &dave] {
        assert_eq!(third.with_access(&client.access_token()).get("/echo/x").await.reason(), "token_revoked");
        assert_eq!(client.refresh_with(&client.refresh_token()).await.reason(), "refresh_ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_redis_hears_of_late_ends_the_session_all_the_same() {
    let stack = stack(Kind::Redis).impatient().start().await;
    let alice = stack.login("alice").await;
    views_are_fresh(&stack, &[&alice]).await;
    stack.redis.as_ref().unwrap().stall();
    assert_eq!(alice.logout("this").await.problem(), HELD_HERE);
    stack.clock.advance(Duration::from_hours(2)); // Her access token is over by then, her session is not.
    stack.redis.as_ref().unwrap().resume();
    let owed = r#"portcullis_revocation_snapshots_total{cause="owed"}"#;
    eventually("it is told", || async { stack.metric(owed).await > 0.5 }).await;
    assert_eq!(alice.refresh_with(&alice.refresh_token()).await.reason(), "refresh_ended");
}

/// What somebody is told whose logout this gateway alone knows.
const HELD_HERE: &str = "503 store_unavailable: Signed out here, not everywhere yet";

/// Its detail, if no more than their own session is held.
const THIS_ONE: &str = "This session is refused here, elsewhere not yet; no other one was ended. Try again shortly.";

async fn own_session(client: &Client) -> String {
    let sid = client.get("/auth/me").await.json()["sid"].as_str().unwrap().to_owned();
    format!("/auth/sessions/{sid}")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_their_own_session_while_redis_is_gone_is_out_here_and_everywhere_when_it_is_back() {
    let mut stack = stack(Kind::Redis).impatient().start().await;
    let (alice, bob, dave) = (stack.login("alice").await, stack.login("bob").await, stack.login("dave").await);
    let (alices, daves) = (own_session(&alice).await, own_session(&dave).await);
    views_are_fresh(&stack, &[&bob]).await;
    stack.redis.as_ref().unwrap().stall();
    assert_eq!(alice.delete(&alices).await.problem(), HELD_HERE);
    assert_eq!(alice.get("/echo/x").await.reason(), "token_revoked", "it is known here");
    eventually("the view is too old", || async { status(&dave).await == 503 }).await;
    assert_eq!(dave.delete(&daves).await.problem(), HELD_HERE, "though nobody can tell whether it may");
    assert_eq!(dave.get("/echo/x").await.reason(), "token_revoked");
    stack.redis.as_ref().unwrap().resume();
    let owed = r#"portcullis_revocation_snapshots_total{cause="owed"}"#;
    let watch = Watch { out: &[&alice, &dave], known: &[&bob] };
    watch.until("told", || async { stack.metric(owed).await > 0.5 }).await;
    let third = stack.another_gateway().await;
    for client in [&alice, &dave] {
        assert_eq!(third.with_access(&client.access_token()).get("/echo/x").await.reason(), "token_revoked");
        assert_eq!(client.refresh_with(&client.refresh_token()).await.reason(), "refresh_ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_another_session_while_redis_is_gone_is_told_that_nothing_was_done_and_nothing_is() {
    let stack = stack(Kind::Redis).impatient().start().await;
    let (mut phone, mut laptop) = (stack.login("alice").await, stack.login_again("alice").await);
    let bob = stack.login("bob").await;
    let (laptops, bobs) = (own_session(&laptop).await, own_session(&bob).await);
    views_are_fresh(&stack, &[&phone]).await;
    stack.redis.as_ref().unwrap().stall();
    let refuse = async || {
        for path in [&laptops, &bobs] {
            let answer = phone.delete(path).await;
            assert_eq!(answer.problem(), "503 store_unavailable: Try again shortly");
            assert_eq!(answer.header("retry-after"), "1");
        }
        let others = phone.logout("others").await;
        assert_eq!(others.problem(), "503 store_unavailable: Try again shortly", "which they are nobody knows");
    };
    refuse().await;
    let watch = Watch { out: &[], known: &[&phone, &laptop, &bob] };
    watch.until("the view is too old", || async { status(&phone).await == 503 }).await;
    refuse().await;
    stack.redis.as_ref().unwrap().resume();
    watch.until("Redis is back", || async { status(&phone).await == 200 }).await;
    views_are_fresh(&stack, &[&phone, &laptop, &bob]).await;
    watch.until("all stand", || async { status(&laptop).await == 200 && status(&bob).await == 200 }).await;
    assert_eq!(phone.get("/auth/sessions").await.json()["items"].as_array().unwrap().len(), 2);
    for client in [&mut phone, &mut laptop] {
        assert_eq!(client.refresh().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_everywhere_while_redis_is_gone_holds_here_and_everywhere_when_it_is_back() {
    let mut stack = stack(Kind::Redis).impatient().start().await;
    let (alice, alices_laptop) = (stack.login("alice").await, stack.login_again("alice").await);
    let (carol, carols_laptop) = (stack.login("carol").await, stack.login_again("carol").await);
    let (dave, daves_laptop) = (stack.login("dave").await, stack.login_again("dave").await);
    let (erin, erins_laptop) = (stack.login("erin").await, stack.login_again("erin").await);
    views_are_fresh(&stack, &[&daves_laptop]).await;
    stack.redis.as_ref().unwrap().stall();
    let told = alice.logout("all").await;
    assert_eq!(told.problem(), HELD_HERE);
    assert_eq!(told.detail(), "All your sessions are refused here, elsewhere not yet. Try again shortly.");
    let all = "/auth/logout?scope=all";
    let with_both = erin.post(all, &json!({ "refresh_token": erin.refresh_token() })).await;
    assert_eq!(with_both.detail(), told.detail());
    let with_anothers = daves_laptop.post(all, &json!({ "refresh_token": dave.refresh_token() })).await;
    let alone = dave.signed_out().post(all, &json!({ "refresh_token": dave.refresh_token() })).await;
    let told = [with_anothers, alone].map(|told| (told.problem(), told.detail()));
    assert_eq!(told, [(); 2].map(|()| (HELD_HERE.to_owned(), THIS_ONE.to_owned())), "whose it is nobody knows");
    for client in [&alice, &alices_laptop, &erin, &erins_laptop, &dave] {
        assert_eq!(client.get("/echo/x").await.reason(), "token_revoked");
    }
    assert_eq!(alices_laptop.logout("this").await.problem(), HELD_HERE, "it is one of all");
    eventually("the view is too old", || async { status(&daves_laptop).await == 503 }).await;
    assert_eq!(carol.logout("all").await.problem(), HELD_HERE, "though nobody can tell whether it may");
    stack.redis.as_ref().unwrap().resume();
    let owed = r#"portcullis_revocation_snapshots_total{cause="owed"}"#;
    let out = [&alice, &alices_laptop, &carol, &carols_laptop, &erin, &erins_laptop, &dave];
    let watch = Watch { out: &out, known: &[&daves_laptop] };
    watch.until("told", || async { stack.metric(owed).await > 0.5 }).await;
    let third = stack.another_gateway().await;
    for client in out {
        assert_eq!(third.with_access(&client.access_token()).get("/echo/x").await.reason(), "token_revoked");
        assert_eq!(client.refresh_with(&client.refresh_token()).await.reason(), "refresh_ended");
    }
    let back = stack.login_again("alice").await;
    assert_eq!(status(&third.with_access(&back.access_token())).await, 200, "who logs in again is let in");
    assert_eq!(back.get("/auth/sessions").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_everywhere_that_a_gateway_without_a_view_and_with_a_clock_behind_holds_is_not_lost() {
    let mut stack = stack(Kind::Redis).impatient().start().await;
    let bob = stack.login("bob").await;
    assert_eq!(stack.login("alice").await.logout("all").await.status, 204);
    let (alice, alices_laptop) = (stack.login_again("alice").await, stack.login_again("alice").await);
    views_are_fresh(&stack, &[&alice, &bob]).await;
    stack.redis.as_ref().unwrap().command(&["ACL", "SETUSER", "default", "-xinfo"]).await.unwrap();
    let late = stack.another_gateway().await; // It can't follow, so it has heard of nothing.
    stack.clock.set_back(Duration::from_secs(4));
    let redis = stack.redis.as_ref().unwrap();
    redis.stall();
    let [alice_there, laptop_there] = [&alice, &alices_laptop].map(|one| late.with_access(&one.access_token()));
    assert_eq!(alice_there.logout("all").await.problem(), HELD_HERE);
    for client in [&alice_there, &laptop_there] {
        assert_eq!(client.get("/echo/x").await.reason(), "token_revoked", "of an epoch that nobody there had heard of");
    }
    redis.resume();
    redis.command(&["ACL", "SETUSER", "default", "+xinfo"]).await.unwrap();
    for client in [&alice, &alices_laptop] {
        until_refused(client).await;
        assert_eq!(client.refresh_with(&client.refresh_token()).await.reason(), "refresh_ended");
    }
    assert_eq!(bob.get("/auth/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_logout_everybody_knows_hears_nothing_of_what_others_are_owed() {
    let stack = stack(Kind::Redis).extra("[cookies]\ndeliver = \"both\"\n").impatient().start().await;
    let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
    let mut carol = Visitor::new(&bob);
    carol.login("carol").await;
    views_are_fresh(&stack, &[&bob]).await;
    assert_eq!(alice.logout("this").await.status, 204);
    assert_eq!(carol.clone().post("/auth/logout").await.status, 204);
    stack.redis.as_ref().unwrap().stall();
    assert_eq!(bob.logout("this").await.problem(), HELD_HERE);
    assert_eq!(alice.logout("this").await.status, 204, "hers is over everywhere");
    let mut carol = carol.without(Visitor::REFRESH);
    assert_eq!(carol.post("/auth/logout").await.status, 204);
    assert!(carol.jar.is_empty(), "and her browser forgets it");
    assert_eq!(bob.logout("this").await.problem(), HELD_HERE, "his is not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_known_here_as_revoked_ends_no_session_that_was_opened_since() {
    let stack = stack(Kind::Redis).impatient().start().await;
    let thief = stack.login("alice").await;
    views_are_fresh(&stack, &[&thief]).await;
    assert_eq!(thief.logout("all").await.status, 204);
    let mut alice = stack.login_again("alice").await;
    views_are_fresh(&stack, &[&alice]).await;
    stack.redis.as_ref().unwrap().stall();
    let with_both = json!({ "refresh_token": thief.refresh_token() });
    let told = thief.post("/auth/logout?scope=all", &with_both).await;
    assert_eq!((told.problem(), told.detail()), (HELD_HERE.to_owned(), THIS_ONE.to_owned()));
    let watch = Watch { out: &[&thief], known: &[&alice] };
    watch.until("the view is too old", || async { status(&alice).await == 503 }).await;
    assert_eq!(thief.post("/auth/logout?scope=all", &with_both).await.detail(), THIS_ONE);
    stack.redis.as_ref().unwrap().resume();
    watch.until("she passes again", || async { status(&alice).await == 200 }).await;
    assert_eq!(alice.refresh().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_stopped_tells_redis_of_the_logout_that_it_could_not_take() {
    let mut stack = stack(Kind::Redis).impatient().start().await;
    let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
    views_are_fresh(&stack, &[&bob]).await;
    stack.redis.as_mut().unwrap().stop();
    assert_eq!(alice.logout("this").await.reason(), "store_unavailable");
    let stopping = stack.shut_down();
    stack.redis.as_mut().unwrap().restart().await;
    assert!(stopping.await.unwrap());
    let next = stack.another_gateway().await;
    assert_eq!(next.with_access(&alice.access_token()).get("/echo/x").await.reason(), "token_revoked");
    assert_eq!(status(&next.with_access(&bob.access_token())).await, 200);
}

/// Two programs, as after an update that overlaps.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_in_one_process_holds_within_the_bound_in_another_on_the_same_file() {
    const BOUND: Duration = Duration::from_secs(2);
    let terms = "[revocation]\nmode = \"replicated\"\nmax_staleness = \"2s\"";
    let here = Stand::start_with(&include_str!("process.toml").replace("@TELEMETRY@", terms)).await;
    let there = here.another().await;
    let login = async |name: &str| {
        let mut client = here.client();
        client.register(name).await;
        client.keep(&client.try_login(name, Client::PASSWORD).await);
        client
    };
    let me = async |client: &Client| client.get("/users/me").await.status;
    let asked = async || {
        let metrics = there.admin.get("/metrics").await.body;
        let line =
            metrics.lines().find(|line| line.starts_with("portcullis_store_command_seconds_count{command=\"check\""));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let bob = there.client.with_access(&login("bob").await.access_token());
    for number in 0..5 {
        let alice = login(&format!("alice-{number}")).await;
        let alice_there = there.client.with_access(&alice.access_token());
        eventually("it knows by itself", || async {
            let before = asked().await;
            me(&alice_there).await == 200 && me(&bob).await == 200 && asked().await == before
        })
        .await;
        assert_eq!(alice.logout("this").await.status, 204);
        let since = Instant::now();
        loop {
            let sent = since.elapsed();
            match me(&alice_there).await {
                401 => break,
                passed => assert!(passed == 200 && sent < BOUND, "{passed} after {sent:?}"),
            }
        }
        assert_eq!(me(&bob).await, 200);
    }
    here.stop().await;
}

/// By how many minutes the clock steps ahead or back: never for longer than a store keeps what is over.
const STEPS: [i64; 12] = [5, -10, 6, -1, 12, -28, 20, 0, -9, 53, -54, 1];

/// Ends the session of `one`, whose user is `other` too, by a refresh token: they last longer.
async fn log_out(one: &Client, other: &Client, scope: &str) {
    let by = if scope == "others" { other } else { one };
    let answer = by.post(&format!("/auth/logout?scope={scope}"), &json!({ "refresh_token": by.refresh_token() })).await;
    assert_eq!(answer.status, 204, "{}", answer.problem());
}

on_both_stores! {
    async fn a_clock_that_steps_back_and_forth_lets_nobody_in_and_keeps_nobody_out(kind: Kind) {
        let mut stack = stack(kind).start().await;
        let asking = stack.another_gateway_with(|toml| in_mode("every_request", &toml)).await;
        let bob = stack.login("bob").await;
        let bob_asking = asking.with_access(&bob.access_token());
        views_are_fresh(&stack, &[&bob]).await;
        let (mut out, mut ahead) = (Vec::new(), 0);
        for (number, step) in STEPS.into_iter().enumerate() {
            for scope in ["this", "all", "others"] {
                let name = format!("{scope}-{number}");
                let (one, other) = (stack.login(&name).await, stack.login_again(&name).await);
                log_out(&one, &other, scope).await;
                out.push((format!("{scope} before step {number}"), one.access_token()));
            }
            let mut leaving = Vec::new();
            for scope in ["this", "all", "others"] {
                let name = format!("{scope}-later-{number}");
                leaving.push((stack.login(&name).await, stack.login_again(&name).await, scope));
            }
            ahead += step;
            let minutes = Duration::from_mins(step.unsigned_abs());
            if step < 0 { stack.clock.set_back(minutes) } else { stack.clock.advance(minutes) }
            for (one, other, scope) in leaving {
                log_out(&one, &other, scope).await;
                out.push((format!("{scope} after step {number}"), one.access_token()));
            }
            for (when, token) in &out {
                for gateway in [&stack.anonymous(), &asking] {
                    assert_eq!(status(&gateway.with_access(token)).await, 401, "{when}, at {ahead}");
                }
            }
            // A token holds by the clock, and nothing else speaks against it.
            let expected = if (0..15).contains(&ahead) { 200 } else { 401 };
            assert_eq!([status(&bob).await, status(&bob_asking).await], [expected; 2], "at {ahead}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_neither_lets_in_nor_keeps_out() {
    let stack = stack(Kind::Redis).start().await;
    let (alice, mut bob) = (stack.login("alice").await, stack.login("bob").await);
    views_are_fresh(&stack, &[&bob]).await;
    assert_eq!(alice.logout("this").await.status, 204);
    for step in [Duration::from_secs(1), Duration::from_mins(5), Duration::from_mins(8)] {
        stack.clock.advance(step);
        assert_eq!(alice.get("/echo/x").await.reason(), "token_revoked", "{step:?}");
        assert_eq!(status(&bob).await, 200, "{step:?}");
    }
    stack.clock.advance(Duration::from_mins(30));
    assert_eq!(alice.get("/echo/x").await.reason(), "token_expired");
    assert_eq!(bob.refresh().await.status, 200);
    let before = asked(&stack).await;
    assert_eq!(status(&bob).await, 200);
    assert!(asked(&stack).await - before < 0.5, "how old the view is has nothing to do with the clock");
}
