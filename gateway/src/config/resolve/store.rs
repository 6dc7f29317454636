//! `[store]` and `[revocation]`: where state lives, and when it is asked. A connection URL with credentials is a secret and comes
//! from the environment or a file. Nothing here connects.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::reader::{Read, Table, Value, Wrong};
use crate::config::{Revocation, StoreConfig, hints, secrets, values};
use crate::secret::Secret;

const TIMEOUT: Duration = Duration::from_millis(250);
const CONNECTIONS: u32 = 4;
const STREAM_INTERVAL: Duration = Duration::from_secs(1);
const SHORTEST_STREAM_INTERVAL: Duration = Duration::from_millis(50);
const LONGEST_STREAM_INTERVAL: Duration = Duration::from_mins(1);
const MAX_STALENESS: Duration = Duration::from_secs(2);
const SHORTEST_STALENESS: Duration = Duration::from_millis(250);
const LONGEST_STALENESS: Duration = Duration::from_mins(1);
const PREFIX: &str = "portcullis";
const SCHEMES: [&str; 3] = ["redis://", "rediss://", "redis-sentinel://"];
const KINDS: &str = r#"write "embedded:data/portcullis.db", "redis://HOST:6379", or { env = "REDIS_URL" }"#;

enum Place {
    File(PathBuf),
    Redis(Secret),
}

/// Reads `[store]`.
pub(super) fn store(value: &Value<'_>) -> Read<StoreConfig> {
    value.table(|table| {
        let place = table.required("url", place, KINDS);
        let timeout = table.optional("timeout", values::duration);
        let connections = table.optional("connections", |value| value.number(1..=64));
        let prefix = table.optional("prefix", prefix);
        match place? {
            Place::File(path) => {
                only_for_redis(table, timeout?.is_some() || connections?.is_some() || prefix?.is_some())?;
                Ok(StoreConfig::Embedded { path })
            }
            Place::Redis(url) => Ok(StoreConfig::Redis {
                url,
                timeout: timeout?.unwrap_or(TIMEOUT),
                connections: connections?.unwrap_or(CONNECTIONS) as usize,
                prefix: prefix?.unwrap_or_else(|| PREFIX.to_owned()),
            }),
        }
    })
}

fn only_for_redis(table: &Table<'_>, given: bool) -> Read<()> {
    if given { Err(table.refuse("timeout, connections and prefix are for Redis; leave them out")) } else { Ok(()) }
}

fn place(value: &Value<'_>) -> Read<Place> {
    if value.is_table() {
        let url = secrets::secret(value)?;
        return match parse_place(url.expose_str().unwrap_or_default()) {
            Ok(place) => Ok(place),
            Err(wrong) => Err(value.refuse(wrong)),
        };
    }
    value.parse(|raw| match parse_place(raw) {
        Ok(Place::Redis(_)) if holds_credentials(raw) => Err(Wrong(
            "a URL with credentials is a secret; write { env = \"REDIS_URL\" } or { file = \"PATH\" }, and change the password"
                .to_owned(),
        )),
        place => place,
    })
}

fn parse_place(url: &str) -> Result<Place, Wrong> {
    match url.strip_prefix("embedded:") {
        Some("") => Err(Wrong("the path is missing; write \"embedded:data/portcullis.db\"".to_owned())),
        Some(path) => Ok(Place::File(path.into())),
        None if url.starts_with("redis-cluster://") || url.starts_with("rediss-cluster://") => {
            Err(Wrong("Redis Cluster is not supported in this version; use one Redis or Sentinel".to_owned()))
        }
        None => match SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme)) {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(Place::Redis(Secret::new(url))),
            Some(_) => Err(Wrong("the URL has no host; write \"redis://HOST:6379\"".to_owned())),
            None => Err(Wrong(format!("this is no store; {KINDS}"))),
        },
    }
}

/// Whether there is anything in the URL that may be a password.
fn holds_credentials(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query).to_ascii_lowercase();
    url.contains('@') || query.contains("pass") || query.contains("user")
}

/// What every key in Redis begins with. Braces would change where a Cluster keeps a key.
fn prefix(value: &Value<'_>) -> Read<String> {
    value.parse(|raw| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        match raw.len() {
            1..=32 if raw.bytes().all(good) => Ok(raw.to_owned()),
            _ => Err(Wrong("write up to 32 letters, digits, \"-\", \"_\" or \".\"".to_owned())),
        }
    })
}

/// Reads `[revocation]`. A revocation is `remembered` for so long, if that could be read.
pub(super) fn revocation(table: &mut Table<'_>, remembered: Option<Duration>) -> Read<Revocation> {
    let longest =
        remembered.map_or(LONGEST_STREAM_INTERVAL, |remembered| (remembered / 2).min(LONGEST_STREAM_INTERVAL));
    let is_replicated = table.or("mode", is_replicated, false);
    let max_staleness = table.optional("max_staleness", max_staleness);
    let interval = table.or("stream_interval", |value| stream_interval(value, longest), longest.min(STREAM_INTERVAL));
    let max_staleness = match (is_replicated?, max_staleness?) {
        (true, bound) => Some(bound.unwrap_or(MAX_STALENESS)),
        (false, None) => None,
        (false, Some(_)) => return Err(table.refuse("max_staleness is for mode = \"replicated\"; leave it out")),
    };
    Ok(Revocation { max_staleness, stream_interval: interval? })
}

/// Short, since an open stream outlives its session by about this; not too short, since each gateway asks so often.
/// What was revoked is seen before it is forgotten.
fn stream_interval(value: &Value<'_>, longest: Duration) -> Read<Duration> {
    let span = values::duration(value)?;
    match () {
        () if span < SHORTEST_STREAM_INTERVAL => {
            Err(value.refuse(format_args!("write at least \"{}\"", values::shown(SHORTEST_STREAM_INTERVAL))))
        }
        () if span > longest => {
            let longest = values::shown(longest);
            Err(value.refuse(format_args!("write at most \"{longest}\", or raise tokens.access_ttl if that is short")))
        }
        () => Ok(span),
    }
}

fn is_replicated(value: &Value<'_>) -> Read<bool> {
    value.parse(|raw| match raw {
        "every_request" => Ok(false),
        "replicated" => Ok(true),
        _ => Err(Wrong(hints::unknown("mode", raw, ["every_request", "replicated"].into_iter()))),
    })
}

/// Long enough for a Redis that is slow for a moment; short, since a token may outlive its revocation by this.
fn max_staleness(value: &Value<'_>) -> Read<Duration> {
    let span = values::duration(value)?;
    if (SHORTEST_STALENESS..=LONGEST_STALENESS).contains(&span) {
        return Ok(span);
    }
    let (shortest, longest) = (values::shown(SHORTEST_STALENESS), values::shown(LONGEST_STALENESS));
    Err(value.refuse(format_args!("write \"{shortest}\" to \"{longest}\"")))
}
