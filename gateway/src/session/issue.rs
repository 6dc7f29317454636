//! What a client gets for a login or a rotation: an access token and the session's current refresh token,
//! in a JSON body ([`TokenPair::reply`]) or in cookies (`cookies.rs`). A pair follows from its session alone,
//! so a rotation that is answered again names the same tokens. Nothing here decides whether they are deserved.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::Session;
use super::refresh_token::RefreshToken;
use crate::auth::claims::{Audience, Claims, Others, Text};
use crate::auth::keyring::Keys;
use crate::clock::Timestamp;
use crate::config::Tokens;
use crate::ids::{Jti, Scope};
use crate::policy::Known;
use crate::problem::Denied;
use crate::reply::{self, Reply};

/// Access tokens live up to one part in so many shorter than they may, so that those of many clients that came
/// at once are not all renewed at once.
const JITTER: u32 = 20;

/// The tokens of one answer, and whom they name; never printed.
pub struct TokenPair {
    known: Arc<Known>,
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

/// What is left of the body when the tokens travel in cookies, which scripts can't read.
#[derive(Serialize)]
struct Lives {
    expires_in: u64,
    refresh_expires_in: u64,
}

impl TokenPair {
    /// The access token of `session` at its present generation, beside its current refresh token.
    pub fn issue(keys: &Keys, terms: &Tokens, session: &Session, now: Timestamp) -> Result<Self, Denied> {
        let refresh_token = keys
            .refresh
            .find(session.id, session.generation, session.token_hash)
            .ok_or(Denied::Internal("the session's refresh token was derived under a key that is gone"))?;
        let known = Arc::new(known(terms, session, refresh_token.access_id()));
        let access_token = keys
            .signing
            .token(&claims(terms, &known))
            .map_err(|_| Denied::Internal("the signing key does not sign"))?;
        Ok(Self {
            access_token,
            expires_in: known.expires_at.since(now),
            refresh_token,
            refresh_expires_in: session.expires_at.since(now),
            known,
        })
    }

    /// Whom the access token names.
    pub fn known(&self) -> &Arc<Known> {
        &self.known
    }

    /// The access token, for the answer it belongs in, and how long it lives.
    pub fn access(&self) -> (&str, Duration) {
        (&self.access_token, self.expires_in)
    }

    /// The refresh token, for the answer it belongs in, and how long its session lives unless it is used.
    pub fn refresh(&self) -> (&str, Duration) {
        (self.refresh_token.expose(), self.refresh_expires_in)
    }

    /// The pair as a JSON body.
    pub fn reply(&self) -> Reply {
        let Self { known: _, access_token, expires_in, refresh_token, refresh_expires_in } = self;
        let body = Body {
            access_token,
            token_type: "Bearer",
            expires_in: expires_in.as_secs(),
            refresh_token: refresh_token.expose(),
            refresh_expires_in: refresh_expires_in.as_secs(),
        };
        reply::json(StatusCode::OK, &body)
    }

    /// How long the tokens live, without them.
    pub fn reply_lives(&self) -> Reply {
        let lives =
            Lives { expires_in: self.expires_in.as_secs(), refresh_expires_in: self.refresh_expires_in.as_secs() };
        reply::json(StatusCode::OK, &lives)
    }
}

/// What the access token of `session` says. It counts from the rotation, not from the answer, which may be a later one.
fn known(terms: &Tokens, session: &Session, jti: Jti) -> Known {
    let life = terms.access_ttl.saturating_sub(jti.spread(terms.access_ttl / JITTER));
    Known {
        subject: session.subject.clone(),
        sid: session.id,
        jti,
        epoch: session.epoch,
        grants: session.grants.clone(),
        authenticated_at: Timestamp::from_secs(session.created_at.as_secs()),
        issued_at: Timestamp::from_secs(session.rotated_at.as_secs()),
        // No token outlives its session, or a logout would no longer find what to end.
        expires_at: Timestamp::from_secs(session.rotated_at.after(life).min(session.expires_at).as_secs()),
    }
}

fn claims<'a>(terms: &'a Tokens, known: &'a Known) -> Claims<'a> {
    let Known { subject, sid, jti, epoch, grants, authenticated_at, issued_at, expires_at } = known;
    let scopes: Vec<&str> = grants.scopes.iter().map(Scope::as_str).collect();
    Claims {
        iss: terms.issuer.as_str().into(),
        aud: Audience::One(terms.audience.as_str().into()),
        sub: subject.as_str().into(),
        sid: sid.to_string().into(),
        jti: jti.to_string().into(),
        iat: issued_at.as_secs(),
        exp: expires_at.as_secs(),
        auth_time: Some(authenticated_at.as_secs()),
        nbf: None,
        epoch: *epoch,
        roles: grants.roles.iter().map(|role| Text(role.as_str().into())).collect(),
        scope: scopes.join(" ").into(),
        others: Others,
    }
}
