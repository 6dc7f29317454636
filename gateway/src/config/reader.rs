//! Reads a TOML document key by key and remembers every mistake, so that one run reports them all. A
//! [`Table`] hands out [`Value`]s by key and, when it is done, refuses the keys that nobody asked for. What
//! keys mean is not known here.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::errors::{ConfigErrors, Mistake, Place};
use super::hints::{near, quoted, renamed};

mod value;

pub(super) use value::Value;

/// Proof that a mistake was reported; only this file can make one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// Something read, or a mistake that was reported. Read everything first, then ask with `?`.
pub(super) type Read<T> = Result<T, Reported>;

/// Why a text can't be read: the cause and the remedy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) String);

impl<E: std::error::Error> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Looks up an environment variable.
pub(super) type Env<'d> = &'d dyn Fn(&str) -> Option<String>;

/// One reading of one file: its text, what it may look up, and the mistakes so far.
pub(super) struct Reading<'d> {
    text: &'d str,
    pub(super) folder: &'d Path,
    pub(super) env: Env<'d>,
    mistakes: RefCell<Vec<(usize, Mistake)>>,
}

impl<'d> Reading<'d> {
    pub(super) fn new(text: &'d str, folder: &'d Path, env: Env<'d>) -> Self {
        Self { text, folder, env, mistakes: RefCell::default() }
    }

    /// Reads the document's top table.
    pub(super) fn document<T>(
        &'d self,
        document: &'d Spanned<DeTable<'d>>,
        read: impl FnOnce(&mut Table<'d>) -> Read<T>,
    ) -> Read<T> {
        let spot = Spot { key: String::new(), at: document.span().start, reading: self };
        Table::new(spot, Some(document.get_ref())).read(read)
    }

    fn report(&self, at: usize, key: &str, message: &dyn Display) -> Reported {
        let place = Place::Key { line: position(self.text, at).0, key: key.to_owned() };
        self.mistakes.borrow_mut().push((at, Mistake { place, message: message.to_string() }));
        Reported(())
    }

    /// What was read, if no mistake was reported meanwhile.
    pub(super) fn finish<T>(self, file: &str, read: Read<T>) -> Result<T, ConfigErrors> {
        let mut mistakes = self.mistakes.into_inner();
        match read {
            Ok(read) if mistakes.is_empty() => Ok(read),
            _ => {
                mistakes.sort_by_key(|(at, _)| *at);
                Err(ConfigErrors::new(file, mistakes.into_iter().map(|(_, mistake)| mistake).collect()))
            }
        }
    }
}

/// The line and column of a byte of `text`, counted from 1.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// A place in the file that a mistake can be pinned to.
#[derive(Clone)]
pub(super) struct Spot<'d> {
    key: String,
    at: usize,
    reading: &'d Reading<'d>,
}

impl Spot<'_> {
    /// Reports a mistake here.
    pub(super) fn refuse(&self, why: impl Display) -> Reported {
        self.reading.report(self.at, &self.key, &why)
    }

    /// The place of an entry that begins at `at`.
    fn below(&self, key: &str, at: usize) -> Self {
        let key: String = key.chars().take(60).collect::<String>().escape_debug().collect();
        let key = if self.key.is_empty() { key } else { format!("{}.{key}", self.key) };
        Self { key, at, reading: self.reading }
    }
}

/// A table that is being read.
pub(super) struct Table<'d> {
    spot: Spot<'d>,
    entries: Option<&'d DeTable<'d>>,
    asked: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
}

impl<'d> Table<'d> {
    fn new(spot: Spot<'d>, entries: Option<&'d DeTable<'d>>) -> Self {
        Self { spot, entries, asked: Vec::new(), missing: Vec::new() }
    }

    /// Reads all of the table; what `read` did not ask for is refused.
    fn read<T>(mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let read = read(&mut self);
        self.refuse_the_rest();
        read
    }

    /// Calls the table by its own name from here on: `route.posts`.
    pub(super) fn rename(&mut self, name: &str) {
        self.spot = self.spot.below(name, self.spot.at);
    }

    /// The place of the table.
    pub(super) fn spot(&self) -> &Spot<'d> {
        &self.spot
    }

    /// Reports a mistake that concerns the whole table.
    pub(super) fn refuse(&self, why: impl Display) -> Reported {
        self.spot.refuse(why)
    }

    /// The value of `key`, if there is one.
    pub(super) fn find(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.asked.push(key);
        self.entries?.get(key).map(|node| Value::below(&self.spot, key, node))
    }

    /// `key`, if it is there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'d>) -> Read<T>,
    ) -> Read<Option<T>> {
        self.find(key).map(|value| read(&value)).transpose()
    }

    /// `key`, or `default`.
    pub(super) fn or<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'d>) -> Read<T>, default: T) -> Read<T> {
        self.find(key).map_or(Ok(default), |value| read(&value))
    }

    /// The table `key`, as if it were empty if it is not there.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'d>) -> Read<T>) -> Read<T> {
        match self.find(key) {
            Some(value) => value.table(read),
            None => Table::new(self.spot.below(key, self.spot.at), None).read(read),
        }
    }

    /// `key`, which must be there; `remedy` tells what to write if it is not.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'d>) -> Read<T>,
        remedy: &'static str,
    ) -> Read<T> {
        match self.find(key) {
            Some(value) => read(&value),
            None => Err(self.miss(key, remedy)),
        }
    }

    /// Notes that `key` is missing. That is reported at the end, unless a misspelt one turns up in its stead.
    fn miss(&mut self, key: &'static str, remedy: &'static str) -> Reported {
        self.missing.push((key, remedy));
        Reported(())
    }

    fn refuse_the_rest(&mut self) {
        for (key, _) in self.entries.into_iter().flatten() {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            if !self.asked.contains(&name) {
                let remedy = self.remedy(name);
                self.spot.below(name, at).refuse(format_args!("unknown key; {remedy}"));
            }
        }
        for (key, remedy) in std::mem::take(&mut self.missing) {
            self.spot.below(key, self.spot.at).refuse(format_args!("is missing; {remedy}"));
        }
    }

    /// What to write in place of the unknown key `name`; a missing key that it was meant to be is forgiven.
    fn remedy(&mut self, name: &str) -> String {
        if let Some(remedy) = renamed(&self.spot.key, name) {
            let words: Vec<&str> = remedy.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            self.missing.retain(|(key, _)| !words.contains(key));
            return remedy.to_owned();
        }
        match near(name, self.asked.iter().copied()) {
            Some(meant) => {
                self.missing.retain(|(key, _)| *key != meant);
                format!("did you mean {}?", quoted(meant))
            }
            None => format!("the keys here are {}", self.asked.join(", ")),
        }
    }
}
