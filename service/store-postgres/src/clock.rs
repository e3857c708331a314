//! Whose time counts. A lot's end, a reminder or a lease is judged by the writer's clock, so a writer
//! whose clock is away from the server's is refused: one wrong machine would end credits of clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use store::StoreError;
use store::rows::{self, Columns};

use crate::rows::{execute, failed, optional};

/// What the database says of clocks.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// It began under a clock of its own.
    own: Arc<AtomicBool>,
    skew_max: TimeDelta,
}

/// A writer's time, and when it was read: what was waited since is no skew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    at: DateTime<Utc>,
    since: Instant,
}

/// The server's time, in microseconds, to be selected. Text, as a statement without parameters answers.
pub(crate) const SERVER_TIME: &str =
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text AS server_time";

impl Read {
    /// A time that was read just now.
    pub(crate) fn just_now(at: DateTime<Utc>) -> Self {
        let since = Instant::now();
        Self { at, since }
    }
}

impl Clock {
    pub(crate) async fn load(db: &mut PgConnection) -> Result<Self, StoreError> {
        let sql = "SELECT clock, skew_max_ms FROM deployment";
        let read = |row: &crate::rows::Row| {
            let own = row.text("clock")? == Some("own");
            Ok((own, rows::number::<i64>(row, "skew_max_ms")?))
        };
        let (own, millis) = rows::some("deployment", optional(db, sqlx::query(sql), read).await?)?;
        Ok(Self {
            own: Arc::new(AtomicBool::new(own)),
            skew_max: TimeDelta::milliseconds(millis),
        })
    }

    /// Lets the database keep a clock of its own, unless something was written to it by the machines'
    /// time. Says whether it does.
    pub(crate) async fn take_own(&self, db: &mut PgConnection) -> Result<bool, StoreError> {
        let sql = "UPDATE deployment SET clock = 'own' WHERE clock = 'machine'
                   AND NOT EXISTS (SELECT FROM journal)";
        let taken = execute(db, sqlx::query(sql)).await?;
        if taken > 0 {
            self.own.store(true, Ordering::Relaxed);
        }
        Ok(self.own.load(Ordering::Relaxed))
    }

    /// Refuses a writer whose clock is away from the server's.
    pub(crate) fn check(&self, writer: Read, row: Option<&PgRow>) -> Result<(), StoreError> {
        if self.own.load(Ordering::Relaxed) {
            return Ok(());
        }
        let text = row.map(|row| row.try_get::<String, _>("server_time").map_err(failed));
        let micros = text.transpose()?.and_then(|text| text.parse().ok());
        let server = micros.and_then(DateTime::from_timestamp_micros);
        let server = rows::some("server's time", server)?;
        let waited = TimeDelta::from_std(writer.since.elapsed()).unwrap_or(TimeDelta::MAX);
        let ours = writer.at.checked_add_signed(waited).unwrap_or(writer.at);
        let skew = ours - server;
        if skew.abs() <= self.skew_max {
            return Ok(());
        }
        Err(StoreError::ClockSkew {
            writer: ours,
            database: server,
        })
    }
}
