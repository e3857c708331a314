//! What a scheduled session needs on its way: reminders before it, and the question after it how
//! it went.
//!
//! No reminder of the future is stored. A session's `next_due_at` names the next instant at which
//! somebody is to be told something about it, a pure function of its times; moving the session
//! moves it, and ending the session ends it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::policy::{follow_up_at, reminder_due};
use crate::{
    Change, Commit, Decision, Idempotent, Journal, Notification, NotificationKind, Subject, View,
};

/// Reminds the client of a session. After an outage only the last reminder that is due is given,
/// and none once the session has begun: the journal then keeps that it was missed.
///
/// # Errors
/// [`Refusal`](crate::Refusal) if the session is not in view.
pub fn remind(view: &View, now: DateTime<Utc>) -> Decision {
    let session = view.session()?;
    let mut after = session.clone();
    after.next_due_at = Some(follow_up_at(session, now));
    let mut changes = vec![Change::Session(after)];
    let journal = if let Some(before) = reminder_due(session, now) {
        let minutes = minutes(before);
        let kind = NotificationKind::Reminder { minutes };
        changes.push(Change::Notify(Notification::to_client(kind, session, now)));
        None
    } else {
        let subject = Subject::Occurrence(session.intent, session.recurrence_id);
        let journal = Journal::new(subject, session.version, "reminder_missed");
        Some(journal.with_body(json!({ "session": session.id })))
    };
    Ok(Idempotent::Applied(Commit { journal, changes }))
}

/// Asks the therapist of a session that is over how it went, once. Until somebody says, it stays
/// on the list of those whose attendance is unknown: silence never means that nobody came.
///
/// # Errors
/// [`Refusal`](crate::Refusal) if the session is not in view.
pub fn ask_attendance(view: &View, now: DateTime<Utc>) -> Decision {
    let session = view.session()?;
    let kind = NotificationKind::AttendanceUnknown;
    let question = Notification::to_therapist(kind, session, now);
    let mut after = session.clone();
    after.next_due_at = None;
    Ok(Idempotent::Applied(Commit {
        journal: None,
        changes: vec![Change::Session(after), Change::Notify(question)],
    }))
}

fn minutes(before: TimeDelta) -> u32 {
    u32::try_from(before.num_minutes()).unwrap_or(0)
}
