//! A user has as many sessions as the operator allows: one login more ends the session unused longest, or
//! is refused, and never the one nor the other by accident.

use std::time::Duration;

use portcullis_tests::{Answer, Client, Kind, Stack, on_both_stores};

const SECOND: Duration = Duration::from_secs(1);

async fn sessions(client: &Client) -> usize {
    client.get("/auth/sessions").await.json()["items"].as_array().unwrap().len()
}

on_both_stores! {
    async fn one_login_more_signs_out_the_device_unused_longest(kind: Kind) {
        let stack = Stack::builder(kind).extra("[sessions]\nmax_per_user = 2").start().await;
        let mut phone = stack.login("alice").await;
        stack.clock.advance(SECOND);
        let mut laptop = stack.login_again("alice").await;
        let bob = stack.login("bob").await;
        stack.clock.advance(SECOND);
        assert_eq!(phone.refresh().await.status, 200, "the phone is older, but was used");
        let tablet = stack.login_again("alice").await;

        assert_eq!(laptop.get("/users/me").await.reason(), "token_revoked");
        let told = laptop.refresh().await;
        assert_eq!(told.problem(), "401 refresh_ended: This session has ended");
        assert!(told.detail().starts_with("You signed in on more devices than are allowed"), "{}", told.detail());
        for client in [&phone, &tablet, &bob] {
            assert_eq!(client.get("/users/me").await.status, 200);
        }
        assert_eq!((sessions(&tablet).await, sessions(&bob).await), (2, 1));
        let evicted = stack.metric(r#"portcullis_sessions_ended_total{scope="evicted"}"#).await;
        assert!((evicted - 1.0).abs() < f64::EPSILON, "{evicted}");
    }

    async fn one_login_more_is_refused_where_the_operator_says_so(kind: Kind) {
        let limits = "[sessions]\nmax_per_user = 1\nwhen_full = \"refuse_new\"";
        let stack = Stack::builder(kind).extra(limits).start().await;
        let phone = stack.login("alice").await;
        for _ in 0..8 {
            let refused = stack.anonymous().try_login("alice", Client::PASSWORD).await;
            assert_eq!(refused.problem(), "409 too_many_sessions: Signed in on too many devices", "no failed login");
        }
        let wrong = stack.anonymous().try_login("alice", "wrong password").await;
        assert_eq!(wrong.reason(), "bad_credentials", "only who knows the password is told");
        assert_eq!(phone.get("/users/me").await.status, 200);
        assert_eq!(phone.logout("this").await.status, 204);
        assert_eq!(stack.anonymous().try_login("alice", Client::PASSWORD).await.status, 200);
        let refused = stack.metric(r#"portcullis_logins_total{outcome="too_many_sessions"}"#).await;
        assert!((refused - 8.0).abs() < f64::EPSILON, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_at_once_on_two_gateways_leave_as_many_sessions_as_may_be() {
    // A busy test machine is no reason to be told 503; this is not about that.
    let builder = Stack::builder(Kind::Redis).redis_terms("timeout = \"10s\"");
    let mut stack = builder.extra("[sessions]\nmax_per_user = 3").start().await;
    let alice = stack.login("alice").await;
    let elsewhere = stack.another_gateway().await;
    let mut logins = tokio::task::JoinSet::new();
    for client in [&alice, &elsewhere].into_iter().cycle().take(12) {
        let client = client.clone();
        logins.spawn(async move { client.try_login("alice", Client::PASSWORD).await });
    }
    let answers = logins.join_all().await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).map(Answer::problem).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let mut standing = 0;
    for answer in answers {
        let mut client = stack.anonymous();
        client.keep(&answer);
        standing += usize::from(client.get("/users/me").await.status == 200);
    }
    assert_eq!(standing, 3, "and not one of the other tokens passes");
}
