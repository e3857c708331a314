//! Making therapists, clients and services known.

use crate::{
    Change, Client, Commit, Decision, Idempotent, Journal, Refusal, Service, Subject, Therapist,
};

/// The longest name of a person or service, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// The longest notice and cancellation window, in minutes: a year.
pub const POLICY_MINUTES_MAX: u32 = 366 * 24 * 60;

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
