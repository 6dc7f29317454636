//! Keys in SQL. The first key of a purpose is made exactly once, however many gateways start together,
//! because it is looked for and added in one transaction. What a key does is not known here.

use sqlx::{Row as _, SqliteConnection};

use super::rows::{self, failure};
use crate::secret::Secret;
use crate::store::{KeyPurpose, StoreError, StoredKey};

/// The keys for `purpose`, newest first.
pub(super) async fn newest_first(
    connection: &mut SqliteConnection,
    purpose: KeyPurpose,
) -> Result<Vec<StoredKey>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, algorithm, material, created_at FROM keys WHERE purpose = ?1 ORDER BY created_at DESC, name",
    )
    .bind(purpose.name())
    .fetch_all(connection)
    .await
    .map_err(failure)?;
    rows.iter()
        .map(|row| {
            Ok(StoredKey {
                purpose,
                name: rows::text(row, "name")?.to_owned(),
                algorithm: rows::text(row, "algorithm")?.to_owned(),
                material: Secret::new(row.try_get::<Vec<u8>, _>("material").map_err(failure)?),
                created_at: rows::moment(row, "created_at")?,
            })
        })
        .collect()
}

/// Adds `key` unless one of its name is there.
pub(super) async fn add(tx: &mut SqliteConnection, key: &StoredKey) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO keys (purpose, name, algorithm, material, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (purpose, name) DO NOTHING",
    )
    .bind(key.purpose.name())
    .bind(&key.name)
    .bind(&key.algorithm)
    .bind(key.material.expose())
    .bind(key.created_at.as_micros())
    .execute(tx)
    .await
    .map_err(failure)?;
    Ok(())
}

/// Adds `first` if its purpose has no key: the keys there are then.
pub(super) async fn found(tx: &mut SqliteConnection, first: &StoredKey) -> Result<Vec<StoredKey>, StoreError> {
    let keys = newest_first(tx, first.purpose).await?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    add(tx, first).await?;
    Ok(vec![first.clone()])
}
