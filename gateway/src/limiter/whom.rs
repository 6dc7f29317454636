//! Whom a limit counts: a user, a subscriber by address, or a route. Borrowed where a request is decided on, so
//! that finding its count copies nothing, and owned where the count is kept. How much each may is not known here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::ids::{RouteId, Subject};
use crate::store::Counted;

/// Whom a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whom<'a> {
    /// A user.
    User(&'a Subject),
    /// Who has an address.
    Address(Subscriber),
    /// Everybody who asks for a route.
    Route(&'a RouteId),
}

impl Whom<'_> {
    /// As the store keeps it.
    pub(super) fn counted(self) -> Counted {
        match self {
            Self::User(subject) => Counted::User(subject.clone()),
            Self::Address(subscriber) => Counted::Other(subscriber.to_string()),
            Self::Route(route) => Counted::Other(route.to_string()),
        }
    }
}

/// [`Whom`], kept.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    User(Subject),
    Address(Subscriber),
    Route(RouteId),
}

impl Kept {
    pub(super) fn whom(&self) -> Whom<'_> {
        match self {
            Self::User(subject) => Whom::User(subject),
            Self::Address(subscriber) => Whom::Address(*subscriber),
            Self::Route(route) => Whom::Route(route),
        }
    }
}

impl From<Whom<'_>> for Kept {
    fn from(whom: Whom<'_>) -> Self {
        match whom {
            Whom::User(subject) => Self::User(subject.clone()),
            Whom::Address(subscriber) => Self::Address(subscriber),
            Whom::Route(route) => Self::Route(route.clone()),
        }
    }
}

/// An address as limits count it: IPv6 by its /64, which is what one subscriber has (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subscriber {
    /// One address.
    V4(Ipv4Addr),
    /// The first four groups.
    V6([u16; 4]),
}

impl From<IpAddr> for Subscriber {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [groups @ .., _, _, _, _] = address.segments();
                Self::V6(groups)
            }
        }
    }
}

impl fmt::Display for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(groups) => {
                groups.iter().try_for_each(|group| write!(f, "{group:x}:"))?;
                f.write_str(":/64")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subscriber_is_one_key() {
        let prefix = |text: &str| Subscriber::from(text.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(prefix("192.0.2.1"), "192.0.2.1");
        assert_eq!(prefix("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(prefix("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(prefix("2001:db8:1:2::9"), "2001:db8:1:2::/64");
    }
}
