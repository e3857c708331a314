//! From a command to the entries it writes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::account::command::Command;
use crate::account::draft::{Draft, draft};
use crate::account::error::Error;
use crate::account::evolve::evolve;
use crate::account::lookup::{is_due, is_extended, new_lot};
use crate::account::state::{Account, Pair, Second};
use crate::amount::Credits;
use crate::body::{Body, Part};
use crate::chain::Head;
use crate::entry::Entry;
use crate::evidence::Evidence;
use crate::id::LotNumber;
use crate::instant::whole_micros;
use crate::key::Key;
use crate::lot::Lot;
use crate::payment::Claim;
use crate::reason::{ReleaseReason, TransferReason};

/// What came of a command that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Idempotent<T> {
    /// It is new, and this is what it does.
    Applied(T),
    /// It was done before. There is nothing to do.
    AlreadyApplied,
}

impl<T> Idempotent<T> {
    /// What it does, if it is new.
    pub fn applied(self) -> Option<T> {
        match self {
            Idempotent::Applied(what) => Some(what),
            Idempotent::AlreadyApplied => None,
        }
    }
}

/// Decides a command: the entries to append, sealed and in their order.
///
/// `seen` are the stored entries that have one of the command's [keys](Command::keys), or were
/// granted on its [proof](Command::proof), in whichever account; others among them do no harm. The
/// state does not remember what has ended or been proven, so without them a retry looks like a new
/// request, which the uniqueness of keys and proofs in the store must then refuse.
///
/// All entries of one command are appended together or not at all. First come the ends of lots
/// that are due, if what the command does depends on whether somebody asked for them; then the
/// command's own entries; then what follows at once: a credit that came free after its lot's end
/// moves on by an [extension](crate::Extension) or expires, and credits of a service that owes repay
/// what it owes.
///
/// What is over, late or due is judged by `now` alone. Their time of recording is `now` too, or that
/// of the account's last entry if that is later: so a command under a clock that was ahead decides
/// wrongly once, and no command after it does.
///
/// # Errors
/// [`Error`], with which nothing has happened: there is nothing to append.
pub fn decide(
    account: &Account,
    seen: &[Entry],
    command: &Command,
    now: DateTime<Utc>,
) -> Result<Idempotent<Vec<Entry>>, Error> {
    let command = command.canonical();
    let now = whole_micros(now);
    check(&command)?;
    let mut page = Page::of(account, now);
    if let Some(body) = account
        .pair
        .as_ref()
        .and_then(|pair| missing(pair, &command))
    {
        page.write(command.key(), body, now)?;
        return Ok(Idempotent::Applied(page.entries));
    }
    let applied = is_applied(account, seen, &command)?;
    if let Some(pair) = account.pair.as_ref().filter(|_| !applied) {
        return Err(Error::HalfPair {
            account: account.id(),
            hold: pair.hold,
        });
    }
    // A lot's end is carried out as often as there is something to expire.
    let is_due = match command {
        Command::Expire { lot } if applied => is_due(account, lot, now).unwrap_or(false),
        Command::Expire { lot } => is_due(account, lot, now)?,
        Command::Unextend { lot, id } => !applied && is_extended(account, lot, id)?,
        _ => !applied,
    };
    if !is_due {
        return Ok(Idempotent::AlreadyApplied);
    }
    check_unproven(seen, &command)?;
    if is_about_ends(&command) {
        page.end_lots()?;
    }
    let Draft {
        entries,
        over,
        is_checked,
    } = draft(page.account()?, seen, &command, now)?;
    let kept: BTreeMap<_, _> = page.extended().map(|lot| (lot.number, lot.kept)).collect();
    for (key, body) in entries {
        page.write(key, body, now)?;
    }
    if !is_checked {
        page.account()?;
    }
    let moved = page.extend(&command, &kept, &over)?;
    for Part { lot, amount } in over {
        let moved = moved.get(&lot).copied().unwrap_or_default();
        let amount = amount.minus(moved)?;
        if amount.is_positive() {
            let key = command.key().then_expire(lot);
            page.write(key, Body::Expire { lot, amount }, now)?;
        }
    }
    page.repay(&command)?;
    Ok(Idempotent::Applied(page.entries))
}

/// The second entry of a linked pair that was cut off, if the command is the one to write it.
fn missing(pair: &Pair, command: &Command) -> Option<Body> {
    let allocation = pair.allocation.clone();
    match (pair.second, command) {
        (Second::Use, Command::Use { hold }) if *hold == pair.hold => Some(Body::Use {
            hold: *hold,
            allocation,
        }),
        (Second::Forfeit, Command::Forfeit { hold, reason }) if *hold == pair.hold => {
            Some(Body::Forfeit {
                hold: *hold,
                reason: *reason,
                allocation,
            })
        }
        _ => None,
    }
}

/// Whether a command takes or frees available credits other than for a booking, so that it would
/// come out otherwise before a lot's end is carried out than after. A hold does not wait for that:
/// a credit that is still there may be held for a slot before its lot's end, however late.
fn is_about_ends(command: &Command) -> bool {
    match command {
        Command::Release { .. }
        | Command::Expire { .. }
        | Command::Clawback { .. }
        | Command::Reinstate { .. }
        | Command::Transfer { .. }
        | Command::Extend { .. }
        | Command::Unextend { .. }
        | Command::Rebook { .. }
        | Command::Restore { .. }
        | Command::Adjust { .. }
        | Command::Reverse { .. } => true,
        Command::Grant { .. }
        | Command::Hold { .. }
        | Command::Use { .. }
        | Command::Forfeit { .. }
        | Command::Reschedule { .. } => false,
    }
}

/// What is wrong with a command by itself.
fn check(command: &Command) -> Result<(), Error> {
    match command {
        Command::Grant {
            amount,
            effective_at,
            expires_at,
            ..
        }
        | Command::Transfer {
            amount,
            effective_at,
            expires_at,
            ..
        } => {
            check_amount(command, amount.is_positive(), *amount)?;
            if let Some(expires_at) = expires_at.filter(|end| end <= effective_at) {
                return Err(Error::Expiry {
                    kind: command.kind(),
                    effective_at: *effective_at,
                    expires_at,
                });
            }
            check_evidence(command)
        }
        Command::Clawback { amount, .. } | Command::Extend { amount, .. } => {
            check_amount(command, amount.is_positive(), *amount)
        }
        Command::Adjust { amount, .. } => check_amount(command, *amount != Credits::ZERO, *amount),
        // These would free a credit under the name of one that is gone.
        Command::Release {
            hold,
            reason:
                reason @ (ReleaseReason::Used | ReleaseReason::Forfeited | ReleaseReason::Rebooked),
        } => Err(Error::ReservedReason {
            hold: *hold,
            reason: *reason,
        }),
        _ => Ok(()),
    }
}

fn check_amount(command: &Command, is_some: bool, amount: Credits) -> Result<(), Error> {
    let kind = command.kind();
    is_some.then_some(()).ok_or(Error::Amount { kind, amount })
}

/// Whether a grant's evidence proves the grant, whatever the account.
fn check_evidence(command: &Command) -> Result<(), Error> {
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
        return Ok(());
    };
    let claim = Claim {
        key,
        service: *service,
        amount: *amount,
        source: *source,
        dates: (*effective_at, *expires_at),
    };
    let proof = match evidence {
        // The key of a period or of a hold would keep out the entry it is meant for.
        Evidence::Manual { .. } if key.is_manual_grant() => Ok(()),
        Evidence::Manual { .. } => return Err(Error::GrantKey { key: key.clone() }),
        Evidence::Payment(payment) => payment.check(&claim),
        Evidence::Checkout(sale) => sale.check(&claim),
    };
    proof.map_err(|mismatch| Error::Evidence {
        key: key.clone(),
        mismatch: Box::new(mismatch),
    })
}

/// Whether a grant's invoice or checkout has proven no other: it proves one grant with each line, and
/// says the same each time.
fn check_unproven(seen: &[Entry], command: &Command) -> Result<(), Error> {
    let Command::Grant { key, evidence, .. } = command else {
        return Ok(());
    };
    let Some(proof) = evidence.proof() else {
        return Ok(());
    };
    for entry in seen {
        let Body::Grant {
            evidence: stored, ..
        } = &entry.body
        else {
            continue;
        };
        if stored.proof().as_ref() == Some(&proof)
            && (stored.proof_line() == evidence.proof_line() || !stored.agrees_with(evidence))
        {
            return Err(Error::Proven {
                proof,
                key: entry.key.clone(),
                account: entry.account,
                seq: entry.seq,
                stored: Box::new(stored.clone()),
                asked_key: key.clone(),
                asked: Box::new(evidence.clone()),
            });
        }
    }
    Ok(())
}

/// Whether this very request is among the entries already.
fn is_applied(account: &Account, seen: &[Entry], command: &Command) -> Result<bool, Error> {
    let find = |key: &Key| seen.iter().find(|entry| entry.key == *key);
    if let Command::Rebook { hold, into } = command
        && let (Some(ended), Some(begun)) = (find(&Key::release(*hold)), find(&Key::hold(*into)))
        && let Body::Release {
            reason: ReleaseReason::Rebooked,
            ..
        } = ended.body
        && [ended, begun].map(|entry| entry.account) == [account.id(); 2]
        && ended.seq.checked_add(1) == Some(begun.seq)
    {
        return Ok(true);
    }
    if let Some(stored) = find(&command.key()) {
        let asked = Command::of(stored).filter(|_| stored.account == account.id());
        return if asked.is_some_and(|asked| asked.is_same_request(command)) {
            Ok(true)
        } else {
            Err(conflict(stored, command))
        };
    }
    // A use or a forfeit writes the hold's release too. If that is there without it, the hold has
    // ended in something else.
    match command.written().iter().find_map(find) {
        None => Ok(false),
        Some(stored) => Err(match stored.body {
            Body::Release { hold, reason, .. } if stored.account == account.id() => {
                Error::HoldEnded { hold, reason }
            }
            _ => conflict(stored, command),
        }),
    }
}

fn conflict(stored: &Entry, asked: &Command) -> Error {
    let (key, account, seq) = (stored.key.clone(), stored.account, stored.seq);
    match Command::of(stored) {
        Some(request) => Error::KeyConflict {
            key,
            account,
            seq,
            stored: Box::new(request),
            asked: Box::new(asked.clone()),
        },
        None => Error::KeyTaken {
            key,
            account,
            seq,
            kind: stored.body.kind(),
        },
    }
}

/// The entries that a decision writes, and the account as it is after them.
struct Page<'a> {
    /// Before the entries that are not `applied` yet: most decisions never need it after.
    account: Cow<'a, Account>,
    head: Head,
    /// What is over, late or due is judged by it.
    now: DateTime<Utc>,
    /// The time of recording.
    recorded_at: DateTime<Utc>,
    entries: Vec<Entry>,
    applied: usize,
}

impl Page<'_> {
    fn of(account: &Account, now: DateTime<Utc>) -> Page<'_> {
        Page {
            account: Cow::Borrowed(account),
            head: account.head(),
            now,
            recorded_at: account.recorded_at.map_or(now, |last| last.max(now)),
            entries: Vec::new(),
            applied: 0,
        }
    }

    fn write(&mut self, key: Key, body: Body, effective_at: DateTime<Utc>) -> Result<(), Error> {
        let effective_at = match &body {
            Body::Grant { effective_at, .. } => *effective_at,
            _ => effective_at,
        };
        let full = Error::Full {
            account: self.head.account,
        };
        let entry = self.head.seal(key, body, effective_at, self.recorded_at);
        let entry = entry.ok_or(full)?;
        self.head = Head::after(&entry);
        self.entries.push(entry);
        Ok(())
    }

    /// The account after the entries so far. That they fit is checked by applying them.
    fn account(&mut self) -> Result<&Account, Error> {
        for entry in self.entries.iter().skip(self.applied) {
            let none = Account::open(self.head.account);
            let before = std::mem::replace(&mut self.account, Cow::Owned(none));
            let after = evolve(before.into_owned(), entry);
            let after = after.map_err(|corrupt| Error::Misfit(corrupt.misfit))?;
            self.account = Cow::Owned(after);
        }
        self.applied = self.entries.len();
        Ok(&self.account)
    }

    /// Carries out the ends that have come, each in effect from the end on: what an extension moves
    /// moves on, the rest expires.
    fn end_lots(&mut self) -> Result<(), Error> {
        let now = self.now;
        let due = self.account.lots().iter().filter(|lot| lot.is_due_at(now));
        let due: Vec<_> = due
            .filter_map(|lot| Some((lot.clone(), lot.expires_at?)))
            .collect();
        for (lot, end) in due {
            let moved = self.move_on(&lot, lot.ending(), None, end)?;
            let (number, amount) = (lot.number, lot.ending().minus(moved)?);
            if amount.is_positive() {
                let id = self.account.lot_id(number);
                let again = || Key::expire_again(id, self.head.seq.saturating_add(1));
                let key = if lot.ended { again() } else { Key::expire(id) };
                let lot = number;
                self.write(key, Body::Expire { lot, amount }, end)?;
            }
        }
        Ok(())
    }

    /// The lots that have extensions.
    fn extended(&self) -> impl Iterator<Item = &Lot> {
        let lots = self.account.lots().iter();
        lots.filter(|lot| !lot.extensions.is_empty())
    }

    /// Moves on what the command set free of lots whose end has come, or what a new extension finds there,
    /// expired credits too if it revives. `kept` is what came free of them before, and `over` what expires
    /// at once: of what a reinstatement gives back the rest was kept before too. Says how many credits left
    /// which lot.
    fn extend(
        &mut self,
        command: &Command,
        kept: &BTreeMap<LotNumber, Credits>,
        over: &[Part],
    ) -> Result<BTreeMap<LotNumber, Credits>, Error> {
        let mut moved = BTreeMap::new();
        let new = match command {
            Command::Extend {
                id, lot, reason, ..
            } => Some((lot.number, reason.revives().then_some(*id))),
            Command::Release { .. } | Command::Reinstate { .. } | Command::Reverse { .. } => None,
            _ => return Ok(moved),
        };
        let now = self.now;
        self.account()?;
        let lots = self.extended().filter(|lot| lot.is_over_at(now));
        let lots: Vec<Lot> = lots.cloned().collect();
        for lot in lots {
            let (free, reviving) = match new {
                Some((number, reviving)) if number == lot.number => {
                    (lot.balance.available, reviving)
                }
                Some(_) => continue,
                None if matches!(command, Command::Reinstate { .. }) => {
                    let mut parts = over.iter().filter(|part| part.lot == lot.number);
                    let sum = parts.try_fold(Credits::ZERO, |sum, part| sum.plus(part.amount))?;
                    (sum.min(lot.balance.available), None)
                }
                None => {
                    let before = kept.get(&lot.number).copied().unwrap_or_default();
                    (lot.kept.minus(before)?.max(Credits::ZERO), None)
                }
            };
            let amount = self.move_on(&lot, free, reviving, now)?;
            moved.insert(lot.number, amount);
        }
        Ok(moved)
    }

    /// Moves so many available credits of a lot by its extensions, and for the one that is `reviving`
    /// what has expired after them. Says how many available ones it moved.
    fn move_on(
        &mut self,
        lot: &Lot,
        available: Credits,
        reviving: Option<Uuid>,
        effective_at: DateTime<Utc>,
    ) -> Result<Credits, Error> {
        let id = self.account.lot_id(lot.number);
        let mut rest = available;
        let mut dead = lot.balance.expired;
        for one in self.account.lasting(lot, reviving) {
            if !one.is_live_at(self.now) {
                continue;
            }
            let dead_now = match reviving {
                Some(id) if id == one.id => dead,
                _ => Credits::ZERO,
            };
            // A rollover that was paid for late moves what it would have moved at the lot's end.
            let (free, revived) = if one.reason == TransferReason::Rollover {
                let revived = dead_now.min(one.left);
                (rest.min(one.left.minus(revived)?), revived)
            } else {
                let free = rest.min(one.left);
                (free, dead_now.min(one.left.minus(free)?))
            };
            let amount = free.plus(revived)?;
            if !amount.is_positive() {
                continue;
            }
            // Sums are wide enough for every clinic; past them a credit expires with its lot.
            let Ok(new) = new_lot(self.account()?, amount) else {
                continue;
            };
            let body = Body::Transfer {
                id: one.id,
                reason: one.reason,
                from: lot.number,
                lot: new,
                amount,
                expired: revived,
                effective_at: lot.effective_at,
                expires_at: one.until,
            };
            self.write(Key::extended(id, one.id, new), body, effective_at)?;
            rest = rest.minus(free)?;
            dead = dead.minus(revived)?;
        }
        Ok(available.minus(rest)?)
    }

    /// What is owed and what is available are never both there for one service, but for credits
    /// of lots whose end has come: those pay for nothing.
    fn repay(&mut self, command: &Command) -> Result<(), Error> {
        let owes = |account: &Account| account.balance().debt.is_positive();
        let takes = matches!(command, Command::Clawback { .. });
        if !takes && !owes(&self.account) {
            return Ok(());
        }
        let now = self.now;
        let account = self.account()?;
        let owes = |lot: &&Lot| lot.balance.debt.is_positive();
        let debtors: Vec<&Lot> = account.lots().iter().filter(owes).collect();
        if debtors.is_empty() {
            return Ok(());
        }
        let mut available: Vec<_> = account.lots().iter().collect();
        available.retain(|lot| lot.balance.available.is_positive() && !lot.is_over_at(now));
        available.sort_by_key(|lot| lot.order());
        let mut free: Vec<_> = available
            .iter()
            .map(|lot| (lot.service, lot.number, lot.balance.available))
            .collect();
        let mut repaid = Vec::new();
        for debtor in debtors {
            let mut debt = debtor.balance.debt;
            let mut allocation = Vec::new();
            for (service, lot, left) in &mut free {
                let amount = debt.min(*left);
                if *service == debtor.service && amount.is_positive() {
                    allocation.push(Part { lot: *lot, amount });
                    debt = debt.minus(amount)?;
                    *left = left.minus(amount)?;
                }
            }
            if !allocation.is_empty() {
                repaid.push((debtor.number, allocation));
            }
        }
        for (lot, allocation) in repaid {
            let key = command.key().then_repay(lot);
            self.write(key, Body::Repay { lot, allocation }, now)?;
        }
        Ok(())
    }
}
