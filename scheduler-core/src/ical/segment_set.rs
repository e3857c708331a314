//! The set of one segment of a series: its rules as they are, or moved along by as much as they
//! follow a rule.
//!
//! Nothing here is tried and compared for a while: a rule is moved only in ways that move all of its
//! occurrences alike, and compared to its end otherwise. A set that is not the calendar to its last
//! occurrence is no set.

use chrono::Weekday;

use super::problem::{Problem, Reason};
use super::series::{FAR, Master, Segment, Series};
use crate::compiled::Instances;
use crate::epoch::{SECONDS_PER_DAY, to_wall};
use crate::rule::{End, Expansion, Frequency, Until};
use crate::set::{DEVIATIONS_MAX, Deviations, Lookup};
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, Override, Pause, PausedSlot, RecurrenceSet, Rule, Zone};

/// The most occurrences that are compared: of a rule of months, or of years.
const COMPARED_MAX: usize = 5_000;
/// Wall times are in the order of instants but for those so near to each other, in seconds.
const DISORDER: i64 = 2 * SECONDS_PER_DAY;

/// The segment follows no rule of iCalendar.
#[derive(Debug)]
pub(super) struct NoRule;

/// A segment on its way into a set.
pub(super) struct SegmentSet<'a> {
    series: &'a Series,
    master: &'a Master,
    segment: &'a Segment<'a>,
    /// How far times are from their recurrence-ids, in seconds of the wall clock.
    moved: i64,
}

impl<'a> SegmentSet<'a> {
    pub(super) fn new(series: &'a Series, master: &'a Master, segment: &'a Segment<'a>) -> Self {
        Self {
            series,
            master,
            segment,
            moved: segment.range.map_or(0, |(_, moved)| moved),
        }
    }

    /// The set; `None` if nothing is in the segment, or if there is a problem.
    ///
    /// # Errors
    /// [`NoRule`] if no rule of ours generates it.
    pub(super) fn build(
        &self,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<RecurrenceSet>, NoRule> {
        let (series, segment) = (self.series, self.segment);
        let (Some(zone), Some(own)) = (segment.zone.iana(), series.zone.iana()) else {
            return Err(NoRule);
        };
        let Some(minutes) = series.minutes(segment.details, problems) else {
            return Ok(None);
        };
        let mut deviations = self.excluded()?;
        deviations.ends = self.ends()?;
        if !self.add_listed(&mut deviations, own, minutes, problems) {
            return Ok(None);
        }
        let mut set = self.ruled(zone, minutes, &mut deviations)?;
        for (unix, change) in series.changes.range(segment.from..segment.to) {
            let id = self.shifted(change.id);
            let generated = self.master.generated_at(*unix).is_some();
            let is_another = || set.lookup(id) != Lookup::NotGenerated;
            if !generated && own.resolve(change.id).0.timestamp() != *unix {
                let reason = Reason::NoSuchWall { zone: own };
                let id = change.id.to_basic();
                problems.push(series.problem(&change.details, "RECURRENCE-ID", &id, reason));
            } else if !generated && (deviations.additions.contains(&id) || is_another()) {
                return Err(NoRule);
            }
            let Some(changed) = series.changed(id, &change.details, zone, minutes, problems) else {
                return Ok(None);
            };
            deviations.exclusions.remove(&id);
            deviations.overrides.insert(id, changed);
        }
        if set.rules().is_empty() {
            // The start of a set without rules is one of its occurrences.
            let first = deviations.additions.pop_first();
            let Some(first) = first.or_else(|| deviations.overrides.keys().next().copied()) else {
                return Ok(None);
            };
            set = set.with_start(first);
        } else if set.lookup(set.start()) != Lookup::NotGenerated {
            deviations.additions.remove(&set.start());
        }
        match set.with_deviations(deviations) {
            Ok(set) => Ok(Some(set)),
            Err(error) => {
                let reason = Reason::Set(error);
                problems.push(series.problem(segment.details, "VEVENT", "", reason));
                Ok(None)
            }
        }
    }

    fn shifted(&self, id: LocalDateTime) -> LocalDateTime {
        id.plus_seconds(self.moved).unwrap_or(LocalDateTime::MAX)
    }

    /// Where the next segment begins, as a recurrence-id of this one.
    ///
    /// # Errors
    /// [`NoRule`] if wall times near an edge are not in the order of instants.
    fn ends(&self) -> Result<Option<LocalDateTime>, NoRule> {
        let next = self.series.ranges.get(&self.segment.to);
        let edges = [
            self.segment.range.map(|(id, _)| (self.segment.from, id)),
            next.map(|next| (self.segment.to, next.id)),
        ];
        let mut edges = edges.into_iter().flatten();
        if !edges.all(|(edge, id)| self.is_ordered(edge, id)) {
            return Err(NoRule);
        }
        Ok(next.map(|next| self.shifted(next.id)))
    }

    /// Whether wall times come before and after an edge as their instants do. Where clocks change,
    /// some are shifted over others.
    fn is_ordered(&self, edge: i64, id: LocalDateTime) -> bool {
        let table = self.series.zone.table();
        let near = table.at(edge - DISORDER)..=table.at(edge + DISORDER);
        if near.start() == near.end() {
            return true;
        }
        let fits = |unix: i64, wall: i64| (unix >= edge) == (wall >= to_wall(id));
        let spans = table.spans().get(near).unwrap_or_default();
        // Of a skipped time nothing is left if another has its instant.
        let skipped = spans.iter().filter(|span| span.gap > 0).all(|span| {
            self.master.rules.iter().all(|rule| {
                let civil = rule.zoned(table).civil;
                let first = civil.next(span.wall_from - span.gap);
                let walls = std::iter::successors(first, |wall| civil.next(wall + 1));
                let mut walls = walls.take_while(|wall| *wall < span.wall_from);
                walls.all(|wall| fits(wall + span.gap - span.shift, wall))
            })
        });
        let near = self
            .master
            .generated(edge - DISORDER, edge + DISORDER, COMPARED_MAX);
        let generated =
            near.is_some_and(|near| near.iter().all(|one| fits(one.unix, to_wall(one.id))));
        skipped && generated
    }

    /// The recurrence-ids that are generated and excluded.
    fn excluded(&self) -> Result<Deviations, NoRule> {
        let mut deviations = Deviations::default();
        let (from, to) = (self.segment.from, self.segment.to);
        let exclusions = &self.master.exclusions;
        for unix in exclusions.instants.range(from..to) {
            // The second of two equal wall times is none of a set's, and not excluded by one.
            let found = self.master.generated_at(*unix);
            let found = found.filter(|found| self.series.zone.resolve(found.id).0 == *unix);
            deviations
                .exclusions
                .extend(found.map(|found| self.shifted(found.id)));
        }
        for date in &exclusions.dates {
            // One more than a set can exclude, which is then refused.
            let on_day = self.master.on_day(*date, DEVIATIONS_MAX + 1).into_iter();
            let within = on_day.filter(|(unix, _)| (from..to).contains(unix));
            deviations
                .exclusions
                .extend(within.map(|(_, id)| self.shifted(id)));
            if deviations.exclusions.len() > DEVIATIONS_MAX {
                break;
            }
        }
        Ok(deviations)
    }

    /// Adds DTSTART and RDATE, as far as they lie here. Whether there is no problem.
    fn add_listed(
        &self,
        deviations: &mut Deviations,
        own: Zone,
        minutes: u32,
        problems: &mut Vec<Problem>,
    ) -> bool {
        let known = problems.len();
        for added in self.master.added_in(self.segment.from, self.segment.to) {
            let Some(found) = self.master.generated_at(added.unix) else {
                continue;
            };
            let is_changed = self.series.changes.contains_key(&added.unix);
            if self.master.is_excluded(&found) && !is_changed {
                continue;
            }
            let id = self.shifted(found.id);
            if own.resolve(added.wall).0.timestamp() != added.unix {
                let reason = Reason::NoSuchWall { zone: own };
                let (details, value) = (&self.master.details, added.wall.to_basic());
                problems.push(self.series.problem(details, "RDATE", &value, reason));
            }
            deviations.additions.insert(id);
            let Some(length) = added.length.filter(|_| !is_changed) else {
                continue;
            };
            let of_period = super::series::Details {
                length,
                ..self.segment.details.clone()
            };
            if let Some(own) = self.series.minutes(&of_period, problems) {
                let changed = Override {
                    minutes: Some(own).filter(|own| *own != minutes),
                    ..Override::default()
                };
                deviations.overrides.insert(id, changed);
            }
        }
        problems.len() == known
    }

    /// A set of the rules of the segment, and in `deviations` what keeps it from beginning earlier.
    fn ruled(
        &self,
        zone: Zone,
        minutes: u32,
        deviations: &mut Deviations,
    ) -> Result<RecurrenceSet, NoRule> {
        let start = self.master.details.start.wall;
        let set = |start| RecurrenceSet::new(start, zone, minutes).map_err(|_| NoRule);
        let rules: Vec<Rule> = self
            .master
            .rules
            .iter()
            .map(|rule| rule.rule.clone())
            .collect();
        let Some((id, _)) = self.segment.range.filter(|_| !rules.is_empty()) else {
            return set(self.shifted(start))?
                .with_rules(rules)
                .map_err(|_| NoRule);
        };
        if self.moved != 0 || Some(zone) != self.series.zone.iana() {
            if self.may_merge() {
                return Err(NoRule);
            }
            let moved = self
                .master
                .rules
                .iter()
                .map(|rule| self.moved_along(&rule.rule));
            let moved: Option<Vec<Rule>> = moved.collect();
            return match moved {
                Some(rules) => {
                    // The anchor may leave the calendar.
                    let anchor = start.plus_seconds(self.moved).ok_or(NoRule)?;
                    self.from(id, set(anchor)?, rules, deviations)
                }
                None => self.compared(&set(self.shifted(id))?),
            };
        }
        self.from(id, set(start)?, rules, deviations)
    }

    /// The set of rules that begin where the segment does. One rule is anchored at its first
    /// occurrence there, which is on its own lattice; several keep their anchor, and rest before.
    fn from(
        &self,
        id: LocalDateTime,
        set: RecurrenceSet,
        rules: Vec<Rule>,
        deviations: &mut Deviations,
    ) -> Result<RecurrenceSet, NoRule> {
        let first = self.shifted(id);
        if let [rule] = &rules[..]
            && rule.skip.is_none()
        {
            let expansion = Expansion::new(rule, set.start());
            let Some(pivot) = expansion.next_at_or_after(first) else {
                return Ok(set);
            };
            let end = match rule.end() {
                End::Count(count) => left(count, expansion.rank(pivot))?,
                end => end,
            };
            let rule = rule.clone().with_end(end);
            return Ok(set.with_start(pivot).with_rule(rule));
        }
        let begins = set.start().date();
        if begins < first.date() {
            deviations.pauses.push(Pause {
                from: begins,
                until: Some(first.date()),
                slot: PausedSlot::Freed,
            });
        }
        let midnight = crate::pause::midnight(first.date());
        let set = set.with_rules(rules).map_err(|_| NoRule)?;
        for rule in set.rules() {
            let earlier = Expansion::new(rule, set.start());
            let earlier = earlier.between(midnight, first).take(DEVIATIONS_MAX + 1);
            deviations.exclusions.extend(earlier);
        }
        Ok(set)
    }

    /// Whether clocks may make one of two occurrences, which would be two when they are moved: of
    /// several times a day, over a gap; of one, over a day that a zone skips.
    fn may_merge(&self) -> bool {
        let is_daily = |rule: &Rule| {
            rule.frequency() >= Frequency::Daily
                && [&rule.by_hour, &rule.by_minute, &rule.by_second]
                    .iter()
                    .all(|part| part.is_empty())
        };
        let rules = || self.master.rules.iter();
        if !rules().all(|rule| is_daily(&rule.rule)) {
            return true;
        }
        let segment = self.segment;
        let has_long_gap = |table: &crate::zone::Transitions| {
            let spans = table
                .spans()
                .get(table.at(segment.from)..)
                .unwrap_or_default();
            spans.iter().any(|span| span.gap >= SECONDS_PER_DAY)
        };
        let table = self.series.zone.table();
        let mut added = self.master.added_in(segment.from, segment.to).iter();
        has_long_gap(table)
            || has_long_gap(segment.zone.table())
            || added.any(|added| {
                let merged = |id: LocalDateTime| id != added.wall;
                let found = rules().filter_map(|rule| rule.zoned(table).next(added.unix));
                found
                    .into_iter()
                    .any(|found| found.unix == added.unix && merged(found.recurrence_id))
            })
    }

    /// The rule of occurrences that are all moved alike; `None` if it is not known to be one.
    fn moved_along(&self, rule: &Rule) -> Option<Rule> {
        let start = self.master.details.start.wall;
        let days = (self.shifted(start).date() - start.date()).num_days();
        let last = || {
            let table = self.series.zone.table();
            let found = self.master.rules.iter().find(|known| known.rule == *rule)?;
            Some(self.shifted(found.last(table)?))
        };
        let end = match rule.end() {
            End::Until(_) => End::Until(Until::Local(last()?)),
            end => end,
        };
        let rule = rule.clone().with_end(end);
        let is_free = rule.by_month.is_empty() && rule.by_month_day.is_empty();
        match rule.frequency() {
            _ if days == 0 => Some(rule),
            Frequency::Daily if is_free && rule.by_set_pos.is_empty() => Some(turned(&rule, days)),
            Frequency::Weekly if is_free => {
                let mut turned = turned(&rule, days);
                // Weeks begin later by as much, which only some rules notice.
                if rule.interval() > 1 || !rule.by_set_pos.is_empty() {
                    turned.week_start = later(rule.week_start, days);
                }
                Some(turned)
            }
            _ => None,
        }
    }

    /// The set of a rule of months or years that has, to its end, what was moved.
    fn compared(&self, set: &RecurrenceSet) -> Result<RecurrenceSet, NoRule> {
        let [rule] = &self.master.rules[..] else {
            return Err(NoRule);
        };
        let table = self.series.zone.table();
        let to = self.segment.to.min(FAR);
        let moved = Instances::new(rule.zoned(table), self.segment.from, to);
        let moved = moved.map(|one| self.shifted(one.recurrence_id));
        let known = |id: &LocalDateTime| id.seconds() < END_OF_ZONE_DATA.timestamp();
        let expected: Vec<LocalDateTime> = moved.take_while(known).take(COMPARED_MAX + 1).collect();
        let Some(first) = expected.first().copied() else {
            return Ok(set.clone());
        };
        if expected.len() > COMPARED_MAX {
            return Err(NoRule);
        }
        let back = first.plus_seconds(-self.moved).unwrap_or(first);
        let end = match rule.rule.end() {
            End::Count(count) => {
                let start = self.master.details.start.wall;
                left(count, Expansion::new(&rule.rule, start).rank(back))?
            }
            End::Until(_) => {
                let last = rule.last(table).ok_or(NoRule)?;
                End::Until(Until::Local(self.shifted(last)))
            }
            end @ End::Never => end,
        };
        let rule = rule.rule.clone().with_end(end);
        let days = (first.date() - back.date()).num_days();
        let next = self.series.ranges.get(&self.segment.to);
        let ends = next.map(|next| self.shifted(next.id));
        let is_alike = |rule: &Rule| {
            let found = Expansion::new(rule, first);
            let found = found
                .iter()
                .take_while(|id| known(id) && ends.is_none_or(|ends| *id < ends));
            found.take(COMPARED_MAX + 1).eq(expected.iter().copied())
        };
        let turned = turned(&rule, days);
        let found = [rule, turned].into_iter().find(is_alike);
        found
            .map(|rule| set.clone().with_start(first).with_rule(rule))
            .ok_or(NoRule)
    }
}

/// What is left of a COUNT after so many.
fn left(count: u32, passed: u64) -> Result<End, NoRule> {
    let left = u64::from(count)
        .checked_sub(passed)
        .and_then(|left| u32::try_from(left).ok());
    left.filter(|left| *left > 0).map(End::Count).ok_or(NoRule)
}

/// The rule with its weekdays so many days later.
fn turned(rule: &Rule, days: i64) -> Rule {
    let mut rule = rule.clone();
    let is_numbered = rule.frequency() >= Frequency::Monthly;
    for day in &mut rule.by_day {
        // A number has no meaning in a rule of days or weeks.
        day.nth = day.nth.filter(|_| is_numbered);
        if day.nth.is_none() {
            day.weekday = later(day.weekday, days);
        }
    }
    rule.by_day
        .sort_unstable_by_key(|day| (day.weekday.num_days_from_monday(), day.nth));
    rule.by_day.dedup();
    rule
}

fn later(weekday: Weekday, days: i64) -> Weekday {
    (0..days.rem_euclid(7)).fold(weekday, |weekday, _| weekday.succ())
}
