//! What booking a weekly series and changing it writes, ours beside the eager design.
//!
//!     cargo bench -p benches --bench write_amplification
//!
//! 1,000 bookings after 300 to warm up (on SQLite 200 after 50), each on every design in turn; then 100
//! series of each kind (50) are rescheduled, paused for three weeks, cancelled, and one date of 100 is
//! moved. Counted are rows
//! (on PostgreSQL as the server counts them, which must be what the designs count), statements, bytes
//! of write-ahead log (PostgreSQL: `pg_current_wal_insert_lsn`; SQLite: the log's frames), flushes to
//! disk, and the time of each transaction. On SQLite, and on PostgreSQL if it is installed.
//!
//! With `-- --test` it runs on a few bookings.

use benches::amplification::{Amplification, Extent, measure};
use benches::database::{Kind, count_statements, servers};
use benches::{Progress, decimal, fewer};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let trial = std::env::args().any(|arg| arg == "--test");
    count_statements();
    for server in servers().await {
        let kind = Kind::on(server.as_ref());
        let (extent, progress) = (Extent::of(kind, trial), Progress::new(&kind.to_string()));
        print(&measure(server.as_ref(), extent, &progress).await?);
    }
    Ok(())
}

fn print(measured: &Amplification) {
    println!("\n{}", measured.versions.join(", "));
    let mut command = "";
    for line in &measured.lines {
        if line.command != command {
            command = &line.command;
            println!(
                "\n{command:32} {:>8} {:>8} {:>10} {:>10} {:>6} {:>8} {:>8}",
                "rows", "schedule", "statements", "log bytes", "syncs", "p50 us", "p99 us"
            );
        }
        let per_run = |total: u64, digits| decimal(total, line.runs, digits);
        println!(
            "  {:30} {:>8} {:>8} {:>10} {:>10} {:>6} {:>8} {:>8}",
            line.design,
            per_run(line.rows, 1),
            per_run(line.schedule_rows, 1),
            per_run(line.statements, 1),
            per_run(line.wal_bytes, 0),
            line.syncs
                .map_or_else(|| "-".to_owned(), |syncs| per_run(syncs, 1)),
            line.p50,
            line.p99,
        );
    }
    println!("\nthe first booking after a checkpoint, bytes of log");
    for (_, design, bytes) in &measured.cold {
        println!("  {design:30} {bytes:>10}");
    }
    println!("\nthe schedule's size, bytes of tables and of indexes");
    for (_, design, size) in &measured.sizes {
        println!("  {design:30} {:>10} {:>10}", size.tables, size.indexes);
    }
    let mut bookings = measured.bookings();
    if let Some(ours) = bookings.next() {
        println!(
            "\nfewer than by the design: rows, of the schedule, bytes of log; its p50 by ours"
        );
        for line in bookings {
            println!(
                "  {:30} {:>6}% {:>6}% {:>6}% {:>7}x",
                line.design,
                fewer(ours.rows, line.rows),
                fewer(ours.schedule_rows, line.schedule_rows),
                fewer(ours.wal_bytes, line.wal_bytes),
                decimal(line.p50, ours.p50, 1),
            );
        }
    }
}
