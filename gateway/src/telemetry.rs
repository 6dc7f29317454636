//! Logs: four streams to standard output and, if a folder is named, each to a file of its own. Libraries
//! are heard only from WARN up, since below it they print whole requests. What is logged of a request is
//! [`AccessLine`]; nothing here ever sees a token or a body.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt as _};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Registry, fmt};

use crate::config::{LogFormat, Telemetry};

mod access;
mod file;
mod redact;

pub use access::AccessLine;
pub use redact::redact_query;

use file::LogFile;

/// The streams; also the targets of our log lines.
const STREAMS: [&str; 4] = ["auth", "api", "error", "performance"];

/// Why logs can't be written.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// A file can't be opened.
    #[error("the log file {} can't be written: {why}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// Logging was set up before.
    #[error(transparent)]
    Twice(#[from] TryInitError),
}

/// Keeps log files open.
pub struct Guard {
    files: Vec<LogFile>,
}

impl Guard {
    /// Opens the files anew, after they were moved away.
    pub fn reopen(&self) {
        for file in &self.files {
            if let Err(why) = file.reopen() {
                tracing::error!(target: "error", file = %file.path().display(), %why, "a log file can't be opened again");
            }
        }
    }
}

/// Sets up logging for the whole process.
pub fn start(terms: &Telemetry) -> Result<Guard, TelemetryError> {
    let mut files = Vec::new();
    let mut layers = vec![lines(terms.format, io::stdout, Box::new(audible(terms.level)))];
    for stream in terms.folder.iter().flat_map(|_| STREAMS) {
        let path = terms.folder.as_deref().unwrap_or_else(|| "".as_ref()).join(format!("{stream}.log"));
        let file = LogFile::open(path.clone()).map_err(|why| TelemetryError::File { path, why })?;
        files.push(file.clone());
        layers.push(lines(terms.format, file, belongs_to(stream, terms.level)));
    }
    tracing_subscriber::registry().with(layers).try_init()?;
    Ok(Guard { files })
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;
type BoxedFilter = Box<dyn Filter<Registry> + Send + Sync>;

/// What is heard at all. DEBUG and TRACE of the engine and the store's client print headers and commands,
/// tokens included, so no configuration can turn them on.
fn audible(level: tracing::Level) -> Targets {
    let own = STREAMS.into_iter().map(|stream| (stream, LevelFilter::from_level(level)));
    Targets::new().with_targets(own).with_default(LevelFilter::WARN)
}

/// What stands in the file of a stream: its own lines, and in `error` whatever went wrong anywhere.
fn belongs_to(stream: &'static str, level: tracing::Level) -> BoxedFilter {
    let failure = move |meta: &tracing::Metadata<'_>| stream == "error" && *meta.level() <= tracing::Level::WARN;
    let own = move |meta: &tracing::Metadata<'_>| meta.target() == stream && *meta.level() <= level;
    Box::new(filter_fn(move |meta| own(meta) || failure(meta)))
}

fn lines<W>(format: LogFormat, writer: W, filter: BoxedFilter) -> BoxedLayer
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).with_filter(filter).boxed(),
        LogFormat::Text => layer.with_filter(filter).boxed(),
    }
}

#[cfg(test)]
mod tests;
