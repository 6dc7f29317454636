//! Limits and failed logins in SQL. The sums are `Quota::take` and `Backoff::delay`; this file keeps the one
//! moment or count that they go on from.

use std::time::Duration;

use sqlx::SqliteConnection;

use super::rows::{self, failure};
use crate::clock::{Timestamp, micros};
use crate::limit::{Backoff, Decision};
use crate::store::{StoreError, Take};

/// Who shares a count: limits by user count apart from all others, as they do in Redis.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    User,
    Shared,
}

impl Scope {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Shared => "shared",
        }
    }
}

/// Takes one from each, in order, until one refuses.
pub(super) async fn take(
    tx: &mut SqliteConnection,
    scope: Scope,
    takes: &[Take],
    now: Timestamp,
) -> Result<Vec<Decision>, StoreError> {
    let mut decisions = Vec::with_capacity(takes.len());
    for take in takes {
        let decision = take_one(tx, scope, take, now).await?;
        decisions.push(decision);
        if !decision.allowed {
            break;
        }
    }
    Ok(decisions)
}

async fn take_one(
    tx: &mut SqliteConnection,
    scope: Scope,
    take: &Take,
    now: Timestamp,
) -> Result<Decision, StoreError> {
    let tat: Option<i64> = sqlx::query_scalar("SELECT tat FROM limits WHERE scope = ?1 AND name = ?2 AND key = ?3")
        .bind(scope.name())
        .bind(take.limit.as_str())
        .bind(&take.key)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failure)?;
    let (decision, next) = take.quota.take(tat.map(Timestamp::from_micros), now);
    sqlx::query(
        "INSERT INTO limits (scope, name, key, tat) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (scope, name, key) DO UPDATE SET tat = excluded.tat",
    )
    .bind(scope.name())
    .bind(take.limit.as_str())
    .bind(&take.key)
    .bind(next.as_micros())
    .execute(tx)
    .await
    .map_err(failure)?;
    Ok(decision)
}

/// How long a login under `key` has to wait. Never longer than the delay that was earned, even if the
/// clock stepped back since.
pub(super) async fn login_delay(
    reader: &mut SqliteConnection,
    key: &str,
    now: Timestamp,
) -> Result<Duration, StoreError> {
    let row = sqlx::query("SELECT failed_at, wait FROM login_failures WHERE key = ?1")
        .bind(key)
        .fetch_optional(reader)
        .await
        .map_err(failure)?;
    let Some(row) = row else { return Ok(Duration::ZERO) };
    let wait = rows::span(&row, "wait")?;
    Ok(rows::moment(&row, "failed_at")?.after(wait).since(now).min(wait))
}

/// Counts a failure, the first one again if all before it are forgotten: the delay that it earns.
pub(super) async fn login_failed(
    tx: &mut SqliteConnection,
    key: &str,
    backoff: &Backoff,
    now: Timestamp,
) -> Result<Duration, StoreError> {
    let row = sqlx::query("SELECT failures, failed_at FROM login_failures WHERE key = ?1")
        .bind(key)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failure)?;
    let before: u32 = match &row {
        Some(row) if now.since(rows::moment(row, "failed_at")?) < backoff.forget => rows::number(row, "failures")?,
        _ => 0,
    };
    let failures = before.saturating_add(1);
    let wait = backoff.delay(failures);
    sqlx::query(
        "INSERT OR REPLACE INTO login_failures (key, failures, failed_at, wait, forget_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .bind(key)
    .bind(i64::from(failures))
    .bind(now.as_micros())
    .bind(micros(wait))
    .bind(now.after(backoff.forget.max(wait)).as_micros())
    .execute(tx)
    .await
    .map_err(failure)?;
    Ok(wait)
}

/// Forgets the failures under `key`.
pub(super) async fn login_succeeded(tx: &mut SqliteConnection, key: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM login_failures WHERE key = ?1").bind(key).execute(tx).await.map_err(failure)?;
    Ok(())
}
