//! Changing one occurrence, virtual or not.
//!
//! An occurrence that has no session is changed in its intent, and stays virtual. Once it has one,
//! the session is changed, and the credit held for it follows.

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::calendar::calendar;
use scheduler_core::conflict::clashes;
use scheduler_core::intent::{self, Intent};
use scheduler_core::session::{self, Party, Session};
use scheduler_core::set::{Lookup, Occurrence};
use scheduler_core::{LocalDateTime, Window};
use serde_json::json;

use crate::access::{Action, Principal};
use crate::credit::follow;
use crate::policy::{free_until, intent_due_at, is_late};
use crate::session_change::commit;
use crate::{Change, Commit, Decision, Idempotent, Journal, Refusal, Subject, View};

/// What is wanted of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Another time, as wall time in the intent's zone.
    Reschedule(LocalDateTime),
    /// Leave the date out, with nothing in its place. A session is cancelled.
    Skip,
    /// Call it off, visibly.
    Cancel,
}

/// The calendar that a move to this wall time needs, in whatever zone it is meant.
///
/// # Errors
/// [`Refusal::Invalid`] at the ends of the calendar.
pub fn window_around(to: LocalDateTime) -> Result<Window, Refusal> {
    let at = to.naive().and_utc();
    let reach = TimeDelta::days(4);
    Window::new(at - reach, at + reach).map_err(|_| Refusal::Invalid {
        field: "starts_local",
        value: to.to_string(),
        expected: "a time within the calendar",
    })
}

/// Changes one occurrence. `recurrence_id` names it; with a session in view, the session is meant.
///
/// # Errors
/// [`Refusal`] if it is not the principal's, is not there, is past, or the new time is not free.
pub fn touch(
    view: &View,
    recurrence_id: LocalDateTime,
    touch: Touch,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    view.authorize(principal, Action::Book)?;
    match &view.session {
        Some(session) => touch_session(view, session, touch, principal, expected, now),
        None => touch_virtual(view, recurrence_id, touch, principal, expected, now),
    }
}

fn touch_virtual(
    view: &View,
    recurrence_id: LocalDateTime,
    touch: Touch,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    let intent = view.intent()?;
    Refusal::check_version(expected, intent.version)?;
    let command = match touch {
        Touch::Skip => intent::Command::Skip { recurrence_id },
        Touch::Cancel => intent::Command::Cancel { recurrence_id },
        Touch::Reschedule(to) => intent::Command::Reschedule { recurrence_id, to },
    };
    let known = view.known(intent.id);
    let Idempotent::Applied(event) = intent::decide(intent, &command, &known, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    if let Touch::Reschedule(to) = touch {
        if let Lookup::Occurrence(occurrence) = intent.set.lookup(recurrence_id) {
            refuse_late(view, occurrence.start, principal.party(), now)?;
        }
        refuse_taken(view, intent, recurrence_id, to, principal)?;
    }
    let mut after = intent::evolve(intent.clone(), &event);
    after.next_due_at = intent_due_at(&after, &view.known(after.id), now);
    let kind = match touch {
        Touch::Skip => "occurrence_skipped",
        Touch::Cancel => "occurrence_cancelled",
        Touch::Reschedule(_) => "occurrence_rescheduled",
    };
    let subject = Subject::Occurrence(intent.id, recurrence_id);
    let journal = Journal::new(subject, after.version, kind).with_body(json!({ "event": event }));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::Intent(after)],
    }))
}

fn touch_session(
    view: &View,
    session: &Session,
    touch: Touch,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    Refusal::check_version(expected, session.version)?;
    let service = view.service()?;
    let command = match touch {
        Touch::Skip | Touch::Cancel => session::Command::Cancel {
            by: principal.party(),
            late: is_late(session.starts_at, service, principal.party(), now),
        },
        Touch::Reschedule(to) => {
            let (starts_at, _) = session.zone.resolve(to);
            session::Command::Reschedule {
                starts_at,
                ends_at: starts_at + (session.ends_at - session.starts_at),
            }
        }
    };
    let Idempotent::Applied(event) = session::decide(session, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    if let Touch::Reschedule(to) = touch {
        refuse_late(view, session.starts_at, principal.party(), now)?;
        refuse_taken(view, view.intent()?, session.recurrence_id, to, principal)?;
    }
    let posting = follow(view, session, &event, now)?;
    Ok(Idempotent::Applied(commit(view, &event, posting, now)?))
}

/// A client who could move a session out of its late window could cancel it for nothing there.
fn refuse_late(
    view: &View,
    starts_at: DateTime<Utc>,
    party: Party,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let service = view.service()?;
    if !is_late(starts_at, service, party, now) {
        return Ok(());
    }
    let free_until = free_until(starts_at, service);
    Err(Refusal::TooLateToReschedule { free_until, now })
}

fn refuse_taken(
    view: &View,
    intent: &Intent,
    recurrence_id: LocalDateTime,
    to: LocalDateTime,
    principal: Principal,
) -> Result<(), Refusal> {
    let window = window_around(to)?;
    let (start, resolution) = intent.set.zone().resolve(to);
    let wanted = Occurrence {
        recurrence_id,
        start,
        end: intent.set.end_of(start),
        resolution,
        moved: true,
        cancelled: false,
    };
    let mut calendar = calendar(&view.intents, &view.sessions, window)?;
    calendar.retain(|item| item.address() != (intent.id, recurrence_id));
    let hours = &view.therapist()?.hours;
    Refusal::check_clashes(clashes(&[wanted], &calendar, hours), window, principal)
}
