//! The life after the booking: a simulated year of a practice, on the clinic's service and on the
//! eager design.
//!
//! Both keep the same ledger, send the same messages and settle the same sessions, by the same code:
//! the service reminds of the sessions that the eager design has written out, moves, calls off and
//! settles them as its own, and a credit is held for each a week before it starts. What differs is when
//! rows of the schedule are written.

pub mod plan;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, Days, TimeDelta, Utc};
use clinic::occurrence::Touch;
use clinic::policy::HORIZON;
use clinic::settlement::Outcome;
use scheduler_core::intent::Edit;
use scheduler_core::{IntentId, LocalDateTime, Pause, PausedSlot};
use store_postgres::throwaway::Cluster;

use crate::Progress;
use crate::amplification::design;
use crate::database::{Database, Kind, SCHEDULE, Size, TOLD_EVERY};
use crate::eager::{Date, Eager, PerDate, Sessions};
use crate::practice::{Practice, client, id, intent, therapist};
use plan::{Event, FIRST_DAY, Scale, WEEKS, Year, at, day};

/// How one design came through the year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// On which database.
    pub database: Kind,
    /// Which design.
    pub design: String,
    /// Sessions that took place.
    pub attended: u64,
    /// Rows inserted, updated and deleted, by table.
    pub rows: BTreeMap<String, u64>,
    /// Bytes of write-ahead log.
    pub wal_bytes: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// What had come of it at the end of each week.
    pub weeks: Vec<Week>,
}

/// The end of a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Week {
    /// Bytes of log since the year's beginning.
    pub wal_bytes: u64,
    /// How large the schedule's tables and indexes are.
    pub size: Size,
}

impl Run {
    /// Rows of the tables that say what takes place when.
    #[must_use]
    pub fn schedule_rows(&self) -> u64 {
        let of = |table: &&str| self.rows.get(*table).copied().unwrap_or(0);
        SCHEDULE.iter().map(of).sum()
    }

    /// All rows but those of people, services and plans.
    #[must_use]
    pub fn all_rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// The largest that the schedule's tables and indexes were at the end of a week.
    #[must_use]
    pub fn peak(&self) -> u64 {
        let sizes = self
            .weeks
            .iter()
            .map(|week| week.size.tables + week.size.indexes);
        sizes.max().unwrap_or(0)
    }
}

/// The eager design as it is compared.
const EAGER: (PerDate, i64) = (PerDate::SessionSlotMeeting, 52);

/// Who goes through the year.
enum Side {
    Ours {
        practice: Practice,
        /// The segment that goes on, of each booking that was split.
        segments: BTreeMap<u32, IntentId>,
    },
    Eager(Practice, Eager),
}

/// Lives a year on one database with both designs.
///
/// # Errors
/// What the database says, or if the designs end in other attended sessions than were planned.
pub async fn measure(
    cluster: Option<&Cluster>,
    year: &Year,
    scale: Scale,
    progress: &Progress,
) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for of in [None, Some(EAGER)] {
        let mut run = live(cluster, of, year, scale, false, progress).await?;
        if cluster.is_none() {
            // What counts rows on SQLite writes to its log, so it is a run of its own.
            run.rows = live(None, of, year, scale, true, progress).await?.rows;
        }
        runs.push(run);
    }
    Ok(runs)
}

async fn live(
    cluster: Option<&Cluster>,
    of: Option<(PerDate, i64)>,
    year: &Year,
    scale: Scale,
    count_rows: bool,
    progress: &Progress,
) -> anyhow::Result<Run> {
    let mut database = Database::new(cluster).await?;
    let name = design(of);
    let mut side = open(&database, of, scale).await?;
    if count_rows {
        database.count_rows().await?;
    }
    database.checkpoint().await?;
    database.keep_log().await?;
    settle(&mut side).await?;
    let (rows_before, wal_before) = (database.rows_by_table().await?, database.wal().await?);
    let began = Instant::now();
    let mut weeks = Vec::new();
    let mut events = year.events.iter().peekable();
    progress.begin(&name, usize::try_from(WEEKS)?);
    for week in 0..WEEKS {
        for hour in 0..7 * 24 {
            let from = at(day(week), hour);
            while let Some((when, event)) =
                events.next_if(|(when, _)| *when < from + TimeDelta::hours(1))
            {
                side.go_to(*when);
                let happened = side.happen(event).await;
                happened.with_context(|| format!("{name}, {when}: {event:?}"))?;
            }
            side.hour_ends(from + TimeDelta::hours(1)).await?;
            if hour % 24 == 23 {
                database.keep_log().await?;
            }
        }
        if week % 4 == 3 {
            database.tidy().await?;
        }
        weeks.push(Week {
            wal_bytes: database.wal().await? - wal_before,
            size: database.size().await?,
        });
        progress.step();
    }
    let millis = u64::try_from(began.elapsed().as_millis())?;
    settle(&mut side).await?;
    let mut rows = database.rows_by_table().await?;
    for (table, rows) in &mut rows {
        *rows -= rows_before.get(table).copied().unwrap_or(0);
    }
    rows.retain(|_, rows| *rows > 0);
    let attended = database.attended().await?;
    let planned: Vec<(u128, i64)> = year
        .attended
        .iter()
        .map(|(booking, start)| (client(*booking).0.as_u128(), start.timestamp()))
        .collect();
    anyhow::ensure!(
        attended == sorted(planned),
        "{name}: {} sessions took place, {} were to",
        attended.len(),
        year.attended.len()
    );
    Ok(Run {
        database: database.kind,
        design: name,
        attended: u64::try_from(attended.len())?,
        rows,
        wal_bytes: database.wal().await? - wal_before,
        millis,
        weeks,
    })
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values
}

async fn open(
    database: &Database,
    of: Option<(PerDate, i64)>,
    scale: Scale,
) -> anyhow::Result<Side> {
    let opens = FIRST_DAY - Days::new(1);
    let practice = Practice::open(database.store.clone(), at(opens, 12)).await?;
    for number in 0..scale.therapists {
        practice.hire(number).await?;
    }
    for number in 0..scale.clients {
        practice.admit(number, 0).await?;
    }
    Ok(match of {
        None => Side::Ours {
            practice,
            segments: BTreeMap::new(),
        },
        Some((per_date, weeks)) => {
            let eager = Eager::open(database, per_date, Sessions::Worked, weeks);
            Side::Eager(practice, eager.await?)
        }
    })
}

/// Waits until a server has counted everything.
async fn settle(side: &mut Side) -> anyhow::Result<()> {
    tokio::time::sleep(TOLD_EVERY).await;
    match side {
        Side::Ours { practice, .. } => drop(practice.rows_written().await?),
        Side::Eager(practice, eager) => {
            practice.rows_written().await?;
            eager.nudge().await?;
        }
    }
    Ok(())
}

impl Side {
    fn practice(&self) -> &Practice {
        match self {
            Self::Ours { practice, .. } | Self::Eager(practice, _) => practice,
        }
    }

    fn go_to(&self, when: DateTime<Utc>) {
        if when > self.practice().now() {
            self.practice().go_to(when);
        }
    }

    /// Both tick every hour; the eager design writes the next week out on Mondays besides.
    async fn hour_ends(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.go_to(now);
        if let Self::Eager(_, eager) = self {
            let is_monday = (now.date_naive() - FIRST_DAY).num_days() % 7 == 0;
            if is_monday && now == at(now.date_naive(), 3) {
                eager.top_up(now).await?;
            }
            let near = eager.to_be_held(now + HORIZON)?;
            for date in near {
                self.practice().hold(intent(date.booking), date.at).await?;
            }
        }
        self.practice().tick().await?;
        Ok(())
    }

    async fn happen(&mut self, event: &Event) -> anyhow::Result<()> {
        match self {
            Self::Ours { practice, segments } => ours(practice, segments, event).await,
            Self::Eager(practice, eager) => theirs(practice, eager, event).await,
        }
    }
}

async fn ours(
    practice: &Practice,
    segments: &mut BTreeMap<u32, IntentId>,
    event: &Event,
) -> anyhow::Result<()> {
    let of = |booking: &u32| segments.get(booking).copied().unwrap_or(intent(*booking));
    match event {
        Event::Hire(number) => practice.hire(*number).await,
        Event::Book(wish) => practice.book(wish).await,
        Event::Pause {
            booking,
            from,
            until,
        } => {
            let pause = Pause {
                from: *from,
                until: Some(*until),
                slot: PausedSlot::Kept,
            };
            practice.edit(of(booking), Edit::Pause(pause)).await
        }
        Event::End { booking } => {
            let from = practice.now().date_naive() + Days::new(1);
            practice.edit(of(booking), Edit::End { from }).await
        }
        Event::Reschedule { booking, at, to } => {
            practice
                .touch(of(booking), *at, Touch::Reschedule(*to))
                .await
        }
        Event::Cancel { booking, at } => practice.touch(of(booking), *at, Touch::Cancel).await,
        Event::Settle {
            booking, at, came, ..
        } => practice.settle(of(booking), *at, outcome(*came)).await,
        Event::Reassign { booking, to } => {
            let into = IntentId(id(8, (*booking).into()));
            let edit = Edit::Reassign {
                from: practice.now().date_naive(),
                to: therapist(*to),
                into,
            };
            practice.edit(of(booking), edit).await?;
            segments.insert(*booking, into);
            Ok(())
        }
    }
}

async fn theirs(practice: &Practice, eager: &mut Eager, event: &Event) -> anyhow::Result<()> {
    let now = practice.now();
    match event {
        Event::Hire(number) => practice.hire(*number).await,
        Event::Book(wish) => eager.book(wish, now).await,
        Event::Pause {
            booking,
            from,
            until,
        } => {
            let dates = eager.dates(*booking, at(*from, 0), at(*until, 0))?;
            let rest = call_off_funded(practice, eager, dates).await?;
            eager.call_off("series_paused", &rest, now).await
        }
        Event::End { booking } => {
            let near = eager.dates(*booking, now, now + HORIZON)?;
            call_off_funded(practice, eager, near).await?;
            eager.cancel_series(*booking, now + HORIZON, now).await
        }
        Event::Reschedule { booking, at, to } => {
            let start = zone_of(*to)?;
            practice
                .touch(intent(*booking), *at, Touch::Reschedule(*to))
                .await?;
            let (booking, at) = (*booking, *at);
            eager.follow(Date { booking, at, start }).await
        }
        Event::Cancel { booking, at } => {
            practice.touch(intent(*booking), *at, Touch::Cancel).await?;
            let start = zone_of(*at)?;
            let (booking, at) = (*booking, *at);
            eager.set_free(&[Date { booking, at, start }]).await
        }
        Event::Settle {
            booking, at, came, ..
        } => {
            let outcome = outcome(*came);
            practice.settle(intent(*booking), *at, outcome).await
        }
        Event::Reassign { booking, to } => eager.reassign(*booking, *to, now).await,
    }
}

/// Calls off the dates for which a credit is held already, and gives those for which none is.
async fn call_off_funded(
    practice: &Practice,
    eager: &mut Eager,
    dates: Vec<Date>,
) -> anyhow::Result<Vec<Date>> {
    let soon = practice.now() + HORIZON;
    let (near, rest): (Vec<Date>, Vec<Date>) =
        dates.into_iter().partition(|date| date.start < soon);
    for date in &near {
        practice
            .touch(intent(date.booking), date.at, Touch::Cancel)
            .await?;
    }
    eager.set_free(&near).await?;
    Ok(rest)
}

fn outcome(came: bool) -> Outcome {
    if came {
        Outcome::Completed { charged: true }
    } else {
        Outcome::NoShow
    }
}

fn zone_of(at: LocalDateTime) -> anyhow::Result<DateTime<Utc>> {
    let zone: scheduler_core::Zone = plan::ZONE.parse()?;
    Ok(zone.resolve(at).0)
}
