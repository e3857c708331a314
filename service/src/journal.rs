//! Whole journals: read, chained, and compared with the heads that were kept and with the ledger.

use std::collections::BTreeMap;

use clinic::ClinicId;
use clinic::journal_chain::{JournalHead, Line};
use ledger_core::{Hash, Key};
use store::{PAGE_MAX, Store, StoreError};

use crate::anchors::Anchor;

/// What is wrong with a clinic's journal.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// Lines through an anchored one were edited, deleted or added.
    #[error(
        "lines through {through} are not as they were: their hash is {found}, {anchored} was kept"
    )]
    Differs {
        /// The number of the anchored line.
        through: u64,
        /// The hash of the lines as they are.
        found: Hash,
        /// The hash that was kept.
        anchored: Hash,
    },
    /// An anchored line is not there.
    #[error("line {through} is missing, and was there when it was anchored")]
    Missing {
        /// Its number.
        through: u64,
    },
    /// A line names a ledger entry that is not there.
    #[error("line {seq} says {kind} of entry {key}, which is not in the ledger of its account")]
    Entry {
        /// The line's number.
        seq: u64,
        /// What the line says.
        kind: String,
        /// The entry's key.
        key: String,
    },
}

/// What was found in all journals.
#[derive(Debug, Default)]
pub struct Audit {
    /// How many lines there are.
    pub lines: u64,
    /// What is wrong.
    pub defects: Vec<(ClinicId, Defect)>,
}

/// Reads all journals, those of clinics that only anchors name included.
///
/// # Errors
/// What the store says.
pub async fn audit(store: &dyn Store, anchors: &[Anchor]) -> Result<Audit, StoreError> {
    let mut kept: BTreeMap<uuid::Uuid, BTreeMap<u64, Hash>> = BTreeMap::new();
    for clinic in store.clinics().await? {
        kept.entry(clinic.0).or_default();
    }
    for anchor in anchors {
        if let Some(JournalHead { through, hash }) = anchor.journal {
            kept.entry(anchor.clinic.0)
                .or_default()
                .insert(through, hash);
        }
    }
    let mut audit = Audit::default();
    for (clinic, anchors) in kept {
        verify(store, ClinicId(clinic), anchors, &mut audit).await?;
    }
    Ok(audit)
}

/// The first anchor that does not fit is named, and no later one: all later hashes differ too.
async fn verify(
    store: &dyn Store,
    clinic: ClinicId,
    mut anchors: BTreeMap<u64, Hash>,
    audit: &mut Audit,
) -> Result<(), StoreError> {
    let mut head = JournalHead::empty(clinic);
    loop {
        let lines = store.journal_lines(clinic, head.through, PAGE_MAX).await?;
        if lines.is_empty() {
            break;
        }
        for line in &lines {
            head = head.after(line);
            audit.lines += 1;
            if !agrees(store, clinic, line).await? {
                let defect = Defect::Entry {
                    seq: line.seq,
                    kind: line.kind.clone(),
                    key: line.subject_part.clone().unwrap_or_default(),
                };
                audit.defects.push((clinic, defect));
            }
            while let Some(first) = anchors.first_entry()
                && *first.key() <= head.through
            {
                let (through, anchored) = first.remove_entry();
                let found = head.hash;
                let defect = if through < head.through {
                    Defect::Missing { through }
                } else if anchored != found {
                    Defect::Differs {
                        through,
                        found,
                        anchored,
                    }
                } else {
                    continue;
                };
                audit.defects.push((clinic, defect));
                anchors.clear();
            }
        }
    }
    if let Some((&through, _)) = anchors.first_key_value() {
        audit.defects.push((clinic, Defect::Missing { through }));
    }
    Ok(())
}

/// A line about an entry of the ledger: the account has the entry, at the line's number or, if the
/// command wrote others before it, after that.
async fn agrees(store: &dyn Store, clinic: ClinicId, line: &Line) -> Result<bool, StoreError> {
    if line.subject_kind != "entry" {
        return Ok(true);
    }
    let key: Option<Key> = line
        .subject_part
        .as_deref()
        .and_then(|key| key.parse().ok());
    let Some(key) = key else {
        return Ok(false);
    };
    let entry = match store.entry(clinic, &key).await {
        Ok(entry) => entry,
        // The ledger's own check names it.
        Err(StoreError::Corrupt { .. } | StoreError::NewerEntry { .. }) => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(entry.is_some_and(|entry| entry.account.0 == line.subject_id && entry.seq >= line.version))
}

/// The head of a journal, from one that was kept on; `None` if no line was added.
///
/// # Errors
/// What the store says.
pub async fn head(
    store: &dyn Store,
    clinic: ClinicId,
    from: Option<JournalHead>,
) -> Result<Option<JournalHead>, StoreError> {
    let end = store.journal_end(clinic).await?;
    let from = from.unwrap_or(JournalHead::empty(clinic));
    let mut head = from;
    while head.through < end {
        let lines = store.journal_lines(clinic, head.through, PAGE_MAX).await?;
        let before = head;
        let final_ones = lines.iter().filter(|line| line.seq <= end);
        head = final_ones.fold(head, JournalHead::after);
        if head == before {
            break;
        }
    }
    Ok((head != from).then_some(head))
}
