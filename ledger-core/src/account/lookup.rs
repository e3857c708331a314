//! What commands name in an account, and what they find free in it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::account::error::Error;
use crate::account::state::{Account, OpenHold};
use crate::amount::Credits;
use crate::body::{Body, Part};
use crate::entry::Entry;
use crate::id::{HoldId, LotId, LotNumber, ServiceId};
use crate::key::Key;
use crate::lot::Lot;

pub(super) fn open(account: &Account, hold: HoldId) -> Result<&OpenHold, Error> {
    account.hold(hold).ok_or(Error::UnknownHold { hold })
}

/// An open hold that has its credit.
pub(super) fn held(account: &Account, hold: HoldId) -> Result<&OpenHold, Error> {
    let open = open(account, hold)?;
    match open.clawed_by {
        Some(clawback) => Err(Error::Clawed { hold, clawback }),
        None => Ok(open),
    }
}

/// Another generation while one is open would be two credits for one booking.
pub(super) fn refuse_open(open: Option<&OpenHold>, hold: HoldId) -> Result<(), Error> {
    match open {
        None => Ok(()),
        Some(open) => Err(Error::HoldOpen {
            hold,
            open: open.id,
            service: open.service,
            slot_start: open.slot_start,
        }),
    }
}

pub(super) fn find_lot(account: &Account, lot: LotId) -> Result<&Lot, Error> {
    let found = account.lot(lot.number);
    let found = found.filter(|_| lot.account == account.id());
    found.ok_or(Error::UnknownLot {
        account: account.id(),
        lot,
    })
}

/// An entry of this account among those that were seen.
pub(super) fn find_entry<'a>(
    account: &Account,
    seen: &'a [Entry],
    key: &Key,
) -> Result<&'a Entry, Error> {
    let is = |entry: &&Entry| entry.account == account.id() && entry.key == *key;
    let found = seen.iter().find(is);
    found.ok_or_else(|| Error::UnknownEntry { key: key.clone() })
}

/// The lot to take from: of the service, with a credit that is good when the *slot* starts, first in
/// the order of consumption.
pub(super) fn next_lot(
    account: &Account,
    service: ServiceId,
    slot_start: DateTime<Utc>,
) -> Option<&Lot> {
    let lots = account.lots().iter();
    let good = lots.filter(|lot| lot.service == service);
    let good =
        good.filter_map(|lot| Some((lot, lot.covers(slot_start, &account.lasting(lot, None))?)));
    let first = good.min_by_key(|(lot, end)| lot.order_by(*end));
    first.map(|(lot, _)| lot)
}

/// A hold of one credit of a lot.
pub(super) fn one_of(
    lot: LotNumber,
    hold: HoldId,
    service: ServiceId,
    slot_start: DateTime<Utc>,
    extended: Option<DateTime<Utc>>,
) -> Body {
    let amount = Credits::ONE;
    let allocation = vec![Part { lot, amount }];
    Body::Hold {
        hold,
        service,
        amount,
        slot_start,
        allocation,
        extended,
    }
}

/// Takes what is available of these lots, one after the other, until no more is wanted.
pub(super) fn take_from<'a>(
    lots: impl IntoIterator<Item = &'a Lot>,
    wanted: &mut Credits,
) -> Vec<Part> {
    let mut parts = Vec::new();
    for lot in lots {
        let amount = lot.balance.available.min(*wanted);
        if let (true, Ok(left)) = (amount.is_positive(), wanted.minus(amount)) {
            let lot = lot.number;
            parts.push(Part { lot, amount });
            *wanted = left;
        }
    }
    parts
}

/// The number of a lot that is to come, if the account can count its credits too.
pub(super) fn new_lot(account: &Account, amount: Credits) -> Result<LotNumber, Error> {
    // All buckets of all lots together must fit, so that no later sum can fail.
    account.balance().total()?.plus(amount)?;
    account.next_lot().ok_or(Error::Full {
        account: account.id(),
    })
}

pub(super) fn no_credit(account: &Account, service: ServiceId, slot_start: DateTime<Utc>) -> Error {
    Error::NoCredit {
        service,
        slot_start,
        available: account.balance_for(service).available,
    }
}

/// Whether a lot whose end has come has anything left to expire.
pub(super) fn is_due(account: &Account, id: LotId, at: DateTime<Utc>) -> Result<bool, Error> {
    let lot = find_lot(account, id)?;
    if lot.is_over_at(at) {
        Ok(lot.is_due_at(at))
    } else {
        Err(Error::NotOver {
            lot: id,
            expires_at: lot.expires_at,
            at,
        })
    }
}

/// Whether anything is left of an extension.
pub(super) fn is_extended(account: &Account, lot: LotId, id: Uuid) -> Result<bool, Error> {
    let lot = find_lot(account, lot)?;
    Ok(lot.extensions.iter().any(|one| one.id == id))
}
