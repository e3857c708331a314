//! The triggers, constraints and unique indexes of a database, compared with what the migrations
//! make.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use store::StoreError;
use store::rows::{Columns, some};

use crate::rows::all;

/// What a freshly migrated database has, a line each. A test compares it with one.
const EXPECTED: &str = include_str!("guards.txt");

/// The lines that are expected and missing.
pub(crate) async fn missing(db: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let found = guards(db).await?;
    let expected = EXPECTED.lines().map(str::to_owned);
    Ok(expected.filter(|line| !found.contains(line)).collect())
}

/// What the database has. A trigger that is switched off and an index that is not valid are left
/// out.
pub(crate) async fn guards(db: &mut PgConnection) -> Result<BTreeSet<String>, StoreError> {
    let query = sqlx::query(
        "SELECT format('trigger %s on %s, type %s, calls %s %s', tgname, relname, tgtype, proname,
           md5(prosrc)) AS guard
         FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
         WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND relnamespace = current_schema()::regnamespace
         UNION ALL
         SELECT format('constraint %s on %s: %s', conname, relname,
           CASE WHEN contype IN ('x', 'u', 'p') THEN pg_get_constraintdef(k.oid) ELSE contype::text END)
         FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid
         WHERE contype IN ('x', 'u', 'p', 'f', 'c') AND relnamespace = current_schema()::regnamespace
         UNION ALL
         SELECT format('unique index %s on %s: %s', i.relname, t.relname,
           replace(pg_get_indexdef(indexrelid), quote_ident(current_schema()) || '.', ''))
         FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_class t ON t.oid = indrelid
         WHERE indisunique AND indisvalid AND i.relnamespace = current_schema()::regnamespace",
    );
    let read = |row: &_| some("guard", Columns::text(row, "guard")?).map(str::to_owned);
    let found = all(db, query, read).await?.into_iter();
    Ok(found.filter(|line| !line.contains("_sqlx")).collect())
}
