//! `[overload]`: how much may be on its way at once, and how many bad tokens an address may send. All of it has a
//! default, since a gateway without bounds falls over under the first crowd. What counts is not known here.

use std::time::Duration;

use crate::config::Overload;
use crate::config::reader::{Read, Table, Value, Wrong};
use crate::limit::Quota;
use crate::overload::Capacity;

use super::limits;

const REQUESTS: u32 = 10_000;
const STREAMS: u32 = 10_000;
const RESERVE: u32 = 20;
const MOST: u32 = 1_000_000;

/// `[overload]`, and the share that every other section keeps for known callers too.
pub(super) struct Terms {
    pub(super) overload: Overload,
    pub(super) reserve: u32,
}

/// Reads `[overload]`.
pub(super) fn overload(table: &mut Table<'_>) -> Read<Terms> {
    let requests = table.or("requests", places, REQUESTS);
    let streams = table.or("streams", places, STREAMS);
    let reserve = table.or("reserve", reserve, RESERVE);
    let bad_tokens = table.or("bad_tokens", |value| value.table(limits::quota), bad_tokens());
    let (requests, streams, reserve) = (requests?, streams?, reserve?);
    let overload = Overload {
        requests: Capacity::new(requests, reserve),
        streams: Capacity::new(streams, reserve),
        bad_tokens: bad_tokens?,
    };
    Ok(Terms { overload, reserve })
}

/// How many may be on their way at once.
pub(super) fn places(value: &Value<'_>) -> Read<u32> {
    value.number(1..=MOST)
}

/// A share in percent that leaves some for everybody.
fn reserve(value: &Value<'_>) -> Read<u32> {
    value.parse(|raw| {
        let percent = raw.strip_suffix('%').and_then(|number| number.parse().ok());
        percent.filter(|percent| *percent <= 90).ok_or_else(|| Wrong("write a share from \"0%\" to \"90%\"".to_owned()))
    })
}

fn bad_tokens() -> Quota {
    Quota::new(20, Duration::from_secs(1), 100).expect("some a second can be counted")
}
