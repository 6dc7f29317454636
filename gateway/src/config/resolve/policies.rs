//! The policy of a route: a word, or a table of the roles or scopes that callers need. What a policy lets
//! through is `policy.rs`; here it is only read.

use std::collections::BTreeSet;

use crate::config::reader::{Read, Table, Value};
use crate::config::values;
use crate::ids::{Role, Scope};
use crate::policy::Policy;

/// Reads a policy.
pub(super) fn policy(value: &Value<'_>) -> Read<Policy> {
    if value.is_table() { value.table(granted) } else { word(value) }
}

fn word(value: &Value<'_>) -> Read<Policy> {
    #[derive(Clone, Copy)]
    enum Word {
        Public,
        Optional,
        Authenticated,
    }
    let word = value.choose(
        "policy",
        &[("public", Word::Public), ("optional", Word::Optional), ("authenticated", Word::Authenticated)],
    )?;
    Ok(match word {
        Word::Public => Policy::Public,
        Word::Optional => Policy::Optional,
        Word::Authenticated => Policy::Authenticated,
    })
}

fn granted(table: &mut Table<'_>) -> Read<Policy> {
    let role = |value: &Value<'_>| values::grant(value, Role::parse);
    let scope = |value: &Value<'_>| values::grant(value, Scope::parse);
    let roles = table.optional("roles", |value| values::some_of(value, role, "name a role, or nobody could pass"));
    let scopes =
        table.optional("scopes", |value| values::some_of(value, scope, "name a scope, or write \"authenticated\""));
    match (roles?, scopes?) {
        (Some(roles), None) => Ok(Policy::AnyRole(BTreeSet::from_iter(roles))),
        (None, Some(scopes)) => Ok(Policy::AllScopes(BTreeSet::from_iter(scopes))),
        _ => Err(table.refuse(r#"write either { roles = ["NAME"] } or { scopes = ["NAME"] }"#)),
    }
}
