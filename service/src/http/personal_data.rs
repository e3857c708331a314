//! What is known of people: changed, looked up, held for the law.

use axum::Json;
use axum::extract::State;
use clinic::access::{Action, Resource};
use clinic::{Person, PersonId, Scope, personal_data};
use scheduler_core::{ClientId, TherapistId};
use serde::Deserialize;
use store::{StoreError, Written};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::caller::{Caller, Command};
use super::clients::{self, ClientBody};
use super::params::{self, Id};
use super::preview::Instead;
use super::problem::Problem;
use super::therapists::{self, TherapistBody};
use crate::vault::VaultError;
use crate::{App, people};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(change_client))
        .routes(routes!(change_therapist))
        .routes(routes!(look_up))
        .routes(routes!(hold))
}

/// How often a change begins anew because the person's key was exchanged meanwhile.
const TRIES_MAX: u32 = 16;

/// What is known of a person, all of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PersonBody {
    /// How they are called.
    name: String,
    /// Where they are written to.
    email: Option<String>,
    /// The zone that a client sees times in. It stays, if not given; a therapist's is that of the working times.
    #[schema(example = "America/New_York")]
    zone: Option<String>,
}

/// Whom to look for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    email: String,
}

/// Whether a client must not be erased.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Hold {
    held: bool,
}

/// Change what is known of a client. It stands sealed in the database.
#[utoipa::path(post, path = "/clients/{id}/person", tag = "people", request_body = PersonBody,
    params(("id" = Uuid, Path)), responses((status = 200, body = ClientBody)))]
async fn change_client(
    State(app): State<App>,
    Id(id): Id,
    command: Command<PersonBody>,
) -> Result<Done<Json<ClientBody>>, Instead> {
    let id = ClientId(id);
    let written = change(&app, &command, PersonId::Client(id)).await?;
    let answer = shown(&app, &command.caller, id).await?;
    Ok(Done { written, answer })
}

/// Change what is known of a therapist.
#[utoipa::path(post, path = "/therapists/{id}/person", tag = "people", request_body = PersonBody,
    params(("id" = Uuid, Path)), responses((status = 200, body = TherapistBody)))]
async fn change_therapist(
    State(app): State<App>,
    Id(id): Id,
    command: Command<PersonBody>,
) -> Result<Done<Json<TherapistBody>>, Instead> {
    let id = TherapistId(id);
    let written = change(&app, &command, PersonId::Therapist(id)).await?;
    let stored = people::therapist(&app, command.caller.0.clinic, id).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("therapist"))?;
    let answer = Json(therapists::body(&stored));
    Ok(Done { written, answer })
}

/// Find a client by their e-mail address. The address stands in the body, so that it stands in no
/// log of who asked for which page.
#[utoipa::path(post, path = "/clients/lookup", tag = "people", request_body = Wanted,
    responses((status = 200, body = ClientBody)))]
async fn look_up(
    State(app): State<App>,
    command: Command<Wanted>,
) -> Result<Json<ClientBody>, Problem> {
    command
        .caller
        .may(Action::Read, Resource::Clinic, "client")?;
    let clinic = command.caller.0.clinic;
    let hashes = email_hashes(&app, &command.caller, Some(&command.body.email))?;
    let found = app.store.client_by_email(clinic, &hashes).await?;
    let found = found.ok_or_else(|| Problem::not_found("client"))?;
    let opened = people::client(&app, clinic, found.id).await?;
    let (client, person) = opened.ok_or_else(|| Problem::not_found("client"))?;
    // A row of the database says that it is them; their own address decides.
    let address = person.as_ref().and_then(Person::email);
    let theirs = email_hashes(&app, &command.caller, address)?;
    if !theirs.iter().any(|hash| hashes.contains(hash)) {
        tracing::error!(client = %client.id, "a blind index is not theirs: standing keys verify");
        return Err(Problem::not_found("client"));
    }
    Ok(Json(clients::body(&(client, person))))
}

/// Forbid to erase a client, or allow it again.
#[utoipa::path(post, path = "/clients/{id}/legal-hold", tag = "people", request_body = Hold,
    params(("id" = Uuid, Path)), responses((status = 200, body = ClientBody)))]
async fn hold(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Hold>,
) -> Result<Done<Json<ClientBody>>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "client")?;
    let (id, held) = (ClientId(id), command.body.held);
    let scope = Scope::Person {
        id: PersonId::Client(id),
        email: Vec::new(),
    };
    let decide = Box::new(move |view: &_| personal_data::hold(view, held));
    let written = command
        .send(&app, &command.request(&app), scope, decide)
        .await?;
    let answer = shown(&app, &command.caller, id).await?;
    Ok(Done { written, answer })
}

async fn change(
    app: &App,
    command: &Command<PersonBody>,
    id: PersonId,
) -> Result<Written, Problem> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "person")?;
    let (principal, expected) = (command.caller.0, command.expected);
    let (clinic, store) = (principal.clinic, app.store.as_ref());
    let PersonBody { name, email, zone } = &command.body;
    let wanted_zone = zone.as_deref().map(params::zone).transpose()?;
    if let (Some(zone), PersonId::Therapist(_)) = (zone, id) {
        let detail = "a therapist's zone is that of the working times";
        return Err(
            Problem::unprocessable("invalid_value", "zone", detail).with("value", zone.as_str())
        );
    }
    let person = Person::new(name.clone(), email.clone())?;
    let hashes = email_hashes(app, &command.caller, email.as_deref())?;
    let mut tries = 0;
    loop {
        let before = match id {
            PersonId::Therapist(id) => {
                let row = store.therapist(clinic, id).await?;
                row.map(|row| (row.person, None))
            }
            PersonId::Client(id) => {
                let row = store.client(clinic, id).await?;
                row.map(|row| (row.person, row.clear_zone))
            }
        };
        let (before, clear_zone) = before.ok_or_else(|| Problem::not_found("person"))?;
        let before = before.ok_or(clinic::Refusal::Erased)?;
        let version = before.version;
        let zone = match app.vault.open_person(store, clinic, id, Some(before)).await {
            // What does not open is replaced.
            Err(VaultError::Unopenable { .. }) => None,
            opened => opened?.and_then(|person| person.zone()),
        };
        let person = person.clone().in_zone(wanted_zone.or(zone).or(clear_zone));
        let sealed = app.vault.seal_again(store, clinic, id, &person, version);
        let (sealed, indexes) = sealed.await?;
        let email = hashes.clone();
        let scope = Scope::Person { id, email };
        let decide = Box::new(move |view: &_| {
            personal_data::change(
                view,
                id,
                sealed.clone(),
                indexes.clone(),
                principal,
                expected,
            )
        });
        match app.write(&command.request(app), scope, decide).await {
            // Somebody else was there first, or the key is not there any more.
            Err(
                StoreError::Constraint { .. } | StoreError::Refused(clinic::Refusal::Stale { .. }),
            ) if tries < TRIES_MAX && expected.is_none() => {
                tries += 1;
                app.vault.forget(clinic, id);
            }
            written => return Ok(written?),
        }
    }
}

/// The blind indexes that a client with an address that somebody gave is found by.
pub(super) fn email_hashes(
    app: &App,
    caller: &Caller,
    address: Option<&str>,
) -> Result<Vec<[u8; 32]>, Problem> {
    if address.is_none() {
        return Ok(Vec::new());
    }
    let nobody = PersonId::Client(ClientId(uuid::Uuid::nil()));
    let indexes = app.vault.indexes(caller.0.clinic, nobody, address)?;
    let hashes: Vec<_> = indexes.iter().filter_map(|index| index.hash).collect();
    if hashes.is_empty() {
        let detail = "an e-mail address of at most 254 bytes is expected";
        return Err(Problem::unprocessable("invalid_value", "email", detail));
    }
    Ok(hashes)
}

async fn shown(app: &App, caller: &Caller, id: ClientId) -> Result<Json<ClientBody>, Problem> {
    let stored = people::client(app, caller.0.clinic, id).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("client"))?;
    Ok(Json(clients::body(&stored)))
}
