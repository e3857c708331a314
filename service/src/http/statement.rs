//! What an account shows: its balance, now or as of two times, and its statement.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use chrono::{DateTime, Utc};
use ledger_core::{Account, AccountId, AsOf, Balance, Bucket, Entry, Line, Lot, Statement};
use scheduler_core::ClientId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Json, Versioned};
use super::caller::Caller;
use super::params::{Id, Params};
use super::problem::Problem;
use crate::{App, ledger};

/// The most lines of one statement.
const LINES_MAX: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(balance))
        .routes(routes!(statement))
}

/// As of when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AsOfParams {
    /// What counted then. Now, if not given.
    effective_at: Option<DateTime<Utc>>,
    /// As far as it was known then. Now, if not given.
    recorded_at: Option<DateTime<Utc>>,
}

/// Which entries: those recorded from one instant until another.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementParams {
    /// The first instant. The account's beginning, if not given.
    from: Option<DateTime<Utc>>,
    /// The first instant after it. None, if not given.
    until: Option<DateTime<Utc>>,
}

/// Credits, in whole sessions, by where they are.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Buckets {
    available: i64,
    held: i64,
    used: i64,
    forfeited: i64,
    expired: i64,
    /// Taken back.
    clawed: i64,
    /// Gone over to another lot, where they count again.
    moved_out: i64,
    /// Owed.
    debt: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct BalanceBody {
    client_id: Uuid,
    #[serde(flatten)]
    total: Buckets,
    /// The same for each service.
    services: Vec<ServiceBalance>,
    /// The number of the last entry.
    version: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ServiceBalance {
    service_id: Uuid,
    #[serde(flatten)]
    credits: Buckets,
}

#[derive(Debug, Serialize, ToSchema)]
struct StatementBody {
    client_id: Uuid,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    /// The balance before the first line.
    opening: Buckets,
    lines: Vec<LineBody>,
    /// The balance after the last line.
    closing: Buckets,
    /// The lots that the lines speak of.
    lots: Vec<LotBody>,
    /// The number of the last line's entry.
    seq: u64,
    /// The hash of that entry: whoever has the entries can compute it.
    hash: String,
}

/// An entry: the balance before it, and its moves, give the balance after it.
#[derive(Debug, Serialize, ToSchema)]
struct LineBody {
    seq: u64,
    kind: &'static str,
    key: String,
    /// The session whose credit it is about.
    session_id: Option<Uuid>,
    effective_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    moves: Vec<MoveBody>,
    /// By how much what is owed has changed.
    debt: i64,
    balance: Buckets,
}

#[derive(Debug, Serialize, ToSchema)]
struct MoveBody {
    lot: u32,
    /// Null: they are new.
    from: Option<&'static str>,
    to: &'static str,
    amount: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct LotBody {
    number: u32,
    service_id: Uuid,
    source: &'static str,
    granted: i64,
    /// The first session start it is valid for.
    effective_at: DateTime<Utc>,
    /// The first session start it is no longer valid for; null: it does not expire.
    expires_at: Option<DateTime<Utc>>,
}

/// A client's balance: all that was granted, months that are paid ahead among it. With a time: what
/// counted then, as far as it was known then.
#[utoipa::path(get, path = "/clients/{id}/balance", tag = "credits",
    params(("id" = Uuid, Path), AsOfParams), responses((status = 200, body = BalanceBody)))]
async fn balance(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<AsOfParams>,
) -> Result<Versioned<BalanceBody>, Problem> {
    let client = caller.client(&app, id).await?;
    let account = account(&app, &caller, client.id).await?;
    let (total, by_lot) = match (params.effective_at, params.recorded_at) {
        (None, None) => {
            let lots = account.lots().iter();
            let by_lot = lots.map(|lot| (lot.number, lot.balance)).collect();
            (account.balance(), by_lot)
        }
        (effective_at, recorded_at) => {
            let now = app.clock.now();
            let entries = entries(&app, &caller, &account).await?;
            let as_of = AsOf::of(
                account.id(),
                &entries,
                effective_at.unwrap_or(now),
                recorded_at.unwrap_or(now),
            );
            let AsOf { balance, lots, .. } = as_of.map_err(|corrupt| defective(&corrupt))?;
            (balance, lots)
        }
    };
    let mut services: BTreeMap<Uuid, Buckets> = BTreeMap::new();
    for lot in account.lots() {
        if let Some(balance) = by_lot.get(&lot.number) {
            services.entry(lot.service.0).or_default().add(*balance);
        }
    }
    let services = services.into_iter();
    let services = services.map(|(service_id, credits)| ServiceBalance {
        service_id,
        credits,
    });
    let body = BalanceBody {
        client_id: client.id.0,
        total: total.into(),
        services: services.collect(),
        version: account.seq(),
    };
    Ok(Versioned::ok(body.version, body))
}

/// A client's statement: entries with what they moved, and a running balance.
#[utoipa::path(get, path = "/clients/{id}/statement", tag = "credits",
    params(("id" = Uuid, Path), StatementParams),
    responses((status = 200, body = StatementBody)))]
async fn statement(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<StatementParams>,
) -> Result<Json<StatementBody>, Problem> {
    let client = caller.client(&app, id).await?;
    let account = account(&app, &caller, client.id).await?;
    let entries = entries(&app, &caller, &account).await?;
    let StatementParams { from, until } = params;
    let statement = Statement::of(AccountId(client.id.0), &entries, from, until);
    let statement = statement.map_err(|corrupt| defective(&corrupt))?;
    if statement.lines.len() > LINES_MAX {
        let detail = format!(
            "{} entries: a statement has at most {LINES_MAX}; ask for a shorter time",
            statement.lines.len()
        );
        return Err(Problem::unprocessable("too_many_lines", "from", detail));
    }
    let moves = statement.lines.iter().flat_map(|line| &line.moves);
    let spoken_of: BTreeSet<_> = moves.map(|one| one.lot).collect();
    let lots = account.lots().iter();
    let lots = lots.filter(|lot| spoken_of.contains(&lot.number));
    Ok(Json(StatementBody {
        client_id: client.id.0,
        from,
        until,
        opening: statement.opening.into(),
        lines: statement.lines.iter().map(line_body).collect(),
        closing: statement.closing.into(),
        lots: lots.map(lot_body).collect(),
        seq: statement.head.seq,
        hash: statement.head.hash.to_string(),
    }))
}

async fn account(app: &App, caller: &Caller, client: ClientId) -> Result<Account, Problem> {
    let account = app.store.account(caller.0.clinic, client).await?;
    account.ok_or_else(Problem::internal)
}

async fn entries(app: &App, caller: &Caller, account: &Account) -> Result<Vec<Entry>, Problem> {
    let (clinic, client) = (caller.0.clinic, ClientId(account.id().0));
    let entries = ledger::entries(app.store.as_ref(), clinic, client, 0, account.seq()).await?;
    entries.map_err(|defect| defective(&defect))
}

fn defective(defect: &dyn std::error::Error) -> Problem {
    tracing::error!(%defect, "an account does not hold together");
    Problem::internal()
}

fn line_body(line: &Line) -> LineBody {
    let moves = line.moves.iter().map(|one| MoveBody {
        lot: one.lot.0,
        from: one.from.map(Bucket::as_str),
        to: one.to.as_str(),
        amount: one.amount.0,
    });
    LineBody {
        seq: line.seq,
        kind: line.kind,
        key: line.key.to_string(),
        session_id: line.hold.map(|hold| hold.booking),
        effective_at: line.effective_at,
        recorded_at: line.recorded_at,
        moves: moves.collect(),
        debt: line.debt.0,
        balance: line.balance.into(),
    }
}

fn lot_body(lot: &Lot) -> LotBody {
    LotBody {
        number: lot.number.0,
        service_id: lot.service.0,
        source: lot.source.as_str(),
        granted: lot.granted.0,
        effective_at: lot.effective_at,
        expires_at: lot.expires_at,
    }
}

impl From<Balance> for Buckets {
    fn from(balance: Balance) -> Self {
        let mut buckets = Self::default();
        buckets.add(balance);
        buckets
    }
}

impl Buckets {
    /// Parts of an account's balance, which fits 64 bits.
    fn add(&mut self, balance: Balance) {
        self.available += balance.available.0;
        self.held += balance.held.0;
        self.used += balance.used.0;
        self.forfeited += balance.forfeited.0;
        self.expired += balance.expired.0;
        self.clawed += balance.clawed.0;
        self.moved_out += balance.moved_out.0;
        self.debt += balance.debt.0;
    }
}
