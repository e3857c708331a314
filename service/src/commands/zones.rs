//! `standing zones`: which zone data plans the database, where the newer release does not decide it.

use std::io::Write;

use anyhow::{Context, bail};
use clap::Subcommand;
use standing::clock::Clock;
use standing::zones;

use super::DatabaseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ZonesCommand {
    /// Have the zone data of this command (see --zoneinfo) plan the database, also if its release is
    /// older. Stop the processes with other zone data first: they refuse to plan from then on.
    Adopt(DatabaseArgs),
}

pub(crate) async fn run(command: ZonesCommand) -> anyhow::Result<()> {
    let ZonesCommand::Adopt(database) = command;
    let store = database.open().await?;
    let last = store.zone_data(None).await?;
    let ours = zones::edition();
    let release = &ours.release;
    let said = match &last {
        Some(last) if last.edition.agrees_with(ours) => {
            format!("{release} agrees with the zone data that plans the database")
        }
        _ => {
            let next = zones::next(last.as_ref(), Clock::system().now());
            let taken = store.take_over(&next).await;
            if !taken.context("the zone data was not recorded")? {
                bail!("another process has recorded its zone data at the same time: try again");
            }
            format!("{release} plans the database: a worker moves what is to come")
        }
    };
    store.close().await;
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}
