//! Which database: an embedded file, or a server.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

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
}

impl FromStr for Database {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let is_server = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        Ok(if is_server {
            Self::Postgres(text.to_owned())
        } else {
            Self::Sqlite(text.into())
        })
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

/// A URL as it may be shown: without what stands between the user's colon and the last `@`, and
/// without parameters, which may name a password too.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let rest = rest.split('?').next().unwrap_or_default();
    let host = rest.find('/').map_or(rest, |slash| &rest[..slash]);
    match host.rfind('@') {
        Some(at) => {
            let user = rest[..at].split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{}", &rest[at + 1..])
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
                "postgresql://u@host:5432/db",
            ),
            ("postgres://host/db", "postgres://host/db"),
            ("postgres:///db?host=/run/x&password=s", "postgres:///db"),
            ("standing.db", "standing.db"),
        ] {
            let database: Database = url.parse().unwrap();
            assert_eq!(database.to_string(), shown);
        }
    }
}
