//! The fields of a text line, with what could pose as another line or move a terminal's cursor escaped.
//! JSON escapes less than that by itself; see `json.rs`.

use std::fmt::{self, Debug, Write};

use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Writes fields as `message name=value …`.
pub(super) fn fields() -> impl for<'w> FormatFields<'w> + 'static {
    debug_fn(field).delimited(" ")
}

fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(Escaped(writer), "{value:?}"),
        // Where in the sources of a library its line stems from; the target says enough.
        name if name.starts_with("log.") => Ok(()),
        name => {
            write!(writer, "{name}=")?;
            write!(Escaped(writer), "{value:?}")
        }
    }
}

/// Escapes what is not to be read as it is.
pub(super) struct Escaped<W>(pub(super) W);

impl<W: Write> Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for plain in text.split_inclusive(misleads) {
            match plain.char_indices().next_back().filter(|(_, last)| misleads(*last)) {
                Some((at, last)) => write!(self.0, "{}{}", &plain[..at], last.escape_default())?,
                None => self.0.write_str(plain)?,
            }
        }
        Ok(())
    }
}

/// Control characters, line and paragraph separators, what turns the direction of writing, and what nobody sees.
pub(super) fn misleads(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(char, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_misleads_is_escaped() {
        for (raw, shown) in [
            ("plain text, ümläüte and \"quotes\"", "plain text, ümläüte and \"quotes\""),
            ("one\nINFO two", r"one\nINFO two"),
            ("\r\u{1b}[2J\u{9b}", r"\r\u{1b}[2J\u{9b}"),
            ("user\u{202e}nimda", r"user\u{202e}nimda"),
            ("ad\u{200b}min\u{feff}", r"ad\u{200b}min\u{feff}"),
            ("", ""),
        ] {
            let mut written = String::new();
            Escaped(&mut written).write_str(raw).unwrap();
            assert_eq!(written, shown);
        }
    }
}
