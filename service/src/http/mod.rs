//! The API, `/api/v1`. Handlers hold no rule: they read a request, ask the clinic through the
//! store, and show what is stored afterwards.

mod answer;
mod calendar;
mod caller;
mod cases;
mod clashes;
mod clients;
mod conflicts;
mod credits;
mod description;
mod feeds;
pub mod health;
mod imports;
mod intents;
mod limits;
mod messages;
mod occurrences;
mod params;
mod personal_data;
mod plans;
mod preview;
mod problem;
mod quotas;
mod reasons;
mod reports;
mod series;
mod services;
mod sessions;
mod slots;
mod statement;
mod subscriptions;
mod therapists;
mod time_off;
mod well_formed;

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;

use crate::{App, random};
pub use problem::Problem;

/// The whole API as a router.
pub fn router(app: App) -> Router {
    let (routes, described) =
        OpenApiRouter::with_openapi(<description::Description as utoipa::OpenApi>::openapi())
            .nest(
                "/api/v1",
                OpenApiRouter::new()
                    .merge(therapists::routes())
                    .merge(time_off::routes())
                    .merge(cases::routes())
                    .merge(slots::routes())
                    .merge(services::routes())
                    .merge(plans::routes())
                    .merge(quotas::routes())
                    .merge(conflicts::routes())
                    .merge(reasons::routes())
                    .merge(personal_data::routes())
                    .merge(clients::routes())
                    .merge(subscriptions::routes())
                    .merge(credits::routes())
                    .merge(statement::routes())
                    .merge(intents::routes())
                    .merge(series::routes())
                    .merge(occurrences::routes())
                    .merge(sessions::routes())
                    .merge(reports::routes())
                    .merge(feeds::routes())
                    .merge(messages::routes())
                    .route_layer(middleware::from_fn_with_state(app.clone(), caller::admit))
                    // Takes a place for each booking.
                    .merge(imports::routes()),
            )
            .split_for_parts();
    // Written once: a handler is copied for each request.
    let description = description::complete(described).map(Bytes::from);
    let description = description.expect("what utoipa has built is JSON");
    let json = [(header::CONTENT_TYPE, "application/json")];
    routes
        .route_layer(middleware::from_fn_with_state(
            app.clone(),
            caller::authenticate,
        ))
        // The description of the API is no clinic's data: it is the one page that asks for no token.
        .route(
            "/api/v1/openapi.json",
            get(async move || (json, description)),
        )
        .merge(feeds::public())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "no such page"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this page does not know this method",
            )
        })
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(|_| {
            Problem::internal().into_response()
        }))
        .layer(middleware::from_fn(well_formed::check))
        .layer(middleware::from_fn_with_state(app.clone(), log))
        .with_state(app)
}

/// The longest request id that is taken over from whoever asks.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// One line for each answer: method, route and status, and nothing of what was sent, not even in a
/// path. Everything that
/// is logged on the way carries the request's id, which the answer carries too.
async fn log(State(app): State<App>, request: Request, next: middleware::Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let id = request_id(request.headers(), &app);
    let span = tracing::info_span!("request", id = %id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status(), started.elapsed());
    app.metrics.answered(&method, status, took);
    let _in_span = span.enter();
    let (status, ms) = (status.as_u16(), took.as_millis());
    tracing::info!(%method, route, status, ms, "answered");
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// The caller's own id for the request, if it is harmless, else a new one.
fn request_id(headers: &HeaderMap, app: &App) -> String {
    let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let harmless = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match given.filter(harmless) {
        Some(id) => id.to_owned(),
        None => random::id(app.clock.now()).to_string(),
    }
}
