//! A client's subscription: which plan holds when, what it entitles to, and its months that are
//! paid for.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use clinic::plan::Month;
use clinic::subscription::{PaidInvoice, grant_month, lot_of_month, subscribe};
use clinic::{PlanId, Scope, Subscription};
use ledger_core::{BadPeriod, Period};
use scheduler_core::{ClientId, Zone};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, Json, Versioned};
use super::caller::{Caller, Command};
use super::credits::{EntryBody, entered};
use super::params::{Id, vendor_id, zone as zone_named};
use super::plans::{self, PlanBody};
use super::preview::Instead;
use super::problem::Problem;
use super::services::{MoneyBody, paid};
use crate::{App, people};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(change, show))
        .routes(routes!(end))
        .routes(routes!(pay))
}

/// The plan that is to hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTerm {
    plan_id: Uuid,
    /// From when on: its months begin at this wall time. Now, if not given.
    from: Option<DateTime<Utc>>,
    /// The zone whose calendar its months are counted in. The client's, if not given.
    #[schema(example = "Europe/Berlin")]
    zone: Option<String>,
}

/// When a subscription is to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct End {
    /// Now, if not given. A month that is paid for keeps its credits.
    from: Option<DateTime<Utc>>,
}

/// A month that was paid for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMonth {
    /// When the month begins.
    starts_at: DateTime<Utc>,
    invoice: InvoiceBody,
}

/// An invoice that was paid.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvoiceBody {
    /// Its number: letters, digits and . _ : -
    #[schema(example = "2026-0017")]
    id: String,
    /// The first instant of the period that it charges: exactly the month's.
    period_start: DateTime<Utc>,
    /// The first instant after it.
    period_end: DateTime<Utc>,
    /// What was paid: with what follows, the plan's price.
    paid: MoneyBody,
    /// By how much less the clinic has charged. None, if not given.
    discount: Option<MoneyBody>,
    /// What was settled without money: from the customer's balance, or by a credit note.
    from_balance: Option<MoneyBody>,
    /// How much of all that is tax on top of the price.
    tax: Option<MoneyBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionBody {
    client_id: Uuid,
    /// Which plan holds from when on. None, if the client has never subscribed.
    terms: Vec<TermBody>,
    /// The month that it is; null before the first and after the end.
    current: Option<MonthBody>,
    version: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct TermBody {
    from: DateTime<Utc>,
    /// The zone whose calendar its months are counted in.
    zone: String,
    /// Null: the subscription has ended.
    plan_id: Option<Uuid>,
}

/// What a client is entitled to in a month.
#[derive(Debug, Serialize, ToSchema)]
struct MonthBody {
    plan: PlanBody,
    starts_at: DateTime<Utc>,
    /// The first instant after it, when the next is to be paid.
    ends_at: DateTime<Utc>,
    /// The lot that it brought, once it was paid for.
    lot: Option<u32>,
}

/// A client's subscription, and what it entitles to now.
#[utoipa::path(get, path = "/clients/{id}/subscription", tag = "subscriptions",
    params(("id" = Uuid, Path)), responses((status = 200, body = SubscriptionBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Versioned<SubscriptionBody>, Problem> {
    let client = caller.client(&app, id).await?;
    shown(&app, &caller, client.id).await
}

/// Subscribe a client to a plan, or change to it, now or later.
#[utoipa::path(post, path = "/clients/{id}/subscription", tag = "subscriptions",
    params(("id" = Uuid, Path)), request_body = NewTerm,
    responses((status = 200, body = SubscriptionBody)))]
async fn change(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewTerm>,
) -> Result<Done<Versioned<SubscriptionBody>>, Instead> {
    let NewTerm {
        plan_id,
        from,
        ref zone,
    } = command.body;
    let zone = zone.as_deref().map(zone_named);
    let term = (from, zone.transpose()?);
    set(&app, &command, id, Some(PlanId(plan_id)), term).await
}

/// End a subscription, now or later.
#[utoipa::path(post, path = "/clients/{id}/subscription/end", tag = "subscriptions",
    params(("id" = Uuid, Path)), request_body = End,
    responses((status = 200, body = SubscriptionBody)))]
async fn end(
    State(app): State<App>,
    Id(id): Id,
    command: Command<End>,
) -> Result<Done<Versioned<SubscriptionBody>>, Instead> {
    let End { from } = command.body;
    set(&app, &command, id, None, (from, None)).await
}

/// Enter that a month was paid for. Its credits are granted on the invoice that proves it, and what
/// is left of the month before goes over, by the plan.
#[utoipa::path(post, path = "/clients/{id}/subscription/months", tag = "subscriptions",
    params(("id" = Uuid, Path)), request_body = NewMonth,
    responses((status = 201, body = EntryBody),
        (status = 200, body = EntryBody, description = "It was entered before.")))]
async fn pay(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewMonth>,
) -> Result<Done<(StatusCode, Json<EntryBody>)>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "client")?;
    command.names_itself()?;
    let client = ClientId(id);
    let NewMonth { starts_at, invoice } = &command.body;
    let starts_at = *starts_at;
    let period = Period::new(invoice.period_start, invoice.period_end);
    let invoice = PaidInvoice {
        id: vendor_id("invoice.id", &invoice.id)?,
        period: period.map_err(|error: BadPeriod| {
            Problem::unprocessable("invalid_value", "invoice.period_end", error.to_string())
        })?,
        paid: paid(
            "invoice.",
            &invoice.paid,
            [&invoice.discount, &invoice.from_balance, &invoice.tax],
        )?,
    };
    let request = command.request(&app);
    let (expected, now) = (command.expected, request.at);
    let proof = invoice.proof();
    let scope = Scope::Month {
        client,
        starts_at,
        proof,
    };
    let decide =
        Box::new(move |view: &_| grant_month(view, starts_at, invoice.clone(), expected, now));
    let written = command.send(&app, &request, scope, decide).await?;
    let subscription = stored(&app, &command.caller, client).await?;
    let month = subscription.month_starting(starts_at);
    let mut found = None;
    for key in month.map_or_else(Vec::new, |month| subscription.keys(&month)) {
        // The last of its grants: those before it were taken back.
        match app.store.entry(command.caller.0.clinic, &key).await? {
            Some(_) => found = Some(key),
            None => break,
        }
    }
    entered(
        &app,
        &command,
        written,
        found.ok_or_else(Problem::internal)?,
    )
    .await
}

async fn set<T>(
    app: &App,
    command: &Command<T>,
    id: Uuid,
    plan: Option<PlanId>,
    (from, zone): (Option<DateTime<Utc>>, Option<Zone>),
) -> Result<Done<Versioned<SubscriptionBody>>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "client")?;
    let client = ClientId(id);
    let request = command.request(app);
    let (expected, now) = (command.expected, request.at);
    let zone = match (zone, plan) {
        (None, Some(_)) => {
            let known = people::client(app, command.caller.0.clinic, client).await?;
            known.and_then(|(row, person)| row.zone(person.as_ref()))
        }
        (zone, _) => zone,
    };
    let from = (from.unwrap_or(now), zone);
    let scope = Scope::Subscription { client, plan };
    let decide = Box::new(move |view: &_| subscribe(view, plan, from, expected, now));
    let written = command.send(app, &request, scope, decide).await?;
    let answer = shown(app, &command.caller, client).await?;
    Ok(Done { written, answer })
}

async fn stored(app: &App, caller: &Caller, client: ClientId) -> Result<Subscription, Problem> {
    let subscription = app.store.subscription(caller.0.clinic, client).await?;
    subscription.ok_or_else(|| Problem::not_found("subscription"))
}

async fn shown(
    app: &App,
    caller: &Caller,
    client: ClientId,
) -> Result<Versioned<SubscriptionBody>, Problem> {
    let Some(subscription) = app.store.subscription(caller.0.clinic, client).await? else {
        // A client who has not subscribed yet has version 0, which a first subscription may name.
        let body = SubscriptionBody {
            client_id: client.0,
            terms: Vec::new(),
            current: None,
            version: 0,
        };
        return Ok(Versioned::ok(body.version, body));
    };
    let current = match subscription.month_at(app.clock.now()) {
        Some(month) => Some(month_body(app, caller, &subscription, &month).await?),
        None => None,
    };
    let terms = subscription.terms.iter().map(|term| TermBody {
        from: term.from,
        zone: term.zone.name().to_owned(),
        plan_id: term.plan.map(|id| id.0),
    });
    let body = SubscriptionBody {
        client_id: client.0,
        terms: terms.collect(),
        current,
        version: subscription.version,
    };
    Ok(Versioned::ok(body.version, body))
}

async fn month_body(
    app: &App,
    caller: &Caller,
    subscription: &Subscription,
    month: &Month,
) -> Result<MonthBody, Problem> {
    let clinic = caller.0.clinic;
    let plan = app.store.plan(clinic, month.plan).await?;
    let account = app.store.account(clinic, subscription.client).await?;
    let account = account.ok_or_else(Problem::internal)?;
    Ok(MonthBody {
        plan: plans::body(&plan.ok_or_else(Problem::internal)?),
        starts_at: month.period.start(),
        ends_at: month.period.end(),
        lot: lot_of_month(&account, subscription, month).map(|lot| lot.0),
    })
}
