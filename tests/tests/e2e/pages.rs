//! The pages for people, header by header: who is sent to sign in and who is refused, what a form may do, and
//! what nobody learns from them.

use std::time::Duration;

use portcullis_tests::{Answer, Client, Kind, Stack, Visitor};
use reqwest::{Method, RequestBuilder};

const PAGES: &str = r#"
[cookies]
[pages]
enabled = true
register = "register"
home = "/optional/home"
[[route]]
id = "app"
match = { path = "/app/*" }
upstream = "recorder"
policy = "authenticated"
unauthenticated = "redirect"
"#;

const ACCESS_LIFE: Duration = Duration::from_mins(15);

async fn stack() -> Stack {
    Stack::builder(Kind::Embedded).extra(PAGES).start().await
}

/// A request as a browser makes it for a page.
fn looking(request: RequestBuilder) -> RequestBuilder {
    request.header("sec-fetch-mode", "navigate").header("accept", "text/html")
}

async fn look(visitor: &mut Visitor, path: &str) -> Answer {
    visitor.send(looking(visitor.own(Method::GET, path))).await
}

async fn submit(visitor: &mut Visitor, path: &str, fields: &[(&str, &str)]) -> Answer {
    visitor.send(looking(visitor.own(Method::POST, path)).form(fields)).await
}

async fn sign_in(visitor: &mut Visitor, name: &str, password: &str) -> Answer {
    submit(visitor, "/auth/sign-in?return_to=%2Fapp%2Fx%3Fy", &[("username", name), ("password", password)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_person_who_looks_at_a_page_is_sent_to_sign_in() {
    let stack = stack().await;
    let client = stack.anonymous();
    let ask = async |method: Method, path: &str, lines: &[(&str, &str)]| {
        let request =
            lines.iter().fold(client.request(method, path), |request, (name, value)| request.header(*name, *value));
        client.send(request).await
    };
    let navigate = ("sec-fetch-mode", "navigate");
    let html = ("accept", "text/html,*/*;q=0.8");
    for (name, method, lines) in [
        ("a browser", Method::GET, &[navigate, html][..]),
        ("a browser that looks ahead", Method::HEAD, &[navigate]),
        ("an old browser", Method::GET, &[html]),
    ] {
        let answer = ask(method, "/app/orders?page=2&x=%2F", lines).await;
        assert_eq!(answer.status, 303, "{name}: {}", answer.body);
        assert_eq!(
            answer.header("location"),
            "/auth/sign-in?return_to=%2Fapp%2Forders%3Fpage%3D2%26x%3D%252F",
            "{name}"
        );
        assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Sec-Fetch-Mode, Accept"));
    }
    for (name, method, path, lines) in [
        ("a script", Method::GET, "/app/x", &[("sec-fetch-mode", "cors"), html][..]),
        ("a program", Method::GET, "/app/x", &[("accept", "*/*")]),
        ("a form", Method::POST, "/app/x", &[navigate, html]),
        ("a page of a route that refuses", Method::GET, "/echo/x", &[navigate, html]),
        ("a page with a broken token", Method::GET, "/echo/x", &[navigate, html, ("authorization", "Bearer x")]),
    ] {
        let answer = ask(method, path, lines).await;
        assert_eq!((answer.status, answer.header("content-type")), (401, "application/problem+json"), "{name}");
        assert!(answer.header("location").is_empty() && !answer.header("www-authenticate").is_empty(), "{name}");
    }
    let forbidden = ask(Method::GET, "/nowhere", &[navigate, html]).await;
    assert_eq!(forbidden.status, 404, "other refusals stay what they are");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_signs_in_and_goes_on_to_this_origin_only() {
    let stack = stack().await;
    stack.anonymous().register("alice").await;
    for (return_to, expected) in [
        ("%2Fapp%2Fx%3Fy", "/app/x?y"),
        ("https%3A%2F%2Fevil.test%2F", "/optional/home"),
        ("%2F%2Fevil.test", "/optional/home"),
        ("%2F%5Cevil.test", "/optional/home"),
        ("%2F%09%2Fevil.test", "/optional/home"),
        ("%2Fx%0D%0ASet-Cookie%3A%20a%3Db", "/optional/home"),
        ("%2Fauth%2Fsign-in", "/optional/home"),
    ] {
        let mut alice = Visitor::new(&stack.anonymous());
        let path = format!("/auth/sign-in?return_to={return_to}");
        let answer = submit(&mut alice, &path, &[("username", "alice"), ("password", Client::PASSWORD)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, expected), "{return_to}: {}", answer.body);
        assert_eq!(alice.jar.len(), 2, "it has its cookies");
        let again = look(&mut alice, &path).await;
        assert_eq!((again.status, again.header("location")), (303, expected), "who is signed in goes straight on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_signs_nobody_in() {
    let stack = stack().await;
    stack.anonymous().register("mallory").await;
    let mut alice = Visitor::new(&stack.anonymous());
    let fields = [("username", "mallory"), ("password", Client::PASSWORD)];
    for lines in [
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "null")],
        &[("origin", "https://evil.test")],
        &[],
    ] {
        for path in ["/auth/sign-in", "/auth/sign-in?new=1"] {
            let request = lines
                .iter()
                .fold(alice.request(Method::POST, path), |request, (name, value)| request.header(*name, *value));
            let answer = alice.send(looking(request).form(&fields)).await;
            assert_eq!((answer.status, answer.reason()), (403, "cross_site".to_owned()), "{lines:?}");
            assert!(alice.jar.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_whether_an_account_exists() {
    let stack = stack().await;
    stack.anonymous().register("alice").await;
    let mut visitor = Visitor::new(&stack.anonymous());
    let wrong = sign_in(&mut visitor, "alice", "not her password").await;
    let unknown = sign_in(&mut visitor, "nobody", "not her password").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("role=\"alert\"") && wrong.body.contains("don’t match"), "{}", wrong.body);
    assert_eq!(wrong.body.replace("alice", "nobody"), unknown.body);
    let without = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        for differs in ["x-request-id", "date", "ratelimit", "content-length"] {
            headers.remove(differs);
        }
        (answer.status, headers)
    };
    assert_eq!(without(&wrong), without(&unknown));
    assert!(wrong.header("www-authenticate").starts_with("Bearer"), "no window of the browser pops up");
    assert!(!wrong.body.contains("not her password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_too_often_is_told_how_long_to_wait() {
    let stack = Stack::builder(Kind::Embedded).extra(PAGES).login_limits(3, 1000).start().await;
    let mut visitor = Visitor::new(&stack.anonymous());
    let told = |answer: &Answer| format!("try again in {} second", answer.header("retry-after"));
    for _ in 0..3 {
        assert_eq!(sign_in(&mut visitor, "alice", "wrong").await.status, 401);
    }
    let account = sign_in(&mut visitor, "alice", "wrong").await;
    assert_eq!(account.status, 429);
    assert!(account.body.contains(&told(&account)), "{}", account.body);

    let stack = Stack::builder(Kind::Embedded).extra(PAGES).login_limits(1000, 1).start().await;
    let mut visitor = Visitor::new(&stack.anonymous());
    sign_in(&mut visitor, "alice", "wrong").await;
    let address = sign_in(&mut visitor, "alice", "wrong").await;
    assert_eq!(address.status, 429);
    assert!(address.body.contains(&told(&address)), "{}", address.body);
    assert!(address.body.contains("return_to=%2Fapp%2Fx%3Fy"), "and still knows where one was going");
    assert_eq!(look(&mut visitor, "/auth/sign-in").await.status, 200, "to look at the page costs nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_lacks_something_is_shown_again() {
    let mut stack = stack().await;
    let mut visitor = Visitor::new(&stack.anonymous());
    for fields in [&[("username", "alice")][..], &[("password", "x")], &[("username", ""), ("password", "")]] {
        let answer = submit(&mut visitor, "/auth/sign-in", fields).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("Enter your name and your password."), "{}", answer.body);
    }
    stack.stop_backend().await;
    let answer = sign_in(&mut visitor, "alice", "x").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("isn’t possible right now"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_creates_an_account_within_the_limits_of_its_route() {
    let limited = PAGES.replace("register = \"register\"", "register = \"join\"")
        + "[[route]]\nid = \"join\"\nmatch = { path = \"/join\", methods = [\"POST\"] }\nupstream = \"backend\"\nrewrite = \"/users\"\npolicy = \"public\"\nlimit = \"by_address\"\n";
    let stack = Stack::builder(Kind::Embedded).extra(&limited).start().await;
    let join = async |name: &str, password: &str| {
        let fields = [("username", name), ("password", password), ("role", "admin")];
        submit(&mut Visitor::new(&stack.anonymous()), "/auth/sign-in?new=1&return_to=/app/x", &fields).await
    };
    let created = join("bora", Client::PASSWORD).await;
    assert_eq!((created.status, created.header("location")), (303, "/app/x"), "{}", created.body);
    let taken = join("bora", Client::PASSWORD).await;
    assert_eq!(taken.status, 422);
    assert!(taken.body.contains("could not be created: someone else has this name"), "{}", taken.body);
    assert_eq!(join("chris", "short").await.status, 422);
    assert_eq!(join("chris", Client::PASSWORD).await.status, 429, "the fourth is one too many");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_page_ends_what_it_is_told_to() {
    let stack = stack().await;
    let [mut laptop, mut phone, mut tablet] = [(); 3].map(|()| Visitor::new(&stack.anonymous()));
    for device in [&mut laptop, &mut phone, &mut tablet] {
        device.login("alice").await;
    }
    let page = look(&mut laptop, "/auth/devices").await;
    assert_eq!((page.status, page.body.matches("<li>").count()), (200, 3), "{}", page.body);
    let sid = page.body.split("name=\"sid\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields = [("action", "end"), ("sid", &*sid)];

    let forged =
        looking(laptop.request(Method::POST, "/auth/devices")).header("sec-fetch-site", "cross-site").form(&fields);
    assert_eq!(laptop.send(forged).await.reason(), "cross_site");
    let mut mallory = Visitor::new(&stack.anonymous());
    mallory.login("mallory").await;
    submit(&mut mallory, "/auth/devices", &fields).await;
    assert_eq!(look(&mut laptop, "/auth/devices").await.body.matches("<li>").count(), 3, "nobody ends another's");

    let ended = submit(&mut laptop, "/auth/devices", &fields).await;
    assert_eq!((ended.status, ended.header("location")), (303, "/auth/devices?done=ended"));
    let both = [look(&mut phone, "/app/x").await.status, look(&mut tablet, "/app/x").await.status];
    assert!(both == [200, 303] || both == [303, 200], "{both:?}");

    let others = submit(&mut laptop, "/auth/devices", &[("action", "end_others")]).await;
    assert_eq!(others.header("location"), "/auth/devices?done=others_ended");
    assert_eq!(look(&mut laptop, "/auth/devices?done=others_ended").await.body.matches("<li>").count(), 1);

    let out = submit(&mut laptop, "/auth/devices", &[("action", "sign_out")]).await;
    assert_eq!(out.header("location"), "/auth/sign-in?return_to=%2Foptional%2Fhome&reason=logged_out");
    assert_eq!(out.header("clear-site-data"), "\"cache\"");
    assert!(laptop.jar.is_empty());
    let late = submit(&mut laptop, "/auth/devices", &[("action", "end_others")]).await;
    assert_eq!(late.header("location"), "/auth/sign-in?return_to=%2Fauth%2Fdevices", "a form leads back to its page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_takes_dead_cookies_back_and_a_lost_store_takes_nothing() {
    let mut stack = Stack::builder(Kind::Redis).extra(PAGES).start().await;
    let mut alice = Visitor::new(&stack.anonymous());
    alice.login("alice").await;
    let old = alice.clone();
    for _ in 0..2 {
        stack.clock.advance(ACCESS_LIFE);
        assert_eq!(look(&mut alice, "/app/x").await.status, 200);
    }
    let mut thief = old;
    let answer = look(&mut thief, "/app/x").await;
    assert_eq!(answer.header("location"), "/auth/sign-in?return_to=%2Fapp%2Fx&reason=reused");
    assert!(thief.jar.is_empty() && answer.header("cache-control") == "private, no-store");

    alice.login("alice").await;
    stack.redis.as_mut().unwrap().stop();
    let answer = look(&mut alice, "/app/x").await;
    assert_eq!((answer.status, answer.reason()), (503, "store_unavailable".to_owned()));
    let page = look(&mut alice, "/auth/sign-in").await;
    assert_eq!(page.status, 503);
    assert!(page.body.contains("isn’t possible right now") && alice.jar.len() == 2, "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_gives_the_bearer_of_cookies_is_private() {
    let stack = stack().await;
    let mut alice = Visitor::new(&stack.anonymous());
    alice.login("alice").await;
    assert_eq!(look(&mut alice, "/app/x").await.header("cache-control"), "private, no-store", "the back button …");
    assert_eq!(alice.get("/app/x").await.header("cache-control"), "private");
    assert_eq!(look(&mut alice, "/app/kept").await.header("cache-control"), "private, max-age=600", "the server knows");
    let bearer = stack.anonymous().with_access(&alice.cookie(Visitor::ACCESS));
    for answer in [bearer.get("/echo/x").await, bearer.signed_out().get("/public/x").await] {
        assert_eq!((answer.status, answer.header("cache-control")), (200, ""), "HTTP says what becomes of these");
    }
}
