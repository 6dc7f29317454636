//! What an access token says: its header and claims, read strictly. Only the shape is checked here;
//! whether they hold is for `verify.rs`. The names are those of RFC 9068 and RFC 7519.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The JOSE header. Whatever else a header could say (`jku`, `jwk`, `x5u`, `crit`, `b64` …) we never
/// write and so refuse to read.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The type: [`ACCESS_TOKEN_TYPE`].
    pub typ: String,
    /// The algorithm, which must be the key's.
    pub alg: String,
    /// The key.
    pub kid: String,
}

/// RFC 9068 §2.1: keeps other JWTs of the same issuer from passing as access tokens.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

impl Header {
    /// Whether the token is an access token: the type may be written in full (RFC 9068 §4), and in any case, as
    /// media types are (RFC 7515 §4.1.9).
    pub fn is_of_an_access_token(&self) -> bool {
        let bare = self.typ.split_at_checked("application/".len());
        let bare =
            bare.filter(|(kind, _)| kind.eq_ignore_ascii_case("application/")).map_or(&*self.typ, |(_, rest)| rest);
        bare.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE)
    }
}

/// The claims, borrowed from the token where they are spelt without escapes. A missing one, one that is there twice or
/// one of another JSON type, null included, is an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Claims<'a> {
    /// Who issued it.
    #[serde(borrow)]
    pub iss: Cow<'a, str>,
    /// Whom it is for.
    #[serde(borrow)]
    pub aud: Audience<'a>,
    /// The user.
    #[serde(borrow)]
    pub sub: Cow<'a, str>,
    /// The session.
    #[serde(borrow)]
    pub sid: Cow<'a, str>,
    /// The token.
    #[serde(borrow)]
    pub jti: Cow<'a, str>,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it expires.
    pub exp: i64,
    /// When the user logged in (RFC 9068 §2.2.1), however often the session was rotated since. Tokens that were
    /// issued before there was this claim have none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// When it begins to hold, if not at once.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The user's epoch.
    pub epoch: u64,
    /// The roles.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Text<'a>>,
    /// The scopes, parted by spaces (RFC 8693 §4.2).
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub scope: Cow<'a, str>,
    /// All others.
    #[serde(flatten, skip_serializing)]
    pub others: Others,
}

/// One text of a list, borrowed if it can be: serde borrows no [`Cow`] but a field's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A date that is there, and so is a number: null is not the same as nothing (CVE-2026-25537).
fn present<'de, D: Deserializer<'de>>(date: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(date).map(Some)
}

/// Claims that mean nothing to us. They are not kept; only, none may be there twice (RFC 7519 §4), since a server
/// that is shown the token may read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others;

impl<'de> Deserialize<'de> for Others {
    fn deserialize<D: Deserializer<'de>>(others: D) -> Result<Self, D::Error> {
        others.deserialize_map(Once)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Others;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims, each of them once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut claims: A) -> Result<Others, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some((name, IgnoredAny)) = claims.next_entry::<String, _>()? {
            if !seen.insert(name) {
                return Err(A::Error::custom("a claim is there twice"));
            }
        }
        Ok(Others)
    }
}

/// One audience, or several (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Audience<'a> {
    /// One.
    #[serde(borrow)]
    One(Cow<'a, str>),
    /// Several.
    #[serde(borrow)]
    Many(Vec<Text<'a>>),
}

impl Audience<'_> {
    /// Whether `name` is among them.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::One(audience) => audience == name,
            Self::Many(audiences) => audiences.iter().any(|Text(audience)| audience == name),
        }
    }
}
