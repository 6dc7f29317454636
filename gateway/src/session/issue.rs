//! What a client gets for a login or a rotation: an access token and the session's current refresh token.
//! Today they travel in a JSON body; cookies would be another way to deliver the same [`TokenPair`].
//! Nothing here decides whether they are deserved.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::Session;
use super::refresh_token::RefreshToken;
use crate::auth::claims::{Audience, Claims};
use crate::auth::keyring::Keys;
use crate::clock::Timestamp;
use crate::config::Tokens;
use crate::ids::{Jti, Role, Scope};
use crate::problem::Denied;
use crate::reply::{self, Reply};

/// The tokens of one answer; never printed.
pub struct TokenPair {
    access_token: String,
    expires_in: Duration,
    refresh_token: RefreshToken,
    refresh_expires_in: Duration,
}

/// RFC 6749 §5.1, and how long the refresh token lives.
#[derive(Serialize)]
struct Body<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: &'a str,
    refresh_expires_in: u64,
}

impl TokenPair {
    /// A fresh access token for `session`, beside its current refresh token.
    pub fn issue(keys: &Keys, terms: &Tokens, session: &Session, now: Timestamp) -> Result<Self, Denied> {
        let refresh_token = keys
            .refresh
            .find(session.id, session.generation, session.token_hash)
            .ok_or(Denied::Internal("the session's refresh token was derived under a key that is gone"))?;
        // No token outlives its session, or a logout would no longer find what to end.
        let expires_at = now.after(terms.access_ttl).min(session.expires_at);
        let access_token = keys
            .signing
            .token(&claims(terms, session, expires_at, now))
            .map_err(|_| Denied::Internal("the signing key does not sign"))?;
        Ok(Self {
            access_token,
            expires_in: expires_at.since(now),
            refresh_token,
            refresh_expires_in: session.expires_at.since(now),
        })
    }

    /// The pair as a JSON body.
    pub fn reply(&self) -> Reply {
        let Self { access_token, expires_in, refresh_token, refresh_expires_in } = self;
        let body = Body {
            access_token,
            token_type: "Bearer",
            expires_in: expires_in.as_secs(),
            refresh_token: refresh_token.expose(),
            refresh_expires_in: refresh_expires_in.as_secs(),
        };
        reply::json(StatusCode::OK, &body)
    }
}

fn claims(terms: &Tokens, session: &Session, expires_at: Timestamp, now: Timestamp) -> Claims {
    let scopes: Vec<&str> = session.grants.scopes.iter().map(Scope::as_str).collect();
    Claims {
        iss: terms.issuer.clone(),
        aud: Audience::One(terms.audience.clone()),
        sub: session.subject.to_string(),
        sid: session.id.to_string(),
        jti: Jti::random().to_string(),
        iat: now.as_secs(),
        exp: expires_at.as_secs(),
        nbf: None,
        epoch: session.epoch,
        roles: session.grants.roles.iter().map(Role::to_string).collect(),
        scope: scopes.join(" "),
    }
}
