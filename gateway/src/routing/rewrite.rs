//! The path that a server sees instead of the request's: literal text with parameters of the route's
//! pattern and, at its end, what `/*` matched. A rewrite is checked against its pattern when it is read,
//! so it can't fail while a request waits. The query is not its concern.

use std::fmt;

use thiserror::Error;

use super::PathPattern;

/// Why a text is no rewrite for its pattern. The message tells what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RewriteError {
    /// It does not begin with a slash.
    #[error("a rewrite is a path that begins with \"/\"")]
    NoSlash,
    /// Text that is not safe in a path.
    #[error(
        "a rewrite holds path segments, \"{{name}}\" and at its end \"/*\", and no query, fragment, \"..\" or encoding"
    )]
    Text,
    /// A parameter that the pattern does not have.
    #[error("the path pattern has no parameter \"{0}\"")]
    UnknownParam(String),
    /// `/*` without one in the pattern.
    #[error("\"/*\" in a rewrite needs \"/*\" at the end of the path pattern")]
    NoRest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Param(Box<str>),
    Rest,
}

/// A path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    parts: Vec<Part>,
}

impl Rewrite {
    /// Reads a rewrite for requests that match `pattern`.
    pub fn parse(raw: &str, pattern: &PathPattern) -> Result<Self, RewriteError> {
        let body = raw.strip_prefix('/').ok_or(RewriteError::NoSlash)?;
        let mut parts = Vec::new();
        let mut segments = body.split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            parts.push(Part::Text("/".into()));
            parts.push(match segment {
                "*" if last && pattern.is_open() => Part::Rest,
                "*" if last => return Err(RewriteError::NoRest),
                "." | ".." => return Err(RewriteError::Text),
                "" if !last => return Err(RewriteError::Text),
                _ => part(segment, pattern)?,
            });
        }
        Ok(Self { parts })
    }

    /// The path for a server, of a request whose `path` matches `pattern`.
    pub fn apply(&self, pattern: &PathPattern, path: &str) -> String {
        let mut values = Vec::new();
        let rest = pattern.capture(path, |name, value| values.push((name.to_owned(), value))).unwrap_or("");
        let value = |name: &str| values.iter().find(|(param, _)| param == name).map_or("", |(_, value)| *value);
        let text = |part: &Part| match part {
            Part::Text(text) => text.to_string(),
            Part::Param(name) => value(name).to_owned(),
            Part::Rest => rest.to_owned(),
        };
        self.parts.iter().map(text).collect()
    }
}

fn part(segment: &str, pattern: &PathPattern) -> Result<Part, RewriteError> {
    if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let known = pattern.params().any(|param| param == name);
        let unknown = || RewriteError::UnknownParam(name.to_owned());
        return known.then(|| Part::Param(name.into())).ok_or_else(unknown);
    }
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&byte);
    if segment.bytes().all(safe) { Ok(Part::Text(segment.into())) } else { Err(RewriteError::Text) }
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Param(name) => write!(f, "{{{name}}}")?,
                Part::Rest => f.write_str("*")?,
            }
        }
        Ok(())
    }
}
