//! What is stored with every change of a session: its row, its next due time, its credit, a notice.

use chrono::{DateTime, Utc};
use scheduler_core::session::{self, Command, Event, Session, SessionState};
use serde_json::json;

use crate::credit::Posting;
use crate::people::Service;
use crate::policy::notice_at;
use crate::{Change, Commit, Idempotent, Journal, Notification, Refusal, Subject, View};

/// The commit of a session's event: the session after it, its ledger change, and the notice.
pub(crate) fn commit(
    view: &View,
    event: &Event,
    ledger: Option<Change>,
    now: DateTime<Utc>,
) -> Result<Commit, Refusal> {
    let before = view.session()?;
    let mut session = session::evolve(before.clone(), event);
    session.next_due_at = due_at(&session, view.service()?);
    let (kind, told) = match event {
        Event::Funded => ("session_funded", Some("session_scheduled")),
        Event::CaseOpened { .. } => ("session_case_opened", None),
        Event::Rescheduled { .. } => ("session_rescheduled", Some("session_rescheduled")),
        Event::Cancelled { .. } => ("session_cancelled", Some("session_cancelled")),
        Event::Completed => ("session_completed", None),
        Event::NoShow => ("session_no_show", None),
    };
    let told = told.map(|kind| Change::Notify(Notification::to_client(kind, &session, now)));
    let journal = Journal::new(
        Subject::Occurrence(session.intent, session.recurrence_id),
        session.version,
        kind,
    )
    .with_body(json!({ "session": session.id, "event": event }));
    let changes = std::iter::once(Change::Session(session))
        .chain(ledger)
        .chain(told);
    Ok(Commit {
        journal,
        changes: changes.collect(),
    })
}

/// Holds a credit for a session that waits for one. If there is one: the session after it, and
/// the notice.
pub(crate) fn try_fund(
    posting: Posting,
    waiting: &Session,
    now: DateTime<Utc>,
) -> Result<(Posting, Option<(Session, Notification)>), Refusal> {
    let (posting, held) = posting.hold(waiting, now)?;
    let event = match session::decide(waiting, &Command::Fund, now)? {
        Idempotent::Applied(event) if held => event,
        _ => return Ok((posting, None)),
    };
    let mut session = session::evolve(waiting.clone(), &event);
    session.next_due_at = None;
    let notice = Notification::to_client("session_scheduled", &session, now);
    Ok((posting, Some((session, notice))))
}

/// When the worker has to look at a session next: an unfunded one, when its notice comes.
pub(crate) fn due_at(session: &Session, service: &Service) -> Option<DateTime<Utc>> {
    let waits = session.state == SessionState::Unfunded;
    waits.then(|| notice_at(session.starts_at, service))
}
