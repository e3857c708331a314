//! A release that is undone: the hold has its own credit again.

use crate::account::command::Command;
use crate::account::error::Error;
use crate::account::lookup::{find_entry, find_lot, new_lot, no_credit, one_of, refuse_open};
use crate::account::state::Account;
use crate::amount::Credits;
use crate::body::{Body, Move};
use crate::entry::Entry;
use crate::id::LotNumber;
use crate::key::Key;
use crate::lot::{Brought, Bucket, Extension, Lot};
use crate::reason::{ReleaseReason, TransferReason};

/// Holds a credit again that a release had set free, as if it had not been: see [`Command::Restore`].
pub(super) fn restore(
    account: &Account,
    seen: &[Entry],
    command: &Command,
) -> Result<Vec<(Key, Body)>, Error> {
    let Command::Restore {
        hold,
        of,
        service,
        slot_start,
        extension,
        actor,
        ref reason,
    } = *command
    else {
        return Ok(Vec::new());
    };
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
    let family = || {
        let lots = account.lots().iter();
        lots.filter(|other| other.root() == lot.root() && other.service == service)
    };
    let is_free = |lot: &&Lot| lot.balance.available.is_positive();
    let begun = seen.iter().find(|entry| entry.key == Key::hold(of));
    let extended = begun.and_then(|entry| match entry.body {
        Body::Hold { extended, .. } => extended,
        _ => None,
    });
    let again = |lot: LotNumber, extended| {
        let body = one_of(lot, hold, service, slot_start, extended);
        (command.key(), body)
    };

    let mut entries = Vec::new();
    for extended in family() {
        let mut its = extended.extensions.iter();
        if let Some(one) = its.find(|one| one.id == extension) {
            let id = account.lot_id(extended.number);
            let key = Key::extend(id, extension).then_back();
            entries.push((key, withdraw(extended.number, one)));
        }
    }
    // What the extension moved has a lot of its own.
    let alone = family()
        .filter(|lot| lot.granted == Credits::ONE)
        .filter(is_free);
    let moved = alone.filter_map(|lot| Some((lot.number, lot.brought?)));
    let is_its = |brought: Brought| brought.extension == Some(extension) && !brought.revived;
    let mut moved = moved.filter(|(_, brought)| is_its(*brought));
    if let Some((from, brought)) = moved.next_back() {
        let lot = account.lot_id(brought.from);
        let entry = Key::extended(lot, extension, from);
        let one = |lot, from, to| Move {
            lot,
            from: Some(from),
            to,
            amount: Credits::ONE,
        };
        let back = Body::Reverse {
            seq: brought.seq,
            actor,
            reason: reason.clone(),
            moves: vec![
                one(from, Bucket::Available, Bucket::MovedOut),
                one(brought.from, Bucket::MovedOut, Bucket::Available),
            ],
            entry: entry.clone(),
        };
        entries.push((Key::reversed(&entry), back));
        entries.push(again(brought.from, extended));
        return Ok(entries);
    }
    let since = |lot: &&Lot| lot.brought.is_some_and(|one| one.seq > released.seq);
    let own = Some(lot).filter(|lot| lot.service == service);
    if own.filter(is_free).is_some() {
        entries.push(again(number, extended));
        return Ok(entries);
    }
    if let Some(moved) = family().filter(is_free).rfind(since) {
        entries.push(again(moved.number, None));
        return Ok(entries);
    }
    if own.is_none_or(|lot| !lot.balance.expired.is_positive()) {
        return Err(no_credit(account, service, slot_start));
    }
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
    entries.push((command.key().then_restore(), revived));
    entries.push(again(new, None));
    Ok(entries)
}

/// The withdrawal of a lot's extension.
pub(super) fn withdraw(lot: LotNumber, extension: &Extension) -> Body {
    Body::Extend {
        id: extension.id,
        reason: extension.reason,
        lot,
        amount: Credits::ZERO,
        until: extension.until,
    }
}
