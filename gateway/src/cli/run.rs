//! `portcullis run`: starts the gateway and does what signals say. A first TERM or INT lets requests in
//! flight end, a second ends at once; HUP loads the configuration again, and what is wrong with it changes
//! nothing. What a gateway is made of is not known here.

use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::{Ending, complain, load};
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::descriptors;
use crate::panics;
use crate::telemetry;

pub(super) fn run(path: &Path) -> Ending {
    let config = match load(path) {
        Ok(config) => config,
        Err(errors) => {
            complain(&errors);
            return Ending::BadInput;
        }
    };
    let logs = match telemetry::start(&config.telemetry) {
        Ok(logs) => logs,
        Err(error) => {
            complain(&error);
            return Ending::CouldNotStart;
        }
    };
    panics::log_them();
    descriptors::raise(&config.overload);
    // Connections have workers of their own, if there is more than one; here is all the rest.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&error);
            return Ending::CouldNotStart;
        }
    };
    let ending = runtime.block_on(serve(path, config, &logs));
    runtime.shutdown_background(); // Whatever is still running was given its time.
    ending
}

async fn serve(path: &Path, config: Config, logs: &telemetry::Guard) -> Ending {
    let started = async {
        let signals = Signals::listen()?;
        let app = App::start(config, Clock::system(), logs.access_log()).await?;
        Ok::<_, Box<dyn std::error::Error>>((signals, app))
    };
    let (mut signals, mut app) = match started.await {
        Ok(started) => started,
        Err(error) => {
            error!(target: "error", %error, "the gateway could not start");
            return Ending::CouldNotStart;
        }
    };
    app.watch_logs(logs.lost());
    for (listener, address) in app.addresses() {
        info!(target: "api", listener, %address, "listening");
    }
    info!(target: "api", address = %app.admin_address(), "admin listening");
    while let Said::Reload = signals.next().await {
        logs.reopen();
        reload(path, &mut app).await;
    }
    info!(target: "api", "stopping: requests in flight may end, another signal ends at once");
    let ended = app.ended();
    let ending = tokio::select! {
        drained = app.shut_down() => if drained { Ending::Well } else { Ending::CutOff },
        () = signals.stop() => Ending::CutOff,
    };
    ended.await; // What was cut off has its access lines, too.
    ending
}

async fn reload(path: &Path, app: &mut App) {
    match load(path) {
        Ok(config) => {
            if let Err(error) = app.reload(config).await {
                warn!(target: "error", %error, "the configuration was not loaded again; the last one stays");
            }
        }
        Err(errors) => {
            app.refuse_reload();
            error!(target: "error", %errors, "the new configuration is wrong; the last one stays");
        }
    }
}

/// What a signal says.
enum Said {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Said {
        tokio::select! {
            _ = self.terminate.recv() => Said::Stop,
            _ = self.interrupt.recv() => Said::Stop,
            _ = self.hang_up.recv() => Said::Reload,
        }
    }

    async fn stop(&mut self) {
        while let Said::Reload = self.next().await {}
    }
}
