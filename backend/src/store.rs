//! Users and posts in SQLite or PostgreSQL: one set of statements, written once with `$n` placeholders, and
//! every operation a single statement, so nothing needs a transaction. Relies on the constraints of the
//! schema for uniqueness and ownership. Never waits longer than a few seconds, and never hashes a password.

mod error;
mod postgres;
mod posts;
mod sqlite;
mod users;

use std::time::Duration;

use sqlx::PgPool;
use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, SqlSafeStr as _};
use tokio::time::timeout;

use crate::config::DatabaseUrl;
use sqlite::Sqlite;

pub use error::StoreError;
pub use posts::Written;
pub use users::{Changed, Credentials, NewUser};

/// How long a connection may take to come free.
const ACQUIRE_DEADLINE: Duration = Duration::from_secs(2);
/// How long an operation may take from beginning to end. A database that stands still would otherwise hold
/// every request that comes along.
const OPERATION_DEADLINE: Duration = Duration::from_secs(5);

/// The database of one service.
pub struct Store {
    database: Database,
}

enum Database {
    Sqlite(Sqlite),
    Postgres(PgPool),
}

/// Runs one statement on whichever database this is, and gives all rows it returns.
///
/// Always *all* rows: after the first of one, sqlx resets a SQLite statement and drops the outcome of the
/// commit that lies in that (`ExecuteIter::drop`), so a write that failed could look as if it was made.
macro_rules! rows {
    ($store:expr, $pool:ident, $row:ty, $sql:expr $(, $value:expr)* $(,)?) => {
        match &$store.database {
            $crate::store::Database::Sqlite(sqlite) => {
                $crate::store::in_time(sqlx::query_as::<_, $row>($sql)$(.bind($value))*.fetch_all(&sqlite.$pool)).await
            }
            $crate::store::Database::Postgres(pool) => {
                $crate::store::in_time(sqlx::query_as::<_, $row>($sql)$(.bind($value))*.fetch_all(pool)).await
            }
        }
    };
}
use rows;

impl Store {
    /// Opens the database, creates it if it is a file that is not there, and brings its schema up to date.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let database = match url {
            DatabaseUrl::Sqlite(path) => Database::Sqlite(Sqlite::open(path).await?),
            DatabaseUrl::Postgres(options) => Database::Postgres(postgres::open(options).await?),
        };
        Ok(Self { database })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.database {
            Database::Sqlite(sqlite) => in_time(async { sqlite.reader.acquire().await?.ping().await }).await,
            Database::Postgres(pool) => in_time(async { pool.acquire().await?.ping().await }).await,
        }
    }

    /// Lets operations that run finish, then closes all connections; leaves those to themselves that take longer
    /// than any operation may.
    pub async fn close(&self) {
        let closing = async {
            match &self.database {
                Database::Sqlite(sqlite) => sqlite.close().await,
                Database::Postgres(pool) => pool.close().await,
            }
        };
        drop(timeout(OPERATION_DEADLINE, closing).await);
    }
}

/// Waits for an operation, but not for ever.
async fn in_time<T>(operation: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match timeout(OPERATION_DEADLINE, operation).await {
        Ok(outcome) => outcome.map_err(StoreError::from),
        Err(_) => Err(StoreError::unavailable("no answer in time")),
    }
}

/// One step of a schema: its number, what it is about, and its SQL.
type Step = (i64, &'static str, &'static str);

/// Takes those steps that were not yet taken.
async fn migrate<C: Migrate>(connection: &mut C, steps: &[Step]) -> Result<(), StoreError> {
    let step = |&(version, description, sql): &Step| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let migrator = Migrator::with_migrations(steps.iter().map(step).collect());
    // Not `run`: what it gives back can't be moved to another thread, and so neither could a starting service.
    Ok(migrator.run_direct(None, connection, false).await?)
}
