//! Administration from the command line: the real program, on the store of a gateway that runs meanwhile.

use portcullis_tests::{Client, Kind, Redis, on_both_stores};
use serde_json::{Value, json};

use crate::process::{Stand, run};

/// A gateway in a process of its own, on such a store; and the Redis, which must outlive it.
async fn start(kind: Kind) -> (Stand, Option<Redis>) {
    let toml = include_str!("process.toml").replace("@TELEMETRY@", "");
    match kind {
        Kind::Embedded => (Stand::start_with(&toml).await, None),
        Kind::Redis => {
            let redis = Redis::start().await;
            (Stand::start_with(&toml.replace("embedded:store.db", &redis.url())).await, Some(redis))
        }
    }
}

async fn login(stand: &Stand) -> Client {
    let mut client = stand.client();
    client.register("alice").await;
    client.keep(&client.try_login("alice", Client::PASSWORD).await);
    client
}

/// Runs the program beside the gateway: what it prints, if all is well.
async fn told(stand: &Stand, arguments: &[&str]) -> String {
    let (code, text, errors) = run(arguments, stand.folder()).await;
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}: {text}");
    text
}

async fn told_json(stand: &Stand, arguments: &[&str]) -> Value {
    serde_json::from_str(&told(stand, &[arguments, &["--json"]].concat()).await).unwrap()
}

async fn me(client: &Client) -> (String, String) {
    let me = client.get("/auth/me").await.json();
    (me["sub"].as_str().unwrap().to_owned(), me["sid"].as_str().unwrap().to_owned())
}

on_both_stores! {
    async fn disabling_a_user_refuses_the_next_request(kind: Kind) {
        let (stand, _redis) = start(kind).await;
        let mut alice = login(&stand).await;
        let (user, _) = me(&alice).await;
        assert_eq!(alice.get("/users/me").await.status, 200);

        let table = told(&stand, &["users", "disable", &user]).await;
        assert!(table.lines().nth(1).unwrap().contains("  disabled  0 "), "{table}");
        assert_eq!(alice.get("/users/me").await.reason(), "token_revoked");
        assert_eq!(alice.refresh().await.reason(), "refresh_ended");
        assert_eq!(stand.client().try_login("alice", Client::PASSWORD).await.reason(), "user_disabled");
        let shown = told_json(&stand, &["users", "show", &user]).await;
        assert_eq!((&shown["disabled"], &shown["sessions"]), (&json!(true), &json!(0)));
        assert_eq!(stand.admin().get(&format!("/admin/v1/users/{user}")).await.json(), shown, "one shape everywhere");

        assert_eq!(told_json(&stand, &["users", "enable", &user]).await["disabled"], false);
        assert_eq!(alice.get("/users/me").await.reason(), "token_revoked", "what was void stays void");
        assert_eq!(login(&stand).await.get("/users/me").await.status, 200);
    }

    async fn sessions_are_listed_and_ended(kind: Kind) {
        let (stand, _redis) = start(kind).await;
        let (phone, laptop) = (login(&stand).await, login(&stand).await);
        let ((user, sid), (_, laptops)) = (me(&phone).await, me(&laptop).await);
        let table = told(&stand, &["sessions", "list", "--user", &user]).await;
        let names: Vec<&str> = table.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["SESSION", &sid, &laptops], "{table}");
        let list = told_json(&stand, &["sessions", "list", "--user", &user]).await;
        assert_eq!(list, stand.admin().get(&format!("/admin/v1/users/{user}/sessions")).await.json());
        assert_eq!(told_json(&stand, &["sessions", "list", "--session", &sid]).await["items"][0], list["items"][0]);

        assert_eq!(told(&stand, &["sessions", "end", "--session", &sid]).await, "1 ended\n");
        assert_eq!(phone.get("/users/me").await.reason(), "token_revoked");
        assert_eq!(laptop.get("/users/me").await.status, 200);
        for what in ["list", "end"] {
            let (code, _, errors) = run(&["sessions", what, "--session", &sid], stand.folder()).await;
            assert_eq!(code, 1);
            assert!(errors.contains("there is no such session") && errors.contains("sessions list --user"), "{errors}");
        }
        assert_eq!(told_json(&stand, &["sessions", "end", "--user", &user]).await, json!({ "ended": 1 }));
        assert_eq!(laptop.get("/users/me").await.reason(), "token_revoked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_while_no_gateway_runs() {
    let (stand, _) = start(Kind::Embedded).await;
    let (user, _) = me(&login(&stand).await).await;
    let folder = stand.stop_and_keep().await;
    let (code, text, errors) = run(&["users", "disable", &user, "--json"], folder.path()).await;
    assert_eq!(code, 0, "{errors}");
    assert!(text.contains(r#""disabled":true"#), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_can_not_do_it_says_how_to() {
    let (stand, redis) = start(Kind::Redis).await;
    drop(redis);
    let (code, _, errors) = run(&["users", "disable", "alice"], stand.folder()).await;
    assert_eq!(code, 1);
    assert!(errors.contains("try again") && errors.contains("[store]"), "{errors}");
    assert!(!errors.contains("redis://"), "{errors}");
    for wrong in [
        &["sessions", "list"][..],
        &["sessions", "end", "--user", "a", "--session", "b"],
        &["sessions", "end", "--session", "garbage"],
        &["users", "disable", "a b"],
        &["users", "disable"],
    ] {
        assert_eq!(run(wrong, stand.folder()).await.0, 2, "{wrong:?}");
    }
}
