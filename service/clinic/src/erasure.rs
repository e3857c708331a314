//! Erasing a client: what is known of them goes, and with it everything of theirs that would go on.
//!
//! The client's row stays, with ids and numbers, and so do sessions that are over, journal and ledger.

use chrono::{DateTime, Days, Utc};
use ledger_core::{Command, ReleaseReason};
use scheduler_core::Zone;
use scheduler_core::intent::{self, Edit, Event, Intent, IntentError, IntentState};
use scheduler_core::session::{self, Party, Session, SessionState};
use serde_json::json;

use crate::credit::{Posting, hold_of};
use crate::notification::voided;
use crate::{
    Change, Commit, Decision, Happened, History, Idempotent, Journal, PersonId, Recipient, Refusal,
    Subject, Subscription, Term, View,
};

/// Erases a client: ends their series and subscription, cancels their sessions to come and releases the credits held for
/// them, voids messages to them, revokes their tokens and their feed, and removes what is sealed of them
/// with all their keys and indexes. Nothing is told to anybody.
///
/// A client who was erased before is erased again if something of theirs goes on.
///
/// # Errors
/// [`Refusal`] if there is no such client, or a legal hold forbids it.
pub fn erase(view: &View, now: DateTime<Utc>) -> Decision {
    let client = view.client()?;
    if client.legal_hold {
        return Err(Refusal::LegalHold);
    }
    let mut changes = Vec::new();
    let mut series = Vec::new();
    for intent in &view.intents {
        let Some((after, events)) = ended(view, intent, now)? else {
            continue;
        };
        series.push(intent.id);
        changes.push(Change::Line(line(intent, &after, events)));
        changes.push(Change::Intent(after));
    }
    let mut posting = Posting::of(view.account()?);
    let mut sessions = Vec::new();
    for session in &view.sessions {
        let Some(after) = cancelled(session, now)? else {
            continue;
        };
        let hold = hold_of(session);
        if posting.account().hold(hold).is_some() {
            // Without the grace that the clinic's cancelling gives: nobody is there to use it.
            let release = Command::Release {
                hold,
                reason: ReleaseReason::ClinicCancelled,
            };
            posting = match posting.clone().post(&[], &release, now)? {
                Some(released) => released,
                None => posting,
            };
        }
        sessions.push(after.id);
        changes.push(Change::Session(after));
    }
    changes.extend(posting.changed());
    let subscription = view
        .subscription
        .as_ref()
        .and_then(|it| unsubscribed(it, now));
    if let Some(after) = &subscription {
        let subject = Subject::Subscription(client.id);
        let line = Journal::new(subject, after.version, "subscription_ended");
        changes.extend([Change::Line(line), Change::Subscription(after.clone())]);
    }
    let messages = view.pending.iter().cloned().map(voided);
    changes.extend(messages.map(Change::Message));
    let id = PersonId::Client(client.id);
    let is_done = changes.is_empty() && view.tokens == 0 && !view.has_feed;
    if client.person.is_none() && is_done {
        return Ok(Idempotent::AlreadyApplied);
    }
    changes.extend([
        Change::Feed(Recipient::Client(client.id), None),
        Change::Revoke(id),
        Change::Erase(id),
    ]);
    let version = client
        .person
        .as_ref()
        .map_or(1, |person| person.version + 1);
    let journal = Journal::new(id.subject(), version, "person_erased").with_body(json!({
        "series": series,
        "sessions": sessions,
        "subscription": subscription.is_some(),
        "messages": view.pending.len(),
        "tokens": view.tokens,
    }));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes,
    }))
}

/// A subscription that has ended and does not say in which zone its client lives; `None` if it is so
/// already. Its months are not told any more: they are in the ledger.
fn unsubscribed(subscription: &Subscription, now: DateTime<Utc>) -> Option<Subscription> {
    let begun = subscription.terms.iter().filter(|term| term.from < now);
    let mut terms: Vec<Term> = begun.copied().collect();
    if terms.last().is_none_or(|term| term.plan.is_some()) {
        let (from, zone, plan) = (now, Zone::UTC, None);
        terms.push(Term { from, zone, plan });
    }
    for term in &mut terms {
        term.zone = Zone::UTC;
    }
    (terms != subscription.terms).then(|| Subscription {
        terms,
        version: subscription.version + 1,
        ..subscription.clone()
    })
}

/// An intent without anything to come, and what happened to it; `None` if nothing is to come of it.
fn ended(
    view: &View,
    intent: &Intent,
    now: DateTime<Utc>,
) -> Result<Option<(Intent, Vec<Event>)>, Refusal> {
    if intent.state == IntentState::Withdrawn {
        return Ok(None);
    }
    let own = view.sessions.iter().filter(|one| one.intent == intent.id);
    let own: Vec<Session> = own.cloned().collect();
    let (mut after, mut events) = (intent.clone(), Vec::new());
    let today = intent.set.zone().local(now).date();
    // Of a day on which something has begun, only what is still to come may go.
    for from in [Some(today), today.checked_add_days(Days::new(1))]
        .into_iter()
        .flatten()
    {
        match intent::edit(&after, &own, &Edit::End { from }, now) {
            Ok(Idempotent::Applied(edited)) => {
                after = intent::evolve(after, &edited.event);
                events.push(edited.event);
                break;
            }
            Ok(Idempotent::AlreadyApplied) => break,
            Err(IntentError::Past { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // What the end leaves: the rest of today, and dates that were moved to later.
    let known = view.known(intent.id);
    let is_virtual = |at: &scheduler_core::Occurrence| !known.contains(&at.recurrence_id);
    while let Some(next) = after.set.first_from(now, is_virtual) {
        let recurrence_id = next.recurrence_id;
        let cancel = intent::Command::Cancel { recurrence_id };
        let Idempotent::Applied(event) = intent::decide(&after, &cancel, &known, now)? else {
            break;
        };
        after = intent::evolve(after, &event);
        events.push(event);
    }
    if events.is_empty() && intent.next_due_at.is_none() {
        return Ok(None);
    }
    // Whatever is left of it is over: the planner does not look at it again.
    after.next_due_at = None;
    Ok(Some((after, events)))
}

fn line(intent: &Intent, after: &Intent, events: Vec<Event>) -> Journal {
    let happened = |event| Happened {
        intent: intent.id,
        event,
    };
    Journal {
        history: Some(History {
            series: intent.series,
            reason: None,
            events: events.into_iter().map(happened).collect(),
        }),
        ..Journal::new(Subject::Intent(intent.id), after.version, "series_ended")
    }
}

/// A session to come that is called off; `None` for one that will not take place anyway.
fn cancelled(session: &Session, now: DateTime<Utc>) -> Result<Option<Session>, Refusal> {
    if matches!(session.state, SessionState::Cancelled { .. }) {
        return Ok(None);
    }
    let cancel = session::Command::Cancel {
        by: Party::Clinic,
        late: false,
    };
    let Idempotent::Applied(event) = session::decide(session, &cancel, now)? else {
        return Ok(None);
    };
    let mut after = session::evolve(session.clone(), &event);
    after.next_due_at = None;
    Ok(Some(after))
}
