//! What is wrong with entries that do not fit.

use crate::amount::{Credits, Overflow};
use crate::id::{AccountId, HoldId, LotNumber};
use crate::lot::Bucket;

/// An entry that does not fit the entries before it. Nothing that was decided here is corrupt: it
/// was changed, lost or put in by another hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} of account {account} does not fit: {misfit}")]
pub struct Corrupt {
    /// The account.
    pub account: AccountId,
    /// The number the entry carries.
    pub seq: u64,
    /// What does not fit.
    pub misfit: Misfit,
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// Another account's entry.
    #[error("it belongs to account {found}")]
    Account {
        /// That account.
        found: AccountId,
    },
    /// An entry is missing, doubled or out of its place.
    #[error("the entry before is {last}")]
    Seq {
        /// The number of the entry before.
        last: u64,
    },
    /// The previous hash is not that of the entry before.
    #[error("it does not follow the hash of the entry before")]
    Link,
    /// Recorded before the entry before.
    #[error("it was recorded before the entry before")]
    Time,
    /// A lot out of the order of the grants.
    #[error("lot {lot} is not the next")]
    LotNumber {
        /// The lot.
        lot: LotNumber,
    },
    /// A grant or hold of nothing, or of less.
    #[error("{amount} credits are none")]
    Amount {
        /// How many.
        amount: Credits,
    },
    /// More credits than can be counted.
    #[error("{0}")]
    Overflow(#[from] Overflow),
    /// A hold for a booking that has one.
    #[error("hold {hold} is open")]
    HoldOpen {
        /// The open one.
        hold: HoldId,
    },
    /// A hold that is not open.
    #[error("hold {hold} is not open")]
    NoHold {
        /// The hold.
        hold: HoldId,
    },
    /// An allocation that is not the hold's, or not its amount.
    #[error("the allocation is not that of hold {hold}")]
    Allocation {
        /// The hold.
        hold: HoldId,
    },
    /// A hold on a lot of another service.
    #[error("hold {hold} is of another service than lot {lot}")]
    Service {
        /// The hold.
        hold: HoldId,
        /// The lot.
        lot: LotNumber,
    },
    /// Credits that are not where they are to be moved from.
    #[error("lot {lot} does not have the {amount} credits to be moved")]
    Short {
        /// The lot.
        lot: LotNumber,
        /// How many.
        amount: Credits,
    },
    /// A reschedule from another slot, or to an older version of it.
    #[error("hold {hold} has another slot")]
    Slot {
        /// The hold.
        hold: HoldId,
    },
    /// A use or forfeit of a hold whose release did not announce it.
    #[error("no release announces it for hold {hold}")]
    Unannounced {
        /// The hold.
        hold: HoldId,
    },
    /// Another entry between the two of a linked pair.
    #[error("the second entry of a linked pair is missing before it")]
    Unfinished,
    /// Parts that do not sum to the amount, or a sum of the wrong sign.
    #[error("its parts do not sum to {amount} credits")]
    Sum {
        /// The amount.
        amount: Credits,
    },
    /// A lot that is not there, or that is not of those the entry is about.
    #[error("lot {lot} is not one of lot {of}, by origin or by service")]
    Family {
        /// The lot.
        lot: LotNumber,
        /// The lot it should belong to.
        of: LotNumber,
    },
    /// More taken back from a lot than was granted, or more given back than was taken.
    #[error("{amount} credits are not left to be recalled or given back of lot {lot}")]
    Recalled {
        /// The lot.
        lot: LotNumber,
        /// How many.
        amount: Credits,
    },
    /// An extension of nothing, or one that does not outlive its lot.
    #[error("it does not extend lot {lot}")]
    Extension {
        /// The lot.
        lot: LotNumber,
    },
    /// A debt paid that is not owed, or a repayment given back that was not made.
    #[error("lot {lot} does not owe that, or was not repaid it")]
    Debt {
        /// The lot.
        lot: LotNumber,
    },
    /// A hold without a credit that is used, or one with a credit that is filled again.
    #[error("hold {hold} is not in the state it would be in for this clawback")]
    Clawed {
        /// The hold.
        hold: HoldId,
    },
    /// A reversal of what is not reversed.
    #[error("a reversal does not move credits from {from:?} to {to:?}")]
    Reversal {
        /// From where.
        from: Option<Bucket>,
        /// To where.
        to: Bucket,
    },
}
