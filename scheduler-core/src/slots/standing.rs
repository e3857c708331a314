use std::cmp::Reverse;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc, Weekday};

use super::ground::Ground;
use super::policy::SlotPolicy;
use crate::availability::Availability;
use crate::calendar::Calendar;
use crate::set::SetError;
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, Window, Zone};

/// The most dates that a standing slot is looked at.
pub const STANDING_DATES_MAX: u32 = 104;
/// The most weeks between two dates.
pub const STANDING_WEEKS_MAX: u32 = 52;

/// What somebody wants who comes every week, or every few weeks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingWish {
    /// The zone in which the time of day is to stay the same.
    pub zone: Zone,
    /// The first date that may be the first.
    pub from: NaiveDate,
    /// On which weekdays; on any if there are none.
    pub weekdays: Vec<Weekday>,
    /// Weeks from one date to the next.
    pub weeks: u32,
    /// How many dates are looked at.
    pub dates: u32,
    /// How many of them must be free.
    pub at_least: u32,
}

/// A time of the week, and on how many of the dates to come it is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingSlot {
    /// The first date and the time of day, in the wish's zone. This one may be among the missed.
    pub start: LocalDateTime,
    /// How many of the dates are free.
    pub free: u32,
    /// How many were looked at.
    pub of: u32,
    /// Those that are not.
    pub missed: Vec<LocalDateTime>,
}

/// Why standing slots cannot be searched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StandingError {
    /// The number of dates is out of range.
    #[error("{dates} dates: from 1 to {STANDING_DATES_MAX} are looked at")]
    Dates {
        /// The number given.
        dates: u32,
    },
    /// More dates are to be free than are looked at.
    #[error("at least {at_least} of {dates} dates cannot be free")]
    AtLeast {
        /// How many are to be free.
        at_least: u32,
        /// How many are looked at.
        dates: u32,
    },
    /// The distance is out of range.
    #[error("every {weeks} weeks: it is from 1 to {STANDING_WEEKS_MAX}")]
    Weeks {
        /// The distance given.
        weeks: u32,
    },
    /// The calendar cannot be computed there.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// The times of the week that are free on at least as many dates as are wished, the best first:
/// more free dates, then more of them before the first that is not, then the earlier start.
///
/// A date is free if a slot there would be, however far ahead it is; only the first date is held to
/// the booking window. It says nothing of what comes after the last date:
/// [`prove`](crate::proof::prove) does.
///
/// # Errors
/// [`StandingError`] if the wish is out of range, or beyond what a calendar can compute.
pub fn standing_slots(
    calendar: &Calendar,
    availability: &Availability,
    policy: SlotPolicy,
    now: DateTime<Utc>,
    wish: &StandingWish,
) -> Result<Vec<StandingSlot>, StandingError> {
    check(wish)?;
    let window = looked_at(wish)?;
    let ground = Ground::new(calendar, availability, policy, now, window)?;
    let mut found = Vec::new();
    for weekday in 0..7 {
        let date = wish.from + Days::new(weekday);
        if !wish.weekdays.is_empty() && !wish.weekdays.contains(&date.weekday()) {
            continue;
        }
        let midnight = date.and_time(chrono::NaiveTime::MIN);
        let Ok(midnight) = LocalDateTime::try_from(midnight) else {
            return Err(SetError::BeyondZoneData { end: window.end() }.into());
        };
        for minute in (0..24 * 60).step_by(usize::from(policy.step())) {
            let start = midnight.plus_seconds(60 * minute);
            found.extend(start.and_then(|start| looked_up(&ground, policy, now, wish, start)));
        }
    }
    found.sort_by_key(|slot| {
        let first = slot.missed.first().copied();
        (
            Reverse(slot.free),
            Reverse(first.unwrap_or(LocalDateTime::MAX)),
            slot.start,
        )
    });
    Ok(found)
}

fn check(wish: &StandingWish) -> Result<(), StandingError> {
    let &StandingWish {
        weeks,
        dates,
        at_least,
        ..
    } = wish;
    if !(1..=STANDING_DATES_MAX).contains(&dates) {
        return Err(StandingError::Dates { dates });
    }
    if at_least > dates {
        return Err(StandingError::AtLeast { at_least, dates });
    }
    if !(1..=STANDING_WEEKS_MAX).contains(&weeks) {
        return Err(StandingError::Weeks { weeks });
    }
    Ok(())
}

/// All dates of a wish, in any zone.
fn looked_at(wish: &StandingWish) -> Result<Window, SetError> {
    let midnight = wish.from.and_time(chrono::NaiveTime::MIN).and_utc();
    let weeks = i64::from(wish.dates) * i64::from(wish.weeks);
    let (from, to) = (TimeDelta::days(-2), TimeDelta::days(7 * weeks + 9));
    let window = match (
        midnight.checked_add_signed(from),
        midnight.checked_add_signed(to),
    ) {
        (Some(from), Some(to)) if to <= END_OF_ZONE_DATA => Window::new(from, to).ok(),
        _ => None,
    };
    window.ok_or(SetError::BeyondZoneData { end: midnight })
}

/// One time of the week, if it is free often enough.
fn looked_up(
    ground: &Ground<'_>,
    policy: SlotPolicy,
    now: DateTime<Utc>,
    wish: &StandingWish,
    start: LocalDateTime,
) -> Option<StandingSlot> {
    let (first, _) = wish.zone.resolve(start);
    if policy.until(now).is_some_and(|until| first >= until) {
        return None;
    }
    let mut missed = Vec::new();
    for number in 0..i64::from(wish.dates) {
        let date = start.plus_seconds(number * i64::from(wish.weeks) * 7 * 24 * 3600)?;
        if !ground.is_free_later(wish.zone.resolve(date).0) {
            missed.push(date);
            let missed = u32::try_from(missed.len()).unwrap_or(u32::MAX);
            if missed > wish.dates - wish.at_least {
                return None;
            }
        }
    }
    Some(StandingSlot {
        start,
        free: wish.dates - u32::try_from(missed.len()).unwrap_or(wish.dates),
        of: wish.dates,
        missed,
    })
}
