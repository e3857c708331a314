use chrono::{DateTime, NaiveDate, Utc, Weekday};

use crate::LocalDateTime;

/// A recurrence rule, valid by construction: it comes from text and goes back to text.
///
/// Lists are sorted and without duplicates, because the RFC gives their order no meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    pub(crate) frequency: Frequency,
    pub(crate) interval: u32,
    pub(crate) end: End,
    pub(crate) by_second: Vec<u8>,
    pub(crate) by_minute: Vec<u8>,
    pub(crate) by_hour: Vec<u8>,
    pub(crate) by_day: Vec<NthWeekday>,
    pub(crate) by_month_day: Vec<i8>,
    pub(crate) by_year_day: Vec<i16>,
    pub(crate) by_week_no: Vec<i8>,
    pub(crate) by_month: Vec<u8>,
    pub(crate) by_set_pos: Vec<i16>,
    pub(crate) week_start: Weekday,
    pub(crate) skip: Option<Skip>,
}

impl Rule {
    /// FREQ.
    #[must_use]
    pub fn frequency(&self) -> Frequency {
        self.frequency
    }

    /// INTERVAL, at least 1.
    #[must_use]
    pub fn interval(&self) -> u32 {
        self.interval
    }

    /// The same rule with another end.
    #[must_use]
    pub fn with_end(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// COUNT, UNTIL or neither.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }
}

/// FREQ: the length of the rule's interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the RFC's")]
pub enum Frequency {
    Secondly,
    Minutely,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// When a rule stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It does not.
    Never,
    /// After that many occurrences of the rule, counted before exclusions.
    Count(u32),
    /// With the last occurrence at or before this time.
    Until(Until),
}

/// UNTIL in its three forms. All are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Until {
    /// `20260301`: through the end of that local day.
    Date(NaiveDate),
    /// `20260301T180000`: through that wall time in the start's zone.
    Local(LocalDateTime),
    /// `20260301T180000Z`: through that instant.
    Instant(DateTime<Utc>),
}

/// An element of BYDAY: a weekday, or the nth of its month or year (negative from the end).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NthWeekday {
    /// Which one of its month or year; every one if `None`. Never 0.
    pub nth: Option<i8>,
    /// The day of the week.
    pub weekday: Weekday,
}

/// RFC 7529 SKIP: what becomes of a date that the month does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It is dropped, and not counted.
    Omit,
    /// It becomes the last day before it.
    Backward,
    /// It becomes the first day after it.
    Forward,
}
