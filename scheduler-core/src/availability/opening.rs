//! A therapist's whole availability: weekly hours, other hours on some dates, blackouts.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::weekly::{HOURS_MAX, WeeklyHours, clock};
use crate::epoch::{Day, SECONDS_PER_DAY, day_of, midnight, split, weekday};
use crate::{Window, Zone};

/// The most dates with other hours.
pub const DATES_MAX: usize = 1_000;
/// The most blackouts.
pub const BLACKOUTS_MAX: usize = 1_000;

/// One stretch of a single date, `[from, to)` on the therapist's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayHours {
    /// Minutes after midnight of its start, 0 to 1439.
    pub from: u16,
    /// Minutes after midnight of its end, 1 to 1440.
    pub to: u16,
}

/// Stretches of one day in seconds after midnight: sorted, disjoint, not touching.
type Worked = Vec<(i64, i64)>;

/// When a therapist can be booked at all, appointments aside.
///
/// An appointment is within it if every instant of it is within the hours of its wall-clock date
/// and none is in a blackout. A date with other hours has those and not the week's; without any it
/// is a day off. Buffers are between appointments: they may reach out of the hours.
///
/// ```
/// use chrono::Weekday;
/// use scheduler_core::availability::{Availability, DayHours, Hours, WeeklyHours};
///
/// let mondays = Hours { weekday: Weekday::Mon, from: 9 * 60, to: 17 * 60 };
/// let week = WeeklyHours::new("Europe/London".parse()?, vec![mondays])?;
/// let holiday = "2026-05-25".parse()?;
/// let availability = Availability::new(week).with_date(holiday, Vec::<DayHours>::new())?;
/// assert!(availability.cover("2026-05-18T09:00:00Z".parse()?, "2026-05-18T10:00:00Z".parse()?));
/// assert!(!availability.cover("2026-05-25T09:00:00Z".parse()?, "2026-05-25T10:00:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    weekly: WeeklyHours,
    dated: BTreeMap<NaiveDate, Vec<DayHours>>,
    /// By start.
    blackouts: Vec<Window>,
    /// From Monday.
    week: [Worked; 7],
    dates: BTreeMap<Day, Worked>,
}

/// Why an availability cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AvailabilityError {
    /// Hours of a date end before they start, or leave the day.
    #[error(
        "hours on {date} go from {} to {}: they must end after they start, within the day",
        clock(*from), clock(*to)
    )]
    NotWithinDay {
        /// The date.
        date: NaiveDate,
        /// Minutes after midnight.
        from: u16,
        /// Minutes after midnight.
        to: u16,
    },
    /// A date has more hours than a day needs.
    #[error("a date has at most {HOURS_MAX} hours, {count} are given for {date}")]
    TooManyHours {
        /// The date.
        date: NaiveDate,
        /// How many were given.
        count: usize,
    },
    /// There are more dates with other hours than there may be.
    #[error("at most {DATES_MAX} dates have other hours than the week")]
    TooManyDates,
    /// There are more blackouts than there may be.
    #[error("there are at most {BLACKOUTS_MAX} blackouts, {count} are given")]
    TooManyBlackouts {
        /// How many were given.
        count: usize,
    },
}

impl Availability {
    /// The hours of a normal week, on every date.
    #[must_use]
    pub fn new(weekly: WeeklyHours) -> Self {
        let mut week: [Worked; 7] = Default::default();
        for (day, worked) in (0_u32..).zip(&mut week) {
            let hours = weekly.hours().iter();
            let own = hours.filter(|hours| hours.weekday.num_days_from_monday() == day);
            *worked = merged(own.map(|hours| (hours.from, hours.to)));
        }
        Self {
            weekly,
            dated: BTreeMap::new(),
            blackouts: Vec::new(),
            week,
            dates: BTreeMap::new(),
        }
    }

    /// Every hour of every day: [`WeeklyHours::always`].
    #[must_use]
    pub fn always(zone: Zone) -> Self {
        Self::new(WeeklyHours::always(zone))
    }

    /// The same with other hours on a date, or none.
    ///
    /// # Errors
    /// [`AvailabilityError`] if one of them is not within its day, or there are too many.
    pub fn with_date(
        mut self,
        date: NaiveDate,
        hours: Vec<DayHours>,
    ) -> Result<Self, AvailabilityError> {
        if hours.len() > HOURS_MAX {
            let count = hours.len();
            return Err(AvailabilityError::TooManyHours { date, count });
        }
        let backward = |hours: &&DayHours| {
            hours.from >= hours.to || i64::from(hours.to) * 60 > SECONDS_PER_DAY
        };
        if let Some(&DayHours { from, to }) = hours.iter().find(backward) {
            return Err(AvailabilityError::NotWithinDay { date, from, to });
        }
        let worked = merged(hours.iter().map(|hours| (hours.from, hours.to)));
        self.dates.insert(day_of(date), worked);
        self.dated.insert(date, hours);
        if self.dated.len() > DATES_MAX {
            return Err(AvailabilityError::TooManyDates);
        }
        Ok(self)
    }

    /// The same with these blackouts and no others.
    ///
    /// # Errors
    /// [`AvailabilityError::TooManyBlackouts`].
    pub fn with_blackouts(self, mut blackouts: Vec<Window>) -> Result<Self, AvailabilityError> {
        if blackouts.len() > BLACKOUTS_MAX {
            let count = blackouts.len();
            return Err(AvailabilityError::TooManyBlackouts { count });
        }
        blackouts.sort_unstable_by_key(|blackout| (blackout.start(), blackout.end()));
        Ok(Self { blackouts, ..self })
    }

    /// The zone of the therapist's wall clock.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.weekly.zone()
    }

    /// The hours of a normal week.
    #[must_use]
    pub fn weekly(&self) -> &WeeklyHours {
        &self.weekly
    }

    /// The dates with other hours.
    #[must_use]
    pub fn dated(&self) -> &BTreeMap<NaiveDate, Vec<DayHours>> {
        &self.dated
    }

    /// The blackouts, by start.
    #[must_use]
    pub fn blackouts(&self) -> &[Window] {
        &self.blackouts
    }

    /// Whether `[start, end)` lies within the hours of its dates. Blackouts are not asked.
    #[must_use]
    pub fn cover(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        self.covers(start.timestamp(), crate::window::ceiling(end))
    }

    /// The same in Unix seconds.
    pub(crate) fn covers(&self, start: i64, end: i64) -> bool {
        let mut reached = start;
        self.each_stretch(start, end, |from, to| {
            if from == reached {
                reached = to;
            }
        });
        reached >= end
    }

    /// The stretches within the hours, clipped to `[from, to)`, in Unix seconds: sorted and
    /// disjoint, but one may begin where another ends.
    pub(crate) fn each_stretch(&self, from: i64, to: i64, mut f: impl FnMut(i64, i64)) {
        let table = self.zone().transitions();
        let spans = table.spans()[table.at(from)..].iter();
        for span in spans.take_while(|span| span.from < to) {
            let low = from.max(span.from) + span.shift;
            let high = to.min(span.to) + span.shift;
            let (mut day, _) = split(low);
            while midnight(day) < high {
                for &(begins, ends) in self.of_day(day) {
                    let begins = (midnight(day) + begins).max(low);
                    let ends = (midnight(day) + ends).min(high);
                    if begins < ends {
                        f(begins - span.shift, ends - span.shift);
                    }
                }
                day += 1;
            }
        }
    }

    /// The stretches that are not within the hours of a normal week, in seconds from Monday 00:00:
    /// start and length.
    pub(crate) fn closed_in_week(&self) -> Vec<(i64, i64)> {
        let mut closed = Vec::new();
        let mut open_until = 0;
        for (day, worked) in (0..).zip(&self.week) {
            for (from, to) in worked {
                let from = day * SECONDS_PER_DAY + from;
                if from > open_until {
                    closed.push((open_until, from - open_until));
                }
                open_until = day * SECONDS_PER_DAY + to;
            }
        }
        let week = 7 * SECONDS_PER_DAY;
        if open_until < week {
            closed.push((open_until, week - open_until));
        }
        closed
    }

    /// The dates with other hours, as windows of instants a day wider on each side than the date:
    /// no clock change is longer.
    pub(crate) fn around_dates(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let table = self.zone().transitions();
        self.dates.keys().map(move |day| {
            let wall = midnight(*day);
            let start = wall - table.spans()[table.of_wall(wall)].shift;
            (start - SECONDS_PER_DAY, start + 2 * SECONDS_PER_DAY)
        })
    }

    fn of_day(&self, day: Day) -> &[(i64, i64)] {
        if let Some(worked) = self.dates.get(&day) {
            return worked;
        }
        let index = usize::try_from(weekday(day)).unwrap_or(0);
        &self.week[index]
    }
}

/// Stretches in minutes, in order and joined where they touch, in seconds.
fn merged(hours: impl Iterator<Item = (u16, u16)>) -> Worked {
    let seconds = |minute: u16| 60 * i64::from(minute);
    let mut worked: Worked = hours
        .map(|(from, to)| (seconds(from), seconds(to)))
        .collect();
    worked.sort_unstable();
    worked.dedup_by(|next, merged| {
        let touches = next.0 <= merged.1;
        if touches {
            merged.1 = merged.1.max(next.1);
        }
        touches
    });
    worked
}
