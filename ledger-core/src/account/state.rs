//! The state of an account: the fold of its entries, as far as decisions need it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account::snapshot::Snapshot;
use crate::amount::{Credits, Overflow};
use crate::body::Part;
use crate::chain::Head;
use crate::id::{AccountId, HoldId, LotId, LotNumber, ServiceId};
use crate::instant::{micros, micros_option, whole_micros};
use crate::lot::{self, Balance, Extension, Lot};

/// An account: its lots, its open holds and the head of its chain.
///
/// The head's hash stands for the whole history, and is the hash of this state. What has ended
/// is not here: the size is bounded by what is open, plus a few numbers for each lot.
///
/// Serde writes a snapshot with `"v": 3`, and reads that and version 2, and each only if its numbers agree with each
/// other. Whether they agree with the entries, [`fold`](crate::fold) tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Snapshot", into = "Snapshot")]
pub struct Account {
    pub(super) head: Head,
    /// Of the last entry: the time of recording does not run backwards.
    pub(super) recorded_at: Option<DateTime<Utc>>,
    /// Lot `n` is at index `n - 1`.
    pub(super) lots: Vec<Lot>,
    pub(super) holds: BTreeMap<HoldId, OpenHold>,
    /// Between the two entries of a linked pair.
    pub(super) pair: Option<Pair>,
    /// The sum over the lots, so that asking for it does not depend on their number.
    pub(super) total: Balance,
}

/// A hold that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenHold {
    /// Its id, which a reschedule keeps.
    pub id: HoldId,
    /// What is booked.
    pub service: ServiceId,
    /// When the booked slot starts, after the last reschedule.
    #[serde(with = "micros")]
    pub slot_start: DateTime<Utc>,
    /// Of the last reschedule, if there was one.
    #[serde(default)]
    pub slot_version: Option<u32>,
    /// From which lots, from its beginning to its end.
    pub allocation: Vec<Part>,
    /// The number of the entry that began it; `None` if it began before holds remembered that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The start of the slot after its lot's end that it was taken for, and needs an extension for. Moved
    /// to a later one it needs no other; moved to before the lot's end, none.
    #[serde(
        default,
        with = "micros_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub extended: Option<DateTime<Utc>>,
    /// The entry of the clawback that took its credit, until that is reinstated. It can be
    /// released and rescheduled then, and not be used or forfeited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clawed_by: Option<u64>,
}

/// A release that announced its second entry, which must be the account's next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    pub(super) hold: HoldId,
    pub(super) second: Second,
    pub(super) allocation: Vec<Part>,
}

/// The kind of the second entry of a linked pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Second {
    Use,
    Forfeit,
}

impl Account {
    /// A new account, without entries.
    #[must_use]
    pub fn open(id: AccountId) -> Account {
        Account {
            head: Head::empty(id),
            recorded_at: None,
            lots: Vec::new(),
            holds: BTreeMap::new(),
            pair: None,
            total: Balance::default(),
        }
    }

    /// Whose account it is.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.head.account
    }

    /// The number of entries.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.head.seq
    }

    /// The head of the chain. Its hash is the state's hash.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// All credits by bucket, of whatever service, and all that is owed. Takes the same time for any number of lots.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.total
    }

    /// The credits of one service by bucket, expired or not yet valid ones included.
    #[must_use]
    pub fn balance_for(&self, service: ServiceId) -> Balance {
        let lots = self.lots.iter().filter(|lot| lot.service == service);
        sum(lots).expect("a part of the total, which fits")
    }

    /// When the next lot with available credits comes to its end: when a [`Command::Expire`]
    /// has something to do.
    ///
    /// [`Command::Expire`]: crate::Command::Expire
    #[must_use]
    pub fn next_due_at(&self) -> Option<DateTime<Utc>> {
        let open = self.lots.iter().filter(|lot| {
            let end = lot.expires_at;
            end.is_some_and(|end| lot.is_due_at(end))
        });
        open.filter_map(|lot| lot.expires_at).min()
    }

    /// The lots whose end has come and that have credits to expire, for a [`Command::Expire`]
    /// each.
    ///
    /// [`Command::Expire`]: crate::Command::Expire
    pub fn due(&self, now: DateTime<Utc>) -> impl Iterator<Item = LotId> {
        let at = whole_micros(now);
        let due = self.lots.iter().filter(move |lot| lot.is_due_at(at));
        due.map(|lot| self.lot_id(lot.number))
    }

    /// A lot's name in the ledger as a whole.
    #[must_use]
    pub fn lot_id(&self, number: LotNumber) -> LotId {
        LotId {
            account: self.id(),
            number,
        }
    }

    /// This snapshot is the fold of the account's entries, as far as it says. One that was stored
    /// before holds and lots remembered what began them does not say that.
    #[must_use]
    pub fn is_snapshot_of(&self, fold: &Account) -> bool {
        let mut snapshot = self.clone();
        for (id, open) in &mut snapshot.holds {
            if open.since.is_none() {
                open.since = fold.holds.get(id).and_then(|folded| folded.since);
            }
        }
        for (lot, folded) in snapshot.lots.iter_mut().zip(&fold.lots) {
            lot.brought = lot.brought.or(folded.brought);
        }
        snapshot == *fold
    }

    /// The lots in the order of their numbers.
    #[must_use]
    pub fn lots(&self) -> &[Lot] {
        &self.lots
    }

    /// A lot by its number.
    #[must_use]
    pub fn lot(&self, number: LotNumber) -> Option<&Lot> {
        self.lots.get(index(number)?)
    }

    /// A lot's available credits by the slots they are good for: how many, and before which instant
    /// the slot starts; `None`: at any time from the lot's start on. What ends first comes first.
    #[must_use]
    pub fn good_until(&self, lot: &Lot) -> Vec<(Credits, Option<DateTime<Utc>>)> {
        lot.good_until(&self.lasting(lot, None))
    }

    /// A lot's extensions, the one that lasts longest first, with as many credits as no hold needs of
    /// them. A hold needs the one that ends first of those that reach its slot; `spared` only if no other
    /// is left.
    pub(super) fn lasting(&self, lot: &Lot, spared: Option<Uuid>) -> Vec<Extension> {
        let mut lasting = lot.extensions.clone();
        lasting.sort_by_key(|one| (one.until.is_some(), std::cmp::Reverse(one.until)));
        let Some(end) = lot.expires_at.filter(|_| !lasting.is_empty()) else {
            return lasting;
        };
        let backed = self.holds.values().filter(|open| open.clawed_by.is_none());
        let late = backed.filter(|open| open.slot_start >= end);
        let mut late: Vec<_> = late
            .filter_map(|open| Some((open.extended?, open)))
            .collect();
        late.sort_by_key(|(slot, _)| std::cmp::Reverse(*slot));
        for (slot, open) in late {
            let parts = open.allocation.iter().filter(|part| part.lot == lot.number);
            for part in parts {
                lot::spend(&mut lasting, slot, part.amount, spared);
            }
        }
        lasting
    }

    /// The open holds in the order of their ids.
    pub fn holds(&self) -> impl Iterator<Item = &OpenHold> {
        self.holds.values()
    }

    /// A hold, while it is open.
    #[must_use]
    pub fn hold(&self, id: HoldId) -> Option<&OpenHold> {
        self.holds.get(&id)
    }

    /// The open hold of a booking, of whatever generation. A booking has one at most.
    pub(super) fn hold_of(&self, id: HoldId) -> Option<&OpenHold> {
        let HoldId { booking, .. } = id;
        let first = HoldId {
            booking,
            generation: 0,
        };
        let last = HoldId {
            booking,
            generation: u32::MAX,
        };
        self.holds.range(first..=last).map(|(_, open)| open).next()
    }

    pub(super) fn lot_mut(&mut self, number: LotNumber) -> Option<&mut Lot> {
        self.lots.get_mut(index(number)?)
    }

    /// The number of the next lot; `None` when the numbers have run out.
    pub(super) fn next_lot(&self) -> Option<LotNumber> {
        let last = u32::try_from(self.lots.len()).ok()?;
        last.checked_add(1).map(LotNumber)
    }
}

pub(super) fn index(number: LotNumber) -> Option<usize> {
    usize::try_from(number.0).ok()?.checked_sub(1)
}

pub(super) fn sum<'a>(mut lots: impl Iterator<Item = &'a Lot>) -> Result<Balance, Overflow> {
    lots.try_fold(Balance::default(), |sum, lot| sum.plus(lot.balance))
}
