//! The recurrence set: one standing appointment, and the occurrences it means.
//!
//! The set is built up in this order (RFC 5545 §3.8.5, RFC 8984 §4.3): rule, additions,
//! exclusions, overrides. It never holds an occurrence; it computes them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::rule::{End, Expansion, Rule, Until};
use crate::zone::{END_OF_ZONE_DATA, GapPolicy, Resolution, Zone};
use crate::{LocalDateTime, Window};

/// The longest appointment, in minutes.
pub const MINUTES_MAX: u32 = 24 * 60;
/// The most occurrences one call gives.
pub const OCCURRENCES_MAX: usize = 20_000;
/// The most dates a set can deviate in. A weekly booking changed every week for ten years has 520.
pub const DEVIATIONS_MAX: usize = 2_000;

/// Two wall times this far apart keep their order as instants, whatever the clocks do between
/// them: the largest clock change known is 24 hours.
const ORDER_IS_SAFE_AFTER: i64 = 48 * 3600;

/// A standing appointment: when it starts, how long it lasts, how it recurs, where it deviates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecurrenceSet {
    start: LocalDateTime,
    zone: Zone,
    gap: GapPolicy,
    minutes: u32,
    rule: Option<Rule>,
    deviations: Deviations,
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
}

/// How one occurrence differs from what the rule says of it (RFC 8984 §4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// It starts at this wall time of the set's zone instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<LocalDateTime>,
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
    /// When it ends: exactly the set's minutes after its start.
    pub end: DateTime<Utc>,
    /// What the zone's clock changes did to its start.
    pub resolution: Resolution,
    /// Whether it was moved away from its recurrence-id.
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
    /// The set never generated it.
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
    /// The set would deviate in more dates than a set can.
    #[error("a set deviates in at most {DEVIATIONS_MAX} dates")]
    TooManyDeviations,
}

/// One time of the generated sequence, before overrides.
#[derive(Clone, Copy)]
struct Instance {
    recurrence_id: LocalDateTime,
    start: DateTime<Utc>,
    resolution: Resolution,
}

impl RecurrenceSet {
    /// An appointment that takes place once, at `start`, until a rule or additions are given.
    ///
    /// # Errors
    /// [`SetError::Minutes`] unless `minutes` is from 1 to [`MINUTES_MAX`].
    pub fn new(start: LocalDateTime, zone: Zone, minutes: u32) -> Result<Self, SetError> {
        if !(1..=MINUTES_MAX).contains(&minutes) {
            return Err(SetError::Minutes { minutes });
        }
        Ok(Self {
            start,
            zone,
            gap: GapPolicy::Shift,
            minutes,
            rule: None,
            deviations: Deviations::default(),
        })
    }

    /// The same set, recurring by a rule. The start is the rule's anchor: it is an occurrence if
    /// the rule generates it.
    #[must_use]
    pub fn with_rule(self, rule: Rule) -> Self {
        Self {
            rule: Some(rule),
            ..self
        }
    }

    /// The same set with another treatment of local times that the zone skips.
    #[must_use]
    pub fn with_gap_policy(self, gap: GapPolicy) -> Self {
        Self { gap, ..self }
    }

    /// The same set, deviating from its rule in these dates.
    ///
    /// # Errors
    /// [`SetError::TooManyDeviations`].
    pub fn with_deviations(self, deviations: Deviations) -> Result<Self, SetError> {
        let count =
            deviations.additions.len() + deviations.exclusions.len() + deviations.overrides.len();
        if count > DEVIATIONS_MAX {
            return Err(SetError::TooManyDeviations);
        }
        Ok(Self { deviations, ..self })
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

    /// The length of every occurrence.
    #[must_use]
    pub fn minutes(&self) -> u32 {
        self.minutes
    }

    /// The rule, unless it takes place once.
    #[must_use]
    pub fn rule(&self) -> Option<&Rule> {
        self.rule.as_ref()
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
        if window.end() > END_OF_ZONE_DATA {
            return Err(SetError::BeyondZoneData { end: window.end() });
        }
        let expansion = self.expansion();
        let mut found: Vec<Occurrence> = self
            .instances(expansion.as_ref(), window.start() - self.length())
            .take_while(|instance| instance.start < window.end())
            .filter(|instance| {
                !self
                    .deviations
                    .overrides
                    .contains_key(&instance.recurrence_id)
            })
            .map(|instance| self.as_generated(instance))
            .chain(self.overridden())
            .filter(|occurrence| window.overlaps(occurrence.start, occurrence.end))
            .take(OCCURRENCES_MAX + 1)
            .collect();
        if found.len() > OCCURRENCES_MAX {
            return Err(SetError::TooManyOccurrences);
        }
        found.sort_unstable_by_key(|occurrence| (occurrence.start, occurrence.recurrence_id));
        Ok(found)
    }

    /// The first occurrence that starts, in effect, at or after `from`, takes place, and passes
    /// `wanted`. `None` if there is none before the end of the zone data.
    pub fn first_from(
        &self,
        from: DateTime<Utc>,
        wanted: impl Fn(&Occurrence) -> bool,
    ) -> Option<Occurrence> {
        let expansion = self.expansion();
        let acceptable = |occurrence: &Occurrence| {
            occurrence.start >= from && !occurrence.cancelled && wanted(occurrence)
        };
        let generated = self
            .instances(expansion.as_ref(), from)
            .take_while(|instance| instance.start < END_OF_ZONE_DATA)
            .filter(|instance| {
                !self
                    .deviations
                    .overrides
                    .contains_key(&instance.recurrence_id)
            })
            .map(|instance| self.as_generated(instance))
            .find(|occurrence| acceptable(occurrence));
        let overridden = self
            .overridden()
            .filter(|occurrence| acceptable(occurrence));
        generated
            .into_iter()
            .chain(overridden)
            .min_by_key(|occurrence| (occurrence.start, occurrence.recurrence_id))
    }

    /// What the set says of one recurrence-id.
    #[must_use]
    pub fn lookup(&self, recurrence_id: LocalDateTime) -> Lookup {
        let (at, _) = self.zone.resolve(recurrence_id);
        let expansion = self.expansion();
        let Some(instance) = self
            .sequence(expansion.as_ref(), at)
            .take_while(|instance| instance.start <= at)
            .find(|instance| instance.recurrence_id == recurrence_id)
        else {
            return Lookup::NotGenerated;
        };
        if self.deviations.exclusions.contains(&recurrence_id) {
            return Lookup::Excluded;
        }
        match self.deviations.overrides.get(&recurrence_id) {
            Some(changed) => Lookup::Occurrence(self.as_overridden(recurrence_id, *changed)),
            None => Lookup::Occurrence(self.as_generated(instance)),
        }
    }

    /// When an occurrence of this set that starts at `start` ends.
    #[must_use]
    pub fn end_of(&self, start: DateTime<Utc>) -> DateTime<Utc> {
        start + self.length()
    }

    fn length(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.minutes))
    }

    fn expansion(&self) -> Option<Expansion> {
        let rule = self.rule.as_ref()?;
        Some(Expansion::through(rule, self.start, None))
    }

    fn as_generated(&self, instance: Instance) -> Occurrence {
        Occurrence {
            recurrence_id: instance.recurrence_id,
            start: instance.start,
            end: self.end_of(instance.start),
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
            end: self.end_of(start),
            resolution,
            moved: changed.start.is_some(),
            cancelled: changed.cancelled,
        }
    }

    fn overridden(&self) -> impl Iterator<Item = Occurrence> + '_ {
        let overrides = self.deviations.overrides.iter();
        overrides.map(|(recurrence_id, changed)| self.as_overridden(*recurrence_id, *changed))
    }

    /// The generated sequence from `from` on, without exclusions.
    fn instances<'a>(
        &'a self,
        expansion: Option<&'a Expansion>,
        from: DateTime<Utc>,
    ) -> impl Iterator<Item = Instance> + 'a {
        self.sequence(expansion, from)
            .filter(|instance| !self.deviations.exclusions.contains(&instance.recurrence_id))
    }

    /// Rule and additions as instants from `from` on, in order, each instant once: where two wall
    /// times fall on one instant, the one that exists keeps it, else the earlier.
    fn sequence<'a>(
        &'a self,
        expansion: Option<&'a Expansion>,
        from: DateTime<Utc>,
    ) -> impl Iterator<Item = Instance> + 'a {
        let first = self.zone.local(from).seconds() - ORDER_IS_SAFE_AFTER;
        let mut civil = self
            .civil(expansion)
            .skip_while(move |at| at.seconds() < first)
            .peekable();
        // Instants read ahead, until no later wall time can come before them.
        let mut ahead: BTreeMap<(DateTime<Utc>, bool, LocalDateTime), Resolution> = BTreeMap::new();
        let mut last: Option<DateTime<Utc>> = None;
        std::iter::from_fn(move || {
            loop {
                let settled = |read: LocalDateTime| {
                    let earliest = ahead.first_key_value();
                    earliest.is_some_and(|((_, _, local), _)| {
                        local.seconds() + ORDER_IS_SAFE_AFTER <= read.seconds()
                    })
                };
                if let Some(local) = civil.next_if(|next| !settled(*next)) {
                    let (at, resolution) = self.zone.resolve(local);
                    let skipped = resolution == Resolution::Gap;
                    if !(skipped && self.gap == GapPolicy::Omit) && self.is_before_until(local, at)
                    {
                        ahead.insert((at, skipped, local), resolution);
                    }
                    continue;
                }
                let ((start, _, recurrence_id), resolution) = ahead.pop_first()?;
                if last.replace(start) != Some(start) {
                    return Some(Instance {
                        recurrence_id,
                        start,
                        resolution,
                    });
                }
            }
        })
        .filter(move |instance| instance.start >= from)
    }

    /// The wall times of rule and additions, in order, each once.
    fn civil<'a>(
        &'a self,
        expansion: Option<&'a Expansion>,
    ) -> impl Iterator<Item = LocalDateTime> + 'a {
        let once = self.rule.is_none().then_some(self.start);
        let mut ruled = expansion
            .into_iter()
            .flat_map(Expansion::iter)
            .take_while(|at| self.may_precede_until(*at))
            .chain(once)
            .peekable();
        let mut added = self.deviations.additions.iter().copied().peekable();
        std::iter::from_fn(move || match (ruled.peek(), added.peek()) {
            (Some(rule), Some(addition)) if addition < rule => added.next(),
            (Some(rule), Some(addition)) if addition == rule => {
                added.next();
                ruled.next()
            }
            (Some(_), _) => ruled.next(),
            (None, _) => added.next(),
        })
    }

    /// UNTIL is inclusive; with Z an instant, else wall time, a date through the end of its day.
    fn is_before_until(&self, local: LocalDateTime, at: DateTime<Utc>) -> bool {
        if self.deviations.additions.contains(&local) {
            return true;
        }
        match self.until() {
            None => true,
            Some(Until::Instant(until)) => at <= until,
            Some(Until::Local(until)) => local <= until,
            Some(Until::Date(until)) => local.date() <= until,
        }
    }

    /// Whether the rule is worth following past this wall time.
    fn may_precede_until(&self, local: LocalDateTime) -> bool {
        match self.until() {
            None => true,
            Some(Until::Instant(until)) => {
                local.seconds() <= until.timestamp() + ORDER_IS_SAFE_AFTER
            }
            Some(Until::Local(until)) => local <= until,
            Some(Until::Date(until)) => local.date() <= until,
        }
    }

    fn until(&self) -> Option<Until> {
        match self.rule.as_ref().map(Rule::end) {
            Some(End::Until(until)) => Some(until),
            _ => None,
        }
    }
}
