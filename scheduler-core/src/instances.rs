//! The zone stage: the wall times of a rule as instants, in order, each instant once.
//!
//! Between two clock changes instants follow wall times. A skipped wall time moves forward by the
//! gap's length (RFC 5545 §3.3.5 with erratum 4271), and so it may fall among, or on, the first
//! wall times after the gap: there, and only there, two streams are merged. Where two wall times
//! come to one instant, the one that the zone's clocks show keeps it.

use crate::LocalDateTime;
use crate::epoch::{Wall, to_local};
use crate::rule::{Civil, Place, Single};
use crate::zone::Resolution;
use crate::zone::{Span, Transitions};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One generated instant. Nothing else in the set has the same instant or the same recurrence-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The wall time that the rule generated.
    pub recurrence_id: LocalDateTime,
    /// When it begins, in Unix seconds.
    pub unix: i64,
    /// What the zone's clock changes did to it.
    pub resolution: Resolution,
}

impl Instance {
    /// When it begins.
    #[must_use]
    pub fn start(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.unix, 0).unwrap_or_default()
    }
}

/// A rule in its zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zoned<'a> {
    pub(crate) civil: Civil<'a>,
    pub(crate) table: &'a Transitions,
    /// Skipped wall times do not happen.
    pub(crate) omit: bool,
    /// The first instant that is too late: after UNTIL, or the end of the zone data.
    pub(crate) end: i64,
}

impl<'a> Zoned<'a> {
    /// The first instance at or after an instant.
    #[inline]
    pub(crate) fn next(self, unix: i64) -> Option<Instance> {
        let mut span = &self.table.spans()[self.table.at(unix)];
        let mut from = unix.max(span.from);
        loop {
            if span.gap > 0 && from < span.from + span.gap {
                match self.next_after_gap(span, from) {
                    Ok(found) => return found,
                    Err(later) => (span, from) = (later, later.from),
                }
                continue;
            }
            let wall = self.civil.next((from + span.shift).max(span.wall_from))?;
            if wall >= span.wall_to {
                // Nothing until then, so no span before that one's matters.
                span = &self.table.spans()[self.table.of_wall(wall)];
                from = span.from;
                if wall < span.wall_from {
                    continue;
                }
            }
            return self.existing(span, wall);
        }
    }

    /// The same where shifted wall times come among others; a span to go on with if there are
    /// none.
    fn next_after_gap(self, span: &Span, from: i64) -> Result<Option<Instance>, &'a Span> {
        let wall = self.civil.next((from + span.shift).max(span.wall_from));
        let here = wall.filter(|wall| *wall < span.wall_to);
        if let Some(skipped) = self.skipped_from(span, from)
            && here.is_none_or(|wall| skipped + span.gap < wall)
        {
            return Ok(self.instance(skipped, skipped + span.gap - span.shift, Resolution::Gap));
        }
        match (here, wall) {
            (Some(wall), _) => Ok(self.existing(span, wall)),
            (None, Some(later)) => Err(&self.table.spans()[self.table.of_wall(later)]),
            (None, None) => Ok(None),
        }
    }

    /// A wall time of a span as an instance.
    #[inline]
    fn existing(self, span: &Span, wall: Wall) -> Option<Instance> {
        let repeated = wall >= span.wall_to - span.fold;
        let resolution = if repeated {
            Resolution::Fold
        } else {
            Resolution::Unique
        };
        self.instance(wall, wall - span.shift, resolution)
    }

    /// The last instance before an instant.
    pub(crate) fn prev(self, unix: i64) -> Option<Instance> {
        let unix = unix.min(self.end);
        let mut index = self.table.at(unix - 1);
        loop {
            let span = self.table.spans().get(index)?;
            let limit = unix.min(span.to) + span.shift;
            let existing = self
                .civil
                .prev(limit - 1)
                .filter(|wall| *wall >= span.wall_from);
            if let Some(skipped) = self.skipped_before(span, limit)
                && existing.is_none_or(|wall| skipped + span.gap > wall)
            {
                return self.instance(skipped, skipped + span.gap - span.shift, Resolution::Gap);
            }
            if let Some(wall) = existing {
                return self.existing(span, wall);
            }
            let earlier = self.civil.prev(span.wall_from - span.gap - 1)?;
            index = self.table.of_wall(earlier).min(index.checked_sub(1)?);
        }
    }

    /// How many instances are before an instant.
    pub(crate) fn rank(self, unix: i64) -> u64 {
        let unix = unix.min(self.end);
        let index = self.table.at(unix);
        let Some(first) = self.civil.next(0) else {
            return 0;
        };
        let Some(span) = self.table.spans().get(index) else {
            return 0;
        };
        let wall = (unix + span.shift).clamp(span.wall_from, span.wall_to);
        let mut count = self.civil.rank(wall);
        let begin = self.table.of_wall(first).min(index);
        for span in self.table.spans()[begin..=index]
            .iter()
            .filter(|span| span.gap > 0)
        {
            count -= self.missing(span, unix).min(count);
        }
        count
    }

    /// How many of the wall times up to a span's first second have no instant of their own before
    /// `unix`: the omitted, those that fall on another's instant, those still to come.
    fn missing(self, span: &Span, unix: i64) -> u64 {
        let (from, to) = (span.wall_from - span.gap, span.wall_from);
        let skipped = self.civil.rank(to) - self.civil.rank(from);
        if skipped == 0 || self.omit {
            return skipped;
        }
        let passed = (unix + span.shift - span.gap).clamp(from, to);
        let to_come = self.civil.rank(to) - self.civil.rank(passed);
        let mut doubled = 0;
        self.civil.run(from, passed, |wall| {
            doubled += u64::from(self.civil.contains(wall + span.gap));
        });
        to_come + doubled
    }

    /// The instance with this rank.
    pub(crate) fn nth(self, n: u64) -> Option<Instance> {
        // Gaps only take away, so the n-th wall time is a first guess that is never too late.
        let mut guess = n;
        for _ in 0..GUESSES_MAX {
            let Some(wall) = self.civil.nth(guess) else {
                // Only a correction can overshoot the last one.
                if guess == n {
                    return None;
                }
                break;
            };
            let span = self.table.spans().get(self.table.of_wall(wall))?;
            let unix = if wall < span.wall_from {
                wall + span.gap
            } else {
                wall
            } - span.shift;
            let rank = self.rank(unix);
            if rank == n {
                return self.next(unix);
            }
            guess = guess.saturating_add(n).saturating_sub(rank);
        }
        self.nth_by_bisection(n)
    }

    /// The latest instant with at most `n` instances before it is the n-th's.
    fn nth_by_bisection(self, n: u64) -> Option<Instance> {
        let (mut low, mut high) = (self.next(i64::MIN / 2)?.unix, self.end);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.rank(middle) <= n {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.next(low).filter(|found| self.rank(found.unix) == n)
    }

    /// The way on from the last instance of a span, if its shape has steps.
    fn walk_from(self, found: &Instance, to: i64) -> Option<Walk<'a>> {
        let index = self.table.at(found.unix);
        let span = self.table.spans()[index];
        let wall = found.unix + span.shift;
        // Where shifted times come among others, each is looked for.
        if found.resolution == Resolution::Gap || wall < span.wall_from + span.gap {
            return None;
        }
        let mut place = self.civil.place(wall)?;
        let ahead = self.civil.step(&mut place);
        let mut walk = Walk {
            stride: self.civil.stride(),
            zoned: self,
            to,
            ahead,
            place,
            limit: 0,
            shift: 0,
            index,
        };
        walk.enter(&span);
        Some(walk)
    }

    /// The first instance in a window, and the way on from it.
    pub(crate) fn first_in(self, from: i64, to: i64) -> (Option<Instance>, Option<Walk<'a>>) {
        let found = self.next(from).filter(|found| found.unix < to);
        let walk = found
            .as_ref()
            .and_then(|found| self.walk_from(found, to.min(self.end)));
        (found, walk)
    }

    /// Gives every instance in `from..to`, in order.
    #[inline]
    pub(crate) fn run(self, from: i64, to: i64, mut f: impl FnMut(Instance)) {
        let to = to.min(self.end);
        let span = &self.table.spans()[self.table.at(from)];
        if from + span.shift >= span.wall_from + span.gap && to <= span.to - span.fold {
            // The usual window: no clock changes in it, nothing shifted into it.
            return self.civil.run(from + span.shift, to + span.shift, |wall| {
                f(plain(wall, wall - span.shift, Resolution::Unique));
            });
        }
        self.run_over_changes(from, to, f);
    }

    fn run_over_changes(self, from: i64, to: i64, mut f: impl FnMut(Instance)) {
        if let Civil::Single(single) = self.civil
            && !single.days.is_dense()
        {
            return self.run_single(single, from, to, f);
        }
        let first = self.table.at(from);
        let spans = self.table.spans()[first..]
            .iter()
            .take_while(|span| span.from < to);
        for span in spans {
            let mut low = from.max(span.from);
            let high = to.min(span.to);
            if self.skipped_from(span, low).is_some() {
                // Merge until the shifted ones are over.
                let merged = high.min(span.from + span.gap);
                let mut next = self.next(low);
                while let Some(found) = next.filter(|found| found.unix < merged) {
                    f(found);
                    next = self.next(found.unix + 1);
                }
                low = merged;
            }
            let (low, high) = ((low + span.shift).max(span.wall_from), high + span.shift);
            let split = span.wall_to - span.fold;
            self.civil.run(low, high.min(split), |wall| {
                f(plain(wall, wall - span.shift, Resolution::Unique));
            });
            if span.fold > 0 && high > split {
                self.civil.run(low.max(split), high, |wall| {
                    f(plain(wall, wall - span.shift, Resolution::Fold));
                });
            }
        }
    }

    /// The same for one time a day: a wall time that is skipped waits for the next, which comes
    /// after it or on the same instant.
    #[inline]
    fn run_single(self, single: Single<'_>, from: i64, to: i64, mut f: impl FnMut(Instance)) {
        let spans = self.table.spans();
        let mut index = self.table.at(from);
        let mut span = &spans[index];
        // From before the gap on: what was skipped there comes after it. Wall times that an earlier
        // span has already shown are not shown again.
        let first = (from + span.shift - span.gap).max(span.wall_from - span.gap);
        let end = &spans[self.table.at(to)];
        let last = (to + end.shift).max(end.wall_from);
        let mut waiting: Option<Instance> = None;
        single.run(first, last, |wall| {
            while wall >= span.wall_to {
                index += 1;
                span = &spans[index];
            }
            let skipped = wall < span.wall_from;
            let (shift, resolution) = match (skipped, wall >= span.wall_to - span.fold) {
                (false, false) => (0, Resolution::Unique),
                (false, true) => (0, Resolution::Fold),
                (true, _) => (span.gap, Resolution::Gap),
            };
            let found = plain(wall, wall + shift - span.shift, resolution);
            if let Some(earlier) = waiting.take()
                && earlier.unix < found.unix
                && (from..to).contains(&earlier.unix)
            {
                f(earlier);
            }
            if skipped {
                waiting = Some(found).filter(|_| !self.omit);
            } else if (from..to).contains(&found.unix) {
                f(found);
            }
        });
        if let Some(last) = waiting.filter(|last| (from..to).contains(&last.unix)) {
            f(last);
        }
    }

    /// The first wall time that was skipped at a span's beginning and comes at or after `from`.
    #[inline]
    fn skipped_from(self, span: &Span, from: i64) -> Option<Wall> {
        if span.gap == 0 || self.omit || from >= span.from + span.gap {
            return None;
        }
        let skipped = self.civil.next(from + span.shift - span.gap)?;
        (skipped < span.wall_from).then_some(skipped)
    }

    /// The last such wall time that comes before `limit`, a wall time of the span.
    fn skipped_before(self, span: &Span, limit: Wall) -> Option<Wall> {
        if span.gap == 0 || self.omit {
            return None;
        }
        let skipped = self
            .civil
            .prev((limit - span.gap).min(span.wall_from) - 1)?;
        (skipped >= span.wall_from - span.gap).then_some(skipped)
    }

    #[inline]
    fn instance(self, wall: Wall, unix: i64, resolution: Resolution) -> Option<Instance> {
        (unix < self.end).then(|| plain(wall, unix, resolution))
    }
}

/// The way through a window: steps from one wall time to the next, and from one span to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a> {
    zoned: Zoned<'a>,
    /// The end of the window.
    to: i64,
    /// The next wall time.
    ahead: Wall,
    /// The distance to the one after it, if it is always the same.
    stride: i64,
    place: Place,
    /// The first wall time that is not simply this far from its instant.
    limit: Wall,
    shift: i64,
    /// The span.
    index: usize,
}

impl Walk<'_> {
    /// The next instance; `None` if there is none, or none that can be reached by a step.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Instance> {
        if self.ahead < self.limit {
            let wall = self.ahead;
            self.advance();
            return Some(plain(wall, wall - self.shift, Resolution::Unique));
        }
        self.turn()
    }

    /// The next instance where clocks change before it.
    fn turn(&mut self) -> Option<Instance> {
        let wall = self.ahead;
        let spans = self.zoned.table.spans();
        while wall >= spans.get(self.index)?.wall_to {
            self.index += 1;
        }
        let span = &spans[self.index];
        // The last time was before the gap. If this one is after it, there is none in it.
        if wall < span.wall_from || wall - span.shift >= self.to || wall > self.zoned.civil.bound()
        {
            return None;
        }
        self.enter(span);
        self.advance();
        self.zoned.existing(span, wall)
    }

    #[inline]
    fn advance(&mut self) {
        if self.stride > 0 {
            self.ahead += self.stride;
        } else {
            self.ahead = self.zoned.civil.step(&mut self.place);
        }
    }

    fn enter(&mut self, span: &Span) {
        self.shift = span.shift;
        let last = self.zoned.civil.bound().saturating_add(1);
        self.limit = (span.wall_to - span.fold)
            .min(self.to + span.shift)
            .min(last);
    }
}

/// More corrections than this [`Zoned::nth`] does not need for rules that recur at most hourly.
const GUESSES_MAX: usize = 8;

#[inline]
fn plain(wall: Wall, unix: i64, resolution: Resolution) -> Instance {
    let recurrence_id = to_local(wall).unwrap_or(LocalDateTime::MAX);
    Instance {
        recurrence_id,
        unix,
        resolution,
    }
}
