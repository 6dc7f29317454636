//! What all contenders share: keys and tokens, the upstream, a Redis, a folder for what they write, and for how long each
//! is measured.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use portcullis_tests::Redis;
use portcullis_tests::bench::load::Span;
use portcullis_tests::bench::upstream;

use crate::Wrong;
use crate::contender::Programs;
use crate::keys::Keys;

/// What stands around the contenders.
pub(crate) struct Bench {
    pub(crate) pace: Pace,
    scratch: tempfile::TempDir,
    keys: Keys,
    upstream: SocketAddr,
    redis: Redis,
    programs: Programs,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rounds: usize,
    pub(crate) span: Span,
    pub(crate) paced: Span,
    pub(crate) idle_connections: usize,
    /// How long logins are tried, and as long again not.
    pub(crate) logins: Duration,
}

impl Pace {
    /// Some twenty minutes.
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        span: span(700, 2000),
        paced: span(300, 2500),
        idle_connections: 10_000,
        logins: Duration::from_secs(10),
    };
    /// Enough to see that it works.
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        span: span(300, 1000),
        paced: span(200, 1000),
        idle_connections: 2_000,
        logins: Duration::from_secs(4),
    };
}

const fn span(warm: u64, measured: u64) -> Span {
    Span { warm: Duration::from_millis(warm), warm_answers: 0, measured: Duration::from_millis(measured) }
}

impl Bench {
    /// Starts what is needed.
    pub(crate) async fn start(pace: Pace, programs: Programs) -> Result<Self, Wrong> {
        let scratch = tempfile::tempdir().map_err(|why| why.to_string())?;
        crate::contender::open_to_workers(scratch.path())?;
        let keys = Keys::make(scratch.path())?;
        let upstream = upstream::start().await.map_err(|why| why.to_string())?;
        Ok(Self { pace, scratch, keys, upstream, redis: Redis::start().await, programs })
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn upstream(&self) -> SocketAddr {
        self.upstream
    }

    pub(crate) fn redis(&self) -> String {
        self.redis.url()
    }

    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }
}
