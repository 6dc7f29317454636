//! The command line: what was typed, or set in the environment, and the [`Config`] that it means.

use std::env::VarError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use portcullis_backend::hashing::PoolSize;
use portcullis_backend::{Config, ConfigError, DatabaseUrl, GatewaySecret};
use thiserror::Error;

/// Serves users and posts to the gateway that stands in front of it.
///
/// It believes the X-User-Id of whoever asks, so it listens on a loopback address, or asks for a secret that
/// only the gateway knows.
#[derive(Debug, Parser)]
#[command(name = "portcullis-backend", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Address and port to listen on; port 0 takes any free one.
    #[arg(long, env = "PORTCULLIS_BACKEND_LISTEN", default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// Database to use: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`. A URL with a password is better given
    /// by the environment or by --database-file, since other users can see command lines.
    #[arg(
        long,
        env = "PORTCULLIS_BACKEND_DATABASE",
        hide_env_values = true,
        default_value = "sqlite:data/backend.db",
        value_name = "URL"
    )]
    database: String,

    /// File that holds the database URL; goes before --database.
    #[arg(long, env = "PORTCULLIS_BACKEND_DATABASE_FILE", value_name = "FILE")]
    database_file: Option<PathBuf>,

    /// Name of the environment variable that holds a secret of at least 32 bytes; requests must then carry it
    /// in X-Gateway-Secret.
    #[arg(long, env = "PORTCULLIS_BACKEND_GATEWAY_SECRET_ENV", value_name = "NAME")]
    gateway_secret_env: Option<String>,

    /// Threads that hash passwords, 19 MiB each [default: half of the cores]
    #[arg(long, env = "PORTCULLIS_BACKEND_PASSWORD_THREADS", value_name = "COUNT")]
    password_threads: Option<usize>,

    /// How many passwords may wait to be hashed before more are refused [default: 32 for each thread]
    #[arg(long, env = "PORTCULLIS_BACKEND_PASSWORD_QUEUE", value_name = "COUNT")]
    password_queue: Option<usize>,

    /// How long running requests may go on after SIGTERM or SIGINT, like 10s; a second signal ends them at once.
    #[arg(
        long,
        env = "PORTCULLIS_BACKEND_DRAIN",
        default_value = "10s",
        value_parser = humantime::parse_duration,
        value_name = "TIME"
    )]
    drain: Duration,

    /// Form of the logs.
    #[arg(long, env = "PORTCULLIS_BACKEND_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// What is logged: a level (error, warn, info, debug), or a list like warn,api=info.
    #[arg(long, env = "PORTCULLIS_BACKEND_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped as asked, every request answered
  1  could not start or go on: database, address, or requests cut off when stopping
  2  wrong arguments or settings";

/// Form of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the command line means nothing.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    #[error("can't read the database URL from {path}: {source}")]
    DatabaseFile { path: PathBuf, source: io::Error },
    #[error("the gateway secret is to be read from {name}: {source}")]
    GatewaySecret { name: String, source: VarError },
    #[error("{0}")]
    Config(#[from] ConfigError),
}

impl Cli {
    /// What the command line means.
    pub(crate) fn config(&self) -> Result<Config, CliError> {
        let mut config = Config::new(self.listen, self.database()?);
        config.gateway_secret = self.gateway_secret()?;
        let threads = self.password_threads.unwrap_or(config.hashing.threads);
        let queue = self.password_queue.unwrap_or_else(|| threads.saturating_mul(32));
        config.hashing = PoolSize { threads, queue };
        config.drain = self.drain;
        config.check()?;
        Ok(config)
    }

    fn database(&self) -> Result<DatabaseUrl, CliError> {
        let Some(path) = &self.database_file else { return Ok(DatabaseUrl::parse(&self.database)?) };
        let url =
            std::fs::read_to_string(path).map_err(|source| CliError::DatabaseFile { path: path.clone(), source })?;
        Ok(DatabaseUrl::parse(&url)?)
    }

    fn gateway_secret(&self) -> Result<Option<GatewaySecret>, CliError> {
        let Some(name) = &self.gateway_secret_env else { return Ok(None) };
        let text = std::env::var(name).map_err(|source| CliError::GatewaySecret { name: name.clone(), source })?;
        Ok(Some(GatewaySecret::parse(&text)?))
    }
}
