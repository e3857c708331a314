//! The same answers as the core's, from the plain list of entries, asked anew each time.
//!
//! Nothing is carried along and nothing moves: a credit is held because there is a hold without a
//! release, used because there is a use. Sums are 128 bits wide.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger_core::{Body, Command, Entry, Error, HoldId, Part, ReleaseReason, ServiceId, Source};

/// Where a lot's credits are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Buckets {
    pub(crate) granted: i128,
    pub(crate) available: i128,
    pub(crate) held: i128,
    pub(crate) used: i128,
    pub(crate) forfeited: i128,
}

/// The buckets of each lot.
pub(crate) fn buckets(entries: &[Entry]) -> BTreeMap<u32, Buckets> {
    let mut lots = BTreeMap::new();
    for entry in entries {
        let Body::Grant { lot, amount, .. } = &entry.body else {
            continue;
        };
        let granted = i128::from(amount.0);
        let taken = |which: &dyn Fn(&Body) -> bool| -> i128 {
            let bodies = entries
                .iter()
                .map(|entry| &entry.body)
                .filter(|body| which(body));
            let parts = bodies
                .flat_map(Body::allocation)
                .filter(|part| part.lot == *lot);
            parts.map(|part: &Part| i128::from(part.amount.0)).sum()
        };
        let held = taken(
            &|body| matches!(body, Body::Hold { hold, .. } if release_of(entries, *hold).is_none()),
        );
        let used = taken(&|body| matches!(body, Body::Use { .. }));
        let forfeited = taken(&|body| matches!(body, Body::Forfeit { .. }));
        let available = granted - held - used - forfeited;
        lots.insert(
            lot.0,
            Buckets {
                granted,
                available,
                held,
                used,
                forfeited,
            },
        );
    }
    lots
}

/// What should come of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// New: from this lot, or as this lot, if it is about one.
    New(Option<u32>),
    /// Done before.
    Already,
    /// Not to be done, under this name.
    Refused(&'static str),
}

pub(crate) fn verdict(entries: &[Entry], command: &Command) -> Verdict {
    match command {
        Command::Grant { .. } => grant(entries, command),
        Command::Hold { hold, service, slot_start } => {
            for entry in entries {
                match &entry.body {
                    Body::Hold { hold: h, service: s, slot_start: at, .. } if h == hold => {
                        return same(s == service && equal(*at, *slot_start));
                    }
                    _ => {}
                }
            }
            if entries.iter().any(|entry| is_open_hold_of(entries, entry, *hold)) {
                return Verdict::Refused("hold open");
            }
            match first_lot(entries, *service, *slot_start) {
                Some(lot) => Verdict::New(Some(lot)),
                None => Verdict::Refused("no credit"),
            }
        }
        Command::Release { hold, reason } => match release_of(entries, *hold) {
            _ if [ReleaseReason::Used, ReleaseReason::Forfeited].contains(reason) => {
                Verdict::Refused("reserved reason")
            }
            Some(ended) => same(ended == *reason),
            None => new_if_held(entries, *hold),
        },
        Command::Use { hold } => match release_of(entries, *hold) {
            Some(ReleaseReason::Used) => Verdict::Already,
            Some(_) => Verdict::Refused("hold ended"),
            None => new_if_held(entries, *hold),
        },
        Command::Forfeit { hold, reason } => match release_of(entries, *hold) {
            Some(ReleaseReason::Forfeited) => same(entries.iter().any(|entry| {
                matches!(&entry.body, Body::Forfeit { hold: h, reason: r, .. } if h == hold && r == reason)
            })),
            Some(_) => Verdict::Refused("hold ended"),
            None => new_if_held(entries, *hold),
        },
        Command::Reschedule { hold, slot_version, to } => {
            reschedule(entries, *hold, *slot_version, *to)
        }
    }
}

fn grant(entries: &[Entry], command: &Command) -> Verdict {
    let Command::Grant {
        key,
        service,
        amount,
        source,
        evidence,
        effective_at,
        expires_at,
    } = command
    else {
        unreachable!("asked for a grant")
    };
    if amount.0 < 1 {
        return Verdict::Refused("amount");
    }
    if expires_at.is_some_and(|end| end.timestamp_micros() <= effective_at.timestamp_micros()) {
        return Verdict::Refused("expiry");
    }
    if !key.as_str().starts_with("v1/grant/manual/") {
        return Verdict::Refused("grant key");
    }
    if let Some(entry) = entries.iter().find(|entry| entry.key == *key) {
        let Body::Grant {
            service: s,
            amount: n,
            source: o,
            evidence: e,
            effective_at: from,
            expires_at: to,
            ..
        } = &entry.body
        else {
            return Verdict::Refused("key conflict");
        };
        let times = equal(*from, *effective_at)
            && to.map(|at| at.timestamp_micros()) == expires_at.map(|at| at.timestamp_micros());
        return same((s, n, o, e) == (service, amount, source, evidence) && times);
    }
    let lots = buckets(entries);
    let granted: i128 = lots.values().map(|lot| lot.granted).sum();
    if granted + i128::from(amount.0) > i128::from(i64::MAX) {
        return Verdict::Refused("overflow");
    }
    Verdict::New(Some(u32::try_from(lots.len() + 1).unwrap()))
}

fn reschedule(entries: &[Entry], hold: HoldId, version: u32, to: DateTime<Utc>) -> Verdict {
    let mut newest = None;
    for entry in entries {
        let Body::Rescheduled {
            hold: h,
            slot_version,
            to: at,
            ..
        } = &entry.body
        else {
            continue;
        };
        if *h == hold && *slot_version == version {
            return same(equal(*at, to));
        }
        if *h == hold {
            newest = newest.max(Some(*slot_version));
        }
    }
    if release_of(entries, hold).is_some() {
        return Verdict::Refused("unknown hold");
    }
    match new_if_held(entries, hold) {
        Verdict::New(_) if newest >= Some(version) => Verdict::Refused("stale slot"),
        other => other,
    }
}

/// The lot to take from: all that could serve, put in order by comparing two at a time.
fn first_lot(entries: &[Entry], service: ServiceId, slot: DateTime<Utc>) -> Option<u32> {
    type Candidate = (u32, Source, DateTime<Utc>, Option<DateTime<Utc>>);
    let left = buckets(entries);
    let slot = slot.timestamp_micros();
    let mut candidates: Vec<Candidate> = Vec::new();
    for entry in entries {
        let Body::Grant {
            lot,
            service: of,
            source,
            effective_at,
            expires_at,
            ..
        } = &entry.body
        else {
            continue;
        };
        let begun = effective_at.timestamp_micros() <= slot;
        let over = matches!(expires_at, Some(end) if end.timestamp_micros() <= slot);
        if *of == service && begun && !over && left[&lot.0].available > 0 {
            candidates.push((lot.0, *source, *effective_at, *expires_at));
        }
    }
    candidates.sort_by(|a, b| {
        let expiry = match (a.3, b.3) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(&b),
        };
        let source = match (a.1, b.1) {
            (Source::Goodwill, Source::Paid) => Ordering::Less,
            (Source::Paid, Source::Goodwill) => Ordering::Greater,
            _ => Ordering::Equal,
        };
        expiry.then(source).then(a.2.cmp(&b.2)).then(a.0.cmp(&b.0))
    });
    candidates.first().map(|candidate| candidate.0)
}

fn new_if_held(entries: &[Entry], hold: HoldId) -> Verdict {
    for entry in entries {
        if let Body::Hold {
            hold: h,
            allocation,
            ..
        } = &entry.body
            && *h == hold
        {
            return Verdict::New(allocation.first().map(|part| part.lot.0));
        }
    }
    Verdict::Refused("unknown hold")
}

fn is_open_hold_of(entries: &[Entry], entry: &Entry, hold: HoldId) -> bool {
    match &entry.body {
        Body::Hold { hold: h, .. } => {
            h.booking == hold.booking && release_of(entries, *h).is_none()
        }
        _ => false,
    }
}

fn release_of(entries: &[Entry], hold: HoldId) -> Option<ReleaseReason> {
    entries.iter().find_map(|entry| match &entry.body {
        Body::Release {
            hold: h, reason, ..
        } if *h == hold => Some(*reason),
        _ => None,
    })
}

fn same(equal: bool) -> Verdict {
    if equal {
        Verdict::Already
    } else {
        Verdict::Refused("key conflict")
    }
}

fn equal(a: DateTime<Utc>, b: DateTime<Utc>) -> bool {
    a.timestamp_micros() == b.timestamp_micros()
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
        other => panic!("the oracle has no name for {other}"),
    }
}
