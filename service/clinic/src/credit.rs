//! The ledger's side of a session: which credit is held for it, and what becomes of it.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    Account, Body, Command, Credits, Entry, Error, ForfeitReason, HoldId, Key, LotNumber,
    ReasonCode, ReleaseReason, TransferReason,
};
use scheduler_core::session::{Event, Party, Session};
use uuid::Uuid;

use crate::people::LateRule;
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

    /// Holds again what a release of the session's last hold had set free, or else another credit.
    /// The second value says whether there was one. `entries` hold the release.
    pub(crate) fn restore(
        self,
        entries: &[Entry],
        before: &Session,
        session: &Session,
        now: DateTime<Utc>,
    ) -> Result<(Self, bool), Refusal> {
        let command = Command::Restore {
            hold: hold_of(session),
            of: hold_of(before),
            service: ledger_core::ServiceId(session.service.0),
            slot_start: session.starts_at,
        };
        match self.clone().post(entries, &command, now) {
            // It never had a credit, or has lost it: then any will do.
            Err(Refusal::Ledger(
                Error::NoCredit { .. } | Error::NotReleased { .. } | Error::UnknownEntry { .. },
            )) => self.hold(session, now),
            Err(refusal) => Err(refusal),
            Ok(posted) => Ok((posted.unwrap_or(self), true)),
        }
    }

    /// Takes back the grace that calling a session off had brought. `entries` hold the release.
    pub(crate) fn without_grace(
        self,
        entries: &[Entry],
        called_off: &Session,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        let hold = hold_of(called_off);
        let released = entries.iter().find(|entry| entry.key == Key::release(hold));
        let part = released.and_then(|entry| entry.body.allocation().first());
        let Some(part) = part else {
            return Ok(self);
        };
        let back = Command::Unextend {
            lot: self.account.lot_id(part.lot),
            id: grace_of(hold),
        };
        let shortened = self.clone().post(&[], &back, now)?;
        Ok(shortened.unwrap_or(self))
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

    /// Lets a credit that the clinic set free be used until `until` at least. If a debt took it, there
    /// is none.
    fn grace(
        self,
        hold: HoldId,
        lot: LotNumber,
        until: DateTime<Utc>,
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
        let lot = moved.unwrap_or(lot);
        let free = self.account.lot(lot).map(|lot| lot.balance.available);
        if !free.is_some_and(Credits::is_positive) {
            return Ok(self);
        }
        let id = grace_of(hold);
        let reason = TransferReason::Grace;
        self.extend(id, lot, reason, Credits::ONE, Some(until), now)
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

/// The id of the grace that the release of a hold brings.
fn grace_of(hold: HoldId) -> Uuid {
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
        Some(lot) if by_clinic => {
            let until = now + TimeDelta::days(cancellation.grace_days.into());
            posting.grace(hold, lot, until, now)
        }
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
            let until = now + TimeDelta::days(grace_days.into());
            posting.grace(hold, part.lot, until, now).map(Some)
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
    let reason = "reopened".parse();
    let command = Command::Reverse {
        entry,
        actor: principal.identity(),
        reason: reason.map_err(|_| Refusal::NothingForfeited)?,
    };
    let reversed = posting.clone().post(&view.entries, &command, now)?;
    Ok(reversed.unwrap_or(posting))
}
