//! From a series to the sets of an intent.

use chrono::{NaiveTime, TimeDelta};

use super::problem::{Done, Problem, Reason};
use super::series::{Details, Master, Series, around};
use super::value::{At, Length};
use crate::rule::{End, Expansion, Until};
use crate::set::{DEVIATIONS_MAX, Deviations, Lookup, MINUTES_MAX};
use crate::{LocalDateTime, Override, RecurrenceSet, Rule, Zone};

/// How many occurrences of a moved rule are compared with what was moved.
const COMPARED: usize = 400;

/// A stretch of recurrence-ids, `[from, to)`, to which one VEVENT applies.
struct Segment<'a> {
    details: &'a Details,
    from: LocalDateTime,
    to: Option<LocalDateTime>,
    zone: Zone,
    /// How far its times are from their recurrence-ids, in seconds of the wall clock.
    moved: i64,
}

impl Series {
    /// The series as an intent's sets: one, and another for each RANGE=THISANDFUTURE, in order.
    /// Each is a segment with its own recurrence-ids; a segment that was cancelled has no set.
    ///
    /// SUMMARY is no part of a set. Exclusions of what is not generated are dropped.
    ///
    /// # Errors
    /// What a set cannot be, each as a [`Problem`]: all-day events, lengths that are not whole
    /// minutes from 1 to [`MINUTES_MAX`], EXRULE, a cancelled series, the second of two equal wall
    /// times, more deviations than a set has, a range that follows no rule.
    pub fn to_sets(&self) -> Result<Vec<RecurrenceSet>, Vec<Problem>> {
        let mut problems = Vec::new();
        let sets = match &self.master {
            None => self.detached(&mut problems).into_iter().collect(),
            Some(master) => self.segments_of(master, &mut problems),
        };
        if problems.is_empty() {
            Ok(sets)
        } else {
            Err(problems)
        }
    }

    fn segments_of(&self, master: &Master, problems: &mut Vec<Problem>) -> Vec<RecurrenceSet> {
        let details = &master.details;
        if details.is_cancelled {
            problems.push(self.problem(details, "STATUS", Reason::Cancelled));
        }
        if !master.exceptions.is_empty() {
            problems.push(self.problem(details, "EXRULE", Reason::ExceptionRule));
        }
        if !problems.is_empty() {
            return Vec::new();
        }
        let starts = self.ranges.keys().copied();
        let mut segments = vec![Segment {
            details,
            from: LocalDateTime::MIN,
            to: starts.clone().next(),
            zone: self.zone,
            moved: 0,
        }];
        for ((id, details), to) in self
            .ranges
            .iter()
            .zip(starts.skip(1).map(Some).chain([None]))
        {
            let start = self.start_in_range(*id, details, *id);
            segments.push(Segment {
                details,
                from: *id,
                to,
                zone: start.zone,
                moved: start.wall.seconds() - id.seconds(),
            });
        }
        let live = segments
            .iter()
            .filter(|segment| !segment.details.is_cancelled);
        live.filter_map(|segment| self.set_of(master, segment, problems))
            .collect()
    }

    /// The set of a segment; `None` if nothing is in it, or if there is a problem.
    fn set_of(
        &self,
        master: &Master,
        segment: &Segment<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<RecurrenceSet> {
        let minutes = self.minutes(segment.details, problems)?;
        let is_within =
            |id: &LocalDateTime| *id >= segment.from && segment.to.is_none_or(|to| *id < to);
        let shifted =
            |id: LocalDateTime| id.plus_seconds(segment.moved).unwrap_or(LocalDateTime::MAX);
        let mut deviations = Deviations {
            ends: segment.to.map(shifted),
            ..Deviations::default()
        };
        for added in master
            .additions
            .iter()
            .filter(|added| is_within(&added.wall))
        {
            if self.zone.resolve(added.wall).0.timestamp() != added.unix {
                let reason = Reason::NoSuchWall { zone: self.zone };
                problems.push(self.problem(&master.details, "RDATE", reason));
            }
            deviations.additions.insert(shifted(added.wall));
            if let Some(length) = added.length.filter(|_| segment.moved == 0) {
                let length = Details {
                    length,
                    ..segment.details.clone()
                };
                let changed = Override {
                    minutes: self.minutes(&length, problems),
                    ..Override::default()
                };
                deviations.overrides.insert(added.wall, changed);
            }
        }
        for (id, details) in self.changes.iter().filter(|(id, _)| is_within(id)) {
            let changed = self.changed(shifted(*id), details, segment.zone, minutes, problems)?;
            deviations.overrides.insert(shifted(*id), changed);
        }
        let excluded = self
            .excluded(master)
            .into_iter()
            .filter(is_within)
            .map(shifted);
        let overrides = &deviations.overrides;
        deviations.exclusions = excluded.filter(|id| !overrides.contains_key(id)).collect();
        let Some(mut set) = self.ruled(master, segment, minutes) else {
            let reason = Reason::NoRule;
            problems.push(self.problem(segment.details, "RECURRENCE-ID", reason));
            return None;
        };
        if set.rules().is_empty() {
            // The start of a set without rules is one of them.
            deviations
                .additions
                .extend(set.deviations().additions.iter().copied());
            let first = deviations.additions.pop_first();
            let first = first.or_else(|| deviations.overrides.keys().next().copied())?;
            set = set.with_start(first);
        } else if set.lookup(set.start()) != Lookup::NotGenerated {
            let start = set.start();
            deviations.additions.remove(&start);
        }
        match set.with_deviations(deviations) {
            Ok(set) => Some(set)
                .filter(|set| segment.moved != 0 || segment.to.is_none() || !is_nothing(set)),
            Err(error) => {
                problems.push(self.problem(segment.details, "VEVENT", Reason::Set(error)));
                None
            }
        }
    }

    /// The rules of a segment from its start on, without deviations; without rules its times are
    /// additions. `None` if no rule of ours generates them.
    fn ruled(&self, master: &Master, segment: &Segment<'_>, minutes: u32) -> Option<RecurrenceSet> {
        let rules: Vec<Rule> = master.rules.iter().map(|rule| rule.rule.clone()).collect();
        let whole = RecurrenceSet::new(master.details.start.wall, self.zone, minutes).ok()?;
        let whole = whole.with_rules(rules).ok()?;
        if whole.rules().is_empty() || segment.from == LocalDateTime::MIN {
            return Some(whole);
        }
        let compiled = whole.compile();
        let at = self.zone.resolve(segment.from).0 - TimeDelta::days(2);
        let life = around(at, crate::zone::END_OF_ZONE_DATA)?;
        let generated = compiled.within(life).ok()?;
        let ids = generated.map(|found| found.recurrence_id);
        let mut ids = ids.filter(|id| *id >= segment.from && segment.to.is_none_or(|to| *id < to));
        let expected: Vec<LocalDateTime> = ids.by_ref().take(COMPARED).collect();
        let shifted = |id: LocalDateTime| id.plus_seconds(segment.moved);
        let Some(pivot) = expected.first().copied() else {
            return RecurrenceSet::new(shifted(segment.from)?, segment.zone, minutes).ok();
        };
        let expected: Vec<LocalDateTime> = expected.into_iter().map_while(shifted).collect();
        let set = RecurrenceSet::new(shifted(pivot)?, segment.zone, minutes).ok()?;
        let days = (shifted(pivot)?.date() - pivot.date()).num_days();
        let last = |rule: &Rule| {
            let one = RecurrenceSet::bare_rule(whole.start(), self.zone, rule.clone());
            one.compile().ends().map(|last| last.recurrence_id)
        };
        let left: Vec<Rule> = whole
            .rules()
            .iter()
            .filter_map(|rule| left_of(rule, whole.start(), pivot, last(rule), segment.moved))
            .collect();
        for rules in [
            left.clone(),
            left.iter().map(|rule| turned(rule, days)).collect(),
        ] {
            let candidate = set.clone().with_rules(rules).ok()?;
            if goes_through(&candidate, &expected, segment.to.and_then(shifted)) {
                return Some(candidate);
            }
        }
        if expected.len() >= COMPARED || expected.len() > DEVIATIONS_MAX {
            return None;
        }
        let additions = expected.into_iter().collect();
        set.with_deviations(Deviations {
            additions,
            ..Deviations::default()
        })
        .ok()
    }

    /// Occurrences of a series that is not there, as dates of a set without a rule.
    fn detached(&self, problems: &mut Vec<Problem>) -> Option<RecurrenceSet> {
        let (first, details) = self.changes.first_key_value()?;
        let minutes = self.minutes(details, problems)?;
        let mut deviations = Deviations::default();
        for (id, details) in &self.changes {
            let changed = self.changed(*id, details, self.zone, minutes, problems)?;
            if changed != Override::default() {
                deviations.overrides.insert(*id, changed);
            }
            deviations.additions.insert(*id);
        }
        deviations.additions.remove(first);
        let set = RecurrenceSet::new(*first, self.zone, minutes);
        match set.and_then(|set| set.with_deviations(deviations)) {
            Ok(set) => Some(set),
            Err(error) => {
                problems.push(self.problem(details, "VEVENT", Reason::Set(error)));
                None
            }
        }
    }

    fn changed(
        &self,
        id: LocalDateTime,
        details: &Details,
        zone: Zone,
        minutes: u32,
        problems: &mut Vec<Problem>,
    ) -> Option<Override> {
        // What does not take place need not fit.
        let mut unheard = Vec::new();
        let heard = if details.is_cancelled {
            &mut unheard
        } else {
            problems
        };
        let length = self.minutes(details, heard);
        if length.is_none() && !details.is_cancelled {
            return None;
        }
        let start = details.start.wall_in(zone);
        if At::wall(start, zone).unix != details.start.unix && !details.start.is_date {
            heard.push(self.problem(details, "DTSTART", Reason::NoSuchWall { zone }));
        }
        Some(Override {
            start: Some(start).filter(|start| *start != id && !details.start.is_date),
            minutes: length.filter(|length| *length != minutes),
            cancelled: details.is_cancelled,
        })
    }

    /// The length in minutes, if a set can have it.
    fn minutes(&self, details: &Details, problems: &mut Vec<Problem>) -> Option<u32> {
        let reason = match details.length {
            _ if details.start.is_date => Reason::AllDay,
            Length::Nominal { days, .. } if days != 0 => Reason::NominalLength,
            Length::Exact(seconds) | Length::Nominal { seconds, .. } => {
                let minutes = u32::try_from(seconds / 60).unwrap_or(u32::MAX);
                if seconds % 60 == 0 && (1..=MINUTES_MAX).contains(&minutes) {
                    return Some(minutes);
                }
                Reason::Length
            }
        };
        let property = if details.start.is_date {
            "DTSTART"
        } else {
            "DURATION"
        };
        problems.push(self.problem(details, property, reason));
        None
    }

    /// The recurrence-ids that are generated and excluded.
    fn excluded(&self, master: &Master) -> Vec<LocalDateTime> {
        let exclusions = &master.exclusions;
        let walls = exclusions.walls.iter().copied();
        let mut excluded: Vec<LocalDateTime> = walls.filter(|id| master.generates(*id)).collect();
        let instants = exclusions.instants.iter();
        excluded.extend(instants.filter_map(|unix| Some(master.generated_at(*unix)?.id)));
        for date in &exclusions.dates {
            let midnight = date.and_time(NaiveTime::MIN).and_utc();
            let day = around(midnight, midnight + TimeDelta::days(1));
            // One more than a set can exclude, which is then refused.
            let on_day = day.and_then(|day| master.generated(day, 500_000).ok()?);
            let on_day = on_day.unwrap_or_default().into_iter().map(|one| one.id);
            excluded.extend(
                on_day
                    .filter(|id| id.date() == *date)
                    .take(DEVIATIONS_MAX + 1),
            );
        }
        excluded
    }

    fn problem(&self, details: &Details, property: &str, reason: Reason) -> Problem {
        Problem {
            uid: Some(self.uid.clone()),
            line: details.line,
            property: property.to_owned(),
            value: details.start.wall.to_basic(),
            reason,
            done: Done::NoIntent,
        }
    }
}

/// What is left of a rule from a pivot on, its end moved along; `None` if nothing is.
fn left_of(
    rule: &Rule,
    start: LocalDateTime,
    pivot: LocalDateTime,
    last: Option<LocalDateTime>,
    moved: i64,
) -> Option<Rule> {
    if last.is_some_and(|last| last < pivot) {
        return None;
    }
    let end = match (rule.end(), last) {
        (End::Count(count), _) => {
            let passed = Expansion::new(rule, start).rank(pivot);
            let left = u64::from(count).checked_sub(passed)?;
            End::Count(u32::try_from(left).ok().filter(|left| *left > 0)?)
        }
        (End::Until(_), Some(last)) => End::Until(Until::Local(last.plus_seconds(moved)?)),
        (end, _) => end,
    };
    Some(rule.clone().with_end(end))
}

/// The rule with its weekdays so many days later.
fn turned(rule: &Rule, days: i64) -> Rule {
    let mut rule = rule.clone();
    for day in rule.by_day.iter_mut().filter(|day| day.nth.is_none()) {
        for _ in 0..days.rem_euclid(7) {
            day.weekday = day.weekday.succ();
        }
    }
    rule.by_day
        .sort_unstable_by_key(|day| (day.weekday.num_days_from_monday(), day.nth));
    rule
}

/// Whether a set generates what is expected up to its end: all of it, or the first hundreds.
fn goes_through(
    set: &RecurrenceSet,
    expected: &[LocalDateTime],
    ends: Option<LocalDateTime>,
) -> bool {
    let compiled = set.compile();
    let Some(life) = around(
        set.zone().resolve(set.start()).0,
        crate::zone::END_OF_ZONE_DATA,
    ) else {
        return false;
    };
    let Ok(generated) = compiled.within(life) else {
        return false;
    };
    let ids = generated.map(|found| found.recurrence_id);
    let ids = ids.filter(|id| ends.is_none_or(|ends| *id < ends));
    let begun: Vec<LocalDateTime> = if expected.len() < COMPARED {
        ids.take(COMPARED).collect()
    } else {
        ids.take(expected.len()).collect()
    };
    begun == expected
}

/// Whether a set has no occurrence at all.
fn is_nothing(set: &RecurrenceSet) -> bool {
    set.compile().is_empty() && set.deviations().overrides.is_empty()
}
