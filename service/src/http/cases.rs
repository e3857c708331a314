//! What time off, changed hours and a retirement hit: their cases, and what becomes of them.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use clinic::occurrence::{Touch, touch};
use clinic::time_off::{Absence, Times, around, change_times, clients_hit, could_have, proposals};
use clinic::{Address, ClinicId, Role, Scope, SlotRules, Therapist, View};
use scheduler_core::calendar::{Calendar, calendar};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, ServiceId, TherapistId, Window};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Page, Whose};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Json, List};
use super::calendar::{OccurrenceBody, body as occurrence};
use super::caller::{Caller, Command};
use super::occurrences::reassigned;
use super::params::{Blackouts, Id, Params, local};
use super::preview::Instead;
use super::problem::Problem;
use super::slots::slot_rules;
use super::time_off::{own, scope};
use crate::App;
use crate::admission::compute_last;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(open_cases))
        .routes(routes!(resolve))
        .routes(routes!(outside))
        .routes(routes!(resolve_outside))
}

/// An occurrence at a time at which its therapist does not work, and what can be done about it: it can be moved, given to
/// another therapist, left out, or kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CaseBody {
    occurrence: OccurrenceBody,
    /// The nearest time that is free for both, as wall time of the booking. Each case's is another.
    instead: Option<String>,
    /// Other therapists who are free at its time, at most three; staff only are told. The first
    /// 50 of the clinic are asked.
    therapists: Vec<Uuid>,
}

/// How many other therapists are asked whether they are free.
const ASKED_MAX: u32 = 50;
/// How many of those that are free are named.
const NAMED_MAX: usize = 3;

/// What is to become of cases.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Resolutions {
    /// What becomes of each case that is not named.
    all: Option<Resolution>,
    /// Those that are.
    #[serde(default)]
    cases: Vec<ResolvedCase>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResolvedCase {
    intent_id: Uuid,
    recurrence_id: String,
    resolution: Resolution,
    /// Where it is moved to. What is proposed, if not given.
    starts_local: Option<String>,
    /// Whom it is given to. The first who is proposed, if not given.
    therapist_id: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Resolution {
    /// To the time that is proposed.
    Move,
    /// To another therapist, at its time. Only staff do that.
    Reassign,
    /// Left out; a held credit is released.
    Skip,
    /// It takes place all the same.
    Keep,
}

/// What became of one case.
#[derive(Debug, Serialize, ToSchema)]
struct OutcomeBody {
    intent_id: Uuid,
    recurrence_id: String,
    /// What was done; null if it was not.
    done: Option<Resolution>,
    /// Why not.
    problem: Option<Value>,
    /// With `dry_run`, the difference that it would make.
    preview: Option<Value>,
}

/// What a time off hits and nobody has decided about, with proposals.
#[utoipa::path(get, path = "/therapists/{id}/blackouts/{blackout}/cases", tag = "time off",
    params(("id" = Uuid, Path), ("blackout" = Uuid, Path)),
    responses((status = 200, body = List<CaseBody>)))]
async fn open_cases(
    State(app): State<App>,
    caller: Caller,
    Blackouts(id, blackout): Blackouts,
) -> Result<Json<List<CaseBody>>, Problem> {
    let therapist = own(&app, &caller, id).await?;
    let blackout = therapist.times.blackouts().get(&blackout);
    let blackout = blackout.ok_or_else(|| Problem::not_found("blackout"))?;
    listed(
        &app,
        &caller,
        &therapist,
        &Absence::Blackout(blackout.clone()),
    )
    .await
}

/// Decide about cases: each for itself, so that one that cannot be does not hold up the others. Sent
/// again, it goes on where it stopped.
#[utoipa::path(post, path = "/therapists/{id}/blackouts/{blackout}/resolve", tag = "time off",
    request_body = Resolutions, params(("id" = Uuid, Path), ("blackout" = Uuid, Path)),
    responses((status = 200, body = List<OutcomeBody>)))]
async fn resolve(
    State(app): State<App>,
    Blackouts(id, blackout_id): Blackouts,
    command: Command<Resolutions>,
) -> Result<Json<List<OutcomeBody>>, Problem> {
    let caller = &command.caller;
    let therapist = own(&app, caller, id).await?;
    let blackout = therapist.times.blackouts().get(&blackout_id);
    let blackout = blackout.ok_or_else(|| Problem::not_found("blackout"))?;
    let absence = Absence::Blackout(blackout.clone());
    let keep = Keep::In(blackout_id);
    resolved(&app, &command, &command.body, &therapist, (&absence, keep)).await
}

/// The coming time that cases are looked for in.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Coming {
    /// The first instant, RFC 3339, now or later. Now, if not given.
    from: Option<DateTime<Utc>>,
    /// The first instant after it, at most 366 days later. Eight weeks after `from`, if not given.
    to: Option<DateTime<Utc>>,
}

/// The longest time that cases are looked for in.
const COMING_MAX: TimeDelta = TimeDelta::days(366);
/// And what is looked at if nobody says how far.
const COMING: TimeDelta = TimeDelta::weeks(8);

/// The coming time, from now on or from later.
pub(super) fn coming(
    app: &App,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Result<Window, Problem> {
    let now = app.clock.now();
    let from = from.unwrap_or(now).max(now);
    let latest = from.checked_add_signed(COMING_MAX).unwrap_or(from);
    let to = to.or(from.checked_add_signed(COMING)).unwrap_or(latest);
    let invalid = |detail: String| Problem::unprocessable("invalid_window", "to", detail);
    if to > latest {
        return Err(invalid(
            "cases are looked for in at most 366 days".to_owned(),
        ));
    }
    Window::new(from, to.min(END_OF_ZONE_DATA)).map_err(|error| invalid(error.to_string()))
}

/// What of a therapist's appointments to come is outside their hours, after the hours of a week or of a date
/// were changed, or after their retirement, and nobody has decided about, with proposals.
#[utoipa::path(get, path = "/therapists/{id}/cases", tag = "time off",
    params(("id" = Uuid, Path), Coming), responses((status = 200, body = List<CaseBody>)))]
async fn outside(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<Coming>,
) -> Result<Json<List<CaseBody>>, Problem> {
    let therapist = own(&app, &caller, id).await?;
    let window = coming(&app, params.from, params.to)?;
    listed(&app, &caller, &therapist, &Absence::OutsideHours(window)).await
}

/// What is to become of cases in the coming time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ComingResolutions {
    /// The first instant, now or later. Now, if not given.
    from: Option<DateTime<Utc>>,
    /// The first instant after it, at most 366 days later. Eight weeks after `from`, if not given.
    to: Option<DateTime<Utc>>,
    /// What becomes of each case that is not named.
    all: Option<Resolution>,
    /// Those that are.
    #[serde(default)]
    cases: Vec<ResolvedCase>,
}

/// Decide about cases outside the hours, as about those of a time off.
#[utoipa::path(post, path = "/therapists/{id}/cases/resolve", tag = "time off",
    request_body = ComingResolutions, params(("id" = Uuid, Path)),
    responses((status = 200, body = List<OutcomeBody>)))]
async fn resolve_outside(
    State(app): State<App>,
    Id(id): Id,
    mut command: Command<ComingResolutions>,
) -> Result<Json<List<OutcomeBody>>, Problem> {
    let therapist = own(&app, &command.caller, id).await?;
    let window = coming(&app, command.body.from, command.body.to)?;
    let wanted = Resolutions {
        all: command.body.all,
        cases: std::mem::take(&mut command.body.cases),
    };
    let absence = Absence::OutsideHours(window);
    resolved(
        &app,
        &command,
        &wanted,
        &therapist,
        (&absence, Keep::Outside),
    )
    .await
}

async fn listed(
    app: &App,
    caller: &Caller,
    therapist: &Therapist,
    absence: &Absence,
) -> Result<Json<List<CaseBody>>, Problem> {
    let hit = Hit::load(app, caller, therapist, absence).await?;
    let cases = hit.cases(therapist, absence, app.clock.now())?;
    Ok(Json(List::all(cases)))
}

/// Where it is noted that an occurrence takes place all the same.
#[derive(Debug, Clone, Copy)]
enum Keep {
    /// With the time off.
    In(Uuid),
    /// With the working times.
    Outside,
}

/// Does with each case what is wanted.
async fn resolved<T>(
    app: &App,
    command: &Command<T>,
    wanted: &Resolutions,
    therapist: &Therapist,
    (absence, keep): (&Absence, Keep),
) -> Result<Json<List<OutcomeBody>>, Problem> {
    let hit = Hit::load(app, &command.caller, therapist, absence).await?;
    let mut unknown: Vec<&ResolvedCase> = wanted.cases.iter().collect();
    let mut items = Vec::new();
    for case in hit.cases(therapist, absence, app.clock.now())? {
        let (intent, at) = case.occurrence.address();
        let at = at.to_owned();
        let is_named = |one: &&ResolvedCase| one.intent_id == intent && one.recurrence_id == at;
        let named = wanted.cases.iter().find(is_named);
        unknown.retain(|one| !is_named(one));
        let Some(wanted) = named.map(|one| one.resolution).or(wanted.all) else {
            continue;
        };
        let decided = decide(app, command, (therapist.id.0, keep), &case, (wanted, named)).await;
        let (problem, preview) = match decided {
            Ok(()) => (None, None),
            Err(Instead::Preview(difference)) => (None, Some(difference)),
            Err(Instead::Problem(problem)) => (Some(problem.into_value()), None),
        };
        items.push(OutcomeBody {
            intent_id: intent,
            recurrence_id: at,
            done: problem.is_none().then_some(wanted),
            problem,
            preview,
        });
    }
    // Sent again, what was decided before is no case any more.
    items.extend(unknown.into_iter().map(|named| OutcomeBody {
        intent_id: named.intent_id,
        recurrence_id: named.recurrence_id.clone(),
        done: None,
        problem: Some(Problem::not_found("open case").into_value()),
        preview: None,
    }));
    Ok(Json(List::all(items)))
}

/// Does with one case what is wanted.
async fn decide<T>(
    app: &App,
    command: &Command<T>,
    (therapist, keep): (Uuid, Keep),
    case: &CaseBody,
    (wanted, named): (Resolution, Option<&ResolvedCase>),
) -> Result<(), Instead> {
    let (intent, at) = case.occurrence.address();
    let nothing_free = |detail| Problem::new(StatusCode::CONFLICT, "nothing_free", detail);
    match wanted {
        Resolution::Move => {
            let given = named.and_then(|one| one.starts_local.as_ref());
            let to = given.or(case.instead.as_ref());
            let to = to.ok_or_else(|| nothing_free("no time within a week is free for both"))?;
            let to = local("starts_local", to)?;
            touched(app, command, intent, at, Touch::Reschedule(to)).await
        }
        Resolution::Reassign => {
            let given = named.and_then(|one| one.therapist_id);
            let to = given.or_else(|| case.therapists.first().copied());
            let to = to.ok_or_else(|| nothing_free("no other therapist is known to be free"))?;
            let at = local("recurrence_id", at)?;
            let request = command.part(app, &format!("{intent}/{at}"));
            let address = (intent, at);
            reassigned(app, command, &request, address, TherapistId(to)).await?;
            Ok(())
        }
        Resolution::Skip => touched(app, command, intent, at, Touch::Skip).await,
        Resolution::Keep => kept(app, command, (therapist, keep), intent, at).await,
    }
}

/// What is around an absence: the therapist's calendar, and those of the clients it hits.
pub(super) struct Hit {
    rows: store::Calendar,
    services: BTreeMap<ServiceId, SlotRules>,
    /// Who could have one of its cases, each with their calendar and what else the clients have.
    others: Vec<(Therapist, Calendar)>,
}

impl Hit {
    pub(super) async fn load(
        app: &App,
        caller: &Caller,
        therapist: &clinic::Therapist,
        absence: &Absence,
    ) -> Result<Self, Problem> {
        let clinic = caller.0.clinic;
        let around = around(absence)?;
        let whose = Whose::Therapist(therapist.id);
        let mut rows = app.store.calendar(clinic, whose, around).await?;
        let hit = clients_hit(absence, &therapist.times, &rows.intents, &rows.sessions)?;
        for client in hit {
            let own = app
                .store
                .calendar(clinic, Whose::Client(client), around)
                .await?;
            let intents = own.intents.into_iter();
            rows.intents
                .extend(intents.filter(|one| one.therapist != therapist.id));
            let sessions = own.sessions.into_iter();
            rows.sessions
                .extend(sessions.filter(|one| one.therapist != therapist.id));
        }
        let services = slot_rules(app, caller).await?;
        let mut hit = Self {
            rows,
            services,
            others: Vec::new(),
        };
        if caller.0.role == Role::Admin {
            hit.ask_others(app, clinic, therapist.id, around).await?;
        }
        Ok(hit)
    }

    async fn ask_others(
        &mut self,
        app: &App,
        clinic: ClinicId,
        absent: TherapistId,
        around: Window,
    ) -> Result<(), Problem> {
        let page = Page {
            after: None,
            limit: ASKED_MAX,
        };
        for other in app.store.therapists(clinic, page).await? {
            if other.id == absent || other.person.is_none() {
                continue;
            }
            let whose = Whose::Therapist(other.id);
            let own = app.store.calendar(clinic, whose, around).await?;
            // The clients' own time is in the way too.
            let is_clients = |with: TherapistId| with != absent && with != other.id;
            let intents = self.rows.intents.iter();
            let intents = intents.filter(|one| is_clients(one.therapist));
            let mut sessions = own.sessions;
            let clients = self.rows.sessions.iter();
            sessions.extend(clients.filter(|one| is_clients(one.therapist)).cloned());
            let intents = intents.chain(&own.intents);
            let calendar = Calendar::new(intents, &sessions, |id| self.rules(id).buffers);
            self.others.push((other, calendar));
        }
        Ok(())
    }

    fn rules(&self, service: ServiceId) -> SlotRules {
        self.services.get(&service).copied().unwrap_or_default()
    }

    /// The open cases with their proposals.
    pub(super) fn cases(
        &self,
        therapist: &clinic::Therapist,
        absence: &Absence,
        now: DateTime<Utc>,
    ) -> Result<Vec<CaseBody>, Problem> {
        let rows = &self.rows;
        let window = absence.window()?;
        let items = calendar(&rows.intents, &rows.sessions, window);
        let items = items.map_err(clinic::Refusal::from)?;
        let rules = |id: ServiceId| self.rules(id);
        let standing = Calendar::new(&rows.intents, &rows.sessions, |id| rules(id).buffers);
        let proposed =
            compute_last(|| proposals(therapist, absence, &items, &standing, rules, now))?;
        let mut shown = Vec::with_capacity(proposed.len());
        for (item, instead) in proposed {
            let mut therapists = Vec::new();
            for (other, calendar) in &self.others {
                if therapists.len() < NAMED_MAX && could_have(other, item, calendar, rules, now)? {
                    therapists.push(other.id.0);
                }
            }
            shown.push(CaseBody {
                occurrence: occurrence(item),
                instead: instead.map(|at| at.to_string()),
                therapists,
            });
        }
        Ok(shown)
    }
}

async fn touched<T>(
    app: &App,
    command: &Command<T>,
    intent: Uuid,
    at: &str,
    wanted: Touch,
) -> Result<(), Instead> {
    let at = local("recurrence_id", at)?;
    let request = command.part(app, &format!("{intent}/{at}"));
    let (principal, now) = (command.caller.0, request.at);
    let scope = Scope::Occurrence {
        address: Address::Occurrence(IntentId(intent), at),
        around: wanted.reach(now)?,
        history: false,
    };
    let decide = Box::new(move |view: &View| touch(view, at, wanted, principal, None, now));
    command.send(app, &request, scope, decide).await.map(|_| ())
}

async fn kept<T>(
    app: &App,
    command: &Command<T>,
    (therapist, keep): (Uuid, Keep),
    intent: Uuid,
    at: &str,
) -> Result<(), Instead> {
    let at = local("recurrence_id", at)?;
    let request = command.part(app, &format!("{intent}/{at}"));
    let address = (IntentId(intent), at);
    let wanted = match keep {
        Keep::In(blackout) => Times::Keep(blackout, address),
        Keep::Outside => Times::KeepOutside(address),
    };
    let scope = scope(therapist);
    let principal = command.caller.0;
    let decide = Box::new(move |view: &View| change_times(view, &wanted, principal, None));
    command.send(app, &request, scope, decide).await.map(|_| ())
}
