//! Gregorian dates as day numbers: the arithmetic under the recurrence engine.
//!
//! A [`Day`] counts from 0001-01-01, a Monday, so that a weekday is a remainder. A [`Wall`] is the
//! same clock in seconds. Both hold any year an intermediate result may touch (a few centuries
//! around 1 to 9999); a result outside the calendar is refused by whoever hands it out.

use chrono::{Datelike, NaiveDate};

use crate::LocalDateTime;

/// Days since 0001-01-01.
pub(crate) type Day = i32;
/// Seconds since 0001-01-01T00:00:00 on a wall clock.
pub(crate) type Wall = i64;
/// Months since January of the year 0: `12 * year + month - 1`.
pub(crate) type Month = i32;

pub(crate) const SECONDS_PER_DAY: i64 = 86_400;
/// 9999-12-31.
pub(crate) const DAY_MAX: Day = 3_652_058;
/// 9999-12-31T23:59:59.
pub(crate) const WALL_MAX: Wall = (DAY_MAX as i64 + 1) * SECONDS_PER_DAY - 1;
/// December 9999.
pub(crate) const MONTH_MAX: Month = 12 * 9999 + 11;
/// From [`Wall`] to the seconds since 1970 of a [`LocalDateTime`].
pub(crate) const UNIX_EPOCH: i64 = 62_135_596_800;
/// A day that no rule reaches: later than the calendar, and still safe to add to.
pub(crate) const NEVER: Day = 1 << 30;

/// The Gregorian calendar repeats after 400 years, and its weekdays with it.
pub(crate) const CYCLE_DAYS: i32 = 146_097;
pub(crate) const CYCLE_WEEKS: i32 = 20_871;
pub(crate) const CYCLE_MONTHS: i32 = 4_800;
pub(crate) const CYCLE_YEARS: i32 = 400;

/// Days before each month of a common and of a leap year.
const DAYS_BEFORE: [[i16; 13]; 2] = [
    [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365],
    [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366],
];

/// A date in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i32,
    /// 0 for January.
    pub(crate) month0: i32,
    /// 1 for the first day of the month.
    pub(crate) day: i32,
}

impl Date {
    pub(crate) fn month(self) -> Month {
        self.year * 12 + self.month0
    }
}

/// The date of a day, with the Euclidean affine functions of Neri and Schneider ("Euclidean affine
/// functions and their application to calendar algorithms", 2022): years begin in March, and each
/// division is a multiplication.
#[inline]
pub(crate) fn date_of(day: Day) -> Date {
    // One cycle earlier than 0000-03-01, so that the days just before year 1 are positive too.
    let n = (day + 306 + CYCLE_DAYS).cast_unsigned();
    let n1 = 4 * n + 3;
    let century = n1 / 146_097;
    let n2 = 4 * ((n1 % 146_097) / 4) + 3;
    let p2 = 2_939_745 * u64::from(n2);
    let (year_of_century, rest) = halves(p2);
    let day_of_year = rest / 2_939_745 / 4;
    let n3 = 2141 * day_of_year + 197_913;
    let (month, day_of_month) = (n3 >> 16, (n3 & 0xffff) / 2141);
    let after_new_year = day_of_year >= 306;
    Date {
        year: (100 * century + year_of_century).cast_signed() - CYCLE_YEARS
            + i32::from(after_new_year),
        month0: if after_new_year {
            month - 13
        } else {
            month - 1
        }
        .cast_signed(),
        day: day_of_month.cast_signed() + 1,
    }
}

/// The upper and the lower half of a product.
#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "each half is masked to 32 bits first"
)]
fn halves(product: u64) -> (u32, u32) {
    ((product >> 32) as u32, (product & 0xffff_ffff) as u32)
}

#[inline]
pub(crate) fn is_leap(year: i32) -> bool {
    // A multiple of 100 is one of 25 too: then 4 more twos are needed for 400.
    if year % 25 == 0 {
        year & 15 == 0
    } else {
        year & 3 == 0
    }
}

/// 1 January of a year.
#[inline]
pub(crate) fn first_of_year(year: i32) -> Day {
    let shifted = (year - 1 + CYCLE_YEARS).cast_unsigned();
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400;
    days.cast_signed() - CYCLE_DAYS
}

/// The first day of a month and the month's length.
#[inline]
pub(crate) fn month_span(month: Month) -> (Day, i32) {
    let (year, month0) = (month.div_euclid(12), month.rem_euclid(12));
    month_of_year(first_of_year(year), is_leap(year), month0)
}

/// The same when the year is known. `month0` is 0 to 11.
#[inline]
pub(crate) fn month_of_year(new_year: Day, leap: bool, month0: i32) -> (Day, i32) {
    let before = &DAYS_BEFORE[usize::from(leap)];
    let index = usize::try_from(month0).unwrap_or(0).min(11);
    let (from, to) = (i32::from(before[index]), i32::from(before[index + 1]));
    (new_year + from, to - from)
}

/// The month, 0 to 11, of a day of the year that counts from 0.
pub(crate) fn month_of_day(leap: bool, day_of_year0: i32) -> i32 {
    let before = &DAYS_BEFORE[usize::from(leap)];
    (0..11)
        .find(|month0| i32::from(before[usize::try_from(month0 + 1).unwrap_or(0)]) > day_of_year0)
        .unwrap_or(11)
}

/// 0 for Monday.
#[inline]
pub(crate) fn weekday(day: Day) -> i32 {
    ((day + 7 * 1_000_000).cast_unsigned() % 7).cast_signed()
}

/// Midnight.
#[inline]
pub(crate) fn midnight(day: Day) -> Wall {
    i64::from(day) * SECONDS_PER_DAY
}

/// The day and the second of the day. `wall` is not before year 1 and at most [`NEVER`] days.
#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "quotient and remainder of 86,400 fit"
)]
pub(crate) fn split(wall: Wall) -> (Day, u32) {
    let seconds = wall
        .clamp(0, i64::from(NEVER) * SECONDS_PER_DAY)
        .cast_unsigned();
    let day = seconds / SECONDS_PER_DAY.cast_unsigned();
    let rest = seconds - day * SECONDS_PER_DAY.cast_unsigned();
    ((day as u32).cast_signed(), rest as u32)
}

#[inline]
pub(crate) fn to_wall(local: LocalDateTime) -> Wall {
    local.seconds() + UNIX_EPOCH
}

/// `None` outside the years 1 to 9999.
#[inline]
pub(crate) fn to_local(wall: Wall) -> Option<LocalDateTime> {
    LocalDateTime::from_seconds(wall - UNIX_EPOCH)
}

pub(crate) fn day_of(date: NaiveDate) -> Day {
    date.num_days_from_ce() - 1
}

pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_agrees_with_chrono() {
        let mut date = NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
        for day in 0..=DAY_MAX {
            let found = date_of(day);
            assert_eq!(found.year, date.year());
            assert_eq!(found.month0, date.month0().cast_signed());
            assert_eq!(found.day, date.day().cast_signed());
            assert_eq!(
                weekday(day),
                date.weekday().num_days_from_monday().cast_signed()
            );
            let (first, length) = month_span(found.month());
            assert_eq!(first + found.day - 1, day);
            assert!(found.day <= length);
            if date.ordinal() == 1 {
                assert_eq!(first_of_year(found.year), day);
                assert_eq!(is_leap(found.year), date.leap_year());
            }
            date = date.succ_opt().unwrap();
        }
        assert_eq!(to_wall(LocalDateTime::MIN), 0);
        assert_eq!(to_wall(LocalDateTime::MAX), WALL_MAX);
    }

    #[test]
    fn the_days_around_the_calendar_are_dates_too() {
        assert_eq!(
            date_of(-1),
            Date {
                year: 0,
                month0: 11,
                day: 31
            }
        );
        assert_eq!(weekday(-1), 6);
        assert_eq!(month_span(11), (-31, 31));
        assert_eq!(month_of_day(true, 59), 1);
        assert_eq!(month_of_day(false, 59), 2);
    }
}
