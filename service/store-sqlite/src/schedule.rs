//! Intents, sessions, and calendars of both.

use chrono::{DateTime, Utc};
use clinic::ClinicId;
use scheduler_core::calendar::near;
use scheduler_core::intent::{Intent, Record};
use scheduler_core::session::Session;
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{ClientId, IntentId, LocalDateTime, SessionId, TherapistId, Window};
use sqlx::sqlite::SqliteConnection;
use store::{Calendar, Page, StoreError, Which, Whose, history, rows};
use uuid::Uuid;

use crate::people::one;
use crate::rows::{all, execute_on_one, micros, optional};

/// No appointment is longer, so one that overlaps a window starts at most this long before it.
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

pub(crate) async fn intent(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: IntentId,
) -> Result<Option<Intent>, StoreError> {
    let sql = "SELECT * FROM intent WHERE clinic_id = ? AND id = ?";
    one(db, sql, clinic, id.0, rows::intent).await
}

pub(crate) async fn session(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    id: SessionId,
) -> Result<Option<Session>, StoreError> {
    let sql = "SELECT * FROM session WHERE clinic_id = ? AND id = ?";
    one(db, sql, clinic, id.0, rows::session).await
}

pub(crate) async fn session_of(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    intent: IntentId,
    recurrence_id: LocalDateTime,
) -> Result<Option<Session>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM session WHERE clinic_id = ? AND intent_id = ? AND recurrence_id = ?",
    )
    .bind(clinic.0)
    .bind(intent.0)
    .bind(recurrence_id.seconds());
    optional(db, query, rows::session).await
}

/// The sessions of an intent from a recurrence-id on.
pub(crate) async fn sessions_from(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    intent: IntentId,
    from: LocalDateTime,
) -> Result<Vec<Session>, StoreError> {
    let sql = "SELECT * FROM session WHERE clinic_id = ? AND intent_id = ? AND recurrence_id >= ?
               ORDER BY recurrence_id";
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(intent.0)
        .bind(from.seconds());
    all(db, query, rows::session).await
}

/// The segments of a series, by id.
pub(crate) async fn segments(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    series: IntentId,
) -> Result<Vec<Intent>, StoreError> {
    let sql = "SELECT * FROM intent WHERE clinic_id = ?1 AND id = ?2
               UNION ALL
               SELECT * FROM intent
               WHERE clinic_id = ?1 AND series_id = ?2 AND continues_id IS NOT NULL
               ORDER BY id";
    let query = sqlx::query(sql).bind(clinic.0).bind(series.0);
    all(db, query, rows::intent).await
}

/// What happened to a series, in order.
pub(crate) async fn records(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    series: IntentId,
) -> Result<Vec<Record>, StoreError> {
    let sql = "SELECT * FROM journal WHERE clinic_id = ? AND series_id = ? ORDER BY seq";
    let query = sqlx::query(sql).bind(clinic.0).bind(series.0);
    let lines = all(db, query, history::records).await?;
    Ok(lines.into_iter().flatten().collect())
}

/// The sessions of a client that wait for a credit, by start.
pub(crate) async fn unfunded(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    client: ClientId,
) -> Result<Vec<Session>, StoreError> {
    let sql = "SELECT * FROM session WHERE clinic_id = ? AND client_id = ? AND state = 'unfunded'
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
    db: &mut SqliteConnection,
    clinic: ClinicId,
    therapist: TherapistId,
    client: ClientId,
    after: i64,
) -> Result<Vec<Session>, StoreError> {
    let sql = "SELECT * FROM session WHERE clinic_id = ?1 AND therapist_id = ?2
                 AND starts_at > ?4 AND ends_at > ?5 AND state IN ('scheduled', 'unfunded')
               UNION
               SELECT * FROM session WHERE clinic_id = ?1 AND client_id = ?3
                 AND starts_at > ?4 AND ends_at > ?5 AND state IN ('scheduled', 'unfunded')";
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(therapist.0)
        .bind(client.0)
        .bind(after - DAY_MICROS)
        .bind(after);
    all(db, query, rows::session).await
}

/// The intents of a therapist or a client that still mean virtual occurrences.
pub(crate) async fn pending_intents(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    therapist: TherapistId,
    client: ClientId,
) -> Result<Vec<Intent>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM intent
         WHERE clinic_id = ?1 AND therapist_id = ?2 AND (next_due_at IS NOT NULL OR kept)
         UNION
         SELECT * FROM intent
         WHERE clinic_id = ?1 AND client_id = ?3 AND (next_due_at IS NOT NULL OR kept)",
    )
    .bind(clinic.0)
    .bind(therapist.0)
    .bind(client.0);
    all(db, query, rows::intent).await
}

pub(crate) async fn intents(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    whose: Whose,
    page: Page,
) -> Result<Vec<Intent>, StoreError> {
    let (sql, id) = match whose {
        Whose::Clinic => (
            "SELECT * FROM intent WHERE clinic_id = ?1 AND ?2 AND id > ?3 ORDER BY id LIMIT ?4",
            None,
        ),
        Whose::Therapist(id) => (
            "SELECT * FROM intent WHERE clinic_id = ?1 AND therapist_id = ?2 AND id > ?3
             ORDER BY id LIMIT ?4",
            Some(id.0),
        ),
        Whose::Client(id) => (
            "SELECT * FROM intent WHERE clinic_id = ?1 AND client_id = ?2 AND id > ?3
             ORDER BY id LIMIT ?4",
            Some(id.0),
        ),
        Whose::Intent(id) => (
            "SELECT * FROM intent WHERE clinic_id = ?1 AND id = ?2 AND id > ?3 LIMIT ?4",
            Some(id.0),
        ),
    };
    let query = sqlx::query(sql).bind(clinic.0);
    let query = match id {
        Some(id) => query.bind(id),
        None => query.bind(true),
    };
    let query = query
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(page.limit);
    all(db, query, rows::intent).await
}

/// A page of sessions by id.
pub(crate) async fn page(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    whose: Whose,
    which: Which,
    page: Page,
) -> Result<Vec<Session>, StoreError> {
    let (therapist, client, intent) = match whose {
        Whose::Clinic => (None, None, None),
        Whose::Therapist(id) => (Some(id.0), None, None),
        Whose::Client(id) => (None, Some(id.0), None),
        Whose::Intent(id) => (None, None, Some(id.0)),
    };
    // The state is spelled out so that its index is used. Of the live sessions few are over: they
    // are found first and put in order then, which is what the plus says.
    let (condition, ended_by) = match which {
        Which::Live => (
            "state IN ('scheduled', 'unfunded') AND id > ?2 AND ?3",
            None,
        ),
        Which::ToCome { now } => (
            "state IN ('scheduled', 'unfunded', 'case', 'cancelled') AND id > ?2
             AND starts_at > ?3",
            Some(micros(now)),
        ),
        Which::AttendanceUnknown { now } => (
            "state = 'scheduled' AND ends_at <= ?3 AND +id > ?2",
            Some(micros(now)),
        ),
        Which::Open { now } => (
            "(state = 'scheduled' AND ends_at <= ?3 OR state IN ('unfunded', 'case', 'missed'))
             AND +id > ?2",
            Some(micros(now)),
        ),
        Which::In(_) => ("state = ?3 AND id > ?2", None),
    };
    let order = match which {
        Which::Live | Which::ToCome { .. } | Which::In(_) => "id",
        Which::AttendanceUnknown { .. } | Which::Open { .. } => "+id",
    };
    let sql = format!(
        "SELECT * FROM session WHERE clinic_id = ?1 AND {condition}
           AND (?4 IS NULL OR therapist_id = ?4)
           AND (?5 IS NULL OR client_id = ?5)
           AND (?6 IS NULL OR intent_id = ?6)
         ORDER BY {order} LIMIT ?7"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(clinic.0)
        .bind(page.after.unwrap_or(Uuid::nil()));
    let query = match (which, ended_by) {
        (Which::In(name), _) => query.bind(name),
        (_, Some(now)) => query.bind(now),
        (_, None) => query.bind(true),
    };
    let query = query
        .bind(therapist)
        .bind(client)
        .bind(intent)
        .bind(page.limit.min(store::PAGE_MAX));
    all(db, query, rows::session).await
}

/// The intents that are not over before a window.
async fn not_over(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    whose: Whose,
    window: Window,
) -> Result<Vec<Intent>, StoreError> {
    let (column, whom) = column(clinic, whose);
    let sql = format!(
        "SELECT * FROM intent WHERE clinic_id = ? AND {column} = ? AND over_at > ?
           AND begins_at < ? ORDER BY id"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(clinic.0)
        .bind(whom)
        .bind(over_before(window))
        .bind(begun_after(window));
    all(db, query, rows::intent).await
}

/// When an intent is over, as it is stored: at the end of the calendar, if it goes on for ever.
pub(crate) fn over_at(intent: &Intent) -> i64 {
    intent.set.over_at().map_or(i64::MAX, micros)
}

/// When an intent begins, as it is stored: after all time, if it means nothing.
pub(crate) fn begins_at(intent: &Intent) -> i64 {
    intent.set.begins_at().map_or(i64::MAX, micros)
}

/// What begins then or later has nothing to do with a window.
fn begun_after(window: Window) -> i64 {
    micros(window.end() + rows::OVER_BEFORE)
}

/// What was over by then has nothing to do with a window.
fn over_before(window: Window) -> i64 {
    micros(window.start() - rows::OVER_BEFORE)
}

/// The intents whose columns are not what their sets say.
pub(crate) async fn misfiled(
    db: &mut SqliteConnection,
    clinic: ClinicId,
) -> Result<Vec<IntentId>, StoreError> {
    let (mut misfiled, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let sql = "SELECT * FROM intent WHERE clinic_id = ? AND id > ? ORDER BY id LIMIT ?";
        let query = sqlx::query(sql).bind(clinic.0).bind(after);
        let filed = |row: &_| {
            let intent = rows::intent(row)?;
            let filed: [i64; 2] = [
                rows::number(row, "begins_at")?,
                rows::number(row, "over_at")?,
            ];
            Ok((intent.id, filed == [begins_at(&intent), over_at(&intent)]))
        };
        let found = all(db, query.bind(store::PAGE_MAX), filed).await?;
        let Some((last, _)) = found.last() else {
            return Ok(misfiled);
        };
        after = last.0;
        misfiled.extend(found.iter().filter(|(_, is)| !is).map(|(id, _)| *id));
    }
}

/// Computes when intents begin and are over that an earlier version has written.
pub(crate) async fn fill_over_at(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let (mut clinic, mut after) = (Uuid::nil(), Uuid::nil());
    loop {
        let sql = "SELECT * FROM intent WHERE begins_at = ? AND (clinic_id, id) > (?, ?)
                   ORDER BY clinic_id, id LIMIT ?";
        let query = sqlx::query(sql).bind(i64::MIN).bind(clinic).bind(after);
        let of = |row: &_| Ok((rows::id(row, "clinic_id")?, rows::intent(row)?));
        let found = all(db, query.bind(store::PAGE_MAX), of).await?;
        let Some((last, intent)) = found.last() else {
            return Ok(());
        };
        (clinic, after) = (*last, intent.id.0);
        for (clinic, intent) in &found {
            let sql = "UPDATE intent SET over_at = ?, begins_at = ? WHERE clinic_id = ? AND id = ?";
            let query = sqlx::query(sql).bind(over_at(intent));
            let query = query.bind(begins_at(intent));
            execute_on_one(db, query.bind(clinic).bind(intent.id.0)).await?;
        }
    }
}

/// Intents before sessions: a session made in between hides its occurrence, and none is lost.
pub(crate) async fn calendar(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    whose: Whose,
    window: Window,
) -> Result<Calendar, StoreError> {
    let intents = not_over(db, clinic, whose, window).await?;
    let sessions = sessions_in(db, clinic, whose, window).await?;
    Ok(Calendar { intents, sessions })
}

/// The intents that are not over by an instant, with all sessions of them.
pub(crate) async fn unfinished(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    whose: Whose,
    since: DateTime<Utc>,
) -> Result<Calendar, StoreError> {
    let window = Window::new(since, END_OF_ZONE_DATA);
    let window = window.map_err(|error| StoreError::corrupt("window", error))?;
    let intents = not_over(db, clinic, whose, window).await?;
    let (column, whom) = column(clinic, whose);
    let sql = format!(
        "SELECT session.* FROM intent JOIN session
           ON session.clinic_id = intent.clinic_id AND session.intent_id = intent.id
         WHERE intent.clinic_id = ? AND intent.{column} = ? AND over_at > ?"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(clinic.0)
        .bind(whom)
        .bind(over_before(window));
    let sessions = all(db, query, rows::session).await?;
    Ok(Calendar { intents, sessions })
}

/// The column that says whose an intent is, and by what it is compared.
fn column(clinic: ClinicId, whose: Whose) -> (&'static str, Uuid) {
    match whose {
        Whose::Clinic => ("clinic_id", clinic.0),
        Whose::Therapist(id) => ("therapist_id", id.0),
        Whose::Client(id) => ("client_id", id.0),
        Whose::Intent(id) => ("id", id.0),
    }
}

/// The sessions that overlap the window, and those whose recurrence-id is near it, wherever they
/// were moved to.
pub(crate) async fn sessions_in(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    whose: Whose,
    window: Window,
) -> Result<Vec<Session>, StoreError> {
    let (sql, id) = match whose {
        Whose::Clinic => (
            "SELECT * FROM session WHERE clinic_id = ?1 AND ?2
               AND ((starts_at > ?3 AND starts_at < ?4 AND ends_at > ?5)
                 OR recurrence_id BETWEEN ?6 AND ?7)",
            None,
        ),
        Whose::Therapist(id) => (
            "SELECT * FROM session WHERE clinic_id = ?1 AND therapist_id = ?2
               AND starts_at > ?3 AND starts_at < ?4 AND ends_at > ?5
             UNION
             SELECT * FROM session WHERE clinic_id = ?1 AND recurrence_id BETWEEN ?6 AND ?7
               AND intent_id IN (SELECT id FROM intent
                                 WHERE clinic_id = ?1 AND therapist_id = ?2 AND over_at > ?8
                                   AND begins_at < ?9)",
            Some(id.0),
        ),
        Whose::Client(id) => (
            "SELECT * FROM session WHERE clinic_id = ?1 AND client_id = ?2
               AND starts_at > ?3 AND starts_at < ?4 AND ends_at > ?5
             UNION
             SELECT * FROM session WHERE clinic_id = ?1 AND recurrence_id BETWEEN ?6 AND ?7
               AND intent_id IN (SELECT id FROM intent
                                 WHERE clinic_id = ?1 AND client_id = ?2 AND over_at > ?8
                                   AND begins_at < ?9)",
            Some(id.0),
        ),
        Whose::Intent(id) => (
            "SELECT * FROM session WHERE clinic_id = ?1 AND intent_id = ?2
               AND ((starts_at > ?3 AND starts_at < ?4 AND ends_at > ?5)
                 OR recurrence_id BETWEEN ?6 AND ?7)",
            Some(id.0),
        ),
    };
    let query = sqlx::query(sql).bind(clinic.0);
    let query = match id {
        Some(id) => query.bind(id),
        None => query.bind(true),
    };
    let (from, to) = near(window);
    let query = query
        .bind(micros(window.start()) - DAY_MICROS)
        .bind(micros(window.end()))
        .bind(micros(window.start()))
        .bind(from.seconds())
        .bind(to.seconds());
    let query = match whose {
        Whose::Therapist(_) | Whose::Client(_) => {
            query.bind(over_before(window)).bind(begun_after(window))
        }
        Whose::Clinic | Whose::Intent(_) => query,
    };
    all(db, query, rows::session).await
}
