//! `[tokens]`: who signs, what is accepted, and how long anything lives. Keys are told apart by what they
//! say they are, so that a public key can't sign and a private one is not handed around; whether they are
//! sound is found out where they are first used.

use std::time::Duration;

use crate::config::reader::{Read, Reported, Table, Value};
use crate::config::{Algorithm, Signing, Tokens, VerifyingKey, secrets, values};
use crate::secret::Secret;
use crate::session::Lifetimes;

const ACCESS_TTL: Duration = Duration::from_mins(15);
const REFRESH_TTL: Duration = Duration::from_hours(7 * 24);
const ABSOLUTE_TTL: Duration = Duration::from_hours(30 * 24);
const RETRY_WINDOW: Duration = Duration::from_secs(30);
const LONGEST_RETRY_WINDOW: Duration = Duration::from_mins(5);
const LEEWAY: Duration = Duration::from_secs(5);
const LONGEST_LEEWAY: Duration = Duration::from_mins(1);
const CACHE: u64 = 16 << 20;

/// Reads `[tokens]`.
pub(super) fn tokens(value: &Value<'_>) -> Read<Tokens> {
    value.table(|table| {
        let issuer = table.required(
            "issuer",
            values::claim,
            r#"write the URL that clients see, such as "https://api.example.com""#,
        );
        let audience = table.required("audience", values::claim, "write the name of what the tokens are for");
        let lives = lives(table);
        let leeway = table.or("leeway", |value| at_most(value, LONGEST_LEEWAY), LEEWAY);
        let signing = signing(table);
        let also_accept = table.or("accept", |value| value.list(verifying_key), Vec::new());
        let cache = table.or("cache", values::bytes_or_zero, CACHE);
        let refresh_secret = table.optional("refresh_secret", secrets::hmac_secret);
        let (access_ttl, lifetimes) = lives?;
        Ok(Tokens {
            issuer: issuer?,
            audience: audience?,
            access_ttl,
            leeway: leeway?,
            lifetimes,
            signing: signing?,
            also_accept: also_accept?,
            cache: cache?,
            refresh_secret: refresh_secret?,
        })
    })
}

/// An access token lives shorter than the refresh token that renews it, and that no longer than its session.
fn lives(table: &mut Table<'_>) -> Read<(Duration, Lifetimes)> {
    let access_ttl = table.or("access_ttl", access_ttl, ACCESS_TTL);
    let refresh_ttl = table.or("refresh_ttl", values::duration, REFRESH_TTL);
    let absolute_ttl = table.or("absolute_ttl", values::duration, ABSOLUTE_TTL);
    let retry_window = table.or("retry_window", |value| at_most(value, LONGEST_RETRY_WINDOW), RETRY_WINDOW);
    let (access, idle, absolute) = (access_ttl?, refresh_ttl?, absolute_ttl?);
    if access >= idle {
        return Err(refuse_order(table, ("access_ttl", access), "shorter than", ("refresh_ttl", idle)));
    }
    if idle > absolute {
        return Err(refuse_order(table, ("refresh_ttl", idle), "at most", ("absolute_ttl", absolute)));
    }
    Ok((access, Lifetimes { idle, absolute, retry_window: retry_window? }))
}

fn refuse_order(table: &Table<'_>, one: (&str, Duration), relation: &str, other: (&str, Duration)) -> Reported {
    let (is, bound) = (values::shown(one.1), values::shown(other.1));
    table.refuse(format_args!("{} is {is}, but must be {relation} {}, which is {bound}; change one", one.0, other.0))
}

/// `exp` and `expires_in` count in seconds.
fn access_ttl(value: &Value<'_>) -> Read<Duration> {
    let span = values::duration(value)?;
    if span.subsec_nanos() == 0 { Ok(span) } else { Err(value.refuse("tokens live for whole seconds; write \"15m\"")) }
}

fn at_most(value: &Value<'_>, most: Duration) -> Read<Duration> {
    let span = values::duration_or_zero(value)?;
    if span > most {
        return Err(
            value.refuse(format_args!("this is longer than is safe; write at most \"{}\"", values::shown(most)))
        );
    }
    Ok(span)
}

fn algorithm(value: &Value<'_>) -> Read<Algorithm> {
    const ALL: [Algorithm; 4] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256];
    value.choose("algorithm", &ALL.map(|algorithm| (algorithm.name(), algorithm)))
}

fn signing(table: &mut Table<'_>) -> Read<Signing> {
    let algorithm = table.or("algorithm", algorithm, Algorithm::Es256);
    let key = table.find("key");
    let kid = table.optional("kid", values::kid);
    let algorithm = algorithm?;
    match (key.map(|key| signing_key(&key, algorithm)), kid?) {
        (Some(key), kid) => Ok(Signing::Given { algorithm, key: key?, kid }),
        (None, None) => Ok(Signing::Stored(algorithm)),
        (None, Some(_)) => Err(table.refuse("kid names a key that is not there; write key, or leave kid out")),
    }
}

fn verifying_key(value: &Value<'_>) -> Read<VerifyingKey> {
    value.table(|table| {
        let algorithm =
            table.required("algorithm", algorithm, r#"write algorithm = "ES256", which pins the key to it"#);
        let key =
            table.required("key", |value| Ok(value.clone()), r#"write key = { file = "PATH" } or { env = "NAME" }"#);
        let kid = table.optional("kid", values::kid);
        let algorithm = algorithm?;
        Ok(VerifyingKey { algorithm, key: accepted_key(&key?, algorithm)?, kid: kid? })
    })
}

fn signing_key(value: &Value<'_>, algorithm: Algorithm) -> Read<Secret> {
    match algorithm {
        Algorithm::Hs256 => secrets::hmac_secret(value),
        Algorithm::Es256 | Algorithm::EdDsa | Algorithm::Rs256 => pem(value, "PRIVATE KEY", PRIVATE),
    }
}

fn accepted_key(value: &Value<'_>, algorithm: Algorithm) -> Read<Secret> {
    match algorithm {
        Algorithm::Hs256 => secrets::hmac_secret(value),
        Algorithm::Es256 | Algorithm::EdDsa | Algorithm::Rs256 => pem(value, "PUBLIC KEY", PUBLIC),
    }
}

const PRIVATE: &str = "a private key in PKCS#8; convert by `openssl pkcs8 -topk8 -nocrypt`";
const PUBLIC: &str = "a public key; take it from the private one by `openssl pkey -pubout`";

/// A key in PEM (RFC 7468) whose label is `label`.
fn pem(value: &Value<'_>, label: &str, needed: &str) -> Read<Secret> {
    let key = secrets::secret(value)?;
    let text = key.expose_str().unwrap_or_default();
    let found = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")).map(|(label, _)| label);
    match found {
        Some(found) if found == label && text.contains(&format!("-----END {label}-----")) => Ok(key),
        Some(found @ ("PRIVATE KEY" | "PUBLIC KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" | "CERTIFICATE")) => {
            Err(value.refuse(format_args!("this holds \"{found}\", but must be {needed}")))
        }
        _ => Err(value.refuse(format_args!("this is not in PEM, but must be {needed}"))),
    }
}
