//! Changing one occurrence, virtual or not.
//!
//! An occurrence that has no session is changed in its intent, and stays virtual. Once it has one,
//! the session is changed, and the credit held for it follows.

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::intent;
use scheduler_core::session::{self, Party, Session, SessionState};
use scheduler_core::set::Lookup;
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, LocalDateTime, Window};

use crate::access::{Action, Principal, may_lift};
use crate::booking::check_minutes;
use crate::credit::{Posting, follow, take_back_forfeit};
use crate::free::Ground;
use crate::policy::{free_until, intent_due_at, is_late, movable_until};
use crate::quota;
use crate::series::may_lift_laid;
use crate::session_change::{commit_of_return, commit_of_somebody};
use crate::{Change, Commit, Decision, Idempotent, Journal, Refusal, Subject, View};

/// What is wanted of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Another time, as wall time in the intent's zone.
    Reschedule(LocalDateTime),
    /// Another length, in minutes.
    Amend(u32),
    /// Have this date: one that was left out, called off or paused, or one more.
    Add,
    /// Leave the date out, with nothing in its place. A session is cancelled.
    Skip,
    /// Call it off, visibly.
    Cancel,
}

impl Touch {
    /// The part of the calendar that it needs, if it takes time.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] at the ends of the calendar.
    pub fn reach(self, now: DateTime<Utc>) -> Result<Option<Window>, Refusal> {
        let window = match self {
            Self::Skip | Self::Cancel => return Ok(None),
            // In whatever zone it is meant.
            Self::Reschedule(to) => {
                let at = to.naive().and_utc();
                let reach = TimeDelta::days(4);
                Window::new(at - reach, at + reach).map_err(|_| to.to_string())
            }
            Self::Amend(_) | Self::Add => {
                Window::new(now, END_OF_ZONE_DATA).map_err(|_| now.to_string())
            }
        };
        window.map(Some).map_err(|value| Refusal::Invalid {
            field: "starts_local",
            value,
            expected: "a time within the calendar",
        })
    }
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
    if let Touch::Amend(minutes) = touch {
        check_minutes(minutes, view.service()?, principal)?;
    }
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
        Touch::Amend(minutes) => intent::Command::Amend {
            recurrence_id,
            minutes,
        },
        Touch::Add => intent::Command::Add { recurrence_id },
    };
    let known = view.known(intent.id);
    let Idempotent::Applied(event) = intent::decide(intent, &command, &known, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    if touch == Touch::Add {
        may_add(view, recurrence_id, principal)?;
    }
    let mut after = intent::evolve(intent.clone(), &event);
    if let Touch::Reschedule(_) = touch
        && let Lookup::Occurrence(occurrence) = intent.set.lookup(recurrence_id)
    {
        refuse_late(view, occurrence.start, principal.party(), now)?;
    }
    if let Touch::Reschedule(_) | Touch::Amend(_) | Touch::Add = touch
        && let Lookup::Occurrence(wanted) = after.set.lookup(recurrence_id)
    {
        quota::check(view, std::slice::from_ref(&after), principal, now)?;
        let address = (intent.id, recurrence_id);
        let had = match intent.set.lookup(recurrence_id) {
            Lookup::Occurrence(was) if !was.cancelled => Some((was.start, was.end)),
            _ => None,
        };
        let time = (wanted.start, wanted.end);
        refuse_taken(view, address, had, time, principal, now)?;
    }
    after.next_due_at = intent_due_at(&after, &view.known(after.id), now);
    let kind = match touch {
        Touch::Skip => "occurrence_skipped",
        Touch::Cancel => "occurrence_cancelled",
        Touch::Reschedule(_) => "occurrence_rescheduled",
        Touch::Amend(_) => "occurrence_amended",
        Touch::Add => "occurrence_added",
    };
    let subject = Subject::Occurrence(intent.id, recurrence_id);
    let journal = Journal::new(subject, after.version, kind).of(intent, event);
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::Intent(after)],
    }))
}

/// A date that somebody left out, called off or paused is had again by whoever did, or by staff.
fn may_add(view: &View, recurrence_id: LocalDateTime, principal: Principal) -> Result<(), Refusal> {
    let intent = view.intent()?;
    let is_off = match intent.set.lookup(recurrence_id) {
        Lookup::NotGenerated => false,
        Lookup::Occurrence(occurrence) => occurrence.cancelled,
        Lookup::Excluded | Lookup::Paused => true,
    };
    if !is_off {
        return Ok(());
    }
    let date = recurrence_id.date();
    let is_lifted = |event: &intent::Event| match event {
        intent::Event::Skipped { recurrence_id: at }
        | intent::Event::Cancelled { recurrence_id: at } => *at == recurrence_id,
        intent::Event::Paused { pause } => {
            pause.from <= date && pause.until.is_none_or(|until| date < until)
        }
        _ => false,
    };
    may_lift_laid(&view.records, &[intent.id], is_lifted, principal)
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
        Touch::Reschedule(to) => session::Command::Reschedule {
            starts_local: to,
            length: session.ends_at - session.starts_at,
        },
        Touch::Amend(minutes) => session::Command::Reschedule {
            starts_local: session.starts_local,
            length: TimeDelta::minutes(i64::from(minutes)),
        },
        Touch::Add if session.state.is_live() => return Ok(Idempotent::AlreadyApplied),
        Touch::Add => return restored(view, session, principal, now),
    };
    let Idempotent::Applied(event) = session::decide(session, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    if let session::Event::Rescheduled {
        starts_at, ends_at, ..
    } = event
    {
        let address = (session.intent, session.recurrence_id);
        refuse_late(view, session.starts_at, principal.party(), now)?;
        refuse_far(view, session, starts_at, principal.party())?;
        let had = Some((session.starts_at, session.ends_at));
        let is_case = matches!(session.state, SessionState::Case { .. });
        let had = had.filter(|_| !is_case);
        refuse_taken(view, address, had, (starts_at, ends_at), principal, now)?;
        if is_case {
            let after = session::evolve(session.clone(), &event);
            let (posting, held) = Posting::of(view.account()?).hold(&after, now)?;
            let kind = "session_rescheduled";
            let commit = commit_of_return(view, after, posting, held, kind, now)?;
            return Ok(Idempotent::Applied(commit));
        }
    }
    let posting = Posting::of(view.account()?);
    let posting = follow(view, posting, session, &event, now)?;
    let commit = commit_of_somebody(view, &event, posting, now)?;
    Ok(Idempotent::Applied(commit))
}

/// Has a session again that was called off, or is a case: at its time, if that is free, with its own credit if
/// it had one. What a late cancellation has cost comes back.
fn restored(view: &View, session: &Session, principal: Principal, now: DateTime<Utc>) -> Decision {
    let command = session::Command::Restore;
    let Idempotent::Applied(event) = session::decide(session, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let was_off = match session.state {
        SessionState::Cancelled { by, .. } => {
            may_lift(principal, by == principal.party())?;
            true
        }
        _ => false,
    };
    let address = (session.intent, session.recurrence_id);
    let time = (session.starts_at, session.ends_at);
    refuse_taken(view, address, None, time, principal, now)?;
    let after = session::evolve(session.clone(), &event);
    let posting = Posting::of(view.account()?);
    let (posting, held) = if was_off {
        let posting = take_back_forfeit(view, posting, session, principal, now)?;
        posting.restore(view, session, &after, principal, now)?
    } else {
        posting.hold(&after, now)?
    };
    let kind = "session_restored";
    let commit = commit_of_return(view, after, posting, held, kind, now)?;
    Ok(Idempotent::Applied(commit))
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

/// A client who could move a session as far as they like would have credits without an end.
pub(crate) fn refuse_far(
    view: &View,
    session: &Session,
    to: DateTime<Utc>,
    party: Party,
) -> Result<(), Refusal> {
    let service = view.service_of(session.service)?;
    match movable_until(view.account()?, session, service) {
        Some(until) if party == Party::Client && until < to && session.starts_at < to => {
            Err(Refusal::TooFarToReschedule { until, to })
        }
        _ => Ok(()),
    }
}

/// Refuses a time that is not free, or that is not offered to a client. What was within the time
/// that it `had` stays there, whatever the therapist's hours are by now.
fn refuse_taken(
    view: &View,
    address: (IntentId, LocalDateTime),
    had: Option<(DateTime<Utc>, DateTime<Utc>)>,
    time: (DateTime<Utc>, DateTime<Utc>),
    principal: Principal,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    if had.is_some_and(|had| had.0 <= time.0 && time.1 <= had.1) {
        return Ok(());
    }
    let service = view.service()?;
    let ground = Ground::new(view, &[], &[])?;
    let mut found = ground.offered(service, address.1, time, principal, now)?;
    found.extend(ground.clashes_of_one(address, service.id, time, now)?);
    ground.check(found, principal)
}
