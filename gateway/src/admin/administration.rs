//! What may be done to sessions and users from outside a session: look at them, end them, disable and enable.
//! The admin API and the command line do the same, and show the same shapes. It relies on the store for
//! atomicity; who may do it is not known here, and no token or hash of one is ever shown.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::{Role, Scope, SessionId, Subject};
use crate::session::{Cause, Session};
use crate::store::{Ending, Memory, Store, StoreError};

/// A session, as administrators see it.
#[derive(Serialize)]
pub struct SessionView {
    /// Its name.
    pub sid: String,
    /// Whose it is.
    pub subject: String,
    /// What the login granted.
    pub roles: Vec<String>,
    /// What the login granted.
    pub scopes: Vec<String>,
    /// How often it was rotated.
    pub generation: u32,
    /// When it was opened.
    pub created_at: String,
    /// When it was last rotated.
    pub last_used_at: String,
    /// When it ends unless it is used.
    pub expires_at: String,
    /// Where it was opened from.
    pub address: String,
    /// What opened it.
    pub user_agent: String,
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        let Session { id, subject, grants, generation, token_hash: _, rotated_at, created_at, .. } = session;
        let Session { expires_at, epoch: _, address, user_agent, .. } = session;
        Self {
            sid: id.to_string(),
            subject: subject.to_string(),
            roles: grants.roles.iter().map(Role::to_string).collect(),
            scopes: grants.scopes.iter().map(Scope::to_string).collect(),
            generation: *generation,
            created_at: created_at.to_rfc3339(),
            last_used_at: rotated_at.to_rfc3339(),
            expires_at: expires_at.to_rfc3339(),
            address: address.to_string(),
            user_agent: user_agent.clone(),
        }
    }
}

/// Sessions, oldest first.
#[derive(Serialize)]
pub struct SessionList {
    /// The sessions.
    pub items: Vec<SessionView>,
}

/// What is known of a user; the default for one never seen.
#[derive(Serialize)]
pub struct UserView {
    /// Who.
    pub subject: String,
    /// Whether they are kept from logging in and renewing.
    pub disabled: bool,
    /// Tokens of an older epoch are void.
    pub epoch: u64,
    /// How many sessions they have.
    pub sessions: usize,
}

/// How many sessions were ended.
#[derive(Serialize)]
pub struct Ended {
    /// That many.
    pub ended: u64,
}

/// Administration at one moment.
pub struct Administration<'a> {
    /// Where sessions and users are.
    pub store: &'a dyn Store,
    /// How long revocations must be remembered.
    pub memory: Memory,
    /// Now.
    pub now: Timestamp,
}

impl Administration<'_> {
    /// The live sessions of `subject`.
    pub async fn sessions(&self, subject: &Subject) -> Result<SessionList, StoreError> {
        let sessions = self.store.sessions(subject, self.now).await?;
        Ok(SessionList { items: sessions.iter().map(SessionView::from).collect() })
    }

    /// One session, if it has not ended.
    pub async fn session(&self, sid: SessionId) -> Result<Option<Session>, StoreError> {
        self.store.session(sid, self.now).await
    }

    /// Ends one session: whose it was, or `None` if there is none.
    pub async fn end_session(&self, sid: SessionId) -> Result<Option<Subject>, StoreError> {
        let Some(Session { subject, .. }) = self.session(sid).await? else { return Ok(None) };
        let ended = self.store.end(&subject, Ending::This(sid), Cause::Revoked, self.memory, self.now).await?;
        Ok((ended > 0).then_some(subject))
    }

    /// Ends all sessions of `subject` and voids all of their tokens.
    pub async fn end_sessions(&self, subject: &Subject) -> Result<Ended, StoreError> {
        let ended = self.store.end(subject, Ending::All, Cause::Revoked, self.memory, self.now).await?;
        Ok(Ended { ended })
    }

    /// What is known of `subject`.
    pub async fn user(&self, subject: &Subject) -> Result<UserView, StoreError> {
        let (user, sessions) =
            futures_util::future::try_join(self.store.user(subject), self.store.sessions(subject, self.now)).await?;
        let (subject, sessions) = (subject.to_string(), sessions.len());
        Ok(UserView { subject, disabled: user.disabled, epoch: user.epoch, sessions })
    }

    /// Disables `subject`, which ends all of their sessions, or enables them: what is known of them then.
    pub async fn set_disabled(&self, subject: &Subject, disabled: bool) -> Result<UserView, StoreError> {
        self.store.set_disabled(subject, disabled, self.memory, self.now).await?;
        self.user(subject).await
    }
}
