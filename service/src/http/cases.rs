//! What time off hits: its cases, and what becomes of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use clinic::occurrence::{Touch, touch};
use clinic::time_off::{Times, around, change_times, clients_hit, proposals};
use clinic::{Address, Blackout, Scope, SlotRules, View};
use scheduler_core::calendar::{Calendar, calendar};
use scheduler_core::{IntentId, ServiceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Whose;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::List;
use super::calendar::{OccurrenceBody, body as occurrence};
use super::caller::{Caller, Command};
use super::params::{Blackouts, local};
use super::preview::Instead;
use super::problem::Problem;
use super::slots::slot_rules;
use super::time_off::{own, scope};
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(open_cases))
        .routes(routes!(resolve))
}

/// An occurrence that a blackout hits, and what can be done about it: it can be moved, left out, or
/// kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CaseBody {
    occurrence: OccurrenceBody,
    /// The nearest time that is free for both, as wall time of the booking. Each case's is another.
    instead: Option<String>,
}

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Resolution {
    /// To the time that is proposed.
    Move,
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
    let hit = Hit::load(&app, &caller, &therapist, blackout).await?;
    let cases = hit.cases(&therapist, blackout, app.clock.now())?;
    Ok(Json(List::all(cases)))
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
    let hit = Hit::load(&app, caller, &therapist, blackout).await?;
    let mut items = Vec::new();
    for case in hit.cases(&therapist, blackout, app.clock.now())? {
        let (intent, at) = case.occurrence.address();
        let at = at.to_owned();
        let named = command.body.cases.iter();
        let mut named = named.filter(|one| one.intent_id == intent && one.recurrence_id == at);
        let named = named.next();
        let Some(wanted) = named.map(|one| one.resolution).or(command.body.all) else {
            continue;
        };
        let to = named
            .and_then(|one| one.starts_local.clone())
            .or(case.instead);
        let decided = match (wanted, to) {
            (Resolution::Move, None) => {
                let detail = "no time within a week is free for both";
                Err(Problem::new(StatusCode::CONFLICT, "nothing_free", detail).into())
            }
            (Resolution::Move, Some(to)) => match local("starts_local", &to) {
                Ok(to) => touched(&app, &command, intent, &at, Touch::Reschedule(to)).await,
                Err(problem) => Err(problem.into()),
            },
            (Resolution::Skip, _) => touched(&app, &command, intent, &at, Touch::Skip).await,
            (Resolution::Keep, _) => kept(&app, &command, id, blackout_id, intent, &at).await,
        };
        let problem = match decided {
            Ok(()) | Err(Instead::Preview(_)) => None,
            Err(Instead::Problem(problem)) => Some(problem.into_value()),
        };
        items.push(OutcomeBody {
            intent_id: intent,
            recurrence_id: at,
            done: problem.is_none().then_some(wanted),
            problem,
        });
    }
    Ok(Json(List::all(items)))
}

/// What is around a blackout: the therapist's calendar, and those of the clients it hits.
pub(super) struct Hit {
    rows: store::Calendar,
    services: BTreeMap<ServiceId, SlotRules>,
}

impl Hit {
    pub(super) async fn load(
        app: &App,
        caller: &Caller,
        therapist: &clinic::Therapist,
        blackout: &Blackout,
    ) -> Result<Self, Problem> {
        let clinic = caller.0.clinic;
        let around = around(blackout)?;
        let whose = Whose::Therapist(therapist.id);
        let mut rows = app.store.calendar(clinic, whose, around).await?;
        for client in clients_hit(blackout, &rows.intents, &rows.sessions)? {
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
        Ok(Self { rows, services })
    }

    /// The open cases with their proposals.
    pub(super) fn cases(
        &self,
        therapist: &clinic::Therapist,
        blackout: &Blackout,
        now: DateTime<Utc>,
    ) -> Result<Vec<CaseBody>, Problem> {
        let Self { rows, services } = self;
        let window = blackout.window().map_err(clinic::Refusal::from)?;
        let items = calendar(&rows.intents, &rows.sessions, window);
        let items = items.map_err(clinic::Refusal::from)?;
        let rules = |id: ServiceId| services.get(&id).copied().unwrap_or_default();
        let standing = Calendar::new(&rows.intents, &rows.sessions, |id| rules(id).buffers);
        let proposed = proposals(therapist, blackout, &items, &standing, rules, now)?;
        let shown = proposed.into_iter().map(|(item, instead)| CaseBody {
            occurrence: occurrence(item),
            instead: instead.map(|at| at.to_string()),
        });
        Ok(shown.collect())
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
    };
    let decide = Box::new(move |view: &View| touch(view, at, wanted, principal, None, now));
    command.send(app, &request, scope, decide).await.map(|_| ())
}

async fn kept<T>(
    app: &App,
    command: &Command<T>,
    therapist: Uuid,
    blackout: Uuid,
    intent: Uuid,
    at: &str,
) -> Result<(), Instead> {
    let at = local("recurrence_id", at)?;
    let request = command.part(app, &format!("{intent}/{at}"));
    let wanted = Times::Keep(blackout, (IntentId(intent), at));
    let scope = scope(therapist);
    let principal = command.caller.0;
    let decide = Box::new(move |view: &View| change_times(view, &wanted, principal, None));
    command.send(app, &request, scope, decide).await.map(|_| ())
}
