use crate::epoch::{SECONDS_PER_DAY, Wall, gcd};
use crate::rule::days::Days;

use super::Civil;

/// The most times of one period, every minute of a day. A rule with more of them is compared time by
/// time.
const PHASES_MAX: usize = 1_440;

/// What repeats for ever: blocks of time at the same places of every period.
///
/// The beat of a rule holds every time of the rule, and possibly more: a rule over months beats
/// daily. What two beats never do together, their rules never do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Seconds, at least 1.
    period: i64,
    blocks: Vec<Block>,
}

/// Where a block begins in its period, and how long it is, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) phase: i64,
    pub(crate) length: i64,
}

impl Beat {
    pub(crate) fn new(period: i64, blocks: Vec<Block>) -> Self {
        Self { period, blocks }
    }

    /// Whether a block of this beat and one of the other ever overlap, if wall times of this one
    /// are `ahead` seconds further ahead of their instants than those of the other.
    ///
    /// All distances of two blocks are equal modulo the common divisor of the periods, and every
    /// distance with that remainder occurs. So only the two closest to zero matter.
    pub(crate) fn meets(&self, other: &Self, ahead: i64) -> bool {
        let divisor = self.common(other);
        self.blocks.iter().any(|own| {
            other.blocks.iter().any(|block| {
                let after = (own.phase - block.phase - ahead).rem_euclid(divisor);
                after < block.length || divisor - after < own.length
            })
        })
    }

    /// Whether two different blocks of this beat overlap.
    pub(crate) fn meets_itself(&self) -> bool {
        let longest = self.blocks.iter().map(|block| block.length).max();
        if longest.is_some_and(|longest| longest > self.period) {
            return true;
        }
        self.blocks.iter().enumerate().any(|(index, own)| {
            self.blocks[..index].iter().any(|block| {
                let after = (own.phase - block.phase).rem_euclid(self.period);
                after < block.length || self.period - after < own.length
            })
        })
    }

    fn common(&self, other: &Self) -> i64 {
        let divisor = gcd(self.period.unsigned_abs(), other.period.unsigned_abs());
        i64::try_from(divisor).unwrap_or(1)
    }
}

impl Civil<'_> {
    /// The beat of its times, each the beginning of a block that starts `before` it; `None` if it
    /// has too many of them.
    pub(crate) fn beat(self, before: i64, length: i64) -> Option<Beat> {
        let (period, times): (i64, Vec<Wall>) = match self {
            Civil::Empty => (SECONDS_PER_DAY, Vec::new()),
            Civil::Single(single) => with_times(single.days, &[single.time]),
            Civil::Several(several) => with_times(&several.days, &several.times),
            Civil::Positions(positions) => with_times(positions.days(), positions.times()),
            Civil::Cycle(cycle) => cycle.times(PHASES_MAX)?,
        };
        let blocks = times.into_iter().map(|time| Block {
            phase: (time - before).rem_euclid(period),
            length,
        });
        let blocks: Vec<Block> = blocks.take(PHASES_MAX + 1).collect();
        (blocks.len() <= PHASES_MAX).then(|| Beat::new(period, blocks))
    }
}

/// The times of day on the days of a pattern.
fn with_times(days: &Days, times: &[u32]) -> (i64, Vec<Wall>) {
    let (period, days) = days.beat();
    let each = days.into_iter().flat_map(|day| {
        let midnight = day * SECONDS_PER_DAY;
        times.iter().map(move |time| midnight + i64::from(*time))
    });
    (period * SECONDS_PER_DAY, each.collect())
}
