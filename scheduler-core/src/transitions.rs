//! When a zone's clocks change: one table per zone, built once.
//!
//! chrono-tz answers for one instant at a time and shows no table, so the table is found by asking:
//! probes a few days apart, and a bisection wherever two of them differ. The result never changes
//! and depends on nothing but the compiled zone data, so it is kept for the life of the process.

use std::sync::OnceLock;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::epoch::{UNIX_EPOCH, WALL_MAX, Wall};

/// Local mean time ends later everywhere, so that nothing changes before: 1800-01-01.
const FIRST_PROBE: i64 = -5_364_662_400;
/// The zone data has no change after 2099; 2101-01-01.
const LAST_PROBE: i64 = 4_133_980_800;
/// Closer than this no zone changes its clocks twice and comes back to where it was.
const PROBE_SECONDS: i64 = 5 * 86_400;
/// Instants are found by blocks of 2^23 seconds, 97 days: few hold more than one change.
const BLOCK_BITS: u32 = 23;
/// No wall time is further than this from the same digits read as UTC.
const OFFSET_MAX: i64 = 86_400;

/// A stretch of time in which a zone's offset stays the same, and the wall times that belong to
/// it. A wall time that occurs twice belongs to the first stretch, one that is skipped to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first instant, in Unix seconds.
    pub(crate) from: i64,
    /// The first instant after it.
    pub(crate) to: i64,
    /// What a wall time is ahead of its instant.
    pub(crate) shift: i64,
    /// The first wall time that belongs to it.
    pub(crate) wall_from: Wall,
    /// The first wall time after it.
    pub(crate) wall_to: Wall,
    /// How many seconds just before `wall_from` were skipped.
    pub(crate) gap: i64,
    /// How many seconds just before `wall_to` occur again.
    pub(crate) fold: i64,
}

/// All stretches of a zone, without a break.
#[derive(Debug)]
pub(crate) struct Transitions {
    spans: Box<[Span]>,
    /// The span of the first second of every block.
    blocks: Box<[u16]>,
}

static TABLES: [OnceLock<Transitions>; TZ_VARIANTS.len()] =
    [const { OnceLock::new() }; TZ_VARIANTS.len()];

/// The table of a zone.
#[inline]
pub(crate) fn of(zone: Tz) -> &'static Transitions {
    TABLES[index(zone)].get_or_init(|| Transitions::probe(zone))
}

/// The enum has one variant for every entry of `TZ_VARIANTS`, numbered from 0.
#[inline]
pub(crate) fn index(zone: Tz) -> usize {
    zone as usize
}

impl Transitions {
    #[inline]
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The index of the span that an instant is in.
    #[inline]
    pub(crate) fn at(&self, unix: i64) -> usize {
        let block = usize::try_from((unix - FIRST_PROBE) >> BLOCK_BITS).unwrap_or(0);
        let mut index = usize::from(self.blocks[block.min(self.blocks.len() - 1)]);
        while self.spans[index].to <= unix && index + 1 < self.spans.len() {
            index += 1;
        }
        index
    }

    /// The index of the span that a wall time belongs to; for a skipped one, the span after it.
    #[inline]
    pub(crate) fn of_wall(&self, wall: Wall) -> usize {
        let mut index = self.at(wall - UNIX_EPOCH - OFFSET_MAX);
        while self.spans[index].wall_to <= wall && index + 1 < self.spans.len() {
            index += 1;
        }
        index
    }

    fn probe(zone: Tz) -> Self {
        let mut offsets = vec![(i64::MIN, offset_at(zone, FIRST_PROBE))];
        let mut probe = FIRST_PROBE;
        while probe < LAST_PROBE {
            let next = (probe + PROBE_SECONDS).min(LAST_PROBE);
            let after = offset_at(zone, next);
            // Two changes between two probes are found one after the other.
            while let Some((_, before)) = offsets.last().copied().filter(|last| last.1 != after) {
                let from = offsets.last().map_or(probe, |last| last.0.max(probe));
                let change = first_other(zone, before, from, next);
                offsets.push((change, offset_at(zone, change)));
            }
            probe = next;
        }
        Self::from_offsets(&offsets)
    }

    /// From the instants at which an offset begins to hold.
    fn from_offsets(offsets: &[(i64, i64)]) -> Self {
        let limits = (
            -UNIX_EPOCH - 2 * OFFSET_MAX,
            WALL_MAX - UNIX_EPOCH + 2 * OFFSET_MAX,
        );
        let mut spans: Vec<Span> = Vec::with_capacity(offsets.len());
        for (index, &(from, offset)) in offsets.iter().enumerate() {
            let from = from.max(limits.0);
            let to = offsets.get(index + 1).map_or(limits.1, |next| next.0);
            let before = index
                .checked_sub(1)
                .map_or(offset, |before| offsets[before].1);
            let after = offsets.get(index + 1).map_or(offset, |next| next.1);
            let shift = UNIX_EPOCH + offset;
            spans.push(Span {
                from,
                to,
                shift,
                wall_from: from + shift + (before - offset).max(0),
                wall_to: to + shift,
                gap: (offset - before).max(0),
                fold: (offset - after).max(0),
            });
        }
        let count = ((LAST_PROBE - FIRST_PROBE) >> BLOCK_BITS) + 1;
        let blocks = (0..count).map(|block| {
            let start = FIRST_PROBE + (block << BLOCK_BITS);
            let index = spans.partition_point(|span| span.to <= start);
            u16::try_from(index).unwrap_or(u16::MAX)
        });
        Self {
            blocks: blocks.collect(),
            spans: spans.into(),
        }
    }
}

/// The first instant in `(from, to]` with another offset than `before`, which holds at `from`.
fn first_other(zone: Tz, before: i64, mut from: i64, mut to: i64) -> i64 {
    while to - from > 1 {
        let middle = from + (to - from) / 2;
        if offset_at(zone, middle) == before {
            from = middle;
        } else {
            to = middle;
        }
    }
    to
}

pub(crate) fn offset_at(zone: Tz, unix: i64) -> i64 {
    let at = DateTime::from_timestamp(unix, 0).unwrap_or_default();
    i64::from(
        zone.offset_from_utc_datetime(&at.naive_utc())
            .fix()
            .local_minus_utc(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_agrees_with_chrono_tz() {
        for zone in TZ_VARIANTS {
            let table = of(zone);
            // An odd step, so that all hours of the day and all days of the year are met.
            let mut unix = FIRST_PROBE;
            while unix < LAST_PROBE {
                let span = table.spans[table.at(unix)];
                assert!(span.from <= unix && unix < span.to);
                assert_eq!(
                    span.shift - UNIX_EPOCH,
                    offset_at(zone, unix),
                    "{zone} at {unix}"
                );
                unix += 3_000_017;
            }
        }
    }

    /// The zone stage merges a gap with what follows it inside one span.
    #[test]
    fn no_zone_changes_again_before_a_gap_or_fold_is_over() {
        for zone in TZ_VARIANTS {
            for span in &of(zone).spans {
                assert!(span.wall_from < span.wall_to, "{zone} {span:?}");
                assert!(
                    span.wall_from + span.gap <= span.wall_to - span.fold,
                    "{zone} {span:?}"
                );
                assert!(
                    span.gap <= OFFSET_MAX && span.fold <= OFFSET_MAX,
                    "{zone} {span:?}"
                );
            }
        }
    }
}
