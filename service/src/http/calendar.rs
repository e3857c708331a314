//! Appointments as the API shows them, sessions and virtual occurrences alike; and the time that they take.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use clinic::{SlotRules, credit};
use ledger_core::Key;
use scheduler_core::LocalDateTime;
use scheduler_core::calendar::{BUFFER_MINUTES_MAX, Buffers, Calendar, Item, page};
use scheduler_core::intent::Intent;
use scheduler_core::session::{Party, Session, SessionState};
use scheduler_core::zone::{END_OF_ZONE_DATA, Resolution, START_OF_ZONE_DATA};
use scheduler_core::{ServiceId, Window};
use serde::Serialize;
use store::Whose;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Json, List};
use super::caller::Caller;
use super::params::{BusyParams, WindowParams, cursor};
use super::problem::{Problem, instant};
use crate::App;
use crate::admission::compute_last;

/// One occurrence of a standing booking. `intent_id` and `recurrence_id` are its address, whether
/// it is virtual or a session, and however often it is moved.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OccurrenceBody {
    intent_id: Uuid,
    /// The wall time that the rule generated.
    recurrence_id: String,
    therapist_id: Uuid,
    client_id: Uuid,
    service_id: Uuid,
    /// Whether it is a session already, or exists only as intent.
    materialized: bool,
    /// The session's id, once it is one.
    session_id: Option<Uuid>,
    /// virtual, cancelled, skipped or paused before it is a session; then scheduled, unfunded, case,
    /// completed, no_show, cancelled or missed.
    state: String,
    /// Who cancelled it: client, therapist or clinic.
    cancelled_by: Option<String>,
    /// Whether it was cancelled inside the late window.
    late: Option<bool>,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    /// The wall time it starts at, in `zone`.
    starts_local: String,
    zone: String,
    /// Whether it starts at another time than its recurrence-id.
    moved: bool,
    /// unique, gap (the wall time is skipped, so it was shifted) or fold (the first of two); null
    /// for a session.
    resolution: Option<String>,
    /// The key of the credit held for it. It stays when it is rescheduled.
    hold: Option<String>,
    /// The session's version, or the intent's while it is virtual.
    version: u64,
}

impl OccurrenceBody {
    /// Its intent and recurrence-id.
    pub(super) fn address(&self) -> (Uuid, &str) {
        (self.intent_id, &self.recurrence_id)
    }
}

/// A page of what somebody's calendar has in a window, by start.
pub(super) async fn calendar(
    app: &App,
    caller: &Caller,
    whose: Whose,
    params: &WindowParams,
) -> Result<Json<List<OccurrenceBody>>, Problem> {
    let (window, after, limit) = (params.window(app)?, params.after()?, params.limit()?);
    let rows = app.store.calendar(caller.0.clinic, whose, window).await?;
    let items = compute_last(|| page(&rows.intents, &rows.sessions, window, after, limit));
    let items = items.map_err(clinic::Refusal::from)?;
    let last = items.last().filter(|_| items.len() == limit);
    let next = last.map(|last| cursor((last.start(), last.address())));
    Ok(Json(List::part(items.iter().map(body).collect(), next)))
}

/// A stretch of time that is taken: `[starts_at, ends_at)`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BusyBody {
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

/// A page of the stretches of a window that somebody's bookings take. `rules` has the buffers that count.
pub(super) async fn busy(
    app: &App,
    caller: &Caller,
    whose: Whose,
    params: &BusyParams,
    rules: &BTreeMap<ServiceId, SlotRules>,
) -> Result<Json<List<BusyBody>>, Problem> {
    let (window, limit) = (params.window(app)?, params.limit()?);
    let rows = app
        .store
        .calendar(caller.0.clinic, whose, reaching_into(window));
    let rows = rows.await?;
    let buffers = |id| rules.get(&id).map_or(Buffers::NONE, |rules| rules.buffers);
    let found =
        compute_last(|| Calendar::new(&rows.intents, &rows.sessions, buffers).busy(window, limit));
    let found = found.map_err(clinic::Refusal::from)?;
    let last = found.last().filter(|_| found.len() == limit);
    let next = last.filter(|last| last.end() < window.end());
    let next = next.map(|last| instant(last.end()));
    let items = found.iter().map(|busy| BusyBody {
        starts_at: busy.start(),
        ends_at: busy.end(),
    });
    Ok(Json(List::part(items.collect(), next)))
}

/// The window in which an appointment may be whose buffers reach into this one.
fn reaching_into(window: Window) -> Window {
    let longest = TimeDelta::minutes(BUFFER_MINUTES_MAX.into());
    let start = (window.start() - longest).max(START_OF_ZONE_DATA);
    Window::new(start, (window.end() + longest).min(END_OF_ZONE_DATA)).unwrap_or(window)
}

pub(super) fn body(item: &Item<'_>) -> OccurrenceBody {
    match item {
        Item::Session(session) => of_session(session),
        Item::Virtual { intent, occurrence } => OccurrenceBody {
            moved: occurrence.moved,
            state: if occurrence.cancelled {
                "cancelled"
            } else {
                "virtual"
            }
            .to_owned(),
            resolution: Some(resolution(occurrence.resolution).to_owned()),
            ..virtually(
                intent,
                occurrence.recurrence_id,
                occurrence.start,
                occurrence.end,
            )
        },
    }
}

/// A date that was left out, or on which the booking rests.
pub(super) fn without(intent: &Intent, at: LocalDateTime, state: &str) -> OccurrenceBody {
    let (start, how) = intent.set.zone().resolve(at);
    OccurrenceBody {
        state: state.to_owned(),
        resolution: Some(resolution(how).to_owned()),
        ..virtually(intent, at, start, intent.set.end_of(start))
    }
}

fn virtually(
    intent: &Intent,
    at: LocalDateTime,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> OccurrenceBody {
    let zone = intent.set.zone();
    OccurrenceBody {
        intent_id: intent.id.0,
        recurrence_id: at.to_string(),
        therapist_id: intent.therapist.0,
        client_id: intent.client.0,
        service_id: intent.service.0,
        materialized: false,
        session_id: None,
        state: String::new(),
        cancelled_by: None,
        late: None,
        starts_at: start,
        ends_at: end,
        starts_local: zone.local(start).to_string(),
        zone: zone.to_string(),
        moved: false,
        resolution: None,
        hold: None,
        version: intent.version,
    }
}

fn of_session(session: &Session) -> OccurrenceBody {
    let (by, late) = match session.state {
        SessionState::Cancelled { by, late, .. } => (Some(by), Some(late)),
        _ => (None, None),
    };
    let held = session.state == SessionState::Scheduled;
    let starts_local = session.zone.local(session.starts_at);
    OccurrenceBody {
        intent_id: session.intent.0,
        recurrence_id: session.recurrence_id.to_string(),
        therapist_id: session.therapist.0,
        client_id: session.client.0,
        service_id: session.service.0,
        materialized: true,
        session_id: Some(session.id.0),
        state: session.state.name().to_owned(),
        cancelled_by: by.map(|by| party(by).to_owned()),
        late,
        starts_at: session.starts_at,
        ends_at: session.ends_at,
        starts_local: starts_local.to_string(),
        zone: session.zone.to_string(),
        moved: session.is_moved(),
        resolution: None,
        hold: held.then(|| Key::hold(credit::hold_of(session)).to_string()),
        version: session.version,
    }
}

fn resolution(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Unique => "unique",
        Resolution::Gap => "gap",
        Resolution::Fold => "fold",
    }
}

fn party(party: Party) -> &'static str {
    match party {
        Party::Client => "client",
        Party::Therapist => "therapist",
        Party::Clinic => "clinic",
    }
}
