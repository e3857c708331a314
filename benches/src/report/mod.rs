//! The report that people look at: tables and charts of one run on this machine.

mod chart;
mod tables;

use std::path::Path;

use chrono::{DateTime, Utc};
use store_postgres::throwaway::Cluster;

use crate::Progress;
use crate::amplification::{self, Amplification, Extent};
use crate::database::{Kind, durable_server};
use crate::latency::{self, Latency};
use crate::year::plan::{Scale, Year, year};
use crate::year::{self, Run};
use chart::{Bar, Curve, Words, bars, curves, float};

/// The seed of the year.
pub const SEED: u64 = 1;

/// Everything that was measured on one database.
pub struct Findings {
    /// Which.
    pub kind: Kind,
    /// What commands write.
    pub amplification: Amplification,
    /// How long bookings take.
    pub latencies: Vec<Latency>,
    /// The year, ours first.
    pub runs: Vec<Run>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Bookings, on SQLite and on PostgreSQL.
    pub extents: [Extent; 2],
    /// The practice of the year.
    pub scale: Scale,
}

impl Size {
    /// As the report has it.
    pub const FULL: Self = Self {
        extents: [Extent::ON_SQLITE, Extent::FULL],
        scale: Scale::FULL,
    };
    /// To see that it works.
    pub const TRIAL: Self = Self {
        extents: [Extent::TRIAL, Extent::TRIAL],
        scale: Scale::TRIAL,
    };
}

/// Measures everything, on SQLite and, if it is installed, on PostgreSQL.
///
/// # Errors
/// What the databases say.
pub async fn measure(size: Size) -> anyhow::Result<(Year, Vec<Findings>)> {
    let life = year(size.scale, SEED);
    let mut all = vec![find(None, size, &life).await?];
    match durable_server().await {
        Ok(cluster) => all.push(find(Some(&cluster), size, &life).await?),
        Err(error) => eprintln!("PostgreSQL is left out: {error}"),
    }
    Ok((life, all))
}

async fn find(cluster: Option<&Cluster>, size: Size, life: &Year) -> anyhow::Result<Findings> {
    let (kind, extent) = match cluster {
        None => (Kind::Sqlite, size.extents[0]),
        Some(_) => (Kind::Postgres, size.extents[1]),
    };
    let progress = |what: &str| Progress::new(&format!("{kind}, {what}"));
    Ok(Findings {
        kind,
        amplification: amplification::measure(cluster, extent, &progress("writes")).await?,
        latencies: latency::measure(cluster, extent, &progress("latency")).await?,
        runs: year::measure(cluster, life, size.scale, &progress("a year")).await?,
    })
}

/// Writes `REPORT.md` and its charts into a folder.
///
/// # Errors
/// If a file cannot be written.
pub fn write(
    folder: &Path,
    at: DateTime<Utc>,
    (life, all): (&Year, &[Findings]),
) -> anyhow::Result<()> {
    let charts = folder.join("charts");
    std::fs::create_dir_all(&charts)?;
    // The last is PostgreSQL, if it is there.
    if let Some(shown) = all.last() {
        draw(&charts, shown)?;
    }
    std::fs::write(folder.join("REPORT.md"), tables::text(at, life, all))?;
    Ok(())
}

fn draw(folder: &Path, shown: &Findings) -> anyhow::Result<()> {
    let bookings = shown.amplification.bookings();
    let rows: Vec<Bar> = bookings
        .map(|line| (line.design.clone(), line.rows / line.runs.max(1)))
        .collect();
    let title = format!("Rows written to book a weekly series, {}", shown.kind);
    bars(&folder.join("rows_at_booking.svg"), &title, &rows)?;

    let weekly = |of: &dyn Fn(&Run, usize) -> u64| -> Vec<Curve> {
        let points = |run: &Run| {
            let weeks = 0..run.weeks.len();
            let point = |week| {
                (
                    float(u64::try_from(week + 1).unwrap_or(0)),
                    float(of(run, week)),
                )
            };
            weeks.map(point).collect()
        };
        let runs = shown.runs.iter();
        runs.map(|run| (run.design.clone(), points(run))).collect()
    };
    let words = Words {
        title: &format!("Write-ahead log over a year of a practice, {}", shown.kind),
        x: "week",
        y: "kB written",
        grows: true,
    };
    let log = weekly(&|run, week| run.weeks[week].wal_bytes / 1000);
    curves(&folder.join("log_over_the_year.svg"), &words, &log)?;
    let words = Words {
        title: &format!("Tables and indexes of the schedule, {}", shown.kind),
        x: "week",
        y: "kB",
        grows: true,
    };
    let size = weekly(&|run, week| {
        let size = run.weeks[week].size;
        (size.tables + size.indexes) / 1000
    });
    curves(&folder.join("table_growth.svg"), &words, &size)?;

    let words = Words {
        title: &format!("Bookings done within a time, {}", shown.kind),
        x: "ms",
        y: "% of bookings",
        grows: false,
    };
    let slowest = shown.latencies.iter().map(|side| side.percentile(99)).max();
    let slowest = slowest.unwrap_or(0);
    let done: Vec<Curve> = shown
        .latencies
        .iter()
        .map(|side| {
            let all = float(u64::try_from(side.micros.len()).unwrap_or(1)).max(1.0);
            let within = side.micros.iter().enumerate();
            let within = within.filter(|(_, micros)| **micros <= slowest);
            let point = |(index, micros): (usize, &u64)| {
                let done = float(u64::try_from(index + 1).unwrap_or(0));
                (float(*micros) / 1000.0, done * 100.0 / all)
            };
            (side.side.clone(), within.map(point).collect())
        })
        .collect();
    curves(&folder.join("latency.svg"), &words, &done)
}
