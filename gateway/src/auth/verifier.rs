//! Verifies access tokens under one set of keys and terms, and knows those again that held under exactly these: other
//! keys or terms are another [`Verifier`], which knows none. It relies on `verify.rs` for every check, the first time and
//! again. It never says that a token was not revoked since.

use super::keys::VerificationKey;
use super::verified::{Usage, VerifiedTokens};
use super::verify::{self, Terms, Verified, VerifyError};
use crate::clock::Timestamp;
use crate::config::Tokens;

/// Verifies access tokens.
pub struct Verifier {
    keys: Vec<VerificationKey>,
    terms: Terms,
    /// The most bytes of tokens that are known again.
    cache: u64,
    verified: Option<VerifiedTokens>,
}

impl Verifier {
    /// One that knows no token yet.
    pub fn new(keys: Vec<VerificationKey>, tokens: &Tokens) -> Self {
        let verified = (tokens.cache > 0).then(|| VerifiedTokens::of(tokens.cache));
        Self { keys, terms: Terms::from(tokens), cache: tokens.cache, verified }
    }

    /// Whether one of these keys and terms would answer no token otherwise.
    pub fn is_of(&self, keys: &[VerificationKey], tokens: &Tokens) -> bool {
        let Self { keys: ours, terms, cache, verified: _ } = self;
        let same_keys = ours.len() == keys.len() && ours.iter().zip(keys).all(|(one, other)| one.is_same_as(other));
        same_keys && *terms == Terms::from(tokens) && *cache == tokens.cache
    }

    /// Every key whose tokens are taken.
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// Whether `token` holds, if that is known without its signature; nothing if it has to be verified.
    pub fn recall(&self, token: &str, now: Timestamp) -> Option<Result<Verified, VerifyError>> {
        Some(self.verified.as_ref()?.find(token)?.again(&self.terms, now))
    }

    /// Whether `token` holds. One that does is known again.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, VerifyError> {
        let holds = verify::verify(token, &self.keys, &self.terms, now)?;
        if let Some(verified) = &self.verified {
            verified.add(token, &holds);
        }
        Ok(holds)
    }

    /// How many tokens are known again, and what they take.
    pub fn usage(&self) -> Usage {
        self.verified.as_ref().map(VerifiedTokens::usage).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
