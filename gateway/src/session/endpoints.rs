//! What the gateway serves itself: login, refresh, logout, who am I, my sessions, public keys. Each takes
//! a [`Call`] that was admitted like any other request and gives a reply or a refusal. It relies on the
//! store for atomicity, and never touches the network but for the login upstream.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use serde::Serialize;
use tracing::info;

use super::fields::Fields;
use super::issue::TokenPair;
use super::renewal::Device;
use super::{Cause, Session};
use crate::auth::Authenticator;
use crate::clock::Timestamp;
use crate::cookies::{Cookies, Deliver};
use crate::csrf;
use crate::ids::{RequestId, Role, Scope, SessionId};
use crate::inbound::{Inbound, Malformed};
use crate::outgoing::Outgoing;
use crate::policy::{Known, Permit};
use crate::problem::Denied;
use crate::reply::{self, Reply};
use crate::routing::{Endpoint, Route, Target};
use crate::store::{Ending, Memory};

mod login;
mod logout;
mod pages;

use logout::Leaving;

pub use login::LoginService;
pub use pages::PageService;

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
    /// What is to travel with the answer.
    pub outgoing: &'a mut Outgoing,
}

impl<'a> Call<'a> {
    fn known(&self) -> Result<&'a Known, Denied> {
        self.permit.caller().known().ok_or(Denied::NoCredential)
    }
}

/// How a refresh token was carried here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    /// By a program that keeps it itself.
    InBody,
    /// By a browser.
    InCookie,
}

/// The endpoints of one configuration.
pub struct Endpoints {
    /// Keys, token terms, the store and limits.
    pub auth: Arc<Authenticator>,
    /// Checks credentials; none if this gateway has no login.
    pub login: Option<LoginService>,
    /// Shows pages to people; none if there are no pages.
    pub pages: Option<PageService>,
}

impl Endpoints {
    /// Serves a call.
    pub async fn serve(&self, endpoint: Endpoint, mut call: Call<'_>) -> Result<Reply, Denied> {
        match endpoint {
            Endpoint::Login => self.login(&mut call).await,
            Endpoint::Refresh => self.refresh(&mut call).await,
            Endpoint::Logout => self.logout(&mut call).await,
            Endpoint::Me => me(&call),
            Endpoint::Sessions => self.sessions(&call).await,
            Endpoint::EndSession => self.end_session(&mut call).await,
            Endpoint::SignInPage => self.sign_in_page(&mut call).await,
            Endpoint::SignIn => self.sign_in(&mut call).await,
            Endpoint::SessionsPage => self.sessions_page(&call).await,
            Endpoint::ChangeSessions => self.change_sessions(&mut call).await,
            Endpoint::Jwks => Ok(reply::json(StatusCode::OK, &self.auth.keyring.current()?.jwks())),
        }
    }

    /// Has this gateway refuse, as after a logout, who was refused because nobody can tell whether their tokens stand, if the
    /// call was to end the session of those: what they are told then.
    pub fn hold_if_leaving(&self, why: Denied, route: &Route, request: &Inbound<'_>, now: Timestamp) -> Denied {
        let (Target::Endpoint(Endpoint::EndSession), Denied::Store(_)) = (&route.target, &why) else { return why };
        let own = self.auth.session_named(route, request, now);
        match session_in(route, request.path) {
            Some(sid) if own == Some(sid) => self.void_here(why, Some(Leaving::Session(sid)), now),
            _ => why,
        }
    }

    /// How long revocations must be remembered.
    pub fn memory(&self) -> Memory {
        self.auth.tokens.memory()
    }

    /// How browsers carry tokens, if they may.
    fn cookies(&self) -> Option<&Cookies> {
        self.auth.cookies.as_deref()
    }

    /// Answers with tokens: in the body, in cookies, or both.
    fn deliver(&self, pair: Arc<TokenPair>, how: Deliver, call: &mut Call<'_>) -> Result<Reply, Denied> {
        // It is good, so its bearer does not wait for what a neighbour sends.
        self.auth.bad_tokens.held(pair.access().0);
        let reply = if how.in_body() { pair.reply() } else { pair.reply_lives() };
        if how.by_cookies() {
            self.auth.hand_out(pair, call.outgoing)?;
        }
        Ok(reply)
    }

    /// The refresh token that `call` brings in its body or in a cookie; and whether it is in a cookie.
    fn refresh_token<'c>(&self, fields: &'c Fields, call: &Call<'c>) -> Result<Option<(&'c str, Carried)>, Denied> {
        let headers: &'c HeaderMap = call.request.headers;
        let held = self.cookies().map(|cookies| cookies.read(headers)).transpose()?.unwrap_or_default();
        match (fields.text("refresh_token"), held.refresh) {
            (Some(sent), Some(held)) if sent != held => Err(Malformed::SeveralCredentials.into()),
            (Some(sent), _) => Ok(Some((sent, Carried::InBody))),
            (None, Some(held)) => {
                let cookies = self.cookies().ok_or(Denied::NoCredential)?;
                csrf::check(&call.request, cookies.target(call.permit.route()))?;
                Ok(Some((held, Carried::InCookie)))
            }
            (None, None) => Ok(None),
        }
    }

    /// `POST /auth/refresh`: a refresh token for its successor, which goes the way that the token came.
    async fn refresh(&self, call: &mut Call<'_>) -> Result<Reply, Denied> {
        let fields = Fields::read(call.request.headers, call.body)?;
        let (raw, carried) = self
            .refresh_token(&fields, call)?
            .ok_or(Denied::BadBody("The field refresh_token is missing, and there is no cookie in its place."))?;
        // Never the other way: a script is not to read what is in a cookie, and nobody is to be signed in with a
        // token of somebody else's.
        let how = match carried {
            Carried::InBody => Deliver::Body,
            Carried::InCookie => Deliver::Cookies,
        };
        match self.auth.renewals.renew(raw, Device::of(&call.request), call.now).await {
            Ok(pair) => self.deliver(pair, how, call),
            Err(denied) => {
                if carried == Carried::InCookie {
                    self.auth.take_back(&denied, call.request.headers, call.outgoing);
                }
                Err(denied)
            }
        }
    }

    async fn sessions(&self, call: &Call<'_>) -> Result<Reply, Denied> {
        let known = call.known()?;
        let sessions = self.auth.store.sessions(&known.subject, call.now).await?;
        let items = sessions.iter().map(|session| SessionItem::of(session, known.sid)).collect();
        Ok(reply::json(StatusCode::OK, &SessionList { items }))
    }

    async fn end_session(&self, call: &mut Call<'_>) -> Result<Reply, Denied> {
        let known = call.known()?;
        let sid = session_in(call.permit.route(), call.request.path).ok_or(Denied::NoSuchSession)?;
        if self.end_one(known, sid, call).await? {
            Ok(reply::empty(StatusCode::NO_CONTENT))
        } else {
            Err(Denied::NoSuchSession)
        }
    }

    /// Ends one of a user's sessions: whether there was one.
    async fn end_one(&self, known: &Known, sid: SessionId, call: &mut Call<'_>) -> Result<bool, Denied> {
        let ending = Ending::This(sid);
        let ended = self.auth.store.end(&known.subject, ending, Cause::LoggedOut, self.memory(), call.now).await;
        let ended = ended.map_err(|unknown| match unknown.into() {
            why if sid == known.sid => self.void_here(why, Some(Leaving::Session(sid)), call.now),
            why => why, // Nobody but the store knows whether it is theirs.
        })?;
        if ended > 0 {
            self.auth.metrics.sessions_ended("one", ended);
            info!(target: "auth", subject = %known.subject, session = %sid, "session ended");
        }
        if sid == known.sid {
            self.auth.forget(call.request.headers, call.outgoing);
        }
        Ok(ended > 0)
    }
}

/// The session that the path names.
fn session_in(route: &Route, path: &str) -> Option<SessionId> {
    let mut sid = None;
    route.path.capture(path, |_, value| sid = SessionId::parse(value).ok());
    sid
}

/// The answer to "who am I".
#[derive(Serialize)]
struct Me<'a> {
    sub: &'a str,
    sid: String,
    roles: Vec<&'a str>,
    scopes: Vec<&'a str>,
    authenticated_at: String,
    issued_at: String,
    expires_at: String,
}

fn me(call: &Call<'_>) -> Result<Reply, Denied> {
    let Known { subject, sid, jti: _, epoch: _, grants, authenticated_at, issued_at, expires_at } = call.known()?;
    let me = Me {
        sub: subject.as_str(),
        sid: sid.to_string(),
        roles: grants.roles.iter().map(Role::as_str).collect(),
        scopes: grants.scopes.iter().map(Scope::as_str).collect(),
        authenticated_at: authenticated_at.to_rfc3339(),
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
