//! What is measured: who does what, and how each is set up for it. Nothing is started here.

use std::fmt;

/// One contender at one kind of work.
pub(crate) struct Cell {
    pub(crate) work: Work,
    /// The contender, and what is particular to it.
    pub(crate) who: &'static str,
    pub(crate) setup: Setup,
    /// Whether it is also asked at a fixed rate.
    pub(crate) paced: bool,
}

/// Kinds of work, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    PassThrough,
    Hs256,
    Es256,
    Tokens,
    Everything,
    Refresh,
    BadTokens,
    Kib,
    Mib,
}

/// How a contender is set up.
#[derive(Clone, Copy)]
pub(crate) enum Setup {
    Portcullis(Gateway),
    Nginx(Option<Check>),
    Haproxy(Option<Check>),
    Envoy(Option<Check>),
    Bare,
}

/// A peer's check of tokens.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    pub(crate) algorithm: Algorithm,
    /// How many good tokens it remembers; 0 is none.
    pub(crate) cache: u32,
}

/// What tokens are signed with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Es256,
}

/// What differs between our own gateways.
#[derive(Clone, Copy)]
pub(crate) struct Gateway {
    pub(crate) algorithm: Algorithm,
    /// Redis; or else the embedded store.
    pub(crate) redis: bool,
    /// `[revocation] mode`.
    pub(crate) mode: &'static str,
    /// A line of `[tokens]`.
    pub(crate) cache: &'static str,
    /// A line of the user's limit.
    pub(crate) accuracy: &'static str,
    /// Whether it writes an access line for each request.
    pub(crate) access_log: bool,
    /// The program that a profile guided the compiler to.
    pub(crate) guided: bool,
}

/// Passes on, and is asked for nothing else.
const PASS: Gateway = Gateway {
    algorithm: Algorithm::Es256,
    redis: false,
    mode: "every_request",
    cache: "",
    accuracy: "",
    access_log: false,
    guided: false,
};
/// Checks tokens and whether they were revoked, without asking anybody.
const ES256: Gateway = Gateway { redis: true, mode: "replicated", ..PASS };
const HS256: Gateway = Gateway { algorithm: Algorithm::Hs256, ..ES256 };
const UNCACHED: Gateway = Gateway { cache: r#"cache = "0B""#, ..ES256 };
const REPLICATED: Gateway = Gateway { accuracy: r#"accuracy = "leased""#, access_log: true, ..ES256 };
/// All of it, with one round trip to Redis for each request. Logins are tried at this one too.
pub(crate) const EVERY_REQUEST: Gateway = Gateway { mode: "every_request", accuracy: "", ..REPLICATED };
/// What renews cookies has to ask Redis anyway.
const REFRESH: Gateway = EVERY_REQUEST;

/// Envoy's cache has room for 100 tokens unless it is told otherwise.
const FEW: u32 = 100;
/// More than there are different tokens.
const MANY: u32 = 20_000;

pub(crate) const PORTCULLIS: &str = "Portcullis";
pub(crate) const UNCACHED_NAME: &str = "Portcullis, cache off";
pub(crate) const EVERY_REQUEST_NAME: &str = "Portcullis, every_request";
pub(crate) const REPLICATED_NAME: &str = "Portcullis, replicated";
const GUIDED_NAME: &str = "Portcullis, guided build";
pub(crate) const GUIDED_REPLICATED_NAME: &str = "Portcullis, replicated, guided build";
const NGINX: &str = "nginx";
const LUA: &str = "nginx + Lua";
const LUA_CACHED: &str = "nginx + Lua, cached";
const ENVOY_CACHED: &str = "Envoy, cached";
pub(crate) const HAPROXY: &str = "HAProxy";
pub(crate) const ENVOY: &str = "Envoy";
pub(crate) const BARE: &str = "bare Pingora";

/// Everything, in the order in which it is measured within a round.
pub(crate) fn all() -> Vec<Cell> {
    let of = |work: Work| {
        let paced = matches!(work, Work::PassThrough | Work::Hs256 | Work::Es256 | Work::Everything);
        contenders(work).into_iter().map(move |(who, setup)| Cell { work, who, setup, paced })
    };
    Work::ALL.into_iter().flat_map(of).collect()
}

/// Who does this work.
fn contenders(work: Work) -> Vec<(&'static str, Setup)> {
    let check = |algorithm, cache| Some(Check { algorithm, cache });
    let (hs256, es256) = (check(Algorithm::Hs256, 0), check(Algorithm::Es256, 0));
    let ours = |gateway| (PORTCULLIS, Setup::Portcullis(gateway));
    let guided = |who, gateway| (who, Setup::Portcullis(Gateway { guided: true, ..gateway }));
    match work {
        Work::PassThrough => {
            let mut all = contenders(Work::Kib);
            all.insert(1, guided(GUIDED_NAME, PASS));
            all
        }
        Work::Kib | Work::Mib => vec![
            ours(PASS),
            (BARE, Setup::Bare),
            (NGINX, Setup::Nginx(None)),
            (HAPROXY, Setup::Haproxy(None)),
            (ENVOY, Setup::Envoy(None)),
        ],
        Work::Hs256 => vec![
            ours(HS256),
            guided(GUIDED_NAME, HS256),
            (LUA, Setup::Nginx(hs256)),
            (HAPROXY, Setup::Haproxy(hs256)),
            (ENVOY, Setup::Envoy(hs256)),
            (ENVOY_CACHED, Setup::Envoy(check(Algorithm::Hs256, FEW))),
        ],
        Work::Es256 => vec![
            ours(ES256),
            guided(GUIDED_NAME, ES256),
            (UNCACHED_NAME, Setup::Portcullis(UNCACHED)),
            (LUA, Setup::Nginx(es256)),
            (LUA_CACHED, Setup::Nginx(check(Algorithm::Es256, FEW))),
            (HAPROXY, Setup::Haproxy(es256)),
            (ENVOY, Setup::Envoy(es256)),
            (ENVOY_CACHED, Setup::Envoy(check(Algorithm::Es256, FEW))),
        ],
        Work::Tokens => vec![
            ours(ES256),
            (LUA_CACHED, Setup::Nginx(check(Algorithm::Es256, MANY))),
            (HAPROXY, Setup::Haproxy(es256)),
            (ENVOY_CACHED, Setup::Envoy(check(Algorithm::Es256, MANY))),
        ],
        Work::Everything => vec![
            (REPLICATED_NAME, Setup::Portcullis(REPLICATED)),
            guided(GUIDED_REPLICATED_NAME, REPLICATED),
            (EVERY_REQUEST_NAME, Setup::Portcullis(EVERY_REQUEST)),
        ],
        Work::Refresh => vec![ours(REFRESH)],
        Work::BadTokens => vec![
            ours(ES256),
            (LUA, Setup::Nginx(es256)),
            (HAPROXY, Setup::Haproxy(es256)),
            (ENVOY, Setup::Envoy(es256)),
        ],
    }
}

/// Those who pass on, to be asked to hold idle connections.
pub(crate) fn idle() -> Vec<Cell> {
    let mut cells = all();
    cells.retain(|cell| cell.work == Work::PassThrough && !cell.is_guided());
    cells
}

impl Cell {
    /// Whether it takes the program that a profile guided the compiler to.
    pub(crate) fn is_guided(&self) -> bool {
        matches!(self.setup, Setup::Portcullis(Gateway { guided: true, .. }))
    }

    /// What `--only` looks for.
    pub(crate) fn id(&self) -> String {
        format!("{:?}/{}", self.work, self.who).to_ascii_lowercase()
    }
}

impl Work {
    pub(crate) const ALL: [Self; 9] = [
        Self::PassThrough,
        Self::Hs256,
        Self::Es256,
        Self::Tokens,
        Self::Everything,
        Self::Refresh,
        Self::BadTokens,
        Self::Kib,
        Self::Mib,
    ];

    /// What a request finds the way by; only our own gateway looks at it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::PassThrough | Self::Kib | Self::Mib => "/public/echo",
            Self::Hs256 | Self::Es256 | Self::Tokens | Self::BadTokens => "/checked/echo",
            Self::Everything => "/limited/echo",
            Self::Refresh => "/browsers/echo",
        }
    }

    /// Whether it checks tokens, and of which kind.
    pub(crate) fn algorithm(self) -> Option<Algorithm> {
        match self {
            Self::PassThrough | Self::Kib | Self::Mib => None,
            Self::Hs256 => Some(Algorithm::Hs256),
            Self::Es256 | Self::Tokens | Self::Everything | Self::Refresh | Self::BadTokens => Some(Algorithm::Es256),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PassThrough => "Pass-through",
            Self::Hs256 => "HS256 check",
            Self::Es256 => "ES256 check",
            Self::Tokens => "ES256, 10,000 different tokens",
            Self::Everything => "Everything on, ES256",
            Self::Refresh => "Expired cookie, renewed on the way",
            Self::BadTokens => "ES256, signatures that do not hold",
            Self::Kib => "Bodies of 1 KiB, both ways",
            Self::Mib => "Bodies of 1 MiB, both ways",
        })
    }
}

impl Algorithm {
    /// As tokens and configurations have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
        }
    }
}
