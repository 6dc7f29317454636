//! Names of things: users, posts and requests. Each is a type of its own, so that one can't be passed for
//! another, and none can hold a byte that is unsafe in a header or a log line. New ids are `UUIDv7`, which
//! sort by the time they were made; nothing may rely on that, callers see opaque strings.

use std::fmt;

use http::HeaderValue;
use serde::Serialize;
use uuid::Uuid;

/// The longest id taken from a header, in bytes. A gateway may know users by other names than ours.
const MAX_LENGTH: usize = 255;

/// Whoever has an account here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserId(String);

impl UserId {
    /// A new id, unlike any other.
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// Reads an id: 1 to 255 visible ASCII characters.
    pub fn parse(text: &str) -> Option<Self> {
        is_plain(text).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for UserId {
    fn default() -> Self {
        Self::new()
    }
}

/// A post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PostId(String);

impl PostId {
    /// A new id, unlike any other.
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// Reads an id. Anything but a UUID in its usual spelling names no post, and need not be looked up.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?.to_string();
        (id == text).then_some(Self(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for PostId {
    fn default() -> Self {
        Self::new()
    }
}

/// One request, by the name that the gateway gave it; it ties the answer to the logs of both.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The id that came with the request if it is one, or else a new one.
    pub(crate) fn adopt(header: Option<&HeaderValue>) -> Self {
        match header {
            Some(value) if value.to_str().is_ok_and(is_plain) => Self(value.clone()),
            _ => Self(HeaderValue::try_from(Uuid::now_v7().to_string()).expect("a UUID is visible ASCII")),
        }
    }

    /// The id as it goes into the answer's header.
    pub(crate) fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().expect("checked to be visible ASCII when it was adopted"))
    }
}

fn is_plain(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_short_and_visible() {
        assert!(UserId::parse("google|1234").is_some());
        for text in ["", "a b", "a\u{7f}", "zoë", &"x".repeat(256)] {
            assert_eq!(UserId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_one_spelling_of_a_uuid_names_a_post() {
        let id = PostId::new();
        assert_eq!(PostId::parse(id.as_str()), Some(id.clone()));
        for text in [id.as_str().to_uppercase(), id.as_str().replace('-', ""), format!("{{{}}}", id.as_str())] {
            assert_eq!(PostId::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn an_unfit_request_id_is_replaced() {
        let good = HeaderValue::from_static("abc-1");
        assert_eq!(RequestId::adopt(Some(&good)).to_string(), "abc-1");
        let unfit = HeaderValue::from_bytes(b"a b\xff").expect("a legal header value");
        assert_eq!(RequestId::adopt(Some(&unfit)).to_string().len(), 36);
    }
}
