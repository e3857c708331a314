//! The codes that say why something was done: those that every clinic has, and the clinic's own.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use clinic::{Reason, Scope, Subject, reason};
use ledger_core::ReasonCode;
use serde::{Deserialize, Serialize};
use store::Written;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Done, List};
use super::caller::{Caller, Command};
use super::params::code;
use super::preview::Instead;
use super::problem::Problem;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add, list))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewReason {
    /// Lower case, digits and underscores, 64 at most, and nothing that says something about a person:
    /// it stays in ledger and journal for ever.
    #[schema(example = "price_change")]
    code: String,
}

/// A code that a reason can have.
#[derive(Debug, Serialize, ToSchema)]
struct ReasonBody {
    code: String,
    /// When the clinic added it. Null: every clinic has it.
    added_at: Option<DateTime<Utc>>,
}

/// Add a code to the clinic's own. It cannot be removed. A clinic adds 100 at most.
#[utoipa::path(post, path = "/reasons", tag = "reasons", request_body = NewReason,
    responses((status = 201, body = ReasonBody),
        (status = 200, body = ReasonBody, description = "It was there before."),
        (status = 409, description = "too_many_reasons")))]
async fn add(
    State(app): State<App>,
    command: Command<NewReason>,
) -> Result<Done<(StatusCode, Json<ReasonBody>)>, Instead> {
    command
        .caller
        .may(Action::Administer, Resource::Clinic, "page")?;
    command.makes_new()?;
    let code = code("code", &command.body.code)?;
    let request = command.request(&app);
    let (principal, now) = (command.caller.0, request.at);
    let new = code.clone();
    let decide = Box::new(move |view: &_| reason::add(view, new.clone(), principal, now));
    let written = command.send(&app, &request, Scope::Reasons, decide).await?;
    let (status, code) = match &written {
        Written::Committed {
            subject: Some(Subject::Reason(code)),
            ..
        }
        | Written::Replayed(Subject::Reason(code)) => (StatusCode::CREATED, code.clone()),
        _ => (StatusCode::OK, code),
    };
    let own = app.store.reasons(principal.clinic).await?;
    let answer = (status, Json(body(&code, &own)));
    Ok(Done { written, answer })
}

/// The codes that reasons can have, sorted.
#[utoipa::path(get, path = "/reasons", tag = "reasons",
    responses((status = 200, body = List<ReasonBody>)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<List<ReasonBody>>, Problem> {
    caller.may(Action::Read, Resource::Directory, "page")?;
    let own = app.store.reasons(caller.0.clinic).await?;
    let listed = reason::listed(&own);
    let items = listed.iter().map(|code| body(code, &own)).collect();
    Ok(Json(List::all(items)))
}

fn body(code: &ReasonCode, own: &[Reason]) -> ReasonBody {
    let added = own.iter().find(|own| own.code == *code);
    ReasonBody {
        code: code.to_string(),
        added_at: added.map(|own| own.added_at),
    }
}
