//! What a path may hold that servers are known to read differently, and that some can't do without. It is refused
//! unless the route accepts it by name, and even there only where no reading of it leads to another route.
//! What is harmless on no route is not known here: `path.rs` refuses it.

use std::fmt;

use super::Malformed;

/// Something that is refused in a path, unless the route accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// `;` or `%3B`: some servers cut a segment there (RFC 3986 §3.3), others take it for a part of the name.
    MatrixParameters,
    /// `%2F`: some servers decode it and see two segments.
    EncodedSlash,
    /// `%25`: a server that decodes twice sees another encoding in what follows.
    EncodedPercent,
}

impl Oddity {
    /// All there are, and what the configuration calls them.
    pub const ALL: [(&'static str, Self); 3] = [
        ("matrix_parameters", Self::MatrixParameters),
        ("encoded_slash", Self::EncodedSlash),
        ("encoded_percent", Self::EncodedPercent),
    ];

    /// Those that a canonical path holds.
    pub fn in_path(path: &str) -> impl Iterator<Item = Self> {
        // Nearly every path has none, which one look tells.
        let may_hold_some = path.bytes().any(|byte| matches!(byte, b';' | b'%'));
        Self::ALL.into_iter().map(|(_, oddity)| oddity).filter(move |oddity| may_hold_some && oddity.is_in(path))
    }

    fn is_in(self, path: &str) -> bool {
        match self {
            Self::MatrixParameters => PARAMETERS.iter().any(|mark| path.contains(mark)),
            Self::EncodedSlash => path.contains(SLASH),
            Self::EncodedPercent => path.contains("%25"),
        }
    }

    /// What is wrong with a path that holds it.
    pub fn refusal(self) -> Malformed {
        Malformed::Path(match self {
            Self::MatrixParameters => "it holds \";\"",
            Self::EncodedSlash => "it holds an encoded slash",
            Self::EncodedPercent => "it is encoded twice",
        })
    }

    /// What other servers may read in a canonical path that holds oddities: without parameters, with slashes
    /// decoded, or both, in either order.
    pub fn other_readings(path: &str) -> impl Iterator<Item = String> {
        let decode = |path: &str| path.replace(SLASH, "/");
        let cut = |path: &str| path.split('/').map(before_parameters).collect::<Vec<_>>().join("/");
        [decode(path), cut(path), cut(&decode(path)), decode(&cut(path))].into_iter()
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, other)| other == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

const SLASH: &str = "%2F";
const PARAMETERS: [&str; 2] = [";", "%3B"];

fn before_parameters(segment: &str) -> &str {
    PARAMETERS.iter().fold(segment, |head, mark| head.split(mark).next().unwrap_or(head))
}

/// Refuses a segment whose oddities are harmless nowhere: `..;x` and `..%2Fx` are `..` to a server that cuts or
/// decodes them, and `%252F` is a slash to one that decodes twice. `written` is its canonical form, `text` what that
/// stands for.
pub(super) fn harmless(text: &str, written: &str) -> Result<(), Malformed> {
    if Oddity::in_path(written).next().is_none() {
        return Ok(());
    }
    let hides_dots = |part: &str| matches!(before_parameters(part), "" | "." | "..");
    if written.split(SLASH).any(hides_dots) {
        return Err(Malformed::Path("it hides a dot segment or an empty one"));
    }
    let is_encoding = |(at, _): (usize, &str)| {
        text.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if text.match_indices('%').any(is_encoding) {
        return Err(Oddity::EncodedPercent.refusal());
    }
    Ok(())
}
