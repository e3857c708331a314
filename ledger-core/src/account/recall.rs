//! Applying what takes credits back, moves them between lots, or corrects them by hand.
//!
//! The checks here are those that keep an account sound: sums, signs, and that a lot is one of
//! those an entry may touch. The credits themselves are moved by the entry's
//! [moves](Body::moves), after this.

use chrono::{DateTime, Utc};

use crate::account::evolve::sum;
use crate::account::misfit::Misfit;
use crate::account::state::Account;
use crate::amount::{Credits, Overflow};
use crate::body::{Body, HeldPart, Move, Part};
use crate::evidence::Source;
use crate::id::{LotNumber, ServiceId};
use crate::lot::{Brought, Bucket, Extension, Lot};

impl Account {
    /// A clawback: the lot's recalled credits and its debt grow, and holds lose their credits.
    pub(super) fn claw_back(&mut self, seq: u64, body: &Body) -> Result<(), Misfit> {
        let Body::Clawback {
            lot,
            amount,
            asked,
            allocation,
            holds,
            debt,
            ..
        } = body
        else {
            return Ok(());
        };
        let parts = sum(allocation)?.plus(sum_held(holds)?)?.plus(*debt)?;
        let is_short = asked.is_some_and(|asked| asked <= *amount);
        if parts != *amount || *debt < Credits::ZERO || !amount.is_positive() || is_short {
            return Err(Misfit::Sum { amount: *amount });
        }
        self.check_granted(*lot)?;
        for part in allocation {
            self.check_root(part.lot, *lot)?;
        }
        for part in holds {
            self.check_root(part.lot, *lot)?;
            let hold = part.hold;
            let open = self.holds.get_mut(&hold).ok_or(Misfit::NoHold { hold })?;
            let whole = open.allocation == [part_of(part)];
            if !whole || open.clawed_by.replace(seq).is_some() {
                return Err(Misfit::Clawed { hold });
            }
        }
        self.recall(*lot, *amount)?;
        self.owe(body)
    }

    /// A reinstatement: the reverse of [`Account::claw_back`], and repayments are given back.
    pub(super) fn reinstate(&mut self, body: &Body) -> Result<(), Misfit> {
        let Body::Reinstate {
            clawback,
            lot,
            amount,
            allocation,
            holds,
            debt,
            returned,
            ..
        } = body
        else {
            return Ok(());
        };
        let freed = sum(allocation)?.plus(sum_held(holds)?)?;
        let parts = freed.plus(sum(returned)?)?.plus(*debt)?;
        if parts != *amount || *debt < Credits::ZERO || !amount.is_positive() {
            return Err(Misfit::Sum { amount: *amount });
        }
        self.check_granted(*lot)?;
        for part in allocation {
            self.check_root(part.lot, *lot)?;
        }
        for part in holds {
            self.check_root(part.lot, *lot)?;
            let hold = part.hold;
            let open = self.holds.get_mut(&hold).ok_or(Misfit::NoHold { hold })?;
            let whole = open.allocation == [part_of(part)];
            if !whole || open.clawed_by.take() != Some(*clawback) {
                return Err(Misfit::Clawed { hold });
            }
        }
        let debtor = self.lot_mut(*lot).ok_or(Misfit::Debt { lot: *lot })?;
        for part in returned {
            let unpaid = Misfit::Debt { lot: *lot };
            take_back(&mut debtor.repaid, *part).ok_or(unpaid)?;
        }
        self.recall(*lot, Credits::ZERO.minus(*amount)?)?;
        self.owe(body)
    }

    /// A repayment: the debtor remembers by whom, so that it can be given back.
    pub(super) fn repay(&mut self, lot: LotNumber, allocation: &[Part]) -> Result<(), Misfit> {
        let amount = sum(allocation)?;
        let debtor = self.lot(lot).ok_or(Misfit::Debt { lot })?;
        let (service, debt) = (debtor.service, debtor.balance.debt);
        if !amount.is_positive() || amount > debt {
            return Err(Misfit::Debt { lot });
        }
        for part in allocation {
            self.check_service(part.lot, service)
                .map_err(|lot_of| Misfit::Family {
                    lot: lot_of,
                    of: lot,
                })?;
        }
        let debtor = self.lot_mut(lot).ok_or(Misfit::Debt { lot })?;
        debtor.repaid.extend(allocation);
        let less = Credits::ZERO.minus(amount)?;
        debtor.balance.debt = debtor.balance.debt.plus(less)?;
        self.total.debt = self.total.debt.plus(less)?;
        Ok(())
    }

    /// A transfer: a new lot with the old one's service and source, and the same origin.
    pub(super) fn transfer(&mut self, seq: u64, body: &Body) -> Result<(), Misfit> {
        let Body::Transfer {
            id,
            from,
            lot,
            amount,
            expired,
            effective_at,
            expires_at,
            ..
        } = body
        else {
            return Ok(());
        };
        if *expired < Credits::ZERO || expired > amount {
            return Err(Misfit::Sum { amount: *amount });
        }
        let short = Misfit::Short {
            lot: *from,
            amount: *amount,
        };
        let old = self.lot_mut(*from).ok_or(short)?;
        let mut extension = None;
        for one in &mut old.extensions {
            if one.id == *id && one.until == *expires_at {
                one.left = one.left.minus(*amount)?.max(Credits::ZERO);
                extension = Some(*id);
            }
        }
        old.extensions.retain(|one| one.left.is_positive());
        let mut new = Lot::empty(*lot, old.service, old.source, *effective_at, *expires_at);
        new.origin = Some(old.root());
        new.brought = Some(Brought {
            seq,
            from: *from,
            extension,
            revived: expired.is_positive(),
        });
        self.bring(new, *amount)
    }

    /// An extension: the lot remembers how many of its credits outlive it, or no longer does.
    pub(super) fn extend(&mut self, body: &Body) -> Result<(), Misfit> {
        let Body::Extend {
            id,
            reason,
            lot,
            amount,
            until,
        } = body
        else {
            return Ok(());
        };
        let number = *lot;
        let lot = self
            .lot_mut(number)
            .ok_or(Misfit::Extension { lot: number })?;
        if *amount == Credits::ZERO {
            let known = lot.extensions.len();
            lot.extensions.retain(|one| one.id != *id);
            let back = lot.extensions.len() < known;
            return back.then_some(()).ok_or(Misfit::Extension { lot: number });
        }
        let outlives = lot
            .expires_at
            .is_some_and(|end| until.is_none_or(|until| end < until));
        if !outlives || !amount.is_positive() {
            return Err(Misfit::Extension { lot: number });
        }
        lot.extensions.push(Extension {
            id: *id,
            reason: *reason,
            left: *amount,
            until: *until,
        });
        Ok(())
    }

    /// What a person takes of a lot's credits, or gives back, counts against the lot that they were
    /// first granted in.
    pub(super) fn take(&mut self, one: Move) -> Result<(), Misfit> {
        let more = match one {
            Move {
                to: Bucket::Clawed,
                amount,
                ..
            } => amount,
            Move {
                from: Some(Bucket::Clawed),
                amount,
                ..
            } => Credits::ZERO.minus(amount)?,
            _ => return Ok(()),
        };
        let wrong = Misfit::Recalled {
            lot: one.lot,
            amount: more,
        };
        let root = self.lot(one.lot).map(Lot::root);
        let Some(lot) = root.and_then(|root| self.lot_mut(root)) else {
            return Err(wrong);
        };
        let taken = lot.taken.plus(more)?;
        if taken < Credits::ZERO {
            return Err(wrong);
        }
        lot.taken = taken;
        Ok(())
    }

    /// An adjustment: a new lot that is given, or less of those that are there.
    pub(super) fn adjust(&mut self, body: &Body, at: DateTime<Utc>) -> Result<(), Misfit> {
        let Body::Adjust {
            service,
            amount,
            lot,
            allocation,
            ..
        } = body
        else {
            return Ok(());
        };
        let less = sum(allocation)?;
        if let Some(lot) = lot {
            if !allocation.is_empty() {
                return Err(Misfit::Sum { amount: *amount });
            }
            let new = Lot::empty(*lot, *service, Source::Goodwill, at, None);
            return self.bring(new, *amount);
        }
        if amount.plus(less)? != Credits::ZERO || !less.is_positive() {
            return Err(Misfit::Sum { amount: *amount });
        }
        for part in allocation {
            self.check_service(part.lot, *service)
                .map_err(|lot| Misfit::Family { lot, of: lot })?;
        }
        Ok(())
    }

    /// A reversal: only between the buckets that the reversible kinds move between.
    pub(super) fn reverse(moves: &[Move]) -> Result<(), Misfit> {
        use Bucket::{Available, Clawed, Expired, Forfeited, MovedOut, Used};
        moves
            .iter()
            .try_for_each(|back| match (back.from, back.to) {
                (Some(Used | Forfeited | Expired | Clawed | MovedOut), Available)
                | (Some(Available), Clawed | MovedOut)
                | (Some(MovedOut), Expired) => Ok(()),
                (from, to) => Err(Misfit::Reversal { from, to }),
            })
    }

    /// More is owed by the entry's lot, or less.
    fn owe(&mut self, body: &Body) -> Result<(), Misfit> {
        let Some((lot, more)) = body.debt()? else {
            return Ok(());
        };
        let debtor = self.lot_mut(lot).ok_or(Misfit::Debt { lot })?;
        let debt = debtor.balance.debt.plus(more)?;
        if debt < Credits::ZERO {
            return Err(Misfit::Debt { lot });
        }
        debtor.balance.debt = debt;
        self.total.debt = self.total.debt.plus(more)?;
        Ok(())
    }

    /// More of a lot is recalled, or less: between none and all that was granted.
    fn recall(&mut self, number: LotNumber, more: Credits) -> Result<(), Misfit> {
        let wrong = Misfit::Recalled {
            lot: number,
            amount: more,
        };
        let Some(lot) = self.lot_mut(number) else {
            return Err(wrong);
        };
        let recalled = lot.recalled.plus(more)?;
        if recalled < Credits::ZERO || recalled > lot.granted {
            return Err(wrong);
        }
        lot.recalled = recalled;
        Ok(())
    }

    fn check_granted(&self, lot: LotNumber) -> Result<(), Misfit> {
        self.check_root(lot, lot)
    }

    fn check_root(&self, lot: LotNumber, of: LotNumber) -> Result<(), Misfit> {
        let is = self.lot(lot).is_some_and(|lot| lot.root() == of);
        is.then_some(()).ok_or(Misfit::Family { lot, of })
    }

    fn check_service(&self, lot: LotNumber, service: ServiceId) -> Result<(), LotNumber> {
        let is = self.lot(lot).is_some_and(|lot| lot.service == service);
        is.then_some(()).ok_or(lot)
    }
}

fn part_of(held: &HeldPart) -> Part {
    Part {
        lot: held.lot,
        amount: held.amount,
    }
}

fn sum_held(parts: &[HeldPart]) -> Result<Credits, Overflow> {
    let add = |sum: Credits, part: &HeldPart| sum.plus(part.amount);
    parts.iter().try_fold(Credits::ZERO, add)
}

/// Takes a part away from a list of them, from its end; `None` if so much is not in it.
fn take_back(repaid: &mut Vec<Part>, part: Part) -> Option<()> {
    let mut left = part.amount;
    while left.is_positive() {
        let index = repaid.iter().rposition(|other| other.lot == part.lot)?;
        let there = repaid.get_mut(index)?;
        let taken = there.amount.min(left);
        there.amount = there.amount.minus(taken).ok()?;
        left = left.minus(taken).ok()?;
        if there.amount == Credits::ZERO {
            repaid.remove(index);
        }
    }
    Some(())
}
