//! The tables of [`Periodic`](super::periodic::Periodic) patterns.
//!
//! A month is known by its length and the weekday it begins on: 28 kinds. A year is known by its
//! length and its first weekday, 14 kinds, and where a rule counts days across its edges also by
//! its neighbours' lengths, 28. So whatever a rule says of dates fits a small exact table.

use crate::epoch::{
    CYCLE_DAYS, CYCLE_MONTHS, CYCLE_WEEKS, CYCLE_YEARS, DAY_MAX, Day, MONTH_MAX, date_of,
    first_of_year, is_leap, month_span, weekday,
};

use super::bits::DayBits;
use super::periodic::Table;

/// The days of a month by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MonthTable {
    /// Bit 0 for January.
    pub(crate) months: u16,
    pub(crate) kinds: [u32; 28],
    pub(crate) spills: bool,
}

impl MonthTable {
    /// Fills the table: `days(first_weekday, length)` are the days of such a month.
    pub(crate) fn new(months: u16, spills: bool, days: impl Fn(i32, i32) -> u32) -> Self {
        let mut kinds = [0; 28];
        // Lengths that none of the months has need no entry.
        let short = if months & 2 != 0 { 0b11 } else { 0 };
        let medium = if months & 0b0101_0010_1000 != 0 {
            0b100
        } else {
            0
        };
        let long = if months & 0b1010_1101_0101 != 0 {
            0b1000
        } else {
            0
        };
        let lengths = short | medium | long;
        for (kind, entry) in (0i32..).zip(&mut kinds) {
            if lengths >> (kind % 4) & 1 == 1 {
                *entry = days(kind / 4, 28 + kind % 4);
            }
        }
        Self {
            months,
            kinds,
            spills,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds == [0; 28]
    }

    #[inline]
    fn mask(&self, month0: i32, first: Day, length: i32) -> u32 {
        let taken = self.months >> month0 & 1 == 1;
        let kind = usize::try_from(weekday(first) * 4 + length - 28).unwrap_or(0);
        if taken { self.kinds[kind % 28] } else { 0 }
    }

    /// Whether the day is one of the table's, of whatever month.
    pub(crate) fn has(&self, day: Day) -> bool {
        let date = date_of(day);
        let (first, length) = month_span(date.month());
        self.mask(date.month0, first, length) >> (date.day - 1) & 1 == 1
    }
}

impl Table for MonthTable {
    const CYCLE: u32 = CYCLE_MONTHS.cast_unsigned();
    const LAST: i32 = MONTH_MAX;

    #[inline]
    fn period_of(&self, day: Day) -> i32 {
        date_of(day).month()
    }

    #[inline]
    fn start(&self, period: i32) -> Day {
        month_span(period).0
    }

    fn bits(&self, period: i32) -> DayBits {
        let (first, length) = month_span(period);
        DayBits::from_mask(u64::from(self.mask(period.rem_euclid(12), first, length)))
    }

    #[inline]
    fn next_bit(&self, period: i32, bit: i32) -> Option<i32> {
        let (first, length) = month_span(period);
        let left = self.mask(period.rem_euclid(12), first, length) >> bit << bit;
        (left != 0).then(|| left.trailing_zeros().cast_signed())
    }

    #[inline]
    fn each(&self, period: i32, mut f: impl FnMut(Day)) {
        let (first, length) = month_span(period);
        let mut left = self.mask(period.rem_euclid(12), first, length);
        while left != 0 {
            f(first + left.trailing_zeros().cast_signed());
            left &= left - 1;
        }
    }

    fn spills(&self) -> bool {
        self.spills
    }
}

/// What a year's kind consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct YearKind {
    /// The weekday of 1 January.
    pub(crate) weekday: i32,
    pub(crate) leap: bool,
    pub(crate) leap_before: bool,
    pub(crate) leap_after: bool,
}

/// The days of a year by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YearTable {
    /// The years are those of RFC 5545's week numbers, with weeks from this weekday on.
    week_start: Option<i32>,
    kinds: Box<[DayBits]>,
    spills: bool,
}

impl YearTable {
    /// Fills the table: `days(kind)` are the days of such a year, from 1 January or from the
    /// start of week 1.
    pub(crate) fn new(
        week_start: Option<i32>,
        neighbours: bool,
        spills: bool,
        days: impl Fn(YearKind) -> DayBits,
    ) -> Self {
        let classes = if neighbours { 4 } else { 2 };
        let kinds = (0..classes * 7).map(|index| {
            let class = index / 7;
            days(YearKind {
                weekday: index % 7,
                leap: class == 1,
                leap_before: class == 2,
                leap_after: class == 3,
            })
        });
        Self {
            week_start,
            kinds: kinds.collect(),
            spills,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.iter().all(DayBits::is_empty)
    }

    fn kind(&self, year: i32) -> &DayBits {
        let class = if is_leap(year) {
            1
        } else if self.kinds.len() == 14 {
            0
        } else if is_leap(year - 1) {
            2
        } else if is_leap(year + 1) {
            3
        } else {
            0
        };
        let index = usize::try_from(class * 7 + weekday(first_of_year(year))).unwrap_or(0);
        &self.kinds[index % self.kinds.len()]
    }
}

impl Table for YearTable {
    const CYCLE: u32 = CYCLE_YEARS.cast_unsigned();
    // Week 1 of the year 10000 may begin in the year 9999.
    const LAST: i32 = 10_000;

    #[inline]
    fn period_of(&self, day: Day) -> i32 {
        let year = date_of(day).year;
        if self.week_start.is_none() {
            return year;
        }
        if day < self.start(year) {
            year - 1
        } else if day >= self.start(year + 1) {
            year + 1
        } else {
            year
        }
    }

    #[inline]
    fn start(&self, period: i32) -> Day {
        let new_year = first_of_year(period);
        self.week_start
            .map_or(new_year, |week_start| week_one(new_year, week_start))
    }

    fn bits(&self, period: i32) -> DayBits {
        *self.kind(period)
    }

    #[inline]
    fn next_bit(&self, period: i32, bit: i32) -> Option<i32> {
        self.kind(period).next(bit)
    }

    #[inline]
    fn each(&self, period: i32, mut f: impl FnMut(Day)) {
        let start = self.start(period);
        self.kind(period).each(|bit| f(start + bit));
    }

    fn spills(&self) -> bool {
        self.spills
    }
}

/// The start of week 1: the first week with at least four days in the year (RFC 5545 §3.3.10).
#[inline]
pub(crate) fn week_one(new_year: Day, week_start: i32) -> Day {
    new_year + week_one_offset(weekday(new_year), week_start)
}

/// The same as days from a 1 January on this weekday: -3 to 3.
#[inline]
pub(crate) fn week_one_offset(first_weekday: i32, week_start: i32) -> i32 {
    let into_week = (first_weekday - week_start).rem_euclid(7);
    if into_week <= 3 {
        -into_week
    } else {
        7 - into_week
    }
}

/// The days of a week, limited by BYMONTH and chosen by BYSETPOS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WeekTable {
    /// The first day of the calendar's first week.
    pub(crate) base: Day,
    /// Bit n for the n-th day of the week.
    pub(crate) mask: u8,
    pub(crate) months: u16,
    pub(crate) positions: Box<[i16]>,
}

impl Table for WeekTable {
    const CYCLE: u32 = CYCLE_WEEKS.cast_unsigned();
    const LAST: i32 = DAY_MAX / 7 + 1;

    fn period_of(&self, day: Day) -> i32 {
        (day - self.base).div_euclid(7)
    }

    fn start(&self, period: i32) -> Day {
        self.base + 7 * period
    }

    fn bits(&self, period: i32) -> DayBits {
        let mut bits = DayBits::default();
        let start = self.start(period);
        for bit in (0..7).filter(|bit| self.mask >> bit & 1 == 1) {
            if self.months >> date_of(start + bit).month0 & 1 == 1 {
                bits.set(bit);
            }
        }
        if self.positions.is_empty() {
            bits
        } else {
            bits.at_positions(&self.positions)
        }
    }
}

/// Single days, those of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DayTable {
    pub(crate) filter: MonthTable,
}

impl Table for DayTable {
    const CYCLE: u32 = CYCLE_DAYS.cast_unsigned();
    const LAST: i32 = DAY_MAX;

    fn period_of(&self, day: Day) -> i32 {
        day
    }

    fn start(&self, period: i32) -> Day {
        period
    }

    fn bits(&self, period: i32) -> DayBits {
        DayBits::from_mask(u64::from(self.filter.has(period)))
    }
}
