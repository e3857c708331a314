//! From an entry to the next state.

use chrono::{DateTime, Utc};

use crate::account::misfit::{Corrupt, Misfit};
use crate::account::state::{Account, OpenHold, Pair, Second};
use crate::amount::{Credits, Overflow};
use crate::body::{Body, Move, Part};
use crate::chain::Head;
use crate::entry::Entry;
use crate::evidence::Evidence;
use crate::id::{AccountId, HoldId};
use crate::lot::{self, Bucket, Lot, PaidPeriod};
use crate::reason::ReleaseReason;

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
        if self.pair.is_some() && !matches!(entry.body, Body::Use { .. } | Body::Forfeit { .. }) {
            return Err(Misfit::Unfinished);
        }
        match &entry.body {
            Body::Grant { .. } => self.grant(&entry.body)?,
            Body::Hold {
                hold,
                service,
                amount,
                slot_start,
                allocation,
                extended,
            } => {
                let open = OpenHold {
                    id: *hold,
                    service: *service,
                    slot_start: *slot_start,
                    slot_version: None,
                    allocation: allocation.clone(),
                    since: Some(entry.seq),
                    extended: *extended,
                    clawed_by: None,
                };
                self.begin(open, *amount)?;
            }
            Body::Release {
                hold,
                reason,
                allocation,
            } => self.release(*hold, *reason, allocation)?,
            Body::Use { hold, allocation } => self.close(*hold, Second::Use, allocation)?,
            Body::Forfeit {
                hold, allocation, ..
            } => self.close(*hold, Second::Forfeit, allocation)?,
            Body::Rescheduled {
                hold,
                slot_version,
                from,
                to,
            } => self.reschedule(*hold, *slot_version, *from, *to)?,
            Body::Expire { .. } => {}
            Body::Clawback { .. } => self.claw_back(entry.seq, &entry.body)?,
            Body::Reinstate { .. } => self.reinstate(&entry.body)?,
            Body::Repay { lot, allocation } => self.repay(*lot, allocation)?,
            Body::Transfer { .. } => self.transfer(entry.seq, &entry.body)?,
            Body::Extend { .. } => self.extend(&entry.body)?,
            Body::Adjust { .. } => self.adjust(&entry.body, entry.effective_at)?,
            Body::Reverse { moves, .. } => Account::reverse(moves)?,
        }
        let is_passing = self.pair.is_some();
        let by_person = matches!(entry.body, Body::Adjust { .. } | Body::Reverse { .. });
        entry.body.try_each_move(|one| -> Result<(), Misfit> {
            self.shift(one)?;
            if by_person {
                self.take(one)?;
            }
            // What comes free after the end stays, unless an entry of its own says otherwise.
            let came_free = one.to == Bucket::Available && one.from.is_some() && !is_passing;
            if let Some(lot) = self.lot_mut(one.lot) {
                let stays = came_free && lot.is_over_at(entry.effective_at);
                lot.ended |= stays || one.to == Bucket::Expired;
                let more = if stays { one.amount } else { Credits::ZERO };
                lot.kept = lot.kept.plus(more)?.min(lot.balance.available);
            }
            Ok(())
        })?;
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

    fn grant(&mut self, body: &Body) -> Result<(), Misfit> {
        let Body::Grant {
            lot,
            service,
            amount,
            source,
            evidence,
            effective_at,
            expires_at,
        } = body
        else {
            return Ok(());
        };
        let mut new = Lot::empty(*lot, *service, *source, *effective_at, *expires_at);
        if let Evidence::Payment(payment) = evidence {
            new.paid = Some(PaidPeriod {
                item: payment.plan.item.clone(),
                period: payment.period,
            });
        }
        self.bring(new, *amount)
    }

    /// A new lot, whose credits the entry then moves in.
    pub(super) fn bring(&mut self, mut lot: Lot, amount: Credits) -> Result<(), Misfit> {
        if self.next_lot() != Some(lot.number) {
            return Err(Misfit::LotNumber { lot: lot.number });
        }
        if !amount.is_positive() {
            return Err(Misfit::Amount { amount });
        }
        // All buckets of all lots together must fit, so that no later sum can fail.
        self.total.total()?.plus(amount)?;
        lot.granted = amount;
        self.lots.push(lot);
        Ok(())
    }

    fn begin(&mut self, open: OpenHold, amount: Credits) -> Result<(), Misfit> {
        if !amount.is_positive() {
            return Err(Misfit::Amount { amount });
        }
        if sum(&open.allocation)? != amount {
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
        // A hold whose credit was clawed back has none to give back.
        let held: &[Part] = match open.clawed_by {
            Some(_) => &[],
            None => &open.allocation,
        };
        if held != allocation {
            return Err(Misfit::Allocation { hold });
        }
        let second = match reason {
            ReleaseReason::Used => Some(Second::Use),
            ReleaseReason::Forfeited => Some(Second::Forfeit),
            ReleaseReason::Cancelled
            | ReleaseReason::ClinicCancelled
            | ReleaseReason::Skipped
            | ReleaseReason::Rebooked
            | ReleaseReason::NoShow => None,
        };
        if second.is_some() && open.clawed_by.is_some() {
            return Err(Misfit::Clawed { hold });
        }
        if let (Some(slot), Some(_)) = (open.extended, second) {
            self.spend(&open, slot)?;
        }
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

    /// What an ended hold needed of an extension is gone with its credit.
    fn spend(&mut self, open: &OpenHold, slot: DateTime<Utc>) -> Result<(), Misfit> {
        for part in &open.allocation {
            let short = Misfit::Short {
                lot: part.lot,
                amount: part.amount,
            };
            let lot = self.lot_mut(part.lot).ok_or(short)?;
            if lot.expires_at.is_some_and(|end| end <= open.slot_start) {
                lot::spend(&mut lot.extensions, slot, part.amount, None);
            }
        }
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
        Ok(())
    }

    fn shift(&mut self, one: Move) -> Result<(), Misfit> {
        let Move {
            lot: number,
            from,
            to,
            amount,
        } = one;
        let short = Misfit::Short {
            lot: number,
            amount,
        };
        let Some(lot) = self.lot_mut(number) else {
            return Err(short);
        };
        let Some(balance) = lot.balance.shift(from, to, amount) else {
            return Err(short);
        };
        lot.balance = balance;
        self.total = self.total.shift(from, to, amount).ok_or(short)?;
        Ok(())
    }
}

/// The credits of an allocation.
pub(super) fn sum(parts: &[Part]) -> Result<Credits, Overflow> {
    let add = |sum: Credits, part: &Part| sum.plus(part.amount);
    parts.iter().try_fold(Credits::ZERO, add)
}
