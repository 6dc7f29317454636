//! Logout: ends this session, all others, or all, and answers only when the store has written it down.
//! The caller is known by an access token, or by a refresh token in the body, so that a session can be
//! ended after its access token expired. Ending what has ended is no error.

use http::StatusCode;
use tracing::info;

use super::{Call, Endpoints};
use crate::ids::{SessionId, Subject};
use crate::problem::Denied;
use crate::reply::{self, Reply};
use crate::session::fields::Fields;
use crate::store::Ending;

/// Which sessions end: `?scope=`.
#[derive(Clone, Copy)]
enum Scope {
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

impl Endpoints {
    pub(super) async fn logout(&self, call: &Call<'_>) -> Result<Reply, Denied> {
        let scope = Scope::read(call.request.query)?;
        if let Some((subject, sid)) = self.who(call).await? {
            let ending = scope.ending(sid);
            let ended = self.auth.store.end(&subject, ending, self.memory(), call.now).await?;
            if ended == 0 {
                self.revoke_own(call, ending).await?;
            }
            self.auth.metrics.sessions_ended(scope.name(), ended);
            info!(target: "auth", %subject, session = %sid, scope = scope.name(), ended, "logged out");
        }
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }

    /// A store that lost the session has nothing to end, but the token that asks still stands: it is
    /// revoked by itself.
    async fn revoke_own(&self, call: &Call<'_>, ending: Ending) -> Result<(), Denied> {
        match (ending, call.permit.caller().known()) {
            (Ending::This(_), Some(known)) => {
                let until = known.expires_at.after(self.auth.tokens.leeway);
                Ok(self.auth.store.revoke(&known.subject, known.jti, until, call.now).await?)
            }
            _ => Ok(()),
        }
    }

    /// Whose session it is: `None` if a refresh token names one that has ended.
    async fn who(&self, call: &Call<'_>) -> Result<Option<(Subject, SessionId)>, Denied> {
        if let Some(known) = call.permit.caller().known() {
            return Ok(Some((known.subject.clone(), known.sid)));
        }
        let fields = Fields::read(call.request.headers, call.body)?;
        let raw = fields.text("refresh_token").ok_or(Denied::NoCredential)?;
        let presented = self.auth.keyring.current()?.refresh.read(raw).ok_or(Denied::RefreshInvalid)?;
        let session = self.auth.store.session(presented.sid, call.now).await?;
        Ok(session.map(|session| (session.subject, session.id)))
    }
}
