//! `[process]`, `[telemetry]` and `[shutdown]`: what the process takes, what it writes and how it ends. Folders are
//! named here and opened by whoever writes to them; nothing here touches the disk.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;

use crate::config::reader::{Read, Table, Value};
use crate::config::{LogFormat, Process, Shutdown, Telemetry, values};

const MOST_WORKERS: u32 = 1024;
const NOTICE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(30);

/// Reads `[process]`.
pub(super) fn process(table: &mut Table<'_>) -> Read<Process> {
    Ok(Process { workers: table.optional("workers", workers)? })
}

fn workers(value: &Value<'_>) -> Read<NonZeroUsize> {
    let number = value.number(1..=MOST_WORKERS)?;
    Ok(usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN))
}

/// Reads `[telemetry]`.
pub(super) fn telemetry(table: &mut Table<'_>) -> Read<Telemetry> {
    let format = table.or("format", format, LogFormat::Text);
    let level = table.or("level", values::level, Level::INFO);
    let folder = table.optional("folder", values::text);
    let redact = table.or("redact", |value| value.list(values::text), Vec::new());
    Ok(Telemetry {
        format: format?,
        level: level?,
        folder: folder?.map(PathBuf::from),
        redact: redact?.iter().map(|name| name.to_ascii_lowercase()).collect(),
    })
}

fn format(value: &Value<'_>) -> Read<LogFormat> {
    value.choose("format", &[("json", LogFormat::Json), ("text", LogFormat::Text)])
}

/// Reads `[shutdown]`.
pub(super) fn shutdown(table: &mut Table<'_>) -> Read<Shutdown> {
    let notice = table.or("notice", values::duration_or_zero, NOTICE);
    let deadline = table.or("deadline", values::duration_or_zero, DEADLINE);
    Ok(Shutdown { notice: notice?, deadline: deadline? })
}
