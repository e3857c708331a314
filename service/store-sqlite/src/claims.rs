//! The worker's writes: claim what is due, decide, commit, in one transaction.

use chrono::{DateTime, Utc};
use clinic::ClinicId;
use clinic::scope::{Claim, Job, Position};
use scheduler_core::ClientId;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use store::rows::{self, Columns, integer};
use store::{Backlog, Claimed, Decide, Request, StoreError};
use uuid::Uuid;

use crate::rows::{Row, failed, micros, optional};
use crate::transaction::Transaction;
use crate::write::{decided, finish};
use crate::{schedule, scope, zone_data};

pub(crate) async fn claim(
    writer: &SqlitePool,
    claim: &Claim,
    decide: Decide<'_>,
) -> Result<Option<Claimed>, StoreError> {
    let mut tx = Transaction::begin(writer).await?;
    let found = async {
        zone_data::check(&mut tx, claim.zone_data, true).await?;
        let Some(row) = next_due(&mut tx, claim).await? else {
            return Ok(None);
        };
        let position = position(claim.job, &row)?;
        let clinic = ClinicId(rows::id(&row, "clinic_id")?);
        Ok(Some((row, position, clinic)))
    };
    let (row, position, clinic) = match found.await {
        Ok(Some(found)) => found,
        Ok(None) => {
            tx.rollback().await;
            return Ok(None);
        }
        Err(error) => {
            tx.rollback().await;
            return Err(error);
        }
    };
    let request = Request::of_claim(clinic, claim);
    let outcome = async {
        let view = match claim.job {
            Job::Materialize => scope::due_intent(&mut tx, clinic, rows::intent(&row)?).await?,
            Job::Fund => {
                let session = rows::session(&row)?;
                let intent = schedule::intent(&mut tx, clinic, session.intent).await?;
                let intent = rows::some("session's intent", intent)?;
                scope::occurrence(&mut tx, clinic, intent, Some(session)).await?
            }
            Job::Expire => {
                let client = ClientId(rows::id(&row, "client_id")?);
                scope::account(&mut tx, clinic, client).await?
            }
            Job::Remind | Job::AskAttendance => scope::followed(rows::session(&row)?),
            Job::Dispatch => scope::about(&mut tx, clinic, rows::message(&row)?).await?,
        };
        decided(&mut tx, &request, &view, decide).await
    };
    let outcome = outcome.await;
    Ok(Some(Claimed {
        clinic,
        position,
        outcome: finish(tx, outcome).await,
    }))
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

/// No message overtakes an earlier one to the same recipient, or about the same session.
const IN_ORDER: &str = "
    AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.state = 'pending'
        AND earlier.recipient_id = outbox.recipient_id AND earlier.seq < outbox.seq)
    AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.state = 'pending'
        AND earlier.session_id = outbox.session_id AND earlier.seq < outbox.seq)";

async fn next_due(db: &mut SqliteConnection, claim: &Claim) -> Result<Option<Row>, StoreError> {
    let (table, condition) = due(claim.job);
    let key = key(claim.job);
    let order = match claim.job {
        Job::Dispatch => IN_ORDER,
        _ => "",
    };
    let sql = format!(
        "SELECT * FROM {table} WHERE {condition} AND next_due_at <= ?
         AND (next_due_at, {key}) > (?, ?) {order} ORDER BY next_due_at, {key} LIMIT 1"
    );
    let (due_at, id) = match claim.after {
        Some(after) => (micros(after.due_at), after.id),
        None => (i64::MIN, 0),
    };
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(micros(claim.now))
        .bind(due_at);
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
    db: &mut SqliteConnection,
    job: Job,
    now: DateTime<Utc>,
) -> Result<Backlog, StoreError> {
    let (table, condition) = due(job);
    let sql = format!(
        "SELECT count(*) AS due, min(next_due_at) AS oldest FROM {table}
         WHERE {condition} AND next_due_at <= ?"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(micros(now));
    let backlog = optional(db, query, |row| {
        Ok(Backlog {
            due: rows::number(row, "due")?,
            oldest: row.instant("oldest")?,
        })
    });
    Ok(backlog.await?.unwrap_or_default())
}
