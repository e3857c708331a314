//! Why the clinic says no.

use chrono::{DateTime, Utc};
use ledger_core::{Key, Period, ReasonCode};
use scheduler_core::intent::IntentError;
use scheduler_core::proof::{Found, RemedyError};
use scheduler_core::session::SessionError;
use scheduler_core::set::SetError;
use scheduler_core::slots::{Alternatives, PolicyError};

use crate::MessageState;
use crate::access::Disclosed;
use crate::working_times::TimesError;

/// A decision against a command. Nothing is stored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or it is not the principal's.
    #[error("no such {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// The caller knows an older version.
    #[error("the version is {actual}, not {expected}")]
    Stale {
        /// The version that the caller named.
        expected: u64,
        /// The version that is stored.
        actual: u64,
    },
    /// A value is out of its range.
    #[error("{field} cannot be {value:?}: {expected}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What was given.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The code of a reason is not in the clinic's list. It is not repeated: it may be what somebody
    /// wrote about another.
    #[error("the {field} is not one of the clinic's {} codes", .known.len())]
    UnknownReason {
        /// Which one.
        field: &'static str,
        /// The codes that there are, sorted.
        known: Vec<ReasonCode>,
    },
    /// The clinic has as many codes of its own as it may.
    #[error("a clinic adds at most {} codes of reasons", crate::reason::OWN_MAX)]
    TooManyReasons,
    /// The time is not free.
    #[error("times that are not free: {dates}, with {count} in the way")]
    Clash {
        /// How many clashes were found in all.
        count: usize,
        /// How many times have any.
        dates: usize,
        /// The first of them, by time.
        clashes: Vec<Found>,
        /// What could be done about the first dates of a booking.
        alternatives: Option<Alternatives>,
        /// Which of them the answer names.
        disclosed: Disclosed,
    },
    /// A client would have more than a quota leaves, or a booking is too dense for anybody.
    #[error("{quota}: at most {most}, this would be {wanted}")]
    Quota {
        /// Of what.
        quota: &'static str,
        /// How many there would be.
        wanted: u64,
        /// How many there may be.
        most: u64,
    },
    /// The resolutions that a booking comes with cannot be applied.
    #[error(transparent)]
    Remedy(#[from] RemedyError),
    /// Only staff take back what somebody else has changed.
    #[error("the last change is somebody else's: the clinic's staff can take it back")]
    AnothersChange,
    /// A client wants to move a session inside its late window.
    #[error("a client reschedules until {free_until}, it is {now}")]
    TooLateToReschedule {
        /// Until when it was free.
        free_until: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
    },
    /// A lease on a message has run out, or somebody else has taken over.
    #[error("lease {lease} on message {message} is lost")]
    LeaseLost {
        /// The message's number.
        message: u64,
        /// The lease that was shown.
        lease: u32,
    },
    /// Only a dead message can be replayed.
    #[error("the message is {}, not dead", .state.name())]
    NotDead {
        /// Where it stands.
        state: MessageState,
    },
    /// A client moves a session further than its credit may be carried.
    #[error("a client moves this session to {until} at most, when its credit ends")]
    TooFarToReschedule {
        /// The last time to which it may be moved.
        until: DateTime<Utc>,
        /// The time that was asked for.
        to: DateTime<Utc>,
    },
    /// The client may still come.
    #[error("a session is a no-show from {from} on, and it is {now}")]
    NotYetNoShow {
        /// From when on it is one.
        from: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
    },
    /// No month of the subscription begins when one was said to.
    #[error("no month of the subscription begins at {starts_at}")]
    NoMonth {
        /// When one was said to begin.
        starts_at: DateTime<Utc>,
        /// The month that it is in, if it is in one.
        around: Option<Period>,
    },
    /// The session has cost the client no credit, or it was given back.
    #[error("no credit is forfeited for this session")]
    NothingForfeited,
    /// A forfeit is given back by a waiver, which has a policy.
    #[error("a forfeit is waived, not reversed: waive its session")]
    WaivedInstead,
    /// A session that took place has no credit to pay for it.
    #[error("the client has no credit for it: grant one first, or charge none")]
    NoCredit,
    /// What was entered under this key was taken back, and is not entered again.
    #[error("entry {key} was taken back: grant what is due by hand")]
    Reversed {
        /// The key.
        key: Key,
    },
    /// The service's policy does not let this principal waive.
    #[error("a {role} does not waive what is forfeited for this service")]
    MayNotWaive {
        /// What the principal is.
        role: &'static str,
    },
    /// Another client has this e-mail address.
    #[error("another client has this e-mail address")]
    EmailTaken,
    /// The person is erased.
    #[error("they are erased")]
    Erased,
    /// The law wants what is known of them.
    #[error("a legal hold forbids to erase them")]
    LegalHold,
    /// The intent machine refuses.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// The session machine refuses.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The set cannot be made or asked.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Working times cannot be so.
    #[error(transparent)]
    Times(#[from] TimesError),
    /// A service cannot be booked so.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The ledger refuses.
    #[error(transparent)]
    Ledger(#[from] ledger_core::Error),
    /// An entry that the ledger has just decided does not fit its account: our defect.
    #[error(transparent)]
    Corrupt(#[from] ledger_core::Corrupt),
}

impl Refusal {
    /// # Errors
    /// [`Refusal::Stale`] if the caller named another version.
    pub fn check_version(expected: Option<u64>, actual: u64) -> Result<(), Self> {
        match expected {
            Some(expected) if expected != actual => Err(Self::Stale { expected, actual }),
            _ => Ok(()),
        }
    }
}
