//! Entries and errors as the oracle shows them.

use ledger_core::{Body, Entry, Error};

use crate::oracle::{Line, Moved, line};

/// An entry as a line: what its fields say moves, sorted.
pub(crate) fn read(entry: &Entry) -> Line {
    let (moves, debt) = told(entry);
    Line {
        debt,
        ..line(entry.body.kind(), entry.key.to_string(), moves)
    }
}

/// What an entry's fields say moves, in order.
pub(crate) fn moves(entry: &Entry) -> Vec<Moved> {
    told(entry).0
}

fn told(entry: &Entry) -> (Vec<Moved>, Option<(u32, i128)>) {
    let parts = |from, to| {
        let parts = entry.body.allocation().iter();
        parts.map(move |part| (part.lot.0, from, to, i128::from(part.amount.0)))
    };
    let debt_of = |lot: &ledger_core::LotNumber, n: i128| Some((lot.0, n));
    match &entry.body {
        Body::Grant { lot, amount, .. }
        | Body::Adjust {
            lot: Some(lot),
            amount,
            ..
        } => (vec![(lot.0, "outside", "available", amount.0.into())], None),
        Body::Hold { .. } => (parts("available", "held").collect(), None),
        Body::Release { .. } => (parts("held", "available").collect(), None),
        Body::Use { .. } => (parts("available", "used").collect(), None),
        Body::Forfeit { .. } => (parts("available", "forfeited").collect(), None),
        Body::Expire { lot, amount } => {
            (vec![(lot.0, "available", "expired", amount.0.into())], None)
        }
        Body::Clawback {
            lot, holds, debt, ..
        } => {
            let holds = holds.iter();
            let held = holds.map(|part| (part.lot.0, "held", "clawed", part.amount.0.into()));
            (
                parts("available", "clawed").chain(held).collect(),
                debt_of(lot, debt.0.into()),
            )
        }
        Body::Reinstate {
            lot,
            holds,
            debt,
            returned,
            ..
        } => {
            let held = holds.iter();
            let held = held.map(|part| (part.lot.0, "clawed", "held", part.amount.0.into()));
            let back = returned.iter();
            let back = back.map(|part| (part.lot.0, "clawed", "available", part.amount.0.into()));
            let moves = parts("clawed", "available")
                .chain(held)
                .chain(back)
                .collect();
            (moves, debt_of(lot, -i128::from(debt.0)))
        }
        Body::Repay { lot, .. } => {
            let n: i128 = parts("", "").map(|part| part.3).sum();
            (parts("available", "clawed").collect(), debt_of(lot, -n))
        }
        Body::Transfer {
            from,
            lot,
            amount,
            expired,
            ..
        } => {
            let (n, dead) = (i128::from(amount.0), i128::from(expired.0));
            let out = |place, n| (from.0, place, "moved_out", n);
            let new = (lot.0, "outside", "available", n);
            (
                vec![out("available", n - dead), out("expired", dead), new],
                None,
            )
        }
        Body::Adjust { .. } => (parts("available", "clawed").collect(), None),
        Body::Reverse { moves, .. } => {
            let place = |one: &ledger_core::Move| one.from.map_or("outside", |from| from.as_str());
            let moves = moves.iter();
            let moved =
                moves.map(|one| (one.lot.0, place(one), one.to.as_str(), one.amount.0.into()));
            (moved.collect(), None)
        }
        _ => (Vec::new(), None),
    }
}

/// The oracle's name for an error.
pub(crate) fn name(error: &Error) -> &'static str {
    match error {
        Error::KeyConflict { .. } => "key conflict",
        Error::NoCredit { .. } => "no credit",
        Error::HoldOpen { .. } => "hold open",
        Error::UnknownHold { .. } => "unknown hold",
        Error::HoldEnded { .. } => "hold ended",
        Error::StaleSlot { .. } => "stale slot",
        Error::Amount { .. } => "amount",
        Error::Expiry { .. } => "expiry",
        Error::GrantKey { .. } => "grant key",
        Error::ReservedReason { .. } => "reserved reason",
        Error::Overflow(_) => "overflow",
        Error::Full { .. } => "full",
        Error::HalfPair { .. } => "half pair",
        Error::Evidence { .. } => "evidence",
        Error::Proven { .. } => "proven",
        Error::Overlap { .. } => "overlap",
        Error::UnknownLot { .. } => "unknown lot",
        Error::Transferred { .. } => "transferred",
        Error::TooMuch { .. } => "too much",
        Error::NotOver { .. } => "not over",
        Error::Clawed { .. } => "clawed",
        Error::ShortLot { .. } => "short lot",
        Error::ShortService { .. } => "short service",
        Error::UnknownEntry { .. } => "unknown entry",
        Error::NotReversible { .. } => "not reversible",
        Error::Endless { .. } => "endless",
        Error::NotReleased { .. } => "not released",
        Error::Misfit(_) => "misfit",
        other => panic!("the oracle has no name for {other}"),
    }
}
