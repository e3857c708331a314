//! The file of a clinic: how it is opened, and whose it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use store::OpenError;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon a file that could not be opened for another's lock is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(10);
/// How long a caller waits for a connection: writers queue for theirs.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// What SQLite keeps beside a file.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut file = path.as_os_str().to_owned();
    file.push(suffix);
    file.into()
}

/// Makes the file and what SQLite keeps beside it their owner's alone. SQLite gives new files beside it
/// the permissions of the file.
#[cfg(unix)]
pub(crate) fn own(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut options = std::fs::OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(path);
    if made.is_ok() {
        return Ok(());
    }
    for suffix in ["", "-wal", "-shm"] {
        let file = beside(path, suffix);
        let Ok(about) = std::fs::metadata(&file) else {
            continue; // opening the database says what is wrong with it
        };
        let mut permissions = about.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(permissions.mode() & !0o077);
            std::fs::set_permissions(&file, permissions)?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn own(_: &Path) -> std::io::Result<()> {
    Ok(())
}

pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // What was answered is on the disk: after a loss of power, too.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // What is deleted is overwritten: a wrapped key must not stay in a free page.
        .pragma("secure_delete", "ON")
}

pub(crate) async fn connect(
    options: SqliteConnectOptions,
    size: u32,
    shown: &str,
) -> Result<SqlitePool, OpenError> {
    let began = Instant::now();
    loop {
        let pool = SqlitePoolOptions::new()
            .max_connections(size)
            .acquire_timeout(QUEUE_TIMEOUT);
        match pool.connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            // Two who switch a new file to WAL could wait for each other for ever, so SQLite has one of
            // them fail at once: it does not ask how long to wait.
            Err(source) if is_busy(&source) && began.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            Err(source) => {
                return Err(OpenError::Open {
                    database: shown.to_owned(),
                    source: Box::new(source),
                });
            }
        }
    }
}

/// Whether another connection has the lock.
fn is_busy(error: &sqlx::Error) -> bool {
    code(error) == Some(BUSY)
}

/// `SQLITE_BUSY`.
const BUSY: u32 = 5;
/// `SQLITE_CANTOPEN`.
const CANNOT_OPEN: u32 = 14;

/// SQLite's code of an error: the low byte of an extended one.
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// How a file can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    /// It is read and written.
    Writable,
    /// Nothing can be written beside it, not even what SQLite needs to read a file that others write to. So nobody
    /// does, and it is read as it is.
    ReadOnly,
}

impl Medium {
    /// How readers open the file.
    pub(crate) fn reading(self, path: &Path) -> SqliteConnectOptions {
        match self {
            Self::Writable => SqliteConnectOptions::new()
                .filename(path)
                .busy_timeout(BUSY_TIMEOUT)
                .read_only(true),
            Self::ReadOnly => SqliteConnectOptions::new()
                .filename(path)
                .read_only(true)
                .immutable(true),
        }
    }
}

/// Looks at a file without changing it: the schema must be the one this program knows.
pub(crate) async fn check_schema(path: &Path, shown: &str) -> Result<Medium, OpenError> {
    if !path.exists() {
        let database = shown.to_owned();
        return Err(OpenError::Missing { database });
    }
    let mut medium = Medium::Writable;
    let mut looked = look(medium, path).await;
    if looked
        .as_ref()
        .is_err_and(|error| code(error) == Some(CANNOT_OPEN))
    {
        let log = beside(path, "-wal");
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            let log = log.display().to_string();
            return Err(OpenError::UnmergedLog {
                database: shown.to_owned(),
                log,
            });
        }
        medium = Medium::ReadOnly;
        looked = look(medium, path).await;
    }
    let looked = looked.map_err(|source| OpenError::Open {
        database: shown.to_owned(),
        source: Box::new(source),
    })?;
    let Some(applied) = looked else {
        let database = shown.to_owned();
        return Err(OpenError::Foreign { database });
    };
    let known = MIGRATIONS.iter();
    let known = known.map(|one| (one.version, one.checksum.to_vec()));
    store::schema::check(shown, &applied, &known.collect::<Vec<_>>())?;
    Ok(medium)
}

/// The migrations that a file has had, with their checksums. `None` if it is another program's.
async fn look(medium: Medium, path: &Path) -> Result<Option<Vec<(i64, Vec<u8>)>>, sqlx::Error> {
    let mut look = medium.reading(path).connect().await?;
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut look).await?;
    let applied = if tables.iter().any(|name| name == "_sqlx_migrations") {
        let applied =
            "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";
        Some(sqlx::query_as(applied).fetch_all(&mut look).await?)
    } else {
        tables.is_empty().then(Vec::new)
    };
    let _closed = look.close().await;
    Ok(applied)
}
