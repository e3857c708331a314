//! The hash chain: every entry's hash covers its contents and the hash of the entry before.
//!
//! So an edit, a deletion in the middle, a swap or an insertion is found by whoever holds the
//! entries alone. That the *end* was cut off, or all of it written anew, is found against heads
//! kept elsewhere, day by day: [`verify_anchored`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::canonical::Canonical;
use crate::entry::Entry;
use crate::hash::Hash;
use crate::id::AccountId;
use crate::key::Key;

/// Where a chain ends. The hash stands for the whole history, and so for the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Whose chain.
    pub account: AccountId,
    /// The number of entries.
    pub seq: u64,
    /// The hash of the last one; of an empty chain, the [`genesis`].
    pub hash: Hash,
}

impl Head {
    /// The head of a chain without entries.
    #[must_use]
    pub fn empty(account: AccountId) -> Head {
        Head {
            account,
            seq: 0,
            hash: genesis(account),
        }
    }

    /// The next entry of the chain; `None` when the numbers have run out.
    pub(crate) fn seal(
        self,
        key: Key,
        body: Body,
        effective_at: DateTime<Utc>,
        recorded_at: DateTime<Utc>,
    ) -> Option<Entry> {
        let Head {
            account,
            seq,
            hash: prev_hash,
        } = self;
        let seq = seq.checked_add(1)?;
        let hash = prev_hash; // until there is something to hash
        let mut entry = Entry {
            account,
            seq,
            key,
            body,
            effective_at,
            recorded_at,
            prev_hash,
            hash,
        };
        entry.hash = Hash::of(&entry.canonical_bytes());
        Some(entry)
    }

    /// The head once `entry` is the last. Does not check that it fits.
    pub(crate) fn after(entry: &Entry) -> Head {
        Head {
            account: entry.account,
            seq: entry.seq,
            hash: entry.hash,
        }
    }
}

/// What the first entry of an account has for a previous hash. It depends on the account, so that
/// no chain can be passed off as another account's.
#[must_use]
pub fn genesis(account: AccountId) -> Hash {
    let mut bytes = Vec::with_capacity(64);
    Canonical(&mut bytes)
        .text("standing.ledger.genesis.v1")
        .bytes(account.0.as_bytes());
    Hash::of(&bytes)
}

/// Checks an account's chain from its first entry on, in the order given, and returns its head.
///
/// # Errors
/// [`BrokenAt`] names the first place at which the chain is not whole.
pub fn verify<'a>(
    account: AccountId,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Result<Head, BrokenAt> {
    verify_anchored(account, entries, &[])
}

/// The same, and the chain must pass through each of these heads, in whatever order they are: it
/// may have grown since they were kept, but not have lost or exchanged anything before them.
///
/// # Errors
/// [`BrokenAt`] names the first place at which the chain is not whole, or not the one it was.
pub fn verify_anchored<'a>(
    account: AccountId,
    entries: impl IntoIterator<Item = &'a Entry>,
    anchors: &[Head],
) -> Result<Head, BrokenAt> {
    let mut anchors: Vec<&Head> = anchors.iter().collect();
    anchors.sort_by_key(|anchor| anchor.seq);
    let mut anchors = anchors.into_iter().peekable();
    let mut head = Head::empty(account);
    let mut bytes = Vec::with_capacity(512);
    let mut entries = entries.into_iter();
    loop {
        while let Some(anchor) = anchors.next_if(|anchor| anchor.seq <= head.seq) {
            if *anchor != head {
                let how = Break::Anchor {
                    anchored: *anchor,
                    found: head.hash,
                };
                let seq = anchor.seq;
                return Err(BrokenAt { account, seq, how });
            }
        }
        let Some(entry) = entries.next() else {
            break;
        };
        let seq = head.seq.saturating_add(1);
        let broken = |how| Err(BrokenAt { account, seq, how });
        if entry.account != account {
            return broken(Break::Account {
                found: entry.account,
            });
        }
        if entry.seq != seq {
            return broken(Break::Seq { found: entry.seq });
        }
        if entry.prev_hash != head.hash {
            return broken(Break::Link {
                expected: head.hash,
                found: entry.prev_hash,
            });
        }
        entry.write_canonical(&mut bytes);
        let computed = Hash::of(&bytes);
        if entry.hash != computed {
            return broken(Break::Contents {
                computed,
                found: entry.hash,
            });
        }
        head = Head::after(entry);
    }
    match anchors.next() {
        None => Ok(head),
        Some(anchor) => Err(BrokenAt {
            account,
            seq: head.seq.saturating_add(1),
            how: Break::Truncated { anchored: *anchor },
        }),
    }
}

/// The first place at which a chain is not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain of account {account} is broken at entry {seq}: {how}")]
pub struct BrokenAt {
    /// Whose chain.
    pub account: AccountId,
    /// The place, counted from 1: all entries before it are whole.
    pub seq: u64,
    /// What is wrong there.
    pub how: Break,
}

/// What is wrong with a chain at a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Break {
    /// Another account's entry.
    #[error("it belongs to account {found}")]
    Account {
        /// That account.
        found: AccountId,
    },
    /// An entry is missing, doubled or out of its place.
    #[error("entry {found} stands there")]
    Seq {
        /// The number of the entry that stands there.
        found: u64,
    },
    /// It does not follow the entry before.
    #[error("it follows {found}, but the entry before has {expected}")]
    Link {
        /// The hash of the entry before.
        expected: Hash,
        /// The previous hash it names.
        found: Hash,
    },
    /// The chain ends before a head that was kept.
    #[error("the chain ends before it, and once reached entry {}", anchored.seq)]
    Truncated {
        /// The head that was kept.
        anchored: Head,
    },
    /// The chain is whole, but not the one whose head was kept.
    #[error(
        "its hash is {found}, and entry {} of account {} was kept with {}",
        anchored.seq, anchored.account, anchored.hash
    )]
    Anchor {
        /// The head that was kept.
        anchored: Head,
        /// The hash there.
        found: Hash,
    },
    /// Its contents or its hash were changed.
    #[error("its hash is {found}, but its contents have {computed}")]
    Contents {
        /// The hash of its contents.
        computed: Hash,
        /// The hash it carries.
        found: Hash,
    },
}
