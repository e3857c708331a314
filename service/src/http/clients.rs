//! Clients, and their appointments.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use clinic::access::{Action, Resource};
use clinic::{Client, Person, PersonId, Scope, Subject, registration};
use scheduler_core::{ClientId, TherapistId};
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
use crate::people::{self, Listed, Opened};
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register, list))
        .routes(routes!(show))
        .routes(routes!(sessions))
        .routes(routes!(taken))
        .routes(routes!(assign))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewClient {
    /// How they are called.
    name: String,
    /// Where they are written to. No other client has it.
    email: Option<String>,
    /// The IANA zone they see times in.
    #[schema(example = "America/New_York")]
    zone: String,
    /// The therapist they are assigned to, and whose calendar they book into themselves.
    therapist_id: Option<Uuid>,
}

/// A client. Name, address and zone are sealed in the database.
#[derive(Serialize, ToSchema)]
pub(super) struct ClientBody {
    id: Uuid,
    /// Null: they are erased, or it cannot be read.
    name: Option<String>,
    /// Why what is known of them is missing, in a list, though they are not erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<MissingBody>,
    /// Nothing is known of them any more.
    erased: bool,
    email: Option<String>,
    /// They must not be erased.
    legal_hold: bool,
    /// The zone they see times in. Null: they are erased, or it cannot be read.
    zone: Option<String>,
    therapist_id: Option<Uuid>,
}

/// Register a client.
#[utoipa::path(post, path = "/clients", tag = "clients", request_body = NewClient,
    responses((status = 201, body = ClientBody)))]
async fn register(
    State(app): State<App>,
    command: Command<NewClient>,
) -> Result<Done<(StatusCode, Json<ClientBody>)>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "page")?;
    command.makes_new()?;
    let clinic = command.caller.0.clinic;
    let new = &command.body;
    let zone = zone(&new.zone)?;
    let therapist = new.therapist_id.map(TherapistId);
    let request = command.request(&app);
    let id = ClientId(random::client_id());
    let person = Person::new(new.name.clone(), new.email.clone())?.in_zone(Some(zone));
    let email = email_hashes(&app, &command.caller, new.email.as_deref())?;
    let sealed = app
        .vault
        .seal_new(clinic, PersonId::Client(id), &person, request.at);
    let (sealed, dek, indexes) = sealed?;
    let client = Client {
        id,
        person: Some(sealed),
        legal_hold: false,
        clear_zone: None,
        therapist,
    };
    let scope = Scope::Registration { therapist, email };
    let decide = Box::new(|view: &_| {
        registration::register_client(view, client.clone(), dek.clone(), indexes.clone())
    });
    let id = |subject: &Subject| match subject {
        Subject::Client(id) => Some(*id),
        _ => None,
    };
    let (written, id) = command.write(&app, &request, scope, decide, id).await?;
    let stored = people::client(&app, clinic, id).await?;
    let client = stored.ok_or_else(Problem::internal)?;
    let answer = (StatusCode::CREATED, Json(body(&client)));
    Ok(Done { written, answer })
}

/// Whom a client is assigned to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Assignment {
    /// Null: nobody.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    #[schema(required)]
    therapist_id: Option<Uuid>,
}

/// Assign a client to another therapist, who sees them from then on; the former does not. Bookings stay where
/// they are: `/intents/{id}/reassign` gives a series to another therapist, and the client along with the last.
#[utoipa::path(post, path = "/clients/{id}/therapist", tag = "clients", request_body = Assignment,
    params(("id" = Uuid, Path)), responses((status = 200, body = ClientBody)))]
async fn assign(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Assignment>,
) -> Result<Done<Json<ClientBody>>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "client")?;
    let client = ClientId(id);
    let therapist = command.body.therapist_id.map(TherapistId);
    let scope = Scope::Assignment { client, therapist };
    let decide = Box::new(move |view: &_| registration::assign(view, therapist));
    let request = command.request(&app);
    let written = command.send(&app, &request, scope, decide).await?;
    let opened = people::client(&app, command.caller.0.clinic, client).await?;
    let answer = Json(body(&opened.ok_or_else(Problem::internal)?));
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
    let clients = people::clients(&app, caller.0.clinic, page).await?;
    let items = clients.into_iter().map(listed).collect();
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
    let client = caller.client(&app, id).await?;
    let opened = people::client(&app, caller.0.clinic, client.id).await?;
    Ok(Json(body(&opened.ok_or_else(Problem::internal)?)))
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
    calendar(&app, &caller, Whose::Client(client.id), &params).await
}

/// The time that a client's bookings take in a window: where it touches, as one stretch. Buffers are the
/// therapist's time and not the client's.
#[utoipa::path(get, path = "/clients/{id}/busy", tag = "clients", operation_id = "busy",
    params(("id" = Uuid, Path), BusyParams),
    responses((status = 200, body = List<BusyBody>)))]
async fn taken(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<BusyParams>,
) -> Result<Json<List<BusyBody>>, Problem> {
    let client = caller.client(&app, id).await?;
    busy(
        &app,
        &caller,
        Whose::Client(client.id),
        &params,
        &BTreeMap::new(),
    )
    .await
}

fn listed((client, person): Listed<Client>) -> ClientBody {
    match person {
        Ok(person) => body(&(client, person)),
        Err(defect) => ClientBody {
            error: Some(Problem::from(defect).into()),
            ..body(&(client, None))
        },
    }
}

pub(super) fn body((client, person): &Opened<Client>) -> ClientBody {
    let person = person.as_ref();
    ClientBody {
        id: client.id.0,
        name: person.map(|person| person.name().to_owned()),
        error: None,
        erased: client.person.is_none(),
        email: person.and_then(Person::email).map(str::to_owned),
        legal_hold: client.legal_hold,
        zone: client.zone(person).map(|zone| zone.to_string()),
        therapist_id: client.therapist.map(|id| id.0),
    }
}
