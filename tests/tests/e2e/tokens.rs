//! Only tokens that we issued, for this audience, now, open anything: forged ones are refused on the way
//! in, whatever is wrong with them.

use std::time::Duration;

use portcullis_tests::{Forge, Kind, Stack, on_both_stores};
use serde_json::{Value, json};

fn with(mut value: Value, name: &str, new: Value) -> Value {
    value[name] = new;
    value
}

on_both_stores! {
    async fn an_expired_token_is_refused_and_says_so(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut alice = stack.login("alice").await;
        stack.clock.advance(Duration::from_mins(15) + Duration::from_secs(6));
        let answer = alice.get("/users/me").await;
        assert_eq!(answer.problem(), "401 token_expired: The access token has expired");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#);
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.get("/users/me").await.status, 200);
    }

    async fn forged_tokens_are_refused(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        let forge = &stack.forge;
        let good = Forge::claims_of(&alice.access_token());
        let good_header = forge.header();
        let real = forge.sign(&good_header, &good);
        assert_eq!(alice.with_access(&real).get("/users/me").await.status, 200, "the forge itself works");
        for (name, header, claims) in [
            ("another audience", good_header.clone(), with(good.clone(), "aud", json!("other"))),
            ("another issuer", good_header.clone(), with(good.clone(), "iss", json!("http://evil.test"))),
            ("no expiry", good_header.clone(), with(good.clone(), "exp", Value::Null)),
            ("not yet valid", good_header.clone(), with(good.clone(), "nbf", json!(good["exp"]))),
            ("an identity token", with(good_header.clone(), "typ", json!("JWT")), good.clone()),
            ("alg none", with(good_header.clone(), "alg", json!("none")), good.clone()),
            ("an unknown key", with(good_header.clone(), "kid", json!("other")), good.clone()),
            ("crit", with(good_header.clone(), "crit", json!(["x"])), good.clone()),
            ("a key of its own", with(good_header.clone(), "jwk", json!({})), good.clone()),
            ("a subject with a newline", good_header.clone(), with(good.clone(), "sub", json!("a\r\nX-User-Id: b"))),
        ] {
            let answer = alice.with_access(&forge.sign(&header, &claims)).get("/users/me").await;
            assert_eq!(answer.problem(), "401 token_invalid: The access token is not valid", "{name}");
        }
        let claims = with(good.clone(), "sub", json!("mallory"));
        let unsigned = forge.sign(&good_header, &claims).rsplit_once('.').unwrap().0.to_owned();
        let signature = alice.access_token().rsplit_once('.').unwrap().1.to_owned();
        for token in [format!("{unsigned}."), format!("{unsigned}.{signature}"), "x".repeat(9000)] {
            assert_eq!(alice.with_access(&token).get("/users/me").await.reason(), "token_invalid");
        }
        assert!(stack.recorder.seen().is_empty());
    }

    async fn a_token_says_when_its_user_logged_in_however_often_it_is_renewed(kind: Kind) {
        let stack = Stack::start(kind).await;
        let before = stack.clock.now().as_secs();
        let mut alice = stack.login("alice").await;
        stack.clock.advance(Duration::from_mins(14));
        assert_eq!(alice.refresh().await.status, 200);
        let claims = Forge::claims_of(&alice.access_token());
        let auth_time = claims["auth_time"].as_i64().unwrap();
        assert!((before..before + 60).contains(&auth_time), "{claims}");
        assert!(claims["iat"].as_i64().unwrap() >= auth_time + 14 * 60, "{claims}");
        assert!(alice.get("/auth/me").await.json()["authenticated_at"].is_string());
    }

    async fn a_token_of_an_older_epoch_is_void(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        let claims = Forge::claims_of(&alice.access_token());
        alice.logout("all").await;
        let alice = stack.login_again("alice").await;
        let current = Forge::claims_of(&alice.access_token());
        assert!(current["epoch"].as_u64() > claims["epoch"].as_u64());
        let old_epoch = stack.forge.sign(&stack.forge.header(), &with(current, "epoch", claims["epoch"].clone()));
        assert_eq!(alice.with_access(&old_epoch).get("/users/me").await.reason(), "token_revoked");
    }

    async fn public_keys_are_published_and_verify_what_we_sign(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        let keys = stack.anonymous().get("/.well-known/jwks.json").await.json();
        let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys).unwrap();
        let header = jsonwebtoken::decode_header(alice.access_token()).unwrap();
        let key = keys.find(&header.kid.unwrap()).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
        let mut terms = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        terms.set_audience(&["test"]);
        terms.set_issuer(&["http://gateway.test"]);
        let claims = jsonwebtoken::decode::<Value>(alice.access_token(), &key, &terms).unwrap().claims;
        assert_eq!(claims["sub"], alice.get("/auth/me").await.json()["sub"]);
    }

    async fn a_key_made_on_first_start_is_kept(kind: Kind) {
        let mut stack = Stack::start(kind).await;
        stack.reload(|toml| toml.replace("key = { file = \"signing.pem\" }", "")).await.unwrap();
        let alice = stack.login("alice").await;
        let elsewhere = stack.anonymous().get("/.well-known/jwks.json").await.body;
        stack.reload(|toml| toml.replace("key = { file = \"signing.pem\" }", "")).await.unwrap();
        assert_eq!(stack.anonymous().get("/.well-known/jwks.json").await.body, elsewhere);
        assert_eq!(alice.get("/users/me").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_logs_in() {
    for algorithm in ["ES256", "EdDSA", "RS256", "HS256"] {
        let mut stack = Stack::start(Kind::Embedded).await;
        let key = format!("algorithm = \"{algorithm}\"");
        stack.reload(|toml| toml.replace("key = { file = \"signing.pem\" }", &key)).await.unwrap();
        let alice = stack.login("alice").await;
        assert_eq!(alice.get("/users/me").await.status, 200, "{algorithm}");
        let header = jsonwebtoken::decode_header(alice.access_token()).unwrap();
        assert_eq!(format!("{:?}", header.alg), algorithm);
        let published = stack.anonymous().get("/.well-known/jwks.json").await.body;
        assert!(!published.contains("\"k\":"), "a shared secret is never published");
    }
}
