//! Many compiled sets over one window.

use chrono::{DateTime, Utc};

use crate::compiled::{Compiled, Plain, Sequence};
use crate::epoch::{SECONDS_PER_DAY, Wall, to_local};
use crate::set::{OCCURRENCES_MAX, Occurrence, SetError};
use crate::zone::{END_OF_ZONE_DATA, Resolution};
use crate::{LocalDateTime, Window, Zone};

/// How much is generated before the limit is looked at, to begin with: a run does not stop by
/// itself, and this long even a rule of every second runs in milliseconds.
const PIECE_SECONDS: i64 = 64 * SECONDS_PER_DAY;
/// After a piece with at most so many occurrences the next one is twice as long.
const FEW: usize = 10_000;

/// One occurrence in numbers, as a loop over many wants it; [`Occurrence`] is the same with dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The wall time that the rule generated, in the set's zone.
    pub recurrence_id: LocalDateTime,
    /// When it starts in effect, in Unix seconds.
    pub starts: i64,
    /// When it ends, in Unix seconds.
    pub ends: i64,
    /// What the zone's clock changes did to its start.
    pub resolution: Resolution,
    /// Whether it was moved away from its recurrence-id.
    pub moved: bool,
    /// Whether it is shown only to say that it does not take place.
    pub cancelled: bool,
}

impl From<Due> for Occurrence {
    fn from(due: Due) -> Self {
        let at = |unix| DateTime::<Utc>::from_timestamp(unix, 0).unwrap_or_default();
        Self {
            recurrence_id: due.recurrence_id,
            start: at(due.starts),
            end: at(due.ends),
            resolution: due.resolution,
            moved: due.moved,
            cancelled: due.cancelled,
        }
    }
}

impl From<Occurrence> for Due {
    fn from(occurrence: Occurrence) -> Self {
        Self {
            recurrence_id: occurrence.recurrence_id,
            starts: occurrence.start.timestamp(),
            ends: occurrence.end.timestamp(),
            resolution: occurrence.resolution,
            moved: occurrence.moved,
            cancelled: occurrence.cancelled,
        }
    }
}

/// Gives every occurrence of many sets whose effective interval overlaps the window: with the
/// index of its set, set by set, those of one set by start. Cancelled ones are included.
///
/// Nothing is allocated for plain sets, and what a zone's clocks do in the window is looked up
/// once per zone.
///
/// ```
/// use scheduler_core::{RecurrenceSet, Window, for_each_due};
///
/// let at = |start: &str| -> Result<_, Box<dyn std::error::Error>> {
///     let set = RecurrenceSet::new(start.parse()?, "Europe/London".parse()?, 50)?;
///     Ok(set.with_rule("FREQ=WEEKLY;INTERVAL=2".parse()?).compile())
/// };
/// let sets = [at("2026-03-02T18:00:00")?, at("2026-03-09T18:00:00")?];
/// let week = Window::new("2028-03-06T00:00:00Z".parse()?, "2028-03-13T00:00:00Z".parse()?)?;
/// let mut due = Vec::new();
/// for_each_due(&sets, week, |index, occurrence| due.push((index, occurrence.recurrence_id)))?;
/// assert_eq!(due, [(1, "2028-03-06T18:00:00".parse()?)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SetError::BeyondZoneData`]; [`SetError::TooManyOccurrences`] if one set has more than
/// [`OCCURRENCES_MAX`] in the window.
pub fn for_each_due(
    sets: &[Compiled],
    window: Window,
    mut f: impl FnMut(usize, Due),
) -> Result<(), SetError> {
    let mut zones = ZoneWindows::new(window)?;
    for (index, set) in sets.iter().enumerate() {
        let done = set.plain().is_some_and(|plain| {
            zones
                .of(plain.zone())
                .is_some_and(|local| local.each(plain, |due| f(index, due)))
        });
        if !done {
            set.each_overlapping(window, |due| f(index, due))?;
        }
    }
    Ok(())
}

impl Compiled {
    /// What overlaps the window in effect, in order.
    pub(crate) fn each_overlapping(
        &self,
        window: Window,
        f: impl FnMut(Due),
    ) -> Result<(), SetError> {
        self.each_of_at_most(OCCURRENCES_MAX, window, f)
    }

    /// The same with another limit on how many are generated.
    pub(crate) fn each_of_at_most(
        &self,
        max: usize,
        window: Window,
        mut f: impl FnMut(Due),
    ) -> Result<(), SetError> {
        if window.end() > END_OF_ZONE_DATA {
            return Err(SetError::BeyondZoneData { end: window.end() });
        }
        let (start, end) = (window.start().timestamp(), window.seconds().1);
        let length = 60 * i64::from(self.minutes());
        let as_due = |found: crate::Instance| Due {
            recurrence_id: found.recurrence_id,
            starts: found.unix,
            ends: found.unix + length,
            resolution: found.resolution,
            moved: false,
            cancelled: false,
        };
        let sequence = self.sequence();
        let overridden = self.whole().map_or(&[][..], |whole| &whole.overridden);
        let mut moved: Vec<Due> = overridden
            .iter()
            .filter(|occurrence| window.overlaps(occurrence.start, occurrence.end))
            .map(|occurrence| Due::from(*occurrence))
            .collect();
        moved.sort_unstable_by_key(|due| (due.starts, due.recurrence_id));
        let mut moved = moved.into_iter().peekable();
        let mut count = 0;
        let (mut from, mut piece) = (start - length + 1, PIECE_SECONDS);
        while from < end {
            let (to, before) = (end.min(from.saturating_add(piece)), count);
            sequence.run(from, to, |found| {
                if let Sequence::Whole(whole) = sequence
                    && whole.is_overridden(found.recurrence_id)
                {
                    return;
                }
                count += 1;
                if count > max {
                    return;
                }
                let due = as_due(found);
                while let Some(earlier) = moved.next_if(|moved| {
                    (moved.starts, moved.recurrence_id) < (due.starts, due.recurrence_id)
                }) {
                    f(earlier);
                }
                f(due);
            });
            if count > max {
                return Err(SetError::TooManyOccurrences);
            }
            from = to;
            if count - before <= FEW {
                piece = piece.saturating_mul(2);
            }
        }
        moved.for_each(f);
        Ok(())
    }
}

/// A window on the wall clocks of the zones met so far.
struct ZoneWindows {
    start: i64,
    end: i64,
    zones: Vec<Option<Option<LocalWindow>>>,
}

/// A window in which a zone's clocks do nothing.
#[derive(Clone, Copy)]
struct LocalWindow {
    start: Wall,
    end: Wall,
    shift: i64,
}

impl ZoneWindows {
    fn new(window: Window) -> Result<Self, SetError> {
        if window.end() > END_OF_ZONE_DATA {
            return Err(SetError::BeyondZoneData { end: window.end() });
        }
        let (start, end) = (window.start().timestamp(), window.seconds().1);
        Ok(Self {
            start,
            end,
            zones: vec![None; Zone::count()],
        })
    }

    /// The window on a zone's wall clocks; `None` if they change in or just before it.
    #[inline]
    fn of(&mut self, zone: Zone) -> Option<LocalWindow> {
        let (start, end) = (self.start, self.end);
        *self.zones[zone.index()].get_or_insert_with(|| LocalWindow::new(zone, start, end))
    }
}

impl LocalWindow {
    fn new(zone: Zone, start: i64, end: i64) -> Option<Self> {
        let table = zone.transitions();
        let longest = 60 * i64::from(crate::set::MINUTES_MAX);
        let span = table.spans().get(table.at(start - longest))?;
        let local = Self {
            start: start + span.shift,
            end: end + span.shift,
            shift: span.shift,
        };
        let settled = span.wall_from + span.gap <= local.start - longest
            && local.end <= span.wall_to - span.fold;
        settled.then_some(local)
    }

    #[inline]
    fn each(self, plain: &Plain, mut f: impl FnMut(Due)) -> bool {
        let length = plain.length();
        plain
            .single()
            .run(self.start - length + 1, self.end, |wall| {
                let starts = wall - self.shift;
                f(Due {
                    recurrence_id: to_local(wall).unwrap_or(LocalDateTime::MAX),
                    starts,
                    ends: starts + length,
                    resolution: Resolution::Unique,
                    moved: false,
                    cancelled: false,
                });
            });
        true
    }
}
