//! What the pages can show and be asked for, as values. Whatever stands in an address or a form is one of a
//! fixed list of names, so that nothing a client wrote there is ever shown. What is said of them is in
//! `texts.rs`.

use std::time::Duration;

use super::ReturnTo;
use crate::ids::SessionId;
use crate::session::{Cause, Session};

/// What the sign-in page shows.
#[derive(Clone, Debug)]
pub struct SignIn<'a> {
    /// Whether it creates an account instead.
    pub new: bool,
    /// The account that was tried, so that it need not be typed again.
    pub account: &'a str,
    /// Where to go afterwards.
    pub return_to: &'a ReturnTo,
    /// Why somebody is here who was signed in before.
    pub signed_out: Option<Cause>,
    /// What went wrong.
    pub trouble: Option<Trouble<'a>>,
}

/// What went wrong when somebody signed in, which never tells whether an account exists, or registered, which has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// Account or password are wrong, or the account is disabled.
    Wrong,
    /// A field was left empty.
    Incomplete,
    /// There were too many tries.
    TooMany(Duration),
    /// The password is right, but the user has as many sessions as one may have.
    TooManyDevices,
    /// Nothing could be checked.
    Unavailable,
    /// No account was created, for what the upstream says.
    NotCreated(&'a str),
}

impl Trouble<'_> {
    /// Whether other words in the fields may help.
    pub(super) fn is_of_a_field(self) -> bool {
        match self {
            Self::Wrong | Self::Incomplete | Self::NotCreated(_) => true,
            Self::TooMany(_) | Self::TooManyDevices | Self::Unavailable => false,
        }
    }
}

/// What the sessions page shows.
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a> {
    /// All sessions of the user.
    pub all: &'a [Session],
    /// The one that asks.
    pub current: SessionId,
    /// What was just done.
    pub done: Option<Done>,
}

/// What was done on the sessions page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// One session was ended.
    Ended,
    /// All others were.
    OthersEnded,
}

impl Done {
    /// Its name in an address.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::OthersEnded => "others_ended",
        }
    }

    /// What is of this name, if anything is.
    pub fn parse(raw: &str) -> Option<Self> {
        [Self::Ended, Self::OthersEnded].into_iter().find(|done| done.name() == raw)
    }
}

/// What somebody can do on the sessions page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End one session.
    End,
    /// End all others.
    EndOthers,
    /// End this one.
    SignOut,
}

impl Action {
    /// Its name in a form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::EndOthers => "end_others",
            Self::SignOut => "sign_out",
        }
    }

    /// The action of this name, if there is one.
    pub fn parse(raw: &str) -> Option<Self> {
        [Self::End, Self::EndOthers, Self::SignOut].into_iter().find(|action| action.name() == raw)
    }
}
