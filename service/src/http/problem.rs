//! Errors as RFC 9457 problem documents: a stable `code`, the field, and the values.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use clinic::{Refusal, reason};
use ledger_core::ReasonCode;
use scheduler_core::intent::IntentError;
use scheduler_core::rule::RuleError;
use scheduler_core::session::SessionError;
use scheduler_core::set::SetError;
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::StoreError;
use utoipa::ToSchema;

use super::clashes::{clash, proposals, remedy};
use crate::admission::Refused;
use crate::vault::VaultError;

/// A problem document, for the description of the API.
#[derive(Debug, ToSchema)]
#[allow(
    dead_code,
    reason = "it describes what `Problem` writes, whose members depend on the code"
)]
pub(super) struct ProblemBody {
    #[schema(example = "about:blank")]
    r#type: String,
    /// The status in words.
    title: String,
    /// The status in figures.
    status: u16,
    /// What went wrong, for programs. It does not change.
    #[schema(example = "start_off_rule")]
    code: String,
    /// What went wrong, for people, with the values.
    detail: String,
    /// The field, header or parameter that is wrong, if it is one.
    field: Option<String>,
}

/// Why one value of an answer is missing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MissingBody {
    /// For programs, as in a problem.
    #[schema(example = "unreadable")]
    code: &'static str,
    /// For people.
    detail: String,
}

impl From<Problem> for MissingBody {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            detail: problem.detail,
        }
    }
}

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// Further members: `field`, and the values the detail speaks of.
    members: Map<String, Value>,
}

impl Problem {
    /// A problem without values.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            members: Map::new(),
        }
    }

    /// The same problem, with a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Something is wrong with us. What it is stays in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something is wrong on our side",
        )
    }

    /// Trying again may help. Whether a command was done is not known: the answer may be what was lost.
    #[must_use]
    pub fn unavailable() -> Self {
        let detail = "try again in a moment, a command under the same Idempotency-Key";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// What is asked for is not there, or not the caller's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("no such {what}"),
        )
    }

    /// Well-formed, and wrong.
    pub fn unprocessable(code: &'static str, field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).with("field", field)
    }

    /// The same problem as "no such `what`", if it is that something is not found: the caller asked
    /// for that, whatever was missing on the way to it.
    #[must_use]
    pub fn as_missing(self, what: &str) -> Self {
        if self.status == StatusCode::NOT_FOUND {
            Self::not_found(what)
        } else {
            self
        }
    }

    /// Not well-formed.
    pub fn malformed(code: &'static str, field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail).with("field", field)
    }
}

impl Problem {
    /// As it is written.
    #[must_use]
    pub fn into_value(self) -> Value {
        let mut body = self.members;
        let title = self.status.canonical_reason().unwrap_or("Error");
        body.insert("type".to_owned(), json!("about:blank"));
        body.insert("title".to_owned(), json!(title));
        body.insert("status".to_owned(), json!(self.status.as_u16()));
        body.insert("code".to_owned(), json!(self.code));
        body.insert("detail".to_owned(), json!(self.detail));
        Value::Object(body)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let retry_after = self.members.get(RETRY_AFTER).and_then(Value::as_u64);
        let retry_after = retry_after.unwrap_or(1);
        let kind = HeaderValue::from_static("application/problem+json");
        let body = self.into_value().to_string();
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            }
            _ => {}
        }
        response
    }
}

/// The member that says in how many seconds a caller may go on.
const RETRY_AFTER: &str = "retry_after";

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::TooMany { after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
                    .with(RETRY_AFTER, after.as_secs())
            }
            Refused::Full => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::KeyReused { key } => Self::unprocessable(
                "idempotency_key_reused",
                "Idempotency-Key",
                "this key was used for another request",
            )
            .with("idempotency_key", key),
            StoreError::Constraint { constraint } => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "something else was stored at the same time: look, and try again",
            )
            .with("constraint", constraint),
            StoreError::OtherZoneData { planned, .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "other_zone_data",
                "this process has other zone data than the one that plans the database: try again, \
                 another process may answer",
            )
            .with("planned", planned),
            StoreError::ClockSkew { writer, database } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "clock_skew",
                "this process's clock is away from the database's: try again, another process may answer",
            )
            .with("ours", instant(writer))
            .with("database", instant(database)),
            StoreError::Busy => Self::unavailable(),
            StoreError::Unavailable(source) => {
                tracing::error!(%source, "the database is not available");
                Self::unavailable()
            }
            StoreError::Distrusted { account, why } => {
                tracing::error!(%account, %why, "an account is not as it was written");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "account_not_as_written",
                    "the account's row does not agree with its entries: nothing was written, and an \
                     operator has to look",
                )
                .with("account", account.to_string())
            }
            StoreError::NewerEntry { account, seq, kind } => {
                tracing::error!(%account, seq, kind, "a newer version wrote an entry");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "newer_entry",
                    "a newer version of this program wrote to the account: nothing was written, and \
                     the newer program has to answer",
                )
                .with("account", account.to_string())
                .with("entry", seq)
            }
            StoreError::Corrupt { what, source } => {
                tracing::error!(what, %source, "a stored value cannot be read");
                Self::internal()
            }
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            VaultError::File(source) => {
                tracing::error!(%source, "the key file cannot be used");
                Self::unavailable()
            }
            // Which key, and whose: for the log, not for whoever asks.
            defect @ (VaultError::Unopenable { .. } | VaultError::Gone { .. }) => {
                tracing::error!(%defect, "something sealed does not open");
                let detail =
                    "what is known of them cannot be read: `standing keys verify` says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
            }
            defect => {
                tracing::error!(%defect, "nothing can be sealed or opened");
                Self::internal()
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let conflict = |code, detail: String| Self::new(StatusCode::CONFLICT, code, detail);
        match refusal {
            Refusal::NotFound { what } => Self::not_found(what),
            Refusal::Stale { expected, actual } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "stale_version", detail)
                    .with("expected", expected)
                    .with("actual", actual)
            }
            Refusal::Invalid {
                field,
                value,
                expected,
            } => Self::unprocessable("invalid_value", field, detail)
                .with("value", value)
                .with("expected", expected),
            Refusal::Clash {
                count,
                dates,
                clashes,
                alternatives,
                disclosed,
            } => {
                let listed = clashes.iter().map(|with| clash(with, &disclosed));
                let listed: Vec<Value> = listed.collect();
                let problem = conflict("clash", detail)
                    .with("count", count)
                    .with("dates", dates)
                    .with("clashes", listed);
                match alternatives {
                    None => problem,
                    Some(found) => problem
                        .with("free", found.free)
                        .with("of", found.of)
                        .with("alternatives", proposals(&found, &disclosed)),
                }
            }
            Refusal::Quota {
                quota,
                wanted,
                most,
            } => conflict("quota", detail)
                .with("quota", quota)
                .with("wanted", wanted)
                .with("limit", most),
            Refusal::NoCredit => conflict("no_credit", detail),
            Refusal::UnknownReason { field, known } => {
                let known: Vec<&str> = known.iter().map(ReasonCode::as_str).collect();
                Self::unprocessable("unknown_reason", field, detail).with("known", known)
            }
            Refusal::TooManyReasons => {
                conflict("too_many_reasons", detail).with("limit", reason::OWN_MAX)
            }
            Refusal::Remedy(error) => remedy(error, detail),
            Refusal::Times(_) => Self::unprocessable("invalid_times", "hours", detail),
            Refusal::Policy(_) => Self::unprocessable("invalid_value", "slots", detail),
            Refusal::AnothersChange => conflict("anothers_change", detail),
            Refusal::LeaseLost { .. } => conflict("lease_lost", detail),
            Refusal::NotDead { state } => conflict("not_dead", detail).with("state", state.name()),
            Refusal::TooLateToReschedule { free_until, now } => {
                conflict("too_late_to_reschedule", detail)
                    .with("free_until", instant(free_until))
                    .with("now", instant(now))
            }
            Refusal::TooFarToReschedule { until, to } => conflict("too_far_to_reschedule", detail)
                .with("until", instant(until))
                .with("to", instant(to)),
            Refusal::NotYetNoShow { from, now } => conflict("not_yet_no_show", detail)
                .with("from", instant(from))
                .with("now", instant(now)),
            Refusal::NoMonth { starts_at, around } => {
                let mut problem = Self::unprocessable("no_month", "starts_at", detail)
                    .with("starts_at", instant(starts_at));
                if let Some(around) = around {
                    let (start, end) = (instant(around.start()), instant(around.end()));
                    problem = problem.with("within", json!({ "starts_at": start, "ends_at": end }));
                }
                problem
            }
            Refusal::WaivedInstead => conflict("waived_instead", detail),
            Refusal::Reversed { key } => conflict("reversed", detail).with("key", key.as_str()),
            Refusal::NothingForfeited => conflict("nothing_forfeited", detail),
            Refusal::MayNotWaive { role } => conflict("may_not_waive", detail).with("role", role),
            Refusal::EmailTaken => conflict("email_taken", detail).with("field", "email"),
            Refusal::Erased => conflict("erased", detail),
            Refusal::LegalHold => conflict("legal_hold", detail),
            Refusal::Intent(error) => intent(error, detail),
            Refusal::Session(error) => session(&error, &detail),
            Refusal::Set(error) => set(&error, detail),
            Refusal::Ledger(error) => ledger(&error, detail),
            Refusal::Corrupt(source) => {
                tracing::error!(%source, "an entry does not fit its account");
                Self::internal()
            }
        }
    }
}

fn intent(error: IntentError, detail: String) -> Problem {
    let conflict = |code| Problem::new(StatusCode::CONFLICT, code, &*detail);
    match error {
        IntentError::OffRule { start, nearest } => {
            let nearest: Vec<Value> = nearest.iter().map(|at| json!(at)).collect();
            Problem::unprocessable("start_off_rule", "starts_local", detail)
                .with("starts_local", start.to_string())
                .with("nearest", nearest)
        }
        IntentError::Empty { start } => Problem::unprocessable("empty_rule", "rule", detail)
            .with("starts_local", start.to_string()),
        IntentError::Ineffective(_) => {
            Problem::unprocessable("invalid_rule", "rule", detail).with("part", "BYDAY")
        }
        IntentError::Rule(error) => rule(&error),
        IntentError::Past { at, now } => conflict("in_the_past")
            .with("at", instant(at))
            .with("now", instant(now)),
        IntentError::BeyondZoneData { at } => beyond("starts_local", at, detail),
        IntentError::NotGenerated { recurrence_id } => {
            Problem::not_found("occurrence").with("recurrence_id", recurrence_id.to_string())
        }
        IntentError::Gone {
            recurrence_id,
            command,
            was,
        } => conflict("illegal_state")
            .with("recurrence_id", recurrence_id.to_string())
            .with("command", command)
            .with("state", was),
        IntentError::TooManyDeviations => conflict("too_many_deviations"),
        IntentError::Set(error) => set(&error, detail),
        error => edit(&error, &detail),
    }
}

/// Why an edit of a series is refused.
fn edit(error: &IntentError, detail: &str) -> Problem {
    let conflict = |code| Problem::new(StatusCode::CONFLICT, code, detail);
    match error {
        IntentError::Collides {
            recurrence_id,
            with,
            start,
        } => conflict("collides")
            .with("recurrence_id", recurrence_id.to_string())
            .with("with", with.to_string())
            .with("at", instant(*start)),
        IntentError::StaleVersion { expected, actual } => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "stale_version", detail)
                .with("expected", *expected)
                .with("actual", *actual)
        }
        IntentError::SplitOutside { at, first, last } => {
            Problem::unprocessable("split_outside", "at", detail)
                .with("at", at.to_string())
                .with("first", first.to_string())
                .with("last", json!(last))
        }
        IntentError::Unsplittable { at } => {
            Problem::unprocessable("unsplittable", "at", detail).with("at", at.to_string())
        }
        IntentError::NotPaused { date } => conflict("not_paused").with("date", date.to_string()),
        IntentError::NothingLeft { .. } => conflict("nothing_left"),
        IntentError::NothingToUndo => conflict("nothing_to_undo"),
        IntentError::SessionChangedLast {
            recurrence_id,
            kind,
        } => conflict("session_changed_last")
            .with("recurrence_id", recurrence_id.to_string())
            .with("kind", kind.as_str()),
        IntentError::Happened { at, now } => conflict("happened")
            .with("at", instant(*at))
            .with("now", instant(*now)),
        IntentError::Overtaken { recurrence_id } => {
            conflict("overtaken").with("recurrence_id", recurrence_id.to_string())
        }
        IntentError::IllegalState { state, command } => conflict("illegal_state")
            .with("state", state.name())
            .with("command", *command),
        IntentError::Finished {
            recurrence_id,
            state,
            starts_at,
            command,
        } => conflict("illegal_state")
            .with("recurrence_id", recurrence_id.to_string())
            .with("state", *state)
            .with("starts_at", instant(*starts_at))
            .with("command", *command),
        _ => conflict("refused"),
    }
}

fn session(error: &SessionError, detail: &str) -> Problem {
    let conflict = |code| Problem::new(StatusCode::CONFLICT, code, detail);
    let timed = |code, starts_at, now, command: &str| {
        conflict(code)
            .with("starts_at", instant(starts_at))
            .with("now", instant(now))
            .with("command", command)
    };
    match *error {
        SessionError::IllegalState { state, command } => conflict("illegal_state")
            .with("state", state.name())
            .with("command", command),
        SessionError::NotStarted {
            starts_at,
            now,
            command,
        } => timed("not_started", starts_at, now, command),
        SessionError::AlreadyStarted {
            starts_at,
            now,
            command,
        } => timed("already_started", starts_at, now, command),
        SessionError::BeyondZoneData { starts_at } => {
            beyond("starts_local", starts_at, detail.to_owned())
        }
        SessionError::IntoThePast { starts_at, now } => {
            timed("in_the_past", starts_at, now, "reschedule")
        }
    }
}

fn beyond(field: &str, at: DateTime<Utc>, detail: String) -> Problem {
    Problem::unprocessable("beyond_zone_data", field, detail).with("at", instant(at))
}

pub(super) fn set(error: &SetError, detail: String) -> Problem {
    match error {
        SetError::Minutes { minutes } => {
            Problem::unprocessable("invalid_value", "minutes", detail).with("value", *minutes)
        }
        SetError::BeyondZoneData { end } => beyond("to", *end, detail),
        SetError::TooManyOccurrences => {
            Problem::unprocessable("too_many_occurrences", "rule", detail)
        }
        SetError::TooManyRules => Problem::unprocessable("invalid_rule", "rule", detail),
        SetError::TooManyDeviations => {
            Problem::new(StatusCode::CONFLICT, "too_many_deviations", detail)
        }
        SetError::EmptyPause { from, until } => {
            Problem::unprocessable("empty_pause", "until", detail)
                .with("from", from.to_string())
                .with("until", until.to_string())
        }
        SetError::PausesOverlap { first, second } => {
            Problem::new(StatusCode::CONFLICT, "pauses_overlap", detail)
                .with("first", first.to_string())
                .with("second", second.to_string())
        }
    }
}

fn ledger(error: &ledger_core::Error, detail: String) -> Problem {
    use ledger_core::Error;
    match error {
        Error::KeyConflict { stored, asked, .. } => {
            Problem::new(StatusCode::CONFLICT, "key_conflict", detail)
                .with("stored", stored.to_string())
                .with("asked", asked.to_string())
        }
        Error::Proven {
            proof,
            key,
            account,
            stored,
            asked_key,
            asked,
            ..
        } => Problem::new(StatusCode::CONFLICT, "already_proven", detail)
            .with("proof", proof.as_str())
            .with("client_id", account.0.to_string())
            .with("stored", format!("{key} {stored}"))
            .with("asked", format!("{asked_key} {asked}")),
        Error::NoCredit { .. } => Problem::new(StatusCode::CONFLICT, "no_credit", detail),
        Error::Amount { .. } => Problem::unprocessable("invalid_value", "amount", detail),
        Error::Overflow(_) => Problem::unprocessable("overflow", "amount", detail),
        Error::Evidence { key, mismatch } => Problem::unprocessable("evidence", "invoice", detail)
            .with("key", key.as_str())
            .with("mismatch", mismatch.to_string()),
        Error::Overlap {
            asked, stored, lot, ..
        } => Problem::new(StatusCode::CONFLICT, "overlap", detail)
            .with("asked", asked.to_string())
            .with("stored", stored.to_string())
            .with("lot", lot.0),
        Error::UnknownEntry { key } => Problem::not_found("entry").with("key", key.as_str()),
        Error::NotReversible { key, kind } => {
            Problem::new(StatusCode::CONFLICT, "not_reversible", detail)
                .with("key", key.as_str())
                .with("kind", *kind)
        }
        Error::ShortService {
            amount, available, ..
        } => Problem::new(StatusCode::CONFLICT, "short", detail)
            .with("amount", amount.0)
            .with("available", available.0),
        _ => Problem::new(StatusCode::CONFLICT, "ledger", detail),
    }
}

/// A rule that cannot be read: which part, and which value.
pub(super) fn rule(error: &RuleError) -> Problem {
    let problem = Problem::unprocessable("invalid_rule", "rule", error.to_string())
        .with("part", error.part());
    match error {
        RuleError::BadValue {
            value, expected, ..
        } => problem
            .with("value", value.as_str())
            .with("expected", *expected),
        RuleError::Conflict { value, other, .. } => problem
            .with("value", value.as_str())
            .with("conflicts_with", *other),
        RuleError::Unsupported { value, .. } => problem.with("value", value.as_str()),
        _ => problem,
    }
}

/// RFC 3339 with `Z`.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
