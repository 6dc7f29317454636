//! Access lines as they are written: the same bytes that the subscriber would write for such an event, made by the
//! thread that writes them, so that no request waits for it. Queries are redacted here. It relies on `text.rs` for
//! what must not stand in a line as it is.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::access::{Record, Text};
use super::redact_query;
use super::text::{Escaped, misleads};
use crate::clock::Timestamp;
use crate::config::LogFormat;
use crate::decimal;

/// Makes lines of records.
pub(super) struct Writer {
    format: LogFormat,
    /// Parameters to redact besides the usual ones, in lower case.
    redact: Arc<[String]>,
    second: Second,
}

impl Writer {
    pub(super) fn new(format: LogFormat, redact: Arc<[String]>) -> Self {
        Self { format, redact, second: Second::default() }
    }

    /// Appends the line of `record`.
    pub(super) fn write(&mut self, record: &Record, to: &mut Vec<u8>) {
        let (begin, middle, end): (&[u8], &[u8], &[u8]) = match self.format {
            LogFormat::Json => {
                (b"{\"timestamp\":\"", b"\",\"level\":\"INFO\",\"message\":\"request\"", b",\"target\":\"api\"}\n")
            }
            LogFormat::Text => (b"", b"  INFO api: request", b"\n"),
        };
        to.extend_from_slice(begin);
        self.second.write(record.at, to);
        to.extend_from_slice(middle);
        Fields { format: self.format, to }.of(record, &self.redact);
        to.extend_from_slice(end);
    }
}

/// The name of a field, and what stands around it.
#[derive(Clone, Copy)]
struct Name {
    json: &'static str,
    text: &'static str,
}

macro_rules! name {
    ($name:literal) => {
        Name { json: concat!(",\"", $name, "\":"), text: concat!(" ", $name, "=") }
    };
}

/// The fields of one line.
struct Fields<'a> {
    format: LogFormat,
    to: &'a mut Vec<u8>,
}

impl Fields<'_> {
    /// Those of `record`, in their order. What a request has not is left out.
    fn of(&mut self, record: &Record, redact: &[String]) {
        let Record { client, status, reason, duration, upstream, upstream_duration, bytes_out, .. } = record;
        let text = |which| record.text(which);
        self.word(name!("request_id"), |to| to.extend_from_slice(text(Text::RequestId).unwrap_or_default().as_bytes()));
        self.word(name!("client"), |to| decimal::push_address(to, *client));
        self.text(name!("method"), text(Text::Method));
        self.text(name!("host"), text(Text::Host));
        self.text(name!("path"), text(Text::Path));
        self.text(name!("query"), text(Text::Query).map(|query| redact_query(query, redact)).as_deref());
        self.text(name!("route"), text(Text::Route));
        self.number(name!("status"), |to| decimal::push(to, u64::from(*status)));
        self.text(name!("reason"), Some(reason));
        self.text(name!("subject"), text(Text::Subject));
        self.number(name!("duration_ms"), |to| millis(*duration, to));
        if let Some(server) = upstream {
            self.quoted(name!("upstream"), |to| decimal::push_socket(to, *server));
        }
        if let Some(span) = upstream_duration {
            self.number(name!("upstream_ms"), |to| millis(*span, to));
        }
        if let Some(bytes) = bytes_out {
            self.number(name!("bytes_out"), |to| decimal::push(to, *bytes as u64));
        }
        self.text(name!("user_agent"), text(Text::UserAgent));
    }

    fn name(&mut self, name: Name) {
        let name = match self.format {
            LogFormat::Json => name.json,
            LogFormat::Text => name.text,
        };
        self.to.extend_from_slice(name.as_bytes());
    }

    fn number(&mut self, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        write(self.to);
    }

    /// What is a string to JSON only, and needs no escapes.
    fn word(&mut self, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        match self.format {
            LogFormat::Json => self.quoted(name, write),
            LogFormat::Text => self.number(name, write),
        }
    }

    /// What needs no escapes.
    fn quoted(&mut self, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        self.to.push(b'"');
        write(self.to);
        self.to.push(b'"');
    }

    fn text(&mut self, name: Name, text: Option<&str>) {
        let Some(text) = text else { return };
        let format = self.format;
        self.quoted(name, |to| {
            // Without a stop at the first, so that many bytes are looked at together.
            if text.bytes().fold(true, |fine, byte| fine & stands_for_itself(byte)) {
                to.extend_from_slice(text.as_bytes());
            } else {
                escaped(text, format, to);
            }
        });
    }
}

#[cold]
fn escaped(text: &str, format: LogFormat, to: &mut Vec<u8>) {
    match format {
        LogFormat::Json => text.chars().for_each(|char| json(char, to)),
        LogFormat::Text => {
            let (quoted, mut shown) = (format!("{text:?}"), String::new());
            Escaped(&mut shown).write_str(&quoted[1..quoted.len() - 1]).expect("a String takes everything");
            to.extend_from_slice(shown.as_bytes());
        }
    }
}

/// Whether no format escapes this byte.
fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// A character of a JSON string (RFC 8259 §7), without what poses as another line.
fn json(char: char, to: &mut Vec<u8>) {
    let mut utf8 = [0; 4];
    let short = match char {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        _ if misleads(char) => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                to.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
            return;
        }
        _ => char.encode_utf8(&mut utf8),
    };
    to.extend_from_slice(short.as_bytes());
}

/// Milliseconds to the microsecond, with one decimal at least.
fn millis(span: Duration, to: &mut Vec<u8>) {
    let micros = u64::try_from((span.as_nanos() + 500) / 1000).unwrap_or(u64::MAX);
    decimal::push(to, micros / 1000);
    to.push(b'.');
    decimal::push_padded(to, micros % 1000, 3);
    while to.ends_with(b"0") && !to.ends_with(b".0") {
        to.pop();
    }
}

/// The second that was written last: most lines are of the same one.
#[derive(Default)]
struct Second {
    at: Option<i64>,
    text: String,
}

impl Second {
    /// Appends `at` as RFC 3339 in UTC with microseconds.
    fn write(&mut self, at: Timestamp, to: &mut Vec<u8>) {
        let second = at.as_secs();
        if self.at != Some(second) {
            self.text = Timestamp::from_secs(second).to_rfc3339();
            self.text.truncate("2026-01-01T00:00:00".len());
            self.at = Some(second);
        }
        to.extend_from_slice(self.text.as_bytes());
        to.push(b'.');
        decimal::push_padded(to, u64::try_from(at.as_micros().rem_euclid(1_000_000)).unwrap_or(0), 6);
        to.push(b'Z');
    }
}

#[cfg(test)]
mod tests;
