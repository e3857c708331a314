//! The occurrences of a window.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

use super::problem::IcalError;
use super::series::{Details, Generated, Master, Series, around};
use super::value::{At, Length, instant};
use super::{Calendar, OCCURRENCES_MAX};
use crate::Window;
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
        let mut found = Vec::new();
        for series in &self.series {
            series.overlapping(window, &mut found)?;
        }
        found.sort_by_key(|one| {
            let (start, id) = (one.start.instant(), one.recurrence_id.instant());
            (start, one.uid, id)
        });
        Ok(found)
    }
}

impl Series {
    /// The same of this series, in no order.
    fn overlapping<'a>(
        &'a self,
        window: Window,
        found: &mut Vec<Occurrence<'a>>,
    ) -> Result<(), IcalError> {
        if window.end() > END_OF_ZONE_DATA {
            let end = window.end();
            return Err(SetError::BeyondZoneData { end }.into());
        }
        for (id, details) in &self.changes {
            let id = self.at(*id).unix;
            found.extend(self.occurrence(id, details, details.start, details.length, window));
        }
        if let Some(master) = &self.master
            && let Some(reach) = self.reach(master, window)
        {
            let room = OCCURRENCES_MAX.saturating_sub(found.len());
            let generated = master.generated(reach, room)?;
            let generated = generated.ok_or(IcalError::TooManyOccurrences)?;
            for one in generated {
                if !self.changes.contains_key(&one.id) && !master.is_excluded(&one) {
                    found.extend(self.as_generated(master, &one, window));
                }
            }
        }
        if found.len() > OCCURRENCES_MAX {
            return Err(IcalError::TooManyOccurrences);
        }
        Ok(())
    }

    /// The window in which something must be generated to overlap another in effect.
    fn reach(&self, master: &Master, window: Window) -> Option<Window> {
        let ranges = || self.ranges.iter();
        let lengths = ranges().map(|(_, range)| range.length);
        let periods = master.additions.iter().filter_map(|added| added.length);
        let lengths = lengths.chain(periods).chain([master.details.length]);
        let longest = lengths.map(Length::seconds_at_most).max().unwrap_or(0);
        let moved = ranges()
            .map(|(id, range)| (range.start.unix - self.zone.resolve(*id).0.timestamp()).abs());
        let moved = moved.max().unwrap_or(0);
        let from = TimeDelta::try_seconds(longest.saturating_add(moved))?;
        let to = TimeDelta::try_seconds(moved)?;
        let from = window.start().checked_sub_signed(from);
        let to = window
            .end()
            .checked_add_signed(to)
            .unwrap_or(END_OF_ZONE_DATA);
        around(
            from.unwrap_or(DateTime::<Utc>::MIN_UTC + TimeDelta::days(3)),
            to,
        )
    }

    fn as_generated<'a>(
        &'a self,
        master: &'a Master,
        one: &Generated,
        window: Window,
    ) -> Option<Occurrence<'a>> {
        if let Some((from, range)) = self.range_of(one.id) {
            let start = self.start_in_range(from, range, one.id);
            return self.occurrence(one.unix, range, start, range.length, window);
        }
        let details = &master.details;
        let start = At {
            wall: one.id,
            unix: one.unix,
            ..details.start
        };
        let length = one.length.unwrap_or(details.length);
        self.occurrence(one.unix, details, start, length, window)
    }

    /// An occurrence, if it overlaps the window. Its recurrence-id is given as an instant.
    fn occurrence<'a>(
        &'a self,
        id: i64,
        details: &'a Details,
        start: At,
        length: Length,
        window: Window,
    ) -> Option<Occurrence<'a>> {
        let end = length.end(start.unix, start.zone).max(start.unix);
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
