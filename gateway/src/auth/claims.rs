//! What an access token says: its header and claims, read strictly. Only the shape is checked here;
//! whether they hold is for `verify.rs`. The names are those of RFC 9068 and RFC 7519.

use serde::{Deserialize, Serialize};

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

/// The claims. A missing one, one that is there twice or one of another JSON type is an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: Audience,
    /// The user.
    pub sub: String,
    /// The session.
    pub sid: String,
    /// The token.
    pub jti: String,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it expires.
    pub exp: i64,
    /// When the user logged in (RFC 9068 §2.2.1), however often the session was rotated since. Tokens that were
    /// issued before there was this claim have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// When it begins to hold, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The user's epoch.
    pub epoch: u64,
    /// The roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The scopes, parted by spaces (RFC 8693 §4.2).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
}

/// One audience, or several (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Audience {
    /// Whether `name` is among them.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::One(audience) => audience == name,
            Self::Many(audiences) => audiences.iter().any(|audience| audience == name),
        }
    }
}
