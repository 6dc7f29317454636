//! What can come of what is counted: each outcome is a label with a name of its own, so their number is bounded and
//! dashboards don't break unseen. Nothing here counts.

use crate::limit::Decision;
use crate::session::Rotation;
use crate::store::StoreError;

/// What a limit decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOutcome {
    /// The request may pass.
    Allowed,
    /// It may not.
    Refused,
    /// The store could not count, so this gateway did.
    Local,
}

impl LimitOutcome {
    /// The outcome of what was counted by the store, or of what it leased.
    pub const fn of(decision: &Decision) -> Self {
        if decision.allowed { Self::Allowed } else { Self::Refused }
    }
}

/// What became of a lease of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The store granted all that was wanted.
    Granted,
    /// It granted what it had, which was less.
    Partly,
    /// It had none.
    Refused,
    /// It gave no answer.
    Unanswered,
    /// What was not used was given back.
    GivenBack,
    /// What was not used could not be given back.
    Lost,
}

impl LeaseOutcome {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Partly => "partly",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::GivenBack => "given_back",
            Self::Lost => "lost",
        }
    }
}

/// What became of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationOutcome {
    /// It was spent.
    Rotated,
    /// Its answer was given again.
    Replayed,
    /// It was being spent for another request, whose outcome was shared.
    Shared,
    /// It had been spent long ago.
    Reused,
    /// Its session had ended.
    Ended,
    /// It was none of ours.
    Invalid,
    /// The store gave no answer.
    Unknown,
}

impl RotationOutcome {
    /// The outcome of a rotation.
    pub fn of(rotation: &Result<Rotation, StoreError>) -> Self {
        match rotation {
            Ok(Rotation::Rotated(_)) => Self::Rotated,
            Ok(Rotation::Replayed(_)) => Self::Replayed,
            Ok(Rotation::Reused(_)) => Self::Reused,
            Ok(Rotation::Ended(_)) => Self::Ended,
            Err(_) => Self::Unknown,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Replayed => "replayed",
            Self::Shared => "shared",
            Self::Reused => "reused",
            Self::Ended => "ended",
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
        }
    }
}

/// What became of a revocation that an upstream's answer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationOutcome {
    /// It was done before the answer went out.
    AtOnce,
    /// It was done when the store was back.
    Later,
    /// The store was gone for too long.
    GivenUp,
    /// Too many others waited for the store.
    Overflowed,
}

/// What became of a new configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It is at work.
    Applied,
    /// The last one stayed.
    Refused,
}

impl ReloadOutcome {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}
