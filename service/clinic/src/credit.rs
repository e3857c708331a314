//! The ledger's side of a session: which credit is held for it, and what becomes of it.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    Account, Body, Command, Credits, Entry, Error, ForfeitReason, HoldId, Key, LotNumber,
    ReasonCode, ReleaseReason, TransferReason,
};
use scheduler_core::session::{Event, Party, Session};
use uuid::Uuid;

use crate::people::{BACK_DAYS, LateRule};
use crate::{Change, Principal, Refusal, View};

/// Entries on their way into an account.
#[derive(Debug, Clone)]
pub(crate) struct Posting {
    account: Account,
    entries: Vec<Entry>,
}

impl Posting {
    pub(crate) fn of(account: &Account) -> Self {
        Self {
            account: account.clone(),
            entries: Vec::new(),
        }
    }

    /// The account as it is after them.
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// Adds a command's entries; `None` if they are there already.
    pub(crate) fn post(
        mut self,
        seen: &[Entry],
        command: &Command,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, Refusal> {
        match ledger_core::decide(&self.account, seen, command, now)? {
            ledger_core::Idempotent::AlreadyApplied => Ok(None),
            ledger_core::Idempotent::Applied(entries) => {
                for entry in &entries {
                    self.account = ledger_core::evolve(self.account, entry)?;
                }
                self.entries.extend(entries);
                Ok(Some(self))
            }
        }
    }

    /// Holds a credit for a session; the second value says whether there was one.
    pub(crate) fn hold(
        self,
        session: &Session,
        now: DateTime<Utc>,
    ) -> Result<(Self, bool), Refusal> {
        let command = Command::Hold {
            hold: hold_of(session),
            service: ledger_core::ServiceId(session.service.0),
            slot_start: session.starts_at,
        };
        match self.clone().post(&[], &command, now) {
            Err(Refusal::Ledger(Error::NoCredit { .. })) => Ok((self, false)),
            Err(refusal) => Err(refusal),
            Ok(posted) => Ok((posted.unwrap_or(self), true)),
        }
    }

    /// Holds again what a release of the session's last hold had set free, without the grace that it had
    /// brought, or else another credit. The second value says whether there was one.
    pub(crate) fn restore(
        self,
        view: &View,
        before: &Session,
        session: &Session,
        principal: Principal,
        now: DateTime<Utc>,
    ) -> Result<(Self, bool), Refusal> {
        let of = hold_of(before);
        let command = Command::Restore {
            hold: hold_of(session),
            of,
            service: ledger_core::ServiceId(session.service.0),
            slot_start: session.starts_at,
            extension: grace_of(of),
            actor: principal.identity(),
            reason: reopened()?,
        };
        match self.clone().post(&view.entries, &command, now) {
            // It never had a credit, or has lost it: then any will do.
            Err(Refusal::Ledger(
                Error::NoCredit { .. } | Error::NotReleased { .. } | Error::UnknownEntry { .. },
            )) => self.hold(session, now),
            Err(refusal) => Err(refusal),
            Ok(posted) => Ok((posted.unwrap_or(self), true)),
        }
    }

    /// Sets the credit that is held for a session free: another one has it again.
    pub(crate) fn give_up(self, session: &Session, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let command = Command::Release {
            hold: hold_of(session),
            reason: ReleaseReason::ClinicCancelled,
        };
        let released = self.clone().post(&[], &command, now)?;
        Ok(released.unwrap_or(self))
    }

    /// Passes the credit that is held for one session on to another; `None` if none is held for it.
    pub(crate) fn rebook(
        &self,
        from: &Session,
        to: &Session,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, Refusal> {
        let (hold, into) = (hold_of(from), hold_of(to));
        let open = self.account.hold(hold);
        let Some(open) = open.filter(|open| open.clawed_by.is_none()) else {
            return Ok(None);
        };
        if open.service.0 != to.service.0 {
            return Ok(None);
        }
        let stays = open.slot_start == to.starts_at;
        let command = Command::Rebook { hold, into };
        let Some(passed) = self.clone().post(&[], &command, now)? else {
            return Ok(None);
        };
        if stays {
            return Ok(Some(passed));
        }
        let moved = Command::Reschedule {
            hold: into,
            slot_version: to.slot_version,
            to: to.starts_at,
        };
        passed.post(&[], &moved, now)
    }

    /// Lets so many credits of a lot outlive it, if they end sooner than `until`.
    pub(crate) fn extend(
        self,
        id: Uuid,
        lot: LotNumber,
        reason: TransferReason,
        amount: Credits,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        let end = self.account.lot(lot).and_then(|lot| lot.expires_at);
        let Some(end) = end.filter(|_| amount.is_positive()) else {
            return Ok(self);
        };
        if until.is_some_and(|until| until <= end.max(now)) {
            return Ok(self);
        }
        let command = Command::Extend {
            id,
            lot: self.account.lot_id(lot),
            reason,
            amount,
            until,
        };
        let extended = self.clone().post(&[], &command, now)?;
        Ok(extended.unwrap_or(self))
    }

    /// Lets a credit that the clinic set free be used for so many days at least. If a debt took it, there
    /// is none.
    fn grace(
        self,
        hold: HoldId,
        lot: LotNumber,
        days: u32,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        // It may have gone over into the next month at once, if its lot's end has come.
        let moved = self
            .entries
            .iter()
            .rev()
            .find_map(|entry| match &entry.body {
                Body::Transfer { from, lot: new, .. } if *from == lot => Some(*new),
                _ => None,
            });
        let number = moved.unwrap_or(lot);
        let Some(lot) = self.account.lot(number) else {
            return Ok(self);
        };
        if !lot.balance.available.is_positive() {
            return Ok(self);
        }
        let days = match days {
            0 if lot.is_over_at(now) => BACK_DAYS,
            days => TimeDelta::days(days.into()),
        };
        let id = grace_of(hold);
        let reason = TransferReason::Grace;
        self.extend(id, number, reason, Credits::ONE, Some(now + days), now)
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The change that stores them, if there are any.
    pub(crate) fn changed(self) -> Option<Change> {
        (!self.entries.is_empty()).then(|| self.into_change())
    }

    fn into_change(self) -> Change {
        Change::Ledger {
            account: self.account,
            entries: self.entries,
        }
    }
}

/// The reason of a reversal whose session takes place after all.
fn reopened() -> Result<ReasonCode, Refusal> {
    "reopened".parse().map_err(|_| Refusal::NothingForfeited)
}

/// The id of the grace that the release of a hold brings.
pub(crate) fn grace_of(hold: HoldId) -> Uuid {
    Uuid::new_v5(&hold.booking, hold.generation.to_string().as_bytes())
}

/// The hold of a session: its id never changes while it is rescheduled.
#[must_use]
pub fn hold_of(session: &Session) -> HoldId {
    HoldId {
        booking: session.id.0,
        generation: session.hold_generation,
    }
}

/// The keys of all entries that a command on this session may write, for the store to load.
#[must_use]
pub fn session_keys(session: &Session) -> Vec<Key> {
    let hold = hold_of(session);
    vec![
        Key::hold(hold),
        Key::release(hold),
        Key::used(hold),
        Key::forfeit(hold),
        Key::reversed(&Key::forfeit(hold)),
        Key::rescheduled(hold, session.slot_version + 1),
    ]
}

/// What an event that ends a session, or moves it, means for the credit held for it.
pub(crate) fn follow(
    view: &View,
    posting: Posting,
    session: &Session,
    event: &Event,
    now: DateTime<Utc>,
) -> Result<Posting, Refusal> {
    let hold = hold_of(session);
    let Some(open) = posting.account.hold(hold) else {
        return Ok(posting);
    };
    // A hold without a credit sets none free.
    let freed = open.allocation.first().filter(|_| open.clawed_by.is_none());
    let freed = freed.map(|part| part.lot);
    let cancellation = view.service()?.cancellation;
    let released = match *event {
        Event::Cancelled {
            by: Party::Client, ..
        }
        | Event::CalledOff {
            by: Party::Client, ..
        } => ReleaseReason::Cancelled,
        Event::NoShow => ReleaseReason::NoShow,
        _ => ReleaseReason::ClinicCancelled,
    };
    let by_rule = |rule, reason| match rule {
        LateRule::Forfeit => Command::Forfeit { hold, reason },
        LateRule::Release => Command::Release {
            hold,
            reason: released,
        },
    };
    let command = match *event {
        Event::Completed => Command::Use { hold },
        Event::NoShow => by_rule(cancellation.no_show, ForfeitReason::NoShow),
        Event::Cancelled { late: true, .. } | Event::CalledOff { late: true, .. } => {
            by_rule(cancellation.late_cancel, ForfeitReason::LateCancel)
        }
        Event::Cancelled { late: false, .. } | Event::CalledOff { late: false, .. } => {
            Command::Release {
                hold,
                reason: released,
            }
        }
        Event::Rebound { from, to } if from.starts_at != to.starts_at => Command::Reschedule {
            hold,
            slot_version: session.slot_version + 1,
            to: to.starts_at,
        },
        Event::Resolved { taken: true, .. } => Command::Release {
            hold,
            reason: ReleaseReason::ClinicCancelled,
        },
        Event::Rescheduled { starts_at, .. }
        | Event::Resolved {
            starts_at,
            taken: false,
            ..
        } => Command::Reschedule {
            hold,
            slot_version: session.slot_version + 1,
            to: starts_at,
        },
        Event::Funded
        | Event::Unfunded
        | Event::CaseOpened { .. }
        | Event::Reopened
        | Event::Rebound { .. } => return Ok(posting),
    };
    let Some(posting) = posting.clone().post(&view.entries, &command, now)? else {
        return Ok(posting);
    };
    let by_clinic = matches!(
        command,
        Command::Release {
            reason: ReleaseReason::ClinicCancelled,
            ..
        }
    );
    match freed {
        Some(lot) if by_clinic => posting.grace(hold, lot, cancellation.grace_days, now),
        _ => Ok(posting),
    }
}

/// Takes back the forfeit of a session's hold; nothing, if that was done before.
pub(crate) fn give_back(
    view: &View,
    session: &Session,
    actor: Uuid,
    reason: &ReasonCode,
    now: DateTime<Utc>,
) -> Result<Option<Posting>, Refusal> {
    let hold = hold_of(session);
    let key = Key::forfeit(hold);
    let forfeit = view.entries.iter().find(|entry| entry.key == key);
    let forfeit = forfeit.ok_or(Refusal::NothingForfeited)?;
    // Whoever gave it back, and why: once is enough.
    let given_back = Key::reversed(&key);
    if view.entries.iter().any(|entry| entry.key == given_back) {
        return Ok(None);
    }
    let command = Command::Reverse {
        entry: key,
        actor,
        reason: reason.clone(),
    };
    let posting = Posting::of(view.account()?).post(&view.entries, &command, now)?;
    match (posting, forfeit.body.allocation().first()) {
        (Some(posting), Some(part)) => {
            let grace_days = view.service()?.cancellation.grace_days;
            posting.grace(hold, part.lot, grace_days, now).map(Some)
        }
        (posting, _) => Ok(posting),
    }
}

/// A session that takes place after all is paid for once: what calling it off late has cost comes
/// back first, unless it was given back before.
pub(crate) fn take_back_forfeit(
    view: &View,
    posting: Posting,
    session: &Session,
    principal: Principal,
    now: DateTime<Utc>,
) -> Result<Posting, Refusal> {
    let entry = Key::forfeit(hold_of(session));
    let is_there = |key: &Key| view.entries.iter().any(|entry| entry.key == *key);
    if !is_there(&entry) || is_there(&Key::reversed(&entry)) {
        return Ok(posting);
    }
    let command = Command::Reverse {
        entry,
        actor: principal.identity(),
        reason: reopened()?,
    };
    let reversed = posting.clone().post(&view.entries, &command, now)?;
    Ok(reversed.unwrap_or(posting))
}
