//! A set as what iCalendar can say: a DTSTART that is an instance, rules, RDATE and EXDATE.

use std::collections::BTreeSet;
use std::mem;

use chrono::{DateTime, TimeDelta, Utc};

use super::DATES_MAX;
use super::value::instant;
use crate::epoch::to_local;
use crate::pause::midnight;
use crate::rule::{End, Expansion, Frequency, Until, wall_until};
use crate::set::Deviations;
use crate::zone::{END_OF_ZONE_DATA, Resolution};
use crate::{Compiled, GapPolicy, Instance, LocalDateTime, RecurrenceSet, Rule, Window, Zone};

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
            plan.add_rule(set, rule, cut);
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

    /// Adds a rule as far as it goes. An UNTIL of any form, and a cut, become one form: the instant of
    /// the last instance, in UTC. RFC 5545 §3.3.10 requires UTC beside a DTSTART with a time zone;
    /// readers refuse a rule with another form, or lose its last occurrence. A later instant could
    /// lie past a clock change that the VTIMEZONE, which ends soon after the instances, does not have.
    fn add_rule(&mut self, set: &RecurrenceSet, rule: &Rule, cut: Option<LocalDateTime>) {
        let whole = RecurrenceSet::bare_rule(set.start(), set.zone(), rule.clone());
        let kept = ending(whole.clone(), cut).compile();
        if kept.is_empty() {
            return;
        }
        let has_until = matches!(rule.end(), End::Until(_));
        if has_until || (cut.is_some() && goes_further(&whole.compile(), &kept)) {
            self.add_ended(set, rule, &kept, cut);
        } else {
            self.rules.push(rule.clone());
        }
    }

    /// Adds a rule with an UNTIL that keeps the instances of `kept`, and no others of the rule.
    fn add_ended(
        &mut self,
        set: &RecurrenceSet,
        rule: &Rule,
        kept: &Compiled,
        cut: Option<LocalDateTime>,
    ) {
        let until = match kept.ends() {
            Some(last) if last.resolution == Resolution::Gap => {
                let endless = rule.clone().with_end(End::Never);
                let endless = RecurrenceSet::bare_rule(set.start(), set.zone(), endless);
                let (last, shifted) = before_later_times(&endless.compile(), kept, last);
                self.additions.extend(shifted);
                last.map(|last| last.start())
            }
            Some(last) => Some(last.start()),
            // It ends past the zone data, up to which its instances are known.
            None => far_end(rule, cut, set.zone()),
        };
        if let Some(until) = until {
            let until = End::Until(Until::Instant(until));
            self.rules.push(rule.clone().with_end(until));
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
        let times = |start: LocalDateTime, rule: &Rule| {
            Expansion::new(&rule.clone().with_end(End::Never), start)
        };
        let has = |start, rule: &Rule| times(start, rule).contains(start);
        if !self.rules.iter().any(|rule| has(start, rule)) {
            // One rule goes on alike from its own first occurrence, which several do not share. A gap may
            // have shifted that past the end.
            let is_kept = |first: &LocalDateTime, rule: &Rule| match rule.end() {
                End::Until(Until::Instant(until)) => zone.resolve(*first).0 <= until,
                _ => true,
            };
            let first = match &self.rules[..] {
                [rule] if rule.skip.is_none() => {
                    let first = times(start, rule).first();
                    first.filter(|first| is_kept(first, rule))
                }
                _ => None,
            };
            let at = zone.resolve(start).0;
            let falls_on = |rule: &Rule| {
                let found = from(start, rule).compile().sequence().next(at.timestamp());
                found.is_some_and(|found| found.start() == at)
            };
            match first.filter(|first| zone.resolve(*first).0 < END_OF_ZONE_DATA) {
                Some(first) => self.start = first,
                // EXDATE names an instant (§3.3.5), which in a gap is also that of another wall time.
                None if self.rules.iter().any(falls_on) => {}
                None if self.additions.iter().any(|id| zone.resolve(*id).0 == at) => {}
                None => drop(self.exclusions.insert(start)),
            }
        }
        // Readers count DTSTART, some of them also where the rule does not have it: an UNTIL is
        // read in one way only.
        let start = self.start;
        for rule in mem::take(&mut self.rules) {
            let is_miscounted = matches!(rule.end(), End::Count(_)) && !has(start, &rule);
            let counted = is_miscounted.then(|| from(set.start(), &rule).compile());
            match counted.filter(|counted| counted.ends().is_some()) {
                Some(counted) => self.add_ended(set, &rule, &counted, None),
                None => self.rules.push(rule),
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

/// Whether a sequence has instances that `kept`, which is a part of it, has not.
fn goes_further(whole: &Compiled, kept: &Compiled) -> bool {
    let count = |compiled: &Compiled| compiled.rank(END_OF_ZONE_DATA);
    whole.ends().is_none() || kept.ends().is_none() || count(whole) != count(kept)
}

/// Finds the last instance of `kept` that an UNTIL can name, if there is any, and the wall times that
/// are left for RDATE.
///
/// You might expect the last instance to be named. A local end compares wall times, an UNTIL in UTC
/// compares instants, and a gap shifts its wall times past others that exist and are behind the end:
/// UNTIL must come before those.
fn before_later_times(
    endless: &Compiled,
    kept: &Compiled,
    last: Instance,
) -> (Option<Instance>, Vec<LocalDateTime>) {
    let Some(window) = around(last.start(), last.start()) else {
        return (Some(last), Vec::new());
    };
    let (Ok(all), Ok(near)) = (endless.within(window), kept.within(window)) else {
        return (Some(last), Vec::new());
    };
    // All that is kept is also in the endless sequence: the first difference is not kept.
    let mut pairs = all.zip(near);
    let Some((later, _)) = pairs.find(|(any, kept)| any.unix != kept.unix) else {
        return (Some(last), Vec::new());
    };
    let shifted = near.filter(|found| found.unix > later.unix);
    let shifted = shifted.map(|found| found.recurrence_id).collect();
    (kept.sequence().prev(later.unix), shifted)
}

/// The end of a rule by its own UNTIL and the cut, as an instant that can be written.
fn far_end(rule: &Rule, cut: Option<LocalDateTime>, zone: Zone) -> Option<DateTime<Utc>> {
    let own = match rule.end() {
        End::Until(Until::Instant(until)) => Some(until),
        End::Until(until) => to_local(wall_until(until)).map(|until| zone.resolve(until).0),
        End::Count(_) | End::Never => None,
    };
    let cut = cut.map(|cut| zone.resolve(cut).0 - TimeDelta::seconds(1));
    // A year has four digits (RFC 5545 §3.3.4), also where UTC is a year ahead.
    let ends = own.into_iter().chain(cut);
    ends.min()
        .map(|end| end.min(LocalDateTime::MAX.naive().and_utc()))
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
