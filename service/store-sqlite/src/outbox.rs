//! Messages: written with what they tell, leased and settled by the worker.

use clinic::{ClinicId, Message, MessageState, Notification, Recipient};
use sqlx::sqlite::SqliteConnection;
use store::rows::{self, integer};
use store::{PAGE_MAX, Request, StoreError};

use crate::rows::{all, execute_on_one, micros, optional};

pub(crate) async fn message(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    seq: u64,
) -> Result<Option<Message>, StoreError> {
    let query = sqlx::query("SELECT * FROM outbox WHERE clinic_id = ? AND seq = ?")
        .bind(clinic.0)
        .bind(integer(seq));
    optional(db, query, rows::message).await
}

pub(crate) async fn messages(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    state: MessageState,
    after: u64,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let sql = "SELECT * FROM outbox WHERE clinic_id = ? AND state = ? AND seq > ?
               ORDER BY seq LIMIT ?";
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(state.name())
        .bind(integer(after))
        .bind(limit.min(PAGE_MAX));
    all(db, query, rows::message).await
}

/// The messages to somebody that are not sent yet, which nobody else changes until the transaction's end.
pub(crate) async fn pending_to(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    recipient: Recipient,
) -> Result<Vec<Message>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM outbox WHERE clinic_id = ? AND recipient_id = ? AND recipient_role = ?
         AND state = 'pending' ORDER BY seq",
    )
    .bind(clinic.0)
    .bind(recipient.id())
    .bind(recipient.role());
    all(db, query, rows::message).await
}

/// The same thing is told once: a second message with its dedupe key is left out. It is leased to whoever
/// asked for that, if it may go before all others to its recipient and about its session.
pub(crate) async fn insert(
    db: &mut SqliteConnection,
    request: &Request,
    told: &Notification,
    counted: u64,
    leased: &mut Vec<Message>,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO outbox (clinic_id, dedupe_key, kind, session_id, slot_version, recipient_role,
         recipient_id, due_at, state, attempts, next_due_at, rows_written, moves)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending', goes,
           CASE WHEN goes THEN ?10 ELSE ?8 END, ?9, ?12
         FROM (SELECT ?10 IS NOT NULL AND ?8 <= ?11
           AND NOT EXISTS (SELECT 1 FROM outbox WHERE state = 'pending' AND recipient_id = ?7)
           AND NOT EXISTS (SELECT 1 FROM outbox WHERE state = 'pending' AND session_id = ?4)
           AS goes) AS first WHERE true -- else ON would join
         ON CONFLICT (clinic_id, dedupe_key) DO NOTHING RETURNING *",
    )
    .bind(request.clinic.0)
    .bind(told.dedupe_key())
    .bind(told.kind.to_string())
    .bind(told.session.0)
    .bind(told.slot_version)
    .bind(told.recipient.role())
    .bind(told.recipient.id())
    .bind(micros(told.due_at))
    .bind(integer(counted))
    .bind(request.lease_until.map(micros))
    .bind(micros(request.at))
    .bind(rows::moves_json(&told.moves)?);
    let message = optional(db, query, rows::message).await?;
    let rows = u64::from(message.is_some());
    leased.extend(message.filter(|message| message.attempts > 0));
    Ok(rows)
}

pub(crate) async fn update(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    message: &Message,
    counted: u64,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE outbox SET state = ?, attempts = ?, next_due_at = ?, last_error = ?,
         rows_written = rows_written + ? WHERE clinic_id = ? AND seq = ?",
    )
    .bind(message.state.name())
    .bind(message.attempts)
    .bind(message.next_due_at.map(micros))
    .bind(&message.last_error)
    .bind(integer(counted))
    .bind(clinic.0)
    .bind(integer(message.seq));
    execute_on_one(db, query).await
}
