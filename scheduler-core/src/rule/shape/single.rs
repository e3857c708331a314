use crate::epoch::{DAY_MAX, Day, Wall, midnight, split};
use crate::rule::days::Days;

use super::{Place, counted};

/// One time of day on each day of a pattern, from its first to its last day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Single<'a> {
    pub(crate) days: &'a Days,
    pub(crate) first: Day,
    pub(crate) last: Day,
    /// Seconds after midnight.
    pub(crate) time: u32,
}

impl Single<'_> {
    /// The first day whose time is at or after `wall`.
    #[inline]
    fn day_from(self, wall: Wall) -> Day {
        let (day, second) = split(wall);
        day + i32::from(second > self.time)
    }

    #[inline]
    fn at(self, day: Day) -> Wall {
        midnight(day) + i64::from(self.time)
    }

    #[inline]
    pub(crate) fn next(self, wall: Wall) -> Option<Wall> {
        let day = self.days.next(self.day_from(wall).max(self.first));
        (day <= self.last).then(|| self.at(day))
    }

    #[inline]
    pub(crate) fn prev(self, wall: Wall) -> Option<Wall> {
        if wall < self.at(self.first) {
            return None;
        }
        let day = self
            .days
            .prev((self.day_from(wall.saturating_add(1)) - 1).min(self.last));
        (day >= self.first).then(|| self.at(day))
    }

    pub(crate) fn place(self, wall: Wall) -> Place {
        let day = split(wall).0;
        Place {
            day,
            hint: self.days.hint(day),
            ..Place::default()
        }
    }

    #[inline]
    pub(crate) fn step(self, place: &mut Place) -> Wall {
        place.day = self.days.after(place.day, &mut place.hint);
        self.at(place.day)
    }

    #[inline]
    pub(crate) fn bound(self) -> Wall {
        self.at(self.last)
    }

    pub(crate) fn rank(self, wall: Wall) -> u64 {
        let day = self
            .day_from(wall)
            .clamp(self.first, self.last.min(DAY_MAX) + 1);
        counted(self.days.count(self.first), self.days.count(day))
    }

    pub(crate) fn nth(self, n: u64) -> Option<Wall> {
        let n = i64::try_from(n)
            .ok()?
            .checked_add(self.days.count(self.first))?;
        let day = self.days.nth(n);
        (day <= self.last).then(|| self.at(day))
    }

    #[inline]
    pub(crate) fn run(self, from: Wall, to: Wall, mut f: impl FnMut(Wall)) {
        let from = self.day_from(from).max(self.first);
        let to = self.day_from(to).min(self.last + 1);
        if from < to {
            self.days.run(from, to, |day| f(self.at(day)));
        }
    }
}
