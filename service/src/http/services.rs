//! What can be booked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use clinic::access::{Action, Resource};
use clinic::paid::Paid;
use clinic::{
    Cancellation, LateRule, Scope, Service, SlotRules, Subject, WaivedBy,
    registration::{self, GRACE_DAYS, NewService, patience},
};
use ledger_core::{Currency, Money};
use scheduler_core::ServiceId;
use scheduler_core::calendar::Buffers;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List};
use super::caller::{Caller, Command};
use super::params::{Id, PageParams, Params};
use super::preview::Instead;
use super::problem::Problem;
use crate::{App, random};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .routes(routes!(show, change))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewServiceBody {
    #[schema(example = "consultation")]
    name: String,
    /// How long it takes.
    #[schema(example = 80)]
    minutes: u32,
    price: MoneyBody,
    /// An unfunded session is left to a person this long before its start. A day, if not given.
    notice_minutes: Option<u32>,
    /// What calling it off costs. Free until a day before, then forfeited, if not given.
    cancellation: Option<CancellationBody>,
    /// When clients can book it: every quarter of an hour, at any time, if not given.
    slots: Option<SlotsBody>,
}

/// When a service can be booked. Staff may book it at any time that is free.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SlotsBody {
    /// It starts every so many minutes from midnight on the therapist's wall clock.
    #[serde(default = "step")]
    step_minutes: u16,
    /// Kept free before each.
    #[serde(default)]
    buffer_before_minutes: u16,
    /// Kept free after each.
    #[serde(default)]
    buffer_after_minutes: u16,
    /// It is booked this long before it starts, or longer.
    #[serde(default)]
    notice_minutes: u32,
    /// It is booked at most so many days ahead: of a series, the first date. However far, if not
    /// given.
    window_days: Option<u32>,
    /// A client's booking has at most so many dates in any week, 1 to 168. 7, if not given.
    #[serde(default = "dates_a_week")]
    dates_a_week: u32,
}

fn dates_a_week() -> u32 {
    SlotRules::DATES_A_WEEK
}

fn step() -> u16 {
    SlotRules::STEP_MINUTES
}

impl SlotsBody {
    fn rules(&self) -> Result<SlotRules, Problem> {
        let buffers = Buffers::new(self.buffer_before_minutes, self.buffer_after_minutes);
        let buffers = buffers.map_err(|error| {
            Problem::unprocessable("invalid_value", "slots.buffer_minutes", error.to_string())
        });
        Ok(SlotRules {
            step_minutes: self.step_minutes,
            buffers: buffers?,
            notice_minutes: self.notice_minutes,
            window_days: self.window_days,
            dates_a_week: self.dates_a_week,
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ServiceBody {
    id: Uuid,
    name: String,
    minutes: u32,
    price: MoneyBody,
    notice_minutes: u32,
    cancellation: CancellationBody,
    slots: SlotsBody,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoneyBody {
    /// In the currency's minor unit: pence.
    #[schema(example = 8000)]
    minor: i64,
    /// ISO 4217.
    #[schema(example = "GBP")]
    currency: String,
}

/// What was paid, and how the rest was settled: the discount, what came from the balance, and the tax. The
/// fields' names begin with `within`.
pub(super) fn paid(
    within: &str,
    amount: &MoneyBody,
    [discount, from_balance, tax]: [&Option<MoneyBody>; 3],
) -> Result<Paid, Problem> {
    let money = |part: &Option<MoneyBody>, name| {
        let part = part.as_ref();
        part.map(|part| part.money(&format!("{within}{name}")))
            .transpose()
    };
    Ok(Paid {
        amount: amount.money(&format!("{within}paid"))?,
        discount: money(discount, "discount")?,
        from_balance: money(from_balance, "from_balance")?,
        tax: money(tax, "tax")?,
    })
}

impl MoneyBody {
    /// The sum, given as a field of this name.
    pub(super) fn money(&self, field: &str) -> Result<Money, Problem> {
        let known = self
            .currency
            .parse()
            .ok()
            .filter(|code: &Currency| code.is_active());
        let currency = known.ok_or_else(|| {
            let expected = "an ISO 4217 code like GBP";
            let (field, value) = (format!("{field}.currency"), self.currency.as_str());
            let detail = format!("{field} cannot be {value:?}: {expected}");
            Problem::unprocessable("invalid_value", &field, detail)
                .with("value", value)
                .with("expected", expected)
        })?;
        Ok(Money {
            minor: self.minor,
            currency,
        })
    }
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self {
            minor: money.minor,
            currency: money.currency.to_string(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancellationBody {
    /// A client cancels and reschedules freely until this long before the start.
    free_until_minutes: u32,
    /// What becomes of the credit when a client cancels later.
    late_cancel: LateRuleBody,
    /// What becomes of it when the client does not come.
    no_show: LateRuleBody,
    /// Who may give a forfeited credit back. Staff, if not given.
    #[serde(default)]
    waived_by: WaivedByBody,
    /// A credit that the clinic sets free, by cancelling or by a waiver, can be used for so many
    /// days at least, whenever it would have expired. 14, if not given.
    /// A client moves a session at most so many days past the end of its credit, or past its old time
    /// if that is later.
    #[serde(default = "grace_days")]
    grace_days: u32,
    /// A client who has not come is a no-show from so many minutes after the start on. 15 or the length of
    /// the service, if not given.
    no_show_after_minutes: Option<u32>,
}

fn grace_days() -> u32 {
    GRACE_DAYS
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WaivedByBody {
    /// Nobody.
    Nobody,
    /// The clinic's staff.
    #[default]
    Staff,
    /// The session's therapist too.
    Therapist,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LateRuleBody {
    /// The client loses it.
    Forfeit,
    /// The client keeps it.
    Release,
}

/// Add a service.
#[utoipa::path(post, path = "/services", tag = "services", request_body = NewServiceBody,
    responses((status = 201, body = ServiceBody)))]
async fn add(
    State(app): State<App>,
    command: Command<NewServiceBody>,
) -> Result<Done<(StatusCode, Json<ServiceBody>)>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "page")?;
    command.makes_new()?;
    let request = command.request(&app);
    let service = wanted(&command.body, ServiceId(random::id(request.at)))?;
    let decide = Box::new(|_: &_| registration::add_service(service.clone()));
    let id = |subject: &Subject| match subject {
        Subject::Service(id) => Some(*id),
        _ => None,
    };
    let (written, id) = command
        .write(&app, &request, Scope::New { therapist: None }, decide, id)
        .await?;
    let stored = app.store.service(command.caller.0.clinic, id).await?;
    let service = stored.ok_or_else(Problem::internal)?;
    let answer = (StatusCode::CREATED, Json(body(&service)));
    Ok(Done { written, answer })
}

/// Change the terms of a service: all of them but its length, which stays. What is booked keeps its time; what
/// happens from now on goes by the new terms.
#[utoipa::path(post, path = "/services/{id}", tag = "services", request_body = NewServiceBody,
    params(("id" = Uuid, Path)), responses((status = 200, body = ServiceBody)))]
async fn change(
    State(app): State<App>,
    Id(id): Id,
    command: Command<NewServiceBody>,
) -> Result<Done<Json<ServiceBody>>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "service")?;
    let id = ServiceId(id);
    let service = wanted(&command.body, id)?;
    let scope = Scope::Offer {
        service: Some(id),
        plan: None,
    };
    let decide = Box::new(move |view: &_| registration::change_service(view, service.clone()));
    let request = command.request(&app);
    let written = command.send(&app, &request, scope, decide).await?;
    let stored = app.store.service(command.caller.0.clinic, id).await?;
    let answer = Json(body(&stored.ok_or_else(Problem::internal)?));
    Ok(Done { written, answer })
}

/// The service that is described, under this id.
fn wanted(new: &NewServiceBody, id: ServiceId) -> Result<NewService, Problem> {
    let cancellation = new.cancellation.as_ref().map(|given| Cancellation {
        free_until_minutes: given.free_until_minutes,
        late_cancel: given.late_cancel.into(),
        no_show: given.no_show.into(),
        waived_by: given.waived_by.into(),
        grace_days: given.grace_days,
        no_show_after_minutes: given
            .no_show_after_minutes
            .unwrap_or_else(|| patience(new.minutes)),
    });
    Ok(NewService {
        id,
        name: new.name.clone(),
        minutes: new.minutes,
        price: new.price.money("price")?,
        notice_minutes: new.notice_minutes,
        cancellation,
        slots: new.slots.as_ref().map(SlotsBody::rules).transpose()?,
    })
}

/// The clinic's services.
#[utoipa::path(get, path = "/services", tag = "services", params(PageParams),
    responses((status = 200, body = List<ServiceBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<PageParams>,
) -> Result<Json<List<ServiceBody>>, Problem> {
    caller.may(Action::Read, Resource::Directory, "page")?;
    let page = params.page()?;
    let services = app.store.services(caller.0.clinic, page).await?;
    let items = services.iter().map(body).collect();
    Ok(Json(List::page(items, page.limit, |item| {
        item.id.to_string()
    })))
}

/// One service.
#[utoipa::path(get, path = "/services/{id}", tag = "services",
    params(("id" = Uuid, Path)), responses((status = 200, body = ServiceBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<ServiceBody>, Problem> {
    caller.may(Action::Read, Resource::Directory, "service")?;
    let service = app.store.service(caller.0.clinic, ServiceId(id)).await?;
    let service = service.ok_or_else(|| Problem::not_found("service"))?;
    Ok(Json(body(&service)))
}

fn body(service: &Service) -> ServiceBody {
    let (cancellation, slots) = (service.cancellation, service.slots);
    ServiceBody {
        id: service.id.0,
        name: service.name.clone(),
        minutes: service.minutes,
        price: service.price.into(),
        notice_minutes: service.notice_minutes,
        cancellation: CancellationBody {
            free_until_minutes: cancellation.free_until_minutes,
            late_cancel: cancellation.late_cancel.into(),
            no_show: cancellation.no_show.into(),
            waived_by: cancellation.waived_by.into(),
            grace_days: cancellation.grace_days,
            no_show_after_minutes: Some(cancellation.no_show_after_minutes),
        },
        slots: SlotsBody {
            step_minutes: slots.step_minutes,
            buffer_before_minutes: slots.buffers.before(),
            buffer_after_minutes: slots.buffers.after(),
            notice_minutes: slots.notice_minutes,
            window_days: slots.window_days,
            dates_a_week: slots.dates_a_week,
        },
    }
}

impl From<LateRuleBody> for LateRule {
    fn from(body: LateRuleBody) -> Self {
        match body {
            LateRuleBody::Forfeit => Self::Forfeit,
            LateRuleBody::Release => Self::Release,
        }
    }
}

impl From<LateRule> for LateRuleBody {
    fn from(rule: LateRule) -> Self {
        match rule {
            LateRule::Forfeit => Self::Forfeit,
            LateRule::Release => Self::Release,
        }
    }
}

impl From<WaivedByBody> for WaivedBy {
    fn from(body: WaivedByBody) -> Self {
        match body {
            WaivedByBody::Nobody => Self::Nobody,
            WaivedByBody::Staff => Self::Staff,
            WaivedByBody::Therapist => Self::Therapist,
        }
    }
}

impl From<WaivedBy> for WaivedByBody {
    fn from(by: WaivedBy) -> Self {
        match by {
            WaivedBy::Nobody => Self::Nobody,
            WaivedBy::Staff => Self::Staff,
            WaivedBy::Therapist => Self::Therapist,
        }
    }
}
