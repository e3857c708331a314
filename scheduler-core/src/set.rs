//! The recurrence set: one standing appointment, and the occurrences it means.
//!
//! The set is built up in this order (RFC 5545 §3.8.5, RFC 8984 §4.3): rule, additions,
//! exclusions, pauses, overrides: what comes later is stronger. Its end, if it has one, cuts all of
//! them. It never holds an occurrence; it computes them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::compiled::{Compiled, Sequence};
use crate::pause::{Pause, PausedSlot};
use crate::rule::Rule;
use crate::whole::Whole;
use crate::zone::{END_OF_ZONE_DATA, GapPolicy, Resolution, Zone};
use crate::{Instance, LocalDateTime, Window};

/// The longest appointment, in minutes.
pub const MINUTES_MAX: u32 = 24 * 60;
/// The most occurrences one call gives.
pub const OCCURRENCES_MAX: usize = 20_000;
/// The most dates a set can deviate in. A weekly booking changed every week for ten years has 520.
pub const DEVIATIONS_MAX: usize = 2_000;

/// The most rules of one set.
pub const RULES_MAX: usize = 32;

/// A standing appointment: when it starts, how long it lasts, how it recurs, where it deviates.
///
/// As a value of serde it is validated like one that is built: what cannot be made is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct RecurrenceSet {
    start: LocalDateTime,
    zone: Zone,
    gap: GapPolicy,
    minutes: u32,
    rules: Vec<Rule>,
    deviations: Deviations,
}

/// A set as data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    start: LocalDateTime,
    zone: Zone,
    minutes: u32,
    #[serde(default)]
    gap: GapPolicy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Rule>,
    #[serde(default, skip_serializing_if = "Deviations::is_empty")]
    deviations: Deviations,
}

impl From<RecurrenceSet> for Stored {
    fn from(set: RecurrenceSet) -> Self {
        let RecurrenceSet {
            start,
            zone,
            gap,
            minutes,
            rules,
            deviations,
        } = set;
        Self {
            start,
            zone,
            minutes,
            gap,
            rules,
            deviations,
        }
    }
}

impl TryFrom<Stored> for RecurrenceSet {
    type Error = SetError;

    fn try_from(stored: Stored) -> Result<Self, SetError> {
        Self::new(stored.start, stored.zone, stored.minutes)?
            .with_gap_policy(stored.gap)
            .with_rules(stored.rules)?
            .with_deviations(stored.deviations)
    }
}

/// Where a set deviates from its rule. This is the stored form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviations {
    /// Times that the rule does not generate (RDATE).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub additions: BTreeSet<LocalDateTime>,
    /// Times that do not happen (EXDATE).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exclusions: BTreeSet<LocalDateTime>,
    /// Occurrences that happen otherwise, by recurrence-id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<LocalDateTime, Override>,
    /// Stretches of dates on which nothing takes place, in order and apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// Nothing is an occurrence from this recurrence-id on, whatever else is said here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<LocalDateTime>,
}

/// How one occurrence differs from what the rule says of it (RFC 8984 §4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// It starts at this wall time of the set's zone instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<LocalDateTime>,
    /// It lasts this long instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
    /// It does not take place, and is still shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// One occurrence, computed. Its address, the recurrence-id, stays when it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// The wall time that the rule generated, in the set's zone.
    pub recurrence_id: LocalDateTime,
    /// When it starts in effect.
    pub start: DateTime<Utc>,
    /// When it ends: exactly its minutes after its start.
    pub end: DateTime<Utc>,
    /// What the zone's clock changes did to its start.
    pub resolution: Resolution,
    /// Whether it starts at another instant than its recurrence-id means.
    pub moved: bool,
    /// Whether it is shown only to say that it does not take place.
    pub cancelled: bool,
}

/// What a set says of one recurrence-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It is an occurrence.
    Occurrence(Occurrence),
    /// It was generated and then excluded.
    Excluded,
    /// It was generated, and a pause covers it.
    Paused,
    /// The set never generated it, or has ended before it.
    NotGenerated,
}

/// Why a set cannot be made or asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The length is out of range.
    #[error("{minutes} minutes: an appointment lasts from 1 to {MINUTES_MAX}")]
    Minutes {
        /// The length given.
        minutes: u32,
    },
    /// The window reaches past the known rules of time zones.
    #[error("the window ends at {end}, time zones are known until {END_OF_ZONE_DATA}")]
    BeyondZoneData {
        /// The window's end.
        end: DateTime<Utc>,
    },
    /// The window holds more occurrences than one call gives.
    #[error("the window holds more than {OCCURRENCES_MAX} occurrences")]
    TooManyOccurrences,
    /// The set would have more rules than a set can.
    #[error("a set has at most {RULES_MAX} rules")]
    TooManyRules,
    /// The set would deviate in more dates than a set can.
    #[error("a set deviates in at most {DEVIATIONS_MAX} dates")]
    TooManyDeviations,
    /// A pause that ends before it begins, or holds no date.
    #[error("a pause must end after it begins, this one is from {from} to {until}")]
    EmptyPause {
        /// Its first date.
        from: NaiveDate,
        /// The first date after it, as given.
        until: NaiveDate,
    },
    /// Two pauses that share a date, or are not in order.
    #[error("the pause from {second} begins before the one from {first} is over")]
    PausesOverlap {
        /// The first date of the earlier one.
        first: NaiveDate,
        /// The first date of the other.
        second: NaiveDate,
    },
}

impl Deviations {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.are_dates_empty() && self.ends.is_none()
    }

    /// Whether there are none but the end.
    pub(crate) fn are_dates_empty(&self) -> bool {
        self.additions.is_empty()
            && self.exclusions.is_empty()
            && self.overrides.is_empty()
            && self.pauses.is_empty()
    }

    /// How many dates and stretches of dates deviate.
    #[must_use]
    pub fn count(&self) -> usize {
        self.additions.len() + self.exclusions.len() + self.overrides.len() + self.pauses.len()
    }

    /// The pause that covers a recurrence-id.
    #[must_use]
    pub fn pause_of(&self, recurrence_id: LocalDateTime) -> Option<&Pause> {
        self.pauses.iter().find(|pause| pause.covers(recurrence_id))
    }
}

/// # Errors
/// [`SetError::Minutes`] unless `minutes` is from 1 to [`MINUTES_MAX`].
pub(crate) fn check_minutes(minutes: u32) -> Result<(), SetError> {
    if (1..=MINUTES_MAX).contains(&minutes) {
        Ok(())
    } else {
        Err(SetError::Minutes { minutes })
    }
}

impl RecurrenceSet {
    /// An appointment that takes place once, at `start`, until a rule or additions are given.
    ///
    /// # Errors
    /// [`SetError::Minutes`] unless `minutes` is from 1 to [`MINUTES_MAX`].
    pub fn new(start: LocalDateTime, zone: Zone, minutes: u32) -> Result<Self, SetError> {
        check_minutes(minutes)?;
        Ok(Self {
            start,
            zone,
            gap: GapPolicy::Shift,
            minutes,
            rules: Vec::new(),
            deviations: Deviations::default(),
        })
    }

    /// A rule in its zone, of a length that nobody asks for.
    pub(crate) fn bare_rule(start: LocalDateTime, zone: Zone, rule: Rule) -> Self {
        Self {
            start,
            zone,
            gap: GapPolicy::Shift,
            minutes: 1,
            rules: vec![rule],
            deviations: Deviations::default(),
        }
    }

    /// The same set, recurring by a rule. The start is the rule's anchor: it is an occurrence if
    /// the rule generates it.
    #[must_use]
    pub fn with_rule(self, rule: Rule) -> Self {
        Self {
            rules: vec![rule],
            ..self
        }
    }

    /// The same set, anchored elsewhere.
    #[must_use]
    pub fn with_start(self, start: LocalDateTime) -> Self {
        Self { start, ..self }
    }

    /// The same set, recurring by several rules: a time that any of them generates is one, and a
    /// time that several generate is one too (RFC 5545 §3.8.5.3).
    ///
    /// # Errors
    /// [`SetError::TooManyRules`].
    pub fn with_rules(self, rules: Vec<Rule>) -> Result<Self, SetError> {
        if rules.len() > RULES_MAX {
            return Err(SetError::TooManyRules);
        }
        Ok(Self { rules, ..self })
    }

    /// The same set with another treatment of local times that the zone skips.
    #[must_use]
    pub fn with_gap_policy(self, gap: GapPolicy) -> Self {
        Self { gap, ..self }
    }

    /// The same set, deviating from its rule in these dates.
    ///
    /// # Errors
    /// [`SetError::TooManyDeviations`]; [`SetError::EmptyPause`] and [`SetError::PausesOverlap`];
    /// [`SetError::Minutes`] of an override.
    pub fn with_deviations(self, deviations: Deviations) -> Result<Self, SetError> {
        if deviations.count() > DEVIATIONS_MAX {
            return Err(SetError::TooManyDeviations);
        }
        Pause::check(&deviations.pauses)?;
        let lengths = deviations.overrides.values();
        for minutes in lengths.filter_map(|changed| changed.minutes) {
            check_minutes(minutes)?;
        }
        Ok(Self { deviations, ..self })
    }

    /// The same set as it takes up its therapist's time: a pause that keeps the slot frees none.
    #[must_use]
    pub fn occupying(&self) -> Self {
        let mut set = self.clone();
        let pauses = &mut set.deviations.pauses;
        pauses.retain(|pause| pause.slot == PausedSlot::Freed);
        set
    }

    /// The same set without its pauses.
    #[must_use]
    pub fn without_pauses(&self) -> Self {
        let mut set = self.clone();
        set.deviations.pauses.clear();
        set
    }

    /// What its rules alone generate, up to its end.
    pub(crate) fn bare(&self) -> Self {
        let deviations = Deviations {
            ends: self.deviations.ends,
            ..Deviations::default()
        };
        Self {
            deviations,
            rules: self.rules.clone(),
            ..*self
        }
    }

    /// What its rules and additions generate, up to its end, excluded and paused or not.
    pub(crate) fn generating(&self) -> Self {
        let mut set = self.bare();
        set.deviations
            .additions
            .clone_from(&self.deviations.additions);
        set
    }

    /// The wall time of the start.
    #[must_use]
    pub fn start(&self) -> LocalDateTime {
        self.start
    }

    /// The zone of all its wall times.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// What becomes of local times that the zone skips.
    #[must_use]
    pub fn gap_policy(&self) -> GapPolicy {
        self.gap
    }

    /// The length of every occurrence that no override gives another.
    #[must_use]
    pub fn minutes(&self) -> u32 {
        self.minutes
    }

    /// The rule, unless it takes place once; the first if there are several.
    #[must_use]
    pub fn rule(&self) -> Option<&Rule> {
        self.rules.first()
    }

    /// All rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Where it deviates from the rule.
    #[must_use]
    pub fn deviations(&self) -> &Deviations {
        &self.deviations
    }

    pub(crate) fn deviations_mut(&mut self) -> &mut Deviations {
        &mut self.deviations
    }

    /// The occurrences whose effective interval overlaps the window, by start. One that was moved
    /// in is in, one that was moved out is out, one that straddles an edge is in. Cancelled ones
    /// are included and say so.
    ///
    /// # Errors
    /// [`SetError::BeyondZoneData`], [`SetError::TooManyOccurrences`].
    pub fn overlapping(&self, window: Window) -> Result<Vec<Occurrence>, SetError> {
        self.compile().overlapping(window)
    }

    /// The set compiled: for more than one question, and for all that [`Compiled`] answers.
    #[must_use]
    pub fn compile(&self) -> Compiled {
        Compiled::new(self)
    }

    /// The first occurrence that starts, in effect, at or after `from`, takes place, and passes
    /// `wanted`. `None` if there is none before the end of the zone data.
    pub fn first_from(
        &self,
        from: DateTime<Utc>,
        wanted: impl Fn(&Occurrence) -> bool,
    ) -> Option<Occurrence> {
        self.some_from(from, 1, wanted).into_iter().next()
    }

    /// Of the occurrences that start, in effect, at or after `from`, take place, and pass `wanted`: the
    /// first `count` at the times that the set generates, and all at times of their own. By their start.
    pub fn some_from(
        &self,
        from: DateTime<Utc>,
        count: usize,
        wanted: impl Fn(&Occurrence) -> bool,
    ) -> Vec<Occurrence> {
        let compiled = self.compile();
        let sequence = compiled.sequence();
        let overrides = &self.deviations.overrides;
        let acceptable = |occurrence: &Occurrence| {
            occurrence.start >= from && !occurrence.cancelled && wanted(occurrence)
        };
        let mut some: Vec<Occurrence> = self.overridden().filter(acceptable).collect();
        let most = some.len().saturating_add(count);
        let mut generated = sequence.next(from.timestamp());
        while some.len() < most
            && let Some(found) = generated
        {
            let occurrence = self.as_generated(&found);
            if !overrides.contains_key(&found.recurrence_id) && acceptable(&occurrence) {
                some.push(occurrence);
            }
            generated = sequence.next(found.unix + 1);
        }
        some.sort_by_key(|occurrence| (occurrence.start, occurrence.recurrence_id));
        some
    }

    /// At most so many occurrences take place on any seven dates in a row of its zone, by what its rules
    /// say of themselves ([`Rule::densest_week`]), and its additions and overrides beside them. Nothing
    /// is expanded.
    #[must_use]
    pub fn densest_week(&self) -> u64 {
        let rules = self.rules.iter().map(Rule::densest_week);
        let mut dates: Vec<NaiveDate> = self.single_dates().map(|(date, _)| date).collect();
        dates.sort_unstable();
        let in_a_week = |index: usize, first: &NaiveDate| {
            let after = *first + Days::new(7);
            dates[index..].partition_point(|date| *date < after)
        };
        let weeks = dates.iter().enumerate();
        let most = weeks.map(|(index, first)| in_a_week(index, first)).max();
        let most = u64::try_from(most.unwrap_or(0)).unwrap_or(u64::MAX);
        rules.fold(most, u64::saturating_add)
    }

    /// The dates that it has beside its rules, each with its minutes: a single appointment's own, those that
    /// were added, and those to which one was moved.
    pub fn single_dates(&self) -> impl Iterator<Item = (NaiveDate, u32)> + '_ {
        let once = self.rules.is_empty().then_some(self.start);
        let additions = self.deviations.additions.iter().copied().chain(once);
        let additions = additions.map(|at| (at.date(), self.minutes));
        let overrides = self.deviations.overrides.values();
        let moved = overrides.filter(|changed| !changed.cancelled);
        let moved = moved.filter_map(|changed| {
            let minutes = changed.minutes.unwrap_or(self.minutes);
            changed.start.map(|start| (start.date(), minutes))
        });
        additions.chain(moved)
    }

    /// The first instant of everything that it means: no earlier one is in any of its occurrences. `None` if it
    /// means nothing before the end of the zone data.
    #[must_use]
    pub fn begins_at(&self) -> Option<DateTime<Utc>> {
        let compiled = self.compile();
        let first = compiled.sequence().next(i64::MIN / 2);
        let first = first.map(|first| first.start());
        let moved = self.overridden().map(|moved| moved.start);
        moved.chain(first).min()
    }

    /// The first instant after everything that it means: no later one is in any of its occurrences. `None` if
    /// it continues past the end of the zone data.
    #[must_use]
    pub fn over_at(&self) -> Option<DateTime<Utc>> {
        let compiled = self.compile();
        if compiled.goes_on() {
            return None;
        }
        let last = compiled.ends().map(|last| self.end_of(last.start()));
        let moved = self.overridden().map(|moved| moved.end);
        let start = self.zone.resolve(self.start).0;
        Some(moved.chain(last).fold(start, DateTime::max))
    }

    /// What the set says of one recurrence-id. Past the end of the zone data it says nothing.
    #[must_use]
    pub fn lookup(&self, recurrence_id: LocalDateTime) -> Lookup {
        if self.zone.resolve(recurrence_id).0 >= END_OF_ZONE_DATA {
            return Lookup::NotGenerated;
        }
        let compiled = self.compile();
        let generated = match compiled.sequence() {
            Sequence::Plain(zoned) => zoned
                .next(self.zone.resolve(recurrence_id).0.timestamp())
                .filter(|found| found.recurrence_id == recurrence_id),
            Sequence::Whole(whole) => Whole::generated(whole, recurrence_id),
        };
        let Some(instance) = generated else {
            return Lookup::NotGenerated;
        };
        if self.deviations.exclusions.contains(&recurrence_id) {
            return Lookup::Excluded;
        }
        match self.deviations.overrides.get(&recurrence_id) {
            Some(changed) => Lookup::Occurrence(self.as_overridden(recurrence_id, *changed)),
            None if self.deviations.pause_of(recurrence_id).is_some() => Lookup::Paused,
            None => Lookup::Occurrence(self.as_generated(&instance)),
        }
    }

    /// When an occurrence of this set that starts at `start` ends, unless an override says more.
    #[must_use]
    pub fn end_of(&self, start: DateTime<Utc>) -> DateTime<Utc> {
        start + self.length()
    }

    fn length(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.minutes))
    }

    fn as_generated(&self, instance: &Instance) -> Occurrence {
        Occurrence {
            recurrence_id: instance.recurrence_id,
            start: instance.start(),
            end: self.end_of(instance.start()),
            resolution: instance.resolution,
            moved: false,
            cancelled: false,
        }
    }

    fn as_overridden(&self, recurrence_id: LocalDateTime, changed: Override) -> Occurrence {
        let (start, resolution) = self.zone.resolve(changed.start.unwrap_or(recurrence_id));
        Occurrence {
            recurrence_id,
            start,
            end: start + TimeDelta::minutes(i64::from(changed.minutes.unwrap_or(self.minutes))),
            resolution,
            moved: start != self.zone.resolve(recurrence_id).0,
            cancelled: changed.cancelled,
        }
    }

    pub(crate) fn overridden(&self) -> impl Iterator<Item = Occurrence> + '_ {
        let ends = self.deviations.ends;
        let overrides = self.deviations.overrides.iter();
        overrides
            .filter(move |(recurrence_id, _)| ends.is_none_or(|ends| **recurrence_id < ends))
            .map(|(recurrence_id, changed)| self.as_overridden(*recurrence_id, *changed))
    }
}
