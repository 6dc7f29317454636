//! What an upstream says of a user in its JSON, read by the pointers (RFC 6901) of the configuration. Bounded,
//! so that what is read fits into a token; nothing here knows when or why it is asked.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ids::{IdError, Role, Scope};
use crate::policy::Grants;

/// The most bytes of roles and scopes: with them a token stays well below what we read of one.
const MAX_GRANTS: usize = 2048;

/// The roles and scopes of a user.
pub(super) fn grants(facts: &Value, roles: Option<&str>, scopes: Option<&str>) -> Result<Grants, String> {
    let roles: BTreeSet<Role> = words(facts, roles, Role::parse)?;
    let scopes: BTreeSet<Scope> = words(facts, scopes, Scope::parse)?;
    let names = roles.iter().map(Role::as_str).chain(scopes.iter().map(Scope::as_str));
    if names.map(str::len).sum::<usize>() > MAX_GRANTS {
        return Err(format!("its roles and scopes have more than {MAX_GRANTS} bytes, too many for a token"));
    }
    Ok(Grants { roles, scopes })
}

/// An array of texts, or one text of words.
fn words<T: Ord>(
    facts: &Value,
    pointer: Option<&str>,
    parse: fn(&str) -> Result<T, IdError>,
) -> Result<BTreeSet<T>, String> {
    let Some(pointer) = pointer else { return Ok(BTreeSet::new()) };
    let unusable = |why: IdError| format!("what it has at {pointer} can't be used: {why}");
    match facts.pointer(pointer) {
        None | Some(Value::Null) => Ok(BTreeSet::new()),
        Some(Value::String(text)) => {
            text.split_ascii_whitespace().map(parse).collect::<Result<_, _>>().map_err(unusable)
        }
        Some(Value::Array(items)) => {
            let text = |item: &Value| parse(item.as_str().unwrap_or("")).map_err(unusable);
            items.iter().map(text).collect()
        }
        Some(_) => Err(format!("what it has at {pointer} is neither a list nor words")),
    }
}
