//! Changing when a therapist works, and what a blackout hits.

use chrono::NaiveDate;
use scheduler_core::availability::{DayHours, Hours};
use scheduler_core::calendar::Item;
use scheduler_core::{IntentId, LocalDateTime, TherapistId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::{Action, Principal, Resource, allow};
use crate::working_times::{Blackout, WorkingTimes};
use crate::{Change, Commit, Decision, Idempotent, Journal, Refusal, Subject, Therapist, View};

/// What is to be different in a therapist's working times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// The hours of a normal week.
    Hours(Vec<Hours>),
    /// The hours of one date; those of the week again, if there are none given.
    Date(NaiveDate, Option<Vec<DayHours>>),
    /// One more blackout.
    Blackout(Uuid, Blackout),
    /// A blackout is taken back, or, if not, stands again.
    Withdrawn(Uuid, bool),
    /// An occurrence takes place in spite of a blackout.
    Keep(Uuid, (IntentId, LocalDateTime)),
}

/// Changes a therapist's working times. What is booked stays: what a blackout hits are its cases.
///
/// # Errors
/// [`Refusal`] if there is no such therapist or blackout, or the times cannot be.
pub fn change_times(
    view: &View,
    wanted: &Times,
    principal: Principal,
    expected: Option<u64>,
) -> Decision {
    let therapist = view.therapist()?;
    if !allow(principal, Action::Book, Resource::Therapist(therapist.id)) {
        return Err(Refusal::NotFound { what: "therapist" });
    }
    let times = &therapist.times;
    Refusal::check_version(expected, times.version)?;
    let after = match wanted {
        Times::Hours(hours) => times.with_hours(hours.clone())?,
        Times::Date(date, hours) => times.with_date(*date, hours.clone())?,
        Times::Blackout(id, blackout) => times.with_blackout(*id, blackout.clone())?,
        Times::Withdrawn(id, withdrawn) => {
            let withdrawn = *withdrawn;
            changed_blackout(times, *id, |blackout| blackout.withdrawn = withdrawn)?
        }
        Times::Keep(id, address) => changed_blackout(times, *id, |blackout| {
            blackout.kept.insert(*address);
        })?,
    };
    if after.is_same(times) {
        return Ok(Idempotent::AlreadyApplied);
    }
    let (subject, kind, body) = told(therapist.id, wanted);
    let journal = Journal::new(subject, after.version, kind).with_body(body);
    let changed = Therapist {
        times: after,
        ..therapist.clone()
    };
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::WorkingTimes(changed)],
    }))
}

fn changed_blackout(
    times: &WorkingTimes,
    id: Uuid,
    change: impl FnOnce(&mut Blackout),
) -> Result<WorkingTimes, Refusal> {
    let blackout = times.blackouts().get(&id);
    let mut blackout = blackout
        .cloned()
        .ok_or(Refusal::NotFound { what: "blackout" })?;
    change(&mut blackout);
    Ok(times.with_blackout(id, blackout)?)
}

fn told(therapist: TherapistId, wanted: &Times) -> (Subject, &'static str, Value) {
    let blackout = |id: &Uuid| Subject::Blackout(therapist, *id);
    let own = Subject::Therapist(therapist);
    match wanted {
        Times::Hours(hours) => (own, "hours_changed", json!({ "hours": hours })),
        Times::Date(date, hours) => {
            let body = json!({ "date": date, "hours": hours });
            (own, "date_changed", body)
        }
        Times::Blackout(id, what) => (blackout(id), "blackout_added", json!(what)),
        Times::Withdrawn(id, true) => (blackout(id), "blackout_withdrawn", Value::Null),
        Times::Withdrawn(id, false) => (blackout(id), "blackout_reinstated", Value::Null),
        Times::Keep(id, (intent, at)) => {
            let body = json!({ "intent": intent, "recurrence_id": at });
            (blackout(id), "occurrence_kept", body)
        }
    }
}

/// The cases of a blackout: what of a calendar takes place in it, and nobody has said that it does
/// all the same.
pub fn cases<'a>(
    blackout: &'a Blackout,
    calendar: &'a [Item<'a>],
) -> impl Iterator<Item = &'a Item<'a>> {
    calendar.iter().filter(|item| {
        let meets = item.start() < blackout.until && blackout.from < item.end();
        let open = !blackout.withdrawn && !blackout.kept.contains(&item.address());
        open && meets && item.is_busy()
    })
}
