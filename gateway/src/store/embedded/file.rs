//! Opens the SQLite file: its permissions, its settings and its tables. Processes that start at the same
//! time take turns by a lock on the folder, because SQLite refuses rather than waits while another one
//! switches the journal mode. Nothing here knows what the tables mean.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

use super::rows::failure;
use crate::store::StoreError;

const READERS: u32 = 4;

/// How long one statement waits for another process; less than an operation may take.
const BUSY: Duration = Duration::from_secs(1);

/// Each brings the tables one version further. Only ever appended to.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../../migrations/0001_state.sql"),
    include_str!("../../../migrations/0002_causes.sql"),
    include_str!("../../../migrations/0003_revocations.sql"),
    include_str!("../../../migrations/0004_lives.sql"),
    include_str!("../../../migrations/0005_issued_at.sql"),
];

/// The only connection that writes, and a few that read.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let path = path.to_owned();
    let file = path.clone();
    let lock = tokio::task::spawn_blocking(move || prepare(&file))
        .await
        .expect("preparing the file does not panic")
        .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let writer = pool(1).connect_with(options.clone()).await.map_err(failure)?;
    migrate(&mut *writer.acquire().await.map_err(failure)?).await?;
    let readers = pool(READERS).connect_with(options.read_only(true)).await.map_err(failure)?;
    drop(lock);
    Ok((writer, readers))
}

/// Connections stay for ever and are not tested before use: there is no network that could lose them.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(super::DEADLINE)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes folder and file if they are missing, and returns the locked folder. Closes what others could read.
fn prepare(path: &Path) -> io::Result<File> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let lock = File::open(&folder)?;
    lock.lock()?;
    // SQLite gives its log files the permissions of this one.
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(lock)
}

/// Runs the migrations that the file has not seen, all in one transaction.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failure)?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await.map_err(failure)?;
    let seen = usize::try_from(version).ok().filter(|seen| *seen <= MIGRATIONS.len());
    let Some(seen) = seen else {
        return Err(StoreError::Unavailable(format!("the file is of version {version}, made by a newer portcullis")));
    };
    for migration in &MIGRATIONS[seen..] {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(failure)?;
    }
    // A pragma takes no parameters, and the number of migrations is known here.
    const { assert!(MIGRATIONS.len() == 5, "raise user_version below") };
    sqlx::raw_sql("PRAGMA user_version = 5").execute(&mut *transaction).await.map_err(failure)?;
    transaction.commit().await.map_err(failure)
}

/// Writes the log into the file and waits for the disk: keys must not be lost even if the power is, since
/// all that they signed would be lost with them.
pub(super) async fn make_durable(writer: &SqlitePool) -> Result<(), StoreError> {
    sqlx::raw_sql("PRAGMA wal_checkpoint(FULL)").execute(writer).await.map_err(failure)?;
    Ok(())
}
