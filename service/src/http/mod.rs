//! The API, `/api/v1`. Handlers hold no rule: they read a request, ask the clinic through the
//! store, and show what is stored afterwards.

mod answer;
mod calendar;
mod caller;
mod cases;
mod clashes;
mod clients;
mod credits;
mod feeds;
pub mod health;
mod imports;
mod intents;
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
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::{App, random};
pub use problem::Problem;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Standing",
        description = "Standing appointments: one row of intent, sessions just in time, credits on a ledger.\n\nEvery POST takes an `Idempotency-Key`: the same key with the same request is done once and answered again. Bodies carry a `version`, which is also the `ETag`; `If-Match` refuses a command on any other version with 412. `?dry_run=true` on a command answers with the difference it would make, and stores nothing. What is not yours is not found."
    ),
    security(("token" = [])),
    components(schemas(problem::ProblemBody)),
)]
struct Description;

/// The whole API as a router.
pub fn router(app: App) -> Router {
    let (routes, mut description) =
        OpenApiRouter::with_openapi(<Description as utoipa::OpenApi>::openapi())
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
    complete(&mut description);
    if let Some(components) = description.components.as_mut() {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
    // Written once: a handler is copied for each request.
    let description = description.to_json().map(Bytes::from);
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

/// Every operation may answer with a problem, so the description says it once for all; and each
/// has a name of its own.
fn complete(description: &mut OpenApi) {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ProblemBody")))
        .build();
    let problem = ResponseBuilder::new()
        .description(
            "Not what was asked for: RFC 9457, with a stable `code`, the field and the values",
        )
        .content("application/problem+json", content)
        .build();
    for path in description.paths.paths.values_mut() {
        for operation in [&mut path.get, &mut path.post].into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            responses.insert("default".to_owned(), problem.clone().into());
            // Handlers of two resources may have one name, operations may not.
            let tag = operation.tags.iter().flatten().next().cloned();
            let id = operation.operation_id.take();
            operation.operation_id = tag.zip(id).map(|(tag, id)| format!("{tag}_{id}"));
        }
    }
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
