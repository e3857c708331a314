//! The occurrences of a window.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::problem::IcalError;
use super::series::{Details, Segment, Series};
use super::value::{At, Length, instant};
use super::{Calendar, LOOKED_AT_MAX, OCCURRENCES_MAX};
use crate::Window;
use crate::epoch::SECONDS_PER_DAY;
use crate::set::SetError;
use crate::zone::END_OF_ZONE_DATA;

/// A date, or an instant. As text `2026-03-01` or `2026-03-01T18:00:00Z` (RFC 3339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Of an all-day event.
    Date(NaiveDate),
    /// Of any other.
    Instant(DateTime<Utc>),
}

/// One occurrence of a [`Series`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence<'a> {
    /// The UID of its series.
    pub uid: &'a str,
    /// Its address: when the series generates it, wherever it was moved. If the series does not
    /// recur, when it starts.
    pub recurrence_id: Moment,
    /// When it starts in effect.
    pub start: Moment,
    /// When it ends in effect; a date is the first after it.
    pub end: Moment,
    /// SUMMARY.
    pub summary: Option<&'a str>,
    /// Whether it does not take place, and is there only to say so.
    pub is_cancelled: bool,
}

impl Moment {
    /// The instant; of a date, its midnight in UTC.
    #[must_use]
    pub fn instant(self) -> DateTime<Utc> {
        match self {
            Self::Date(date) => date.and_time(chrono::NaiveTime::MIN).and_utc(),
            Self::Instant(at) => at,
        }
    }

    fn new(unix: i64, is_date: bool) -> Self {
        let at = instant(unix);
        if is_date {
            Self::Date(at.date_naive())
        } else {
            Self::Instant(at)
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.instant();
        write!(
            f,
            "{:04}-{:02}-{:02}",
            date.year(),
            date.month(),
            date.day()
        )?;
        match self {
            Self::Date(_) => Ok(()),
            Self::Instant(at) => at.format("T%H:%M:%SZ").fmt(f),
        }
    }
}

impl Calendar {
    /// Every occurrence whose effective interval `[start, end)` overlaps the window, by start, then
    /// UID, then recurrence-id. What was moved in is in, what was moved out is out, what straddles
    /// an edge is in; one without length is in if its start is. All-day events are days of UTC.
    /// Cancelled ones are included and say so.
    ///
    /// # Errors
    /// [`IcalError::Window`] if the window reaches past the zone data,
    /// [`IcalError::TooManyOccurrences`].
    pub fn between(&self, window: Window) -> Result<Vec<Occurrence<'_>>, IcalError> {
        if window.end() > END_OF_ZONE_DATA {
            let end = window.end();
            return Err(SetError::BeyondZoneData { end }.into());
        }
        let mut found = Vec::new();
        let mut looked_at = LOOKED_AT_MAX;
        for series in &self.series {
            series.overlapping(window, &mut found, &mut looked_at)?;
        }
        found.sort_by_key(|one| {
            let (start, id) = (one.start.instant(), one.recurrence_id.instant());
            (start, one.uid, id)
        });
        Ok(found)
    }
}

impl Series {
    /// The same of this series, in no order. `looked_at` is how many may still be looked at.
    pub(super) fn overlapping<'a>(
        &'a self,
        window: Window,
        found: &mut Vec<Occurrence<'a>>,
        looked_at: &mut usize,
    ) -> Result<(), IcalError> {
        for (unix, change) in &self.changes {
            let details = &change.details;
            found.extend(self.occurrence(*unix, details, &details.start, details.length, window));
        }
        let Some(master) = &self.master else {
            return Ok(());
        };
        let periods = master.additions.iter().filter_map(|added| added.length);
        let longest = periods.map(Length::seconds_at_most).max().unwrap_or(0);
        for segment in self.segments(master) {
            let (from, to) = segment.reach(window, longest);
            let generated = master.generated(from, to, *looked_at);
            let generated = generated.ok_or(IcalError::TooManyOccurrences)?;
            *looked_at -= generated.len();
            for one in generated {
                if !self.changes.contains_key(&one.unix) && !master.is_excluded(&one) {
                    let start = segment.start_of(&one);
                    let length = one.length.unwrap_or(segment.details.length);
                    found.extend(self.occurrence(
                        one.unix,
                        segment.details,
                        &start,
                        length,
                        window,
                    ));
                }
            }
            if found.len() > OCCURRENCES_MAX {
                return Err(IcalError::TooManyOccurrences);
            }
        }
        Ok(())
    }

    /// An occurrence, if it overlaps the window. Its recurrence-id is given as an instant.
    fn occurrence<'a>(
        &'a self,
        id: i64,
        details: &'a Details,
        start: &At,
        length: Length,
        window: Window,
    ) -> Option<Occurrence<'a>> {
        let end = length.end(start.unix, &start.zone).max(start.unix);
        let overlaps = if end == start.unix {
            window.contains(instant(start.unix))
        } else {
            window.overlaps(instant(start.unix), instant(end))
        };
        overlaps.then(|| Occurrence {
            uid: &self.uid,
            recurrence_id: Moment::new(id, self.is_all_day),
            start: Moment::new(start.unix, start.is_date),
            end: Moment::new(end, start.is_date),
            summary: details.summary.as_deref(),
            is_cancelled: details.is_cancelled,
        })
    }
}

impl Segment<'_> {
    /// The instants, as generated, of what may overlap a window in effect. Two days cover every
    /// offset and every gap.
    fn reach(&self, window: Window, longest_period: i64) -> (i64, i64) {
        let margin = 2 * SECONDS_PER_DAY;
        let longest = self.details.length.seconds_at_most().max(longest_period);
        let moved = self.range.map_or(0, |(_, moved)| moved);
        let (from, to) = window.seconds();
        let from = from.saturating_sub(margin + longest + moved);
        let to = to.saturating_add(margin - moved);
        (from.max(self.from), to.min(self.to))
    }
}
