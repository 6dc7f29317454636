//! Reads what a script returned, item by item. Whatever is not as the script writes it is corrupt: a store
//! that somebody else wrote to must never yield a session, a decision or a key.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fred::types::Value;

use crate::clock::Timestamp;
use crate::ids::{Role, Scope, SessionId, Subject};
use crate::limit::Decision;
use crate::policy::Grants;
use crate::session::{Session, TokenHash};
use crate::store::StoreError;
use crate::store::text::{corrupt, parse_words};

/// The items of an array, to be taken from the front.
#[derive(Debug)]
pub(super) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    pub(super) fn new(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(items) => Ok(Self(items.into_iter())),
            _ => Err(corrupt("a script did not answer with a list")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The next item, a text.
    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        self.next()?.into_string().ok_or_else(|| corrupt("a text is missing in a script's answer"))
    }

    /// The next item, a whole number that is not negative.
    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, StoreError> {
        let number = match self.next()? {
            Value::Integer(number) => Some(number),
            other => other.into_string().and_then(|text| text.parse().ok()),
        };
        number
            .filter(|number| *number >= 0)
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| corrupt("a number is missing in a script's answer"))
    }

    /// The next item, a list of its own.
    pub(super) fn list(&mut self) -> Result<Self, StoreError> {
        Self::new(self.next()?)
    }

    /// All that is left: what each limit said.
    pub(super) fn decisions(mut self) -> Result<Vec<Decision>, StoreError> {
        let mut decisions = Vec::with_capacity(self.0.len() / 4);
        while !self.is_empty() {
            decisions.push(Decision {
                allowed: self.number::<u8>()? == 1,
                remaining: self.number()?,
                wait: Duration::from_micros(self.number()?),
                reset: Duration::from_micros(self.number()?),
            });
        }
        Ok(decisions)
    }

    /// All that is left: the fields of session `id`.
    pub(super) fn session(mut self, id: SessionId) -> Result<Session, StoreError> {
        let mut fields = HashMap::with_capacity(12);
        while !self.is_empty() {
            fields.insert(self.text()?, self.text()?);
        }
        session(id, &Fields(fields))
    }

    fn next(&mut self) -> Result<Value, StoreError> {
        self.0.next().ok_or_else(|| corrupt("a script's answer is too short"))
    }
}

/// A hash, by field.
pub(super) struct Fields(pub(super) HashMap<String, String>);

impl Fields {
    fn text(&self, name: &'static str) -> Result<&str, StoreError> {
        let missing = || corrupt(format_args!("a session without {name}"));
        self.0.get(name).map(String::as_str).ok_or_else(missing)
    }

    fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| corrupt(format_args!("a session whose {name} is none")))
    }

    fn moment(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        self.parsed(name).map(Timestamp::from_micros)
    }
}

/// The session `id` of these fields.
pub(super) fn session(id: SessionId, fields: &Fields) -> Result<Session, StoreError> {
    Ok(Session {
        id,
        subject: Subject::parse(fields.text("sub")?).map_err(corrupt)?,
        grants: Grants {
            roles: parse_words(fields.text("roles")?, Role::parse)?,
            scopes: parse_words(fields.text("scopes")?, Scope::parse)?,
        },
        generation: fields.parsed("generation")?,
        token_hash: parse_hash(fields.text("token_hash")?)?,
        rotated_at: fields.moment("rotated_at")?,
        created_at: fields.moment("created_at")?,
        expires_at: fields.moment("expires_at")?,
        epoch: fields.parsed("epoch")?,
        address: fields.parsed("ip")?,
        user_agent: fields.text("user_agent")?.to_owned(),
    })
}

fn parse_hash(raw: &str) -> Result<TokenHash, StoreError> {
    let mut bytes = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(raw, &mut bytes) {
        Ok(32) => Ok(TokenHash(bytes)),
        _ => Err(corrupt("a session whose token_hash is none")),
    }
}
