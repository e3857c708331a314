//! One UID: what recurs, and where it deviates.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::value::{At, Length, instant};
use crate::rule::{End, Expansion};
use crate::set::SetError;
use crate::zone::{END_OF_ZONE_DATA, Resolution};
use crate::{Compiled, LocalDateTime, RecurrenceSet, Rule, Window, Zone};

/// All events of one UID: a series with its overrides, one event, or detached occurrences of a
/// series that is not in the text.
#[derive(Debug, Clone)]
pub struct Series {
    pub(super) uid: String,
    pub(super) zone: Zone,
    pub(super) is_all_day: bool,
    pub(super) master: Option<Master>,
    /// Overrides of one occurrence, by recurrence-id.
    pub(super) changes: BTreeMap<LocalDateTime, Details>,
    /// Overrides with RANGE=THISANDFUTURE, by the recurrence-id from which on they hold.
    pub(super) ranges: BTreeMap<LocalDateTime, Details>,
}

/// What one VEVENT says of when it takes place.
#[derive(Debug, Clone)]
pub(super) struct Details {
    pub(super) line: usize,
    pub(super) start: At,
    pub(super) length: Length,
    pub(super) summary: Option<String>,
    pub(super) is_cancelled: bool,
}

/// The VEVENT without a RECURRENCE-ID.
#[derive(Debug, Clone)]
pub(super) struct Master {
    pub(super) details: Details,
    pub(super) rules: Vec<Recurring>,
    pub(super) exceptions: Vec<Recurring>,
    pub(super) additions: Vec<Addition>,
    pub(super) exclusions: Exclusions,
}

/// A rule from the start of its series on.
#[derive(Debug, Clone)]
pub(super) struct Recurring {
    pub(super) rule: Rule,
    compiled: Compiled,
}

/// A time that is listed: DTSTART or an RDATE.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addition {
    pub(super) wall: LocalDateTime,
    pub(super) unix: i64,
    /// What a PERIOD says.
    pub(super) length: Option<Length>,
}

/// What EXDATE takes away.
#[derive(Debug, Clone, Default)]
pub(super) struct Exclusions {
    pub(super) walls: BTreeSet<LocalDateTime>,
    pub(super) instants: BTreeSet<i64>,
    pub(super) dates: BTreeSet<NaiveDate>,
}

/// One that is generated, overridden or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generated {
    pub(super) id: LocalDateTime,
    pub(super) unix: i64,
    pub(super) length: Option<Length>,
    is_gap: bool,
}

impl Series {
    /// The UID; empty if the event has none.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The zone of its recurrence-ids; UTC if it is all day.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// Whether its recurrence-ids are dates.
    #[must_use]
    pub fn is_all_day(&self) -> bool {
        self.is_all_day
    }

    /// SUMMARY of the series, or of its first detached occurrence.
    #[must_use]
    pub fn summary(&self) -> Option<&str> {
        let master = self.master.iter().map(|master| &master.details);
        let mut all = master.chain(self.changes.values());
        all.next().and_then(|first| first.summary.as_deref())
    }

    /// Whether it was called off as a whole.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let master = self.master.as_ref();
        master.is_some_and(|master| master.details.is_cancelled)
    }

    /// Whether more than one occurrence can come of it.
    #[must_use]
    pub fn is_recurring(&self) -> bool {
        match &self.master {
            Some(master) => !master.rules.is_empty() || master.additions.len() > 1,
            None => true,
        }
    }

    /// The override with RANGE=THISANDFUTURE that holds for a recurrence-id, and its own.
    pub(super) fn range_of(&self, id: LocalDateTime) -> Option<(LocalDateTime, &Details)> {
        let (from, range) = self.ranges.range(..=id).next_back()?;
        Some((*from, range))
    }

    /// The start that a recurrence-id has by such an override: as far from it as the override's
    /// own start is from its recurrence-id, on the wall clock.
    pub(super) fn start_in_range(
        &self,
        from: LocalDateTime,
        range: &Details,
        id: LocalDateTime,
    ) -> At {
        let zone = range.start.zone;
        let zone = if zone == Zone::UTC && !range.start.is_date {
            self.zone
        } else {
            zone
        };
        let moved = range.start.wall_in(zone).seconds() - from.seconds();
        let wall = id.plus_seconds(moved).unwrap_or(LocalDateTime::MAX);
        At {
            is_date: range.start.is_date,
            ..At::wall(wall, zone)
        }
    }
}

impl Master {
    /// The first instance is DTSTART, whatever the rules say; if a rule does not have it, it is
    /// counted all the same.
    pub(super) fn new(details: Details, rules: Vec<Rule>) -> Self {
        let (wall, zone) = (details.start.wall, details.start.zone);
        let counting = rules
            .into_iter()
            .filter_map(|rule| counting_start(rule, wall));
        let rules = counting
            .map(|rule| Recurring::new(rule, wall, zone))
            .collect();
        let first = Addition {
            wall,
            unix: details.start.unix,
            length: None,
        };
        Self {
            details,
            rules,
            exceptions: Vec::new(),
            additions: vec![first],
            exclusions: Exclusions::default(),
        }
    }

    /// What starts in a window, excluded or not, in order. Each instant is there once: a wall time
    /// that exists comes before one that was shifted, then the earlier.
    pub(super) fn generated(
        &self,
        window: Window,
        max: usize,
    ) -> Result<Option<Vec<Generated>>, SetError> {
        let mut found: Vec<Generated> = Vec::new();
        for rule in &self.rules {
            for instance in rule.compiled.within(window)? {
                if found.len() >= max {
                    return Ok(None);
                }
                found.push(Generated {
                    id: instance.recurrence_id,
                    unix: instance.unix,
                    length: None,
                    is_gap: instance.resolution == Resolution::Gap,
                });
            }
        }
        let added = self.additions.iter();
        let added = added.filter(|addition| window.contains(instant(addition.unix)));
        found.extend(added.map(|addition| self.added(addition)));
        found.sort_unstable_by_key(|one| (one.unix, one.is_gap, one.id, one.length.is_none()));
        found.dedup_by_key(|one| one.unix);
        Ok(Some(found))
    }

    fn added(&self, addition: &Addition) -> Generated {
        let zone = self.details.start.zone;
        Generated {
            id: addition.wall,
            unix: addition.unix,
            length: addition.length,
            is_gap: zone.resolve(addition.wall).1 == Resolution::Gap,
        }
    }

    /// What is generated at an instant.
    pub(super) fn generated_at(&self, unix: i64) -> Option<Generated> {
        let window = Window::new(instant(unix), instant(unix + 1)).ok()?;
        let found = self.generated(window, usize::MAX).ok().flatten()?;
        found.first().copied()
    }

    /// What is generated on a local day, the first.
    pub(super) fn generated_on(&self, date: NaiveDate) -> Option<Generated> {
        let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc();
        let window = around(midnight, midnight + TimeDelta::days(1))?;
        // One day of seconds, and two days to either side.
        let found = self.generated(window, 500_000).ok().flatten()?;
        found.into_iter().find(|one| one.id.date() == date)
    }

    /// Whether a recurrence-id is generated, excluded or not.
    pub(super) fn generates(&self, id: LocalDateTime) -> bool {
        let unix = self.details.start.zone.resolve(id).0.timestamp();
        let found = self.generated_at(unix).is_some_and(|found| found.id == id);
        // A listed time in UTC may be the second of two equal wall times.
        found || self.additions.iter().any(|addition| addition.wall == id)
    }

    /// Whether EXDATE or EXRULE takes it away.
    pub(super) fn is_excluded(&self, one: &Generated) -> bool {
        let Exclusions {
            walls,
            instants,
            dates,
        } = &self.exclusions;
        walls.contains(&one.id)
            || instants.contains(&one.unix)
            || dates.contains(&one.id.date())
            || self.exceptions.iter().any(|rule| rule.has(one))
    }
}

impl Recurring {
    pub(super) fn new(rule: Rule, start: LocalDateTime, zone: Zone) -> Self {
        let compiled = RecurrenceSet::bare_rule(start, zone, rule.clone()).compile();
        Self { rule, compiled }
    }

    fn has(&self, one: &Generated) -> bool {
        let before = instant(one.unix - 1);
        let next = self.compiled.next_after(before).ok().flatten();
        next.is_some_and(|found| found.unix == one.unix)
    }
}

/// A rule that leaves DTSTART its place in COUNT; `None` if that leaves it nothing.
fn counting_start(rule: Rule, start: LocalDateTime) -> Option<Rule> {
    match rule.end() {
        End::Count(count) if !Expansion::new(&rule, start).contains(start) => {
            let left = count.checked_sub(1).filter(|left| *left > 0)?;
            Some(rule.with_end(End::Count(left)))
        }
        _ => Some(rule),
    }
}

/// A window with two days to either side, which cover every offset and every gap; as far as zones
/// are known.
pub(super) fn around(from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Window> {
    let margin = TimeDelta::days(2);
    let from = from.checked_sub_signed(margin)?;
    let to = to.checked_add_signed(margin)?.min(END_OF_ZONE_DATA);
    Window::new(from, to).ok()
}
