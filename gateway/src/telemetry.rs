//! Logs: four streams to standard output and, if a folder is named, each to a file of its own. Libraries
//! are heard only from WARN up, since below it they print whole requests. What is logged of a request is
//! [`AccessLine`], which goes past the subscriber; nothing here ever sees a token or a body, and no request waits for
//! a line to be written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt as _};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Registry, fmt};

use crate::config::{LogFormat, Telemetry};

mod access;
mod file;
mod json;
mod line;
mod queue;
mod redact;
mod text;

pub use access::{AccessLine, AccessLog};
pub use redact::redact_query;

use file::LogFile;
use line::Writer;
use queue::Queue;

/// How long the last lines may take when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The streams; also the targets of our log lines.
const STREAMS: [&str; 4] = ["auth", "api", "error", "performance"];

/// The one that holds access lines.
const ACCESS: &str = "api";

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
    /// A thread that writes can't be started.
    #[error("logs can't be written: {0}")]
    Thread(#[from] io::Error),
    /// Logging was set up before.
    #[error(transparent)]
    Twice(#[from] TryInitError),
}

/// Keeps log files open; writes the last lines out when it is dropped.
pub struct Guard {
    files: Vec<LogFile>,
    queues: Vec<Queue>,
    access: AccessLog,
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

    /// Tells how many lines were lost.
    pub fn lost(&self) -> Lost {
        Lost(self.queues.clone())
    }

    /// Where access lines go.
    pub fn access_log(&self) -> AccessLog {
        self.access.clone()
    }

    fn queue<W>(&mut self, sink: W, writer: Writer) -> io::Result<Queue>
    where
        W: for<'w> fmt::MakeWriter<'w> + Send + 'static,
    {
        let queue = Queue::to(sink, writer)?;
        self.queues.push(queue.clone());
        Ok(queue)
    }

    fn file(&mut self, folder: &Path, stream: &str, writer: Writer) -> Result<Queue, TelemetryError> {
        let path = folder.join(format!("{stream}.log"));
        let file = LogFile::open(path.clone()).map_err(|why| TelemetryError::File { path, why })?;
        self.files.push(file.clone());
        Ok(self.queue(file, writer)?)
    }
}

/// How many lines were lost, of all streams together.
#[derive(Clone)]
pub struct Lost(Vec<Queue>);

impl Lost {
    /// So many so far.
    pub fn lines(&self) -> u64 {
        self.0.iter().map(Queue::lost).sum()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.flush(LAST_LINES);
        }
    }
}

/// Sets up logging for the whole process.
pub fn start(terms: &Telemetry) -> Result<Guard, TelemetryError> {
    let redact: Arc<[String]> = terms.redact.clone().into();
    let writer = || Writer::new(terms.format, Arc::clone(&redact));
    let mut guard = Guard { files: Vec::new(), queues: Vec::new(), access: AccessLog::nowhere() };
    let stdout = guard.queue(io::stdout, writer())?;
    let mut layers = vec![lines(terms.format, stdout.clone(), Box::new(audible(terms.level)))];
    let mut access = vec![stdout];
    if let Some(folder) = &terms.folder {
        for stream in STREAMS {
            let queue = guard.file(folder, stream, writer())?;
            access.extend((stream == ACCESS).then(|| queue.clone()));
            layers.push(lines(terms.format, queue, belongs_to(stream, terms.level)));
        }
    }
    tracing_subscriber::registry().with(layers).try_init()?;
    if terms.level >= tracing::Level::INFO {
        guard.access = AccessLog::to(access);
    }
    Ok(guard)
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;
type BoxedFilter = Box<dyn Filter<Registry> + Send + Sync>;

/// What is heard at all. DEBUG and TRACE of the engine and the store's client print headers and commands,
/// tokens included, so no configuration can turn them on.
///
/// The engine's proxy is not heard even above that: what it says of a head that it can't parse quotes the
/// bytes, cookies included. Each failure of a request is told by the journey, under the request's name.
fn audible(level: tracing::Level) -> Targets {
    let level = LevelFilter::from_level(level);
    let own = STREAMS.into_iter().chain([env!("CARGO_PKG_NAME")]).map(|target| (target, level));
    Targets::new()
        .with_targets(own)
        .with_target("pingora_proxy", LevelFilter::OFF)
        .with_default(level.min(LevelFilter::WARN))
}

/// What stands in the file of a stream: its own lines, and in `error` whatever went wrong anywhere.
fn belongs_to(stream: &'static str, level: tracing::Level) -> BoxedFilter {
    let audible = audible(level);
    let failure = move |meta: &tracing::Metadata<'_>| stream == "error" && *meta.level() <= tracing::Level::WARN;
    let belongs = move |meta: &tracing::Metadata<'_>| meta.target() == stream || failure(meta);
    Box::new(filter_fn(move |meta| belongs(meta) && audible.would_enable(meta.target(), meta.level())))
}

fn lines<W>(format: LogFormat, writer: W, filter: BoxedFilter) -> BoxedLayer
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).map_event_format(json::Plain);
            layer.with_filter(filter).boxed()
        }
        LogFormat::Text => layer.fmt_fields(text::fields()).with_filter(filter).boxed(),
    }
}

#[cfg(test)]
mod tests;
