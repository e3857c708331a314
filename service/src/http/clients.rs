//! Clients, their credits and their ledger.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use clinic::settlement::{self, NewGrant};
use clinic::{Client, Scope, Subject, registration};
use ledger_core::{Credits, Entry, Key, ReasonCode, Source};
use scheduler_core::{ClientId, ServiceId, TherapistId};
use serde::{Deserialize, Serialize};
use store::Whose;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List, Versioned};
use super::calendar::{OccurrenceBody, calendar};
use super::caller::{Caller, Command};
use super::params::{Id, PageParams, Params, WindowParams, limit, zone};
use super::problem::Problem;
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register, list))
        .routes(routes!(show))
        .routes(routes!(grant))
        .routes(routes!(balance))
        .routes(routes!(ledger))
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

/// Credits granted by hand.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCredits {
    /// What they pay for.
    service_id: Uuid,
    /// How many.
    #[schema(example = 4)]
    amount: i64,
    source: SourceBody,
    /// Why, as a code: lower case, digits and underscores. It stays in the ledger for ever.
    #[schema(example = "bank_transfer")]
    reason: String,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SourceBody {
    /// Given.
    Goodwill,
    /// Paid for.
    Paid,
}

/// An entry of the ledger. `details` depend on the kind.
#[derive(Debug, Serialize, ToSchema)]
struct EntryBody {
    /// Its place in the account, from 1.
    seq: u64,
    /// Unique in the ledger: the same fact is entered once.
    key: String,
    /// grant, hold, release, use, forfeit or rescheduled.
    kind: String,
    details: serde_json::Value,
    effective_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    /// SHA-256 over this entry and the one before it.
    hash: String,
}

/// Credits, in whole sessions.
#[derive(Debug, Serialize, ToSchema)]
struct BalanceBody {
    client_id: Uuid,
    available: i64,
    held: i64,
    used: i64,
    forfeited: i64,
    /// The same for each service.
    services: Vec<ServiceBalance>,
    /// The number of the last entry.
    version: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ServiceBalance {
    service_id: Uuid,
    available: i64,
    held: i64,
    used: i64,
    forfeited: i64,
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

/// Grant credits. Sessions that waited for one get it at once.
#[utoipa::path(post, path = "/clients/{id}/credits", tag = "credits",
    params(("id" = Uuid, Path)), request_body = NewCredits,
    responses((status = 201, body = EntryBody)))]
async fn grant(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewCredits>,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Problem> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "client")?;
    let principal = command.caller.0;
    let request = command.request(&app);
    let new = &command.body;
    let reason: ReasonCode = new.reason.parse().map_err(|_| {
        let detail = "a code like bank_transfer is expected: [a-z][a-z0-9_]{0,63}";
        Problem::unprocessable("invalid_value", "reason", detail)
    })?;
    let (client, service) = (ClientId(id), ServiceId(new.service_id));
    let key = Key::manual_grant(random::id(request.at));
    let grant = NewGrant {
        client,
        key: key.clone(),
        service,
        amount: Credits(new.amount),
        source: match new.source {
            SourceBody::Goodwill => Source::Goodwill,
            SourceBody::Paid => Source::Paid,
        },
        reason,
    };
    let scope = Scope::Grant {
        client,
        service,
        key,
    };
    let now = request.at;
    let expected = command.expected;
    let decide = Box::new(move |view: &_| settlement::grant(view, grant, principal, expected, now));
    let key = |subject: &Subject| match subject {
        Subject::Entry(_, key) => Some(key.clone()),
        _ => None,
    };
    let (written, key) = command.write(&app, &request, scope, decide, key).await?;
    let entry = app.store.entry(principal.clinic, &key).await?;
    let entry = entry.ok_or_else(Problem::internal)?;
    let answer = (StatusCode::CREATED, Json(entry_body(&entry)?));
    Ok(Done { written, answer })
}

/// A client's balance.
#[utoipa::path(get, path = "/clients/{id}/balance", tag = "credits",
    params(("id" = Uuid, Path)), responses((status = 200, body = BalanceBody)))]
async fn balance(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Versioned<BalanceBody>, Problem> {
    let client = caller.client(&app, id).await?;
    let clinic = caller.0.clinic;
    let account = app.store.account(clinic, client.id).await?;
    let account = account.ok_or_else(Problem::internal)?;
    let services: BTreeSet<_> = account.lots().iter().map(|lot| lot.service).collect();
    let services = services.into_iter().map(|service| {
        let balance = account.balance_for(service);
        ServiceBalance {
            service_id: service.0,
            available: balance.available.0,
            held: balance.held.0,
            used: balance.used.0,
            forfeited: balance.forfeited.0,
        }
    });
    let total = account.balance();
    let body = BalanceBody {
        client_id: client.id.0,
        available: total.available.0,
        held: total.held.0,
        used: total.used.0,
        forfeited: total.forfeited.0,
        services: services.collect(),
        version: account.seq(),
    };
    Ok(Versioned::ok(body.version, body))
}

/// Where to go on in a ledger.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LedgerParams {
    /// The `next` of the page before: the number of its last entry.
    cursor: Option<u64>,
    /// At most so many entries, 1 to 200. 50, if not given.
    limit: Option<u32>,
}

/// A client's ledger, oldest entry first.
#[utoipa::path(get, path = "/clients/{id}/ledger", tag = "credits",
    params(("id" = Uuid, Path), LedgerParams),
    responses((status = 200, body = List<EntryBody>)))]
async fn ledger(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<LedgerParams>,
) -> Result<Json<List<EntryBody>>, Problem> {
    let client = caller.client(&app, id).await?;
    let limit = limit(params.limit)?;
    let after = params.cursor.unwrap_or(0);
    let entries = app
        .store
        .entries(caller.0.clinic, client.id, after, limit)
        .await?;
    let items = entries.iter().map(entry_body).collect::<Result<_, _>>()?;
    Ok(Json(List::page(items, limit, |item: &EntryBody| {
        item.seq.to_string()
    })))
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

fn entry_body(entry: &Entry) -> Result<EntryBody, Problem> {
    let mut details = serde_json::to_value(&entry.body).map_err(|_| Problem::internal())?;
    if let Some(details) = details.as_object_mut() {
        details.remove("kind");
    }
    Ok(EntryBody {
        seq: entry.seq,
        key: entry.key.to_string(),
        kind: entry.body.kind().to_owned(),
        details,
        effective_at: entry.effective_at,
        recorded_at: entry.recorded_at,
        hash: entry.hash.to_string(),
    })
}
