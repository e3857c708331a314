//! What a command would do, if it is only tried: the difference, and nothing stored.

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use clinic::access::{Action, Resource, allow};
use clinic::{Change, Commit, Refusal};
use scheduler_core::intent::Intent;
use scheduler_core::session::Session;
use scheduler_core::set::Occurrence;
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{ClientId, LocalDateTime, RecurrenceSet, Window};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use super::caller::Caller;
use super::credits::details;
use super::problem::{Problem, instant};
use crate::App;

/// How far ahead the difference in occurrences is listed.
const LISTED: TimeDelta = TimeDelta::days(92);
/// The most occurrences that are listed.
const LISTED_MAX: usize = 200;

/// What a command is answered with instead of what it did.
pub(super) enum Instead {
    /// It was not done.
    Problem(Problem),
    /// It was only tried (`dry_run=true`), and would do this.
    Preview(Value),
}

impl Instead {
    /// The same, with "no such `what`" in the place of whatever was not found.
    pub(super) fn or_missing(self, what: &str) -> Self {
        match self {
            Self::Problem(problem) => Self::Problem(problem.as_missing(what)),
            Self::Preview(_) => self,
        }
    }
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Preview(difference) => Json(difference).into_response(),
        }
    }
}

impl<E: Into<Problem>> From<E> for Instead {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

/// Nothing would change.
pub(super) fn nothing() -> Instead {
    Instead::Preview(json!({
        "dry_run": true, "occurrences": null, "sessions": [], "credits": [], "messages": [],
        "records": [],
    }))
}

/// The difference that a commit would make, as far as the caller may see it.
pub(super) async fn preview(
    app: &App,
    caller: &Caller,
    commit: &Commit,
    now: DateTime<Utc>,
) -> Result<Instead, Problem> {
    let clinic = caller.0.clinic;
    let may_see = |resource| allow(caller.0, Action::Read, resource);
    let mut hidden = BTreeSet::new();
    let (mut sessions, mut credits, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    let mut records = Vec::new();
    let mut occurrences: Option<Occurrences> = None;
    let mut record = |kind: &str, id: &dyn ToString| {
        records.push(json!({ "kind": kind, "id": id.to_string() }));
    };
    for change in &commit.changes {
        match change {
            Change::NewIntent(after) | Change::Intent(after) if may_see(Resource::of(after)) => {
                let before = app.store.intent(clinic, after.id).await?;
                let all = occurrences.get_or_insert_with(|| Occurrences::until(now));
                all.compare(before.as_ref(), after, now)?;
            }
            Change::NewIntent(_) | Change::Intent(_) => {}
            Change::NewSession(after) | Change::Session(after) | Change::Rebound(after) => {
                let booking = Resource::Booking {
                    therapist: after.therapist,
                    client: after.client,
                };
                if !may_see(booking) {
                    hidden.insert(after.id);
                    continue;
                }
                let before = app.store.session(clinic, after.id).await?;
                sessions.push(json!({
                    "session_id": after.id,
                    "was": before.as_ref().map(session),
                    "will": session(after),
                }));
            }
            Change::Ledger { account, entries } => {
                let client = ClientId(account.id().0);
                let known = app.store.client(clinic, client).await?;
                let assigned = known.and_then(|known| known.therapist);
                let id = client;
                if !may_see(Resource::Client { id, assigned }) {
                    continue;
                }
                let before = app.store.account(clinic, client).await?;
                credits.push(json!({
                    "client_id": client,
                    "was": before.map(|before| before.balance()),
                    "will": account.balance(),
                    "entries": entries.iter().map(|entry| Ok(json!({
                        "key": entry.key.as_str(), "details": details(entry, caller.0.role)?,
                    }))).collect::<Result<Vec<_>, Problem>>()?,
                }));
            }
            Change::Notify(told) if hidden.contains(&told.session) => {}
            Change::Notify(told) => messages.push(json!({
                "kind": told.kind.to_string(),
                "to": told.recipient.role(),
                "session_id": told.session,
                "due_at": instant(told.due_at),
            })),
            Change::NewDek(_)
            | Change::Indexes(..)
            | Change::Line(_)
            | Change::Message(_)
            | Change::ZoneMove(_) => {}
            Change::Person { id, .. } | Change::Erase(id) => record("person", &id.uuid()),
            Change::Feed(whose, _) => record("feed", &whose.id()),
            Change::Revoke(id) => record("token", &id.uuid()),
            Change::LegalHold(client, _) | Change::Assigned(client, _) => {
                record("client", &client.0);
            }
            Change::Therapist(therapist) | Change::WorkingTimes(therapist) => {
                record("therapist", &therapist.id.0);
            }
            Change::Client(client) => record("client", &client.id.0),
            Change::Service(service) | Change::ServiceTerms(service) => {
                record("service", &service.id.0);
            }
            Change::Retired(plan, _) => record("plan", &plan.0),
            Change::Reason(reason) => record("reason", &reason.code),
            Change::Quotas(_) => record("quotas", &clinic),
            Change::Plan(plan) => record("plan", &plan.id.0),
            Change::NewSubscription(one) | Change::Subscription(one) => {
                record("subscription", &one.client.0);
            }
        }
    }
    Ok(Instead::Preview(json!({
        "dry_run": true,
        "occurrences": occurrences.map(Occurrences::into_json),
        "sessions": sessions,
        "credits": credits,
        "messages": messages,
        "records": records,
    })))
}

fn session(session: &Session) -> Value {
    json!({
        "intent_id": session.intent,
        "recurrence_id": session.recurrence_id,
        "therapist_id": session.therapist,
        "starts_at": instant(session.starts_at),
        "ends_at": instant(session.ends_at),
        "state": session.state.name(),
    })
}

/// What intents mean before and after, through some date.
struct Occurrences {
    through: DateTime<Utc>,
    count: usize,
    listed: Vec<Value>,
}

impl Occurrences {
    fn until(now: DateTime<Utc>) -> Self {
        Self {
            through: (now + LISTED).min(END_OF_ZONE_DATA),
            count: 0,
            listed: Vec::new(),
        }
    }

    fn compare(
        &mut self,
        before: Option<&Intent>,
        after: &Intent,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let was = before.map(|before| self.of(&before.set, now)).transpose()?;
        let was = was.unwrap_or_default();
        let will = self.of(&after.set, now)?;
        let mut all: Vec<LocalDateTime> = was.keys().chain(will.keys()).copied().collect();
        all.sort_unstable();
        all.dedup();
        for at in all {
            let (was, will) = (was.get(&at), will.get(&at));
            if was == will {
                continue;
            }
            self.count += 1;
            if self.listed.len() < LISTED_MAX {
                self.listed.push(json!({
                    "intent_id": after.id,
                    "recurrence_id": at,
                    "was": was.map(occurrence),
                    "will": will.map(occurrence),
                }));
            }
        }
        Ok(())
    }

    fn of(
        &self,
        set: &RecurrenceSet,
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<LocalDateTime, Occurrence>, Refusal> {
        // At the end of the zone data nothing is to come.
        let Ok(window) = Window::new(now, self.through) else {
            return Ok(BTreeMap::new());
        };
        let found = set.overlapping(window)?.into_iter();
        Ok(found.map(|one| (one.recurrence_id, one)).collect())
    }

    fn into_json(self) -> Value {
        json!({ "through": instant(self.through), "count": self.count, "listed": self.listed })
    }
}

fn occurrence(occurrence: &Occurrence) -> Value {
    json!({
        "starts_at": instant(occurrence.start),
        "ends_at": instant(occurrence.end),
        "cancelled": occurrence.cancelled,
    })
}
