use serde::{Deserialize, Serialize};

use crate::bulk::Due;
use crate::compiled::{Compiled, compile_rule};
use crate::rule::{Beat, Civil};
use crate::set::{RecurrenceSet, SetError};
use crate::zone::END_OF_ZONE_DATA;
use crate::{Window, Zone};

/// The longest buffer, in minutes.
pub const BUFFER_MINUTES_MAX: u16 = 24 * 60;

/// Time that a therapist keeps free before and after an appointment of one service.
///
/// An appointment with its buffers is a *block*, and two blocks do not overlap: between two
/// appointments is at least the buffer after the first and the buffer before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Minutes", into = "Minutes")]
pub struct Buffers {
    before: u16,
    after: u16,
}

/// Buffers as data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Minutes {
    before: u16,
    after: u16,
}

/// A buffer that is longer than a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a buffer of {minutes} minutes: it is at most {BUFFER_MINUTES_MAX}")]
pub struct BufferTooLong {
    /// The buffer given.
    pub minutes: u16,
}

impl Buffers {
    /// No time before and none after.
    pub const NONE: Self = Self {
        before: 0,
        after: 0,
    };

    /// Minutes before and after.
    ///
    /// # Errors
    /// [`BufferTooLong`] if one is longer than [`BUFFER_MINUTES_MAX`].
    pub fn new(before: u16, after: u16) -> Result<Self, BufferTooLong> {
        let minutes = before.max(after);
        if minutes > BUFFER_MINUTES_MAX {
            return Err(BufferTooLong { minutes });
        }
        Ok(Self { before, after })
    }

    /// Minutes before.
    #[must_use]
    pub fn before(self) -> u16 {
        self.before
    }

    /// Minutes after.
    #[must_use]
    pub fn after(self) -> u16 {
        self.after
    }

    /// The block of an appointment, all in seconds.
    pub(crate) fn around(self, starts: i64, ends: i64) -> (i64, i64) {
        let (before, after) = self.seconds();
        (starts - before, ends + after)
    }

    pub(crate) fn seconds(self) -> (i64, i64) {
        (60 * i64::from(self.before), 60 * i64::from(self.after))
    }
}

impl From<Buffers> for Minutes {
    fn from(Buffers { before, after }: Buffers) -> Self {
        Self { before, after }
    }
}

impl TryFrom<Minutes> for Buffers {
    type Error = BufferTooLong;

    fn try_from(minutes: Minutes) -> Result<Self, BufferTooLong> {
        Self::new(minutes.before, minutes.after)
    }
}

/// A set with its buffers, compiled, and what of it repeats for ever.
///
/// Everything that the set means is either in its beats, within its life, or starts at one of the
/// extra instants. Exclusions and other things that take occurrences away make the set smaller than
/// that, never larger. So what its beats and extras do not do, it does not.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) compiled: Compiled,
    pub(crate) buffers: Buffers,
    /// The beats of its rules' blocks; `None` if one of them has too many blocks to be compared.
    pub(crate) beats: Option<Vec<Beat>>,
    /// The first and the last start that rules and additions generate, through the zone data.
    pub(crate) life: Option<(i64, i64)>,
    /// The starts of additions and overrides.
    pub(crate) extras: Vec<i64>,
    /// The longest of its occurrences, in minutes: dates may have a length of their own.
    longest: u32,
}

impl Pattern {
    pub(crate) fn new(set: &RecurrenceSet, buffers: Buffers) -> Self {
        // A pause that keeps the slot keeps it from others.
        let set = &set.occupying();
        let compiled = set.compile();
        let zone = set.zone();
        let before = buffers.seconds().0;
        let length = block_length(set.minutes(), buffers);
        let beats = match compiled.plain() {
            Some(plain) => Civil::Single(plain.single())
                .beat(before, length)
                .map(|beat| vec![beat]),
            None => {
                let rules = set.rules().iter();
                let shapes = rules.map(|rule| compile_rule(rule, set).shape);
                shapes
                    .map(|shape| shape.civil().beat(before, length))
                    .collect()
            }
        };
        let first = compiled.sequence().next(i64::MIN / 2);
        let life = first.map(|first| {
            let last = compiled.ends().map(|last| last.unix);
            (first.unix, last.unwrap_or(END_OF_ZONE_DATA.timestamp()))
        });
        let once = set.rules().is_empty().then_some(set.start());
        let additions = set.deviations().additions.iter().copied().chain(once);
        let mut extras: Vec<i64> = additions
            .map(|at| zone.resolve(at).0.timestamp())
            .chain(set.overridden().map(|moved| moved.start.timestamp()))
            .collect();
        extras.sort_unstable();
        let overrides = set.deviations().overrides.values();
        let lengths = overrides.filter_map(|changed| changed.minutes);
        Self {
            compiled,
            buffers,
            beats,
            life,
            extras,
            longest: lengths.fold(set.minutes(), u32::max),
        }
    }

    pub(crate) fn zone(&self) -> Zone {
        self.compiled.zone()
    }

    /// The length of the longest occurrence, in seconds: how far back one reaches at most.
    pub(crate) fn length(&self) -> i64 {
        60 * i64::from(self.longest)
    }

    /// The length of the longest block, in seconds.
    pub(crate) fn block(&self) -> i64 {
        block_length(self.longest, self.buffers)
    }

    /// What takes place and starts in `from..to`, by start; nothing from the end of the zone data
    /// on. `budget` is how many may be looked at, and is used up.
    pub(crate) fn starting_in(
        &self,
        from: i64,
        to: i64,
        budget: &mut usize,
    ) -> Result<Vec<Due>, SetError> {
        let mut found = Vec::new();
        self.each_starting_in(from, to, budget, |due| found.push(due))?;
        Ok(found)
    }

    /// The same one by one.
    pub(crate) fn each_starting_in(
        &self,
        from: i64,
        to: i64,
        budget: &mut usize,
        mut f: impl FnMut(Due),
    ) -> Result<(), SetError> {
        let to = to.min(END_OF_ZONE_DATA.timestamp());
        let Some(window) = window(from, to) else {
            return Ok(());
        };
        let mut seen = 0;
        self.compiled.each_of_at_most(*budget, window, |due| {
            seen += 1;
            if !due.cancelled && from <= due.starts {
                f(due);
            }
        })?;
        *budget = budget
            .checked_sub(seen)
            .ok_or(SetError::TooManyOccurrences)?;
        Ok(())
    }
}

/// A window in Unix seconds; `None` if it is empty or out of the calendar.
pub(crate) fn window(from: i64, to: i64) -> Option<Window> {
    let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0);
    Window::new(at(from)?, at(to)?).ok()
}

fn block_length(minutes: u32, buffers: Buffers) -> i64 {
    let (before, after) = buffers.seconds();
    60 * i64::from(minutes) + before + after
}
