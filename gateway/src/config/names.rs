//! What the configuration names and then refers to: upstreams and limits. A reference to a name that is
//! there but has mistakes of its own is not reported again. Names of one kind don't collide with another's.

use std::collections::BTreeMap;

use super::hints::unknown;
use super::reader::{Read, Value, Wrong};

/// Everything of one kind, by name.
pub(super) struct Names<T> {
    kind: &'static str,
    entries: BTreeMap<String, Read<T>>,
}

impl<T: Clone> Names<T> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, entries: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, name: &str, entry: Read<T>) {
        self.entries.insert(name.to_owned(), entry);
    }

    /// What `value` names.
    pub(super) fn find(&self, value: &Value<'_>) -> Read<T> {
        value.parse(|name| match self.entries.get(name) {
            Some(entry) => Ok(entry.clone()),
            None => Err(Wrong(unknown(self.kind, name, self.entries.keys().map(String::as_str)))),
        })?
    }
}
