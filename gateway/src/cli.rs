//! The command line: one file a subcommand. Each reads the configuration, does one thing and gives an exit
//! code; only `run` serves. Results go to standard output, errors to standard error.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::admin::administration::Administration;
use crate::app;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::store::StoreError;

mod check;
mod explain;
mod keys;
mod routes;
mod run;
mod sessions;
mod users;

/// An edge auth gateway: login, sessions, tokens, limits and load balancing in front of any HTTP API.
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    /// The configuration file. Without it `portcullis.toml` in this folder is read, or else
    /// `/etc/portcullis/portcullis.toml`.
    #[arg(long, short, global = true, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 all is well; 1 the configuration or the input is wrong; 2 the command line is wrong; \
3 the gateway could not start; 4 it stopped before all requests had ended.

Signals: TERM and INT stop the gateway after requests in flight, a second one at once; \
HUP loads the configuration again and reopens log files.";

#[derive(Subcommand)]
enum Command {
    /// Serve until a signal says stop.
    Run,
    /// Check configuration files and report every error in them, with its line and remedy.
    Check {
        /// The files to check; the configuration file if there are none.
        files: Vec<PathBuf>,
    },
    /// Print all routes in the order in which they are tried.
    Routes,
    /// Tell what would happen to a request, without sending anything.
    Explain(explain::Question),
    /// Make and list the keys that sign access tokens.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// List and end sessions, in the store, whether a gateway runs or not.
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// Show, disable and enable users, in the store, whether a gateway runs or not.
    #[command(subcommand)]
    Users(users::Users),
    /// Print the version.
    Version,
}

/// How a command ended.
pub(crate) enum Ending {
    Well,
    BadInput,
    CouldNotStart,
    CutOff,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Well => 0,
            Ending::BadInput => 1,
            Ending::CouldNotStart => 3,
            Ending::CutOff => 4,
        })
    }
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let Cli { config, command } = Cli::parse();
    let config = config.unwrap_or_else(default_config);
    match command {
        Command::Run => run::run(&config),
        Command::Check { files } => check::check(if files.is_empty() { vec![config] } else { files }),
        Command::Routes => with_config(&config, |config| {
            print(&routes::table(&config));
            Ending::Well
        }),
        Command::Explain(question) => with_config(&config, |config| question.answer(&config)),
        Command::Keys(keys) => with_config(&config, |config| keys.act(&config)),
        Command::Sessions(sessions) => with_config(&config, |config| sessions.act(&config)),
        Command::Users(users) => with_config(&config, |config| users.act(&config)),
        Command::Version => {
            print(concat!("portcullis ", env!("CARGO_PKG_VERSION"), "\n"));
            Ending::Well
        }
    }
    .into()
}

fn default_config() -> PathBuf {
    let here = Path::new("portcullis.toml");
    if here.exists() { here.to_owned() } else { PathBuf::from("/etc/portcullis/portcullis.toml") }
}

fn load(path: &Path) -> Result<Config, config::ConfigErrors> {
    config::load(path, &|name| std::env::var(name).ok())
}

fn with_config(path: &Path, act: impl FnOnce(Config) -> Ending) -> Ending {
    match load(path) {
        Ok(config) => act(config),
        Err(errors) => {
            complain(&errors);
            Ending::BadInput
        }
    }
}

/// Writes a result. A reader that has gone away (`| head`) is no error.
fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes an error.
fn complain(error: &dyn std::fmt::Display) {
    use std::io::Write as _;
    let mut text = String::new();
    let _ = writeln!(text, "{error}");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Runs something that waits, for commands that do not serve.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime needs nothing but memory and a file descriptor").block_on(future)
}

/// Does something in the store of a configuration: prints what came of it, or complains.
fn with_store<F>(config: &Config, act: F) -> Ending
where
    F: AsyncFnOnce(&Administration<'_>) -> Result<Result<String, String>, StoreError>,
{
    let done = block_on(async {
        let store = app::open_store(&config.store).await?;
        let (memory, now) = (config.tokens.memory(), Clock::system().now());
        act(&Administration { store: &*store, memory, now }).await
    });
    let remedy =
        |error| format!("try again: {error}; see that [store] of the configuration is right, and that it runs");
    match done.map_err(remedy).flatten() {
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

/// One line of JSON.
fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).expect("our own shapes have text keys and no failing parts");
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_text_is_a_sentence() {
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.chars().next().is_some_and(char::is_uppercase), "{}: {about}", command.get_name());
        }
    }
}
