//! Making a standing booking.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use scheduler_core::intent::{self, Event, NewIntent};
use scheduler_core::proof::{Remedy, remedied};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{
    ClientId, GapPolicy, IntentId, LocalDateTime, RecurrenceSet, Rule, ServiceId, TherapistId,
    Window, Zone,
};
use serde_json::json;

use crate::access::{Action, Principal, Resource, Role, allow};
use crate::calendar_file::check_rules;
use crate::free::Ground;
use crate::people::Service;
use crate::policy::{MOVED_MAX, intent_due_at};
use crate::quota;
use crate::{Change, Commit, Decision, Idempotent, Journal, Refusal, Scope, Subject, View};

/// A booking to be made.
#[derive(Debug, Clone)]
pub struct NewBooking {
    /// The intent's id, made by the caller.
    pub id: IntentId,
    /// Whose time.
    pub therapist: TherapistId,
    /// For whom.
    pub client: ClientId,
    /// What.
    pub service: ServiceId,
    /// The wall time of the first occurrence.
    pub start: LocalDateTime,
    /// The zone of all wall times.
    pub zone: Zone,
    /// The length, if it is not the service's. Only the clinic decides that.
    pub minutes: Option<u32>,
    /// How it recurs, if it does.
    pub rule: Option<Rule>,
    /// What becomes of wall times that the zone skips.
    pub gap: GapPolicy,
    /// What is to become of dates that are not free.
    pub resolutions: Vec<(LocalDateTime, Remedy)>,
}

/// What making a booking has to see.
///
/// # Errors
/// [`Refusal::Set`] if the start is beyond the known rules of time zones, [`Refusal::Quota`] if the rule is
/// too dense for anybody.
pub fn scope(wanted: &NewBooking) -> Result<Scope, Refusal> {
    quota::check_rules(wanted.rule.as_slice())?;
    let (start, _) = wanted.zone.resolve(wanted.start);
    scope_from(wanted.therapist, wanted.client, wanted.service, start)
}

/// The same for a set that is there.
///
/// # Errors
/// As [`scope`].
pub fn scope_of_set(new: &NewIntent) -> Result<Scope, Refusal> {
    quota::check_density(&new.set)?;
    let (start, _) = new.set.zone().resolve(new.set.start());
    scope_from(new.therapist, new.client, new.service, start)
}

fn scope_from(
    therapist: TherapistId,
    client: ClientId,
    service: ServiceId,
    start: DateTime<Utc>,
) -> Result<Scope, Refusal> {
    Ok(Scope::Booking {
        therapist,
        client,
        service,
        window: checked_window(start)?,
    })
}

/// Makes an intent: one row, whatever it means in sessions.
///
/// # Errors
/// [`Refusal`] if a party is unknown or not the principal's, the intent machine refuses, or a time
/// is not free.
pub fn book(view: &View, wanted: NewBooking, principal: Principal, now: DateTime<Utc>) -> Decision {
    let (therapist, client) = (wanted.therapist, wanted.client);
    authorize(view, therapist, client, principal)?;
    let new = NewIntent {
        id: wanted.id,
        therapist,
        client,
        service: wanted.service,
        set: set(wanted, view.service()?, principal)?,
    };
    booked(view, new, principal, now)
}

/// Makes an intent of a set that is there, as from another calendar.
///
/// # Errors
/// [`Refusal`], as [`book`].
pub fn book_set(view: &View, new: NewIntent, principal: Principal, now: DateTime<Utc>) -> Decision {
    authorize(view, new.therapist, new.client, principal)?;
    let service = view.service()?;
    let overrides = new.set.deviations().overrides.values();
    let lengths = overrides.filter_map(|changed| changed.minutes);
    for minutes in std::iter::once(new.set.minutes()).chain(lengths) {
        check_minutes(minutes, service, principal)?;
    }
    check_rules(&new.set)?;
    booked(view, new, principal, now)
}

fn authorize(
    view: &View,
    therapist: TherapistId,
    client: ClientId,
    principal: Principal,
) -> Result<(), Refusal> {
    let assigned = view.client.as_ref().and_then(|client| client.therapist);
    let resource = Resource::NewBooking {
        therapist,
        client,
        assigned: assigned == Some(therapist),
    };
    if !allow(principal, Action::Book, resource) {
        return Err(Refusal::NotFound {
            what: "therapist or client",
        });
    }
    if view.client()?.person.is_none() {
        return Err(Refusal::Erased);
    }
    view.therapist()?;
    Ok(())
}

fn booked(view: &View, new: NewIntent, principal: Principal, now: DateTime<Utc>) -> Decision {
    let service = view.service()?;
    intent::create(&new, now)?;
    let opened = intent::opened(new, now);
    let mut intent = opened.clone().intent();
    quota::check(view, std::slice::from_ref(&intent), principal, now)?;

    let certificate = Ground::new(view, &[], &[])?.proof(service, &intent.set, principal, now)?;

    intent.next_due_at = intent_due_at(&intent, &BTreeSet::new(), now);
    let journal = Journal::new(Subject::Intent(intent.id), intent.version, "intent_created")
        .with_body(json!({ "certificate": certificate }))
        .of(&intent, Event::Created(Box::new(opened)));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::NewIntent(intent)],
    }))
}

fn set(
    wanted: NewBooking,
    service: &Service,
    principal: Principal,
) -> Result<RecurrenceSet, Refusal> {
    let minutes = wanted.minutes.unwrap_or(service.minutes);
    check_minutes(minutes, service, principal)?;
    let set = RecurrenceSet::new(wanted.start, wanted.zone, minutes)?.with_gap_policy(wanted.gap);
    let set = match wanted.rule {
        Some(rule) => set.with_rule(rule),
        None => set,
    };
    Ok(remedied(&set, &wanted.resolutions)?)
}

/// Only the clinic gives a booking another length than its service has.
pub(crate) fn check_minutes(
    minutes: u32,
    service: &Service,
    principal: Principal,
) -> Result<(), Refusal> {
    if minutes == service.minutes || principal.role == Role::Admin {
        return Ok(());
    }
    Err(Refusal::Invalid {
        field: "minutes",
        value: minutes.to_string(),
        expected: "the length of the service",
    })
}

/// The window in which sessions can be in the way of a booking that starts at `start`: dates may be
/// moved to before it.
fn checked_window(start: DateTime<Utc>) -> Result<Window, Refusal> {
    Window::new(start - MOVED_MAX, END_OF_ZONE_DATA)
        .map_err(|_| Refusal::Set(scheduler_core::set::SetError::BeyondZoneData { end: start }))
}
