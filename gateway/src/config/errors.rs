//! Every mistake of one file, told so that it can be mended: where it is, which key, what is wrong and what
//! to write instead. Relies on the reader for places and words. Never holds a secret's value.

use std::fmt;

use super::reader::position;

/// All mistakes of a configuration file, in the order of its lines; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    file: String,
    mistakes: Vec<Mistake>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// Where a mistake is. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole: it can't be read.
    File,
    /// A character: the file is no TOML.
    Character {
        /// Its line.
        line: usize,
        /// Its column, in characters.
        column: usize,
    },
    /// A key, or what should hold it.
    Key {
        /// The line of its value.
        line: usize,
        /// The key, from the top: `route.posts.policy`.
        key: String,
    },
}

impl ConfigErrors {
    pub(super) fn new(file: &str, mistakes: Vec<Mistake>) -> Self {
        Self { file: file.to_owned(), mistakes }
    }

    pub(super) fn unreadable(file: &str, why: &impl fmt::Display) -> Self {
        Self::new(file, vec![Mistake { place: Place::File, message: format!("can't be read: {why}") }])
    }

    /// Text that is no TOML. What else it holds can't be told then.
    pub(super) fn syntax(file: &str, text: &str, broken: &[toml::de::Error]) -> Self {
        let mut found: Vec<_> = broken.iter().map(|error| (error.span().map_or(0, |span| span.start), error)).collect();
        found.sort_by_key(|(at, _)| *at);
        found.dedup_by_key(|(at, _)| position(text, *at).0);
        let mistake = |(at, error): (usize, &toml::de::Error)| {
            let (line, column) = position(text, at);
            Mistake { place: Place::Character { line, column }, message: format!("is not TOML: {}", error.message()) }
        };
        Self::new(file, found.into_iter().map(mistake).collect())
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The mistakes, in the order of their lines.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

/// One line for each: `portcullis.toml:41 route.posts.policy: unknown policy …; did you mean …?`
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Mistake { place, message }) in self.mistakes.iter().enumerate() {
            let start = if index == 0 { "" } else { "\n" };
            write!(f, "{start}{}", self.file)?;
            match place {
                Place::File => write!(f, ": {message}")?,
                Place::Character { line, column } => write!(f, ":{line}:{column} {message}")?,
                Place::Key { line, key } => write!(f, ":{line} {key}: {message}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
