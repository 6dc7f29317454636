//! Removes one guard after another from a copy of the sources, and tells whether the test that is said to hold it
//! fails. `mutants.toml` is the list; a guard that nobody misses is a guard that nobody tests. It never touches the
//! sources themselves.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use serde::Deserialize;

const LIST: &str = include_str!("mutants.toml");
/// How long one build or run may take.
const PATIENCE: &str = "15m";

/// Removes one guard after another, and tells whether a test fails for each.
#[derive(Parser)]
#[command(name = "mutants")]
struct Arguments {
    /// Only guards whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,
    /// Only say which there are.
    #[arg(long)]
    list: bool,
}

#[derive(Deserialize)]
struct List {
    mutant: Vec<Mutant>,
}

/// A guard, how it is removed, and the test that is to fail then.
#[derive(Deserialize)]
struct Mutant {
    /// What it guards against.
    name: String,
    /// Where it stands.
    file: PathBuf,
    /// Its text, which stands there once.
    from: String,
    /// What is put in its place.
    to: String,
    /// The package of the test.
    package: String,
    /// The name of the test, or a part that only tests of this guard have.
    test: String,
}

fn all() -> Vec<Mutant> {
    match toml::from_str::<List>(LIST) {
        Ok(list) => list.mutant,
        Err(wrong) => panic!("mutants.toml: {wrong}"),
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

impl Mutant {
    /// The file without the guard.
    fn applied(&self) -> Result<String, String> {
        let text = std::fs::read_to_string(root().join(&self.file)).map_err(|why| why.to_string())?;
        match text.matches(&self.from).count() {
            1 => Ok(text.replace(&self.from, &self.to)),
            found => Err(format!("its text stands {found} times in {}", self.file.display())),
        }
    }

    /// Whether its test passes while the guard is there: one that fails anyway proves nothing.
    fn is_held(&self, tree: &Path) -> Result<(), String> {
        match self.cargo(tree, &[]) {
            Ok(true) => Ok(()),
            Ok(false) => Err("its test fails with the guard too".to_owned()),
            Err(why) => Err(why.to_string()),
        }
    }

    /// Whether its test fails without it, in the copy at `tree`. One that does not even compile proves nothing; one that
    /// never ends has not passed.
    fn is_missed(&self, tree: &Path) -> Result<bool, String> {
        let place = tree.join(&self.file);
        let whole = std::fs::read_to_string(&place).map_err(|why| why.to_string())?;
        std::fs::write(&place, self.applied()?).map_err(|why| why.to_string())?;
        let built = self.cargo(tree, &["--no-run"]);
        let passed = built.and_then(|built| if built { self.cargo(tree, &[]).map(Some) } else { Ok(None) });
        std::fs::write(&place, whole).map_err(|why| why.to_string())?;
        match passed.map_err(|why| why.to_string())? {
            Some(passed) => Ok(!passed),
            None => Err("it does not compile without the guard".to_owned()),
        }
    }

    /// The programs that its test may be in.
    fn programs(&self) -> &'static [&'static str] {
        if self.package == "portcullis" { &["--lib"] } else { &["--test", "attacks", "--test", "e2e"] }
    }

    /// Whether cargo has built or run its test.
    fn cargo(&self, tree: &Path, how: &[&str]) -> io::Result<bool> {
        let mut cargo = Command::new("timeout"); // Of coreutils: it ends what cargo has started, too.
        cargo
            .args([PATIENCE, "cargo"])
            .current_dir(tree)
            .env("CARGO_TARGET_DIR", root().join("target/mutants/build"))
            .env("INSTA_UPDATE", "no");
        // Both packages, whichever has the test: what is chosen decides with which features the rest is built.
        cargo.args(["test", "--quiet", "--locked", "--no-fail-fast", "--package", "portcullis"]);
        cargo.args(["--package", "portcullis-tests"]).args(self.programs()).args(how);
        cargo.arg(&self.test).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(cargo.status()?.success())
    }
}

/// Copies what git knows to `tree`; files that are the same stay as old as they are, so that little is built again.
fn copy(tree: &Path) -> Result<(), String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let listed = listed.map_err(|why| format!("git can't be asked: {why}"))?.stdout;
    for file in String::from_utf8_lossy(&listed).split('\0').filter(|file| !file.is_empty()) {
        let Ok(bytes) = std::fs::read(root().join(file)) else { continue }; // It was removed.
        let place = tree.join(file);
        if std::fs::read(&place).ok().as_ref() != Some(&bytes) {
            let folder = place.parent().unwrap_or(tree);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&place, bytes))
                .map_err(|why| why.to_string())?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let Arguments { only, list } = Arguments::parse();
    let mutants: Vec<_> = all().into_iter().filter(|mutant| mutant.name.contains(&only)).collect();
    if list {
        for mutant in &mutants {
            println!("{}: {}", mutant.name, mutant.test);
        }
        return ExitCode::SUCCESS;
    }
    let tree = root().join("target/mutants/tree");
    if let Err(why) = copy(&tree) {
        eprintln!("mutants: {why}");
        return ExitCode::FAILURE;
    }
    let mut survived = 0;
    let held: Vec<_> = mutants.iter().map(|mutant| mutant.is_held(&tree)).collect();
    for (mutant, held) in mutants.iter().zip(held) {
        let outcome = match held.and_then(|()| mutant.is_missed(&tree)) {
            Ok(true) => "missed".to_owned(),
            Ok(false) => "NOBODY MISSED IT".to_owned(),
            Err(why) => format!("UNKNOWN: {why}"),
        };
        survived += usize::from(outcome != "missed");
        println!("{}: {outcome} ({})", mutant.name, mutant.test);
    }
    println!("{} of {} guards are held by their tests", mutants.len() - survived, mutants.len());
    if survived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guard_stands_where_the_list_says() {
        let wrong: Vec<_> = all().iter().filter_map(|m| Some(format!("{}: {}", m.name, m.applied().err()?))).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
