//! A PostgreSQL database. Connections in steady use are not tested before each use, which would cost a round
//! trip; those that lay idle are, so that the first requests after a restart of the database don't fail on them.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::{ACQUIRE_DEADLINE, StoreError, in_time, migrate};

const SCHEMA: &[(i64, &str, &str)] =
    &[(1, "users and posts", include_str!("../../migrations/postgres/0001_users_and_posts.sql"))];

/// How long a connection may lie idle and still be used untested.
const IDLE_UNTESTED: Duration = Duration::from_secs(1);

/// How long the server works on a statement. Less than we wait for, so that it never works for nobody.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(4);

/// Brings the schema up to date, and makes the pool.
pub(super) async fn open(options: &PgConnectOptions) -> Result<PgPool, StoreError> {
    let options = options.clone().application_name("portcullis-backend");
    bring_up_to_date(&options).await?;
    let options = options.options([("statement_timeout", STATEMENT_DEADLINE.as_millis().to_string())]);
    let pool = PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(ACQUIRE_DEADLINE)
        .test_before_acquire(false)
        .before_acquire(|connection, seen| {
            Box::pin(async move {
                if seen.idle_for > IDLE_UNTESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .max_lifetime(Duration::from_mins(15))
        .idle_timeout(Duration::from_mins(5))
        .connect_lazy_with(options);
    Ok(pool)
}

/// On a connection of its own, since a pool would try again and again and then not tell why it can't connect.
/// sqlx holds an advisory lock meanwhile, so several services may start at once.
async fn bring_up_to_date(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut connection = in_time(PgConnection::connect_with(options)).await?;
    migrate(&mut connection, SCHEMA).await?;
    connection.close().await?;
    Ok(())
}
