//! Why a command is refused.

use chrono::{DateTime, Utc};

use crate::account::command::Command;
use crate::account::misfit::Misfit;
use crate::amount::{Credits, Overflow};
use crate::evidence::Evidence;
use crate::id::{AccountId, HoldId, LotId, LotNumber, ServiceId, VendorId};
use crate::key::Key;
use crate::payment::Mismatch;
use crate::period::Period;
use crate::proof::Proof;
use crate::reason::ReleaseReason;

/// Why a command is refused. The account is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key belongs to another request, or to another account's.
    #[error(
        "key {key} is taken by entry {seq} of account {account}: stored is `{stored}`, asked was `{asked}`"
    )]
    KeyConflict {
        /// The key.
        key: Key,
        /// Whose entry has it.
        account: AccountId,
        /// Which entry has it.
        seq: u64,
        /// The request that entry answers.
        stored: Box<Command>,
        /// The request that was refused.
        asked: Box<Command>,
    },
    /// No lot of the service has a credit that is valid when the slot starts.
    #[error(
        "no credit of service {service} is valid at {slot_start:?} ({available} available for other times)"
    )]
    NoCredit {
        /// What was to be booked.
        service: ServiceId,
        /// When the slot starts.
        slot_start: DateTime<Utc>,
        /// Credits of the service that are available, but not valid then.
        available: Credits,
    },
    /// The hold, or another generation of it, is open.
    #[error(
        "hold {hold} cannot begin: hold {open} is open, of service {service} at {slot_start:?}"
    )]
    HoldOpen {
        /// The hold that was to begin.
        hold: HoldId,
        /// The booking's open hold.
        open: HoldId,
        /// Its service.
        service: ServiceId,
        /// Its slot's start.
        slot_start: DateTime<Utc>,
    },
    /// There is no such open hold: it never began, or it has ended.
    #[error("hold {hold} is not open")]
    UnknownHold {
        /// The hold.
        hold: HoldId,
    },
    /// The hold has ended, and in something else than what was asked for.
    #[error("hold {hold} has ended already: {reason}")]
    HoldEnded {
        /// The hold.
        hold: HoldId,
        /// What it ended in.
        reason: ReleaseReason,
    },
    /// A later reschedule of the hold was there first.
    #[error("hold {hold} is at slot version {current}, not before {slot_version}")]
    StaleSlot {
        /// The hold.
        hold: HoldId,
        /// The version that was asked for.
        slot_version: u32,
        /// The version it has.
        current: u32,
    },
    /// A grant, transfer, clawback or adjustment of nothing, or of less.
    #[error("{kind} of {amount} credits: at least one is expected")]
    Amount {
        /// What was to be made.
        kind: &'static str,
        /// How many.
        amount: Credits,
    },
    /// A grant or transfer that is never valid, or an extension that does not outlive its lot.
    #[error("a {kind} from {effective_at:?} that expires at {expires_at:?} is never valid")]
    Expiry {
        /// What was to be made.
        kind: &'static str,
        /// Its start.
        effective_at: DateTime<Utc>,
        /// Its end.
        expires_at: DateTime<Utc>,
    },
    /// A grant under a key that its evidence does not have.
    #[error("key {key} is not the key of a manual grant")]
    GrantKey {
        /// The key.
        key: Key,
    },
    /// A grant that its evidence does not prove.
    #[error("the evidence of {key} does not prove it: {mismatch}")]
    Evidence {
        /// The grant's key.
        key: Key,
        /// Which condition fails.
        mismatch: Box<Mismatch>,
    },
    /// An invoice or a checkout that has proven another grant: with the same line, or it says something
    /// else now.
    #[error(
        "{proof} has proven entry {seq} of account {account}, {key}, {stored}; it cannot prove {asked_key}, \
         {asked}"
    )]
    Proven {
        /// The invoice or checkout.
        proof: Proof,
        /// The key of what it has proven.
        key: Key,
        /// Whose entry that is.
        account: AccountId,
        /// Which of the account's.
        seq: u64,
        /// What it said then.
        stored: Box<Evidence>,
        /// The key of the grant that it is to prove.
        asked_key: Key,
        /// What it says now.
        asked: Box<Evidence>,
    },
    /// A period of the same item that was paid for overlaps the one of the grant.
    #[error("{asked} of item {item} overlaps {stored}, which lot {lot} was granted for")]
    Overlap {
        /// The subscription's item.
        item: VendorId,
        /// The period asked for.
        asked: Period,
        /// The lot of the other one.
        lot: LotNumber,
        /// The other one.
        stored: Period,
    },
    /// A key that is an entry's which no command asks for.
    #[error("key {key} is taken by entry {seq} of account {account}, a {kind}")]
    KeyTaken {
        /// The key.
        key: Key,
        /// Whose entry has it.
        account: AccountId,
        /// Which entry has it.
        seq: u64,
        /// Its kind.
        kind: &'static str,
    },
    /// The account has no such lot.
    #[error("account {account} has no lot {lot}")]
    UnknownLot {
        /// The account.
        account: AccountId,
        /// The lot.
        lot: LotId,
    },
    /// A clawback of credits whose money is another lot's.
    #[error("lot {lot} was transferred: its money is that of lot {origin}")]
    Transferred {
        /// The lot.
        lot: LotId,
        /// The lot that was granted.
        origin: LotNumber,
    },
    /// A clawback of a lot that has nothing left to take back.
    #[error("{amount} credits of lot {lot} cannot be clawed back: {left} are left")]
    TooMuch {
        /// The lot.
        lot: LotId,
        /// How many were asked for.
        amount: Credits,
        /// How many there are.
        left: Credits,
    },
    /// A lot whose end has not come, or that has none.
    #[error("lot {lot} does not expire before {expires_at:?}, and it is {at:?}")]
    NotOver {
        /// The lot.
        lot: LotId,
        /// Its end; none: it has none.
        expires_at: Option<DateTime<Utc>>,
        /// The time of the decision.
        at: DateTime<Utc>,
    },
    /// An extension of a lot that does not expire.
    #[error("lot {lot} does not expire: there is nothing to extend")]
    Endless {
        /// The lot.
        lot: LotId,
    },
    /// A hold is to be restored that has not ended, or has ended in a use or a forfeit.
    #[error("hold {hold} was not released: there is no credit of it to hold again")]
    NotReleased {
        /// The hold.
        hold: HoldId,
    },
    /// A hold whose credit was clawed back: it can be released, and not be used or forfeited.
    #[error("hold {hold} has no credit: entry {clawback} clawed it back")]
    Clawed {
        /// The hold.
        hold: HoldId,
        /// The clawback's entry.
        clawback: u64,
    },
    /// A transfer of more than the lot has to be moved.
    #[error("{amount} credits of lot {lot} cannot be moved: {movable} can")]
    ShortLot {
        /// The lot.
        lot: LotId,
        /// How many were asked for.
        amount: Credits,
        /// How many there are.
        movable: Credits,
    },
    /// An adjustment down by more than is available of the service.
    #[error(
        "the credits of service {service} cannot change by {amount}: {available} are available"
    )]
    ShortService {
        /// The service.
        service: ServiceId,
        /// By how many.
        amount: Credits,
        /// How many there are.
        available: Credits,
    },
    /// The entry to be reversed or reinstated is not among those seen, or not this account's.
    #[error("the account has no entry with key {key}")]
    UnknownEntry {
        /// Its key.
        key: Key,
    },
    /// An entry that is not reversed, but released, reinstated or done anew.
    #[error("a {kind} is not reversed, and {key} is one")]
    NotReversible {
        /// Its key.
        key: Key,
        /// Its kind.
        kind: &'static str,
    },
    /// What is to be moved back is not there any more, or the entries seen are not the account's.
    #[error("it cannot be moved back: {0}")]
    Misfit(Misfit),
    /// A release with the reason of a linked pair. To use or forfeit is a command of its own.
    #[error("hold {hold} cannot be released as {reason}: that is the first half of another entry")]
    ReservedReason {
        /// The hold.
        hold: HoldId,
        /// The reason.
        reason: ReleaseReason,
    },
    /// More credits than can be counted.
    #[error("the account would hold more than can be counted: {0}")]
    Overflow(#[from] Overflow),
    /// The numbers of the account's entries or lots have run out.
    #[error("account {account} has no number left for another entry or lot")]
    Full {
        /// The account.
        account: AccountId,
    },
    /// The account's entries were cut off within a linked pair.
    #[error(
        "account {account} ends within a linked pair: the second entry of hold {hold} is missing"
    )]
    HalfPair {
        /// The account.
        account: AccountId,
        /// The hold.
        hold: HoldId,
    },
}
