//! Limits are exact, say what they allow, and are shared by all gateways.

use std::time::Duration;

use portcullis_tests::{Kind, Stack, on_both_stores};

on_both_stores! {
    async fn a_burst_passes_and_then_one_at_a_time(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        for remaining in [2, 1, 0] {
            let answer = alice.get("/limited/x").await;
            assert_eq!(answer.status, 200);
            let reset = 3 - remaining;
            assert_eq!(answer.header("ratelimit"), format!(r#""api";r={remaining};t={reset}"#));
            assert_eq!(answer.header("ratelimit-policy"), r#""api";q=3;w=3"#);
        }
        let refused = alice.get("/limited/x").await;
        assert_eq!(refused.problem(), "429 over_limit: Slow down");
        assert_eq!(refused.header("retry-after"), "1");
        assert!(refused.header("ratelimit").starts_with(r#""api";r=0;t="#), "{}", refused.header("ratelimit"));
        stack.clock.advance(Duration::from_secs(1));
        assert_eq!(alice.get("/limited/x").await.status, 200);
        assert_eq!(alice.get("/limited/x").await.status, 429);
        assert_eq!(stack.login("bob").await.get("/limited/x").await.status, 200, "each user has a share");
        let refusals = stack.metric(r#"portcullis_limit_decisions_total{limit="api",outcome="refused"}"#).await;
        assert!((refusals - 2.0).abs() < f64::EPSILON, "{refusals}");
    }

    async fn addresses_are_limited_too(kind: Kind) {
        let stack = Stack::start(kind).await;
        for expected in [200, 200, 200, 429] {
            assert_eq!(stack.anonymous().get("/limited_by_address/x").await.status, expected);
        }
    }

    async fn a_hundred_requests_at_once_are_not_one_too_many(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let alice = alice.clone();
            tries.spawn(async move { alice.get("/limited/x").await.status });
        }
        let statuses = tries.join_all().await;
        let passed = statuses.iter().filter(|status| **status == 200).count();
        // Real time passes while they run: one more for each second.
        assert!((3..=8).contains(&passed), "{passed}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 429)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_share_one_limit() {
    let mut stack = Stack::start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    let elsewhere = stack.another_gateway().await.with_access(&alice.access_token());
    let mut passed = 0;
    for client in [&alice, &elsewhere].into_iter().cycle().take(8) {
        passed += usize::from(client.get("/limited/x").await.status == 200);
    }
    assert!((3..=5).contains(&passed), "{passed}");
}
