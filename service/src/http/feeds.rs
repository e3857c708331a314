//! Bookings as iCalendar: a series as a file, and somebody's calendar behind a secret address.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::TimeDelta;
use clinic::access::{Action, Resource, allow};
use clinic::calendar_file::{SUMMARY, as_lived, change_feed, sequence};
use clinic::{PersonId, Recipient, Refusal, Scope, View};
use scheduler_core::ical::{Header, Outgoing, write};
use scheduler_core::intent::{Intent, IntentState};
use scheduler_core::session::Session;
use scheduler_core::zone::{END_OF_ZONE_DATA, START_OF_ZONE_DATA};
use scheduler_core::{ClientId, IntentId, RecurrenceSet, TherapistId, Window};
use serde::Serialize;
use store::Whose;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::Done;
use super::caller::{Caller, Command};
use super::occurrences::Nothing;
use super::params::Id;
use super::preview::Instead;
use super::problem::Problem;
use crate::{App, admission, random};

const PRODUCT: &str = "-//Standing//EN";
/// What is over for longer is in no feed.
const PAST: TimeDelta = TimeDelta::days(366);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(file))
        .routes(routes!(of_therapist))
        .routes(routes!(of_client))
        .routes(routes!(close_therapist))
        .routes(routes!(close_client))
}

/// The one page that asks for no token: whoever has the address has the calendar.
pub(super) fn public() -> axum::Router<App> {
    axum::Router::new().route("/feeds/{name}", get(feed))
}

/// Where a feed is. Shown once: what is stored is a hash.
#[derive(Debug, Serialize, ToSchema)]
struct FeedBody {
    /// The path on this service; null if the request was made before, for then it was shown.
    path: Option<String>,
}

/// A series as iCalendar: a component for each segment that the caller may see, with what became of
/// its sessions.
#[utoipa::path(get, path = "/intents/{id}/ical", tag = "calendars", operation_id = "of_intent", params(("id" = Uuid, Path)),
    responses((status = 200, content_type = "text/calendar", body = String)))]
async fn file(State(app): State<App>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    let named = caller.intent(&app, id).await?;
    let clinic = caller.0.clinic;
    let mut segments = app.store.segments(clinic, named.series).await?;
    segments.retain(|segment| allow(caller.0, Action::Read, Resource::of(segment)));
    let mut sessions = Vec::new();
    for segment in &segments {
        let whose = Whose::Intent(segment.id);
        sessions.extend(app.store.calendar(clinic, whose, always()?).await?.sessions);
    }
    admission::compute_last(|| calendar(&app, &segments, &sessions))
}

/// Open a therapist's feed: their appointments behind a secret address. An earlier one is closed.
#[utoipa::path(post, path = "/therapists/{id}/feed", tag = "calendars", operation_id = "open_therapist_feed", request_body = Nothing,
    params(("id" = Uuid, Path)), responses((status = 201, body = FeedBody)))]
async fn of_therapist(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<(StatusCode, Json<FeedBody>)>, Instead> {
    let whose = Recipient::Therapist(TherapistId(id));
    open(&app, &command, whose).await
}

/// Open a client's feed: their appointments behind a secret address. An earlier one is closed.
#[utoipa::path(post, path = "/clients/{id}/feed", tag = "calendars", operation_id = "open_client_feed", request_body = Nothing,
    params(("id" = Uuid, Path)), responses((status = 201, body = FeedBody)))]
async fn of_client(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<(StatusCode, Json<FeedBody>)>, Instead> {
    let whose = Recipient::Client(ClientId(id));
    open(&app, &command, whose).await
}

/// Close a therapist's feed: its address is nothing any more.
#[utoipa::path(post, path = "/therapists/{id}/feed/close", tag = "calendars", operation_id = "close_therapist_feed",
    request_body = Nothing, params(("id" = Uuid, Path)),
    responses((status = 200, body = FeedBody)))]
async fn close_therapist(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<(StatusCode, Json<FeedBody>)>, Instead> {
    let whose = Recipient::Therapist(TherapistId(id));
    close(&app, &command, whose).await
}

/// Close a client's feed: its address is nothing any more.
#[utoipa::path(post, path = "/clients/{id}/feed/close", tag = "calendars", operation_id = "close_client_feed",
    request_body = Nothing, params(("id" = Uuid, Path)),
    responses((status = 200, body = FeedBody)))]
async fn close_client(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<(StatusCode, Json<FeedBody>)>, Instead> {
    let whose = Recipient::Client(ClientId(id));
    close(&app, &command, whose).await
}

async fn open(
    app: &App,
    command: &Command<Nothing>,
    whose: Recipient,
) -> Result<Done<(StatusCode, Json<FeedBody>)>, Instead> {
    let secret = random::secret();
    let request = command.request(app);
    let principal = command.caller.0;
    let stored = app.vault.feed_secret(principal.clinic, whose, &secret)?;
    let decide = Box::new(move |view: &View| change_feed(view, whose, Some(stored), principal));
    let written = command.send(app, &request, scope(whose), decide).await?;
    let is_new = matches!(written, store::Written::Committed { .. });
    let path = is_new.then(|| format!("/feeds/{secret}.ics"));
    let answer = (StatusCode::CREATED, Json(FeedBody { path }));
    Ok(Done { written, answer })
}

async fn close(
    app: &App,
    command: &Command<Nothing>,
    whose: Recipient,
) -> Result<Done<(StatusCode, Json<FeedBody>)>, Instead> {
    let request = command.request(app);
    let principal = command.caller.0;
    let decide = Box::new(move |view: &View| change_feed(view, whose, None, principal));
    let written = command.send(app, &request, scope(whose), decide).await?;
    let answer = (StatusCode::OK, Json(FeedBody { path: None }));
    Ok(Done { written, answer })
}

fn scope(whose: Recipient) -> Scope {
    let id = match whose {
        Recipient::Client(id) => PersonId::Client(id),
        Recipient::Therapist(id) => PersonId::Therapist(id),
    };
    Scope::Person {
        id,
        email: Vec::new(),
    }
}

/// Somebody's calendar, by the secret in its address.
async fn feed(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Problem> {
    let caller = admission::Caller {
        id: Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()),
        is_limited: true,
    };
    let place = app.admission.enter(caller).await?;
    place.run(read(&app, &name)).await
}

async fn read(app: &App, name: &str) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("feed");
    let secret = name.strip_suffix(".ics").ok_or_else(unknown)?;
    let found = app.vault.feed(app.store.as_ref(), secret).await?;
    let (clinic, whose) = found.ok_or_else(unknown)?;
    let whose = match whose {
        Recipient::Client(id) => Whose::Client(id),
        Recipient::Therapist(id) => Whose::Therapist(id),
    };
    let since = app.clock.now() - PAST;
    let rows = app.store.unfinished(clinic, whose, since).await?;
    let mut recent = rows.intents;
    recent.retain(|intent| intent.set.first_from(since, |_| true).is_some());
    let sessions = rows.sessions;
    admission::compute_last(|| calendar(app, &recent, &sessions))
}

/// Segments as one VCALENDAR; `sessions` are those of their whole series.
fn calendar(app: &App, segments: &[Intent], sessions: &[Session]) -> Result<Response, Problem> {
    let series: BTreeMap<IntentId, IntentId> =
        segments.iter().map(|one| (one.id, one.series)).collect();
    let mut lived: Vec<(String, u32, RecurrenceSet)> = Vec::new();
    let standing = segments
        .iter()
        .filter(|one| one.state != IntentState::Withdrawn);
    for segment in standing {
        let own = sessions
            .iter()
            .filter(|session| series.get(&session.intent) == Some(&segment.series));
        let own: Vec<Session> = own.cloned().collect();
        let set = as_lived(segment, &own).map_err(Refusal::from)?;
        // Ended or split before its first date, it means nothing.
        if set.first_from(START_OF_ZONE_DATA, |_| true).is_some() {
            lived.push((
                format!("{}@standing", segment.id),
                sequence(segment, &own),
                set,
            ));
        }
    }
    let outgoing: Vec<Outgoing<'_>> = lived
        .iter()
        .map(|(uid, sequence, set)| Outgoing {
            uid,
            sequence: *sequence,
            summary: Some(SUMMARY),
            set,
        })
        .collect();
    let header = Header {
        method: None,
        stamp: app.clock.now(),
        product: PRODUCT,
    };
    let text = write(&header, &outgoing)
        .map_err(|error| Problem::new(StatusCode::CONFLICT, "too_many_dates", error.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, "text/calendar; charset=utf-8"),
        (header::CACHE_CONTROL, "private, max-age=300"),
    ];
    Ok((headers, text).into_response())
}

fn always() -> Result<Window, Problem> {
    let all = Window::new(START_OF_ZONE_DATA, END_OF_ZONE_DATA);
    all.map_err(|_| Problem::internal())
}
