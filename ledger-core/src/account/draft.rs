//! What a command writes itself, for the account as it is: its bodies, not yet sealed.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::account::clawback::{claw_back, reinstate};
use crate::account::command::Command;
use crate::account::error::Error;
use crate::account::evolve::sum;
use crate::account::state::{Account, OpenHold};
use crate::amount::Credits;
use crate::body::{Body, Move, Part};
use crate::entry::Entry;
use crate::evidence::{Evidence, ReasonCode};
use crate::id::{HoldId, LotId, LotNumber, ServiceId};
use crate::key::Key;
use crate::lot::{Bucket, Lot};
use crate::reason::{ReleaseReason, TransferReason};

/// What a command writes itself.
pub(super) struct Draft {
    pub(super) entries: Vec<(Key, Body)>,
    /// Credits that come free after their lot's end, and expire at once.
    pub(super) over: Vec<Part>,
    /// The bodies were made from the account alone. Others, from entries that were seen, are
    /// checked by applying them.
    pub(super) is_checked: bool,
}

impl Draft {
    fn of(entries: Vec<(Key, Body)>) -> Draft {
        Draft {
            entries,
            over: Vec::new(),
            is_checked: true,
        }
    }
}

pub(super) fn draft(
    account: &Account,
    seen: &[Entry],
    command: &Command,
    at: DateTime<Utc>,
) -> Result<Draft, Error> {
    let body = match command.clone() {
        Command::Grant {
            key: _,
            service,
            amount,
            source,
            evidence,
            effective_at,
            expires_at,
        } => {
            check_overlap(account, &evidence)?;
            Body::Grant {
                lot: new_lot(account, amount)?,
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
            }
        }
        Command::Hold {
            hold,
            service,
            slot_start,
        } => take(account, hold, service, slot_start)?,
        Command::Release { hold, reason } => {
            let (body, over) = give_back(account, open(account, hold)?, reason, at);
            return Ok(Draft {
                over,
                ..Draft::of(vec![(command.key(), body)])
            });
        }
        Command::Use { hold } => {
            let open = held(account, hold)?;
            let allocation = open.allocation.clone();
            let used = (command.key(), Body::Use { hold, allocation });
            return Ok(Draft::of(vec![release(open, ReleaseReason::Used), used]));
        }
        Command::Forfeit { hold, reason } => {
            let open = held(account, hold)?;
            let lost = Body::Forfeit {
                hold,
                reason,
                allocation: open.allocation.clone(),
            };
            let lost = (command.key(), lost);
            return Ok(Draft::of(vec![
                release(open, ReleaseReason::Forfeited),
                lost,
            ]));
        }
        Command::Reschedule {
            hold,
            slot_version,
            to,
        } => reschedule(open(account, hold)?, slot_version, to)?,
        // Carried out before, with the other ends that have come.
        Command::Expire { .. } => return Ok(Draft::of(Vec::new())),
        Command::Clawback {
            cause,
            lot,
            amount,
            held,
        } => claw_back(account, cause, find_lot(account, lot)?, amount, held)?,
        Command::Reinstate { cause } => {
            let (body, over) = reinstate(account, seen, cause, at)?;
            return Ok(Draft {
                over,
                is_checked: false,
                ..Draft::of(vec![(command.key(), body)])
            });
        }
        Command::Transfer {
            id,
            lot,
            reason,
            amount,
            effective_at,
            expires_at,
        } => {
            let from = find_lot(account, lot)?;
            Body::Transfer {
                id,
                reason,
                from: from.number,
                expired: check_movable(from, lot, reason, amount)?,
                lot: new_lot(account, amount)?,
                amount,
                effective_at,
                expires_at,
            }
        }
        Command::Extend {
            id,
            lot,
            reason,
            amount,
            until,
        } => {
            let from = find_lot(account, lot)?;
            check_outlives(from, lot, until, at)?;
            Body::Extend {
                id,
                reason,
                lot: from.number,
                amount,
                until,
            }
        }
        Command::Unextend { lot, id } => {
            let from = find_lot(account, lot)?;
            let extension = from.extensions.iter().find(|one| one.id == id);
            let Some(extension) = extension else {
                return Ok(Draft::of(Vec::new()));
            };
            Body::Extend {
                id,
                reason: extension.reason,
                lot: from.number,
                amount: Credits::ZERO,
                until: extension.until,
            }
        }
        Command::Rebook { hold, into } => {
            let open = held(account, hold)?;
            refuse_open(account.hold_of(into), into)?;
            let again = Body::Hold {
                hold: into,
                service: open.service,
                amount: sum(&open.allocation)?,
                slot_start: open.slot_start,
                allocation: open.allocation.clone(),
            };
            let released = release(open, ReleaseReason::Rebooked);
            return Ok(Draft::of(vec![released, (command.key(), again)]));
        }
        Command::Restore {
            hold,
            of,
            service,
            slot_start,
        } => {
            let entries = restore(account, seen, (hold, of), service, slot_start)?;
            return Ok(Draft::of(entries));
        }
        Command::Adjust {
            id,
            service,
            amount,
            actor,
            reason,
        } => {
            let (lot, allocation) = if amount.is_positive() {
                (Some(new_lot(account, amount)?), Vec::new())
            } else {
                (None, take_away(account, service, amount)?)
            };
            Body::Adjust {
                id,
                service,
                amount,
                actor,
                reason,
                lot,
                allocation,
            }
        }
        Command::Reverse {
            entry,
            actor,
            reason,
        } => {
            let body = reverse(account, seen, entry, actor, reason)?;
            return Ok(Draft {
                is_checked: false,
                ..Draft::of(vec![(command.key(), body)])
            });
        }
    };
    Ok(Draft::of(vec![(command.key(), body)]))
}

fn take(
    account: &Account,
    hold: HoldId,
    service: ServiceId,
    slot_start: DateTime<Utc>,
) -> Result<Body, Error> {
    refuse_open(account.hold_of(hold), hold)?;
    let lot = next_lot(account, service, slot_start);
    let lot = lot.ok_or_else(|| no_credit(account, service, slot_start))?;
    Ok(one_of(lot, hold, service, slot_start))
}

/// A hold of one credit of a lot.
fn one_of(lot: LotNumber, hold: HoldId, service: ServiceId, slot_start: DateTime<Utc>) -> Body {
    let amount = Credits::ONE;
    let allocation = vec![Part { lot, amount }];
    Body::Hold {
        hold,
        service,
        amount,
        slot_start,
        allocation,
    }
}

/// Another generation while one is open would be two credits for one booking.
fn refuse_open(open: Option<&OpenHold>, hold: HoldId) -> Result<(), Error> {
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

fn no_credit(account: &Account, service: ServiceId, slot_start: DateTime<Utc>) -> Error {
    Error::NoCredit {
        service,
        slot_start,
        available: account.balance_for(service).available,
    }
}

/// The lot to take from: of the service, with a credit that is good when the *slot* starts, first in
/// the order of consumption.
fn next_lot(account: &Account, service: ServiceId, slot_start: DateTime<Utc>) -> Option<LotNumber> {
    let lots = account.lots().iter();
    let good = lots.filter(|lot| lot.service == service);
    let good = good.filter_map(|lot| Some((lot, lot.covers(slot_start, account.beyond(lot))?)));
    let first = good.min_by_key(|(lot, end)| lot.order_by(*end));
    first.map(|(lot, _)| lot.number)
}

/// Holds a credit again that a release had set free: the lot's, revived if it has expired, else one of
/// a lot that it moved to.
fn restore(
    account: &Account,
    seen: &[Entry],
    (hold, of): (HoldId, HoldId),
    service: ServiceId,
    slot_start: DateTime<Utc>,
) -> Result<Vec<(Key, Body)>, Error> {
    refuse_open(account.hold_of(hold), hold)?;
    let released = find_entry(account, seen, &Key::release(of))?;
    let number = match &released.body {
        Body::Release {
            reason: ReleaseReason::Used | ReleaseReason::Forfeited,
            ..
        } => None,
        body => body.allocation().first().map(|part| part.lot),
    };
    let number = number.ok_or(Error::NotReleased { hold: of })?;
    let lot = find_lot(account, account.lot_id(number))?;
    let is_free = |lot: &&Lot| lot.service == service && lot.balance.available.is_positive();
    let again = |lot: LotNumber| (Key::hold(hold), one_of(lot, hold, service, slot_start));
    if is_free(&lot) {
        return Ok(vec![again(number)]);
    }
    if lot.service == service && lot.balance.expired.is_positive() {
        let new = new_lot(account, Credits::ONE)?;
        let revived = Body::Transfer {
            id: of.booking,
            reason: TransferReason::Restored,
            from: number,
            lot: new,
            amount: Credits::ONE,
            expired: Credits::ONE,
            effective_at: lot.effective_at,
            expires_at: lot.expires_at,
        };
        return Ok(vec![(Key::hold(hold).then_restore(), revived), again(new)]);
    }
    let moved = account
        .lots()
        .iter()
        .filter(|other| other.root() == lot.root());
    let moved = moved.filter(|other| other.number > number).filter(is_free);
    let last = moved.max_by_key(|lot| lot.number);
    let last = last.ok_or_else(|| no_credit(account, service, slot_start))?;
    Ok(vec![again(last.number)])
}

/// An extension must end after its lot does, and must not be over.
fn check_outlives(
    lot: &Lot,
    id: LotId,
    until: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let end = lot.expires_at.ok_or(Error::Endless { lot: id })?.max(at);
    match until.filter(|until| *until <= end) {
        None => Ok(()),
        Some(until) => Err(Error::Expiry {
            kind: "extend",
            effective_at: end,
            expires_at: until,
        }),
    }
}

/// Ends a hold without a use: its credit, if it has one, is available again, or expires at once if
/// the lot's end has come, unless the clinic cancelled.
fn give_back(
    account: &Account,
    open: &OpenHold,
    reason: ReleaseReason,
    at: DateTime<Utc>,
) -> (Body, Vec<Part>) {
    let (_, body) = release(open, reason);
    let is_over = |part: &&Part| account.lot(part.lot).is_some_and(|lot| lot.is_over_at(at));
    let expires = reason != ReleaseReason::ClinicCancelled;
    let over = body.allocation().iter().filter(|_| expires).filter(is_over);
    let over = over.copied().collect();
    (body, over)
}

fn release(open: &OpenHold, reason: ReleaseReason) -> (Key, Body) {
    let allocation = match open.clawed_by {
        Some(_) => Vec::new(),
        None => open.allocation.clone(),
    };
    let body = Body::Release {
        hold: open.id,
        reason,
        allocation,
    };
    (Key::release(open.id), body)
}

fn reschedule(open: &OpenHold, slot_version: u32, to: DateTime<Utc>) -> Result<Body, Error> {
    let (hold, from) = (open.id, open.slot_start);
    // One that comes late must not undo the one that overtook it.
    if let Some(current) = open.slot_version.filter(|&current| slot_version <= current) {
        return Err(Error::StaleSlot {
            hold,
            slot_version,
            current,
        });
    }
    Ok(Body::Rescheduled {
        hold,
        slot_version,
        from,
        to,
    })
}

/// Fewer of a service: from what is available, in the order of consumption, all or nothing.
fn take_away(account: &Account, service: ServiceId, amount: Credits) -> Result<Vec<Part>, Error> {
    let mut wanted = Credits::ZERO.minus(amount)?;
    let of_service = |lot: &&Lot| lot.service == service && lot.balance.available.is_positive();
    let mut lots: Vec<&Lot> = account.lots().iter().filter(of_service).collect();
    lots.sort_by_key(|lot| lot.order());
    let allocation = take_from(lots, &mut wanted);
    if wanted.is_positive() {
        return Err(Error::ShortService {
            service,
            amount,
            available: account.balance_for(service).available,
        });
    }
    Ok(allocation)
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

/// How many of the credits to be moved have expired: those that are available go first.
fn check_movable(
    from: &Lot,
    lot: LotId,
    reason: TransferReason,
    amount: Credits,
) -> Result<Credits, Error> {
    let movable = from.movable(reason);
    if amount > movable {
        return Err(Error::ShortLot {
            lot,
            amount,
            movable,
        });
    }
    let revived = amount.minus(from.balance.available)?;
    Ok(revived.max(Credits::ZERO))
}

fn reverse(
    account: &Account,
    seen: &[Entry],
    entry: Key,
    actor: Uuid,
    reason: ReasonCode,
) -> Result<Body, Error> {
    let stored = find_entry(account, seen, &entry)?;
    let outside = match &stored.body {
        Body::Grant { .. } | Body::Adjust { .. } => Bucket::Clawed,
        Body::Transfer { .. } => Bucket::MovedOut,
        Body::Use { .. } | Body::Forfeit { .. } | Body::Expire { .. } => Bucket::Available,
        other => {
            let kind = other.kind();
            return Err(Error::NotReversible { key: entry, kind });
        }
    };
    let back = |one: Move| Move {
        lot: one.lot,
        from: Some(one.to),
        to: one.from.unwrap_or(outside),
        amount: one.amount,
    };
    let seq = stored.seq;
    let moves = stored.body.moves().into_iter().rev().map(back).collect();
    Ok(Body::Reverse {
        entry,
        seq,
        actor,
        reason,
        moves,
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

fn find_lot(account: &Account, lot: LotId) -> Result<&Lot, Error> {
    let found = account.lot(lot.number);
    let found = found.filter(|_| lot.account == account.id());
    found.ok_or(Error::UnknownLot {
        account: account.id(),
        lot,
    })
}

/// Whether anything is left of an extension.
pub(super) fn is_extended(account: &Account, lot: LotId, id: Uuid) -> Result<bool, Error> {
    let lot = find_lot(account, lot)?;
    Ok(lot.extensions.iter().any(|one| one.id == id))
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

/// Paid periods of one item never overlap. A period whose credits were all clawed back can be paid for again.
fn check_overlap(account: &Account, evidence: &Evidence) -> Result<(), Error> {
    let Evidence::Payment(payment) = evidence else {
        return Ok(());
    };
    let (item, asked) = (&payment.plan.item, payment.period);
    for lot in account.lots() {
        let paid = lot.paid.as_ref().filter(|_| !lot.is_gone());
        let paid = paid.filter(|paid| paid.item == *item);
        if let Some(paid) = paid.filter(|paid| paid.period.overlaps(asked)) {
            return Err(Error::Overlap {
                item: item.clone(),
                asked,
                lot: lot.number,
                stored: paid.period,
            });
        }
    }
    Ok(())
}

/// The number of a lot that is to come, if the account can count its credits too.
pub(super) fn new_lot(account: &Account, amount: Credits) -> Result<LotNumber, Error> {
    // All buckets of all lots together must fit, so that no later sum can fail.
    account.balance().total()?.plus(amount)?;
    account.next_lot().ok_or(Error::Full {
        account: account.id(),
    })
}

fn open(account: &Account, hold: HoldId) -> Result<&OpenHold, Error> {
    account.hold(hold).ok_or(Error::UnknownHold { hold })
}

/// An open hold that has its credit.
fn held(account: &Account, hold: HoldId) -> Result<&OpenHold, Error> {
    let open = open(account, hold)?;
    match open.clawed_by {
        Some(clawback) => Err(Error::Clawed { hold, clawback }),
        None => Ok(open),
    }
}
