//! Password hashes: made and checked by a few worker threads behind a bounded queue, so that a rush of logins
//! costs neither the memory nor the time of everything else. A full queue refuses at once. Nobody may hold a
//! database connection while waiting here.

mod argon;
mod hasher;
mod pool;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;

use thiserror::Error;

use crate::metrics::Metrics;
use crate::password::Password;
use hasher::Hasher;
use pool::Pool;

/// A password hash in text, as the database keeps it: PHC of Argon2, or modular crypt of bcrypt.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(String);

impl StoredHash {
    /// Takes the text as it is; whether it is fit to be checked shows when it is checked.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text; the name is there to be found in review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredHash(…)")
    }
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not the password, or there is nothing to compare it with.
    Wrong,
    /// It is the password.
    Right {
        /// The same password hashed anew, if the stored hash is not what we would make today.
        renewed: Option<StoredHash>,
    },
}

/// Why a password was neither hashed nor checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashingError {
    /// As many wait already as may wait.
    #[error("the password queue is full")]
    Busy,
    /// The worker gave up; its log says why.
    #[error("password hashing failed")]
    Failed,
}

/// How much work on passwords there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Worker threads. Each keeps 19 MiB, and up to 64 MiB while it checks an imported hash.
    pub threads: usize,
    /// How many passwords may wait.
    pub queue: usize,
}

impl Default for PoolSize {
    /// Half of the cores, so that a rush of logins leaves the rest responsive; about a second of waiting.
    fn default() -> Self {
        let threads = available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Self { threads, queue: threads * 32 }
    }
}

/// Makes and checks password hashes.
pub(crate) struct Hashing {
    pool: Pool<Hasher>,
}

impl Hashing {
    pub(crate) fn start(size: PoolSize, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let pool = Pool::start("password", size, metrics, Hasher::new)?;
        Ok(Self { pool })
    }

    /// Hashes a password to be kept.
    pub(crate) async fn hash(&self, password: Password) -> Result<StoredHash, HashingError> {
        self.pool.run(move |hasher| hasher.hash(&password)).await?
    }

    /// Checks a password. Without a hash to check it against, the same work is done for nothing, so that the
    /// time it takes does not tell whether a user exists.
    pub(crate) async fn check(&self, password: Password, stored: Option<StoredHash>) -> Result<Verdict, HashingError> {
        self.pool.run(move |hasher| hasher.check(&password, stored.as_ref())).await?
    }
}
