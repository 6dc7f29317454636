//! The admin API: sessions and users, for whoever sends the admin token. Every call leaves one line in the
//! `auth` log and one count, whatever became of it. Without a token in the configuration there is no API; the
//! token and how long revocations last are those of the configuration that is at work.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Request, StatusCode};
use tracing::{info, warn};

use super::administration::{Administration, SessionView};
use super::guard::Guard;
use super::routes::{self, Action};
use crate::clock::Clock;
use crate::gateway::snapshot::Snapshot;
use crate::ids::{RequestId, SessionId, Subject};
use crate::metrics::Metrics;
use crate::problem::{Denied, Problem};
use crate::reply::{self, Reply};

/// The admin API.
pub struct Api {
    current: Arc<ArcSwap<Snapshot>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    guard: Guard,
}

/// Whom and what a call is about, as far as that is known.
#[derive(Default)]
struct About {
    subject: Option<Subject>,
    session: Option<SessionId>,
}

impl Api {
    /// The API of the configuration that is at work.
    pub fn new(current: Arc<ArcSwap<Snapshot>>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { current, clock, metrics, guard: Guard::default() }
    }

    /// The part of a path that is below the API's own.
    pub(super) fn below(path: &str) -> Option<&str> {
        path.strip_prefix(routes::PREFIX)
    }

    /// Serves one call, to `path` below the API's own, from `client`.
    pub(super) async fn serve<B>(&self, request: &Request<B>, path: &str, client: IpAddr) -> Reply {
        let (name, action) = routes::find(request.method(), path);
        let mut about = About::default();
        let outcome = match self.admit(request, client) {
            Ok(snapshot) => self.act(&snapshot, action, &mut about).await,
            Err(denied) => Err(denied),
        };
        let id = RequestId::random(self.clock.now());
        self.audit(name, &about, client, &id, outcome.as_ref().err());
        outcome.unwrap_or_else(|denied| Problem::from(&denied).reply(&id))
    }

    /// The configuration at work, for whoever sends its admin token.
    fn admit<B>(&self, request: &Request<B>, client: IpAddr) -> Result<Arc<Snapshot>, Denied> {
        let snapshot = self.current.load_full();
        let token = snapshot.admin_token.as_ref().ok_or(Denied::AdminOff)?;
        self.guard.admit(token, request.headers(), client, self.clock.now())?;
        Ok(snapshot)
    }

    async fn act(
        &self,
        snapshot: &Snapshot,
        action: Result<Action, Denied>,
        about: &mut About,
    ) -> Result<Reply, Denied> {
        let action = action?;
        about.note(&action);
        let auth = &snapshot.auth;
        let office = Administration { store: &*auth.store, memory: auth.tokens.memory(), now: self.clock.now() };
        Ok(match action {
            Action::ShowUser(subject) => reply::json(StatusCode::OK, &office.user(&subject).await?),
            Action::DisableUser(subject) => reply::json(StatusCode::OK, &office.set_disabled(&subject, true).await?),
            Action::EnableUser(subject) => reply::json(StatusCode::OK, &office.set_disabled(&subject, false).await?),
            Action::ListSessions(subject) => reply::json(StatusCode::OK, &office.sessions(&subject).await?),
            Action::EndSessions(subject) => {
                let ended = office.end_sessions(&subject).await?;
                self.metrics.sessions_ended("all", ended.ended);
                reply::json(StatusCode::OK, &ended)
            }
            Action::ShowSession(sid) => {
                let session = office.session(sid).await?.ok_or(Denied::NoSuchSession)?;
                about.subject = Some(session.subject.clone());
                reply::json(StatusCode::OK, &SessionView::from(&session))
            }
            Action::EndSession(sid) => {
                about.subject = Some(office.end_session(sid).await?.ok_or(Denied::NoSuchSession)?);
                self.metrics.sessions_ended("one", 1);
                reply::empty(StatusCode::NO_CONTENT)
            }
        })
    }

    /// One line and one count for a call that was done, or refused.
    fn audit(&self, action: &'static str, about: &About, client: IpAddr, id: &RequestId, refused: Option<&Denied>) {
        let About { subject, session } = about;
        let (subject, session) = (subject.as_ref().map(Subject::as_str), session.map(|sid| sid.to_string()));
        let outcome = refused.map_or("done", Denied::reason);
        self.metrics.administered(action, outcome);
        match refused {
            None => {
                info!(target: "auth", who = "admin", action, subject, session, outcome, %client, request_id = %id, "administration");
            }
            Some(cause) => {
                warn!(target: "auth", who = "admin", action, subject, session, outcome, %cause, %client, request_id = %id, "administration");
            }
        }
    }
}

impl About {
    fn note(&mut self, action: &Action) {
        match action {
            Action::ShowUser(subject)
            | Action::DisableUser(subject)
            | Action::EnableUser(subject)
            | Action::ListSessions(subject)
            | Action::EndSessions(subject) => self.subject = Some(subject.clone()),
            Action::ShowSession(sid) | Action::EndSession(sid) => self.session = Some(*sid),
        }
    }
}
