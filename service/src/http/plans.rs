//! Plans: what a client can subscribe to.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use clinic::plan::LATE_DAYS;
use clinic::{LeftOver, Plan, PlanId, Scope, Subject, registration};
use ledger_core::{CarryOver, Credits, Expiry};
use scheduler_core::ServiceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List};
use super::caller::{Caller, Command};
use super::occurrences::Nothing;
use super::params::{Id, PageParams, Params};
use super::preview::Instead;
use super::problem::Problem;
use super::services::MoneyBody;
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .routes(routes!(show))
        .routes(routes!(retire))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPlan {
    #[schema(example = "Four a month")]
    name: String,
    /// What its credits pay for.
    service_id: Uuid,
    /// How many a month brings, 1 to 100.
    #[schema(example = 4)]
    credits: i64,
    /// What a month costs.
    price: MoneyBody,
    /// When the credits of a month expire. With the month, if not given.
    #[serde(default)]
    expiry: ExpiryBody,
    /// How many credits that are left go over into the next month, once that is paid for: "none",
    /// "all" or a number. None, if not given.
    #[serde(default)]
    rollover: CarryOverBody,
    /// How many go over into the first month of this plan when a client changes to it. All, if not
    /// given.
    #[serde(default = "CarryOverBody::all")]
    carry_over: CarryOverBody,
    /// The credits of a month that is paid late can be used for so many days at least from the day on
    /// which that is entered. 7, if not given.
    #[serde(default = "late_days")]
    late_days: u32,
}

fn late_days() -> u32 {
    LATE_DAYS
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanBody {
    id: Uuid,
    name: String,
    service_id: Uuid,
    credits: i64,
    price: MoneyBody,
    expiry: ExpiryBody,
    rollover: CarryOverBody,
    carry_over: CarryOverBody,
    late_days: u32,
    /// Since when nobody can subscribe to it any more.
    retired_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ExpiryBody {
    /// With the month: they are valid for sessions that start before its end.
    #[default]
    PeriodEnd,
    /// Never.
    Never,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum CarryOverBody {
    Words(CarryOverWord),
    /// At most so many.
    AtMost(i64),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CarryOverWord {
    None,
    All,
}

/// Add a plan.
#[utoipa::path(post, path = "/plans", tag = "plans", request_body = NewPlan,
    responses((status = 201, body = PlanBody)))]
async fn add(
    State(app): State<App>,
    command: Command<NewPlan>,
) -> Result<Done<(StatusCode, Json<PlanBody>)>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "page")?;
    command.makes_new()?;
    let request = command.request(&app);
    let new = &command.body;
    let service = ServiceId(new.service_id);
    let plan = Plan {
        id: PlanId(random::id(request.at)),
        name: new.name.clone(),
        service,
        credits: Credits(new.credits),
        price: new.price.money("price")?,
        left_over: LeftOver {
            expiry: match new.expiry {
                ExpiryBody::PeriodEnd => Expiry::PeriodEnd,
                ExpiryBody::Never => Expiry::Never,
            },
            rollover: new.rollover.into(),
            carry_over: new.carry_over.into(),
            late_days: new.late_days,
        },
        retired_at: None,
    };
    let decide = Box::new(|view: &_| registration::add_plan(view, plan.clone()));
    let id = |subject: &Subject| match subject {
        Subject::Plan(id) => Some(*id),
        _ => None,
    };
    let scope = Scope::Offer {
        service: Some(service),
        plan: None,
    };
    let (written, id) = command.write(&app, &request, scope, decide, id).await?;
    let stored = app.store.plan(command.caller.0.clinic, id).await?;
    let plan = stored.ok_or_else(Problem::internal)?;
    let answer = (StatusCode::CREATED, Json(body(&plan)));
    Ok(Done { written, answer })
}

/// Retire a plan: nobody can subscribe to it any more. Who is subscribed stays so, until staff change it. Other
/// terms are another plan.
#[utoipa::path(post, path = "/plans/{id}/retire", tag = "plans", request_body = Nothing,
    params(("id" = Uuid, Path)), responses((status = 200, body = PlanBody)))]
async fn retire(
    State(app): State<App>,
    Id(id): Id,
    command: Command<Nothing>,
) -> Result<Done<Json<PlanBody>>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "plan")?;
    let id = PlanId(id);
    let scope = Scope::Offer {
        service: None,
        plan: Some(id),
    };
    let request = command.request(&app);
    let now = request.at;
    let decide = Box::new(move |view: &_| registration::retire_plan(view, now));
    let written = command.send(&app, &request, scope, decide).await?;
    let plan = app.store.plan(command.caller.0.clinic, id).await?;
    let answer = Json(body(&plan.ok_or_else(Problem::internal)?));
    Ok(Done { written, answer })
}

/// The clinic's plans.
#[utoipa::path(get, path = "/plans", tag = "plans", params(PageParams),
    responses((status = 200, body = List<PlanBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<PageParams>,
) -> Result<Json<List<PlanBody>>, Problem> {
    caller.may(Action::Read, Resource::Directory, "page")?;
    let page = params.page()?;
    let plans = app.store.plans(caller.0.clinic, page).await?;
    let items = plans.iter().map(body).collect();
    Ok(Json(List::page(items, page.limit, |item| {
        item.id.to_string()
    })))
}

/// One plan.
#[utoipa::path(get, path = "/plans/{id}", tag = "plans",
    params(("id" = Uuid, Path)), responses((status = 200, body = PlanBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<PlanBody>, Problem> {
    caller.may(Action::Read, Resource::Directory, "plan")?;
    let plan = app.store.plan(caller.0.clinic, PlanId(id)).await?;
    let plan = plan.ok_or_else(|| Problem::not_found("plan"))?;
    Ok(Json(body(&plan)))
}

pub(super) fn body(plan: &Plan) -> PlanBody {
    PlanBody {
        id: plan.id.0,
        name: plan.name.clone(),
        service_id: plan.service.0,
        credits: plan.credits.0,
        price: plan.price.into(),
        expiry: match plan.left_over.expiry {
            Expiry::PeriodEnd => ExpiryBody::PeriodEnd,
            Expiry::Never => ExpiryBody::Never,
        },
        rollover: plan.left_over.rollover.into(),
        carry_over: plan.left_over.carry_over.into(),
        late_days: plan.left_over.late_days,
        retired_at: plan.retired_at,
    }
}

impl Default for CarryOverBody {
    fn default() -> Self {
        Self::Words(CarryOverWord::None)
    }
}

impl CarryOverBody {
    fn all() -> Self {
        Self::Words(CarryOverWord::All)
    }
}

impl From<CarryOverBody> for CarryOver {
    fn from(body: CarryOverBody) -> Self {
        match body {
            CarryOverBody::Words(CarryOverWord::None) => Self::None,
            CarryOverBody::Words(CarryOverWord::All) => Self::All,
            CarryOverBody::AtMost(most) => Self::AtMost(Credits(most)),
        }
    }
}

impl From<CarryOver> for CarryOverBody {
    fn from(policy: CarryOver) -> Self {
        match policy {
            CarryOver::None => Self::Words(CarryOverWord::None),
            CarryOver::All => Self::all(),
            CarryOver::AtMost(most) => Self::AtMost(most.0),
        }
    }
}
