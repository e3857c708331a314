//! The civil stage: what a rule generates from a start, in wall time.

use crate::LocalDateTime;
use crate::epoch::{DAY_MAX, Day, WALL_MAX, Wall, day_of, midnight, split, to_local, to_wall};

use super::compile;
use super::days::Days;
use super::model::{End, Rule, Until};
use super::shape::{Civil, Cycle, Place, Positions, Several, Single};

/// A rule with its start, compiled: the wall times it generates, in the years 1 to 9999.
///
/// This is the whole of a rule in floating time, and the first of two stages for a rule in a zone
/// ([`Compiled`](crate::Compiled) is both). The start is an anchor: it is generated only if it is
/// on the rule. Every question is answered by arithmetic on the calendar, however far it reaches.
///
/// ```
/// use scheduler_core::rule::{Expansion, Rule};
///
/// let rule: Rule = "FREQ=MONTHLY;BYDAY=2TU;COUNT=40".parse()?;
/// let tuesdays = Expansion::new(&rule, "2026-01-13T18:00:00".parse()?);
/// let first: Vec<String> = tuesdays.iter().take(2).map(|at| at.to_string()).collect();
/// assert_eq!(first, ["2026-01-13T18:00:00", "2026-02-10T18:00:00"]);
/// assert_eq!(tuesdays.last().unwrap().to_string(), "2029-04-10T18:00:00");
/// assert_eq!(tuesdays.rank("2027-01-01T00:00:00".parse()?), 12);
/// assert_eq!(tuesdays.nth(12), tuesdays.next_at_or_after("2027-01-01T00:00:00".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Expansion {
    shape: Shape,
    ends: bool,
}

/// What a compiled rule owns; [`Civil`] is the view that answers.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Empty,
    Single {
        days: Days,
        first: Day,
        last: Day,
        time: u32,
    },
    Several(Box<Several>),
    Cycle(Box<Cycle>),
    Positions(Box<Positions>),
}

/// The longest COUNT that is walked to: up to here it takes less than a pattern's table.
const WALKED_MAX: u32 = 500;

impl Shape {
    /// The time with which a COUNT ends; `None` if there are fewer. Days without a table are counted
    /// by arithmetic. A table is made over 400 years, for up to three milliseconds.
    fn last_of(&self, count: u32) -> Option<Wall> {
        let civil = self.civil();
        let days = match self {
            Self::Single { days, .. } => Some(days),
            Self::Several(several) => Some(&several.days),
            Self::Empty | Self::Cycle(_) | Self::Positions(_) => None,
        };
        let is_steady = days.is_some_and(|days| days.periods().is_none());
        if is_steady || count > WALKED_MAX {
            return civil.nth(u64::from(count) - 1);
        }
        let times = std::iter::successors(civil.next(0), |last| civil.next(last + 1));
        times.take(count as usize).nth(count as usize - 1)
    }

    #[inline]
    pub(crate) fn civil(&self) -> Civil<'_> {
        match self {
            Self::Empty => Civil::Empty,
            Self::Single {
                days,
                first,
                last,
                time,
            } => Civil::Single(Single {
                days,
                first: *first,
                last: *last,
                time: *time,
            }),
            Self::Several(several) => Civil::Several(several),
            Self::Cycle(cycle) => Civil::Cycle(cycle),
            Self::Positions(positions) => Civil::Positions(positions),
        }
    }

    /// The same shape without what is after `last`, or empty if that is all.
    pub(crate) fn until(mut self, last: Wall) -> Self {
        let Some(last) = self.civil().prev(last) else {
            return Self::Empty;
        };
        match &mut self {
            Self::Empty => {}
            Self::Single { last: bound, .. } => *bound = split(last).0,
            Self::Several(several) => several.last = last,
            Self::Cycle(cycle) => cycle.last = last,
            Self::Positions(positions) => positions.last = last,
        }
        self
    }
}

impl Expansion {
    /// Compiles a rule that starts, and takes from its start what it does not say. An UNTIL with Z
    /// is read as wall time here: floating time has no other.
    #[must_use]
    pub fn new(rule: &Rule, start: LocalDateTime) -> Self {
        let until = match rule.end {
            End::Until(until) => Some(wall_until(until)),
            _ => None,
        };
        Self::through(rule, start, until)
    }

    /// The same with another reading of UNTIL. COUNT becomes the last time that it allows.
    pub(crate) fn through(rule: &Rule, start: LocalDateTime, until: Option<Wall>) -> Self {
        let shape = compile::shape(rule, to_wall(start));
        let last = match rule.end {
            End::Count(count) => shape.last_of(count),
            _ => until.filter(|until| *until < WALL_MAX),
        };
        match last {
            Some(last) => Self {
                shape: shape.until(last),
                ends: true,
            },
            None => Self {
                ends: matches!(shape, Shape::Empty),
                shape,
            },
        }
    }

    #[inline]
    pub(crate) fn civil(&self) -> Civil<'_> {
        self.shape.civil()
    }

    pub(crate) fn into_shape(self) -> Shape {
        self.shape
    }

    /// Whether it generates nothing at all. Known when it is compiled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.shape, Shape::Empty)
    }

    /// Whether COUNT, UNTIL or the rule itself ends it before the calendar does.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.ends
    }

    /// The first time, if there is any.
    #[must_use]
    pub fn first(&self) -> Option<LocalDateTime> {
        self.next_at_or_after(LocalDateTime::MIN)
    }

    /// The last time, if the rule ends or the calendar does (9999-12-31).
    #[must_use]
    pub fn last(&self) -> Option<LocalDateTime> {
        self.civil().prev(WALL_MAX).and_then(to_local)
    }

    /// The first time at or after this one.
    #[must_use]
    pub fn next_at_or_after(&self, at: LocalDateTime) -> Option<LocalDateTime> {
        self.civil().next(to_wall(at)).and_then(to_local)
    }

    /// The last time before this one.
    #[must_use]
    pub fn last_before(&self, at: LocalDateTime) -> Option<LocalDateTime> {
        self.civil().prev(to_wall(at) - 1).and_then(to_local)
    }

    /// How many times are before this one.
    #[must_use]
    pub fn rank(&self, at: LocalDateTime) -> u64 {
        self.civil().rank(to_wall(at))
    }

    /// The time with this rank: 0 gives the first.
    #[must_use]
    pub fn nth(&self, n: u64) -> Option<LocalDateTime> {
        self.civil().nth(n).and_then(to_local)
    }

    /// Whether it generates this time.
    #[must_use]
    pub fn contains(&self, at: LocalDateTime) -> bool {
        self.civil().contains(to_wall(at))
    }

    /// All times in order, and from the last one backwards with `rev()`.
    #[must_use]
    pub fn iter(&self) -> Times<'_> {
        Times {
            civil: self.civil(),
            from: 0,
            to: WALL_MAX + 1,
            ahead: None,
        }
    }

    /// All times from this one on.
    #[must_use]
    pub fn iter_from(&self, from: LocalDateTime) -> Times<'_> {
        Times {
            from: to_wall(from),
            ..self.iter()
        }
    }

    /// The times in `[from, to)`. It seeks: what lies before costs nothing.
    #[must_use]
    pub fn between(&self, from: LocalDateTime, to: LocalDateTime) -> Times<'_> {
        Times {
            civil: self.civil(),
            from: to_wall(from),
            to: to_wall(to),
            ahead: None,
        }
    }
}

/// UNTIL as the last wall time that passes.
pub(crate) fn wall_until(until: Until) -> Wall {
    match until {
        Until::Date(date) => midnight((day_of(date) + 1).min(DAY_MAX + 1)) - 1,
        Until::Local(at) => to_wall(at),
        Until::Instant(at) => at.timestamp() + crate::epoch::UNIX_EPOCH,
    }
}

/// The times of an [`Expansion`], forward and in reverse. A copy of it is a place to resume from.
#[derive(Debug, Clone, Copy)]
pub struct Times<'a> {
    civil: Civil<'a>,
    from: Wall,
    to: Wall,
    /// The next time and its place, where the way on from the last one is known.
    ahead: Option<(Wall, Place)>,
}

impl Times<'_> {
    /// The next one by a search, which also finds the way on from it.
    fn seek(&mut self) -> Option<LocalDateTime> {
        let found = self
            .civil
            .next(self.from)
            .filter(|found| *found < self.to)?;
        self.from = found + 1;
        self.ahead = self
            .civil
            .place(found)
            .map(|mut place| (self.civil.step(&mut place), place));
        to_local(found)
    }
}

impl Iterator for Times<'_> {
    type Item = LocalDateTime;

    #[inline]
    fn next(&mut self) -> Option<LocalDateTime> {
        let Some((found, place)) = &mut self.ahead else {
            return self.seek();
        };
        if *found >= self.to || *found > self.civil.bound() {
            self.from = self.to;
            return None;
        }
        let local = to_local(*found);
        self.from = *found + 1;
        *found = self.civil.step(place);
        local
    }

    fn fold<B, F: FnMut(B, LocalDateTime) -> B>(self, init: B, mut f: F) -> B {
        let mut folded = Some(init);
        self.civil.run(self.from, self.to, |found| {
            if let (Some(local), Some(value)) = (to_local(found), folded.take()) {
                folded = Some(f(value, local));
            }
        });
        folded.expect("every time found is within the calendar")
    }
}

impl DoubleEndedIterator for Times<'_> {
    fn next_back(&mut self) -> Option<LocalDateTime> {
        let found = self
            .civil
            .prev(self.to - 1)
            .filter(|found| *found >= self.from)?;
        self.to = found;
        to_local(found)
    }
}
