//! A client's credits: what is done to them by hand, and the entries of their ledger.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use clinic::account::{ByHand, by_hand};
use clinic::{Role, Subject};
use ledger_core::{AccountId, Body, Credits, Entry, Evidence, Key, LotId, LotNumber, Source};
use scheduler_core::{ClientId, ServiceId};
use serde::{Deserialize, Serialize};
use store::Written;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, Json, List};
use super::caller::{Caller, Command};
use super::params::{Id, Params, after, limit, reason, vendor_id};
use super::preview::Instead;
use super::problem::Problem;
use super::services::{MoneyBody, paid};
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(grant))
        .routes(routes!(purchase))
        .routes(routes!(adjust))
        .routes(routes!(reverse))
        .routes(routes!(transfer))
        .routes(routes!(ledger))
}

/// Credits granted by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCredits {
    /// What they pay for.
    service_id: Uuid,
    /// How many.
    #[schema(example = 4)]
    amount: i64,
    source: SourceBody,
    /// Why: one of the codes of `/reasons`. It stays in the ledger for ever.
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

/// One of a service, bought at its price.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPurchase {
    /// What it pays for.
    service_id: Uuid,
    /// The number of the receipt or checkout: letters, digits and . _ : -. It buys once.
    #[schema(example = "R-2026-17")]
    checkout: String,
    /// What was paid: with what follows, the service's price.
    paid: MoneyBody,
    /// By how much less the clinic has charged. None, if not given.
    discount: Option<MoneyBody>,
    /// What was settled without money: from the customer's balance, or by a credit note.
    from_balance: Option<MoneyBody>,
    /// How much of all that is tax on top of the price.
    tax: Option<MoneyBody>,
}

/// A correction of the number of credits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Adjustment {
    /// Of which service.
    service_id: Uuid,
    /// How many more, or, if negative, fewer.
    #[schema(example = -1)]
    amount: i64,
    /// Why: one of the codes of `/reasons`.
    #[schema(example = "counted_twice")]
    reason: String,
}

/// An entry to be taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reversal {
    /// The entry's key.
    key: String,
    /// Why: one of the codes of `/reasons`.
    #[schema(example = "wrong_client")]
    reason: String,
    /// Until when credits can be used that come back after their own end. 14 days, if not given.
    expires_at: Option<DateTime<Utc>>,
}

/// Credits of a lot that get another end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTransfer {
    /// The lot's number in the client's account.
    #[schema(example = 3)]
    lot: u32,
    /// How many. Those that are available go first, then those that have expired.
    #[schema(example = 1)]
    amount: i64,
    /// The first instant at which no session can start any more that they pay. Without end, if not
    /// given.
    expires_at: Option<DateTime<Utc>>,
    /// Why: one of the codes of `/reasons`.
    #[schema(example = "clinic_closed")]
    reason: String,
}

/// An entry of the ledger. `details` depend on the kind.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntryBody {
    /// Its place in the account, from 1.
    seq: u64,
    /// Unique in the ledger: the same fact is entered once.
    key: String,
    /// Like grant, hold, release, use, forfeit, rescheduled, expire, transfer, extend, adjust or
    /// reverse.
    kind: String,
    details: serde_json::Value,
    /// From when it counts.
    effective_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    /// SHA-256 over this entry and the one before it.
    hash: String,
}

/// Grant credits. Sessions that waited for one get it at once.
#[utoipa::path(post, path = "/clients/{id}/credits", tag = "credits",
    params(("id" = Uuid, Path)), request_body = NewCredits,
    responses((status = 201, body = EntryBody)))]
async fn grant(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewCredits>,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Instead> {
    let new = &command.body;
    let what = ByHand::Grant {
        id: random::id(app.clock.now()),
        service: ServiceId(new.service_id),
        amount: Credits(new.amount),
        source: match new.source {
            SourceBody::Goodwill => Source::Goodwill,
            SourceBody::Paid => Source::Paid,
        },
        reason: reason(&new.reason)?,
    };
    enter(&app, &command, ClientId(id), what).await
}

/// Enter that one of a service was bought and paid for, such as a consultation.
#[utoipa::path(post, path = "/clients/{id}/purchases", tag = "credits",
    params(("id" = Uuid, Path)), request_body = NewPurchase,
    responses((status = 201, body = EntryBody),
        (status = 200, body = EntryBody, description = "It was entered before.")))]
async fn purchase(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewPurchase>,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Instead> {
    let new = &command.body;
    let what = ByHand::Purchase {
        service: ServiceId(new.service_id),
        checkout: vendor_id("checkout", &new.checkout)?,
        paid: paid("", &new.paid, [&new.discount, &new.from_balance, &new.tax])?,
    };
    enter(&app, &command, ClientId(id), what).await
}

/// Correct the number of credits. More come without end; fewer are taken from what is available.
#[utoipa::path(post, path = "/clients/{id}/adjustments", tag = "credits",
    params(("id" = Uuid, Path)), request_body = Adjustment,
    responses((status = 201, body = EntryBody)))]
async fn adjust(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Adjustment>,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Instead> {
    let new = &command.body;
    let what = ByHand::Adjust {
        id: random::id(app.clock.now()),
        service: ServiceId(new.service_id),
        amount: Credits(new.amount),
        reason: reason(&new.reason)?,
    };
    enter(&app, &command, ClientId(id), what).await
}

/// Take an entry back: all that it moved moves back, or nothing does.
#[utoipa::path(post, path = "/clients/{id}/reversals", tag = "credits",
    params(("id" = Uuid, Path)), request_body = Reversal,
    responses((status = 201, body = EntryBody),
        (status = 200, body = EntryBody, description = "It was taken back before.")))]
async fn reverse(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Reversal>,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Instead> {
    let new = &command.body;
    let entry: Key = new.key.parse().map_err(|error: ledger_core::BadKey| {
        Problem::unprocessable("invalid_value", "key", error.to_string())
    })?;
    let what = ByHand::Reverse {
        entry,
        reason: reason(&new.reason)?,
        until: new.expires_at,
    };
    enter(&app, &command, ClientId(id), what).await
}

/// Give credits of a lot another end. They move to a lot of their own.
#[utoipa::path(post, path = "/clients/{id}/transfers", tag = "credits",
    params(("id" = Uuid, Path)), request_body = NewTransfer,
    responses((status = 201, body = EntryBody)))]
async fn transfer(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewTransfer>,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Instead> {
    let new = &command.body;
    let what = ByHand::Transfer {
        id: random::id(app.clock.now()),
        lot: LotId {
            account: AccountId(id),
            number: LotNumber(new.lot),
        },
        amount: Credits(new.amount),
        until: new.expires_at,
        reason: reason(&new.reason)?,
    };
    enter(&app, &command, ClientId(id), what).await
}

async fn enter<T>(
    app: &App,
    command: &Command<T>,
    client: ClientId,
    what: ByHand,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Instead> {
    let principal = command.caller.0;
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "client")?;
    // A purchase is named by its receipt.
    if !matches!(what, ByHand::Purchase { .. }) {
        command.names_itself()?;
    }
    let request = command.request(app);
    let (expected, now) = (command.expected, request.at);
    let (scope, key) = (what.scope(client), what.key());
    let decide = Box::new(move |view: &_| by_hand(view, &what, principal, expected, now));
    let written = command.send(app, &request, scope, decide).await?;
    entered(app, command, written, key).await
}

/// The answer to what was entered under a key, now or before.
pub(super) async fn entered<T>(
    app: &App,
    command: &Command<T>,
    written: Written,
    key: Key,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Instead> {
    let (status, key) = match &written {
        Written::Committed {
            subject: Some(Subject::Entry(_, key)),
            ..
        }
        | Written::Replayed(Subject::Entry(_, key)) => (StatusCode::CREATED, key.clone()),
        _ => (StatusCode::OK, key),
    };
    let entry = app.store.entry(command.caller.0.clinic, &key).await?;
    let entry = entry.ok_or_else(Problem::internal)?;
    let answer = (status, Json(body(&entry, command.caller.0.role)?));
    Ok(Done { written, answer })
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
    let after = after(params.cursor)?;
    let entries = app
        .store
        .entries(caller.0.clinic, client.id, after, limit)
        .await?;
    let items = entries.iter().map(|one| body(one, caller.0.role));
    let items = items.collect::<Result<_, _>>()?;
    Ok(Json(List::page(items, limit, |item: &EntryBody| {
        item.seq.to_string()
    })))
}

/// What an entry says. Which of the staff decided it, and by which code, is the staff's to know.
pub(super) fn details(entry: &Entry, role: Role) -> Result<serde_json::Value, Problem> {
    let mut details = serde_json::to_value(&entry.body).map_err(|_| Problem::internal())?;
    if role == Role::Admin {
        return Ok(details);
    }
    let decided = match &entry.body {
        Body::Adjust { .. } | Body::Reverse { .. } => details.as_object_mut(),
        Body::Grant {
            evidence: Evidence::Manual { .. },
            ..
        } => details["evidence"].as_object_mut(),
        _ => None,
    };
    if let Some(decided) = decided {
        decided.retain(|name, _| name != "actor" && name != "reason");
    }
    Ok(details)
}

fn body(entry: &Entry, role: Role) -> Result<EntryBody, Problem> {
    let mut details = details(entry, role)?;
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
