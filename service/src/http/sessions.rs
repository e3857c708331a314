//! Sessions by their own id: the same occurrences, and how they went.

use axum::extract::State;
use clinic::occurrence::Touch;
use clinic::settlement::{Outcome, settle};
use clinic::{Address, Scope};
use scheduler_core::SessionId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, Versioned};
use super::calendar::OccurrenceBody;
use super::caller::{Caller, Command};
use super::occurrences::{NewTime, Nothing, answer, change, locate};
use super::params::{Id, local};
use super::problem::Problem;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(complete))
        .routes(routes!(no_show))
        .routes(routes!(reschedule))
        .routes(routes!(cancel))
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
    let shown = answer(&app, &caller, store::Written::Unchanged, intent, at).await;
    shown
        .map(|done| done.answer)
        .map_err(|problem| problem.as_missing("session"))
}

/// It took place: the held credit is used.
#[utoipa::path(post, path = "/sessions/{id}/complete", tag = "sessions", request_body = Nothing,
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn complete(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    went(&app, &command, id, Outcome::Completed).await
}

/// The client did not come: the held credit goes by the service's policy.
#[utoipa::path(post, path = "/sessions/{id}/no-show", tag = "sessions", request_body = Nothing,
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn no_show(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    went(&app, &command, id, Outcome::NoShow).await
}

/// Give a session another time. It keeps the credit held for it.
#[utoipa::path(post, path = "/sessions/{id}/reschedule", tag = "sessions", request_body = NewTime,
    params(("id" = Uuid, Path)), responses((status = 200, body = OccurrenceBody)))]
async fn reschedule(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewTime>,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
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
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    change(
        &app,
        &command,
        Address::Session(SessionId(id)),
        Touch::Cancel,
    )
    .await
}

async fn went(
    app: &App,
    command: &Command<Nothing>,
    id: Uuid,
    outcome: Outcome,
) -> Result<Done<Versioned<OccurrenceBody>>, Problem> {
    let address = Address::Session(SessionId(id));
    let (intent, at) = locate(app, &command.caller, address).await?;
    let request = command.request(app);
    let (principal, expected, now) = (command.caller.0, command.expected, request.at);
    let scope = Scope::Occurrence {
        address,
        around: None,
    };
    let decide = Box::new(move |view: &_| settle(view, outcome, principal, expected, now));
    let written = app.store.write(&request, scope, decide).await;
    let written = written.map_err(|error| Problem::from(error).as_missing("session"))?;
    answer(app, &command.caller, written, intent, at).await
}
