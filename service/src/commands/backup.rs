//! `standing backup` and `standing restore`.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use standing::clock::Clock;
use standing::database::Database;
use standing::vault::{self, Erased, Vault};
use standing::{journal, ledger};
use store::Store;
use store::backup::{DEKS, new_file};

use super::{DatabaseArgs, KeysArgs, progress, read_lines};

/// What says that a backup is whole, and which files belong together.
const MANIFEST: &str = "backup.json";

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// A folder that is made for the backup, or is empty.
    folder: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The folder of a backup.
    folder: PathBuf,
    /// The list of who was erased, which `standing keys erase-client` appends to: they are erased again.
    #[arg(
        long,
        env = "STANDING_ERASED",
        default_value = "standing.erased",
        value_name = "FILE"
    )]
    erased: PathBuf,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// What a backup says of itself. It is written last.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// The version of the form of a backup.
    version: u32,
    /// The program that made it.
    program: String,
    made_at: DateTime<Utc>,
    /// The file of data, and its SHA-256 in hexadecimal digits.
    data: (String, String),
    /// The file of people's keys, and its SHA-256.
    deks: (String, String),
}

pub(crate) async fn backup(args: BackupArgs) -> anyhow::Result<()> {
    let (folder, shown) = (&args.folder, args.folder.display());
    make_empty(folder).with_context(|| format!("{shown} is no empty folder"))?;
    let database = args.database.database()?;
    database.backup(folder).await?;
    let file = |name: &str| -> anyhow::Result<(String, String)> {
        Ok((name.to_owned(), sha256(&folder.join(name))?))
    };
    let manifest = Manifest {
        version: 1,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Clock::system().now(),
        data: file(database.backup_data())?,
        deks: file(DEKS)?,
    };
    let mut written = new_file(&folder.join(MANIFEST))?;
    serde_json::to_writer_pretty(&mut written, &manifest)?;
    writeln!(written)?;
    written.sync_all()?;
    File::open(folder)?.sync_all()?;
    let (data, deks) = (manifest.data.0, manifest.deks.0);
    writeln!(
        std::io::stdout(),
        "{shown} holds {data} and {deks}, both of one state of {database}.\n\
         {deks} opens what is known of people: keep it apart from {data}, and delete it after a short \
         time, so that who is erased is gone from this backup too. `standing restore` needs both."
    )?;
    Ok(())
}

pub(crate) async fn restore(args: RestoreArgs) -> anyhow::Result<()> {
    let target = args.database.database()?;
    let keys = args.keys.path(&args.database)?;
    let vault = Vault::open(&keys)?;
    let made_at = verify_files(&args.folder, &target)?;
    let erased = match args.erased.exists() {
        true => read_lines::<Erased>(&args.erased, "line of erased people")?,
        false => Vec::new(),
    };
    // A file has its name once it is verified, so nobody serves what is only half restored.
    let database = match &target {
        Database::Sqlite(path) if path.exists() => {
            bail!("{target} is there: a backup is restored into a new database")
        }
        Database::Sqlite(path) => Database::Sqlite(beside(path)),
        Database::Postgres(_) => target.clone(),
    };
    if let Database::Sqlite(path) = &database {
        remove(path)?;
    }
    let connections = args.database.connections;
    let outcome = fill(&database, connections, &args.folder, &vault, &erased).await;
    match (&database, &target, &outcome) {
        (Database::Sqlite(from), Database::Sqlite(to), Ok(())) => std::fs::rename(from, to)?,
        (Database::Sqlite(from), _, Err(_)) => remove(from)?,
        _ => {}
    }
    outcome?;
    let mut out = std::io::stdout();
    if !args.erased.exists() {
        let list = args.erased.display();
        writeln!(out, "{list} is not there, so nobody was erased again")?;
    }
    let at = made_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    writeln!(
        out,
        "{target} is what it was at {at}: all of it is verified"
    )?;
    Ok(())
}

/// Restores, migrates, erases again, and verifies.
async fn fill(
    database: &Database,
    connections: u32,
    folder: &Path,
    vault: &Vault,
    erased: &[Erased],
) -> anyhow::Result<()> {
    database.restore(folder).await?;
    database.migrate().await?;
    let store = database.open(connections).await?;
    let outcome = settle(&*store, vault, erased).await;
    store.close().await;
    outcome
}

async fn settle(store: &dyn Store, vault: &Vault, erased: &[Erased]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    vault.belong_to(store).await?;
    let mut again = 0;
    for one in erased {
        if store.client(one.clinic, one.client).await?.is_some() {
            again += u64::from(vault::erase(store, *one, None).await?);
        }
    }
    if again > 0 {
        for to_do in store.scrub().await? {
            writeln!(out, "TO DO  {to_do}")?;
        }
    }
    writeln!(out, "{again} people are erased again")?;
    let now = Clock::system().now();
    let indexed = vault::reindex(vault, store, now, &mut progress("people indexed")).await?;
    let checked = vault::verify(vault, store, &mut progress("people verified")).await?;
    writeln!(
        out,
        "{} people, {} keys unwrap, {} values open",
        checked.people, checked.keys, checked.values
    )?;
    let accounts = ledger::audit(store, &[], progress("accounts verified")).await?;
    let lines = journal::audit(store, &[]).await?;
    writeln!(
        out,
        "{} accounts, {} entries, {} lines of the journal",
        accounts.accounts, accounts.entries, lines.lines
    )?;
    let people = indexed.failed.into_iter().chain(checked.defects);
    let people = people.map(|(_, person, why)| format!("person {person}: {why}"));
    let accounts = accounts.defects.into_iter();
    let accounts = accounts.map(|(_, account, defect)| format!("account {account}: {defect}"));
    let gaps = (lines.gaps > 0).then(|| format!("journal: {} lines are missing", lines.gaps));
    let lines = lines.defects.into_iter();
    let lines = lines.map(|(clinic, defect)| format!("journal of clinic {clinic}: {defect}"));
    let defects: Vec<String> = people.chain(accounts).chain(lines).chain(gaps).collect();
    for defect in &defects {
        writeln!(out, "BROKEN  {defect}")?;
    }
    if !defects.is_empty() {
        bail!("the backup is not whole: {} defects", defects.len());
    }
    Ok(())
}

/// Makes a folder, unless it is there and empty.
fn make_empty(folder: &Path) -> std::io::Result<()> {
    match std::fs::create_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match std::fs::read_dir(folder)?.next() {
        None => Ok(()),
        Some(_) => Err(ErrorKind::DirectoryNotEmpty.into()),
    }
}

/// Makes sure that the files are those that the manifest names, and says when they were made.
fn verify_files(folder: &Path, target: &Database) -> anyhow::Result<DateTime<Utc>> {
    let shown = folder.display();
    let manifest = File::open(folder.join(MANIFEST));
    let manifest =
        manifest.with_context(|| format!("{shown} is no whole backup: no {MANIFEST}"))?;
    let manifest: Manifest = serde_json::from_reader(manifest)
        .with_context(|| format!("{MANIFEST} in {shown} cannot be read"))?;
    let (data, expected) = (&manifest.data.0, target.backup_data());
    if manifest.version != 1 {
        bail!("a newer program made this backup ({})", manifest.program);
    }
    if data != expected {
        bail!(
            "this backup is of another kind of database: it has {data}, {target} needs {expected}"
        );
    }
    for (name, was) in [&manifest.data, &manifest.deks] {
        let is = sha256(&folder.join(name));
        let is = is.with_context(|| format!("{name} of {shown} cannot be read"))?;
        if is != *was {
            bail!("{name} of {shown} is not what was backed up: its SHA-256 is {is}, not {was}");
        }
    }
    Ok(manifest.made_at)
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut part = vec![0; 1 << 16];
    loop {
        match file.read(&mut part)? {
            0 => break,
            read => hash.update(&part[..read]),
        }
    }
    let digest = hash.finalize();
    let digits = digest.iter().map(|byte| format!("{byte:02x}"));
    Ok(digits.collect())
}

/// Where a file is restored before it is verified.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".restoring");
    beside.into()
}

/// Removes what a restore that broke off has left.
fn remove(path: &Path) -> std::io::Result<()> {
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
