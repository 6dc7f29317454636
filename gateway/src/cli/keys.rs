//! `portcullis keys`: makes and lists the keys that sign access tokens. A key made in the store signs once
//! every gateway knows it; one made in a file is named by the configuration. Private material is written
//! only to that file or to the store, never to the terminal.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Ending, block_on, complain, print};
use crate::app;
use crate::auth::keyring::new_signing_key;
use crate::auth::keys::SigningKey;
use crate::clock::Clock;
use crate::config::{Algorithm, Config, Signing};
use crate::store::{KeyPurpose, StoreError};

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Make a new signing key, in the store or in a file.
    Generate {
        /// How it signs: ES256, EdDSA, RS256 or HS256. Without it the configured algorithm is taken.
        #[arg(long, value_parser = algorithm)]
        algorithm: Option<Algorithm>,
        /// Write the key to this new file instead, readable by its owner only.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List the keys in use by name; the first that every gateway knows signs.
    List,
}

fn algorithm(raw: &str) -> Result<Algorithm, String> {
    Algorithm::parse(raw).ok_or_else(|| "write ES256, EdDSA, RS256 or HS256".to_owned())
}

impl Keys {
    pub(super) fn act(self, config: &Config) -> Ending {
        let done = match self {
            Self::Generate { algorithm, out: Some(file) } => to_file(configured(config, algorithm), &file),
            Self::Generate { algorithm, out: None } => {
                block_on(to_store(config, configured(config, algorithm))).map_err(|error| error.to_string())
            }
            Self::List => block_on(list(config)).map_err(|error| error.to_string()),
        };
        match done {
            Ok(text) => {
                print(&text);
                Ending::Well
            }
            Err(error) => {
                complain(&error);
                Ending::BadInput
            }
        }
    }
}

fn configured(config: &Config, asked: Option<Algorithm>) -> Algorithm {
    asked.unwrap_or(match config.tokens.signing {
        Signing::Stored(algorithm) | Signing::Given { algorithm, .. } => algorithm,
    })
}

fn to_file(algorithm: Algorithm, file: &Path) -> Result<String, String> {
    let key = SigningKey::generate(algorithm);
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    created
        .and_then(|mut created| created.write_all(key.expose()))
        .map_err(|why| format!("{} can't be written: {why}", file.display()))?;
    Ok(format!("{} holds a new {} key\n", file.display(), algorithm.name()))
}

async fn to_store(config: &Config, algorithm: Algorithm) -> Result<String, StoreError> {
    let store = app::open_store(&config.store).await?;
    let key = new_signing_key(algorithm, Clock::system().now());
    store.add_key(&key).await?;
    Ok(format!(
        "{} ({}) is in the store; it signs in about a minute, once every gateway knows it\n",
        key.name, key.algorithm
    ))
}

async fn list(config: &Config) -> Result<String, StoreError> {
    let mut text = String::from("KEY                                          ALGORITHM  FROM\n");
    if let Signing::Given { algorithm, key, kid } = &config.tokens.signing {
        let name = SigningKey::read(*algorithm, key, kid.clone()).map(|key| key.public().kid().to_string());
        let _ = writeln!(text, "{:43}  {:9}  the configuration", name.unwrap_or_default(), algorithm.name());
    }
    for key in app::open_store(&config.store).await?.keys(KeyPurpose::Signing).await? {
        let _ = writeln!(text, "{:43}  {:9}  the store, {}", key.name, key.algorithm, key.created_at.to_rfc3339());
    }
    Ok(text)
}
