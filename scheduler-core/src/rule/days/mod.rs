//! Day patterns: which days a rule takes, whatever the time of day.
//!
//! A pattern is asked for the first day at or after a day, the last at or before it, how many are
//! before it, and which one has a given count. None of the answers depends on how far the pattern
//! has run: all are arithmetic on the calendar, or a look into a table of one Gregorian cycle.

pub(crate) mod bits;
pub(crate) mod periodic;
pub(crate) mod prefix;
pub(crate) mod steady;
pub(crate) mod tables;

use crate::epoch::{Day, date_of};

use periodic::{Periodic, Periods};
use steady::{Monthly, Step, Weeks};
use tables::{DayTable, MonthTable, WeekTable, YearTable};

/// No day: earlier than all.
pub(crate) const BEFORE: Day = -(1 << 30);

/// A day pattern. The closed forms are small; what needs a table owns it.
#[derive(Debug, Clone)]
pub(crate) enum Days {
    /// Every n days.
    Step(Step),
    /// Weekdays every n weeks.
    Weeks(Weeks),
    /// One day every n months.
    Monthly(Monthly),
    /// Days by the kind of their month.
    Months(Box<Periodic<MonthTable>>),
    /// Days by the kind of their year.
    Years(Box<Periodic<YearTable>>),
    /// Weeks, some of whose days are left out.
    FilteredWeeks(Box<Periodic<WeekTable>>),
    /// Every n days, some of which are left out.
    FilteredSteps(Box<Periodic<DayTable>>),
}

/// The same call on whichever pattern it is.
macro_rules! each {
    ($days:expr, $pattern:ident => $call:expr) => {
        match $days {
            Days::Step($pattern) => $call,
            Days::Weeks($pattern) => $call,
            Days::Monthly($pattern) => $call,
            Days::Months($pattern) => $call,
            Days::Years($pattern) => $call,
            Days::FilteredWeeks($pattern) => $call,
            Days::FilteredSteps($pattern) => $call,
        }
    };
}

impl Days {
    /// The first day of the pattern at or after `day`;
    /// [`NEVER`](crate::epoch::NEVER), or another day past the calendar, if there is none.
    #[inline]
    pub(crate) fn next(&self, day: Day) -> Day {
        each!(self, pattern => pattern.next(day))
    }

    /// The last day of the pattern at or before `day`, [`BEFORE`] if there is none.
    #[inline]
    pub(crate) fn prev(&self, day: Day) -> Day {
        each!(self, pattern => pattern.prev(day))
    }

    /// The distance of all its days, 0 if it is not always the same.
    pub(crate) fn stride(&self) -> i64 {
        match self {
            Self::Step(step) => i64::from(step.every),
            Self::Weeks(weeks) if weeks.mask.is_power_of_two() => 7 * i64::from(weeks.every),
            _ => 0,
        }
    }

    /// What [`after`](Self::after) needs to know of a day of the pattern.
    pub(crate) fn hint(&self, day: Day) -> i32 {
        match self {
            Self::Weeks(weeks) => (day - weeks.origin).rem_euclid(7),
            Self::Monthly(_) => date_of(day).month(),
            Self::Step(_) => 0,
            Self::Months(pattern) => pattern.hint(day),
            Self::Years(pattern) => pattern.hint(day),
            Self::FilteredWeeks(pattern) => pattern.hint(day),
            Self::FilteredSteps(pattern) => pattern.hint(day),
        }
    }

    /// The day of the pattern after one of its days, and its hint.
    #[inline]
    pub(crate) fn after(&self, day: Day, hint: &mut i32) -> Day {
        match self {
            Self::Step(step) => day.saturating_add_unsigned(step.every),
            Self::Weeks(weeks) => weeks.after(day, hint),
            Self::Monthly(monthly) => monthly.after(hint),
            Self::Months(pattern) => pattern.after(day, hint),
            Self::Years(pattern) => pattern.after(day, hint),
            Self::FilteredWeeks(pattern) => pattern.after(day, hint),
            Self::FilteredSteps(pattern) => pattern.after(day, hint),
        }
    }

    /// How many days of the pattern are before `day`, counted from a day that is fixed but not
    /// said: only differences mean something.
    pub(crate) fn count(&self, day: Day) -> i64 {
        each!(self, pattern => pattern.count(day))
    }

    /// The day whose [`count`](Self::count) is `n`.
    pub(crate) fn nth(&self, n: i64) -> Day {
        each!(self, pattern => pattern.nth(n))
    }

    /// Gives every day of the pattern in `from..to`, in order.
    #[inline]
    pub(crate) fn run(&self, from: Day, to: Day, f: impl FnMut(Day)) {
        each!(self, pattern => pattern.run(from, to, f));
    }

    /// Whether it has many days in half a year, at equal distances.
    #[inline]
    pub(crate) fn is_dense(&self) -> bool {
        match self {
            Self::Step(step) => step.every <= 14,
            Self::Weeks(weeks) => weeks.every <= 2,
            _ => false,
        }
    }

    /// A number of days, and which of them hold all days of the pattern, however often they are
    /// repeated. A pattern without a closed form in days is among all days.
    pub(crate) fn beat(&self) -> (i64, Vec<i64>) {
        match self {
            Self::Step(step) => (i64::from(step.every), vec![i64::from(step.origin)]),
            Self::Weeks(weeks) => {
                let days = (0..7).filter(|day| weeks.mask >> day & 1 == 1);
                let first = i64::from(weeks.origin);
                (
                    7 * i64::from(weeks.every),
                    days.map(|day| first + day).collect(),
                )
            }
            _ => (1, vec![0]),
        }
    }

    /// The periods of a pattern that has a table.
    pub(crate) fn periods(&self) -> Option<&dyn Periods> {
        match self {
            Self::Step(_) | Self::Weeks(_) | Self::Monthly(_) => None,
            Self::Months(pattern) => Some(pattern.as_ref()),
            Self::Years(pattern) => Some(pattern.as_ref()),
            Self::FilteredWeeks(pattern) => Some(pattern.as_ref()),
            Self::FilteredSteps(pattern) => Some(pattern.as_ref()),
        }
    }
}
