//! Spends refresh tokens, wherever they came from: a body, or a cookie in the middle of a request. Requests of
//! one process that bring the same token at the same time share one rotation; across processes the store makes
//! it one. A client that goes away meanwhile stops nothing. Who may be answered how is not known here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use http::header::USER_AGENT;
use tracing::{info, warn};

use super::audit::Audit;
use super::issue::TokenPair;
use super::recheck::{Recheck, Standing};
use super::{Cause, MAX_USER_AGENT, Presented, Rotation, Session, TokenHash};
use crate::auth::keyring::Keyring;
use crate::clock::Timestamp;
use crate::config::{Tokens, WhenUnavailable};
use crate::cookies::Cookies;
use crate::inbound::Inbound;
use crate::metrics::{Metrics, RotationOutcome};
use crate::panics::{self, Panicked};
use crate::policy::Grants;
use crate::problem::Denied;
use crate::store::{Ending, Store};

/// What became of a refresh token: the tokens that take its place, or why there are none.
pub type Outcome = Result<Arc<TokenPair>, Denied>;

/// What a rotation needs.
pub struct Parts {
    /// The keys in use.
    pub keyring: Keyring,
    /// How long tokens live.
    pub tokens: Arc<Tokens>,
    /// Rotates.
    pub store: Arc<dyn Store>,
    /// Counts outcomes.
    pub metrics: Arc<Metrics>,
    /// Tells of reuse.
    pub audit: Arc<Audit>,
    /// How browsers carry tokens, if they may.
    pub cookies: Option<Arc<Cookies>>,
    /// Asks about users again, if anybody does.
    pub recheck: Option<Recheck>,
}

/// What opens a session or presents a refresh token.
#[derive(Clone, Debug)]
pub struct Device {
    /// Where it is.
    pub address: IpAddr,
    /// What it calls itself, shortened to [`MAX_USER_AGENT`] bytes of visible text.
    pub user_agent: String,
}

impl Device {
    /// What sends `request`.
    pub fn of(request: &Inbound<'_>) -> Self {
        let text = request.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let visible = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ');
        Self { address: request.client, user_agent: visible.take(MAX_USER_AGENT).collect() }
    }
}

/// Spends refresh tokens.
pub struct Renewals {
    parts: Arc<Parts>,
    under_way: Arc<Mutex<UnderWay>>,
}

type UnderWay = HashMap<TokenHash, Shared<BoxFuture<'static, Outcome>>>;

impl Renewals {
    /// With nothing under way.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), under_way: Arc::default() }
    }

    /// Spends the refresh token `raw`, or shares the outcome of who does.
    pub async fn renew(&self, raw: &str, device: Device, now: Timestamp) -> Outcome {
        let presented = self.parts.keyring.current()?.refresh.read(raw).ok_or_else(|| {
            self.parts.metrics.rotated(RotationOutcome::Invalid);
            Denied::RefreshInvalid
        })?;
        self.join(presented, device, now).await
    }

    fn join(&self, presented: Presented, device: Device, now: Timestamp) -> Shared<BoxFuture<'static, Outcome>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(others) = under_way.get(&presented.hash) {
            self.parts.metrics.rotated(RotationOutcome::Shared);
            return others.clone();
        }
        let parts = Arc::clone(&self.parts);
        let done = Done { hash: presented.hash, under_way: Arc::clone(&self.under_way) };
        // A task of its own: the token is spent even if the one who began it goes away.
        let spending = tokio::spawn(async move {
            let _done = done;
            panics::caught(parts.spend(&presented, &device, now)).await.unwrap_or_else(|Panicked| {
                parts.metrics.panicked("rotation");
                Err(Denied::Internal("a rotation panicked"))
            })
        });
        let outcome = spending.map(|ended| ended.unwrap_or(Err(Denied::Internal("a rotation broke off"))));
        let outcome = outcome.boxed().shared();
        under_way.insert(presented.hash, outcome.clone());
        outcome
    }
}

/// Takes a rotation off the list when it has ended, however it did.
struct Done {
    hash: TokenHash,
    under_way: Arc<Mutex<UnderWay>>,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.hash);
    }
}

impl Parts {
    async fn spend(&self, presented: &Presented, device: &Device, now: Timestamp) -> Outcome {
        let memory = self.tokens.memory();
        let grants = self.recheck(presented, now).await?;
        let rotation = self.store.rotate(presented, grants.as_ref(), &self.tokens.lifetimes, memory, now).await;
        self.metrics.rotated(RotationOutcome::of(&rotation));
        let session = match rotation? {
            Rotation::Rotated(session) | Rotation::Replayed(session) => session,
            Rotation::Reused(session) => {
                self.audit.reused(&session, device, now);
                return Err(Denied::RefreshEnded(Cause::Reused));
            }
            Rotation::Ended(cause) => return Err(Denied::RefreshEnded(cause)),
        };
        let pair = TokenPair::issue(&*self.keyring.current()?, &self.tokens, &session, now)?;
        self.metrics.token_issued();
        Ok(Arc::new(pair))
    }

    /// New grants, unless the tokens that hold them would not fit into the cookies that they travel in: that is found
    /// out before a token is spent, or its successor would be lost.
    fn fitting(
        &self,
        session: Session,
        presented: &Presented,
        grants: Grants,
        now: Timestamp,
    ) -> Result<Grants, Denied> {
        if let Some(cookies) = self.cookies.as_deref().filter(|cookies| cookies.deliver.by_cookies()) {
            let (generation, token_hash) = (presented.generation.saturating_add(1), presented.successor);
            let next = Session { generation, token_hash, grants: grants.clone(), ..session };
            let pair = TokenPair::issue(&*self.keyring.current()?, &self.tokens, &next, now)?;
            cookies.set(&pair).map_err(|why| Denied::LoginUnusable(why.to_string()))?;
        }
        Ok(grants)
    }

    /// What the user of `presented` may do by now, if that can be found out. Who is gone is signed out everywhere.
    async fn recheck(&self, presented: &Presented, now: Timestamp) -> Result<Option<Grants>, Denied> {
        let Some(recheck) = &self.recheck else { return Ok(None) };
        // Only for the one who is about to rotate: whoever comes later gets what this one got.
        let session = self.store.session(presented.sid, now).await?;
        let Some(session) = session.filter(|session| session.token_hash == presented.hash) else { return Ok(None) };
        match (recheck.standing(&session.subject).await, recheck.terms.unavailable) {
            (Standing::Known(grants), _) => self.fitting(session, presented, grants, now).map(Some),
            (Standing::Gone, _) => {
                let memory = self.tokens.memory();
                let ended = self.store.end(&session.subject, Ending::All, Cause::Disabled, memory, now).await?;
                self.metrics.sessions_ended(Cause::Disabled.name(), ended);
                info!(target: "auth", subject = %session.subject, ended, "the user is gone: all sessions were ended");
                Err(Denied::RefreshEnded(Cause::Disabled))
            }
            (Standing::Unknown(cause), WhenUnavailable::Renew) => {
                warn!(target: "error", subject = %session.subject, cause, "a user could not be asked about again");
                Ok(None)
            }
            (Standing::Unknown(cause), WhenUnavailable::Refuse) => Err(Denied::LoginUnavailable(cause)),
            (Standing::Unusable(cause), _) => Err(Denied::LoginUnusable(cause)),
        }
    }
}
