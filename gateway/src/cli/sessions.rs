//! `portcullis sessions`: looks at sessions and ends them, in the store of the configuration, whether a gateway
//! runs or not. Gateways look into the store at each request, or follow what changes there, so what is ended here has
//! ended everywhere.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::{Ending, json, with_store};
use crate::admin::administration::{Administration, Ended, SessionList, SessionView};
use crate::config::Config;
use crate::ids::{SessionId, Subject};
use crate::store::StoreError;

#[derive(Subcommand)]
pub(super) enum Sessions {
    /// List the sessions of a user, oldest first, or look at one.
    List(Question),
    /// End one session, or all of a user's; all of the user's tokens are void then.
    End(Question),
}

#[derive(Args)]
pub(super) struct Question {
    #[command(flatten)]
    which: Which,
    /// Print JSON, as the admin API answers.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// All sessions of this user.
    #[arg(long, value_name = "SUBJECT", value_parser = Subject::parse)]
    user: Option<Subject>,
    /// This session.
    #[arg(long, value_name = "SID", value_parser = SessionId::parse)]
    session: Option<SessionId>,
}

/// What the command line names: one of the two, which clap makes sure of.
enum Named {
    User(Subject),
    Session(SessionId),
}

impl Which {
    fn named(self) -> Named {
        match (self.user, self.session) {
            (Some(user), _) => Named::User(user),
            (None, session) => Named::Session(session.expect("the group is required")),
        }
    }
}

impl Sessions {
    pub(super) fn act(self, config: &Config) -> Ending {
        with_store(config, async |office| match self {
            Self::List(Question { which, json: as_json }) => {
                let list = list(office, which.named()).await?;
                Ok(list.map(|list| if as_json { json(&list) } else { table(&list.items) }).ok_or(GONE.to_owned()))
            }
            Self::End(Question { which, json: as_json }) => {
                let ended = end(office, which.named()).await?;
                let told = |ended: Ended| if as_json { json(&ended) } else { format!("{} ended\n", ended.ended) };
                Ok(ended.map(told).ok_or(GONE.to_owned()))
            }
        })
    }
}

const GONE: &str = "there is no such session: it has ended, or never was; \
                    `portcullis sessions list --user SUBJECT` shows those that there are";

/// The sessions that are named; `None` if one is and has ended.
async fn list(office: &Administration<'_>, named: Named) -> Result<Option<SessionList>, StoreError> {
    match named {
        Named::User(user) => office.sessions(&user).await.map(Some),
        Named::Session(sid) => {
            let found = office.session(sid).await?;
            Ok(found.map(|session| SessionList { items: vec![SessionView::from(&session)] }))
        }
    }
}

/// How many sessions were ended; `None` if one is named and has ended before.
async fn end(office: &Administration<'_>, named: Named) -> Result<Option<Ended>, StoreError> {
    match named {
        Named::User(user) => office.end_sessions(&user).await.map(Some),
        Named::Session(sid) => Ok(office.end_session(sid).await?.map(|_| Ended { ended: 1 })),
    }
}

fn table(sessions: &[SessionView]) -> String {
    let width = sessions.iter().map(|session| session.subject.len()).max().unwrap_or(0).max("SUBJECT".len());
    let mut text = format!(
        "{:22}  {:width$}  {:24}  {:24}  {:24}  {:15}  USER AGENT\n",
        "SESSION", "SUBJECT", "OPENED", "LAST USED", "EXPIRES", "ADDRESS"
    );
    for session in sessions {
        let SessionView { sid, subject, created_at, last_used_at, expires_at, address, user_agent, .. } = session;
        let row = format!(
            "{sid}  {subject:width$}  {created_at:24}  {last_used_at:24}  {expires_at:24}  {address:15}  {user_agent}"
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}
