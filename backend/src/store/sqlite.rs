//! A SQLite database in a file: one connection that writes, a few that read, write-ahead log between them.
//! Several processes may open it at once, also while its schema is brought up to date.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::task::spawn_blocking;

use super::{ACQUIRE_DEADLINE, StoreError, migrate};

const SCHEMA: &[(i64, &str, &str)] =
    &[(1, "users and posts", include_str!("../../migrations/sqlite/0001_users_and_posts.sql"))];

const READERS: u32 = 4;

/// The two pools of one file.
pub(super) struct Sqlite {
    /// A single connection, so that writers queue here and not at SQLite's lock, which knows no order.
    pub(super) writer: SqlitePool,
    /// Connections that refuse to write.
    pub(super) reader: SqlitePool,
}

impl Sqlite {
    /// Opens the file, creates it if it is not there, and brings its schema up to date.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = exclusive(path).await.map_err(|source| StoreError::from(sqlx::Error::Io(source)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(ACQUIRE_DEADLINE)
            // Survives a crash of the process; a power cut may cost the last commits, never the database.
            .synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new().acquire_timeout(ACQUIRE_DEADLINE);
        let writing = options.clone().journal_mode(SqliteJournalMode::Wal);
        let writer = pool.clone().max_connections(1).connect_with(writing).await?;
        migrate(&mut *writer.acquire().await?, SCHEMA).await?;
        drop(lock);
        let reader = pool.max_connections(READERS).connect_with(options.pragma("query_only", "ON")).await?;
        Ok(Self { writer, reader })
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await; // last, so that it folds the write-ahead log into the file
    }
}

/// Keeps other processes out until it is dropped. sqlx takes no lock of its own for SQLite's migrations, and
/// SQLite does not wait for others when it first turns to write-ahead logging.
async fn exclusive(path: &Path) -> io::Result<File> {
    let path = path.to_owned();
    let lock = spawn_blocking(move || {
        if let Some(folder) = path.parent() {
            create_dir_all(folder)?;
        }
        // Password hashes lie here: nobody else's business.
        let mut private = OpenOptions::new();
        private.append(true).mode(0o600);
        let lock = private.clone().create(true).open(path.with_added_extension("lock"))?;
        lock.lock()?;
        // A database that is there must not even be opened: closing it again would end SQLite's own locks on it.
        match private.create_new(true).open(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(lock),
        }
    });
    lock.await.map_err(io::Error::other)?
}
