use chrono::{DateTime, Utc};

use super::command::{Event, NewIntent};
use super::state::Intent;
use crate::Override;

/// The intent that a creation makes. Nothing before `now` will be planned.
#[must_use]
pub fn created(new: NewIntent, now: DateTime<Utc>) -> Intent {
    Intent {
        id: new.id,
        series: new.id,
        therapist: new.therapist,
        client: new.client,
        service: new.service,
        set: new.set,
        done_through: now,
        next_due_at: None,
        version: 1,
    }
}

/// The intent after an event. `next_due_at` is another function's:
/// [`materialize::next_due_at`](crate::materialize::next_due_at).
#[must_use]
pub fn evolve(mut intent: Intent, event: &Event) -> Intent {
    match event {
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
        Event::Skipped { recurrence_id } => {
            let deviations = intent.set.deviations_mut();
            deviations.overrides.remove(recurrence_id);
            deviations.exclusions.insert(*recurrence_id);
        }
        Event::Rescheduled { recurrence_id, to } => {
            let (at, _) = intent.set.zone().resolve(*to);
            let back = intent.set.zone().resolve(*recurrence_id).0 == at;
            let overrides = &mut intent.set.deviations_mut().overrides;
            if back {
                overrides.remove(recurrence_id);
            } else {
                let start = Some(*to);
                let changed = Override {
                    start,
                    cancelled: false,
                };
                overrides.insert(*recurrence_id, changed);
            }
            // Moved to before what has been planned: the planner must look back for it.
            intent.done_through = intent.done_through.min(at);
        }
        Event::Cancelled { recurrence_id } => {
            let overrides = &mut intent.set.deviations_mut().overrides;
            overrides.entry(*recurrence_id).or_default().cancelled = true;
        }
    }
    intent.version += 1;
    intent
}
