//! The demo's page: this week of every therapist, what clients have, and what was written.

mod page;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::{get, post};
use chrono::TimeDelta;
use clinic::Principal;
use clinic::access::{Action, Resource, allow};
use serde::Deserialize;

use crate::http::Problem;
use crate::{App, worker};

/// The page and the control that moves its clock.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(show))
        .route("/demo/clock", post(advance))
        .with_state(Arc::new(app))
}

/// The demo's own principal, if the policy lets it look at the whole clinic.
fn principal(app: &App, action: Action) -> Result<Principal, Problem> {
    app.demo
        .filter(|principal| allow(*principal, action, Resource::Clinic))
        .ok_or_else(|| Problem::not_found("page"))
}

async fn show(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let principal = principal(&app, Action::Read)?;
    let page = page::load(&app, principal.clinic).await?;
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "the page does not render");
        Problem::internal()
    })?;
    Ok(Html(html))
}

/// How far the clock is moved.
#[derive(Debug, Deserialize)]
struct Advance {
    hours: i64,
}

/// The furthest that one step of the demo's clock goes: four weeks.
const STEP_HOURS_MAX: i64 = 4 * 7 * 24;

/// Moves the demo's clock forward, an hour at a time, with a tick at each as a running service
/// would have had, and goes back to the page.
async fn advance(
    State(app): State<Arc<App>>,
    Form(step): Form<Advance>,
) -> Result<impl IntoResponse, Problem> {
    principal(&app, Action::Administer)?;
    if !(0..=STEP_HOURS_MAX).contains(&step.hours) {
        let detail = format!("the clock moves forward by 0 to {STEP_HOURS_MAX} hours at a time");
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", detail);
        return Err(problem.with("field", "hours").with("value", step.hours));
    }
    worker::tick(&app).await;
    for _ in 0..step.hours {
        app.clock.advance(TimeDelta::hours(1));
        worker::tick(&app).await;
    }
    Ok(Redirect::to("/"))
}
