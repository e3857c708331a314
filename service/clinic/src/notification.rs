//! Telling somebody something: what is told, when it still holds, and how a message gets through.
//!
//! A decision puts a [`Notification`] into its commit; the store keeps it as a [`Message`] of the
//! outbox. The worker leases a message, sends it, and says what came of it. A lease is a number
//! that only rises (a fencing token): whoever comes back after its time has run out, or after
//! somebody else has taken over, is refused.
//!
//! ```text
//!            lease              sent
//! pending ---------> pending ---------> sent
//!    ^    \         (leased) \ failed
//!    |     \ no longer true   \--------> pending, later; after the last attempt: dead
//!    |      `-------> void; a reminder that comes too late: dead                  |
//!    `------------------------------- replay -------------------------------------'
//! ```

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{ClientId, LocalDateTime, SessionId, TherapistId, Zone};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::access::{Action, Principal, Resource, allow};
use crate::{Change, Commit, Decision, Idempotent, Journal, Refusal, Subject, View};

/// How long a message belongs to the worker that leased it. Longer than any attempt may take.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);
/// A message that failed so often waits for a person.
pub const ATTEMPTS_MAX: u32 = 10;
/// How long a message waits after its first failure. Each further one doubles it.
pub const BACKOFF_FIRST: TimeDelta = TimeDelta::seconds(10);
/// The longest that a message waits for its next attempt.
pub const BACKOFF_MAX: TimeDelta = TimeDelta::hours(1);
/// The longest code of an error that is kept.
pub const ERROR_BYTES_MAX: usize = 100;

/// Something to tell somebody. Who and what, never the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What it says.
    pub kind: NotificationKind,
    /// The session it is about.
    pub session: SessionId,
    /// Which of the session's times it is about.
    pub slot_version: u32,
    /// Who is told.
    pub recipient: Recipient,
    /// Since when it is due.
    pub due_at: DateTime<Utc>,
    /// The sessions that a change of a zone's law moved, if it is about that; `session` is the first.
    pub moves: Vec<Moved>,
}

/// A session that keeps its wall time and has another instant, because the law of its zone changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Which.
    pub session: SessionId,
    /// Where its wall time is read.
    pub zone: Zone,
    /// The wall time that it keeps.
    pub starts_local: LocalDateTime,
    /// The instant by the old law.
    pub was: DateTime<Utc>,
    /// The instant by the new law.
    pub starts_at: DateTime<Utc>,
    /// Whether that time is taken, so that the clinic has to decide about it.
    pub case: bool,
}

/// What a notification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotificationKind {
    /// The session will take place.
    Scheduled,
    /// It has another time, or another therapist.
    Rescheduled,
    /// It was called off.
    Cancelled,
    /// It is about to start: the reminder that is due so many minutes before.
    Reminder {
        /// How many.
        minutes: u32,
    },
    /// It will take place once there is a credit for it, and there is none.
    Unfunded,
    /// It does not take place unless a person decides so: it had no credit in time, or no time.
    Case,
    /// Nobody has said how it went.
    AttendanceUnknown,
    /// The law of a zone has changed, and these sessions with it. One message a person.
    ClocksChanged {
        /// The generation of the zone data that says so.
        generation: u64,
    },
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// A client.
    Client(ClientId),
    /// A therapist.
    Therapist(TherapistId),
}

/// A notification on its way: a row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number, in the order in which messages were written.
    pub seq: u64,
    /// What it tells whom.
    pub notification: Notification,
    /// Where it stands.
    pub state: MessageState,
    /// How often it was leased. The number of the last lease, which only rises.
    pub attempts: u32,
    /// When it is to be leased next: now, after a failure, or when its lease has run out. `None`
    /// once it is settled.
    pub next_due_at: Option<DateTime<Utc>>,
    /// The code of what went wrong the last time.
    pub last_error: Option<String>,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// It is to be sent, or being sent.
    Pending,
    /// It was sent.
    Sent,
    /// What it says had ceased to be true before it was sent.
    Void,
    /// It could not be sent, and waits for a person.
    Dead,
}

impl Notification {
    /// Telling the session's client, as of the session's present time.
    #[must_use]
    pub fn to_client(kind: NotificationKind, session: &Session, due_at: DateTime<Utc>) -> Self {
        Self {
            kind,
            session: session.id,
            slot_version: session.slot_version,
            recipient: Recipient::Client(session.client),
            due_at,
            moves: Vec::new(),
        }
    }

    /// Telling the session's therapist, as of the session's present time.
    #[must_use]
    pub fn to_therapist(kind: NotificationKind, session: &Session, due_at: DateTime<Utc>) -> Self {
        let recipient = Recipient::Therapist(session.therapist);
        Self {
            recipient,
            ..Self::to_client(kind, session, due_at)
        }
    }

    /// Returns the messages that announce a session's present state: each goes to whoever can act on it.
    #[must_use]
    pub fn of_state(session: &Session, due_at: DateTime<Utc>) -> Vec<Self> {
        let client = |kind| Self::to_client(kind, session, due_at);
        let therapist = |kind| Self::to_therapist(kind, session, due_at);
        match session.state {
            SessionState::Scheduled => vec![client(NotificationKind::Scheduled)],
            SessionState::Unfunded => vec![client(NotificationKind::Unfunded)],
            SessionState::Case { .. } => {
                let kind = NotificationKind::Case;
                vec![client(kind), therapist(kind)]
            }
            SessionState::Cancelled { .. } => vec![client(NotificationKind::Cancelled)],
            SessionState::Missed => vec![therapist(NotificationKind::AttendanceUnknown)],
            // Whoever was there knows.
            SessionState::Completed | SessionState::NoShow => Vec::new(),
        }
    }

    /// The same for the same fact, so that it is told once.
    #[must_use]
    pub fn dedupe_key(&self) -> String {
        let Self {
            kind,
            session,
            slot_version,
            recipient,
            ..
        } = self;
        let recipient = recipient.id();
        if let NotificationKind::ClocksChanged { .. } = kind {
            return format!("{kind}/{recipient}/mail");
        }
        format!("{kind}/{session}/{slot_version}/{recipient}/mail")
    }

    /// Whether it is still true of its session. Asked when it is claimed; one that is leased as it is
    /// written was just made so.
    #[must_use]
    pub fn still_holds(&self, session: &Session) -> bool {
        let scheduled = session.state == SessionState::Scheduled;
        let same_time = self.slot_version == session.slot_version;
        match self.kind {
            NotificationKind::Rescheduled => session.state.is_live() && same_time,
            // It reports the past: later changes of a session do not make it false.
            NotificationKind::ClocksChanged { .. } => true,
            NotificationKind::Cancelled => matches!(session.state, SessionState::Cancelled { .. }),
            NotificationKind::Scheduled | NotificationKind::Reminder { .. } => {
                scheduled && same_time
            }
            NotificationKind::Unfunded => session.state == SessionState::Unfunded && same_time,
            NotificationKind::Case => matches!(session.state, SessionState::Case { .. }),
            NotificationKind::AttendanceUnknown => {
                same_time && (scheduled || session.state == SessionState::Missed)
            }
        }
    }

    /// Whether it comes too late to be of use: a reminder, once the session has begun.
    fn is_late(&self, session: &Session, now: DateTime<Utc>) -> bool {
        matches!(self.kind, NotificationKind::Reminder { .. }) && session.starts_at <= now
    }
}

/// Leases a due message, voids it if it has ceased to be true, or gives it up if it would come too
/// late: somebody should know that it was never sent.
///
/// # Errors
/// [`Refusal::NotFound`] if the message or its session is not in view.
pub fn lease(view: &View, now: DateTime<Utc>) -> Decision {
    let (message, session) = (view.message()?, view.session()?);
    if message.state != MessageState::Pending {
        return Ok(Idempotent::AlreadyApplied);
    }
    let told = &message.notification;
    let mut after = message.clone();
    if !told.still_holds(session) {
        settle(&mut after, MessageState::Void);
    } else if told.is_late(session, now) {
        settle(&mut after, MessageState::Dead);
        after.last_error.get_or_insert("late".to_owned());
    } else {
        after.attempts += 1;
        after.next_due_at = Some(now + LEASE);
    }
    Ok(changed(after))
}

/// Notes that a leased message was sent.
///
/// # Errors
/// [`Refusal::LeaseLost`] if the lease has run out or somebody else has taken over.
pub fn sent(view: &View, lease: u32, now: DateTime<Utc>) -> Decision {
    let mut after = leased(view, lease, now)?.clone();
    settle(&mut after, MessageState::Sent);
    after.last_error = None;
    Ok(changed(after))
}

/// Notes that a leased message could not be sent. It waits twice as long after every failure, at
/// most [`BACKOFF_MAX`], cut by a random part of up to a quarter so that what failed together does
/// not come again together. After [`ATTEMPTS_MAX`] attempts it is dead.
///
/// # Errors
/// [`Refusal::LeaseLost`] if the lease has run out or somebody else has taken over.
pub fn failed(view: &View, lease: u32, error: &str, random: u64, now: DateTime<Utc>) -> Decision {
    let mut after = leased(view, lease, now)?.clone();
    let error = error.chars().filter(char::is_ascii_graphic);
    after.last_error = Some(error.take(ERROR_BYTES_MAX).collect());
    if after.attempts >= ATTEMPTS_MAX {
        settle(&mut after, MessageState::Dead);
    } else {
        after.next_due_at = Some(now + backoff(after.attempts, random));
    }
    Ok(changed(after))
}

/// Puts a dead message back: one more attempt, now.
///
/// # Errors
/// [`Refusal::NotFound`] if there is no such message or it is not the principal's to replay,
/// [`Refusal::NotDead`] if it is not dead, [`Refusal::Stale`] if it has had more attempts than the
/// caller knows.
pub fn replay(
    view: &View,
    principal: Principal,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    let message = view.message()?;
    if !allow(principal, Action::Administer, Resource::Operations) {
        return Err(Refusal::NotFound { what: "message" });
    }
    Refusal::check_version(expected, message.attempts.into())?;
    match message.state {
        MessageState::Dead => {}
        MessageState::Pending => return Ok(Idempotent::AlreadyApplied),
        state => return Err(Refusal::NotDead { state }),
    }
    let mut after = message.clone();
    after.state = MessageState::Pending;
    after.next_due_at = Some(now);
    let subject = Subject::Message(after.seq);
    let journal = Journal::new(subject, after.attempts.into(), "message_replayed")
        .with_body(json!({ "dedupe_key": after.notification.dedupe_key() }));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::Message(after)],
    }))
}

/// The message, if this lease is the last one and has not run out.
fn leased(view: &View, lease: u32, now: DateTime<Utc>) -> Result<&Message, Refusal> {
    let message = view.message()?;
    let holds = message.attempts == lease && message.next_due_at.is_some_and(|until| now < until);
    if holds {
        Ok(message)
    } else {
        Err(Refusal::LeaseLost {
            message: message.seq,
            lease,
        })
    }
}

/// A pending message that is not sent any more.
pub(crate) fn voided(mut message: Message) -> Message {
    settle(&mut message, MessageState::Void);
    message
}

fn settle(message: &mut Message, state: MessageState) {
    message.state = state;
    message.next_due_at = None;
}

fn changed(message: Message) -> Idempotent<Commit> {
    Idempotent::Applied(Commit {
        journal: None,
        changes: vec![Change::Message(message)],
    })
}

fn backoff(failures: u32, random: u64) -> TimeDelta {
    let doublings = failures.saturating_sub(1).min(20);
    let whole = BACKOFF_FIRST.num_milliseconds() << doublings;
    let whole = whole.min(BACKOFF_MAX.num_milliseconds());
    let quarter = u64::try_from(whole / 4).unwrap_or(0);
    let cut = i64::try_from(random % (quarter + 1)).unwrap_or(0);
    TimeDelta::milliseconds(whole - cut)
}

impl Recipient {
    /// The person's id.
    #[must_use]
    pub fn id(self) -> Uuid {
        match self {
            Self::Client(id) => id.0,
            Self::Therapist(id) => id.0,
        }
    }

    /// What they are, as stored and shown.
    #[must_use]
    pub fn role(self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Therapist(_) => "therapist",
        }
    }

    /// The recipient of a stored role and id.
    #[must_use]
    pub fn of_role(role: &str, id: Uuid) -> Option<Self> {
        match role {
            "client" => Some(Self::Client(ClientId(id))),
            "therapist" => Some(Self::Therapist(TherapistId(id))),
            _ => None,
        }
    }
}

impl MessageState {
    /// Its name, as stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Void => "void",
            Self::Dead => "dead",
        }
    }
}

/// A stored name that means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is unknown")]
pub struct UnknownName(pub String);

impl FromStr for MessageState {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        [Self::Pending, Self::Sent, Self::Void, Self::Dead]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| UnknownName(name.to_owned()))
    }
}

const REMINDER: &str = "session_reminder/";
const CLOCKS_CHANGED: &str = "clocks_changed/";

impl fmt::Display for NotificationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduled => f.write_str("session_scheduled"),
            Self::Rescheduled => f.write_str("session_rescheduled"),
            Self::Cancelled => f.write_str("session_cancelled"),
            Self::Reminder { minutes } => write!(f, "{REMINDER}{minutes}"),
            Self::Unfunded => f.write_str("session_unfunded"),
            Self::Case => f.write_str("session_case"),
            Self::AttendanceUnknown => f.write_str("attendance_unknown"),
            Self::ClocksChanged { generation } => write!(f, "{CLOCKS_CHANGED}{generation}"),
        }
    }
}

impl FromStr for NotificationKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "session_scheduled" => Ok(Self::Scheduled),
            "session_rescheduled" => Ok(Self::Rescheduled),
            "session_cancelled" => Ok(Self::Cancelled),
            "session_unfunded" => Ok(Self::Unfunded),
            "session_case" => Ok(Self::Case),
            "attendance_unknown" => Ok(Self::AttendanceUnknown),
            _ => {
                let minutes = name.strip_prefix(REMINDER).and_then(|m| m.parse().ok());
                let generation = name.strip_prefix(CLOCKS_CHANGED);
                let generation = generation.and_then(|number| number.parse().ok());
                minutes
                    .map(|minutes| Self::Reminder { minutes })
                    .or(generation.map(|generation| Self::ClocksChanged { generation }))
                    .ok_or_else(|| UnknownName(name.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_and_jitter_only_shortens_it() {
        for failures in 1..40 {
            let whole = backoff(failures, 0);
            assert!(whole <= BACKOFF_MAX);
            if failures > 1 && whole < BACKOFF_MAX {
                assert_eq!(whole, backoff(failures - 1, 0) * 2);
            }
            for random in [1, 999, u64::MAX / 2, u64::MAX] {
                let cut = backoff(failures, random);
                assert!(cut <= whole && cut >= whole * 3 / 4, "{failures} {random}");
            }
        }
        assert_eq!(backoff(1, 0), BACKOFF_FIRST);
        assert_eq!(backoff(u32::MAX, 0), BACKOFF_MAX);
    }

    #[test]
    fn names_are_read_back() {
        let kinds = [
            NotificationKind::Scheduled,
            NotificationKind::Rescheduled,
            NotificationKind::Cancelled,
            NotificationKind::Reminder { minutes: 1440 },
            NotificationKind::AttendanceUnknown,
            NotificationKind::ClocksChanged { generation: 3 },
        ];
        for kind in kinds {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for name in ["", "session_reminder/", "session_reminder/x", "Sent"] {
            assert!(name.parse::<NotificationKind>().is_err());
            assert!(name.parse::<MessageState>().is_err());
        }
    }
}
