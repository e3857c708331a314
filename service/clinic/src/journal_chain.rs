//! The hash chain over a clinic's journal: one hash stands for all lines through a number.
//!
//! The hash of a line is SHA-256 over the tag `standing.journal.v1`, the hash of the clinic's line
//! before, and the line's fields in the order of [`Line`]. The first line follows
//! [`genesis`]. Each field is its length in four bytes, big-endian, and then itself. Numbers are
//! eight bytes, big-endian, instants the microseconds since 1970 as such a number, ids their 16
//! bytes, documents their stored text. A field that may be absent is preceded by one byte: 1 if it
//! is there, 0 if it is not, and nothing follows.
//!
//! The chain is not stored. It is computed when its head is anchored and when it is verified, so
//! writers of one clinic do not wait for each other's lines.

use chrono::{DateTime, Utc};
use ledger_core::Hash;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::ClinicId;

/// A line of the journal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the column of that name")]
pub struct Line {
    pub seq: u64,
    pub subject_kind: String,
    pub subject_id: Uuid,
    pub subject_part: Option<String>,
    pub version: u64,
    pub kind: String,
    pub actor: String,
    pub body: String,
    pub series_id: Option<Uuid>,
    pub history: Option<String>,
    pub at: DateTime<Utc>,
    pub idempotency_key: Option<String>,
    pub request_hash: Option<Vec<u8>>,
    pub rows_written: u64,
}

/// The hash of a clinic's lines through a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalHead {
    /// The number of the last line.
    pub through: u64,
    /// The hash of the last line.
    pub hash: Hash,
}

impl JournalHead {
    /// The head of a journal without lines.
    #[must_use]
    pub fn empty(clinic: ClinicId) -> Self {
        Self {
            through: 0,
            hash: genesis(clinic),
        }
    }

    /// The head after another line of the same clinic.
    #[must_use]
    pub fn after(self, line: &Line) -> Self {
        Self {
            through: line.seq,
            hash: Hash::of(&bytes(self.hash, line)),
        }
    }
}

/// What the first line of a clinic follows. It depends on the clinic, so that no journal can be
/// passed off as another clinic's.
#[must_use]
pub fn genesis(clinic: ClinicId) -> Hash {
    let mut bytes = Vec::with_capacity(64);
    field(&mut bytes, b"standing.journal.genesis.v1");
    field(&mut bytes, clinic.0.as_bytes());
    Hash::of(&bytes)
}

fn bytes(before: Hash, line: &Line) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let to = &mut bytes;
    field(to, b"standing.journal.v1");
    field(to, &before.0);
    field(to, &line.seq.to_be_bytes());
    field(to, line.subject_kind.as_bytes());
    field(to, line.subject_id.as_bytes());
    option(to, line.subject_part.as_deref().map(str::as_bytes));
    field(to, &line.version.to_be_bytes());
    field(to, line.kind.as_bytes());
    field(to, line.actor.as_bytes());
    field(to, line.body.as_bytes());
    option(to, line.series_id.as_ref().map(|id| &id.as_bytes()[..]));
    option(to, line.history.as_deref().map(str::as_bytes));
    field(to, &line.at.timestamp_micros().to_be_bytes());
    option(to, line.idempotency_key.as_deref().map(str::as_bytes));
    option(to, line.request_hash.as_deref());
    field(to, &line.rows_written.to_be_bytes());
    bytes
}

fn field(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("no stored value has 4 GiB");
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(bytes);
}

fn option(to: &mut Vec<u8>, bytes: Option<&[u8]>) {
    to.push(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        field(to, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            seq: 7,
            subject_kind: "entry".to_owned(),
            subject_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0004),
            subject_part: Some("v1/grant/manual/1".to_owned()),
            version: 3,
            kind: "credits_granted".to_owned(),
            actor: "tick".to_owned(),
            body: r#"{"funded":[]}"#.to_owned(),
            series_id: None,
            history: None,
            at: DateTime::from_timestamp_micros(1_772_438_400_613_604).unwrap_or_default(),
            idempotency_key: Some("k".to_owned()),
            request_hash: Some(vec![9; 32]),
            rows_written: 3,
        }
    }

    /// Computed in Python from the module's text:
    /// `f = lambda b: len(b).to_bytes(4, "big") + b`, `o = lambda b: b"\0" if b is None else b"\1" + f(b)`.
    #[test]
    fn the_hash_is_the_documented_one() {
        let empty = JournalHead::empty(ClinicId::FIRST);
        assert_eq!(
            empty.hash.to_string(),
            "9c328c8ed9ec71bdeda994a1f4689112f15cc1ae2e2cc75eb4b4c5ca16fc833d"
        );
        let head = empty.after(&line());
        assert_eq!(
            (head.through, head.hash.to_string().as_str()),
            (
                7,
                "55fa81f4b5c178781479e92dc66ca8ddf012fed88788dedd0d5b6a6f42307461"
            )
        );
    }

    #[test]
    fn every_field_counts() {
        let empty = JournalHead::empty(ClinicId::FIRST);
        let edits: [fn(&mut Line); 14] = [
            |line| line.seq += 1,
            |line| line.subject_kind.push('x'),
            |line| line.subject_id = Uuid::nil(),
            |line| line.subject_part = None,
            |line| line.version += 1,
            |line| line.kind.push('x'),
            |line| line.actor.push('x'),
            |line| line.body.push(' '),
            |line| line.series_id = Some(Uuid::nil()),
            |line| line.history = Some(String::new()),
            |line| line.at += chrono::TimeDelta::microseconds(1),
            |line| line.idempotency_key = Some(String::new()),
            |line| line.request_hash = None,
            |line| line.rows_written += 1,
        ];
        let mut hashes = vec![empty.after(&line()).hash];
        for edit in edits {
            let mut edited = line();
            edit(&mut edited);
            hashes.push(empty.after(&edited).hash);
        }
        let other = ClinicId(Uuid::nil());
        hashes.push(JournalHead::empty(other).after(&line()).hash);
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 16);
    }
}
