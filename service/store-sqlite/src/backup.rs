//! A backup of the file: what it holds without the keys of people, and the keys apart, both of one state.

use std::io::Write;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use store::backup::{BackupError, DEKS, NOT_BACKED_UP, new_file};

use crate::SqliteStore;

impl SqliteStore {
    /// What a backup of a file calls its data: a database like any other.
    pub const BACKUP: &str = "data.db";

    /// Writes a backup into an empty folder. Readers and writers go on meanwhile. No key is ever written
    /// into the data, not even to be deleted again.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn backup(path: &Path, folder: &Path) -> Result<(), BackupError> {
        let live = Self::open(path).await?; // its schema is this program's
        live.writer.close().await;
        live.readers.close().await;
        let data = folder.join(Self::BACKUP);
        drop(new_file(&data)?);
        let mut copy = plain(&data).connect().await.map_err(refused)?;
        let attach = sqlx::query("ATTACH ? AS live").bind(path.to_string_lossy().into_owned());
        attach.execute(&mut copy).await.map_err(refused)?;
        run(&mut copy, "BEGIN").await?;
        copy_tables(&mut copy).await?;
        let keys = "SELECT 'INSERT INTO dek (clinic_id, owner_id, generation, wrapped, created_at) VALUES ('
             || quote(clinic_id) || ', ' || quote(owner_id) || ', ' || quote(generation) || ', '
             || quote(wrapped) || ', ' || quote(created_at) || ');'
             FROM live.dek ORDER BY clinic_id, owner_id, generation";
        let keys = sqlx::query_scalar(keys).fetch_all(&mut copy).await;
        let keys: Vec<String> = keys.map_err(refused)?;
        run(&mut copy, "COMMIT").await?;
        run(&mut copy, "DETACH live").await?;
        check(&mut copy, "PRAGMA integrity_check", &["ok"]).await?;
        copy.close().await.map_err(refused)?;
        std::fs::File::open(&data)?.sync_all()?;
        let mut file = new_file(&folder.join(DEKS))?;
        for key in keys {
            writeln!(file, "{key}")?;
        }
        file.sync_all()?;
        Ok(())
    }

    /// Makes a file of a backup. The file must not be there.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn restore(folder: &Path, path: &Path) -> Result<(), BackupError> {
        let mut file = new_file(path)?;
        let mut data = std::fs::File::open(folder.join(Self::BACKUP))?;
        std::io::copy(&mut data, &mut file)?;
        drop(file);
        let keys = std::fs::read_to_string(folder.join(DEKS))?;
        let mut restored = plain(path).connect().await.map_err(refused)?;
        run(&mut restored, "BEGIN").await?;
        run(&mut restored, &keys).await?;
        run(&mut restored, "COMMIT").await?;
        check(&mut restored, "PRAGMA integrity_check", &["ok"]).await?;
        check(&mut restored, "PRAGMA foreign_key_check", &[]).await?;
        restored.close().await.map_err(refused)?;
        Ok(())
    }
}

/// One file without a log beside it. Keys of people that a row names come after the row.
fn plain(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Delete)
        .foreign_keys(false)
}

fn refused(error: sqlx::Error) -> BackupError {
    BackupError::Database(Box::new(error))
}

async fn run(db: &mut SqliteConnection, sql: &str) -> Result<(), BackupError> {
    let sql = AssertSqlSafe(sql.to_owned());
    let done = sqlx::raw_sql(sql).execute(db).await;
    done.map(|_| ()).map_err(refused)
}

/// Tables with their rows first, then indexes and triggers: a trigger refuses what is not new.
async fn copy_tables(db: &mut SqliteConnection) -> Result<(), BackupError> {
    let made = "SELECT type, name, sql FROM live.sqlite_schema
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY type <> 'table', rowid";
    let made = sqlx::query_as(made).fetch_all(&mut *db).await;
    let made: Vec<(String, String, String)> = made.map_err(refused)?;
    for (kind, name, sql) in made {
        run(db, &sql).await?;
        if kind == "table" && !NOT_BACKED_UP.contains(&name.as_str()) {
            let copy = format!("INSERT INTO main.\"{name}\" SELECT * FROM live.\"{name}\"");
            run(db, &copy).await?;
        }
    }
    // The numbers that AUTOINCREMENT has given, which are not given again.
    let numbers = "DELETE FROM main.sqlite_sequence;
         INSERT INTO main.sqlite_sequence SELECT * FROM live.sqlite_sequence";
    run(db, numbers).await
}

/// Asks SQLite to look through the file. What it finds other than `expected` is an error.
async fn check(
    db: &mut SqliteConnection,
    pragma: &'static str,
    expected: &[&str],
) -> Result<(), BackupError> {
    let found = sqlx::query(pragma).fetch_all(db).await.map_err(refused)?;
    let found = found.iter().map(|row| row.try_get::<String, _>(0));
    let found: Vec<String> = found.collect::<Result<_, _>>().map_err(refused)?;
    match found == expected {
        true => Ok(()),
        false => Err(BackupError::Damaged(format!(
            "{pragma}: {}",
            found.join("; ")
        ))),
    }
}
