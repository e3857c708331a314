//! Whole journals: read, chained, and compared with the heads that were kept and with the ledger.

use std::collections::{BTreeMap, BTreeSet};

use clinic::ClinicId;
use clinic::journal_chain::{JournalHead, Line};
use ledger_core::{AccountId, Body, Entry, Hash, Key, ReasonCode};
use store::{PAGE_MAX, Page, Store, StoreError};
use uuid::Uuid;

use crate::anchors::Anchor;
use crate::ledger;

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
    /// Credits came into an account, and no line says so.
    #[error("no line says that {key} came into account {account}, where it is entry {seq}")]
    Unsaid {
        /// Whose entry it is.
        account: AccountId,
        /// Its number.
        seq: u64,
        /// Its key.
        key: Key,
    },
    /// Somebody or something is there, and no line is about it.
    #[error("no line says that {what} {id} was made")]
    Unmade {
        /// What it is: a client, a therapist, a service or a plan.
        what: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// A reason is on the clinic's list, and no line says that it was added.
    #[error("no line says that the reason {code} was added")]
    Reason {
        /// Its code.
        code: ReasonCode,
    },
}

/// What was found in all journals.
#[derive(Debug, Default)]
pub struct Audit {
    /// How many lines there are.
    pub lines: u64,
    /// How many are missing between them, where lines are numbered without gaps.
    pub gaps: u64,
    /// What is wrong.
    pub defects: Vec<(ClinicId, Defect)>,
}

/// Reads all journals, those of clinics that only anchors name included, and the lines' counterparts:
/// entries of the ledger that lines name or should name, and the clinic's own reasons.
///
/// # Errors
/// What the store says.
pub async fn audit(store: &dyn Store, anchors: &[Anchor]) -> Result<Audit, StoreError> {
    let mut kept: BTreeMap<Uuid, BTreeMap<u64, Hash>> = BTreeMap::new();
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
    let mut audit = Audit {
        gaps: store.journal_gaps().await?,
        ..Audit::default()
    };
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
    // Read before the lines: each was committed with its own.
    let (mut came, mut reasons) = (came_in(store, clinic).await?, BTreeSet::new());
    let mut unmade = made(store, clinic).await?;
    reasons.extend(store.reasons(clinic).await?.into_iter().map(|own| own.code));
    loop {
        let lines = store.journal_lines(clinic, head.through, PAGE_MAX).await?;
        if lines.is_empty() {
            break;
        }
        for line in &lines {
            head = head.after(line);
            audit.lines += 1;
            let part = line.subject_part.as_deref();
            match line.subject_kind.as_str() {
                "entry" => {
                    let key = part.and_then(|key| key.parse::<Key>().ok());
                    key.map(|key| came.remove(&key));
                }
                "reason" => reasons.retain(|code| part != Some(code.as_str())),
                _ => {
                    unmade.remove(&line.subject_id);
                }
            }
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
    let unsaid = came.into_iter();
    let unsaid = unsaid.map(|(key, (account, seq))| Defect::Unsaid { account, seq, key });
    let reasons = reasons.into_iter().map(|code| Defect::Reason { code });
    let unmade = unmade.into_iter();
    let unmade = unmade.map(|(id, what)| Defect::Unmade { what, id });
    let unsaid = unsaid.chain(reasons).chain(unmade);
    let unsaid = unsaid.map(|defect| (clinic, defect));
    audit.defects.extend(unsaid);
    Ok(())
}

/// The entries by which credits came into the clinic's accounts from outside. Each of them has a line.
async fn came_in(
    store: &dyn Store,
    clinic: ClinicId,
) -> Result<BTreeMap<Key, (AccountId, u64)>, StoreError> {
    let mut came = BTreeMap::new();
    let accounts = store.accounts().await?.into_iter();
    for (_, client) in accounts.filter(|(of, _)| *of == clinic) {
        // One that cannot be read is named by the ledger's own check.
        let entries = ledger::entries(store, clinic, client, 0, u64::MAX).await?;
        let brings = |entry: &Entry| matches!(entry.body, Body::Grant { .. } | Body::Adjust { .. });
        let entries = entries.unwrap_or_default().into_iter().filter(brings);
        came.extend(entries.map(|entry| (entry.key, (entry.account, entry.seq))));
    }
    Ok(came)
}

/// The people, services and plans of a clinic. Each of them has a line.
async fn made(
    store: &dyn Store,
    clinic: ClinicId,
) -> Result<BTreeMap<Uuid, &'static str>, StoreError> {
    let mut made = BTreeMap::new();
    for what in ["client", "therapist", "service", "plan"] {
        let mut after = None;
        loop {
            let limit = PAGE_MAX;
            let page = Page { after, limit };
            let ids: Vec<Uuid> = match what {
                "client" => ids(&store.clients(clinic, page).await?, |one| one.id.0),
                "therapist" => ids(&store.therapists(clinic, page).await?, |one| one.id.0),
                "service" => ids(&store.services(clinic, page).await?, |one| one.id.0),
                _ => ids(&store.plans(clinic, page).await?, |one| one.id.0),
            };
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            made.extend(ids.into_iter().map(|id| (id, what)));
        }
    }
    Ok(made)
}

fn ids<T>(rows: &[T], id: impl Fn(&T) -> Uuid) -> Vec<Uuid> {
    rows.iter().map(id).collect()
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
