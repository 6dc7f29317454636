//! How what we know is written as arguments of scripts: moments and spans in microseconds, hashes as text.
//! The other way round is `reply.rs`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::{Timestamp, micros};
use crate::policy::Grants;
use crate::session::{Cap, Session, TokenHash, WhenFull};
use crate::store::Take;
use crate::store::text::words;

/// A Lua number is exact up to here, 2^53: the year 2255.
const MOST_EXACT: i64 = 1 << 53;

/// The fields of a session's hash and their values, but for the epoch, which is the script's to set.
pub(super) fn fields(session: &Session) -> impl Iterator<Item = String> {
    let Session {
        id: _,
        subject,
        grants,
        generation,
        token_hash,
        rotated_at,
        created_at,
        expires_at,
        epoch: _,
        address,
        user_agent,
    } = session;
    let rest = [
        ("sub", subject.to_string()),
        ("generation", generation.to_string()),
        ("token_hash", hash(*token_hash)),
        ("rotated_at", moment(*rotated_at)),
        ("created_at", moment(*created_at)),
        ("expires_at", moment(*expires_at)),
        ("ip", address.to_string()),
        ("user_agent", user_agent.clone()),
    ];
    self::grants(grants).into_iter().chain(rest.into_iter().flat_map(|(name, value)| [name.to_owned(), value]))
}

/// How many sessions there may be, zero for any number, and what happens when there are.
pub(super) fn cap(cap: Option<Cap>) -> [String; 2] {
    let most = cap.map_or(0, |cap| cap.most.get());
    let when_full = match cap.map(|cap| cap.when_full) {
        None | Some(WhenFull::EvictOldest) => "evict",
        Some(WhenFull::RefuseNew) => "refuse",
    };
    [most.to_string(), when_full.to_owned()]
}

/// What a session grants: fields and values.
pub(super) fn grants(grants: &Grants) -> [String; 4] {
    let Grants { roles, scopes } = grants;
    ["roles".to_owned(), words(roles), "scopes".to_owned(), words(scopes)]
}

/// What the scripts need to know of each limit.
pub(super) fn quotas(takes: &[Take]) -> impl Iterator<Item = String> {
    takes.iter().flat_map(|take| [take.quota.interval_micros().to_string(), span(take.quota.window())])
}

pub(super) fn moment(at: Timestamp) -> String {
    at.as_micros().min(MOST_EXACT).to_string()
}

pub(super) fn span(span: Duration) -> String {
    micros(span).min(MOST_EXACT).to_string()
}

pub(super) fn hash(hash: TokenHash) -> String {
    URL_SAFE_NO_PAD.encode(hash.0)
}
