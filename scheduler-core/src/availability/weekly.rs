//! The hours of a normal week.

use chrono::Weekday;
use serde::{Deserialize, Serialize};

use crate::Zone;

/// Minutes.
const DAY: u16 = 24 * 60;
/// The most intervals a week of hours has.
pub const HOURS_MAX: usize = 100;

/// One stretch of a working day, `[from, to)` on the therapist's wall clock. `24:00` ends a day,
/// so that a night shift is two of them: MO 22:00–24:00 and TU 00:00–06:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The day of the week.
    pub weekday: Weekday,
    /// Minutes after midnight of its start, 0 to 1439.
    pub from: u16,
    /// Minutes after midnight of its end, 1 to 1440.
    pub to: u16,
}

/// The hours of a normal week, in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeeklyHours {
    zone: Zone,
    hours: Vec<Hours>,
}

/// Why hours are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// They end before they start, or leave the day.
    #[error(
        "hours on {weekday} go from {} to {}: they must end after they start, within the day",
        clock(*from), clock(*to)
    )]
    NotWithinDay {
        /// The day.
        weekday: Weekday,
        /// Minutes after midnight.
        from: u16,
        /// Minutes after midnight.
        to: u16,
    },
    /// There are more of them than a week needs.
    #[error("a week has at most {HOURS_MAX} hours, {count} are given")]
    TooMany {
        /// How many were given.
        count: usize,
    },
}

/// Minutes after midnight as a clock shows them, `24:00` among them.
pub(super) fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

impl WeeklyHours {
    /// # Errors
    /// [`HoursError`] if one of them is not within its day, or there are too many.
    pub fn new(zone: Zone, hours: Vec<Hours>) -> Result<Self, HoursError> {
        if hours.len() > HOURS_MAX {
            return Err(HoursError::TooMany { count: hours.len() });
        }
        let outside = |hours: &&Hours| hours.from >= hours.to || hours.to > DAY;
        if let Some(&Hours { weekday, from, to }) = hours.iter().find(outside) {
            return Err(HoursError::NotWithinDay { weekday, from, to });
        }
        Ok(Self { zone, hours })
    }

    /// Every hour of every day: for a calendar that has no hours, like a client's.
    #[must_use]
    pub fn always(zone: Zone) -> Self {
        let hours = (0..7).map(|day| Hours {
            weekday: Weekday::try_from(day).unwrap_or(Weekday::Sun),
            from: 0,
            to: DAY,
        });
        Self {
            zone,
            hours: hours.collect(),
        }
    }

    /// The zone of the wall clock.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// The hours as they were given.
    #[must_use]
    pub fn hours(&self) -> &[Hours] {
        &self.hours
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::availability::Availability;

    fn hours(list: &[(Weekday, u16, u16)]) -> Availability {
        let hours = list
            .iter()
            .map(|&(weekday, from, to)| Hours { weekday, from, to })
            .collect();
        let hours = WeeklyHours::new("Europe/London".parse().unwrap(), hours);
        Availability::new(hours.unwrap())
    }

    fn covered(hours: &Availability, start: &str, minutes: i64) -> bool {
        let start: DateTime<Utc> = start.parse().unwrap();
        hours.cover(start, start + TimeDelta::minutes(minutes))
    }

    #[test]
    fn hours_are_wall_time_on_both_sides_of_a_clock_change() {
        let mondays = hours(&[(Weekday::Mon, 9 * 60, 17 * 60)]);
        assert!(covered(&mondays, "2026-03-23T09:00:00Z", 60));
        assert!(covered(&mondays, "2026-03-30T08:00:00Z", 60));
        assert!(!covered(&mondays, "2026-03-23T08:00:00Z", 60));
        assert!(!covered(&mondays, "2026-03-23T16:30:00Z", 31));
        assert!(covered(&mondays, "2026-03-23T16:30:00Z", 30));
    }

    #[test]
    fn an_appointment_across_a_clock_change_is_where_the_wall_clock_is() {
        let nights = hours(&[(Weekday::Sun, 0, 2 * 60)]);
        // 00:30 to 02:30 on the wall, an hour long: 01:00 to 02:00 is skipped.
        assert!(!covered(&nights, "2026-03-29T00:30:00Z", 60));
        assert!(covered(&nights, "2026-03-29T00:30:00Z", 30));
        // 00:30 to 01:30 on the wall, two hours long: 01:00 to 02:00 happens twice.
        assert!(covered(&nights, "2026-10-24T23:30:00Z", 120));
        assert!(!covered(&nights, "2026-10-24T23:30:00Z", 151));
    }

    #[test]
    fn stretches_that_touch_are_one_even_over_the_week_s_end() {
        let night = hours(&[(Weekday::Sun, 22 * 60, 1440), (Weekday::Mon, 0, 120)]);
        assert!(covered(&night, "2026-03-01T23:30:00Z", 80));
        assert!(!covered(&night, "2026-03-01T23:30:00Z", 180));
        let split = hours(&[(Weekday::Mon, 600, 660), (Weekday::Mon, 540, 600)]);
        assert!(covered(&split, "2026-03-02T09:30:00Z", 60));
    }

    #[test]
    fn no_hours_cover_nothing_and_backward_hours_are_refused() {
        assert!(!covered(&hours(&[]), "2026-03-02T09:30:00Z", 1));
        let backward = Hours {
            weekday: Weekday::Mon,
            from: 600,
            to: 600,
        };
        assert!(WeeklyHours::new(Zone::UTC, vec![backward]).is_err());
    }
}
