//! What a caller sent, field by field, from a JSON object or a query string. Everything that is wrong is
//! collected, so that one answer lists it all; unknown and repeated fields are wrong too. Values are handed
//! out by move, and a value never finds its way into a message.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::refusal::Refusal;
use crate::user::Change;

/// So many unknown or repeated fields are named; nobody reads on.
const MAX_STRAY: usize = 16;

/// One thing that is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Flaw {
    /// The field's name, as the caller wrote it.
    pub(crate) field: String,
    /// What it must be, as the end of a sentence that starts with the name.
    pub(crate) message: &'static str,
}

/// A field could not be taken; what is wrong with it has been noted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted;

/// Something that is read from fields.
pub(crate) trait Form: Sized {
    /// Takes each field; all of them, before giving up on any.
    fn read(fields: &mut Fields) -> Result<Self, Noted>;
}

/// The fields not yet taken, and what was wrong with those that were.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    given: BTreeMap<String, Value>,
    repeated: Vec<String>,
    flaws: Vec<Flaw>,
}

impl Fields {
    /// The fields of a query string: all of them are text.
    pub(crate) fn from_query(query: &str) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            fields.give(name.into_owned(), Value::String(value.into_owned()));
        }
        fields
    }

    /// Reads a whole form; every flaw of it is reported together.
    pub(crate) fn into_form<F: Form>(mut self) -> Result<F, Refusal> {
        let form = F::read(&mut self);
        for field in std::mem::take(&mut self.repeated).into_iter().take(MAX_STRAY) {
            self.flaws.push(Flaw { field, message: "is given more than once" });
        }
        for field in std::mem::take(&mut self.given).into_keys().take(MAX_STRAY) {
            self.flaws.push(Flaw { field, message: "is not a known field" });
        }
        match form {
            Ok(form) if self.flaws.is_empty() => Ok(form),
            _ => Err(Refusal::InvalidFields(self.flaws)),
        }
    }

    /// Takes a field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(String) -> Result<T, &'static str>,
    ) -> Result<T, Noted> {
        match self.given.remove(name) {
            None | Some(Value::Null) => self.flaw(name, "is required"),
            Some(value) => self.parse(name, value, parse),
        }
    }

    /// Takes a field that may be absent or null.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(String) -> Result<T, &'static str>,
    ) -> Result<Option<T>, Noted> {
        match self.given.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.parse(name, value, parse).map(Some),
        }
    }

    /// Takes a field that changes something: absent keeps it, null clears it.
    pub(crate) fn change<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(String) -> Result<T, &'static str>,
    ) -> Result<Change<T>, Noted> {
        match self.given.remove(name) {
            None => Ok(Change::Keep),
            Some(Value::Null) => Ok(Change::Clear),
            Some(value) => self.parse(name, value, parse).map(Change::Set),
        }
    }

    /// Notes what is wrong with a field.
    pub(crate) fn flaw<T>(&mut self, name: &'static str, message: &'static str) -> Result<T, Noted> {
        self.flaws.push(Flaw { field: name.to_owned(), message });
        Err(Noted)
    }

    fn parse<T>(
        &mut self,
        name: &'static str,
        value: Value,
        parse: impl FnOnce(String) -> Result<T, &'static str>,
    ) -> Result<T, Noted> {
        let Value::String(text) = value else { return self.flaw(name, "must be a string") };
        match parse(text) {
            Ok(value) => Ok(value),
            Err(message) => self.flaw(name, message),
        }
    }

    /// Two values for one field are refused: the gateway may have judged by the other one.
    fn give(&mut self, name: String, value: Value) {
        match self.given.entry(name) {
            Entry::Vacant(field) => drop(field.insert(value)),
            Entry::Occupied(field) => self.repeated.push(field.key().clone()),
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Fields::default();
                while let Some((name, value)) = map.next_entry()? {
                    fields.give(name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}
