//! The list of guards: what each one is, how it is removed, and which tests are to fail then. It relies on
//! `mutants.toml` beside it, and reads no other file.

use std::path::PathBuf;

use serde::Deserialize;

use crate::outcome::Unclear;

const LIST: &str = include_str!("mutants.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

/// A guard, how it is removed, and the tests that are to fail then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    /// What it guards against.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) file: PathBuf,
    /// Its text, which stands there once.
    from: String,
    /// What is put in its place.
    to: String,
    /// The program of the tests: `gateway` for those beside the code, else the name of one in a folder `tests`.
    pub(crate) program: String,
    /// The name of the test, or a part that only tests of this guard have.
    pub(crate) test: String,
}

/// All guards.
pub(crate) fn all() -> Vec<Mutant> {
    match toml::from_str::<List>(LIST) {
        Ok(list) => list.mutant,
        Err(wrong) => panic!("mutants.toml: {wrong}"),
    }
}

impl Mutant {
    /// Whether `word` is in its name, its file or its test, or is its program.
    pub(crate) fn concerns(&self, word: &str) -> bool {
        let Self { name, file, program, test, .. } = self;
        name.contains(word) || file.to_string_lossy().contains(word) || test.contains(word) || program == word
    }

    /// `text`, which is that of its file, without the guard.
    pub(crate) fn applied_to(&self, text: &str) -> Result<String, Unclear> {
        match text.matches(&self.from).count() {
            1 => Ok(text.replace(&self.from, &self.to)),
            found => Err(Unclear::Text { found, file: self.file.clone() }),
        }
    }
}
