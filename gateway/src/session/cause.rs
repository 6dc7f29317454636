//! Why a session ended, so that whoever still holds one of its tokens can be told. Its names are what
//! stores keep and logs show. It decides nothing.

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// By itself, or so long ago that nobody remembers; also said of a session that nobody ever heard of.
    Expired,
    /// Its user logged out, on this device or from another one.
    LoggedOut,
    /// One of its refresh tokens was used twice.
    Reused,
    /// Another login of its user needed the place.
    Evicted,
    /// Its user was disabled.
    Disabled,
    /// It was ended on its user's behalf: by whoever runs the service, or by what an upstream did.
    Revoked,
}

impl Cause {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Expired, Self::LoggedOut, Self::Reused, Self::Evicted, Self::Disabled, Self::Revoked];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::LoggedOut => "logged_out",
            Self::Reused => "reused",
            Self::Evicted => "evicted",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }

    /// The cause of this name.
    pub fn parse(raw: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == raw)
    }
}
