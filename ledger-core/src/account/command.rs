//! What can be asked of an account.

use chrono::{DateTime, Utc};

use uuid::Uuid;

use crate::amount::Credits;
use crate::body::Body;
use crate::entry::Entry;
use crate::evidence::{Evidence, ReasonCode, Source};
use crate::id::{HoldId, LotId, LotNumber, ServiceId};
use crate::instant::whole_micros;
use crate::key::Key;
use crate::proof::Proof;
use crate::reason::{Cause, ForfeitReason, HeldPolicy, ReleaseReason, TransferReason};

/// A request to an account. Instants count in whole microseconds; what is below is cut off.
///
/// A command says what is wanted and never from which lot, so the same command sent again is
/// equal to itself whatever has happened in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bring a lot of credits.
    Grant {
        /// What this grant is, so that it is made once: [`Key::manual_grant`], or what
        /// [`Plan::grant`](crate::Plan::grant) and [`Purchase::grant`](crate::Purchase::grant)
        /// say.
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
        /// Why. Not [`ReleaseReason::Used`], [`ReleaseReason::Forfeited`] or
        /// [`ReleaseReason::Rebooked`], which other commands write.
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
    /// Carry out a lot's end: what is available of it expires. What is held does not.
    ///
    /// Nothing to expire is nothing to do. Whatever else takes or frees available credits carries
    /// out first the ends that have come, so when this one comes affects how soon the balance
    /// shows it, and how long a slot before the end can still be booked after it.
    Expire {
        /// The lot.
        lot: LotId,
    },
    /// Take credits back whose money went back.
    ///
    /// Takes what is available of the lot and of the lots its credits were transferred to, then,
    /// if the policy says so, what is held, the latest slot first; the rest is owed. What is owed
    /// is repaid at once by available credits of the same service, if there are any, and later by
    /// the first that come: see [`Body::Repay`]. A credit that is used, forfeited or expired is
    /// not there to be taken; whoever wants the client not to owe it leaves it out of the amount. What
    /// a person took, or an earlier clawback, is not taken again: of more than
    /// [`Lot::left`](crate::Lot::left) it takes what is left, and its entry says how many were asked
    /// for.
    Clawback {
        /// Why. A cause takes credits back once: see [`Cause::again`].
        cause: Cause,
        /// The lot the money was for: one that was granted, not transferred.
        lot: LotId,
        /// How many. Positive.
        amount: Credits,
        /// What becomes of held credits.
        held: HeldPolicy,
    },
    /// Undo a clawback, on the same lots: the dispute was won, the refund failed.
    ///
    /// What was available is available again, holds that are still open have their credits again,
    /// what is owed is owed no more, and what was repaid goes back to the lots that repaid it. If
    /// a lot's end has come since, what comes back expires, as it would have without the clawback.
    Reinstate {
        /// Why the credits had been taken back.
        cause: Cause,
    },
    /// Move available credits into a new lot with dates of its own.
    ///
    /// For a [rollover and grace](TransferReason::revives) credits that have expired go too, after
    /// those that are available. Held credits stay where they are.
    Transfer {
        /// The command's id, so that it is made once.
        id: Uuid,
        /// The lot they leave.
        lot: LotId,
        /// Why.
        reason: TransferReason,
        /// How many. Positive. See [`CarryOver::of`](crate::CarryOver::of).
        amount: Credits,
        /// The first slot start the new lot is valid for.
        effective_at: DateTime<Utc>,
        /// The first slot start it is no longer valid for; none: it does not expire.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Let credits of a lot outlive it: so many of those that are available at its end, or come free
    /// after it, move to a lot that ends later.
    ///
    /// Of a lot whose end has come they move at once; for a reason that
    /// [revives](TransferReason::revives) also those that have expired, after those that are
    /// available. Before the lot's end the credits can be held for slots after it, as many as may
    /// move. What may move longest moves first.
    Extend {
        /// The command's id, so that it is made once.
        id: Uuid,
        /// The lot.
        lot: LotId,
        /// Why.
        reason: TransferReason,
        /// How many at most. Positive.
        amount: Credits,
        /// The first slot start that they are no longer valid for; none: they do not expire. After
        /// the lot's end.
        until: Option<DateTime<Utc>>,
    },
    /// Take an extension back: what made it was undone. What it has moved stays where it is; if nothing
    /// of it is left, there is nothing to do.
    Unextend {
        /// The lot.
        lot: LotId,
        /// The id of the command that made it.
        id: Uuid,
    },
    /// Pass a hold on to another booking, with its credit and its slot, whenever the credit expires.
    Rebook {
        /// The hold to end.
        hold: HoldId,
        /// The hold to begin.
        into: HoldId,
    },
    /// Hold a credit again that a release had set free, whenever it expires: the release was undone.
    ///
    /// The extension that followed the release is withdrawn, and what it has moved moves back. Then a
    /// credit of the lot that the hold had been on is held: one that is available, else one that has
    /// moved on since the release, else one that has expired.
    Restore {
        /// The hold to begin.
        hold: HoldId,
        /// The hold that was released.
        of: HoldId,
        /// What is booked.
        service: ServiceId,
        /// When the slot starts.
        slot_start: DateTime<Utc>,
        /// The id of the extension that followed the release, if one did.
        extension: Uuid,
        /// Who undid it.
        actor: Uuid,
        /// Why.
        reason: ReasonCode,
    },
    /// Correct the number of a service's credits by hand.
    ///
    /// More come as a lot of their own: given, valid from now on, without end. Fewer are taken from
    /// what is available, in the order of consumption, all or none: only a clawback makes a debt.
    Adjust {
        /// The command's id, so that it is made once.
        id: Uuid,
        /// Of which service.
        service: ServiceId,
        /// How many more, or, if negative, fewer. Not 0.
        amount: Credits,
        /// Who.
        actor: Uuid,
        /// Why.
        reason: ReasonCode,
    },
    /// Take an entry back by hand: all that it moved moves back, or nothing does.
    ///
    /// For grants, uses, forfeits, expiries, transfers and adjustments, each once. Not for what
    /// has an inverse of its own (a hold is released, a clawback reinstated), for what moves
    /// nothing, nor for a reversal: what was undone is done anew, a use under the booking's next
    /// hold. What comes back into a lot whose end has come stays available: a person wants it.
    Reverse {
        /// The entry's key. [`Command::keys`] names it too, so that the store loads the entry.
        entry: Key,
        /// Who.
        actor: Uuid,
        /// Why.
        reason: ReasonCode,
    },
}

impl Command {
    /// The invoice or checkout of a grant: a store loads the entries that were granted on it, of whatever
    /// account, beside those of the [keys](Command::keys).
    #[must_use]
    pub fn proof(&self) -> Option<Proof> {
        match self {
            Command::Grant { evidence, .. } => evidence.proof(),
            _ => None,
        }
    }

    /// The keys of the entries a store loads, of whatever account, and passes to
    /// [`decide`](fn@crate::decide): those it would write, and the one it is about.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let mut keys = self.written();
        match self {
            Command::Reinstate { cause } => keys.push(Key::clawback(cause)),
            Command::Reverse { entry, .. } => keys.push(entry.clone()),
            Command::Restore { of, .. } => keys.extend([Key::hold(*of), Key::release(*of)]),
            _ => {}
        }
        keys
    }

    /// The keys of the entries that are the command's own, in their order. Entries that follow
    /// from them (what expires or repays at once) have these keys with an ending.
    pub(super) fn written(&self) -> Vec<Key> {
        match self {
            Command::Use { hold } | Command::Forfeit { hold, .. } => {
                vec![Key::release(*hold), self.key()]
            }
            Command::Rebook { hold, .. } => vec![Key::release(*hold), self.key()],
            _ => vec![self.key()],
        }
    }

    /// The key of the last entry of its own: the one that stands for the whole request.
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
            Command::Expire { lot } => Key::expire(*lot),
            Command::Clawback { cause, .. } => Key::clawback(cause),
            Command::Reinstate { cause } => Key::reinstate(cause),
            Command::Transfer {
                id, lot, reason, ..
            } => Key::transfer(*lot, *reason, *id),
            Command::Extend { id, lot, .. } => Key::extend(*lot, *id),
            Command::Unextend { lot, id } => Key::extend(*lot, *id).then_back(),
            Command::Rebook { into: hold, .. } | Command::Restore { hold, .. } => Key::hold(*hold),
            Command::Adjust { id, .. } => Key::adjust(*id),
            Command::Reverse { entry, .. } => Key::reversed(entry),
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
            Command::Expire { .. } => "expire",
            Command::Clawback { .. } => "clawback",
            Command::Reinstate { .. } => "reinstate",
            Command::Transfer { .. } => "transfer",
            Command::Extend { .. } | Command::Unextend { .. } => "extend",
            Command::Rebook { .. } | Command::Restore { .. } => "hold",
            Command::Adjust { .. } => "adjust",
            Command::Reverse { .. } => "reverse",
        }
    }

    /// Two commands are one request: a retry, or the same fact told again, by the same proof.
    pub(super) fn is_same_request(&self, other: &Command) -> bool {
        let (mut one, mut other) = (self.clone(), other.clone());
        if let (Command::Grant { evidence: a, .. }, Command::Grant { evidence: b, .. }) =
            (&mut one, &mut other)
            && a.asks_the_same(b)
        {
            b.clone_from(a);
        }
        // A hold that was restored is a hold like any other.
        if let Command::Restore {
            hold,
            service,
            slot_start,
            ..
        } = other
        {
            other = Command::Hold {
                hold,
                service,
                slot_start,
            };
        }
        one == other
    }

    /// The request that an entry answers: its body without what the state decided, which is the
    /// lot's number, the allocation, and the slot that a reschedule left. None for a repayment,
    /// which nobody asks for.
    pub(super) fn of(entry: &Entry) -> Option<Command> {
        let lot_id = |number: &LotNumber| LotId {
            account: entry.account,
            number: *number,
        };
        Some(match entry.body.clone() {
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
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
            },
            Body::Hold {
                hold,
                service,
                slot_start,
                ..
            } => Command::Hold {
                hold,
                service,
                slot_start,
            },
            Body::Release { hold, reason, .. } => Command::Release { hold, reason },
            Body::Use { hold, .. } => Command::Use { hold },
            Body::Forfeit { hold, reason, .. } => Command::Forfeit { hold, reason },
            Body::Rescheduled {
                hold,
                slot_version,
                to,
                ..
            } => Command::Reschedule {
                hold,
                slot_version,
                to,
            },
            Body::Expire { lot, .. } => Command::Expire { lot: lot_id(&lot) },
            Body::Clawback {
                cause,
                lot,
                amount,
                asked,
                held,
                ..
            } => Command::Clawback {
                cause,
                lot: lot_id(&lot),
                amount: asked.unwrap_or(amount),
                held,
            },
            Body::Reinstate { cause, .. } => Command::Reinstate { cause },
            Body::Repay { .. } => return None,
            Body::Transfer {
                id,
                reason,
                from,
                amount,
                effective_at,
                expires_at,
                ..
            } => Command::Transfer {
                id,
                lot: lot_id(&from),
                reason,
                amount,
                effective_at,
                expires_at,
            },
            Body::Extend {
                id,
                reason,
                lot,
                amount,
                until,
            } if amount.is_positive() => Command::Extend {
                id,
                lot: lot_id(&lot),
                reason,
                amount,
                until,
            },
            Body::Extend { lot, id, .. } => Command::Unextend {
                lot: lot_id(&lot),
                id,
            },
            Body::Adjust {
                id,
                service,
                amount,
                actor,
                reason,
                ..
            } => Command::Adjust {
                id,
                service,
                amount,
                actor,
                reason,
            },
            Body::Reverse {
                entry,
                actor,
                reason,
                ..
            } => Command::Reverse {
                entry,
                actor,
                reason,
            },
        })
    }

    /// The command with its instants in whole microseconds, as an entry has them.
    pub(super) fn canonical(&self) -> Command {
        let mut command = self.clone();
        match &mut command {
            Command::Grant {
                effective_at,
                expires_at,
                evidence,
                ..
            } => {
                *effective_at = whole_micros(*effective_at);
                *expires_at = expires_at.map(whole_micros);
                evidence.truncate();
            }
            Command::Transfer {
                effective_at,
                expires_at,
                ..
            } => {
                *effective_at = whole_micros(*effective_at);
                *expires_at = expires_at.map(whole_micros);
            }
            Command::Hold { slot_start: at, .. }
            | Command::Restore { slot_start: at, .. }
            | Command::Reschedule { to: at, .. } => {
                *at = whole_micros(*at);
            }
            Command::Extend { until, .. } => *until = until.map(whole_micros),
            _ => {}
        }
        command
    }
}
