//! `standing keys`: what people's data is sealed under.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use clinic::{Change, ClinicId, Commit};
use scheduler_core::ClientId;
use standing::clock::Clock;
use standing::vault::{
    self, Checked, Ensured, Erased, KeyFile, Reindexed, Rewrapped, Rotated, Staged, Vault,
};
use uuid::Uuid;

use super::{DatabaseArgs, KeysArgs, instant, progress, read_lines};

#[derive(Debug, Args)]
pub(crate) struct VaultArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    keys: KeysArgs,
}

impl VaultArgs {
    fn key_file(&self) -> anyhow::Result<PathBuf> {
        self.keys.path(&self.database)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key file, or add the keys that one of an earlier version lacks. Keep a copy of it apart
    /// from the database and its backups.
    Init(KeysArgs),
    /// Make another key the one that people's keys are wrapped with, and wrap them again. Run anew
    /// after it broke off, it goes on.
    RotateKek(RotateKekArgs),
    /// Give people new keys, and seal what is theirs under them. Run anew with the same `--before`
    /// after it broke off, it goes on.
    RotateDeks(RotateDeksArgs),
    /// Compute again what people are found by: after a restore, and for another key. Run anew after it
    /// broke off, it changes what is left.
    Reindex(ReindexArgs),
    /// Erase a client: what is known of them does not open any more, nor in backups without keys. Their
    /// series, sessions to come, tokens and messages end.
    EraseClient(EraseArgs),
    /// Check that everything opens and is what the journal says, and that nothing of erased clients goes on,
    /// and say which keys nothing needs any more.
    Verify(VaultArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RotateKekArgs {
    #[command(flatten)]
    vault: VaultArgs,
    /// Only add the new key to the file, so that the file can be carried to the other machines
    /// before the key is used.
    #[arg(long)]
    stage: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotateDeksArgs {
    #[command(flatten)]
    vault: VaultArgs,
    /// Only exchange keys that were made before this instant (RFC 3339). Now, if not given.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    before: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
pub(crate) struct ReindexArgs {
    #[command(flatten)]
    vault: VaultArgs,
    /// Add another key of blind indexes to the file first. Once all machines have the file, and this
    /// command was run again, the older key's line may go; run once more, it removes that key's indexes.
    #[arg(long)]
    new_key: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// Whom.
    #[arg(required_unless_present = "replay")]
    client: Option<Uuid>,
    /// In which clinic. The first one, if not given.
    #[arg(long, env = "STANDING_CLINIC", value_name = "UUID")]
    clinic: Option<Uuid>,
    /// The list of who was erased, which is appended to.
    #[arg(
        long,
        env = "STANDING_ERASED",
        default_value = "standing.erased",
        value_name = "FILE"
    )]
    list: PathBuf,
    /// Only say what is open of the client and would end.
    #[arg(long, conflicts_with = "replay")]
    dry_run: bool,
    /// Erase everybody on this list again: after a backup was restored.
    #[arg(long, value_name = "FILE", conflicts_with = "client")]
    replay: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::Init(args) => {
            let keys = args.new_path();
            let ensured = KeyFile::init(keys)?;
            let (keys, mut out) = (keys.display(), std::io::stdout());
            match ensured {
                Ensured::Made => writeln!(
                    out,
                    "{keys} holds new keys. Keep a copy apart from the database and its backups: \
                     without it nothing that is known of people can be read."
                )?,
                Ensured::Completed => writeln!(
                    out,
                    "{keys} has the key that it lacked. Carry it to the other machines, and renew \
                     the copy that you keep."
                )?,
                Ensured::Whole => {
                    writeln!(out, "{keys} has all keys already. Nothing was changed.")?;
                }
            }
            Ok(())
        }
        KeysCommand::RotateKek(args) => run_rotate_kek(args).await,
        KeysCommand::RotateDeks(args) => run_rotate_deks(args).await,
        KeysCommand::Reindex(args) => run_reindex(args).await,
        KeysCommand::EraseClient(args) => run_erase(args).await,
        KeysCommand::Verify(args) => run_verify_keys(args).await,
    }
}

async fn run_rotate_kek(args: RotateKekArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if args.stage {
        let file = KeyFile::open(&args.vault.key_file()?)?;
        let (Staged::Made(id) | Staged::Activated(id)) = file.stage()?;
        writeln!(
            out,
            "key {id} is made. Carry the file to the other machines, then rotate."
        )?;
        return Ok(());
    }
    let vault = Vault::open(&args.vault.key_file()?)?;
    let store = args.vault.database.open().await?;
    vault.belong_to(&*store).await?;
    let mut progress = progress("people done");
    let rewrapped = vault::rotate_kek(&vault, store.as_ref(), &mut progress).await?;
    store.close().await;
    let Rewrapped {
        staged,
        wrapped,
        orphans,
        unneeded,
    } = rewrapped;
    match staged {
        None => writeln!(out, "a rotation was under way")?,
        Some(Staged::Made(id)) => writeln!(out, "key {id} is made, and active")?,
        Some(Staged::Activated(id)) => writeln!(out, "key {id} is active")?,
    }
    writeln!(out, "{wrapped} keys are wrapped again")?;
    say_unneeded(&unneeded)?;
    for (clinic, owner) in &orphans {
        writeln!(
            out,
            "BROKEN  clinic {clinic}, person {owner}: no key of the file unwraps theirs"
        )?;
    }
    if !orphans.is_empty() {
        bail!(
            "{} keys do not unwrap: is this the right key file?",
            orphans.len()
        );
    }
    Ok(())
}

fn say_unneeded(unneeded: &[crypto_core::KeyId]) -> anyhow::Result<()> {
    for id in unneeded {
        writeln!(
            std::io::stdout(),
            "key {id} wraps nothing here: once no backup needs it, its line may go"
        )?;
    }
    Ok(())
}

async fn run_rotate_deks(args: RotateDeksArgs) -> anyhow::Result<()> {
    let vault = Vault::open(&args.vault.key_file()?)?;
    let store = args.vault.database.open().await?;
    vault.belong_to(&*store).await?;
    let now = Clock::system().now();
    let before = args.before.unwrap_or(now);
    let mut progress = progress("people done");
    let rotated = vault::rotate_deks(&vault, store.as_ref(), before, now, &mut progress).await?;
    store.close().await;
    let Rotated {
        people,
        resealed,
        dropped,
        failed,
    } = rotated;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{people} new keys, {resealed} values sealed again, {dropped} old keys removed"
    )?;
    for (clinic, owner) in &failed {
        writeln!(
            out,
            "BROKEN  clinic {clinic}, person {owner}: what is theirs does not open"
        )?;
    }
    if !failed.is_empty() {
        bail!("{} people were left as they are", failed.len());
    }
    Ok(())
}

async fn run_reindex(args: ReindexArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let path = args.vault.key_file()?;
    let mut vault = Vault::open(&path)?;
    let store = args.vault.database.open().await?;
    vault.belong_to(&*store).await?;
    if args.new_key {
        let id = KeyFile::open(&path)?.add_index()?;
        vault = Vault::open(&path)?;
        writeln!(out, "key {id} of blind indexes is made")?;
    }
    let mut progress = progress("people done");
    let now = Clock::system().now();
    let done = vault::reindex(&vault, store.as_ref(), now, &mut progress).await?;
    store.close().await;
    let Reindexed {
        people,
        changed,
        failed,
    } = done;
    writeln!(out, "{people} people, {changed} of them indexed again")?;
    for (clinic, person, why) in &failed {
        writeln!(out, "BROKEN  clinic {clinic}, person {person}: {why}")?;
    }
    if !failed.is_empty() {
        bail!("{} people cannot be found by their address", failed.len());
    }
    Ok(())
}

async fn run_erase(args: EraseArgs) -> anyhow::Result<()> {
    let store = args.database.open().await?;
    let at = Clock::system().now();
    let (whom, list) = match (args.client, &args.replay) {
        (_, Some(replay)) => (read_lines::<Erased>(replay, "line of erased people")?, None),
        (Some(client), None) => {
            let clinic = args.clinic.map_or(ClinicId::FIRST, ClinicId);
            let client = ClientId(client);
            (
                vec![Erased { clinic, client, at }],
                Some(args.list.as_path()),
            )
        }
        (None, None) => bail!("say whom: standing keys erase-client ID"),
    };
    let mut out = std::io::stdout();
    for erased in whom {
        let Erased { clinic, client, .. } = erased;
        let known = store.client(clinic, client).await?;
        if known.is_none() && list.is_none() {
            writeln!(out, "{client} is not in this database")?;
            continue;
        }
        if args.dry_run {
            say_what_would_end(
                client,
                vault::try_erasing(store.as_ref(), erased).await?.as_ref(),
            )?;
            continue;
        }
        if vault::erase(store.as_ref(), erased, list).await? {
            writeln!(out, "{client} is erased")?;
        } else {
            writeln!(out, "{client} is erased already")?;
        }
    }
    // Also for who was erased before: it may have broken off here.
    if !args.dry_run {
        for to_do in store.scrub().await? {
            writeln!(out, "TO DO  {to_do}")?;
        }
    }
    store.close().await;
    Ok(())
}

/// What an erasure would store, for a person to read.
fn say_what_would_end(client: ClientId, commit: Option<&Commit>) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let Some(commit) = commit else {
        writeln!(
            out,
            "{client} is erased already, and nothing of theirs is open"
        )?;
        return Ok(());
    };
    writeln!(out, "{client} would be erased, and nothing is stored yet:")?;
    for change in &commit.changes {
        match change {
            Change::Intent(intent) => writeln!(out, "  series {} would end", intent.series)?,
            Change::Session(session) => {
                let at = session.starts_at.to_rfc3339_opts(SecondsFormat::Secs, true);
                writeln!(out, "  session {} of {at} would be cancelled", session.id)?;
            }
            Change::Ledger { entries, .. } => {
                writeln!(out, "  {} held credits would be released", entries.len())?;
            }
            Change::Message(message) => {
                let kind = message.notification.kind;
                writeln!(out, "  message {} ({kind}) would not be sent", message.seq)?;
            }
            _ => {}
        }
    }
    let tokens = commit
        .journal
        .as_ref()
        .map(|journal| &journal.body["tokens"]);
    let tokens = tokens.and_then(serde_json::Value::as_u64).unwrap_or(0);
    writeln!(out, "  {tokens} tokens and the feed would be revoked")?;
    Ok(())
}

async fn run_verify_keys(args: VaultArgs) -> anyhow::Result<()> {
    let vault = Vault::open(&args.key_file()?)?;
    let store = args.database.open().await?;
    let mut progress = progress("people done");
    let checked = vault::verify(&vault, store.as_ref(), &mut progress).await?;
    store.close().await;
    let Checked {
        people,
        keys,
        values,
        stale,
        zones_in_clear,
        unneeded,
        defects,
    } = checked;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{people} people, {keys} keys unwrap, {values} values open"
    )?;
    if stale > 0 {
        writeln!(
            out,
            "{stale} keys are wrapped with an older one: standing keys rotate-kek"
        )?;
    }
    if zones_in_clear > 0 {
        writeln!(
            out,
            "{zones_in_clear} clients' zones are in the clear, from an earlier version: standing keys \
             rotate-deks"
        )?;
    }
    say_unneeded(&unneeded)?;
    for (clinic, person, defect) in &defects {
        writeln!(out, "BROKEN  clinic {clinic}, person {person}: {defect}")?;
    }
    if !defects.is_empty() {
        bail!(
            "defects: {}. What they name does not open, or is not what it should be",
            defects.len()
        );
    }
    Ok(())
}
