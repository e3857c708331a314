//! Messages of the outbox, for operators: what could not be sent, and sending it again.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use clinic::access::{Action, Resource};
use clinic::notification::replay;
use clinic::{Message, MessageState, Scope};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::{Done, List, Versioned};
use super::caller::{Caller, Command};
use super::occurrences::Nothing;
use super::params::{Params, after, limit};
use super::preview::Instead;
use super::problem::Problem;
use crate::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(replay_one))
}

/// A notification on its way. Ids and codes: its words are made when it is sent.
#[derive(Debug, Serialize, ToSchema)]
struct MessageBody {
    /// Its number.
    seq: u64,
    /// What it tells.
    #[schema(example = "session_scheduled")]
    kind: String,
    session_id: Uuid,
    /// client or therapist.
    recipient_role: String,
    recipient_id: Uuid,
    /// The same for the same fact, so that it is told once.
    dedupe_key: String,
    due_at: DateTime<Utc>,
    /// pending, sent, void (no longer true when it was to be sent) or dead (given up).
    state: String,
    /// How often it was attempted: its version, for `If-Match`.
    attempts: u32,
    /// When it is attempted next.
    next_due_at: Option<DateTime<Utc>>,
    /// The code of what went wrong the last time.
    last_error: Option<String>,
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MessageParams {
    /// pending, sent, void or dead. Dead, if not given.
    state: Option<String>,
    /// The `next` of the page before.
    cursor: Option<u64>,
    /// At most so many items, 1 to 200. 50, if not given.
    limit: Option<u32>,
}

/// Messages in one state, in the order in which they were written.
#[utoipa::path(get, path = "/messages", tag = "messages", params(MessageParams),
    responses((status = 200, body = List<MessageBody>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<MessageParams>,
) -> Result<Json<List<MessageBody>>, Problem> {
    caller.may(Action::Read, Resource::Operations, "page")?;
    let state = params.state.as_deref().unwrap_or("dead");
    let state: MessageState = state.parse().map_err(|_| {
        let detail = "pending, sent, void or dead is expected";
        Problem::unprocessable("invalid_value", "state", detail).with("value", state)
    })?;
    let (after, limit) = (after(params.cursor)?, limit(params.limit)?);
    let messages = app
        .store
        .messages(caller.0.clinic, state, after, limit)
        .await?;
    let items = messages.iter().map(body).collect();
    Ok(Json(List::page(items, limit, |item: &MessageBody| {
        item.seq.to_string()
    })))
}

/// Attempt a dead message once more.
#[utoipa::path(post, path = "/messages/{seq}/replay", tag = "messages", operation_id = "replay", request_body = Nothing,
    params(("seq" = u64, Path)), responses((status = 200, body = MessageBody)))]
async fn replay_one(
    State(app): State<App>,
    path: Result<Path<u64>, axum::extract::rejection::PathRejection>,
    command: Command<Nothing>,
) -> Result<Done<Versioned<MessageBody>>, Instead> {
    let Ok(Path(seq)) = path else {
        return Err(Problem::not_found("message").into());
    };
    let request = command.request(&app);
    let (principal, expected, now) = (command.caller.0, command.expected, request.at);
    let decide = Box::new(move |view: &_| replay(view, principal, expected, now));
    let written = command
        .send(&app, &request, Scope::Message(seq), decide)
        .await?;
    let message = app.store.message(principal.clinic, seq).await?;
    let message = message.ok_or_else(|| Problem::not_found("message"))?;
    let answer = Versioned::ok(message.attempts.into(), body(&message));
    Ok(Done { written, answer })
}

fn body(message: &Message) -> MessageBody {
    let told = &message.notification;
    MessageBody {
        seq: message.seq,
        kind: told.kind.to_string(),
        session_id: told.session.0,
        recipient_role: told.recipient.role().to_owned(),
        recipient_id: told.recipient.id(),
        dedupe_key: told.dedupe_key(),
        due_at: told.due_at,
        state: message.state.name().to_owned(),
        attempts: message.attempts,
        next_due_at: message.next_due_at,
        last_error: message.last_error.clone(),
    }
}
