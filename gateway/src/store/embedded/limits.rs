//! Limits and failed logins in SQL. The sums are `Quota::lease` and `Backoff::delay`; this file keeps the one
//! moment or count that they go on from.

use std::time::Duration;

use sqlx::SqliteConnection;

use super::rows::{self, failure};
use crate::clock::{Timestamp, micros};
use crate::ids::LimitId;
use crate::limit::{Backoff, Decision, Grant, Quota};
use crate::store::{Counted, Leasable, StoreError, Take};

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
    for Take { limit, key, quota } in takes {
        let Grant { granted, remaining, wait, reset } = lease_from(tx, (scope, limit, quota, key), 1, now).await?;
        decisions.push(Decision { allowed: granted == 1, remaining, wait, reset });
        if granted == 0 {
            break;
        }
    }
    Ok(decisions)
}

/// Takes as many of `want` as are there.
pub(super) async fn lease(
    tx: &mut SqliteConnection,
    of: &Leasable,
    want: u32,
    now: Timestamp,
) -> Result<Grant, StoreError> {
    lease_from(tx, place(of), want, now).await
}

/// Takes back what was not handed out. A row that is gone had all of it back already.
pub(super) async fn give_back(tx: &mut SqliteConnection, of: &Leasable, cells: u32) -> Result<(), StoreError> {
    let at = place(of);
    let Some(tat) = arrival(tx, at).await? else { return Ok(()) };
    keep(tx, at, of.quota.give_back(tat, cells)).await
}

/// Where a count stands: who shares it, the limit's name and its quota, the key.
type Place<'a> = (Scope, &'a LimitId, &'a Quota, &'a str);

fn place(of: &Leasable) -> Place<'_> {
    match &of.whom {
        Counted::User(subject) => (Scope::User, &of.limit, &of.quota, subject.as_str()),
        Counted::Other(key) => (Scope::Shared, &of.limit, &of.quota, key),
    }
}

async fn lease_from(tx: &mut SqliteConnection, at: Place<'_>, want: u32, now: Timestamp) -> Result<Grant, StoreError> {
    let (_, _, quota, _) = at;
    let (grant, next) = quota.lease(arrival(tx, at).await?, want, now);
    keep(tx, at, next).await?;
    Ok(grant)
}

async fn arrival(
    tx: &mut SqliteConnection,
    (scope, limit, quota, key): Place<'_>,
) -> Result<Option<Timestamp>, StoreError> {
    let tat: Option<i64> = sqlx::query_scalar("SELECT tat FROM limits WHERE scope = ?1 AND name = ?2 AND key = ?3")
        .bind(scope.name())
        .bind(name(limit, quota))
        .bind(key)
        .fetch_optional(tx)
        .await
        .map_err(failure)?;
    Ok(tat.map(Timestamp::from_micros))
}

async fn keep(
    tx: &mut SqliteConnection,
    (scope, limit, quota, key): Place<'_>,
    tat: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO limits (scope, name, key, tat) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (scope, name, key) DO UPDATE SET tat = excluded.tat",
    )
    .bind(scope.name())
    .bind(name(limit, quota))
    .bind(key)
    .bind(tat.as_micros())
    .execute(tx)
    .await
    .map_err(failure)?;
    Ok(())
}

/// What a count of this quota is called.
fn name(limit: &LimitId, quota: &Quota) -> String {
    format!("{limit}:{quota}")
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
