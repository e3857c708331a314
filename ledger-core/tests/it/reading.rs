//! What a plain list of entries amounts to, read anew each time and by another path than the
//! core's: nothing is carried along and nothing moves. A credit is held because there is a hold
//! without a release, used because there is a use that was not reversed; what is in no other
//! place is available. Sums are 128 bits wide.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use ledger_core::{
    Body, Entry, Evidence, HeldPart, HoldId, Part, Period, ReleaseReason, ServiceId, Source,
};
use uuid::Uuid;

use crate::shown;

/// Places a credit can be in; the first is where it is if it is in no other.
pub(crate) const PLACES: [&str; 7] = [
    "available",
    "held",
    "used",
    "forfeited",
    "expired",
    "clawed",
    "moved_out",
];

#[derive(Clone, Debug)]
pub(crate) struct Lot {
    pub(crate) service: ServiceId,
    pub(crate) source: Source,
    pub(crate) granted: i128,
    pub(crate) from: DateTime<Utc>,
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) root: u32,
    pub(crate) paid: Option<(String, Period)>,
    pub(crate) places: BTreeMap<&'static str, i128>,
    pub(crate) debt: i128,
    pub(crate) recalled: i128,
    /// By which lots how much of its debt was repaid, in order.
    pub(crate) repaid: Vec<(u32, i128)>,
    pub(crate) ended: bool,
    /// How many came free after the end, and are still available.
    pub(crate) kept: i128,
    /// How many a person took of what was first granted here.
    pub(crate) taken: i128,
    pub(crate) extensions: Vec<Extension>,
    /// The transfer that brought them: its entry, the lot before, the extension that it was by, and
    /// whether they had expired.
    pub(crate) brought: Option<(u64, u32, Option<Uuid>, bool)>,
}

/// Credits that outlive their lot.
#[derive(Clone, Debug)]
pub(crate) struct Extension {
    pub(crate) id: Uuid,
    pub(crate) revives: bool,
    pub(crate) is_rollover: bool,
    pub(crate) left: i128,
    pub(crate) until: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) slot: DateTime<Utc>,
    pub(crate) version: Option<u32>,
    pub(crate) lot: u32,
    /// The slot that an extension pays for.
    pub(crate) extended: Option<DateTime<Utc>>,
    /// The clawback that took its credit.
    pub(crate) clawed_by: Option<u64>,
}

/// An open hold for which an extension pays: its lot, for which slot, and its slot now.
struct Late {
    lot: u32,
    paid_for: DateTime<Utc>,
    slot: DateTime<Utc>,
}

/// What entries amount to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) lots: BTreeMap<u32, Lot>,
    pub(crate) open: BTreeMap<HoldId, Hold>,
}

impl Lot {
    pub(crate) fn at(&self, place: &str) -> i128 {
        self.places.get(place).copied().unwrap_or(0)
    }

    pub(crate) fn is_over(&self, at: DateTime<Utc>) -> bool {
        matches!(self.end, Some(end) if end <= at)
    }

    fn put(&mut self, place: &'static str, n: i128) {
        *self.places.entry(place).or_default() += n;
    }
}

fn wide(part: &Part) -> (u32, i128) {
    (part.lot.0, i128::from(part.amount.0))
}

fn wide_held(part: &HeldPart) -> (u32, i128) {
    (part.lot.0, i128::from(part.amount.0))
}

impl Reading {
    pub(crate) fn of(entries: &[Entry]) -> Reading {
        let mut reading = Reading::default();
        let mut undone: BTreeSet<u64> = BTreeSet::new();
        let mut released: BTreeSet<HoldId> = BTreeSet::new();
        for entry in entries {
            match &entry.body {
                Body::Reverse { seq, .. } => drop(undone.insert(*seq)),
                Body::Reinstate { clawback, .. } => drop(undone.insert(*clawback)),
                Body::Release { hold, .. } => drop(released.insert(*hold)),
                _ => {}
            }
        }
        for entry in entries {
            reading.open_lot(entry);
        }
        for entry in entries {
            reading.place(entry, undone.contains(&entry.seq), &released);
        }
        let held: Vec<u32> = (reading.open.values())
            .filter(|hold| hold.clawed_by.is_none())
            .map(|hold| hold.lot)
            .collect();
        for lot in held {
            reading.lot(lot).put("held", 1);
        }
        let mut late = BTreeMap::new();
        for entry in entries {
            reading.extend(entry, &mut late);
        }
        reading.keep(entries);
        for lot in reading.lots.values_mut() {
            let elsewhere: i128 = lot.places.values().sum();
            lot.put("available", lot.granted - elsewhere);
        }
        reading
    }

    pub(crate) fn lot(&mut self, number: u32) -> &mut Lot {
        self.lots.get_mut(&number).expect("an entry's lot")
    }

    fn open_lot(&mut self, entry: &Entry) {
        let (number, service, source, granted, from, end, root) = match &entry.body {
            Body::Grant {
                lot,
                service,
                amount,
                source,
                effective_at,
                expires_at,
                ..
            } => (
                *lot,
                *service,
                *source,
                *amount,
                *effective_at,
                *expires_at,
                lot.0,
            ),
            Body::Adjust {
                lot: Some(lot),
                service,
                amount,
                ..
            } => (
                *lot,
                *service,
                Source::Goodwill,
                *amount,
                entry.effective_at,
                None,
                lot.0,
            ),
            Body::Transfer {
                lot,
                from,
                amount,
                effective_at,
                expires_at,
                ..
            } => {
                let old = &self.lots[&from.0];
                (
                    *lot,
                    old.service,
                    old.source,
                    *amount,
                    *effective_at,
                    *expires_at,
                    old.root,
                )
            }
            _ => return,
        };
        let paid = match &entry.body {
            Body::Grant {
                evidence: Evidence::Payment(payment),
                ..
            } => Some((payment.plan.item.to_string(), payment.period)),
            _ => None,
        };
        let lot = Lot {
            service,
            source,
            granted: granted.0.into(),
            from,
            end,
            root,
            paid,
            places: BTreeMap::new(),
            debt: 0,
            recalled: 0,
            repaid: Vec::new(),
            ended: false,
            kept: 0,
            taken: 0,
            extensions: Vec::new(),
            brought: match &entry.body {
                Body::Transfer { from, expired, .. } => {
                    Some((entry.seq, from.0, None, expired.0 > 0))
                }
                _ => None,
            },
        };
        self.lots.insert(number.0, lot);
    }

    /// Puts an entry's credits in the places where they still are because of it.
    fn place(&mut self, entry: &Entry, undone: bool, released: &BTreeSet<HoldId>) {
        let at = entry.effective_at;
        let parts: Vec<(u32, i128)> = entry.body.allocation().iter().map(wide).collect();
        let stays = i128::from(!undone);
        match &entry.body {
            Body::Grant { lot, amount, .. }
            | Body::Adjust {
                lot: Some(lot),
                amount,
                ..
            } => {
                let gone = i128::from(undone) * i128::from(amount.0);
                self.lot(lot.0).put("clawed", gone);
            }
            Body::Hold {
                hold,
                slot_start,
                extended,
                ..
            } if !released.contains(hold) => {
                let (slot, lot) = (*slot_start, parts[0].0);
                let open = Hold {
                    slot,
                    version: None,
                    lot,
                    extended: *extended,
                    clawed_by: None,
                };
                self.open.insert(*hold, open);
            }
            Body::Rescheduled {
                hold,
                slot_version,
                to,
                ..
            } => {
                if let Some(open) = self.open.get_mut(hold) {
                    (open.slot, open.version) = (*to, Some(*slot_version));
                }
            }
            Body::Release { reason, .. }
                if ![ReleaseReason::Used, ReleaseReason::Forfeited].contains(reason) =>
            {
                self.came_free(&parts, at);
            }
            Body::Use { .. } => self.put_all(&parts, "used", stays),
            Body::Forfeit { .. } => self.put_all(&parts, "forfeited", stays),
            Body::Expire { lot, amount } => {
                self.put_all(&[(lot.0, amount.0.into())], "expired", stays);
                self.lot(lot.0).ended = true;
            }
            Body::Clawback {
                lot,
                amount,
                holds,
                debt,
                ..
            } => {
                self.put_all(&parts, "clawed", stays);
                for part in holds {
                    self.put_all(&[wide_held(part)], "clawed", stays);
                    if let Some(open) = self.open.get_mut(&part.hold).filter(|_| !undone) {
                        open.clawed_by = Some(entry.seq);
                    }
                }
                self.lot(lot.0).recalled += stays * i128::from(amount.0);
                self.lot(lot.0).debt += i128::from(debt.0);
            }
            Body::Reinstate {
                lot,
                debt,
                returned,
                ..
            } => {
                let returned: Vec<_> = returned.iter().map(wide).collect();
                self.put_all(&returned, "clawed", -1);
                self.came_free(&parts, at);
                self.came_free(&returned, at);
                let debtor = self.lot(lot.0);
                debtor.debt -= i128::from(debt.0);
                for (payer, mut n) in returned {
                    for (by, left) in debtor.repaid.iter_mut().rev() {
                        let less = if *by == payer { n.min(*left) } else { 0 };
                        (*left, n) = (*left - less, n - less);
                    }
                }
                debtor.repaid.retain(|(_, left)| *left > 0);
            }
            Body::Repay { lot, .. } => {
                self.put_all(&parts, "clawed", 1);
                let debtor = self.lot(lot.0);
                debtor.debt -= parts.iter().map(|part| part.1).sum::<i128>();
                debtor.repaid.extend(parts);
            }
            Body::Transfer {
                from,
                lot,
                amount,
                expired,
                ..
            } => {
                let (amount, expired) = (i128::from(amount.0), i128::from(expired.0));
                self.put_all(&[(from.0, amount)], "moved_out", stays);
                self.put_all(&[(from.0, expired)], "expired", -stays);
                self.put_all(&[(lot.0, amount)], "moved_out", 1 - stays);
            }
            Body::Adjust { .. } => self.put_all(&parts, "clawed", stays),
            Body::Reverse { moves, .. } => {
                let free = moves.iter().filter(|one| one.to.as_str() == "available");
                let free: Vec<_> = free.map(|one| (one.lot.0, 1)).collect();
                self.came_free(&free, at);
            }
            _ => {}
        }
    }

    /// What extensions there are, and what transfers, uses and forfeits have left of them. `late` are the
    /// open holds that need one.
    fn extend(&mut self, entry: &Entry, late: &mut BTreeMap<HoldId, Late>) {
        match &entry.body {
            Body::Hold {
                hold,
                slot_start,
                allocation,
                extended: Some(paid_for),
                ..
            } => {
                let one = Late {
                    lot: allocation[0].lot.0,
                    paid_for: *paid_for,
                    slot: *slot_start,
                };
                late.insert(*hold, one);
            }
            Body::Rescheduled { hold, to, .. } => {
                if let Some(one) = late.get_mut(hold) {
                    one.slot = *to;
                }
            }
            Body::Release { hold, reason, .. } => {
                let ended = late.remove(hold);
                let passes = ["used", "forfeited"].contains(&reason.as_str());
                if let Some(one) = ended.filter(|_| passes) {
                    let lot = self.lot(one.lot);
                    if lot.is_over(one.slot) {
                        let pays = first_to_pay(&lot.extensions, one.paid_for, None);
                        if let Some(index) = pays {
                            lot.extensions[index].left -= 1;
                        }
                        lot.extensions.retain(|one| one.left > 0);
                    }
                }
            }
            Body::Extend {
                id,
                reason,
                lot,
                amount,
                until,
            } => {
                if amount.0 == 0 {
                    self.lot(lot.0).extensions.retain(|one| one.id != *id);
                    return;
                }
                let revives = ["rollover", "grace", "restored"].contains(&reason.as_str());
                self.lot(lot.0).extensions.push(Extension {
                    id: *id,
                    revives,
                    is_rollover: reason.as_str() == "rollover",
                    left: amount.0.into(),
                    until: *until,
                });
            }
            Body::Transfer {
                id,
                from,
                lot,
                amount,
                expires_at,
                ..
            } => {
                let its = |one: &&mut Extension| one.id == *id && one.until == *expires_at;
                let extensions = &mut self.lot(from.0).extensions;
                let mut by = None;
                for one in extensions.iter_mut().filter(its) {
                    one.left = (one.left - i128::from(amount.0)).max(0);
                    by = Some(*id);
                }
                extensions.retain(|one| one.left > 0);
                if let Some(brought) = &mut self.lot(lot.0).brought {
                    brought.2 = by;
                }
            }
            _ => {}
        }
    }

    /// What came free after the end, entry by entry; and what persons took.
    fn keep(&mut self, entries: &[Entry]) {
        let mut available: BTreeMap<u32, i128> = BTreeMap::new();
        for entry in entries {
            let passes = matches!(&entry.body, Body::Release { reason, .. }
                if ["used", "forfeited"].contains(&reason.as_str()));
            let by_person = ["adjust", "reverse"].contains(&entry.body.kind());
            for (lot, from, to, n) in shown::moves(entry) {
                let there = available.entry(lot).or_default();
                *there += n * (i128::from(to == "available") - i128::from(from == "available"));
                let there = *there;
                let root = self.lot(lot).root;
                if by_person {
                    let more = i128::from(to == "clawed") - i128::from(from == "clawed");
                    self.lot(root).taken += n * more;
                }
                let lot = self.lot(lot);
                let free = to == "available" && from != "outside" && !passes;
                if free && lot.is_over(entry.effective_at) {
                    lot.kept += n;
                }
                lot.kept = lot.kept.min(there);
            }
        }
    }

    fn put_all(&mut self, parts: &[(u32, i128)], place: &'static str, times: i128) {
        for (lot, n) in parts {
            self.lot(*lot).put(place, n * times);
        }
    }

    fn came_free(&mut self, parts: &[(u32, i128)], at: DateTime<Utc>) {
        for (lot, _) in parts {
            let lot = self.lot(*lot);
            lot.ended |= lot.is_over(at);
        }
    }
}

/// Which extension pays for a slot: by trying all of them.
pub(crate) fn first_to_pay(
    extensions: &[Extension],
    slot: DateTime<Utc>,
    spared: Option<Uuid>,
) -> Option<usize> {
    let mut best: Option<usize> = None;
    let far = DateTime::<Utc>::MAX_UTC;
    for (index, one) in extensions
        .iter()
        .enumerate()
        .filter(|(_, one)| one.left > 0)
    {
        let rank = |one: &Extension| {
            let reaches = one.until.is_none_or(|until| slot < until);
            (
                Some(one.id) == spared,
                !reaches,
                one.until.is_none(),
                one.until.unwrap_or(far),
            )
        };
        if best.is_none_or(|best| rank(one) < rank(&extensions[best])) {
            best = Some(index);
        }
    }
    best
}

/// What a hold ended in.
pub(crate) fn release_of(entries: &[Entry], hold: HoldId) -> Option<ReleaseReason> {
    entries.iter().find_map(|entry| match &entry.body {
        Body::Release {
            hold: h, reason, ..
        } if *h == hold => Some(*reason),
        _ => None,
    })
}
