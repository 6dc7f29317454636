//! The head of a request (RFC 9112 §3, §5, §6) as strictly as it can be read: whatever two readers could read
//! differently is refused, before anybody else sees it. Each byte is looked at as it comes, so what can't be a request
//! is known by its first bytes. It is pure: bytes in, where the head ends or what is wrong with it out.

use std::ops::Range;

use bytes::BytesMut;
use memchr::memchr;

use crate::inbound::framing::MAX_DIGITS;
use crate::inbound::{Malformed, host};

/// The most fields of one head.
const MAX_FIELDS: usize = 100;
/// The longest name of a method.
const MAX_METHOD: usize = 32;

/// What each byte may be part of.
const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 255")]
        let letter = byte as u8;
        // RFC 9110 §5.6.2.
        if letter.is_ascii_alphanumeric() || contains(b"!#$%&'*+-.^_`|~", letter) {
            classes[byte] |= TOKEN;
        }
        // RFC 3986 §3.3 and what browsers leave as it is in a query: no fragment and no quotes. A path is looked at more
        // closely once it is known where it ends.
        if letter.is_ascii_graphic() && !contains(b"\"#<>", letter) {
            classes[byte] |= TARGET;
        }
        byte += 1;
    }
    classes
}

const fn contains(set: &[u8], letter: u8) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == letter {
            return true;
        }
        at += 1;
    }
    false
}

fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|byte| CLASSES[usize::from(*byte)] & class != 0)
}

/// RFC 9110 §5.5: visible, space, tab, and obs-text.
fn stands_in_a_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// All of it is looked at whatever is found, which a processor does for many bytes at once.
fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |fine, &byte| fine & stands_in_a_value(byte))
}

/// A head on its way in: how far it was read, and what it said so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where the line begins that has not ended yet.
    line: usize,
    /// How far its end was sought.
    seen: usize,
    request: Option<RequestLine>,
    fields: usize,
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// Where the parts of the request line are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RequestLine {
    method: Range<usize>,
    path: Range<usize>,
    /// The host of a target that is a whole URL (RFC 9112 §3.2.2): what stands before the path.
    authority: Option<String>,
}

impl Head {
    /// Reads on in `bytes`, which grow from call to call: how long the head is, once it is whole.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        // What speaks another protocol is told so at once, not when it has sent a line.
        if bytes.first().is_some_and(|first| !all(&[*first], TOKEN)) {
            return Err(Malformed::Head("it begins with no method"));
        }
        while let Some(at) = memchr(b'\n', &bytes[self.seen..]) {
            let end = self.seen + at;
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Malformed::Head("a line ends with LF alone"))?;
            let begins = self.line;
            (self.line, self.seen) = (end + 1, end + 1);
            if self.request.is_none() {
                self.request = Some(request_line(line, begins)?);
            } else if line.is_empty() {
                return self.whole().map(|()| Some(self.line));
            } else {
                self.field(line)?;
            }
        }
        self.seen = bytes.len();
        Ok(None)
    }

    /// Whether a body in chunks follows it.
    pub(super) fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// The method and the path, without the query, as far as they could be read: all visible ASCII.
    pub(super) fn method_and_path<'a>(&self, bytes: &'a [u8]) -> Option<(&'a str, &'a str)> {
        let RequestLine { method, path, .. } = self.request.clone()?;
        let text = |range: Range<usize>| std::str::from_utf8(bytes.get(range)?).ok();
        text(method).zip(text(path))
    }

    /// `bytes` with a target that is a path, and none that is a whole URL: its host is that of the header.
    pub(super) fn with_path(&self, mut bytes: BytesMut) -> BytesMut {
        if let Some(RequestLine { method, path, authority: Some(_) }) = &self.request {
            let rest = bytes.split_off(path.start);
            bytes.truncate(method.end + 1);
            bytes.extend_from_slice(if path.is_empty() { b"/" } else { b"" });
            bytes.extend_from_slice(&rest);
        }
        bytes
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Malformed> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Malformed::HeadersTooLarge);
        }
        let colon = memchr(b':', line).ok_or(Malformed::Head("a header has no colon"))?;
        let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
        // Neither obs-fold (RFC 9112 §5.2) nor a space before the colon (§5.1) gets past this.
        if name.is_empty() || !all(name, TOKEN) {
            return Err(Malformed::Head("the name of a header is no token"));
        }
        if !is_value(value) {
            return Err(Malformed::Head("the value of a header holds a control character"));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let target = self.request.as_ref().and_then(|line| line.authority.as_deref());
                if !host::agrees(target, value) {
                    return Err(Malformed::Host);
                }
                self.hosts += 1;
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let twice = self.length.replace(length(value)?).is_some();
                return if twice { Err(Malformed::Framing) } else { Ok(()) };
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let known = value.eq_ignore_ascii_case(b"chunked") && !self.chunked;
                self.chunked = true;
                return if known { Ok(()) } else { Err(Malformed::Framing) };
            }
            _ => {}
        }
        Ok(())
    }

    /// What only the whole head can say.
    fn whole(&self) -> Result<(), Malformed> {
        if self.hosts != 1 {
            return Err(Malformed::Host);
        }
        // RFC 9112 §6.1: a length beside an encoding is an attempt at smuggling until it is shown otherwise. A body on
        // an upgrade could be read as the first bytes of the new protocol.
        let has_body = self.chunked || self.length.is_some_and(|length| length > 0);
        if (self.chunked && self.length.is_some()) || (self.upgrade && has_body) {
            return Err(Malformed::Framing);
        }
        Ok(())
    }
}

/// RFC 9112 §3: `method SP request-target SP HTTP-version`, and nothing else.
fn request_line(line: &[u8], begins: usize) -> Result<RequestLine, Malformed> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed::Head("the request line has not three parts"));
    };
    if method.is_empty() || method.len() > MAX_METHOD || !all(method, TOKEN) {
        return Err(Malformed::Head("it begins with no method"));
    }
    if method == b"CONNECT" {
        return Err(Malformed::Method); // Its target names no path; nobody routes it.
    }
    let path = memchr(b'?', target).unwrap_or(target.len());
    // Browsers leave a backtick as it is in a query, and encode it in a path; so does the engine's parser.
    if target.is_empty() || !all(target, TARGET) || target[..path].contains(&b'`') {
        return Err(Malformed::Head("the target holds what no target may"));
    }
    if version != b"HTTP/1.1" {
        let is_version = version.strip_prefix(b"HTTP/").is_some_and(
            |number| matches!(number, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit()),
        );
        return Err(if is_version { Malformed::Version } else { Malformed::Head("it ends with no version of HTTP") });
    }
    let method = begins..begins + method.len();
    let url = authority(&target[..path])?;
    let path = url.as_ref().map_or(0, |authority| authority.end)..path;
    let path = method.end + 1 + path.start..method.end + 1 + path.end;
    let authority = url.map(|authority| String::from_utf8_lossy(&target[authority]).into_owned());
    Ok(RequestLine { method, path, authority })
}

/// Where the host stands in a target without its query, if that is a whole URL and not a path (RFC 9112 §3.2).
fn authority(target: &[u8]) -> Result<Option<Range<usize>>, Malformed> {
    if target.starts_with(b"/") || target == b"*" {
        return Ok(None);
    }
    let begins = |scheme: &&[u8]| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    let begin = [&b"http://"[..], b"https://"].into_iter().find(begins).ok_or(Malformed::Target)?.len();
    let length = memchr(b'/', &target[begin..]).unwrap_or(target.len() - begin);
    Ok(Some(begin..begin + length))
}

/// RFC 9112 §6.2: digits, and nothing else: no sign, no list, nothing that overflows.
fn length(value: &[u8]) -> Result<u64, Malformed> {
    if value.is_empty() || value.len() > MAX_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Framing);
    }
    Ok(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Without the whitespace around it (RFC 9112 §5): spaces and tabs, nothing else.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests;
