//! File descriptors, one for each connection: as many as the system lets the process have, and what it means when
//! there are none left. It relies on whoever accepts connections to pause then. It closes nothing itself.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Overload;

/// The store, logs, listeners and what the runtime needs for itself.
const OURS: u64 = 100;

/// Lets the process have as many as it may, and says so if that is less than the configuration asks for: each request
/// and each stream takes one for its client and one for its server.
pub fn raise(terms: &Overload) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    let both = terms.requests.all().saturating_add(terms.streams.all()).saturating_mul(2);
    let needed = u64::try_from(both).unwrap_or(u64::MAX).saturating_add(OURS);
    match raised {
        Ok(limit) if limit >= needed => {}
        Ok(limit) => warn!(
            target: "error",
            limit,
            needed,
            "fewer files may be open than [overload] allows connections; raise the limit (LimitNOFILE, ulimit -n)"
        ),
        Err(error) => warn!(target: "error", %error, "the limit of open files can't be raised"),
    }
}

/// Why a connection could not be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// There are no descriptors left, in this process or in the system.
    Descriptors,
    /// The system has no memory for it.
    Memory,
    /// The connection was gone before it could be accepted; the next one may be well.
    Gone,
    /// Anything else.
    Other,
}

impl AcceptError {
    /// What an error of `accept` means (accept(2)).
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE | Errno::ENFILE) => Self::Descriptors,
            Some(Errno::ENOBUFS | Errno::ENOMEM) => Self::Memory,
            Some(Errno::ECONNABORTED | Errno::ECONNRESET | Errno::EINTR | Errno::EPROTO) => Self::Gone,
            _ => Self::Other,
        }
    }

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Memory => "memory",
            Self::Gone => "gone",
            Self::Other => "other",
        }
    }

    /// Whether accepting again at once would fail again.
    pub const fn lasts(self) -> bool {
        !matches!(self, Self::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasts_is_worth_a_pause() {
        for (error, name, lasts) in [
            (Errno::EMFILE, "descriptors", true),
            (Errno::ENFILE, "descriptors", true),
            (Errno::ENOMEM, "memory", true),
            (Errno::ECONNABORTED, "gone", false),
            (Errno::EPERM, "other", true),
        ] {
            let kind = AcceptError::of(&io::Error::from_raw_os_error(error as i32));
            assert_eq!((kind.name(), kind.lasts()), (name, lasts), "{error}");
        }
    }
}
