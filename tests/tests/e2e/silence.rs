//! Logs are silent about secrets: through everything that a client can do, no token, password or
//! connection URL is written anywhere.

use portcullis_tests::Client;
use serde_json::json;

use crate::process::ADMIN_TOKEN;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_logged() {
    let stand = crate::process::Stand::start("level = \"trace\"").await;
    let mut alice = stand.client();
    alice.register("alice").await;
    alice.keep(&alice.try_login("alice", Client::PASSWORD).await);
    let first = alice.access_token();
    let refresh = alice.refresh_token();
    assert_eq!(alice.get(&format!("/users/me?access_token={first}")).await.status, 200);
    assert_eq!(alice.refresh().await.status, 200);
    alice.try_login("alice", "a wrong password").await;
    alice.refresh_with("garbage-refresh-token").await;
    alice.with_access("garbage-access-token").get("/users/me").await;
    alice.post("/auth/login", &json!({ "username": "alice", "password": { "a": Client::PASSWORD } })).await;
    let office = stand.admin();
    let wrong = "a-wrong-admin-token-of-somebody";
    assert_eq!(office.with_access(wrong).get("/admin/v1/users/alice").await.status, 401);
    assert_eq!(office.get("/admin/v1/users/alice/sessions").await.status, 200);
    alice.logout("all").await;
    let second = alice.access_token();
    let logs = stand.stop().await;
    assert!(logs.contains("logged in") && logs.contains("login failed"), "{logs}");
    assert!(logs.contains(r#""who":"admin","action":"list_sessions","subject":"alice","outcome":"done""#), "{logs}");
    for secret in [
        &first,
        &second,
        &refresh,
        Client::PASSWORD,
        "a wrong password",
        "garbage-refresh-token",
        "garbage-access-token",
        ADMIN_TOKEN,
        wrong,
        "BEGIN PRIVATE KEY",
    ] {
        assert!(!logs.contains(secret), "{secret} was logged:\n{logs}");
        let middle = &secret[secret.len() / 3..];
        assert!(!logs.contains(middle), "a part of {secret} was logged:\n{logs}");
    }
}
