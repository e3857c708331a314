//! Databases that are measured, and what is read off them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::any::{AnyRow, install_default_drivers};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use store::Store;
use store_postgres::PostgresStore;
use store_postgres::throwaway::Cluster;
use store_sqlite::SqliteStore;
use tempfile::TempDir;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the database of that name")]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// A server that waits for the disk at every commit and writes whole pages after a checkpoint, as
/// one in production does.
async fn durable_server() -> anyhow::Result<Cluster> {
    install_default_drivers();
    let cluster = Cluster::start()?;
    let mut admin = AnyConnection::connect(&cluster.url("postgres")).await?;
    for sql in [
        "ALTER SYSTEM SET fsync = on",
        "ALTER SYSTEM SET full_page_writes = on",
        "ALTER SYSTEM SET autovacuum = off",
        "ALTER SYSTEM SET max_wal_size = '16GB'",
        "SELECT pg_reload_conf()",
    ] {
        sqlx::raw_sql(sql).execute(&mut admin).await?;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(cluster)
}

/// The servers to measure on: none for SQLite, and PostgreSQL's if it is installed.
pub async fn servers() -> Vec<Option<Cluster>> {
    let mut servers = vec![None];
    match durable_server().await {
        Ok(cluster) => servers.push(Some(cluster)),
        Err(error) => eprintln!("PostgreSQL is left out: {error}"),
    }
    servers
}

impl Kind {
    /// Of databases on this server.
    #[must_use]
    pub fn on(server: Option<&Cluster>) -> Self {
        server.map_or(Self::Sqlite, |_| Self::Postgres)
    }
}

/// A database with the clinic's schema, of one design's own.
pub struct Database {
    /// Which.
    pub kind: Kind,
    /// Where.
    pub url: String,
    /// The service's access to it.
    pub store: Arc<dyn Store>,
    beside: AnyConnection,
    reader: Option<AnyConnection>,
    /// Bytes of SQLite's log before it began anew, where that is counted.
    logged: u64,
    file: Option<(TempDir, PathBuf)>,
}

/// How often a process of the server tells what it has counted, and then only at the end of a
/// statement.
pub const TOLD_EVERY: Duration = Duration::from_millis(1100);

/// What a server has counted since its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows inserted, updated and deleted, of this database.
    pub rows: u64,
    /// How often the log was flushed to disk, by whatever database of the server.
    pub syncs: u64,
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            rows: self.rows - before.rows,
            syncs: self.syncs - before.syncs,
        }
    }
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Of the tables that bookings are kept in.
    pub tables: u64,
    /// Of their indexes.
    pub indexes: u64,
}

/// The tables of either design that say what takes place when.
pub const SCHEDULE: [&str; 4] = ["intent", "session", "slot", "meeting"];

impl Database {
    /// A new one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn new(cluster: Option<&Cluster>) -> anyhow::Result<Self> {
        install_default_drivers();
        let Some(cluster) = cluster else {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("clinic.db");
            SqliteStore::migrate(&path).await?;
            let store = Arc::new(SqliteStore::open(&path).await?);
            let url = format!("sqlite://{}", path.display());
            let beside = AnyConnection::connect(&url).await?;
            return Ok(Self {
                kind: Kind::Sqlite,
                url,
                store,
                beside,
                reader: None,
                logged: 0,
                file: Some((folder, path)),
            });
        };
        let url = cluster.database().await?;
        let store = Arc::new(PostgresStore::open(&url, 1).await?);
        let beside = AnyConnection::connect(&url).await?;
        Ok(Self {
            kind: Kind::Postgres,
            url,
            store,
            beside,
            reader: None,
            logged: 0,
            file: None,
        })
    }

    async fn number(&mut self, sql: &str) -> anyhow::Result<u64> {
        let row = sqlx::query(AssertSqlSafe(sql.to_owned()));
        let row = row.fetch_one(&mut self.beside).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?)?)
    }

    /// Writes everything to its place, so that the log begins anew.
    ///
    /// # Errors
    /// What the database says.
    pub async fn checkpoint(&mut self) -> anyhow::Result<()> {
        let sql = match self.kind {
            Kind::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)",
            Kind::Postgres => "CHECKPOINT",
        };
        sqlx::raw_sql(sql).execute(&mut self.beside).await?;
        Ok(())
    }

    /// Tidies up and looks at what there is, as a server in production does by itself. Here that is
    /// switched off, so that it happens at the same times in every run.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tidy(&mut self) -> anyhow::Result<()> {
        if self.kind == Kind::Postgres {
            let sql = "SELECT string_agg(relname, ', ') FROM pg_stat_user_tables";
            let tables = sqlx::query(sql).fetch_one(&mut self.beside).await?;
            let tables: String = tables.try_get(0)?;
            let sql = AssertSqlSafe(format!("VACUUM ANALYZE {tables}"));
            sqlx::raw_sql(sql).execute(&mut self.beside).await?;
        }
        Ok(())
    }

    /// The bytes of its log: on PostgreSQL since the server's beginning, whatever database they are
    /// of; on SQLite since the last checkpoint, of which it makes one by itself after 1,000 pages.
    ///
    /// # Errors
    /// What the database says.
    pub async fn wal(&mut self) -> anyhow::Result<u64> {
        match &self.file {
            Some((_, path)) => {
                let wal = path.with_extension("db-wal");
                Ok(self.logged + std::fs::metadata(wal).map_or(0, |file| file.len()))
            }
            None => {
                self.number("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
                    .await
            }
        }
    }

    /// What a server has counted since its beginning, as far as its processes have told it (see
    /// [`TOLD_EVERY`]). SQLite counts nothing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn counts(&mut self) -> anyhow::Result<Counts> {
        if self.kind == Kind::Sqlite {
            return Ok(Counts::default());
        }
        Ok(Counts {
            rows: self
                .number(
                    "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint
                     FROM pg_stat_user_tables",
                )
                .await?,
            syncs: self.number("SELECT wal_sync FROM pg_stat_wal").await?,
        })
    }

    /// Counts the rows that are written to every table from here on, on SQLite, which does not by
    /// itself. That is written too, so bytes are counted in another run.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_rows(&mut self) -> anyhow::Result<()> {
        let mut sql =
            "CREATE TABLE row_count (name TEXT PRIMARY KEY, rows INTEGER) STRICT;".to_owned();
        for table in self.tables().await? {
            let count = format!("UPDATE row_count SET rows = rows + 1 WHERE name = '{table}'");
            sql += &format!("INSERT INTO row_count VALUES ('{table}', 0);");
            for event in ["INSERT", "UPDATE", "DELETE"] {
                sql += &format!(
                    "CREATE TRIGGER count_{table}_{event} AFTER {event} ON {table}
                     BEGIN {count}; END;"
                );
            }
        }
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.beside)
            .await?;
        Ok(())
    }

    async fn tables(&mut self) -> anyhow::Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'
                   AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'";
        let rows = sqlx::query(sql).fetch_all(&mut self.beside).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Rows inserted, updated and deleted so far, by table; on SQLite only if they are counted.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rows_by_table(&mut self) -> anyhow::Result<BTreeMap<String, u64>> {
        let counts = self.kind == Kind::Sqlite
            && self
                .tables()
                .await?
                .iter()
                .any(|table| table == "row_count");
        let sql = match self.kind {
            Kind::Postgres => {
                "SELECT relname::text, (n_tup_ins + n_tup_upd + n_tup_del)::bigint
                 FROM pg_stat_user_tables"
            }
            Kind::Sqlite if counts => "SELECT name, rows FROM row_count",
            Kind::Sqlite => return Ok(BTreeMap::new()),
        };
        let rows = sqlx::query(sql).fetch_all(&mut self.beside).await?;
        let row = |row: &AnyRow| Ok((row.try_get(0)?, u64::try_from(row.try_get::<i64, _>(1)?)?));
        rows.iter().map(row).collect()
    }

    /// Counts all that is written to SQLite's log from here on, also when the log begins anew: a
    /// reader holds on to its beginning. To be called so often that the log stays short.
    ///
    /// # Errors
    /// What the database says.
    pub async fn keep_log(&mut self) -> anyhow::Result<()> {
        if self.kind != Kind::Sqlite {
            return Ok(());
        }
        self.logged = self.wal().await?;
        if let Some(reader) = self.reader.take() {
            reader.close().await?;
        }
        self.checkpoint().await?;
        let mut reader = AnyConnection::connect(&self.url).await?;
        sqlx::raw_sql("BEGIN").execute(&mut reader).await?;
        let read = sqlx::query("SELECT count(*) FROM journal");
        read.fetch_one(&mut reader).await?;
        self.reader = Some(reader);
        Ok(())
    }

    /// The sessions that took place, as client and start in seconds, in order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn attended(&mut self) -> anyhow::Result<Vec<(u128, i64)>> {
        let sql = match self.kind {
            Kind::Sqlite => {
                "SELECT lower(hex(client_id)), starts_at / 1000000 FROM session
                 WHERE state = 'completed'"
            }
            Kind::Postgres => {
                "SELECT replace(client_id::text, '-', ''), extract(epoch FROM starts_at)::bigint
                 FROM session WHERE state = 'completed'"
            }
        };
        let rows = sqlx::query(sql).fetch_all(&mut self.beside).await?;
        let mut attended = Vec::with_capacity(rows.len());
        for row in rows {
            let client: String = row.try_get(0)?;
            attended.push((u128::from_str_radix(&client, 16)?, row.try_get(1)?));
        }
        attended.sort_unstable();
        Ok(attended)
    }

    /// Rows written to the tables that say what takes place when, on PostgreSQL.
    ///
    /// # Errors
    /// What the database says.
    pub async fn schedule_rows(&mut self) -> anyhow::Result<u64> {
        let tables = SCHEDULE.map(|table| format!("'{table}'")).join(", ");
        self.number(&format!(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
             FROM pg_stat_user_tables WHERE relname IN ({tables})"
        ))
        .await
    }

    /// How large the tables are that say what takes place when.
    ///
    /// # Errors
    /// What the database says.
    pub async fn size(&mut self) -> anyhow::Result<Size> {
        let mut size = Size::default();
        for table in SCHEDULE {
            let (tables, indexes) = match self.kind {
                Kind::Sqlite => (
                    format!("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = '{table}'"),
                    format!(
                        "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN
                         (SELECT name FROM sqlite_schema
                          WHERE type = 'index' AND tbl_name = '{table}')"
                    ),
                ),
                Kind::Postgres => (
                    format!("SELECT coalesce(pg_table_size(to_regclass('{table}')), 0)::bigint"),
                    format!("SELECT coalesce(pg_indexes_size(to_regclass('{table}')), 0)::bigint"),
                ),
            };
            size.tables += self.number(&tables).await?;
            size.indexes += self.number(&indexes).await?;
        }
        Ok(size)
    }

    /// What says that it is this version.
    ///
    /// # Errors
    /// What the database says.
    pub async fn version(&mut self) -> anyhow::Result<String> {
        let sql = match self.kind {
            Kind::Sqlite => "SELECT 'SQLite ' || sqlite_version()",
            Kind::Postgres => "SELECT 'PostgreSQL ' || current_setting('server_version')",
        };
        let row = sqlx::query(sql).fetch_one(&mut self.beside).await?;
        Ok(row.try_get(0)?)
    }
}

static STATEMENTS: AtomicU64 = AtomicU64::new(0);

/// Counts what sqlx reports, a line for each statement.
struct Counter;

impl<S: tracing::Subscriber> Layer<S> for Counter {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        STATEMENTS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts statements from here on.
pub fn count_statements() {
    tracing_subscriber::registry().with(Counter).init();
}

/// The statements that this process has sent, `BEGIN` and `COMMIT` not among them.
#[must_use]
pub fn statements() -> u64 {
    STATEMENTS.load(Ordering::Relaxed)
}
