//! What should come of a command, from the plain list of entries: by rules written down a second
//! time, over a [`Reading`] made anew for each question.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger_core::{
    Body, Command, Entry, Evidence, HeldPolicy, Key, LotId, ReleaseReason, Source, TransferReason,
};

use crate::ledger::anna;
use crate::reading::{Lot, Reading};
use crate::requests::{before, by_itself};
use crate::shown;

/// What should come of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// New, and it writes this.
    New(Vec<Line>),
    /// Done before, or nothing to do.
    Already,
    /// Not to be done, under this name.
    Refused(&'static str),
}

/// An entry: its kind, its key, what moves (lot, from, to, how many; sorted), and who owes more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) kind: &'static str,
    pub(crate) key: String,
    pub(crate) moves: Vec<Moved>,
    pub(crate) debt: Option<(u32, i128)>,
}

pub(crate) type Moved = (u32, &'static str, &'static str, i128);
type Refusal = Result<Vec<Line>, Verdict>;
/// Lines, and what of them expires at once: lots and how many.
type Own = (Vec<Line>, Vec<(u32, i128)>);

pub(crate) fn refused<T>(name: &'static str) -> Result<T, Verdict> {
    Err(Verdict::Refused(name))
}

pub(crate) fn verdict(entries: &[Entry], command: &Command, now: DateTime<Utc>) -> Verdict {
    let last = entries
        .last()
        .map_or(i64::MIN, |entry| entry.recorded_at.timestamp_micros());
    let at = DateTime::from_timestamp_micros(now.timestamp_micros().max(last)).unwrap();
    match decided(entries, command, at) {
        Ok(lines) if lines.is_empty() => Verdict::Already,
        Ok(lines) => Verdict::New(lines),
        Err(verdict) => verdict,
    }
}

fn decided(entries: &[Entry], command: &Command, at: DateTime<Utc>) -> Refusal {
    by_itself(command)?;
    before(entries, command)?;
    let mut reading = Reading::of(entries);
    let mut lines = Vec::new();
    if let Command::Expire { lot } = command {
        let lot = lot_of(&reading, *lot)?;
        if !lot.is_over(at) {
            return refused("not over");
        }
        if lot.ended || lot.at("available") == 0 {
            return Ok(lines);
        }
    }
    let due: Vec<_> = (reading.lots.iter())
        .filter(|_| !["grant", "hold", "use", "forfeit", "rescheduled"].contains(&command.kind()))
        .filter(|(_, lot)| lot.is_over(at) && !lot.ended && lot.at("available") > 0)
        .map(|(number, lot)| (*number, lot.at("available")))
        .collect();
    for (lot, n) in due {
        let line = line(
            "expire",
            lot_key(lot, "expire"),
            vec![(lot, "available", "expired", n)],
        );
        lines.push(shown(&mut reading, line)?);
    }
    let (main, over) = own(entries, &reading, command, at)?;
    if main
        .iter()
        .flat_map(|line| &line.moves)
        .any(|one| one.1 == "outside")
    {
        let next = u32::try_from(reading.lots.len() + 1).unwrap();
        let lot = new_lot(&reading, command, at);
        reading.lots.insert(next, lot);
    }
    for one in main {
        lines.push(shown(&mut reading, one)?);
    }
    for (lot, n) in over {
        let key = format!("{}/expire/{lot}", command.key());
        lines.push(shown(
            &mut reading,
            line("expire", key, vec![(lot, "available", "expired", n)]),
        )?);
    }
    for debtor in reading.lots.clone().into_keys() {
        let mut moves = Vec::new();
        while reading.lots[&debtor].debt > 0 {
            let service = reading.lots[&debtor].service;
            let payers = in_order(&reading, |lot| lot.service == service && !lot.is_over(at));
            let Some(&payer) = payers.first() else { break };
            let n = reading.lots[&payer]
                .at("available")
                .min(reading.lots[&debtor].debt);
            let one = (payer, "available", "clawed", n);
            apply(&mut reading, &one);
            reading.lot(debtor).debt -= n;
            moves.push(one);
        }
        if !moves.is_empty() {
            let key = format!("{}/repay/{debtor}", command.key());
            let n: i128 = moves.iter().map(|one| one.3).sum();
            lines.push(Line {
                debt: Some((debtor, -n)),
                ..line("repay", key, moves)
            });
        }
    }
    Ok(lines)
}

pub(crate) fn line(kind: &'static str, key: String, mut moves: Vec<Moved>) -> Line {
    moves.retain(|one| one.3 != 0);
    moves.sort_unstable();
    Line {
        kind,
        key,
        moves,
        debt: None,
    }
}

fn lot_key(lot: u32, what: &str) -> String {
    format!("v1/lot/{}.{lot}/{what}", anna())
}

/// Makes a line's moves in the reading, if the credits are there.
fn shown(reading: &mut Reading, line: Line) -> Result<Line, Verdict> {
    for one in &line.moves {
        apply(reading, one);
    }
    if let Some((lot, more)) = line.debt {
        reading.lot(lot).debt += more;
    }
    let negative = |lot: &Lot| lot.places.values().any(|n| *n < 0);
    if reading.lots.values().any(negative) {
        return refused("misfit");
    }
    Ok(line)
}

fn apply(reading: &mut Reading, (lot, from, to, n): &Moved) {
    let lot = reading.lot(*lot);
    if *from != "outside" {
        *lot.places.entry(from).or_default() -= n;
    }
    *lot.places.entry(to).or_default() += n;
}

fn lot_of(reading: &Reading, id: LotId) -> Result<&Lot, Verdict> {
    let lot = reading.lots.get(&id.number.0);
    lot.filter(|_| id.account == anna())
        .ok_or(Verdict::Refused("unknown lot"))
}

/// The lot that a command brings, still empty.
fn new_lot(reading: &Reading, command: &Command, at: DateTime<Utc>) -> Lot {
    let (service, source, from, end) = match command {
        Command::Grant {
            service,
            source,
            effective_at,
            expires_at,
            ..
        } => (*service, *source, *effective_at, *expires_at),
        Command::Transfer {
            lot,
            effective_at,
            expires_at,
            ..
        } => {
            let old = &reading.lots[&lot.number.0];
            (old.service, old.source, *effective_at, *expires_at)
        }
        Command::Adjust { service, .. } => (*service, Source::Goodwill, at, None),
        other => panic!("{other} brings no lot"),
    };
    Lot {
        service,
        source,
        granted: 0,
        from,
        end,
        root: 0,
        paid: None,
        places: BTreeMap::new(),
        debt: 0,
        recalled: 0,
        repaid: Vec::new(),
        ended: false,
    }
}

/// Lots with available credits, in the order of consumption, by comparing two at a time.
fn in_order(reading: &Reading, serves: impl Fn(&Lot) -> bool) -> Vec<u32> {
    let mut lots: Vec<(u32, &Lot)> = (reading.lots.iter())
        .filter(|(_, lot)| lot.at("available") > 0 && serves(lot))
        .map(|(number, lot)| (*number, lot))
        .collect();
    lots.sort_by(|(i, a), (j, b)| {
        let expiry = match (a.end, b.end) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(&b),
        };
        let source = a.source.as_str().cmp(b.source.as_str()); // goodwill, paid
        expiry.then(source).then(a.from.cmp(&b.from)).then(i.cmp(j))
    });
    lots.into_iter().map(|(number, _)| number).collect()
}

/// What the command writes itself, and what of it expires at once.
fn own(
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
            if let Evidence::Payment(payment) = evidence {
                let (item, asked) = (payment.plan.item.to_string(), payment.period);
                let overlaps = |lot: &Lot| {
                    lot.paid.as_ref().is_some_and(|(i, p)| {
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
            let serves = |lot: &Lot| {
                let begun = lot.from.timestamp_micros() <= slot;
                let over = matches!(lot.end, Some(end) if end.timestamp_micros() <= slot);
                lot.service == *service && begun && !over
            };
            match in_order(reading, serves).first() {
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
            if i128::from(amount.0) > lot.granted - lot.recalled {
                return refused("too much");
            }
            let (moves, debt) = clawed(reading, number, amount.0.into(), *held);
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
            let revives = [TransferReason::Rollover, TransferReason::Grace].contains(reason);
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
        if is_over(lot) && !reading.lots[&lot].is_over(stored.recorded_at) {
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
