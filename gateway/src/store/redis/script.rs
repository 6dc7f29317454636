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
    pub(super) remember: Script,
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

/// A script that has a deadline, and the functions shared by those. A full Redis refuses it before it has done anything.
macro_rules! in_time {
    ($file:literal) => {
        in_time!("", $file)
    };
    ($flags:literal, $file:literal) => {
        Script::new(concat!("#!lua", $flags, "\n", include_str!("prelude.lua"), include_str!($file)))
    };
}

/// [`in_time!`] for what revokes, or only changes what is there: a full Redis takes that too.
macro_rules! even_if_full {
    ($file:literal) => {
        in_time!(" flags=allow-oom", $file)
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
            rotate: even_if_full!("rotate.lua"),
            end: even_if_full!("end.lua"),
            enable: even_if_full!("enable.lua"),
            revoke: even_if_full!("revoke.lua"),
            remember: even_if_full!("remember.lua"),
            check: limiting!("check.lua"),
            standing: Script::new(include_str!("standing.lua")),
            take: limiting!("take.lua"),
            lease: limiting!("lease.lua"),
            give_back: even_if_full!("give_back.lua"),
            sessions: Script::new(include_str!("sessions.lua")),
            login_failed: Script::new(include_str!("login_failed.lua")),
            found_keys: Script::new(include_str!("found_keys.lua")),
            changes: following!("changes.lua"),
            snapshot: following!("snapshot.lua"),
            restore: even_if_full!("restore.lua"),
        }
    }
}
