//! What is known of a person: changed, indexed, held for the law. [`erasure`](crate::erasure) ends it.
//!
//! The decisions see sealed values only. Nobody is ever deleted: their row stays, with ids and
//! numbers, and what was sealed of them is nothing once their keys are gone.

use serde_json::json;

use crate::access::{Action, Principal, Resource, allow};
use crate::{
    BlindIndex, Change, Commit, Decision, Idempotent, Journal, PersonId, Refusal, SealedPerson,
    View,
};

/// Puts what is known of a person in the place of what was. It was sealed as the version after that
/// which the caller had read.
///
/// # Errors
/// [`Refusal`] if it is not the principal's, they are erased, or somebody was there first.
pub fn change(
    view: &View,
    id: PersonId,
    person: SealedPerson,
    indexes: Vec<BlindIndex>,
    principal: Principal,
    expected: Option<u64>,
) -> Decision {
    if !allow(principal, Action::Administer, Resource::Clinic) {
        return Err(not_found(id));
    }
    let before = known(view, id)?.ok_or(Refusal::Erased)?;
    Refusal::check_version(expected, before.version)?;
    Refusal::check_version(person.version.checked_sub(1), before.version)?;
    if let PersonId::Client(client) = id
        && view.email_of.is_some_and(|other| other != client)
    {
        return Err(Refusal::EmailTaken);
    }
    let journal = Journal::new(id.subject(), person.version, "person_changed");
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::Person { id, person }, Change::Indexes(id, indexes)],
    }))
}

/// Puts computed blind indexes in the place of a person's, if what is known of the person is still the
/// version that they were computed from.
///
/// # Errors
/// [`Refusal`] if there is no such person, or the person has changed or is erased.
pub fn index(view: &View, id: PersonId, version: u64, indexes: Vec<BlindIndex>) -> Decision {
    let known = known(view, id)?.ok_or(Refusal::Erased)?;
    Refusal::check_version(Some(version), known.version)?;
    Ok(Idempotent::Applied(Commit {
        journal: Some(Journal::new(id.subject(), version, "person_indexed")),
        changes: vec![Change::Indexes(id, indexes)],
    }))
}

/// Forbids to erase a client, or allows it again.
///
/// # Errors
/// [`Refusal`] if there is no such client.
pub fn hold(view: &View, held: bool) -> Decision {
    let mut client = view.client()?.clone();
    if client.legal_hold == held {
        return Ok(Idempotent::AlreadyApplied);
    }
    client.legal_hold = held;
    let version = client.person.as_ref().map_or(0, |person| person.version);
    let subject = PersonId::Client(client.id).subject();
    let journal = Journal::new(subject, version, "legal_hold_changed");
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal.with_body(json!({ "held": held }))),
        changes: vec![Change::LegalHold(client.id, held)],
    }))
}

fn known(view: &View, id: PersonId) -> Result<Option<&SealedPerson>, Refusal> {
    Ok(match id {
        PersonId::Therapist(_) => view.therapist()?.person.as_ref(),
        PersonId::Client(_) => view.client()?.person.as_ref(),
    })
}

fn not_found(id: PersonId) -> Refusal {
    let what = match id {
        PersonId::Therapist(_) => "therapist",
        PersonId::Client(_) => "client",
    };
    Refusal::NotFound { what }
}
