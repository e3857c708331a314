//! The ledger's side of a session: which credit is held for it, and what becomes of it.

use chrono::{DateTime, Utc};
use ledger_core::{Account, Command, Entry, Error, ForfeitReason, HoldId, Key, ReleaseReason};
use scheduler_core::session::{Event, Party, Session};

use crate::people::LateRule;
use crate::{Change, Refusal, View};

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
        Key::rescheduled(hold, session.slot_version + 1),
    ]
}

/// What an event that ends a session, or moves it, means for the credit held for it.
pub(crate) fn follow(
    view: &View,
    session: &Session,
    event: &Event,
    now: DateTime<Utc>,
) -> Result<Option<Posting>, Refusal> {
    let account = view.account()?;
    let hold = hold_of(session);
    if account.hold(hold).is_none() {
        return Ok(None);
    }
    let cancellation = view.service()?.cancellation;
    let released = match *event {
        Event::Cancelled {
            by: Party::Client, ..
        }
        | Event::CalledOff {
            by: Party::Client, ..
        } => ReleaseReason::Cancelled,
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
        Event::Rescheduled { starts_at, .. } => Command::Reschedule {
            hold,
            slot_version: session.slot_version + 1,
            to: starts_at,
        },
        Event::Funded | Event::CaseOpened { .. } | Event::Reopened | Event::Rebound { .. } => {
            return Ok(None);
        }
    };
    Posting::of(account).post(&view.entries, &command, now)
}
