//! What a command writes, ours beside the eager design: rows, statements, bytes of write-ahead log,
//! flushes to disk, time.

mod commands;

use std::time::{Duration, Instant};

use store_postgres::throwaway::Cluster;

pub(crate) use self::commands::wish;
use self::commands::{Command, THERAPISTS, edits, ours, theirs};
use crate::Progress;
use crate::database::{Database, Kind, Size, TOLD_EVERY, statements};
use crate::eager::{Eager, PerDate, Sessions};
use crate::practice::Practice;

/// A Monday, a week before the first dates.
const NOW: &str = "2026-03-09T08:00:00Z";
/// Commands of each kind on a series.
const EDITED: u32 = 100;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Bookings before anything is measured.
    pub warm_up: u32,
    /// Bookings that are measured.
    pub bookings: u32,
    /// Series that are edited, of each kind of edit.
    pub edited: u32,
}

impl Extent {
    /// As the report has it on PostgreSQL.
    const FULL: Self = Self {
        warm_up: 300,
        bookings: 1_000,
        edited: EDITED,
    };
    /// As the report has it on SQLite, which takes long to write a year out.
    const ON_SQLITE: Self = Self {
        warm_up: 50,
        bookings: 200,
        edited: 50,
    };
    /// To see that it works.
    const TRIAL: Self = Self {
        warm_up: 4,
        bookings: 56,
        edited: 8,
    };

    /// Of a measurement on a database, or of a trial of it.
    #[must_use]
    pub fn of(kind: Kind, trial: bool) -> Self {
        match kind {
            _ if trial => Self::TRIAL,
            Kind::Sqlite => Self::ON_SQLITE,
            Kind::Postgres => Self::FULL,
        }
    }
}

/// What one kind of command of one design cost on one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// On which.
    pub database: Kind,
    /// `standing`, or the eager design with what it keeps and how far ahead.
    pub design: String,
    /// Which command.
    pub command: String,
    /// How often it was done.
    pub runs: u64,
    /// Rows written by all runs.
    pub rows: u64,
    /// Of them, those that say what takes place when.
    pub schedule_rows: u64,
    /// Statements of all runs, without BEGIN and COMMIT.
    pub statements: u64,
    /// Bytes of write-ahead log of all runs.
    pub wal_bytes: u64,
    /// Flushes to disk of all runs, where the database tells.
    pub syncs: Option<u64>,
    /// Half of the runs took no longer, in microseconds.
    pub p50: u64,
    /// 99 in 100 took no longer, in microseconds.
    pub p99: u64,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amplification {
    /// A line for each design and command.
    pub lines: Vec<Measured>,
    /// The first booking after a checkpoint, by database and design: bytes of log.
    pub cold: Vec<(Kind, String, u64)>,
    /// How large the schedule was when all bookings were made.
    pub sizes: Vec<(Kind, String, Size)>,
    /// The databases' versions.
    pub versions: Vec<String>,
}

impl Amplification {
    /// What bookings cost, ours first.
    pub fn bookings(&self) -> impl Iterator<Item = &Measured> {
        let lines = self.lines.iter();
        lines.filter(|line| line.command == Command::BOOK)
    }
}

/// The designs that are compared.
const DESIGNS: [Option<(PerDate, i64)>; 5] = [
    None,
    Some((PerDate::SessionSlotMeeting, 52)),
    Some((PerDate::Session, 52)),
    Some((PerDate::SessionSlotMeeting, 26)),
    Some((PerDate::Session, 26)),
];

/// The one that the service's meter compares with.
const METERED: Option<(PerDate, i64)> = Some((PerDate::SessionSlotMeeting, 52));

/// The name of a design.
#[must_use]
pub fn design(of: Option<(PerDate, i64)>) -> String {
    match of {
        None => "standing".to_owned(),
        Some((PerDate::SessionSlotMeeting, weeks)) => format!("eager, {weeks} weeks"),
        Some((PerDate::Session, weeks)) => format!("eager, {weeks} weeks, sessions only"),
    }
}

/// A design at work on a database of its own.
struct Side {
    name: String,
    database: Database,
    practice: Practice,
    eager: Option<Eager>,
}

/// A practice with so many clients.
pub(crate) async fn open_practice(database: &Database, clients: u32) -> anyhow::Result<Practice> {
    let practice = Practice::open(database.store.clone(), NOW.parse()?).await?;
    for number in 0..2 * THERAPISTS {
        practice.hire(number).await?;
    }
    for number in 0..clients {
        practice.admit(number, number % THERAPISTS).await?;
    }
    Ok(practice)
}

impl Side {
    async fn open(
        cluster: Option<&Cluster>,
        of: Option<(PerDate, i64)>,
        clients: u32,
    ) -> anyhow::Result<Self> {
        let database = Database::new(cluster).await?;
        let practice = open_practice(&database, clients).await?;
        let eager = match of {
            None => None,
            Some((per_date, weeks)) => {
                Some(Eager::open(&database, per_date, Sessions::Idle, weeks).await?)
            }
        };
        let name = design(of);
        Ok(Self {
            name,
            database,
            practice,
            eager,
        })
    }

    async fn run(&mut self, command: &Command) -> anyhow::Result<()> {
        let now = self.practice.now();
        match &mut self.eager {
            None => ours(&self.practice, command).await,
            Some(eager) => theirs(eager, command, now).await,
        }
    }

    async fn rows(&self) -> anyhow::Result<u64> {
        match &self.eager {
            None => self.practice.rows_written().await,
            Some(eager) => Ok(eager.rows_written()),
        }
    }
}

/// Waits until a server has counted everything.
async fn settle(sides: &mut [Side]) -> anyhow::Result<()> {
    if sides.iter().all(|side| side.database.kind == Kind::Sqlite) {
        return Ok(());
    }
    tokio::time::sleep(TOLD_EVERY).await;
    for side in sides {
        side.rows().await?;
        if let Some(eager) = &mut side.eager {
            eager.nudge().await?;
            side.practice.rows_written().await?;
        }
    }
    Ok(())
}

/// What commands have cost so far.
#[derive(Default)]
struct Costs {
    times: Vec<Duration>,
    wal_bytes: u64,
    statements: u64,
}

/// Does each command on every side in turn, so that both designs meet the same noise, and tells what
/// they cost on each.
async fn in_turn(
    sides: &mut [Side],
    commands: &[Command],
    progress: &Progress,
) -> anyhow::Result<Vec<Measured>> {
    let mut costs: Vec<Costs> = Vec::new();
    let mut before = Vec::new();
    settle(sides).await?;
    for side in sides.iter_mut() {
        costs.push(Costs::default());
        let schedule = side.schedule_rows().await?;
        let more = side.practice.more_rows()?;
        let counts = side.database.counts().await?;
        before.push((side.rows().await?, counts, schedule, more));
    }
    for command in commands {
        for (side, cost) in sides.iter_mut().zip(&mut costs) {
            if side.database.kind == Kind::Sqlite {
                side.database.checkpoint().await?;
            }
            let wal = side.database.wal().await?;
            let sent = statements();
            let began = Instant::now();
            side.run(command).await?;
            cost.times.push(began.elapsed());
            cost.statements += statements() - sent;
            cost.wal_bytes += side.database.wal().await? - wal;
        }
        progress.step();
    }
    settle(sides).await?;
    let (mut measured, mut metered) = (Vec::new(), 0);
    let command = commands.first().map_or("", Command::name);
    for ((side, cost), before) in sides.iter_mut().zip(costs).zip(before) {
        let (rows_before, counts_before, schedule_before, more_before) = before;
        let rows = side.rows().await? - rows_before;
        let schedule_rows = side.schedule_rows().await? - schedule_before;
        if side.database.kind == Kind::Postgres {
            let counted = (side.database.counts().await? - counts_before).rows;
            anyhow::ensure!(
                counted == rows,
                "{}: the server counts {counted} rows, the design {rows}",
                side.name
            );
        }
        if side.eager.is_none() {
            let more = side.practice.more_rows()? - more_before;
            metered = rows.saturating_add_signed(more);
        } else if side.name == design(METERED) {
            anyhow::ensure!(
                rows == metered,
                "{command}, {}: it writes {rows} rows, the meter says {metered}",
                side.name
            );
        }
        let mut times = cost.times;
        times.sort_unstable();
        let at = |hundredths: usize| {
            let index = (times.len() * hundredths / 100).min(times.len().saturating_sub(1));
            times.get(index).map_or(0, Duration::as_micros)
        };
        measured.push(Measured {
            database: side.database.kind,
            design: side.name.clone(),
            command: command.to_owned(),
            runs: u64::try_from(commands.len())?,
            rows,
            schedule_rows,
            statements: cost.statements,
            wal_bytes: cost.wal_bytes,
            syncs: None,
            p50: u64::try_from(at(50))?,
            p99: u64::try_from(at(99))?,
        });
    }
    Ok(measured)
}

impl Side {
    /// Rows that say what takes place when. Ours has no slots or meetings, and its journal is one
    /// row for each command.
    async fn schedule_rows(&mut self) -> anyhow::Result<u64> {
        match (&self.eager, self.database.kind) {
            (Some(eager), _) => Ok(eager.schedule_rows()),
            (None, Kind::Postgres) => self.database.schedule_rows().await,
            // Nothing but the schedule and the journal is written by these commands.
            (None, Kind::Sqlite) => self.practice.schedule_rows_written().await,
        }
    }
}

/// Measures everything on one database.
///
/// # Errors
/// What the database says, or if it counts other rows than the designs do.
pub async fn measure(
    cluster: Option<&Cluster>,
    extent: Extent,
    progress: &Progress,
) -> anyhow::Result<Amplification> {
    let bookings = extent.warm_up + extent.bookings;
    // Two more: one after a checkpoint, one whose flushes are counted.
    let mut sides = Vec::new();
    progress.begin("registering", DESIGNS.len());
    for of in DESIGNS {
        sides.push(Side::open(cluster, of, bookings + 1).await?);
        progress.step();
    }
    let book = |numbers: std::ops::Range<u32>| -> anyhow::Result<Vec<Command>> {
        numbers
            .map(|number| Ok(Command::Book(wish(number)?)))
            .collect()
    };
    let mut all = Amplification::default();
    all.versions.push(sides[0].database.version().await?);
    if cluster.is_some() {
        sides[0].database.checkpoint().await?;
    }
    progress.begin("booking", usize::try_from(bookings)?);
    in_turn(&mut sides, &book(0..extent.warm_up)?, progress).await?;
    for side in &mut sides {
        side.database.tidy().await?;
    }
    let mut booked = in_turn(&mut sides, &book(extent.warm_up..bookings)?, progress).await?;
    for side in &mut sides {
        let size = side.database.size().await?;
        all.sizes
            .push((side.database.kind, side.name.clone(), size));
    }
    // One side at a time: flushes are the server's, not a database's.
    for (index, line) in booked.iter_mut().enumerate() {
        settle(&mut sides).await?;
        let side = &mut sides[index];
        side.database.checkpoint().await?;
        let (counts, wal) = (side.database.counts().await?, side.database.wal().await?);
        side.run(&Command::Book(wish(bookings)?)).await?;
        let cold = side.database.wal().await? - wal;
        all.cold.push((side.database.kind, side.name.clone(), cold));
        settle(&mut sides).await?;
        let side = &mut sides[index];
        if side.database.kind == Kind::Postgres {
            let syncs = (side.database.counts().await? - counts).syncs;
            line.syncs = Some(syncs * line.runs);
        }
    }
    all.lines.extend(booked);
    let kinds = edits(extent.edited)?;
    progress.begin("editing", kinds.iter().map(Vec::len).sum());
    for commands in kinds {
        let measured = in_turn(&mut sides, &commands, progress).await?;
        all.lines.extend(measured);
    }
    Ok(all)
}
