//! From a rule's date parts to the days of one month, year or week-year.
//!
//! RFC 5545 §3.3.10's table, read for one kind of period at a time, in the order BYMONTH,
//! BYWEEKNO, BYYEARDAY, BYMONTHDAY, SKIP (RFC 7529 §4.1), BYDAY.

use crate::epoch::{month_of_day, month_of_year};

use super::days::bits::DayBits;
use super::days::tables::{YearKind, week_one_offset};
use super::model::{NthWeekday, Rule, Skip};

/// All twelve months.
pub(super) const ALL_MONTHS: u16 = 0xfff;

/// The date parts of a rule, completed from the start where the rule says nothing.
pub(super) struct DateParts<'a> {
    /// Bit 0 for January.
    pub(super) months: u16,
    pub(super) week_numbers: &'a [i8],
    pub(super) year_days: &'a [i16],
    pub(super) month_days: &'a [i8],
    /// Weekdays without a number, bit 0 for Monday.
    pub(super) weekdays: u8,
    /// Weekdays with a number.
    pub(super) numbered: Vec<NthWeekday>,
    /// Numbers count in the month, else in the year.
    pub(super) numbers_in_month: bool,
    pub(super) week_start: i32,
    pub(super) skip: Skip,
}

impl<'a> DateParts<'a> {
    /// The parts as the rule gives them. Numbers of weekdays are taken where `numbers` is true,
    /// and ignored elsewhere.
    pub(super) fn given(rule: &'a Rule, numbers: bool) -> Self {
        let (mut weekdays, mut numbered) = (0, Vec::new());
        for day in &rule.by_day {
            match day.nth {
                Some(_) if numbers => numbered.push(*day),
                _ => weekdays |= 1 << day.weekday.num_days_from_monday(),
            }
        }
        let months = rule
            .by_month
            .iter()
            .fold(0, |mask, month| mask | 1 << (month - 1));
        Self {
            months: if months == 0 { ALL_MONTHS } else { months },
            week_numbers: &rule.by_week_no,
            year_days: &rule.by_year_day,
            month_days: &rule.by_month_day,
            weekdays,
            numbered,
            numbers_in_month: !rule.by_month.is_empty(),
            week_start: rule.week_start.num_days_from_monday().cast_signed(),
            skip: rule.skip.unwrap_or(Skip::Omit),
        }
    }

    pub(super) fn has_weekdays(&self) -> bool {
        self.weekdays != 0 || !self.numbered.is_empty()
    }

    /// Whether a date can leave its period: only SKIP=FORWARD moves one past the end.
    pub(super) fn may_spill(&self) -> bool {
        self.skip == Skip::Forward && !(self.month_days.is_empty() && self.year_days.is_empty())
    }

    /// Whether no month of the rule ever has one of its days: known without looking at dates.
    pub(super) fn is_impossible(&self) -> bool {
        let longest = if self.months & 0b1010_1101_0101 != 0 {
            31
        } else if self.months & 0b0101_0010_1000 != 0 {
            30
        } else {
            29
        };
        self.skip == Skip::Omit
            && !self.month_days.is_empty()
            && self
                .month_days
                .iter()
                .all(|day| day.unsigned_abs() > longest)
    }

    /// FREQ=MONTHLY: the days of a month, bit 0 for the first. A bit past its length spills.
    pub(super) fn of_month(&self, first_weekday: i32, length: i32) -> u32 {
        let mut mask = 0;
        if self.month_days.is_empty() {
            mask = (1 << length) - 1;
        }
        for &day in self.month_days {
            if let Some(day) = skip_in_month(i32::from(day), length, self.skip) {
                mask |= 1 << day;
            }
        }
        if self.has_weekdays() {
            mask &= self.weekday_mask(first_weekday, length);
        }
        mask
    }

    /// The days of BYDAY in a month. The day after the end counts as a weekday, and has no number.
    fn weekday_mask(&self, first_weekday: i32, length: i32) -> u32 {
        let mut mask = 0;
        for bit in 0..=length {
            mask |= u32::from(self.weekdays >> ((first_weekday + bit) % 7) & 1) << bit;
        }
        for day in &self.numbered {
            if let Some(bit) = numbered_day(*day, first_weekday, length) {
                mask |= 1 << bit;
            }
        }
        mask
    }

    /// FREQ=YEARLY without BYWEEKNO: the days of a year, bit 0 for 1 January.
    pub(super) fn of_year(&self, kind: YearKind) -> DayBits {
        let length = 365 + i32::from(kind.leap);
        let mut bits = DayBits::default();
        if !self.year_days.is_empty() {
            self.year_days_of(kind, length, &mut bits);
        } else if !self.month_days.is_empty() {
            self.each_month(kind, |first, length| {
                for &day in self.month_days {
                    if let Some(day) = skip_in_month(i32::from(day), length, self.skip) {
                        bits.set(first + day);
                    }
                }
            });
        } else if self.has_weekdays() {
            return self.weekdays_of(kind, length);
        } else {
            self.each_month(kind, |first, length| {
                (first..first + length).for_each(|day| bits.set(day));
            });
        }
        if self.has_weekdays() {
            let limit = self.limiting_weekdays(kind, length);
            let mut kept = DayBits::default();
            let mut from = 0;
            while let Some(bit) = bits.next(from) {
                if limit.has(bit) {
                    kept.set(bit);
                }
                from = bit + 1;
            }
            return kept;
        }
        bits
    }

    /// BYYEARDAY, limited by BYMONTH and BYMONTHDAY. The 366th day of a common year is one after
    /// its end, the 366th from the end one before its beginning, and SKIP moves both.
    fn year_days_of(&self, kind: YearKind, length: i32, bits: &mut DayBits) {
        for &number in self.year_days {
            let number = i32::from(number);
            let index = if number > 0 {
                number - 1
            } else {
                length + number
            };
            if (0..length).contains(&index) {
                let month0 = month_of_day(kind.leap, index);
                let (first, length) = month_of_year(0, kind.leap, month0);
                let of_month = index - first;
                let wanted =
                    |day: &i8| skip_in_month(i32::from(*day), length, Skip::Omit) == Some(of_month);
                let listed = self.month_days.is_empty() || self.month_days.iter().any(wanted);
                if listed && self.months >> month0 & 1 == 1 {
                    bits.set(index);
                }
            } else if self.month_days.is_empty() {
                let (december, january) = (self.months >> 11 & 1 == 1, self.months & 1 == 1);
                match self.skip {
                    Skip::Backward if number > 0 && december => bits.set(length - 1),
                    Skip::Forward if number > 0 && december => bits.set(length),
                    Skip::Forward if number < 0 && january => bits.set(0),
                    _ => {}
                }
            }
        }
    }

    /// BYDAY as the part that generates: in the rule's months, or in the year.
    fn weekdays_of(&self, kind: YearKind, length: i32) -> DayBits {
        let mut bits = DayBits::default();
        let mut fill = |first: i32, length: i32, numbers: bool| {
            let first_weekday = (kind.weekday + first) % 7;
            for bit in
                (0..length).filter(|bit| self.weekdays >> ((first_weekday + bit) % 7) & 1 == 1)
            {
                bits.set(first + bit);
            }
            for day in self.numbered.iter().filter(|_| numbers) {
                if let Some(bit) = numbered_day(*day, first_weekday, length) {
                    bits.set(first + bit);
                }
            }
        };
        if self.numbers_in_month {
            self.each_month(kind, |first, length| fill(first, length, true));
        } else {
            fill(0, length, true);
        }
        bits
    }

    /// BYDAY as a limit on dates that other parts gave, one of which may lie past the end.
    fn limiting_weekdays(&self, kind: YearKind, length: i32) -> DayBits {
        let mut bits = DayBits::default();
        for bit in (0..=length).filter(|bit| self.weekdays >> ((kind.weekday + bit) % 7) & 1 == 1) {
            bits.set(bit);
        }
        for day in &self.numbered {
            if self.numbers_in_month {
                self.each_month(kind, |first, length| {
                    let first_weekday = (kind.weekday + first) % 7;
                    if let Some(bit) = numbered_day(*day, first_weekday, length) {
                        bits.set(first + bit);
                    }
                });
            } else if let Some(bit) = numbered_day(*day, kind.weekday, length) {
                bits.set(bit);
            }
        }
        bits
    }

    /// FREQ=YEARLY with BYWEEKNO: the days of a week-year, bit 0 for the start of week 1.
    pub(super) fn of_week_year(&self, kind: YearKind) -> DayBits {
        let length = 365 + i32::from(kind.leap);
        let start = week_one_offset(kind.weekday, self.week_start);
        let next_start = length + week_one_offset((kind.weekday + length) % 7, self.week_start);
        let weeks = (next_start - start) / 7;
        let mut bits = DayBits::default();
        for &number in self.week_numbers {
            let number = i32::from(number);
            let week = if number > 0 {
                number - 1
            } else {
                weeks + number
            };
            if (0..weeks).contains(&week) {
                for bit in 7 * week..7 * week + 7 {
                    if self.week_day_passes(kind, length, start + bit) {
                        bits.set(bit);
                    }
                }
            }
        }
        bits
    }

    /// The limits on a day of a week-year, given from 1 January of the year that numbers it.
    fn week_day_passes(&self, kind: YearKind, length: i32, day: i32) -> bool {
        let before = 365 + i32::from(kind.leap_before);
        let after = 365 + i32::from(kind.leap_after);
        let (leap, index, length) = if day < 0 {
            (kind.leap_before, before + day, before)
        } else if day >= length {
            (kind.leap_after, day - length, after)
        } else {
            (kind.leap, day, length)
        };
        let month0 = month_of_day(leap, index);
        let (first, month_length) = month_of_year(0, leap, month0);
        let month_day = |wanted: &i8| {
            skip_in_month(i32::from(*wanted), month_length, Skip::Omit) == Some(index - first)
        };
        let year_day = |wanted: &i16| {
            let wanted = i32::from(*wanted);
            index
                == if wanted > 0 {
                    wanted - 1
                } else {
                    length + wanted
                }
        };
        let weekday = (kind.weekday + day).rem_euclid(7);
        self.months >> month0 & 1 == 1
            && (self.month_days.is_empty() || self.month_days.iter().any(month_day))
            && (self.year_days.is_empty() || self.year_days.iter().any(year_day))
            && (self.weekdays == 0 || self.weekdays >> weekday & 1 == 1)
    }

    /// The rule's months, each as its first day of the year and its length.
    fn each_month(&self, kind: YearKind, mut f: impl FnMut(i32, i32)) {
        for month0 in (0..12).filter(|month0| self.months >> month0 & 1 == 1) {
            let (first, length) = month_of_year(0, kind.leap, month0);
            f(first, length);
        }
    }
}

/// The day of the month, from 0, that a BYMONTHDAY number means; `length` is the day after it.
///
/// A number from the end that a month is too short for means a day before its first. SKIP=FORWARD
/// moves it to the first; SKIP=BACKWARD would move it out of its interval, and it is dropped.
fn skip_in_month(number: i32, length: i32, skip: Skip) -> Option<i32> {
    let day = if number > 0 {
        number - 1
    } else {
        length + number
    };
    if (0..length).contains(&day) {
        return Some(day);
    }
    match (skip, number > 0) {
        (Skip::Backward, true) => Some(length - 1),
        (Skip::Forward, true) => Some(length),
        (Skip::Forward, false) => Some(0),
        (Skip::Omit, _) | (Skip::Backward, false) => None,
    }
}

/// The n-th weekday of a stretch of days, from 0.
fn numbered_day(day: NthWeekday, first_weekday: i32, length: i32) -> Option<i32> {
    let wanted = day.weekday.num_days_from_monday().cast_signed();
    let nth = i32::from(day.nth?);
    let found = if nth > 0 {
        (wanted - first_weekday).rem_euclid(7) + 7 * (nth - 1)
    } else {
        let last_weekday = first_weekday + length - 1;
        length - 1 - (last_weekday - wanted).rem_euclid(7) + 7 * (nth + 1)
    };
    (0..length).contains(&found).then_some(found)
}
