//! For how long what was revoked is remembered. It relies on stores to take the longest that any gateway has said, and on
//! gateways to say theirs again in time. It never reads a clock.

use std::time::Duration;

/// How long a revocation must be remembered: as long as an access token can still be accepted.
///
/// Gateways may differ in it, as while they are reloaded one after the other. So every step of a
/// [`Store`](super::Store) that is told one keeps note of it, such as those by which tokens come to be, and what is
/// revoked is remembered for the longest, whoever revokes it. One counts until [`Memory::SAID`] after the last token of
/// its time has ended. Clocks may differ, too: a session is remembered from `now` on or, if that is later, from when its
/// newest token was issued; so is its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Life of an access token, and the leeway it is granted.
    pub access_life: Duration,
}

impl Memory {
    /// For how long it counts beyond itself, and that is more than clocks differ.
    pub const SAID: Duration = Duration::from_mins(10);
}
