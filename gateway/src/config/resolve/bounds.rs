//! The keys of `[listeners.NAME]` that bound what clients may cost. Each has a default that is safe on the open
//! internet and that a usual client never meets.

use std::time::Duration;

use crate::config::reader::{Read, Table, Value};
use crate::config::{BodyPace, Bounds, values};

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: u64 = 32 * 1024;
/// What the engine's parser takes is more than a mebibyte; nobody means that.
const MOST_HEADER_BYTES: u64 = 256 * 1024;
const LEAST_HEADER_BYTES: u64 = 1024;
const REQUESTS_PER_CONNECTION: u32 = 1000;
const REQUEST_TIMEOUT: Duration = Duration::from_mins(5);
const MIN_BODY_RATE: u64 = 500;
const GRACE: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: u32 = 10_000;
const CONNECTIONS_PER_ADDRESS: u32 = 256;
const STREAMS_PER_ADDRESS: u32 = 500;
const MANY: u32 = 1_000_000;

/// Reads them.
pub(super) fn bounds(table: &mut Table<'_>) -> Read<Bounds> {
    let header_timeout = table.or("header_timeout", values::duration, HEADER_TIMEOUT);
    let max_header_bytes = table.or("max_header_bytes", header_bytes, MAX_HEADER_BYTES);
    let requests = table.or("requests_per_connection", many, REQUESTS_PER_CONNECTION);
    let request_timeout = table.or("request_timeout", values::duration, REQUEST_TIMEOUT);
    let min_rate = table.or("min_body_rate", values::byte_rate, MIN_BODY_RATE);
    let whole = request_timeout.as_ref().copied().unwrap_or(Duration::MAX);
    let grace = table.or("body_grace", |value| grace(value, whole), GRACE.min(whole));
    let max_connections = table.or("max_connections", many, MAX_CONNECTIONS);
    let per_address = table.or("connections_per_address", many, CONNECTIONS_PER_ADDRESS);
    let streams = table.or("streams_per_address", many, STREAMS_PER_ADDRESS);
    Ok(Bounds {
        header_timeout: header_timeout?,
        max_header_bytes: usize::try_from(max_header_bytes?).unwrap_or(usize::MAX),
        requests_per_connection: requests?,
        body: BodyPace { request_timeout: request_timeout?, min_rate: min_rate?, grace: grace? },
        max_connections: max_connections? as usize,
        connections_per_address: per_address? as usize,
        streams_per_address: streams?,
    })
}

fn many(value: &Value<'_>) -> Read<u32> {
    value.number(1..=MANY)
}

fn grace(value: &Value<'_>, whole: Duration) -> Read<Duration> {
    let grace = values::duration(value)?;
    if grace > whole {
        return Err(value.refuse("the whole request has to arrive before it is over; write at most request_timeout"));
    }
    Ok(grace)
}

fn header_bytes(value: &Value<'_>) -> Read<u64> {
    let bytes = values::bytes(value)?;
    if (LEAST_HEADER_BYTES..=MOST_HEADER_BYTES).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(value.refuse("write a size from \"1KiB\" to \"256KiB\""))
    }
}
