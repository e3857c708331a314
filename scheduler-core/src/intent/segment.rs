//! The set of the segment that a split opens.

use chrono::{DateTime, Datelike};

use super::command::Changes;
use super::error::IntentError;
use super::rebind::Positions;
use crate::rule::{End, Expansion, Frequency, Rule, Until};
use crate::set::{Deviations, Lookup};
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, RecurrenceSet, Window};

/// How many occurrences of a continued rule are compared with the original.
const COMPARED: usize = 400;

/// The new segment without deviations, but for its end.
pub(super) fn segment(
    old: &RecurrenceSet,
    at: LocalDateTime,
    changes: &Changes,
) -> Result<RecurrenceSet, IntentError> {
    let bare = old.bare();
    let Some(pivot) = first_from(&bare, at) else {
        return Err(IntentError::Unsplittable { at });
    };
    let going_on = match &changes.rules {
        None => continued(&bare, pivot).ok_or(IntentError::Unsplittable { at: pivot })?,
        Some(_) => bare.clone(),
    };
    let start = changes.start.unwrap_or(pivot);
    let zone = changes.zone.unwrap_or(old.zone());
    let minutes = changes.minutes.unwrap_or(old.minutes());
    let gap = changes.gap.unwrap_or(old.gap_policy());
    let rules = match &changes.rules {
        Some(rules) => rules.clone(),
        None => going_on.rules().to_vec(),
    };
    let mut set = RecurrenceSet::new(start, zone, minutes)?
        .with_gap_policy(gap)
        .with_rules(rules)?;
    let mut ends = bare.deviations().ends;
    if changes.rules.is_none() && (start, zone, gap) != (pivot, old.zone(), old.gap_policy()) {
        // Ends are moved with the times: they are positions.
        let (from, to) = (Positions::from(&bare, pivot), Positions::from(&set, start));
        if let [rule] = set.rules()
            && let End::Until(_) = rule.end()
            && let Some(last) = bare.compile().ends()
            && let Some(last) = to.nth(from.count_before(last.recurrence_id))
        {
            let rule = rule.clone().with_end(End::Until(Until::Local(last)));
            set = set.with_rule(rule);
        }
        if let Some(ends) = &mut ends {
            let left = from.count_before(*ends);
            if let [rule] = set.rules()
                && let Some(last) = left.checked_sub(1).and_then(|last| to.nth(last))
                && set.lookup(last) != Lookup::NotGenerated
            {
                let rule = rule.clone().with_end(End::Until(Until::Local(last)));
                set = set.with_rule(rule);
            }
            // Dates added by hand do not move, so the end must not come before them.
            let added = old.deviations().additions.range(at..*ends).next_back();
            let added = added.and_then(|added| added.plus_seconds(1));
            let after_last = to.nth(left).unwrap_or(*ends);
            *ends = added.map_or(after_last, |added| added.max(after_last));
        }
    }
    let deviations = Deviations {
        ends,
        ..Deviations::default()
    };
    Ok(set.with_deviations(deviations)?)
}

/// The first that a set generates at or after a recurrence-id, in effect.
fn first_from(set: &RecurrenceSet, at: LocalDateTime) -> Option<LocalDateTime> {
    let compiled = set.compile();
    let mut next = compiled
        .sequence()
        .next(set.zone().resolve(at).0.timestamp());
    while let Some(found) = next {
        if found.recurrence_id >= at {
            return Some(found.recurrence_id);
        }
        next = compiled.sequence().next(found.unix + 1);
    }
    None
}

/// The set that starts at the pivot and goes on as this one does: with what is left of COUNT, and
/// with what the rule took from its start written out where the pivot would say something else.
fn continued(bare: &RecurrenceSet, pivot: LocalDateTime) -> Option<RecurrenceSet> {
    let start = bare.start();
    let left = bare.rules().iter().filter_map(|rule| match rule.end() {
        End::Count(count) => {
            let passed = Expansion::new(rule, start).rank(pivot);
            let left = u64::from(count).checked_sub(passed)?;
            let left = u32::try_from(left).ok().filter(|left| *left > 0)?;
            Some(rule.clone().with_end(End::Count(left)))
        }
        _ => Some(rule.clone()),
    });
    let left: Vec<Rule> = left.collect();
    let written_out = left.iter().map(|rule| written_out(rule, start)).collect();
    [left, written_out].into_iter().find_map(|rules| {
        let set = bare.clone().with_start(pivot).with_rules(rules).ok()?;
        goes_on_alike(bare, pivot, &set).then_some(set)
    })
}

/// A rule that says which day of the month, and of the year, it took from its start.
fn written_out(rule: &Rule, start: LocalDateTime) -> Rule {
    let mut rule = rule.clone();
    let dated = !rule.by_day.is_empty() || !rule.by_month_day.is_empty();
    let dated = dated || !rule.by_year_day.is_empty() || !rule.by_week_no.is_empty();
    if dated || !matches!(rule.frequency, Frequency::Monthly | Frequency::Yearly) {
        return rule;
    }
    let date = start.date();
    rule.by_month_day = i8::try_from(date.day()).into_iter().collect();
    if rule.frequency == Frequency::Yearly && rule.by_month.is_empty() {
        rule.by_month = u8::try_from(date.month()).into_iter().collect();
    }
    rule
}

fn goes_on_alike(old: &RecurrenceSet, pivot: LocalDateTime, new: &RecurrenceSet) -> bool {
    let (old, new) = (old.compile(), new.compile());
    let from = old.zone().resolve(pivot).0;
    let Ok(life) = Window::new(from, END_OF_ZONE_DATA) else {
        return false;
    };
    let (Ok(one), Ok(other)) = (old.within(life), new.within(life)) else {
        return false;
    };
    let all = Window::new(DateTime::UNIX_EPOCH.min(from), END_OF_ZONE_DATA);
    let same_last = old.ends() == new.ends();
    let same_count = all.is_ok_and(|all| {
        new.count_in(all)
            .is_ok_and(|count| old.count_in(life).is_ok_and(|left| left == count))
    });
    same_last && same_count && one.take(COMPARED).eq(other.take(COMPARED))
}
