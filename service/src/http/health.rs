//! For whoever keeps the service running: is it alive, can it work, what has it counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use store::StoreError;
use tokio::sync::Mutex;

use super::problem::Problem;
use crate::App;

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long what was found out about writing is believed.
const BELIEVED: Duration = Duration::from_secs(2);

/// When it was last tried to write, and whether that worked. Whoever asks meanwhile waits for the trial.
type Writable = Arc<Mutex<Option<(Instant, bool)>>>;

/// Health and metrics, without a token: numbers and names of jobs, nothing about a person.
pub fn router(app: App) -> Router {
    let writable = Writable::default();
    let ready = async move |State(app): State<App>| ready(app, writable).await;
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

/// The database answers and can be written to, is planned with this process's zone data, and the
/// service is not about to stop.
async fn ready(app: App, writable: Writable) -> Result<Json<Value>, Problem> {
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
    if !is_writable(&app, &writable).await {
        let detail = "the database cannot be written to: the log says why";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(Problem::new(status, "not_writable", detail));
    }
    Ok(Json(
        json!({ "status": "ready", "zone_data": { "settled": state.settled } }),
    ))
}

/// Tries to write, unless that was tried just now.
async fn is_writable(app: &App, writable: &Writable) -> bool {
    let mut last = writable.lock().await;
    if let Some((at, was)) = *last
        && at.elapsed() < BELIEVED
    {
        return was;
    }
    let tried = tokio::time::timeout(PATIENCE, app.store.probe_write()).await;
    let is = match tried {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(%error, "the database cannot be written to");
            false
        }
        Err(_) => {
            tracing::error!("a write has not ended after {PATIENCE:?}");
            false
        }
    };
    *last = Some((Instant::now(), is));
    is
}

/// The counters, as OpenMetrics text.
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    app.metrics.zone_data(app.zones.state());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text())
}
