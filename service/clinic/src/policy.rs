//! The clinic's constants and the lines it draws in time.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::Account;
use scheduler_core::LocalDateTime;
use scheduler_core::intent::Intent;
use scheduler_core::materialize::next_due_at;
use scheduler_core::session::{Party, Session};

use crate::credit::hold_of;
use crate::people::Service;

/// How long before its start an occurrence becomes a session.
pub const HORIZON: TimeDelta = TimeDelta::days(7);
/// How long before a booking's start the calendar is looked at: dates may be moved to there.
pub const MOVED_MAX: TimeDelta = TimeDelta::days(31);
/// Of how many first dates of a booking a refusal says what could be done: half a year of weeks.
pub const ALTERNATIVES: usize = 24;
/// How long before its start a client is reminded of a session, the furthest first.
pub const REMINDERS: [TimeDelta; 2] = [TimeDelta::hours(24), TimeDelta::hours(1)];
/// How long after its end a therapist is asked how a session went.
pub const ATTENDANCE_AFTER: TimeDelta = TimeDelta::hours(1);
/// Of how many dates of a series it is asked whether a client may book them: a year of days. Dates at
/// times of their own are asked beside them, however many.
pub const DATES_ASKED: usize = 366;
/// The most clashes that a refusal lists.
pub const CLASHES_LISTED_MAX: usize = 50;

/// When the worker has to look at an intent next, of which these occurrences are sessions: never
/// before now, so that how long it has been due says how late the worker is.
#[must_use]
pub fn intent_due_at(
    intent: &Intent,
    known: &BTreeSet<LocalDateTime>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    next_due_at(intent, known, HORIZON).map(|due_at| due_at.max(now))
}

/// Until when a client changes a session freely.
#[must_use]
pub fn free_until(starts_at: DateTime<Utc>, service: &Service) -> DateTime<Utc> {
    starts_at - TimeDelta::minutes(i64::from(service.cancellation.free_until_minutes))
}

/// Whether calling a session off now is late. Only a client is ever late.
#[must_use]
pub fn is_late(
    starts_at: DateTime<Utc>,
    service: &Service,
    party: Party,
    now: DateTime<Utc>,
) -> bool {
    party == Party::Client && now > free_until(starts_at, service)
}

/// The last instant to which a client may move a session whose credit is held: so many days of grace
/// after the end of the credit, or after the session's old time if that is later. `None` if the credit
/// does not end.
#[must_use]
pub fn movable_until(
    account: &Account,
    session: &Session,
    service: &Service,
) -> Option<DateTime<Utc>> {
    let open = account.hold(hold_of(session))?;
    let lot = account.lot(open.allocation.first()?.lot)?;
    let ends = lot.extensions.iter().map(|one| one.until);
    let ends: Option<Vec<DateTime<Utc>>> = ends.chain([lot.expires_at]).collect();
    let end = ends?.into_iter().max()?.max(session.starts_at);
    let grace = TimeDelta::days(service.cancellation.grace_days.into());
    end.checked_add_signed(grace)
}

/// From when on a client who has not come is a no-show.
#[must_use]
pub fn no_show_at(session: &Session, service: &Service) -> DateTime<Utc> {
    let patience = service.cancellation.no_show_after_minutes;
    session.starts_at + TimeDelta::minutes(patience.into())
}

/// When an unfunded session is left to a person.
#[must_use]
pub fn notice_at(starts_at: DateTime<Utc>, service: &Service) -> DateTime<Utc> {
    starts_at - TimeDelta::minutes(i64::from(service.notice_minutes))
}

/// When somebody is next told something about a scheduled session: at the next reminder after
/// `now`, or after its end.
#[must_use]
pub fn follow_up_at(session: &Session, now: DateTime<Utc>) -> DateTime<Utc> {
    let reminders = REMINDERS.iter().map(|before| session.starts_at - *before);
    reminders
        .into_iter()
        .find(|at| *at > now)
        .unwrap_or(session.ends_at + ATTENDANCE_AFTER)
}

/// The last reminder whose time has come, while the session has not begun.
#[must_use]
pub fn reminder_due(session: &Session, now: DateTime<Utc>) -> Option<TimeDelta> {
    let mut due = REMINDERS.into_iter().rev();
    due.find(|before| session.starts_at - *before <= now)
        .filter(|_| now < session.starts_at)
}
