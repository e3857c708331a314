//! What bookings, sessions and holds say of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clinic::ClinicId;
use clinic::credit::hold_of;
use ledger_core::{HoldId, OpenHold};
use scheduler_core::intent::{Intent, as_of};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{IntentId, SessionId};
use store::{PAGE_MAX, Page, Store, StoreError, Which, Whose};
use uuid::Uuid;

use super::{Finding, finding};

/// All live sessions of a clinic.
async fn live_sessions(store: &dyn Store, clinic: ClinicId) -> Result<Vec<Session>, StoreError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_MAX,
        };
        let sessions = store
            .sessions(clinic, Whose::Clinic, Which::Live, page)
            .await?;
        let Some(last) = sessions.last() else {
            return Ok(all);
        };
        after = Some(last.id.0);
        all.extend(sessions);
    }
}

/// How often a suspicion is looked at again: the service goes on working, and what was read of two
/// places at two times may not fit.
const LOOKS: u32 = 3;
/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(200);

/// Live sessions of one person must not overlap.
pub(super) async fn overlaps(store: &dyn Store, clinic: ClinicId) -> Result<Finding, StoreError> {
    let mut found = Vec::new();
    let mut count = 0;
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let live = live_sessions(store, clinic).await?;
        count = live.len();
        let seen = overlapping(&live);
        // Only what is seen every time is so.
        found = match look {
            0 => seen,
            _ => found
                .into_iter()
                .filter(|pair| seen.contains(pair))
                .collect(),
        };
        if found.is_empty() {
            break;
        }
    }
    let seen = match found.first() {
        None => format!("none among {count} live sessions"),
        Some((one, other)) => format!("{} pairs, the first {one} and {other}", found.len()),
    };
    let to_do = "Reschedule or cancel one of each pair. The database's constraints should have \
                 refused them: were they dropped?";
    Ok(finding("overlaps", seen, !found.is_empty(), to_do))
}

fn overlapping(live: &[Session]) -> Vec<(SessionId, SessionId)> {
    let mut by_person: BTreeMap<Uuid, Vec<&Session>> = BTreeMap::new();
    for session in live {
        for person in [session.therapist.0, session.client.0] {
            by_person.entry(person).or_default().push(session);
        }
    }
    let mut found = Vec::new();
    for sessions in by_person.values_mut() {
        sessions.sort_by_key(|session| (session.starts_at, session.id));
        let pairs = sessions.windows(2);
        let pairs = pairs.filter(|pair| pair[1].starts_at < pair[0].ends_at);
        found.extend(pairs.map(|pair| (pair[0].id, pair[1].id)));
    }
    found
}

/// Scheduled sessions and open holds are the same, and for the same service and time.
pub(super) async fn holds(store: &dyn Store, clinic: ClinicId) -> Result<Finding, StoreError> {
    let live = live_sessions(store, clinic).await?;
    let scheduled = live
        .iter()
        .filter(|session| session.state == SessionState::Scheduled);
    let scheduled: BTreeMap<HoldId, &Session> = scheduled
        .map(|session| (hold_of(session), session))
        .collect();
    let mut odd: BTreeSet<HoldId> = scheduled.keys().copied().collect();
    let count = odd.len();
    let accounts = store.accounts().await?.into_iter();
    for (_, client) in accounts.filter(|(of, _)| *of == clinic) {
        if let Some(account) = store.account(clinic, client).await? {
            for open in account.holds() {
                let session = scheduled.get(&open.id);
                if session.is_some_and(|session| is_of(open, session)) {
                    odd.remove(&open.id);
                } else {
                    odd.insert(open.id);
                }
            }
        }
    }
    let mut wrong = Vec::new();
    for hold in odd {
        if !fits(store, clinic, hold).await? {
            wrong.push(hold);
        }
    }
    let seen = match wrong.first() {
        None => format!("{count} scheduled sessions, a hold each"),
        Some(first) => format!(
            "{} odd ones, the first of session {}",
            wrong.len(),
            first.booking
        ),
    };
    let to_do = "A scheduled session must have its hold, for its service and time, and no other session \
                 one. Look at the session and its client's ledger; cancel the session, or complete it, to \
                 put it right.";
    Ok(finding("holds", seen, !wrong.is_empty(), to_do))
}

/// Whether a session is scheduled just if its hold is open, and they agree, at any of a few looks.
async fn fits(store: &dyn Store, clinic: ClinicId, hold: HoldId) -> Result<bool, StoreError> {
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let Some(session) = store.session(clinic, SessionId(hold.booking)).await? else {
            return Ok(false);
        };
        let scheduled = session.state == SessionState::Scheduled && hold_of(&session) == hold;
        let account = store.account(clinic, session.client).await?;
        let open = account.as_ref().and_then(|account| account.hold(hold));
        if scheduled == open.is_some() && open.is_none_or(|open| is_of(open, &session)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an open hold is for the service and the time of its session.
fn is_of(open: &OpenHold, session: &Session) -> bool {
    open.service.0 == session.service.0 && open.slot_start == session.starts_at
}

/// Every booking is filed under the instants that its dates begin and end at: else no calendar has it.
pub(super) async fn filed(store: &dyn Store, clinic: ClinicId) -> Result<Finding, StoreError> {
    let misfiled = store.misfiled(clinic).await?;
    let seen = match misfiled.first() {
        None => "every booking is found by when it begins and is over".to_owned(),
        Some(first) => format!(
            "{} bookings are not found, the first {first}",
            misfiled.len()
        ),
    };
    let to_do = "Keep a copy, and find who wrote to the database: the columns begins_at and over_at are not what \
                 the service writes. Any change of the booking writes them anew.";
    Ok(finding("calendars", seen, !misfiled.is_empty(), to_do))
}

/// The segments of every series are what the journal says became of them.
pub(super) async fn series(store: &dyn Store, clinic: ClinicId) -> Result<Finding, StoreError> {
    let (mut all, mut after) = (BTreeSet::new(), None);
    loop {
        let limit = PAGE_MAX;
        let page = Page { after, limit };
        let intents = store.intents(clinic, Whose::Clinic, page).await?;
        let Some(last) = intents.last() else { break };
        after = Some(last.id.0);
        all.extend(intents.iter().map(|intent| intent.series));
    }
    let mut wrong = Vec::new();
    for &series in &all {
        if !is_as_journaled(store, clinic, series).await? {
            wrong.push(series);
        }
    }
    let seen = match wrong.first() {
        None => format!("{} series are as the journal has them", all.len()),
        Some(first) => format!("{} series differ, the first {first}", wrong.len()),
    };
    let to_do = "Keep a copy, and compare with `GET /api/v1/intents/ID/history`: the booking or its \
                 journal was changed in the database.";
    Ok(finding("series", seen, !wrong.is_empty(), to_do))
}

/// Whether the events of a series give its segments as they are stored, at any of a few looks. When the
/// planner looks at a segment next is not among the events.
async fn is_as_journaled(
    store: &dyn Store,
    clinic: ClinicId,
    series: IntentId,
) -> Result<bool, StoreError> {
    let sorted = |mut segments: Vec<Intent>| {
        segments.sort_by_key(|segment| segment.id);
        segments
            .iter_mut()
            .for_each(|segment| segment.next_due_at = None);
        segments
    };
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let stored = store.segments(clinic, series).await?;
        let history = store.history(clinic, series).await?;
        if sorted(stored) == sorted(as_of(&history, DateTime::<Utc>::MAX_UTC)) {
            return Ok(true);
        }
    }
    Ok(false)
}
