//! A set as what iCalendar can say: a DTSTART that is an instance, rules, RDATE and EXDATE.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::DATES_MAX;
use super::value::instant;
use crate::pause::midnight;
use crate::rule::{End, Frequency, Until};
use crate::set::{Deviations, Lookup};
use crate::zone::{END_OF_ZONE_DATA, Resolution};
use crate::{Compiled, GapPolicy, LocalDateTime, RecurrenceSet, Rule, Window, Zone};

/// What becomes of a set's rules and dates.
pub(super) struct Plan {
    pub(super) start: LocalDateTime,
    pub(super) rules: Vec<Rule>,
    pub(super) additions: BTreeSet<LocalDateTime>,
    pub(super) exclusions: BTreeSet<LocalDateTime>,
    /// When the last one starts, or the end of the zone data.
    pub(super) last: DateTime<Utc>,
}

/// More dates than are written.
pub(super) struct TooManyDates;

impl Plan {
    /// An end, and a pause that is open, cut rules and additions; a pause that is over, and what a
    /// zone skips for a set that omits it, are exclusions.
    pub(super) fn new(set: &RecurrenceSet) -> Result<Self, TooManyDates> {
        let deviations = set.deviations();
        let cut = cut(deviations);
        let is_kept = |at: &LocalDateTime| cut.is_none_or(|cut| *at < cut);
        let zone = set.zone();
        let omits = set.gap_policy() == GapPolicy::Omit;
        let skipped = |at: &LocalDateTime| omits && zone.resolve(*at).1 == Resolution::Gap;
        let additions = deviations.additions.iter().copied();
        let additions = additions.filter(|at| is_kept(at) && !skipped(at));
        let mut plan = Self {
            start: set.start(),
            rules: Vec::new(),
            additions: additions.collect(),
            exclusions: deviations
                .exclusions
                .iter()
                .copied()
                .filter(is_kept)
                .collect(),
            last: END_OF_ZONE_DATA,
        };
        for rule in set.rules() {
            plan.cut_rule(set, rule, cut);
        }
        for rule in &mut plan.rules {
            name_months(rule);
        }
        plan.choose_start(set, is_kept(&set.start()));
        let generated = plan.generated(set, cut).compile();
        plan.exclude_pauses(set, &generated)?;
        if omits {
            plan.exclude_gaps(&generated, zone)?;
        }
        plan.meet_overrides(set, &generated);
        if plan.additions.len() + plan.exclusions.len() > DATES_MAX {
            return Err(TooManyDates);
        }
        if let Some(last) = generated.ends() {
            plan.last = last.start();
        } else if generated.is_empty() {
            plan.last = zone.resolve(plan.start).0;
        }
        Ok(plan)
    }

    /// A rule as far as it goes: what is cut off becomes an UNTIL, inclusive and in UTC (RFC 5545
    /// §3.3.10).
    fn cut_rule(&mut self, set: &RecurrenceSet, rule: &Rule, cut: Option<LocalDateTime>) {
        let whole = RecurrenceSet::bare_rule(set.start(), set.zone(), rule.clone());
        let uncut = whole.compile();
        if uncut.is_empty() {
            return;
        }
        let Some(cut) = cut else {
            return self.rules.push(rule.clone());
        };
        let kept = ending(whole, Some(cut)).compile();
        if kept.is_empty() {
            return;
        }
        let Some(last) = kept.ends() else {
            // The cut lies past the end of zone data, up to which a rule is known.
            let until = set.zone().resolve(cut).0 - TimeDelta::seconds(1);
            let until = End::Until(Until::Instant(until));
            return self.rules.push(rule.clone().with_end(until));
        };
        if uncut.ends() == Some(last) {
            return self.rules.push(rule.clone());
        }
        let until = End::Until(Until::Instant(last.start()));
        self.rules.push(rule.clone().with_end(until));
        // A wall time behind the cut may come before one that a gap has shifted.
        if let Some(window) = around(last.start(), last.start())
            && let Ok(near) = uncut.within(window)
        {
            let late = near.filter(|found| found.unix <= last.unix && found.recurrence_id >= cut);
            self.exclusions
                .extend(late.map(|found| found.recurrence_id));
        }
    }

    /// DTSTART counts as an instance for every reader, so it is one: the set's start if that is
    /// generated, else the first that is, if the rules go on from it alike.
    fn choose_start(&mut self, set: &RecurrenceSet, is_start_kept: bool) {
        let (start, zone) = (set.start(), set.zone());
        if self.rules.is_empty() {
            let is_instance = set.rules().is_empty() && is_start_kept;
            if !is_instance && !self.additions.contains(&start) {
                let overridden = set.overridden().map(|one| one.recurrence_id).next();
                match self.additions.first().copied().or(overridden) {
                    Some(first) => self.start = first,
                    None => drop(self.exclusions.insert(start)),
                }
            }
            return;
        }
        let from =
            |start: LocalDateTime, rule: &Rule| RecurrenceSet::bare_rule(start, zone, rule.clone());
        let has = |start, rule: &Rule| from(start, rule).lookup(start) != Lookup::NotGenerated;
        if !self.rules.iter().any(|rule| has(start, rule)) {
            // One rule goes on alike from its own first occurrence, which several do not share.
            let first = match &self.rules[..] {
                [rule] if rule.skip.is_none() => from(start, rule).compile().nth(0).ok().flatten(),
                _ => None,
            };
            match first {
                Some(first) => self.start = first.recurrence_id,
                None if self.additions.contains(&start) => {}
                None => drop(self.exclusions.insert(start)),
            }
        }
        // Readers count DTSTART, some of them also where the rule does not have it: an UNTIL is
        // read in one way only.
        let start = self.start;
        for rule in &mut self.rules {
            if matches!(rule.end(), End::Count(_))
                && !has(start, rule)
                && let Some(last) = from(set.start(), rule).compile().ends()
            {
                let until = End::Until(Until::Instant(last.start()));
                *rule = rule.clone().with_end(until);
            }
        }
    }

    /// What rules and additions generate, as they are written.
    fn generated(&self, set: &RecurrenceSet, cut: Option<LocalDateTime>) -> RecurrenceSet {
        let mut generated = ending(set.clone().with_gap_policy(GapPolicy::Shift), cut);
        generated
            .deviations_mut()
            .additions
            .clone_from(&self.additions);
        generated
    }

    fn exclude_pauses(
        &mut self,
        set: &RecurrenceSet,
        generated: &Compiled,
    ) -> Result<(), TooManyDates> {
        for pause in &set.deviations().pauses {
            let Some(until) = pause.until else {
                continue;
            };
            let instant = |date| set.zone().resolve(midnight(date)).0;
            let window = around(instant(pause.from), instant(until));
            let within = window.and_then(|window| generated.within(window).ok());
            for found in within.into_iter().flatten() {
                if pause.covers(found.recurrence_id) {
                    self.exclude(found.recurrence_id)?;
                }
            }
        }
        Ok(())
    }

    /// iCalendar has no word for leaving out what a zone skips; through the zone data, dates say it.
    fn exclude_gaps(&mut self, generated: &Compiled, zone: Zone) -> Result<(), TooManyDates> {
        let gaps = zone
            .transitions()
            .spans()
            .iter()
            .filter(|span| span.gap > 0);
        for span in gaps {
            let window = Window::new(instant(span.from), instant(span.from + span.gap));
            let within = window.ok().and_then(|window| generated.within(window).ok());
            let skipped = within.into_iter().flatten();
            for found in skipped.filter(|found| found.resolution == Resolution::Gap) {
                self.exclude(found.recurrence_id)?;
            }
        }
        Ok(())
    }

    fn exclude(&mut self, at: LocalDateTime) -> Result<(), TooManyDates> {
        self.exclusions.insert(at);
        if self.exclusions.len() > DATES_MAX {
            return Err(TooManyDates);
        }
        Ok(())
    }

    /// An override is stronger than what takes its date away, which not every reader knows; and
    /// what it overrides should be there.
    fn meet_overrides(&mut self, set: &RecurrenceSet, generated: &Compiled) {
        for one in set.overridden() {
            let id = one.recurrence_id;
            self.exclusions.remove(&id);
            let at = set.zone().resolve(id).0;
            let next = generated
                .next_after(at - TimeDelta::seconds(1))
                .ok()
                .flatten();
            let is_free = next.is_none_or(|found| found.start() != at);
            if is_free && id != self.start && at < END_OF_ZONE_DATA {
                self.additions.insert(id);
            }
        }
    }
}

/// A day of the month in a yearly rule is one of every month (RFC 5545 §3.3.10), which many readers
/// take for the month of DTSTART, unless the months are named.
fn name_months(rule: &mut Rule) {
    let unnamed = rule.by_month.is_empty() && rule.by_week_no.is_empty();
    let by_day = !rule.by_year_day.is_empty() || !rule.by_day.is_empty();
    if rule.frequency() == Frequency::Yearly && !rule.by_month_day.is_empty() && unnamed && !by_day
    {
        rule.by_month.extend(1..=12);
    }
}

/// Where rules and additions end: at the set's end, or where a pause begins that is open.
fn cut(deviations: &Deviations) -> Option<LocalDateTime> {
    let open = deviations.pauses.iter().find(|pause| pause.until.is_none());
    let rests = open.map(|pause| midnight(pause.from));
    rests.into_iter().chain(deviations.ends).min()
}

/// The set of the same rules that only ends.
fn ending(mut set: RecurrenceSet, ends: Option<LocalDateTime>) -> RecurrenceSet {
    *set.deviations_mut() = Deviations {
        ends,
        ..Deviations::default()
    };
    set
}

/// A window with two days to either side, which cover every offset and every gap; as far as zones
/// are known.
fn around(from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Window> {
    let margin = TimeDelta::days(2);
    let from = from.checked_sub_signed(margin)?;
    let to = to.checked_add_signed(margin)?.min(END_OF_ZONE_DATA);
    Window::new(from, to).ok()
}
