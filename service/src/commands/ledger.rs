//! `standing ledger`: whether the ledger is as it was written.

use std::io::Write;

use anyhow::bail;
use clap::{Args, Subcommand};
use standing::anchors::Anchor;
use standing::clock::Clock;
use standing::journal;
use standing::ledger::{self, Audit};

use super::{AnchorsArgs, DatabaseArgs, progress};

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check every account: its chain of entries, and that its snapshot is their fold. Prints the
    /// first entry that is not as it was written. Check the journal too: that the entries it names
    /// are there, that it names all credits that came in, and against anchors.
    Verify(VerifyArgs),
    /// Check every account, and print the head of each chain as a line of JSON, to be kept where
    /// nobody who can write to the database can. The worker does it by itself with `--anchors`.
    Anchor(DatabaseArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    anchors: AnchorsArgs,
}

pub(crate) async fn run(command: LedgerCommand) -> anyhow::Result<()> {
    match command {
        LedgerCommand::Verify(args) => run_verify(args).await,
        LedgerCommand::Anchor(args) => run_anchor(args).await,
    }
}

async fn run_verify(args: VerifyArgs) -> anyhow::Result<()> {
    let anchors = args.anchors.read()?;
    let audit = audit(&args.database, &anchors).await?;
    let store = args.database.open().await?;
    let journals = journal::audit(store.as_ref(), &anchors).await?;
    store.close().await;
    for (clinic, defect) in &journals.defects {
        writeln!(
            std::io::stderr(),
            "BROKEN  clinic {clinic}, journal: {defect}"
        )?;
    }
    judge(&audit)?;
    if !journals.defects.is_empty() {
        bail!("the journal is not as it was written; keep a copy");
    }
    let Audit {
        accounts, entries, ..
    } = audit;
    writeln!(
        std::io::stdout(),
        "{accounts} accounts, {entries} entries, {} journal lines, {} anchors: all chains hold, all \
         snapshots are their folds",
        journals.lines,
        anchors.len()
    )?;
    Ok(())
}

async fn run_anchor(args: DatabaseArgs) -> anyhow::Result<()> {
    let audit = audit(&args, &[]).await?;
    let at = Clock::system().now();
    let mut out = std::io::stdout().lock();
    for (clinic, head) in audit.heads.iter().copied().filter(|(_, head)| head.seq > 0) {
        let anchor = Anchor::of_account(clinic, at, head);
        writeln!(out, "{}", serde_json::to_string(&anchor)?)?;
    }
    drop(out);
    // What is not whole is not kept, and keeps nothing else from being kept.
    judge(&audit)
}

/// Verifies all accounts, with progress for whoever watches.
async fn audit(database: &DatabaseArgs, anchors: &[Anchor]) -> anyhow::Result<Audit> {
    let store = database.open().await?;
    let audited = ledger::audit(store.as_ref(), anchors, progress("accounts verified"));
    let audit = audited.await?;
    store.close().await;
    Ok(audit)
}

/// Fails, with a line for each account that is not whole.
fn judge(audit: &Audit) -> anyhow::Result<()> {
    let mut out = std::io::stderr().lock();
    for (clinic, account, defect) in &audit.defects {
        writeln!(out, "BROKEN  clinic {clinic}, account {account}: {defect}")?;
    }
    let wrong = audit.defects.len();
    if wrong > 0 {
        bail!(
            "{wrong} of {} accounts are not as they were written; do not write to them, and keep a copy",
            audit.accounts
        );
    }
    Ok(())
}
