//! Names of things: subjects, sessions, tokens, keys, and what the configuration names. Each is a type
//! of its own that is built by parsing, so that one can't be passed for another and none can hold bytes
//! that are unsafe in a header, a key or a log line. This file draws random bytes but does no other I/O.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

/// Why a text is not the id it should be. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// More bytes than the id may have.
    #[error("it is longer than {max} bytes")]
    TooLong {
        /// The most it may have.
        max: usize,
    },
    /// A byte that is not safe in a header or a key.
    #[error("it has a character that is not allowed here")]
    Character,
    /// Not the encoding of such an id.
    #[error("it is not well-formed")]
    Malformed,
}

fn text(raw: &str, max: usize, allowed: fn(u8) -> bool) -> Result<Arc<str>, IdError> {
    match raw {
        "" => Err(IdError::Empty),
        _ if raw.len() > max => Err(IdError::TooLong { max }),
        _ if !raw.bytes().all(allowed) => Err(IdError::Character),
        _ => Ok(Arc::from(raw)),
    }
}

/// A text id: parsed, cheap to clone, ordered, shown as it is.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Reads the id: 1 to ", stringify!($max), " bytes of what it may hold.")]
            pub fn parse(raw: &str) -> Result<Self, IdError> {
                text(raw, $max, $allowed).map(Self)
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

fn name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// RFC 6749 appendix A.4 `scope-token`, without the comma that separates roles in a header.
fn grant_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',')
}

text_id!(
    /// A user, as the login upstream names them: the `sub` claim and the `X-User-Id` header.
    /// Visible ASCII, so that it is the same bytes in a header, a key and a log line.
    Subject, 255, |byte| byte.is_ascii_graphic()
);
text_id!(
    /// The name of a signing key: an RFC 7638 thumbprint where we made it.
    Kid, 128, |byte| byte.is_ascii_graphic()
);
text_id!(
    /// A role, as the login upstream grants it.
    Role, 64, grant_byte
);
text_id!(
    /// An OAuth scope (RFC 6749 §3.3).
    Scope, 128, grant_byte
);
text_id!(
    /// A route's name in the configuration.
    RouteId, 64, name_byte
);
text_id!(
    /// An upstream's name in the configuration.
    UpstreamId, 64, name_byte
);
text_id!(
    /// A limit's name in the configuration.
    LimitId, 64, name_byte
);
text_id!(
    /// The name that the configuration gives to terms for pages of other origins.
    CorsId, 64, name_byte
);
text_id!(
    /// Names one request in logs, problems and the `X-Request-Id` header.
    RequestId, 64, name_byte
);

impl RequestId {
    /// A new id, ordered by time (UUIDv7).
    pub fn random() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        Self(Arc::from(&*uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer)))
    }
}

/// Fresh random bytes from the system's generator.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random generator works, or nothing here is safe");
    bytes
}

/// Which share of the keyspace a user's keys live in: `hash(subject) mod P`.
///
/// Everything one script touches shares it, so that a Redis Cluster keeps those keys together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u8);

impl Partition {
    /// The partition of `subject` among `count`.
    pub fn of(subject: &Subject, count: PartitionCount) -> Self {
        let hash = digest::digest(&digest::SHA256, subject.as_str().as_bytes());
        Self(hash.as_ref()[0] % count.0)
    }

    /// Its number, below the count.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// How many partitions there are: 1 alone, 16 in a Cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCount(u8);

impl PartitionCount {
    /// One Redis, or the embedded store.
    pub const ONE: Self = Self(1);
    /// A Redis Cluster.
    pub const CLUSTER: Self = Self(16);

    /// Each partition.
    pub fn all(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition)
    }
}

/// Names one session: its partition and 120 random bits. The `sid` claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new id in `partition`.
    pub fn random(partition: Partition) -> Self {
        let mut bytes = random_bytes();
        bytes[0] = partition.0;
        Self(bytes)
    }

    /// Reads the 22 characters of its base64url.
    pub fn parse(raw: &str) -> Result<Self, IdError> {
        fixed(raw).map(Self)
    }

    /// The id from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Where its keys live.
    pub const fn partition(&self) -> Partition {
        Partition(self.0[0])
    }
}

/// Names one access token: 128 random bits. The `jti` claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jti([u8; 16]);

impl Jti {
    /// A new id.
    pub fn random() -> Self {
        Self(random_bytes())
    }

    /// The id of these bytes, which nobody else may be able to foretell.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A part of `span` that differs from id to id and is always the same for one.
    pub fn spread(&self, span: Duration) -> Duration {
        span * u32::from(self.0[0]) / u32::from(u8::MAX)
    }

    /// Reads the 22 characters of its base64url.
    pub fn parse(raw: &str) -> Result<Self, IdError> {
        fixed(raw).map(Self)
    }
}

fn fixed(raw: &str) -> Result<[u8; 16], IdError> {
    let mut bytes = [0; 16];
    match URL_SAFE_NO_PAD.decode_slice(raw, &mut bytes) {
        Ok(16) => Ok(bytes),
        _ => Err(IdError::Malformed),
    }
}

macro_rules! show_base64url {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}
show_base64url!(SessionId);
show_base64url!(Jti);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_holds_only_what_a_header_may() {
        assert!(Subject::parse("alice@example.com").is_ok());
        for (name, bad) in [("space", "a b"), ("newline", "a\nb"), ("not ascii", "é"), ("empty", "")] {
            assert!(Subject::parse(bad).is_err(), "{name}");
        }
        assert_eq!(Subject::parse(&"x".repeat(256)), Err(IdError::TooLong { max: 255 }));
    }

    #[test]
    fn a_session_id_carries_its_partition_and_survives_a_round_trip() {
        let subject = Subject::parse("alice").unwrap();
        let partition = Partition::of(&subject, PartitionCount::CLUSTER);
        let sid = SessionId::random(partition);
        assert_eq!(SessionId::parse(&sid.to_string()), Ok(sid));
        assert_eq!(sid.partition(), partition);
    }

    #[test]
    fn an_id_has_one_spelling_only() {
        let sid = SessionId::from_bytes([0xff; 16]).to_string();
        assert_eq!(sid.len(), 22);
        let other_trailing_bits = format!("{}x", &sid[..21]);
        assert_eq!(SessionId::parse(&other_trailing_bits), Err(IdError::Malformed));
        assert_eq!(SessionId::parse(&format!("{sid}=")), Err(IdError::Malformed));
    }

    #[test]
    fn a_role_cannot_pose_as_two() {
        assert_eq!(Role::parse("user,admin"), Err(IdError::Character));
    }
}
