//! One UID: what recurs, and where it deviates.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, TimeDelta};

use super::timezone::TimeZone;
use super::value::{At, Length};
use crate::compiled::{Instances, compile_rule, first_unknown};
use crate::epoch::{SECONDS_PER_DAY, UNIX_EPOCH, WALL_MAX};
use crate::instances::Zoned;
use crate::pause::midnight;
use crate::rule::{End, Expansion, Shape, Until};
use crate::zone::{END_OF_ZONE_DATA, Resolution, Transitions};
use crate::{LocalDateTime, RecurrenceSet, Rule, Zone};

/// All events of one UID: a series with its overrides, one event, or detached occurrences of a
/// series that is not in the text.
///
/// What names an occurrence (RECURRENCE-ID, EXDATE, RDATE) names its instant (RFC 5545 §3.3.5 with
/// erratum 4271), in whatever zone it is written.
#[derive(Debug, Clone)]
pub struct Series {
    pub(super) uid: String,
    pub(super) zone: TimeZone,
    pub(super) is_all_day: bool,
    pub(super) master: Option<Master>,
    /// Overrides of one occurrence, by the instant that it has without them.
    pub(super) changes: BTreeMap<i64, Change>,
    /// Overrides with RANGE=THISANDFUTURE, by the instant from which on they hold.
    pub(super) ranges: BTreeMap<i64, Change>,
}

/// An override.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The wall time that it changes, or the first that it does.
    pub(super) id: LocalDateTime,
    pub(super) details: Details,
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
    /// DTSTART and RDATE, by instant, each instant once.
    pub(super) additions: Vec<Addition>,
    pub(super) exclusions: Exclusions,
}

/// Later than the calendar, in Unix seconds.
pub(super) const FAR: i64 = WALL_MAX - UNIX_EPOCH + 2 * SECONDS_PER_DAY;

/// A rule from the start of its series on.
#[derive(Debug, Clone)]
pub(super) struct Recurring {
    pub(super) rule: Rule,
    shape: Shape,
    /// The first instant after UNTIL.
    end: i64,
}

/// A time that is listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addition {
    pub(super) unix: i64,
    pub(super) wall: LocalDateTime,
    /// What a PERIOD says.
    pub(super) length: Option<Length>,
}

/// What EXDATE excludes.
#[derive(Debug, Clone, Default)]
pub(super) struct Exclusions {
    pub(super) instants: BTreeSet<i64>,
    /// Every occurrence of these days.
    pub(super) dates: BTreeSet<NaiveDate>,
}

/// An occurrence that is generated, overridden or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generated {
    pub(super) id: LocalDateTime,
    pub(super) unix: i64,
    pub(super) length: Option<Length>,
    is_gap: bool,
}

/// The occurrences that one VEVENT describes, by the instants that they have without it:
/// `[from, to)`.
#[derive(Debug, Clone)]
pub(super) struct Segment<'a> {
    pub(super) details: &'a Details,
    pub(super) from: i64,
    pub(super) to: i64,
    /// The wall time of `from`, and how far the occurrences' times are from their own wall times,
    /// in seconds; none if they stay where they are.
    pub(super) range: Option<(LocalDateTime, i64)>,
    pub(super) zone: TimeZone,
}

impl Series {
    /// The UID; empty if the event has none.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The zone of its wall times; UTC if it is all day; the nearest if it is none of IANA's.
    #[must_use]
    pub fn zone(&self) -> Zone {
        match &self.zone {
            TimeZone::Iana(zone) => *zone,
            TimeZone::Own(own) => own.nearest(),
        }
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
        let changes = self.changes.values().map(|change| &change.details);
        master
            .chain(changes)
            .next()
            .and_then(|first| first.summary.as_deref())
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

    /// What each VEVENT without or with RANGE=THISANDFUTURE describes, in order.
    pub(super) fn segments<'a>(&'a self, master: &'a Master) -> Vec<Segment<'a>> {
        let ends = self.ranges.keys().copied().chain([i64::MAX]);
        let first = Segment {
            details: &master.details,
            from: i64::MIN,
            to: i64::MAX,
            range: None,
            zone: self.zone.clone(),
        };
        let ranges = self.ranges.iter().map(|(from, change)| {
            let start = &change.details.start;
            // A time in UTC moves them on the clocks of the series.
            let zone = if start.zone.is_utc() && !start.is_date {
                &self.zone
            } else {
                &start.zone
            };
            let moved = start.wall_in(zone).seconds() - change.id.seconds();
            Segment {
                details: &change.details,
                from: *from,
                to: i64::MAX,
                range: Some((change.id, moved)),
                zone: zone.clone(),
            }
        });
        let segments = [first].into_iter().chain(ranges);
        segments
            .zip(ends)
            .map(|(segment, to)| Segment { to, ..segment })
            .collect()
    }
}

impl Segment<'_> {
    /// When an occurrence starts, by what the segment's VEVENT says.
    pub(super) fn start_of(&self, one: &Generated) -> At {
        let start = &self.details.start;
        match self.range {
            None => At {
                wall: one.id,
                unix: one.unix,
                ..start.clone()
            },
            Some((_, moved)) => At {
                is_date: start.is_date,
                ..At::wall(
                    one.id.plus_seconds(moved).unwrap_or(LocalDateTime::MAX),
                    &self.zone,
                )
            },
        }
    }
}

impl Master {
    /// The first instance is DTSTART, whatever the rules say; if a rule does not have it, it is
    /// counted all the same. `added` are the RDATEs; of two at one instant the one with a length of
    /// its own counts.
    pub(super) fn new(
        details: Details,
        rules: Vec<Rule>,
        exceptions: Vec<Rule>,
        added: &[(At, Option<Length>)],
    ) -> Self {
        let start = &details.start;
        let (wall, zone) = (start.wall, &start.zone);
        let counting = rules
            .into_iter()
            .filter_map(|rule| counting_start(rule, wall));
        let first = (start.unix, wall, None);
        let listed = added
            .iter()
            .map(|(at, length)| (at.unix, at.wall_in(zone), *length));
        let listed = [first].into_iter().chain(listed);
        let mut additions: Vec<Addition> = listed
            .map(|(unix, wall, length)| Addition { unix, wall, length })
            .collect();
        additions.sort_by_key(|addition| addition.unix);
        additions.dedup_by(|later, kept| {
            let same = later.unix == kept.unix;
            if same {
                kept.length = kept.length.or(later.length);
            }
            same
        });
        Self {
            rules: counting.map(|rule| Recurring::new(rule, wall)).collect(),
            exceptions: exceptions
                .into_iter()
                .map(|rule| Recurring::new(rule, wall))
                .collect(),
            additions,
            exclusions: Exclusions::default(),
            details,
        }
    }

    /// The listed times from one instant to another.
    pub(super) fn added_in(&self, from: i64, to: i64) -> &[Addition] {
        let index = |unix| {
            self.additions
                .partition_point(|addition| addition.unix < unix)
        };
        self.additions
            .get(index(from)..index(to))
            .unwrap_or_default()
    }

    fn table(&self) -> &Transitions {
        self.details.start.zone.table()
    }

    /// What starts from one instant to another, excluded or not, in order; `None` if it is more than
    /// `max`. Each instant is there once: a wall time that exists comes before one that was shifted,
    /// then the earlier.
    pub(super) fn generated(&self, from: i64, to: i64, max: usize) -> Option<Vec<Generated>> {
        let mut found: Vec<Generated> = Vec::new();
        for rule in &self.rules {
            for instance in Instances::new(rule.zoned(self.table()), from, to) {
                if found.len() >= max {
                    return None;
                }
                found.push(Generated {
                    id: instance.recurrence_id,
                    unix: instance.unix,
                    length: None,
                    is_gap: instance.resolution == Resolution::Gap,
                });
            }
        }
        let added = self.added_in(from, to).iter();
        found.extend(added.map(|addition| self.added(addition)));
        if found.len() > max {
            return None;
        }
        found.sort_unstable_by_key(|one| (one.unix, one.is_gap, one.id, one.length.is_none()));
        found.dedup_by(|later, kept| {
            let same = later.unix == kept.unix;
            if same {
                kept.length = kept.length.or(later.length);
            }
            same
        });
        Some(found)
    }

    fn added(&self, addition: &Addition) -> Generated {
        let (_, resolution) = self.details.start.zone.resolve(addition.wall);
        Generated {
            id: addition.wall,
            unix: addition.unix,
            length: addition.length,
            is_gap: resolution == Resolution::Gap,
        }
    }

    /// What is generated at an instant.
    pub(super) fn generated_at(&self, unix: i64) -> Option<Generated> {
        self.generated(unix, unix + 1, usize::MAX)?.first().copied()
    }

    /// What is generated on a local day, the first.
    pub(super) fn generated_on(&self, date: NaiveDate) -> Option<Generated> {
        let (unix, _) = self.on_day(date, 1).into_iter().min()?;
        self.generated_at(unix)
    }

    /// The instants and wall times of a local day, at most so many of a rule.
    pub(super) fn on_day(&self, date: NaiveDate, max: usize) -> Vec<(i64, LocalDateTime)> {
        let next = date.checked_add_signed(TimeDelta::days(1)).unwrap_or(date);
        let instant = |date| self.details.start.zone.resolve(midnight(date)).0;
        // What clocks skip at the end of the day comes later by as much.
        let (from, to) = (instant(date), instant(next));
        let table = self.table();
        let spans = table
            .spans()
            .get(table.at(from)..=table.at(to + SECONDS_PER_DAY));
        let gaps = spans.unwrap_or_default().iter().map(|span| span.gap);
        let to = to + gaps.max().unwrap_or(0);
        let mut found = Vec::new();
        for rule in &self.rules {
            let instances = Instances::new(rule.zoned(self.table()), from, to);
            let instances = instances.map(|one| (one.unix, one.recurrence_id));
            let on_day = instances.filter(|(_, wall)| wall.date() == date);
            found.extend(on_day.take(max));
        }
        let added = self.added_in(from, to).iter();
        let added = added.map(|addition| (addition.unix, addition.wall));
        found.extend(added.filter(|(_, wall)| wall.date() == date));
        found
    }

    /// Whether EXDATE or EXRULE takes it away.
    pub(super) fn is_excluded(&self, one: &Generated) -> bool {
        self.exclusions.instants.contains(&one.unix)
            || self.exclusions.dates.contains(&one.id.date())
            || self
                .exceptions
                .iter()
                .any(|rule| rule.has(one, self.table()))
    }

    /// Whether it has no last occurrence before the end of zone data.
    pub(super) fn is_endless(&self) -> bool {
        self.rules.iter().any(|rule| rule.is_endless(self.table()))
    }
}

impl Recurring {
    fn new(rule: Rule, start: LocalDateTime) -> Self {
        // The zone is not asked for: UNTIL is kept as an instant or a wall time.
        let set = RecurrenceSet::bare_rule(start, Zone::UTC, rule.clone());
        let shape = compile_rule(&rule, &set).shape;
        let end = match rule.end() {
            End::Until(Until::Instant(until)) => until.timestamp().saturating_add(1),
            _ => FAR,
        };
        Self { rule, shape, end }
    }

    pub(super) fn zoned<'a>(&'a self, table: &'a Transitions) -> Zoned<'a> {
        Zoned {
            civil: self.shape.civil(),
            table,
            omit: false,
            end: self.end,
        }
    }

    fn is_endless(&self, table: &Transitions) -> bool {
        let goes_on = || self.shape.civil().next(first_unknown(table)).is_some();
        self.end > END_OF_ZONE_DATA.timestamp() && goes_on()
    }

    /// The last occurrence, also past the end of zone data: a range may move it to before.
    pub(super) fn last(&self, table: &Transitions) -> Option<LocalDateTime> {
        let last = self.zoned(table).prev(FAR)?;
        Some(last.recurrence_id)
    }

    fn has(&self, one: &Generated, table: &Transitions) -> bool {
        let next = self.zoned(table).next(one.unix);
        next.is_some_and(|found| found.unix == one.unix)
    }
}

/// A rule that leaves DTSTART its place in COUNT; `None` if that leaves it nothing.
fn counting_start(rule: Rule, start: LocalDateTime) -> Option<Rule> {
    match rule.end() {
        End::Count(count) if is_off(&rule, start) => {
            let left = count.checked_sub(1).filter(|left| *left > 0)?;
            Some(rule.with_end(End::Count(left)))
        }
        _ => Some(rule),
    }
}

/// Whether a rule with COUNT does not have DTSTART. What its first instance is then is undefined
/// (RFC 5545 §3.8.5.3).
pub(super) fn is_off(rule: &Rule, start: LocalDateTime) -> bool {
    matches!(rule.end(), End::Count(_)) && !Expansion::new(rule, start).contains(start)
}
