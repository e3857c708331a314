//! Standing bookings.

use axum::extract::State;
use axum::http::StatusCode;
use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use clinic::Subject;
use clinic::access::{Action, Resource};
use clinic::booking::{self, NewBooking};
use scheduler_core::intent::{Intent, IntentState};
use scheduler_core::proof::Remedy;
use scheduler_core::{
    ClientId, GapPolicy, IntentId, LocalDateTime, PausedSlot, Rule, ServiceId, TherapistId,
};
use serde::{Deserialize, Serialize};
use store::Whose;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, Json, List, Versioned};
use super::calendar::{OccurrenceBody, calendar};
use super::caller::{Caller, Command};
use super::params::{Id, PageParams, Params, WindowParams, local, zone};
use super::preview::Instead;
use super::problem::{Problem, rule as rule_problem};
use super::series::SlotBody;
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show))
        .routes(routes!(occurrences))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewIntentBody {
    therapist_id: Uuid,
    client_id: Uuid,
    service_id: Uuid,
    /// The wall time of the first occurrence, in `zone`.
    #[schema(example = "2026-03-02T18:00:00")]
    starts_local: String,
    #[schema(example = "Europe/London")]
    zone: String,
    /// The length. The service's, if not given.
    minutes: Option<u32>,
    /// RFC 5545 RRULE text; none for a single appointment.
    #[schema(example = "FREQ=WEEKLY;BYDAY=MO")]
    rule: Option<String>,
    /// What becomes of wall times that the zone skips: shifted forward, if not given.
    #[serde(default)]
    gap: GapBody,
    /// What is to become of dates that are not free, as a clash proposes it. All or nothing.
    #[serde(default)]
    resolutions: Vec<ResolutionBody>,
}

/// What is to become of one date of a booking that is not free.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DateResolution)]
#[serde(deny_unknown_fields)]
struct ResolutionBody {
    recurrence_id: String,
    /// The wall time it takes place at instead. If not given, it is left out.
    starts_local: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum GapBody {
    /// Moved forward by the length of the gap.
    #[default]
    Shift,
    /// The occurrence does not happen.
    Omit,
}

impl From<GapBody> for GapPolicy {
    fn from(body: GapBody) -> Self {
        match body {
            GapBody::Shift => Self::Shift,
            GapBody::Omit => Self::Omit,
        }
    }
}

/// A standing booking: one segment of a series.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IntentBody {
    id: Uuid,
    /// The id of the series' first segment.
    series_id: Uuid,
    /// The segment that it was split from.
    continues_id: Option<Uuid>,
    /// active, ended, continued (by another segment) or withdrawn (the change that made it was
    /// undone).
    state: String,
    /// The segment that has what followed.
    continued_by: Option<Uuid>,
    therapist_id: Uuid,
    client_id: Uuid,
    service_id: Uuid,
    starts_local: String,
    zone: String,
    minutes: u32,
    rule: Option<String>,
    gap: GapBody,
    /// Dates that the rule does not have.
    additions: Vec<String>,
    /// Recurrence-ids that were skipped.
    exclusions: Vec<String>,
    /// Stretches of dates on which nothing takes place.
    pauses: Vec<PauseBody>,
    /// Virtual occurrences that were moved, changed or cancelled.
    overrides: Vec<OverrideBody>,
    /// The first recurrence-id that is no more, if it was cut off.
    ends_local: Option<String>,
    /// When the next session will be made.
    next_due_at: Option<DateTime<Utc>>,
    version: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IntentPause)]
struct PauseBody {
    from: NaiveDate,
    /// The first date after it; null until further notice.
    until: Option<NaiveDate>,
    slot: SlotBody,
}

#[derive(Debug, Serialize, ToSchema)]
struct OverrideBody {
    recurrence_id: String,
    /// The wall time it was moved to.
    starts_local: Option<String>,
    /// Its own length.
    minutes: Option<u32>,
    cancelled: bool,
}

/// Make a standing booking: one row, whatever it means in sessions.
#[utoipa::path(post, path = "/intents", tag = "intents", request_body = NewIntentBody,
    responses((status = 201, body = IntentBody),
        (status = 409, description = "clash: the times that are not free, with the reasons"),
        (status = 422, description = "unknown_zone, invalid_rule, start_off_rule, ...")))]
async fn create(
    State(app): State<App>,
    command: Command<NewIntentBody>,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let principal = command.caller.0;
    let clinic = principal.clinic;
    let given = &command.body;
    command.makes_new()?;
    let rule: Option<Rule> = match &given.rule {
        Some(text) => Some(text.parse().map_err(|error| rule_problem(&error))?),
        None => None,
    };
    let request = command.request(&app);
    let new = NewBooking {
        id: IntentId(random::id(request.at)),
        therapist: TherapistId(given.therapist_id),
        client: ClientId(given.client_id),
        service: ServiceId(given.service_id),
        start: local("starts_local", &given.starts_local)?,
        zone: zone(&given.zone)?,
        minutes: given.minutes,
        rule,
        gap: given.gap.into(),
        resolutions: resolutions(&given.resolutions)?,
    };
    let scope = booking::scope(&new)?;
    let now = request.at;
    let decide = Box::new(move |view: &_| booking::book(view, new.clone(), principal, now));
    let id = |subject: &Subject| match subject {
        Subject::Intent(id) => Some(*id),
        _ => None,
    };
    let (written, id) = command.write(&app, &request, scope, decide, id).await?;
    let intent = app.store.intent(clinic, id).await?;
    let intent = intent.ok_or_else(Problem::internal)?;
    let answer = Versioned {
        status: StatusCode::CREATED,
        version: intent.version,
        body: body(&intent),
    };
    Ok(Done { written, answer })
}

/// Whose intents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only this therapist's.
    therapist_id: Option<Uuid>,
    /// Only this client's.
    client_id: Option<Uuid>,
    /// The `next` of the page before.
    cursor: Option<Uuid>,
    /// At most so many items, 1 to 200. 50, if not given.
    limit: Option<u32>,
}

/// Standing bookings: of a therapist, of a client, or of the whole clinic.
#[utoipa::path(get, path = "/intents", tag = "intents", params(ListParams),
    responses((status = 200, body = List<IntentBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Json<List<IntentBody>>, Problem> {
    let clinic = caller.0.clinic;
    let (whose, resource) = match (params.therapist_id, params.client_id) {
        (Some(_), Some(_)) => {
            let detail = "give one of therapist_id and client_id";
            return Err(Problem::unprocessable("invalid_value", "client_id", detail));
        }
        (Some(id), None) => {
            let id = TherapistId(id);
            (Whose::Therapist(id), Resource::Therapist(id))
        }
        (None, Some(id)) => {
            let client = caller.client(&app, id).await?;
            let resource = Resource::Client {
                id: client.id,
                assigned: client.therapist,
            };
            (Whose::Client(client.id), resource)
        }
        (None, None) => (Whose::Clinic, Resource::Clinic),
    };
    caller.may(Action::Read, resource, "page")?;
    let page = PageParams::new(params.cursor, params.limit).page()?;
    let intents = app.store.intents(clinic, whose, page).await?;
    let items = intents.iter().map(body).collect();
    Ok(Json(List::page(items, page.limit, |item: &IntentBody| {
        item.id.to_string()
    })))
}

/// One standing booking.
#[utoipa::path(get, path = "/intents/{id}", tag = "intents",
    params(("id" = Uuid, Path)), responses((status = 200, body = IntentBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Versioned<IntentBody>, Problem> {
    let intent = caller.intent(&app, id).await?;
    Ok(Versioned::ok(intent.version, body(&intent)))
}

/// Its occurrences in a window, years ahead if you like. Nothing is stored.
#[utoipa::path(get, path = "/intents/{id}/occurrences", tag = "occurrences", operation_id = "list",
    params(("id" = Uuid, Path), WindowParams),
    responses((status = 200, body = List<OccurrenceBody>)))]
async fn occurrences(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<WindowParams>,
) -> Result<Json<List<OccurrenceBody>>, Problem> {
    let intent = caller.intent(&app, id).await?;
    calendar(&app, &caller, Whose::Intent(intent.id), &params).await
}

fn resolutions(given: &[ResolutionBody]) -> Result<Vec<(LocalDateTime, Remedy)>, Problem> {
    let one = |body: &ResolutionBody| {
        let at = local("resolutions.recurrence_id", &body.recurrence_id)?;
        let remedy = match &body.starts_local {
            None => Remedy::Skip,
            Some(to) => Remedy::MoveTo(local("resolutions.starts_local", to)?),
        };
        Ok((at, remedy))
    };
    given.iter().map(one).collect()
}

pub(super) fn body(intent: &Intent) -> IntentBody {
    let set = &intent.set;
    let deviations = set.deviations();
    let overrides = deviations
        .overrides
        .iter()
        .map(|(at, changed)| OverrideBody {
            recurrence_id: at.to_string(),
            starts_local: changed.start.map(|start| start.to_string()),
            minutes: changed.minutes,
            cancelled: changed.cancelled,
        });
    let pauses = deviations.pauses.iter().map(|pause| PauseBody {
        from: pause.from,
        until: pause.until,
        slot: match pause.slot {
            PausedSlot::Kept => SlotBody::Kept,
            PausedSlot::Freed => SlotBody::Freed,
        },
    });
    let texts = |times: &BTreeSet<LocalDateTime>| times.iter().map(ToString::to_string).collect();
    IntentBody {
        id: intent.id.0,
        series_id: intent.series.0,
        continues_id: intent.continues.map(|id| id.0),
        state: intent.state.name().to_owned(),
        continued_by: match intent.state {
            IntentState::Continued { by } => Some(by.0),
            _ => None,
        },
        therapist_id: intent.therapist.0,
        client_id: intent.client.0,
        service_id: intent.service.0,
        starts_local: set.start().to_string(),
        zone: set.zone().to_string(),
        minutes: set.minutes(),
        rule: set.rule().map(ToString::to_string),
        gap: match set.gap_policy() {
            GapPolicy::Shift => GapBody::Shift,
            GapPolicy::Omit => GapBody::Omit,
        },
        additions: texts(&deviations.additions),
        exclusions: texts(&deviations.exclusions),
        pauses: pauses.collect(),
        ends_local: deviations.ends.map(|ends| ends.to_string()),
        overrides: overrides.collect(),
        next_due_at: intent.next_due_at,
        version: intent.version,
    }
}
