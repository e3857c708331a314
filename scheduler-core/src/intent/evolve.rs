use chrono::{DateTime, Utc};

use super::command::{Event, NewIntent, Opened};
use super::state::{Intent, IntentState};
use crate::set::{Deviations, Lookup, RecurrenceSet};
use crate::{LocalDateTime, Override, Pause};

/// The intent that a creation makes. Nothing before `now` will be planned.
#[must_use]
pub fn created(new: NewIntent, now: DateTime<Utc>) -> Intent {
    opened(new, now).intent()
}

/// The same as the fact that a journal keeps: the first segment of a series.
#[must_use]
pub fn opened(new: NewIntent, now: DateTime<Utc>) -> Opened {
    Opened {
        id: new.id,
        series: new.id,
        continues: None,
        therapist: new.therapist,
        client: new.client,
        service: new.service,
        set: new.set,
        state: IntentState::Active,
        done_through: now,
    }
}

/// The intent after an event. `next_due_at` is another function's:
/// [`materialize::next_due_at`](crate::materialize::next_due_at).
#[must_use]
pub fn evolve(mut intent: Intent, event: &Event) -> Intent {
    match event {
        Event::Created(_) | Event::SessionChanged { .. } => return intent,
        Event::Materialized {
            through,
            recurrence_ids,
        } => {
            intent.done_through = intent.done_through.max(*through);
            let overrides = &mut intent.set.deviations_mut().overrides;
            for recurrence_id in recurrence_ids {
                overrides.remove(recurrence_id);
            }
            return intent;
        }
        Event::PlannedAgain { from } => {
            intent.done_through = intent.done_through.min(*from);
            return intent;
        }
        Event::Skipped { recurrence_id } => {
            let deviations = intent.set.deviations_mut();
            deviations.overrides.remove(recurrence_id);
            deviations.exclusions.insert(*recurrence_id);
        }
        Event::Added { recurrence_id } => {
            add(&mut intent.set, *recurrence_id);
            // One that was moved and then called off takes place where it was moved to.
            let changed = intent.set.deviations().overrides.get(recurrence_id);
            let start = changed.and_then(|changed| changed.start);
            let (at, _) = intent.set.zone().resolve(start.unwrap_or(*recurrence_id));
            intent.done_through = intent.done_through.min(at);
        }
        Event::Rescheduled { recurrence_id, to } => {
            let (at, _) = intent.set.zone().resolve(*to);
            let back = intent.set.zone().resolve(*recurrence_id).0 == at;
            change(&mut intent.set, *recurrence_id, |changed| {
                changed.start = Some(*to).filter(|_| !back);
            });
            // Moved to before what has been planned: the planner must look back for it.
            intent.done_through = intent.done_through.min(at);
        }
        Event::Amended {
            recurrence_id,
            minutes,
        } => {
            let usual = intent.set.minutes();
            change(&mut intent.set, *recurrence_id, |changed| {
                changed.minutes = Some(*minutes).filter(|minutes| *minutes != usual);
            });
        }
        Event::Cancelled { recurrence_id } => {
            change(&mut intent.set, *recurrence_id, |changed| {
                changed.cancelled = true;
            });
        }
        Event::Paused { pause } => {
            let pauses = &mut intent.set.deviations_mut().pauses;
            pauses.push(*pause);
            pauses.sort_by_key(|pause| pause.from);
        }
        Event::Resumed { from, replan } => {
            let pauses = &mut intent.set.deviations_mut().pauses;
            *pauses = resumed(pauses, *from);
            intent.done_through = intent.done_through.min(*replan);
        }
        Event::Ended { from } => {
            cut(intent.set.deviations_mut(), *from);
            if intent.state == IntentState::Active {
                intent.state = IntentState::Ended;
            }
        }
        Event::Split { at, into, .. } => {
            cut(intent.set.deviations_mut(), *at);
            intent.state = IntentState::Continued { by: *into };
        }
        Event::Undone { set, was, replan } => {
            intent.set = (**set).clone();
            intent.state = *was;
            intent.done_through = intent.done_through.min(*replan);
        }
        Event::Withdrawn => {
            cut(intent.set.deviations_mut(), LocalDateTime::MIN);
            intent.state = IntentState::Withdrawn;
        }
    }
    intent.version += 1;
    intent
}

/// The pauses that are left when one of them ends early.
pub(super) fn resumed(pauses: &[Pause], from: chrono::NaiveDate) -> Vec<Pause> {
    let pauses = pauses.iter().map(|pause| {
        let covered = pause.from <= from && pause.until.is_none_or(|until| from < until);
        Pause {
            until: if covered { Some(from) } else { pause.until },
            ..*pause
        }
    });
    pauses
        .filter(|pause| pause.until.is_none_or(|until| pause.from < until))
        .collect()
}

fn cut(deviations: &mut Deviations, at: LocalDateTime) {
    let ends = deviations.ends.unwrap_or(at);
    deviations.ends = Some(ends.min(at));
}

fn is_paused(set: &RecurrenceSet, recurrence_id: LocalDateTime) -> bool {
    set.deviations().pause_of(recurrence_id).is_some()
}

/// Changes an override. One that says nothing says something in a pause: that the date takes place
/// in spite of it. Elsewhere it is removed.
fn change(set: &mut RecurrenceSet, recurrence_id: LocalDateTime, with: impl FnOnce(&mut Override)) {
    let paused = is_paused(set, recurrence_id);
    let overrides = &mut set.deviations_mut().overrides;
    let changed = overrides.entry(recurrence_id).or_default();
    with(changed);
    if *changed == Override::default() && !paused {
        overrides.remove(&recurrence_id);
    }
}

/// A date that was skipped or called off takes place as its rule says, one that no rule has is
/// added, and one that a pause covers takes place because it is named.
fn add(set: &mut RecurrenceSet, recurrence_id: LocalDateTime) {
    let generated = set.lookup(recurrence_id) != Lookup::NotGenerated;
    let deviations = set.deviations_mut();
    deviations.exclusions.remove(&recurrence_id);
    if !generated {
        deviations.additions.insert(recurrence_id);
    }
    change(set, recurrence_id, |changed| changed.cancelled = false);
}
