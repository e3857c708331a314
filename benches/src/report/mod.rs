//! The report that people look at: tables and charts of one run on this machine.

mod chart;
mod tables;

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::Progress;
use crate::amplification::{self, Amplification, Extent};
use crate::database::{Kind, servers};
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

/// Measures everything, or a little of it to see that it works, on SQLite and, if it is installed, on
/// PostgreSQL.
///
/// # Errors
/// What the databases say.
pub async fn measure(trial: bool) -> anyhow::Result<(Year, Vec<Findings>)> {
    let scale = if trial { Scale::TRIAL } else { Scale::FULL };
    let life = year(scale, SEED);
    let mut all = Vec::new();
    for server in servers().await {
        let server = server.as_ref();
        let kind = Kind::on(server);
        let extent = Extent::of(kind, trial);
        let progress = |what: &str| Progress::new(&format!("{kind}, {what}"));
        all.push(Findings {
            kind,
            amplification: amplification::measure(server, extent, &progress("writes")).await?,
            latencies: latency::measure(server, extent, &progress("latency")).await?,
            runs: year::measure(server, &life, scale, &progress("a year")).await?,
        });
    }
    Ok((life, all))
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
