//! The programs that hold tests: builds one, and runs some of its tests. It relies on cargo to know what has to be
//! compiled again, and on what the test harness prints; it does not know what a guard is.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

use crate::outcome::Unclear;
use crate::tree::{Tree, root};

/// How long a build may take, and a run of tests.
const PATIENCE: &str = "15m";
/// The exit code of `timeout` where the time was up.
const TIME_IS_UP: i32 = 124;

/// What a run of tests says.
pub(crate) struct Ran {
    passed: Vec<String>,
    failed: Vec<String>,
    /// Where in the sources the first one failed.
    place: Option<String>,
    /// Why they did not all come to their end.
    broke_off: Option<&'static str>,
}

/// What a run says of tests that have a word in their names.
pub(crate) enum Verdict {
    /// Each passed.
    Passed,
    /// Some did not.
    Failed(Failed),
    /// There was none.
    Nothing,
}

impl Ran {
    /// What it says of those that have `word` in their names.
    pub(crate) fn of(&self, word: &str) -> Verdict {
        let failed: Vec<_> = self.failed.iter().filter(|name| name.contains(word)).cloned().collect();
        let failure = |how| Verdict::Failed(Failed { tests: failed.clone(), how, place: self.place.clone() });
        match self.broke_off {
            None if !failed.is_empty() => failure("fails"),
            None if self.passed.iter().any(|name| name.contains(word)) => Verdict::Passed,
            None => Verdict::Nothing,
            Some(how) => failure(how),
        }
    }
}

/// What did not pass.
pub(crate) struct Failed {
    tests: Vec<String>,
    how: &'static str,
    /// Where in the sources the first one noticed.
    place: Option<String>,
}

impl Display for Failed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tests, how, place } = self;
        match tests.as_slice() {
            [] => write!(to, "a test that {how}")?,
            [one] => write!(to, "{one}")?,
            [one, others @ ..] => write!(to, "{one} and {} more", others.len())?,
        }
        place.iter().try_for_each(|place| write!(to, " at {place}"))
    }
}

/// What cargo says of something that it built.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The programs of a copy of the sources.
pub(crate) struct Programs<'t> {
    tree: &'t Tree,
}

impl<'t> Programs<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        Self { tree }
    }

    /// Builds `program` from the sources as they are, and runs its tests that have one of `words` in their names.
    pub(crate) fn run<'w>(&self, program: &str, words: impl Iterator<Item = &'w str>) -> Result<Ran, Unclear> {
        let (executable, package) = self.build(program)?;
        let ran = Command::new("timeout") // Of coreutils: it ends what the tests have started, too.
            .arg(PATIENCE)
            .arg(executable)
            .args(words)
            .current_dir(package)
            .env("INSTA_UPDATE", "no")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .output()?;
        Ok(read(&ran))
    }

    /// The program, and the folder of its package.
    fn build(&self, program: &str) -> Result<(PathBuf, PathBuf), Unclear> {
        let built = Command::new("timeout")
            .args([PATIENCE, "cargo"])
            .args(selection(program))
            .args(["--quiet", "--locked", "--message-format", "json-render-diagnostics"])
            .current_dir(self.tree.path())
            .env("CARGO_TARGET_DIR", root().join("target/mutants/build"))
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&built.stdout);
        let mut messages = said.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
        let wanted = if program == "gateway" { ("portcullis", "lib") } else { (program, "test") };
        let is_it = |Target { name, kind }: &Target| (name.as_str(), kind.concat().as_str()) == wanted;
        let found = messages.find_map(|Message { executable, manifest_path, target }| {
            target.filter(is_it)?;
            Some((executable?, manifest_path?.parent().map(Path::to_owned)?))
        });
        match found {
            Some(found) if built.status.success() => Ok(found),
            _ => Err(Unclear::Build(errors(&built))),
        }
    }
}

/// What cargo has to build for the tests of `program`. Both packages, whichever has the program, since what is chosen
/// decides with which features the rest is built; but one package where `--lib` would mean that of the other, too.
fn selection(program: &str) -> Vec<&str> {
    const BOTH: [&str; 4] = ["--package", "portcullis", "--package", "portcullis-tests"];
    match program {
        "gateway" => vec!["test", "--no-run", "--package", "portcullis", "--lib"],
        // Some of its tests start the gateway as a program.
        "e2e" => [&["build", "--test", "e2e", "--bin", "portcullis"], BOTH.as_slice()].concat(),
        other => [&["test", "--no-run", "--test", other], BOTH.as_slice()].concat(),
    }
}

/// The first lines of what cargo complains of.
fn errors(built: &Output) -> String {
    let said = String::from_utf8_lossy(&built.stderr);
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error")).take(2).collect();
    if errors.is_empty() { format!("cargo ended with {}", built.status) } else { errors.join("; ") }
}

/// What the test harness has printed.
fn read(ran: &Output) -> Ran {
    let said = String::from_utf8_lossy(&ran.stdout);
    let of = |how: &str| {
        let names = said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(how));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let (passed, failed) = (of(" ... ok"), of(" ... FAILED"));
    let has_ended = said.lines().any(|line| line.starts_with("test result: "));
    let broke_off = match ran.status.code() {
        Some(TIME_IS_UP) => Some("never ends"),
        _ if !has_ended => Some("ends its process"),
        _ if !ran.status.success() && failed.is_empty() => Some("fails without a name"),
        _ => None,
    };
    let place =
        said.lines().find_map(|line| Some(line.split_once(" panicked at ")?.1.trim_end_matches(':').to_owned()));
    Ran { passed, failed, place, broke_off }
}
