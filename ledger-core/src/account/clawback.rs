//! What a clawback takes, and what its reinstatement gives back.

use chrono::{DateTime, Utc};

use crate::account::error::Error;
use crate::account::lookup::{find_entry, take_from};
use crate::account::state::Account;
use crate::amount::Credits;
use crate::body::{Body, HeldPart, Part};
use crate::entry::Entry;
use crate::key::Key;
use crate::lot::Lot;
use crate::reason::{Cause, HeldPolicy};

/// Takes back credits of a lot: available ones of its family in the order of their lots, then held
/// ones by policy, and the rest is owed.
pub(super) fn claw_back(
    account: &Account,
    cause: Cause,
    lot: &Lot,
    amount: Credits,
    held: HeldPolicy,
) -> Result<Body, Error> {
    let id = account.lot_id(lot.number);
    if let Some(origin) = lot.origin {
        return Err(Error::Transferred { lot: id, origin });
    }
    let left = lot.left();
    if left == Credits::ZERO {
        return Err(Error::TooMuch {
            lot: id,
            amount,
            left,
        });
    }
    let asked = Some(amount).filter(|asked| *asked > left);
    let amount = amount.min(left);
    let mut wanted = amount;
    let family = account
        .lots()
        .iter()
        .filter(|other| other.root() == lot.number);
    let allocation = take_from(family, &mut wanted);
    let holds = match held {
        HeldPolicy::Keep => Vec::new(),
        HeldPolicy::Take => take_held(account, lot, &mut wanted),
    };
    Ok(Body::Clawback {
        cause,
        lot: lot.number,
        amount,
        asked,
        held,
        allocation,
        holds,
        debt: wanted,
    })
}

/// The credits of holds, the latest slot first: what is near has the least time to be arranged
/// anew.
fn take_held(account: &Account, lot: &Lot, wanted: &mut Credits) -> Vec<HeldPart> {
    let mut open: Vec<_> = account
        .holds()
        .filter(|open| open.clawed_by.is_none())
        .collect();
    open.sort_by_key(|open| std::cmp::Reverse((open.slot_start, open.id)));
    let mut holds = Vec::new();
    for open in open {
        let [part] = open.allocation[..] else {
            continue;
        };
        let is_of_lot = account
            .lot(part.lot)
            .is_some_and(|other| other.root() == lot.number);
        if let (true, Ok(left)) = (
            is_of_lot && part.amount <= *wanted,
            wanted.minus(part.amount),
        ) {
            holds.push(HeldPart {
                hold: open.id,
                lot: part.lot,
                amount: part.amount,
            });
            *wanted = left;
        }
    }
    holds
}

/// Gives back what a clawback took; and the parts of it whose lot's end came in between, which
/// expire at once.
pub(super) fn reinstate(
    account: &Account,
    seen: &[Entry],
    cause: Cause,
    at: DateTime<Utc>,
) -> Result<(Body, Vec<Part>), Error> {
    let key = Key::clawback(&cause);
    let stored = find_entry(account, seen, &key)?;
    let Body::Clawback {
        lot,
        amount,
        allocation,
        holds,
        debt,
        ..
    } = &stored.body
    else {
        return Err(Error::UnknownEntry { key });
    };
    let (clawback, lot) = (stored.seq, *lot);
    let mut over = Vec::new();
    let is_over = |part: &Part| account.lot(part.lot).is_some_and(|lot| lot.is_over_at(at));
    let was_over = |part: &Part| {
        let lot = account.lot(part.lot);
        lot.is_some_and(|lot| lot.is_over_at(stored.effective_at))
    };
    over.extend(
        allocation
            .iter()
            .filter(|part| is_over(part) && !was_over(part)),
    );

    let mut allocation = allocation.clone();
    let mut filled = Vec::new();
    for part in holds {
        let open = account.hold(part.hold);
        if open.is_some_and(|open| open.clawed_by == Some(clawback)) {
            filled.push(*part);
        } else {
            // The booking is gone, and with it the right to a credit whose lot's end has come.
            let HeldPart { lot, amount, .. } = *part;
            let free = Part { lot, amount };
            allocation.push(free);
            over.extend(Some(free).filter(is_over));
        }
    }

    let owed = account
        .lot(lot)
        .map_or(Credits::ZERO, |lot| lot.balance.debt);
    let forgiven = owed.min(*debt);
    let returned = repayments(account, lot, debt.minus(forgiven)?)?;
    over.extend(returned.iter().filter(|part| is_over(part)));
    let body = Body::Reinstate {
        cause,
        clawback,
        lot,
        amount: *amount,
        allocation,
        holds: filled,
        debt: forgiven,
        returned,
    };
    Ok((body, merged(over)?))
}

/// So many of a lot's repayments, the last one first.
fn repayments(
    account: &Account,
    lot: crate::LotNumber,
    wanted: Credits,
) -> Result<Vec<Part>, Error> {
    let mut wanted = wanted;
    let mut returned = Vec::new();
    let repaid = account.lot(lot).map_or(&[][..], |lot| &lot.repaid);
    for part in repaid.iter().rev() {
        let amount = part.amount.min(wanted);
        if amount.is_positive() {
            returned.push(Part {
                lot: part.lot,
                amount,
            });
            wanted = wanted.minus(amount)?;
        }
    }
    Ok(returned)
}

/// One part a lot, in the order of the lots.
fn merged(parts: Vec<Part>) -> Result<Vec<Part>, Error> {
    let mut sums = std::collections::BTreeMap::new();
    for Part { lot, amount } in parts {
        let sum = sums.entry(lot).or_insert(Credits::ZERO);
        *sum = sum.plus(amount)?;
    }
    let part = |(lot, amount)| Part { lot, amount };
    Ok(sums.into_iter().map(part).collect())
}
