//! The database read and written with plain SQL, beside the store.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use standing::database::Database as Location;

use crate::clinic::Clinic;

/// A connection of the tests' own.
pub(crate) enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    pub(crate) async fn open(clinic: &Clinic) -> Self {
        Self::at(&clinic.database).await
    }

    pub(crate) async fn at(location: &Location) -> Self {
        match location {
            Location::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .busy_timeout(Duration::from_secs(30));
                Self::Sqlite(options.connect().await.unwrap())
            }
            Location::Postgres(url) => {
                let options: PgConnectOptions = url.parse().unwrap();
                Self::Postgres(PgConnection::connect_with(&options).await.unwrap())
            }
        }
    }

    /// Says goodbye, so that the database can be copied.
    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(db) => db.close().await.unwrap(),
            Self::Postgres(db) => db.close().await.unwrap(),
        }
    }

    /// The first column of every row of a query, as text.
    pub(crate) async fn texts(&mut self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(db) => {
                let rows = sqlx::query(sql).fetch_all(db).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres(db) => {
                let rows = sqlx::query(sql).fetch_all(db).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// The integer that a query gives.
    pub(crate) async fn number(&mut self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(db) => sqlx::query(sql).fetch_one(db).await.unwrap().get(0),
            Self::Postgres(db) => sqlx::query(sql).fetch_one(db).await.unwrap().get(0),
        }
    }

    pub(crate) async fn execute(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(db) => sqlx::raw_sql(sql).execute(db).await.map(|_| ()),
            Self::Postgres(db) => sqlx::raw_sql(sql).execute(db).await.map(|_| ()),
        }
    }

    /// The names of our tables.
    pub(crate) async fn tables(&mut self) -> Vec<String> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                 AND name NOT LIKE '_sqlx_%' AND name <> 'row_count' ORDER BY name"
            }
            Self::Postgres(_) => {
                "SELECT table_name::text FROM information_schema.tables
                 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
                 AND table_name NOT LIKE '\\_sqlx%' AND table_name <> 'row_count' ORDER BY 1"
            }
        };
        self.texts(sql).await
    }

    /// Every row of every table as text.
    pub(crate) async fn dump(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for table in self.tables().await {
            let sql = match self {
                Self::Sqlite(_) => {
                    let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                    let columns = self.texts(&columns).await;
                    let quoted = columns.iter().map(|column| format!("quote({column})"));
                    let quoted: Vec<String> = quoted.collect();
                    format!("SELECT {} FROM {table} ORDER BY 1", quoted.join("||','||"))
                }
                Self::Postgres(_) => format!("SELECT one::text FROM {table} AS one ORDER BY 1"),
            };
            let rows = self.texts(&sql).await;
            lines.extend(rows.iter().map(|row| format!("{table}: {row}")));
        }
        lines
    }

    /// From now on every inserted, updated and deleted row of every table is counted, by triggers.
    pub(crate) async fn count_rows_written(&mut self) {
        let tables = self.tables().await;
        self.execute(
            "CREATE TABLE row_count (n BIGINT NOT NULL);
             INSERT INTO row_count VALUES (0);",
        )
        .await
        .unwrap();
        if let Self::Postgres(_) = self {
            self.execute(
                "CREATE FUNCTION count_row() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN UPDATE row_count SET n = n + 1; RETURN NULL; END $$",
            )
            .await
            .unwrap();
        }
        for table in tables {
            for event in ["INSERT", "UPDATE", "DELETE"] {
                let body = match self {
                    Self::Sqlite(_) => "BEGIN UPDATE row_count SET n = n + 1; END",
                    Self::Postgres(_) => "FOR EACH ROW EXECUTE FUNCTION count_row()",
                };
                let sql =
                    format!("CREATE TRIGGER count_{table}_{event} AFTER {event} ON {table} {body}");
                self.execute(&sql).await.unwrap();
            }
        }
    }

    pub(crate) async fn rows_written(&mut self) -> i64 {
        self.number("SELECT n FROM row_count").await
    }

    /// Takes the net away.
    pub(crate) async fn let_sessions_overlap(&mut self) {
        let sql = match self {
            Self::Sqlite(_) => "DROP TRIGGER session_update_overlap",
            Self::Postgres(_) => {
                "ALTER TABLE session DROP CONSTRAINT IF EXISTS session_overlap_of_therapist,
                 DROP CONSTRAINT IF EXISTS session_overlap_of_client"
            }
        };
        self.execute(sql).await.unwrap();
    }
}
