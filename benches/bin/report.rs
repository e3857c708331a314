//! Measures what an intent saves, and writes `benches/REPORT.md` with its charts.

use std::path::Path;

use benches::database::count_statements;
use benches::report::{measure, write};
use clap::Parser;
use standing::clock::Clock;

/// Measures what an intent saves beside an eager scheduler, on SQLite and on PostgreSQL if it is
/// installed, and writes benches/REPORT.md with its charts. Takes about ten minutes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Measure a few bookings and clients only, to see that it works.
    #[arg(long)]
    trial: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    count_statements();
    let (life, all) = measure(arguments.trial).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    write(folder, Clock::system().now(), (&life, &all))?;
    println!("benches/REPORT.md is written");
    Ok(())
}
