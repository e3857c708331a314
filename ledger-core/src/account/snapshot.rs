//! The stored form of an account, and what must agree in it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::account::state::{Account, OpenHold, Pair, index, sum};
use crate::amount::Credits;
use crate::body::Part;
use crate::chain::Head;
use crate::id::LotNumber;
use crate::instant::micros_option;
use crate::lot::{Extension, Lot};

/// The stored form of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snapshot {
    v: u32,
    head: Head,
    #[serde(default, with = "micros_option")]
    recorded_at: Option<DateTime<Utc>>,
    lots: Vec<Lot>,
    holds: Vec<OpenHold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pair: Option<Pair>,
}

const VERSION: u32 = 3;
/// Before lots had extensions, and said what was kept after their end and what a person took.
const BEFORE_EXTENSIONS: u32 = 2;

/// An account without its [finished lots](Lot::is_finished): what every command changes. A store that keeps
/// both parts apart rewrites the finished lots only when they change.
///
/// ```
/// use ledger_core::{Account, AccountId, Unfinished};
/// use uuid::Uuid;
///
/// let account = Account::open(AccountId(Uuid::from_u128(1)));
/// let stored = serde_json::to_string(&account.unfinished())?;
/// let finished: Vec<_> = account.finished().cloned().collect();
///
/// let read: Unfinished = serde_json::from_str(&stored)?;
/// assert_eq!(read.with(finished)?, account);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unfinished(Snapshot);

impl Unfinished {
    /// The account of these and its finished lots. A snapshot of a whole account has all its lots.
    ///
    /// # Errors
    /// [`BadSnapshot`] if they do not agree with each other.
    pub fn with(self, finished: Vec<Lot>) -> Result<Account, BadSnapshot> {
        let mut snapshot = self.0;
        snapshot.lots.extend(finished);
        snapshot.lots.sort_by_key(|lot| lot.number);
        Account::try_from(snapshot)
    }
}

impl Account {
    /// What every command changes: the account without its finished lots.
    #[must_use]
    pub fn unfinished(&self) -> Unfinished {
        let lots = self.lots.iter().filter(|lot| !lot.is_finished());
        Unfinished(Snapshot {
            v: VERSION,
            head: self.head,
            recorded_at: self.recorded_at,
            lots: lots.cloned().collect(),
            holds: self.holds().cloned().collect(),
            pair: self.pair.clone(),
        })
    }

    /// The [finished lots](Lot::is_finished), in the order of their numbers.
    pub fn finished(&self) -> impl Iterator<Item = &Lot> {
        self.lots.iter().filter(|lot| lot.is_finished())
    }
}

impl From<Account> for Snapshot {
    fn from(account: Account) -> Snapshot {
        let Account {
            head,
            recorded_at,
            lots,
            holds,
            pair,
            total: _,
        } = account;
        Snapshot {
            v: VERSION,
            head,
            recorded_at,
            lots,
            holds: holds.into_values().collect(),
            pair,
        }
    }
}

impl TryFrom<Snapshot> for Account {
    type Error = BadSnapshot;

    fn try_from(snapshot: Snapshot) -> Result<Account, BadSnapshot> {
        let Snapshot {
            v,
            head,
            recorded_at,
            mut lots,
            holds,
            pair,
        } = snapshot;
        match v {
            VERSION => {}
            BEFORE_EXTENSIONS => upgrade(&mut lots)?,
            _ => return Err(BadSnapshot::Version { v }),
        }
        let total = sum(lots.iter()).and_then(|sum| sum.total().map(|_| sum));
        let total = total.map_err(|_| BadSnapshot::TooMuch)?;
        for (lot, ordinal) in lots.iter().zip(1..) {
            if lot.number != LotNumber(ordinal) {
                return Err(BadSnapshot::Ordinal {
                    ordinal,
                    found: lot.number,
                });
            }
            if !lot.balance.is_sound() || lot.balance.total() != Ok(lot.granted) {
                return Err(BadSnapshot::Lot { lot: lot.number });
            }
            if !is_extended_soundly(lot) {
                return Err(BadSnapshot::Extended { lot: lot.number });
            }
            if !is_recalled_soundly(lot) || !is_rooted(lot, &lots) {
                return Err(BadSnapshot::Recalled { lot: lot.number });
            }
        }
        let count = holds.len();
        let holds: BTreeMap<_, _> = holds.into_iter().map(|open| (open.id, open)).collect();
        let account = Account {
            head,
            recorded_at,
            lots,
            holds,
            pair,
            total,
        };
        if account.holds.len() == count && account.held_by_lot() == account.held_by_hold()? {
            Ok(account)
        } else {
            Err(BadSnapshot::Holds)
        }
    }
}

impl Account {
    fn held_by_lot(&self) -> BTreeMap<LotNumber, Credits> {
        let held = self
            .lots
            .iter()
            .filter(|lot| lot.balance.held != Credits::ZERO);
        held.map(|lot| (lot.number, lot.balance.held)).collect()
    }

    fn held_by_hold(&self) -> Result<BTreeMap<LotNumber, Credits>, BadSnapshot> {
        let mut held = BTreeMap::new();
        let backed = self.holds.values().filter(|open| open.clawed_by.is_none());
        for part in backed.flat_map(|open| &open.allocation) {
            if !part.amount.is_positive() {
                return Err(BadSnapshot::Holds);
            }
            let sum = held.entry(part.lot).or_insert(Credits::ZERO);
            *sum = sum.plus(part.amount).map_err(|_| BadSnapshot::Holds)?;
        }
        Ok(held)
    }
}

/// What version 2 did not say. All that was available after a lot's end was kept; what was clawed by
/// neither clawbacks nor repayments was taken by a person.
fn upgrade(lots: &mut [Lot]) -> Result<(), BadSnapshot> {
    let mut taken: BTreeMap<LotNumber, i64> = BTreeMap::new();
    let mut add = |lot: LotNumber, more: i64| {
        let sum = taken.entry(lot).or_insert(0);
        *sum = sum.checked_add(more).ok_or(BadSnapshot::TooMuch)?;
        Ok(())
    };
    let root = |number: LotNumber| {
        let lot = index(number).and_then(|index| lots.get(index));
        lot.map_or(number, Lot::root)
    };
    for lot in lots.iter() {
        add(lot.root(), lot.balance.clawed.0)?;
        add(lot.number, lot.balance.debt.0)?;
        add(
            lot.number,
            lot.recalled.0.checked_neg().ok_or(BadSnapshot::TooMuch)?,
        )?;
        for part in &lot.repaid {
            // Once as what the debtor owes no more, once as what the payer has no more.
            add(lot.number, part.amount.0)?;
            add(
                root(part.lot),
                part.amount.0.checked_neg().ok_or(BadSnapshot::TooMuch)?,
            )?;
        }
    }
    for lot in lots {
        lot.taken = Credits(taken.get(&lot.number).copied().unwrap_or(0).max(0));
        if lot.ended {
            lot.kept = lot.balance.available;
        }
    }
    Ok(())
}

/// What a lot keeps is available, and what outlives it ends after it.
fn is_extended_soundly(lot: &Lot) -> bool {
    let outlives = |one: &Extension| {
        let end = lot.expires_at;
        let later = end.is_some_and(|end| one.until.is_none_or(|until| end < until));
        later && one.left.is_positive()
    };
    let kept = Credits::ZERO..=lot.balance.available;
    kept.contains(&lot.kept) && lot.taken >= Credits::ZERO && lot.extensions.iter().all(outlives)
}

/// What is recalled of a lot was granted, and its debt and what was repaid are part of it.
fn is_recalled_soundly(lot: &Lot) -> bool {
    let add = |sum: Credits, part: &Part| {
        let positive = part.amount.is_positive();
        sum.plus(part.amount).ok().filter(|_| positive)
    };
    let owed = lot.repaid.iter().try_fold(lot.balance.debt, add);
    let left = lot.granted.minus(lot.recalled);
    owed.is_some_and(|owed| owed <= lot.recalled) && left.is_ok_and(|left| left >= Credits::ZERO)
}

/// A transferred lot's origin is a lot before it that was not transferred, and it owes nothing.
fn is_rooted(lot: &Lot, lots: &[Lot]) -> bool {
    let Some(origin) = lot.origin else {
        return true;
    };
    let before = index(origin).and_then(|index| lots.get(index));
    let granted = before.is_some_and(|root| root.origin.is_none() && origin < lot.number);
    let brought = lot.brought.is_none_or(|brought| {
        let from = index(brought.from).and_then(|index| lots.get(index));
        from.is_some_and(|from| from.root() == origin && from.number < lot.number)
    });
    granted && brought && lot.recalled == Credits::ZERO
}

/// A snapshot whose numbers do not agree with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSnapshot {
    /// Of another version.
    #[error("version {v} of a snapshot is not known")]
    Version {
        /// The version.
        v: u32,
    },
    /// A lot is missing or out of its place.
    #[error("lot {found} is in the place of lot {ordinal}")]
    Ordinal {
        /// The number of the place.
        ordinal: u32,
        /// The lot that is there.
        found: LotNumber,
    },
    /// A lot has a negative bucket, or its buckets do not sum to what was granted.
    #[error("the buckets of lot {lot} do not sum to what was granted")]
    Lot {
        /// The lot.
        lot: LotNumber,
    },
    /// A lot has more recalled or repaid than it can, or an origin that is none.
    #[error("what is recalled or owed of lot {lot}, or its origin, cannot be")]
    Recalled {
        /// The lot.
        lot: LotNumber,
    },
    /// A lot keeps more than is available, or is extended to an end that does not come after its own.
    #[error("what is kept or taken of lot {lot}, or an extension of it, cannot be")]
    Extended {
        /// The lot.
        lot: LotNumber,
    },
    /// The lots together hold more than can be counted.
    #[error("the lots' sum does not fit 64 bits")]
    TooMuch,
    /// What the lots have as held is not what the open holds take.
    #[error("the open holds do not sum to what the lots hold")]
    Holds,
}
