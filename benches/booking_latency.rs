//! How long it takes to book a weekly series: the transaction, through HTTP, and by the eager design
//! that writes 52 weeks out.
//!
//!     cargo bench -p benches --bench booking_latency
//!
//! 1,000 bookings after 300 to warm up (on SQLite 200 after 50), on each side in turn. A
//! commit is flushed on PostgreSQL, and not on SQLite, on all sides. HTTP is the service's router without a socket: authentication, JSON, the transaction,
//! the answer. On SQLite, and on PostgreSQL if it is installed.
//!
//! With `-- --test` it runs on a few bookings.

use benches::amplification::Extent;
use benches::database::{Kind, servers};
use benches::latency::{Latency, measure};
use benches::{Progress, decimal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let trial = std::env::args().any(|arg| arg == "--test");
    for server in servers().await {
        let kind = Kind::on(server.as_ref());
        let (extent, progress) = (Extent::of(kind, trial), Progress::new(&kind.to_string()));
        print(&measure(server.as_ref(), extent, &progress).await?);
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
