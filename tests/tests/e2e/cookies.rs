//! Browsers carry their tokens in cookies and never notice that tokens expire: one that has is renewed in the
//! middle of the request, whoever else asks at the same moment. Cookies go when the session has ended, and
//! only then.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_tests::{Answer, Client, Kind, Stack, Visitor, eventually, on_both_stores, raw};
use reqwest::Method;
use serde_json::json;

const ACCESS_LIFE: Duration = Duration::from_mins(15);
const RETRY_WINDOW: Duration = Duration::from_secs(30);

async fn stack(kind: Kind) -> Stack {
    with_cookies(kind, "").await
}

async fn with_cookies(kind: Kind, terms: &str) -> Stack {
    Stack::builder(kind).extra(&format!("[cookies]\n{terms}\n")).start().await
}

async fn visitor(stack: &Stack) -> Visitor {
    let mut alice = Visitor::new(&stack.anonymous());
    alice.login("alice").await;
    alice
}

fn set_cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect()
}

fn has_new_cookies(answer: &Answer) -> bool {
    let lines = set_cookies(answer);
    lines.len() == 2 && !lines.iter().any(|line| line.ends_with("Max-Age=0"))
}

fn takes_cookies_back(answer: &Answer) -> bool {
    let lines = set_cookies(answer);
    lines.len() == 2 && lines.iter().all(|line| line.ends_with("Max-Age=0"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_delivers_what_the_configuration_says() {
    for (terms, in_body, in_cookies) in
        [("", false, true), (r#"deliver = "both""#, true, true), (r#"deliver = "body""#, true, false)]
    {
        let stack = with_cookies(Kind::Embedded, terms).await;
        let mut alice = Visitor::new(&stack.anonymous());
        let answer = alice.login("alice").await;
        let body = answer.json();
        assert_eq!(body["access_token"].is_string() && body["refresh_token"].is_string(), in_body, "{terms}: {body}");
        assert_eq!(body["refresh_expires_in"], 7 * 86400, "{terms}");
        assert_eq!(has_new_cookies(&answer), in_cookies, "{terms}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_as_closed_as_they_can_be() {
    let stack = stack(Kind::Embedded).await;
    let answer = Visitor::new(&stack.anonymous()).login("alice").await;
    let [access, refresh] = set_cookies(&answer)[..] else { panic!("{answer:?}") };
    let (name, rest) = refresh.split_once('=').unwrap();
    assert_eq!(
        (name, rest.split_once(';').unwrap().1),
        (Visitor::REFRESH, " Path=/; HttpOnly; SameSite=Lax; Max-Age=604800")
    );
    assert!(
        access.starts_with("portcullis-access=ey") && access.contains("; Path=/; HttpOnly; SameSite=Lax; Max-Age=")
    );
    assert_eq!(answer.header("cache-control"), "private, no-store");

    let behind_tls = Stack::builder(Kind::Embedded).extra("[cookies]\nsecure = \"always\"\n").start().await;
    let answer = Visitor::new(&behind_tls.anonymous()).login("alice").await;
    for (line, name) in set_cookies(&answer).iter().zip(["__Host-portcullis-access=", "__Host-portcullis-refresh="]) {
        assert!(line.starts_with(name) && line.contains("; Path=/; HttpOnly; Secure; SameSite=Lax;"), "{line}");
    }
}

on_both_stores! {
    async fn an_expired_access_cookie_is_renewed_in_the_middle_of_the_request(kind: Kind) {
        let stack = stack(kind).await;
        let mut alice = visitor(&stack).await;
        for (name, held) in [("it is still there", alice.clone()), ("it is gone", alice.without(Visitor::ACCESS))] {
            let mut held = held;
            held.jar.insert(Visitor::REFRESH.to_owned(), alice.cookie(Visitor::REFRESH));
            stack.clock.advance(ACCESS_LIFE);
            let answer = held.get("/echo/x").await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.body);
            assert!(stack.recorder.last().header("x-user-id").is_some(), "{name}: the server knows who it is");
            assert!(has_new_cookies(&answer), "{name}: {:?}", answer.headers);
            assert_eq!(answer.header("cache-control"), "private, no-store", "{name}");
            alice = held;
        }
        assert!(set_cookies(&alice.get("/echo/x").await).is_empty(), "nothing changes while it is good");
    }

    async fn new_cookies_ride_on_every_final_answer(kind: Kind) {
        let stack = stack(kind).await;
        let mut alice = visitor(&stack).await;
        for (path, status) in [
            ("/echo/status/304", 304),
            ("/echo/status/404", 404),
            ("/echo/status/500", 500),
            ("/echo/stall", 504),
            ("/echo/garbage", 502),
            ("/admins/x", 403),
            ("/auth/me", 200),
        ] {
            stack.clock.advance(ACCESS_LIFE);
            let answer = alice.get(path).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
            assert!(has_new_cookies(&answer), "{path}: {:?}", answer.headers);
            assert_eq!(answer.header("cache-control"), "private, no-store", "{path}");
            assert!(!answer.headers.contains_key("cdn-cache-control"), "{path}: nor do others keep it");
        }
        stack.clock.advance(ACCESS_LIFE);
        let handshake = format!(
            "GET /echo/ws HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {}={}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
            Visitor::REFRESH, alice.cookie(Visitor::REFRESH), host = stack.address(),
        );
        let answer = raw(stack.address(), handshake.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        assert_eq!(answer.to_ascii_lowercase().matches("set-cookie: ").count(), 2, "{answer}");
    }

    async fn whoever_loses_the_race_is_served_as_well(kind: Kind) {
        let mut stack = stack(kind).await;
        let alice = visitor(&stack).await;
        let other = stack.another_gateway().await;
        stack.clock.advance(ACCESS_LIFE);
        let gateways = [stack.anonymous(), other];
        let tabs: Vec<_> = (0..40)
            .map(|tab| {
                let mut tab = alice.at(&gateways[tab % 2]);
                tokio::spawn(async move { (tab.get("/echo/x").await, tab) })
            })
            .collect();
        let mut refresh = BTreeSet::new();
        for tab in tabs {
            let (answer, tab) = tab.await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(has_new_cookies(&answer), "{:?}", answer.headers);
            refresh.insert(tab.cookie(Visitor::REFRESH));
        }
        assert_eq!(refresh.len(), 1, "all of them get the one successor");
        assert!(stack.metric(r#"portcullis_session_rotations_total{outcome="reused"}"#).await == 0.0);
    }

    async fn a_lost_answer_that_is_asked_for_again_brings_the_same_tokens(kind: Kind) {
        let mut stack = stack(kind).await;
        let alice = visitor(&stack).await;
        let other = stack.another_gateway().await;
        stack.clock.advance(ACCESS_LIFE);
        let (mut first, mut second) = (alice.clone(), alice.at(&other));
        assert_eq!(first.get("/echo/x").await.status, 200);
        stack.clock.advance(RETRY_WINDOW / 2);
        assert_eq!(second.get("/echo/x").await.status, 200);
        assert_eq!(first.cookie(Visitor::REFRESH), second.cookie(Visitor::REFRESH));
        let claims = |visitor: &Visitor| visitor.cookie(Visitor::ACCESS).split('.').nth(1).unwrap().to_owned();
        assert_eq!(claims(&first), claims(&second), "jti and dates and all; an ES256 signature differs each time");
    }

    async fn a_reused_refresh_cookie_ends_the_session_and_takes_the_cookies_back(kind: Kind) {
        let stack = stack(kind).await;
        let mut alice = visitor(&stack).await;
        let mut thief = alice.clone();
        stack.clock.advance(ACCESS_LIFE);
        assert_eq!(alice.get("/echo/x").await.status, 200);
        stack.clock.advance(RETRY_WINDOW);
        let answer = thief.get("/echo/x").await;
        assert_eq!(answer.problem(), "401 refresh_reused: This session has ended");
        assert!(takes_cookies_back(&answer), "{:?}", answer.headers);
        let answer = alice.get("/echo/x").await;
        assert_eq!(answer.reason(), "refresh_reused", "everybody is told why: {}", answer.body);
        assert!(takes_cookies_back(&answer) && alice.jar.is_empty(), "{:?}", answer.headers);
    }

    async fn refresh_and_logout_take_a_cookie_as_well_as_a_body(kind: Kind) {
        let stack = stack(kind).await;
        let mut alice = visitor(&stack).await;
        let answer = alice.post("/auth/refresh").await;
        assert_eq!((answer.status, has_new_cookies(&answer)), (200, true), "{}", answer.body);
        assert!(answer.json()["refresh_token"].is_null(), "scripts don't get to see it");

        let in_body = json!({ "refresh_token": alice.cookie(Visitor::REFRESH) });
        let program = stack.anonymous().post("/auth/refresh", &in_body).await;
        assert!(program.json()["refresh_token"].is_string() && set_cookies(&program).is_empty(), "{program:?}");
        alice.jar.insert(Visitor::REFRESH.to_owned(), program.json()["refresh_token"].as_str().unwrap().to_owned());
        let different = alice.own(Method::POST, "/auth/refresh").json(&in_body);
        assert_eq!(alice.send(different).await.reason(), "malformed_request");

        let others = alice.post("/auth/logout?scope=others").await;
        assert_eq!((others.status, set_cookies(&others).len()), (204, 0), "this one stays");
        let answer = alice.post("/auth/logout").await;
        assert_eq!((answer.status, takes_cookies_back(&answer)), (204, true), "{:?}", answer.headers);
        assert_eq!(stack.anonymous().post("/auth/refresh", &in_body).await.status, 401, "and it has really ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_soon_expires_is_renewed_early() {
    let stack = with_cookies(Kind::Embedded, r#"early_refresh = "2m""#).await;
    let mut alice = visitor(&stack).await;
    stack.clock.advance(Duration::from_mins(12));
    assert!(set_cookies(&alice.get("/echo/x").await).is_empty());
    stack.clock.advance(Duration::from_mins(1));
    assert!(has_new_cookies(&alice.get("/echo/x").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_store_a_gateway_signs_nobody_out() {
    let mut stack = with_cookies(Kind::Redis, r#"early_refresh = "5m""#).await;
    let mut alice = visitor(&stack).await;
    stack.clock.advance(Duration::from_mins(13));
    stack.redis.as_mut().unwrap().stop();
    let answer = alice.get("/available/x").await;
    assert_eq!((answer.status, set_cookies(&answer).len()), (200, 0), "the old token still holds: {}", answer.body);
    stack.clock.advance(Duration::from_mins(5));
    for path in ["/available/x", "/optional/x"] {
        let answer = alice.get(path).await;
        assert_eq!(answer.reason(), "store_unavailable", "{path}: {}", answer.body);
        assert!(set_cookies(&answer).is_empty(), "{path}");
    }
    for path in ["/auth/refresh", "/auth/logout"] {
        let answer = alice.post(path).await;
        assert_eq!((answer.status, set_cookies(&answer).len()), (503, 0), "{path}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_cookies_must_be_meant() {
    let stack = stack(Kind::Embedded).await;
    let mut alice = visitor(&stack).await;
    let from = |site: &'static str| alice.request(Method::POST, "/echo/x").header("sec-fetch-site", site);
    let bearer = stack.anonymous().with_access(&alice.cookie(Visitor::ACCESS));
    for (name, request, status) in [
        ("our page", from("same-origin"), 200),
        ("another site", from("cross-site"), 403),
        ("a neighbour", from("same-site"), 403),
        ("nobody says", alice.request(Method::POST, "/echo/x"), 403),
        ("nobody says, but it only reads", alice.request(Method::GET, "/echo/x"), 200),
        ("in Authorization", bearer.request(Method::POST, "/echo/x"), 200),
        (
            "another site refreshes",
            alice.request(Method::POST, "/auth/refresh").header("sec-fetch-site", "cross-site"),
            403,
        ),
        (
            "another site logs out",
            alice.request(Method::POST, "/auth/logout").header("origin", "https://evil.test"),
            403,
        ),
        (
            "another site ends a session",
            alice.request(Method::DELETE, "/auth/sessions/x").header("sec-fetch-site", "cross-site"),
            403,
        ),
        (
            "a socket of another site",
            alice
                .request(Method::GET, "/echo/x")
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("origin", "https://evil.test"),
            403,
        ),
    ] {
        let answer = alice.clone().send(request).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert!(answer.status != 403 || answer.reason() == "cross_site", "{name}: {}", answer.body);
    }
    assert_eq!(alice.get("/echo/x").await.status, 200, "nothing was ended");

    let login = json!({ "username": "alice", "password": Client::PASSWORD });
    let mut victim = Visitor::new(&stack.anonymous());
    let forged = victim.request(Method::POST, "/auth/login").header("origin", "https://evil.test").form(&login);
    let answer = victim.send(forged).await;
    assert_eq!((answer.reason().as_str(), victim.jar.len()), ("cross_site", 0), "nobody signs a visitor in");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_different_credentials_are_refused() {
    let stack = stack(Kind::Embedded).await;
    let mut alice = visitor(&stack).await;
    let mut mallory = Visitor::new(&stack.anonymous());
    mallory.login("mallory").await;
    let (own, other) = (alice.cookie(Visitor::ACCESS), mallory.cookie(Visitor::ACCESS));
    for (name, token, status) in [("the same", own.clone(), 200), ("another's", other, 400)] {
        let request = alice.own(Method::GET, "/echo/x").bearer_auth(token);
        let answer = alice.send(request).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
    let planted = format!("{}={own}; {}=x", Visitor::ACCESS, Visitor::ACCESS);
    let answer =
        stack.anonymous().send(stack.anonymous().request(Method::GET, "/echo/x").header("cookie", planted)).await;
    assert_eq!(answer.status, 400, "two cookies of one name: {}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_neither_see_nor_set_our_cookies() {
    let mut stack = stack(Kind::Embedded).await;
    let mut alice = visitor(&stack).await;
    alice.jar.insert("theme".to_owned(), "dark".to_owned());
    for path in ["/echo/x", "/public/x", "/optional/x"] {
        assert_eq!(alice.get(path).await.status, 200);
        assert_eq!(stack.recorder.last().header("cookie"), Some("theme=dark"), "{path}");
    }
    assert_eq!(alice.get("/token/x").await.status, 200);
    let access = alice.cookie(Visitor::ACCESS);
    let seen = stack.recorder.last();
    assert_eq!(
        seen.header("cookie").unwrap(),
        format!("theme=dark; {}={access}", Visitor::ACCESS),
        "where a route says so"
    );
    stack.clock.advance(ACCESS_LIFE);
    assert_eq!(alice.get("/token/x").await.status, 200);
    let renewed = alice.cookie(Visitor::ACCESS);
    assert_ne!(renewed, access);
    assert_eq!(stack.recorder.last().header("cookie").unwrap(), format!("theme=dark; {}={renewed}", Visitor::ACCESS));

    let answer = alice.get("/echo/plants").await;
    assert_eq!(set_cookies(&answer), ["theme=dark"]);

    alice.jar.insert("name-of-before".to_owned(), alice.cookie(Visitor::REFRESH));
    assert_eq!(alice.get("/echo/x").await.status, 200);
    assert_eq!(stack.recorder.last().header("cookie"), Some("theme=dark"), "nor by another name");
    let unchecked = r#"
        [[route]]
        id = "unchecked"
        match = { path = "/unchecked/*" }
        upstream = "recorder"
        policy = "public"
        forward_token = true
    "#;
    stack.reload(|toml| format!("{toml}{unchecked}")).await.unwrap();
    assert_eq!(alice.get("/unchecked/x").await.status, 200);
    assert_eq!(stack.recorder.last().header("cookie"), Some("theme=dark"), "nor what nobody checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_anybody_may_read_dead_cookies_are_no_obstacle() {
    let stack = stack(Kind::Embedded).await;
    let mut alice = visitor(&stack).await;
    assert_eq!(alice.clone().post("/auth/logout?scope=all").await.status, 204);
    let answer = alice.clone().get("/optional/x").await;
    assert_eq!((answer.status, takes_cookies_back(&answer)), (200, true), "{}", answer.body);
    assert_eq!(stack.recorder.last().header("x-user-id"), None);
    let answer = alice.post("/optional/x").await;
    assert_eq!((answer.status, takes_cookies_back(&answer)), (401, true), "who writes means to be known");
    let mut garbled = Visitor::new(&stack.anonymous());
    garbled.jar.insert(Visitor::REFRESH.to_owned(), "garbage".to_owned());
    let answer = garbled.get("/echo/x").await;
    assert_eq!((answer.reason().as_str(), set_cookies(&answer).len()), ("refresh_invalid", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_do_without_cookies() {
    let route = r#"
        [[route]]
        id = "machines"
        match = { path = "/machines/*" }
        upstream = "recorder"
        policy = "authenticated"
        cookies = false
    "#;
    let stack = Stack::builder(Kind::Embedded).extra("[cookies]\n").extra(route).start().await;
    let mut alice = visitor(&stack).await;
    assert_eq!(alice.get("/machines/x").await.reason(), "no_credential");
    let bearer = stack.anonymous().with_access(&alice.cookie(Visitor::ACCESS));
    assert_eq!(bearer.get("/machines/x").await.status, 200);

    let stack = Stack::builder(Kind::Embedded).extra("[cookies]\neverywhere = false\n").start().await;
    let mut alice = visitor(&stack).await;
    assert_eq!(alice.get("/echo/x").await.reason(), "no_credential");
    assert_eq!(alice.get("/auth/me").await.status, 200, "our own endpoints take them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_limit_does_not_swallow_new_cookies() {
    let stack = stack(Kind::Embedded).await;
    let mut alice = visitor(&stack).await;
    for _ in 0..3 {
        assert_eq!(alice.get("/limited/x").await.status, 200);
    }
    let spent = alice.without(Visitor::ACCESS).get("/limited/x").await;
    assert_eq!((spent.status, has_new_cookies(&spent)), (429, true), "{}", spent.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_no_browser_would_keep_are_refused_when_they_are_issued() {
    let mut stack = stack(Kind::Embedded).await;
    let to_recorder = |toml: String| {
        toml.replace(
            "upstream = \"backend\"\npath = \"/users/authenticate\"",
            "upstream = \"recorder\"\npath = \"/login\"",
        )
    };
    stack.reload(to_recorder).await.unwrap();
    let roles: Vec<String> = (0..700).map(|role| format!("{role:03}")).collect();
    for (name, roles, status) in [("some roles", &roles[..10], 200), ("too many", &roles[..600], 502)] {
        stack.recorder.say("POST /login", 200, &json!({ "id": "alice", "roles": roles }).to_string());
        let mut alice = Visitor::new(&stack.anonymous());
        let login = alice.own(Method::POST, "/auth/login").json(&json!({ "username": "alice", "password": "x" }));
        let answer = alice.send(login).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert_eq!(alice.jar.is_empty(), status != 200, "{name}");
    }
    let evicted = stack.metric(r#"portcullis_sessions_ended_total{scope="evicted"}"#).await;
    assert!(evicted < 0.5, "and takes nobody's place");
}

/// A stack whose recorder is the login upstream and the directory of users.
async fn with_directory(cookies: &str) -> Stack {
    let mut stack = with_cookies(Kind::Embedded, cookies).await;
    let to_recorder = |toml: String| {
        let login = "upstream = \"backend\"\npath = \"/users/authenticate\"";
        let toml = toml.replace(login, "upstream = \"recorder\"\npath = \"/login\"");
        toml.replace(
            "[limits.login_account]",
            "[login.recheck]\npath = \"/people\"\nunavailable = \"refuse\"\n[limits.login_account]",
        )
    };
    stack.reload(to_recorder).await.unwrap();
    stack.recorder.say("POST /login", 200, r#"{"id":"alice","roles":["user"]}"#);
    stack.recorder.say("GET /people", 200, r#"{"roles":["user"]}"#);
    stack
}

async fn signed_in(stack: &Stack) -> Visitor {
    let mut alice = Visitor::new(&stack.anonymous());
    let login = alice.own(Method::POST, "/auth/login").json(&json!({ "username": "alice", "password": "x" }));
    assert_eq!(alice.send(login).await.status, 200);
    alice
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_do_not_fit_are_found_out_before_a_token_is_spent() {
    let stack = with_directory("").await;
    let mut alice = signed_in(&stack).await;
    let roles: Vec<String> = (0..600).map(|role| format!("{role:03}")).collect();
    stack.recorder.say("GET /people", 200, &json!({ "roles": roles }).to_string());
    stack.clock.advance(ACCESS_LIFE + RETRY_WINDOW); // Past the leeway too.
    assert_eq!(alice.get("/echo/x").await.reason(), "login_unusable");
    stack.recorder.say("GET /people", 200, r#"{"roles":["user"]}"#);
    stack.clock.advance(RETRY_WINDOW * 2);
    assert_eq!(alice.get("/echo/x").await.status, 200, "it is still hers to spend");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_renewed_early_is_good_until_it_expires() {
    let stack = with_directory(r#"early_refresh = "5m""#).await;
    let mut alice = signed_in(&stack).await;
    stack.recorder.say("GET /people", 500, "{}");
    stack.clock.advance(Duration::from_mins(13));
    let answer = alice.get("/echo/x").await;
    assert_eq!((answer.status, set_cookies(&answer).len()), (200, 0), "{}", answer.body);
    stack.clock.advance(Duration::from_mins(5));
    assert_eq!(alice.get("/echo/x").await.reason(), "login_unavailable");
}

on_both_stores! {
    async fn who_is_told_that_sessions_ended_can_rely_on_it(kind: Kind) {
        let stack = stack(kind).await;
        let mut phone = visitor(&stack).await;
        let mut laptop = visitor(&stack).await;
        let bearer = stack.anonymous().with_access(&laptop.cookie(Visitor::ACCESS));

        laptop.jar.insert(Visitor::REFRESH.to_owned(), "garbage".to_owned());
        let answer = laptop.clone().post("/auth/logout").await;
        assert_eq!((answer.status, takes_cookies_back(&answer)), (204, true), "{answer:?}");
        assert_eq!(bearer.get("/echo/x").await.reason(), "token_revoked", "the access token told whose session it was");

        let answer = laptop.clone().post("/auth/logout?scope=all").await;
        assert_eq!((answer.status, set_cookies(&answer).len()), (401, 0), "nothing more can be done for who is out");
        assert_eq!(phone.get("/echo/x").await.status, 200);
        assert_eq!(laptop.post("/auth/logout").await.status, 204, "but to sign this browser out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_answered_the_way_it_came() {
    let stack = with_cookies(Kind::Embedded, r#"deliver = "both""#).await;
    let mut alice = visitor(&stack).await;
    let mut victim = Visitor::new(&stack.anonymous());
    let form = [("refresh_token", alice.cookie(Visitor::REFRESH))];
    let forged = victim.request(Method::POST, "/auth/refresh").header("origin", "https://evil.test").form(&form);
    let answer = victim.send(forged).await;
    assert!(
        answer.json()["refresh_token"].is_string() && victim.jar.is_empty(),
        "nobody is signed in as somebody else"
    );
    alice.jar.insert(Visitor::REFRESH.to_owned(), answer.json()["refresh_token"].as_str().unwrap().to_owned());
    let answer = alice.post("/auth/refresh").await;
    assert!(
        has_new_cookies(&answer) && answer.json()["refresh_token"].is_null(),
        "no script reads it: {}",
        answer.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_ones_own_session_by_name_takes_the_cookies_back() {
    let stack = stack(Kind::Embedded).await;
    let mut alice = visitor(&stack).await;
    let sid = alice.get("/auth/me").await.json()["sid"].as_str().unwrap().to_owned();
    let end = alice.own(Method::DELETE, &format!("/auth/sessions/{sid}"));
    assert_eq!(alice.send(end).await.status, 204);
    assert!(alice.jar.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_together_share_one_rotation() {
    let stack = Stack::builder(Kind::Redis).extra("[cookies]\n").redis_terms("timeout = \"10s\"").start().await;
    let alice = visitor(&stack).await;
    stack.clock.advance(ACCESS_LIFE);
    let redis = stack.redis.as_ref().unwrap();
    redis.stall();
    let tabs: Vec<_> = (0..10)
        .map(|_| {
            let mut tab = alice.clone();
            tokio::spawn(async move { (tab.get("/echo/x").await.status, tab.cookie(Visitor::ACCESS)) })
        })
        .collect();
    eventually("all of them wait", || async {
        stack.metric(r#"portcullis_session_rotations_total{outcome="shared"}"#).await > 8.5
    })
    .await;
    redis.resume();
    let mut tokens = BTreeSet::new();
    for tab in tabs {
        let (status, token) = tab.await.unwrap();
        assert_eq!(status, 200);
        tokens.insert(token);
    }
    assert_eq!(tokens.len(), 1, "they share the very answer");
    let replayed = stack.metric(r#"portcullis_session_rotations_total{outcome="replayed"}"#).await;
    assert!(replayed < 0.5, "the store was asked once");
}
