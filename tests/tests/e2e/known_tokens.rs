//! A token that was verified is known again without its signature: for as long as it holds, under the keys and terms of
//! now, and never past a revocation.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, crypto};
use portcullis::auth::keys::SigningKey;
use portcullis::config::Algorithm;
use portcullis_tests::{Forge, Kind, Stack, on_both_stores};
use serde_json::json;

const HITS: &str = "portcullis_token_cache_hits_total";
const MISSES: &str = "portcullis_token_cache_misses_total";

/// How many tokens were known again, and how many were not.
async fn counted(stack: &Stack) -> (f64, f64) {
    (stack.metric(HITS).await, stack.metric(MISSES).await)
}

on_both_stores! {
    async fn a_token_that_is_known_again_is_revoked_all_the_same(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        for _ in 0..3 {
            assert_eq!(alice.get("/echo/x").await.status, 200);
        }
        assert_eq!(counted(&stack).await, (2.0, 1.0));
        assert_eq!(alice.logout("this").await.status, 204);
        let (hits, misses) = counted(&stack).await;
        assert_eq!(alice.get("/echo/x").await.reason(), "token_revoked");
        assert_eq!(counted(&stack).await, (hits + 1.0, misses), "it was known again, and asked about");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_known_again_ends_when_it_says() {
    let stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    assert_eq!(alice.get("/echo/x").await.status, 200);
    stack.clock.advance(Duration::from_mins(15) + Duration::from_secs(6));
    assert_eq!(alice.get("/echo/x").await.reason(), "token_expired");
    assert_eq!(counted(&stack).await, (1.0, 1.0));
    assert!(stack.metric(r#"portcullis_tokens_verified_total{outcome="expired"}"#).await > 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_away_takes_its_tokens_with_it() {
    let pem = SigningKey::generate(Algorithm::EdDsa);
    let read = SigningKey::read(Algorithm::EdDsa, &pem, None).unwrap();
    let jwk = serde_json::to_value(read.public().public_jwk().unwrap()).unwrap();
    let point = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    // RFC 8410 §4.
    let spki = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], &*point].concat();
    let public = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki));
    let accept = "[[tokens.accept]]\nalgorithm = \"EdDSA\"\nkey = { file = \"ed.pub\" }\nkid = \"ed\"\n";
    let mut stack = Stack::builder(Kind::Embedded).file("ed.pub", &public).extra(accept).start().await;
    let alice = stack.login("alice").await;
    let message = stack
        .forge
        .sign(&json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": "ed" }), &Forge::claims_of(&alice.access_token()));
    let (message, _) = message.rsplit_once('.').unwrap();
    let key = EncodingKey::from_ed_pem(pem.expose()).unwrap();
    let signature = crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap();
    let other = alice.with_access(&format!("{message}.{signature}"));
    for _ in 0..2 {
        assert_eq!(other.get("/echo/x").await.status, 200);
    }
    assert_eq!(counted(&stack).await, (1.0, 1.0));
    stack.reload(|toml| toml.replace(accept, "")).await.unwrap();
    assert_eq!(other.get("/echo/x").await.reason(), "token_invalid");
    assert!(stack.metric(r#"portcullis_tokens_verified_total{outcome="unknown_key"}"#).await > 0.5);
    assert_eq!(alice.get("/echo/x").await.status, 200, "the other key is still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_known_again_holds_under_the_terms_of_now() {
    for (change, reason) in [
        (("issuer = \"http://gateway.test\"", "issuer = \"http://other.test\""), "token_invalid"),
        (("audience = \"test\"", "audience = \"other\""), "token_invalid"),
        (("audience = \"test\"", "audience = \"test\"\naccess_ttl = \"1m\""), "token_expired"),
    ] {
        let mut stack = Stack::start(Kind::Embedded).await;
        let alice = stack.login("alice").await;
        stack.clock.advance(Duration::from_mins(5));
        for _ in 0..2 {
            assert_eq!(alice.get("/echo/x").await.status, 200);
        }
        stack.reload(|toml| toml.replacen(change.0, change.1, 1)).await.unwrap();
        assert_eq!(alice.get("/echo/x").await.reason(), reason, "{}", change.1);
        assert_eq!(counted(&stack).await, (1.0, 2.0), "{}", change.1);
        stack.reload(|toml| toml).await.unwrap();
        assert_eq!(alice.get("/echo/x").await.status, 200, "the terms of before, and so the token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leeway_of_now_counts_for_a_token_that_is_known_again() {
    let mut stack = Stack::start(Kind::Embedded).await;
    stack.reload(|toml| toml.replacen("audience", "leeway = \"1m\"\naccess_ttl = \"1m\"\naudience", 1)).await.unwrap();
    let alice = stack.login("alice").await;
    // A token's life is shorter than it may be by up to a tenth, so that not all are renewed at once.
    stack.clock.advance(Duration::from_secs(60 + 30));
    for _ in 0..2 {
        assert_eq!(alice.get("/echo/x").await.status, 200);
    }
    stack.reload(|toml| toml).await.unwrap();
    assert_eq!(alice.get("/echo/x").await.reason(), "token_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_changes_no_token_forgets_none() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    assert_eq!(alice.get("/echo/x").await.status, 200);
    stack.reload(|toml| format!("{toml}\n[overload]\nrequests = 5000\n")).await.unwrap();
    assert_eq!(alice.get("/echo/x").await.status, 200);
    assert_eq!(counted(&stack).await, (1.0, 1.0));
}
