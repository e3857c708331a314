//! Which times can be booked, why others cannot, and what the rules say of the future.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clinic::access::{Action, Disclosed, Resource};
use clinic::{Role, SlotRules, Therapist};
use scheduler_core::calendar::Calendar;
use scheduler_core::forecast::{self, first_unfunded};
use scheduler_core::rule::weekday;
use scheduler_core::slots::{
    Ranking, SearchError, SlotPolicy, StandingError, StandingSlot, StandingWish, explain,
    explain_standing, free_slots, standing_slots,
};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{ClientId, ServiceId, TherapistId, Window};
use serde::{Deserialize, Serialize};
use store::{PAGE_MAX, Page, Whose};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Json, List};
use super::caller::Caller;
use super::clashes::obstacle;
use super::params::{Id, Params, local, zone};
use super::problem::Problem;
use crate::App;
use crate::admission::compute_last;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(free))
        .routes(routes!(why))
        .routes(routes!(standing))
        .routes(routes!(why_not_standing))
        .routes(routes!(room))
        .routes(routes!(funded))
}

/// The times that can be looked for at once: a quarter.
const SEARCHED: TimeDelta = TimeDelta::days(92);

/// A therapist's calendar, and the policy of a service: what slots are looked for in.
struct Ground {
    therapist: Therapist,
    calendar: Calendar,
    disclosed: Disclosed,
    policy: SlotPolicy,
    now: DateTime<Utc>,
}

impl Ground {
    /// The therapist's calendar, with the asking client's own beside it, from now until then.
    async fn load(
        app: &App,
        caller: &Caller,
        therapist: Uuid,
        service: Uuid,
        until: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let clinic = caller.0.clinic;
        caller.may(Action::Read, Resource::Directory, "therapist")?;
        let id = TherapistId(therapist);
        let therapist = app.store.therapist(clinic, id).await?;
        let therapist = therapist.ok_or_else(|| Problem::not_found("therapist"))?;
        let service = app.store.service(clinic, ServiceId(service)).await?;
        let service = service.ok_or_else(|| Problem::not_found("service"))?;
        let now = app.clock.now();
        let window = Window::new(now - TimeDelta::days(2), until.min(END_OF_ZONE_DATA));
        let window = window
            .map_err(|error| Problem::unprocessable("invalid_window", "to", error.to_string()))?;
        let mut rows = app
            .store
            .calendar(clinic, Whose::Therapist(id), window)
            .await?;
        if let Role::Client(me) = caller.0.role {
            let own = app
                .store
                .calendar(clinic, Whose::Client(me), window)
                .await?;
            let others = |id: TherapistId| move |other: TherapistId| other != id;
            let elsewhere = others(id);
            rows.intents.extend(
                own.intents
                    .into_iter()
                    .filter(|one| elsewhere(one.therapist)),
            );
            let sessions = own.sessions.into_iter();
            rows.sessions
                .extend(sessions.filter(|one| elsewhere(one.therapist)));
        }
        let rules = slot_rules(app, caller).await?;
        let calendar = Calendar::new(&rows.intents, &rows.sessions, |service| {
            rules
                .get(&service)
                .map(|rules| rules.buffers)
                .unwrap_or_default()
        });
        let policy = service.slots.policy(service.minutes);
        let disclosed = Disclosed::to(caller.0, id, &rows.intents, &rows.sessions);
        Ok(Self {
            therapist,
            calendar,
            disclosed,
            policy: policy.map_err(clinic::Refusal::from)?,
            now,
        })
    }
}

/// When each service of the clinic can be booked.
pub(super) async fn slot_rules(
    app: &App,
    caller: &Caller,
) -> Result<BTreeMap<ServiceId, SlotRules>, Problem> {
    let mut rules = BTreeMap::new();
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_MAX,
        };
        let services = app.store.services(caller.0.clinic, page).await?;
        rules.extend(services.iter().map(|one| (one.id, one.slots)));
        match services.last() {
            Some(last) => after = Some(last.id.0),
            None => return Ok(rules),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FreeParams {
    service_id: Uuid,
    /// The first instant, RFC 3339. Now, if not given.
    from: Option<DateTime<Utc>>,
    /// The first instant after it, at most 92 days later. 14 days later, if not given.
    to: Option<DateTime<Utc>>,
    /// The ones nearest to this instant first. The earliest first, if not given.
    near: Option<DateTime<Utc>>,
}

/// A time that can be booked.
#[derive(Debug, Serialize, ToSchema)]
struct SlotBody {
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    /// The wall time of the therapist.
    starts_local: String,
}

/// The times at which a service can be booked with a therapist.
#[utoipa::path(get, path = "/therapists/{id}/slots", tag = "slots", operation_id = "list",
    params(("id" = Uuid, Path), FreeParams), responses((status = 200, body = List<SlotBody>)))]
async fn free(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<FreeParams>,
) -> Result<Json<List<SlotBody>>, Problem> {
    let from = params.from.unwrap_or_else(|| app.clock.now());
    let later = from.checked_add_signed(TimeDelta::days(14));
    let to = params.to.or(later).unwrap_or(from);
    let window = Window::new(from, to)
        .map_err(|error| Problem::unprocessable("invalid_window", "to", error.to_string()))?;
    if to.signed_duration_since(from) > SEARCHED {
        let detail = "at most 92 days are searched at once";
        return Err(Problem::unprocessable("invalid_window", "to", detail));
    }
    let ground = Ground::load(&app, &caller, id, params.service_id, to).await?;
    let availability = ground.therapist.times.availability();
    let ranking = params.near.map_or(Ranking::Earliest, Ranking::NearestTo);
    let (calendar, policy) = (&ground.calendar, ground.policy);
    let slots =
        compute_last(|| free_slots(calendar, availability, policy, ground.now, window, ranking));
    let items = slots.map_err(search)?.into_iter().map(|slot| SlotBody {
        starts_at: slot.start,
        ends_at: slot.end,
        starts_local: availability.zone().local(slot.start).to_string(),
    });
    Ok(Json(List::all(items.collect())))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhyParams {
    service_id: Uuid,
    /// The instant, RFC 3339.
    starts_at: DateTime<Utc>,
}

/// Why a time is not offered: everything that refuses it. Nothing, if it can be booked.
#[utoipa::path(get, path = "/therapists/{id}/slots/explain", tag = "slots", operation_id = "explain",
    params(("id" = Uuid, Path), WhyParams),
    responses((status = 200, body = List<serde_json::Value>)))]
async fn why(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<WhyParams>,
) -> Result<Json<List<serde_json::Value>>, Problem> {
    let at = params.starts_at;
    let until = at.checked_add_signed(TimeDelta::days(2)).unwrap_or(at);
    let until = until.max(app.clock.now());
    let ground = Ground::load(&app, &caller, id, params.service_id, until).await?;
    let availability = ground.therapist.times.availability();
    let found = explain(
        &ground.calendar,
        availability,
        ground.policy,
        ground.now,
        at,
    );
    let found = found.map_err(clinic::Refusal::from)?;
    let items = found
        .iter()
        .map(|one| obstacle(one, &ground.disclosed))
        .collect();
    Ok(Json(List::all(items)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StandingParams {
    service_id: Uuid,
    /// The zone in which the time of day is to stay the same. The therapist's, if not given.
    zone: Option<String>,
    /// The first date that may be the first. Tomorrow, if not given.
    from: Option<NaiveDate>,
    /// Like MO,TH. Any day, if not given.
    weekdays: Option<String>,
    /// Weeks from one date to the next. 1, if not given.
    weeks: Option<u32>,
    /// How many dates are looked at. 24, if not given.
    dates: Option<u32>,
    /// How many of them must be free. All, if not given.
    at_least: Option<u32>,
    /// To have explained: the first date and the time of day, in `zone`.
    starts_local: Option<String>,
}

/// A time of the week, and on how many dates it is free.
#[derive(Debug, Serialize, ToSchema)]
struct StandingBody {
    /// The first date and the time of day.
    starts_local: String,
    zone: String,
    free: u32,
    of: u32,
    /// The dates on which it is not free.
    missed: Vec<String>,
}

/// The times of the week that are free on enough of the dates to come, the best first.
#[utoipa::path(get, path = "/therapists/{id}/standing-slots", tag = "slots",
    params(("id" = Uuid, Path), StandingParams),
    responses((status = 200, body = List<StandingBody>)))]
async fn standing(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<StandingParams>,
) -> Result<Json<List<StandingBody>>, Problem> {
    let ground = Ground::load(&app, &caller, id, params.service_id, END_OF_ZONE_DATA).await?;
    let wish = wish(&params, &ground)?;
    let availability = ground.therapist.times.availability();
    let (calendar, policy) = (&ground.calendar, ground.policy);
    let found = compute_last(|| standing_slots(calendar, availability, policy, ground.now, &wish));
    Ok(Json(shown(
        &found.map_err(|error| standing_error(&error))?,
        &wish,
    )))
}

/// A date of a standing slot that is not free.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedBody {
    recurrence_id: String,
    /// Everything that refuses it.
    obstacles: Vec<serde_json::Value>,
}

/// Why the standing slot that starts at `starts_local` is not free: everything that refuses any of
/// its dates.
#[utoipa::path(get, path = "/therapists/{id}/standing-slots/explain", tag = "slots",
    operation_id = "explain_standing",
    params(("id" = Uuid, Path), StandingParams),
    responses((status = 200, body = List<RefusedBody>)))]
async fn why_not_standing(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<StandingParams>,
) -> Result<Json<List<RefusedBody>>, Problem> {
    let ground = Ground::load(&app, &caller, id, params.service_id, END_OF_ZONE_DATA).await?;
    let Some(start) = &params.starts_local else {
        let detail = "a wall time to be explained is expected";
        return Err(Problem::unprocessable(
            "invalid_value",
            "starts_local",
            detail,
        ));
    };
    let start = local("starts_local", start)?;
    let wish = wish(&params, &ground)?;
    let availability = ground.therapist.times.availability();
    let (calendar, policy) = (&ground.calendar, ground.policy);
    let refused =
        compute_last(|| explain_standing(calendar, availability, policy, ground.now, &wish, start));
    let items = refused
        .map_err(|error| standing_error(&error))?
        .into_iter()
        .map(|date| {
            let obstacles = date.obstacles.iter();
            RefusedBody {
                recurrence_id: date.date.to_string(),
                obstacles: obstacles
                    .map(|one| obstacle(one, &ground.disclosed))
                    .collect(),
            }
        });
    Ok(Json(List::all(items.collect())))
}

/// Standing slots that can all be taken beside each other: so many more clients there is room for.
#[utoipa::path(get, path = "/therapists/{id}/room", tag = "slots",
    params(("id" = Uuid, Path), StandingParams),
    responses((status = 200, body = List<StandingBody>)))]
async fn room(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<StandingParams>,
) -> Result<Json<List<StandingBody>>, Problem> {
    caller.may(
        Action::Read,
        Resource::Therapist(TherapistId(id)),
        "therapist",
    )?;
    let ground = Ground::load(&app, &caller, id, params.service_id, END_OF_ZONE_DATA).await?;
    let wish = wish(&params, &ground)?;
    let availability = ground.therapist.times.availability();
    let (calendar, policy) = (&ground.calendar, ground.policy);
    let found = compute_last(|| forecast::room(calendar, availability, policy, ground.now, &wish));
    Ok(Json(shown(
        &found.map_err(|error| standing_error(&error))?,
        &wish,
    )))
}

fn wish(params: &StandingParams, ground: &Ground) -> Result<StandingWish, Problem> {
    let zone = match &params.zone {
        Some(name) => zone(name)?,
        None => ground.therapist.times.zone(),
    };
    let names = params.weekdays.as_deref().filter(|names| !names.is_empty());
    let names = names.into_iter().flat_map(|names| names.split(','));
    let weekdays = names.map(|name| {
        weekday(name).ok_or_else(|| {
            let detail = "days like MO,TU are expected";
            Problem::unprocessable("invalid_value", "weekdays", detail).with("value", name)
        })
    });
    let dates = params.dates.unwrap_or(24);
    let tomorrow = zone.local(ground.now + TimeDelta::days(1)).date();
    Ok(StandingWish {
        zone,
        from: params.from.unwrap_or(tomorrow),
        weekdays: weekdays.collect::<Result<_, _>>()?,
        weeks: params.weeks.unwrap_or(1),
        dates,
        at_least: params.at_least.unwrap_or(dates),
    })
}

fn shown(found: &[StandingSlot], wish: &StandingWish) -> List<StandingBody> {
    let items = found.iter().map(|slot| StandingBody {
        starts_local: slot.start.to_string(),
        zone: wish.zone.to_string(),
        free: slot.free,
        of: slot.of,
        missed: slot.missed.iter().map(ToString::to_string).collect(),
    });
    List::all(items.collect())
}

/// How far a client's credits reach.
#[derive(Debug, Serialize, ToSchema)]
struct FundedBody {
    /// The first session or occurrence that no credit is left for; null if there is none.
    first_unfunded: Option<DateTime<Utc>>,
    /// Everything before this instant was looked at.
    through: DateTime<Utc>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FundedParams {
    service_id: Uuid,
}

/// The first date of a client's that today's credits do not pay, a year ahead at most.
#[utoipa::path(get, path = "/clients/{id}/funded", tag = "slots",
    params(("id" = Uuid, Path), FundedParams), responses((status = 200, body = FundedBody)))]
async fn funded(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<FundedParams>,
) -> Result<Json<FundedBody>, Problem> {
    let client = caller.client(&app, id).await?;
    let (clinic, service) = (caller.0.clinic, ServiceId(params.service_id));
    let known = app.store.service(clinic, service).await?;
    known.ok_or_else(|| Problem::not_found("service"))?;
    let account = app.store.account(clinic, ClientId(id)).await?;
    let account = account.ok_or_else(|| Problem::not_found("account"))?;
    let now = app.clock.now();
    let through = (now + TimeDelta::days(366)).min(END_OF_ZONE_DATA);
    let window = Window::new(now, through)
        .map_err(|error| Problem::unprocessable("invalid_window", "to", error.to_string()))?;
    let rows = app
        .store
        .calendar(clinic, Whose::Client(client.id), window)
        .await?;
    let items = scheduler_core::calendar::calendar(&rows.intents, &rows.sessions, window);
    let items = items.map_err(clinic::Refusal::from)?;
    let starts = clinic::funding::to_be_funded(&items, service);
    let credits = clinic::funding::credits(&account, service);
    Ok(Json(FundedBody {
        first_unfunded: first_unfunded(starts, &credits),
        through,
    }))
}

fn search(error: SearchError) -> Problem {
    match error {
        SearchError::TooLong { .. } => {
            Problem::unprocessable("invalid_window", "to", error.to_string())
        }
        SearchError::Set(error) => clinic::Refusal::from(error).into(),
    }
}

fn standing_error(error: &StandingError) -> Problem {
    let field = match error {
        StandingError::Dates { .. } => "dates",
        StandingError::AtLeast { .. } => "at_least",
        StandingError::Weeks { .. } => "weeks",
        StandingError::NotAsked { .. } => "starts_local",
        StandingError::Set(_) => "from",
    };
    Problem::unprocessable("invalid_value", field, error.to_string())
}
