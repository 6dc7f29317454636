//! Lines of JSON in which nothing poses as another line or turns the direction of writing, though JSON itself would
//! let it stand: some readers part lines at U+2028 and U+0085, and some terminals obey U+009B. What is escaped
//! is what `text.rs` escapes; the values stay the same to whoever parses them.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::text::misleads;

/// Writes events as `F` does, and escapes what misleads.
pub(super) struct Plain<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Plain<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let end = line.trim_end_matches('\n').len();
        for char in line[..end].chars() {
            if misleads(char) {
                // RFC 8259 §7: such characters stand in strings only, where they may be written so.
                char.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(to, "\\u{unit:04x}"))?;
            } else {
                to.write_char(char)?;
            }
        }
        to.write_str(&line[end..])
    }
}
