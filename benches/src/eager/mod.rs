//! The eager design, as it is usually built: a booking is written out, a year of dates ahead, and
//! topped up every week.
//!
//! It lives in the same schema as the clinic's service, with the same constraints and indexes, so
//! that nothing but the design is compared: the same row for the booking and the same line in the
//! journal, and for every future date a row in `session`, one in `slot` (the therapist's time) and
//! one in `meeting` (the placeholder of a video call). It is written the way its friends would: one
//! transaction for each command, and one statement for all the rows of a table.

mod commands;
mod postgres;
mod sqlite;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use scheduler_core::{LocalDateTime, RecurrenceSet, Window};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use uuid::Uuid;

use crate::database::{Database, Kind};
use crate::practice::{MINUTES, Wish, id, intent};

/// What it keeps of every future date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PerDate {
    /// A session.
    Session,
    /// A session, a slot and the placeholder of a meeting.
    SessionSlotMeeting,
}

/// Whether the service's jobs work on the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// They are rows and nothing more: no job looks for them.
    Idle,
    /// The service reminds clients of them, asks how they went and settles them, as it does with its
    /// own.
    Worked,
}

/// The statements of one database. `$1` is a JSON list of dates, or what the name says.
struct Dialect {
    /// The tables that the clinic's schema does not have.
    schema: &'static str,
    /// A booking: `$1` id, `$2` therapist, `$3` client, `$4` service, `$5` zone, `$6` first wall
    /// time, `$7` rule, `$8` now.
    booking: &'static str,
    /// Dates become rows: of each table one statement. `$2` says whether they are worked.
    insert: &'static [&'static str],
    /// Dates get other times.
    move_to: &'static [&'static str],
    /// Dates are called off: sessions say so, slots and placeholders go.
    call_off: &'static [&'static str],
    /// Dates get another therapist, `$2`.
    reassign: &'static [&'static str],
    /// The booking is over, or has another rule: `$1` id.
    touch_booking: &'static str,
    /// `$1` kind, `$2` the booking's id, `$3` particulars, `$4` now.
    journal: &'static str,
}

/// A booking as it stands.
#[derive(Debug, Clone)]
struct Standing {
    wish: Wish,
    set: RecurrenceSet,
    /// Its dates are written out up to here.
    until: DateTime<Utc>,
    /// Credits are held for its dates up to here.
    held_until: DateTime<Utc>,
    is_over: bool,
}

/// The design on one database.
pub struct Eager {
    connection: AnyConnection,
    dialect: &'static Dialect,
    kind: Kind,
    per_date: PerDate,
    sessions: Sessions,
    ahead: TimeDelta,
    bookings: std::collections::BTreeMap<u32, Standing>,
    /// Rows written, by what the database says of each statement.
    rows: u64,
    /// Those of them that say what takes place when.
    schedule_rows: u64,
}

/// Hours are counted from here.
const EPOCH: NaiveDateTime = NaiveDate::from_ymd_opt(2020, 1, 1)
    .expect("a date")
    .and_time(NaiveTime::MIN);

/// One date of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The booking's number.
    pub booking: u32,
    /// The wall time that its rule generates: which date it is.
    pub at: LocalDateTime,
    /// When it starts.
    pub start: DateTime<Utc>,
}

impl Date {
    /// The id of one of its rows: in the order in which they are written, which is what keeps the
    /// indexes of such a design small.
    fn id(&self, kind: u128) -> Uuid {
        let hours = (self.at.naive() - EPOCH).num_hours();
        let hours = u128::try_from(hours).unwrap_or(0) & 0xf_ffff;
        id(kind, (u128::from(self.booking) << 20) + hours)
    }

    fn row(&self, kind: Kind) -> Value {
        let hex = |id: Uuid| id.simple().to_string();
        let start = self.start.timestamp_micros();
        let at = match kind {
            Kind::Sqlite => json!(self.at.seconds()),
            Kind::Postgres => json!(self.at.to_string()),
        };
        json!({
            "intent": hex(intent(self.booking).0),
            "session": hex(self.id(5)), "slot": hex(self.id(6)), "meeting": hex(self.id(7)),
            "at": at, "start": start,
            "until": start + i64::from(MINUTES) * 60_000_000,
        })
    }
}

impl Eager {
    /// On a database in which the clinic's therapists and clients are registered.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open(
        database: &Database,
        per_date: PerDate,
        sessions: Sessions,
        weeks_ahead: i64,
    ) -> anyhow::Result<Self> {
        let dialect = match database.kind {
            Kind::Sqlite => &sqlite::DIALECT,
            Kind::Postgres => &postgres::DIALECT,
        };
        let mut connection = AnyConnection::connect(&database.url).await?;
        if database.kind == Kind::Sqlite {
            // As the store has its own connections.
            let settings = "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON";
            sqlx::raw_sql(settings).execute(&mut connection).await?;
        }
        sqlx::raw_sql(dialect.schema)
            .execute(&mut connection)
            .await?;
        Ok(Self {
            connection,
            dialect,
            kind: database.kind,
            per_date,
            sessions,
            ahead: TimeDelta::weeks(weeks_ahead),
            bookings: std::collections::BTreeMap::new(),
            rows: 0,
            schedule_rows: 0,
        })
    }

    /// Rows written by it.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.rows
    }

    /// Has the server's process say what it has counted.
    ///
    /// # Errors
    /// What the database says.
    pub async fn nudge(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql("SELECT 1")
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Those of them in `intent`, `session`, `slot` and `meeting`.
    #[must_use]
    pub fn schedule_rows(&self) -> u64 {
        self.schedule_rows
    }

    /// The dates of a booking from one instant to another, by its rule.
    ///
    /// # Errors
    /// Beyond the known time zones.
    pub fn dates(
        &self,
        booking: u32,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> anyhow::Result<Vec<Date>> {
        let standing = self.standing(booking)?;
        let Ok(window) = Window::new(from, to) else {
            return Ok(Vec::new());
        };
        let found = standing.set.compile();
        let found = found.within(window)?.map(|one| Date {
            booking,
            at: one.recurrence_id,
            start: one.start(),
        });
        Ok(found.collect())
    }

    fn standing(&self, booking: u32) -> anyhow::Result<&Standing> {
        let standing = self.bookings.get(&booking);
        standing.ok_or_else(|| anyhow::anyhow!("there is no booking {booking}"))
    }

    /// The dates of a booking that are written out and start after `now`.
    ///
    /// # Errors
    /// Beyond the known time zones.
    pub fn ahead(&self, booking: u32, now: DateTime<Utc>) -> anyhow::Result<Vec<Date>> {
        self.dates(booking, now, self.standing(booking)?.until)
    }

    /// The dates that have come so near that a credit is to be held for them, each once.
    ///
    /// # Errors
    /// Beyond the known time zones.
    pub fn to_be_held(&mut self, near: DateTime<Utc>) -> anyhow::Result<Vec<Date>> {
        let mut dates = Vec::new();
        let going_on = self.bookings.values().filter(|one| !one.is_over);
        let behind: Vec<u32> = going_on.map(|one| one.wish.number).collect();
        for booking in behind {
            dates.extend(self.dates(booking, self.standing(booking)?.held_until, near)?);
            if let Some(standing) = self.bookings.get_mut(&booking) {
                standing.held_until = near;
            }
        }
        Ok(dates)
    }

    async fn touch_booking(&mut self, booking: u32) -> anyhow::Result<u64> {
        let id = intent(booking).0.simple().to_string();
        self.run(self.dialect.touch_booking, &[id]).await
    }

    /// Dates become rows.
    async fn write_out(&mut self, dates: &[Date]) -> anyhow::Result<()> {
        let worked = match self.sessions {
            Sessions::Idle => "idle",
            Sessions::Worked => "worked",
        };
        let (sessions, rest) = self.dialect.insert.split_at(1);
        self.each(sessions, dates, Some(worked.to_owned())).await?;
        if self.per_date == PerDate::SessionSlotMeeting {
            self.each(rest, dates, None).await?;
        }
        Ok(())
    }

    /// One statement for each table that it keeps.
    async fn each(
        &mut self,
        statements: &'static [&'static str],
        dates: &[Date],
        more: Option<String>,
    ) -> anyhow::Result<()> {
        if dates.is_empty() {
            return Ok(());
        }
        let rows: Vec<Value> = dates.iter().map(|date| date.row(self.kind)).collect();
        let texts = [Some(Value::from(rows).to_string()), more];
        let texts: Vec<String> = texts.into_iter().flatten().collect();
        let kept = match self.per_date {
            PerDate::Session => 1,
            PerDate::SessionSlotMeeting => statements.len(),
        };
        for statement in statements.iter().take(kept) {
            self.schedule_rows += self.run(statement, &texts).await?;
        }
        Ok(())
    }

    async fn begin(&mut self) -> anyhow::Result<()> {
        let sql = match self.kind {
            Kind::Sqlite => "BEGIN IMMEDIATE",
            Kind::Postgres => "BEGIN",
        };
        sqlx::raw_sql(sql).execute(&mut self.connection).await?;
        Ok(())
    }

    /// The journal's line, and the end of the transaction.
    async fn end(
        &mut self,
        kind: &str,
        booking: u32,
        body: &Value,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let texts = [
            kind.to_owned(),
            intent(booking).0.simple().to_string(),
            body.to_string(),
            now.timestamp_micros().to_string(),
        ];
        self.run(self.dialect.journal, &texts).await?;
        sqlx::raw_sql("COMMIT")
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn run(&mut self, sql: &'static str, texts: &[String]) -> anyhow::Result<u64> {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for text in texts {
            query = query.bind(text.as_str());
        }
        let rows = query.execute(&mut self.connection).await?.rows_affected();
        self.rows += rows;
        Ok(rows)
    }
}
