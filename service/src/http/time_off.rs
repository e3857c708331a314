//! When a therapist works, when they are away, and what that hits.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, Utc};
use clinic::access::{Action, Resource};
use clinic::time_off::{Absence, Times, change_times};
use clinic::{Blackout, PersonId, Scope, Subject, View};
use scheduler_core::TherapistId;
use scheduler_core::availability::DayHours;
use scheduler_core::calendar::calendar;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Whose;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List, Versioned};
use super::caller::{Caller, Command};
use super::cases::{Hit, coming};
use super::occurrences::Nothing;
use super::params::{Blackouts, Id, local, reason};
use super::preview::Instead;
use super::problem::Problem;
use super::therapists::{DayHoursBody, HoursBody, TherapistBody, all_hours, body, minutes};
use crate::{App, people, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(hours))
        .routes(routes!(date))
        .routes(routes!(retire))
        .routes(routes!(add, list))
        .routes(routes!(withdraw))
        .routes(routes!(reinstate))
}

/// The hours of a normal week.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewHours {
    hours: Vec<HoursBody>,
}

/// The hours of one date.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDate {
    date: NaiveDate,
    /// None of them is a day off; null is the hours of the week again. One of both is said.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    #[schema(required)]
    hours: Option<Vec<DayHoursBody>>,
}

/// Time off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBlackout {
    /// Its first wall time, in the therapist's zone.
    #[schema(example = "2026-08-03T00:00:00")]
    from_local: String,
    /// The first after it.
    #[schema(example = "2026-08-17T00:00:00")]
    until_local: String,
    /// Why: one of the codes of `/reasons`.
    #[schema(example = "time_off")]
    reason: Option<String>,
}

/// Time off, and how much it hits.
#[derive(Debug, Serialize, ToSchema)]
struct BlackoutBody {
    id: Uuid,
    therapist_id: Uuid,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    reason: Option<String>,
    withdrawn: bool,
    /// How many occurrences take place in it, and nobody has decided about.
    open_cases: usize,
    /// Of the working times.
    version: u64,
}

/// Set the hours of a normal week. What is booked outside them stays until somebody decides:
/// `/therapists/{id}/cases` lists it, and `dry_run=true` shows it before.
#[utoipa::path(post, path = "/therapists/{id}/hours", tag = "time off", request_body = NewHours,
    params(("id" = Uuid, Path)), responses((status = 200, body = TherapistBody)))]
async fn hours(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewHours>,
) -> Result<Done<Versioned<TherapistBody>>, Instead> {
    let wanted = Times::Hours(all_hours(&command.body.hours)?);
    change(&app, &command, id, wanted).await
}

/// Set the hours of one date, or make it a day off. What is booked outside them stays until somebody decides,
/// as for the hours of a week.
#[utoipa::path(post, path = "/therapists/{id}/dates", tag = "time off", request_body = NewDate,
    params(("id" = Uuid, Path)), responses((status = 200, body = TherapistBody)))]
async fn date(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewDate>,
) -> Result<Done<Versioned<TherapistBody>>, Instead> {
    let day = |given: &DayHoursBody| {
        let time = |text: &str| {
            let detail = format!("{text:?} is not a time of day from 00:00 to 24:00");
            minutes(text).ok_or_else(|| Problem::unprocessable("invalid_hours", "hours", detail))
        };
        Ok(DayHours {
            from: time(&given.from)?,
            to: time(&given.to)?,
        })
    };
    let given = command.body.hours.as_ref();
    let hours = given.map(|all| all.iter().map(day).collect::<Result<_, Problem>>());
    let wanted = Times::Date(command.body.date, hours.transpose()?);
    change(&app, &command, id, wanted).await
}

/// From when on a therapist works no more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Retirement {
    /// The first date without them; null, and they go on working.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    #[schema(required)]
    from: Option<NaiveDate>,
}

/// Say that a therapist works no more from a date on. Nothing is booked with them then; what is booked stays
/// until somebody decides: `/therapists/{id}/cases` lists it. Give each series to another with
/// `/intents/{id}/reassign`, which gives them the client too. Only staff do that.
#[utoipa::path(post, path = "/therapists/{id}/retire", tag = "time off", request_body = Retirement,
    params(("id" = Uuid, Path)), responses((status = 200, body = TherapistBody)))]
async fn retire(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Retirement>,
) -> Result<Done<Versioned<TherapistBody>>, Instead> {
    let wanted = Times::Retire(command.body.from);
    change(&app, &command, id, wanted).await
}

/// Take time off. What it hits stays until somebody decides: `dry_run=true` shows it before.
#[utoipa::path(post, path = "/therapists/{id}/blackouts", tag = "time off",
    request_body = NewBlackout, params(("id" = Uuid, Path)),
    responses((status = 201, body = BlackoutBody)))]
async fn add(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewBlackout>,
) -> Result<Done<Versioned<BlackoutBody>>, Instead> {
    let (caller, new) = (&command.caller, &command.body);
    let therapist = own(&app, caller, id).await?;
    let zone = therapist.times.zone();
    let at = |field, text: &str| local(field, text).map(|at| zone.resolve(at).0);
    let blackout = Blackout {
        from: at("from_local", &new.from_local)?,
        until: at("until_local", &new.until_local)?,
        reason: new.reason.as_deref().map(reason).transpose()?,
        withdrawn: false,
        kept: BTreeSet::new(),
    };
    let wanted = Times::Blackout(random::id(app.clock.now()), blackout.clone());
    let request = command.request(&app);
    let decided = decide(&app, &command, &request, id, wanted).await;
    let written = match decided {
        Err(Instead::Preview(mut difference)) => {
            let tried = therapist.times.with_blackout(Uuid::nil(), blackout.clone());
            let tried = clinic::Therapist {
                times: tried.map_err(clinic::Refusal::from)?,
                ..therapist
            };
            let absence = Absence::Blackout(blackout);
            let hit = Hit::load(&app, caller, &tried, &absence).await?;
            difference["cases"] = json!(hit.cases(&tried, &absence, app.clock.now())?);
            return Err(Instead::Preview(difference));
        }
        decided => decided?,
    };
    let of = |subject: &Subject| match subject {
        Subject::Blackout(_, blackout) => Some(*blackout),
        _ => None,
    };
    let blackout = match &written {
        store::Written::Committed { subject, .. } => subject.as_ref().and_then(of),
        store::Written::Replayed(subject) => of(subject),
        _ => None,
    };
    let blackout = blackout.ok_or_else(Problem::internal)?;
    let answer = Versioned {
        status: StatusCode::CREATED,
        ..shown(&app, caller, id, blackout).await?
    };
    Ok(Done { written, answer })
}

/// A therapist's time off.
#[utoipa::path(get, path = "/therapists/{id}/blackouts", tag = "time off",
    params(("id" = Uuid, Path)), responses((status = 200, body = List<BlackoutBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<List<BlackoutBody>>, Problem> {
    let therapist = own(&app, &caller, id).await?;
    let mut items = Vec::new();
    for blackout in therapist.times.blackouts().keys() {
        items.push(shown(&app, &caller, id, *blackout).await?.body);
    }
    Ok(Json(List::all(items)))
}

/// Take time off back. Its open cases are none any more; what was decided stays decided.
#[utoipa::path(post, path = "/therapists/{id}/blackouts/{blackout}/withdraw", tag = "time off",
    request_body = Nothing, params(("id" = Uuid, Path), ("blackout" = Uuid, Path)),
    responses((status = 200, body = BlackoutBody)))]
async fn withdraw(
    State(app): State<App>,
    Blackouts(id, blackout): Blackouts,
    command: Command<Nothing>,
) -> Result<Done<Versioned<BlackoutBody>>, Instead> {
    on_blackout(&app, &command, id, blackout, true).await
}

/// Undo that: the time off stands again.
#[utoipa::path(post, path = "/therapists/{id}/blackouts/{blackout}/reinstate", tag = "time off",
    request_body = Nothing, params(("id" = Uuid, Path), ("blackout" = Uuid, Path)),
    responses((status = 200, body = BlackoutBody)))]
async fn reinstate(
    State(app): State<App>,
    Blackouts(id, blackout): Blackouts,
    command: Command<Nothing>,
) -> Result<Done<Versioned<BlackoutBody>>, Instead> {
    on_blackout(&app, &command, id, blackout, false).await
}

async fn change<T>(
    app: &App,
    command: &Command<T>,
    id: Uuid,
    wanted: Times,
) -> Result<Done<Versioned<TherapistBody>>, Instead> {
    let therapist = own(app, &command.caller, id).await?;
    let request = command.request(app);
    let decided = decide(app, command, &request, id, wanted.clone()).await;
    let written = match decided {
        Err(Instead::Preview(mut difference)) => {
            let times = match wanted {
                Times::Hours(hours) => therapist.times.with_hours(hours),
                Times::Date(date, hours) => therapist.times.with_date(date, hours),
                Times::Retire(date) => therapist.times.retiring_on(date),
                _ => Ok(therapist.times.clone()),
            };
            let tried = clinic::Therapist {
                times: times.map_err(clinic::Refusal::from)?,
                ..therapist
            };
            let absence = Absence::OutsideHours(coming(app, None, None)?);
            let hit = Hit::load(app, &command.caller, &tried, &absence).await?;
            difference["cases"] = json!(hit.cases(&tried, &absence, app.clock.now())?);
            return Err(Instead::Preview(difference));
        }
        decided => decided?,
    };
    let stored = people::therapist(app, command.caller.0.clinic, TherapistId(id)).await?;
    let therapist = stored.ok_or_else(|| Problem::not_found("therapist"))?;
    let answer = Versioned::ok(therapist.0.times.version, body(&therapist));
    Ok(Done { written, answer })
}

async fn on_blackout(
    app: &App,
    command: &Command<Nothing>,
    id: Uuid,
    blackout: Uuid,
    withdrawn: bool,
) -> Result<Done<Versioned<BlackoutBody>>, Instead> {
    own(app, &command.caller, id).await?;
    let request = command.request(app);
    let wanted = Times::Withdrawn(blackout, withdrawn);
    let written = decide(app, command, &request, id, wanted).await?;
    let answer = shown(app, &command.caller, id, blackout).await?;
    Ok(Done { written, answer })
}

async fn decide<T>(
    app: &App,
    command: &Command<T>,
    request: &store::Request,
    id: Uuid,
    wanted: Times,
) -> Result<store::Written, Instead> {
    let (principal, expected) = (command.caller.0, command.expected);
    let decide = Box::new(move |view: &View| change_times(view, &wanted, principal, expected));
    command.send(app, request, scope(id), decide).await
}

pub(super) fn scope(therapist: Uuid) -> Scope {
    Scope::Person {
        id: PersonId::Therapist(TherapistId(therapist)),
        email: Vec::new(),
    }
}

/// A therapist whose working times the caller may see and change.
pub(super) async fn own(
    app: &App,
    caller: &Caller,
    id: Uuid,
) -> Result<clinic::Therapist, Problem> {
    let id = TherapistId(id);
    caller.may(Action::Book, Resource::Therapist(id), "therapist")?;
    let therapist = app.store.therapist(caller.0.clinic, id).await?;
    therapist.ok_or_else(|| Problem::not_found("therapist"))
}

async fn shown(
    app: &App,
    caller: &Caller,
    therapist: Uuid,
    id: Uuid,
) -> Result<Versioned<BlackoutBody>, Problem> {
    let therapist = own(app, caller, therapist).await?;
    let blackout = therapist.times.blackouts().get(&id);
    let blackout = blackout.ok_or_else(|| Problem::not_found("blackout"))?;
    let window = blackout.window().map_err(clinic::Refusal::from)?;
    let whose = Whose::Therapist(therapist.id);
    let hit = app.store.calendar(caller.0.clinic, whose, window).await?;
    let items = calendar(&hit.intents, &hit.sessions, window).map_err(clinic::Refusal::from)?;
    let version = therapist.times.version;
    let absence = Absence::Blackout(blackout.clone());
    let body = BlackoutBody {
        id,
        therapist_id: therapist.id.0,
        from: blackout.from,
        until: blackout.until,
        reason: blackout.reason.as_ref().map(ToString::to_string),
        withdrawn: blackout.withdrawn,
        open_cases: absence.cases(&therapist.times, &items).count(),
        version,
    };
    Ok(Versioned::ok(version, body))
}
