//! A practice with a hundred daily bookings, and any number that are not due for a year.

use std::path::Path;
use std::sync::Arc;

use benches::practice::{Practice as Clinic, Wish};
use chrono::TimeDelta;
use scheduler_core::Zone;
use sqlx::{AssertSqlSafe, Connection};
use standing::App;
use store_postgres::PostgresStore;
use store_postgres::throwaway::Cluster;
use store_sqlite::SqliteStore;

const THERAPISTS: u32 = 10;
const HOURS: [u32; 10] = [8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
const START: &str = "2026-03-02T07:00:00Z";

/// A database with its service.
pub(crate) struct Practice {
    pub(crate) database: &'static str,
    pub(crate) intents: u32,
    clinic: Clinic,
    /// Beside the service, to read what the server counts.
    beside: Option<sqlx::PgConnection>,
}

impl Practice {
    pub(crate) async fn on_sqlite(folder: &Path, intents: u32) -> anyhow::Result<Self> {
        let file = folder.join(format!("{intents}.db"));
        SqliteStore::migrate(&file).await?;
        let store = Arc::new(SqliteStore::open(&file).await?);
        let clinic = Clinic::open(store, START.parse()?).await?;
        let due = book_daily(&clinic).await?;
        let url = format!("sqlite://{}", file.display());
        let mut beside = sqlx::SqliteConnection::connect(&url).await?;
        let fill = include_str!("sqlite.sql").replace("ALL_OTHERS", &(intents - due).to_string());
        sqlx::raw_sql(AssertSqlSafe(fill))
            .execute(&mut beside)
            .await?;
        beside.close().await?;
        Ok(Self {
            database: "SQLite",
            intents,
            clinic,
            beside: None,
        })
    }

    pub(crate) async fn on_postgres(cluster: &Cluster, intents: u32) -> anyhow::Result<Self> {
        let url = cluster.database().await?;
        let store = Arc::new(PostgresStore::open(&url, 8).await?);
        let clinic = Clinic::open(store, START.parse()?).await?;
        let due = book_daily(&clinic).await?;
        let mut beside = sqlx::PgConnection::connect(&url).await?;
        let fill = include_str!("postgres.sql").replace("ALL_OTHERS", &(intents - due).to_string());
        sqlx::raw_sql(AssertSqlSafe(fill))
            .execute(&mut beside)
            .await?;
        let mut practice = Self {
            database: "PostgreSQL",
            intents,
            clinic,
            beside: Some(beside),
        };
        practice.vacuum().await?;
        Ok(practice)
    }

    /// What a server does by itself within a minute or so: a run is over before it comes to that.
    pub(crate) async fn vacuum(&mut self) -> anyhow::Result<()> {
        if let Some(beside) = &mut self.beside {
            sqlx::raw_sql("VACUUM ANALYZE").execute(beside).await?;
        }
        Ok(())
    }

    pub(crate) fn app(&self) -> &App {
        &self.clinic.app
    }

    pub(crate) fn next_day(&self) {
        self.app().clock.advance(TimeDelta::days(1));
    }

    /// Rows written since the beginning.
    pub(crate) async fn rows_written(&self) -> anyhow::Result<u64> {
        self.clinic.rows_written().await
    }

    /// Shared buffers that the statements of this database have touched since the beginning.
    pub(crate) async fn buffers(&mut self) -> anyhow::Result<Option<u64>> {
        let Some(beside) = &mut self.beside else {
            return Ok(None);
        };
        let sql = "SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
                   FROM pg_stat_statements
                   JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()
                   WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%FROM journal%'";
        let buffers: i64 = sqlx::query_scalar(sql).fetch_one(beside).await?;
        Ok(Some(u64::try_from(buffers)?))
    }
}

/// A hundred daily bookings of ten therapists, each of a client with credits; tells how many.
async fn book_daily(practice: &Clinic) -> anyhow::Result<u32> {
    let mut booked = 0;
    for therapist in 0..THERAPISTS {
        practice.hire(therapist).await?;
        for (hour, place) in HOURS.into_iter().zip(0..) {
            let client = therapist * 10 + place;
            practice.admit(client, therapist).await?;
            let wish = Wish {
                number: client,
                therapist,
                client,
                first: format!("2026-03-03T{hour:02}:00:00").parse()?,
                zone: Zone::UTC,
                rule: "FREQ=DAILY;COUNT=100",
            };
            practice.book(&wish).await?;
            booked += 1;
        }
    }
    Ok(booked)
}
