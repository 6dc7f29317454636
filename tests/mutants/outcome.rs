//! What becomes of a guard: its tests miss it, nobody does, or nothing can be said. Only a test that passed with the
//! guard and fails without it says that it is held.

use std::fmt::{self, Display};
use std::io;
use std::path::PathBuf;

use crate::programs::{Failed, Verdict};

/// Whether anybody misses a guard.
pub(crate) enum Outcome {
    /// These tests do.
    Caught(Failed),
    /// Nobody does.
    Missed,
    /// Nobody can tell.
    Unclear(Unclear),
}

/// Why nobody can tell. It is the list that is wrong then, or this machine; never a guard.
pub(crate) enum Unclear {
    /// The text of the guard does not stand in its file once.
    Text { found: usize, file: PathBuf },
    /// It does not compile.
    Build(String),
    /// There is no such test.
    NoTest,
    /// The test fails with the guard, too.
    FailsAnyway(Failed),
    /// A file can't be read or written, or a program can't be started.
    Io(io::Error),
}

impl From<Result<Verdict, Unclear>> for Outcome {
    fn from(without: Result<Verdict, Unclear>) -> Self {
        match without {
            Ok(Verdict::Failed(failed)) => Self::Caught(failed),
            Ok(Verdict::Passed) => Self::Missed,
            Ok(Verdict::Nothing) => Self::Unclear(Unclear::NoTest),
            Err(why) => Self::Unclear(why),
        }
    }
}

impl From<io::Error> for Unclear {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

impl Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught(failed) => write!(to, "caught by {failed}"),
            Self::Missed => write!(to, "NOBODY MISSED IT"),
            Self::Unclear(why) => write!(to, "UNCLEAR: {why}"),
        }
    }
}

impl Display for Unclear {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { found, file } => write!(to, "its text stands {found} times in {}", file.display()),
            Self::Build(errors) => write!(to, "it does not compile: {errors}"),
            Self::NoTest => write!(to, "there is no such test"),
            Self::FailsAnyway(failed) => write!(to, "with the guard it is failed by {failed}, too"),
            Self::Io(why) => write!(to, "{why}"),
        }
    }
}
