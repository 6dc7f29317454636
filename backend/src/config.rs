//! What one service is started with, as values that can't be wrong in themselves; [`Config::check`] judges how
//! they go together. Secrets and connection URLs are never printed, not even in part.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sqlx::postgres::PgConnectOptions;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hashing::PoolSize;

/// The fewest bytes of a gateway secret: 256 bits.
const MIN_SECRET: usize = 32;

/// What one service is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where users and posts are kept.
    pub database: DatabaseUrl,
    /// What the gateway must send along to be believed, if anything.
    pub gateway_secret: Option<GatewaySecret>,
    /// How much work on passwords there may be at once.
    pub hashing: PoolSize,
    /// How long requests that run may go on once the service is told to stop.
    pub drain: Duration,
}

/// Why a configuration is refused. Each message says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Anybody who reaches the address could be anybody.
    #[error(
        "{0} is not a loopback address: whoever reaches it could claim any X-User-Id; \
         listen on 127.0.0.1, or set a secret that the gateway sends (--gateway-secret-env)"
    )]
    Exposed(SocketAddr),
    /// Nobody could check a password.
    #[error("there must be at least one password thread")]
    NoPasswordThreads,
    /// Not a database URL of a kind we know.
    #[error("the database URL must be sqlite:PATH or postgres://USER@HOST/DATABASE")]
    DatabaseUrl,
    /// Every connection would have a database of its own.
    #[error("SQLite needs a file here: sqlite:PATH, without parameters and not in memory")]
    SqlitePath,
    /// A secret that could be guessed.
    #[error("the gateway secret must have at least {MIN_SECRET} bytes; make one with: openssl rand -base64 33")]
    WeakSecret,
}

impl Config {
    /// The usual values for everything else.
    pub fn new(listen: SocketAddr, database: DatabaseUrl) -> Self {
        Self { listen, database, gateway_secret: None, hashing: PoolSize::default(), drain: Duration::from_secs(10) }
    }

    /// Refuses what would be unsafe or could not work.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().is_loopback() && self.gateway_secret.is_none() {
            return Err(ConfigError::Exposed(self.listen));
        }
        if self.hashing.threads == 0 {
            return Err(ConfigError::NoPasswordThreads);
        }
        Ok(())
    }
}

/// Where users and posts are kept.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PgConnectOptions>),
}

impl DatabaseUrl {
    /// Reads `sqlite:PATH` or `postgres://…` with the parameters that libpq knows.
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        let url = url.trim();
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let is_file = !path.is_empty() && !path.ends_with('/') && !path.contains([':', '?']);
            return if is_file { Ok(Self::Sqlite(path.into())) } else { Err(ConfigError::SqlitePath) };
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(ConfigError::DatabaseUrl);
        }
        let options = url.parse().map_err(|_| ConfigError::DatabaseUrl)?;
        Ok(Self::Postgres(Box::new(options)))
    }

    /// What kind of database it is; all that may be told of it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({}:…)", self.kind())
    }
}

/// What the gateway sends in `X-Gateway-Secret`.
#[derive(Clone)]
pub struct GatewaySecret(Zeroizing<Vec<u8>>);

impl GatewaySecret {
    /// Takes a secret of at least 32 bytes.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let bytes = Zeroizing::new(text.trim().as_bytes().to_vec());
        if bytes.len() < MIN_SECRET { Err(ConfigError::WeakSecret) } else { Ok(Self(bytes)) }
    }

    /// Whether this is the secret; the time it takes tells nothing but its length.
    pub(crate) fn is(&self, presented: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, presented).is_ok()
    }
}

impl fmt::Debug for GatewaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewaySecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn config(listen: &str) -> Config {
        Config::new(listen.parse().expect("an address"), DatabaseUrl::Sqlite("x.db".into()))
    }

    #[test]
    fn an_open_address_needs_a_secret() {
        for listen in ["127.0.0.1:0", "127.8.8.8:0", "[::1]:0"] {
            assert_eq!(config(listen).check(), Ok(()), "{listen}");
        }
        for listen in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0"] {
            let mut config = config(listen);
            assert_eq!(config.check(), Err(ConfigError::Exposed(config.listen)), "{listen}");
            config.gateway_secret = GatewaySecret::parse(SECRET).ok();
            assert_eq!(config.check(), Ok(()), "{listen} with a secret");
        }
    }

    #[test]
    fn a_secret_must_be_long_and_equal() {
        assert_eq!(GatewaySecret::parse(&SECRET[1..]).err(), Some(ConfigError::WeakSecret));
        let secret = GatewaySecret::parse(SECRET).expect("long enough");
        assert!(secret.is(SECRET.as_bytes()));
        for other in ["", &SECRET[1..], "0123456789abcdef0123456789abcdeF"] {
            assert!(!secret.is(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn database_urls_are_files_or_postgres() {
        for good in ["sqlite:data/x.db", "sqlite://x.db", "sqlite:///var/x.db"] {
            assert!(matches!(DatabaseUrl::parse(good), Ok(DatabaseUrl::Sqlite(_))), "{good}");
        }
        assert!(matches!(DatabaseUrl::parse("postgres://me@127.0.0.1/x\n"), Ok(DatabaseUrl::Postgres(_))));
        for bad in ["", "x.db", "mysql://x", "postgres:x", "sqlite:", "sqlite::memory:", "sqlite:x.db?mode=memory"] {
            assert!(DatabaseUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn neither_secrets_nor_urls_are_printed() {
        let mut config = config("127.0.0.1:0");
        config.gateway_secret = GatewaySecret::parse(SECRET).ok();
        config.database = DatabaseUrl::parse("postgres://me:hunter2@db.internal/x").expect("a URL");
        let printed = format!("{config:?}");
        for hidden in [SECRET, "hunter2", "db.internal"] {
            assert!(!printed.contains(hidden), "{printed}");
        }
    }
}
