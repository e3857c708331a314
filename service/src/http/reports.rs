//! Reports for the clinic's staff.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use scheduler_core::zone::ZoneData;
use serde::Serialize;
use store::{PAGE_MAX, Page, Which, Whose};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Caller;
use super::problem::Problem;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(tzdb))
}

/// What an upgrade of the tz database moves.
#[derive(Debug, Serialize, ToSchema)]
struct TzdbReport {
    /// The version that is in use.
    tzdb: String,
    /// How many sessions to come were looked at.
    looked_at: u64,
    /// Those that would start at another instant. They stay where they are until somebody moves
    /// them.
    shifted: Vec<ShiftedBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ShiftedBody {
    session_id: Uuid,
    intent_id: Uuid,
    recurrence_id: String,
    zone: String,
    /// The version that it was made with.
    tzdb: String,
    starts_at: DateTime<Utc>,
    /// When it would start now.
    would_start_at: DateTime<Utc>,
}

/// Sessions to come whose instant is another by the present tz database. Occurrences without a
/// session are computed anew in any case.
#[utoipa::path(get, path = "/reports/tzdb", tag = "reports",
    responses((status = 200, body = TzdbReport)))]
async fn tzdb(State(app): State<App>, caller: Caller) -> Result<Json<TzdbReport>, Problem> {
    caller.may(Action::Read, Resource::Clinic, "page")?;
    let now = app.clock.now();
    let mut report = TzdbReport {
        tzdb: ZoneData::installed().release().to_owned(),
        looked_at: 0,
        shifted: Vec::new(),
    };
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_MAX,
        };
        let clinic = caller.0.clinic;
        let sessions = app
            .store
            .sessions(clinic, Whose::Clinic, Which::Live, page)
            .await?;
        for session in sessions.iter().filter(|session| session.starts_at > now) {
            report.looked_at += 1;
            report
                .shifted
                .extend(session.shifted_by_tzdb().map(|would_start_at| ShiftedBody {
                    session_id: session.id.0,
                    intent_id: session.intent.0,
                    recurrence_id: session.recurrence_id.to_string(),
                    zone: session.zone.to_string(),
                    tzdb: session.tzdb.clone(),
                    starts_at: session.starts_at,
                    would_start_at,
                }));
        }
        match sessions.last() {
            Some(last) => after = Some(last.id.0),
            None => return Ok(Json(report)),
        }
    }
}
