//! `[tokens]` as types: what access tokens say, how long anything lives, and the keys that sign and verify. What
//! a key holds is only known to be of the kind that it says; whether it is sound is found out where it is used.

use std::time::Duration;

use crate::ids::Kid;
use crate::secret::Secret;
use crate::session::Lifetimes;
use crate::store::Memory;

/// Access and refresh tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audience: String,
    /// Life of an access token.
    pub access_ttl: Duration,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Life of sessions and the retry window.
    pub lifetimes: Lifetimes,
    /// What signs access tokens.
    pub signing: Signing,
    /// Further keys whose tokens are accepted, such as those of the time before.
    pub also_accept: Vec<VerifyingKey>,
    /// The most bytes of verified tokens that are known again without their signatures; none if 0.
    pub cache: u64,
    /// What derives refresh tokens; made on first start and kept in the store if `None`.
    pub refresh_secret: Option<Secret>,
}

impl Tokens {
    /// How long revocations must be remembered: a token may come from a clock that is ahead by the leeway, and is
    /// taken for as long after its end.
    pub fn memory(&self) -> Memory {
        Memory { access_life: self.access_ttl + 2 * self.leeway }
    }
}

/// How access tokens are signed (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of this registered name.
    pub fn parse(raw: &str) -> Option<Self> {
        [Self::Es256, Self::EdDsa, Self::Rs256, Self::Hs256].into_iter().find(|algorithm| algorithm.name() == raw)
    }
}

/// What signs access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// A key that the first gateway makes and the store keeps for all.
    Stored(Algorithm),
    /// A given key: a private key in PEM (PKCS#8), or for HS256 at least 32 secret bytes.
    Given {
        /// How it signs.
        algorithm: Algorithm,
        /// The key.
        key: Secret,
        /// Its name; its RFC 7638 thumbprint if `None`.
        kid: Option<Kid>,
    },
}

/// A key whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    /// The algorithm that it is for, and no other.
    pub algorithm: Algorithm,
    /// The key: a public key in PEM, or for HS256 the secret bytes.
    pub key: Secret,
    /// Its name; its RFC 7638 thumbprint if `None`.
    pub kid: Option<Kid>,
}
