//! What a real browser makes of the gateway: the pages for people, tokens in cookies that nobody sees, and an
//! end that is one. Two gateways stand behind one origin, as they would behind a load balancer.

use std::time::Duration;

use portcullis_tests::{Balancer, Chromium, Client, Kind, Stack, Visitor, eventually};
use thirtyfour::{By, WindowHandle};
use tokio::time::timeout;

const ACCESS_LIFE: Duration = Duration::from_mins(15);

/// What `/me` shows of her.
const ALICE: &str = r#""username":"alice""#;

/// Pages, and two routes that send people to them.
const PAGES: &str = r#"
[cookies]
[pages]
enabled = true
title = "Harbour <Posts>"
register = "register"
home = "/me"
[[route]]
id = "me"
match = { path = "/me" }
upstream = "backend"
rewrite = "/users/me"
policy = "authenticated"
unauthenticated = "redirect"
[[route]]
id = "app"
match = { path = "/app/*" }
upstream = "recorder"
policy = "authenticated"
unauthenticated = "redirect"
"#;

/// Two gateways on one Redis, one origin before them, and a browser.
struct Scene {
    stack: Stack,
    balancer: Balancer,
    browser: Chromium,
}

impl Scene {
    async fn start() -> Self {
        Self::speaking("en-US,en").await
    }

    async fn speaking(languages: &str) -> Self {
        let mut stack = Stack::builder(Kind::Redis).extra(PAGES).start().await;
        let other = stack.another_gateway().await;
        let balancer = Balancer::start(vec![stack.address(), other.address()]).await;
        stack.anonymous().register("alice").await;
        Self { stack, balancer, browser: Chromium::speaking(languages).await }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.balancer.address())
    }

    async fn goto(&self, path: &str) {
        self.browser.goto(self.url(path)).await.unwrap();
    }

    /// Where the browser is, without the origin.
    async fn place(&self) -> String {
        let url = self.browser.current_url().await.unwrap();
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Waits until the browser has come to a place.
    async fn arrives(&self, path: &str) {
        eventually(&format!("the browser comes to {path}"), async || self.place().await == path).await;
    }

    /// What is to be read on the page; nothing in the middle of the way to another.
    async fn text(&self) -> String {
        let text = self.browser.execute("return document.body.innerText;", Vec::new()).await;
        text.ok().and_then(|text| text.convert().ok()).unwrap_or_default()
    }

    /// Waits until something is to be read.
    async fn reads(&self, text: &str) {
        eventually(text, async || self.text().await.contains(text)).await;
    }

    async fn press(&self, css: &str) {
        self.browser.find(By::Css(css)).await.unwrap().click().await.unwrap();
    }

    async fn fill_in(&self, name: &str, password: &str) {
        let account = self.browser.find(By::Id("account")).await.unwrap();
        account.clear().await.unwrap();
        account.send_keys(name).await.unwrap();
        self.browser.find(By::Id("password")).await.unwrap().send_keys(password).await.unwrap();
        self.press("button.main").await;
    }

    /// How many sessions the page lists.
    async fn devices(&self) -> usize {
        self.browser.find_all(By::Tag("li")).await.unwrap().len()
    }

    /// Signs in from a page that wants it.
    async fn sign_in(&self) {
        self.goto("/me").await;
        self.fill_in("alice", Client::PASSWORD).await;
        self.arrives("/me").await;
    }

    async fn shows_alice(&self) {
        self.reads(ALICE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_and_ends_in_a_browser() {
    let scene = Scene::start().await;
    scene.goto("/app/orders?page=2").await;
    assert_eq!(scene.place().await, "/auth/sign-in?return_to=%2Fapp%2Forders%3Fpage%3D2", "sent to sign in");
    assert_eq!(scene.browser.title().await.unwrap(), "Sign in · Harbour <Posts>");

    scene.fill_in("alice", "not her password").await;
    scene.reads("don’t match").await;
    let account = scene.browser.find(By::Id("account")).await.unwrap();
    assert_eq!(account.prop("value").await.unwrap().unwrap(), "alice", "the name need not be typed again");

    scene.fill_in("alice", Client::PASSWORD).await;
    scene.arrives("/app/orders?page=2").await;
    let seen = scene.stack.recorder.seen().into_iter().find(|seen| seen.target() == "GET /app/orders?page=2").unwrap();
    assert!(seen.header("x-user-id").is_some() && seen.header("cookie").is_none(), "{}", seen.head);

    scene.stack.clock.advance(ACCESS_LIFE);
    scene.goto("/me").await;
    scene.shows_alice().await; // Nobody notices that the token has expired.

    let mut phone = Visitor::new(&scene.stack.anonymous());
    phone.login("alice").await;
    scene.goto("/auth/devices").await;
    assert_eq!(scene.devices().await, 2);
    let mine = scene.browser.find(By::Tag("li")).await.unwrap().text().await.unwrap();
    assert!(mine.starts_with("Chrome on Linux This device") && mine.contains("127.0.0.1"), "{mine}");
    scene.press("li button").await;
    scene.arrives("/auth/devices?done=ended").await;
    assert_eq!(scene.devices().await, 1);
    assert_eq!(phone.get("/auth/me").await.status, 401, "the other device is signed out");
    scene.goto("/me").await;
    scene.shows_alice().await;

    scene.goto("/auth/devices").await;
    scene.press("input[value=sign_out] + button").await;
    scene.arrives("/auth/sign-in?return_to=%2Fme&reason=logged_out").await;
    scene.reads("You are signed out.").await;
}

/// What a page of the app does that signs out by itself.
const LEAVE: &str = "await fetch('/auth/logout', { method: 'POST' }); location = '/auth/sign-in';";
const SECRET: &str = "document.body.append('secret of alice');";

#[tokio::test(flavor = "multi_thread")]
async fn the_back_button_shows_nothing_after_signing_out() {
    let scene = Scene::start().await;
    for (page, by_script) in [("/app/silent", true), ("/app/silent", false), ("/app/kept", false)] {
        scene.sign_in().await;
        scene.goto(page).await;
        scene.browser.execute(SECRET, Vec::new()).await.unwrap();
        if by_script {
            scene.browser.execute(LEAVE, Vec::new()).await.unwrap();
        } else {
            scene.goto("/auth/devices").await;
            scene.press("input[value=sign_out] + button").await;
        }
        scene.reads("New here?").await;
        for step in 1..=3 {
            scene.browser.back().await.unwrap();
            scene.reads("New here?").await;
            let text = scene.text().await;
            assert!(!text.contains("alice"), "{page}, {step} steps back: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_signed_out_for_a_stolen_token_is_told_why() {
    let scene = Scene::start().await;
    scene.sign_in().await;
    let stolen = scene.browser.get_named_cookie(Visitor::REFRESH).await.unwrap().value;
    for _ in 0..2 {
        scene.stack.clock.advance(ACCESS_LIFE);
        scene.goto("/me").await;
        scene.shows_alice().await;
    }
    let thief = scene.stack.anonymous().refresh_with(&stolen).await;
    assert_eq!(thief.reason(), "refresh_reused");
    scene.goto("/me").await;
    scene.arrives("/auth/sign-in?return_to=%2Fme&reason=reused").await;
    scene.reads("to protect your account").await;
    assert!(scene.browser.get_all_cookies().await.unwrap().is_empty(), "its cookies are taken back");
    scene.fill_in("alice", Client::PASSWORD).await;
    scene.shows_alice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_registers_in_korean() {
    let scene = Scene::speaking("ko-KR,ko").await;
    scene.goto("/me").await;
    scene.reads("처음이신가요?").await;
    assert_eq!(scene.browser.find(By::Tag("html")).await.unwrap().attr("lang").await.unwrap().unwrap(), "ko");
    scene.press(".other a").await;
    scene.reads("이미 계정이 있으신가요?").await;
    scene.fill_in("alice", Client::PASSWORD).await;
    scene.reads("계정을 만들지 못했습니다: someone else has this name").await;
    scene.fill_in("bora", Client::PASSWORD).await;
    scene.arrives("/me").await;
    scene.reads(r#""username":"bora""#).await;
}

/// Two shapes of an access cookie whose time is over.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    /// The browser still sends it.
    StillThere,
    /// The browser has dropped it, since its `Max-Age` ran out.
    Gone,
}

/// Has every tab reload at one moment of the clock on the wall.
const RELOAD_AT: &str = "window.before = true; setTimeout(() => location.reload(), arguments[0] - Date.now());";
/// Whether a tab has come back, and what it shows.
const SHOWN: &str = "return window.before || document.readyState !== 'complete' ? null : document.body.innerText;";

/// Lets five tabs wake up at once, on tokens that have expired: what each shows then.
async fn wake_up(scene: &Scene, tabs: &[WindowHandle]) -> Vec<String> {
    let now = scene.browser.execute("return Date.now();", Vec::new()).await.unwrap().convert::<u64>().unwrap();
    for tab in tabs {
        scene.browser.switch_to_window(tab.clone()).await.unwrap();
        scene.browser.execute(RELOAD_AT, vec![(now + 90).into()]).await.unwrap();
    }
    let mut shown = Vec::new();
    for tab in tabs {
        scene.browser.switch_to_window(tab.clone()).await.unwrap();
        shown.push(timeout(Duration::from_secs(30), text_of(scene)).await.expect("the tab shows something"));
    }
    shown
}

/// What a tab shows after its reload, in the middle of which there is nothing that could answer.
async fn text_of(scene: &Scene) -> String {
    loop {
        let answer = scene.browser.execute(SHOWN, Vec::new()).await.ok();
        if let Some(text) = answer.and_then(|answer| answer.convert::<Option<String>>().ok()?) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_tabs_that_wake_up_at_once_are_all_signed_in_a_hundred_times() {
    let scene = Scene::start().await;
    scene.sign_in().await;
    let mut tabs = vec![scene.browser.window().await.unwrap()];
    for _ in 1..5 {
        let tab = scene.browser.new_tab().await.unwrap();
        scene.browser.switch_to_window(tab.clone()).await.unwrap();
        scene.goto("/me").await;
        tabs.push(tab);
    }
    for round in 0..100 {
        let expiry = if round % 2 == 0 { Expiry::StillThere } else { Expiry::Gone };
        scene.stack.clock.advance(ACCESS_LIFE);
        if let Expiry::Gone = expiry {
            scene.browser.delete_cookie(Visitor::ACCESS).await.unwrap();
        }
        for text in wake_up(&scene, &tabs).await {
            assert!(text.contains(ALICE), "round {round}, {expiry:?}: {text}");
        }
    }
    let rotations = async |outcome| {
        let line = format!("portcullis_session_rotations_total{{outcome=\"{outcome}\"}} ");
        scene.stack.metric_everywhere(&line).await
    };
    let (rotated, replayed, shared) =
        (rotations("rotated").await, rotations("replayed").await, rotations("shared").await);
    assert!(rotated >= 100.0, "each round renews: {rotated}");
    assert!(replayed + shared > 0.0, "and some of the tabs at the same time");
    for outcome in ["reused", "ended", "invalid"] {
        assert!(rotations(outcome).await.abs() < 0.5, "{outcome}");
    }
    println!("rotated {rotated}, replayed {replayed}, shared {shared}");
}
