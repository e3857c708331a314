//! What is stored with every change of a session: its row, its next due time, its credit, a notice.

use chrono::{DateTime, Utc};
use scheduler_core::session::{self, Command, Event, Session, SessionState};
use scheduler_core::{SessionId, intent};
use serde_json::json;

use crate::credit::Posting;
use crate::people::Service;
use crate::policy::{follow_up_at, notice_at};
use crate::{
    Change, Commit, Idempotent, Journal, Notification, NotificationKind, Refusal, Subject, View,
};

/// The commit of a session's event: the session after it, a notice, and the ledger's entries. A
/// credit that came free goes to the sessions that wait for one, earliest first.
pub(crate) fn commit(
    view: &View,
    event: &Event,
    posting: Posting,
    now: DateTime<Utc>,
) -> Result<Commit, Refusal> {
    let before = view.session()?;
    let mut session = session::evolve(before.clone(), event);
    session.next_due_at = due_at(&session, view.service()?, now);
    let moved = || {
        let kind = NotificationKind::Rescheduled;
        vec![Notification::to_client(kind, &session, now)]
    };
    let of_state = || Notification::of_state(&session, now);
    let (kind, told) = match event {
        Event::Funded => ("session_funded", of_state()),
        Event::Unfunded => ("session_unfunded", of_state()),
        Event::CaseOpened { .. } => ("session_case_opened", of_state()),
        Event::Rescheduled { .. } => ("session_rescheduled", moved()),
        // Each person gets one message about all their sessions, after all have moved.
        Event::Resolved { .. } => ("session_resolved", Vec::new()),
        Event::Cancelled { .. } => ("session_cancelled", of_state()),
        Event::CalledOff { .. } => ("session_called_off", of_state()),
        Event::Reopened => ("session_reopened", of_state()),
        Event::Rebound { from, to } if from.starts_at != to.starts_at => {
            ("session_rebound", moved())
        }
        Event::Rebound { .. } => ("session_rebound", Vec::new()),
        Event::Completed => ("session_completed", of_state()),
        Event::NoShow => ("session_no_show", of_state()),
    };
    let told = told.into_iter().map(Change::Notify);
    let subject = Subject::Occurrence(session.intent, session.recurrence_id);
    let (id, version) = (session.id, session.version);
    let mut changes = vec![Change::Session(session)];
    changes.extend(told);
    let funded = fund_waiting(view, posting, &[id], now, &mut changes)?;
    let journal = Journal::new(subject, version, kind)
        .with_body(json!({ "session": id, "event": event, "funded": funded }));
    Ok(Commit {
        journal: Some(journal),
        changes,
    })
}

/// The same commit, of what somebody did: it is in the history of the series too.
pub(crate) fn commit_of_somebody(
    view: &View,
    event: &Event,
    posting: Posting,
    now: DateTime<Utc>,
) -> Result<Commit, Refusal> {
    let Commit { journal, changes } = commit(view, event, posting, now)?;
    let journal = journal
        .map(|journal| in_history(view, journal))
        .transpose()?;
    Ok(Commit { journal, changes })
}

/// The commit of a session that takes its time again, as it is then without a credit: it gets one if there is
/// any, and its client is told.
pub(crate) fn commit_of_return(
    view: &View,
    mut session: Session,
    posting: Posting,
    held: bool,
    kind: &'static str,
    now: DateTime<Utc>,
) -> Result<Commit, Refusal> {
    if held {
        session = session::evolve(session, &Event::Funded);
    }
    session.next_due_at = due_at(&session, view.service()?, now);
    let told = Notification::of_state(&session, now);
    let subject = Subject::Occurrence(session.intent, session.recurrence_id);
    let (id, version) = (session.id, session.version);
    let mut changes = vec![Change::Session(session)];
    changes.extend(told.into_iter().map(Change::Notify));
    let funded = fund_waiting(view, posting, &[id], now, &mut changes)?;
    let body = json!({ "session": id, "funded": funded });
    let journal = Journal::new(subject, version, kind).with_body(body);
    Ok(Commit {
        journal: Some(in_history(view, journal)?),
        changes,
    })
}

/// A line about the session in view, which the history of its series has too.
pub(crate) fn in_history(view: &View, journal: Journal) -> Result<Journal, Refusal> {
    let event = intent::Event::SessionChanged {
        recurrence_id: view.session()?.recurrence_id,
        kind: journal.kind.to_owned(),
    };
    Ok(journal.of(view.intent()?, event))
}

/// Holds credits for the client's sessions that wait for one, earliest first, but for those that
/// are changed themselves, if anything was posted. Adds the rows, the ledger's included, and names
/// the sessions.
pub(crate) fn fund_waiting(
    view: &View,
    mut posting: Posting,
    changed: &[SessionId],
    now: DateTime<Utc>,
    changes: &mut Vec<Change>,
) -> Result<Vec<SessionId>, Refusal> {
    let mut funded = Vec::new();
    if posting.is_empty() {
        return Ok(funded);
    }
    for waiting in view
        .waiting
        .iter()
        .filter(|waiting| !changed.contains(&waiting.id))
    {
        let (next, held) = posting.hold(waiting, now)?;
        posting = next;
        let event = match session::decide(waiting, &Command::Fund, now)? {
            Idempotent::Applied(event) if held => event,
            _ => continue,
        };
        let mut session = session::evolve(waiting.clone(), &event);
        session.next_due_at = Some(follow_up_at(&session, now));
        funded.push(session.id);
        let notice = Notification::to_client(NotificationKind::Scheduled, &session, now);
        changes.extend([Change::Session(session), Change::Notify(notice)]);
    }
    changes.extend(posting.changed());
    Ok(funded)
}

/// When the worker has to look at a session next: at an unfunded one when its notice comes, at a
/// scheduled one when somebody is to be told something.
pub(crate) fn due_at(
    session: &Session,
    service: &Service,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    match session.state {
        SessionState::Unfunded => Some(notice_at(session.starts_at, service).max(now)),
        SessionState::Scheduled => Some(follow_up_at(session, now)),
        _ => None,
    }
}
