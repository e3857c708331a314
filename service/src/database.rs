//! Which database: an embedded file, or a server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use store::backup::BackupError;
use store::{OpenError, Store};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by its URL.
    Postgres(String),
}

impl Database {
    /// Opens it. Its schema must be this program's.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&self, connections: u32) -> Result<Arc<dyn Store>, OpenError> {
        match self {
            Self::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path).await?)),
            Self::Postgres(url) => Ok(Arc::new(PostgresStore::open(url, connections).await?)),
        }
    }

    /// How many requests it works on beside each other: an SQLite file as many as it has connections, a server
    /// half of the connections, which leaves the others for the worker and for asking who somebody is.
    #[must_use]
    pub fn places(&self, connections: u32) -> usize {
        match self {
            Self::Sqlite(_) => store_sqlite::CONNECTIONS as usize,
            Self::Postgres(_) => connections as usize / 2,
        }
    }

    /// Creates it or brings its schema up to date, and tells its version.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn migrate(&self) -> Result<i64, OpenError> {
        match self {
            Self::Sqlite(path) => {
                SqliteStore::migrate(path).await?;
                Ok(SqliteStore::schema_version())
            }
            Self::Postgres(url) => {
                PostgresStore::migrate(url).await?;
                Ok(PostgresStore::schema_version())
            }
        }
    }

    /// Writes its data without keys of people, and the keys apart, into an empty folder: both of one state.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn backup(&self, folder: &Path) -> Result<(), BackupError> {
        match self {
            Self::Sqlite(path) => SqliteStore::backup(path, folder).await,
            Self::Postgres(url) => PostgresStore::backup(url, folder).await,
        }
    }

    /// Makes this database of a backup. There must be nothing in it.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn restore(&self, folder: &Path) -> Result<(), BackupError> {
        match self {
            Self::Sqlite(path) => SqliteStore::restore(folder, path).await,
            Self::Postgres(url) => PostgresStore::restore(folder, url).await,
        }
    }

    /// The name of a backup's data.
    #[must_use]
    pub fn backup_data(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => SqliteStore::BACKUP,
            Self::Postgres(_) => PostgresStore::BACKUP,
        }
    }
}

/// A text that names no database. It is not shown: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabase {
    /// It is empty.
    #[error("a file or a URL is expected")]
    Empty,
    /// It would be gone with the process.
    #[error("a database in memory keeps nothing: name a file")]
    Memory,
    /// It begins like a URL of a server, and is none.
    #[error("a server's URL is written with two slashes: postgres://...")]
    Slashes,
    /// It is a URL of something else.
    #[error("only postgres://... and files are known, not {scheme}://...")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
}

impl FromStr for Database {
    type Err = BadDatabase;

    fn from_str(text: &str) -> Result<Self, BadDatabase> {
        match text.split_once("://") {
            None if text.is_empty() => Err(BadDatabase::Empty),
            None if text == ":memory:" => Err(BadDatabase::Memory),
            None if is_almost_a_server(text) => Err(BadDatabase::Slashes),
            None => Ok(Self::Sqlite(text.into())),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "postgres" | "postgresql" => Ok(Self::Postgres(format!("postgres://{rest}"))),
                _ => Err(BadDatabase::Scheme {
                    scheme: scheme.to_owned(),
                }),
            },
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

/// Taken for the name of a file, it would be shown, with the password in it.
fn is_almost_a_server(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    let is_server = ["postgres", "postgresql"]
        .iter()
        .any(|name| scheme.eq_ignore_ascii_case(name));
    is_server && text.len() > scheme.len()
}

/// A URL as it may be shown: without what stands between the user's colon and the last `@`, and
/// without parameters, which may name a password too.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("postgres://u:secret@host/db", "postgres://u@host/db"),
            (
                "postgresql://u:s@e@host:5432/db",
                "postgres://u@host:5432/db",
            ),
            ("POSTGRES://u:12/secret@host/db", "postgres://u@host/db"),
            ("postgres://host/db", "postgres://host/db"),
            ("postgres:///db?host=/run/x&password=s", "postgres:///db"),
            ("standing.db", "standing.db"),
        ] {
            let database: Database = url.parse().unwrap();
            assert_eq!(database.to_string(), shown);
        }
    }

    #[test]
    fn what_is_neither_file_nor_server_is_refused() {
        for (text, error) in [
            ("", "a file or a URL is expected"),
            (
                ":memory:",
                "a database in memory keeps nothing: name a file",
            ),
            (
                "postgres:/u:secret@host/db",
                "a server's URL is written with two slashes: postgres://...",
            ),
            (
                "mysql://u:secret@host/db",
                "only postgres://... and files are known, not mysql://...",
            ),
        ] {
            let refused = text.parse::<Database>().unwrap_err();
            assert_eq!(refused.to_string(), error);
        }
    }
}
