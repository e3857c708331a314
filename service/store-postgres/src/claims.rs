//! The worker's writes: claim what is due, decide, commit, in one transaction.

use chrono::{DateTime, Utc};
use clinic::scope::{Claim, Job, Position};
use clinic::{ClinicId, View};
use scheduler_core::ClientId;
use sqlx::postgres::{PgConnection, PgPool};
use store::rows::{self, Columns, integer};
use store::{Backlog, Claimed, Decide, Request, StoreError};
use uuid::Uuid;

use crate::clock::{Clock, Read};
use crate::locks::{Transaction, ZoneData, acquire, try_lock};
use crate::rows::{Instant, Row, failed, optional};
use crate::write::{decided, finish};
use crate::{schedule, scope};

pub(crate) async fn claim(
    pool: &PgPool,
    clock: (&Clock, Read),
    claim: &Claim,
    decide: Decide<'_>,
) -> Result<Option<Claimed>, StoreError> {
    let zone_data = claim.zone_data.map(ZoneData::settled);
    let mut tx = Transaction::begin(acquire(pool).await?, &[], zone_data, Some(clock)).await?;
    let found = async {
        let row = next_due(&mut tx, claim).await?;
        row.map(|row| {
            let clinic = ClinicId(rows::id(&row, "clinic_id")?);
            Ok((clinic, position(claim.job, &row)?, row))
        })
        .transpose()
    };
    let (clinic, position, row) = match found.await {
        Ok(Some(found)) => found,
        nothing => {
            tx.rollback().await;
            return nothing.map(|_| None);
        }
    };
    let request = Request::of_claim(clinic, claim);
    let outcome = match see(&mut tx, clinic, claim.job, &row).await {
        Ok(view) => decided(&mut tx, &request, &view, decide).await,
        Err(error) => Err(error),
    };
    Ok(Some(Claimed {
        clinic,
        position,
        outcome: finish(tx, outcome).await,
    }))
}

/// The view of a claimed row, read under the locks of its parties.
async fn see(
    db: &mut PgConnection,
    clinic: ClinicId,
    job: Job,
    row: &Row,
) -> Result<View, StoreError> {
    match job {
        Job::Materialize => {
            let intent = rows::intent(row)?;
            try_lock(db, &[intent.therapist.0, intent.client.0]).await?;
            scope::due_intent(db, clinic, intent).await
        }
        Job::Fund => {
            let session = rows::session(row)?;
            try_lock(db, &[session.therapist.0, session.client.0]).await?;
            let intent = schedule::intent(db, clinic, session.intent).await?;
            let intent = rows::some("session's intent", intent)?;
            scope::occurrence(db, clinic, intent, Some(session)).await
        }
        Job::Expire => {
            let client = ClientId(rows::id(row, "client_id")?);
            try_lock(db, &[client.0]).await?;
            scope::account(db, clinic, client).await
        }
        Job::Remind | Job::AskAttendance => {
            let session = rows::session(row)?;
            try_lock(db, &[session.therapist.0, session.client.0]).await?;
            Ok(scope::followed(session))
        }
        Job::Dispatch => scope::about(db, clinic, rows::message(row)?).await,
    }
}

/// What is due of each job: the table, and the rest of the condition. It is spelled as in the
/// partial index that answers it.
fn due(job: Job) -> (&'static str, &'static str) {
    match job {
        Job::Materialize => ("intent", "next_due_at IS NOT NULL"),
        Job::Fund => ("session", "state = 'unfunded' AND next_due_at IS NOT NULL"),
        Job::Expire => ("account", "next_due_at IS NOT NULL"),
        Job::Remind => ("session", "state = 'scheduled' AND next_due_at < starts_at"),
        Job::AskAttendance => (
            "session",
            "state = 'scheduled' AND next_due_at >= starts_at",
        ),
        Job::Dispatch => ("outbox", "state = 'pending'"),
    }
}

/// The column that tells the rows of a job apart.
fn key(job: Job) -> &'static str {
    match job {
        Job::Expire => "client_id",
        Job::Dispatch => "seq",
        _ => "id",
    }
}

/// No message overtakes an earlier one to the same recipient, or about the same session. OFFSET keeps
/// each question one of its own, asked of one message after the other: as a join, of all at once, it
/// cost 9,500 pages a claim where the server had not looked at the table lately.
const IN_ORDER: &str = "
    AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.state = 'pending'
        AND earlier.recipient_id = outbox.recipient_id AND earlier.seq < outbox.seq OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.state = 'pending'
        AND earlier.session_id = outbox.session_id AND earlier.seq < outbox.seq OFFSET 0)";

/// The first due row that nobody else has, locked until the transaction's end. The lock is the one
/// that an update takes, so that a row is not passed over because another refers to it.
async fn next_due(db: &mut PgConnection, claim: &Claim) -> Result<Option<Row>, StoreError> {
    let (table, condition) = due(claim.job);
    let key = key(claim.job);
    let order = match claim.job {
        Job::Dispatch => IN_ORDER,
        _ => "",
    };
    let sql = format!(
        "SELECT * FROM {table} WHERE {condition} AND next_due_at <= $1
         AND (next_due_at, {key}) > ($2, $3) {order} ORDER BY next_due_at, {key} LIMIT 1
         FOR NO KEY UPDATE SKIP LOCKED"
    );
    let (due_at, id) = match claim.after {
        Some(after) => (after.due_at, after.id),
        None => (DateTime::<Utc>::MIN_UTC, 0),
    };
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(Instant(claim.now))
        .bind(Instant(due_at));
    let query = match claim.job {
        Job::Dispatch => query.bind(integer(u64::try_from(id).unwrap_or(u64::MAX))),
        _ => query.bind(Uuid::from_u128(id)),
    };
    Ok(query.fetch_optional(db).await.map_err(failed)?.map(Row))
}

fn position(job: Job, row: &Row) -> Result<Position, StoreError> {
    Ok(Position {
        due_at: rows::instant(row, "next_due_at")?,
        id: match job {
            Job::Dispatch => rows::number::<u64>(row, "seq")?.into(),
            _ => rows::id(row, key(job))?.as_u128(),
        },
    })
}

pub(crate) async fn backlog(
    db: &mut PgConnection,
    job: Job,
    now: DateTime<Utc>,
) -> Result<Backlog, StoreError> {
    let (table, condition) = due(job);
    let sql = format!(
        "SELECT count(*) AS due, min(next_due_at) AS oldest FROM {table}
         WHERE {condition} AND next_due_at <= $1"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(Instant(now));
    let backlog = optional(db, query, |row| {
        Ok(Backlog {
            due: rows::number(row, "due")?,
            oldest: row.instant("oldest")?,
        })
    });
    Ok(backlog.await?.unwrap_or_default())
}
