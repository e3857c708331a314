//! Occurrences, virtual or not: shown alike, changed alike.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use clinic::occurrence::{Touch, touch, window_around};
use clinic::{Address, Scope, settlement};
use ledger_core::Key;
use scheduler_core::calendar::{Item, calendar as merge};
use scheduler_core::intent::Intent;
use scheduler_core::session::{Party, Session, SessionState};
use scheduler_core::set::Lookup;
use scheduler_core::zone::Resolution;
use scheduler_core::{IntentId, LocalDateTime, Window};
use serde::{Deserialize, Serialize};
use store::{Whose, Written};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List, Versioned};
use super::caller::{Caller, Command};
use super::intents::{local, visible};
use super::params::OccurrenceId;
use super::problem::Problem;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(reschedule))
        .routes(routes!(skip))
        .routes(routes!(cancel))
}

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
    /// planned, cancelled or skipped while it is virtual; then scheduled, unfunded, case,
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

/// A new wall time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTime {
    /// In the intent's zone.
    #[schema(example = "2026-03-10T18:00:00")]
    pub(super) starts_local: String,
}

/// Nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// One occurrence.
#[utoipa::path(get, path = "/intents/{id}/occurrences/{recurrence_id}", tag = "occurrences",
    params(("id" = Uuid, Path), ("recurrence_id" = String, Path, example = "2026-03-09T18:00:00")),
    responses((status = 200, body = OccurrenceBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    OccurrenceId(intent, at): OccurrenceId,
) -> Result<Versioned<OccurrenceBody>, Problem> {
    let intent = visible(&app, &caller, intent).await?;
    load(&app, &intent, at, &caller).await
}

/// Give one occurrence another time. A session keeps the credit held for it.
#[utoipa::path(post, path = "/intents/{id}/occurrences/{recurrence_id}/reschedule",
    tag = "occurrences", request_body = NewTime,
    params(("id" = Uuid, Path), ("recurrence_id" = String, Path)),
    responses((status = 200, body = OccurrenceBody)))]
async fn reschedule(
    State(app): State<App>,
    OccurrenceId(intent, at): OccurrenceId,
    command: Command<NewTime>,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    let to = local("starts_local", &command.body.starts_local)?;
    let address = Address::Occurrence(IntentId(intent), at);
    change(&app, &command, address, Touch::Reschedule(to)).await
}

/// Leave one occurrence out. A session is cancelled.
#[utoipa::path(post, path = "/intents/{id}/occurrences/{recurrence_id}/skip",
    tag = "occurrences", request_body = Nothing,
    params(("id" = Uuid, Path), ("recurrence_id" = String, Path)),
    responses((status = 200, body = OccurrenceBody)))]
async fn skip(
    State(app): State<App>,
    OccurrenceId(intent, at): OccurrenceId,
    command: Command<Nothing>,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    let address = Address::Occurrence(IntentId(intent), at);
    change(&app, &command, address, Touch::Skip).await
}

/// Call one occurrence off. A held credit is released in time, and forfeited late.
#[utoipa::path(post, path = "/intents/{id}/occurrences/{recurrence_id}/cancel",
    tag = "occurrences", request_body = Nothing,
    params(("id" = Uuid, Path), ("recurrence_id" = String, Path)),
    responses((status = 200, body = OccurrenceBody)))]
async fn cancel(
    State(app): State<App>,
    OccurrenceId(intent, at): OccurrenceId,
    command: Command<Nothing>,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    let address = Address::Occurrence(IntentId(intent), at);
    change(&app, &command, address, Touch::Cancel).await
}

/// Changes an occurrence and shows it.
pub(super) async fn change<T>(
    app: &App,
    command: &Command<T>,
    address: Address,
    wanted: Touch,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    let around = match wanted {
        Touch::Reschedule(to) => Some(window_around(to)?),
        Touch::Skip | Touch::Cancel => None,
    };
    let request = command.request(app);
    let (principal, expected, now) = (command.caller.0, command.expected, request.at);
    let (intent, at) = locate(app, &command.caller, address).await?;
    let scope = Scope::Occurrence { address, around };
    let decide = Box::new(move |view: &_| touch(view, at, wanted, principal, expected, now));
    let written = app.store.write(&request, scope, decide).await?;
    answer(app, &command.caller, written, intent, at).await
}

/// Shows an occurrence after a command.
pub(super) async fn answer(
    app: &App,
    caller: &Caller,
    written: Written,
    intent: Uuid,
    at: LocalDateTime,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    let intent = visible(app, caller, intent).await?;
    let answer = load(app, &intent, at, caller).await?;
    Ok(Done { written, answer })
}

/// The intent and recurrence-id of an address.
pub(super) async fn locate(
    app: &App,
    caller: &Caller,
    address: Address,
) -> Result<(Uuid, LocalDateTime), Problem> {
    match address {
        Address::Occurrence(intent, at) => Ok((intent.0, at)),
        Address::Session(id) => {
            let session = app.store.session(caller.0.clinic, id).await?;
            let session = session.ok_or_else(|| Problem::not_found("session"))?;
            Ok((session.intent.0, session.recurrence_id))
        }
    }
}

/// Everything of somebody's calendar in a window, by start.
pub(super) async fn calendar(
    app: &App,
    caller: &Caller,
    whose: Whose,
    window: Window,
) -> Result<Json<List<OccurrenceBody>>, Problem> {
    let rows = app.store.calendar(caller.0.clinic, whose, window).await?;
    let items = merge(&rows.intents, &rows.sessions, window).map_err(clinic::Refusal::from)?;
    Ok(Json(List::all(items.iter().map(body).collect())))
}

async fn load(
    app: &App,
    intent: &Intent,
    at: LocalDateTime,
    caller: &Caller,
) -> Result<Versioned<OccurrenceBody>, Problem> {
    let session = app.store.session_of(caller.0.clinic, intent.id, at).await?;
    if let Some(session) = session {
        return Ok(Versioned::ok(
            session.version,
            body(&Item::Session(&session)),
        ));
    }
    let body = match intent.set.lookup(at) {
        Lookup::Occurrence(occurrence) => body(&Item::Virtual { intent, occurrence }),
        Lookup::Excluded => skipped(intent, at),
        Lookup::NotGenerated => {
            return Err(Problem::not_found("occurrence").with("recurrence_id", at.to_string()));
        }
    };
    Ok(Versioned::ok(intent.version, body))
}

fn body(item: &Item<'_>) -> OccurrenceBody {
    match item {
        Item::Session(session) => of_session(session),
        Item::Virtual { intent, occurrence } => OccurrenceBody {
            moved: occurrence.moved,
            state: if occurrence.cancelled {
                "cancelled"
            } else {
                "planned"
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

fn skipped(intent: &Intent, at: LocalDateTime) -> OccurrenceBody {
    let (start, how) = intent.set.zone().resolve(at);
    OccurrenceBody {
        state: "skipped".to_owned(),
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
        SessionState::Cancelled { by, late } => (Some(by), Some(late)),
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
        moved: session.zone.resolve(session.recurrence_id).0 != session.starts_at,
        resolution: None,
        hold: held.then(|| Key::hold(settlement::hold_of(session)).to_string()),
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
