//! One date to another therapist: it is left out of its series, and a booking of its own in its
//! place.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use scheduler_core::intent::{self, Event, Intent, NewIntent, Opened};
use scheduler_core::session::{self, Party, Session};
use scheduler_core::set::Lookup;
use scheduler_core::{IntentId, LocalDateTime, RecurrenceSet, TherapistId, Zone};
use serde_json::json;

use crate::access::{Action, Principal, Role};
use crate::credit::{Posting, follow};
use crate::free::Ground;
use crate::horizon::new_session;
use crate::policy::intent_due_at;
use crate::series::{staff_decides, to_come};
use crate::session_change::{due_at, fund_waiting};
use crate::{
    Change, Commit, Decision, Happened, History, Idempotent, Journal, Notification,
    NotificationKind, Refusal, Scope, Subject, View,
};

/// What it has to see.
///
/// # Errors
/// [`Refusal::Invalid`] at the end of the zone data.
pub fn scope(intent: IntentId, to: TherapistId, now: DateTime<Utc>) -> Result<Scope, Refusal> {
    Ok(Scope::Series {
        intent,
        therapist: Some(to),
        window: to_come(now)?,
        history: false,
    })
}

/// Gives one occurrence to another therapist, at its time. `into` is the id of the booking that it
/// becomes, made by the caller. A session is called off, and the new one has its credit, whenever that
/// expires.
///
/// # Errors
/// [`Refusal`] if the principal is not the clinic's staff, the occurrence is past or not there, or
/// its time is not free for the other therapist.
pub fn reassign_one(
    view: &View,
    recurrence_id: LocalDateTime,
    to: TherapistId,
    into: IntentId,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    view.authorize(principal, Action::Book)?;
    let intent = view.intent()?;
    if principal.role != Role::Admin {
        return Err(staff_decides("therapist_id", &to));
    }
    if to == intent.therapist {
        return Ok(Idempotent::AlreadyApplied);
    }
    let mut sessions = view.sessions.iter();
    let session = sessions
        .find(|session| session.intent == intent.id && session.recurrence_id == recurrence_id);
    match session {
        Some(session) => of_session(view, session, to, into, principal, expected, now),
        None => of_virtual(view, recurrence_id, to, into, principal, expected, now),
    }
}

fn of_virtual(
    view: &View,
    recurrence_id: LocalDateTime,
    to: TherapistId,
    into: IntentId,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    let intent = view.intent()?;
    Refusal::check_version(expected, intent.version)?;
    let known = view.known(intent.id);
    let skip = intent::Command::Skip { recurrence_id };
    let Idempotent::Applied(event) = intent::decide(intent, &skip, &known, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let mut before = intent::evolve(intent.clone(), &event);
    before.next_due_at = intent_due_at(&before, &known, now);
    let Lookup::Occurrence(was) = intent.set.lookup(recurrence_id) else {
        return Err(Refusal::NotFound { what: "occurrence" });
    };
    let opened = opened(
        intent,
        into,
        to,
        (was.start, was.end),
        intent.set.zone(),
        now,
    )?;
    refuse_taken(view, &opened, &[before.clone()], &[], principal, now)?;

    let mut after = opened.clone().intent();
    after.next_due_at = intent_due_at(&after, &BTreeSet::new(), now);
    let skipped = Happened {
        intent: intent.id,
        event,
    };
    let journal = journal(intent, opened, skipped).with_body(json!({ "into": into }));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::Intent(before), Change::NewIntent(after)],
    }))
}

fn of_session(
    view: &View,
    before: &Session,
    to: TherapistId,
    into: IntentId,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    let intent = view.intent()?;
    Refusal::check_version(expected, before.version)?;
    let cancel = session::Command::Cancel {
        by: Party::Clinic,
        late: false,
    };
    let Idempotent::Applied(event) = session::decide(before, &cancel, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let mut cancelled = session::evolve(before.clone(), &event);
    cancelled.next_due_at = None;
    let time = (before.starts_at, before.ends_at);
    let opened = opened(intent, into, to, time, before.zone, now)?;
    refuse_taken(view, &opened, &[], &[cancelled.clone()], principal, now)?;

    let after = opened.clone().intent();
    let start = after.set.start();
    let Lookup::Occurrence(occurrence) = after.set.lookup(start) else {
        return Err(Refusal::NotFound { what: "occurrence" });
    };
    let mut made = new_session(&after, &occurrence);
    let posting = Posting::of(view.account()?);
    let (posting, held) = match posting.rebook(before, &made, now)? {
        Some(passed) => (passed, true),
        None => follow(view, posting, before, &event, now)?.hold(&made, now)?,
    };
    if held {
        made.state = session::SessionState::Scheduled;
    }
    made.next_due_at = due_at(&made, view.service_of(made.service)?, now);
    let told = if held {
        Some(Notification::to_client(
            NotificationKind::Scheduled,
            &made,
            now,
        ))
    } else if before.state.is_live() {
        Some(Notification::to_client(
            NotificationKind::Cancelled,
            &cancelled,
            now,
        ))
    } else {
        None
    };
    let ids = [cancelled.id, made.id];
    let mut changes = vec![
        Change::NewIntent(after),
        Change::Session(cancelled),
        Change::NewSession(made),
    ];
    changes.extend(told.map(Change::Notify));
    let funded = fund_waiting(view, posting, &ids, now, &mut changes)?;
    let body = json!({ "into": into, "sessions": ids, "funded": funded });
    let left = Happened {
        intent: intent.id,
        event: Event::SessionChanged {
            recurrence_id: before.recurrence_id,
            kind: REASSIGNED.to_owned(),
        },
    };
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal(intent, opened, left).with_body(body)),
        changes,
    }))
}

/// The booking that the occurrence becomes, of the same series.
fn opened(
    intent: &Intent,
    into: IntentId,
    to: TherapistId,
    (start, end): (DateTime<Utc>, DateTime<Utc>),
    zone: Zone,
    now: DateTime<Utc>,
) -> Result<Opened, Refusal> {
    let local = zone.local(start);
    if zone.resolve(local).0 != start {
        return Err(Refusal::Invalid {
            field: "recurrence_id",
            value: start.to_string(),
            expected: "a time that its wall time means: move it first",
        });
    }
    let minutes = u32::try_from((end - start).num_minutes()).unwrap_or(u32::MAX);
    let new = NewIntent {
        id: into,
        therapist: to,
        client: intent.client,
        service: intent.service,
        set: RecurrenceSet::new(local, zone, minutes)?,
    };
    intent::create(&new, now)?;
    Ok(Opened {
        series: intent.series,
        continues: Some(intent.id),
        ..intent::opened(new, now)
    })
}

fn refuse_taken(
    view: &View,
    opened: &Opened,
    intents: &[Intent],
    sessions: &[Session],
    principal: Principal,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let service = view.service_of(opened.service)?;
    let ground = Ground::new(view, intents, sessions)?;
    ground.proof(service, &opened.set, principal, now)?;
    Ok(())
}

/// What a date that goes to another therapist is called in the journal.
const REASSIGNED: &str = "occurrence_reassigned";

/// The line of a date that has `left` its booking for one of its own.
fn journal(intent: &Intent, opened: Opened, left: Happened) -> Journal {
    let subject = Subject::Occurrence(opened.id, opened.set.start());
    let created = Happened {
        intent: opened.id,
        event: Event::Created(Box::new(opened)),
    };
    Journal {
        history: Some(History {
            series: intent.series,
            reason: None,
            events: vec![left, created],
        }),
        ..Journal::new(subject, 1, REASSIGNED)
    }
}
