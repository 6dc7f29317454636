//! Users and what may be said of them: names, addresses, roles. Values are parsed once, at the edge, and
//! hold afterwards. Knows nothing of passwords, HTTP or SQL.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::UserId;

/// Someone with an account, as they see themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Names the user for good.
    pub id: UserId,
    /// The name they sign in with, as they spelled it.
    pub username: String,
    /// Where to write to, if they said.
    pub email: Option<String>,
    /// What they may be; the gateway puts them into tokens.
    pub roles: Vec<String>,
    /// When they registered.
    pub created_at: Timestamp,
    /// When name, address or password last changed.
    pub updated_at: Timestamp,
}

/// What to change of a user; the rest stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The new name, if there is to be one.
    pub username: Option<Username>,
    /// What becomes of the address.
    pub email: Change<Email>,
}

/// What becomes of a value that may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is removed.
    Clear,
    /// It is replaced.
    Set(T),
}

/// A name to sign in with: 3 to 32 of `A–Z a–z 0–9 _ . -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Reads a name, or says what a name must be like.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        match text {
            text if !text.bytes().all(allowed) => Err("may have only letters a to z, digits, '_', '.' and '-'"),
            text if !(3..=32).contains(&text.len()) => Err("must be 3 to 32 characters long"),
            text => Ok(Self(text)),
        }
    }

    /// The name as it was spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes the name unique: names that differ only in case are the same name.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// An address to write to. It is plausible, not proven: only a letter that arrives could prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an address of at most 254 bytes: one `@`, something before it, a domain with a dot after it.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        // RFC 5321 §4.5.3.1: 64 octets of local part; a path of 256 with its brackets leaves 254.
        let plausible = text.len() <= 254
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
            && text.split_once('@').is_some_and(|(local, domain)| (1..=64).contains(&local.len()) && is_domain(domain));
        if plausible { Ok(Self(text)) } else { Err("must be an e-mail address, like name@example.org") }
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.contains('.') && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_short_and_plain() {
        for good in ["bob", "Alice.W-1_x", &"a".repeat(32)] {
            assert!(Username::parse(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "ab", "a b", "zoë", "a/b", "a\0b", &"a".repeat(33)] {
            assert!(Username::parse(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_differ_in_case_are_the_same_name() {
        let key = |text: &str| Username::parse(text.to_owned()).map(|name| name.key());
        assert_eq!(key("ALICE"), key("alice"));
    }

    #[test]
    fn addresses_must_be_plausible() {
        for good in ["a@b.de", "first.last+tag@sub.example.org", "zoë@exämple.org"] {
            assert!(Email::parse(good.to_owned()).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in ["", "a", "@b.de", "a@", "a@b", "a@b..de", "a@-b.de", "a@b@c.de", "a b@c.de", "a@b.de\r\n", &long] {
            assert!(Email::parse(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
