//! How both stores write what is not a number: grants as words, addresses and ids as their text. Reading
//! parses again, so that bytes which we did not write surface as [`StoreError::Corrupt`] and never as a
//! role or a user. This file knows neither store.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::StoreError;
use crate::ids::IdError;
use crate::session::Cause;

/// Roles or scopes as words; neither may hold a space (`ids.rs`).
pub(super) fn words<'a, T: Display + 'a>(grants: impl IntoIterator<Item = &'a T>) -> String {
    grants.into_iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

/// The set that [`words`] wrote.
pub(super) fn parse_words<T: Ord>(raw: &str, parse: fn(&str) -> Result<T, IdError>) -> Result<BTreeSet<T>, StoreError> {
    raw.split(' ').filter(|word| !word.is_empty()).map(parse).collect::<Result<_, _>>().map_err(corrupt)
}

/// The cause of this name.
pub(super) fn parse_cause(raw: &str) -> Result<Cause, StoreError> {
    Cause::parse(raw).ok_or_else(|| corrupt("a cause that is none"))
}

/// Something in the store that we did not write; `cause` never holds the thing itself.
pub(super) fn corrupt(cause: impl Display) -> StoreError {
    StoreError::Corrupt(cause.to_string())
}
