//! What a command writes itself, for the account as it is: its bodies, not yet sealed.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::account::clawback::{claw_back, reinstate};
use crate::account::command::Command;
use crate::account::error::Error;
use crate::account::evolve::sum;
use crate::account::lookup::{
    find_entry, find_lot, held, new_lot, next_lot, no_credit, one_of, open, refuse_open, take_from,
};
use crate::account::restore::{restore, withdraw};
use crate::account::state::{Account, OpenHold};
use crate::amount::Credits;
use crate::body::{Body, Move, Part};
use crate::entry::Entry;
use crate::evidence::{Evidence, ReasonCode};
use crate::id::{HoldId, LotId, ServiceId};
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
            withdraw(from.number, extension)
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
                extended: open.extended,
            };
            let released = release(open, ReleaseReason::Rebooked);
            return Ok(Draft::of(vec![released, (command.key(), again)]));
        }
        Command::Restore { .. } => {
            return Ok(Draft {
                is_checked: false,
                ..Draft::of(restore(account, seen, command)?)
            });
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
    // What was kept after the lot's end is good for any slot by itself.
    let needs = lot.is_over_at(slot_start) && lot.ending().is_positive();
    let extended = needs.then_some(slot_start);
    Ok(one_of(lot.number, hold, service, slot_start, extended))
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
