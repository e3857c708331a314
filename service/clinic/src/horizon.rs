//! What the tick makes real, and how it finds the credit for it.

use chrono::{DateTime, Utc};
use scheduler_core::intent::{self, Intent};
use scheduler_core::materialize::plan;
use scheduler_core::session::{self, CaseReason, Command, Session, SessionState};
use scheduler_core::set::Occurrence;
use scheduler_core::{SessionId, zone};
use serde_json::json;

use crate::credit::Posting;
use crate::policy::{HORIZON, intent_due_at};
use crate::session_change::{commit, due_at};
use crate::{Change, Commit, Decision, Idempotent, Journal, Notification, Subject, View};

/// Makes sessions of everything of one intent that starts within the horizon: session, hold,
/// notice and the intent's next due time in one commit.
///
/// # Errors
/// [`Refusal`](crate::Refusal) if the stored state does not hold together.
pub fn materialize(view: &View, now: DateTime<Utc>) -> Decision {
    let intent = view.intent()?;
    let service = view.service()?;
    let known = view.known(intent.id);
    let plan = plan(intent, &known, now, HORIZON)?;

    let mut posting = Posting::of(view.account()?);
    let mut taken: Vec<Session> = view.sessions.clone();
    let (mut rows, mut notices, mut planned) = (Vec::new(), Vec::new(), Vec::new());
    for occurrence in &plan.sessions {
        let mut session = new_session(intent, occurrence);
        if session.ends_at <= now {
            session.state = SessionState::Missed;
        } else if is_taken(&taken, &session) {
            let reason = CaseReason::Overlap;
            session.state = SessionState::Case { reason };
        } else {
            let (next, held) = posting.hold(&session, now)?;
            posting = next;
            if held {
                session.state = SessionState::Scheduled;
            }
        }
        notices.extend(Notification::of_state(&session, now));
        session.next_due_at = due_at(&session, service, now);
        planned.push(json!({
            "session": session.id,
            "recurrence_id": session.recurrence_id,
            "state": session.state.name(),
        }));
        taken.push(session.clone());
        rows.push(Change::NewSession(session));
    }

    let mut after = intent::evolve(intent.clone(), &plan.event);
    let planned_now = plan.sessions.iter().map(|planned| planned.recurrence_id);
    let known = known.into_iter().chain(planned_now).collect();
    after.next_due_at = intent_due_at(&after, &known, now);
    let journal = Journal::new(
        Subject::Intent(intent.id),
        intent.version,
        "sessions_materialized",
    )
    .with_body(json!({ "sessions": planned }))
    .of(intent, plan.event);
    let mut changes = vec![Change::Intent(after)];
    changes.append(&mut rows);
    changes.extend(posting.changed());
    changes.extend(notices.into_iter().map(Change::Notify));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes,
    }))
}

/// Looks once more for the credit of one unfunded session whose notice has come, and leaves it to
/// a person if there is none.
///
/// # Errors
/// [`Refusal`](crate::Refusal) if the stored state does not hold together.
pub fn fund(view: &View, now: DateTime<Utc>) -> Decision {
    let waiting = view.session()?;
    let (posting, held) = Posting::of(view.account()?).hold(waiting, now)?;
    let command = if held {
        Command::Fund
    } else {
        Command::OpenCase {
            reason: CaseReason::Unfunded,
        }
    };
    match session::decide(waiting, &command, now)? {
        Idempotent::AlreadyApplied => Ok(Idempotent::AlreadyApplied),
        Idempotent::Applied(event) => {
            let commit = commit(view, &event, posting, now)?;
            Ok(Idempotent::Applied(commit))
        }
    }
}

fn is_taken(taken: &[Session], session: &Session) -> bool {
    taken.iter().any(|other| {
        other.state.is_live()
            && (other.therapist == session.therapist || other.client == session.client)
            && other.starts_at < session.ends_at
            && session.starts_at < other.ends_at
    })
}

/// The session that an occurrence becomes, without a credit yet.
pub(crate) fn new_session(intent: &Intent, occurrence: &Occurrence) -> Session {
    let overrides = &intent.set.deviations().overrides;
    let moved = overrides.get(&occurrence.recurrence_id);
    let moved = moved.and_then(|changed| changed.start);
    Session {
        id: SessionId::of_occurrence(intent.id, occurrence.recurrence_id),
        intent: intent.id,
        recurrence_id: occurrence.recurrence_id,
        therapist: intent.therapist,
        client: intent.client,
        service: intent.service,
        starts_local: moved.unwrap_or(occurrence.recurrence_id),
        starts_at: occurrence.start,
        ends_at: occurrence.end,
        zone: intent.set.zone(),
        tzdb: zone::ZoneData::installed().release().to_owned(),
        state: SessionState::Unfunded,
        slot_version: 0,
        hold_generation: 1,
        next_due_at: None,
        // Above what was shown of the occurrence while it was virtual.
        version: intent.version + 1,
    }
}
