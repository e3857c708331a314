//! Payments that were refused because another was entered first, for staff to settle.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use clinic::{Conflict, Scope, conflict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List, Versioned};
use super::caller::{Caller, Command};
use super::occurrences::Nothing;
use super::params::{Id, Params, after, limit};
use super::preview::Instead;
use super::problem::Problem;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(settle))
}

/// Two invoices or receipts for one thing. The first brought credits, the second was refused: the money for it
/// is to be given back, or entered for something else.
#[derive(Debug, Serialize, ToSchema)]
struct ConflictBody {
    id: Uuid,
    /// Its place in the list.
    seq: u64,
    /// For whom the second was entered.
    client_id: Uuid,
    /// Whose credits rest on the first.
    stored_client_id: Uuid,
    /// The entry that was made, and what it rests on.
    stored: String,
    /// The entry that was refused, and what it was to rest on.
    asked: String,
    /// When it was refused for the first time.
    kept_at: DateTime<Utc>,
    /// When somebody settled it. Null while it is open.
    settled_at: Option<DateTime<Utc>>,
    version: u64,
}

/// Which conflicts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConflictParams {
    /// Whether settled conflicts are listed too. False, if not given.
    #[serde(default)]
    settled: bool,
    /// The `next` of the page before.
    cursor: Option<u64>,
    /// At most so many items, 1 to 200. 50, if not given.
    limit: Option<u32>,
}

/// Invoices and receipts that were refused because another was entered for the same thing, or they were used
/// before. Oldest first.
#[utoipa::path(get, path = "/conflicts", tag = "credits", params(ConflictParams),
    responses((status = 200, body = List<ConflictBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<ConflictParams>,
) -> Result<Json<List<ConflictBody>>, Problem> {
    caller.may(Action::Administer, Resource::Clinic, "page")?;
    let (after, limit) = (after(params.cursor)?, limit(params.limit)?);
    let only_open = !params.settled;
    let store = app.store.as_ref();
    let conflicts = store.conflicts(caller.0.clinic, only_open, after, limit);
    let items = conflicts.await?.into_iter().map(body).collect();
    Ok(Json(List::page(items, limit, |item: &ConflictBody| {
        item.seq.to_string()
    })))
}

/// Mark a conflict as settled, once the money is given back or entered for something else.
#[utoipa::path(post, path = "/conflicts/{id}/settle", tag = "credits", request_body = Nothing,
    params(("id" = Uuid, Path)), responses((status = 200, body = ConflictBody)))]
async fn settle(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<Versioned<ConflictBody>>, Instead> {
    let request = command.request(&app);
    let (principal, expected) = (command.caller.0, command.expected);
    let decide = Box::new(move |view: &_| conflict::settle(view, expected, principal));
    let scope = Scope::Conflict(id);
    let written = command.send(&app, &request, scope, decide).await?;
    let conflict = app.store.conflict(principal.clinic, id).await?;
    let conflict = conflict.ok_or_else(|| Problem::not_found("conflict"))?;
    let answer = Versioned::ok(conflict.version(), body(conflict));
    Ok(Done { written, answer })
}

fn body(conflict: Conflict) -> ConflictBody {
    let version = conflict.version();
    ConflictBody {
        id: conflict.id,
        seq: conflict.seq,
        client_id: conflict.between.client.0,
        stored_client_id: conflict.between.stored_client.0,
        stored: conflict.between.stored,
        asked: conflict.between.asked,
        kept_at: conflict.kept_at,
        settled_at: conflict.settled_at,
        version,
    }
}
