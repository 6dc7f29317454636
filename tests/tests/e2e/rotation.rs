//! It never logs you out by accident: a refresh token that two tabs spend at once, or whose answer was
//! lost, gives the same successor; only real reuse ends the session, and then for everybody.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_tests::{Answer, Client, Kind, Stack, on_both_stores};

const RETRY_WINDOW: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

/// Refreshes as a client does who is told "unknown, try again" while the machine is overloaded.
async fn refresh_until_known(client: Client, token: String) -> Answer {
    let mut answer = client.refresh_with(&token).await;
    for _ in 0..5 {
        if answer.status != 503 {
            break;
        }
        answer = client.refresh_with(&token).await;
    }
    answer
}

on_both_stores! {
    async fn a_refresh_gives_new_tokens_and_the_session_goes_on(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut alice = stack.login("alice").await;
        let (old_access, old_refresh) = (alice.access_token(), alice.refresh_token());
        let answer = alice.refresh().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_ne!(alice.refresh_token(), old_refresh);
        assert_ne!(alice.access_token(), old_access);
        assert_eq!(alice.get("/users/me").await.status, 200);
        assert_eq!(alice.with_access(&old_access).get("/users/me").await.status, 200, "until it expires");
    }

    async fn a_lost_answer_is_given_again(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        let first = alice.refresh_with(&alice.refresh_token()).await;
        stack.clock.advance(RETRY_WINDOW / 2);
        let again = alice.refresh_with(&alice.refresh_token()).await;
        assert_eq!(again.status, 200, "{}", again.body);
        assert_eq!(first.json()["refresh_token"], again.json()["refresh_token"]);
        assert!(stack.metric(r#"portcullis_session_rotations_total{outcome="replayed"}"#).await > 0.0);
    }

    async fn a_reused_refresh_token_ends_the_session_for_thief_and_owner(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut alice = stack.login("alice").await;
        let other_device = stack.login_again("alice").await;
        let stolen = alice.refresh_token();
        assert_eq!(alice.refresh().await.status, 200);
        stack.clock.advance(RETRY_WINDOW + SECOND);

        let thief = stack.anonymous().refresh_with(&stolen).await;
        assert_eq!(thief.problem(), "401 refresh_reused: This session has ended");
        assert_eq!(alice.get("/users/me").await.problem(), "401 token_revoked: The access token was revoked");
        let owner = alice.refresh().await;
        assert_eq!((owner.problem(), owner.detail()), (thief.problem(), thief.detail()), "whoever comes later is told why");
        assert_eq!(other_device.get("/users/me").await.status, 200, "another login is another session");
        for outcome in ["reused", "ended"] {
            let line = format!(r#"portcullis_session_rotations_total{{outcome="{outcome}"}}"#);
            assert!((stack.metric(&line).await - 1.0).abs() < f64::EPSILON, "one reuse, and one that came later: {line}");
        }
    }

    async fn a_token_two_generations_old_is_reuse_at_once(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut alice = stack.login("alice").await;
        let oldest = alice.refresh_token();
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.refresh_with(&oldest).await.reason(), "refresh_reused");
    }

    async fn a_thousand_refreshes_at_once_have_one_successor(kind: Kind) {
        // A thousand at once overload a test machine, and this is not about that.
        let stack = Stack::builder(kind).redis_terms("timeout = \"10s\"").start().await;
        let mut alice = stack.login("alice").await;
        let token = alice.refresh_token();
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let (client, token) = (alice.clone(), token.clone());
            tries.spawn(refresh_until_known(client, token));
        }
        let answers = tries.join_all().await;
        let statuses: BTreeSet<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, BTreeSet::from([200]));
        let successors: BTreeSet<String> = answers.iter().map(|answer| answer.json()["refresh_token"].to_string()).collect();
        assert_eq!(successors.len(), 1);
        alice.keep(&answers[0]);
        assert_eq!(alice.get("/users/me").await.status, 200, "nobody was logged out");
        assert_eq!(alice.refresh().await.status, 200, "and the session goes on");
    }

    async fn an_idle_session_ends(kind: Kind) {
        let stack = Stack::builder(kind).tokens("refresh_ttl = \"1h\"\nabsolute_ttl = \"3h\"").start().await;
        let mut alice = stack.login("alice").await;
        stack.clock.advance(Duration::from_mins(59));
        assert_eq!(alice.refresh().await.status, 200);
        stack.clock.advance(Duration::from_hours(1));
        assert_eq!(alice.refresh().await.reason(), "refresh_ended");
    }

    async fn no_session_outlives_its_absolute_end(kind: Kind) {
        let stack = Stack::builder(kind).tokens("refresh_ttl = \"1h\"\nabsolute_ttl = \"2h\"").start().await;
        let mut alice = stack.login("alice").await;
        for _ in 0..2 {
            stack.clock.advance(Duration::from_mins(55));
            assert_eq!(alice.refresh().await.status, 200);
        }
        let answer = alice.refresh().await.json();
        assert!(answer["refresh_expires_in"].as_u64().unwrap() <= 600, "{answer}");
        assert!(answer["expires_in"].as_u64().unwrap() <= 600, "no access token outlives it either: {answer}");
        stack.clock.advance(Duration::from_mins(11));
        assert_eq!(alice.refresh().await.reason(), "refresh_ended");
    }

    async fn what_is_no_refresh_token_is_refused(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        let mut forged = alice.refresh_token();
        let last = forged.pop().unwrap();
        forged.push(if last == 'A' { 'Q' } else { 'A' });
        for token in ["garbage", &alice.access_token(), &forged] {
            assert_eq!(stack.anonymous().refresh_with(token).await.reason(), "refresh_invalid", "{token}");
        }
        assert_eq!(stack.anonymous().post("/auth/refresh", &serde_json::json!({})).await.reason(), "bad_body");
        assert_eq!(alice.with_access(&alice.refresh_token()).get("/users/me").await.reason(), "token_invalid");
    }

    async fn a_restart_ends_no_session(kind: Kind) {
        let mut stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        stack.restart().await;
        let mut alice = { let mut again = stack.anonymous().with_access(&alice.access_token()); again.keep(&again.refresh_with(&alice.refresh_token()).await); again };
        assert_eq!(alice.get("/users/me").await.status, 200);
        assert_eq!(alice.refresh().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_on_one_redis_give_one_successor() {
    let mut stack = Stack::start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    let elsewhere = stack.another_gateway().await;
    let token = alice.refresh_token();
    let mut tries = tokio::task::JoinSet::new();
    for client in [&alice, &elsewhere].into_iter().cycle().take(100) {
        let (client, token) = (client.clone(), token.clone());
        tries.spawn(async move { client.refresh_with(&token).await });
    }
    let answers = tries.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let successors: BTreeSet<String> =
        answers.iter().map(|answer| answer.json()["refresh_token"].to_string()).collect();
    assert_eq!(successors.len(), 1);
}
