//! Logout: ends this session, all others, or all, and answers only when the store has written it down.
//! The caller is known by a refresh token in the body or a cookie, so that a session can be ended after its
//! access token expired, or else by an access token. Ending what has ended is no error.

use std::sync::Arc;

use http::StatusCode;
use tracing::info;

use super::{Call, Endpoints};
use crate::auth::credential::{self, Credential};
use crate::clock::Timestamp;
use crate::csrf;
use crate::ids::{SessionId, Subject};
use crate::policy::{Caller, Known};
use crate::problem::{Denied, Held};
use crate::reply::{self, Reply};
use crate::session::fields::Fields;
use crate::session::{Cause, Session};
use crate::store::{Ending, StoreError};

/// Which sessions end: `?scope=`.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    This,
    Others,
    All,
}

impl Scope {
    fn read(query: Option<&str>) -> Result<Self, Denied> {
        let mut pairs = form_urlencoded::parse(query.unwrap_or("").as_bytes()).filter(|(name, _)| name == "scope");
        let scope = pairs.next().map(|(_, value)| value);
        match (scope.as_deref(), pairs.next()) {
            (None | Some("this"), None) => Ok(Self::This),
            (Some("others"), None) => Ok(Self::Others),
            (Some("all"), None) => Ok(Self::All),
            _ => Err(Denied::BadBody("The query's scope is this, others or all.")),
        }
    }

    fn ending(self, sid: SessionId) -> Ending {
        match self {
            Self::This => Ending::This(sid),
            Self::Others => Ending::Others(sid),
            Self::All => Ending::All,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::This => "this",
            Self::Others => "others",
            Self::All => "all",
        }
    }
}

/// What a logout is to end, of which this gateway can tell by itself what it is.
#[derive(Clone, Copy)]
pub(super) enum Leaving<'a> {
    /// A session.
    Session(SessionId),
    /// All sessions of a user, of whom this one is, and of this epoch.
    User { subject: &'a Subject, sid: SessionId, epoch: u64 },
}

impl<'a> Leaving<'a> {
    /// What `scope` names for who brings a token of a session, if it is known whose, and of which epoch.
    fn of(scope: Scope, sid: SessionId, whose: Option<(&'a Subject, u64)>) -> Option<Self> {
        match (scope, whose) {
            (Scope::All, Some((subject, epoch))) => Some(Self::User { subject, sid, epoch }),
            (Scope::This | Scope::All, _) => Some(Self::Session(sid)),
            (Scope::Others, _) => None, // Which those are, only the store knows.
        }
    }
}

/// Who logs out.
pub(super) enum Leaver {
    /// The caller of an access token that stands.
    Known(Arc<Known>),
    /// The holder of a refresh token of a session.
    Holder(Box<Session>),
}

impl Endpoints {
    pub(super) async fn logout(&self, call: &mut Call<'_>) -> Result<Reply, Denied> {
        let scope = Scope::read(call.request.query)?;
        let fields = Fields::read(call.request.headers, call.body)?;
        let by_cookie = self.came_by_cookie(call)?;
        if let Some(leaver) = self.leaver(scope, &fields, by_cookie, call).await? {
            self.end(scope, &leaver, call.now).await?;
        }
        if by_cookie && !matches!(scope, Scope::Others) {
            self.auth.forget(call.request.headers, call.outgoing);
        }
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }

    /// Whether the call brings cookies and no token in `Authorization`; then it must be meant.
    fn came_by_cookie(&self, call: &Call<'_>) -> Result<bool, Denied> {
        let Some(cookies) = self.cookies() else { return Ok(false) };
        let Credential::Cookies(_) = credential::read(call.request.headers, Some(cookies))? else { return Ok(false) };
        csrf::check(&call.request, cookies.target(call.permit.route()))?;
        Ok(true)
    }

    /// Ends the sessions that `scope` names for who leaves.
    pub(super) async fn end(&self, scope: Scope, leaver: &Leaver, now: Timestamp) -> Result<(), Denied> {
        let (subject, sid, epoch) = match leaver {
            Leaver::Known(known) => (&known.subject, known.sid, known.epoch),
            Leaver::Holder(session) => (&session.subject, session.id, session.epoch),
        };
        let ending = scope.ending(sid);
        let ended = self.auth.store.end(subject, ending, Cause::LoggedOut, self.memory(), now).await;
        let leaving = Leaving::of(scope, sid, Some((subject, epoch)));
        let ended = ended.map_err(|unknown| self.void_here(unknown.into(), leaving, now))?;
        self.void_presented(scope, leaver, now).await?;
        self.auth.metrics.sessions_ended(scope.name(), ended);
        info!(target: "auth", %subject, session = %sid, scope = scope.name(), ended, "logged out");
        Ok(())
    }

    /// Has this gateway refuse what was to end, if it can tell what that is, though the store could not be told. It will be
    /// when it can be: whoever hears of a 503 tries again, but may not get to it.
    pub(super) fn void_here(&self, why: Denied, leaving: Option<Leaving<'_>>, now: Timestamp) -> Denied {
        let Denied::Store(cause) = why else { return why };
        let follower = &self.auth.follower;
        let held = match leaving {
            Some(Leaving::Session(sid)) => {
                // No session lives longer, and it could be renewed if the store came back after this was forgotten.
                let until = now.after(self.auth.tokens.lifetimes.absolute.max(self.memory().access_life));
                follower.void(sid, until).then_some(Held::Session)
            }
            Some(Leaving::User { subject, sid, epoch }) => {
                follower.void_all_of(subject, sid.partition(), epoch, now).then_some(Held::User)
            }
            None => None,
        };
        match held {
            Some(what) => Denied::HeldHere { what, cause },
            None => Denied::Store(cause),
        }
    }

    /// Blacklists the access token that was presented, for [`Scope::This`]: it may outlive its session, which
    /// can have ended by itself or been lost by the store, and then ending that blacklists nothing.
    async fn void_presented(&self, scope: Scope, leaver: &Leaver, now: Timestamp) -> Result<(), Denied> {
        let (Scope::This, Leaver::Known(known)) = (scope, leaver) else { return Ok(()) };
        let until = known.expires_at.after(self.auth.tokens.leeway);
        Ok(self.auth.store.revoke(&known.subject, known.jti, until, self.memory(), now).await?)
    }

    /// Who it is; `None` if that session has ended and nothing but it was to end. The refresh token comes first, since
    /// clients attach an access token whether it has expired or not; what it can't tell, an access token may.
    async fn leaver(
        &self,
        scope: Scope,
        fields: &Fields,
        by_cookie: bool,
        call: &mut Call<'_>,
    ) -> Result<Option<Leaver>, Denied> {
        let by_refresh = match self.refresh_token(fields, call)? {
            Some((raw, _)) => self.holder(scope, raw, call).await,
            None => Err(Denied::NoCredential),
        };
        let denied = match by_refresh {
            Ok(leaver) => return Ok(Some(leaver)),
            Err(unknown) if !unknown.is_dead_credential() && !matches!(unknown, Denied::NoCredential) => {
                return Err(unknown);
            }
            Err(denied) => denied,
        };
        let denied = match self.auth.caller(call.permit.route(), &call.request, call.now, call.outgoing).await {
            Ok(Caller::Known(known)) => return Ok(Some(Leaver::Known(known))),
            Err(why) if !why.is_dead_credential() => {
                let known = self.auth.named(call.permit.route(), &call.request, call.now);
                let Some(known) = known else { return Err(why) };
                let leaving = Leaving::of(scope, known.sid, Some((&known.subject, known.epoch)));
                return Err(self.void_here(why, leaving, call.now));
            }
            Err(why) if matches!(denied, Denied::NoCredential) => why,
            Err(_) | Ok(Caller::Anonymous) => denied,
        };
        // Ending what has ended is no error, and a browser that wants to be signed out is; but nobody is told
        // that other sessions were ended when they were not.
        let over = denied.ends_session() || (by_cookie && denied.is_dead_credential());
        match scope {
            // Of one that is over because it is held here the others are still to be told.
            Scope::This if over && self.owes(call) => {
                let cause = StoreError::Unavailable("it was not told of all logouts yet".to_owned());
                Err(Denied::HeldHere { what: Held::Session, cause })
            }
            Scope::This if over => Ok(None),
            Scope::This | Scope::Others | Scope::All => Err(denied),
        }
    }

    /// Whether the session of the access token that `call` brings is held here alone.
    fn owes(&self, call: &Call<'_>) -> bool {
        let presented = self.auth.presented(call.permit.route(), &call.request, call.now);
        presented.is_some_and(|known| self.auth.follower.owes(known.sid, &known.subject))
    }

    /// Who holds a refresh token.
    async fn holder(&self, scope: Scope, raw: &str, call: &Call<'_>) -> Result<Leaver, Denied> {
        let now = call.now;
        let presented = self.auth.keyring.current()?.refresh.read(raw).ok_or(Denied::RefreshInvalid)?;
        let session = self.auth.store.session(presented.sid, now).await;
        // It is one of ours, and ends the session that it names whether that still goes by it or not. Whose that is, an
        // access token may tell.
        let session = session.map_err(|unknown| {
            let sid = presented.sid;
            let known = self.auth.named(call.permit.route(), &call.request, now).filter(|known| known.sid == sid);
            let whose = known.as_deref().map(|known| (&known.subject, known.epoch));
            self.void_here(unknown.into(), Leaving::of(scope, sid, whose), now)
        })?;
        let session = session.ok_or(Denied::RefreshEnded(Cause::Expired))?;
        // Whoever found an old token may end the session that it belongs to, as reuse would, but no other.
        let holds = session.is_held_with(&presented, &self.auth.tokens.lifetimes, now);
        match scope {
            Scope::Others | Scope::All if !holds => Err(Denied::RefreshInvalid),
            Scope::This | Scope::Others | Scope::All => Ok(Leaver::Holder(Box::new(session))),
        }
    }
}
