//! How long it takes to book a weekly series: the transaction, through HTTP, and by the eager design
//! that writes 52 weeks out.
//!
//!     cargo bench -p benches --bench booking_latency
//!
//! 1,000 bookings after 300 to warm up (on SQLite 200 after 50), on each side in turn, with synchronous
//! commits on all. HTTP is the service's router without a socket: authentication, JSON, the transaction,
//! the answer. On SQLite, and on PostgreSQL if it is installed.
//!
//! With `-- --test` it runs on a few bookings.

use benches::amplification::Extent;
use benches::database::durable_server;
use benches::latency::{Latency, measure};
use benches::{Progress, decimal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let trial = std::env::args().any(|arg| arg == "--test");
    let extent = |full| if trial { Extent::TRIAL } else { full };
    let on_sqlite = extent(Extent::ON_SQLITE);
    print(&measure(None, on_sqlite, &Progress::new("SQLite")).await?);
    match durable_server().await {
        Ok(cluster) => {
            let progress = Progress::new("PostgreSQL");
            print(&measure(Some(&cluster), extent(Extent::FULL), &progress).await?);
        }
        Err(error) => println!("PostgreSQL is left out: {error}"),
    }
    Ok(())
}

fn print(sides: &[Latency]) {
    let Some(first) = sides.first() else { return };
    println!(
        "\n{:28} {:>8} {:>8} {:>8} {:>8}",
        first.database, "p50 us", "p90 us", "p99 us", "p50"
    );
    for side in sides {
        println!(
            "{:28} {:>8} {:>8} {:>8} {:>7}x",
            side.side,
            side.percentile(50),
            side.percentile(90),
            side.percentile(99),
            decimal(side.percentile(50), first.percentile(50), 2),
        );
    }
}
