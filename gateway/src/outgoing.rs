//! What travels with the answer to a request, whatever that answer turns out to be: what limits said,
//! cookies that change, and which pages may read it. It is filled while the request is decided on, and written once, by what sends the
//! answer. It decides nothing.

use std::sync::Arc;

use http::HeaderValue;

use crate::cors::Sharing;
use crate::limiter::Readings;
use crate::reply::Reply;
use crate::session::issue::TokenPair;

/// What travels with an answer.
#[derive(Default)]
pub struct Outgoing {
    /// What limits said.
    pub readings: Readings,
    /// What becomes of the browser's cookies.
    pub cookies: CookieChange,
    /// Which pages of other origins may read it, if that is for us to say.
    pub sharing: Option<Sharing>,
    /// What becomes of `Strict-Transport-Security`.
    pub hsts: Insistence,
    /// The page that tells a person of a refusal, in place of a problem.
    pub page: Option<Reply>,
}

/// What becomes of `Strict-Transport-Security`, which browsers heed only over TLS (RFC 6797 §7.2).
#[derive(Default)]
pub enum Insistence {
    /// The client speaks no TLS: no answer has it, whoever wrote it.
    #[default]
    Never,
    /// What a server says of it stays.
    Theirs,
    /// This, whatever a server says.
    Ours(HeaderValue),
}

/// What becomes of the cookies that hold tokens.
#[derive(Default)]
pub enum CookieChange {
    /// They stay as they are.
    #[default]
    None,
    /// New ones take their place.
    Set {
        /// The values of `Set-Cookie`.
        lines: [HeaderValue; 2],
        /// What they hold.
        pair: Arc<TokenPair>,
    },
    /// They are taken back, since the session has ended.
    Clear {
        /// The values of `Set-Cookie`.
        lines: [HeaderValue; 2],
    },
}

impl CookieChange {
    /// The values of `Set-Cookie`.
    pub fn lines(&self) -> &[HeaderValue] {
        match self {
            Self::None => &[],
            Self::Set { lines, .. } | Self::Clear { lines } => lines,
        }
    }

    /// The tokens that were renewed on the way, if they were.
    pub fn renewed(&self) -> Option<&TokenPair> {
        match self {
            Self::Set { pair, .. } => Some(pair),
            Self::None | Self::Clear { .. } => None,
        }
    }
}
