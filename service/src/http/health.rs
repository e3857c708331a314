//! For whoever keeps the service running: is it alive, can it work, what has it counted.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

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

/// The database answers, and the service is not about to stop.
async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    if app.stop.is_requested() {
        return Err(Problem::unavailable());
    }
    match tokio::time::timeout(PATIENCE, app.store.now()).await {
        Ok(Ok(_)) => Ok(Json(json!({ "status": "ready" }))),
        Ok(Err(_)) | Err(_) => Err(Problem::unavailable()),
    }
}

/// The counters, as OpenMetrics text.
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text())
}
