//! For whoever keeps the service running: is it alive, can it work, what has it counted.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use store::StoreError;

use super::problem::Problem;
use crate::App;

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Health and metrics, without a token: numbers and names of jobs, nothing about a person.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app)
}

/// The process answers.
async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// The database answers, is planned with this process's zone data, and the service is not about to
/// stop.
async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    if app.stop.is_requested() {
        return Err(Problem::unavailable());
    }
    let looking = app.zones.look(&*app.store, app.clock.now());
    let looked = tokio::time::timeout(PATIENCE, looking).await;
    let Ok(Ok(state)) = looked else {
        return Err(Problem::unavailable());
    };
    app.metrics.zone_data(state);
    if !state.ours {
        let planned = state.planned;
        return Err(StoreError::OtherZoneData { planned, ours: 0 }.into());
    }
    Ok(Json(
        json!({ "status": "ready", "zone_data": { "settled": state.settled } }),
    ))
}

/// The counters, as OpenMetrics text.
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    app.metrics.zone_data(app.zones.state());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text())
}
