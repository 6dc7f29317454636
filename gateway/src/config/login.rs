//! `[login]` as types: who checks credentials, where its answer names the user, and who is asked about users whose
//! sessions are renewed. Pointers are JSON pointers (RFC 6901) that can be followed; nothing here is asked.

use std::time::Duration;

use crate::ids::UpstreamId;
use crate::limit::Backoff;

/// Login by upstream: who checks credentials, and where its answer names the user.
#[derive(Clone, Debug)]
pub struct Login {
    /// The pool that checks credentials.
    pub upstream: UpstreamId,
    /// The path that credentials are posted to.
    pub path: String,
    /// How they are sent.
    pub format: LoginFormat,
    /// The field of the credentials that names the account, for limits.
    pub account_field: String,
    /// JSON pointer (RFC 6901) to a JWT in the answer, whose claims are then read in its place.
    pub token: Option<String>,
    /// JSON pointer to the subject.
    pub subject: String,
    /// JSON pointer to the roles: an array of strings, or one string of words.
    pub roles: Option<String>,
    /// JSON pointer to the scopes: an array of strings, or one string of words.
    pub scopes: Option<String>,
    /// How long the upstream may take.
    pub timeout: Duration,
    /// How many credentials may be checked at once: each costs the upstream a password hash.
    pub concurrency: u32,
    /// The delay after failures.
    pub backoff: Backoff,
    /// How users are asked about again when their sessions are renewed, if they are.
    pub recheck: Option<Recheck>,
}

/// How the login upstream is asked about a user whose session is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// The path that is read; `{subject}` in it stands for the user, who is also named in `X-User-Id`.
    pub path: String,
    /// JSON pointer to the roles.
    pub roles: Option<String>,
    /// JSON pointer to the scopes.
    pub scopes: Option<String>,
    /// JSON pointer to what is `true` of a disabled user.
    pub disabled: Option<String>,
    /// The statuses by which it says that there is no such user any more.
    pub gone: Vec<u16>,
    /// How long the upstream may take.
    pub timeout: Duration,
    /// What happens when it gives no usable answer.
    pub unavailable: WhenUnavailable,
}

/// What happens to a renewal while the upstream can't be asked about its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnavailable {
    /// It goes on with what was granted before.
    Renew,
    /// It is refused with 503, and can be tried again.
    Refuse,
}

/// How credentials are sent to the login upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFormat {
    /// As a JSON object.
    Json,
    /// As `application/x-www-form-urlencoded`.
    Form,
}
