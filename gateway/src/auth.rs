//! Who sends a request: credential → verified claims → not revoked → [`Caller`].
//!
//! It relies on the store for what was revoked, and answers "unknown" (503) when the store can't tell;
//! it never decides whether a caller may pass, which is `policy.rs`.
//!
//! # Attacks, and what answers each
//! | attack | answer |
//! |---|---|
//! | algorithm confusion, `alg: none`, another kind of key | the key decides the algorithm: `the_key_decides_the_algorithm`, `a_key_is_for_one_algorithm_and_one_name` |
//! | a public key as HMAC secret by configuration | `config/secrets.rs` takes no key for a secret |
//! | a key that the token brings along (`jwk`, `jku`, `x5u`), `crit` | unknown header fields are refused: `a_token_brings_no_key_and_names_one_of_ours` |
//! | an identity or refresh token as access token | `typ` must be `at+jwt`; refresh tokens are no JWTs: `a_header_is_one_object_with_each_member_once` |
//! | a token of somebody else's, or for somebody else | `iss` and `aud` to the letter: `a_token_is_by_us_and_for_us` |
//! | a signature of zeros, twisted, or spelt otherwise | the library's check, canonical base64: `a_signature_is_the_keys_own_in_its_one_spelling` |
//! | claims of wrong types, twice, null, or missing | strict types: `dates_are_whole_numbers_that_hold_now`, `claims_are_one_object_with_each_claim_once` |
//! | a token that outlives the memory of its revocation | it ends with `access_ttl`, whatever it says: `a_token_lives_no_longer_than_one_of_today` |
//! | a subject that breaks a header or a log line | [`crate::ids::Subject`] holds visible ASCII only: `names_in_a_token_are_safe_bytes_of_a_header` |
//! | a storm of garbage | what needs no signature to be refused costs none: `what_needs_no_signature_to_be_refused_costs_none` |
//! | a tossed cookie, a planted session | two of one name are refused, a login opens its own: `tests/attacks/sessions.rs` |
//! | a spoofed `X-User-Id` | `identity.rs` drops every alias before it sets ours |
//! | a spoofed `X-Forwarded-For` | `inbound/client.rs` believes trusted proxies only |
//! | a stolen refresh token | `session::rotate`: reuse ends the session for thief and owner alike |
//! | a good token that is kept past its end, its key or its terms | dates are checked each time; other keys or terms are another cache: `auth/verifier.rs` |
//! | a storm of bad signatures | `bad_tokens`: an address waits after so many, tokens that held before still pass |
//! | a revoked token while the store is gone | 503, unless the route says `without_store = "signature_only"` |

pub mod bad_tokens;
mod browser;
pub mod claims;
pub mod credential;
pub mod keyring;
pub mod keys;
pub mod verified;
pub mod verifier;
pub mod verify;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use verify::VerifyError;

use crate::clock::Timestamp;
use crate::config::Tokens;
use crate::cookies::Cookies;
use crate::ids::SessionId;
use crate::inbound::Inbound;
use crate::limit::Quota;
use crate::limiter::Limiter;
use crate::metrics::Metrics;
use crate::outgoing::Outgoing;
use crate::policy::{Caller, Known};
use crate::problem::Denied;
use crate::revocation::follower::Follower;
use crate::revocation::view::Verdict;
use crate::routing::{Route, WithoutStore};
use crate::session::renewal::Renewals;
use crate::store::{Check, Stand, Standing, Store, Take};
use bad_tokens::BadTokens;
use browser::Visit;
use credential::Credential;
use keyring::Keyring;
use verifier::Verifier;
use verify::Verified;

/// Tells who sends a request.
pub struct Authenticator {
    /// The keys in use.
    pub keyring: Keyring,
    /// What tokens must say.
    pub tokens: Arc<Tokens>,
    /// Knows what was revoked.
    pub store: Arc<dyn Store>,
    /// Knows it too, if it is in use, as long as it is young enough.
    pub follower: Arc<Follower>,
    /// Takes the limits that are counted by user.
    pub limiter: Arc<Limiter>,
    /// Counts outcomes.
    pub metrics: Arc<Metrics>,
    /// How browsers carry tokens, if they may.
    pub cookies: Option<Arc<Cookies>>,
    /// Spends refresh tokens.
    pub renewals: Renewals,
    /// Knows who sends tokens whose signatures do not hold.
    pub bad_tokens: Arc<BadTokens>,
    /// How many of those an address may send.
    pub bad_token_quota: Quota,
}

impl Authenticator {
    /// Whether a request with these headers brings anything that could be a token, good or bad.
    pub fn are_approached_by(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(AUTHORIZATION) || self.cookies.as_ref().is_some_and(|cookies| cookies.are_in(headers))
    }

    /// Who sends `request`, as far as `route` wants to know; what is to travel with the answer is added to
    /// `outgoing`.
    pub async fn identify(
        &self,
        route: &Route,
        request: &Inbound<'_>,
        now: Timestamp,
        outgoing: &mut Outgoing,
    ) -> Result<Caller, Denied> {
        if !route.policy.reads_credentials() {
            return Ok(Caller::Anonymous);
        }
        match self.caller(route, request, now, outgoing).await? {
            Caller::Anonymous if route.policy.needs_credentials() => Err(Denied::NoCredential),
            caller => Ok(caller),
        }
    }

    /// Who sends `request` by the tokens that it carries: nobody, if there are none.
    pub async fn caller(
        &self,
        route: &Route,
        request: &Inbound<'_>,
        now: Timestamp,
        outgoing: &mut Outgoing,
    ) -> Result<Caller, Denied> {
        let cookies = self.cookies.as_deref().filter(|_| route.cookies);
        match (credential::read(request.headers, cookies)?, cookies) {
            (Credential::Bearer(token), _) => {
                let verified = self.verify(token, request.client, now)?;
                self.standing_caller(route, &verified, now, outgoing).await
            }
            (Credential::Cookies(held), Some(cookies)) => {
                self.by_cookies(Visit { route, request, now, cookies, held }, outgoing).await
            }
            (Credential::None | Credential::Cookies(_), _) => Ok(Caller::Anonymous),
        }
    }

    /// The caller that a verified token names, if it still stands.
    async fn standing_caller(
        &self,
        route: &Route,
        verified: &Verified,
        now: Timestamp,
        outgoing: &mut Outgoing,
    ) -> Result<Caller, Denied> {
        let standing = self.standing(route, verified.known(), now, outgoing).await;
        self.metrics.token_verified(standing.as_ref().map_or_else(Denied::reason, |()| "ok"));
        standing.map(|()| Caller::Known(Arc::clone(verified.known())))
    }

    /// Whom the access token that `request` brings names, if nothing that is known here speaks against it. The store is
    /// not asked whether it still stands.
    pub fn named(&self, route: &Route, request: &Inbound<'_>, now: Timestamp) -> Option<Arc<Known>> {
        // Who stole a token that was revoked may not end what its user has opened since.
        let is_revoked = |known: &Known| self.follower.view().verdict(&stand(known), now) == Verdict::Revoked;
        self.presented(route, request, now).filter(|known| !is_revoked(known))
    }

    /// Whom the access token that `request` brings names, if it holds, whether it stands or not.
    pub fn presented(&self, route: &Route, request: &Inbound<'_>, now: Timestamp) -> Option<Arc<Known>> {
        let cookies = self.cookies.as_deref().filter(|_| route.cookies);
        let token = match credential::read(request.headers, cookies).ok()? {
            Credential::Bearer(token) => token,
            Credential::Cookies(held) => held.access?,
            Credential::None => return None,
        };
        self.verify(token, request.client, now).ok().map(|verified| Arc::clone(verified.known()))
    }

    /// The session that the tokens of `request` are of: an access token as above, or else a refresh token in a cookie.
    pub fn session_named(&self, route: &Route, request: &Inbound<'_>, now: Timestamp) -> Option<SessionId> {
        let of_refresh = || {
            let cookies = self.cookies.as_deref().filter(|_| route.cookies)?;
            let Ok(Credential::Cookies(held)) = credential::read(request.headers, Some(cookies)) else { return None };
            Some(self.keyring.current().ok()?.refresh.read(held.refresh?)?.sid)
        };
        self.named(route, request, now).map(|known| known.sid).or_else(of_refresh)
    }

    /// What `token` says, if it holds.
    fn verify(&self, token: &str, client: IpAddr, now: Timestamp) -> Result<Verified, Denied> {
        let verified = self.keyring.ask(|keys| {
            let recalled = keys.verifier.recall(token, now);
            self.metrics.token_looked_up(recalled.is_some());
            if let Some(verified) = recalled {
                self.bad_tokens.held_again(token, now);
                return Ok(verified);
            }
            self.verify_anew(token, &keys.verifier, client, now)
        })??;
        verified.map_err(|error| {
            self.metrics.token_verified(error.outcome());
            Denied::BadToken(error)
        })
    }

    /// Whether a token holds that is not known again. An address from which many came that did not has to wait.
    fn verify_anew(
        &self,
        token: &str,
        verifier: &Verifier,
        client: IpAddr,
        now: Timestamp,
    ) -> Result<Result<Verified, VerifyError>, Denied> {
        if let Err(wait) = self.bad_tokens.may_check(token, client, self.bad_token_quota, now) {
            self.metrics.token_verified("unchecked");
            return Err(Denied::TooManyBadTokens { wait });
        }
        let outcome = verifier.verify(token, now);
        match &outcome {
            Ok(_) => self.bad_tokens.held(token),
            // Only what a signature was computed for: whatever else is wrong costs next to nothing to find out, or needs
            // a token that we issued.
            Err(VerifyError::BadSignature) => self.bad_tokens.failed(client, self.bad_token_quota, now),
            Err(_) => {}
        }
        Ok(outcome)
    }

    /// Whether a token still stands, and its user's limits: by the view alone if that can tell and no limit asks the
    /// store, else with one round trip to it.
    async fn standing(
        &self,
        route: &Route,
        known: &Known,
        now: Timestamp,
        outgoing: &mut Outgoing,
    ) -> Result<(), Denied> {
        let takes = Limiter::by_user(&route.limits, &known.subject);
        let view = self.follower.view();
        match view.verdict(&stand(known), now) {
            Verdict::Revoked => return Err(Denied::Revoked),
            Verdict::Stands if takes.is_empty() => {}
            verdict => {
                if verdict == Verdict::Unknown && view.max_staleness().is_some() {
                    self.metrics.revocation_asked();
                }
                self.ask(route, known, &takes, now, outgoing).await?;
            }
        }
        // Only for a token that stands: one that was revoked uses up nothing of its user's.
        self.limiter.take_leased_by_user(&route.limits, &known.subject, now, &mut outgoing.readings).await
    }

    /// Has the store tell whether a token stands, and take `takes`.
    async fn ask(
        &self,
        route: &Route,
        known: &Known,
        takes: &[Take],
        now: Timestamp,
        outgoing: &mut Outgoing,
    ) -> Result<(), Denied> {
        let check = Check { subject: &known.subject, sid: known.sid, jti: known.jti, epoch: known.epoch, takes };
        match self.store.check(&check, now).await {
            Ok(Standing::Revoked) => Err(Denied::Revoked),
            Ok(Standing::Good(decisions)) => self.limiter.read(takes, &decisions, &mut outgoing.readings),
            Err(error) => match route.without_store {
                WithoutStore::Refuse => Err(Denied::Store(error)),
                WithoutStore::SignatureOnly => self.limiter.take_locally(takes, now, &mut outgoing.readings),
            },
        }
    }
}

/// What a view is asked about a token.
fn stand(known: &Known) -> Stand<'_> {
    Stand { subject: &known.subject, sid: known.sid, jti: known.jti, epoch: known.epoch }
}
