//! The worker's writes: claim what is due, decide, commit, in one transaction.

use clinic::scope::{Claim, Job, Position};
use clinic::{Actor, ClinicId};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use store::{Claimed, Decide, StoreError};
use uuid::Uuid;

use crate::rows::{self, failed, get, instant, micros};
use crate::write::{Author, finish};
use crate::{schedule, scope};

pub(crate) async fn claim(
    writer: &SqlitePool,
    claim: &Claim,
    decide: Decide<'_>,
) -> Result<Option<Claimed>, StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let Some(row) = next_due(&mut tx, claim).await? else {
        return Ok(None);
    };
    let position = Position {
        due_at: instant(&row, "next_due_at")?,
        id: get(&row, "id")?,
    };
    let clinic = ClinicId(get(&row, "clinic_id")?);
    let author = Author {
        actor: Actor::Tick,
        at: claim.now,
        idempotency: None,
    };
    let outcome = async {
        let view = match claim.job {
            Job::Materialize => scope::due_intent(&mut tx, clinic, rows::intent(&row)?).await?,
            Job::Fund => {
                let session = rows::session(&row)?;
                let intent = schedule::intent(&mut tx, clinic, session.intent).await?;
                let intent = intent.ok_or_else(|| StoreError::corrupt("session", "no intent"))?;
                scope::occurrence(&mut tx, clinic, intent, Some(session)).await?
            }
        };
        finish(tx, clinic, &author, decide(&view)?).await
    };
    let outcome = outcome.await;
    Ok(Some(Claimed { position, outcome }))
}

async fn next_due(
    db: &mut SqliteConnection,
    claim: &Claim,
) -> Result<Option<SqliteRow>, StoreError> {
    let sql = match claim.job {
        Job::Materialize => {
            "SELECT * FROM intent WHERE next_due_at <= ? AND (next_due_at, id) > (?, ?)
             ORDER BY next_due_at, id LIMIT 1"
        }
        Job::Fund => {
            "SELECT * FROM session WHERE next_due_at <= ? AND (next_due_at, id) > (?, ?)
             ORDER BY next_due_at, id LIMIT 1"
        }
    };
    let (due_at, id) = match claim.after {
        Some(after) => (micros(after.due_at), after.id),
        None => (i64::MIN, Uuid::nil()),
    };
    sqlx::query(sql)
        .bind(micros(claim.now))
        .bind(due_at)
        .bind(id)
        .fetch_optional(db)
        .await
        .map_err(failed)
}
