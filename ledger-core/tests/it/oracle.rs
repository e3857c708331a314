//! What should come of a command, from the plain list of entries: by rules written down a second
//! time, over a [`Reading`] made anew for each question.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger_core::{Body, Command, Entry, HoldId, Key, LotId, ServiceId, Source};
use uuid::Uuid;

use crate::ledger::anna;
use crate::oracle_own::own;
use crate::reading::{Extension, Lot, Reading, first_to_pay};
use crate::requests::{before, by_itself};

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
pub(crate) type Refusal = Result<Vec<Line>, Verdict>;
/// Lines, and what of them expires at once: lots and how many.
pub(crate) type Own = (Vec<Line>, Vec<(u32, i128)>);

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
            let before = entries.iter().any(|entry| entry.key == command.key());
            return if before {
                Ok(lines)
            } else {
                refused("not over")
            };
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
    match command {
        Command::Release { hold, .. } => drop(reading.open.remove(hold)),
        Command::Reinstate { cause } => {
            let clawback = Key::clawback(cause);
            let seq = entries
                .iter()
                .find(|one| one.key == clawback)
                .map(|one| one.seq);
            for open in reading
                .open
                .values_mut()
                .filter(|open| open.clawed_by == seq)
            {
                open.clawed_by = None;
            }
        }
        _ => {}
    }
    let mut moved = BTreeMap::new();
    if let Command::Extend {
        id,
        lot,
        reason,
        amount,
        until,
    } = command
    {
        let number = lot.number.0;
        let revives = !["carry_over", "expiry_change"].contains(&reason.as_str());
        let lot = reading.lot(number);
        lot.extensions.push(Extension {
            id: *id,
            revives,
            is_rollover: reason.as_str() == "rollover",
            left: amount.0.into(),
            until: until.map(|t| DateTime::from_timestamp_micros(t.timestamp_micros()).unwrap()),
        });
        if lot.is_over(at) {
            let free = (lot.at("available"), Some(*id));
            moved_on(&mut reading, &mut lines, number, free, at)?;
        }
    }
    if ["release", "reinstate", "reverse"].contains(&command.kind()) {
        let mut freed: BTreeMap<u32, i128> = BTreeMap::new();
        for (lot, _, to, n) in lines.iter().flat_map(|line| &line.moves) {
            *freed.entry(*lot).or_default() += n * i128::from(*to == "available");
        }
        // What was clawed back after the lot's end comes back to where it was.
        if let Command::Reinstate { .. } = command {
            freed = over.iter().copied().collect();
        }
        for (number, free) in freed {
            if free > 0 && reading.lot(number).is_over(at) {
                let n = moved_on(&mut reading, &mut lines, number, (free, None), at)?;
                moved.insert(number, n);
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

/// A lot's extensions without what open holds need of them, hold by hold, the latest slot first.
pub(crate) fn unneeded(reading: &Reading, number: u32, spared: Option<Uuid>) -> Vec<Extension> {
    let lot = &reading.lots[&number];
    let mut extensions = lot.extensions.clone();
    let mut late: Vec<DateTime<Utc>> = reading
        .open
        .values()
        .filter(|open| open.lot == number && open.clawed_by.is_none())
        .filter(|open| lot.is_over(open.slot))
        .filter_map(|open| open.extended)
        .collect();
    late.sort();
    for slot in late.into_iter().rev() {
        if let Some(index) = first_to_pay(&extensions, slot, spared) {
            extensions[index].left -= 1;
        }
    }
    extensions
}

/// Moves what extensions move of a lot: of so many available credits, and of the expired ones for the
/// extension that is new. How many available ones those were.
pub(crate) fn moved_on(
    reading: &mut Reading,
    lines: &mut Vec<Line>,
    number: u32,
    (free, reviving): (i128, Option<Uuid>),
    at: DateTime<Utc>,
) -> Result<i128, Verdict> {
    let mut extensions = unneeded(reading, number, reviving);
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
        let revives = extension.revives && reviving == Some(extension.id);
        let expired = i128::from(revives) * reading.lots[&number].at("expired");
        // A rollover takes the expired ones first, everything else the available ones.
        let (n, dead) = if extension.is_rollover {
            let dead = expired.min(extension.left);
            ((free - moved).min(extension.left - dead), dead)
        } else {
            let n = (free - moved).min(extension.left);
            (n, expired.min(extension.left - n))
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
            // Later than any entry that is stored.
            brought: Some((u64::MAX, number, Some(extension.id), dead > 0)),
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

pub(crate) fn empty(service: ServiceId, source: Source, from: DateTime<Utc>, root: u32) -> Lot {
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
        brought: None,
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

pub(crate) fn lot_key(lot: u32, what: &str) -> String {
    format!("v1/lot/{}.{lot}/{what}", anna())
}

/// Makes a line's moves in the reading, if the credits are there.
pub(crate) fn shown(reading: &mut Reading, line: Line) -> Result<Line, Verdict> {
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

pub(crate) fn apply(reading: &mut Reading, (lot, from, to, n): &Moved) {
    let lot = reading.lot(*lot);
    if *from != "outside" {
        *lot.places.entry(from).or_default() -= n;
    }
    *lot.places.entry(to).or_default() += n;
}

pub(crate) fn lot_of(reading: &Reading, id: LotId) -> Result<&Lot, Verdict> {
    let lot = reading.lots.get(&id.number.0);
    lot.filter(|_| id.account == anna())
        .ok_or(Verdict::Refused("unknown lot"))
}

/// The lot that a command brings, still empty.
pub(crate) fn new_lot(
    entries: &[Entry],
    reading: &Reading,
    command: &Command,
    at: DateTime<Utc>,
) -> Lot {
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
pub(crate) fn released_from(entries: &[Entry], of: HoldId) -> Option<u32> {
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
pub(crate) fn in_order(reading: &Reading, serves: impl Fn(&Lot) -> bool) -> Vec<u32> {
    in_order_by(reading, |_, lot| serves(lot).then_some(lot.end))
}

/// Lots with available credits, in the order of consumption, by comparing two at a time. `ends` says
/// by which end a lot counts, and which do not serve.
pub(crate) fn in_order_by(
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
pub(crate) fn good_for(
    reading: &Reading,
    number: u32,
    lot: &Lot,
    slot: DateTime<Utc>,
) -> Option<Option<DateTime<Utc>>> {
    let Some(end) = lot.end else {
        return Some(None);
    };
    let mut ends: Vec<Option<DateTime<Utc>>> = Vec::new();
    for one in unneeded(reading, number, None) {
        let many = usize::try_from(one.left.min(500)).unwrap();
        ends.extend(std::iter::repeat_n(one.until, many));
    }
    // What lasts longest comes first.
    let lasts = |end: &Option<DateTime<Utc>>| end.unwrap_or(DateTime::<Utc>::MAX_UTC);
    ends.sort_by_key(|end| (end.is_some(), std::cmp::Reverse(lasts(end))));
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
