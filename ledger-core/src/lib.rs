//! An append-only ledger of session credits.
//!
//! A client's [`Account`] is a list of [entries](Entry) and nothing else. A *grant* brings a lot
//! of credits for one service; a *hold* takes one for a booking; the hold ends in a *release*, a
//! *use* or a *forfeit*; a *reschedule* keeps it. A lot's end makes what is left *expire*, but not
//! what is held. Money that goes back *claws back* credits, and what cannot be taken is a *debt*
//! that the next credits *repay*; a won dispute *reinstates* them. A *transfer* moves credits to a
//! lot with other dates; a person may *adjust* and *reverse*. The balance is the fold of the
//! entries, and the [`Account`] a snapshot of that fold, which affects cost and never meaning.
//!
//! - **Nothing twice.** Every entry has a deterministic [`Key`]. The same request again is
//!   [`Idempotent::AlreadyApplied`], another request under the same key an error.
//! - **Nothing lost.** Each lot's buckets sum to what was granted, after every entry.
//! - **Nothing unpaid for.** A period is granted on the invoice that proves it, to the microsecond,
//!   and the entry keeps the proof: [`Plan`].
//! - **Nothing changed unseen.** Entries are chained by SHA-256; [`verify`] names the first that
//!   was touched, and [`verify_anchored`] finds what was cut off.
//! - **Nothing hidden.** A [`Statement`] is entries with a running balance; [`AsOf`] tells a past
//!   one as it was, and as it was known.
//!
//! The crate is a pair of pure functions. [`decide`](fn@decide) answers a [`Command`] with the
//! entries to append or a typed error; [`evolve`](fn@evolve) applies an entry. It is *not* a
//! database, a payment system or a calendar: it does no I/O, has no clock and draws no random
//! numbers. Ids and `now` come from the caller, who appends the entries under a lock on the
//! account and keeps keys unique. It knows no policy either: whether a cancellation is late is
//! the caller's to say. And it holds no text about a person, only ids, codes and numbers.
//!
//! ```
//! use chrono::{DateTime, Days, Utc};
//! use ledger_core::*;
//! use uuid::Uuid;
//!
//! /// What a caller does: load the entries with the command's keys, decide, append, evolve.
//! fn write(
//!     account: Account,
//!     entries: &mut Vec<Entry>,
//!     command: &Command,
//!     now: DateTime<Utc>,
//! ) -> Result<Account, Box<dyn std::error::Error>> {
//!     let keys = command.keys();
//!     let seen: Vec<_> = entries.iter().filter(|e| keys.contains(&e.key)).cloned().collect();
//!     match decide(&account, &seen, command, now)? {
//!         Idempotent::AlreadyApplied => Ok(account),
//!         Idempotent::Applied(new) => {
//!             let account = new.iter().try_fold(account, evolve)?;
//!             entries.extend(new);
//!             Ok(account)
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now: DateTime<Utc> = "2026-03-02T09:00:00Z".parse()?;
//! let slot = now + Days::new(7);
//! let (session, anna) = (ServiceId(Uuid::from_u128(1)), AccountId(Uuid::from_u128(2)));
//! let hold = HoldId { booking: Uuid::from_u128(3), generation: 1 };
//!
//! let grant = Command::Grant {
//!     key: Key::manual_grant(Uuid::from_u128(4)),
//!     service: session,
//!     amount: Credits(2),
//!     source: Source::Goodwill,
//!     evidence: Evidence::Manual { actor: Uuid::from_u128(5), reason: "welcome".parse()? },
//!     effective_at: now,
//!     expires_at: None,
//! };
//! let (mut account, mut entries) = (Account::open(anna), Vec::new());
//! account = write(account, &mut entries, &grant, now)?;
//! account = write(account, &mut entries, &grant, now)?; // a retry: nothing happens
//! let book = Command::Hold { hold, service: session, slot_start: slot };
//! account = write(account, &mut entries, &book, now)?;
//! let later = Command::Reschedule { hold, slot_version: 2, to: slot + Days::new(1) };
//! account = write(account, &mut entries, &later, now)?; // the same hold
//! account = write(account, &mut entries, &Command::Use { hold }, slot + Days::new(1))?;
//!
//! let balance = account.balance();
//! assert_eq!((balance.available, balance.held, balance.used), (Credits(1), Credits(0), Credits(1)));
//! assert_eq!(entries.len(), 5); // a use is two entries: a release and the use
//! assert_eq!(verify(anna, &entries)?, account.head());
//! assert_eq!(fold(anna, &entries)?, account);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod account;
mod amount;
mod body;
mod canonical;
mod chain;
mod entry;
mod evidence;
mod hash;
mod id;
mod instant;
mod key;
mod lot;
mod money;
mod payment;
mod period;
mod plan;
mod proof;
mod reason;
mod statement;

pub use account::{
    Account, BadSnapshot, Command, Corrupt, Error, Idempotent, Misfit, OpenHold, Unfinished,
    decide, evolve, fold,
};
pub use amount::{Credits, Overflow};
pub use body::{Body, HeldPart, Move, Part};
pub use chain::{Break, BrokenAt, Head, genesis, verify, verify_anchored};
pub use entry::{Entry, Stored, SubMicrosecond};
pub use evidence::{BadReasonCode, Evidence, ReasonCode, Source};
pub use hash::{BadHash, Hash};
pub use id::{AccountId, BadVendorId, HoldId, LotId, LotNumber, ServiceId, VendorId};
pub use key::{BadKey, Key};
pub use lot::{Balance, Brought, Bucket, Extension, Lot, PaidPeriod};
pub use money::{BadCurrency, BadSum, Currency, Money};
pub use payment::{Charge, Checkout, Invoice, InvoiceLine, InvoiceStatus, Mismatch, Payment, Sale};
pub use period::{BadPeriod, Period, Renewal};
pub use plan::{AmountPolicy, CarryOver, Expiry, Plan, Purchase};
pub use proof::Proof;
pub use reason::{Cause, ForfeitReason, HeldPolicy, ReleaseReason, TransferReason};
pub use statement::{AsOf, Line, Statement};
