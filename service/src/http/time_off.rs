//! When a therapist works, when they are away, and what that hits.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clinic::access::{Action, Resource};
use clinic::occurrence::{Touch, touch};
use clinic::time_off::{Times, cases, change_times};
use clinic::{Address, Blackout, PersonId, Scope, SlotRules, Subject, View};
use scheduler_core::availability::DayHours;
use scheduler_core::calendar::{Calendar, Item, calendar};
use scheduler_core::set::SetError;
use scheduler_core::slots::{Ranking, free_slots};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{ClientId, IntentId, ServiceId, TherapistId, Window, Zone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Whose;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List, Versioned};
use super::calendar::{OccurrenceBody, body as occurrence};
use super::caller::{Caller, Command};
use super::occurrences::Nothing;
use super::params::{Blackouts, Id, local, reason};
use super::preview::Instead;
use super::problem::Problem;
use super::slots::{search, slot_rules};
use super::therapists::{DayHoursBody, HoursBody, TherapistBody, all_hours, body, minutes};
use crate::{App, people, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(hours))
        .routes(routes!(date))
        .routes(routes!(add, list))
        .routes(routes!(withdraw))
        .routes(routes!(reinstate))
        .routes(routes!(open_cases))
        .routes(routes!(resolve))
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
    /// None of them is a day off; null is the hours of the week again.
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
    /// Why, as a code.
    #[schema(example = "holiday")]
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

/// An occurrence that a blackout hits, and what can be done about it: it can be moved, left out, or
/// kept.
#[derive(Debug, Serialize, ToSchema)]
struct CaseBody {
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

/// Set the hours of a normal week. What is booked stays.
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

/// Set the hours of one date, or make it a day off. What is booked stays.
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
            let hit = Hit::load(&app, caller, &tried, &blackout).await?;
            difference["cases"] = json!(hit.cases(&tried, &blackout, app.clock.now())?);
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
struct Hit {
    rows: store::Calendar,
    services: BTreeMap<ServiceId, SlotRules>,
}

/// How far from a case's time another is looked for.
const REACH: TimeDelta = TimeDelta::days(7);

impl Hit {
    async fn load(
        app: &App,
        caller: &Caller,
        therapist: &clinic::Therapist,
        blackout: &Blackout,
    ) -> Result<Self, Problem> {
        let clinic = caller.0.clinic;
        let window = blackout.window().map_err(clinic::Refusal::from)?;
        let start = window.start() - REACH - TimeDelta::days(2);
        let end = (window.end() + REACH + TimeDelta::days(2)).min(END_OF_ZONE_DATA);
        let around = Window::new(start, end).unwrap_or(window);
        let whose = Whose::Therapist(therapist.id);
        let mut rows = app.store.calendar(clinic, whose, around).await?;
        let items = calendar(&rows.intents, &rows.sessions, window);
        let items = items.map_err(clinic::Refusal::from)?;
        let clients: BTreeSet<ClientId> = cases(blackout, &items).map(client).collect();
        for client in clients {
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

    /// The open cases, each with the nearest time that is free, and free beside the others.
    fn cases(
        &self,
        therapist: &clinic::Therapist,
        blackout: &Blackout,
        now: DateTime<Utc>,
    ) -> Result<Vec<CaseBody>, Problem> {
        let Self { rows, services } = self;
        let refused = |error: SetError| Problem::from(clinic::Refusal::from(error));
        let window = blackout.window().map_err(clinic::Refusal::from)?;
        let items = calendar(&rows.intents, &rows.sessions, window).map_err(refused)?;
        let rules = |service: &ServiceId| services.get(service).copied().unwrap_or_default();
        let calendar = Calendar::new(&rows.intents, &rows.sessions, |id| rules(&id).buffers);
        let availability = therapist.times.availability();
        let mut proposed: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
        let mut open = Vec::new();
        let own = |item: &&&Item<'_>| whose(item) == therapist.id;
        for item in cases(blackout, &items).filter(|item| own(&item)) {
            let start = item.start();
            let minutes = u32::try_from((item.end() - start).num_minutes()).unwrap_or(1);
            let policy = rules(&service(item)).policy(minutes);
            let policy = policy.map_err(clinic::Refusal::from)?;
            let around = Window::new((start - REACH).max(now), start + REACH).ok();
            let slots = match around {
                None => Vec::new(),
                Some(around) => {
                    let nearest = Ranking::NearestTo(start);
                    free_slots(&calendar, availability, policy, now, around, nearest)
                        .map_err(search)?
                }
            };
            let zone = zone(item);
            let slot = slots.into_iter().find(|slot| {
                let beside = proposed
                    .iter()
                    .all(|(from, to)| slot.end <= *from || *to <= slot.start);
                beside && zone.resolve(zone.local(slot.start)).0 == slot.start
            });
            proposed.extend(slot.map(|slot| (slot.start, slot.end)));
            open.push(CaseBody {
                occurrence: occurrence(item),
                instead: slot.map(|slot| zone.local(slot.start).to_string()),
            });
        }
        Ok(open)
    }
}

fn client(item: &Item<'_>) -> ClientId {
    match item {
        Item::Virtual { intent, .. } => intent.client,
        Item::Session(session) => session.client,
    }
}

fn whose(item: &Item<'_>) -> TherapistId {
    match item {
        Item::Virtual { intent, .. } => intent.therapist,
        Item::Session(session) => session.therapist,
    }
}

fn service(item: &Item<'_>) -> ServiceId {
    match item {
        Item::Virtual { intent, .. } => intent.service,
        Item::Session(session) => session.service,
    }
}

fn zone(item: &Item<'_>) -> Zone {
    match item {
        Item::Virtual { intent, .. } => intent.set.zone(),
        Item::Session(session) => session.zone,
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

async fn change<T>(
    app: &App,
    command: &Command<T>,
    id: Uuid,
    wanted: Times,
) -> Result<Done<Versioned<TherapistBody>>, Instead> {
    own(app, &command.caller, id).await?;
    let request = command.request(app);
    let written = decide(app, command, &request, id, wanted).await?;
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

fn scope(therapist: Uuid) -> Scope {
    Scope::Person {
        id: PersonId::Therapist(TherapistId(therapist)),
        email_index: None,
    }
}

/// A therapist whose working times the caller may see and change.
async fn own(app: &App, caller: &Caller, id: Uuid) -> Result<clinic::Therapist, Problem> {
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
    let body = BlackoutBody {
        id,
        therapist_id: therapist.id.0,
        from: blackout.from,
        until: blackout.until,
        reason: blackout.reason.as_ref().map(ToString::to_string),
        withdrawn: blackout.withdrawn,
        open_cases: cases(blackout, &items).count(),
        version,
    };
    Ok(Versioned::ok(version, body))
}
