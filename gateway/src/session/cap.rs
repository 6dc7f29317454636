//! How many sessions a user may have at once, and what becomes of the login that is one too many. A pure
//! rule: the embedded store calls it, Redis does the same in Lua. Whether a session lives is not decided here.

use std::num::NonZeroU32;

use super::Session;

/// The most sessions of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub most: NonZeroU32,
    /// What happens at the login that would be one more.
    pub when_full: WhenFull,
}

/// What happens at a login when its user has all the sessions they may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The one unused longest ends.
    EvictOldest,
    /// The login is refused.
    RefuseNew,
}

impl Cap {
    /// Which of the user's live sessions must end so that one more has a place; `None` if it is refused. Of
    /// those that were last used at the same moment the one goes first that would end first.
    pub fn make_room(&self, mut live: Vec<Session>) -> Option<Vec<Session>> {
        let Self { most, when_full } = self;
        let most = usize::try_from(most.get()).unwrap_or(usize::MAX);
        let too_many = (live.len() + 1).saturating_sub(most);
        if too_many > 0 && *when_full == WhenFull::RefuseNew {
            return None;
        }
        live.sort_by_key(|session| (session.rotated_at, session.expires_at, session.id.to_string()));
        live.truncate(too_many);
        Some(live)
    }
}
