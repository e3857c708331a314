//! What backups of all databases share: two files of one state, the data and the keys of people.
//!
//! Erasing a client deletes their keys, so that what is sealed of them is gone from every backup whose keys
//! are gone. So the keys are a file of their own, which is kept for a short time.

use std::fs::{File, OpenOptions};
use std::path::Path;

use crate::OpenError;

/// The file of people's keys: statements that every database reads.
pub const DEKS: &str = "deks.sql";

/// The tables whose rows are not in the data. What finds people is computed again.
pub const NOT_BACKED_UP: [&str; 2] = ["dek", "blind_index"];

/// Why there is no backup, or a backup is not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be read or written.
    #[error("a file of the backup cannot be read or written")]
    File(#[from] std::io::Error),
    /// The database refuses.
    #[error("the database refuses")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What was written or read is not whole.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// There is something where the backup was to be restored.
    #[error("{0} is not empty: a backup is restored into a new database")]
    NotEmpty(String),
    /// A program of the database's own is needed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said, or why it cannot be run.
        said: String,
    },
}

/// Makes a file that only its owner may read.
///
/// # Errors
/// If it is there, or cannot be made.
pub fn new_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
