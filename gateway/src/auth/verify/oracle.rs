//! Two other verifiers to hold `verify.rs` against: one that reads header and claims plainly, into values of its own,
//! with the library's check of the signature; and the library's own from end to end, which is more lenient. What the
//! first says must be said by `verify`, and by a cached answer whenever it is asked for; the second must agree to all
//! that holds.

use std::sync::LazyLock;

use jsonwebtoken::{DecodingKey, Validation, crypto};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::tests::{NOW, claims, encode, header, key, tokens, with, without};
use super::*;
use crate::auth::claims::Others;
use crate::auth::keys::{SigningKey, registered};
use crate::auth::verifier::Verifier;
use crate::config::Algorithm;

const ALGORITHMS: [Algorithm; 4] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256];

/// One key of each algorithm, and one more of the first that nobody accepts.
static KEYS: LazyLock<(Vec<SigningKey>, SigningKey)> =
    LazyLock::new(|| (ALGORITHMS.map(key).into(), key(Algorithm::Es256)));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainHeader {
    typ: String,
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct PlainClaims {
    iss: String,
    aud: Value,
    sub: String,
    sid: String,
    jti: String,
    iat: i64,
    exp: i64,
    auth_time: Option<i64>,
    nbf: Option<i64>,
    epoch: u64,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scope: String,
    #[serde(flatten)]
    _others: Others,
}

fn plain<T: DeserializeOwned>(encoded: &str, name: &'static str) -> Result<T, VerifyError> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| VerifyError::Malformed(name))?;
    let text = String::from_utf8(bytes).map_err(|_| VerifyError::Malformed(name))?;
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(members)) if !members.values().any(Value::is_null) => {
            serde_json::from_str(&text).map_err(|_| VerifyError::Malformed(name))
        }
        _ => Err(VerifyError::Malformed(name)),
    }
}

/// Everything step by step. It takes no null, also where one means nothing: no strategy makes such.
fn plainly(token: &str, keys: &[VerificationKey], terms: &Terms, now: Timestamp) -> Result<Known, VerifyError> {
    if token.len() > MAX_TOKEN {
        return Err(VerifyError::TooLong);
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, body, signature] = parts[..] else { return Err(VerifyError::Malformed("three parts")) };
    let PlainHeader { typ, alg, kid } = plain(header, "header")?;
    if !["at+jwt", "application/at+jwt"].contains(&typ.to_ascii_lowercase().as_str()) {
        return Err(VerifyError::WrongType);
    }
    let key = keys.iter().find(|key| key.kid().as_str() == kid).ok_or(VerifyError::UnknownKey)?;
    if alg != key.algorithm().name() {
        return Err(VerifyError::WrongAlgorithm);
    }
    let (message, material) = (format!("{header}.{body}"), DecodingKey::from_jwk(key.jwk_for_test()).unwrap());
    if !crypto::verify(signature, message.as_bytes(), &material, registered(key.algorithm())).unwrap_or(false) {
        return Err(VerifyError::BadSignature);
    }
    let claims: PlainClaims = plain(body, "claims")?;
    let audiences = match &claims.aud {
        Value::String(one) => vec![one.clone()],
        many => serde_json::from_value(many.clone()).map_err(|_| VerifyError::Malformed("claims"))?,
    };
    let secs = Timestamp::from_secs;
    let expires_at = secs(claims.exp).min(secs(claims.iat).after(terms.access_ttl));
    let begins = [Some(claims.iat), claims.nbf, claims.auth_time].into_iter().flatten().max().unwrap();
    if claims.iss != terms.issuer {
        return Err(VerifyError::WrongIssuer);
    }
    if !audiences.contains(&terms.audience) {
        return Err(VerifyError::WrongAudience);
    }
    if expires_at.after(terms.leeway) <= now {
        return Err(VerifyError::Expired { at: expires_at });
    }
    if now.after(terms.leeway) < secs(begins) {
        return Err(VerifyError::NotYet);
    }
    let scopes: Vec<&str> = if claims.scope.is_empty() { Vec::new() } else { claims.scope.split(' ').collect() };
    let malformed = VerifyError::Malformed;
    // Where two names are odd, the first one in this order is told.
    let roles = claims.roles.iter().map(|role| Role::parse(role)).collect::<Result<_, _>>();
    let roles = roles.map_err(|_| malformed("roles"))?;
    Ok(Known {
        subject: Subject::parse(&claims.sub).map_err(|_| malformed("sub"))?,
        sid: SessionId::parse(&claims.sid).map_err(|_| malformed("sid"))?,
        jti: Jti::parse(&claims.jti).map_err(|_| malformed("jti"))?,
        grants: Grants {
            roles,
            scopes: scopes.into_iter().map(Scope::parse).collect::<Result<_, _>>().map_err(|_| malformed("scope"))?,
        },
        epoch: claims.epoch,
        authenticated_at: secs(claims.auth_time.unwrap_or(claims.iat)),
        issued_at: secs(claims.iat),
        expires_at,
    })
}

/// Whether the library takes the token, whatever the time.
fn library_takes(token: &str, keys: &[VerificationKey], terms: &Terms) -> bool {
    keys.iter().any(|key| {
        let mut validation = Validation::new(registered(key.algorithm()));
        validation.validate_exp = false;
        validation.set_issuer(&[&terms.issuer]);
        validation.set_audience(&[&terms.audience]);
        let material = DecodingKey::from_jwk(key.jwk_for_test()).unwrap();
        jsonwebtoken::decode::<Value>(token, &material, &validation).is_ok()
    })
}

/// What hardly any claim may be.
fn odd_value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(""),
        json!("x"),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(true),
        json!([]),
        json!(["api"]),
        json!(["x", "api"]),
        json!([1]),
        json!({}),
        json!("api"),
        json!("a b"),
        json!("a  b"),
        json!("é"),
        json!("a\nb"),
        json!(["a", "a", "b"]),
        json!("\u{1f600}"),
        json!(["é"]),
    ])
}

/// What is done to good claims.
fn edited_claims() -> impl Strategy<Value = String> {
    let date = -2_000..2_000_i64;
    let dates = prop::sample::select(vec!["iat", "exp", "nbf", "auth_time"]);
    let names = ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "auth_time", "nbf", "epoch", "roles", "scope", "x"];
    let edit = prop_oneof![
        3 => (dates, date).prop_map(|(name, offset)| (name, Some(json!(NOW.as_secs() + offset)))),
        1 => (prop::sample::select(names.to_vec()), prop::option::of(odd_value())),
    ];
    let spelling = prop::sample::select(vec![
        ("", ""),
        ("", ""),
        ("{", " {\n\t"),
        ("{", "{\"sub\":\"bob\","),
        ("{", "{\"\\u0069ss\":\"x\","),
        ("{", "{\"t\":1,\"t\":1,"),
        ("{", "{\"t\":1,\"\\u0074\":1,"),
        ("{", "{\"t\":{\"a\":1,\"a\":2},"),
        ("{", "["),
        ("}", "}x"),
        ("}", "} "),
        ("alice", "\\u0061lice"),
        ("user", "us\\u0065r"),
        ("posts", "p\\u006fsts"),
        ("api", "\\u0061pi"),
        ("3", "3.0"),
        ("3", "03"),
        ("alice", "\\ud800"),
        ("alice", "ali\u{0}ce"),
        ("{", "\u{feff}{"),
    ]);
    (prop::collection::vec(edit, 0..3), spelling).prop_map(|(edits, (from, to))| {
        let claims = edits.into_iter().fold(claims(), |claims, (name, value)| match value {
            Some(value) => with(claims, name, value),
            None => without(claims, name),
        });
        claims.to_string().replacen(from, to, 1)
    })
}

/// A header that is nearly that of `key`; mostly the very one.
fn any_header(key: &SigningKey, choice: u8) -> String {
    let (alg, kid) = (key.public().algorithm().name(), key.public().kid().as_str());
    encode(match choice {
        0 => format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{kid}"}}"#),
        1 => format!(r#"{{ "typ": "AT+JWT", "alg": "{alg}", "kid": "{kid}" }}"#),
        2 => format!(r#"{{"typ":"application/at+jwt","alg":"{alg}","kid":"{kid}"}}"#),
        3 => format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"{kid}"}}"#),
        4 => format!(r#"{{"typ":"at+jwt","alg":"none","kid":"{kid}"}}"#),
        5 => format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"x"}}"#),
        6 => format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}","crit":[]}}"#),
        7 => format!(r#"{{"typ":"at+jwt","typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}"#),
        8 => format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}x"#),
        9 => format!(r#"["at+jwt","{alg}","{kid}"]"#),
        10 => format!(r#"{{"typ":"at+jwt","alg":"\u0045S256","kid":"{kid}"}}"#),
        _ => return key.public().header().to_owned(),
    })
}

/// What is done to a whole token, at a place of it.
fn mutated(token: &str, choice: u8, place: prop::sample::Index, new: char) -> String {
    let at = place.index(token.len());
    let (before, after) = token.split_at(at);
    let parts: Vec<&str> = token.split('.').collect();
    match choice {
        0 => format!("{before}{new}{}", &after[1..]),
        1 => format!("{before}{new}{after}"),
        2 => format!("{before}{}", &after[1..]),
        3 => before.to_owned(),
        4 => format!("{token}="),
        5 => format!("{token}.{}", parts[2]),
        6 => format!("{}.{}.{}", parts[0], parts[2], parts[1]),
        7 => format!("{}{new}", &token[..token.len() - 1]),
        8 => format!("{}{new}.{}", &token[..token.len() - parts[2].len() - 2], parts[2]),
        _ => token.to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_way_of_verifying_agrees_at_any_time(
        algorithm in 0..ALGORITHMS.len(), signer in 0..8_usize, header_choice in 0..40_u8, text in edited_claims(),
        mutation in 0..24_u8, place: prop::sample::Index, new in "[A-Za-z0-9_=. -]",
        times in prop::collection::vec(-2_000..2_000_i64, 4),
    ) {
        let (keys, stranger) = &*KEYS;
        // Mostly signed by the key that it names.
        let named = &keys[algorithm];
        let signer = match signer { 0 => stranger, 1 => &keys[(algorithm + 1) % keys.len()], _ => named };
        let message = format!("{}.{}", any_header(named, header_choice), encode(text));
        let token = format!("{message}.{}", signer.sign_for_test(&message));
        let token = mutated(&token, mutation, place, new.chars().next().unwrap());

        let accepted: Vec<VerificationKey> = keys.iter().map(|key| key.public().clone()).collect();
        let (terms, verifier) = (Terms::from(&tokens()), Verifier::new(accepted.clone(), &tokens()));
        for secs in times {
            let now = Timestamp::from_secs(NOW.as_secs() + secs);
            let expected = plainly(&token, &accepted, &terms, now);
            let said = |outcome: Result<Verified, VerifyError>| outcome.map(|verified| Known::clone(verified.known()));
            prop_assert_eq!(&said(verify(&token, &accepted, &terms, now)), &expected);
            if let Some(recalled) = verifier.recall(&token, now) {
                prop_assert_eq!(&said(recalled), &expected, "recalled");
            }
            prop_assert_eq!(&said(verifier.verify(&token, now)), &expected);
            if expected.is_ok() {
                prop_assert!(library_takes(&token, &accepted, &terms));
                prop_assert!(verifier.recall(&token, now).is_some(), "what holds is known again");
            }
        }
    }

    #[test]
    fn the_header_that_is_known_by_its_bytes_is_the_one_that_is_read(algorithm in 0..ALGORITHMS.len()) {
        let key = &KEYS.0[algorithm];
        let bytes = URL_SAFE_NO_PAD.decode(key.public().header()).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), header(key));
    }
}
