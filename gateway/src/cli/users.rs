//! `portcullis users`: shows, disables and enables users, in the store of the configuration, whether a gateway
//! runs or not. Who is disabled neither logs in nor renews, and whatever they hold is refused at their next request.

use clap::{Args, Subcommand};

use super::{Ending, json, with_store};
use crate::admin::administration::UserView;
use crate::config::Config;
use crate::ids::Subject;

#[derive(Subcommand)]
pub(super) enum Users {
    /// Show whether a user is disabled and how many sessions they have.
    Show(User),
    /// Keep a user out: end all of their sessions, void all of their tokens, refuse to log them in.
    Disable(User),
    /// Let a user log in again; what was void stays void.
    Enable(User),
}

#[derive(Args)]
pub(super) struct User {
    /// The user, as the login upstream names them: the `sub` of their tokens.
    #[arg(value_parser = Subject::parse)]
    subject: Subject,
    /// Print JSON, as the admin API answers.
    #[arg(long)]
    json: bool,
}

impl Users {
    pub(super) fn act(self, config: &Config) -> Ending {
        with_store(config, async |office| {
            let (user, as_json) = match self {
                Self::Show(User { subject, json }) => (office.user(&subject).await?, json),
                Self::Disable(User { subject, json }) => (office.set_disabled(&subject, true).await?, json),
                Self::Enable(User { subject, json }) => (office.set_disabled(&subject, false).await?, json),
            };
            Ok(Ok(if as_json { json(&user) } else { table(&user) }))
        })
    }
}

fn table(user: &UserView) -> String {
    let UserView { subject, disabled, epoch, sessions } = user;
    let state = if *disabled { "disabled" } else { "enabled" };
    let width = subject.len().max("SUBJECT".len());
    format!("{:width$}  STATE     SESSIONS  EPOCH\n{subject:width$}  {state:8}  {sessions:<8}  {epoch}\n", "SUBJECT")
}
