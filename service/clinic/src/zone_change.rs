//! Decisions after a change of a zone's law: wall times stay, instants move.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::intent::{self, Intent};
use scheduler_core::materialize::{LAW_CHANGE_MAX, next_due_at, plan_again};
use scheduler_core::session::{self, Command, Session};
use scheduler_core::{ClientId, TherapistId, Window};

use crate::credit::{Posting, follow};
use crate::notification::{Moved, Recipient};
use crate::policy::{HORIZON, intent_due_at};
use crate::session_change::commit;
use crate::zone_data::{MoveOutcome, ZoneMove};
use crate::{
    Change, Commit, Decision, Idempotent, Journal, Notification, NotificationKind, Refusal,
    Subject, View,
};

/// The most sessions that one message lists. A therapist has that many in a horizon, hardly more.
pub const MOVES_LISTED_MAX: usize = 200;

/// Returns the part of the calendar that a session's move needs, around its old and its new time.
///
/// # Errors
/// [`Refusal::Invalid`] at the ends of the calendar.
pub fn reach(session: &Session) -> Result<Window, Refusal> {
    let day = TimeDelta::days(1);
    let (starts_at, _) = session.resolved();
    let (first, last) = (
        session.starts_at.min(starts_at),
        session.starts_at.max(starts_at),
    );
    Window::new(first - day, last + day + day).map_err(|_| Refusal::Invalid {
        field: "starts_local",
        value: session.starts_local.to_string(),
        expected: "a time within the calendar",
    })
}

/// Resolves a session again that other zone data has computed. Its credit stays held, and its
/// reminders follow. If its new time is taken, it becomes a case, and its credit is free.
///
/// Its time is taken if another session keeps it, or moves to it and has the lower id, so the outcome does
/// not depend on the order. If another session has the time now and will leave it, nothing is decided yet,
/// unless `last` says that no session can move any more.
///
/// # Errors
/// [`Refusal`] if the stored state does not hold together.
pub fn resolve(view: &View, generation: u64, last: bool, now: DateTime<Utc>) -> Decision {
    let session = view.session()?;
    let Some(starts_at) = session.shifted(now) else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let time = session.resolved();
    let others = || others(view, session);
    let taken = others().any(|other| {
        let moves = other.shifted(now).is_some();
        let will = other.resolved();
        let is = (other.starts_at, other.ends_at);
        let keeps = if moves { will } else { is };
        overlap(keeps, time) && (!moves || other.id < session.id)
    });
    let blocked = others().any(|other| overlap((other.starts_at, other.ends_at), time));
    let live = session.state.is_live();
    if live && blocked && !taken && !last {
        return Ok(Idempotent::AlreadyApplied);
    }
    let command = Command::Resolve {
        taken: live && (taken || blocked),
    };
    let Idempotent::Applied(event) = session::decide(session, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let outcome = match event {
        _ if !live => MoveOutcome::Silent,
        session::Event::Resolved { taken: true, .. } => MoveOutcome::Case,
        _ => MoveOutcome::Moved,
    };
    let moved = ZoneMove {
        generation,
        session: session.id,
        intent: session.intent,
        therapist: session.therapist,
        client: session.client,
        zone: session.zone,
        starts_local: session.starts_local,
        was: session.starts_at,
        starts_at,
        outcome,
    };
    let posting = follow(view, Posting::of(view.account()?), session, &event, now)?;
    let mut commit = commit(view, &event, posting, now)?;
    commit.changes.push(Change::ZoneMove(moved));
    Ok(Idempotent::Applied(commit))
}

/// The other live sessions of therapist and client.
fn others<'a>(view: &'a View, session: &'a Session) -> impl Iterator<Item = &'a Session> {
    view.sessions.iter().filter(|other| {
        other.id != session.id
            && other.state.is_live()
            && (other.therapist == session.therapist || other.client == session.client)
    })
}

type Time = (DateTime<Utc>, DateTime<Utc>);

fn overlap(one: Time, other: Time) -> bool {
    one.0 < other.1 && other.0 < one.1
}

/// Whether a change of the zone data can concern an intent: it has an occurrence to come.
#[must_use]
pub fn concerns(intent: &Intent, now: DateTime<Utc>) -> bool {
    let from = now - LAW_CHANGE_MAX;
    let to_come = intent.set.first_from(from, |_| true);
    intent.next_due_at.is_some() || to_come.is_some()
}

/// Computes again when the planner looks at an intent next, and sets `done_through` back to occurrences
/// that have moved to before it.
///
/// # Errors
/// [`Refusal`] if the stored state does not hold together.
pub fn plan_intent_again(view: &View, now: DateTime<Utc>) -> Decision {
    let intent = view.intent()?;
    let known = view.known(intent.id);
    let event = plan_again(intent, &known, now)?;
    let mut after = intent.clone();
    if let Some(event) = &event {
        after = intent::evolve(after, event);
    }
    // What is due already stays due since then.
    let due_at = next_due_at(&after, &known, HORIZON).map(|due_at| due_at.max(now));
    let stored = intent.next_due_at.map(|due_at| due_at.max(now));
    if event.is_none() && due_at == stored {
        return Ok(Idempotent::AlreadyApplied);
    }
    after.next_due_at = intent_due_at(&after, &known, now);
    let journal = Journal::new(
        Subject::Intent(intent.id),
        intent.version,
        "intent_planned_again",
    );
    let journal = match event {
        Some(event) => journal.of(intent, event),
        None => journal,
    };
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::Intent(after)],
    }))
}

/// Returns one message for each person with moved sessions. A session that several generations moved before
/// any message was written has its first and its last time; a session that is back at its first time is
/// skipped.
#[must_use]
pub fn messages(moves: &[ZoneMove], generation: u64, now: DateTime<Utc>) -> Vec<Notification> {
    let mut sessions = BTreeMap::new();
    let told = moves
        .iter()
        .filter(|moved| moved.outcome != MoveOutcome::Silent);
    for moved in told {
        let one = sessions
            .entry(moved.session)
            .or_insert_with(|| moved.clone());
        one.starts_at = moved.starts_at;
        one.outcome = moved.outcome;
    }
    let mut all: Vec<ZoneMove> = sessions.into_values().collect();
    all.retain(|moved| moved.was != moved.starts_at || moved.outcome == MoveOutcome::Case);
    all.sort_by_key(|moved| (moved.starts_at, moved.session));
    let mut clients: BTreeMap<ClientId, Vec<Moved>> = BTreeMap::new();
    let mut therapists: BTreeMap<TherapistId, Vec<Moved>> = BTreeMap::new();
    for moved in &all {
        clients.entry(moved.client).or_default().push(listed(moved));
        let therapist = therapists.entry(moved.therapist).or_default();
        therapist.push(listed(moved));
    }
    let clients = clients.into_iter();
    let clients = clients.map(|(id, moves)| (Recipient::Client(id), moves));
    let therapists = therapists.into_iter();
    let therapists = therapists.map(|(id, moves)| (Recipient::Therapist(id), moves));
    clients
        .chain(therapists)
        .filter_map(|(recipient, mut moves)| {
            let session = moves.first()?.session;
            moves.truncate(MOVES_LISTED_MAX);
            Some(Notification {
                kind: NotificationKind::ClocksChanged { generation },
                session,
                slot_version: 0,
                recipient,
                due_at: now,
                moves,
            })
        })
        .collect()
}

fn listed(moved: &ZoneMove) -> Moved {
    Moved {
        session: moved.session,
        zone: moved.zone,
        starts_local: moved.starts_local,
        was: moved.was,
        starts_at: moved.starts_at,
        case: moved.outcome == MoveOutcome::Case,
    }
}

/// Commits a message about a change of the zone data. The store keeps one for each recipient and generation.
///
/// # Errors
/// None.
pub fn tell(message: Notification) -> Decision {
    Ok(Idempotent::Applied(Commit {
        journal: None,
        changes: vec![Change::Notify(message)],
    }))
}
