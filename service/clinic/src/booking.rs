//! Making a standing booking.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use scheduler_core::Window;
use scheduler_core::calendar::calendar;
use scheduler_core::conflict::clashes;
use scheduler_core::intent::{self, NewIntent};
use scheduler_core::materialize::next_due_at;
use scheduler_core::zone::END_OF_ZONE_DATA;
use serde_json::json;

use crate::access::{Action, Principal, Resource, Role, allow};
use crate::policy::{CHECKED, HORIZON};
use crate::{Change, Commit, Decision, Idempotent, Journal, Refusal, Subject, View};

/// The window in which a booking that starts at `start` is checked, for the scope of the write.
///
/// # Errors
/// [`Refusal::Set`] if the start is beyond the known rules of time zones.
pub fn checked_window(start: DateTime<Utc>) -> Result<Window, Refusal> {
    let end = (start + CHECKED).min(END_OF_ZONE_DATA);
    Window::new(start, end)
        .map_err(|_| Refusal::Set(scheduler_core::set::SetError::BeyondZoneData { end: start }))
}

/// Makes an intent: one row, whatever it means in sessions.
///
/// # Errors
/// [`Refusal`] if a party is unknown or not the principal's, the intent machine refuses, or a time
/// is not free.
pub fn book(view: &View, new: NewIntent, principal: Principal, now: DateTime<Utc>) -> Decision {
    let resource = Resource::Booking {
        therapist: new.therapist,
        client: new.client,
    };
    let (therapist, client) = (view.therapist()?, view.client()?);
    view.service()?;
    let assigned = client.therapist == Some(therapist.id);
    if !allow(principal, Action::Book, resource) || (principal.role != Role::Admin && !assigned) {
        return Err(Refusal::NotFound { what: "therapist" });
    }
    intent::create(&new, now)?;

    let (start, _) = new.set.zone().resolve(new.set.start());
    let window = checked_window(start)?;
    let wanted = new.set.overlapping(window)?;
    let calendar = calendar(&view.intents, &view.sessions, window)?;
    Refusal::check_clashes(clashes(&wanted, &calendar, &therapist.hours), window)?;

    let mut intent = intent::created(new, now);
    intent.next_due_at = next_due_at(&intent, &BTreeSet::new(), HORIZON);
    let journal = Journal::new(Subject::Intent(intent.id), intent.version, "intent_created")
        .with_body(json!({
            "therapist": intent.therapist,
            "client": intent.client,
            "service": intent.service,
            "starts_local": intent.set.start(),
            "zone": intent.set.zone(),
            "minutes": intent.set.minutes(),
            "rule": intent.set.rule(),
        }));
    Ok(Idempotent::Applied(Commit {
        journal,
        changes: vec![Change::NewIntent(intent)],
    }))
}
