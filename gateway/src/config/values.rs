//! Reads the kinds of values that a configuration holds: spans of time, rates, names, paths, pointers. Each
//! reader takes a [`Value`] and tells in its mistakes what to write instead. Addresses and secrets have
//! files of their own; defaults and rules between keys are the concern of `resolve`.

use std::time::Duration;

use http::Method;
use tracing::Level;

use super::hints::{quoted, unknown};
use super::reader::{Read, Value, Wrong};
use crate::ids::{IdError, Kid};
use crate::routing::{HostPattern, PathPattern, Rewrite};

/// The longest span of time that means anything here.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// A span of time with its unit, longer than zero.
pub(super) fn duration(value: &Value<'_>) -> Read<Duration> {
    let span = duration_or_zero(value)?;
    if span.is_zero() {
        return Err(value.refuse("zero is too short; write a longer time"));
    }
    Ok(span)
}

/// A span of time with its unit.
pub(super) fn duration_or_zero(value: &Value<'_>) -> Read<Duration> {
    match value.bare_number() {
        Some(number) => Err(value.refuse(no_unit(&number))),
        None => value.parse(parse_duration),
    }
}

fn no_unit(number: &str) -> String {
    format!("{number} has no unit; write \"{number}s\", \"{number}m\", \"{number}h\" or \"{number}d\"")
}

fn parse_duration(raw: &str) -> Result<Duration, Wrong> {
    if !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong(no_unit(raw)));
    }
    // humantime reads "15M" as 15 months, which nobody means.
    let lower_case = !raw.bytes().any(|byte| byte.is_ascii_uppercase());
    match humantime::parse_duration(raw) {
        Ok(span) if lower_case && span <= LONGEST => Ok(span),
        Ok(_) if lower_case => Err(Wrong(format!("{} is longer than 10 years", quoted(raw)))),
        _ => Err(Wrong(format!(
            "{} is no span of time; write \"250ms\", \"30s\", \"15m\", \"12h\" or \"7d\"",
            quoted(raw)
        ))),
    }
}

/// A span of time as it may be written.
pub(super) fn shown(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let (unit, name) = units.into_iter().find(|(unit, _)| millis.is_multiple_of(*unit)).unwrap_or((1, "ms"));
    format!("{}{name}", millis / unit)
}

/// How many, in how much time: `100/min`, `5/10s`.
pub(super) fn rate(value: &Value<'_>) -> Read<(u32, Duration)> {
    match value.bare_number() {
        Some(number) => Err(value.refuse(no_period(&number))),
        None => value.parse(parse_rate),
    }
}

fn no_period(number: &str) -> String {
    format!("{number} in what time? write \"{number}/s\", \"{number}/min\" or \"{number}/hour\"")
}

fn parse_rate(raw: &str) -> Result<(u32, Duration), Wrong> {
    if raw.parse::<u32>().is_ok() {
        return Err(Wrong(no_period(raw)));
    }
    let (count, period) = raw.split_once('/').unwrap_or((raw, ""));
    let period = period.trim();
    let span = match period {
        "s" | "sec" | "second" => Some(Duration::from_secs(1)),
        "m" | "min" | "minute" => Some(Duration::from_mins(1)),
        "h" | "hour" => Some(Duration::from_hours(1)),
        "d" | "day" => Some(Duration::from_hours(24)),
        _ => parse_duration(period).ok().filter(|span| !span.is_zero()),
    };
    match (count.trim().parse().ok().filter(|count| *count > 0), span) {
        (Some(count), Some(span)) => Ok((count, span)),
        _ => Err(Wrong(format!("{} is no rate; write \"100/min\", \"5/s\" or \"5/10s\"", quoted(raw)))),
    }
}

/// A number of bytes with its unit.
pub(super) fn bytes(value: &Value<'_>) -> Read<u64> {
    match value.bare_number() {
        Some(number) => Err(value.refuse(no_size(&number))),
        None => value.parse(parse_bytes),
    }
}

/// A number of bytes with its unit, or none at all: `0B`.
pub(super) fn bytes_or_zero(value: &Value<'_>) -> Read<u64> {
    match value.bare_number() {
        Some(number) => Err(value.refuse(no_size(&number))),
        None => value.parse(|raw| if raw == "0B" { Ok(0) } else { parse_bytes(raw) }),
    }
}

/// Bytes in a second: `500B/s`.
pub(super) fn byte_rate(value: &Value<'_>) -> Read<u64> {
    value.parse(|raw| match raw.strip_suffix("/s").map(parse_bytes) {
        Some(Ok(bytes)) => Ok(bytes),
        _ => Err(Wrong(format!("{} is no rate of bytes; write \"500B/s\" or \"2KiB/s\"", quoted(raw)))),
    })
}

fn no_size(number: &str) -> String {
    format!("{number} has no unit; write \"{number}B\", \"{number}KiB\" or \"{number}MiB\"")
}

fn parse_bytes(raw: &str) -> Result<u64, Wrong> {
    const UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let digits = raw.len() - raw.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = raw.split_at(digits);
    if unit.is_empty() && !number.is_empty() {
        return Err(Wrong(no_size(raw)));
    }
    let factor = UNITS.into_iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| factor);
    match number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor)) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(Wrong(format!("{} is no size; write \"500B\", \"32KiB\", \"16MiB\" or \"2GiB\"", quoted(raw)))),
    }
}

/// The name of an entry that the user chose: `parse` is the `parse` of its id.
pub(super) fn name<T>(raw: &str, parse: fn(&str) -> Result<T, IdError>) -> Result<T, Wrong> {
    parse(raw).map_err(|why| {
        Wrong(format!("{} can't be a name: {why}; use letters, digits, \"-\", \"_\" and \".\"", quoted(raw)))
    })
}

/// A role or scope.
pub(super) fn grant<T>(value: &Value<'_>, parse: fn(&str) -> Result<T, IdError>) -> Read<T> {
    value.parse(|raw| {
        parse(raw).map_err(|why| {
            Wrong(format!(
                "{} can't be granted: {why}; use visible ASCII without quotes, \"\\\" and \",\"",
                quoted(raw)
            ))
        })
    })
}

/// The name of a key.
pub(super) fn kid(value: &Value<'_>) -> Read<Kid> {
    value.parse(|raw| Kid::parse(raw).map_err(|why| Wrong(format!("{why}; write up to 128 visible ASCII characters"))))
}

/// An issuer or audience: what stands in a token, to the letter.
pub(super) fn claim(value: &Value<'_>) -> Read<String> {
    value.parse(|raw| match raw {
        "" => Err(Wrong("it is empty; write a URL or a name".to_owned())),
        _ if raw.len() <= 255 && raw.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(raw.to_owned()),
        _ => Err(Wrong("write up to 255 visible ASCII characters, without spaces".to_owned())),
    })
}

/// Some text.
pub(super) fn text(value: &Value<'_>) -> Read<String> {
    value.parse(|raw| match raw.trim() {
        "" => Err(Wrong("it is empty; write something or leave the key out".to_owned())),
        _ => Ok(raw.to_owned()),
    })
}

/// A JSON pointer (RFC 6901 §3) to something inside a document.
pub(super) fn pointer(value: &Value<'_>) -> Read<String> {
    value.parse(|raw| {
        let escapes_hold = raw.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        match raw.strip_prefix('/') {
            Some(_) if escapes_hold => Ok(raw.to_owned()),
            Some(_) => Err(Wrong("\"~\" in a JSON pointer is written \"~0\", and \"/\" in a name \"~1\"".to_owned())),
            None => {
                let path = raw.trim_start_matches(['$', '.']).replace('.', "/");
                Err(Wrong(format!("a JSON pointer begins with \"/\"; write {}", quoted(&format!("/{path}")))))
            }
        }
    })
}

/// Which paths a route matches.
pub(super) fn path_pattern(value: &Value<'_>) -> Read<PathPattern> {
    value.parse(|raw| Ok(PathPattern::parse(raw)?))
}

/// One path, without parameters: of an endpoint of ours, or of the upstream that checks logins.
pub(super) fn fixed_path(value: &Value<'_>) -> Read<PathPattern> {
    let path = path_pattern(value)?;
    if path.is_open() || path.params().next().is_some() {
        return Err(value.refuse("this is one path; write it without \"*\" and \"{name}\""));
    }
    Ok(path)
}

/// What is asked of a server: a path, perhaps with a query.
pub(super) fn request_target(value: &Value<'_>) -> Read<String> {
    value.parse(|raw| {
        let good = raw.starts_with('/') && raw.parse::<http::uri::PathAndQuery>().is_ok_and(|read| read == *raw);
        if good {
            Ok(raw.to_owned())
        } else {
            Err(Wrong("write a path that begins with \"/\", such as \"/livez\"".to_owned()))
        }
    })
}

/// The path that a server sees, for requests that match `pattern`.
pub(super) fn rewrite(value: &Value<'_>, pattern: &PathPattern) -> Read<Rewrite> {
    value.parse(|raw| Ok(Rewrite::parse(raw, pattern)?))
}

/// Which hosts a route answers for.
pub(super) fn host_pattern(value: &Value<'_>) -> Read<HostPattern> {
    value.parse(|raw| match raw {
        "*" => Err(Wrong("leave host out to match every host".to_owned())),
        _ => Ok(HostPattern::parse(raw)?),
    })
}

/// A method that can be routed.
pub(super) fn method(value: &Value<'_>) -> Read<Method> {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    value.parse(|raw| match KNOWN.into_iter().find(|method| method.as_str() == raw) {
        Some(method) => Ok(method),
        None if matches!(raw, "TRACE" | "CONNECT") => Err(Wrong(format!("{raw} is never forwarded; leave it out"))),
        None => Err(Wrong(unknown("method", raw, KNOWN.iter().map(Method::as_str)))),
    })
}

/// The least severe level that is logged.
pub(super) fn level(value: &Value<'_>) -> Read<Level> {
    value.choose(
        "level",
        &[
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ],
    )
}

/// A list that must hold something; `remedy` tells what.
pub(super) fn some_of<'d, T>(value: &Value<'d>, read: impl Fn(&Value<'d>) -> Read<T>, remedy: &str) -> Read<Vec<T>> {
    let list = value.list(read)?;
    if list.is_empty() { Err(value.refuse(format_args!("the list is empty; {remedy}"))) } else { Ok(list) }
}
