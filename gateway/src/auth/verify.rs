//! Whether an access token holds: size, shape, type, key and algorithm, which cost next to nothing; then the
//! signature; then, since only who holds a key says them, issuer, audience, dates and names. A [`Verified`] token
//! can only be made here. Whether it was revoked since is a question for the store, asked by `auth.rs`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use super::claims::{Claims, Header, Text};
use super::keys::VerificationKey;
use crate::clock::Timestamp;
use crate::config::Tokens;
use crate::ids::{Jti, Role, Scope, SessionId, Subject};
use crate::policy::{Grants, Known};

/// The most bytes of a token that are looked at.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Why an access token does not hold. Never holds any part of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Longer than any of ours.
    #[error("it is longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// Not a JWT, or not one shaped like ours.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// Signed by a key that we don't have.
    #[error("its key is unknown")]
    UnknownKey,
    /// It names another algorithm than its key's.
    #[error("its algorithm is not its key's")]
    WrongAlgorithm,
    /// The signature does not hold.
    #[error("its signature does not hold")]
    BadSignature,
    /// Not of type `at+jwt`.
    #[error("it is not an access token")]
    WrongType,
    /// Issued by somebody else.
    #[error("it has another issuer")]
    WrongIssuer,
    /// Issued for somebody else.
    #[error("it is for another audience")]
    WrongAudience,
    /// Its time is over.
    #[error("it expired at {}", .at.to_rfc3339())]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet,
}

impl VerifyError {
    /// A stable name, for metrics.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed(_) => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::BadSignature => "bad_signature",
            Self::WrongType => "wrong_type",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired { .. } => "expired",
            Self::NotYet => "not_yet",
        }
    }
}

/// What tokens must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audience: String,
    /// The longest life.
    pub access_ttl: Duration,
    /// How far clocks may differ.
    pub leeway: Duration,
}

impl From<&Tokens> for Terms {
    fn from(tokens: &Tokens) -> Self {
        let Tokens { issuer, audience, access_ttl, leeway, .. } = tokens;
        Self { issuer: issuer.clone(), audience: audience.clone(), access_ttl: *access_ttl, leeway: *leeway }
    }
}

/// From when until when a token holds, give or take the leeway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    begins_at: Timestamp,
    expires_at: Timestamp,
}

/// An access token that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    known: Arc<Known>,
    life: Life,
}

impl Verified {
    /// Who it names.
    pub fn known(&self) -> &Arc<Known> {
        &self.known
    }

    /// Whether it still holds, or holds already: all that can change while keys and `terms` are what they were.
    pub(super) fn again(self, terms: &Terms, now: Timestamp) -> Result<Self, VerifyError> {
        self.life.check(terms, now).map(|()| self)
    }
}

/// Verifies `token` with one of `keys`.
///
/// What comes before the signature is settled without it, so that garbage, a token of another kind and one of an
/// unknown key cost no signature check. An ECDSA signature (r, s) holds as (r, n − s) too, and is not refused for
/// it: signers write both, and nothing here is told apart by the bytes of a token, only by `sid`, `jti` and `epoch`.
pub fn verify(token: &str, keys: &[VerificationKey], terms: &Terms, now: Timestamp) -> Result<Verified, VerifyError> {
    if token.len() > MAX_TOKEN {
        return Err(VerifyError::TooLong);
    }
    let (message, header, claims, signature) = split(token).ok_or(VerifyError::Malformed("three parts"))?;
    if !key_of(header, keys)?.verify(message, signature) {
        return Err(VerifyError::BadSignature);
    }
    let claims = decoded(claims, "claims")?;
    let claims: Claims<'_> = object(&claims, "claims")?;
    let life = Life::of(&claims, terms);
    check(&claims, terms)?;
    life.check(terms, now)?;
    Ok(Verified { known: Arc::new(known(&claims, life.expires_at)?), life })
}

/// The key that a token is to be held against. The header that we write ourselves is known by its bytes; any other is
/// read.
fn key_of<'k>(header: &str, keys: &'k [VerificationKey]) -> Result<&'k VerificationKey, VerifyError> {
    if let Some(key) = keys.iter().find(|key| key.header() == header) {
        return Ok(key);
    }
    let header: Header = object(&decoded(header, "header")?, "header")?;
    if !header.is_of_an_access_token() {
        return Err(VerifyError::WrongType);
    }
    let key = keys.iter().find(|key| key.kid().as_str() == header.kid).ok_or(VerifyError::UnknownKey)?;
    // RFC 8725 §3.1: the key decides the algorithm; the token only has to agree.
    if header.alg == key.algorithm().name() { Ok(key) } else { Err(VerifyError::WrongAlgorithm) }
}

/// The signed message, its two parts, and the signature.
fn split(token: &str) -> Option<(&str, &str, &str, &str)> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    (!claims.contains('.')).then_some((message, header, claims, signature))
}

/// A part of a token: base64url in its one spelling.
fn decoded(encoded: &str, name: &'static str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| VerifyError::Malformed(name))
}

/// What a part says: UTF-8, one JSON object (RFC 7519 §7.2).
fn object<'t, T: serde::Deserialize<'t>>(bytes: &'t [u8], name: &'static str) -> Result<T, VerifyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| VerifyError::Malformed(name))?;
    // serde would take a list of the values for an object, too.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(VerifyError::Malformed(name));
    }
    serde_json::from_str(text).map_err(|_| VerifyError::Malformed(name))
}

impl Life {
    /// A token ends no later than one that is issued now could, whatever it says, since a revocation is remembered for
    /// no longer. So a shorter `access_ttl` holds for tokens that are out already.
    fn of(claims: &Claims<'_>, terms: &Terms) -> Self {
        let dates = [Some(claims.iat), claims.nbf, claims.auth_time];
        Self {
            begins_at: Timestamp::from_secs(dates.into_iter().flatten().fold(claims.iat, i64::max)),
            expires_at: Timestamp::from_secs(claims.exp).min(Timestamp::from_secs(claims.iat).after(terms.access_ttl)),
        }
    }

    fn check(self, terms: &Terms, now: Timestamp) -> Result<(), VerifyError> {
        match self {
            Self { expires_at, .. } if now >= expires_at.after(terms.leeway) => {
                Err(VerifyError::Expired { at: expires_at })
            }
            Self { begins_at, .. } if begins_at > now.after(terms.leeway) => Err(VerifyError::NotYet),
            Self { .. } => Ok(()),
        }
    }
}

fn check(claims: &Claims<'_>, terms: &Terms) -> Result<(), VerifyError> {
    match () {
        () if claims.iss != terms.issuer => Err(VerifyError::WrongIssuer),
        () if !claims.aud.includes(&terms.audience) => Err(VerifyError::WrongAudience),
        () => Ok(()),
    }
}

fn known(claims: &Claims<'_>, expires_at: Timestamp) -> Result<Known, VerifyError> {
    let Claims { iss: _, aud: _, sub, sid, jti, iat, exp: _, auth_time, nbf: _, epoch, roles, scope, others: _ } =
        claims;
    let malformed = |name| move |_| VerifyError::Malformed(name);
    let roles =
        roles.iter().map(|Text(role)| Role::parse(role)).collect::<Result<_, _>>().map_err(malformed("roles"))?;
    // RFC 6749 §3.3: one space between two, and no other whitespace.
    let scopes = scope.split(' ').filter(|_| !scope.is_empty()).map(Scope::parse).collect::<Result<_, _>>();
    Ok(Known {
        subject: Subject::parse(sub).map_err(malformed("sub"))?,
        sid: SessionId::parse(sid).map_err(malformed("sid"))?,
        jti: Jti::parse(jti).map_err(malformed("jti"))?,
        epoch: *epoch,
        grants: Grants { roles, scopes: scopes.map_err(malformed("scope"))? },
        authenticated_at: Timestamp::from_secs(auth_time.unwrap_or(*iat)),
        issued_at: Timestamp::from_secs(*iat),
        expires_at,
    })
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
pub(super) mod tests;
