//! What a tick costs when a hundred of a thousand, of a hundred thousand and of a million standing
//! bookings are due, on SQLite and on PostgreSQL.
//!
//!     cargo bench -p benches --bench tick
//!
//! A hundred daily bookings are due at each tick: a hundred sessions with their holds are made,
//! clients are told and reminded, therapists asked. All other bookings are due a year later. The
//! same tick is run on all sizes in turn, 30 times after 10 to warm up and a VACUUM ANALYZE. A server
//! does that by itself when enough has changed, but looks only once a minute, and the planner takes
//! the tables for empty until then: a tick touches seven times the buffers. Counted are statements (as sqlx reports them), rows
//! written (as the service's own meter has them) and, on PostgreSQL, shared buffers touched
//! (pg_stat_statements); the time is the median.
//!
//! With `-- --test` it runs once, on small sizes.

#[path = "tick/practice.rs"]
mod practice;

use std::time::{Duration, Instant};

use anyhow::Context;
use benches::database::{count_statements, statements};
use practice::Practice;
use standing::worker;

/// One tick.
struct Cost {
    statements: u64,
    rows: u64,
    buffers: Option<u64>,
    time: Duration,
}

async fn tick(practice: &mut Practice) -> anyhow::Result<Cost> {
    practice.next_day();
    let (rows, buffers) = (practice.rows_written().await?, practice.buffers().await?);
    let sent = statements();
    let began = Instant::now();
    let report = worker::tick(practice.app()).await;
    let time = began.elapsed();
    let statements = statements() - sent;
    anyhow::ensure!(report.failed == 0, "{} rows failed", report.failed);
    let buffers_after = practice.buffers().await?;
    Ok(Cost {
        statements,
        rows: practice.rows_written().await? - rows,
        buffers: buffers_after
            .zip(buffers)
            .map(|(after, before)| after - before),
        time,
    })
}

fn median<T: Copy + Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

async fn measure(practices: &mut [Practice], warm_up: u32, ticks: u32) -> anyhow::Result<()> {
    let mut costs: Vec<Vec<Cost>> = practices.iter().map(|_| Vec::new()).collect();
    for number in 0..warm_up + ticks {
        for (practice, costs) in practices.iter_mut().zip(&mut costs) {
            if number == warm_up {
                practice.vacuum().await?;
            }
            let cost = tick(practice).await?;
            if number >= warm_up {
                costs.push(cost);
            }
        }
    }
    println!(
        "{:10} {:>9} {:>11} {:>6} {:>9} {:>9} {:>8} {:>6}",
        "", "intents", "statements", "rows", "buffers", "(ratio)", "ms", "ratio"
    );
    let mut first = None;
    for (practice, costs) in practices.iter().zip(&costs) {
        let of = |what: fn(&Cost) -> u64| median(costs.iter().map(what)).unwrap_or(0);
        let buffers = median(costs.iter().filter_map(|cost| cost.buffers));
        let micros = median(costs.iter().map(|cost| cost.time.as_micros())).unwrap_or(1);
        let (buffers_first, micros_first) = *first.get_or_insert((buffers, micros));
        let ratio = buffers
            .zip(buffers_first)
            .map(|(now, first)| ratio(now.into(), first.into()));
        println!(
            "{:10} {:>9} {:>11} {:>6} {:>9} {:>9} {:>8} {:>6}",
            practice.database,
            practice.intents,
            of(|cost| cost.statements),
            of(|cost| cost.rows),
            buffers.map_or_else(|| "-".to_owned(), |buffers| buffers.to_string()),
            ratio.unwrap_or_else(|| "-".to_owned()),
            format!("{}.{}", micros / 1000, micros % 1000 / 100),
            self::ratio(micros, micros_first),
        );
    }
    Ok(())
}

/// Hundredths, without floating point.
fn ratio(now: u128, first: u128) -> String {
    let hundredths = now * 100 / first.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    count_statements();
    let trial = std::env::args().any(|arg| arg == "--test");
    let (sizes, warm_up, ticks): (&[u32], _, _) = if trial {
        (&[1_000, 2_000], 2, 3)
    } else {
        (&[1_000, 100_000, 1_000_000], 10, 30)
    };
    let folder = tempfile::tempdir()?;
    let mut practices = Vec::new();
    for size in sizes {
        eprintln!("SQLite: {size} intents...");
        practices.push(Practice::on_sqlite(folder.path(), *size).await?);
    }
    measure(&mut practices, warm_up, ticks).await?;
    drop(practices);

    let cluster = store_postgres::throwaway::Cluster::start();
    let cluster = cluster.context("for PostgreSQL's part of the bench")?;
    let mut practices = Vec::new();
    for size in sizes {
        eprintln!("PostgreSQL: {size} intents...");
        practices.push(Practice::on_postgres(&cluster, *size).await?);
    }
    measure(&mut practices, warm_up, ticks).await
}
