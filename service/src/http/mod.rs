//! The API, `/api/v1`. Handlers hold no rule: they read a request, ask the clinic through the
//! store, and show what is stored afterwards.

mod answer;
mod calendar;
mod caller;
mod clients;
mod intents;
mod occurrences;
mod params;
mod problem;
mod services;
mod sessions;
mod therapists;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, middleware};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use crate::App;
pub use problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Standing",
        description = "Standing appointments: one row of intent, sessions just in time, credits on a ledger.\n\nEvery POST takes an `Idempotency-Key`: the same key with the same request is done once and answered again. Bodies carry a `version`, which is also the `ETag`; `If-Match` refuses a command on any other version with 412. What is not yours is not found."
    ),
    security(("token" = [])),
)]
struct Description;

/// The whole API as a router.
pub fn router(app: App) -> Router {
    let (routes, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .nest(
            "/api/v1",
            OpenApiRouter::new()
                .merge(therapists::routes())
                .merge(services::routes())
                .merge(clients::routes())
                .merge(intents::routes())
                .merge(occurrences::routes())
                .merge(sessions::routes()),
        )
        .split_for_parts();
    if let Some(components) = description.components.as_mut() {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
    routes
        // The description of the API is no clinic's data: it is the one page that asks for no token.
        .route("/api/v1/openapi.json", get(async move || Json(description)))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "no such page"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this page does not know this method",
            )
        })
        .layer(middleware::from_fn(log))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(|_| {
            Problem::internal().into_response()
        }))
        .with_state(app)
}

/// One line for each answer: method, path and status, and nothing of what was sent.
async fn log(request: axum::extract::Request, next: middleware::Next) -> axum::response::Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    tracing::info!(%method, path, status = response.status().as_u16(), "answered");
    response
}
