//! Accounts and their entries.

use clinic::ClinicId;
use ledger_core::{Account, Entry, Key, Proof};
use scheduler_core::ClientId;
use sqlx::postgres::PgConnection;
use store::{StoreError, rows};

use crate::people::one;
use crate::rows::{all, optional};

pub(crate) async fn account(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
) -> Result<Option<Account>, StoreError> {
    let sql = "SELECT client_id, version, snapshot, next_due_at, coalesce(lots, '[]') AS finished FROM account
         LEFT JOIN finished_lots ON finished_lots.clinic_id = account.clinic_id AND account_id = client_id
         WHERE account.clinic_id = $1 AND client_id = $2";
    one(db, sql, clinic, client.0, rows::account).await
}

/// A client's account for a decision, checked against its last entries.
pub(crate) async fn believed(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
) -> Result<Option<Account>, StoreError> {
    let Some(account) = self::account(db, clinic, client).await? else {
        return Ok(None);
    };
    let query = sqlx::query(
        "SELECT * FROM ledger_entry WHERE clinic_id = $1 AND account_id = $2
         ORDER BY seq DESC LIMIT $3",
    )
    .bind(clinic.0)
    .bind(client.0)
    .bind(i64::from(store::account::entries_needed(&account)));
    let newest_first = all(db, query, rows::entry).await?;
    store::account::believe(account, newest_first).map(Some)
}

/// Every account: those that there are, those that should be, and those that only have entries.
pub(crate) async fn accounts(
    db: &mut PgConnection,
) -> Result<Vec<(ClinicId, ClientId)>, StoreError> {
    let query = sqlx::query(
        "SELECT clinic_id, client_id FROM account
         UNION SELECT clinic_id, id FROM client
         UNION SELECT clinic_id, account_id FROM ledger_entry",
    );
    all(db, query, |row| {
        let clinic = ClinicId(rows::id(row, "clinic_id")?);
        Ok((clinic, ClientId(rows::id(row, "client_id")?)))
    })
    .await
}

pub(crate) async fn entries(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
    after: u64,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM ledger_entry WHERE clinic_id = $1 AND account_id = $2 AND seq > $3
         ORDER BY seq LIMIT $4",
    )
    .bind(clinic.0)
    .bind(client.0)
    .bind(rows::integer(after))
    .bind(i64::from(limit));
    all(db, query, rows::entry).await
}

pub(crate) async fn entry(
    db: &mut PgConnection,
    clinic: ClinicId,
    key: &Key,
) -> Result<Option<Entry>, StoreError> {
    let query = sqlx::query("SELECT * FROM ledger_entry WHERE clinic_id = $1 AND key = $2")
        .bind(clinic.0)
        .bind(key.as_str());
    optional(db, query, rows::entry).await
}

/// The entries that carry one of these keys, in the order of the keys.
pub(crate) async fn entries_of(
    db: &mut PgConnection,
    clinic: ClinicId,
    keys: &[Key],
) -> Result<Vec<Entry>, StoreError> {
    let keys: Vec<&str> = keys.iter().map(Key::as_str).collect();
    let query = sqlx::query(
        "SELECT * FROM ledger_entry WHERE clinic_id = $1 AND key = ANY($2)
         ORDER BY array_position($2::text[], key)",
    )
    .bind(clinic.0)
    .bind(keys);
    all(db, query, rows::entry).await
}

/// The entries that were granted on an invoice or a checkout, of whatever account.
pub(crate) async fn proven(
    db: &mut PgConnection,
    clinic: ClinicId,
    proof: &Proof,
) -> Result<Vec<Entry>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM ledger_entry WHERE clinic_id = $1 AND proof = $2 ORDER BY proof_line",
    )
    .bind(clinic.0)
    .bind(proof.as_str());
    all(db, query, rows::entry).await
}
