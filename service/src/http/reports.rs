//! Reports for the clinic's staff.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use clinic::ClinicId;
use clinic::access::{Action, Resource};
use clinic::zone_change::{concerns, messages};
use clinic::zone_data::{MoveOutcome, Planned};
use scheduler_core::zone::ZoneData;
use serde::Serialize;
use store::{PAGE_MAX, Page, StoreError, Which, Whose};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Caller;
use super::problem::Problem;
use crate::{App, worker, zones};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(tzdb))
}

/// The most moved sessions that a report lists. All are counted.
const MOVED_LISTED_MAX: usize = 1000;

/// The sessions that the last change of the zone data has moved, and those that it still has to move.
#[derive(Debug, Serialize, ToSchema)]
struct TzdbReport {
    /// The release that this process computes with.
    tzdb: String,
    /// The zone data that plans the database.
    planned: Option<PlannedBody>,
    /// How many sessions to come there are.
    looked_at: u64,
    /// How many series there are in zones whose clocks differ. Their occurrences without a session
    /// are computed by the new data already.
    series: u64,
    /// Sessions to come that start at another instant by this process's data. The worker moves them:
    /// their wall times stay.
    shifted: Vec<ShiftedBody>,
    /// How many sessions were moved.
    moved_count: u64,
    /// How many of them are cases, because their new time belongs to another session.
    cases: u64,
    /// How many people get a message. Each gets one.
    messages: u64,
    /// The sessions that were moved, at most 1000.
    moved: Vec<MovedBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PlannedBody {
    release: String,
    /// Equal where all clocks change at the same instants.
    fingerprint: Uuid,
    since: DateTime<Utc>,
    /// When everything to come agreed with it. Until then no sessions are made.
    settled_at: Option<DateTime<Utc>>,
    /// The release that it replaced.
    replaced: Option<String>,
    /// The zones whose clocks differ between the two. Not known of the first release.
    zones: Option<BTreeSet<String>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ShiftedBody {
    session_id: Uuid,
    intent_id: Uuid,
    recurrence_id: String,
    zone: String,
    /// The release that its instants were computed with.
    tzdb: String,
    starts_at: DateTime<Utc>,
    /// When it starts by this process's data.
    would_start_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MovedBody {
    session_id: Uuid,
    intent_id: Uuid,
    zone: String,
    /// The wall time that it keeps.
    starts_local: String,
    /// The instant by the old data.
    was: DateTime<Utc>,
    /// The instant by the new data.
    starts_at: DateTime<Utc>,
    /// `moved`; `case` if the new time belongs to another session; `silent` if the session would not
    /// have taken place anyway, so that nobody gets a message.
    #[schema(example = "moved")]
    outcome: &'static str,
}

/// Sessions whose instant changes because the law of their zone has changed, and how many people get a
/// message. The worker moves sessions to come. A session that has begun keeps its instant.
#[utoipa::path(get, path = "/reports/tzdb", tag = "reports",
    responses((status = 200, body = TzdbReport)))]
async fn tzdb(State(app): State<App>, caller: Caller) -> Result<Json<TzdbReport>, Problem> {
    caller.may(Action::Read, Resource::Clinic, "page")?;
    let mut report = TzdbReport {
        tzdb: ZoneData::installed().release().to_owned(),
        planned: None,
        looked_at: 0,
        series: 0,
        shifted: Vec::new(),
        moved_count: 0,
        cases: 0,
        messages: 0,
        moved: Vec::new(),
    };
    let clinic = caller.0.clinic;
    to_move(&app, clinic, &mut report).await?;
    if let Some(planned) = app.store.zone_data(None).await? {
        moved(&app, clinic, planned, &mut report).await?;
    }
    Ok(Json(report))
}

/// Reports the sessions that are still to be moved.
async fn to_move(app: &App, clinic: ClinicId, report: &mut TzdbReport) -> Result<(), StoreError> {
    let now = app.clock.now();
    let mut after = None;
    loop {
        let limit = PAGE_MAX;
        let page = Page { after, limit };
        let which = Which::ToCome { now };
        let sessions = app.store.sessions(clinic, Whose::Clinic, which, page);
        let sessions = sessions.await?;
        let Some(last) = sessions.last() else {
            return Ok(());
        };
        after = Some(last.id.0);
        report.looked_at += count(sessions.len());
        let shifted = sessions.iter().filter_map(|session| {
            Some(ShiftedBody {
                session_id: session.id.0,
                intent_id: session.intent.0,
                recurrence_id: session.recurrence_id.to_string(),
                zone: session.zone.to_string(),
                tzdb: session.tzdb.clone(),
                starts_at: session.starts_at,
                would_start_at: session.shifted(now)?,
            })
        });
        report.shifted.extend(shifted);
    }
}

/// Reports what the last change has moved.
async fn moved(
    app: &App,
    clinic: ClinicId,
    planned: Planned,
    report: &mut TzdbReport,
) -> Result<(), StoreError> {
    let (zones, generations) = zones::changed(&*app.store, &planned).await?;
    let moves = worker::zone_moves(app, clinic, &generations).await?;
    let of = |outcome| moves.iter().filter(move |moved| moved.outcome == outcome);
    report.moved_count = count(moves.len());
    report.cases = count(of(MoveOutcome::Case).count());
    let told = messages(&moves, planned.generation, planned.since);
    report.messages = count(told.len());
    let listed = moves.iter().take(MOVED_LISTED_MAX);
    report.moved = listed
        .map(|moved| MovedBody {
            session_id: moved.session.0,
            intent_id: moved.intent.0,
            zone: moved.zone.to_string(),
            starts_local: moved.starts_local.to_string(),
            was: moved.was,
            starts_at: moved.starts_at,
            outcome: moved.outcome.name(),
        })
        .collect();
    report.series = series(app, clinic, zones.as_ref()).await?;
    let before = generations.first().and_then(|first| first.checked_sub(1));
    let before = match before {
        Some(number) if number > 0 => app.store.zone_data(Some(number)).await?,
        _ => None,
    };
    report.planned = Some(PlannedBody {
        release: planned.edition.release,
        fingerprint: planned.edition.fingerprint,
        since: planned.since,
        settled_at: planned.settled.map(|(at, _)| at),
        replaced: before.map(|before| before.edition.release),
        zones,
    });
    Ok(())
}

/// How many series with occurrences to come there are in these zones.
async fn series(
    app: &App,
    clinic: ClinicId,
    zones: Option<&BTreeSet<String>>,
) -> Result<u64, StoreError> {
    if zones.is_some_and(BTreeSet::is_empty) {
        return Ok(0);
    }
    let now = app.clock.now();
    let (mut found, mut after) = (0, None);
    loop {
        let limit = PAGE_MAX;
        let page = Page { after, limit };
        let intents = app.store.intents(clinic, Whose::Clinic, page).await?;
        let Some(last) = intents.last() else {
            return Ok(found);
        };
        after = Some(last.id.0);
        let in_zones = intents.iter().filter(|intent| {
            zones.is_none_or(|zones| zones.contains(intent.set.zone().name()))
                && concerns(intent, now)
        });
        found += count(in_zones.count());
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
