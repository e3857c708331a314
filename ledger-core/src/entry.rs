//! Entries: what the ledger consists of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::canonical::Canonical;
use crate::hash::Hash;
use crate::id::AccountId;
use crate::instant::{micros, whole_micros};
use crate::key::Key;

/// One entry of an account: what moved, under which key, when, and sealed into the chain.
///
/// Entries are made by [`decide`](fn@crate::decide), or read back with [`Entry::from_stored`] or
/// serde. The fields are there to be read: whatever is written to one afterwards,
/// [`verify`](crate::verify) finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Entry {
    /// Whose entry it is.
    pub account: AccountId,
    /// Its place in the account, from 1, without gaps.
    pub seq: u64,
    /// Unique in the ledger.
    pub key: Key,
    /// What it records.
    pub body: Body,
    /// From when it counts: a grant's own start, the end of a lot that expired at it, otherwise
    /// the time of recording. What it moves of a lot counts from the lot's start at the earliest.
    #[serde(with = "micros")]
    pub effective_at: DateTime<Utc>,
    /// When it was written. Never earlier than that of the entry before.
    #[serde(with = "micros")]
    pub recorded_at: DateTime<Utc>,
    /// The hash of the entry before; of the first, the account's [genesis](crate::genesis).
    pub prev_hash: Hash,
    /// SHA-256 over [`Entry::canonical_bytes`].
    pub hash: Hash,
}

/// An entry as a row of a database gives it, column by column, and not believed yet.
#[derive(Clone, Debug)]
pub struct Stored {
    /// See [`Entry::account`].
    pub account: AccountId,
    /// See [`Entry::seq`].
    pub seq: u64,
    /// See [`Entry::key`].
    pub key: Key,
    /// See [`Entry::body`].
    pub body: Body,
    /// See [`Entry::effective_at`]. Unit: whole microseconds.
    pub effective_at: DateTime<Utc>,
    /// See [`Entry::recorded_at`]. Unit: whole microseconds.
    pub recorded_at: DateTime<Utc>,
    /// See [`Entry::prev_hash`].
    pub prev_hash: Hash,
    /// See [`Entry::hash`].
    pub hash: Hash,
}

/// A row of an entry with a time that is not in whole microseconds: what is below is not hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} of account {account} has the time {at:?}, which is not a whole microsecond")]
pub struct SubMicrosecond {
    account: AccountId,
    seq: u64,
    at: DateTime<Utc>,
}

impl Entry {
    /// The entry that a row holds. What it says is not checked here: [`verify`](crate::verify)
    /// does, over the account's whole chain, and [`Entry::is_sealed`] for this one alone.
    ///
    /// # Errors
    /// [`SubMicrosecond`] if a time has digits that the hash does not cover.
    pub fn from_stored(row: Stored) -> Result<Entry, SubMicrosecond> {
        let Stored {
            account,
            seq,
            key,
            body,
            effective_at,
            recorded_at,
            prev_hash,
            hash,
        } = row;
        if let Some(at) = [effective_at, recorded_at]
            .into_iter()
            .find(|at| whole_micros(*at) != *at)
        {
            return Err(SubMicrosecond { account, seq, at });
        }
        Ok(Entry {
            account,
            seq,
            key,
            body,
            effective_at,
            recorded_at,
            prev_hash,
            hash,
        })
    }

    /// The hash is that of the contents.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        Hash::of(&self.canonical_bytes()) == self.hash
    }

    /// The bytes that are hashed, independent of any stored form.
    ///
    /// Each field is its length (four bytes) and then itself; numbers are big-endian (ordinals,
    /// generations, slot versions and counts four bytes, `seq` and the numbers of other entries
    /// eight, credits and minor units of money eight and signed), UUIDs are sixteen bytes, truths
    /// one byte, instants signed microseconds since 1970 in eight bytes; what is absent is empty;
    /// the rest is the text of its stored name. First a domain tag, the previous hash, account,
    /// seq, key, effective and recorded time, and the kind; then the fields of the body in the
    /// order of their declaration, those of a nested value in its place and order, a choice's name
    /// before its fields, and of a list its count before its members.
    ///
    /// A field that was added later is written only if it is there: a clawback's `asked` as the last, a
    /// hold's `extended` as the last, the
    /// `charge` of an invoice's line and of a checkout as their last, announced by 2 more in the byte of
    /// `proration` or `is_paid`.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        self.write_canonical(&mut bytes);
        bytes
    }

    /// [`Entry::canonical_bytes`] into a buffer that is used again.
    pub(crate) fn write_canonical(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        let mut canonical = Canonical(bytes);
        canonical
            .text("standing.ledger.entry.v1")
            .bytes(&self.prev_hash.0)
            .bytes(self.account.0.as_bytes())
            .u64(self.seq)
            .text(self.key.as_str())
            .instant(self.effective_at)
            .instant(self.recorded_at);
        self.body.write(&mut canonical);
    }
}
