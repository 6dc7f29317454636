//! What the gateway serves itself: login, refresh, logout, who am I, my sessions, public keys. Each takes
//! a [`Call`] that was admitted like any other request and gives a reply or a refusal. It relies on the
//! store for atomicity, and never touches the network but for the login upstream.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use tracing::info;

use super::fields::Fields;
use super::issue::TokenPair;
use super::{Rotation, Session};
use crate::auth::Authenticator;
use crate::clock::Timestamp;
use crate::ids::{RequestId, Role, Scope, SessionId};
use crate::inbound::Inbound;
use crate::limiter::Reading;
use crate::metrics::RotationOutcome;
use crate::policy::{Known, Permit};
use crate::problem::Denied;
use crate::reply::{self, Reply};
use crate::routing::Endpoint;
use crate::store::{Ending, Memory};

mod login;
mod logout;

pub use login::LoginService;

/// The most bytes of a body that an endpoint reads.
pub const MAX_BODY: usize = 16 * 1024;

/// One request to an endpoint.
pub struct Call<'a> {
    /// Passage, and so the caller.
    pub permit: &'a Permit,
    /// Its name.
    pub request_id: &'a RequestId,
    /// The request.
    pub request: Inbound<'a>,
    /// Its body, at most [`MAX_BODY`] bytes.
    pub body: &'a [u8],
    /// When it came.
    pub now: Timestamp,
    /// What limits said so far.
    pub readings: &'a mut Vec<Reading>,
}

impl Call<'_> {
    fn known(&self) -> Result<&Known, Denied> {
        self.permit.caller().known().ok_or(Denied::NoCredential)
    }
}

/// The endpoints of one configuration.
pub struct Endpoints {
    /// Keys, token terms, the store and limits.
    pub auth: Arc<Authenticator>,
    /// Checks credentials; none if this gateway has no login.
    pub login: Option<LoginService>,
}

impl Endpoints {
    /// Serves a call.
    pub async fn serve(&self, endpoint: Endpoint, mut call: Call<'_>) -> Result<Reply, Denied> {
        match endpoint {
            Endpoint::Login => self.login(call).await,
            Endpoint::Refresh => self.refresh(&call).await,
            Endpoint::Logout => self.logout(&mut call).await,
            Endpoint::Me => me(&call),
            Endpoint::Sessions => self.sessions(&call).await,
            Endpoint::EndSession => self.end_session(&call).await,
            Endpoint::Jwks => Ok(reply::json(StatusCode::OK, &self.auth.keyring.current()?.jwks())),
        }
    }

    /// How long revocations must be remembered.
    fn memory(&self) -> Memory {
        Memory { access_life: self.auth.tokens.access_ttl + self.auth.tokens.leeway }
    }

    async fn refresh(&self, call: &Call<'_>) -> Result<Reply, Denied> {
        let fields = Fields::read(call.request.headers, call.body)?;
        let raw = fields.text("refresh_token").ok_or(Denied::BadBody("The field refresh_token is missing."))?;
        let keys = self.auth.keyring.current()?;
        let metrics = &self.auth.metrics;
        let presented = keys.refresh.read(raw).ok_or_else(|| {
            metrics.rotated(RotationOutcome::Invalid);
            Denied::RefreshInvalid
        })?;
        let lifetimes = &self.auth.tokens.lifetimes;
        let rotation = self.auth.store.rotate(&presented, lifetimes, self.memory(), call.now).await;
        metrics.rotated(RotationOutcome::of(&rotation));
        let session = match rotation? {
            Rotation::Rotated(session) | Rotation::Replayed(session) => session,
            Rotation::Reused(session) => {
                log_reuse(&session, call);
                return Err(Denied::RefreshReused);
            }
            Rotation::Ended => return Err(Denied::RefreshEnded),
        };
        let pair = TokenPair::issue(&keys, &self.auth.tokens, &session, call.now)?;
        metrics.token_issued();
        Ok(pair.reply())
    }

    async fn sessions(&self, call: &Call<'_>) -> Result<Reply, Denied> {
        let known = call.known()?;
        let sessions = self.auth.store.sessions(&known.subject, call.now).await?;
        let items = sessions.iter().map(|session| SessionItem::of(session, known.sid)).collect();
        Ok(reply::json(StatusCode::OK, &SessionList { items }))
    }

    async fn end_session(&self, call: &Call<'_>) -> Result<Reply, Denied> {
        let known = call.known()?;
        let mut sid = None;
        call.permit.route().path.capture(call.request.path, |_, value| sid = SessionId::parse(value).ok());
        let sid = sid.ok_or(Denied::NoSuchSession)?;
        match self.auth.store.end(&known.subject, Ending::This(sid), self.memory(), call.now).await? {
            0 => Err(Denied::NoSuchSession),
            ended => {
                self.auth.metrics.sessions_ended("one", ended);
                info!(target: "auth", subject = %known.subject, session = %sid, "session ended");
                Ok(reply::empty(StatusCode::NO_CONTENT))
            }
        }
    }
}

fn log_reuse(session: &Session, call: &Call<'_>) {
    tracing::warn!(
        target: "auth",
        subject = %session.subject,
        session = %session.id,
        opened_from = %session.address,
        client = %call.request.client,
        "a refresh token was used twice: its session was ended",
    );
}

/// The answer to "who am I".
#[derive(Serialize)]
struct Me<'a> {
    sub: &'a str,
    sid: String,
    roles: Vec<&'a str>,
    scopes: Vec<&'a str>,
    issued_at: String,
    expires_at: String,
}

fn me(call: &Call<'_>) -> Result<Reply, Denied> {
    let Known { subject, sid, jti: _, grants, issued_at, expires_at } = call.known()?;
    let me = Me {
        sub: subject.as_str(),
        sid: sid.to_string(),
        roles: grants.roles.iter().map(Role::as_str).collect(),
        scopes: grants.scopes.iter().map(Scope::as_str).collect(),
        issued_at: issued_at.to_rfc3339(),
        expires_at: expires_at.to_rfc3339(),
    };
    Ok(reply::json(StatusCode::OK, &me))
}

#[derive(Serialize)]
struct SessionList<'a> {
    items: Vec<SessionItem<'a>>,
}

#[derive(Serialize)]
struct SessionItem<'a> {
    sid: String,
    current: bool,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    address: String,
    user_agent: &'a str,
}

impl<'a> SessionItem<'a> {
    fn of(session: &'a Session, current: SessionId) -> Self {
        Self {
            sid: session.id.to_string(),
            current: session.id == current,
            created_at: session.created_at.to_rfc3339(),
            last_used_at: session.rotated_at.to_rfc3339(),
            expires_at: session.expires_at.to_rfc3339(),
            address: session.address.to_string(),
            user_agent: &session.user_agent,
        }
    }
}
