//! Clients, and their appointments.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use clinic::access::{Action, Resource};
use clinic::{Client, Scope, Subject, registration};
use scheduler_core::{ClientId, TherapistId};
use serde::{Deserialize, Serialize};
use store::Whose;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List};
use super::calendar::{OccurrenceBody, calendar};
use super::caller::{Caller, Command};
use super::params::{Id, PageParams, Params, WindowParams, zone};
use super::problem::Problem;
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register, list))
        .routes(routes!(show))
        .routes(routes!(sessions))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewClient {
    /// How they are called.
    name: String,
    /// The IANA zone they see times in.
    #[schema(example = "America/New_York")]
    zone: String,
    /// The therapist they are assigned to, and whose calendar they book into themselves.
    therapist_id: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ClientBody {
    id: Uuid,
    name: String,
    zone: String,
    therapist_id: Option<Uuid>,
}

/// Register a client.
#[utoipa::path(post, path = "/clients", tag = "clients", request_body = NewClient,
    responses((status = 201, body = ClientBody)))]
async fn register(
    State(app): State<App>,
    command: Command<NewClient>,
) -> Result<Done<(StatusCode, Json<ClientBody>)>, Problem> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "page")?;
    command.makes_new()?;
    let clinic = command.caller.0.clinic;
    let new = &command.body;
    let zone = zone(&new.zone)?;
    let therapist = new.therapist_id.map(TherapistId);
    let request = command.request(&app);
    let client = Client {
        id: ClientId(random::id(request.at)),
        name: new.name.clone(),
        zone,
        therapist,
    };
    let scope = Scope::New { therapist };
    let decide = Box::new(|view: &_| registration::register_client(view, client));
    let id = |subject: &Subject| match subject {
        Subject::Client(id) => Some(*id),
        _ => None,
    };
    let (written, id) = command.write(&app, &request, scope, decide, id).await?;
    let stored = app.store.client(clinic, id).await?;
    let client = stored.ok_or_else(Problem::internal)?;
    let answer = (StatusCode::CREATED, Json(body(&client)));
    Ok(Done { written, answer })
}

/// The clinic's clients.
#[utoipa::path(get, path = "/clients", tag = "clients", params(PageParams),
    responses((status = 200, body = List<ClientBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<PageParams>,
) -> Result<Json<List<ClientBody>>, Problem> {
    caller.may(Action::Read, Resource::Clinic, "page")?;
    let page = params.page()?;
    let clients = app.store.clients(caller.0.clinic, page).await?;
    let items = clients.iter().map(body).collect();
    Ok(Json(List::page(items, page.limit, |item| {
        item.id.to_string()
    })))
}

/// One client.
#[utoipa::path(get, path = "/clients/{id}", tag = "clients",
    params(("id" = Uuid, Path)), responses((status = 200, body = ClientBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<ClientBody>, Problem> {
    Ok(Json(body(&caller.client(&app, id).await?)))
}

/// A client's appointments in a window: sessions, and the occurrences that are still virtual.
#[utoipa::path(get, path = "/clients/{id}/sessions", tag = "clients",
    params(("id" = Uuid, Path), WindowParams),
    responses((status = 200, body = List<OccurrenceBody>)))]
async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<WindowParams>,
) -> Result<Json<List<OccurrenceBody>>, Problem> {
    let client = caller.client(&app, id).await?;
    calendar(
        &app,
        &caller,
        Whose::Client(client.id),
        params.window(&app)?,
    )
    .await
}

fn body(client: &Client) -> ClientBody {
    ClientBody {
        id: client.id.0,
        name: client.name.clone(),
        zone: client.zone.to_string(),
        therapist_id: client.therapist.map(|id| id.0),
    }
}
