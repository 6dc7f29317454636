use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::auth::keys::SigningKey;
use crate::config::{Algorithm, Signing};
use crate::ids::{Kid, Partition, PartitionCount};
use crate::secret::Secret;
use crate::session::Lifetimes;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn terms() -> Tokens {
    Tokens {
        issuer: "https://issuer.example".to_owned(),
        audience: "api".to_owned(),
        access_ttl: Duration::from_mins(15),
        leeway: Duration::from_secs(5),
        lifetimes: Lifetimes {
            idle: Duration::from_hours(1),
            absolute: Duration::from_hours(1),
            retry_window: Duration::ZERO,
        },
        signing: Signing::Stored(Algorithm::Es256),
        also_accept: Vec::new(),
        refresh_secret: None,
    }
}

fn claims() -> Value {
    let sid = SessionId::random(Partition::of(&Subject::parse("alice").unwrap(), PartitionCount::ONE));
    json!({
        "iss": "https://issuer.example", "aud": "api", "sub": "alice", "sid": sid.to_string(),
        "jti": Jti::random().to_string(), "iat": NOW.as_secs(), "exp": NOW.as_secs() + 900, "epoch": 3,
        "roles": ["user"], "scope": "posts:read posts:write",
    })
}

fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A token of exactly this header and these claims, signed for real.
fn signed(key: &SigningKey, header: &Value, claims: &str) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims));
    let signature = key.sign_for_test(&message);
    format!("{message}.{signature}")
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::read(algorithm, &SigningKey::generate(algorithm), None).unwrap()
}

fn header(key: &SigningKey) -> Value {
    json!({ "typ": "at+jwt", "alg": key.public().algorithm().name(), "kid": key.public().kid().as_str() })
}

fn outcome(key: &SigningKey, token: &str) -> &'static str {
    match verify(token, std::slice::from_ref(key.public()), &terms(), NOW) {
        Ok(_) => "ok",
        Err(error) => error.outcome(),
    }
}

fn with(mut value: Value, name: &str, new: Value) -> Value {
    value[name] = new;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

#[test]
fn a_good_token_names_its_user() {
    let key = key(Algorithm::Es256);
    let token = signed(&key, &header(&key), &claims().to_string());
    let verified = verify(&token, std::slice::from_ref(key.public()), &terms(), NOW).unwrap();
    assert_eq!(verified.known().subject.as_str(), "alice");
    assert_eq!(verified.known().epoch, 3);
    assert_eq!(verified.known().grants.scopes.len(), 2);
}

#[test]
fn a_token_says_when_its_user_logged_in_or_counts_from_its_issue() {
    let key = key(Algorithm::Es256);
    let authenticated_at = |claims: Value| {
        let token = signed(&key, &header(&key), &claims.to_string());
        verify(&token, std::slice::from_ref(key.public()), &terms(), NOW).unwrap().known().authenticated_at
    };
    let login = NOW.as_secs() - 3600;
    assert_eq!(authenticated_at(with(claims(), "auth_time", json!(login))), Timestamp::from_secs(login));
    assert_eq!(authenticated_at(claims()), NOW, "one of before there was the claim");
}

#[test]
fn each_claim_must_hold() {
    let key = key(Algorithm::Es256);
    let now = NOW.as_secs();
    for (name, claim, value, expected) in [
        ("another issuer", "iss", json!("https://evil.example"), "wrong_issuer"),
        ("another audience", "aud", json!("other"), "wrong_audience"),
        ("several audiences, one ours", "aud", json!(["other", "api"]), "ok"),
        ("expired within the leeway", "exp", json!(now - 4), "ok"),
        ("expired", "exp", json!(now - 5), "expired"),
        ("expiry as text", "exp", json!("9999999999"), "malformed"),
        ("expiry as a float", "exp", json!(9_999_999_999.5), "malformed"),
        ("expiry beyond all numbers", "exp", json!(1e300), "malformed"),
        ("a negative expiry", "exp", json!(-1), "expired"),
        ("not yet valid", "nbf", json!(now + 6), "not_yet"),
        ("nbf as text", "nbf", json!("0"), "malformed"),
        ("a login as text", "auth_time", json!("0"), "malformed"),
        ("issued in the future", "iat", json!(now + 6), "not_yet"),
        ("a subject unfit for a header", "sub", json!("a\nX-User-Id: b"), "malformed"),
        ("an empty subject", "sub", json!(""), "malformed"),
        ("a subject that is no text", "sub", json!(7), "malformed"),
        ("a role that poses as two", "roles", json!(["user,admin"]), "malformed"),
        ("a session of another shape", "sid", json!("x"), "malformed"),
    ] {
        let token = signed(&key, &header(&key), &with(claims(), claim, value).to_string());
        assert_eq!(outcome(&key, &token), expected, "{name}");
    }
    for claim in ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "epoch"] {
        let token = signed(&key, &header(&key), &without(claims(), claim).to_string());
        assert_eq!(outcome(&key, &token), "malformed", "without {claim}");
    }
    let twice = claims().to_string().replacen('{', r#"{"sub":"bob","#, 1);
    assert_eq!(outcome(&key, &signed(&key, &header(&key), &twice)), "malformed", "a claim twice");
}

#[test]
fn the_header_must_be_one_of_ours() {
    let key = key(Algorithm::Es256);
    for (name, header, expected) in [
        ("an identity token", with(header(&key), "typ", json!("JWT")), "wrong_type"),
        ("no type", without(header(&key), "typ"), "malformed"),
        ("alg none", with(header(&key), "alg", json!("none")), "wrong_algorithm"),
        ("another alg", with(header(&key), "alg", json!("HS256")), "wrong_algorithm"),
        ("an unknown key", with(header(&key), "kid", json!("other")), "unknown_key"),
        ("no key", without(header(&key), "kid"), "malformed"),
        ("crit", with(header(&key), "crit", json!(["exp"])), "malformed"),
        ("a key of its own", with(header(&key), "jwk", json!({"kty": "EC"})), "malformed"),
        ("a key elsewhere", with(header(&key), "jku", json!("https://evil.example")), "malformed"),
        ("unencoded payload", with(header(&key), "b64", json!(false)), "malformed"),
    ] {
        assert_eq!(outcome(&key, &signed(&key, &header, &claims().to_string())), expected, "{name}");
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    let real = key(Algorithm::Es256);
    let public = serde_json::to_vec(real.public().public_jwk().unwrap()).unwrap();
    let confused = SigningKey::read(
        Algorithm::Hs256,
        &Secret::new(public),
        Some(Kid::parse(real.public().kid().as_str()).unwrap()),
    )
    .unwrap();
    let token = signed(&confused, &header(&confused), &claims().to_string());
    assert_eq!(outcome(&real, &token), "wrong_algorithm");
    let lying = signed(&confused, &header(&real), &claims().to_string());
    assert_eq!(outcome(&real, &lying), "bad_signature");
}

#[test]
fn what_is_no_token_is_refused() {
    let key = key(Algorithm::Es256);
    let good = signed(&key, &header(&key), &claims().to_string());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let zeros = encode([0; 64]);
    for (name, token, expected) in [
        ("nothing", String::new(), "malformed"),
        ("two parts", message.to_owned(), "malformed"),
        ("four parts", format!("{good}.x"), "malformed"),
        ("no signature", format!("{message}."), "bad_signature"),
        ("a signature of zeros", format!("{message}.{zeros}"), "bad_signature"),
        ("padding", format!("{message}.{signature}="), "bad_signature"),
        ("half a signature", format!("{message}.{}", &signature[..40]), "bad_signature"),
        ("too long", format!("{good}{}", "x".repeat(MAX_TOKEN)), "too_long"),
    ] {
        assert_eq!(outcome(&key, &token), expected, "{name}");
    }
}

/// What stands in a token where it should not, piece by piece.
const PIECES: &str = "([A-Za-z0-9_-]{0,12}|\\PC{0,4}|\\.|=|eyJhbGciOiJub25lIn0|e30|bnVsbA|W10)";

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_answered_and_none_passes(pieces in proptest::collection::vec(PIECES, 0..8)) {
        let token = pieces.concat();
        proptest::prop_assert_ne!(outcome(&key(Algorithm::Es256), &token), "ok", "{}", token);
    }

    #[test]
    fn no_spoilt_token_passes(place in 0..1000_usize, with in "[A-Za-z0-9_.=-]{0,2}") {
        let key = key(Algorithm::Es256);
        let good = signed(&key, &header(&key), &claims().to_string());
        let place = place % good.len();
        let mut spoilt = good.clone();
        spoilt.replace_range(place..=place, &with);
        proptest::prop_assert_eq!(outcome(&key, &spoilt) == "ok", spoilt == good, "{}", spoilt);
    }

    #[test]
    fn any_claims_of_a_signed_token_are_answered(name in "(iss|aud|sub|sid|jti|iat|exp|epoch|roles|scope)", value in "([0-9eE.+-]{1,12}|\"[ -!#-\\[\\]-~]{0,9}\"|\\[{1,40}|\\{\\}|null|true)") {
        let key = key(Algorithm::Es256);
        let mut text = claims().to_string();
        text.pop();
        let doubled = format!("{text},\"{name}\":{value}}}");
        proptest::prop_assert_ne!(outcome(&key, &signed(&key, &header(&key), &doubled)), "ok", "a claim that is there twice");
    }
}
