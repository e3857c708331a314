//! Periods of a subscription, and the months that part them.

use std::fmt;

use chrono::{DateTime, Datelike, Months, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::instant::whole_micros;

/// A half-open interval of instants, `[start, end)`, in UTC and whole microseconds, after 1970 and
/// before the year 10000.
///
/// Two periods of which one ends when the other starts do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Limits", into = "Limits")]
pub struct Period {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// A period as data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Period {
    /// The first instant that is after every period: 10000-01-01T00:00:00Z.
    const LIMIT: i64 = 253_402_300_800;

    /// The period between two instants.
    ///
    /// # Errors
    /// [`BadPeriod`] unless it ends after it starts, in whole microseconds, after 1970 and before
    /// the year 10000.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Period, BadPeriod> {
        let whole = whole_micros(start) == start && whole_micros(end) == end;
        let within = start.timestamp() >= 0 && end.timestamp() < Period::LIMIT;
        if whole && within && start < end {
            Ok(Period { start, end })
        } else {
            Err(BadPeriod::Limits { start, end })
        }
    }

    /// Its first instant.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        self.start
    }

    /// The first instant after it.
    #[must_use]
    pub fn end(self) -> DateTime<Utc> {
        self.end
    }

    /// There is an instant in both.
    #[must_use]
    pub fn overlaps(self, other: Period) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", spelled(self.start), spelled(self.end))
    }
}

/// The one spelling of an instant in keys and messages.
pub(crate) fn spelled(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

impl TryFrom<Limits> for Period {
    type Error = BadPeriod;

    fn try_from(limits: Limits) -> Result<Period, BadPeriod> {
        Period::new(limits.start, limits.end)
    }
}

impl From<Period> for Limits {
    fn from(period: Period) -> Limits {
        let Period { start, end } = period;
        Limits { start, end }
    }
}

/// The months of a subscription, counted from its anchor.
///
/// Boundary `n` is the anchor plus `n` times the months, its day clamped to the month's length and
/// its time of day kept, always from the anchor and never from the boundary before: after Jan 31
/// come Feb 28 (or 29) and then Mar 31.
///
/// ```
/// use ledger_core::Renewal;
///
/// let renewal = Renewal { anchor: "2026-01-31T08:00:00Z".parse()?, months: 1 };
/// assert_eq!(renewal.period(0)?.to_string(), "2026-01-31T08:00:00Z to 2026-02-28T08:00:00Z");
/// assert_eq!(renewal.period(1)?.to_string(), "2026-02-28T08:00:00Z to 2026-03-31T08:00:00Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The start of the first period.
    pub anchor: DateTime<Utc>,
    /// How many months a period has. Not 0.
    pub months: u32,
}

impl Renewal {
    /// The period of this ordinal, from 0.
    ///
    /// # Errors
    /// [`BadPeriod`] for periods of no months, or beyond the years a [`Period`] may have.
    pub fn period(self, ordinal: u32) -> Result<Period, BadPeriod> {
        let bad = BadPeriod::Ordinal { ordinal };
        let next = ordinal.checked_add(1).ok_or(bad.clone())?;
        let (start, end) = (self.boundary(ordinal), self.boundary(next));
        let (start, end) = start.zip(end).ok_or(bad)?;
        Period::new(start, end)
    }

    /// The period that an instant is in; none before the anchor.
    ///
    /// # Errors
    /// As [`Renewal::period`].
    pub fn period_at(self, at: DateTime<Utc>) -> Result<Option<Period>, BadPeriod> {
        if at < self.anchor {
            return Ok(None);
        }
        let month = |at: DateTime<Utc>| i64::from(at.year()) * 12 + i64::from(at.month0());
        let passed = u32::try_from(month(at) - month(self.anchor)).unwrap_or(u32::MAX);
        let none = BadPeriod::Ordinal { ordinal: 0 };
        let ordinal = passed.checked_div(self.months).ok_or(none)?;
        // The boundary in the instant's own month may be later in it; the one before is not.
        let late = self.boundary(ordinal).is_none_or(|start| at < start);
        self.period(if late {
            ordinal.saturating_sub(1)
        } else {
            ordinal
        })
        .map(Some)
    }

    fn boundary(self, ordinal: u32) -> Option<DateTime<Utc>> {
        let months = self.months.checked_mul(ordinal)?;
        self.anchor.checked_add_months(Months::new(months))
    }
}

/// Two instants, or an ordinal, that are no period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPeriod {
    /// Not one after the other, not in whole microseconds, or not in the years 1970 to 9999.
    #[error("{start:?} to {end:?} is no period in whole microseconds of the years 1970 to 9999")]
    Limits {
        /// The start that was given.
        start: DateTime<Utc>,
        /// The end that was given.
        end: DateTime<Utc>,
    },
    /// Of no months, or too far from the anchor to be told.
    #[error("there is no period {ordinal}")]
    Ordinal {
        /// The ordinal that was given.
        ordinal: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_after_it_starts_and_is_stored_as_its_limits() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (start, end) = (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
        let period = Period::new(start, end).unwrap();
        let stored = r#"{"start":"2026-01-01T00:00:00Z","end":"2026-02-01T00:00:00Z"}"#;
        assert_eq!(serde_json::to_string(&period).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Period>(stored).unwrap(), period);
        for (start, end) in [
            (start, start),
            (end, start),
            (at("1969-12-31T23:59:59Z"), end),
            (start, at("9999-12-31T23:59:60Z")),
            (start, at("2026-02-01T00:00:00.0000001Z")),
        ] {
            assert_eq!(
                Period::new(start, end),
                Err(BadPeriod::Limits { start, end })
            );
        }
        let next = Period::new(end, at("2026-03-01T00:00:00Z")).unwrap();
        assert!(!period.overlaps(next) && !next.overlaps(period));
        assert!(period.overlaps(period));
    }

    #[test]
    fn a_period_of_no_months_is_none() {
        let anchor = "2026-01-31T08:00:00Z".parse().unwrap();
        let renewal = Renewal { anchor, months: 0 };
        assert!(renewal.period(0).is_err());
        assert!(renewal.period_at(anchor).is_err());
        let far = Renewal {
            anchor,
            months: u32::MAX,
        };
        assert!(far.period(0).is_err() && far.period(u32::MAX).is_err());
    }
}
