//! What should come of a command, from the plain list of entries: by rules written down a second
//! time, over a [`Reading`] made anew for each question.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger_core::{
    Body, Command, Entry, Evidence, HeldPolicy, HoldId, Key, LotId, ReleaseReason, ServiceId,
    Source,
};
use uuid::Uuid;

use crate::ledger::anna;
use crate::reading::{Extension, Lot, Reading, release_of};
use crate::requests::{before, by_itself, proven_otherwise};
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
    let at = DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap();
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
        if lot.at("available") == lot.kept {
            return Ok(lines);
        }
    }
    if let Command::Unextend { lot, id } = command
        && lot_of(&reading, *lot)?
            .extensions
            .iter()
            .all(|one| one.id != *id)
    {
        return Ok(lines);
    }
    let waits = match command {
        Command::Rebook { .. } | Command::Restore { .. } => false,
        other => ["grant", "hold", "use", "forfeit", "rescheduled"].contains(&other.kind()),
    };
    let due: Vec<u32> = (reading.lots.iter())
        .filter(|(_, lot)| !waits && lot.is_over(at) && lot.at("available") > lot.kept)
        .map(|(number, _)| *number)
        .collect();
    for number in due {
        let lot = &reading.lots[&number];
        let (n, ended) = (lot.at("available") - lot.kept, lot.ended);
        let rest = n - moved_on(&mut reading, &mut lines, number, (n, None), at)?;
        if rest == 0 {
            continue;
        }
        let key = match ended {
            true => format!("expire/{}", entries.len() + lines.len() + 1),
            false => "expire".to_owned(),
        };
        let key = lot_key(number, &key);
        let line = line("expire", key, vec![(number, "available", "expired", rest)]);
        lines.push(shown(&mut reading, line)?);
    }
    let (main, over) = own(entries, &reading, command, at)?;
    for one in main {
        if one.moves.iter().any(|one| one.1 == "outside") {
            let next = u32::try_from(reading.lots.len() + 1).unwrap();
            let lot = new_lot(entries, &reading, command, at);
            reading.lots.insert(next, lot);
        }
        lines.push(shown(&mut reading, one)?);
    }
    let mut moved = BTreeMap::new();
    if ["release", "reinstate", "reverse", "extend"].contains(&command.kind()) {
        let reviving = match command {
            Command::Extend { id, .. } => Some(*id),
            _ => None,
        };
        for number in reading.lots.clone().into_keys() {
            let lot = reading.lot(number);
            if let Command::Extend {
                id,
                lot: extended,
                reason,
                amount,
                until,
            } = command
                && extended.number.0 == number
            {
                let revives = !["carry_over", "expiry_change"].contains(&reason.as_str());
                lot.extensions.push(Extension {
                    id: *id,
                    revives,
                    left: amount.0.into(),
                    until: until
                        .map(|t| DateTime::from_timestamp_micros(t.timestamp_micros()).unwrap()),
                });
            }
            if lot.is_over(at) {
                let free = (lot.at("available"), reviving);
                moved.insert(
                    number,
                    moved_on(&mut reading, &mut lines, number, free, at)?,
                );
            }
        }
    }
    for (lot, n) in over {
        let n = n - moved.get(&lot).copied().unwrap_or(0);
        if n <= 0 {
            continue;
        }
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

/// Moves what extensions move of a lot: of so many available credits, and of the expired ones for the
/// extension that is new. How many available ones those were.
fn moved_on(
    reading: &mut Reading,
    lines: &mut Vec<Line>,
    number: u32,
    (free, reviving): (i128, Option<Uuid>),
    at: DateTime<Utc>,
) -> Result<i128, Verdict> {
    let mut extensions = reading.lots[&number].extensions.clone();
    // What lasts longest comes first, in the order in which they were made.
    extensions.sort_by(|a, b| match (a.until, b.until) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => b.cmp(&a),
    });
    let mut moved = 0;
    for extension in extensions {
        let end = reading.lots[&number].end.unwrap();
        let lives = |until: DateTime<Utc>| until > at && until > end;
        if !extension.until.is_none_or(lives) {
            continue;
        }
        let n = (free - moved).min(extension.left);
        let revives = extension.revives && reviving == Some(extension.id);
        let dead = if revives {
            reading.lots[&number].at("expired").min(extension.left - n)
        } else {
            0
        };
        let granted: i128 = reading.lots.values().map(|lot| lot.granted).sum();
        if n + dead == 0 || granted + n + dead > i128::from(i64::MAX) {
            continue;
        }
        let next = u32::try_from(reading.lots.len() + 1).unwrap();
        let old = reading.lots[&number].clone();
        let new = Lot {
            granted: n + dead,
            end: extension.until,
            ..empty(old.service, old.source, old.from, old.root)
        };
        reading.lots.insert(next, new);
        let key = lot_key(number, &format!("extend/{}/{next}", extension.id));
        let moves = vec![
            (number, "available", "moved_out", n),
            (number, "expired", "moved_out", dead),
            (next, "outside", "available", n + dead),
        ];
        lines.push(shown(reading, line("transfer", key, moves))?);
        let extensions = &mut reading.lot(number).extensions;
        for one in extensions
            .iter_mut()
            .filter(|one| one.id == extension.id && one.until == extension.until)
        {
            one.left = (one.left - n - dead).max(0);
        }
        extensions.retain(|one| one.left > 0);
        moved += n;
    }
    Ok(moved)
}

fn empty(service: ServiceId, source: Source, from: DateTime<Utc>, root: u32) -> Lot {
    Lot {
        service,
        source,
        granted: 0,
        from,
        end: None,
        root,
        paid: None,
        places: BTreeMap::new(),
        debt: 0,
        recalled: 0,
        repaid: Vec::new(),
        ended: false,
        kept: 0,
        taken: 0,
        extensions: Vec::new(),
    }
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
fn new_lot(entries: &[Entry], reading: &Reading, command: &Command, at: DateTime<Utc>) -> Lot {
    let (service, source, from, end) = match command {
        Command::Restore { of, .. } => {
            let old = &reading.lots[&released_from(entries, *of).unwrap()];
            (old.service, old.source, old.from, old.end)
        }
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
        end,
        ..empty(service, source, from, 0)
    }
}

/// The lot of the hold that was released, if it was set free.
fn released_from(entries: &[Entry], of: HoldId) -> Option<u32> {
    entries.iter().find_map(|entry| match &entry.body {
        Body::Release {
            hold,
            reason,
            allocation,
        } if *hold == of && !["used", "forfeited"].contains(&reason.as_str()) => {
            allocation.first().map(|part| part.lot.0)
        }
        _ => None,
    })
}

/// Lots with available credits, in the order of consumption by their own end.
fn in_order(reading: &Reading, serves: impl Fn(&Lot) -> bool) -> Vec<u32> {
    in_order_by(reading, |_, lot| serves(lot).then_some(lot.end))
}

/// Lots with available credits, in the order of consumption, by comparing two at a time. `ends` says
/// by which end a lot counts, and which do not serve.
fn in_order_by(
    reading: &Reading,
    ends: impl Fn(u32, &Lot) -> Option<Option<DateTime<Utc>>>,
) -> Vec<u32> {
    let mut lots: Vec<(u32, &Lot, Option<DateTime<Utc>>)> = (reading.lots.iter())
        .filter(|(_, lot)| lot.at("available") > 0)
        .filter_map(|(number, lot)| Some((*number, lot, ends(*number, lot)?)))
        .collect();
    lots.sort_by(|(i, a, a_end), (j, b, b_end)| {
        let expiry = match (a_end, b_end) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        };
        let source = a.source.as_str().cmp(b.source.as_str()); // goodwill, paid
        expiry.then(source).then(a.from.cmp(&b.from)).then(i.cmp(j))
    });
    lots.into_iter().map(|(number, _, _)| number).collect()
}

/// Until when the credit of a lot is good that a slot would take: each available credit has an end of
/// its own, and what ends first goes first.
fn good_for(
    reading: &Reading,
    number: u32,
    lot: &Lot,
    slot: DateTime<Utc>,
) -> Option<Option<DateTime<Utc>>> {
    let Some(end) = lot.end else {
        return Some(None);
    };
    let mut ends: Vec<Option<DateTime<Utc>>> = Vec::new();
    for one in &lot.extensions {
        if one.until.is_none_or(|until| until > end) {
            let many = usize::try_from(one.left.min(500)).unwrap();
            ends.extend(std::iter::repeat_n(one.until, many));
        }
    }
    // What lasts longest comes first: to those that are held for late slots already, then to the rest.
    let lasts = |end: &Option<DateTime<Utc>>| end.unwrap_or(DateTime::<Utc>::MAX_UTC);
    ends.sort_by_key(|end| (end.is_some(), std::cmp::Reverse(lasts(end))));
    let late = reading
        .open
        .values()
        .filter(|open| open.lot == number && open.slot >= end && open.clawed_by.is_none());
    let late = late.count().min(ends.len());
    let mut ends = ends.split_off(if lot.extensions.is_empty() { 0 } else { late });
    let ending = lot.at("available") - lot.kept;
    let many = usize::try_from(ending.min(5_000)).unwrap();
    ends.truncate(many);
    if i128::try_from(ends.len()).unwrap() < ending {
        ends.push(Some(end));
    }
    if lot.kept > 0 {
        ends.push(None);
    }
    let mut good: Vec<_> = ends
        .into_iter()
        .filter(|end| end.is_none_or(|end| slot < end))
        .collect();
    good.sort_by_key(|end| (end.is_none(), lasts(end)));
    good.first().copied()
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
            let lot = lot_of(reading, *lot)?;
            assert!(lot.extensions.iter().any(|one| one.id == *id));
            one(vec![])
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
            hold, of, service, ..
        } => {
            if reading.open.keys().any(|open| open.booking == hold.booking) {
                return refused("hold open");
            }
            if release_of(entries, *of).is_none() {
                return refused("unknown entry");
            }
            let number = released_from(entries, *of).ok_or(Verdict::Refused("not released"))?;
            let lot = &reading.lots[&number];
            let held = |lot: u32| vec![(lot, "available", "held", 1)];
            if lot.service == *service && lot.at("available") > 0 {
                return one(held(number));
            }
            if lot.service == *service && lot.at("expired") > 0 {
                fits(1)?;
                let moves = vec![
                    (number, "expired", "moved_out", 1),
                    (next, "outside", "available", 1),
                ];
                let revived = line("transfer", format!("{key}/restore"), moves);
                return Ok((vec![revived, line("hold", key, held(next))], Vec::new()));
            }
            let family = reading.lots.iter().filter(|(n, other)| {
                let free = other.at("available") > 0 && other.service == *service;
                **n > number && other.root == lot.root && free
            });
            match family.max_by_key(|(number, _)| **number) {
                Some((last, _)) => one(held(*last)),
                None => refused("no credit"),
            }
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
