//! Day patterns that a table describes, period by period.

use std::sync::OnceLock;

use crate::epoch::{DAY_MAX, Day, NEVER, gcd};

use super::BEFORE;
use super::bits::DayBits;
use super::prefix::Prefix;

/// What a rule takes of each period of the calendar. The periods are numbered without a break.
pub(crate) trait Table {
    /// How many periods the Gregorian cycle of 400 years has.
    const CYCLE: u32;
    /// The last period with a day of the calendar.
    const LAST: i32;

    /// The period of a day.
    fn period_of(&self, day: Day) -> i32;
    /// The first day of a period.
    fn start(&self, period: i32) -> Day;
    /// The days of a period, from its start. A bit just past its end is a date that RFC 7529's
    /// SKIP=FORWARD moved out of it: it *spills*.
    fn bits(&self, period: i32) -> DayBits;
    /// The first such bit at or after this one.
    fn next_bit(&self, period: i32, bit: i32) -> Option<i32> {
        self.bits(period).next(bit)
    }
    /// Gives the days of a period.
    #[inline]
    fn each(&self, period: i32, mut f: impl FnMut(Day)) {
        let start = self.start(period);
        let mut next = self.next_bit(period, 0);
        while let Some(bit) = next {
            f(start + bit);
            next = self.next_bit(period, bit + 1);
        }
    }
    /// Whether any period has a day past its end.
    fn spills(&self) -> bool {
        false
    }
}

/// Every `every`-th period from `origin` on, each with the days of its table.
#[derive(Debug, Clone)]
pub(crate) struct Periodic<T> {
    origin: i32,
    every: u32,
    /// After so many periods the pattern repeats: what is not found by then is nowhere.
    periods: u32,
    table: T,
    prefix: OnceLock<Prefix>,
}

impl<T: Table> Periodic<T> {
    /// `start` is a day of the first period.
    pub(crate) fn new(start: Day, every: u32, table: T) -> Self {
        let origin = table.period_of(start);
        let shared = gcd(u64::from(T::CYCLE), u64::from(every));
        let periods = u32::try_from(u64::from(T::CYCLE) / shared).unwrap_or(T::CYCLE);
        Self {
            origin,
            every,
            periods,
            table,
            prefix: OnceLock::new(),
        }
    }

    /// Where a period stands: its number among those of the rule, and how far after it.
    fn position(&self, period: i32) -> (u64, i32) {
        let ahead = (period - self.origin).cast_unsigned();
        (
            u64::from(ahead / self.every),
            (ahead % self.every).cast_signed(),
        )
    }

    fn period(&self, number: u64) -> Option<i32> {
        let period = i64::try_from(number)
            .ok()?
            .checked_mul(i64::from(self.every))?;
        i32::try_from(period + i64::from(self.origin))
            .ok()
            .filter(|period| *period <= T::LAST)
    }

    #[inline]
    pub(crate) fn next(&self, day: Day) -> Day {
        if day > DAY_MAX {
            return NEVER;
        }
        let mut period = self.table.period_of(day.max(0));
        let mut from = day;
        if period < self.origin {
            period = self.origin;
            from = self.table.start(period);
        } else if self.table.spills() && self.is_spill(period, day) {
            return day;
        }
        let out = (period - self.origin).cast_unsigned() % self.every;
        if out == 0 {
            let start = self.table.start(period);
            if let Some(bit) = self.table.next_bit(period, from - start) {
                return start + bit;
            }
        }
        let mut period = i64::from(period) + i64::from(self.every - out);
        for _ in 0..self.periods {
            let Ok(current) = i32::try_from(period) else {
                break;
            };
            if current > T::LAST {
                break;
            }
            if let Some(bit) = self.table.next_bit(current, 0) {
                return self.table.start(current) + bit;
            }
            period += i64::from(self.every);
        }
        NEVER
    }

    /// The period of a day of the pattern.
    pub(crate) fn hint(&self, day: Day) -> i32 {
        self.table.period_of(day)
    }

    /// The day after one in this period.
    #[inline]
    pub(crate) fn after(&self, day: Day, period: &mut i32) -> Day {
        if self.table.spills() {
            return self.next(day + 1);
        }
        let start = self.table.start(*period);
        if let Some(bit) = self.table.next_bit(*period, day + 1 - start) {
            return start + bit;
        }
        for _ in 0..self.periods {
            *period = period.saturating_add_unsigned(self.every);
            if *period > T::LAST {
                break;
            }
            if let Some(bit) = self.table.next_bit(*period, 0) {
                return self.table.start(*period) + bit;
            }
        }
        NEVER
    }

    pub(crate) fn prev(&self, day: Day) -> Day {
        let mut period = self.table.period_of(day.clamp(0, DAY_MAX + 1));
        if period < self.origin || day < 0 {
            return BEFORE;
        }
        let out = self.position(period).1;
        period -= out;
        let mut limit = if out == 0 {
            day - self.table.start(period)
        } else {
            i32::MAX
        };
        for _ in 0..=self.periods {
            if let Some(bit) = self.table.bits(period).prev(limit) {
                return self.table.start(period) + bit;
            }
            limit = i32::MAX;
            match period.checked_sub_unsigned(self.every) {
                Some(earlier) if earlier >= self.origin => period = earlier,
                _ => break,
            }
        }
        BEFORE
    }

    /// How many days of the pattern are before this day, from a fixed day on.
    pub(crate) fn count(&self, day: Day) -> i64 {
        let day = day.min(DAY_MAX + 1);
        let period = self.table.period_of(day.max(0));
        if period < self.origin {
            return 0;
        }
        let (number, out) = self.position(period);
        let current = period - out;
        let upto = day - self.table.start(current);
        let here = self.distinct(current).count_before(upto);
        let before = self.prefix().before(number, |number| self.count_in(number));
        i64::try_from(before).unwrap_or(i64::MAX) + i64::from(here)
    }

    /// The day with that count.
    pub(crate) fn nth(&self, n: i64) -> Day {
        let found = u64::try_from(n)
            .ok()
            .and_then(|n| self.prefix().find(n, |number| self.count_in(number)))
            .and_then(|(number, index)| {
                let period = self.period(number)?;
                Some(self.table.start(period) + self.distinct(period).nth(index)?)
            });
        found.unwrap_or(NEVER)
    }

    fn prefix(&self) -> &Prefix {
        self.prefix
            .get_or_init(|| Prefix::new(self.periods, |number| self.count_in(number)))
    }

    fn count_in(&self, number: u64) -> u32 {
        // Past the calendar the cycle goes on; any period of the same number in the cycle serves.
        let ahead = number.saturating_mul(u64::from(self.every));
        let period = i32::try_from(ahead)
            .ok()
            .and_then(|ahead| self.origin.checked_add(ahead));
        match period {
            Some(period) if period <= T::LAST => self.distinct(period).count(),
            _ => {
                let cycle = u64::from(T::CYCLE);
                let ahead = i32::try_from(ahead % cycle).unwrap_or(0);
                let cycle = i32::try_from(cycle).unwrap_or(i32::MAX);
                let period = self.origin % cycle + ahead;
                self.distinct(if period < cycle {
                    period + cycle
                } else {
                    period
                })
                .count()
            }
        }
    }

    /// The days of a period, without those that another period of the rule has too.
    fn distinct(&self, period: i32) -> DayBits {
        let mut bits = self.table.bits(period);
        if self.every == 1 && self.table.spills() {
            bits.clear(self.table.start(period + 1) - self.table.start(period));
            if self.has_spill(period - 1) {
                bits.set(0);
            }
        }
        bits
    }

    /// Whether the day came into this period from the one before.
    fn is_spill(&self, period: i32, day: Day) -> bool {
        let before = period - 1;
        before >= self.origin
            && self.position(before).1 == 0
            && day == self.table.start(period)
            && self.has_spill(before)
    }

    fn has_spill(&self, period: i32) -> bool {
        let length = self.table.start(period + 1) - self.table.start(period);
        self.table.bits(period).has(length)
    }

    #[inline]
    pub(crate) fn run(&self, from: Day, to: Day, mut f: impl FnMut(Day)) {
        if self.table.spills() {
            let mut day = self.next(from);
            while day < to {
                f(day);
                day = self.next(day + 1);
            }
            return;
        }
        // No earlier than the rule's first period, and no later than the calendar's last.
        let first = self
            .table
            .period_of(from.clamp(0, DAY_MAX))
            .max(self.origin);
        let last = self
            .table
            .period_of(to.clamp(1, DAY_MAX + 1) - 1)
            .min(T::LAST);
        let out = self.position(first).1;
        let mut period = if out == 0 {
            Some(first)
        } else {
            (first - out).checked_add_unsigned(self.every)
        };
        while let Some(current) = period.filter(|period| *period <= last) {
            self.table.each(current, |day| {
                if from <= day && day < to {
                    f(day);
                }
            });
            period = current.checked_add_unsigned(self.every);
        }
    }
}

/// The periods of a pattern one by one, whatever its table: for BYSETPOS over several times.
pub(crate) trait Periods {
    /// The number of the rule's period that this day is in, or of the last one before it.
    fn number_of(&self, day: Day) -> u64;
    /// After so many periods the pattern repeats.
    fn cycle(&self) -> u32;
    /// The start and the days of a period, `None` past the calendar.
    fn days_in(&self, number: u64) -> Option<(Day, DayBits)>;
    /// The same of the calendar's period before the rule's first.
    fn days_before_first(&self) -> Option<(Day, DayBits)>;
    /// Where the next period of the rule begins, if days may spill into it.
    fn spills_at(&self, number: u64) -> Option<Day>;
}

impl<T: Table> Periods for Periodic<T> {
    fn number_of(&self, day: Day) -> u64 {
        let period = self.table.period_of(day.clamp(0, DAY_MAX));
        if period < self.origin {
            0
        } else {
            self.position(period).0
        }
    }

    fn cycle(&self) -> u32 {
        self.periods
    }

    fn days_in(&self, number: u64) -> Option<(Day, DayBits)> {
        let period = self.period(number)?;
        Some((self.table.start(period), self.table.bits(period)))
    }

    fn days_before_first(&self) -> Option<(Day, DayBits)> {
        let period = self.origin - 1;
        Some((self.table.start(period), self.table.bits(period)))
    }

    fn spills_at(&self, number: u64) -> Option<Day> {
        let touches = self.every == 1 && self.table.spills();
        touches
            .then(|| {
                self.period(number)
                    .map(|period| self.table.start(period + 1))
            })
            .flatten()
    }
}
