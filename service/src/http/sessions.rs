//! Sessions by their own id: the same occurrences, and how they went.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use clinic::occurrence::Touch;
use clinic::settlement::{self, Outcome, settle};
use clinic::{Address, Decision, Principal, Role, Scope, View};
use scheduler_core::SessionId;
use scheduler_core::calendar::Item;
use scheduler_core::session::{CaseReason, SessionState};
use serde::{Deserialize, Serialize};
use store::{Which, Whose};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List, Versioned};
use super::calendar::{OccurrenceBody, body};
use super::caller::{Caller, Command};
use super::occurrences::{NewTime, Nothing, answer, change, locate, shown};
use super::params::{Id, PageParams, Params, local, reason};
use super::preview::Instead;
use super::problem::Problem;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(cases))
        .routes(routes!(show))
        .routes(routes!(complete))
        .routes(routes!(no_show))
        .routes(routes!(waive))
        .routes(routes!(reschedule))
        .routes(routes!(cancel))
}

/// The names of all states.
pub(super) const STATES: [&str; 7] = [
    "scheduled",
    "unfunded",
    "case",
    "completed",
    "no_show",
    "cancelled",
    "missed",
];

/// Which sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SessionParams {
    /// live (scheduled or unfunded), attendance_unknown (over, and nobody has said how they went), or open
    /// (unfunded, cases, missed, and attendance unknown), or a state, as in `state`. Live, if not given.
    which: Option<String>,
    /// scheduled, unfunded, case, completed, no_show, cancelled or missed: those in this state, in place of
    /// `which`.
    state: Option<String>,
    /// The `next` of the page before.
    cursor: Option<Uuid>,
    /// At most so many items, 1 to 200. 50, if not given.
    limit: Option<u32>,
}

/// Sessions: all of the clinic for its staff, one's own for others.
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(SessionParams),
    responses((status = 200, body = List<OccurrenceBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<SessionParams>,
) -> Result<Json<List<OccurrenceBody>>, Problem> {
    let whose = own(&caller)?;
    let now = app.clock.now();
    let invalid = |field, value: &str, detail| {
        let problem = Problem::unprocessable("invalid_value", field, detail);
        Err(problem.with("value", value))
    };
    let which = match (params.which.as_deref(), params.state.as_deref()) {
        (None | Some("live"), None) => Which::Live,
        (Some("attendance_unknown"), None) => Which::AttendanceUnknown { now },
        (Some("open"), None) => Which::Open { now },
        (Some(other), None) => match STATES.into_iter().find(|name| *name == other) {
            Some(name) => Which::In(name),
            None => {
                let detail = "live, attendance_unknown, open or the name of a state is expected";
                return invalid("which", other, detail);
            }
        },
        (Some(_), Some(state)) => return invalid("state", state, "give one of which and state"),
        (None, Some(state)) => match STATES.into_iter().find(|name| *name == state) {
            Some(name) => Which::In(name),
            None => return invalid("state", state, "the name of a session's state is expected"),
        },
    };
    let page = PageParams::new(params.cursor, params.limit).page()?;
    let sessions = app
        .store
        .sessions(caller.0.clinic, whose, which, page)
        .await?;
    let next = sessions.last().map(|session| session.id.to_string());
    let items = sessions.iter().map(|one| body(&Item::Session(one)));
    Ok(Json(List::page(items.collect(), page.limit, |_| {
        next.clone().unwrap_or_default()
    })))
}

/// Whose sessions a caller sees in lists.
fn own(caller: &Caller) -> Result<Whose, Problem> {
    Ok(match caller.0.role {
        Role::Therapist(id) => Whose::Therapist(id),
        Role::Client(id) => Whose::Client(id),
        Role::Admin | Role::Operator => {
            caller.may(Action::Read, Resource::Clinic, "page")?;
            Whose::Clinic
        }
    })
}

/// A session that waits for somebody.
#[derive(Debug, Serialize, ToSchema)]
struct OpenCaseBody {
    /// What it waits for: `unfunded`, a credit; `no_credit` and `overlap`, a person who decides about a case;
    /// `missed` and `attendance_unknown`, somebody who says how it went.
    #[schema(example = "no_credit")]
    kind: &'static str,
    occurrence: OccurrenceBody,
}

/// Everything that waits for somebody: all of the clinic for its staff, one's own for others. What is outside a
/// therapist's hours is in `/therapists/{id}/cases`, what a time off hits with that.
#[utoipa::path(get, path = "/cases", tag = "sessions", params(PageParams),
    responses((status = 200, body = List<OpenCaseBody>)))]
async fn cases(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<PageParams>,
) -> Result<Json<List<OpenCaseBody>>, Problem> {
    let (whose, page) = (own(&caller)?, params.page()?);
    let which = Which::Open {
        now: app.clock.now(),
    };
    let found = app.store.sessions(caller.0.clinic, whose, which, page);
    let sessions = found.await?;
    let next = sessions.last().map(|session| session.id.to_string());
    let items = sessions.iter().map(|session| OpenCaseBody {
        kind: match session.state {
            SessionState::Case {
                reason: CaseReason::Unfunded,
            } => "no_credit",
            SessionState::Case {
                reason: CaseReason::Overlap,
            } => "overlap",
            SessionState::Scheduled => "attendance_unknown",
            state => state.name(),
        },
        occurrence: body(&Item::Session(session)),
    });
    Ok(Json(List::page(items.collect(), page.limit, |_| {
        next.clone().unwrap_or_default()
    })))
}

/// One session.
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions",
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Versioned<OccurrenceBody>, Problem> {
    let address = Address::Session(SessionId(id));
    let (intent, at) = locate(&app, &caller, address).await?;
    let shown = shown(&app, &caller, intent, at).await;
    shown.map_err(|problem| problem.as_missing("session"))
}

/// Whether a session costs a credit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Completion {
    /// Whether it costs a credit. It does, if not given; only staff say that it does not.
    charge: Option<bool>,
}

/// It took place: the held credit is used. If none is held, since there was none in time or nobody had planned
/// it, one is taken.
#[utoipa::path(post, path = "/sessions/{id}/complete", tag = "sessions", request_body = Completion,
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn complete(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Completion>,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let charged = command.body.charge.unwrap_or(true);
    went(&app, &command, id, Outcome::Completed { charged }).await
}

/// The client did not come: the held credit goes by the service's policy.
#[utoipa::path(post, path = "/sessions/{id}/no-show", tag = "sessions", request_body = Nothing,
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn no_show(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    went(&app, &command, id, Outcome::NoShow).await
}

/// Why something is given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Waiver {
    /// Why: one of the codes of `/reasons`. It stays in the ledger for ever.
    #[schema(example = "goodwill")]
    reason: String,
}

/// Give back the credit that a late cancellation or a no-show cost, if the service's policy lets
/// the caller.
#[utoipa::path(post, path = "/sessions/{id}/waive", tag = "sessions", request_body = Waiver,
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn waive(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Waiver>,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let reason = reason(&command.body.reason)?;
    let scope = Scope::Waiver(SessionId(id));
    on_session(
        &app,
        &command,
        id,
        scope,
        |view, principal, expected, now| settlement::waive(view, &reason, principal, expected, now),
    )
    .await
}

/// Give a session another time. It keeps the credit held for it.
#[utoipa::path(post, path = "/sessions/{id}/reschedule", tag = "sessions", request_body = NewTime,
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn reschedule(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewTime>,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let to = local("starts_local", &command.body.starts_local)?;
    change(
        &app,
        &command,
        Address::Session(SessionId(id)),
        Touch::Reschedule(to),
    )
    .await
}

/// Call a session off. A held credit is released in time, and forfeited late.
#[utoipa::path(post, path = "/sessions/{id}/cancel", tag = "sessions", request_body = Nothing,
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn cancel(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    change(
        &app,
        &command,
        Address::Session(SessionId(id)),
        Touch::Cancel,
    )
    .await
}

async fn went<T>(
    app: &App,
    command: &Command<T>,
    id: Uuid,
    outcome: Outcome,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let scope = Scope::Occurrence {
        address: Address::Session(SessionId(id)),
        around: None,
        history: false,
    };
    on_session(app, command, id, scope, |view, principal, expected, now| {
        settle(view, outcome, principal, expected, now)
    })
    .await
}

/// Decides about a session, and shows it as it is then.
async fn on_session<T>(
    app: &App,
    command: &Command<T>,
    id: Uuid,
    scope: Scope,
    decide: impl Fn(&View, Principal, Option<u64>, DateTime<Utc>) -> Decision + Send + Sync,
) -> Result<Done<Versioned<OccurrenceBody>>, Instead> {
    let address = Address::Session(SessionId(id));
    let (intent, at) = locate(app, &command.caller, address).await?;
    let request = command.request(app);
    let (principal, expected, now) = (command.caller.0, command.expected, request.at);
    let decide = Box::new(move |view: &_| decide(view, principal, expected, now));
    let written = command.send(app, &request, scope, decide).await;
    let written = written.map_err(|instead| instead.or_missing("session"))?;
    answer(app, &command.caller, written, intent, at).await
}
