//! Nobody learns from a login whether an account exists: not by what is answered, not by the work that it takes,
//! and not by when guessing gets slower. Registering must say that a name is taken; it is limited instead.

use std::time::Duration;

use portcullis_tests::{Answer, Client, Kind, Stack, on_both_stores};
use serde_json::json;

/// Shows the backend's own metrics, so that hashes can be counted.
const METRICS: &str = r#"
[[route]]
id = "backend_metrics"
match = { path = "/backend-metrics" }
upstream = "backend"
rewrite = "/metrics"
policy = "public"
"#;

/// An answer without what differs from request to request.
fn face(mut answer: Answer) -> (u16, http::HeaderMap, serde_json::Value) {
    for differs in ["x-request-id", "date"] {
        answer.headers.remove(differs);
    }
    // How much is left of an account's limit, which is counted whether there is one or not.
    let policy = answer.header("ratelimit").split(';').next().unwrap_or("").to_owned();
    answer.headers.insert("ratelimit", policy.parse().unwrap());
    let mut body = answer.json();
    body["instance"] = json!("-");
    (answer.status, answer.headers, body)
}

async fn hashes(stack: &Stack) -> u32 {
    let metrics = stack.anonymous().get("/backend-metrics").await.body;
    let computed = |line: &str| {
        let rest = line.strip_prefix("portcullis_backend_password_hashes_total{algorithm=")?;
        rest.split_once("} ")?.1.parse::<u32>().ok()
    };
    metrics.lines().filter_map(computed).sum()
}

on_both_stores! {
    async fn an_account_and_none_answer_alike_and_cost_the_same_work(kind: Kind) {
        let stack = Stack::builder(kind).extra(METRICS).start().await;
        assert_eq!(stack.anonymous().register("alice").await.status, 201);
        let mut faces = Vec::new();
        let long = "n".repeat(300);
        for name in ["alice", "ALICE", "alicf", "nobody", "no name at all", "' OR 1=1 --", "é", &long] {
            let before = hashes(&stack).await;
            let answer = stack.anonymous().try_login(name, "not the password").await;
            assert_eq!(answer.problem(), "401 bad_credentials: Wrong name or password", "{name}");
            assert_eq!(hashes(&stack).await, before + 1, "{name}: one password is checked, be there one or not");
            faces.push((name, face(answer)));
        }
        for (name, other) in &faces[1..] {
            assert_eq!(*other, faces[0].1, "{name}");
        }
    }

    async fn guessing_gets_slower_and_runs_out_for_an_account_and_for_none_alike(kind: Kind) {
        let stack = Stack::builder(kind).login_limits(9, 1000).start().await;
        assert_eq!(stack.anonymous().register("alice").await.status, 201);
        let mut tries = Vec::new();
        for name in ["alice", "nobody"] {
            let mut seen = Vec::new();
            for _ in 0..12 {
                let answer = stack.anonymous().try_login(name, "not the password").await;
                let wait: u64 = answer.header("retry-after").parse().unwrap_or(0);
                // How long the limit of the account takes to refill depends on the moment.
                let told = if answer.reason() == "over_limit" { 0 } else { wait };
                seen.push((answer.reason(), told, answer.headers.contains_key("retry-after")));
            }
            tries.push(seen);
        }
        assert_eq!(tries[0], tries[1]);
        let reasons: Vec<&str> = tries[0].iter().map(|(reason, ..)| reason.as_str()).collect();
        for reason in ["bad_credentials", "login_delayed", "over_limit"] {
            assert!(reasons.contains(&reason), "{reasons:?}");
        }
    }

    async fn only_the_right_password_tells_that_an_account_is_disabled(kind: Kind) {
        let stack = Stack::builder(kind).admin("token = { file = \"admin-token\" }").file("admin-token", TOKEN).start().await;
        let alice = stack.login("alice").await;
        let id = alice.get("/auth/me").await.json()["sub"].as_str().unwrap().to_owned();
        let office = stack.admin().with_access(TOKEN);
        let disabled = office.post(&format!("/admin/v1/users/{id}/disable"), &json!({})).await;
        assert!(disabled.status < 300, "{} {}", disabled.status, disabled.body);
        let wrong = face(stack.anonymous().try_login("alice", "not the password").await);
        let unknown = face(stack.anonymous().try_login("nobody", "not the password").await);
        assert_eq!(wrong, unknown);
        let right = stack.anonymous().try_login("alice", Client::PASSWORD).await;
        assert_eq!(right.reason(), "user_disabled", "who knows the password is told");
    }
}

const TOKEN: &str = "Zk3vR8qLw1XbT6yHn0PcJ5sUd9GfMa2e";

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_a_name_or_password_is_the_same_to_everybody() {
    let stack = Stack::builder(Kind::Embedded).extra(METRICS).start().await;
    stack.anonymous().register("alice").await;
    let before = hashes(&stack).await;
    for password in [json!(""), json!(null), json!(["x"]), json!("x".repeat(257))] {
        let mut faces = Vec::new();
        for name in ["alice", "nobody"] {
            faces.push(face(
                stack.anonymous().post("/auth/login", &json!({ "username": name, "password": password })).await,
            ));
        }
        assert_eq!(faces[0], faces[1], "{password}");
        stack.clock.advance(Duration::from_mins(2));
    }
    assert_eq!(hashes(&stack).await, before, "and costs nobody a hash");
}
