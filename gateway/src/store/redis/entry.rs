//! How revocations are written in Redis: as entries of the stream, as entries of the blacklist, and as arguments of
//! `restore.lua`. An entry that can't be read is corrupt, since nobody knows what it revokes, until it is over: then it
//! is passed over. One that disables a user is never over, and of a user on the blacklist the end is not asked, so these
//! stay corrupt until they are put right or gone. Nothing here asks Redis.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use super::args::moment;
use super::reply::Reply;
use crate::clock::Timestamp;
use crate::ids::{Jti, SessionId, Subject};
use crate::store::StoreError;
use crate::store::feed::Revocation;
use crate::store::text::corrupt;

/// More than the clocks of gateways and of Redis differ.
const MARGIN: Duration = Duration::from_mins(10);

/// How `restore.lua` is told.
pub(super) fn told(revocation: &Revocation) -> [String; 4] {
    match revocation {
        Revocation::Token { jti, until } => ["token".to_owned(), jti.to_string(), moment(*until), String::new()],
        Revocation::Session { sid, until } => ["session".to_owned(), sid.to_string(), moment(*until), String::new()],
        Revocation::User { subject, epoch, disabled } => {
            ["user".to_owned(), subject.to_string(), epoch.to_string(), u8::from(*disabled).to_string()]
        }
    }
}

impl Reply {
    /// The next items: an entry of the blacklist and what is known of it. None if it was over by this clock, and can't be
    /// read.
    pub(super) fn listed(&mut self, clock: Timestamp) -> Result<Option<Revocation>, StoreError> {
        let entry = self.text()?;
        let (kind, name) = entry.split_once(':').unwrap_or(("", &entry));
        if kind == "user" {
            return self.user(Subject::parse(name).map_err(corrupt)?).map(Some);
        }
        let until = self.number().map(Timestamp::from_micros)?;
        unless_over(listed(kind, name, until), Some(until), clock)
    }

    /// The next items: a user's epoch, and whether they are disabled.
    pub(super) fn user(&mut self, subject: Subject) -> Result<Revocation, StoreError> {
        Ok(Revocation::User { subject, epoch: self.number()?, disabled: self.number::<u8>()? == 1 })
    }

    /// All that is left: fields and values of an entry of the stream. None if it was over by this clock, and can't be
    /// read.
    pub(super) fn announced(mut self, clock: Timestamp) -> Result<Option<Revocation>, StoreError> {
        let mut fields = HashMap::with_capacity(8);
        while !self.is_empty() {
            fields.insert(self.text()?, self.text()?);
        }
        let until = parsed(&fields, "until").map(Timestamp::from_micros);
        unless_over(announced(&fields, until.as_ref().ok()), until.ok(), clock)
    }
}

fn unless_over(
    read: Result<Revocation, StoreError>,
    until: Option<Timestamp>,
    clock: Timestamp,
) -> Result<Option<Revocation>, StoreError> {
    let is_over = until.is_some_and(|until| until.after(MARGIN) <= clock);
    if read.is_err() && is_over { Ok(None) } else { read.map(Some) }
}

fn announced(fields: &HashMap<String, String>, until: Option<&Timestamp>) -> Result<Revocation, StoreError> {
    let kind = parsed::<String>(fields, "kind")?;
    let name = match kind.as_str() {
        "user" => {
            let subject = Subject::parse(&parsed::<String>(fields, "sub")?).map_err(corrupt)?;
            let (epoch, disabled) = (parsed(fields, "epoch")?, parsed::<u8>(fields, "disabled")? == 1);
            return Ok(Revocation::User { subject, epoch, disabled });
        }
        "token" => parsed::<String>(fields, "jti")?,
        "session" => parsed(fields, "sid")?,
        _ => String::new(),
    };
    let until = until.ok_or_else(|| corrupt("a revocation without an end"))?;
    listed(&kind, &name, *until)
}

/// A token or session that is on the list.
fn listed(kind: &str, name: &str, until: Timestamp) -> Result<Revocation, StoreError> {
    match kind {
        "token" => Ok(Revocation::Token { jti: Jti::parse(name).map_err(corrupt)?, until }),
        "session" => Ok(Revocation::Session { sid: SessionId::parse(name).map_err(corrupt)?, until }),
        _ => Err(corrupt("a revocation of a kind that only newer gateways know; upgrade this one")),
    }
}

fn parsed<T: FromStr>(fields: &HashMap<String, String>, name: &'static str) -> Result<T, StoreError> {
    let value = fields.get(name).and_then(|value| value.parse().ok());
    value.ok_or_else(|| corrupt(format_args!("a revocation whose {name} is none")))
}
