//! Intents, sessions, and calendars of both.

use chrono::{DateTime, TimeDelta, Utc};
use clinic::ClinicId;
use scheduler_core::calendar::near;
use scheduler_core::intent::{Intent, Record};
use scheduler_core::session::Session;
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{ClientId, IntentId, LocalDateTime, SessionId, TherapistId, Window};
use sqlx::postgres::PgConnection;
use store::rows::Columns;
use store::{Calendar, Page, StoreError, Which, Whose, history, rows};
use uuid::Uuid;

use crate::people::one;
use crate::rows::{Instant, Local, Query, Row, all, execute_on_one, optional};

/// No appointment is longer, so one that overlaps a window starts at most this long before it.
const DAY: TimeDelta = TimeDelta::days(1);

pub(crate) async fn intent(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: IntentId,
) -> Result<Option<Intent>, StoreError> {
    let sql = "SELECT * FROM intent WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::intent).await
}

pub(crate) async fn session(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: SessionId,
) -> Result<Option<Session>, StoreError> {
    let sql = "SELECT * FROM session WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::session).await
}

pub(crate) async fn session_of(
    db: &mut PgConnection,
    clinic: ClinicId,
    intent: IntentId,
    recurrence_id: LocalDateTime,
) -> Result<Option<Session>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM session WHERE clinic_id = $1 AND intent_id = $2 AND recurrence_id = $3",
    )
    .bind(clinic.0)
    .bind(intent.0)
    .bind(Local(recurrence_id));
    optional(db, query, rows::session).await
}

/// The sessions of an intent from a recurrence-id on.
pub(crate) async fn sessions_from(
    db: &mut PgConnection,
    clinic: ClinicId,
    intent: IntentId,
    from: LocalDateTime,
) -> Result<Vec<Session>, StoreError> {
    let sql =
        "SELECT * FROM session WHERE clinic_id = $1 AND intent_id = $2 AND recurrence_id >= $3
               ORDER BY recurrence_id";
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(intent.0)
        .bind(Local(from));
    all(db, query, rows::session).await
}

/// The segments of a series, by id.
pub(crate) async fn segments(
    db: &mut PgConnection,
    clinic: ClinicId,
    series: IntentId,
) -> Result<Vec<Intent>, StoreError> {
    let sql = "SELECT * FROM intent WHERE clinic_id = $1 AND id = $2
               UNION ALL
               SELECT * FROM intent
               WHERE clinic_id = $1 AND series_id = $2 AND continues_id IS NOT NULL
               ORDER BY id";
    let query = sqlx::query(sql).bind(clinic.0).bind(series.0);
    all(db, query, rows::intent).await
}

/// What happened to a series, in order.
pub(crate) async fn records(
    db: &mut PgConnection,
    clinic: ClinicId,
    series: IntentId,
) -> Result<Vec<Record>, StoreError> {
    let sql = "SELECT * FROM journal WHERE clinic_id = $1 AND series_id = $2 ORDER BY seq";
    let query = sqlx::query(sql).bind(clinic.0).bind(series.0);
    let lines = all(db, query, history::records).await?;
    Ok(lines.into_iter().flatten().collect())
}

/// The sessions of a client that wait for a credit, by start.
pub(crate) async fn unfunded(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
) -> Result<Vec<Session>, StoreError> {
    let sql = "SELECT * FROM session WHERE clinic_id = $1 AND client_id = $2 AND state = 'unfunded'
               ORDER BY starts_at, id";
    all(
        db,
        sqlx::query(sql).bind(clinic.0).bind(client.0),
        rows::session,
    )
    .await
}

/// Live sessions of a therapist or a client that end after an instant.
pub(crate) async fn live_after(
    db: &mut PgConnection,
    clinic: ClinicId,
    therapist: TherapistId,
    client: ClientId,
    after: DateTime<Utc>,
) -> Result<Vec<Session>, StoreError> {
    let sql = "SELECT * FROM session WHERE clinic_id = $1 AND therapist_id = $2
                 AND starts_at > $4 AND ends_at > $5 AND state IN ('scheduled', 'unfunded')
               UNION ALL
               SELECT * FROM session WHERE clinic_id = $1 AND client_id = $3
                 AND starts_at > $4 AND ends_at > $5 AND state IN ('scheduled', 'unfunded')
                 AND therapist_id <> $2";
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(therapist.0)
        .bind(client.0)
        .bind(Instant(after - DAY))
        .bind(Instant(after));
    all(db, query, rows::session).await
}

/// The intents of a therapist or a client that still mean virtual occurrences.
pub(crate) async fn pending_intents(
    db: &mut PgConnection,
    clinic: ClinicId,
    therapist: TherapistId,
    client: ClientId,
) -> Result<Vec<Intent>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM intent
         WHERE clinic_id = $1 AND therapist_id = $2 AND (next_due_at IS NOT NULL OR kept)
         UNION ALL
         SELECT * FROM intent
         WHERE clinic_id = $1 AND client_id = $3 AND (next_due_at IS NOT NULL OR kept)
           AND therapist_id <> $2
         ORDER BY id",
    )
    .bind(clinic.0)
    .bind(therapist.0)
    .bind(client.0);
    all(db, query, rows::intent).await
}

/// The column that says whose a row is, spelled out so that its index is used, and by what it is
/// compared. The whole clinic's rows are those of the clinic, twice.
fn column(clinic: ClinicId, whose: Whose, id: &'static str) -> (&'static str, Uuid) {
    match whose {
        Whose::Clinic => ("clinic_id", clinic.0),
        Whose::Therapist(therapist) => ("therapist_id", therapist.0),
        Whose::Client(client) => ("client_id", client.0),
        Whose::Intent(intent) => (id, intent.0),
    }
}

pub(crate) async fn intents(
    db: &mut PgConnection,
    clinic: ClinicId,
    whose: Whose,
    page: Page,
) -> Result<Vec<Intent>, StoreError> {
    let (column, whom) = column(clinic, whose, "id");
    let sql = format!(
        "SELECT * FROM intent WHERE clinic_id = $1 AND {column} = $2 AND id > $3
         ORDER BY id LIMIT $4"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(clinic.0)
        .bind(whom)
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(i64::from(page.limit));
    all(db, query, rows::intent).await
}

/// A page of sessions by id.
pub(crate) async fn page(
    db: &mut PgConnection,
    clinic: ClinicId,
    whose: Whose,
    which: Which,
    page: Page,
) -> Result<Vec<Session>, StoreError> {
    let (column, whom) = column(clinic, whose, "intent_id");
    let sql = match which {
        Which::Live => format!(
            "SELECT * FROM session WHERE clinic_id = $1 AND {column} = $2
               AND state IN ('scheduled', 'unfunded') AND id > $3 AND $5
             ORDER BY id LIMIT $4"
        ),
        Which::ToCome { .. } => format!(
            "SELECT * FROM session WHERE clinic_id = $1 AND {column} = $2
               AND state IN ('scheduled', 'unfunded', 'case', 'cancelled')
               AND id > $3 AND starts_at > $5
             ORDER BY id LIMIT $4"
        ),
        // Few of the live ones are over. They are found first, and put in order then: going through
        // all in order until the page is full may be going through all.
        Which::AttendanceUnknown { .. } => format!(
            "WITH unknown AS MATERIALIZED (
               SELECT * FROM session WHERE clinic_id = $1 AND {column} = $2
                 AND state = 'scheduled' AND ends_at <= $5)
             SELECT * FROM unknown WHERE id > $3 ORDER BY id LIMIT $4"
        ),
        Which::Open { .. } => format!(
            "WITH open AS MATERIALIZED (
               SELECT * FROM session WHERE clinic_id = $1 AND {column} = $2
                 AND state = 'scheduled' AND ends_at <= $5
               UNION ALL
               SELECT * FROM session WHERE clinic_id = $1 AND {column} = $2
                 AND state IN ('unfunded', 'case', 'missed'))
             SELECT * FROM open WHERE id > $3 ORDER BY id LIMIT $4"
        ),
        Which::In(_) => format!(
            "SELECT * FROM session WHERE clinic_id = $1 AND {column} = $2 AND id > $3 AND state = $5
             ORDER BY id LIMIT $4"
        ),
    };
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(clinic.0)
        .bind(whom)
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(i64::from(page.limit.min(store::PAGE_MAX)));
    let query = match which {
        Which::Live => query.bind(true),
        Which::ToCome { now } | Which::AttendanceUnknown { now } | Which::Open { now } => {
            query.bind(Instant(now))
        }
        Which::In(name) => query.bind(name),
    };
    all(db, query, rows::session).await
}

/// Intents before sessions: a session made in between hides its occurrence, and none is lost.
pub(crate) async fn calendar(
    db: &mut PgConnection,
    clinic: ClinicId,
    whose: Whose,
    window: Window,
) -> Result<Calendar, StoreError> {
    let intents = not_over(db, clinic, whose, window).await?;
    let sessions = sessions_in(db, clinic, whose, window).await?;
    Ok(Calendar { intents, sessions })
}

/// The intents that are not over before a window.
async fn not_over(
    db: &mut PgConnection,
    clinic: ClinicId,
    whose: Whose,
    window: Window,
) -> Result<Vec<Intent>, StoreError> {
    let (column, whom) = column(clinic, whose, "id");
    let sql = format!(
        "SELECT * FROM intent WHERE clinic_id = $1 AND {column} = $2 AND over_at > $3
           AND begins_at < $4 ORDER BY id"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(clinic.0)
        .bind(whom)
        .bind(over_before(window))
        .bind(begun_after(window));
    all(db, query, rows::intent).await
}

/// What begins then or later has nothing to do with a window.
fn begun_after(window: Window) -> Instant {
    Instant(window.end() + rows::OVER_BEFORE)
}

/// What was over by then has nothing to do with a window.
fn over_before(window: Window) -> Instant {
    Instant(window.start() - rows::OVER_BEFORE)
}

/// The intents whose columns are not what their sets say.
pub(crate) async fn misfiled(
    db: &mut PgConnection,
    clinic: ClinicId,
) -> Result<Vec<IntentId>, StoreError> {
    let (mut misfiled, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let sql =
            "SELECT *, nullif(begins_at, 'infinity') AS begins, nullif(over_at, 'infinity') AS over
                   FROM intent WHERE clinic_id = $1 AND id > $2 ORDER BY id LIMIT $3";
        let query = sqlx::query(sql).bind(clinic.0).bind(after);
        let query = query.bind(i64::from(store::PAGE_MAX));
        let filed = |row: &Row| {
            let intent = rows::intent(row)?;
            // `-infinity` is no instant: it is filed under another one.
            let filed = [row.instant("begins"), row.instant("over")];
            let [Ok(begins), Ok(over)] = filed else {
                return Ok((intent.id, false));
            };
            let is = begins == intent.set.begins_at() && over == intent.set.over_at();
            Ok((intent.id, is))
        };
        let found = all(db, query, filed).await?;
        let Some((last, _)) = found.last() else {
            return Ok(misfiled);
        };
        after = last.0;
        misfiled.extend(found.iter().filter(|(_, is)| !is).map(|(id, _)| *id));
    }
}

/// Computes when intents begin and are over that an earlier version has written.
pub(crate) async fn fill_over_at(db: &mut PgConnection) -> Result<(), StoreError> {
    let (mut clinic, mut after) = (Uuid::nil(), Uuid::nil());
    loop {
        let sql =
            "SELECT * FROM intent WHERE begins_at = '-infinity' AND (clinic_id, id) > ($1, $2)
                   ORDER BY clinic_id, id LIMIT $3";
        let query = sqlx::query(sql).bind(clinic).bind(after);
        let query = query.bind(i64::from(store::PAGE_MAX));
        let of = |row: &_| Ok((rows::id(row, "clinic_id")?, rows::intent(row)?));
        let found = all(db, query, of).await?;
        let Some((last, intent)) = found.last() else {
            return Ok(());
        };
        (clinic, after) = (*last, intent.id.0);
        for (clinic, intent) in &found {
            let sql = "UPDATE intent SET over_at = coalesce($1, 'infinity'),
                         begins_at = coalesce($2, 'infinity') WHERE clinic_id = $3 AND id = $4";
            let query = sqlx::query(sql)
                .bind(intent.set.over_at().map(Instant))
                .bind(intent.set.begins_at().map(Instant))
                .bind(*clinic);
            execute_on_one(db, query.bind(intent.id.0)).await?;
        }
    }
}

/// The intents that are not over by an instant, with all sessions of them.
pub(crate) async fn unfinished(
    db: &mut PgConnection,
    clinic: ClinicId,
    whose: Whose,
    since: DateTime<Utc>,
) -> Result<Calendar, StoreError> {
    let window = Window::new(since, END_OF_ZONE_DATA);
    let window = window.map_err(|error| StoreError::corrupt("window", error))?;
    let intents = not_over(db, clinic, whose, window).await?;
    let (column, whom) = column(clinic, whose, "id");
    let sql = format!(
        "SELECT session.* FROM intent JOIN session
           ON session.clinic_id = intent.clinic_id AND session.intent_id = intent.id
         WHERE intent.clinic_id = $1 AND intent.{column} = $2 AND over_at > $3"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(clinic.0)
        .bind(whom)
        .bind(over_before(window));
    let sessions = all(db, query, rows::session).await?;
    Ok(Calendar { intents, sessions })
}

/// The sessions that overlap the window, and those whose recurrence-id is near it, wherever they
/// were moved to.
pub(crate) async fn sessions_in(
    db: &mut PgConnection,
    clinic: ClinicId,
    whose: Whose,
    window: Window,
) -> Result<Vec<Session>, StoreError> {
    let (sql, whom) = match whose {
        Whose::Clinic | Whose::Intent(_) => {
            let (column, whom) = column(clinic, whose, "intent_id");
            let sql = format!(
                "SELECT * FROM session WHERE clinic_id = $1 AND {column} = $2
                   AND ((starts_at > $3 AND starts_at < $4 AND ends_at > $5)
                     OR recurrence_id BETWEEN $6 AND $7)"
            );
            (sql, whom)
        }
        Whose::Therapist(therapist) => (overlapping_or_near("therapist_id", "$2"), therapist.0),
        Whose::Client(client) => (overlapping_or_near("client_id", "$2"), client.0),
    };
    let query = sqlx::query(sqlx::AssertSqlSafe(sql + " ORDER BY id"))
        .bind(clinic.0)
        .bind(whom);
    let query = in_window(query, window);
    let query = match whose {
        Whose::Therapist(_) | Whose::Client(_) => {
            query.bind(over_before(window)).bind(begun_after(window))
        }
        Whose::Clinic | Whose::Intent(_) => query,
    };
    all(db, query, rows::session).await
}

/// What [`sessions_in`] finds for a therapist and for a client, in one round trip. What is both's
/// comes twice.
pub(crate) async fn sessions_in_way(
    db: &mut PgConnection,
    clinic: ClinicId,
    therapist: TherapistId,
    client: ClientId,
    window: Window,
) -> Result<Vec<Session>, StoreError> {
    let therapists = overlapping_or_near("therapist_id", "$2");
    let clients = overlapping_or_near("client_id", "$10");
    let sql = format!("{therapists} UNION ALL ({clients})");
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(clinic.0)
        .bind(therapist.0);
    let query = in_window(query, window)
        .bind(over_before(window))
        .bind(begun_after(window))
        .bind(client.0);
    all(db, query, rows::session).await
}

/// Two branches, each with an index of its own. What the first has found the second leaves out.
fn overlapping_or_near(column: &str, whom: &str) -> String {
    format!(
        "SELECT * FROM session WHERE clinic_id = $1 AND {column} = {whom}
           AND starts_at > $3 AND starts_at < $4 AND ends_at > $5
         UNION ALL
         SELECT * FROM session WHERE clinic_id = $1 AND recurrence_id BETWEEN $6 AND $7
           AND intent_id IN (SELECT id FROM intent WHERE clinic_id = $1 AND {column} = {whom}
                             AND over_at > $8 AND begins_at < $9)
           AND NOT ({column} = {whom} AND starts_at > $3 AND starts_at < $4 AND ends_at > $5)"
    )
}

/// Binds the third to the seventh value.
fn in_window(query: Query<'_>, window: Window) -> Query<'_> {
    let (from, to) = near(window);
    query
        .bind(Instant(window.start() - DAY))
        .bind(Instant(window.end()))
        .bind(Instant(window.start()))
        .bind(Local(from))
        .bind(Local(to))
}
