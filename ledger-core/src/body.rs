//! What an entry records, and what that moves.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::amount::{Credits, Overflow};
use crate::evidence::{Evidence, ReasonCode, Source};
use crate::id::{HoldId, LotNumber, ServiceId};
use crate::instant::{micros, micros_option};
use crate::key::Key;
use crate::lot::Bucket;
use crate::reason::{Cause, ForfeitReason, HeldPolicy, ReleaseReason, TransferReason};

/// What an entry records. Stored as JSON with the kind's name under `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Body {
    /// A new lot: outside → available.
    Grant {
        /// The lot's number: one more than the account's last.
        lot: LotNumber,
        /// What its credits pay for.
        service: ServiceId,
        /// How many. Positive.
        amount: Credits,
        /// Where they come from.
        source: Source,
        /// What the grant rests on.
        evidence: Evidence,
        /// The first slot start it is valid for.
        #[serde(with = "micros")]
        effective_at: DateTime<Utc>,
        /// The first slot start it is no longer valid for; none: it does not expire.
        #[serde(default, with = "micros_option")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Available → held.
    Hold {
        /// The hold that begins.
        hold: HoldId,
        /// What is booked.
        service: ServiceId,
        /// How many credits; the sum of the allocation.
        amount: Credits,
        /// When the booked slot starts.
        #[serde(with = "micros")]
        slot_start: DateTime<Utc>,
        /// From which lots.
        allocation: Vec<Part>,
        /// The start of the slot that an extension of the lot is needed for: the lot has ended by then.
        #[serde(
            default,
            with = "micros_option",
            skip_serializing_if = "Option::is_none"
        )]
        extended: Option<DateTime<Utc>>,
    },
    /// Held → available: the hold ends.
    Release {
        /// The hold that ends.
        hold: HoldId,
        /// What it ends in. Used and forfeited announce the second entry of a linked pair.
        reason: ReleaseReason,
        /// Into which lots: those of the hold.
        allocation: Vec<Part>,
    },
    /// Available → used: the second of a linked pair, directly after its release.
    Use {
        /// The hold that ended.
        hold: HoldId,
        /// From which lots: those of the hold.
        allocation: Vec<Part>,
    },
    /// Available → forfeited: the second of a linked pair, directly after its release.
    Forfeit {
        /// The hold that ended.
        hold: HoldId,
        /// Why.
        reason: ForfeitReason,
        /// From which lots: those of the hold.
        allocation: Vec<Part>,
    },
    /// Moves nothing: the booking has another slot, and keeps its hold and the hold's lots.
    Rescheduled {
        /// The hold that stays.
        hold: HoldId,
        /// Which of the booking's slots this is; it grows.
        slot_version: u32,
        /// When the slot started before.
        #[serde(with = "micros")]
        from: DateTime<Utc>,
        /// When it starts now.
        #[serde(with = "micros")]
        to: DateTime<Utc>,
    },
    /// Available → expired: the lot's end has come, or came before the credits were free again.
    Expire {
        /// The lot.
        lot: LotNumber,
        /// How many.
        amount: Credits,
    },
    /// Available → clawed, then held → clawed by policy, and the rest is owed: the money for these
    /// credits of the lot went back.
    Clawback {
        /// Why.
        cause: Cause,
        /// The lot whose money it is.
        lot: LotNumber,
        /// How many; the sum of what was available, what was held and what is owed.
        amount: Credits,
        /// How many were asked for, if more than the lot had left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<Credits>,
        /// What became of held credits.
        held: HeldPolicy,
        /// What was available, of the lot and of those its credits were transferred to.
        allocation: Vec<Part>,
        /// What was held, and by which holds: they stay open, without a credit.
        holds: Vec<HeldPart>,
        /// What was neither: the lot's debt grows by it.
        debt: Credits,
    },
    /// The inverse of a clawback: clawed → available and held, and owed no more.
    Reinstate {
        /// Why the clawback was made.
        cause: Cause,
        /// The clawback's entry.
        clawback: u64,
        /// Its lot.
        lot: LotNumber,
        /// How many; those of the clawback.
        amount: Credits,
        /// What is available again, and where it was taken.
        allocation: Vec<Part>,
        /// The holds that have their credits again.
        holds: Vec<HeldPart>,
        /// What the lot owes no more.
        debt: Credits,
        /// What had been repaid of the lot's debt, back in the lots that repaid it.
        returned: Vec<Part>,
    },
    /// Available → clawed: credits of the same service repay what a lot owes.
    Repay {
        /// The lot that owes.
        lot: LotNumber,
        /// Where from.
        allocation: Vec<Part>,
    },
    /// Available (or expired) → moved out of one lot, and → available in a new one.
    Transfer {
        /// The command's id.
        id: Uuid,
        /// Why.
        reason: TransferReason,
        /// The lot they leave.
        from: LotNumber,
        /// The lot they come to: one more than the account's last.
        lot: LotNumber,
        /// How many. Positive.
        amount: Credits,
        /// How many of them had expired.
        expired: Credits,
        /// The first slot start the new lot is valid for.
        #[serde(with = "micros")]
        effective_at: DateTime<Utc>,
        /// The first slot start it is no longer valid for; none: it does not expire.
        #[serde(default, with = "micros_option")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Moves nothing yet: so many credits of a lot outlive it. Those that are available at its end,
    /// or come free after it, move to a lot that ends later, in a [`Body::Transfer`] of its own.
    Extend {
        /// The command's id.
        id: Uuid,
        /// Why.
        reason: TransferReason,
        /// The lot.
        lot: LotNumber,
        /// How many at most. 0 withdraws the extension with this id.
        amount: Credits,
        /// The end of the lots they move to; none: those do not expire.
        #[serde(default, with = "micros_option")]
        until: Option<DateTime<Utc>>,
    },
    /// A person's correction: more credits come as a lot of their own, fewer go available →
    /// clawed.
    Adjust {
        /// The command's id.
        id: Uuid,
        /// Of which service.
        service: ServiceId,
        /// How many more, or, if negative, fewer.
        amount: Credits,
        /// Who.
        actor: Uuid,
        /// Why.
        reason: ReasonCode,
        /// The lot that brings more: one more than the account's last.
        lot: Option<LotNumber>,
        /// The lots that have fewer.
        allocation: Vec<Part>,
    },
    /// A person takes an entry back: what it moved moves back, all of it.
    Reverse {
        /// The entry's key.
        entry: Key,
        /// The entry's number.
        seq: u64,
        /// Who.
        actor: Uuid,
        /// Why.
        reason: ReasonCode,
        /// The entry's moves, each the other way round, the last one first.
        moves: Vec<Move>,
    },
}

/// A part of an allocation: so many credits of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The lot.
    pub lot: LotNumber,
    /// How many. Positive.
    pub amount: Credits,
}

/// Credits that a hold held, all of them of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldPart {
    /// The hold.
    pub hold: HoldId,
    /// The lot.
    pub lot: LotNumber,
    /// How many. Positive.
    pub amount: Credits,
}

/// Credits of a lot that go from one bucket to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The lot.
    pub lot: LotNumber,
    /// Where they were; none: outside, they are new.
    pub from: Option<Bucket>,
    /// Where they are.
    pub to: Bucket,
    /// How many.
    pub amount: Credits,
}

impl Body {
    /// The kind's stored name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Body::Grant { .. } => "grant",
            Body::Hold { .. } => "hold",
            Body::Release { .. } => "release",
            Body::Use { .. } => "use",
            Body::Forfeit { .. } => "forfeit",
            Body::Rescheduled { .. } => "rescheduled",
            Body::Expire { .. } => "expire",
            Body::Clawback { .. } => "clawback",
            Body::Reinstate { .. } => "reinstate",
            Body::Repay { .. } => "repay",
            Body::Transfer { .. } => "transfer",
            Body::Extend { .. } => "extend",
            Body::Adjust { .. } => "adjust",
            Body::Reverse { .. } => "reverse",
        }
    }

    /// The one hold it is about, if it is about one.
    #[must_use]
    pub fn hold(&self) -> Option<HoldId> {
        match self {
            Body::Hold { hold, .. }
            | Body::Release { hold, .. }
            | Body::Use { hold, .. }
            | Body::Forfeit { hold, .. }
            | Body::Rescheduled { hold, .. } => Some(*hold),
            _ => None,
        }
    }

    /// The lots from whose or into whose available credits it moves. A grant moves none: it
    /// brings its lot.
    #[must_use]
    pub fn allocation(&self) -> &[Part] {
        match self {
            Body::Hold { allocation, .. }
            | Body::Release { allocation, .. }
            | Body::Use { allocation, .. }
            | Body::Forfeit { allocation, .. }
            | Body::Clawback { allocation, .. }
            | Body::Reinstate { allocation, .. }
            | Body::Repay { allocation, .. }
            | Body::Adjust { allocation, .. } => allocation,
            _ => &[],
        }
    }

    /// All it moves, in order: what a statement shows, and what a reverse moves back.
    #[must_use]
    pub fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let all: Result<(), std::convert::Infallible> = self.try_each_move(|one| {
            moves.push(one);
            Ok(())
        });
        let Ok(()) = all;
        moves
    }

    /// Calls `each` with every move, in order, until one fails.
    pub(crate) fn try_each_move<E>(
        &self,
        mut each: impl FnMut(Move) -> Result<(), E>,
    ) -> Result<(), E> {
        use Bucket::{Available, Clawed, Expired, Forfeited, Held, MovedOut, Used};
        let mut one = |lot, from, to, amount| {
            each(Move {
                lot,
                from,
                to,
                amount,
            })
        };
        match self {
            Body::Grant { lot, amount, .. } => one(*lot, None, Available, *amount)?,
            Body::Expire { lot, amount } => one(*lot, Some(Available), Expired, *amount)?,
            Body::Clawback { holds, .. } => {
                for part in holds {
                    one(part.lot, Some(Held), Clawed, part.amount)?;
                }
            }
            Body::Reinstate {
                holds, returned, ..
            } => {
                for part in holds {
                    one(part.lot, Some(Clawed), Held, part.amount)?;
                }
                for part in returned {
                    one(part.lot, Some(Clawed), Available, part.amount)?;
                }
            }
            Body::Transfer {
                from,
                lot,
                amount,
                expired,
                ..
            } => {
                // A difference that does not fit moves nothing, which the lot's sum then shows.
                let free = amount.minus(*expired).unwrap_or_default();
                if free != Credits::ZERO {
                    one(*from, Some(Available), MovedOut, free)?;
                }
                if *expired != Credits::ZERO {
                    one(*from, Some(Expired), MovedOut, *expired)?;
                }
                one(*lot, None, Available, *amount)?;
            }
            Body::Adjust {
                lot: Some(lot),
                amount,
                ..
            } => one(*lot, None, Available, *amount)?,
            Body::Reverse { moves, .. } => {
                for back in moves {
                    one(back.lot, back.from, back.to, back.amount)?;
                }
            }
            _ => {}
        }
        let (from, to) = match self {
            Body::Hold { .. } => (Available, Held),
            Body::Release { .. } => (Held, Available),
            Body::Use { .. } => (Available, Used),
            Body::Forfeit { .. } => (Available, Forfeited),
            Body::Reinstate { .. } => (Clawed, Available),
            _ => (Available, Clawed),
        };
        let mut parts = self.allocation().iter();
        parts.try_for_each(|part| one(part.lot, Some(from), to, part.amount))
    }

    /// How much more a lot owes after it, or, if negative, less.
    ///
    /// # Errors
    /// [`Overflow`], of sums that no account's entry has.
    pub(crate) fn debt(&self) -> Result<Option<(LotNumber, Credits)>, Overflow> {
        match self {
            Body::Clawback { lot, debt, .. } => Ok(Some((*lot, *debt))),
            Body::Reinstate { lot, debt, .. } => {
                Credits::ZERO.minus(*debt).map(|less| Some((*lot, less)))
            }
            Body::Repay { lot, allocation } => {
                let less = |sum: Credits, part: &Part| sum.minus(part.amount);
                let repaid = allocation.iter().try_fold(Credits::ZERO, less)?;
                Ok(Some((*lot, repaid)))
            }
            _ => Ok(None),
        }
    }
}
