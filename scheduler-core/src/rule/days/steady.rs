//! Day patterns with closed forms: every n days, weekdays every n weeks, one day every n months.

use crate::epoch::{
    CYCLE_DAYS, DAY_MAX, Day, MONTH_MAX, Month, NEVER, date_of, first_of_year, is_leap,
    month_of_year, month_span, weekday,
};

use super::BEFORE;

/// Every `every` days from `origin` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) origin: Day,
    pub(crate) every: u32,
}

impl Step {
    #[inline]
    pub(crate) fn next(self, day: Day) -> Day {
        let ahead = (day - self.origin).max(0).cast_unsigned();
        let rest = ahead % self.every;
        let up = if rest == 0 { 0 } else { self.every - rest };
        self.origin + (ahead + up).cast_signed()
    }

    #[inline]
    pub(crate) fn prev(self, day: Day) -> Day {
        if day < self.origin {
            return BEFORE;
        }
        let ahead = (day - self.origin).cast_unsigned();
        day - (ahead % self.every).cast_signed()
    }

    pub(crate) fn count(self, day: Day) -> i64 {
        let ahead = (day - self.origin).max(0).cast_unsigned();
        i64::from(ahead.div_ceil(self.every))
    }

    pub(crate) fn nth(self, n: i64) -> Day {
        within_calendar(i64::from(self.origin) + n.saturating_mul(i64::from(self.every)))
    }

    #[inline]
    pub(crate) fn run(self, from: Day, to: Day, mut f: impl FnMut(Day)) {
        let mut day = self.next(from);
        while day < to {
            f(day);
            day += self.every.cast_signed();
        }
    }
}

/// The weekdays of every `every`-th week. `origin` is the first day of the first such week, and
/// bit n of `mask` the n-th day after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weeks {
    pub(crate) origin: Day,
    pub(crate) every: u32,
    pub(crate) mask: u8,
}

impl Weeks {
    #[inline]
    pub(crate) fn next(self, day: Day) -> Day {
        let ahead = (day - self.origin).max(0).cast_unsigned();
        let (week, of_week) = (ahead / 7, ahead % 7);
        let out = if self.every == 1 {
            0
        } else {
            week % self.every
        };
        let start = self.origin + (7 * week).cast_signed();
        let left = u32::from(self.mask) >> of_week << of_week;
        if out == 0 && left != 0 {
            return start + left.trailing_zeros().cast_signed();
        }
        start + (7 * (self.every - out) + u32::from(self.mask).trailing_zeros()).cast_signed()
    }

    #[inline]
    pub(crate) fn prev(self, day: Day) -> Day {
        if day < self.origin {
            return BEFORE;
        }
        let ahead = (day - self.origin).cast_unsigned();
        let (week, of_week) = (ahead / 7, ahead % 7);
        let out = week % self.every;
        let start = self.origin + (7 * (week - out)).cast_signed();
        let mask = u32::from(self.mask);
        let left = if out == 0 {
            mask & ((2 << of_week) - 1)
        } else {
            mask
        };
        if left != 0 {
            return start + left.ilog2().cast_signed();
        }
        let start = start - (7 * self.every).cast_signed();
        if start < self.origin {
            BEFORE
        } else {
            start + mask.ilog2().cast_signed()
        }
    }

    /// The day after one that is `of_week` days into its week.
    #[inline]
    pub(crate) fn after(self, day: Day, of_week: &mut i32) -> Day {
        let mask = i32::from(self.mask);
        let left = mask >> (*of_week + 1) << (*of_week + 1);
        let (weeks, left) = if left == 0 {
            (self.every, mask)
        } else {
            (0, left)
        };
        let next = left.trailing_zeros().cast_signed();
        let day = day - *of_week + (7 * weeks).cast_signed() + next;
        *of_week = next;
        day
    }

    pub(crate) fn count(self, day: Day) -> i64 {
        let ahead = (day - self.origin).max(0).cast_unsigned();
        let (week, of_week) = (ahead / 7, ahead % 7);
        let mask = u32::from(self.mask);
        let before = if week % self.every == 0 {
            mask & ((1 << of_week) - 1)
        } else {
            mask
        };
        i64::from(week / self.every * mask.count_ones() + before.count_ones())
    }

    pub(crate) fn nth(self, n: i64) -> Day {
        let each = i64::from(self.mask.count_ones());
        let mut mask = self.mask;
        for _ in 0..n % each {
            mask &= mask - 1;
        }
        let weeks = (n / each).saturating_mul(7 * i64::from(self.every));
        within_calendar(i64::from(self.origin) + weeks + i64::from(mask.trailing_zeros()))
    }

    #[inline]
    pub(crate) fn run(self, from: Day, to: Day, mut f: impl FnMut(Day)) {
        let mut day = self.next(from);
        let stride = (7 * self.every).cast_signed();
        if self.mask.is_power_of_two() {
            while day < to {
                f(day);
                day += stride;
            }
            return;
        }
        let mut start = day - (day - self.origin).rem_euclid(7);
        while start < to {
            let mut mask = self.mask;
            while mask != 0 {
                let day = start + mask.trailing_zeros().cast_signed();
                mask &= mask - 1;
                if day >= to {
                    return;
                }
                if day >= from {
                    f(day);
                }
            }
            start += stride;
        }
    }
}

/// One day of every `every`-th month, which each of these months has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Monthly {
    pub(crate) origin: Month,
    pub(crate) every: u32,
    /// Which one, from 1; from the end if negative.
    pub(crate) nth: i8,
    /// The n-th of these, 0 for Monday; [`Monthly::ANY`] counts days.
    pub(crate) weekday: u8,
}

impl Monthly {
    pub(crate) const ANY: u8 = 7;

    /// The day in the month that begins on `first` and has `length` days.
    #[inline]
    fn day_in(self, first: Day, length: i32) -> Day {
        let nth = i32::from(self.nth);
        if self.weekday == Self::ANY {
            return if nth > 0 {
                first + nth - 1
            } else {
                first + length + nth
            };
        }
        let wanted = i32::from(self.weekday);
        if nth > 0 {
            weekday_from(first, wanted) + 7 * (nth - 1)
        } else {
            // The last one is in the month's last seven days.
            weekday_from(first + length - 7, wanted) + 7 * (nth + 1)
        }
    }

    #[inline]
    pub(crate) fn next(self, day: Day) -> Day {
        let date = date_of(day.max(0));
        let mut month = date.month();
        let mut out = 0;
        if month < self.origin {
            month = self.origin;
        } else {
            out = (month - self.origin).cast_unsigned() % self.every;
            if out == 0 {
                let first = day.max(0) - (date.day - 1);
                let length = month_of_year(first, is_leap(date.year), date.month0).1;
                let found = self.day_in(first, length);
                if found >= day {
                    return found;
                }
            }
            out = self.every - out;
        }
        self.in_month(i64::from(month) + i64::from(out))
    }

    #[inline]
    pub(crate) fn prev(self, day: Day) -> Day {
        let month = date_of(day.max(0)).month();
        if month < self.origin {
            return BEFORE;
        }
        let out = ((month - self.origin).cast_unsigned() % self.every).cast_signed();
        let found = self.in_month(i64::from(month - out));
        if found <= day {
            return found;
        }
        let month = i64::from(month) - i64::from(self.every);
        if month < i64::from(self.origin) {
            BEFORE
        } else {
            self.in_month(month)
        }
    }

    pub(crate) fn count(self, day: Day) -> i64 {
        let month = date_of(day.clamp(0, DAY_MAX + 1)).month();
        if month < self.origin {
            return 0;
        }
        let ahead = (month - self.origin).cast_unsigned();
        let in_this = ahead.is_multiple_of(self.every);
        let passed = !in_this || self.in_month(i64::from(month)) < day;
        i64::from(ahead / self.every) + i64::from(passed)
    }

    pub(crate) fn nth(self, n: i64) -> Day {
        self.in_month(i64::from(self.origin) + n.saturating_mul(i64::from(self.every)))
    }

    /// The day of the month after this one of the pattern.
    #[inline]
    pub(crate) fn after(self, month: &mut Month) -> Day {
        *month = month.saturating_add_unsigned(self.every);
        self.in_month(i64::from(*month))
    }

    #[inline]
    fn in_month(self, month: i64) -> Day {
        match Month::try_from(month) {
            Ok(month) if month <= MONTH_MAX => {
                let (first, length) = month_span(month);
                self.day_in(first, length)
            }
            _ => NEVER,
        }
    }

    #[inline]
    pub(crate) fn run(self, from: Day, to: Day, mut f: impl FnMut(Day)) {
        let start = self.next(from);
        if start >= to {
            return;
        }
        let date = date_of(start);
        let (years, months) = (self.every / 12, self.every % 12);
        let (years, months) = (years.cast_signed(), months.cast_signed());
        let (mut year, mut month0) = (date.year, date.month0);
        let (mut new_year, mut leap) = (first_of_year(year), is_leap(year));
        loop {
            let (first, length) = month_of_year(new_year, leap, month0);
            let day = self.day_in(first, length);
            if day >= to {
                return;
            }
            f(day);
            month0 += months;
            let turned = month0 >= 12;
            if turned || years > 0 {
                year += years + i32::from(turned);
                month0 -= if turned { 12 } else { 0 };
                if year > 9999 {
                    return;
                }
                (new_year, leap) = (first_of_year(year), is_leap(year));
            }
        }
    }
}

/// The first such weekday at or after `day`.
#[inline]
fn weekday_from(day: Day, wanted: i32) -> Day {
    // Days are positive here, and the remainder of a positive number is one multiplication.
    debug_assert!(day > -CYCLE_DAYS);
    let ahead = wanted + 7 - weekday(day);
    day + if ahead >= 7 { ahead - 7 } else { ahead }
}

fn within_calendar(day: i64) -> Day {
    Day::try_from(day).unwrap_or(NEVER).min(NEVER)
}
