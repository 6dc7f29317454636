//! Who sends a request: credential → verified claims → not revoked → [`Caller`].
//!
//! It relies on the store for what was revoked, and answers "unknown" (503) when the store can't tell;
//! it never decides whether a caller may pass, which is `policy.rs`.
//!
//! # Attacks, and what answers each
//! | attack | answer |
//! |---|---|
//! | algorithm confusion, `alg: none` | the key decides the algorithm: `verify::tests::a_public_key_is_no_hmac_secret` |
//! | a key that the token brings along (`jwk`, `jku`, `x5u`), `crit` | unknown header fields are refused: `the_header_must_be_one_of_ours` |
//! | an identity or refresh token as access token | `typ` must be `at+jwt`; refresh tokens are no JWTs |
//! | claims of wrong types, twice, or missing | strict types: `each_claim_must_hold` |
//! | a subject that breaks a header or a log line | [`crate::ids::Subject`] holds visible ASCII only |
//! | a spoofed `X-User-Id` | `identity.rs` drops every alias before it sets ours |
//! | a spoofed `X-Forwarded-For` | `inbound/client.rs` believes trusted proxies only |
//! | a stolen refresh token | `session::rotate`: reuse ends the session for thief and owner alike |
//! | a revoked token while the store is gone | 503, unless the route says `without_store = "signature_only"` |

pub mod claims;
pub mod credential;
pub mod keyring;
pub mod keys;
pub mod verify;

use std::sync::Arc;

pub use verify::VerifyError;

use crate::clock::Timestamp;
use crate::config::Tokens;
use crate::inbound::Inbound;
use crate::limiter::{Limiter, Reading};
use crate::metrics::Metrics;
use crate::policy::Caller;
use crate::problem::Denied;
use crate::routing::{Route, WithoutStore};
use crate::store::{Check, Standing, Store};
use keyring::Keyring;
use verify::Verified;

/// Tells who sends a request.
pub struct Authenticator {
    /// The keys in use.
    pub keyring: Keyring,
    /// What tokens must say.
    pub tokens: Arc<Tokens>,
    /// Knows what was revoked.
    pub store: Arc<dyn Store>,
    /// Takes the limits that are counted by user.
    pub limiter: Arc<Limiter>,
    /// Counts outcomes.
    pub metrics: Arc<Metrics>,
}

impl Authenticator {
    /// Who sends `request`, as far as `route` wants to know; adds what the user's limits said to `readings`.
    pub async fn identify(
        &self,
        route: &Route,
        request: &Inbound<'_>,
        now: Timestamp,
        readings: &mut Vec<Reading>,
    ) -> Result<Caller, Denied> {
        if !route.policy.reads_credentials() {
            return Ok(Caller::Anonymous);
        }
        match self.caller(route, request, now, readings).await? {
            Caller::Anonymous if route.policy.needs_credentials() => Err(Denied::NoCredential),
            caller => Ok(caller),
        }
    }

    /// Who sends `request` by the access token that it carries: nobody, if there is none.
    pub async fn caller(
        &self,
        route: &Route,
        request: &Inbound<'_>,
        now: Timestamp,
        readings: &mut Vec<Reading>,
    ) -> Result<Caller, Denied> {
        let Some(token) = credential::bearer(request.headers)? else { return Ok(Caller::Anonymous) };
        let verified = self.verify(token, now)?;
        let standing = self.standing(route, &verified, now, readings).await;
        self.metrics.token_verified(standing.as_ref().map_or_else(Denied::reason, |()| "ok"));
        standing.map(|()| Caller::Known(Arc::clone(verified.known())))
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, Denied> {
        let keys = self.keyring.current()?;
        verify::verify(token, &keys.verifying, &self.tokens, now).map_err(|error| {
            self.metrics.token_verified(error.outcome());
            Denied::BadToken(error)
        })
    }

    /// Whether a token still stands, and its user's limits: one round trip to the store.
    async fn standing(
        &self,
        route: &Route,
        verified: &Verified,
        now: Timestamp,
        readings: &mut Vec<Reading>,
    ) -> Result<(), Denied> {
        let known = verified.known();
        let takes = Limiter::by_user(&route.limits, &known.subject);
        let check =
            Check { subject: &known.subject, sid: known.sid, jti: known.jti, epoch: verified.epoch(), takes: &takes };
        match self.store.check(&check, now).await {
            Ok(Standing::Revoked) => Err(Denied::Revoked),
            Ok(Standing::Good(decisions)) => self.limiter.read(&takes, &decisions, readings),
            Err(error) => match route.without_store {
                WithoutStore::Refuse => Err(Denied::Store(error)),
                WithoutStore::SignatureOnly => self.limiter.take_locally(&takes, now, readings),
            },
        }
    }
}
