//! Refresh tokens that were tampered with, sessions that an attacker would plant or keep, and cookies that were
//! tossed in from elsewhere. What is refused here changes nothing: the session of whom it was taken from goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::{Attack, Client, Forge, Kind, Stack, Visitor, assert_refused, on_both_stores, raw};
use reqwest::Method;
use serde_json::json;

async fn with_cookies() -> Stack {
    Stack::builder(Kind::Embedded).extra("[cookies]\n").start().await
}

fn request(method: &str, path: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
    )
}

on_both_stores! {
    async fn a_refresh_token_that_was_changed_is_refused_and_ends_nothing(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut alice = stack.login("alice").await;
        let good = alice.refresh_token();
        let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
        let flipped = |at: usize, bit: u8| {
            let mut other = bytes.clone();
            other[at] ^= bit;
            URL_SAFE_NO_PAD.encode(other)
        };
        let stranger = Stack::start(Kind::Embedded).await.login("alice").await.refresh_token();
        let spare_bits = {
            const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let place = ALPHABET.iter().position(|byte| good.ends_with(char::from(*byte))).unwrap();
            format!("{}{}", &good[..70], char::from(ALPHABET[place + 1]))
        };
        let grafted = [&bytes[..21], &URL_SAFE_NO_PAD.decode(&stranger).unwrap()[21..]].concat();
        for (name, token) in [
            ("another version", flipped(0, 1)),
            ("another partition", flipped(1, 1)),
            ("another session", flipped(16, 1)),
            ("a later generation", flipped(20, 1)),
            ("a much later generation", flipped(17, 0x80)),
            ("another signature", flipped(52, 1)),
            ("the signature of another gateway's token", URL_SAFE_NO_PAD.encode(grafted)),
            ("another gateway's token", stranger),
            ("no signature", URL_SAFE_NO_PAD.encode(&bytes[..21])),
            ("half a signature", URL_SAFE_NO_PAD.encode(&bytes[..37])),
            ("a signature of zeros", URL_SAFE_NO_PAD.encode([&bytes[..21], &[0; 32]].concat())),
            ("one byte more", URL_SAFE_NO_PAD.encode([&*bytes, &[0]].concat())),
            ("spare bits set (RFC 4648 §3.5)", spare_bits),
            ("padding (RFC 4648 §3.2)", format!("{good}=")),
            ("a blank before", format!(" {good}")),
            ("a line end behind", format!("{good}\n")),
            ("twice", format!("{good}{good}")),
            ("another scheme", format!("Bearer {good}")),
            ("an access token", alice.access_token()),
            ("no ASCII", "é".repeat(71)),
        ] {
            let answer = stack.anonymous().refresh_with(&token).await;
            assert_eq!(answer.problem(), "401 refresh_invalid: The refresh token is not valid", "{name}");
        }
        for (name, body) in [
            ("a list", json!({ "refresh_token": [good] })),
            ("an object", json!({ "refresh_token": { "token": good } })),
            ("nothing", json!({ "refresh_token": null })),
            ("empty", json!({ "refresh_token": "" })),
        ] {
            let reason = stack.anonymous().post("/auth/refresh", &body).await.reason();
            assert!(matches!(&*reason, "bad_body" | "refresh_invalid"), "{name}: {reason}");
        }
        let twice = format!(r#"{{"refresh_token":"x","refresh_token":"{good}"}}"#);
        let client = stack.anonymous();
        let sent = client.request(Method::POST, "/auth/refresh").header("content-type", "application/json").body(twice);
        assert_eq!(client.send(sent).await.reason(), "bad_body");
        assert_eq!(alice.refresh().await.status, 200, "none of it was spent, and the session goes on");
        assert_eq!(alice.get("/auth/me").await.status, 200);
    }

    async fn a_login_opens_a_session_of_its_own_whatever_it_brings(kind: Kind) {
        let stack = Stack::builder(kind).extra("[cookies]\ndeliver = \"both\"\n").start().await;
        let mut mallory = stack.login("mallory").await;
        let planted = Forge::claims_of(&mallory.access_token());
        stack.anonymous().register("alice").await;

        let mut alice = Visitor::new(&stack.anonymous());
        alice.jar.insert(Visitor::ACCESS.to_owned(), mallory.access_token());
        alice.jar.insert(Visitor::REFRESH.to_owned(), mallory.refresh_token());
        let fields = json!({
            "username": "alice", "password": Client::PASSWORD, "sid": planted["sid"], "session": planted["sid"],
            "refresh_token": mallory.refresh_token(),
        });
        // The backend takes no further fields; the gateway would pass them on.
        let refused = alice.send(alice.own(Method::POST, "/auth/login").json(&fields)).await;
        assert_eq!(refused.reason(), "bad_credentials", "{}", refused.body);
        let answer = alice.login("alice").await;
        let given = Forge::claims_of(&alice.cookie(Visitor::ACCESS));
        assert_ne!(given["sid"], planted["sid"], "{}", answer.body);
        assert_ne!(given["sub"], planted["sub"]);
        assert_ne!(alice.cookie(Visitor::REFRESH), mallory.refresh_token(), "what was planted does not survive");
        assert_eq!(alice.get("/auth/me").await.json()["sid"], given["sid"]);

        assert_eq!(mallory.refresh().await.status, 200);
        assert_eq!(Forge::claims_of(&mallory.access_token())["sub"], planted["sub"], "who planted it gained nothing");
        let again = Forge::claims_of(&stack.login_again("alice").await.access_token());
        assert_ne!(again["sid"], given["sid"], "nor do two logins share a session");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_opens_its_own_door_only() {
    let stack = with_cookies().await;
    let mut alice = Visitor::new(&stack.anonymous());
    alice.login("alice").await;
    let (access, refresh) = (alice.cookie(Visitor::ACCESS), alice.cookie(Visitor::REFRESH));
    let lines = |cookies: &str| format!("Cookie: {cookies}\r\nSec-Fetch-Site: same-origin\r\n");
    let exchanged = lines(&format!("{}={refresh}; {}={access}", Visitor::ACCESS, Visitor::REFRESH));
    let as_refresh = lines(&format!("{}={access}", Visitor::REFRESH));
    let as_access = lines(&format!("{}={refresh}", Visitor::ACCESS));
    let source = "RFC 8725 §3.12";
    let rows = [
        (
            "a refresh token in Authorization",
            request("GET", "/echo/x", &format!("Authorization: Bearer {refresh}\r\n"), ""),
            "401 token_invalid",
        ),
        ("a refresh token for an access token", request("GET", "/echo/x", &as_access, ""), "401 token_invalid"),
        ("an access token for a refresh token", request("GET", "/echo/x", &as_refresh, ""), "401 refresh_invalid"),
        ("both exchanged", request("GET", "/echo/x", &exchanged, ""), "401 refresh_invalid"),
        ("an access token to be refreshed", request("POST", "/auth/refresh", &as_refresh, ""), "401 refresh_invalid"),
    ];
    let attacks = rows.map(|(name, bytes, refusal)| Attack::new(name, source, bytes, refusal));
    assert_refused(&stack, &attacks).await;
    assert_eq!(alice.get("/echo/x").await.status, 200, "nothing was ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_was_tossed_in_counts_for_nothing() {
    let stack = with_cookies().await;
    let mut alice = Visitor::new(&stack.anonymous());
    alice.login("alice").await;
    let mut mallory = Visitor::new(&stack.anonymous());
    mallory.login("mallory").await;
    let (own, planted) = (alice.cookie(Visitor::ACCESS), mallory.cookie(Visitor::ACCESS));
    let (name, refresh) = (Visitor::ACCESS, Visitor::REFRESH);
    let lasting = mallory.cookie(Visitor::REFRESH);
    let source = "RFC 6265 §8.6";
    let both = |first: &str, second: &str| format!("Cookie: {name}={first}; {name}={second}\r\n");
    let rows = [
        ("before ours", both(&planted, &own), "400 malformed_request"),
        ("behind ours", both(&own, &planted), "400 malformed_request"),
        ("the same", both(&own, &own), "400 malformed_request"),
        (
            "on a line of its own",
            format!("Cookie: {name}={own}\r\nCookie: {name}={planted}\r\n"),
            "400 malformed_request",
        ),
        ("with a blank before =", format!("Cookie: {name}={own}; {name} ={planted}\r\n"), "400 malformed_request"),
        (
            "in quotes of another",
            format!("Cookie: {name}={own}; a=\"; {name}={planted}\"\r\n"),
            "400 malformed_request",
        ),
        ("a refresh token twice", format!("Cookie: {refresh}={lasting}; {refresh}=x\r\n"), "400 malformed_request"),
        (
            "beside another token",
            format!("Authorization: Bearer {own}\r\nCookie: {name}={planted}\r\n"),
            "400 malformed_request",
        ),
        ("in other case", format!("Cookie: PORTCULLIS-ACCESS={planted}\r\n"), "401 no_credential"),
        ("without a name", format!("Cookie: ={name}={planted}\r\n"), "401 no_credential"),
        ("behind a comma", format!("Cookie: $Version=1, {name}={planted}\r\n"), "401 no_credential"),
        ("behind a blank of Unicode", format!("Cookie: \u{2000}{name}={planted}\r\n"), "401 no_credential"),
    ];
    let attacks =
        rows.map(|(name, lines, refusal)| Attack::new(name, source, request("GET", "/echo/x", &lines, ""), refusal));
    assert_refused(&stack, &attacks).await;

    for cookie in [
        format!("={name}={planted}"),
        format!("$Version=1, {name}={planted}"),
        format!("\u{2000}{name}={planted}"),
        format!("portcullis.access={planted}"),
        format!("PORTCULLIS_ACCESS={planted}"),
        format!("other={lasting}"),
    ] {
        let sent = request("GET", "/optional/x", &format!("Cookie: kept=1; {cookie}\r\n"), "");
        assert!(raw(stack.address(), sent.as_bytes()).await.starts_with("HTTP/1.1 200"), "{cookie}");
        let seen = stack.recorder.last();
        assert_eq!(seen.header("cookie"), Some("kept=1"), "no server takes it for one that was checked: {cookie}");
        assert_eq!(seen.header("x-user-id"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_a_public_address_are_bound_to_their_host() {
    let terms = "[cookies]\nsecure = \"always\"\n";
    let stack = Stack::builder(Kind::Embedded).extra(terms).start().await;
    let mut alice = Visitor::new(&stack.anonymous());
    let answer = alice.login("alice").await;
    let lines: Vec<&str> = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        // RFC 6265bis §4.1.3.2: such a name can't be planted by another host or over plain HTTP.
        assert!(line.starts_with("__Host-portcullis-"), "{line}");
        let attributes: Vec<&str> = line.split("; ").skip(1).collect();
        assert!(attributes.contains(&"Secure") && attributes.contains(&"Path=/"), "{line}");
        assert!(attributes.contains(&"HttpOnly") && !line.to_lowercase().contains("domain"), "{line}");
    }
}
