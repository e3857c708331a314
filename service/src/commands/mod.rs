//! The commands of the binary, and what their arguments share.

pub(crate) mod backup;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod token;
pub(crate) mod zones;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Args;
use scheduler_core::zone::END_OF_ZONE_DATA;
use serde::de::DeserializeOwned;
use standing::anchors::Anchor;
use standing::database::Database;
use store::Store;

#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// An SQLite file, or a PostgreSQL server: postgres://user:password@host/name.
    #[arg(
        long,
        env = "STANDING_DATABASE",
        default_value = "standing.db",
        value_name = "FILE|URL",
        hide_env_values = true
    )]
    pub(crate) database: String, // parsed later: the error of a flag would show it, with its password
    /// The most connections to a PostgreSQL server.
    #[arg(long, env = "STANDING_CONNECTIONS", default_value_t = 16, value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) connections: u32,
}

impl DatabaseArgs {
    pub(crate) fn database(&self) -> anyhow::Result<Database> {
        self.database.parse().context("--database names none")
    }

    pub(crate) async fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        Ok(self.database()?.open(self.connections).await?)
    }
}

/// The key file's usual name.
const KEYS: &str = "standing.keys";

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The key file, which only its owner may read. `standing keys init` makes one. If not given,
    /// `standing.keys` in this folder, or else beside the SQLite file.
    #[arg(long, env = "STANDING_KEYS", value_name = "FILE")]
    keys: Option<PathBuf>,
}

impl KeysArgs {
    /// Where a new key file is made.
    pub(crate) fn new_path(&self) -> &Path {
        self.keys.as_deref().unwrap_or(Path::new(KEYS))
    }

    /// Where the key file of a database is.
    pub(crate) fn path(&self, database: &DatabaseArgs) -> anyhow::Result<PathBuf> {
        let path = self.new_path();
        if self.keys.is_none()
            && !path.exists()
            && let Database::Sqlite(file) = database.database()?
        {
            let beside = file.with_file_name(KEYS);
            if beside.exists() {
                return Ok(beside);
            }
        }
        Ok(path.to_owned())
    }
}

#[derive(Debug, Args)]
pub(crate) struct AnchorsArgs {
    /// Heads that the worker or `standing ledger anchor` kept: the chains must pass through them, so
    /// entries that were cut off or written anew are found too. May be given more than once.
    #[arg(
        long,
        env = "STANDING_ANCHORS",
        value_name = "FILE",
        value_delimiter = ','
    )]
    anchors: Vec<PathBuf>,
}

impl AnchorsArgs {
    pub(crate) fn read(&self) -> anyhow::Result<Vec<Anchor>> {
        let mut anchors = Vec::new();
        for file in &self.anchors {
            anchors.extend(read_lines(file, "anchor")?);
        }
        Ok(anchors)
    }
}

/// How often progress is shown on work that takes long.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

pub(crate) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let parsed = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    match parsed {
        Ok(at) if at < END_OF_ZONE_DATA => Ok(at),
        Ok(_) => Err(format!("time zones are known until {END_OF_ZONE_DATA}")),
        Err(error) => Err(format!(
            "{error}; an instant like 2026-03-02T08:00:00Z is expected"
        )),
    }
}

/// Shows how far something is, to whoever watches.
pub(super) fn progress(what: &'static str) -> impl FnMut(u64) + Send {
    let (mut shown, watched) = (Instant::now(), std::io::stderr().is_terminal());
    move |done| {
        if watched && shown.elapsed() > PROGRESS_EVERY {
            shown = Instant::now();
            eprint!("\r{done} {what}\r");
        }
    }
}

/// A file of JSON lines, each of which is `what`.
pub(super) fn read_lines<T: DeserializeOwned>(file: &Path, what: &str) -> anyhow::Result<Vec<T>> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let place = || format!("{}:{} is no {what}", file.display(), number + 1);
            serde_json::from_str(line).with_context(place)
        })
        .collect()
}
