//! Limits that are leased: gateways admit together what one limit allows, and most requests ask the store
//! nothing for it.

use std::time::{Duration, Instant};

use portcullis_tests::{Client, Kind, Stack, eventually, on_both_stores};
use tokio::task::JoinSet;

const LEASES: &str = r#"portcullis_store_command_seconds_count{command="lease",outcome="ok"}"#;

/// How many of `requests` that come together pass, though a busy machine may not answer all of them in time.
async fn passed(client: &Client, path: &str, requests: u32) -> u32 {
    let mut tries = JoinSet::new();
    for _ in 0..requests {
        let (client, path) = (client.clone(), path.to_owned());
        tries.spawn(async move { client.get(&path).await.status });
    }
    let statuses = tries.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429 | 504)), "{statuses:?}");
    u32::try_from(statuses.iter().filter(|status| **status != 429).count()).unwrap()
}

on_both_stores! {
    async fn a_lease_asks_the_store_nothing_while_it_lasts(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        assert_eq!(passed(&alice, "/leased/x", 40).await, 40);
        let before = stack.metric(LEASES).await;
        assert_eq!(passed(&alice, "/leased/x", 40).await, 40);
        let asked = stack.metric(LEASES).await - before;
        assert!(asked <= 20.0, "{asked} questions for 40 requests");
        assert!(stack.metric("portcullis_limit_lease_keys").await >= 0.0);
    }

    async fn a_leased_limit_says_what_remains(kind: Kind) {
        let stack = Stack::start(kind).await;
        let first = stack.anonymous().get("/leased_by_route/x").await;
        assert_eq!(first.header("ratelimit"), r#""leased_by_route";r=159;t=3600"#);
        assert_eq!(first.header("ratelimit-policy"), r#""leased_by_route";q=160;w=576000"#);
        let second = stack.anonymous().get("/leased_by_route/x").await;
        let second = second.header("ratelimit");
        assert!(second.starts_with(r#""leased_by_route";r=158;t=7"#), "{second}");
    }

    async fn each_user_and_each_address_has_a_share(kind: Kind) {
        let stack = Stack::start(kind).await;
        let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
        assert_eq!(alice.get("/leased/x").await.header("ratelimit"), r#""leased";r=159;t=1"#);
        assert_eq!(bob.get("/leased/x").await.header("ratelimit"), r#""leased";r=159;t=1"#);
        assert_eq!(stack.anonymous().get("/leased_by_address/x").await.header("ratelimit"), r#""leased_by_address";r=79;t=1"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_replicated_view_a_leased_limit_counts_and_nothing_is_asked() {
    let stack = Stack::builder(Kind::Redis).extra("[revocation]\nmode = \"replicated\"").start().await;
    let alice = stack.login("alice").await;
    let checks = r#"portcullis_store_command_seconds_count{command="check",outcome="ok"}"#;
    eventually("the view is fresh", || async {
        let before = stack.metric(checks).await;
        alice.get("/echo/x").await;
        stack.metric(checks).await <= before
    })
    .await;
    let before = stack.metric(checks).await;
    assert_eq!(alice.get("/leased/x").await.header("ratelimit"), r#""leased";r=159;t=1"#);
    assert_eq!(passed(&alice, "/leased/x", 40).await, 40);
    assert!(stack.metric(checks).await <= before, "neither the token nor the limit asked");
    assert!(stack.metric(LEASES).await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_admit_a_burst_once_and_all_of_it() {
    let mut stack = Stack::start(Kind::Redis).await;
    let (here, there) = (stack.anonymous(), stack.another_gateway().await);
    let path = "/leased_by_route/x";
    let (one, other) = tokio::join!(passed(&here, path, 150), passed(&there, path, 150));
    let mut all = one + other;
    assert!(all <= 160, "{one} and {other}");
    // What one of them holds and does not need is given back, and the other admits it.
    let began = Instant::now();
    while all < 160 {
        all += passed(&here, path, 1).await;
        assert!(began.elapsed() < Duration::from_secs(30), "{all} of 160");
    }
    let refused = here.get(path).await;
    assert_eq!(refused.problem(), "429 over_limit: Slow down");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((3000..=3600).contains(&wait), "until there really is one: {wait}");
    for client in [&here, &there] {
        assert_eq!(client.get(path).await.status, 429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_at_saturation_admit_what_the_rate_allows() {
    // Far less than even a busy machine asks for.
    let slow = "[limits.slow]\nrate = \"20/s\"\nburst = 80\nper = \"address\"\naccuracy = \"leased\"\n
        [[route]]\nid = \"slow\"\nmatch = { path = \"/slow/*\" }\nupstream = \"recorder\"\npolicy = \"public\"\nlimit = \"slow\"\n";
    let mut stack = Stack::builder(Kind::Redis).extra(slow).start().await;
    let clients = [stack.anonymous(), stack.another_gateway().await];
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for client in clients.iter().cycle().take(8) {
        let client = client.clone();
        tasks.spawn(async move {
            let (mut sent, mut passed) = (0_u32, 0_u32);
            while began.elapsed() < Duration::from_secs(4) {
                sent += 1;
                passed += u32::from(client.get("/slow/x").await.status == 200);
            }
            (sent, passed)
        });
    }
    let (sent, passed) = tasks.join_all().await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let may = 80.0 + 20.0 * began.elapsed().as_secs_f64();
    println!("{passed} of {sent} passed, {may:.0} may ({:.1} %)", 100.0 * f64::from(passed) / may);
    assert!(f64::from(passed) <= may, "{passed} of {may}");
    assert!(f64::from(sent) > 1.5 * may, "{sent} are no saturation of {may}");
    assert!(f64::from(passed) > 0.9 * may, "{passed} of {may}"); // store_contract asks for 95 %, without a clock
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_uses_up_nothing_of_its_users_limit() {
    let stack = Stack::start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    let elsewhere = stack.login_again("alice").await;
    assert_eq!(elsewhere.logout("this").await.status, 204);
    for _ in 0..9 {
        assert_eq!(elsewhere.get("/leased/x").await.status, 401);
    }
    assert_eq!(alice.get("/leased/x").await.header("ratelimit"), r#""leased";r=159;t=1"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_leased_passes_while_redis_is_gone_and_then_each_gateway_counts_alone() {
    let mut stack = Stack::builder(Kind::Redis).impatient().start().await;
    let client = stack.anonymous();
    assert_eq!(passed(&client, "/leased_by_route/x", 60).await, 60);
    stack.redis.as_mut().unwrap().stop();
    let began = Instant::now();
    assert_eq!(passed(&client, "/leased_by_route/x", 100).await, 100);
    assert!(began.elapsed() < Duration::from_secs(20), "they wait for Redis together, not in turn");
    let local = r#"portcullis_limit_decisions_total{limit="leased_by_route",outcome="local"}"#;
    assert!(stack.metric(local).await > 0.0);
    stack.redis.as_mut().unwrap().restart().await;
    let before = stack.metric(LEASES).await;
    eventually("it leases again", || async {
        client.get("/leased_by_route/x").await;
        stack.metric(LEASES).await > before
    })
    .await;
}
