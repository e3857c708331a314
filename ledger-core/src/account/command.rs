//! What can be asked of an account.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::amount::Credits;
use crate::entry::{Body, Entry, ForfeitReason, ReleaseReason};
use crate::evidence::{Evidence, Source};
use crate::id::{HoldId, ServiceId};
use crate::instant::whole_micros;
use crate::key::Key;

/// A request to an account. Instants count in whole microseconds; what is below is cut off.
///
/// A command says what is wanted and never from which lot, so the same command sent again is
/// equal to itself whatever has happened in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bring a lot of credits.
    Grant {
        /// What this grant is, so that it is made once: [`Key::manual_grant`].
        key: Key,
        /// What the credits pay for.
        service: ServiceId,
        /// How many. Positive.
        amount: Credits,
        /// Where they come from.
        source: Source,
        /// What the grant rests on.
        evidence: Evidence,
        /// The first slot start they are valid for.
        effective_at: DateTime<Utc>,
        /// The first slot start they are no longer valid for; none: they do not expire.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Take one credit for a booking.
    Hold {
        /// The hold to begin. A booking whose hold has ended takes the next generation.
        hold: HoldId,
        /// What is booked.
        service: ServiceId,
        /// When the slot starts: the credit must be valid then.
        slot_start: DateTime<Utc>,
    },
    /// End a hold and give its credit back.
    Release {
        /// The hold to end.
        hold: HoldId,
        /// Why. Not [`ReleaseReason::Used`] or [`ReleaseReason::Forfeited`].
        reason: ReleaseReason,
    },
    /// End a hold: the session took place.
    Use {
        /// The hold to end.
        hold: HoldId,
    },
    /// End a hold: its credit is lost.
    Forfeit {
        /// The hold to end.
        hold: HoldId,
        /// Why.
        reason: ForfeitReason,
    },
    /// Give a hold another slot, keeping the hold and its credit, whenever the credit expires.
    Reschedule {
        /// The hold to keep.
        hold: HoldId,
        /// Which of the booking's slots this is. Greater than at the hold's last reschedule.
        slot_version: u32,
        /// When the slot starts now.
        to: DateTime<Utc>,
    },
}

impl Command {
    /// The keys of the entries it would write, in their order. A store loads the entries that
    /// have one of them, of whatever account, and passes them to [`decide`](fn@crate::decide).
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Command::Use { hold } | Command::Forfeit { hold, .. } => {
                vec![Key::release(*hold), self.key()]
            }
            _ => vec![self.key()],
        }
    }

    /// The key of the last entry it would write: the one that stands for the whole request.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Command::Grant { key, .. } => key.clone(),
            Command::Hold { hold, .. } => Key::hold(*hold),
            Command::Release { hold, .. } => Key::release(*hold),
            Command::Use { hold } => Key::used(*hold),
            Command::Forfeit { hold, .. } => Key::forfeit(*hold),
            Command::Reschedule {
                hold, slot_version, ..
            } => Key::rescheduled(*hold, *slot_version),
        }
    }

    /// The kind of the entry that [`Command::key`] is the key of.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Command::Grant { .. } => "grant",
            Command::Hold { .. } => "hold",
            Command::Release { .. } => "release",
            Command::Use { .. } => "use",
            Command::Forfeit { .. } => "forfeit",
            Command::Reschedule { .. } => "rescheduled",
        }
    }

    /// The request that an entry answers: its body without what the state decided, which is the
    /// lot's number, the allocation, and the slot that a reschedule left.
    pub(super) fn of(entry: &Entry) -> Command {
        match &entry.body {
            Body::Grant {
                lot: _,
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
            } => Command::Grant {
                key: entry.key.clone(),
                service: *service,
                amount: *amount,
                source: *source,
                evidence: evidence.clone(),
                effective_at: *effective_at,
                expires_at: *expires_at,
            },
            Body::Hold {
                hold,
                service,
                amount: _,
                slot_start,
                allocation: _,
            } => Command::Hold {
                hold: *hold,
                service: *service,
                slot_start: *slot_start,
            },
            Body::Release {
                hold,
                reason,
                allocation: _,
            } => Command::Release {
                hold: *hold,
                reason: *reason,
            },
            Body::Use {
                hold,
                allocation: _,
            } => Command::Use { hold: *hold },
            Body::Forfeit {
                hold,
                reason,
                allocation: _,
            } => Command::Forfeit {
                hold: *hold,
                reason: *reason,
            },
            Body::Rescheduled {
                hold,
                slot_version,
                from: _,
                to,
            } => Command::Reschedule {
                hold: *hold,
                slot_version: *slot_version,
                to: *to,
            },
        }
    }

    /// The command with its instants in whole microseconds, as an entry has them.
    pub(super) fn canonical(&self) -> Command {
        let mut command = self.clone();
        match &mut command {
            Command::Grant {
                effective_at,
                expires_at,
                ..
            } => {
                *effective_at = whole_micros(*effective_at);
                *expires_at = expires_at.map(whole_micros);
            }
            Command::Hold { slot_start: at, .. } | Command::Reschedule { to: at, .. } => {
                *at = whole_micros(*at);
            }
            Command::Release { .. } | Command::Use { .. } | Command::Forfeit { .. } => {}
        }
        command
    }
}

/// The request in words, with all its values: a conflict shows two of them side by side.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Grant {
                key: _,
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
            } => {
                let Evidence::Manual { actor, reason } = evidence;
                write!(f, "grant {amount} {source} credits of service {service} ")?;
                write!(f, "by {actor} for {reason} from {effective_at:?} ")?;
                match expires_at {
                    Some(end) => write!(f, "to {end:?}"),
                    None => write!(f, "without end"),
                }
            }
            Command::Hold {
                hold,
                service,
                slot_start,
            } => {
                write!(f, "hold {hold} of service {service} at {slot_start:?}")
            }
            Command::Release { hold, reason } => write!(f, "release hold {hold} as {reason}"),
            Command::Use { hold } => write!(f, "use hold {hold}"),
            Command::Forfeit { hold, reason } => write!(f, "forfeit hold {hold} for {reason}"),
            Command::Reschedule {
                hold,
                slot_version,
                to,
            } => {
                write!(f, "reschedule hold {hold} to slot {slot_version} at {to:?}")
            }
        }
    }
}
