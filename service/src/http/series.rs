//! Edits of a series: this and following, all of it, pauses, ends, the last change taken back, and
//! what the series was.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use clinic::access::{Action, Resource, allow};
use clinic::{Actor, Principal, Role, Subject, View, series};
use ledger_core::ReasonCode;
use scheduler_core::intent::{self, Changes, Edit, Overrides, Record, undoable, undone};
use scheduler_core::{GapPolicy, IntentId, Pause, PausedSlot, ServiceId, TherapistId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Written;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List, Versioned};
use super::caller::{Caller, Command};
use super::intents::{GapBody, IntentBody, body};
use super::params::{Id, Params, local, reason, zone};
use super::preview::Instead;
use super::problem::{Problem, rule};
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(amend))
        .routes(routes!(split))
        .routes(routes!(reassign))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(end))
        .routes(routes!(undo))
        .routes(routes!(segments))
        .routes(routes!(history))
}

/// What is different from some date on. What is not given stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangesBody {
    /// The wall time of the first changed occurrence.
    #[schema(example = "2026-03-10T17:00:00")]
    starts_local: Option<String>,
    zone: Option<String>,
    gap: Option<GapBody>,
    minutes: Option<u32>,
    /// RFC 5545 RRULE text. If not given, the old rule goes on, with what is left of COUNT.
    rule: Option<String>,
    therapist_id: Option<Uuid>,
    service_id: Option<Uuid>,
}

/// What becomes of dates that were moved or given another length by hand.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OverridesBody {
    /// They stay as they were changed.
    #[default]
    Carry,
    /// They stay, each as a booking of its own.
    Detach,
    /// They become what the series says.
    Drop,
}

/// A change of everything that is still to come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Amendment {
    changes: ChangesBody,
    #[serde(default)]
    overrides: OverridesBody,
    /// Why: one of the codes of `/reasons`.
    #[schema(example = "schedule_change")]
    reason: Option<String>,
}

/// A change of one occurrence and what follows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SplitBody {
    /// The recurrence-id of the first that is changed.
    #[schema(example = "2026-03-09T18:00:00")]
    at: String,
    changes: ChangesBody,
    #[serde(default)]
    overrides: OverridesBody,
    /// Why: one of the codes of `/reasons`.
    reason: Option<String>,
}

/// Another therapist from a date on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reassignment {
    /// The first date, in the intent's zone.
    from: NaiveDate,
    therapist_id: Uuid,
    /// Why: one of the codes of `/reasons`.
    reason: Option<String>,
}

/// A rest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    /// The first date of it, in the intent's zone.
    from: NaiveDate,
    /// The first date after it. If not given, it lasts until further notice.
    until: Option<NaiveDate>,
    /// What becomes of the therapist's time meanwhile: kept or freed. Kept, if not given.
    #[serde(default)]
    slot: SlotBody,
    /// Why: one of the codes of `/reasons`.
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PausedSlot)]
#[serde(rename_all = "snake_case")]
pub(super) enum SlotBody {
    /// Nobody else can have it.
    #[default]
    Kept,
    /// Others may book it.
    Freed,
}

/// From a date on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FromDate {
    /// In the intent's zone.
    from: NaiveDate,
    /// Why: one of the codes of `/reasons`.
    reason: Option<String>,
}

/// Why, if there is a reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reasoned {
    /// One of the codes of `/reasons`.
    reason: Option<String>,
}

/// Change all that is still to come. Answers with the segment that goes on.
#[utoipa::path(post, path = "/intents/{id}/amend", tag = "series", request_body = Amendment,
    params(("id" = Uuid, Path)), responses((status = 200, body = IntentBody),
        (status = 409, description = "clash, collides, nothing_left, ...")))]
async fn amend(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Amendment>,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let wanted = Edit::Amend {
        into: new_id(&app),
        changes: changes(&command.body.changes)?,
        overrides: overrides(command.body.overrides),
    };
    edit(&app, &command, id, wanted, command.body.reason.as_deref()).await
}

/// Change one occurrence and what follows. Answers with the segment that goes on.
#[utoipa::path(post, path = "/intents/{id}/split", tag = "series", request_body = SplitBody,
    params(("id" = Uuid, Path)), responses((status = 200, body = IntentBody),
        (status = 409, description = "clash, collides, in_the_past, ..."),
        (status = 422, description = "split_outside, unsplittable, ...")))]
async fn split(
    State(app): State<App>,
    Id(id): Id,
    command: Command<SplitBody>,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let wanted = Edit::Split {
        at: local("at", &command.body.at)?,
        into: new_id(&app),
        changes: changes(&command.body.changes)?,
        overrides: overrides(command.body.overrides),
    };
    edit(&app, &command, id, wanted, command.body.reason.as_deref()).await
}

/// Give what is still to come from a date on to another therapist.
#[utoipa::path(post, path = "/intents/{id}/reassign", tag = "series", request_body = Reassignment,
    params(("id" = Uuid, Path)), responses((status = 200, body = IntentBody)))]
async fn reassign(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Reassignment>,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let wanted = Edit::Reassign {
        from: command.body.from,
        to: TherapistId(command.body.therapist_id),
        into: new_id(&app),
    };
    edit(&app, &command, id, wanted, command.body.reason.as_deref()).await
}

/// Rest for a while. Sessions inside are called off, late ones by the policy of late cancellation.
#[utoipa::path(post, path = "/intents/{id}/pause", tag = "series", request_body = PauseBody,
    params(("id" = Uuid, Path)), responses((status = 200, body = IntentBody)))]
async fn pause(
    State(app): State<App>,
    Id(id): Id,
    command: Command<PauseBody>,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let wanted = Edit::Pause(Pause {
        from: command.body.from,
        until: command.body.until,
        slot: match command.body.slot {
            SlotBody::Kept => PausedSlot::Kept,
            SlotBody::Freed => PausedSlot::Freed,
        },
    });
    edit(&app, &command, id, wanted, command.body.reason.as_deref()).await
}

/// End a pause. Sessions that it called off take place again.
#[utoipa::path(post, path = "/intents/{id}/resume", tag = "series", request_body = FromDate,
    params(("id" = Uuid, Path)), responses((status = 200, body = IntentBody)))]
async fn resume(
    State(app): State<App>,
    Id(id): Id,
    command: Command<FromDate>,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let wanted = Edit::Resume {
        from: command.body.from,
    };
    edit(&app, &command, id, wanted, command.body.reason.as_deref()).await
}

/// End the booking: from this date on it means nothing.
#[utoipa::path(post, path = "/intents/{id}/end", tag = "series", request_body = FromDate,
    params(("id" = Uuid, Path)), responses((status = 200, body = IntentBody)))]
async fn end(
    State(app): State<App>,
    Id(id): Id,
    command: Command<FromDate>,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let wanted = Edit::End {
        from: command.body.from,
    };
    edit(&app, &command, id, wanted, command.body.reason.as_deref()).await
}

/// Take the last change back, while nothing of it has happened, and say what it was. Of a segment that
/// nobody has changed since it was split off, that is the split. Refused if a session of the booking was
/// changed last: what was done to a session is not undone, and nothing before it is.
#[utoipa::path(post, path = "/intents/{id}/undo", tag = "series", request_body = Reasoned,
    params(("id" = Uuid, Path)), responses((status = 200, body = UndoneBody),
        (status = 409, description = "nothing_to_undo, session_changed_last, happened, overtaken")))]
async fn undo(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Reasoned>,
) -> Result<Done<Versioned<UndoneBody>>, Instead> {
    let why = why(command.body.reason.as_deref())?;
    let request = command.request(&app);
    let (principal, now) = (command.caller.0, request.at);
    let named = command.caller.intent(&app, id).await?;
    let (changed, series) = (series::undo_of(&named), named.series);
    let scope = series::undo_scope(&named, now)?;
    let (id, expected) = (named.id, command.expected);
    let decide =
        Box::new(move |view: &View| series::undo(view, id, why.as_ref(), principal, expected, now));
    let written = command.send(&app, &request, scope, decide).await;
    let records = app.store.history(principal.clinic, series).await?;
    let said = |record: Option<&Record>| record.map(|one| entry(one, principal)).transpose();
    let written = match written {
        Ok(written) => written,
        Err(Instead::Preview(mut difference)) => {
            let last = undoable(changed, &records);
            difference["undone"] = json!(said(last)?);
            return Err(Instead::Preview(difference));
        }
        Err(refused) => return Err(refused),
    };
    let undone = said(undone(changed, &records))?;
    let Done { written, answer } = answer(&app, &command.caller, written, id).await?;
    let Versioned { version, body, .. } = answer;
    let intent = body;
    let answer = Versioned::ok(version, UndoneBody { intent, undone });
    Ok(Done { written, answer })
}

/// A booking, and the change that was undone.
#[derive(Debug, Serialize, ToSchema)]
struct UndoneBody {
    #[serde(flatten)]
    intent: IntentBody,
    /// What was undone.
    undone: Option<RecordBody>,
}

/// When.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AsOf {
    /// The instant, RFC 3339. Now, if not given.
    as_of: Option<DateTime<Utc>>,
}

/// The segments of the series that the caller may see, as they are or as they were at any instant.
#[utoipa::path(get, path = "/intents/{id}/series", tag = "series",
    params(("id" = Uuid, Path), AsOf), responses((status = 200, body = List<IntentBody>)))]
async fn segments(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<AsOf>,
) -> Result<Json<List<IntentBody>>, Problem> {
    let named = caller.intent(&app, id).await?;
    let clinic = caller.0.clinic;
    let mut segments = match params.as_of {
        None => app.store.segments(clinic, named.series).await?,
        Some(at) => {
            let records = app.store.history(clinic, named.series).await?;
            intent::as_of(&records, at)
        }
    };
    segments.retain(|segment| allow(caller.0, Action::Read, Resource::of(segment)));
    Ok(Json(List::all(segments.iter().map(body).collect())))
}

/// One thing that happened to a segment.
#[derive(Debug, Serialize, ToSchema)]
struct RecordBody {
    intent_id: Uuid,
    at: DateTime<Utc>,
    /// Who: by role and id to staff, and of what one did oneself; else by role.
    actor: String,
    /// The code of the reason, if one was given.
    reason: Option<String>,
    /// What, by its kind and particulars.
    event: serde_json::Value,
}

/// Where a page of the history begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryParams {
    /// How many entries are passed over: the `next` of the page before.
    #[serde(default)]
    after: u32,
}

/// How many entries a page of the history has.
const PAGE: usize = 200;

/// Everything that happened to the segments of the series that the caller may see, in order, who
/// did it and why.
#[utoipa::path(get, path = "/intents/{id}/history", tag = "series",
    params(("id" = Uuid, Path), HistoryParams),
    responses((status = 200, body = List<RecordBody>)))]
async fn history(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<HistoryParams>,
) -> Result<Json<List<RecordBody>>, Problem> {
    let named = caller.intent(&app, id).await?;
    let clinic = caller.0.clinic;
    let mut segments = app.store.segments(clinic, named.series).await?;
    segments.retain(|segment| allow(caller.0, Action::Read, Resource::of(segment)));
    let seen: BTreeSet<IntentId> = segments.iter().map(|segment| segment.id).collect();
    let records = app.store.history(clinic, named.series).await?;
    let records = records.iter().filter(|one| seen.contains(&one.intent));
    let after = usize::try_from(params.after).unwrap_or(usize::MAX);
    let page: Vec<&Record> = records.skip(after).take(PAGE).collect();
    let (limit, last) = (
        u32::try_from(PAGE).unwrap_or(u32::MAX),
        after.saturating_add(page.len()),
    );
    let items = page.into_iter().map(|record| entry(record, caller.0));
    let items: Result<Vec<RecordBody>, Problem> = items.collect();
    Ok(Json(List::page(items?, limit, |_| last.to_string())))
}

/// What is told of who did something: staff hear exactly, others what they are, or that it was they.
fn entry(record: &Record, principal: Principal) -> Result<RecordBody, Problem> {
    let mut actor = record.cause.actor.clone();
    let own = actor == Actor::Principal(principal).to_string();
    if let Some(role) = actor
        .find('/')
        .filter(|_| principal.role != Role::Admin && !own)
    {
        actor.truncate(role);
    }
    Ok(RecordBody {
        intent_id: record.intent.0,
        at: record.at,
        actor,
        reason: record.cause.reason.clone(),
        event: serde_json::to_value(&record.event).map_err(|_| Problem::internal())?,
    })
}

async fn edit<T>(
    app: &App,
    command: &Command<T>,
    id: Uuid,
    wanted: Edit,
    reason: Option<&str>,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let why = why(reason)?;
    let request = command.request(app);
    let (principal, expected, now) = (command.caller.0, command.expected, request.at);
    let id = IntentId(id);
    let scope = series::scope(id, &wanted, now)?;
    let decide = Box::new(move |view: &View| {
        series::edit(view, &wanted, why.as_ref(), principal, expected, now)
    });
    let written = command.send(app, &request, scope, decide).await?;
    answer(app, &command.caller, written, id).await
}

/// Shows the segment that a command was about, or the one that was named if nothing had to be done.
async fn answer(
    app: &App,
    caller: &Caller,
    written: Written,
    named: IntentId,
) -> Result<Done<Versioned<IntentBody>>, Instead> {
    let id = match &written {
        Written::Committed {
            subject: Some(Subject::Intent(id)),
            ..
        }
        | Written::Replayed(Subject::Intent(id)) => *id,
        _ => named,
    };
    let intent = caller.intent(app, id.0).await?;
    let answer = Versioned::ok(intent.version, body(&intent));
    Ok(Done { written, answer })
}

fn new_id(app: &App) -> IntentId {
    IntentId(random::id(app.clock.now()))
}

fn why(code: Option<&str>) -> Result<Option<ReasonCode>, Problem> {
    code.map(reason).transpose()
}

fn overrides(body: OverridesBody) -> Overrides {
    match body {
        OverridesBody::Carry => Overrides::Carry,
        OverridesBody::Detach => Overrides::Detach,
        OverridesBody::Drop => Overrides::Drop,
    }
}

fn changes(body: &ChangesBody) -> Result<Changes, Problem> {
    let start = body.starts_local.as_deref();
    let rules = body.rule.as_deref().map(|text| match text.parse() {
        Ok(parsed) => Ok(vec![parsed]),
        Err(error) => Err(rule(&error)),
    });
    Ok(Changes {
        start: start
            .map(|start| local("changes.starts_local", start))
            .transpose()?,
        zone: body.zone.as_deref().map(zone).transpose()?,
        gap: body.gap.map(GapPolicy::from),
        minutes: body.minutes,
        rules: rules.transpose()?,
        therapist: body.therapist_id.map(TherapistId),
        service: body.service_id.map(ServiceId),
    })
}
