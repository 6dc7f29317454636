//! Names of things: subjects, sessions, tokens, keys, and what the configuration names. Each is a type
//! of its own that is built by parsing, so that one can't be passed for another and none can hold bytes
//! that are unsafe in a header, a key or a log line. This file draws random bytes but does no other I/O.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use thiserror::Error;

use crate::clock::Timestamp;

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

/// Names one request in logs, problems and the `X-Request-Id` header. Its bytes are in place, since every request has one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl RequestId {
    const MAX: usize = 64;

    /// Reads the id: 1 to 64 letters, digits, `_`, `-` and `.`.
    pub fn parse(raw: &str) -> Result<Self, IdError> {
        match raw.len() {
            0 => Err(IdError::Empty),
            1..=Self::MAX if raw.bytes().all(name_byte) => Ok(Self::of(raw)),
            1..=Self::MAX => Err(IdError::Character),
            _ => Err(IdError::TooLong { max: Self::MAX }),
        }
    }

    /// A new id, ordered by time (UUIDv7).
    pub fn random(now: Timestamp) -> Self {
        let millis = u64::try_from(now.as_micros() / 1000).unwrap_or(0);
        let mut buffer = uuid::Uuid::encode_buffer();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &unlike_any_other()).into_uuid();
        Self::of(id.hyphenated().encode_lower(&mut buffer))
    }

    fn of(text: &str) -> Self {
        let mut bytes = [0; Self::MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self { bytes, length: u8::try_from(text.len()).expect("it was measured") }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("it was made of ASCII")
    }

    /// The id as the value of a header.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).expect("it has no character that a header may not have")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// Bytes that come only once, for names that anybody may know: from a generator (xoroshiro128++) that each thread seeds
/// once, since a call to the system's for each request costs more than all else about its name.
fn unlike_any_other() -> [u8; 10] {
    thread_local! {
        static STATE: Cell<[u64; 2]> = Cell::new([random_bytes(), random_bytes()].map(u64::from_le_bytes));
    }
    let next = || {
        let [a, b] = STATE.get();
        let mixed = b ^ a;
        STATE.set([a.rotate_left(49) ^ mixed ^ (mixed << 21), mixed.rotate_left(28)]);
        a.wrapping_add(b).rotate_left(17).wrapping_add(a).to_le_bytes()
    };
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&next());
    bytes[8..].copy_from_slice(&next()[..2]);
    bytes
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

    /// Its base64url, which is visible ASCII.
    pub fn text(&self) -> [u8; 22] {
        let mut text = [0; 22];
        URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).expect("16 bytes are 22 characters");
        text
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
        assert_eq!(SessionId::from_bytes([0xff; 16]).text(), sid.as_bytes());
        let other_trailing_bits = format!("{}x", &sid[..21]);
        assert_eq!(SessionId::parse(&other_trailing_bits), Err(IdError::Malformed));
        assert_eq!(SessionId::parse(&format!("{sid}=")), Err(IdError::Malformed));
    }

    #[test]
    fn a_new_request_id_is_a_uuid_that_tells_its_time_and_comes_once() {
        let now = Timestamp::from_micros(1_700_000_000_123_456);
        let ids: Vec<RequestId> = (0..10_000).map(|_| RequestId::random(now)).collect();
        for id in &ids {
            let uuid = uuid::Uuid::parse_str(id.as_str()).unwrap();
            let at = uuid.get_timestamp().unwrap().to_unix();
            assert_eq!((uuid.get_version_num(), at), (7, (1_700_000_000, 123_000_000)));
        }
        let distinct: std::collections::BTreeSet<&str> = ids.iter().map(RequestId::as_str).collect();
        assert_eq!(distinct.len(), ids.len());
        let elsewhere = std::thread::spawn(move || RequestId::random(now)).join().unwrap();
        assert!(!distinct.contains(elsewhere.as_str()), "each thread has a seed of its own");
    }

    #[test]
    fn a_request_id_holds_only_what_a_header_and_a_log_may() {
        let long = "x".repeat(64);
        assert_eq!(RequestId::parse(&long).unwrap().as_str(), long);
        for (bad, why) in [
            ("", IdError::Empty),
            ("a b", IdError::Character),
            ("a\n", IdError::Character),
            ("é", IdError::Character),
            (&"x".repeat(65), IdError::TooLong { max: 64 }),
        ] {
            assert_eq!(RequestId::parse(bad), Err(why));
        }
    }

    #[test]
    fn a_role_cannot_pose_as_two() {
        assert_eq!(Role::parse("user,admin"), Err(IdError::Character));
    }
}
