//! Evidence that was refused, in the lines of the journal that keep and settle it.

use clinic::{ClinicId, Conflict};
use sqlx::postgres::PgConnection;
use store::{PAGE_MAX, StoreError, rows};
use uuid::Uuid;

use crate::rows::{all, optional};

pub(crate) async fn one(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: Uuid,
) -> Result<Option<Conflict>, StoreError> {
    let query = sqlx::query(
        "SELECT kept.seq, kept.subject_id, kept.body, kept.at, settled.at AS settled_at
         FROM journal kept LEFT JOIN journal settled
           ON settled.clinic_id = kept.clinic_id AND settled.subject_id = kept.subject_id
           AND settled.subject_kind = 'conflict' AND settled.version = 2
         WHERE kept.clinic_id = $1 AND kept.subject_id = $2
           AND kept.subject_kind = 'conflict' AND kept.version = 1",
    );
    optional(db, query.bind(clinic.0).bind(id), rows::conflict).await
}

/// Those after a line, in order.
pub(crate) async fn list(
    db: &mut PgConnection,
    clinic: ClinicId,
    only_open: bool,
    after: u64,
    limit: u32,
) -> Result<Vec<Conflict>, StoreError> {
    let query = sqlx::query(
        "SELECT kept.seq, kept.subject_id, kept.body, kept.at, settled.at AS settled_at
         FROM journal kept LEFT JOIN journal settled
           ON settled.clinic_id = kept.clinic_id AND settled.subject_id = kept.subject_id
           AND settled.subject_kind = 'conflict' AND settled.version = 2
         WHERE kept.clinic_id = $1 AND kept.seq > $2
           AND kept.subject_kind = 'conflict' AND kept.version = 1
           AND (settled.seq IS NULL OR NOT $3)
         ORDER BY kept.seq LIMIT $4",
    )
    .bind(clinic.0)
    .bind(rows::after_line(after))
    .bind(only_open)
    .bind(i64::from(limit.min(PAGE_MAX)));
    all(db, query, rows::conflict).await
}
