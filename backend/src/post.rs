//! Posts, drafts of them, and places in a list of them. Values are parsed once, at the edge, and hold
//! afterwards. Knows nothing of HTTP or SQL.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::{PostId, UserId};

/// A post as readers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Post {
    /// Names the post for good.
    pub id: PostId,
    /// What it is called.
    pub title: String,
    /// What it says.
    pub content: String,
    /// Who wrote it, and alone may change it.
    pub author: Author,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Who wrote a post, by today's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Author {
    /// The user.
    pub id: UserId,
    /// What they call themselves.
    pub username: String,
}

/// What a post shall say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its title.
    pub title: Title,
    /// Its text.
    pub content: Content,
}

/// A title: one line of 1 to 200 characters, not all blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Reads a title, or says what a title must be like.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        match text {
            text if text.trim().is_empty() || text.chars().count() > 200 => Err("must be 1 to 200 characters long"),
            text if text.chars().any(char::is_control) => Err("must be a single line without control characters"),
            text => Ok(Self(text)),
        }
    }

    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text: 1 to 20,000 characters, not all blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(String);

impl Content {
    /// Reads a text, or says what a text must be like.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        match text {
            text if text.trim().is_empty() || text.chars().count() > 20_000 => {
                Err("must be 1 to 20,000 characters long")
            }
            // PostgreSQL can't keep it, so SQLite must not either.
            text if text.contains('\0') => Err("must not contain a NUL character"),
            text => Ok(Self(text)),
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which posts to list, newest first.
#[derive(Clone, Debug)]
pub struct Listing {
    /// At most so many.
    pub limit: Limit,
    /// Only what comes after this place.
    pub after: Option<Cursor>,
    /// Only what this user wrote.
    pub author: Option<UserId>,
}

/// How many posts to list at once: 1 to 100, or else 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    /// Reads a number, or says which numbers are allowed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.parse() {
            Ok(limit @ 1..=100) => Ok(Self(limit)),
            _ => Err("must be a whole number from 1 to 100"),
        }
    }

    /// The number.
    pub fn count(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

/// A place in the list: just after one post. Callers see an opaque string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When the post was written.
    pub created_at: Timestamp,
    /// Which it is, among those of the same moment.
    pub id: String,
}

impl Cursor {
    /// Before the first post of any list.
    pub fn start() -> Self {
        Self { created_at: Timestamp::MAX, id: String::new() }
    }

    /// The place just after `post`.
    pub fn after(post: &Post) -> Self {
        Self { created_at: post.created_at, id: post.id.as_str().to_owned() }
    }

    /// Reads a place as [`encode`](Self::encode) wrote it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Self::decode(text).ok_or("must be what an earlier answer gave as `next`")
    }

    /// The place as an opaque string that is safe in a URL.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}.{}", self.created_at.as_millis(), self.id))
    }

    fn decode(text: &str) -> Option<Self> {
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (millis, id) = plain.split_once('.')?;
        let id = PostId::parse(id)?;
        Some(Self { created_at: Timestamp::from_millis(millis.parse().ok()?), id: id.as_str().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let cursor =
            Cursor { created_at: Timestamp::from_millis(1_700_000_000_123), id: PostId::new().as_str().to_owned() };
        assert_eq!(Cursor::parse(&cursor.encode()), Ok(cursor));
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        for text in ["", "abc", "!!", &URL_SAFE_NO_PAD.encode("1.x"), &URL_SAFE_NO_PAD.encode("x.1")] {
            assert!(Cursor::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(Title::parse("ü".repeat(200)).is_ok());
        assert!(Title::parse("ü".repeat(201)).is_err());
        assert!(Content::parse("ü".repeat(20_000)).is_ok());
        assert!(Content::parse("ü".repeat(20_001)).is_err());
    }

    #[test]
    fn blank_or_unstorable_text_is_refused() {
        for text in ["", " \n", "two\nlines", "nul\0"] {
            assert!(Title::parse(text.to_owned()).is_err(), "{text:?}");
        }
        for text in ["", " \n", "nul\0"] {
            assert!(Content::parse(text.to_owned()).is_err(), "{text:?}");
        }
        assert!(Content::parse("two\nlines\tand a tab".to_owned()).is_ok());
    }

    #[test]
    fn a_limit_is_one_to_a_hundred() {
        assert!(Limit::parse("1").is_ok() && Limit::parse("100").is_ok());
        for text in ["0", "101", "300", "-1", "", "ten", "1.5"] {
            assert!(Limit::parse(text).is_err(), "{text:?}");
        }
    }
}
