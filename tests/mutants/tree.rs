//! The copy of the sources in which guards are removed: `target/mutants/tree`. It relies on git to know what belongs to
//! it, and puts every file back as it was. Two of its files differ from ours, so that less is built.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

use crate::list::Mutant;
use crate::outcome::Unclear;

/// The programs of the tests.
const MANIFEST: &str = "tests/Cargo.toml";
/// What compiles scripts in.
const SCRIPTS: &str = "gateway/src/store/redis/script.rs";
/// Begins that file in the copy: scripts are read when a test starts, so a guard in one costs no build. Were this to
/// change nothing, they would be compiled in, and built anew.
const READ_SCRIPTS: &str = r#"
macro_rules! include_str {
    ($file:expr) => {
        &*std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis").join($file))
            .expect("it is there")
            .leak()
    };
}
macro_rules! concat {
    ($($part:expr),*) => { &*[$($part),*].concat().leak() };
}
use "#;

/// Where the sources are.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The file of a guard, below `place`.
pub(crate) fn read(place: &Path, mutant: &Mutant) -> Result<String, Unclear> {
    Ok(fs::read_to_string(place.join(&mutant.file))?)
}

/// A copy of the sources, and the mark that it is in use.
pub(crate) struct Tree(PathBuf, #[expect(dead_code, reason = "it is held, not read")] File);

impl Tree {
    /// What git knows. Files that are the same stay as old as they are, so that little is built again. Waits for whoever
    /// else is at it.
    pub(crate) fn copied() -> Result<Self, Unclear> {
        let tree = root().join("target/mutants/tree");
        fs::create_dir_all(&tree)?;
        let mark = File::create(root().join("target/mutants/in-use"))?;
        mark.lock()?;
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output()?.stdout;
        for file in String::from_utf8_lossy(&listed).split('\0').filter(|file| !file.is_empty()) {
            let Ok(mut bytes) = fs::read(root().join(file)) else { continue }; // It was removed.
            match file {
                MANIFEST => bytes = without_programs(&String::from_utf8_lossy(&bytes)).into_bytes(),
                SCRIPTS => bytes = String::from_utf8_lossy(&bytes).replacen("\nuse ", READ_SCRIPTS, 1).into_bytes(),
                _ => {}
            }
            let place = tree.join(file);
            if fs::read(&place).ok().as_ref() != Some(&bytes) {
                fs::create_dir_all(place.parent().unwrap_or(&tree))?;
                fs::write(&place, bytes)?;
            }
        }
        Ok(Self(tree, mark))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes a guard, until the answer is dropped.
    pub(crate) fn change(&self, mutant: &Mutant) -> Result<Changed, Unclear> {
        let whole = read(&self.0, mutant)?;
        let place = self.0.join(&mutant.file);
        fs::write(&place, mutant.applied_to(&whole)?)?;
        Ok(Changed { place, whole })
    }
}

/// A file without one of its guards.
pub(crate) struct Changed {
    place: PathBuf,
    whole: String,
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Err(why) = fs::write(&self.place, &self.whole) {
            panic!("{} can't be put back: {why}", self.place.display());
        }
    }
}

/// A manifest without its programs: cargo would link all of them for each test beside them, and no test starts one.
fn without_programs(manifest: &str) -> String {
    let mut manifest: Table = match manifest.parse() {
        Ok(manifest) => manifest,
        Err(wrong) => panic!("{MANIFEST}: {wrong}"),
    };
    manifest.remove("bin");
    manifest.to_string()
}
