//! Removes rows whose time is over. A little at a time, by the clock of whoever writes, and only what was
//! over long ago: a clock that steps back must not find a revoked token standing again.

use std::time::Duration;

use sqlx::SqliteConnection;

use super::rows::failure;
use crate::clock::Timestamp;
use crate::store::StoreError;

/// One write in so many sweeps.
pub(super) const EVERY: u32 = 128;

/// How long rows outlive their time.
const MARGIN: Duration = Duration::from_hours(1);

/// More rows of each kind than [`EVERY`] writes usually add, so that sweeping keeps up; few enough to be
/// quick.
const SWEEPS: [&str; 6] = [
    "DELETE FROM sessions WHERE sid IN (SELECT sid FROM sessions WHERE expires_at < ?1 LIMIT 512)",
    "DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations WHERE until < ?1 LIMIT 512)",
    "DELETE FROM lives WHERE until < ?1",
    "DELETE FROM ended WHERE sid IN (SELECT sid FROM ended WHERE until < ?1 LIMIT 512)",
    "DELETE FROM limits WHERE (scope, name, key) IN (SELECT scope, name, key FROM limits WHERE tat < ?1 LIMIT 512)",
    "DELETE FROM login_failures WHERE key IN (SELECT key FROM login_failures WHERE forget_at < ?1 LIMIT 512)",
];

/// Sweeps each table once.
pub(super) async fn expired(tx: &mut SqliteConnection, now: Timestamp) -> Result<(), StoreError> {
    let long_ago = now.before(MARGIN).as_micros();
    for sweep in SWEEPS {
        sqlx::query(sweep).bind(long_ago).execute(&mut *tx).await.map_err(failure)?;
    }
    Ok(())
}
