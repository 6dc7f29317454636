use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::auth::keys::SigningKey;
use crate::auth::verify::tests::{NOW, claims, header, key, signed, tokens, with};
use crate::config::Algorithm;

fn token(key: &SigningKey, claims: &Value) -> String {
    signed(key, &header(key), &claims.to_string())
}

fn verifier(key: &SigningKey) -> Verifier {
    Verifier::new(vec![key.public().clone()], &tokens())
}

fn recalled(verifier: &Verifier, token: &str, now: Timestamp) -> &'static str {
    match verifier.recall(token, now) {
        None => "unknown",
        Some(Ok(_)) => "ok",
        Some(Err(error)) => error.outcome(),
    }
}

#[test]
fn a_token_that_held_is_known_again_and_names_the_same_user() {
    let key = key(Algorithm::Es256);
    let (verifier, token) = (verifier(&key), token(&key, &claims()));
    assert_eq!(recalled(&verifier, &token, NOW), "unknown");
    let first = verifier.verify(&token, NOW).unwrap();
    assert_eq!(verifier.recall(&token, NOW), Some(Ok(first)));
    assert_eq!(verifier.usage().tokens, 1);
}

#[test]
fn a_token_is_not_known_by_its_signature_alone() {
    let key = key(Algorithm::Es256);
    let (verifier, good) = (verifier(&key), token(&key, &claims()));
    verifier.verify(&good, NOW).unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = token(&key, &with(claims(), "sub", json!("bob")));
    let (other, _) = other.rsplit_once('.').unwrap();
    assert_eq!(recalled(&verifier, &format!("{other}.{signature}"), NOW), "unknown");
    assert_eq!(recalled(&verifier, signature, NOW), "unknown");
    for changed in [format!("{message}x.{signature}"), format!("{good}="), format!(" {good}"), good.to_uppercase()] {
        assert_eq!(recalled(&verifier, &changed, NOW), "unknown", "{changed}");
    }
}

#[test]
fn a_token_that_is_known_again_is_refused_after_its_end_and_before_its_beginning() {
    let key = key(Algorithm::Es256);
    let leeway = tokens().leeway;
    let verifier = verifier(&key);
    let token = token(&key, &with(claims(), "nbf", json!(NOW.as_secs() - 60)));
    verifier.verify(&token, NOW).unwrap();
    let end = NOW.after(Duration::from_mins(15)).after(leeway);
    assert_eq!(recalled(&verifier, &token, end.before(Duration::from_micros(1))), "ok");
    assert_eq!(recalled(&verifier, &token, end), "expired");
    // The clock stepped back. It was issued at NOW, which is later than `nbf`.
    let begin = NOW.before(leeway);
    assert_eq!(recalled(&verifier, &token, begin), "ok");
    assert_eq!(recalled(&verifier, &token, begin.before(Duration::from_micros(1))), "not_yet");
    assert_eq!(recalled(&verifier, &token, NOW), "ok", "and holds again when the clock is right");
}

#[test]
fn every_beginning_counts_again() {
    let key = key(Algorithm::Es256);
    for claim in ["nbf", "auth_time"] {
        let verifier = verifier(&key);
        let token = token(&key, &with(claims(), claim, json!(NOW.as_secs() + 60)));
        verifier.verify(&token, NOW.after(Duration::from_mins(1))).unwrap();
        assert_eq!(recalled(&verifier, &token, NOW), "not_yet", "{claim}");
    }
}

#[test]
fn only_what_holds_is_kept() {
    let key = key(Algorithm::Hs256);
    let verifier = verifier(&key);
    for number in 0..200 {
        let good = token(&key, &with(claims(), "epoch", json!(number)));
        let bad = [
            format!("{good}x"),
            token(&key, &with(claims(), "exp", json!(number))),
            token(&key, &with(claims(), "nbf", json!(NOW.as_secs() + 60 + number))),
            token(&key, &with(claims(), "iss", json!(number.to_string()))),
            token(&key, &with(claims(), "aud", json!(number.to_string()))),
            token(&key, &with(claims(), "sub", json!(format!("a b{number}")))),
            number.to_string(),
        ];
        for bad in bad {
            verifier.verify(&bad, NOW).unwrap_err();
            assert_eq!(recalled(&verifier, &bad, NOW), "unknown");
        }
    }
    assert_eq!(verifier.usage(), Usage::default());
}

#[test]
fn a_verifier_is_of_its_keys_and_terms_and_no_others() {
    let (one, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let (ours, both) = (vec![one.public().clone()], vec![one.public().clone(), other.public().clone()]);
    let verifier = Verifier::new(ours.clone(), &tokens());
    assert!(verifier.is_of(&ours, &tokens()));
    assert!(!verifier.is_of(&both, &tokens()), "a key more");
    assert!(!Verifier::new(both, &tokens()).is_of(&ours, &tokens()), "a key less");
    assert!(!verifier.is_of(&[other.public().clone()], &tokens()), "another key");
    assert!(!verifier.is_of(&[], &tokens()), "no key");
    let named = |secret: [u8; 32]| {
        let kid = crate::ids::Kid::parse("a").unwrap();
        let key = SigningKey::read(Algorithm::Hs256, &crate::secret::Secret::new(secret), Some(kid)).unwrap();
        vec![key.public().clone()]
    };
    assert!(!Verifier::new(named([7; 32]), &tokens()).is_of(&named([8; 32]), &tokens()), "another key of one name");
    for (name, other) in [
        ("issuer", Tokens { issuer: "x".to_owned(), ..tokens() }),
        ("audience", Tokens { audience: "x".to_owned(), ..tokens() }),
        ("access_ttl", Tokens { access_ttl: Duration::from_secs(1), ..tokens() }),
        ("leeway", Tokens { leeway: Duration::ZERO, ..tokens() }),
        ("cache", Tokens { cache: 1, ..tokens() }),
    ] {
        assert!(!verifier.is_of(&ours, &other), "another {name}");
    }
}

#[test]
fn a_cache_of_no_bytes_keeps_nothing() {
    let key = key(Algorithm::Es256);
    let verifier = Verifier::new(vec![key.public().clone()], &Tokens { cache: 0, ..tokens() });
    let token = token(&key, &claims());
    verifier.verify(&token, NOW).unwrap();
    assert_eq!(recalled(&verifier, &token, NOW), "unknown");
    assert_eq!(verifier.usage(), Usage::default());
}
