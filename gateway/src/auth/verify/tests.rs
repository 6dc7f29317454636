use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::auth::keys::SigningKey;
use crate::config::{Algorithm, Signing};
use crate::ids::{Kid, Partition, PartitionCount};
use crate::secret::Secret;
use crate::session::Lifetimes;

pub(in crate::auth) const NOW: Timestamp = Timestamp::from_secs(1_000_000);

pub(in crate::auth) fn tokens() -> Tokens {
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
        cache: 1 << 20,
        refresh_secret: None,
    }
}

fn terms() -> Terms {
    Terms::from(&tokens())
}

pub(in crate::auth) fn claims() -> Value {
    let sid = SessionId::random(Partition::of(&Subject::parse("alice").unwrap(), PartitionCount::ONE));
    json!({
        "iss": "https://issuer.example", "aud": "api", "sub": "alice", "sid": sid.to_string(),
        "jti": Jti::random().to_string(), "iat": NOW.as_secs(), "exp": NOW.as_secs() + 900, "epoch": 3,
        "roles": ["user"], "scope": "posts:read posts:write",
    })
}

pub(super) fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A token of exactly this header and these claims, signed for real.
pub(in crate::auth) fn signed(key: &SigningKey, header: &Value, claims: &str) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims));
    let signature = key.sign_for_test(&message);
    format!("{message}.{signature}")
}

pub(in crate::auth) fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::read(algorithm, &SigningKey::generate(algorithm), None).unwrap()
}

pub(in crate::auth) fn header(key: &SigningKey) -> Value {
    json!({ "typ": "at+jwt", "alg": key.public().algorithm().name(), "kid": key.public().kid().as_str() })
}

fn outcome(key: &SigningKey, token: &str) -> &'static str {
    match verify(token, std::slice::from_ref(key.public()), &terms(), NOW) {
        Ok(_) => "ok",
        Err(error) => error.outcome(),
    }
}

pub(in crate::auth) fn with(mut value: Value, name: &str, new: Value) -> Value {
    value[name] = new;
    value
}

pub(super) fn without(mut value: Value, name: &str) -> Value {
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
        ("no audience of several", "aud", json!([]), "wrong_audience"),
        ("expired within the leeway", "exp", json!(now - 4), "ok"),
        ("expired", "exp", json!(now - 5), "expired"),
        ("expiry as text", "exp", json!("9999999999"), "malformed"),
        ("expiry as a float", "exp", json!(9_999_999_999.5), "malformed"),
        ("expiry beyond all numbers", "exp", json!(1e300), "malformed"),
        ("a negative expiry", "exp", json!(-1), "expired"),
        ("not yet valid", "nbf", json!(now + 6), "not_yet"),
        ("nbf as text", "nbf", json!("0"), "malformed"),
        ("nbf that is null", "nbf", Value::Null, "malformed"),
        ("a login as text", "auth_time", json!("0"), "malformed"),
        ("a login that is null", "auth_time", Value::Null, "malformed"),
        ("a login in the future", "auth_time", json!(now + 6), "not_yet"),
        ("scopes parted by a tab", "scope", json!("posts:read\tadmin"), "malformed"),
        ("scopes parted by two spaces", "scope", json!("posts:read  admin"), "malformed"),
        ("no scopes", "scope", json!(""), "ok"),
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
    for (name, first, expected) in [
        ("a claim twice", r#"{"sub":"bob","#, "malformed"),
        ("a claim twice, once in disguise", r#"{"\u0073ub":"bob","#, "malformed"),
        ("a claim that is not ours twice", r#"{"tenant":1,"tenant":2,"#, "malformed"),
        ("claims that are not ours", r#"{"tenant":1,"act":{"sub":"bob"},"#, "ok"),
    ] {
        let text = claims().to_string().replacen('{', first, 1);
        assert_eq!(outcome(&key, &signed(&key, &header(&key), &text)), expected, "{name}");
    }
}

#[test]
fn a_token_lives_no_longer_than_one_of_today() {
    let key = key(Algorithm::Es256);
    let now = NOW.as_secs();
    for (issued, expected) in [(now - 904, "ok"), (now - 905, "expired")] {
        let claims = with(with(claims(), "iat", json!(issued)), "exp", json!(i64::MAX));
        assert_eq!(outcome(&key, &signed(&key, &header(&key), &claims.to_string())), expected, "issued at {issued}");
    }
    let token = signed(&key, &header(&key), &with(claims(), "exp", json!(now + 901)).to_string());
    let verified = verify(&token, std::slice::from_ref(key.public()), &terms(), NOW).unwrap();
    assert_eq!(verified.known().expires_at, NOW.after(terms().access_ttl), "and says so");
}

#[test]
fn a_part_is_an_object_and_nothing_else() {
    let key = key(Algorithm::Es256);
    let (kid, good) = (key.public().kid().as_str(), claims());
    let list = |object: &Value, names: &[&str]| names.iter().map(|name| object[name].clone()).collect::<Value>();
    let order = ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "iat", "iat", "epoch", "roles", "scope"];
    assert_eq!(outcome(&key, &signed(&key, &json!(["at+jwt", "ES256", kid]), &good.to_string())), "malformed");
    assert_eq!(outcome(&key, &signed(&key, &header(&key), &list(&good, &order).to_string())), "malformed");
    for bad in ["", "null", "\"x\"", "[]", "{}", "{} {}", &format!("{good}x"), &format!("\u{feff}{good}")] {
        assert_eq!(outcome(&key, &signed(&key, &header(&key), bad)), "malformed", "{bad}");
    }
    assert_eq!(outcome(&key, &signed(&key, &header(&key), &format!(" \n{good}\t"))), "ok", "JSON has whitespace");
}

#[test]
fn what_needs_no_signature_to_be_refused_costs_none() {
    let key = key(Algorithm::Es256);
    let unsigned = |header: &Value| format!("{}.{}.x", encode(header.to_string()), encode(claims().to_string()));
    let long = format!("{}{}", unsigned(&header(&key)), "x".repeat(MAX_TOKEN));
    for (token, expected) in [
        (long, "too_long"),
        ("x.x.x".to_owned(), "malformed"),
        (unsigned(&with(header(&key), "jku", json!("https://evil.example"))), "malformed"),
        (unsigned(&with(header(&key), "typ", json!("JWT"))), "wrong_type"),
        (unsigned(&with(header(&key), "kid", json!("other"))), "unknown_key"),
        (unsigned(&with(header(&key), "alg", json!("HS256"))), "wrong_algorithm"),
        (unsigned(&header(&key)), "bad_signature"),
    ] {
        assert_eq!(outcome(&key, &token), expected, "the signature would not hold");
    }
}

#[test]
fn the_header_must_be_one_of_ours() {
    let key = key(Algorithm::Es256);
    for (name, header, expected) in [
        ("an identity token", with(header(&key), "typ", json!("JWT")), "wrong_type"),
        ("an access token in capitals", with(header(&key), "typ", json!("AT+JWT")), "ok"),
        ("its type in full", with(header(&key), "typ", json!("application/at+jwt")), "ok"),
        ("a type that begins alike", with(header(&key), "typ", json!("at+jwt2")), "wrong_type"),
        ("another media type", with(header(&key), "typ", json!("text/at+jwt")), "wrong_type"),
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

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(vec![Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256])
}

mod properties {
    use super::*;

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_refused(token in "(\\PC|[.=A-Za-z0-9_-]){0,80}") {
            prop_assert_ne!(outcome(&key(Algorithm::Hs256), &token), "ok");
        }

        #[test]
        fn no_claims_are_too_strange_to_be_read(text in "[\\[\\]{}\",:0-9eE+.a-z\\\\ -]{0,60}") {
            let key = key(Algorithm::Hs256);
            prop_assert_eq!(outcome(&key, &signed(&key, &header(&key), &text)), "malformed");
        }

        #[test]
        fn what_is_issued_is_read_back(
            algorithm in any_algorithm(), sub in "[!-~]{1,255}", epoch: u64,
            roles in prop::collection::btree_set("[a-z0-9:_.-]{1,64}", 0..6),
        ) {
            let key = key(algorithm);
            let claims = with(with(with(claims(), "sub", json!(sub)), "epoch", json!(epoch)), "roles", json!(roles));
            let claims = claims.to_string();
            let claims: Claims<'_> = serde_json::from_str(&claims).unwrap();
            let token = key.token(&claims).unwrap();
            let verified = verify(&token, std::slice::from_ref(key.public()), &terms(), NOW).unwrap();
            prop_assert_eq!(verified.known().subject.as_str(), sub);
            prop_assert_eq!(verified.known().epoch, epoch);
            prop_assert!(verified.known().grants.roles.iter().map(Role::as_str).eq(roles.iter().map(String::as_str)));
        }

        #[test]
        fn a_token_that_was_changed_anywhere_is_refused(
            algorithm in any_algorithm(), place: prop::sample::Index, new in "[A-Za-z0-9_.=+/ -]",
        ) {
            let key = key(algorithm);
            let good = signed(&key, &header(&key), &claims().to_string());
            let at = place.index(good.len());
            let changed = format!("{}{new}{}", &good[..at], &good[at + 1..]);
            prop_assert_eq!(outcome(&key, &changed) == "ok", changed == good, "character {}", at);
        }
    }
}
