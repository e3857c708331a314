use crate::epoch::{CYCLE_DAYS, SECONDS_PER_DAY, WALL_MAX, Wall, gcd, midnight, split};
use crate::rule::days::Days;

use super::Place;

/// Offsets in a cycle of fixed length: hours, minutes and seconds that do not divide a day.
#[derive(Debug, Clone)]
pub(crate) struct Cycle {
    origin: Wall,
    /// Seconds, at least 1.
    length: i64,
    /// Seconds from the beginning of the cycle, in order, at least one.
    offsets: Box<[i64]>,
    /// The days that count, if not all do.
    filter: Option<Days>,
    /// What cycle and calendar do not do together within so many seconds, they never do.
    joint: i64,
    pub(crate) first: Wall,
    pub(crate) last: Wall,
}

impl Cycle {
    pub(crate) fn new(
        origin: Wall,
        length: i64,
        offsets: Box<[i64]>,
        filter: Option<Days>,
        first: Wall,
    ) -> Self {
        let calendar = i64::from(CYCLE_DAYS) * SECONDS_PER_DAY;
        let shared = gcd(length.unsigned_abs(), calendar.unsigned_abs());
        let joint = i64::try_from(length.unsigned_abs() / shared)
            .ok()
            .and_then(|times| times.checked_mul(calendar))
            .map_or(WALL_MAX, |joint| joint.min(WALL_MAX));
        Self {
            origin,
            length,
            offsets,
            filter,
            joint,
            first,
            last: WALL_MAX,
        }
    }

    pub(crate) fn next(&self, wall: Wall) -> Option<Wall> {
        let mut from = wall.max(self.first);
        let limit = self.last.min(from.saturating_add(self.joint));
        loop {
            let found = self.unfiltered_next(from);
            if found > limit {
                return None;
            }
            let Some(filter) = &self.filter else {
                return Some(found);
            };
            let day = split(found).0;
            let allowed = filter.next(day);
            if allowed == day {
                return Some(found);
            }
            // A later day each time, so the limit is reached.
            from = midnight(allowed);
        }
    }

    pub(crate) fn prev(&self, wall: Wall) -> Option<Wall> {
        let mut upto = wall.min(self.last);
        let limit = self.first.max(upto.saturating_sub(self.joint));
        loop {
            if upto < limit {
                return None;
            }
            let found = self.unfiltered_prev(upto)?;
            if found < limit {
                return None;
            }
            let Some(filter) = &self.filter else {
                return Some(found);
            };
            let day = split(found).0;
            let allowed = filter.prev(day);
            if allowed == day {
                return Some(found);
            }
            // The end of an earlier day each time, so the limit is reached.
            upto = midnight(allowed) + SECONDS_PER_DAY - 1;
        }
    }

    /// The length of the cycle and the times of one, if they are at most `max`.
    pub(crate) fn times(&self, max: usize) -> Option<(i64, Vec<Wall>)> {
        let times = self.offsets.iter().map(|offset| self.origin + offset);
        (self.offsets.len() <= max).then(|| (self.length, times.collect()))
    }

    /// The distance of all times, 0 if it is not always the same.
    pub(crate) fn stride(&self) -> i64 {
        match (&self.filter, self.offsets.len()) {
            (None, 1) => self.length,
            _ => 0,
        }
    }

    pub(crate) fn place(&self, wall: Wall) -> Option<Place> {
        if self.filter.is_some() {
            return None;
        }
        let rest = (wall - self.origin) % self.length;
        let index = self.offsets.binary_search(&rest).ok()?;
        Some(Place {
            base: wall - rest,
            index,
            ..Place::default()
        })
    }

    #[inline]
    pub(crate) fn step(&self, place: &mut Place) -> Wall {
        place.index += 1;
        if let Some(offset) = self.offsets.get(place.index) {
            return place.base + offset;
        }
        place.base = place.base.saturating_add(self.length);
        place.index = 0;
        place.base.saturating_add(self.offsets[0])
    }

    pub(crate) fn rank(&self, wall: Wall) -> u64 {
        let to = wall.clamp(self.first, self.last + 1);
        let Some(filter) = &self.filter else {
            return self.unfiltered_rank(to) - self.unfiltered_rank(self.first);
        };
        let mut count = 0;
        let (first, last) = (split(self.first).0, split(to).0);
        filter.run(first, last + 1, |day| {
            let from = midnight(day).max(self.first);
            let end = (midnight(day) + SECONDS_PER_DAY).min(to);
            count += self
                .unfiltered_rank(end)
                .saturating_sub(self.unfiltered_rank(from));
        });
        count
    }

    pub(crate) fn nth(&self, n: u64) -> Option<Wall> {
        let Some(filter) = &self.filter else {
            let n = n.checked_add(self.unfiltered_rank(self.first))?;
            return self.unfiltered_nth(n).filter(|found| *found <= self.last);
        };
        let mut left = n;
        let mut from = self.first;
        while from <= self.last {
            let day = filter.next(split(from).0);
            let start = midnight(day).max(from);
            let end = midnight(day).saturating_add(SECONDS_PER_DAY);
            if start > self.last {
                return None;
            }
            let before = self.unfiltered_rank(start);
            let here = self.unfiltered_rank(end).saturating_sub(before);
            if left < here {
                return self
                    .unfiltered_nth(before + left)
                    .filter(|found| *found <= self.last);
            }
            left -= here;
            from = end;
        }
        None
    }

    #[inline]
    pub(crate) fn run(&self, from: Wall, to: Wall, mut f: impl FnMut(Wall)) {
        let (from, to) = (from.max(self.first), to.min(self.last + 1));
        if from >= to {
            return;
        }
        let Some(filter) = &self.filter else {
            return self.unfiltered_run(from, to, f);
        };
        filter.run(split(from).0, split(to).0 + 1, |day| {
            let (start, end) = (midnight(day), midnight(day) + SECONDS_PER_DAY);
            self.unfiltered_run(start.max(from), end.min(to), &mut f);
        });
    }

    #[inline]
    fn unfiltered_run(&self, from: Wall, to: Wall, mut f: impl FnMut(Wall)) {
        let first = self.unfiltered_next(from);
        let mut start = first - (first - self.origin) % self.length;
        let mut index = self.offsets.partition_point(|offset| start + offset < from);
        while start < to {
            for offset in &self.offsets[index..] {
                let at = start + offset;
                if at >= to {
                    return;
                }
                f(at);
            }
            index = 0;
            start += self.length;
        }
    }

    fn unfiltered_next(&self, wall: Wall) -> Wall {
        let ahead = (wall - self.origin).max(0);
        let (cycles, rest) = (ahead / self.length, ahead % self.length);
        let start = self.origin + cycles * self.length;
        let index = self.offsets.partition_point(|offset| *offset < rest);
        match self.offsets.get(index) {
            Some(offset) => start + offset,
            None => start
                .saturating_add(self.length)
                .saturating_add(self.offsets[0]),
        }
    }

    fn unfiltered_prev(&self, wall: Wall) -> Option<Wall> {
        let ahead = wall - self.origin;
        if ahead < 0 {
            return None;
        }
        let (cycles, rest) = (ahead / self.length, ahead % self.length);
        let start = self.origin + cycles * self.length;
        let count = self.offsets.partition_point(|offset| *offset <= rest);
        match count.checked_sub(1) {
            Some(index) => Some(start + self.offsets[index]),
            None if cycles > 0 => Some(start - self.length + self.offsets.last()?),
            None => None,
        }
    }

    fn unfiltered_rank(&self, wall: Wall) -> u64 {
        let ahead = (wall - self.origin).max(0);
        let (cycles, rest) = (ahead / self.length, ahead % self.length);
        let partial = self.offsets.partition_point(|offset| *offset < rest);
        cycles.unsigned_abs() * self.offsets.len() as u64 + partial as u64
    }

    fn unfiltered_nth(&self, n: u64) -> Option<Wall> {
        let each = self.offsets.len() as u64;
        let cycles = i64::try_from(n / each).ok()?.checked_mul(self.length)?;
        let index = usize::try_from(n % each).ok()?;
        self.origin
            .checked_add(cycles)?
            .checked_add(self.offsets[index])
    }
}
