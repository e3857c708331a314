//! The database read with plain SQL, beside the store.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

pub(crate) struct Database(SqliteConnection);

impl Database {
    pub(crate) async fn open(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(std::time::Duration::from_secs(30));
        Self(options.connect().await.unwrap())
    }

    /// The names of our tables.
    pub(crate) async fn tables(&mut self) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'
                   AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%' AND name <> 'row_count'
                   ORDER BY name";
        let rows = sqlx::query(sql).fetch_all(&mut self.0).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Every row of every table as text.
    pub(crate) async fn dump(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for table in self.tables().await {
            let columns = format!("SELECT name FROM pragma_table_info('{table}')");
            let columns = sqlx::query(AssertSqlSafe(columns))
                .fetch_all(&mut self.0)
                .await
                .unwrap();
            let quoted: Vec<String> = columns
                .iter()
                .map(|row| format!("quote({})", row.get::<&str, _>(0)))
                .collect();
            let sql = format!("SELECT {} FROM {table} ORDER BY 1", quoted.join("||','||"));
            let rows = sqlx::query(AssertSqlSafe(sql))
                .fetch_all(&mut self.0)
                .await
                .unwrap();
            lines.extend(
                rows.iter()
                    .map(|row| format!("{table}: {}", row.get::<&str, _>(0))),
            );
        }
        lines
    }

    pub(crate) async fn count(&mut self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        sqlx::query(AssertSqlSafe(sql))
            .fetch_one(&mut self.0)
            .await
            .unwrap()
            .get(0)
    }

    pub(crate) async fn execute(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.0)
            .await
            .map(|_| ())
    }

    /// From now on every inserted, updated and deleted row of every table is counted, by triggers.
    pub(crate) async fn count_rows_written(&mut self) {
        self.execute("CREATE TABLE row_count (n INTEGER NOT NULL)")
            .await
            .unwrap();
        self.execute("INSERT INTO row_count VALUES (0)")
            .await
            .unwrap();
        for table in self.tables().await {
            for event in ["INSERT", "UPDATE", "DELETE"] {
                let sql = format!(
                    "CREATE TRIGGER count_{table}_{event} AFTER {event} ON {table}
                     BEGIN UPDATE row_count SET n = n + 1; END"
                );
                self.execute(&sql).await.unwrap();
            }
        }
    }

    pub(crate) async fn rows_written(&mut self) -> i64 {
        sqlx::query("SELECT n FROM row_count")
            .fetch_one(&mut self.0)
            .await
            .unwrap()
            .get(0)
    }
}
