//! The Lua scripts: each is one atomic step of the store. A script names its keys and arguments in its
//! first lines and answers with an array that begins with a word. Nothing here sends them.

use fred::bytes_utils::Str;
use fred::types::scripts::Script as Hashed;

/// One script and its SHA-1, by which Redis knows it.
#[derive(Debug)]
pub(super) struct Script {
    source: &'static str,
    hash: Str,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self { source, hash: Hashed::from_lua(source).sha1().clone() }
    }

    pub(super) fn source(&self) -> Str {
        Str::from_static(self.source)
    }

    pub(super) fn hash(&self) -> Str {
        self.hash.clone()
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) open: Script,
    pub(super) rotate: Script,
    pub(super) end: Script,
    pub(super) enable: Script,
    pub(super) revoke: Script,
    pub(super) check: Script,
    pub(super) standing: Script,
    pub(super) take: Script,
    pub(super) lease: Script,
    pub(super) give_back: Script,
    pub(super) sessions: Script,
    pub(super) login_failed: Script,
    pub(super) found_keys: Script,
    pub(super) changes: Script,
    pub(super) snapshot: Script,
    pub(super) restore: Script,
}

/// A script that has a deadline, and the functions shared by those.
macro_rules! in_time {
    ($file:literal) => {
        Script::new(concat!(include_str!("prelude.lua"), include_str!($file)))
    };
}

/// A script that reads the stream of revocations.
macro_rules! following {
    ($file:literal) => {
        Script::new(concat!(include_str!("stream.lua"), include_str!($file)))
    };
}

/// A script that takes from limits.
macro_rules! limiting {
    ($file:literal) => {
        Script::new(concat!(include_str!("gcra.lua"), include_str!($file)))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            open: in_time!("open.lua"),
            rotate: in_time!("rotate.lua"),
            end: in_time!("end.lua"),
            enable: in_time!("enable.lua"),
            revoke: in_time!("revoke.lua"),
            check: limiting!("check.lua"),
            standing: Script::new(include_str!("standing.lua")),
            take: limiting!("take.lua"),
            lease: limiting!("lease.lua"),
            give_back: in_time!("give_back.lua"),
            sessions: Script::new(include_str!("sessions.lua")),
            login_failed: Script::new(include_str!("login_failed.lua")),
            found_keys: Script::new(include_str!("found_keys.lua")),
            changes: following!("changes.lua"),
            snapshot: following!("snapshot.lua"),
            restore: in_time!("restore.lua"),
        }
    }
}
