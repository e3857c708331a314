//! A simulated year of a practice, on the clinic's service and on the eager design.
//!
//!     cargo bench -p benches --bench clinic_year
//!
//! 200 clients of 20 therapists, from a seed: they come, stay for half of them at most 14 weeks, pause,
//! move and cancel single dates; the practice closes twice, and a therapist leaves. Both designs are
//! told the same at the same times, and end in the same attended sessions, or the bench fails. Rows
//! are the server's own count by table; on SQLite, which has none, triggers'. Log bytes are all that
//! was written to the write-ahead log.
//!
//! With `-- --test` it runs with a few clients.

use std::collections::BTreeSet;

use benches::database::{Kind, servers};
use benches::report::SEED;
use benches::year::plan::{Scale, counts, year};
use benches::year::{Run, measure};
use benches::{Progress, decimal, fewer};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let trial = std::env::args().any(|arg| arg == "--test");
    let scale = if trial { Scale::TRIAL } else { Scale::FULL };
    let year = year(scale, SEED);
    for (what, count) in counts(&year) {
        println!("{count:>6} {what}");
    }
    for server in servers().await {
        let progress = Progress::new(&Kind::on(server.as_ref()).to_string());
        print(&measure(server.as_ref(), &year, scale, &progress).await?);
    }
    Ok(())
}

fn print(runs: &[Run]) {
    let [ours, eager] = runs else { return };
    println!(
        "\n{:22} {:>12} {:>16}",
        ours.database, ours.design, eager.design
    );
    let line = |what: &str, ours: u64, eager: u64| {
        println!(
            "{what:22} {ours:>12} {eager:>16} {:>7}% fewer",
            fewer(ours, eager)
        );
    };
    let tables: BTreeSet<&String> = ours.rows.keys().chain(eager.rows.keys()).collect();
    for table in tables {
        let of = |run: &Run| run.rows.get(table).copied().unwrap_or(0);
        println!("  {table:20} {:>12} {:>16}", of(ours), of(eager));
    }
    line("schedule rows", ours.schedule_rows(), eager.schedule_rows());
    line("all rows", ours.all_rows(), eager.all_rows());
    line("log bytes", ours.wal_bytes, eager.wal_bytes);
    line("peak size of schedule", ours.peak(), eager.peak());
    let per_session = |run: &Run| decimal(run.schedule_rows(), run.attended, 2);
    println!(
        "{:22} {:>12} {:>16}",
        "rows a session",
        per_session(ours),
        per_session(eager)
    );
    println!(
        "{:22} {:>12} {:>16}",
        "attended", ours.attended, eager.attended
    );
    println!(
        "{:22} {:>12} {:>16}",
        "milliseconds", ours.millis, eager.millis
    );
}
