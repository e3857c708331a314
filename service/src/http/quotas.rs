//! What one client may have of the clinic.

use axum::Json;
use axum::extract::State;
use clinic::access::{Action, Resource};
use clinic::{Quotas, Scope, quota};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::caller::{Caller, Command};
use super::preview::Instead;
use super::problem::Problem;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, set))
}

/// What one client may have. Therapists and staff book without a quota.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuotasBody {
    /// Standing bookings that are not over. 12, if the clinic has set nothing.
    standing_bookings: u32,
    /// Minutes of all bookings together, in their densest week. 840, if the clinic has set nothing.
    minutes_a_week: u32,
    /// Bookings that are not over, of a client who has no credit of the service. 6, if the clinic has set
    /// nothing.
    bookings_without_credit: u32,
}

impl From<Quotas> for QuotasBody {
    fn from(quotas: Quotas) -> Self {
        Self {
            standing_bookings: quotas.standing_bookings,
            minutes_a_week: quotas.minutes_a_week,
            bookings_without_credit: quotas.bookings_without_credit,
        }
    }
}

/// What one client may have of the clinic. How dense a booking of a service may be is the service's
/// `slots.dates_a_week`.
#[utoipa::path(get, path = "/quotas", tag = "quotas", responses((status = 200, body = QuotasBody)))]
async fn show(State(app): State<App>, caller: Caller) -> Result<Json<QuotasBody>, Problem> {
    caller.may(Action::Read, Resource::Directory, "page")?;
    let quotas = app.store.quotas(caller.0.clinic).await?;
    Ok(Json(quotas.into()))
}

/// Set the clinic's quotas. What exceeds them already stays.
#[utoipa::path(post, path = "/quotas", tag = "quotas", request_body = QuotasBody,
    responses((status = 200, body = QuotasBody)))]
async fn set(
    State(app): State<App>,
    command: Command<QuotasBody>,
) -> Result<Done<Json<QuotasBody>>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "page")?;
    command.makes_new()?;
    let wanted = &command.body;
    let quotas = Quotas {
        standing_bookings: wanted.standing_bookings,
        minutes_a_week: wanted.minutes_a_week,
        bookings_without_credit: wanted.bookings_without_credit,
    };
    let request = command.request(&app);
    let principal = command.caller.0;
    let decide = Box::new(move |view: &_| quota::set(view, quotas, principal));
    let written = command.send(&app, &request, Scope::Quotas, decide).await?;
    let stored = app.store.quotas(principal.clinic).await?;
    let answer = Json(stored.into());
    Ok(Done { written, answer })
}
