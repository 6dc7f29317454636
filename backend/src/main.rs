//! The binary: command line → configuration → service → signal → drain. The only place that ends the
//! process, and the only one that prints other than by logs.

mod cli;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use portcullis_backend::{Config, Server, Stopped};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use cli::{Cli, LogFormat};

const FAILED: u8 = 1;
const MISUSED: u8 = 2; // as clap has it

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match start_logs(&cli).and_then(|()| cli.config().map_err(|error| error.to_string())) {
        Ok(config) => config,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(MISUSED);
        }
    };
    let served = Builder::new_multi_thread().enable_all().build().and_then(|runtime| runtime.block_on(serve(config)));
    match served {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(target: "error", %error, "the service could not be run");
            ExitCode::from(FAILED)
        }
    }
}

/// Serves until a signal asks to stop.
async fn serve(config: Config) -> io::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let database = config.database.kind();
    let server = match Server::start(config).await {
        Ok(server) => server,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(target: "error", cause, "{error}");
            return Ok(ExitCode::from(FAILED));
        }
    };
    tracing::info!(address = %server.address(), database, "listening");
    signals.next().await;
    tracing::info!("stopping: running requests may finish");
    tokio::select! {
        stopped = server.stop() => Ok(report(stopped)),
        () = signals.next() => {
            tracing::warn!("asked twice: stopping at once");
            Ok(ExitCode::from(FAILED))
        }
    }
}

fn report(stopped: Stopped) -> ExitCode {
    match stopped {
        Stopped::Drained => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Stopped::CutOff { connections } => {
            tracing::warn!(connections, "stopped; some requests took too long and were cut off");
            ExitCode::from(FAILED)
        }
    }
}

/// The signals that ask to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn start_logs(cli: &Cli) -> Result<(), String> {
    let filter = EnvFilter::try_new(&cli.log).map_err(|error| format!("--log: {error}"))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stdout().is_terminal());
    let started = match cli.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| error.to_string())
}
