//! The shapes a compiled rule can have, and the questions all of them answer.
//!
//! A shape is asked in wall time and answers from the calendar alone: the first time at or after
//! a time, the last at or before it, how many are before it, the n-th. Nothing is carried from
//! one answer to the next, so a question decades away costs what the next one costs.

mod beat;
mod cycle;
mod positions;
mod several;
mod single;

pub(crate) use beat::{Beat, Block};
pub(crate) use cycle::Cycle;
pub(crate) use positions::Positions;
pub(crate) use several::Several;
pub(crate) use single::Single;

use crate::epoch::{Day, SECONDS_PER_DAY, Wall};

/// The wall times of a rule, whatever its shape.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Civil<'a> {
    /// None at all.
    Empty,
    /// One time on each day of a pattern.
    Single(Single<'a>),
    /// Several times on each day of a pattern.
    Several(&'a Several),
    /// Offsets in a cycle of fixed length.
    Cycle(&'a Cycle),
    /// Positions among several times of the days of a period.
    Positions(&'a Positions),
}

/// Where a time of a rule stands in its shape, so that the time after it is a step and no search.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    /// The day, and what its pattern knows of it.
    day: Day,
    hint: i32,
    /// Midnight, or the beginning of the cycle, and which time after it.
    base: Wall,
    index: usize,
}

macro_rules! each {
    ($civil:expr, $empty:expr, $shape:ident => $call:expr) => {
        match $civil {
            Civil::Empty => $empty,
            Civil::Single($shape) => $call,
            Civil::Several($shape) => $call,
            Civil::Cycle($shape) => $call,
            Civil::Positions($shape) => $call,
        }
    };
}

impl Civil<'_> {
    /// The first time at or after `wall`.
    #[inline]
    pub(crate) fn next(self, wall: Wall) -> Option<Wall> {
        each!(self, None, shape => shape.next(wall))
    }

    /// The last time at or before `wall`.
    #[inline]
    pub(crate) fn prev(self, wall: Wall) -> Option<Wall> {
        each!(self, None, shape => shape.prev(wall))
    }

    /// How many times are before `wall`.
    pub(crate) fn rank(self, wall: Wall) -> u64 {
        each!(self, 0, shape => shape.rank(wall))
    }

    /// The time with that rank.
    pub(crate) fn nth(self, n: u64) -> Option<Wall> {
        each!(self, None, shape => shape.nth(n))
    }

    /// Gives every time in `from..to`, in order.
    #[inline]
    pub(crate) fn run(self, from: Wall, to: Wall, f: impl FnMut(Wall)) {
        each!(self, (), shape => shape.run(from, to, f));
    }

    /// The place of a time that the rule generates; `None` if its shape has no steps.
    pub(crate) fn place(self, wall: Wall) -> Option<Place> {
        match self {
            Civil::Single(single) => Some(single.place(wall)),
            Civil::Several(several) => several.place(wall),
            Civil::Cycle(cycle) => cycle.place(wall),
            Civil::Empty | Civil::Positions(_) => None,
        }
    }

    /// Goes on to the next time, which may be one after the last.
    #[inline]
    pub(crate) fn step(self, place: &mut Place) -> Wall {
        match self {
            Civil::Single(single) => single.step(place),
            Civil::Several(several) => several.step(place),
            Civil::Cycle(cycle) => cycle.step(place),
            Civil::Empty | Civil::Positions(_) => Wall::MAX,
        }
    }

    /// The distance of all times in seconds, 0 if it is not always the same.
    pub(crate) fn stride(self) -> i64 {
        match self {
            Civil::Single(single) => single.days.stride() * SECONDS_PER_DAY,
            Civil::Cycle(cycle) => cycle.stride(),
            _ => 0,
        }
    }

    /// The last time, or one that no time is after.
    #[inline]
    pub(crate) fn bound(self) -> Wall {
        match self {
            Civil::Empty => -1,
            Civil::Single(single) => single.bound(),
            Civil::Several(several) => several.last,
            Civil::Cycle(cycle) => cycle.last,
            Civil::Positions(positions) => positions.last,
        }
    }

    /// Whether the rule generates this time.
    #[inline]
    pub(crate) fn contains(self, wall: Wall) -> bool {
        self.next(wall) == Some(wall)
    }
}

/// A difference of two counts of one pattern.
fn counted(from: i64, to: i64) -> u64 {
    u64::try_from(to - from).unwrap_or(0)
}
