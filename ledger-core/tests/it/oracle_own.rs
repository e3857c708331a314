//! What a command moves itself, before what follows from it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger_core::{Body, Command, Entry, Evidence, HeldPolicy, Key, ReleaseReason};

use crate::oracle::*;
use crate::reading::{Lot, Reading};
use crate::requests::proven_otherwise;
use crate::shown;

/// What the command writes itself, and what of it expires at once.
pub(crate) fn own(
    entries: &[Entry],
    reading: &Reading,
    command: &Command,
    at: DateTime<Utc>,
) -> Result<Own, Verdict> {
    let (kind, key) = (command.kind(), command.key().to_string());
    let next = u32::try_from(reading.lots.len() + 1).unwrap();
    let fits = |n: i64| {
        let granted: i128 = reading.lots.values().map(|lot| lot.granted).sum();
        if granted + i128::from(n) > i128::from(i64::MAX) {
            refused("overflow")
        } else {
            Ok(())
        }
    };
    let one = |moves| Ok((vec![line(kind, key.clone(), moves)], Vec::new()));
    match command {
        Command::Grant {
            evidence, amount, ..
        } => {
            proven_otherwise(entries, command)?;
            if let Evidence::Payment(payment) = evidence {
                let (item, asked) = (payment.plan.item.to_string(), payment.period);
                let overlaps = |lot: &Lot| {
                    lot.at("clawed") < lot.granted
                        && lot.paid.as_ref().is_some_and(|(i, p)| {
                            *i == item && p.start() < asked.end() && asked.start() < p.end()
                        })
                };
                if reading.lots.values().any(overlaps) {
                    return refused("overlap");
                }
            }
            fits(amount.0)?;
            one(vec![(next, "outside", "available", amount.0.into())])
        }
        Command::Hold {
            hold,
            service,
            slot_start,
        } => {
            if reading.open.keys().any(|open| open.booking == hold.booking) {
                return refused("hold open");
            }
            let slot = slot_start.timestamp_micros();
            let slot = DateTime::from_timestamp_micros(slot).unwrap();
            let ends = |number: u32, lot: &Lot| {
                let begun = lot.from <= slot && lot.service == *service;
                begun
                    .then(|| good_for(reading, number, lot, slot))
                    .flatten()
            };
            match in_order_by(reading, ends).first() {
                Some(&lot) => one(vec![(lot, "available", "held", 1)]),
                None => refused("no credit"),
            }
        }
        Command::Release { hold, reason } => {
            let open = reading
                .open
                .get(hold)
                .ok_or(Verdict::Refused("unknown hold"))?;
            if open.clawed_by.is_some() {
                return one(vec![]);
            }
            let clinics = *reason == ReleaseReason::ClinicCancelled;
            let over = reading.lots[&open.lot].is_over(at) && !clinics;
            let lines = vec![line(kind, key, vec![(open.lot, "held", "available", 1)])];
            Ok((lines, Vec::from_iter(over.then_some((open.lot, 1)))))
        }
        Command::Use { hold } | Command::Forfeit { hold, .. } => {
            let open = reading
                .open
                .get(hold)
                .ok_or(Verdict::Refused("unknown hold"))?;
            if open.clawed_by.is_some() {
                return refused("clawed");
            }
            let place = if kind == "use" { "used" } else { "forfeited" };
            let release = vec![(open.lot, "held", "available", 1)];
            let release = line("release", Key::release(*hold).to_string(), release);
            let second = line(kind, key, vec![(open.lot, "available", place, 1)]);
            Ok((vec![release, second], Vec::new()))
        }
        Command::Reschedule {
            hold, slot_version, ..
        } => {
            let open = reading
                .open
                .get(hold)
                .ok_or(Verdict::Refused("unknown hold"))?;
            if open.version >= Some(*slot_version) {
                return refused("stale slot");
            }
            one(vec![])
        }
        Command::Expire { .. } => Ok((vec![], vec![])),
        Command::Clawback {
            lot, amount, held, ..
        } => {
            let number = lot.number.0;
            let lot = lot_of(reading, *lot)?;
            if lot.root != number {
                return refused("transferred");
            }
            let left = (lot.granted - lot.recalled - lot.taken).max(0);
            if left == 0 {
                return refused("too much");
            }
            let amount = left.min(amount.0.into());
            let (moves, debt) = clawed(reading, number, amount, *held);
            let line = line(kind, key, moves);
            Ok((
                vec![Line {
                    debt: Some((number, debt)),
                    ..line
                }],
                Vec::new(),
            ))
        }
        Command::Reinstate { cause } => {
            reinstated(entries, reading, &Key::clawback(cause), at, key)
        }
        Command::Transfer {
            lot,
            reason,
            amount,
            ..
        } => {
            let number = lot.number.0;
            let lot = lot_of(reading, *lot)?;
            let n = i128::from(amount.0);
            let free = lot.at("available").min(n);
            let revives = !["carry_over", "expiry_change"].contains(&reason.as_str());
            let dead = if revives {
                lot.at("expired").min(n - free)
            } else {
                0
            };
            if free + dead < n {
                return refused("short lot");
            }
            fits(amount.0)?;
            one(vec![
                (number, "available", "moved_out", free),
                (number, "expired", "moved_out", dead),
                (next, "outside", "available", n),
            ])
        }
        Command::Extend { lot, until, .. } => {
            let Some(end) = lot_of(reading, *lot)?.end else {
                return refused("endless");
            };
            let until = until.map(|until| until.timestamp_micros());
            if until.is_some_and(|until| until <= end.max(at).timestamp_micros()) {
                return refused("expiry");
            }
            one(vec![])
        }
        Command::Unextend { lot, id } => {
            // The lot's end, carried out just before, may have left nothing of it.
            let lot = lot_of(reading, *lot)?;
            match lot.extensions.iter().any(|one| one.id == *id) {
                true => one(vec![]),
                false => Ok((Vec::new(), Vec::new())),
            }
        }
        Command::Rebook { hold, into } => {
            let open = reading
                .open
                .get(hold)
                .ok_or(Verdict::Refused("unknown hold"))?;
            if open.clawed_by.is_some() {
                return refused("clawed");
            }
            if reading.open.keys().any(|open| open.booking == into.booking) {
                return refused("hold open");
            }
            let release = vec![(open.lot, "held", "available", 1)];
            let release = line("release", Key::release(*hold).to_string(), release);
            let again = line("hold", key, vec![(open.lot, "available", "held", 1)]);
            Ok((vec![release, again], Vec::new()))
        }
        Command::Restore {
            hold,
            of,
            service,
            extension,
            ..
        } => {
            if reading.open.keys().any(|open| open.booking == hold.booking) {
                return refused("hold open");
            }
            let Some(released) = entries.iter().find(|one| one.key == Key::release(*of)) else {
                return refused("unknown entry");
            };
            let number = released_from(entries, *of).ok_or(Verdict::Refused("not released"))?;
            let root = reading.lots[&number].root;
            let family = |lot: &Lot| lot.root == root && lot.service == *service;
            let family: Vec<u32> = (reading.lots.iter())
                .filter(|(_, lot)| family(lot))
                .map(|(number, _)| *number)
                .collect();
            let mut lines = Vec::new();
            for number in &family {
                let mut extensions = reading.lots[number].extensions.iter();
                if extensions.any(|one| one.id == *extension) {
                    let key = lot_key(*number, &format!("extend/{extension}/back"));
                    lines.push(line("extend", key, vec![]));
                }
            }
            let mut held = |mut before: Vec<Line>, lot: u32| {
                before.push(line(
                    "hold",
                    key.clone(),
                    vec![(lot, "available", "held", 1)],
                ));
                lines.append(&mut before);
                Ok((lines.clone(), Vec::new()))
            };
            let free = |lot: &&u32| reading.lots[*lot].at("available") > 0;
            let mut free = family.iter().filter(free).rev();
            for from in free.clone() {
                let lot = &reading.lots[from];
                if let Some((_, back_to, Some(id), false)) = lot.brought
                    && id == *extension
                    && lot.granted == 1
                {
                    let key = format!("extend/{extension}/{from}/reversed");
                    let moves = vec![
                        (*from, "available", "moved_out", 1),
                        (back_to, "moved_out", "available", 1),
                    ];
                    let back = line("reverse", lot_key(back_to, &key), moves);
                    return held(vec![back], back_to);
                }
            }
            if free.clone().any(|lot| *lot == number) {
                return held(vec![], number);
            }
            let since = |lot: &&u32| {
                reading.lots[*lot]
                    .brought
                    .is_some_and(|one| one.0 > released.seq)
            };
            if let Some(last) = free.find(since) {
                return held(vec![], *last);
            }
            if !family.contains(&number) || reading.lots[&number].at("expired") == 0 {
                return refused("no credit");
            }
            fits(1)?;
            let moves = vec![
                (number, "expired", "moved_out", 1),
                (next, "outside", "available", 1),
            ];
            let revived = line("transfer", format!("{key}/restore"), moves);
            held(vec![revived], next)
        }
        Command::Adjust {
            service, amount, ..
        } => {
            if amount.0 > 0 {
                fits(amount.0)?;
                return one(vec![(next, "outside", "available", amount.0.into())]);
            }
            let mut less = -i128::from(amount.0);
            let mut moves = Vec::new();
            for number in in_order(reading, |lot| lot.service == *service) {
                let n = less.min(reading.lots[&number].at("available"));
                moves.push((number, "available", "clawed", n));
                less -= n;
            }
            if less > 0 {
                refused("short service")
            } else {
                one(moves)
            }
        }
        Command::Reverse { entry, .. } => {
            let stored = entries.iter().find(|stored| stored.key == *entry);
            let stored = stored.ok_or(Verdict::Refused("unknown entry"))?;
            let outside = match stored.body.kind() {
                "grant" | "adjust" => "clawed",
                "transfer" => "moved_out",
                "use" | "forfeit" | "expire" => "",
                _ => return refused("not reversible"),
            };
            let back = shown::read(stored)
                .moves
                .into_iter()
                .map(|(lot, from, to, n)| {
                    (lot, to, if from == "outside" { outside } else { from }, n)
                });
            one(back.collect())
        }
    }
}

/// What a clawback moves, and what is owed.
fn clawed(reading: &Reading, root: u32, amount: i128, held: HeldPolicy) -> (Vec<Moved>, i128) {
    let mut left = amount;
    let mut moves = Vec::new();
    for (number, lot) in reading.lots.iter().filter(|(_, lot)| lot.root == root) {
        let n = left.min(lot.at("available"));
        moves.push((*number, "available", "clawed", n));
        left -= n;
    }
    if held == HeldPolicy::Take {
        let of_root = |lot: u32| reading.lots[&lot].root == root;
        let holds = reading
            .open
            .iter()
            .filter(|(_, open)| open.clawed_by.is_none());
        let mut holds: Vec<_> = holds.filter(|(_, open)| of_root(open.lot)).collect();
        holds.sort_by(|(i, a), (j, b)| b.slot.cmp(&a.slot).then(j.cmp(i)));
        let taken = usize::try_from(left.min(100)).unwrap();
        for (_, open) in holds.into_iter().take(taken) {
            moves.push((open.lot, "held", "clawed", 1));
            left -= 1;
        }
    }
    (moves, left)
}

fn reinstated(
    entries: &[Entry],
    reading: &Reading,
    clawback: &Key,
    at: DateTime<Utc>,
    key: String,
) -> Result<Own, Verdict> {
    let Some(stored) = entries.iter().find(|stored| stored.key == *clawback) else {
        return refused("unknown entry");
    };
    let Body::Clawback {
        lot,
        allocation,
        holds,
        debt,
        ..
    } = &stored.body
    else {
        panic!("a clawback's key");
    };
    let is_over = |lot: u32| reading.lots[&lot].is_over(at);
    let (mut moves, mut over) = (Vec::new(), BTreeMap::<u32, i128>::new());
    for part in allocation {
        let (lot, n) = (part.lot.0, i128::from(part.amount.0));
        moves.push((lot, "clawed", "available", n));
        if is_over(lot) && !reading.lots[&lot].is_over(stored.effective_at) {
            *over.entry(lot).or_default() += n;
        }
    }
    for part in holds {
        let open = reading.open.get(&part.hold);
        let waits = open.is_some_and(|open| open.clawed_by == Some(stored.seq));
        let place = if waits { "held" } else { "available" };
        moves.push((part.lot.0, "clawed", place, 1));
        if !waits && is_over(part.lot.0) {
            *over.entry(part.lot.0).or_default() += 1;
        }
    }
    let debtor = &reading.lots[&lot.0];
    let forgiven = debtor.debt.min(debt.0.into());
    let mut returned = i128::from(debt.0) - forgiven;
    for (payer, n) in debtor.repaid.iter().rev() {
        let n = returned.min(*n);
        moves.push((*payer, "clawed", "available", n));
        returned -= n;
        if is_over(*payer) && n > 0 {
            *over.entry(*payer).or_default() += n;
        }
    }
    assert_eq!(returned, 0, "a debt is owed, or was repaid");
    let line = line("reinstate", key, moves);
    let line = Line {
        debt: Some((lot.0, -forgiven)),
        ..line
    };
    Ok((vec![line], over.into_iter().collect()))
}
