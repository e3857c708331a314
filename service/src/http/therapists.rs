//! Therapists and their weekly hours.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::NaiveDate;
use clinic::access::{Action, Resource};
use clinic::{Person, PersonId, Scope, Subject, Therapist, WorkingTimes, registration};
use scheduler_core::TherapistId;
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::rule::{weekday, weekday_name};
use serde::{Deserialize, Serialize};
use store::Whose;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, Json, List};
use super::calendar::{BusyBody, OccurrenceBody, busy, calendar};
use super::caller::{Caller, Command};
use super::params::{BusyParams, Id, PageParams, Params, WindowParams, zone};
use super::personal_data::email_hashes;
use super::preview::Instead;
use super::problem::{MissingBody, Problem};
use super::slots::slot_rules;
use crate::people::{self, Listed, Opened};
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register, list))
        .routes(routes!(show))
        .routes(routes!(sessions))
        .routes(routes!(taken))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTherapist {
    /// How they are called.
    name: String,
    /// Where they are written to.
    email: Option<String>,
    /// The IANA zone of their wall clock.
    #[schema(example = "Europe/London")]
    zone: String,
    /// When they work in a normal week. Nothing is booked outside it.
    hours: Vec<HoursBody>,
}

/// A therapist. Name and address stand sealed in the database.
#[derive(Serialize, ToSchema)]
pub(super) struct TherapistBody {
    id: Uuid,
    /// Null: they are erased, or it cannot be read.
    name: Option<String>,
    /// Why what is known of them is missing, in a list, though they are not erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<MissingBody>,
    /// Nothing is known of them any more.
    erased: bool,
    zone: String,
    hours: Vec<HoursBody>,
    /// Dates with other hours, or none.
    dates: BTreeMap<NaiveDate, Vec<DayHoursBody>>,
    /// The first date on which they work no more.
    retires_on: Option<NaiveDate>,
    /// Of the working times.
    version: u64,
}

/// `[from, to)` on a date, wall time of the therapist.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DayHoursBody {
    #[schema(example = "09:00")]
    pub(super) from: String,
    #[schema(example = "17:00")]
    pub(super) to: String,
}

/// `[from, to)` on one day, wall time of the therapist.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoursBody {
    /// MO, TU, WE, TH, FR, SA or SU.
    #[schema(example = "MO")]
    day: String,
    #[schema(example = "09:00")]
    from: String,
    /// `24:00` is the end of the day.
    #[schema(example = "17:00")]
    to: String,
}

/// Register a therapist.
#[utoipa::path(post, path = "/therapists", tag = "therapists", request_body = NewTherapist,
    responses((status = 201, body = TherapistBody)))]
async fn register(
    State(app): State<App>,
    command: Command<NewTherapist>,
) -> Result<Done<(StatusCode, Json<TherapistBody>)>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "page")?;
    command.makes_new()?;
    let new = &command.body;
    let hours = WeeklyHours::new(zone(&new.zone)?, all_hours(&new.hours)?)
        .map_err(|error| Problem::unprocessable("invalid_hours", "hours", error.to_string()))?;
    let request = command.request(&app);
    let (clinic, id) = (command.caller.0.clinic, TherapistId(random::id(request.at)));
    let person = Person::new(new.name.clone(), new.email.clone())?;
    email_hashes(&app, &command.caller, new.email.as_deref())?;
    let sealed = app
        .vault
        .seal_new(clinic, PersonId::Therapist(id), &person, request.at);
    let (sealed, dek, indexes) = sealed?;
    let therapist = Therapist {
        id,
        person: Some(sealed),
        times: WorkingTimes::new(hours),
    };
    let decide = Box::new(|_: &_| {
        registration::register_therapist(therapist.clone(), dek.clone(), indexes.clone())
    });
    let id = |subject: &Subject| match subject {
        Subject::Therapist(id) => Some(*id),
        _ => None,
    };
    let (written, id) = command
        .write(&app, &request, Scope::New { therapist: None }, decide, id)
        .await?;
    let stored = people::therapist(&app, clinic, id).await?;
    let therapist = stored.ok_or_else(Problem::internal)?;
    let answer = (StatusCode::CREATED, Json(body(&therapist)));
    Ok(Done { written, answer })
}

/// The clinic's therapists.
#[utoipa::path(get, path = "/therapists", tag = "therapists", params(PageParams),
    responses((status = 200, body = List<TherapistBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<PageParams>,
) -> Result<Json<List<TherapistBody>>, Problem> {
    caller.may(Action::Read, Resource::Directory, "page")?;
    let page = params.page()?;
    let therapists = people::therapists(&app, caller.0.clinic, page).await?;
    let items = therapists.into_iter().map(listed).collect();
    Ok(Json(List::page(items, page.limit, |item| {
        item.id.to_string()
    })))
}

/// One therapist.
#[utoipa::path(get, path = "/therapists/{id}", tag = "therapists",
    params(("id" = Uuid, Path)), responses((status = 200, body = TherapistBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<TherapistBody>, Problem> {
    caller.may(Action::Read, Resource::Directory, "therapist")?;
    let therapist = people::therapist(&app, caller.0.clinic, TherapistId(id)).await?;
    let therapist = therapist.ok_or_else(|| Problem::not_found("therapist"))?;
    Ok(Json(body(&therapist)))
}

/// A therapist's appointments in a window: sessions, and the occurrences that are still virtual.
#[utoipa::path(get, path = "/therapists/{id}/sessions", tag = "therapists",
    params(("id" = Uuid, Path), WindowParams),
    responses((status = 200, body = List<OccurrenceBody>)))]
async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<WindowParams>,
) -> Result<Json<List<OccurrenceBody>>, Problem> {
    let id = readable(&app, &caller, id).await?;
    calendar(&app, &caller, Whose::Therapist(id), &params).await
}

/// The time that a therapist's bookings take in a window, buffers and kept pauses included: where it touches, as
/// one stretch.
#[utoipa::path(get, path = "/therapists/{id}/busy", tag = "therapists", operation_id = "busy",
    params(("id" = Uuid, Path), BusyParams),
    responses((status = 200, body = List<BusyBody>)))]
async fn taken(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<BusyParams>,
) -> Result<Json<List<BusyBody>>, Problem> {
    let id = readable(&app, &caller, id).await?;
    let rules = slot_rules(&app, &caller).await?;
    busy(&app, &caller, Whose::Therapist(id), &params, &rules).await
}

/// A therapist of the clinic whose calendar the caller may see.
async fn readable(app: &App, caller: &Caller, id: Uuid) -> Result<TherapistId, Problem> {
    let id = TherapistId(id);
    caller.may(Action::Read, Resource::Therapist(id), "therapist")?;
    let known = app.store.therapist(caller.0.clinic, id).await?;
    known
        .map(|_| id)
        .ok_or_else(|| Problem::not_found("therapist"))
}

/// The hours of a week.
pub(super) fn all_hours(given: &[HoursBody]) -> Result<Vec<Hours>, Problem> {
    given.iter().enumerate().map(hours).collect()
}

fn hours((position, given): (usize, &HoursBody)) -> Result<Hours, Problem> {
    let invalid = |name: &str, value: &str, expected: &str| {
        let field = format!("hours[{position}].{name}");
        Problem::unprocessable(
            "invalid_hours",
            &field,
            format!("{value:?} is not {expected}"),
        )
        .with("value", value)
    };
    let weekday = weekday(&given.day)
        .ok_or_else(|| invalid("day", &given.day, "MO, TU, WE, TH, FR, SA or SU"))?;
    let time = |name: &str, text: &str| {
        minutes(text).ok_or_else(|| invalid(name, text, "a time of day from 00:00 to 24:00"))
    };
    Ok(Hours {
        weekday,
        from: time("from", &given.from)?,
        to: time("to", &given.to)?,
    })
}

/// `HH:MM` to minutes after midnight.
pub(super) fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then_some(());
    digits(hour).and(digits(minute))?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60)
        .then_some(hour * 60 + minute)
        .filter(|minutes| *minutes <= 24 * 60)
}

fn listed((therapist, person): Listed<Therapist>) -> TherapistBody {
    match person {
        Ok(person) => body(&(therapist, person)),
        Err(defect) => TherapistBody {
            error: Some(Problem::from(defect).into()),
            ..body(&(therapist, None))
        },
    }
}

pub(super) fn body((therapist, person): &Opened<Therapist>) -> TherapistBody {
    let shown = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let hours = therapist
        .times
        .availability()
        .weekly()
        .hours()
        .iter()
        .map(|hours| HoursBody {
            day: weekday_name(hours.weekday).to_owned(),
            from: shown(hours.from),
            to: shown(hours.to),
        });
    let availability = therapist.times.availability();
    let dates = availability.dated().iter().map(|(date, hours)| {
        let hours = hours.iter().map(|hours| DayHoursBody {
            from: shown(hours.from),
            to: shown(hours.to),
        });
        (*date, hours.collect())
    });
    TherapistBody {
        id: therapist.id.0,
        name: person.as_ref().map(|person| person.name().to_owned()),
        error: None,
        erased: therapist.person.is_none(),
        zone: therapist.times.zone().to_string(),
        hours: hours.collect(),
        dates: dates.collect(),
        retires_on: therapist.times.retires_on(),
        version: therapist.times.version,
    }
}
