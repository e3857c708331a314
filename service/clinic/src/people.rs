//! Therapists, clients, and the services that are booked.

use ledger_core::Money;
use scheduler_core::availability::WeeklyHours;
use scheduler_core::{ClientId, ServiceId, TherapistId, Zone};
use serde::{Deserialize, Serialize};

/// Somebody whose time is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Therapist {
    /// Who.
    pub id: TherapistId,
    /// How they are called.
    pub name: String,
    /// When they work, in their own zone.
    pub hours: WeeklyHours,
}

/// Somebody who books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Who.
    pub id: ClientId,
    /// How they are called.
    pub name: String,
    /// The zone they see times in.
    pub zone: Zone,
    /// The therapist they are assigned to.
    pub therapist: Option<TherapistId>,
}

/// What is booked: a consultation, a session. Data of the clinic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Which.
    pub id: ServiceId,
    /// How it is called.
    pub name: String,
    /// How long it takes.
    pub minutes: u32,
    /// What one costs.
    pub price: Money,
    /// An unfunded session becomes a case this long before its start.
    pub notice_minutes: u32,
    /// What calling it off costs.
    pub cancellation: Cancellation,
}

/// The cancellation policy of a service: what becomes of a credit whose session does not take
/// place, by who caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// A client cancels and reschedules freely until this long before the start.
    pub free_until_minutes: u32,
    /// What becomes of the credit when a client cancels later than that.
    pub late_cancel: LateRule,
    /// What becomes of it when the client does not come.
    pub no_show: LateRule,
    /// Who may give a forfeited credit back.
    pub waived_by: WaivedBy,
    /// A credit that the clinic sets free, by cancelling or by a waiver, can be used for so many
    /// days at least, whenever its lot ends.
    pub grace_days: u32,
}

/// Who may waive a forfeit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaivedBy {
    /// Nobody.
    Nobody,
    /// The clinic's staff.
    Staff,
    /// The session's therapist too.
    Therapist,
}

/// What becomes of a held credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateRule {
    /// The client loses it.
    Forfeit,
    /// The client keeps it.
    Release,
}
