//! `[limits.NAME]`: named quotas. What a limit counts by decides where it may be used; that is checked
//! where it is used.

use std::sync::Arc;

use crate::config::names::Names;
use crate::config::reader::{Read, Table, Value};
use crate::config::values;
use crate::ids::LimitId;
use crate::limit::{Accuracy, Limit, LimitBy, Quota};

/// What the names of our own limits begin with.
pub(super) const OWN: &str = "auth.";

/// Reads all limits.
pub(super) fn all(top: &mut Table<'_>) -> Names<Arc<Limit>> {
    let mut limits = Names::new("limit");
    let sections = top.or("limits", Value::named, Vec::new()).unwrap_or_default();
    for (name, section) in sections {
        limits.add(name, limit(name, &section).map(Arc::new));
    }
    limits
}

fn limit(name: &str, value: &Value<'_>) -> Read<Limit> {
    let id = values::name(name, LimitId::parse).map_err(|wrong| value.refuse(wrong));
    let own = name.starts_with(OWN).then(|| value.refuse("names that begin with \"auth.\" are our own; write another"));
    value.table(|table| {
        let quota = quota(table);
        let by = table.required("per", counted_by, r#"write per = "user", "address", "account" or "route""#);
        let accuracy = table.or("accuracy", |value| accuracy(value, by.as_ref().ok()), Accuracy::Exact);
        own.map_or(Ok(()), Err)?;
        Ok(Limit { id: id?, quota: quota?, by: by?, accuracy: accuracy? })
    })
}

/// How much is allowed: `rate`, and `burst`, which is as many as the rate if it is not there.
pub(super) fn quota(table: &mut Table<'_>) -> Read<Quota> {
    let rate = table.required("rate", values::rate, r#"write rate = "100/min""#);
    let burst = table.optional("burst", |value| value.number(1..=1_000_000));
    let (count, period) = rate?;
    Quota::new(count, period, burst?.unwrap_or(count)).ok_or_else(|| {
        table.refuse("the rate is too high or too low to be counted exactly; write one a second to one a year")
    })
}

fn counted_by(value: &Value<'_>) -> Read<LimitBy> {
    value.choose(
        "kind of limit",
        &[
            ("user", LimitBy::User),
            ("address", LimitBy::Address),
            ("account", LimitBy::Account),
            ("route", LimitBy::Route),
        ],
    )
}

/// How it is counted. Logins are few, and each of them matters.
fn accuracy(value: &Value<'_>, by: Option<&LimitBy>) -> Read<Accuracy> {
    let accuracy = value.choose("accuracy", &[("exact", Accuracy::Exact), ("leased", Accuracy::Leased)])?;
    match (accuracy, by) {
        (Accuracy::Leased, Some(LimitBy::Account)) => {
            Err(value.refuse("logins are counted one by one, so a limit per \"account\" can't be leased; leave it out"))
        }
        (accuracy, _) => Ok(accuracy),
    }
}

/// Refuses a limit that is leased where each request must be counted.
pub(super) fn must_be_exact(value: &Value<'_>, limit: &Limit) -> Read<()> {
    match limit.accuracy {
        Accuracy::Exact => Ok(()),
        Accuracy::Leased => Err(value.refuse(format_args!(
            "limit \"{}\" is leased, but requests are counted one by one here; use one with accuracy = \"exact\"",
            limit.id
        ))),
    }
}

/// The limit that `value` names, if `allow` lets it be used there.
pub(super) fn one(
    value: &Value<'_>,
    limits: &Names<Arc<Limit>>,
    allow: impl Fn(&Value<'_>, &Limit) -> Read<()>,
) -> Read<Arc<Limit>> {
    let limit = limits.find(value)?;
    allow(value, &limit)?;
    Ok(limit)
}

/// Several limits, in the order they are taken; none of them twice.
pub(super) fn list(
    value: &Value<'_>,
    limits: &Names<Arc<Limit>>,
    allow: impl Fn(&Value<'_>, &Limit) -> Read<()>,
) -> Read<Vec<Arc<Limit>>> {
    let list = value.list(|value| one(value, limits, &allow))?;
    match list.iter().enumerate().find(|(at, limit)| list[..*at].contains(limit)) {
        Some((_, twice)) => Err(value.refuse(format_args!("limit \"{}\" is there twice; write it once", twice.id))),
        None => Ok(list),
    }
}
