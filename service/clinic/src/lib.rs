//! The clinic's rules: what needs two cores at once, and what is policy and not arithmetic.
//!
//! Every write of the service is one function here: it reads a [`View`], takes `now` and new ids
//! as arguments, and returns a [`Commit`] (what to store, all or nothing) or a [`Refusal`]. The
//! store loads the view for a [`Scope`] under its locks and applies the commit; the service
//! authenticates, asks [`access::allow`], and answers. Nothing here does I/O.

#![deny(missing_docs)]

pub mod access;
pub mod account;
pub mod booking;
pub mod calendar_file;
pub mod commit;
pub mod conflict;
pub mod credit;
pub mod eager;
pub mod erasure;
pub mod follow_up;
mod free;
pub mod funding;
pub mod horizon;
pub mod journal_chain;
pub mod notification;
pub mod occurrence;
pub mod paid;
pub mod people;
pub mod personal_data;
pub mod plan;
pub mod policy;
pub mod quota;
pub mod reason;
pub mod reassignment;
pub mod refusal;
pub mod registration;
pub mod scope;
pub mod series;
mod session_change;
pub mod settlement;
pub mod subscription;
pub mod time_off;
pub mod working_times;
pub mod zone_change;
pub mod zone_data;

pub use access::{Actor, ClinicId, Principal, Role, StoredSecret};
pub use commit::{Change, Commit, Happened, History, Journal, Subject};
pub use conflict::Conflict;
pub use notification::{Message, MessageState, Moved, Notification, NotificationKind, Recipient};
pub use people::{
    BlindIndex, Cancellation, Client, LateRule, Person, PersonId, SealedPerson, Service, SlotRules,
    Therapist, WaivedBy, WrappedDek,
};
pub use plan::{LeftOver, Plan, PlanId, Subscription, Term};
pub use quota::Quotas;
pub use reason::Reason;
pub use refusal::Refusal;
pub use scheduler_core::Idempotent;
pub use scope::{Address, Scope, View};
pub use working_times::{Blackout, TimesError, WorkingTimes};

/// What a decision comes to: something to commit, nothing to do, or a refusal.
pub type Decision = Result<Idempotent<Commit>, Refusal>;
