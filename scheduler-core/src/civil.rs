//! Wall time in no zone.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A date and time of day in no zone (RFC 8984 §1.4.4 `LocalDateTime`; RFC 5545 §3.3.5 form 1).
///
/// Whole seconds, years 1 to 9999. It is what a rule generates, and so it is the recurrence-id: the
/// address of an occurrence that survives every move and every change of the zone's offset.
/// Text and JSON are `2026-03-29T18:00:00`; [`LocalDateTime::from_basic`] reads iCalendar's
/// `20260329T180000`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalDateTime(i64);

/// A text or value that is not a [`LocalDateTime`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a local date and time like 2026-03-29T18:00:00 (years 1 to 9999)")]
pub struct NotLocal(pub String);

impl LocalDateTime {
    /// 0001-01-01T00:00:00.
    pub const MIN: Self = Self(-62_135_596_800);
    /// 9999-12-31T23:59:59.
    pub const MAX: Self = Self(253_402_300_799);

    /// From seconds since 1970-01-01T00:00:00 on the same wall clock; `None` outside years 1–9999.
    #[must_use]
    #[inline]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0)
            .contains(&seconds)
            .then_some(Self(seconds))
    }

    /// Seconds since 1970-01-01T00:00:00 on the same wall clock. Not a Unix time.
    #[must_use]
    #[inline]
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Reads iCalendar's basic form, `20260329T180000` (RFC 5545 §3.3.5, form 1).
    ///
    /// # Errors
    /// [`NotLocal`] for any other text, a date that does not exist, or a zone suffix.
    pub fn from_basic(text: &str) -> Result<Self, NotLocal> {
        let shape = text.len() == 15 && text.is_ascii();
        shape
            .then(|| NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok())
            .flatten()
            .and_then(|at| Self::try_from(at).ok())
            .ok_or_else(|| NotLocal(text.to_owned()))
    }

    /// iCalendar's basic form, `20260329T180000`.
    #[must_use]
    pub fn to_basic(self) -> String {
        self.naive().format("%Y%m%dT%H%M%S").to_string()
    }

    /// The date.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        self.naive().date()
    }

    /// The time of day.
    #[must_use]
    pub fn time(self) -> NaiveTime {
        self.naive().time()
    }

    /// This wall time moved by a number of seconds, or `None` outside years 1–9999.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Option<Self> {
        self.0.checked_add(seconds).and_then(Self::from_seconds)
    }

    /// The same wall time as a chrono value.
    #[must_use]
    pub fn naive(self) -> NaiveDateTime {
        DateTime::from_timestamp(self.0, 0)
            .expect("years 1 to 9999 are within chrono's range")
            .naive_utc()
    }
}

impl TryFrom<NaiveDateTime> for LocalDateTime {
    type Error = NotLocal;

    /// Fractions of a second, leap seconds and years outside 1–9999 are refused.
    fn try_from(at: NaiveDateTime) -> Result<Self, NotLocal> {
        let whole = at.nanosecond() == 0 && (1..=9999).contains(&at.year());
        whole
            .then(|| Self(at.and_utc().timestamp()))
            .ok_or_else(|| NotLocal(at.to_string()))
    }
}

impl fmt::Display for LocalDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.naive().format("%Y-%m-%dT%H:%M:%S").fmt(f)
    }
}

impl fmt::Debug for LocalDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LocalDateTime {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let shape = text.len() == 19 && text.is_ascii();
        shape
            .then(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok())
            .flatten()
            .and_then(|at| Self::try_from(at).ok())
            .ok_or_else(|| NotLocal(text.to_owned()))
    }
}

impl Serialize for LocalDateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LocalDateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_at_the_edges() {
        for at in [LocalDateTime::MIN, LocalDateTime::MAX] {
            assert_eq!(at.to_string().parse(), Ok(at));
            assert_eq!(LocalDateTime::from_basic(&at.to_basic()), Ok(at));
        }
        assert_eq!(LocalDateTime::MIN.to_string(), "0001-01-01T00:00:00");
        assert_eq!(LocalDateTime::MAX.to_string(), "9999-12-31T23:59:59");
    }

    #[test]
    fn what_is_no_whole_second_of_a_real_day_is_refused() {
        for text in [
            "",
            "2026-02-30T10:00:00",
            "2026-01-01T24:00:00",
            "2026-01-01T10:00:60",
            "2026-01-01T10:00:00Z",
            "2026-01-01T10:00:00.5",
            "2026-01-01 10:00:00",
            "0000-01-01T00:00:00",
            "+2026-1-1T10:00:00",
        ] {
            assert!(text.parse::<LocalDateTime>().is_err(), "{text}");
        }
        assert!(LocalDateTime::from_basic("20260101T100000Z").is_err());
    }
}
