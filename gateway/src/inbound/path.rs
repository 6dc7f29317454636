//! The one reading of a path. It is decoded once, dot segments and doubled slashes are resolved, and what
//! servers are known to read differently is refused or, where a route may accept it ([`Oddity`]), kept as it is;
//! the result decides the route and is what is forwarded. Case is kept, and queries are only looked at.

use std::borrow::Cow;

use super::Malformed;

mod oddity;

pub use oddity::Oddity;

/// The canonical form of `raw`, the path of a request target.
///
/// In it every byte that may stand for itself does, every other is percent-encoded in upper case, there
/// are no empty, `.` or `..` segments, and a slash at the end is kept. Canonical paths stay as they are.
/// It may hold oddities, which only a route that accepts them may take: `RouteTable::find` sees to that.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, Malformed> {
    let body = raw.strip_prefix('/').ok_or(Malformed::Path("it does not begin with a slash"))?;
    if body.bytes().all(|byte| byte == b'/' || stands_for_itself(byte)) && !body.split('/').any(needs_resolving) {
        let doubled = body.starts_with('/') || body.contains("//");
        if !doubled {
            return Ok(Cow::Borrowed(raw));
        }
    }
    // Empty segments stay until the end: ".." takes one away where RFC 3986 §5.2.4 is followed to the letter, and
    // the one before it where slashes are merged first, as nginx does.
    let mut segments: Vec<String> = Vec::new();
    let mut open_end = true;
    for segment in body.split('/') {
        let segment = decoded(segment)?;
        open_end = matches!(&*segment, "" | "." | "..");
        match &*segment {
            "." => {}
            ".." => match segments.pop().as_deref() {
                None => return Err(Malformed::Path("\"..\" leads out of it")),
                Some("") => return Err(Malformed::Path("\"..\" stands behind \"//\"")),
                Some(_) => {}
            },
            _ => segments.push(segment),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    let end = if open_end && !segments.is_empty() { "/" } else { "" };
    Ok(Cow::Owned(format!("/{}{end}", segments.join("/"))))
}

fn needs_resolving(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// RFC 3986 §3.3 `pchar` without percent-encodings and without `;`, at which some servers cut a path.
fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}

/// One segment, decoded once and encoded again as little as may be; oddities stay as they came.
fn decoded(segment: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut out = String::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(raw) = rest.next() {
        let byte = match raw {
            b'%' => encoded_byte(rest.next(), rest.next())?,
            b'\\' => return Err(Malformed::Path("it holds a backslash")),
            0..=0x20 | 0x7f.. => return Err(Malformed::Path("it holds a byte that must be encoded")),
            _ => raw,
        };
        bytes.push(byte);
        if stands_for_itself(byte) || (raw, byte) == (b';', b';') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|half| char::from(b"0123456789ABCDEF"[usize::from(half)])));
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| Malformed::Path("it is not UTF-8"))?;
    oddity::harmless(&text, &out)?;
    Ok(out)
}

fn encoded_byte(high: Option<u8>, low: Option<u8>) -> Result<u8, Malformed> {
    let digit = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return Err(Malformed::Path("it holds a broken percent-encoding"));
    };
    match u8::try_from(high * 16 + low).unwrap_or(0) {
        b'\\' => Err(Malformed::Path("it holds an encoded backslash")),
        0..0x20 | 0x7f => Err(Malformed::Path("it holds an encoded control character")),
        byte => Ok(byte),
    }
}

/// Refuses a query with bytes that no URI has (RFC 3986 §3.4): what a server makes of those depends on the encoding
/// that it guesses. What browsers leave as it is, such as `|` and `\`, may stand for itself.
pub fn check_query(query: &str) -> Result<(), Malformed> {
    if query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Ok(());
    }
    Err(Malformed::Query)
}

/// A target of this path and the query that the request had.
pub fn with_query(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

#[cfg(test)]
mod tests;
