//! Whether an access token holds: shape, key, signature, type, issuer, audience and dates, in that order.
//! A [`Verified`] token can only be made here. Whether it was revoked since is a question for the store,
//! asked by `auth.rs`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use super::claims::{ACCESS_TOKEN_TYPE, Claims, Header};
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

/// An access token that holds.
#[derive(Clone, Debug)]
pub struct Verified {
    known: Arc<Known>,
}

impl Verified {
    /// Who it names.
    pub fn known(&self) -> &Arc<Known> {
        &self.known
    }
}

/// Verifies `token` with one of `keys`.
pub fn verify(token: &str, keys: &[VerificationKey], terms: &Tokens, now: Timestamp) -> Result<Verified, VerifyError> {
    if token.len() > MAX_TOKEN {
        return Err(VerifyError::TooLong);
    }
    let (message, header, claims, signature) = split(token).ok_or(VerifyError::Malformed("three parts"))?;
    let header: Header = part(header, "header")?;
    let key = keys.iter().find(|key| key.kid().as_str() == header.kid).ok_or(VerifyError::UnknownKey)?;
    // RFC 8725 §3.1: the key decides the algorithm; the token only has to agree.
    if header.alg != key.algorithm().name() {
        return Err(VerifyError::WrongAlgorithm);
    }
    if !key.verify(message, signature) {
        return Err(VerifyError::BadSignature);
    }
    if !header.typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE) {
        return Err(VerifyError::WrongType);
    }
    let claims: Claims = part(claims, "claims")?;
    check(&claims, terms, now)?;
    Ok(Verified { known: Arc::new(known(&claims)?) })
}

/// The signed message, its two parts, and the signature.
fn split(token: &str) -> Option<(&str, &str, &str, &str)> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    (!claims.contains('.')).then_some((message, header, claims, signature))
}

fn part<T: serde::de::DeserializeOwned>(encoded: &str, name: &'static str) -> Result<T, VerifyError> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| VerifyError::Malformed(name))?;
    serde_json::from_slice(&bytes).map_err(|_| VerifyError::Malformed(name))
}

fn check(claims: &Claims, terms: &Tokens, now: Timestamp) -> Result<(), VerifyError> {
    let expires_at = Timestamp::from_secs(claims.exp);
    let begins_at = Timestamp::from_secs(claims.nbf.unwrap_or(claims.iat).max(claims.iat));
    match () {
        () if claims.iss != terms.issuer => Err(VerifyError::WrongIssuer),
        () if !claims.aud.includes(&terms.audience) => Err(VerifyError::WrongAudience),
        () if now >= expires_at.after(terms.leeway) => Err(VerifyError::Expired { at: expires_at }),
        () if begins_at > now.after(terms.leeway) => Err(VerifyError::NotYet),
        () => Ok(()),
    }
}

fn known(claims: &Claims) -> Result<Known, VerifyError> {
    let Claims { iss: _, aud: _, sub, sid, jti, iat, exp, auth_time, nbf: _, epoch, roles, scope } = claims;
    let malformed = |name| move |_| VerifyError::Malformed(name);
    let roles = roles.iter().map(|role| Role::parse(role)).collect::<Result<_, _>>().map_err(malformed("roles"))?;
    let scopes = scope.split_ascii_whitespace().map(Scope::parse).collect::<Result<_, _>>();
    Ok(Known {
        subject: Subject::parse(sub).map_err(malformed("sub"))?,
        sid: SessionId::parse(sid).map_err(malformed("sid"))?,
        jti: Jti::parse(jti).map_err(malformed("jti"))?,
        epoch: *epoch,
        grants: Grants { roles, scopes: scopes.map_err(malformed("scope"))? },
        authenticated_at: Timestamp::from_secs(auth_time.unwrap_or(*iat)),
        issued_at: Timestamp::from_secs(*iat),
        expires_at: Timestamp::from_secs(*exp),
    })
}

#[cfg(test)]
mod tests;
