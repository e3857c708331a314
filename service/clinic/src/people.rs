//! Therapists, clients, and the services that are booked.

use scheduler_core::availability::WeeklyHours;
use scheduler_core::{ClientId, ServiceId, TherapistId, Zone};
use serde::{Deserialize, Serialize};

use crate::commit::{Change, Commit, Journal, Subject};
use crate::{Decision, Idempotent, Refusal};

/// The longest name of a person or service, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// The longest notice and cancellation window, in minutes: a year.
pub const POLICY_MINUTES_MAX: u32 = 366 * 24 * 60;

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
    /// What one costs, in the currency's minor unit.
    pub price_minor: i64,
    /// ISO 4217, upper case.
    pub currency: String,
    /// An unfunded session becomes a case this long before its start.
    pub notice_minutes: u32,
    /// What calling it off costs.
    pub cancellation: Cancellation,
}

/// The cancellation policy of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// A client cancels and reschedules freely until this long before the start.
    pub free_until_minutes: u32,
    /// What becomes of the credit when a client cancels later than that.
    pub late_cancel: LateRule,
    /// What becomes of it when the client does not come.
    pub no_show: LateRule,
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

/// Registers a therapist.
///
/// # Errors
/// [`Refusal::Invalid`] for an empty or oversized name.
pub fn register_therapist(therapist: Therapist) -> Decision {
    check_name(&therapist.name)?;
    let subject = Subject::Therapist(therapist.id);
    registered(
        subject,
        "therapist_registered",
        Change::Therapist(therapist),
    )
}

/// Registers a client, with an empty account.
///
/// # Errors
/// [`Refusal::Invalid`] for an empty or oversized name.
pub fn register_client(client: Client) -> Decision {
    check_name(&client.name)?;
    let subject = Subject::Client(client.id);
    registered(subject, "client_registered", Change::Client(client))
}

/// Adds a service.
///
/// # Errors
/// [`Refusal::Invalid`] for a name, length, price, currency or policy out of range.
pub fn add_service(service: Service) -> Decision {
    check_name(&service.name)?;
    let invalid = |field, value: String, expected| {
        Err(Refusal::Invalid {
            field,
            value,
            expected,
        })
    };
    if !(1..=scheduler_core::set::MINUTES_MAX).contains(&service.minutes) {
        return invalid("minutes", service.minutes.to_string(), "1 to 1440");
    }
    if service.price_minor < 0 {
        return invalid("price.minor", service.price_minor.to_string(), "0 or more");
    }
    let currency = &service.currency;
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return invalid(
            "price.currency",
            currency.clone(),
            "an ISO 4217 code like GBP",
        );
    }
    let policies = [
        ("notice_minutes", service.notice_minutes),
        (
            "cancellation.free_until_minutes",
            service.cancellation.free_until_minutes,
        ),
    ];
    for (field, minutes) in policies {
        if minutes > POLICY_MINUTES_MAX {
            return invalid(field, minutes.to_string(), "0 to 527040, a year");
        }
    }
    registered(
        Subject::Service(service.id),
        "service_added",
        Change::Service(service),
    )
}

fn registered(subject: Subject, kind: &'static str, change: Change) -> Decision {
    Ok(Idempotent::Applied(Commit {
        journal: Journal::new(subject, 1, kind),
        changes: vec![change],
    }))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX;
    if fits && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Refusal::Invalid {
        field: "name",
        value: name.chars().take(50).collect(),
        expected: "1 to 200 bytes of text",
    })
}
