//! Credits: granted, held for sessions, and settled when a session ends one way or another.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    Account, Command, Credits, Entry, Error, Evidence, ForfeitReason, HoldId, Key, ReasonCode,
    ReleaseReason, Source,
};
use scheduler_core::session::{self, Event, Party, Session};
use scheduler_core::{ClientId, ServiceId};
use serde_json::json;

use crate::access::Action;
use crate::people::{LateRule, Service};
use crate::{
    Change, Commit, Decision, Idempotent, Journal, Notification, Principal, Refusal, Subject, View,
    horizon, occurrence,
};

/// Credits to be granted by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// To whom.
    pub client: ClientId,
    /// The key of its entry.
    pub key: Key,
    /// What the credits pay for.
    pub service: ServiceId,
    /// How many.
    pub amount: Credits,
    /// Where they come from.
    pub source: Source,
    /// Why.
    pub reason: ReasonCode,
}

/// How a session went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took place: the held credit is used.
    Completed,
    /// The client did not come: the held credit goes by the service's rule.
    NoShow,
}

/// Grants credits, and holds them at once for sessions that waited for one.
///
/// # Errors
/// [`Refusal`] if there is no such client or service, or the ledger refuses.
pub fn grant(view: &View, grant: NewGrant, principal: Principal, now: DateTime<Utc>) -> Decision {
    let (account, service) = (view.account()?, view.service()?);
    let key = grant.key.clone();
    let command = Command::Grant {
        key: grant.key,
        service: ledger_core::ServiceId(service.id.0),
        amount: grant.amount,
        source: grant.source,
        evidence: Evidence::Manual {
            actor: principal.identity(),
            reason: grant.reason,
        },
        effective_at: now,
        expires_at: None,
    };
    let Some(mut posting) = Posting::of(account).post(&view.entries, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let (mut rows, mut funded) = (Vec::new(), Vec::new());
    for waiting in view
        .sessions
        .iter()
        .filter(|waiting| waiting.service == service.id)
    {
        let (next, now_funded) = horizon::try_fund(posting, waiting, now)?;
        posting = next;
        if let Some((session, notice)) = now_funded {
            funded.push(session.id);
            rows.extend([Change::Session(session), Change::Notify(notice)]);
        }
    }
    let seq = posting.account.seq();
    let journal = Journal::new(Subject::Entry(grant.client, key), seq, "credits_granted")
        .with_body(json!({ "funded": funded }));
    let mut changes = vec![posting.into_change()];
    changes.append(&mut rows);
    Ok(Idempotent::Applied(Commit { journal, changes }))
}

/// Says how a session went.
///
/// # Errors
/// [`Refusal`] if it is not the principal's, is not over, or ended otherwise.
pub fn settle(
    view: &View,
    outcome: Outcome,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    occurrence::authorize(view, principal, Action::Settle)?;
    let session = view.session.as_ref().ok_or(Refusal::NoSession)?;
    occurrence::check_version(expected, session.version)?;
    let command = match outcome {
        Outcome::Completed => session::Command::Complete,
        Outcome::NoShow => session::Command::NoShow,
    };
    let Idempotent::Applied(event) = session::decide(session, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let ledger = end_hold(view, session, &event, now)?;
    Ok(Idempotent::Applied(change_session(
        view, &event, ledger, now,
    )?))
}

/// The commit of a session's event: the session after it, its ledger change, and the notice.
pub(crate) fn change_session(
    view: &View,
    event: &Event,
    ledger: Option<Change>,
    now: DateTime<Utc>,
) -> Result<Commit, Refusal> {
    let before = view.session()?;
    let mut session = session::evolve(before.clone(), event);
    session.next_due_at = horizon::session_due_at(&session, view.service()?);
    let (kind, told) = match event {
        Event::Funded => ("session_funded", Some("session_scheduled")),
        Event::CaseOpened { .. } => ("session_case_opened", None),
        Event::Rescheduled { .. } => ("session_rescheduled", Some("session_rescheduled")),
        Event::Cancelled { .. } => ("session_cancelled", Some("session_cancelled")),
        Event::Completed => ("session_completed", None),
        Event::NoShow => ("session_no_show", None),
    };
    let told = told.map(|kind| Change::Notify(Notification::to_client(kind, &session, now)));
    let journal = Journal::new(
        Subject::Occurrence(session.intent, session.recurrence_id),
        session.version,
        kind,
    )
    .with_body(json!({ "session": session.id, "event": event }));
    let changes = std::iter::once(Change::Session(session))
        .chain(ledger)
        .chain(told);
    Ok(Commit {
        journal,
        changes: changes.collect(),
    })
}

/// What an event that ends a session, or moves it, means for the credit held for it.
pub(crate) fn end_hold(
    view: &View,
    session: &Session,
    event: &Event,
    now: DateTime<Utc>,
) -> Result<Option<Change>, Refusal> {
    let account = view.account()?;
    let hold = hold_of(session);
    if account.hold(hold).is_none() {
        return Ok(None);
    }
    let cancellation = view.service()?.cancellation;
    let released = match *event {
        Event::Cancelled {
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
        Event::Cancelled { late: true, .. } => {
            by_rule(cancellation.late_cancel, ForfeitReason::LateCancel)
        }
        Event::Cancelled { late: false, .. } => Command::Release {
            hold,
            reason: released,
        },
        Event::Rescheduled { starts_at, .. } => Command::Reschedule {
            hold,
            slot_version: session.slot_version + 1,
            to: starts_at,
        },
        Event::Funded | Event::CaseOpened { .. } => return Ok(None),
    };
    let posting = Posting::of(account).post(&view.entries, &command, now)?;
    Ok(posting.map(Posting::into_change))
}

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

/// Until when a client changes this session freely.
#[must_use]
pub fn free_until(starts_at: DateTime<Utc>, service: &Service) -> DateTime<Utc> {
    starts_at - TimeDelta::minutes(i64::from(service.cancellation.free_until_minutes))
}
