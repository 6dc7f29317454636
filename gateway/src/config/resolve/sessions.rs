//! `[sessions]`: how many a user may have, and what ends them besides logout. How long they live stands in
//! `[tokens]`, beside the tokens that live with them.

use std::num::NonZeroU32;

use crate::config::reader::{Read, Table, Value};
use crate::session::{Cap, WhenFull};

/// More devices than anybody has; whoever means more means any number.
const MOST: u32 = 10_000;

/// How many sessions a user may have.
pub(super) fn cap(table: &mut Table<'_>, can_log_in: bool) -> Read<Option<Cap>> {
    let most = table.optional("max_per_user", |value| most(value, can_log_in));
    let when_full = table.find("when_full");
    let chosen = when_full.as_ref().map_or(Ok(WhenFull::EvictOldest), choose);
    match (most?, when_full) {
        (Some(most), _) => Ok(Some(Cap { most, when_full: chosen? })),
        (None, Some(value)) => {
            Err(value.refuse("any number is allowed, so it is never full; write max_per_user too, or leave this out"))
        }
        (None, None) => Ok(None),
    }
}

fn most(value: &Value<'_>, can_log_in: bool) -> Read<NonZeroU32> {
    let most = value.number(1..=MOST)?;
    if !can_log_in {
        return Err(value.refuse("there is no [login], so nobody opens sessions here; write [login] or leave it out"));
    }
    Ok(NonZeroU32::new(most).expect("the range begins at 1"))
}

fn choose(value: &Value<'_>) -> Read<WhenFull> {
    value.choose("choice", &[("evict_oldest", WhenFull::EvictOldest), ("refuse_new", WhenFull::RefuseNew)])
}
