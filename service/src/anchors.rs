//! The file of anchors: heads of accounts and journals, kept where a database writer does not reach.
//!
//! The worker appends the head of every account and journal that has changed since its last anchor.
//! A chain must pass through all its anchors for ever, so `standing doctor` and `standing ledger
//! verify` find entries that were deleted or replaced together with the snapshot, and lines of the
//! journal that were edited, deleted or added later.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use clinic::ClinicId;
use clinic::journal_chain::JournalHead;
use ledger_core::Head;
use scheduler_core::ClientId;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};
use uuid::Uuid;

use crate::journal;
use crate::ledger::{self, Defect};

/// Heads that were kept: the chain of an account or journal must pass through its head for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// In which clinic.
    pub clinic: ClinicId,
    /// When it was kept.
    pub at: DateTime<Utc>,
    /// The head of an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// The head of the clinic's journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalHead>,
}

impl Anchor {
    /// The anchor of an account.
    #[must_use]
    pub fn of_account(clinic: ClinicId, at: DateTime<Utc>, head: Head) -> Self {
        Self {
            clinic,
            at,
            head: Some(head),
            journal: None,
        }
    }
}

/// Why anchors could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The file cannot be read or written.
    #[error("the file of anchors cannot be used")]
    File(#[from] std::io::Error),
    /// A line of the file is no anchor.
    #[error("line {line} of the file of anchors is no anchor")]
    Line {
        /// Its number, counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The write broke off.
    #[error("the write of the file of anchors broke off")]
    Panicked,
}

/// An open file of anchors, and the last anchor of each account and journal in it.
#[derive(Debug)]
pub struct AnchorFile {
    file: File,
    last: HashMap<(Uuid, Uuid), Head>,
    journals: HashMap<Uuid, JournalHead>,
}

/// What one anchoring did.
#[derive(Debug, Default)]
pub struct Anchored {
    /// How many heads of accounts were written.
    pub heads: u64,
    /// The accounts that are not as they were written. They are not anchored.
    pub defects: Vec<(ClinicId, ClientId, Defect)>,
}

impl AnchorFile {
    /// Opens a file of anchors, or makes one that only its owner may read. A last line that a crash
    /// cut off is removed: it was never confirmed.
    ///
    /// # Errors
    /// [`AnchorError`].
    pub fn open(path: &Path) -> Result<Self, AnchorError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
            file.seek(SeekFrom::End(0))?;
            text.truncate(whole);
        }
        let (last, journals) = (HashMap::new(), HashMap::new());
        let mut opened = Self {
            file,
            last,
            journals,
        };
        for (line, content) in (1..).zip(text.lines()).filter(|(_, text)| !text.is_empty()) {
            let anchor: Anchor = serde_json::from_str(content)
                .map_err(|source| AnchorError::Line { line, source })?;
            opened.note(&anchor);
        }
        Ok(opened)
    }

    fn note(&mut self, anchor: &Anchor) {
        if let Some(head) = anchor.head {
            let account = (anchor.clinic.0, head.account.0);
            self.last.insert(account, head);
        }
        if let Some(journal) = anchor.journal {
            self.journals.insert(anchor.clinic.0, journal);
        }
    }

    fn last(&self, clinic: ClinicId, client: ClientId) -> Option<Head> {
        self.last.get(&(clinic.0, client.0)).copied()
    }

    /// Appends anchors, which are on the disk when this returns.
    fn append(&mut self, anchors: &[Anchor]) -> Result<(), AnchorError> {
        let mut text = String::new();
        for anchor in anchors {
            let line = serde_json::to_string(anchor).map_err(std::io::Error::other)?;
            text.push_str(&line);
            text.push('\n');
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()?;
        anchors.iter().for_each(|anchor| self.note(anchor));
        Ok(())
    }
}

/// Appends the heads of all accounts and journals that have changed since their last anchor. An
/// account's chain is verified first, and has to pass through that anchor. Of a journal the new
/// lines are read.
///
/// # Errors
/// [`AnchorError`]. Heads that were written until then stay.
pub async fn anchor(
    store: &dyn Store,
    file: &Arc<Mutex<AnchorFile>>,
    at: DateTime<Utc>,
) -> Result<Anchored, AnchorError> {
    let (mut anchored, mut anchors) = (Anchored::default(), Vec::new());
    for (clinic, client) in store.accounts().await? {
        let last = lock(file).last(clinic, client);
        let stored = store.account(clinic, client).await;
        if let Ok(Some(account)) = &stored
            && account.head() == last.unwrap_or(Head::empty(account.id()))
        {
            continue;
        }
        match ledger::verify(store, clinic, client, last.as_slice()).await? {
            Ok(whole) => anchors.push(Anchor::of_account(clinic, at, whole.head)),
            Err(defect) => anchored.defects.push((clinic, client, defect)),
        }
    }
    anchored.heads = u64::try_from(anchors.len()).unwrap_or(u64::MAX);
    for clinic in store.clinics().await? {
        let last = lock(file).journals.get(&clinic.0).copied();
        if let Some(head) = journal::head(store, clinic, last).await? {
            anchors.push(Anchor {
                clinic,
                at,
                head: None,
                journal: Some(head),
            });
        }
    }
    if !anchors.is_empty() {
        let file = Arc::clone(file);
        tokio::task::spawn_blocking(move || lock(&file).append(&anchors))
            .await
            .map_err(|_panicked| AnchorError::Panicked)??;
    }
    Ok(anchored)
}

/// What is in the file's memory is whole also after a panic: it is changed last.
fn lock(file: &Mutex<AnchorFile>) -> std::sync::MutexGuard<'_, AnchorFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}
