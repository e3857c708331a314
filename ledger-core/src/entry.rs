//! Entries: what the ledger consists of.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::amount::Credits;
use crate::evidence::{Evidence, Source};
use crate::hash::{Canonical, Hash};
use crate::id::{AccountId, HoldId, LotNumber, ServiceId};
use crate::instant::{micros, micros_option};
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
    /// From when it counts: a grant's own start, otherwise the time of recording.
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

/// What an entry records. Stored as JSON with the kind's name under `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Body {
    /// A new lot: outside → available.
    Grant {
        /// The lot's number: one more than the account's last.
        lot: LotNumber,
        /// What its credits pay for.
        service: ServiceId,
        /// How many. Positive.
        amount: Credits,
        /// Where they come from.
        source: Source,
        /// What the grant rests on.
        evidence: Evidence,
        /// The first slot start it is valid for.
        #[serde(with = "micros")]
        effective_at: DateTime<Utc>,
        /// The first slot start it is no longer valid for; none: it does not expire.
        #[serde(default, with = "micros_option")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Available → held.
    Hold {
        /// The hold that begins.
        hold: HoldId,
        /// What is booked.
        service: ServiceId,
        /// How many credits; the sum of the allocation.
        amount: Credits,
        /// When the booked slot starts.
        #[serde(with = "micros")]
        slot_start: DateTime<Utc>,
        /// From which lots.
        allocation: Vec<Part>,
    },
    /// Held → available: the hold ends.
    Release {
        /// The hold that ends.
        hold: HoldId,
        /// What it ends in. Used and forfeited announce the second entry of a linked pair.
        reason: ReleaseReason,
        /// Into which lots: those of the hold.
        allocation: Vec<Part>,
    },
    /// Available → used: the second of a linked pair, directly after its release.
    Use {
        /// The hold that ended.
        hold: HoldId,
        /// From which lots: those of the hold.
        allocation: Vec<Part>,
    },
    /// Available → forfeited: the second of a linked pair, directly after its release.
    Forfeit {
        /// The hold that ended.
        hold: HoldId,
        /// Why.
        reason: ForfeitReason,
        /// From which lots: those of the hold.
        allocation: Vec<Part>,
    },
    /// Moves nothing: the booking has another slot, and keeps its hold and the hold's lots.
    Rescheduled {
        /// The hold that stays.
        hold: HoldId,
        /// Which of the booking's slots this is; it grows.
        slot_version: u32,
        /// When the slot started before.
        #[serde(with = "micros")]
        from: DateTime<Utc>,
        /// When it starts now.
        #[serde(with = "micros")]
        to: DateTime<Utc>,
    },
}

/// A part of an allocation: so many credits of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The lot.
    pub lot: LotNumber,
    /// How many. Positive.
    pub amount: Credits,
}

/// What a hold ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReleaseReason {
    /// The client cancelled in time.
    Cancelled,
    /// The clinic cancelled.
    ClinicCancelled,
    /// This one of a series is skipped.
    Skipped,
    /// The session took place: a [`Body::Use`] follows. Not for a release command.
    Used,
    /// The credit is lost: a [`Body::Forfeit`] follows. Not for a release command.
    Forfeited,
}

/// Why a credit is forfeited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForfeitReason {
    /// Cancelled after the free window.
    LateCancel,
    /// Not cancelled, and nobody came.
    NoShow,
}

impl Entry {
    /// The entry that a row holds. What it says is not checked here: [`verify`](crate::verify)
    /// does, over the account's whole chain, and [`Entry::is_sealed`] for this one alone.
    #[must_use]
    pub fn from_stored(row: Stored) -> Entry {
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
        Entry {
            account,
            seq,
            key,
            body,
            effective_at,
            recorded_at,
            prev_hash,
            hash,
        }
    }

    /// The hash is that of the contents.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        Hash::of(&self.canonical_bytes()) == self.hash
    }

    /// The bytes that are hashed, independent of any stored form.
    ///
    /// Each field is its length (four bytes) and then itself; numbers are big-endian (ordinals,
    /// generations, slot versions and counts four bytes, `seq` eight, credits eight and signed),
    /// ids are sixteen bytes, instants signed microseconds since 1970 in eight bytes (an absent
    /// one: empty), the rest is the text of its stored name. First a domain tag, the previous
    /// hash, account, seq, key, effective and recorded time, and the kind; then the fields of the
    /// body in the order of its declaration, where a hold id is booking and generation, evidence
    /// its kind and fields, an allocation its count of parts and each part's lot and amount.
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

impl Body {
    /// The kind's stored name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Body::Grant { .. } => "grant",
            Body::Hold { .. } => "hold",
            Body::Release { .. } => "release",
            Body::Use { .. } => "use",
            Body::Forfeit { .. } => "forfeit",
            Body::Rescheduled { .. } => "rescheduled",
        }
    }

    /// The hold it is about, if it is about one.
    #[must_use]
    pub fn hold(&self) -> Option<HoldId> {
        match self {
            Body::Grant { .. } => None,
            Body::Hold { hold, .. }
            | Body::Release { hold, .. }
            | Body::Use { hold, .. }
            | Body::Forfeit { hold, .. }
            | Body::Rescheduled { hold, .. } => Some(*hold),
        }
    }

    /// The lots whose credits it moves from one bucket to another. A grant moves none: it brings
    /// its lot.
    #[must_use]
    pub fn allocation(&self) -> &[Part] {
        match self {
            Body::Grant { .. } | Body::Rescheduled { .. } => &[],
            Body::Hold { allocation, .. }
            | Body::Release { allocation, .. }
            | Body::Use { allocation, .. }
            | Body::Forfeit { allocation, .. } => allocation,
        }
    }

    fn write(&self, to: &mut Canonical<'_>) {
        to.text(self.kind());
        if let Some(hold) = self.hold() {
            to.bytes(hold.booking.as_bytes()).u32(hold.generation);
        }
        match self {
            Body::Grant {
                lot,
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
            } => {
                to.u32(lot.0)
                    .bytes(service.0.as_bytes())
                    .i64(amount.0)
                    .text(source.as_str());
                match evidence {
                    Evidence::Manual { actor, reason } => {
                        to.text("manual")
                            .bytes(actor.as_bytes())
                            .text(reason.as_str());
                    }
                }
                to.instant(*effective_at).instant_option(*expires_at);
            }
            Body::Hold {
                hold: _,
                service,
                amount,
                slot_start,
                allocation,
            } => {
                to.bytes(service.0.as_bytes())
                    .i64(amount.0)
                    .instant(*slot_start);
                write_parts(allocation, to);
            }
            Body::Release {
                hold: _,
                reason,
                allocation,
            } => {
                to.text(reason.as_str());
                write_parts(allocation, to);
            }
            Body::Use {
                hold: _,
                allocation,
            } => write_parts(allocation, to),
            Body::Forfeit {
                hold: _,
                reason,
                allocation,
            } => {
                to.text(reason.as_str());
                write_parts(allocation, to);
            }
            Body::Rescheduled {
                hold: _,
                slot_version,
                from,
                to: until,
            } => {
                to.u32(*slot_version).instant(*from).instant(*until);
            }
        }
    }
}

fn write_parts(parts: &[Part], to: &mut Canonical<'_>) {
    to.u32(u32::try_from(parts.len()).unwrap_or(u32::MAX));
    for part in parts {
        to.u32(part.lot.0).i64(part.amount.0);
    }
}

impl ReleaseReason {
    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ReleaseReason::Cancelled => "cancelled",
            ReleaseReason::ClinicCancelled => "clinic_cancelled",
            ReleaseReason::Skipped => "skipped",
            ReleaseReason::Used => "used",
            ReleaseReason::Forfeited => "forfeited",
        }
    }
}

impl ForfeitReason {
    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ForfeitReason::LateCancel => "late_cancel",
            ForfeitReason::NoShow => "no_show",
        }
    }
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ForfeitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
