//! SQL of somebody who owns the database and has no key file.

use chrono::{DateTime, Utc};
use ledger_core::{Account, Entry, Hash};

use crate::database::Database;

/// The tables of which [`keep`] keeps copies.
const KEPT: [&str; 9] = [
    "token",
    "feed",
    "dek",
    "client",
    "blind_index",
    "account",
    "finished_lots",
    "ledger_entry",
    "session",
];

/// Keeps the rows of today as tables `past_...`, to put them back later.
pub(super) async fn keep(database: &mut Database, prefix: &str) {
    for table in KEPT {
        let keep = format!("CREATE TABLE {prefix}_{table} AS SELECT * FROM {table}");
        database.execute(&keep).await.unwrap();
    }
}

/// Runs statements in one transaction, with all guards in force. Says whether the database refused.
pub(super) async fn is_refused(database: &mut Database, edit: &[String]) -> bool {
    database.execute("BEGIN").await.unwrap();
    for statement in edit {
        if database.execute(statement).await.is_err() {
            database.execute("ROLLBACK").await.unwrap();
            return true;
        }
    }
    database.execute("COMMIT").await.is_err()
}

/// Runs statements past triggers and foreign keys, which are as before afterwards.
pub(super) async fn unguarded(database: &mut Database, edit: &[String]) {
    let (off, on) = match database {
        Database::Sqlite(_) => {
            let triggers = "FROM sqlite_schema WHERE type = 'trigger' ORDER BY name";
            let names = database.texts(&format!("SELECT name {triggers}")).await;
            let made = database.texts(&format!("SELECT sql {triggers}")).await;
            let off = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON";
            let drops = names.iter().map(|name| format!("DROP TRIGGER {name}"));
            let off: Vec<String> = [off.to_owned()].into_iter().chain(drops).collect();
            (off, made)
        }
        Database::Postgres(_) => {
            let set = |role: &str| vec![format!("SET session_replication_role = {role}")];
            (set("replica"), set("origin"))
        }
    };
    for statement in off.iter().chain(edit).chain(&on) {
        let done = database.execute(statement).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// An id as a literal.
pub(super) fn id(database: &Database, id: &(impl ToString + ?Sized)) -> String {
    let id = id.to_string();
    match database {
        Database::Sqlite(_) => format!("X'{}'", id.replace('-', "")),
        Database::Postgres(_) => format!("'{id}'::uuid"),
    }
}

fn bytes(database: &Database, hash: Hash) -> String {
    match database {
        Database::Sqlite(_) => format!("X'{hash}'"),
        Database::Postgres(_) => format!("'\\x{hash}'::bytea"),
    }
}

fn instant(database: &Database, at: DateTime<Utc>) -> String {
    match database {
        Database::Sqlite(_) => at.timestamp_micros().to_string(),
        Database::Postgres(_) => format!("'{}'::timestamptz", at.to_rfc3339()),
    }
}

/// A value as JSON, as a literal.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap();
    format!("'{}'", text.replace('\'', "''"))
}

/// Minutes more, of a column of instants.
pub(super) fn later(database: &Database, column: &str, minutes: i64) -> String {
    match database {
        Database::Sqlite(_) => format!("{column} = {column} + {}", minutes * 60_000_000),
        Database::Postgres(_) => format!("{column} = {column} + interval '{minutes} minutes'"),
    }
}

/// Puts rows of an earlier day back in the place of those there are.
pub(super) fn put_back(table: &str, from: &str, whose: &str) -> [String; 2] {
    [
        format!("DELETE FROM {table} WHERE {whose}"),
        format!("INSERT INTO {table} SELECT * FROM {from}_{table} WHERE {whose}"),
    ]
}

/// Hashes entries anew from the first that changed on, so that their chain is whole.
pub(super) fn rechained(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut before = ledger_core::genesis(entries[0].account);
    for entry in &mut entries {
        entry.prev_hash = before;
        entry.hash = Hash::of(&entry.canonical_bytes());
        before = entry.hash;
    }
    entries
}

/// Writes an entry's body and hashes over those that are stored.
pub(super) fn overwrite(database: &Database, entry: &Entry) -> String {
    format!(
        "UPDATE ledger_entry SET body = {}, prev_hash = {}, hash = {} WHERE account_id = {} AND seq = {}",
        json(&entry.body),
        bytes(database, entry.prev_hash),
        bytes(database, entry.hash),
        id(database, &entry.account),
        entry.seq
    )
}

/// Adds an entry.
pub(super) fn append(database: &Database, entry: &Entry) -> String {
    let account = id(database, &entry.account);
    format!(
        "INSERT INTO ledger_entry (clinic_id, account_id, seq, key, body, effective_at, recorded_at,
         prev_hash, hash) SELECT clinic_id, client_id, {}, '{}', {}, {}, {}, {}, {} FROM account
         WHERE client_id = {account}",
        entry.seq,
        entry.key,
        json(&entry.body),
        instant(database, entry.effective_at),
        instant(database, entry.recorded_at),
        bytes(database, entry.prev_hash),
        bytes(database, entry.hash),
    )
}

/// Makes an account's row that of these entries.
pub(super) fn snapshot(database: &Database, account: &Account) -> Vec<String> {
    let finished: Vec<&ledger_core::Lot> = account.finished().collect();
    let due = account.next_due_at();
    let due = due.map_or("NULL".to_owned(), |due| instant(database, due));
    let client = id(database, &account.id());
    vec![
        format!(
            "UPDATE account SET version = {}, snapshot = {}, next_due_at = {due} WHERE client_id = {client}",
            account.seq(),
            json(&account.unfinished()),
        ),
        format!(
            "UPDATE finished_lots SET lots = {} WHERE account_id = {client}",
            json(&finished)
        ),
    ]
}
