use crate::epoch::{Day, Wall, midnight, split};
use crate::rule::days::{BEFORE, Days};

use super::{Place, counted};

/// Several times of day on each day of a pattern.
#[derive(Debug, Clone)]
pub(crate) struct Several {
    pub(crate) days: Days,
    /// Seconds after midnight, in order, at least one.
    pub(crate) times: Box<[u32]>,
    pub(crate) first: Wall,
    pub(crate) last: Wall,
}

impl Several {
    #[inline]
    pub(crate) fn next(&self, wall: Wall) -> Option<Wall> {
        let (from, second) = split(wall.max(self.first));
        let mut day = self.days.next(from);
        let mut index = 0;
        if day == from {
            index = self.index(second);
            if index == self.times.len() {
                day = self.days.next(from + 1);
                index = 0;
            }
        }
        Some(self.at(day, index)).filter(|found| *found <= self.last)
    }

    pub(crate) fn prev(&self, wall: Wall) -> Option<Wall> {
        let wall = wall.min(self.last);
        if wall < self.first {
            return None;
        }
        let (from, second) = split(wall);
        let mut day = self.days.prev(from);
        let mut count = self.times.len();
        if day == from {
            count = self.index(second + 1);
            if count == 0 {
                day = self.days.prev(from - 1);
                count = self.times.len();
            }
        }
        if day == BEFORE {
            return None;
        }
        Some(self.at(day, count - 1)).filter(|found| *found >= self.first)
    }

    pub(crate) fn place(&self, wall: Wall) -> Option<Place> {
        let (day, second) = split(wall);
        let index = self.times.binary_search(&second).ok()?;
        Some(Place {
            day,
            hint: self.days.hint(day),
            base: midnight(day),
            index,
        })
    }

    #[inline]
    pub(crate) fn step(&self, place: &mut Place) -> Wall {
        place.index += 1;
        if let Some(time) = self.times.get(place.index) {
            return place.base + i64::from(*time);
        }
        place.day = self.days.after(place.day, &mut place.hint);
        place.base = midnight(place.day);
        place.index = 0;
        self.at(place.day, 0)
    }

    pub(crate) fn rank(&self, wall: Wall) -> u64 {
        let wall = wall.clamp(self.first, self.last + 1);
        counted(self.count(self.first), self.count(wall))
    }

    pub(crate) fn nth(&self, n: u64) -> Option<Wall> {
        let each = i64::try_from(self.times.len()).ok()?;
        let n = i64::try_from(n).ok()?.checked_add(self.count(self.first))?;
        let day = self.days.nth(n / each);
        let found = self.at(day, usize::try_from(n % each).ok()?);
        (found <= self.last).then_some(found)
    }

    #[inline]
    pub(crate) fn run(&self, from: Wall, to: Wall, mut f: impl FnMut(Wall)) {
        let (from, to) = (from.max(self.first), to.min(self.last + 1));
        if from >= to {
            return;
        }
        let (first, second) = split(from);
        let (last, end) = split(to);
        let mut part = |day: Day, times: &[u32]| {
            let start = midnight(day);
            for time in times {
                f(start + i64::from(*time));
            }
        };
        // The first and the last day are partial, those between are whole.
        if self.days.next(first) == first {
            let until = if first == last {
                self.index(end)
            } else {
                self.times.len()
            };
            part(
                first,
                self.times.get(self.index(second)..until).unwrap_or(&[]),
            );
        }
        if first == last {
            return;
        }
        self.days.run(first + 1, last, |day| part(day, &self.times));
        if end > 0 && self.days.next(last) == last {
            part(last, &self.times[..self.index(end)]);
        }
    }

    /// The number of times of day before this second.
    #[inline]
    fn index(&self, second: u32) -> usize {
        self.times.partition_point(|time| *time < second)
    }

    #[inline]
    fn at(&self, day: Day, index: usize) -> Wall {
        midnight(day) + i64::from(self.times[index])
    }

    fn count(&self, wall: Wall) -> i64 {
        let (day, second) = split(wall);
        let here = if self.days.next(day) == day {
            self.index(second)
        } else {
            0
        };
        let each = i64::try_from(self.times.len()).unwrap_or(1);
        self.days.count(day) * each + i64::try_from(here).unwrap_or(0)
    }
}
