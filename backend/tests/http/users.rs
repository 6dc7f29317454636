//! Accounts: registration, profiles, and whom the service believes.

use http::Method;
use portcullis_backend::DatabaseUrl;
use serde_json::{Value, json};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use crate::service::{Answer, PASSWORD, Service};

#[tokio::test]
async fn a_user_registers_signs_in_and_reads_their_profile() {
    let service = Service::start().await;
    let body = json!({"username": "Alice", "password": PASSWORD, "email": "alice@example.org"});
    let registered = service.post("/users", body).await;
    assert_eq!(registered.status, 201);
    assert_eq!(registered.header("content-type"), "application/json");
    let (id, created_at) = (registered.text("/id"), registered.text("/created_at"));
    let expected = json!({"id": id, "username": "Alice", "email": "alice@example.org", "created_at": created_at});
    assert_eq!(registered.body, expected);
    assert!(created_at.ends_with('Z') && created_at.len() == "2026-01-31T09:30:00.125Z".len(), "{created_at}");

    let authenticated = service.authenticate("aLICE", PASSWORD).await;
    assert_eq!(authenticated.status, 200);
    assert_eq!(authenticated.body, json!({"id": id, "username": "Alice", "roles": ["user"]}));

    let profile = service.by(&id, Method::GET, "/users/me", None).await;
    assert_eq!(profile.status, 200);
    assert_eq!(profile.header("cache-control"), "no-store");
    let expected = json!({
        "id": id, "username": "Alice", "email": "alice@example.org", "roles": ["user"],
        "created_at": created_at, "updated_at": created_at,
    });
    assert_eq!(profile.body, expected);
}

#[tokio::test]
async fn a_registration_without_an_address_has_none() {
    let service = Service::start().await;
    for (name, email) in [("alice", None), ("bob", Some(Value::Null))] {
        let mut body = json!({"username": name, "password": PASSWORD});
        if let Some(email) = email {
            body["email"] = email;
        }
        let registered = service.post("/users", body).await;
        assert_eq!((registered.status.as_u16(), &registered.body["email"]), (201, &Value::Null));
    }
}

#[tokio::test]
async fn a_registration_is_told_all_that_is_wrong_with_it() {
    let service = Service::start().await;
    let wrong = json!({"username": "a b", "password": "short", "email": "nowhere", "admin": true});
    let cases = [
        ("everything", wrong, vec!["username", "password", "email", "admin"]),
        ("nothing there", json!({}), vec!["username", "password"]),
        ("null", json!({"username": null, "password": null}), vec!["username", "password"]),
        ("wrong types", json!({"username": 1, "password": [], "email": {}}), vec!["username", "password", "email"]),
        ("a common password", json!({"username": "alice", "password": "Password1"}), vec!["password"]),
        ("the name itself", json!({"username": "alice-liddell", "password": "Alice-Liddell"}), vec!["password"]),
        ("a role of one's own choice", json!({"username": "alice", "password": PASSWORD, "roles": []}), vec!["roles"]),
    ];
    for (name, body, fields) in cases {
        assert_eq!(service.post("/users", body).await.refused_fields(), fields, "{name}");
    }
    let twice = format!(r#"{{"username": "alice", "password": "{PASSWORD}", "username": "bob"}}"#);
    let request = service.request(Method::POST, "/users").header("content-type", "application/json").body(twice);
    assert_eq!(Answer::to(request).await.refused_fields(), ["username"]);
    assert_eq!(service.get("/users/exists/alice").await.body, json!({"exists": false}), "none of them registered");
}

#[tokio::test]
async fn a_name_is_taken_once_in_any_case() {
    let service = Service::start().await;
    service.register("alice").await;
    let again = service.post("/users", json!({"username": "ALICE", "password": PASSWORD})).await;
    again.assert_refused(409, "username_taken");
    assert_eq!(service.metric(r#"portcullis_backend_password_hashes_total{algorithm="argon2"}"#).await, 1);
}

#[tokio::test]
async fn anyone_may_ask_whether_a_name_exists() {
    let service = Service::start().await;
    service.register("alice").await;
    for (name, exists) in [("alice", true), ("Alice", true), ("alic", false), ("a%20b", false), ("x", false)] {
        let answer = service.get(&format!("/users/exists/{name}")).await;
        assert_eq!((answer.status.as_u16(), answer.body), (200, json!({"exists": exists})), "{name}");
    }
}

#[tokio::test]
async fn only_the_gateways_header_says_who_is_calling() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let cases = [
        ("nobody", vec![], "no_identity"),
        ("an empty id", vec![("X-User-Id", "")], "no_identity"),
        ("an id with a blank", vec![("X-User-Id", "a b")], "no_identity"),
        ("two ids", vec![("X-User-Id", id.as_str()), ("X-User-Id", &id)], "no_identity"),
        ("another header", vec![("X-User", &id), ("X_User_Id", &id), ("Authorization", &id)], "no_identity"),
        ("an unknown id", vec![("X-User-Id", "01890000-0000-7000-8000-000000000000")], "unknown_user"),
    ];
    for (name, headers, reason) in cases {
        for (method, path) in [(Method::GET, "/users/me"), (Method::DELETE, "/users/me")] {
            let request = service.request(method, path);
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let answer = Answer::to(request).await;
            assert_eq!(answer.body["reason"], reason, "{name}");
            answer.assert_refused(401, reason);
        }
    }
    let change = json!({"username": "mallory"});
    let unknown = service.by("nobody-known", Method::PUT, "/users/me", Some(change)).await;
    unknown.assert_refused(401, "unknown_user");
}

#[tokio::test]
async fn a_profile_keeps_what_is_not_mentioned() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let steps = [
        (json!({"email": "alice@example.org"}), "alice", json!("alice@example.org")),
        (json!({"username": "alicia"}), "alicia", json!("alice@example.org")),
        (json!({}), "alicia", json!("alice@example.org")),
        (json!({"email": null}), "alicia", Value::Null),
    ];
    for (change, username, email) in steps {
        let changed = service.by(&id, Method::PUT, "/users/me", Some(change.clone())).await;
        assert_eq!(changed.status, 200, "{change}");
        assert_eq!((changed.body["username"].as_str(), &changed.body["email"]), (Some(username), &email), "{change}");
        assert_eq!(service.by(&id, Method::GET, "/users/me", None).await.body, changed.body);
    }
    assert_eq!(service.authenticate("alicia", PASSWORD).await.status, 200);
    service.authenticate("alice", PASSWORD).await.assert_refused(401, "invalid_credentials");
}

#[tokio::test]
async fn a_profile_can_not_be_changed_to_what_no_profile_may_be() {
    let service = Service::start().await;
    let (id, _) = (service.register("alice").await, service.register("bob").await);
    let change = async |body| service.by(&id, Method::PUT, "/users/me", Some(body)).await;
    change(json!({"username": "Bob"})).await.assert_refused(409, "username_taken");
    let fields = change(json!({"username": "!", "email": "x", "roles": ["admin"], "password": "x"})).await;
    assert_eq!(fields.refused_fields(), ["username", "email", "password", "roles"]);
    assert_eq!(service.by(&id, Method::GET, "/users/me", None).await.body["username"], "alice");
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_its_posts() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let post = service.by(&id, Method::POST, "/posts", Some(json!({"title": "One", "content": "Text"}))).await;
    let gone = service.by(&id, Method::DELETE, "/users/me", None).await;
    assert_eq!((gone.status.as_u16(), gone.body), (204, Value::Null));

    service.by(&id, Method::GET, "/users/me", None).await.assert_refused(401, "unknown_user");
    service.by(&id, Method::DELETE, "/users/me", None).await.assert_refused(401, "unknown_user");
    service.authenticate("alice", PASSWORD).await.assert_refused(401, "invalid_credentials");
    service.get(&format!("/posts/{}", post.text("/id"))).await.assert_refused(404, "not_found");
    service.register("alice").await;
}

#[tokio::test]
async fn roles_are_what_the_operator_wrote_into_the_database() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let DatabaseUrl::Sqlite(path) = &service.database else { unreachable!("the tests of HTTP use SQLite") };
    let operator = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.expect("it is there");
    let set = async |roles: &str| {
        sqlx::query("UPDATE users SET roles = $1").bind(roles.to_owned()).execute(&operator).await.expect("it is set");
    };
    set(r#"["user", "admin"]"#).await;
    assert_eq!(service.authenticate("alice", PASSWORD).await.body["roles"], json!(["user", "admin"]));
    assert_eq!(service.by(&id, Method::GET, "/users/me", None).await.body["roles"], json!(["user", "admin"]));

    set("admin").await;
    service.authenticate("alice", PASSWORD).await.assert_refused(500, "internal");
}
