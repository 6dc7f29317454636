//! Host and path patterns: what they match and which of two is the more specific. A path pattern is a
//! row of segments, literal or `{param}`, that ends exactly there or, with `/*`, goes on. Patterns are
//! compared position by position, from the left; nothing here knows of routes.

use std::cmp::Ordering;
use std::fmt;

use memchr::memchr;
use thiserror::Error;

/// Why a text is not a pattern. The message tells what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It does not begin with a slash.
    #[error("a path begins with \"/\"")]
    NoSlash,
    /// `*` elsewhere than as the last segment.
    #[error("\"*\" may only stand alone as the last segment, as in \"/posts/*\"; use \"{{name}}\" for one segment")]
    Star,
    /// A brace that does not enclose a whole segment.
    #[error("\"{{name}}\" stands for one whole segment, named in letters, digits and \"_\"")]
    Param,
    /// Two parameters of one name.
    #[error("the parameter \"{0}\" is there twice")]
    ParamTwice(String),
    /// Something that a canonical path never holds, so the pattern would never match.
    #[error(
        "no request ever has this path: write it canonically, without \"//\", \".\", \"..\", \"?\", \"#\" or encodings"
    )]
    NotCanonical,
    /// Not a host name.
    #[error(
        "a host is a name such as \"api.example.com\", or \"*.example.com\" for all names below it, without a port"
    )]
    Host,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Param(Box<str>),
}

/// Which paths match: `/posts`, `/posts/{id}`, or `/posts/*` for `/posts` itself and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    open: bool,
}

impl PathPattern {
    /// Reads a pattern.
    pub fn parse(raw: &str) -> Result<Self, PatternError> {
        let body = raw.strip_prefix('/').ok_or(PatternError::NoSlash)?;
        let (body, open) = match body {
            "*" => return Ok(Self { segments: Vec::new(), open: true }),
            _ => body.strip_suffix("/*").map_or((body, false), |body| (body, true)),
        };
        let segments = match (body, open) {
            ("", false) => Vec::new(),
            _ => body.split('/').map(segment).collect::<Result<Vec<_>, _>>()?,
        };
        let pattern = Self { segments, open };
        match pattern.repeated_param() {
            Some(name) => Err(PatternError::ParamTwice(name.to_owned())),
            None => Ok(pattern),
        }
    }

    fn repeated_param(&self) -> Option<&str> {
        let names: Vec<&str> = self.params().collect();
        names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| *name)
    }

    /// The names of its parameters, from the left.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Param(name) => Some(&**name),
            Segment::Literal(_) => None,
        })
    }

    /// Whether it ends in `/*`.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether `path`, which is canonical, matches.
    pub fn matches(&self, path: &str) -> bool {
        self.capture(path, |_, _| {}).is_some()
    }

    /// Matches `path` and reports each parameter and its value; the rest behind `/*`, without its slash
    /// (empty if there is none).
    pub fn capture<'p>(&self, path: &'p str, mut found: impl FnMut(&str, &'p str)) -> Option<&'p str> {
        let mut rest = path.strip_prefix('/')?;
        let mut ended = rest.is_empty();
        for segment in &self.segments {
            if ended {
                return None;
            }
            let after = match segment {
                Segment::Literal(literal) => rest.strip_prefix(&**literal)?,
                Segment::Param(name) => {
                    let (value, after) = rest.split_at(memchr(b'/', rest.as_bytes()).unwrap_or(rest.len()));
                    if value.is_empty() {
                        return None;
                    }
                    found(name, value);
                    after
                }
            };
            ended = after.is_empty();
            rest = if ended { after } else { after.strip_prefix('/')? };
        }
        (self.open || ended).then_some(rest)
    }

    /// Orders by how specific two patterns are, the more specific first: at the first difference a
    /// literal comes before a parameter, and that before the end of an open pattern.
    pub fn specificity(&self, other: &PathPattern) -> Ordering {
        self.ranks().cmp(other.ranks())
    }

    fn ranks(&self) -> impl Iterator<Item = u8> {
        let end = if self.open { 3 } else { 0 };
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 1,
            Segment::Param(_) => 2,
        };
        self.segments.iter().map(rank).chain([end])
    }

    /// Whether both match exactly the same paths: equal but for the names of parameters.
    pub fn same_paths(&self, other: &PathPattern) -> bool {
        let same = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal(ours), Segment::Literal(theirs)) => ours == theirs,
            (Segment::Param(_), Segment::Param(_)) => true,
            _ => false,
        };
        self.open == other.open
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(same)
    }

    /// Whether some path matches both while neither is the more specific throughout, as `/a/{x}` and
    /// `/{y}/b` do.
    pub fn crosses(&self, other: &PathPattern) -> bool {
        let (mut ours_first, mut theirs_first) = (false, false);
        for pair in self.segments.iter().zip(&other.segments) {
            match pair {
                (Segment::Literal(ours), Segment::Literal(theirs)) if ours != theirs => return false,
                (Segment::Literal(_), Segment::Param(_)) => ours_first = true,
                (Segment::Param(_), Segment::Literal(_)) => theirs_first = true,
                _ => {}
            }
        }
        match self.segments.len().cmp(&other.segments.len()) {
            Ordering::Less if !self.open => return false,
            Ordering::Greater if !other.open => return false,
            Ordering::Equal if self.open == other.open => {}
            Ordering::Equal if other.open => ours_first = true,
            Ordering::Greater => ours_first = true,
            Ordering::Less | Ordering::Equal => theirs_first = true,
        }
        ours_first && theirs_first
    }
}

fn segment(raw: &str) -> Result<Segment, PatternError> {
    if let Some(name) = raw.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        return if good { Ok(Segment::Param(name.into())) } else { Err(PatternError::Param) };
    }
    match raw {
        _ if raw.contains(['{', '}']) => Err(PatternError::Param),
        _ if raw.contains('*') => Err(PatternError::Star),
        "" | "." | ".." => Err(PatternError::NotCanonical),
        _ if !raw.bytes().all(literal_byte) => Err(PatternError::NotCanonical),
        _ => Ok(Segment::Literal(raw.into())),
    }
}

/// RFC 3986 §3.3 `pchar`, without percent-encodings.
fn literal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&byte)
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => write!(f, "/{literal}")?,
                Segment::Param(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match (self.open, self.segments.is_empty()) {
            (true, _) => f.write_str("/*"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

/// Which hosts match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// All names below this one: `*.example.com` as `.example.com`.
    Below(Box<str>),
    /// This name.
    Exact(Box<str>),
}

impl HostPattern {
    /// Reads a host name, or `*.` and a host name.
    pub fn parse(raw: &str) -> Result<Self, PatternError> {
        let lower = raw.to_ascii_lowercase();
        let name = lower.strip_prefix("*.").unwrap_or(&lower);
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if let Ok(address) = lower.parse::<std::net::IpAddr>() {
            return Ok(Self::Exact(address.to_string().into()));
        }
        match name.split('.').all(label) {
            true if name.len() < lower.len() => Ok(Self::Below(lower[1..].into())),
            true => Ok(Self::Exact(name.into())),
            false => Err(PatternError::Host),
        }
    }

    /// Whether `host`, without a port, matches.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => host.eq_ignore_ascii_case(name),
            Self::Below(suffix) => {
                let (host, suffix) = (host.as_bytes(), suffix.as_bytes());
                host.len() > suffix.len() && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
            }
        }
    }

    /// Orders the more specific first: a name, then all below a longer name, then any.
    pub fn specificity(&self, other: &HostPattern) -> Ordering {
        let rank = |host: &HostPattern| match host {
            Self::Exact(_) => (0, 0),
            Self::Below(suffix) => (1, usize::MAX - suffix.len()),
            Self::Any => (2, 0),
        };
        rank(self).cmp(&rank(other))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}
