//! Which times can be booked, and why the others cannot.
//!
//! [`free_slots`] lists single slots of a window, [`standing_slots`] the times of a week that are
//! free on enough of the dates to come, [`alternatives`] what to do about the dates of a series that
//! are not. [`explain`] names everything that refuses one time, [`explain_standing`] everything that
//! refuses the dates of a time of the week. All of them ask one function, so a slot is listed if and
//! only if its explanation is empty, and a standing slot if and only if few enough of its dates are
//! refused.
//!
//! What it is not: booking a series needs more than its next dates, which is
//! [`proof`](crate::proof)'s.

mod alternatives;
mod ground;
mod policy;
mod standing;

use chrono::{DateTime, TimeDelta, Utc};

use crate::Window;
use crate::availability::Availability;
use crate::calendar::Calendar;
use crate::proof::Obstacle;
use crate::set::SetError;
use crate::zone::END_OF_ZONE_DATA;

pub use alternatives::{Alternative, Alternatives, DATES_ASKED_MAX, alternatives};
pub use policy::{AHEAD_DAYS_MAX, PolicyError, STEP_MINUTES_MAX, SlotPolicy};
pub use standing::{
    RefusedDate, STANDING_DATES_MAX, STANDING_WEEKS_MAX, StandingError, StandingSlot, StandingWish,
    explain_standing, standing_slots,
};

use ground::Ground;

/// The longest window that is searched at once.
pub const SEARCHED_DAYS_MAX: i64 = 366;

/// A time that can be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

/// In which order slots are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// The earliest first.
    Earliest,
    /// The one whose start is nearest to an instant first; of two at the same distance the earlier.
    NearestTo(DateTime<Utc>),
}

/// Why slots cannot be searched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The window is longer than is searched at once.
    #[error("a window of {days} days: at most {SEARCHED_DAYS_MAX} are searched at once")]
    TooLong {
        /// Its length.
        days: i64,
    },
    /// The calendar cannot be computed there.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// The slots that start in a window and can be booked now: by their instant, or by the wall time that
/// the therapist's clock shows at it, which is the same. So an hour that the clocks repeat is listed
/// once, the first time.
///
/// ```
/// use chrono::Weekday;
/// use scheduler_core::Window;
/// use scheduler_core::availability::{Availability, Hours, WeeklyHours};
/// use scheduler_core::calendar::Calendar;
/// use scheduler_core::proof::Obstacle;
/// use scheduler_core::slots::{Ranking, SlotPolicy, explain, free_slots};
///
/// let mondays = Hours { weekday: Weekday::Mon, from: 9 * 60, to: 11 * 60 };
/// let week = WeeklyHours::new("Europe/London".parse()?, vec![mondays])?;
/// let (calendar, availability) = (Calendar::default(), Availability::new(week));
/// let policy = SlotPolicy::new(50, 30)?.with_notice(24 * 60)?;
/// let now = "2026-03-01T09:45:00Z".parse()?;
/// let day = Window::new("2026-03-02T00:00:00Z".parse()?, "2026-03-03T00:00:00Z".parse()?)?;
/// let found = free_slots(&calendar, &availability, policy, now, day, Ranking::Earliest)?;
/// let starts: Vec<String> = found.iter().map(|slot| slot.start.format("%H:%M").to_string()).collect();
/// assert_eq!(starts, ["10:00"]);
/// let earlier = explain(&calendar, &availability, policy, now, "2026-03-02T09:30:00Z".parse()?)?;
/// assert!(matches!(earlier[..], [Obstacle::Notice { .. }]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SearchError`] if the window is too long, or beyond what a calendar can compute.
pub fn free_slots(
    calendar: &Calendar,
    availability: &Availability,
    policy: SlotPolicy,
    now: DateTime<Utc>,
    window: Window,
    ranking: Ranking,
) -> Result<Vec<Slot>, SearchError> {
    let days = (window.end() - window.start()).num_days();
    if days > SEARCHED_DAYS_MAX {
        return Err(SearchError::TooLong { days });
    }
    refuse_beyond(policy, window)?;
    let ground = Ground::new(calendar, availability, policy, now, window)?;
    let mut found = Vec::new();
    ground.each_step(window, |start| {
        if ground.is_free(start) {
            let end = start + TimeDelta::minutes(i64::from(policy.minutes()));
            found.push(Slot { start, end });
        }
    });
    if let Ranking::NearestTo(wanted) = ranking {
        found.sort_by_key(|slot| ((slot.start - wanted).abs(), slot.start));
    }
    Ok(found)
}

/// Everything that refuses a slot that starts at this instant. It can be booked if there is nothing.
///
/// # Errors
/// [`SetError`] if the instant is beyond what a calendar can compute.
pub fn explain(
    calendar: &Calendar,
    availability: &Availability,
    policy: SlotPolicy,
    now: DateTime<Utc>,
    start: DateTime<Utc>,
) -> Result<Vec<Obstacle>, SetError> {
    let beyond = SetError::BeyondZoneData { end: start };
    let after = start.checked_add_signed(TimeDelta::seconds(1));
    let after = after.ok_or(beyond.clone())?;
    let instant = Window::new(start, after).map_err(|_| beyond)?;
    refuse_beyond(policy, instant)?;
    Ok(Ground::new(calendar, availability, policy, now, instant)?.obstacles(start))
}

/// A slot that ends past the zone data cannot be booked, and whether it is free is not known.
fn refuse_beyond(policy: SlotPolicy, starts: Window) -> Result<(), SetError> {
    let length = TimeDelta::minutes(i64::from(policy.minutes()));
    let last = starts.end() - TimeDelta::seconds(1);
    match last.checked_add_signed(length) {
        Some(end) if end <= END_OF_ZONE_DATA => Ok(()),
        _ => Err(SetError::BeyondZoneData { end: starts.end() }),
    }
}
