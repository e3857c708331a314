//! Paths and queries: parsed here, refused with a problem.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{BadVendorId, ReasonCode, VendorId};
use scheduler_core::calendar::Place;
use scheduler_core::civil::NotLocal;
use scheduler_core::zone::{END_OF_ZONE_DATA, START_OF_ZONE_DATA, UnknownZone};
use scheduler_core::{IntentId, LocalDateTime, Window, Zone};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::{PAGE_MAX, Page};
use utoipa::IntoParams;
use uuid::Uuid;

use super::problem::Problem;
use crate::App;

/// The id in a path. What is no UUID is nobody's id.
pub(super) struct Id(pub(super) Uuid);

impl FromRequestParts<App> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path: Result<Path<String>, _> = Path::from_request_parts(parts, app).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("id"))
    }
}

/// The intent and recurrence-id in a path.
pub(super) struct OccurrenceId(pub(super) Uuid, pub(super) LocalDateTime);

impl FromRequestParts<App> for OccurrenceId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path: Result<Path<(String, String)>, _> = Path::from_request_parts(parts, app).await;
        let Path((intent, at)) = path.map_err(|_| Problem::not_found("occurrence"))?;
        let intent = intent.parse().map_err(|_| Problem::not_found("intent"))?;
        let at = LocalDateTime::from_str(&at).map_err(|error| {
            Problem::malformed(
                "malformed_recurrence_id",
                "recurrence_id",
                error.to_string(),
            )
        })?;
        Ok(Self(intent, at))
    }
}

/// The therapist and blackout in a path.
pub(super) struct Blackouts(pub(super) Uuid, pub(super) Uuid);

impl FromRequestParts<App> for Blackouts {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path: Result<Path<(String, String)>, _> = Path::from_request_parts(parts, app).await;
        let ids = path.ok().and_then(|Path((therapist, blackout))| {
            Some(Self(therapist.parse().ok()?, blackout.parse().ok()?))
        });
        ids.ok_or_else(|| Problem::not_found("blackout"))
    }
}

/// How chrono refuses an instant.
const CHRONO_SAYS: [&str; 4] = [
    "premature end of input",
    "input contains invalid characters",
    "input is out of range",
    "trailing input",
];

/// A query string.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, app).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => {
                let mut detail = error.body_text();
                // What chrono says of an instant names no form.
                if CHRONO_SAYS.iter().any(|said| detail.ends_with(said)) {
                    detail.push_str("; an instant is like 2026-03-02T08:00:00Z");
                }
                Err(Problem::malformed("malformed_query", "query", detail))
            }
        }
    }
}

/// A window of time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WindowParams {
    /// The first instant, RFC 3339. Now, if not given.
    from: Option<DateTime<Utc>>,
    /// The first instant after it. 28 days after `from`, if not given.
    to: Option<DateTime<Utc>>,
    /// The `next` of the page before, in the same window.
    cursor: Option<String>,
    /// At most so many items, 1 to 2,000. 2,000, if not given.
    limit: Option<usize>,
}

/// The most appointments of a calendar in one page.
pub(super) const CALENDAR_PAGE_MAX: usize = 2_000;

impl WindowParams {
    /// The place after which a page begins.
    pub(super) fn after(&self) -> Result<Option<Place>, Problem> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let place = place(cursor).ok_or_else(|| {
            let detail = "a cursor is the `next` of the page before";
            Problem::malformed("malformed_query", "cursor", detail)
        });
        place.map(Some)
    }

    /// How long a page is.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        calendar_limit(self.limit)
    }

    pub(super) fn window(&self, app: &App) -> Result<Window, Problem> {
        window(app, self.from, self.to)
    }
}

/// A window of time, in stretches.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BusyParams {
    /// The first instant, RFC 3339. Now, if not given.
    from: Option<DateTime<Utc>>,
    /// The first instant after it. 28 days after `from`, if not given.
    to: Option<DateTime<Utc>>,
    /// The `next` of the page before, in the same window.
    cursor: Option<DateTime<Utc>>,
    /// At most so many items, 1 to 2,000. 2,000, if not given.
    limit: Option<usize>,
}

impl BusyParams {
    /// How long a page is.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        calendar_limit(self.limit)
    }

    /// The part of the window that the pages before have not answered.
    pub(super) fn window(&self, app: &App) -> Result<Window, Problem> {
        let window = window(app, self.from, self.to)?;
        let Some(cursor) = self.cursor else {
            return Ok(window);
        };
        Window::new(cursor.max(window.start()), window.end())
            .map_err(|error| Problem::unprocessable("invalid_window", "cursor", error.to_string()))
    }
}

fn calendar_limit(given: Option<usize>) -> Result<usize, Problem> {
    let limit = given.unwrap_or(CALENDAR_PAGE_MAX);
    if (1..=CALENDAR_PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("a page has 1 to {CALENDAR_PAGE_MAX} items");
    Err(Problem::unprocessable("invalid_value", "limit", detail).with("value", limit))
}

fn window(
    app: &App,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Result<Window, Problem> {
    let from = from.unwrap_or_else(|| app.clock.now());
    let to = match to {
        Some(to) => to,
        None => from
            .checked_add_signed(TimeDelta::days(28))
            .ok_or_else(|| Problem::unprocessable("invalid_window", "from", "too far"))?,
    };
    let window = Window::new(from, to)
        .map_err(|error| Problem::unprocessable("invalid_window", "to", error.to_string()))?;
    if window.start() < START_OF_ZONE_DATA {
        let detail = format!("windows start at {START_OF_ZONE_DATA} or later");
        return Err(Problem::unprocessable("beyond_zone_data", "from", detail));
    }
    if window.end() > END_OF_ZONE_DATA {
        let detail = format!("time zones are known until {END_OF_ZONE_DATA}");
        return Err(Problem::unprocessable("beyond_zone_data", "to", detail));
    }
    Ok(window)
}

/// The place that a cursor names.
fn place(cursor: &str) -> Option<Place> {
    let mut parts = cursor.split('_');
    let micros = parts.next()?.parse().ok()?;
    let (intent, at) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let start = DateTime::from_timestamp_micros(micros)?;
    let is_all = parts.next().is_none();
    is_all.then_some((start, (IntentId(intent), at)))
}

/// The cursor that names a place.
pub(super) fn cursor((start, (intent, at)): Place) -> String {
    format!("{}_{intent}_{at}", start.timestamp_micros())
}

/// A page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// The `next` of the page before.
    cursor: Option<Uuid>,
    /// At most so many items, 1 to 200. 50, if not given.
    limit: Option<u32>,
}

impl PageParams {
    pub(super) fn new(cursor: Option<Uuid>, limit: Option<u32>) -> Self {
        Self { cursor, limit }
    }

    pub(super) fn page(&self) -> Result<Page, Problem> {
        Ok(Page {
            after: self.cursor,
            limit: limit(self.limit)?,
        })
    }
}

pub(super) fn limit(given: Option<u32>) -> Result<u32, Problem> {
    let limit = given.unwrap_or(50);
    if (1..=PAGE_MAX).contains(&limit) {
        Ok(limit)
    } else {
        let detail = format!("a page has 1 to {PAGE_MAX} items");
        Err(Problem::unprocessable("invalid_value", "limit", detail).with("value", limit))
    }
}

/// The number of an entry after which a page begins.
pub(super) fn after(cursor: Option<u64>) -> Result<u64, Problem> {
    let after = cursor.unwrap_or(0);
    if i64::try_from(after).is_ok() {
        return Ok(after);
    }
    let detail = "a cursor is the `next` of the page before";
    Err(Problem::unprocessable("invalid_value", "cursor", detail).with("value", after))
}

/// A zone of a body.
pub(super) fn zone(name: &str) -> Result<Zone, Problem> {
    name.parse().map_err(|error: UnknownZone| {
        Problem::unprocessable("unknown_zone", "zone", error.to_string()).with("value", name)
    })
}

/// A wall time of a body.
pub(super) fn local(field: &str, text: &str) -> Result<LocalDateTime, Problem> {
    text.parse().map_err(|error: NotLocal| {
        Problem::unprocessable("invalid_local_time", field, error.to_string()).with("value", text)
    })
}

/// A reason of a body, which is kept as a code.
pub(super) fn reason(text: &str) -> Result<ReasonCode, Problem> {
    code("reason", text)
}

/// A code of a body. What is none is not repeated.
pub(super) fn code(field: &str, text: &str) -> Result<ReasonCode, Problem> {
    text.parse().map_err(|_| {
        let detail = "a code like bank_transfer is expected: [a-z][a-z0-9_]{0,63}";
        Problem::unprocessable("invalid_value", field, detail)
    })
}

/// An id of a vendor's, or a number of the clinic's own.
pub(super) fn vendor_id(field: &str, text: &str) -> Result<VendorId, Problem> {
    text.parse().map_err(|error: BadVendorId| {
        Problem::unprocessable("invalid_value", field, error.to_string()).with("value", text)
    })
}
