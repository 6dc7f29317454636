//! Credential checks: what is right, what it costs, and what becomes of imported and busy.

use futures_util::future::join_all;
use http::Method;
use portcullis_backend::clock::Timestamp;
use portcullis_backend::hashing::{PoolSize, StoredHash};
use portcullis_backend::ids::UserId;
use serde_json::json;

use crate::service::{PASSWORD, Service};

const HASHES: &str = r#"portcullis_backend_password_hashes_total{algorithm="argon2"}"#;

#[tokio::test]
async fn unknown_names_are_refused_like_wrong_passwords_and_cost_the_same_work() {
    let service = Service::start().await;
    service.register("alice").await;
    let mut answers = Vec::new();
    let logins = [("alice", "a wrong password"), ("nobody", PASSWORD), ("no name at all", PASSWORD), ("", "x")];
    for (number, (name, password)) in (2..).zip(logins) {
        let mut answer = service.authenticate(name, password).await;
        answer.assert_refused(401, "invalid_credentials");
        assert_eq!(service.metric(HASHES).await, number, "{name:?} costs one hash");
        answer.body["instance"].take();
        answers.push(answer.body);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "the answers are the same: {answers:#?}");
}

#[tokio::test]
async fn a_login_needs_both_fields_as_strings() {
    let service = Service::start().await;
    let cases = [
        (json!({}), vec!["username", "password"]),
        (json!({"username": "alice", "password": ""}), vec!["password"]),
        (json!({"username": "alice", "password": "x".repeat(257)}), vec!["password"]),
        (json!({"username": ["alice"], "password": "x", "otp": "1"}), vec!["username", "otp"]),
    ];
    for (body, fields) in cases {
        assert_eq!(service.post("/users/authenticate", body).await.refused_fields(), fields);
    }
    assert_eq!(service.metric(HASHES).await, 0, "none of them is worth a hash");
}

#[tokio::test]
async fn a_new_password_replaces_the_old_one() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let change = json!({"current_password": PASSWORD, "new_password": "an even finer password"});
    let changed = service.by(&id, Method::PUT, "/users/me/password", Some(change)).await;
    assert_eq!(changed.status, 204);
    service.authenticate("alice", PASSWORD).await.assert_refused(401, "invalid_credentials");
    assert_eq!(service.authenticate("alice", "an even finer password").await.status, 200);
}

#[tokio::test]
async fn a_password_is_only_changed_by_who_knows_it_and_to_a_good_one() {
    let service = Service::start().await;
    let id = service.register("alice-liddell").await;
    let change = async |user: &str, current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        service.by(user, Method::PUT, "/users/me/password", Some(body)).await
    };
    change(&id, "a wrong password", "a new password").await.assert_refused(403, "wrong_password");
    change("nobody-known", PASSWORD, "a new password").await.assert_refused(401, "unknown_user");
    assert_eq!(change(&id, "", "short").await.refused_fields(), ["current_password", "new_password"]);
    assert_eq!(change(&id, PASSWORD, "password123").await.refused_fields(), ["new_password"]);
    assert_eq!(change(&id, PASSWORD, "ALICE-liddell").await.refused_fields(), ["new_password"]);
    assert_eq!(service.authenticate("alice-liddell", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn an_imported_bcrypt_hash_signs_in_and_becomes_argon2() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    // As PHP's password_hash(…, PASSWORD_BCRYPT, ["cost" => 4]) writes it.
    let imported =
        StoredHash::new(bcrypt::hash_with_result(PASSWORD, 4).expect("a hash").to_string().replacen("2b", "2y", 1));
    import(&service, &id, &imported).await;

    service.authenticate("alice", "a wrong password").await.assert_refused(401, "invalid_credentials");
    assert_eq!(stored(&service, &id).await, imported, "a wrong password renews nothing");
    assert_eq!(service.authenticate("alice", PASSWORD).await.status, 200);
    assert!(stored(&service, &id).await.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(service.authenticate("alice", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_hash_that_would_cost_too_much_never_signs_in() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let costly = stored(&service, &id).await.expose().replace("m=19456", "m=4194304");
    import(&service, &id, &StoredHash::new(costly)).await;
    service.authenticate("alice", PASSWORD).await.assert_refused(401, "invalid_credentials");
}

#[tokio::test]
async fn more_passwords_than_may_wait_are_refused_at_once() {
    let service = Service::start_with(|config| config.hashing = PoolSize { threads: 1, queue: 1 }).await;
    service.register("alice").await;
    let answers = join_all((0..32).map(|_| service.authenticate("alice", PASSWORD))).await;
    let (right, busy): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!(!right.is_empty(), "those that could wait were checked");
    assert!(!busy.is_empty(), "32 at once don't fit into a queue of one");
    for answer in busy {
        answer.assert_refused(503, "password_pool_busy");
    }
    assert_eq!(service.metric("portcullis_backend_password_queue").await, 0);
    assert_eq!(service.authenticate("alice", PASSWORD).await.status, 200, "the rush is over");
}

async fn import(service: &Service, id: &str, hash: &StoredHash) {
    let id = UserId::parse(id).expect("an id");
    assert!(service.store().await.change_password(&id, hash, Timestamp::from_millis(0)).await.expect("it is stored"));
}

async fn stored(service: &Service, id: &str) -> StoredHash {
    let id = UserId::parse(id).expect("an id");
    service.store().await.credentials(&id).await.expect("it answers").expect("the user exists").password_hash
}
