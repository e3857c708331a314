use std::sync::OnceLock;

use crate::epoch::{Wall, midnight, split};
use crate::rule::days::Days;
use crate::rule::days::bits::{DayBits, index_of};
use crate::rule::days::periodic::Periods;
use crate::rule::days::prefix::Prefix;

use super::counted;

/// BYSETPOS over months, years or limited weeks with several times a day: positions in the product
/// of days and times.
#[derive(Debug, Clone)]
pub(crate) struct Positions {
    days: Days,
    /// Seconds after midnight, in order, at least two.
    times: Box<[u32]>,
    positions: Box<[i16]>,
    prefix: OnceLock<Prefix>,
    pub(crate) first: Wall,
    pub(crate) last: Wall,
}

impl Positions {
    /// `days` is a pattern of periods; `None` if it is not.
    pub(crate) fn new(days: Days, times: Vec<u32>, positions: &[i16], first: Wall) -> Option<Self> {
        days.periods()?;
        Some(Self {
            days,
            times: times.into(),
            positions: positions.into(),
            prefix: OnceLock::new(),
            first,
            last: crate::epoch::WALL_MAX,
        })
    }

    pub(crate) fn days(&self) -> &Days {
        &self.days
    }

    pub(crate) fn times(&self) -> &[u32] {
        &self.times
    }

    pub(crate) fn next(&self, wall: Wall) -> Option<Wall> {
        let periods = self.days.periods()?;
        let from = wall.max(self.first);
        let first = periods.number_of(split(from).0);
        for number in first..=first + u64::from(periods.cycle()) {
            let times = self.in_period(number, false)?;
            let index = times.partition_point(|time| *time < from);
            if let Some(found) = times.get(index) {
                return Some(*found).filter(|found| *found <= self.last);
            }
        }
        None
    }

    pub(crate) fn prev(&self, wall: Wall) -> Option<Wall> {
        let periods = self.days.periods()?;
        let upto = wall.min(self.last);
        if upto < self.first {
            return None;
        }
        let mut number = periods.number_of(split(upto).0);
        for _ in 0..=periods.cycle() {
            let times = self.in_period(number, false)?;
            let count = times.partition_point(|time| *time <= upto);
            if let Some(index) = count.checked_sub(1) {
                return Some(times[index]).filter(|found| *found >= self.first);
            }
            number = number.checked_sub(1)?;
        }
        None
    }

    pub(crate) fn rank(&self, wall: Wall) -> u64 {
        let wall = wall.clamp(self.first, self.last + 1);
        counted(self.count(self.first), self.count(wall))
    }

    pub(crate) fn nth(&self, n: u64) -> Option<Wall> {
        let n = n.checked_add(u64::try_from(self.count(self.first)).ok()?)?;
        let (number, index) = self.prefix().find(n, |number| self.count_in(number))?;
        let times = self.in_period(number, true)?;
        let found = *times.get(usize::try_from(index).ok()?)?;
        (found <= self.last).then_some(found)
    }

    pub(crate) fn run(&self, from: Wall, to: Wall, mut f: impl FnMut(Wall)) {
        let mut next = self.next(from);
        while let Some(found) = next.filter(|found| *found < to) {
            f(found);
            next = self.next(found + 1);
        }
    }

    fn prefix(&self) -> &Prefix {
        self.prefix.get_or_init(|| {
            let periods = self.days.periods().map_or(1, Periods::cycle);
            Prefix::new(periods, |number| self.count_in(number))
        })
    }

    fn count(&self, wall: Wall) -> i64 {
        let Some(periods) = self.days.periods() else {
            return 0;
        };
        let number = periods.number_of(split(wall).0);
        let before = self.prefix().before(number, |number| self.count_in(number));
        let here = self
            .in_period(number, true)
            .map_or(0, |times| times.partition_point(|time| *time < wall));
        i64::try_from(before).unwrap_or(i64::MAX) + i64::try_from(here).unwrap_or(0)
    }

    fn count_in(&self, number: u64) -> u32 {
        let Some(periods) = self.days.periods() else {
            return 0;
        };
        // Past the calendar any period of the same number in the cycle serves.
        let times = self
            .in_period(number, true)
            .or_else(|| self.in_period(number % u64::from(periods.cycle()), true));
        times.map_or(0, |times| u32::try_from(times.len()).unwrap_or(u32::MAX))
    }

    /// The times of one of the rule's periods, in order, each in one period only: where periods
    /// touch, what SKIP moved past the end of one is given with the next. The first period has
    /// none before it, unless it stands for a later one of the same kind in a `cyclic` count.
    fn in_period(&self, number: u64, cyclic: bool) -> Option<Vec<Wall>> {
        let periods = self.days.periods()?;
        let (start, days) = periods.days_in(number)?;
        let mut times = self.chosen(start, &days);
        if let Some(end) = periods.spills_at(number) {
            times.retain(|time| *time < midnight(end));
            let before = match number.checked_sub(1) {
                Some(before) => periods.days_in(before),
                None if cyclic => periods.days_before_first(),
                None => None,
            };
            if let Some((earlier, days)) = before {
                let spilled = self.chosen(earlier, &days);
                times.extend(spilled.into_iter().filter(|time| *time >= midnight(start)));
            }
            times.sort_unstable();
            times.dedup();
        }
        Some(times)
    }

    fn chosen(&self, start: i32, days: &DayBits) -> Vec<Wall> {
        let each = i64::try_from(self.times.len()).unwrap_or(1);
        let count = i64::from(days.count()) * each;
        let at = |index: i64| {
            let day = days.nth(u32::try_from(index / each).ok()?)?;
            let time = self.times.get(usize::try_from(index % each).ok()?)?;
            Some(midnight(start + day) + i64::from(*time))
        };
        let mut times: Vec<Wall> = self
            .positions
            .iter()
            .filter_map(|position| index_of(*position, count))
            .filter_map(at)
            .collect();
        times.sort_unstable();
        times.dedup();
        times
    }
}
