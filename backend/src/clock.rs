//! Wall-clock time: the only place that reads it; everything else takes `now` as an argument. A moment is
//! stored as milliseconds and shown as RFC 3339. Timeouts are measured by the runtime and are not its concern.

use serde::{Serialize, Serializer};

/// A moment: milliseconds since the Unix epoch, as the database keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The end of time: later than any moment that was stored.
    pub const MAX: Self = Self(i64::MAX);

    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// RFC 3339 in UTC with milliseconds: `2026-01-31T09:30:00.125Z`.
    pub fn to_rfc3339(self) -> String {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        format!("{moment:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

/// The present moment.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc_with_exactly_three_digits() {
        assert_eq!(Timestamp::from_millis(1_700_000_000_120).to_rfc3339(), "2023-11-14T22:13:20.120Z");
        assert_eq!(Timestamp::from_millis(0).to_rfc3339(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_still_shown() {
        assert!(Timestamp::MAX.to_rfc3339().starts_with("9999-"));
    }
}
