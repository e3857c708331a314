//! From an entry to the next state.

use chrono::{DateTime, Utc};

use crate::account::state::{Account, OpenHold, Pair, Second};
use crate::amount::{Credits, Overflow};
use crate::chain::Head;
use crate::entry::{Body, Entry, Part, ReleaseReason};
use crate::id::{AccountId, HoldId, LotNumber};
use crate::lot::{Balance, Bucket, Lot};

/// Applies an entry: the account after it.
///
/// Checks that the entry follows (account, number, previous hash, time) and that it moves only
/// what is there, so no history, however stored, makes a bucket negative or ends a hold twice.
/// Does not hash: that an entry is what was written, [`verify`](crate::verify) tells. Nor does it
/// ask whether a decision was right, such as which lot was taken: what was decided stands.
///
/// # Errors
/// [`Corrupt`], if the entry does not fit. What [`decide`](fn@crate::decide) returns for this
/// account always does.
pub fn evolve(mut account: Account, entry: &Entry) -> Result<Account, Corrupt> {
    match account.apply(entry) {
        Ok(()) => Ok(account),
        Err(misfit) => Err(Corrupt {
            account: account.id(),
            seq: entry.seq,
            misfit,
        }),
    }
}

/// The account that a list of entries amounts to, from its first entry on.
///
/// # Errors
/// [`Corrupt`] names the first entry that does not fit.
pub fn fold<'a>(
    account: AccountId,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Result<Account, Corrupt> {
    entries.into_iter().try_fold(Account::open(account), evolve)
}

impl Account {
    fn apply(&mut self, entry: &Entry) -> Result<(), Misfit> {
        self.check_follows(entry)?;
        match &entry.body {
            Body::Use { hold, allocation } => self.close(*hold, Second::Use, allocation)?,
            Body::Forfeit {
                hold,
                reason: _,
                allocation,
            } => {
                self.close(*hold, Second::Forfeit, allocation)?;
            }
            _ if self.pair.is_some() => return Err(Misfit::Unfinished),
            Body::Grant {
                lot,
                service,
                amount,
                source,
                evidence: _,
                effective_at,
                expires_at,
            } => {
                self.grant(Lot {
                    number: *lot,
                    service: *service,
                    source: *source,
                    granted: *amount,
                    effective_at: *effective_at,
                    expires_at: *expires_at,
                    balance: Balance::available(*amount),
                })?;
            }
            Body::Hold {
                hold,
                service,
                amount,
                slot_start,
                allocation,
            } => {
                let open = OpenHold {
                    id: *hold,
                    service: *service,
                    slot_start: *slot_start,
                    slot_version: None,
                    allocation: allocation.clone(),
                };
                self.begin(open, *amount)?;
            }
            Body::Release {
                hold,
                reason,
                allocation,
            } => {
                self.release(*hold, *reason, allocation)?;
            }
            Body::Rescheduled {
                hold,
                slot_version,
                from,
                to,
            } => {
                self.reschedule(*hold, *slot_version, *from, *to)?;
            }
        }
        self.head = Head::after(entry);
        self.recorded_at = Some(entry.recorded_at);
        Ok(())
    }

    fn check_follows(&self, entry: &Entry) -> Result<(), Misfit> {
        if entry.account != self.head.account {
            Err(Misfit::Account {
                found: entry.account,
            })
        } else if self.head.seq.checked_add(1) != Some(entry.seq) {
            Err(Misfit::Seq {
                last: self.head.seq,
            })
        } else if entry.prev_hash != self.head.hash {
            Err(Misfit::Link)
        } else if self
            .recorded_at
            .is_some_and(|last| entry.recorded_at < last)
        {
            Err(Misfit::Time)
        } else {
            Ok(())
        }
    }

    fn grant(&mut self, lot: Lot) -> Result<(), Misfit> {
        if self.next_lot() != Some(lot.number) {
            return Err(Misfit::LotNumber { lot: lot.number });
        }
        if !lot.granted.is_positive() {
            return Err(Misfit::Amount {
                amount: lot.granted,
            });
        }
        let total = self.total.plus(lot.balance)?;
        total.total()?;
        self.total = total;
        self.lots.push(lot);
        Ok(())
    }

    fn begin(&mut self, open: OpenHold, amount: Credits) -> Result<(), Misfit> {
        if !amount.is_positive() {
            return Err(Misfit::Amount { amount });
        }
        let sum = |sum: Credits, part: &Part| sum.plus(part.amount);
        if open.allocation.iter().try_fold(Credits::ZERO, sum)? != amount {
            return Err(Misfit::Allocation { hold: open.id });
        }
        for part in &open.allocation {
            if self
                .lot(part.lot)
                .is_some_and(|lot| lot.service != open.service)
            {
                return Err(Misfit::Service {
                    hold: open.id,
                    lot: part.lot,
                });
            }
        }
        if let Some(other) = self.hold_of(open.id) {
            return Err(Misfit::HoldOpen { hold: other.id });
        }
        self.shift(&open.allocation, Bucket::Available, Bucket::Held)?;
        self.holds.insert(open.id, open);
        Ok(())
    }

    fn release(
        &mut self,
        hold: HoldId,
        reason: ReleaseReason,
        allocation: &[Part],
    ) -> Result<(), Misfit> {
        let open = self.holds.remove(&hold).ok_or(Misfit::NoHold { hold })?;
        if open.allocation != allocation {
            return Err(Misfit::Allocation { hold });
        }
        self.shift(allocation, Bucket::Held, Bucket::Available)?;
        let second = match reason {
            ReleaseReason::Used => Some(Second::Use),
            ReleaseReason::Forfeited => Some(Second::Forfeit),
            ReleaseReason::Cancelled | ReleaseReason::ClinicCancelled | ReleaseReason::Skipped => {
                None
            }
        };
        self.pair = second.map(|second| Pair {
            hold,
            second,
            allocation: open.allocation,
        });
        Ok(())
    }

    fn reschedule(
        &mut self,
        hold: HoldId,
        slot_version: u32,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<(), Misfit> {
        let open = self.holds.get_mut(&hold).ok_or(Misfit::NoHold { hold })?;
        let grows = open.slot_version.is_none_or(|last| last < slot_version);
        if open.slot_start != from || !grows {
            return Err(Misfit::Slot { hold });
        }
        open.slot_start = to;
        open.slot_version = Some(slot_version);
        Ok(())
    }

    /// The second entry of a linked pair: it must be the one that the release announced.
    fn close(&mut self, hold: HoldId, second: Second, allocation: &[Part]) -> Result<(), Misfit> {
        let pair = self.pair.take().ok_or(Misfit::Unannounced { hold })?;
        if (pair.hold, pair.second) != (hold, second) {
            return Err(Misfit::Unannounced { hold });
        }
        if pair.allocation != allocation {
            return Err(Misfit::Allocation { hold });
        }
        let to = match second {
            Second::Use => Bucket::Used,
            Second::Forfeit => Bucket::Forfeited,
        };
        self.shift(allocation, Bucket::Available, to)
    }

    fn shift(&mut self, parts: &[Part], from: Bucket, to: Bucket) -> Result<(), Misfit> {
        for &Part {
            lot: number,
            amount,
        } in parts
        {
            let short = Misfit::Short {
                lot: number,
                amount,
            };
            let lot = self.lot_mut(number).ok_or(short.clone())?;
            lot.balance = lot.balance.shift(from, to, amount).ok_or(short.clone())?;
            self.total = self.total.shift(from, to, amount).ok_or(short)?;
        }
        Ok(())
    }
}

/// An entry that does not fit the entries before it. Nothing that was decided here is corrupt: it
/// was changed, lost or put in by another hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} of account {account} does not fit: {misfit}")]
pub struct Corrupt {
    /// The account.
    pub account: AccountId,
    /// The number the entry carries.
    pub seq: u64,
    /// What does not fit.
    pub misfit: Misfit,
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// Another account's entry.
    #[error("it belongs to account {found}")]
    Account {
        /// That account.
        found: AccountId,
    },
    /// An entry is missing, doubled or out of its place.
    #[error("the entry before is {last}")]
    Seq {
        /// The number of the entry before.
        last: u64,
    },
    /// The previous hash is not that of the entry before.
    #[error("it does not follow the hash of the entry before")]
    Link,
    /// Recorded before the entry before.
    #[error("it was recorded before the entry before")]
    Time,
    /// A lot out of the order of the grants.
    #[error("lot {lot} is not the next")]
    LotNumber {
        /// The lot.
        lot: LotNumber,
    },
    /// A grant or hold of nothing, or of less.
    #[error("{amount} credits are none")]
    Amount {
        /// How many.
        amount: Credits,
    },
    /// More credits than can be counted.
    #[error("{0}")]
    Overflow(#[from] Overflow),
    /// A hold for a booking that has one.
    #[error("hold {hold} is open")]
    HoldOpen {
        /// The open one.
        hold: HoldId,
    },
    /// A hold that is not open.
    #[error("hold {hold} is not open")]
    NoHold {
        /// The hold.
        hold: HoldId,
    },
    /// An allocation that is not the hold's, or not its amount.
    #[error("the allocation is not that of hold {hold}")]
    Allocation {
        /// The hold.
        hold: HoldId,
    },
    /// A hold on a lot of another service.
    #[error("hold {hold} is of another service than lot {lot}")]
    Service {
        /// The hold.
        hold: HoldId,
        /// The lot.
        lot: LotNumber,
    },
    /// Credits that are not where they are to be moved from.
    #[error("lot {lot} does not have the {amount} credits to be moved")]
    Short {
        /// The lot.
        lot: LotNumber,
        /// How many.
        amount: Credits,
    },
    /// A reschedule from another slot, or to an older version of it.
    #[error("hold {hold} has another slot")]
    Slot {
        /// The hold.
        hold: HoldId,
    },
    /// A use or forfeit of a hold whose release did not announce it.
    #[error("no release announces it for hold {hold}")]
    Unannounced {
        /// The hold.
        hold: HoldId,
    },
    /// Another entry between the two of a linked pair.
    #[error("the second entry of a linked pair is missing before it")]
    Unfinished,
}
