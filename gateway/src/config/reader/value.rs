//! One value of a document: it becomes text, a number, a list or a table, or a mistake that tells what to
//! write instead. Relies on its [`Spot`] to say where it is.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::{Read, Reading, Reported, Spot, Table, Wrong};
use crate::config::hints::unknown;

/// A value, and the key that it belongs to.
#[derive(Clone)]
pub(in crate::config) struct Value<'d> {
    spot: Spot<'d>,
    node: &'d DeValue<'d>,
}

impl<'d> Value<'d> {
    /// The value `node` of the entry `key` of what is at `parent`.
    pub(super) fn below(parent: &Spot<'d>, key: &str, node: &'d Spanned<DeValue<'d>>) -> Self {
        Self { spot: parent.below(key, node.span().start), node: node.get_ref() }
    }

    /// The place of the value.
    pub(in crate::config) fn spot(&self) -> &Spot<'d> {
        &self.spot
    }

    /// The reading that the value is part of.
    pub(in crate::config) fn reading(&self) -> &'d Reading<'d> {
        self.spot.reading
    }

    /// Reports a mistake in this value.
    pub(in crate::config) fn refuse(&self, why: impl Display) -> Reported {
        self.spot.refuse(why)
    }

    /// Reports that the value is of another kind than `expected`.
    fn refuse_kind(&self, expected: &str) -> Reported {
        let found = match self.node {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.refuse(format_args!("this is {found}; write {expected}"))
    }

    /// The number, as it is written, if the value is one.
    pub(in crate::config) fn bare_number(&self) -> Option<String> {
        match self.node {
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The text, if the value is one.
    pub(in crate::config) fn as_text(&self) -> Option<&'d str> {
        match self.node {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the value is a table.
    pub(in crate::config) fn is_table(&self) -> bool {
        matches!(self.node, DeValue::Table(_))
    }

    /// The text, which `parse` understands.
    pub(in crate::config) fn parse<T>(&self, parse: impl FnOnce(&'d str) -> Result<T, Wrong>) -> Read<T> {
        let text = self.as_text().ok_or_else(|| self.refuse_kind("a text in quotes"))?;
        parse(text).map_err(|wrong| self.refuse(wrong))
    }

    /// One of the words of `choices`.
    pub(in crate::config) fn choose<T: Copy>(&self, what: &str, choices: &[(&'static str, T)]) -> Read<T> {
        self.parse(|text| match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(*choice),
            None => Err(Wrong(unknown(what, text, choices.iter().map(|(word, _)| *word)))),
        })
    }

    /// True or false.
    pub(in crate::config) fn flag(&self) -> Read<bool> {
        match self.node {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.refuse_kind("true or false, without quotes")),
        }
    }

    /// A whole number of `range`.
    pub(in crate::config) fn number(&self, range: RangeInclusive<u32>) -> Read<u32> {
        let (least, most) = (range.start(), range.end());
        let DeValue::Integer(number) = self.node else {
            return Err(self.refuse_kind(&format!("a whole number from {least} to {most}, without quotes")));
        };
        u32::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.refuse(format_args!("{number} is out of range; write {least} to {most}")))
    }

    /// A list, each element of which `read` understands.
    pub(in crate::config) fn list<T>(&self, read: impl Fn(&Value<'d>) -> Read<T>) -> Read<Vec<T>> {
        let DeValue::Array(nodes) = self.node else {
            return Err(self.refuse_kind("a list in brackets"));
        };
        let value = |node: &'d Spanned<DeValue<'d>>| {
            let spot = Spot { at: node.span().start, ..self.spot.clone() };
            Value { spot, node: node.get_ref() }
        };
        let all: Vec<Read<T>> = nodes.iter().map(|node| read(&value(node))).collect();
        all.into_iter().collect()
    }

    /// A table with keys that we know.
    pub(in crate::config) fn table<T>(&self, read: impl FnOnce(&mut Table<'d>) -> Read<T>) -> Read<T> {
        let DeValue::Table(entries) = self.node else {
            return Err(self.refuse_kind("a table"));
        };
        Table::new(self.spot.clone(), Some(entries)).read(read)
    }

    /// A table with keys that the user chose, in the order of the file.
    pub(in crate::config) fn named(&self) -> Read<Vec<(&'d str, Value<'d>)>> {
        let DeValue::Table(entries) = self.node else {
            return Err(self.refuse_kind("a table of named entries"));
        };
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, node): (&'d Spanned<_>, &'d Spanned<DeValue<'d>>)| {
            let name: &'d DeString<'d> = key.get_ref();
            (&**name, Self::below(&self.spot, name, node))
        };
        Ok(entries.into_iter().map(entry).collect())
    }
}
