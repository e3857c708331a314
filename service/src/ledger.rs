//! Whole accounts: read from the first entry on, and verified.

use std::collections::{BTreeMap, BTreeSet};

use clinic::ClinicId;
use ledger_core::{
    Account, AccountId, Body, BrokenAt, Corrupt, Entry, Head, Lot, Proof, fold, verify_anchored,
};
use scheduler_core::ClientId;
use store::{PAGE_MAX, Store, StoreError};
use uuid::Uuid;

use crate::anchors::Anchor;

/// What is wrong with an account.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// Its snapshot cannot be read.
    #[error("its snapshot cannot be read: {0}")]
    Snapshot(String),
    /// An entry cannot be read.
    #[error("entry {seq} cannot be read: {why}")]
    Unreadable {
        /// Which: all before it can be.
        seq: u64,
        /// Why.
        why: String,
    },
    /// The chain is not whole.
    #[error(transparent)]
    Broken(#[from] BrokenAt),
    /// An entry does not fit those before it.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// There are entries that the snapshot does not count.
    #[error("the snapshot is at entry {snapshot}, and there is an entry {last}")]
    Behind {
        /// The entry that the snapshot says it is at.
        snapshot: u64,
        /// The last entry.
        last: u64,
    },
    /// An invoice or a checkout has proven two grants that were both left standing.
    #[error("{proof} has granted entry {seq}, and entry {other_seq} of account {other}")]
    ProvenTwice {
        /// The invoice or checkout.
        proof: Proof,
        /// The second grant.
        seq: u64,
        /// Whose the first is.
        other: AccountId,
        /// The first.
        other_seq: u64,
    },
    /// An invoice or a checkout has proven a grant, and is not noted as used up.
    #[error("{proof} has granted entry {seq}, and could grant again")]
    Unclaimed {
        /// The invoice or checkout.
        proof: Proof,
        /// The grant.
        seq: u64,
    },
    /// The snapshot is not what the entries amount to.
    #[error("the snapshot at entry {seq} is not the fold of the entries")]
    Differs {
        /// The entry that the snapshot says it is at.
        seq: u64,
    },
}

/// An account that is whole.
#[derive(Debug)]
pub struct Whole {
    /// Its head.
    pub head: Head,
    /// Its grants on an invoice's line or a checkout, by their entries, without those that were reversed whole.
    pub grants: Vec<(u64, Proof, String)>,
}

/// What was found in all accounts.
#[derive(Debug, Default)]
pub struct Audit {
    /// How many there are.
    pub accounts: u64,
    /// The entries of those that are whole.
    pub entries: u64,
    /// Their heads.
    pub heads: Vec<(ClinicId, Head)>,
    /// What is wrong with the others.
    pub defects: Vec<(ClinicId, ClientId, Defect)>,
}

/// Verifies all accounts, those that only have entries, and those that heads were kept of. `progress`
/// is told after each how many are done.
///
/// # Errors
/// What the store says.
pub async fn audit(
    store: &dyn Store,
    anchors: &[Anchor],
    mut progress: impl FnMut(u64),
) -> Result<Audit, StoreError> {
    let all = store.accounts().await?.into_iter();
    let mut all: BTreeSet<(Uuid, Uuid)> = all.map(|(clinic, id)| (clinic.0, id.0)).collect();
    let mut kept: BTreeMap<(Uuid, Uuid), Vec<Head>> = BTreeMap::new();
    for Anchor { clinic, head, .. } in anchors {
        let Some(head) = head else { continue };
        let account = (clinic.0, head.account.0);
        kept.entry(account).or_default().push(*head);
        all.insert(account);
    }
    let mut audit = Audit::default();
    let mut proven = BTreeMap::new();
    for account in all {
        let (clinic, client) = (ClinicId(account.0), ClientId(account.1));
        let anchors = kept.get(&account).map_or(&[][..], Vec::as_slice);
        match verify(store, clinic, client, anchors).await? {
            Ok(Whole { head, grants }) => {
                audit.entries += head.seq;
                audit.heads.push((clinic, head));
                for (seq, proof, line) in grants {
                    if !is_claimed(store, clinic, &proof, &line).await? {
                        let proof = proof.clone();
                        let defect = Defect::Unclaimed { proof, seq };
                        audit.defects.push((clinic, client, defect));
                    }
                    let grant = (head.account, seq);
                    let known = proven.entry((clinic.0, proof.clone(), line));
                    let (other, other_seq) = *known.or_insert(grant);
                    if (other, other_seq) != grant {
                        let defect = Defect::ProvenTwice {
                            proof,
                            seq,
                            other,
                            other_seq,
                        };
                        audit.defects.push((clinic, client, defect));
                    }
                }
            }
            Err(defect) => audit.defects.push((clinic, client, defect)),
        }
        audit.accounts += 1;
        progress(audit.accounts);
    }
    Ok(audit)
}

/// Whether a line of an invoice, or a checkout, is noted as used up, whichever grant it is noted with.
async fn is_claimed(
    store: &dyn Store,
    clinic: ClinicId,
    proof: &Proof,
    line: &str,
) -> Result<bool, StoreError> {
    match store.proven(clinic, proof).await {
        Ok(entries) => Ok(entries.iter().any(|entry| {
            let proven = entry.proof();
            proven.is_some_and(|(found, of)| found == *proof && of == line)
        })),
        // The check of its own account names it.
        Err(StoreError::Corrupt { .. } | StoreError::NewerEntry { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// All entries of an account after a number and through another, oldest first. One that cannot be read
/// ends them.
///
/// # Errors
/// What the store says, and [`Defect::Unreadable`].
pub async fn entries(
    store: &dyn Store,
    clinic: ClinicId,
    client: ClientId,
    after: u64,
    through: u64,
) -> Result<Result<Vec<Entry>, Defect>, StoreError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut limit = PAGE_MAX;
    loop {
        let last = entries.last().map_or(after, |entry| entry.seq);
        match store.entries(clinic, client, last, limit).await {
            Ok(mut more) => {
                more.retain(|entry| entry.seq <= through);
                if more.is_empty() {
                    return Ok(Ok(entries));
                }
                entries.extend(more);
            }
            // Which of the page is it?
            Err(StoreError::Corrupt { .. } | StoreError::NewerEntry { .. }) if limit > 1 => {
                limit = 1;
            }
            Err(error @ (StoreError::Corrupt { .. } | StoreError::NewerEntry { .. })) => {
                let (seq, why) = (last + 1, cause(&error));
                return Ok(Err(Defect::Unreadable { seq, why }));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Verifies an account: its chain, against the heads that were kept, and its snapshot, which must be
/// the fold of its entries. It does not look at the journal.
///
/// The entries are read first, then the snapshot, which counts them all, then those that it counts
/// and that came meanwhile. So it may be asked while the service works.
///
/// # Errors
/// What the store says. What is wrong with the account is the inner error.
pub async fn verify(
    store: &dyn Store,
    clinic: ClinicId,
    client: ClientId,
    anchors: &[Head],
) -> Result<Result<Whole, Defect>, StoreError> {
    let mut entries = match entries(store, clinic, client, 0, u64::MAX).await? {
        Ok(entries) => entries,
        Err(defect) => return Ok(Err(defect)),
    };
    let snapshot = match store.account(clinic, client).await {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return Ok(Err(Defect::Missing)),
        Err(error @ (StoreError::Corrupt { .. } | StoreError::Distrusted { .. })) => {
            return Ok(Err(Defect::Snapshot(cause(&error))));
        }
        Err(error) => return Err(error),
    };
    let last = entries.last().map_or(0, |entry| entry.seq);
    match self::entries(store, clinic, client, last, snapshot.seq()).await? {
        Ok(more) => entries.extend(more),
        Err(defect) => return Ok(Err(defect)),
    }
    Ok(check(&snapshot, AccountId(client.0), &entries, anchors))
}

fn check(
    snapshot: &Account,
    account: AccountId,
    entries: &[Entry],
    anchors: &[Head],
) -> Result<Whole, Defect> {
    let head = verify_anchored(account, entries, anchors)?;
    if head.seq > snapshot.seq() {
        let (snapshot, last) = (snapshot.seq(), head.seq);
        return Err(Defect::Behind { snapshot, last });
    }
    let account = fold(account, entries)?;
    if snapshot.is_snapshot_of(&account) {
        let grants = entries.iter().filter_map(|entry| {
            let Body::Grant { lot, .. } = entry.body else {
                return None;
            };
            let (proof, line) = entry.proof()?;
            let is_gone = account.lot(lot).is_some_and(Lot::is_gone);
            (!is_gone).then_some((entry.seq, proof, line))
        });
        let grants = grants.collect();
        Ok(Whole { head, grants })
    } else {
        Err(Defect::Differs {
            seq: snapshot.seq(),
        })
    }
}

fn cause(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
