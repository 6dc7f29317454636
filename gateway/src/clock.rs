//! Wall-clock time: the only place that reads it. Everything else takes `now` as an argument, so
//! that time in a test moves by [`Clock::advance`] and never by sleeping. Durations that the program
//! itself waits for (timeouts, intervals) are measured by the runtime and are not its concern.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment: microseconds since the Unix epoch.
///
/// Microseconds, because rate limits of thousands a second need them and a Lua number still holds
/// them exactly (2^53 µs is the year 2255).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The moment `secs` seconds after the Unix epoch, as `exp` and `iat` give it (RFC 7519 §2).
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: a `NumericDate`.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment and `span` more; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// `span` before this moment.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }

    /// The time from `earlier` to this moment; zero if it is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with milliseconds, as the public surface shows times.
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => format!("{moment:.3}"),
            Err(_) => "9999-12-31T23:59:59.999Z".to_owned(),
        }
    }

    /// The minute that it is in, in UTC, for people.
    pub fn minute(self) -> Minute {
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        let at = jiff::tz::TimeZone::UTC.to_datetime(moment);
        let small = |part: i8| part.unsigned_abs();
        Minute {
            year: at.year(),
            month: small(at.month()),
            day: small(at.day()),
            hour: small(at.hour()),
            minute: small(at.minute()),
        }
    }
}

/// A minute of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// The year.
    pub year: i16,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
    /// The hour, from 0.
    pub hour: u8,
    /// The minute, from 0.
    pub minute: u8,
}

/// `span` in whole microseconds, at most [`i64::MAX`].
pub fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Tells the time. Clones share one clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_micros: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(micros(since_epoch).saturating_add(self.ahead_micros.load(Ordering::Relaxed)))
    }

    /// Moves this clock and all its clones ahead of the system's by `span` more.
    pub fn advance(&self, span: Duration) {
        self.ahead_micros.fetch_add(micros(span), Ordering::Relaxed);
    }

    /// Sets this clock and all its clones back by `span`, as a machine's is when it had been wrong.
    pub fn set_back(&self, span: Duration) {
        self.ahead_micros.fetch_sub(micros(span), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_micros(1_700_000_000_123_456).to_rfc3339(), "2023-11-14T22:13:20.123Z");
    }

    #[test]
    fn seconds_before_the_epoch_round_down() {
        assert_eq!(Timestamp::from_micros(-1).as_secs(), -1);
    }

    #[test]
    fn arithmetic_stops_at_the_end_of_time() {
        assert_eq!(Timestamp::from_micros(i64::MAX).after(Duration::from_secs(1)).as_micros(), i64::MAX);
        assert_eq!(Timestamp::from_secs(5).since(Timestamp::from_secs(9)), Duration::ZERO);
    }

    #[test]
    fn clones_share_one_clock() {
        let clock = Clock::system();
        let other = clock.clone();
        clock.advance(Duration::from_hours(1));
        assert!(other.now().since(Clock::system().now()) > Duration::from_mins(59));
    }
}
