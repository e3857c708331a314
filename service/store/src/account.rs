//! Whether an account's row is believed: its snapshot is checked against entries before a decision
//! sees it.
//!
//! The snapshot is a row that a database writer can edit, exchange with another account's, or
//! restore from the past. The entries are a chain, so the check reads them: always the last one,
//! and the whole chain of a short account. The check knows no key: a writer who forges entries and
//! snapshot together is found by anchors alone.

use chrono::{DateTime, Utc};
use ledger_core::{Account, AccountId, BrokenAt, Corrupt, Entry, Head, Lot, fold, verify};

use crate::StoreError;
use crate::rows::json;

/// Accounts of at most so many entries are folded each time a decision needs them.
pub const FOLDED_ENTRIES_MAX: u64 = 200;
/// Longer accounts are folded when the number of their entries is a multiple of this.
pub const FOLDED_EVERY: u64 = 64;

/// Why an account's row is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// The snapshot is another account's.
    #[error("the snapshot belongs to account {found}")]
    OtherAccount {
        /// That account.
        found: AccountId,
    },
    /// The snapshot does not end where the entries end.
    #[error(
        "the snapshot is at entry {} with hash {}, the last stored entry is {} with hash {}",
        snapshot.seq, snapshot.hash, stored.seq, stored.hash
    )]
    Head {
        /// The head that the snapshot names.
        snapshot: Head,
        /// The head that the last entry gives.
        stored: Head,
    },
    /// The chain of entries is not whole.
    #[error(transparent)]
    Broken(#[from] BrokenAt),
    /// An entry does not fit the entries before it.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The row's due time is not the snapshot's.
    #[error("the row is due at {stored:?}, the snapshot at {snapshot:?}")]
    Due {
        /// The row's.
        stored: Option<DateTime<Utc>>,
        /// When the snapshot has a lot that ends.
        snapshot: Option<DateTime<Utc>>,
    },
    /// The snapshot is not what the entries amount to.
    #[error("the snapshot at entry {seq} is not the fold of the entries")]
    Differs {
        /// The entry that the snapshot is at.
        seq: u64,
    },
}

impl Distrust {
    /// The store's answer about this account.
    #[must_use]
    pub fn of(self, account: AccountId) -> StoreError {
        let why = Box::new(self);
        StoreError::Distrusted { account, why }
    }
}

/// The finished lots of an account, to be stored in place of those before; nothing if they are the same.
///
/// # Errors
/// [`StoreError::Corrupt`] if they cannot be written.
pub fn finished(before: Option<&Account>, after: &Account) -> Result<Option<String>, StoreError> {
    let same = match before {
        Some(before) => before.finished().eq(after.finished()),
        None => after.finished().next().is_none(),
    };
    if same {
        return Ok(None);
    }
    let finished: Vec<&Lot> = after.finished().collect();
    json("finished lots", &finished).map(Some)
}

fn is_folded(account: &Account) -> bool {
    account.seq() <= FOLDED_ENTRIES_MAX || account.seq().is_multiple_of(FOLDED_EVERY)
}

/// Returns how many of the account's last entries [`believe`] needs.
#[must_use]
pub fn entries_needed(account: &Account) -> u32 {
    if is_folded(account) {
        // One entry more than the snapshot counts, which must not be there.
        u32::try_from(account.seq().saturating_add(1)).unwrap_or(u32::MAX)
    } else {
        1
    }
}

/// Returns the account if it agrees with its last entries, which are given from the newest on.
///
/// # Errors
/// [`StoreError::Distrusted`] names the account and the difference.
pub fn believe(account: Account, newest_first: Vec<Entry>) -> Result<Account, StoreError> {
    match check(&account, newest_first) {
        Ok(()) => Ok(account),
        Err(why) => Err(why.of(account.id())),
    }
}

fn check(account: &Account, mut entries: Vec<Entry>) -> Result<(), Distrust> {
    let (id, snapshot) = (account.id(), account.head());
    let stored = entries.first().map_or(Head::empty(id), |last| Head {
        account: last.account,
        seq: last.seq,
        hash: last.hash,
    });
    if snapshot != stored {
        return Err(Distrust::Head { snapshot, stored });
    }
    if is_folded(account) {
        entries.reverse();
        verify(id, &entries)?;
        if !account.is_snapshot_of(&fold(id, &entries)?) {
            return Err(Distrust::Differs { seq: snapshot.seq });
        }
    }
    Ok(())
}
