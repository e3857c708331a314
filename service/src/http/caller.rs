//! Who asks, and what they send: resolved on every route before anything else.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use clinic::access::{Action, Resource, allow};
use clinic::{Client, Principal, Refusal, Role, Scope, Subject};
use scheduler_core::intent::Intent;
use scheduler_core::{ClientId, IntentId};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{IDEMPOTENCY_KEY_BYTES_MAX, Idempotency, Written};
use uuid::Uuid;

use super::preview::{Instead, nothing, preview};
use super::problem::Problem;
use super::well_formed::well_formed;
use crate::{App, Decide, admission};

/// The largest body that is read: a calendar of some years.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// The principal of a request, by its bearer token (RFC 6750 §2.1).
#[derive(Clone, Copy)]
pub(super) struct Caller(pub(super) Principal);

/// Finds out who asks, before anything else is looked at: who is nobody learns nothing more. Then the body is
/// waited for.
pub(super) async fn authenticate(State(app): State<App>, request: Request, next: Next) -> Response {
    let read = async {
        let caller = Caller::of(request.headers(), &app).await?;
        well_formed(&request)?;
        let (mut parts, body) = request.into_parts();
        let body = read(body).await?;
        parts.extensions.insert(caller);
        Ok::<_, Problem>(Request::from_parts(parts, Body::from(body)))
    };
    match read.await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Waits for a place, which whoever is still sending does not have.
pub(super) async fn admit(
    State(app): State<App>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    match app.admission.enter(caller.asks()).await {
        Ok(place) => place.run(next.run(request)).await,
        Err(refused) => Problem::from(refused).into_response(),
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().copied();
        caller.ok_or_else(Problem::internal) // every route is behind `authenticate`
    }
}

impl Caller {
    /// As whom they are admitted.
    pub(super) fn asks(self) -> admission::Caller {
        admission::Caller {
            id: self.0.identity(),
            is_limited: matches!(self.0.role, Role::Client(_) | Role::Therapist(_)),
        }
    }

    async fn of(headers: &HeaderMap, app: &App) -> Result<Self, Problem> {
        let refused = |detail| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        let header = headers.get(header::AUTHORIZATION);
        let given = header.and_then(|value| value.to_str().ok());
        let Some((scheme, secret)) = given.and_then(|given| given.split_once(' ')) else {
            return Err(refused("send a token: Authorization: Bearer ..."));
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused("only bearer tokens are accepted"));
        }
        let store = app.store.as_ref();
        let principal = app.vault.principal(store, secret.trim(), app.clock.now());
        let principal = principal.await?;
        principal
            .map(Self)
            .ok_or_else(|| refused("this token is not known"))
    }
}

impl Caller {
    /// Asks the policy. What is refused is not found.
    pub(super) fn may(
        &self,
        action: Action,
        resource: Resource,
        what: &str,
    ) -> Result<(), Problem> {
        if allow(self.0, action, resource) {
            Ok(())
        } else {
            Err(Problem::not_found(what))
        }
    }
}

impl Caller {
    /// An intent, if the caller may see it.
    pub(super) async fn intent(&self, app: &App, id: Uuid) -> Result<Intent, Problem> {
        let intent = app.store.intent(self.0.clinic, IntentId(id)).await?;
        let intent = intent.ok_or_else(|| Problem::not_found("intent"))?;
        self.may(Action::Read, Resource::of(&intent), "intent")?;
        Ok(intent)
    }

    /// A client, if the caller may see them.
    pub(super) async fn client(&self, app: &App, id: Uuid) -> Result<Client, Problem> {
        let client = app.store.client(self.0.clinic, ClientId(id)).await?;
        let client = client.ok_or_else(|| Problem::not_found("client"))?;
        let resource = Resource::Client {
            id: client.id,
            assigned: client.therapist,
        };
        self.may(Action::Read, resource, "client")?;
        Ok(client)
    }
}

/// A command: who, with which body, on which version, under which idempotency key.
pub(super) struct Command<T> {
    pub(super) caller: Caller,
    pub(super) body: T,
    /// The version that `If-Match` names.
    pub(super) expected: Option<u64>,
    idempotency: Option<Idempotency>,
    /// Whether it is only tried (`dry_run=true`).
    dry_run: bool,
}

impl<T> Command<T> {
    /// Writes, or shows what would be written.
    pub(super) async fn send(
        &self,
        app: &App,
        request: &store::Request,
        scope: Scope,
        decide: Decide<'_>,
    ) -> Result<Written, Instead> {
        match app.write(request, scope, decide).await? {
            Written::DryRun(commit) => Err(preview(app, &self.caller, &commit, request.at).await?),
            Written::Unchanged if request.dry_run => Err(nothing()),
            written => Ok(written),
        }
    }

    /// Writes, and tells what was written about as `taken` takes it: now, or when the same request
    /// was first made.
    pub(super) async fn write<S>(
        &self,
        app: &App,
        request: &store::Request,
        scope: Scope,
        decide: Decide<'_>,
        taken: impl Fn(&Subject) -> Option<S>,
    ) -> Result<(Written, S), Instead> {
        let written = self.send(app, request, scope, decide).await?;
        let found = match &written {
            Written::Committed { subject, .. } => subject.as_ref().and_then(taken),
            Written::Replayed(about) => taken(about),
            Written::Unchanged | Written::DryRun(_) => None,
        };
        // A new thing is always written, and a key names one kind of request.
        Ok((written, found.ok_or_else(Problem::internal)?))
    }

    /// Something new has no version, so none can be asked for.
    pub(super) fn makes_new(&self) -> Result<(), Problem> {
        Ok(Refusal::check_version(self.expected, 0)?)
    }

    /// Refuses a command that brings money's worth and could be made twice by a retry: it needs an
    /// idempotency key, unless it is only tried.
    pub(super) fn names_itself(&self) -> Result<(), Problem> {
        if self.dry_run || self.idempotency.is_some() {
            return Ok(());
        }
        let detail = "a retry must not credit twice: name the request in an Idempotency-Key header";
        let field = "Idempotency-Key";
        Err(Problem::malformed(
            "idempotency_key_required",
            field,
            detail,
        ))
    }

    /// A request for one of the things that the command does each for itself: under a key of its own,
    /// if the command has one.
    pub(super) fn part(&self, app: &App, name: &str) -> store::Request {
        let mut request = self.request(app);
        if let Some(given) = &mut request.idempotency {
            let name = format!("{}\n{name}", given.key);
            given.key = Uuid::new_v5(&request.clinic.0, name.as_bytes()).to_string();
        }
        request
    }

    /// The store's request, made at the clock's time.
    pub(super) fn request(&self, app: &App) -> store::Request {
        store::Request {
            idempotency: self.idempotency.clone(),
            dry_run: self.dry_run,
            ..store::Request::of(self.caller.0, app.clock.now())
        }
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Command<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        // It is there: `authenticate` has waited for it.
        let bytes = read(body).await?;
        let expected = expected_version(&parts.headers)?;
        let key = idempotency_key(&parts.headers)?;
        let dry_run = dry_run(parts.uri.query())?;
        let idempotency = match key {
            // What stores nothing can be asked again.
            Some(_) if dry_run => None,
            Some(key) => {
                // Keyed, because it stays in the journal for ever and is made of what may be a name.
                let hash = request_hash(&parts, expected, &bytes);
                let request_hash = app.vault.blind(caller.0.clinic, &hash)?;
                Some(Idempotency { key, request_hash })
            }
            None => None,
        };
        Ok(Self {
            caller,
            body: parse(&bytes)?,
            expected,
            idempotency,
            dry_run,
        })
    }
}

/// Whether a command is only to be tried. It knows no other parameter.
fn dry_run(query: Option<&str>) -> Result<bool, Problem> {
    match query {
        None | Some("" | "dry_run=false") => Ok(false),
        Some("dry_run=true") => Ok(true),
        Some(other) => {
            let detail = "a command takes dry_run=true or dry_run=false, and nothing else";
            Err(Problem::malformed("malformed_query", "dry_run", detail).with("value", other))
        }
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(BODY_PATIENCE, to_bytes(body, BODY_BYTES_MAX));
    let Ok(read) = read.await else {
        let detail = "the body did not arrive in time";
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail));
    };
    match read {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error) if is_too_large(&error) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("at most {BODY_BYTES_MAX} bytes are read"),
        )
        .with("limit", BODY_BYTES_MAX)),
        Err(_) => Err(Problem::malformed(
            "malformed_body",
            "body",
            "the body broke off",
        )),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// JSON to a body. No body at all is an empty object.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    read_json(text).or_else(|problem| with_whole_numbers(text).ok_or(problem))
}

/// The body, if it is one once its whole numbers are written without a fraction. JSON Schema calls 4.0 an integer,
/// and some programs write all their numbers so.
fn with_whole_numbers<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    whole(&mut value).then(|| T::deserialize(value).ok())?
}

/// The largest number up to which each whole number is one double: 2^53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Rewrites numbers such as 4.0 as integers. Returns whether there were any.
fn whole(value: &mut Value) -> bool {
    match value {
        Value::Number(number) => {
            let is_whole = |it: &f64| it.fract() == 0.0 && it.abs() <= WHOLE_MAX;
            let given = number.as_f64().filter(|_| number.is_f64()).filter(is_whole);
            let Some(integer) = given.and_then(|given| format!("{given:.0}").parse::<i64>().ok())
            else {
                return false;
            };
            *number = integer.into();
            true
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, item| whole(item) | any),
        Value::Object(members) => members
            .values_mut()
            .fold(false, |any, item| whole(item) | any),
        _ => false,
    }
}

fn read_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    if text
        .trim_ascii_start()
        .first()
        .is_some_and(|first| *first != b'{' && is_json(text))
    {
        let detail = "an object is expected";
        return Err(Problem::unprocessable("invalid_body", ".", detail));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let detail = inner.to_string();
        if !inner.is_data() {
            return Problem::malformed("malformed_json", "body", detail)
                .with("line", inner.line())
                .with("column", inner.column());
        }
        let unknown = detail.starts_with("unknown field");
        let code = if unknown {
            "unknown_field"
        } else {
            "invalid_body"
        };
        Problem::unprocessable(code, &path, detail)
    })?;
    json.end()
        .map_err(|error| Problem::malformed("malformed_json", "body", error.to_string()))?;
    Ok(parsed)
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// `If-Match: "3"` (RFC 9110 §13.1.1), or a bare 3. `*` and no header ask for no version.
fn expected_version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(header) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let digits = quoted.unwrap_or(text);
    let is_number = digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let version = digits.parse().ok().filter(|_| is_number);
    version.map(Some).ok_or_else(|| {
        Problem::malformed(
            "malformed_header",
            "If-Match",
            "a version in quotes is expected, like \"3\"",
        )
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(header) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = header.to_str().unwrap_or_default().trim();
    let is_printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX || !is_printable {
        return Err(Problem::malformed(
            "malformed_header",
            "Idempotency-Key",
            format!("1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters are expected"),
        ));
    }
    Ok(Some(key.to_owned()))
}

/// What was asked: method, path and query, the version it was asked of, and the body as sent.
fn request_hash(parts: &Parts, expected: Option<u64>, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let version = expected
        .map(|version| version.to_string())
        .unwrap_or_default();
    for field in [
        parts.method.as_str().as_bytes(),
        parts.uri.to_string().as_bytes(),
        version.as_bytes(),
        body,
    ] {
        let length = u64::try_from(field.len()).unwrap_or(u64::MAX);
        hash.update(length.to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}
