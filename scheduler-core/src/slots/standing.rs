use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc, Weekday};

use super::ground::{Ground, refuses_in_series};
use super::policy::SlotPolicy;
use crate::availability::Availability;
use crate::calendar::Calendar;
use crate::epoch::SECONDS_PER_DAY;
use crate::pause::midnight;
use crate::proof::{Obstacle, each_regime};
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
    /// A start that the wish does not ask for is to be explained.
    #[error(
        "the wish from {from} does not ask for {start}: not its first week, or another weekday"
    )]
    NotAsked {
        /// The start given.
        start: LocalDateTime,
        /// The first date that may be the first.
        from: NaiveDate,
    },
    /// The calendar cannot be computed there.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// A date of a standing slot that is not free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedDate {
    /// The date and the time of day, in the wish's zone.
    pub date: LocalDateTime,
    /// Everything that refuses it, at least one.
    pub obstacles: Vec<Obstacle>,
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
    let looked = Looked::new(calendar, availability, policy, now, wish)?;
    let mut found = Vec::new();
    for weekday in 0..7 {
        let date = wish.from + Days::new(weekday);
        if !wish.wants(date) {
            continue;
        }
        let midnight = midnight(date);
        for second in &looked.seconds {
            let start = midnight.plus_seconds(*second);
            found.extend(start.and_then(|start| looked.up(start)));
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

/// Everything that refuses dates of a standing slot that starts at this wall time of the wish's zone,
/// by date. [`standing_slots`] lists the slot if and only if fewer than `dates - at_least + 1` are
/// refused; a wish for at least none lists whatever is on a step.
///
/// If the first date is too far ahead to be booked, so is every date. A time that is never on a step
/// of the therapist's wall clock says so of every date.
///
/// # Errors
/// [`StandingError::NotAsked`] if the start is on no date that may be the first; otherwise as
/// [`standing_slots`].
pub fn explain_standing(
    calendar: &Calendar,
    availability: &Availability,
    policy: SlotPolicy,
    now: DateTime<Utc>,
    wish: &StandingWish,
    start: LocalDateTime,
) -> Result<Vec<RefusedDate>, StandingError> {
    let looked = Looked::new(calendar, availability, policy, now, wish)?;
    let (date, from) = (start.date(), wish.from);
    if date < from || date >= from + Days::new(7) || !wish.wants(date) {
        return Err(StandingError::NotAsked { start, from });
    }
    let mut refused = Vec::new();
    looked.each_refused(start, |date| {
        let obstacles = looked.obstacles(start, date);
        refused.push(RefusedDate { date, obstacles });
        ControlFlow::Continue(())
    });
    Ok(refused)
}

impl StandingWish {
    fn wants(&self, date: NaiveDate) -> bool {
        self.weekdays.is_empty() || self.weekdays.contains(&date.weekday())
    }
}

/// What a wish looks at.
struct Looked<'a> {
    ground: Ground<'a>,
    policy: SlotPolicy,
    now: DateTime<Utc>,
    wish: &'a StandingWish,
    /// The times of day that are on a step of the therapist's wall clock at some time, in seconds
    /// after midnight in the wish's zone.
    seconds: BTreeSet<i64>,
}

impl<'a> Looked<'a> {
    fn new(
        calendar: &Calendar,
        availability: &'a Availability,
        policy: SlotPolicy,
        now: DateTime<Utc>,
        wish: &'a StandingWish,
    ) -> Result<Self, StandingError> {
        check(wish)?;
        let window = looked_at(wish)?;
        let ground = Ground::new(calendar, availability, policy, now, window)?;
        let mut aheads = BTreeSet::new();
        let zone = availability.zone();
        each_regime(wish.zone, zone, window.seconds(), |_, _, ahead| {
            aheads.insert(ahead);
        });
        let steps = (0..24 * 60).step_by(usize::from(policy.step()));
        let seconds = steps.flat_map(|minute: i64| {
            let aheads = aheads.iter();
            aheads.map(move |ahead| (60 * minute + ahead).rem_euclid(SECONDS_PER_DAY))
        });
        Ok(Self {
            ground,
            policy,
            now,
            wish,
            seconds: seconds.collect(),
        })
    }

    /// One time of the week, if it is free often enough.
    fn up(&self, start: LocalDateTime) -> Option<StandingSlot> {
        let wish = self.wish;
        let most = usize::try_from(wish.dates - wish.at_least).unwrap_or(usize::MAX);
        let mut missed = Vec::new();
        self.each_refused(start, |date| {
            missed.push(date);
            if missed.len() > most {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        (missed.len() <= most).then(|| StandingSlot {
            start,
            free: wish.dates - u32::try_from(missed.len()).unwrap_or(wish.dates),
            of: wish.dates,
            missed,
        })
    }

    /// The dates of a time of the week that are refused, in order, until `f` has enough.
    fn each_refused(
        &self,
        start: LocalDateTime,
        mut f: impl FnMut(LocalDateTime) -> ControlFlow<()>,
    ) {
        let never = self.too_far(start).is_some() || self.is_never_on_step(start);
        let apart = i64::from(self.wish.weeks) * 7 * SECONDS_PER_DAY;
        let dates =
            (0..i64::from(self.wish.dates)).filter_map(|number| start.plus_seconds(number * apart));
        for date in dates {
            let at = self.wish.zone.resolve(date).0;
            if (never || !self.ground.is_free_in_series(at)) && f(date).is_break() {
                return;
            }
        }
    }

    /// Everything that refuses a date.
    fn obstacles(&self, start: LocalDateTime, date: LocalDateTime) -> Vec<Obstacle> {
        let mut found = self.ground.obstacles(self.wish.zone.resolve(date).0);
        found.retain(refuses_in_series);
        let until = self.too_far(start);
        found.extend(until.map(|until| Obstacle::BookingWindow { until }));
        let step = self.policy.step();
        let off = Obstacle::OffStep { step };
        if self.is_never_on_step(start) && !found.contains(&off) {
            found.push(off);
        }
        found
    }

    /// The end of the booking window, if the first date is not within it.
    fn too_far(&self, start: LocalDateTime) -> Option<DateTime<Utc>> {
        let first = self.wish.zone.resolve(start).0;
        self.policy.until(self.now).filter(|until| first >= *until)
    }

    fn is_never_on_step(&self, start: LocalDateTime) -> bool {
        let second = start.seconds().rem_euclid(SECONDS_PER_DAY);
        !self.seconds.contains(&second)
    }
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
