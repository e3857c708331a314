//! Occurrences, virtual or not: shown alike, changed alike.

use axum::extract::State;
use clinic::occurrence::{Touch, touch};
use clinic::reassignment::{self, reassign_one};
use clinic::{Address, Scope, Subject, View};
use scheduler_core::calendar::Item;
use scheduler_core::intent::Intent;
use scheduler_core::set::Lookup;
use scheduler_core::{IntentId, LocalDateTime, TherapistId};
use serde::Deserialize;
use store::Written;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, Versioned};
use super::calendar::{OccurrenceBody, body, without};
use super::caller::{Caller, Command};
use super::params::{OccurrenceId, local};
use super::preview::Instead;
use super::problem::Problem;
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(reschedule))
        .routes(routes!(skip))
        .routes(routes!(cancel))
        .routes(routes!(amend))
        .routes(routes!(add))
        .routes(routes!(reassign))
}

/// A new wall time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTime {
    /// In the intent's zone.
    #[schema(example = "2026-03-10T18:00:00")]
    pub(super) starts_local: String,
}

/// A new length.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLength {
    #[schema(example = 80)]
    minutes: u32,
}

/// Another therapist.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OtherTherapist {
    therapist_id: Uuid,
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
    shown(&app, &caller, intent, at).await
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
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
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
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
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
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let address = Address::Occurrence(IntentId(intent), at);
    change(&app, &command, address, Touch::Cancel).await
}

/// Give one occurrence another length.
#[utoipa::path(post, path = "/intents/{id}/occurrences/{recurrence_id}/amend",
    tag = "occurrences", request_body = NewLength,
    params(("id" = Uuid, Path), ("recurrence_id" = String, Path)),
    responses((status = 200, body = OccurrenceBody)))]
async fn amend(
    State(app): State<App>,
    OccurrenceId(intent, at): OccurrenceId,
    command: Command<NewLength>,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let address = Address::Occurrence(IntentId(intent), at);
    let minutes = command.body.minutes;
    change(&app, &command, address, Touch::Amend(minutes)).await
}

/// Have this date: one that was left out, called off or paused, or one more.
#[utoipa::path(post, path = "/intents/{id}/occurrences/{recurrence_id}/add",
    tag = "occurrences", request_body = Nothing,
    params(("id" = Uuid, Path), ("recurrence_id" = String, Path)),
    responses((status = 200, body = OccurrenceBody)))]
async fn add(
    State(app): State<App>,
    OccurrenceId(intent, at): OccurrenceId,
    command: Command<Nothing>,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let address = Address::Occurrence(IntentId(intent), at);
    change(&app, &command, address, Touch::Add).await
}

/// Give one occurrence to another therapist, at its time: it is left out here, and becomes a booking of
/// its own in the same series, which is answered. Only staff do that.
#[utoipa::path(post, path = "/intents/{id}/occurrences/{recurrence_id}/reassign",
    tag = "occurrences", request_body = OtherTherapist,
    params(("id" = Uuid, Path), ("recurrence_id" = String, Path)),
    responses((status = 200, body = OccurrenceBody)))]
async fn reassign(
    State(app): State<App>,
    OccurrenceId(intent, at): OccurrenceId,
    command: Command<OtherTherapist>,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let request = command.request(&app);
    let to = TherapistId(command.body.therapist_id);
    let written = reassigned(&app, &command, &request, (intent, at), to).await?;
    let (intent, at) = match &written {
        Written::Committed {
            subject: Some(Subject::Occurrence(intent, at)),
            ..
        }
        | Written::Replayed(Subject::Occurrence(intent, at)) => (intent.0, *at),
        _ => (intent, at),
    };
    answer(&app, &command.caller, written, intent, at).await
}

/// Gives an occurrence to another therapist.
pub(super) async fn reassigned<T>(
    app: &App,
    command: &Command<T>,
    request: &store::Request,
    (intent, at): (Uuid, LocalDateTime),
    to: TherapistId,
) -> Result<Written, Instead> {
    let (principal, expected, now) = (command.caller.0, command.expected, request.at);
    let into = IntentId(random::id(now));
    let scope = reassignment::scope(IntentId(intent), to, now)?;
    let decide =
        Box::new(move |view: &View| reassign_one(view, at, to, into, principal, expected, now));
    command.send(app, request, scope, decide).await
}

/// Changes an occurrence and shows it.
pub(super) async fn change<T>(
    app: &App,
    command: &Command<T>,
    address: Address,
    wanted: Touch,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let request = command.request(app);
    let (principal, expected, now) = (command.caller.0, command.expected, request.at);
    let (intent, at) = locate(app, &command.caller, address).await?;
    let around = wanted.reach(now)?;
    let scope = Scope::Occurrence {
        address,
        around,
        // Who laid what is lifted.
        history: wanted == Touch::Add,
    };
    let decide = Box::new(move |view: &_| touch(view, at, wanted, principal, expected, now));
    let written = command.send(app, &request, scope, decide).await;
    let written = written.map_err(|instead| match address {
        Address::Session(_) => instead.or_missing("session"),
        Address::Occurrence(..) => instead,
    })?;
    answer(app, &command.caller, written, intent, at).await
}

/// Shows an occurrence after a command.
pub(super) async fn answer(
    app: &App,
    caller: &Caller,
    written: Written,
    intent: Uuid,
    at: LocalDateTime,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let answer = shown(app, caller, intent, at).await?;
    Ok(Done { written, answer })
}

/// An occurrence of the caller's.
pub(super) async fn shown(
    app: &App,
    caller: &Caller,
    intent: Uuid,
    at: LocalDateTime,
) -> Result<Versioned<OccurrenceBody>, Problem> {
    let intent = caller.intent(app, intent).await?;
    load(app, &intent, at, caller).await
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
        Lookup::Excluded => without(intent, at, "skipped"),
        Lookup::Paused => without(intent, at, "paused"),
        Lookup::NotGenerated => {
            return Err(Problem::not_found("occurrence").with("recurrence_id", at.to_string()));
        }
    };
    Ok(Versioned::ok(intent.version, body))
}
