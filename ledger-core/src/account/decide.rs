//! From a command to the entries it writes.

use chrono::{DateTime, Utc};

use crate::account::command::Command;
use crate::account::state::{Account, OpenHold};
use crate::amount::{Credits, Overflow};
use crate::chain::Head;
use crate::entry::{Body, Entry, Part, ReleaseReason};
use crate::evidence::Evidence;
use crate::id::{AccountId, HoldId, LotNumber, ServiceId};
use crate::instant::whole_micros;
use crate::key::Key;

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
/// `seen` are the stored entries that have one of the command's [keys](Command::keys); others
/// among them do no harm. The state does not remember what has ended, so without them a retry
/// looks like a new request, which the uniqueness of keys in the store must then refuse.
///
/// All entries of one command are appended together or not at all. Their time of recording is
/// `now`, or that of the account's last entry if the clock has been set back.
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
    check(&command)?;
    if is_applied(account, seen, &command)? {
        return Ok(Idempotent::AlreadyApplied);
    }
    if let Some(pair) = &account.pair {
        return Err(Error::HalfPair {
            account: account.id(),
            hold: pair.hold,
        });
    }
    seal(account, draft(account, command)?, now).map(Idempotent::Applied)
}

/// A key and what to write under it.
type Draft = (Key, Body);

/// What is wrong with a command by itself.
fn check(command: &Command) -> Result<(), Error> {
    match command {
        Command::Grant {
            key,
            amount,
            evidence,
            effective_at,
            expires_at,
            ..
        } => {
            if !amount.is_positive() {
                return Err(Error::Amount { amount: *amount });
            }
            if let Some(expires_at) = expires_at.filter(|end| end <= effective_at) {
                return Err(Error::Expiry {
                    effective_at: *effective_at,
                    expires_at,
                });
            }
            // The key of a period or of a hold would keep out the entry it is meant for.
            match evidence {
                Evidence::Manual { .. } if key.is_manual_grant() => Ok(()),
                Evidence::Manual { .. } => Err(Error::GrantKey { key: key.clone() }),
            }
        }
        // These would free a credit under the name of one that is gone.
        Command::Release {
            hold,
            reason: reason @ (ReleaseReason::Used | ReleaseReason::Forfeited),
        } => Err(Error::ReservedReason {
            hold: *hold,
            reason: *reason,
        }),
        _ => Ok(()),
    }
}

/// Whether this very request is among the entries already.
fn is_applied(account: &Account, seen: &[Entry], command: &Command) -> Result<bool, Error> {
    let find = |key: &Key| seen.iter().find(|entry| entry.key == *key);
    if let Some(stored) = find(&command.key()) {
        let same = stored.account == account.id() && Command::of(stored) == *command;
        return if same {
            Ok(true)
        } else {
            Err(conflict(stored, command))
        };
    }
    // A use or a forfeit writes the hold's release too. If that is there without it, the hold has
    // ended in something else.
    match command.keys().iter().find_map(find) {
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
    Error::KeyConflict {
        key: stored.key.clone(),
        account: stored.account,
        seq: stored.seq,
        stored: Box::new(Command::of(stored)),
        asked: Box::new(asked.clone()),
    }
}

fn draft(account: &Account, command: Command) -> Result<Vec<Draft>, Error> {
    let open = |hold| account.hold(hold).ok_or(Error::UnknownHold { hold });
    Ok(match command {
        Command::Grant {
            key,
            service,
            amount,
            source,
            evidence,
            effective_at,
            expires_at,
        } => {
            let lot = account.next_lot().ok_or(Error::Full {
                account: account.id(),
            })?;
            // All buckets of all lots together must fit, so that no later sum can fail.
            account.balance().total()?.plus(amount)?;
            let body = Body::Grant {
                lot,
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
            };
            vec![(key, body)]
        }
        Command::Hold {
            hold,
            service,
            slot_start,
        } => {
            vec![take(account, hold, service, slot_start)?]
        }
        Command::Release { hold, reason } => vec![release(open(hold)?, reason)],
        Command::Use { hold } => {
            let open = open(hold)?;
            let used = Body::Use {
                hold,
                allocation: open.allocation.clone(),
            };
            vec![release(open, ReleaseReason::Used), (Key::used(hold), used)]
        }
        Command::Forfeit { hold, reason } => {
            let open = open(hold)?;
            let lost = Body::Forfeit {
                hold,
                reason,
                allocation: open.allocation.clone(),
            };
            vec![
                release(open, ReleaseReason::Forfeited),
                (Key::forfeit(hold), lost),
            ]
        }
        Command::Reschedule {
            hold,
            slot_version,
            to,
        } => {
            vec![reschedule(open(hold)?, slot_version, to)?]
        }
    })
}

fn take(
    account: &Account,
    hold: HoldId,
    service: ServiceId,
    slot_start: DateTime<Utc>,
) -> Result<Draft, Error> {
    // Another generation while one is open would be two credits for one booking.
    if let Some(open) = account.hold_of(hold) {
        return Err(Error::HoldOpen {
            hold,
            open: open.id,
            service: open.service,
            slot_start: open.slot_start,
        });
    }
    let lot = next_lot(account, service, slot_start).ok_or_else(|| Error::NoCredit {
        service,
        slot_start,
        available: account.balance_for(service).available,
    })?;
    let amount = Credits::ONE;
    let allocation = vec![Part { lot, amount }];
    Ok((
        Key::hold(hold),
        Body::Hold {
            hold,
            service,
            amount,
            slot_start,
            allocation,
        },
    ))
}

/// The lot to take from: of the service, valid when the *slot* starts, first in the order of
/// consumption.
fn next_lot(account: &Account, service: ServiceId, slot_start: DateTime<Utc>) -> Option<LotNumber> {
    let lots = account.lots().iter();
    let valid = lots.filter(|lot| lot.service == service && lot.is_valid_at(slot_start));
    let left = valid.filter(|lot| lot.balance.available.is_positive());
    left.min_by_key(|lot| lot.order()).map(|lot| lot.number)
}

fn release(open: &OpenHold, reason: ReleaseReason) -> Draft {
    let body = Body::Release {
        hold: open.id,
        reason,
        allocation: open.allocation.clone(),
    };
    (Key::release(open.id), body)
}

fn reschedule(open: &OpenHold, slot_version: u32, to: DateTime<Utc>) -> Result<Draft, Error> {
    let (hold, from) = (open.id, open.slot_start);
    // One that comes late must not undo the one that overtook it.
    if let Some(current) = open.slot_version.filter(|&current| slot_version <= current) {
        return Err(Error::StaleSlot {
            hold,
            slot_version,
            current,
        });
    }
    let body = Body::Rescheduled {
        hold,
        slot_version,
        from,
        to,
    };
    Ok((Key::rescheduled(hold, slot_version), body))
}

fn seal(account: &Account, drafts: Vec<Draft>, now: DateTime<Utc>) -> Result<Vec<Entry>, Error> {
    let now = whole_micros(now);
    let recorded_at = account.recorded_at.map_or(now, |last| last.max(now));
    let mut head = account.head();
    let mut entries = Vec::with_capacity(drafts.len());
    for (key, body) in drafts {
        let effective_at = match &body {
            Body::Grant { effective_at, .. } => *effective_at,
            _ => recorded_at,
        };
        let entry = head.seal(key, body, effective_at, recorded_at);
        let entry = entry.ok_or(Error::Full {
            account: account.id(),
        })?;
        head = Head::after(&entry);
        entries.push(entry);
    }
    Ok(entries)
}

/// Why a command is refused. The account is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key belongs to another request, or to another account's.
    #[error(
        "key {key} is taken by entry {seq} of account {account}: stored is `{stored}`, asked was `{asked}`"
    )]
    KeyConflict {
        /// The key.
        key: Key,
        /// Whose entry has it.
        account: AccountId,
        /// Which entry has it.
        seq: u64,
        /// The request that entry answers.
        stored: Box<Command>,
        /// The request that was refused.
        asked: Box<Command>,
    },
    /// No lot of the service has a credit that is valid when the slot starts.
    #[error(
        "no credit of service {service} is valid at {slot_start:?} ({available} available for other times)"
    )]
    NoCredit {
        /// What was to be booked.
        service: ServiceId,
        /// When the slot starts.
        slot_start: DateTime<Utc>,
        /// Credits of the service that are available, but not valid then.
        available: Credits,
    },
    /// The hold, or another generation of it, is open.
    #[error(
        "hold {hold} cannot begin: hold {open} is open, of service {service} at {slot_start:?}"
    )]
    HoldOpen {
        /// The hold that was to begin.
        hold: HoldId,
        /// The booking's open hold.
        open: HoldId,
        /// Its service.
        service: ServiceId,
        /// Its slot's start.
        slot_start: DateTime<Utc>,
    },
    /// There is no such open hold: it never began, or it has ended.
    #[error("hold {hold} is not open")]
    UnknownHold {
        /// The hold.
        hold: HoldId,
    },
    /// The hold has ended, and in something else than what was asked for.
    #[error("hold {hold} has ended already: {reason}")]
    HoldEnded {
        /// The hold.
        hold: HoldId,
        /// What it ended in.
        reason: ReleaseReason,
    },
    /// A later reschedule of the hold was there first.
    #[error("hold {hold} is at slot version {current}, not before {slot_version}")]
    StaleSlot {
        /// The hold.
        hold: HoldId,
        /// The version that was asked for.
        slot_version: u32,
        /// The version it has.
        current: u32,
    },
    /// A grant of nothing, or of less.
    #[error("a grant of {amount} credits is none")]
    Amount {
        /// How many.
        amount: Credits,
    },
    /// A grant that is never valid.
    #[error("a grant from {effective_at:?} that expires at {expires_at:?} is never valid")]
    Expiry {
        /// Its start.
        effective_at: DateTime<Utc>,
        /// Its end.
        expires_at: DateTime<Utc>,
    },
    /// A grant under a key that its evidence does not have.
    #[error("key {key} is not the key of a manual grant")]
    GrantKey {
        /// The key.
        key: Key,
    },
    /// A release with the reason of a linked pair. To use or forfeit is a command of its own.
    #[error("hold {hold} cannot be released as {reason}: that is the first half of another entry")]
    ReservedReason {
        /// The hold.
        hold: HoldId,
        /// The reason.
        reason: ReleaseReason,
    },
    /// More credits than can be counted.
    #[error("the account would hold more than can be counted: {0}")]
    Overflow(#[from] Overflow),
    /// The numbers of the account's entries or lots have run out.
    #[error("account {account} has no number left for another entry or lot")]
    Full {
        /// The account.
        account: AccountId,
    },
    /// The account's entries were cut off within a linked pair.
    #[error(
        "account {account} ends within a linked pair: the second entry of hold {hold} is missing"
    )]
    HalfPair {
        /// The account.
        account: AccountId,
        /// The hold.
        hold: HoldId,
    },
}
