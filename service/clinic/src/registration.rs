//! Making therapists, clients, services and plans known.

use chrono::{DateTime, Utc};
use ledger_core::{CarryOver, Credits, Expiry, Money};
use scheduler_core::{ServiceId, TherapistId};
use serde_json::json;

use crate::people::{NAME, NO_SHOW_AFTER_MINUTES, is_name};
use crate::quota::DATES_A_WEEK_MAX;
use crate::{
    BlindIndex, Cancellation, Change, Client, Commit, Decision, Idempotent, Journal, LateRule,
    LeftOver, PersonId, Plan, Refusal, Service, SlotRules, Subject, Therapist, View, WaivedBy,
    WrappedDek,
};

/// The longest notice and cancellation window, in minutes: the horizon of seven days. A credit is
/// held from then on, so nothing could be late or unfunded earlier.
pub const POLICY_MINUTES_MAX: u32 = 7 * DAY_MINUTES;
const DAY_MINUTES: u32 = 24 * 60;
/// The grace of a service that says nothing of it, in days.
pub const GRACE_DAYS: u32 = 14;
/// The longest grace, in days.
pub const GRACE_DAYS_MAX: u32 = 366;
/// The most credits that a plan brings in a month.
pub const PLAN_CREDITS_MAX: i64 = 100;

/// Registers a therapist, with the first of their keys.
///
/// # Errors
/// None: what could be wrong with a therapist, a [`Person`](crate::Person) and the hours have refused.
pub fn register_therapist(
    therapist: Therapist,
    dek: WrappedDek,
    indexes: Vec<BlindIndex>,
) -> Decision {
    let (id, subject) = (therapist.id, Subject::Therapist(therapist.id));
    let changes = vec![
        Change::NewDek(dek),
        Change::Therapist(therapist),
        Change::Indexes(PersonId::Therapist(id), indexes),
    ];
    registered(subject, "therapist_registered", changes)
}

/// Registers a client, with the first of their keys and an empty account.
///
/// # Errors
/// [`Refusal::NotFound`] if there is no such therapist to be assigned to, [`Refusal::EmailTaken`].
pub fn register_client(
    view: &View,
    client: Client,
    dek: WrappedDek,
    indexes: Vec<BlindIndex>,
) -> Decision {
    if client.therapist.is_some() {
        view.therapist()?;
    }
    if view.email_of.is_some() {
        return Err(Refusal::EmailTaken);
    }
    let (id, subject) = (client.id, Subject::Client(client.id));
    let changes = vec![
        Change::NewDek(dek),
        Change::Client(client),
        Change::Indexes(PersonId::Client(id), indexes),
    ];
    registered(subject, "client_registered", changes)
}

/// A service to be added.
#[derive(Debug, Clone)]
pub struct NewService {
    /// Its id, made by the caller.
    pub id: ServiceId,
    /// How it is called.
    pub name: String,
    /// How long it takes.
    pub minutes: u32,
    /// What one costs.
    pub price: Money,
    /// When an unfunded session becomes a case. A day before its start, if not given.
    pub notice_minutes: Option<u32>,
    /// What calling it off costs. Free until a day before, then forfeited, unless staff waive it,
    /// with two weeks of grace, if not given.
    pub cancellation: Option<Cancellation>,
    /// When it can be booked. On every quarter of an hour, at any time, if not given.
    pub slots: Option<SlotRules>,
}

/// Adds a service.
///
/// # Errors
/// [`Refusal::Invalid`] for a name, length, price or policy out of range.
pub fn add_service(new: NewService) -> Decision {
    let service = service(new)?;
    registered(
        Subject::Service(service.id),
        "service_added",
        vec![Change::Service(service)],
    )
}

/// Changes the terms of a service: its name and price, what calling it off costs, when it can be booked. What is
/// booked keeps its length and time; what happens from now on goes by the new terms. Its length is not changed:
/// that is another service.
///
/// # Errors
/// [`Refusal`] if there is no such service, or a value is out of range.
pub fn change_service(view: &View, new: NewService) -> Decision {
    let before = view.service()?;
    if new.minutes != before.minutes {
        return Err(Refusal::Invalid {
            field: "minutes",
            value: new.minutes.to_string(),
            expected: "the length that it has: another length is another service",
        });
    }
    let after = service(new)?;
    if after == *before {
        return Ok(Idempotent::AlreadyApplied);
    }
    let journal = Journal::new(Subject::Service(after.id), 1, "service_changed");
    let body = json!({
        "price": after.price,
        "notice_minutes": after.notice_minutes,
        "cancellation": after.cancellation,
        "slots": after.slots,
    });
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal.with_body(body)),
        changes: vec![Change::ServiceTerms(after)],
    }))
}

/// Assigns a client to a therapist, or to nobody. The therapist sees the client from then on, the former does not;
/// the client books into the therapist's calendar. Bookings stay where they are.
///
/// # Errors
/// [`Refusal`] if there is no such client or therapist, or the client is erased.
pub fn assign(view: &View, to: Option<TherapistId>) -> Decision {
    let client = view.client()?;
    if client.person.is_none() {
        return Err(Refusal::Erased);
    }
    if to.is_some() {
        view.therapist()?;
    }
    if client.therapist == to {
        return Ok(Idempotent::AlreadyApplied);
    }
    let journal = Journal::new(Subject::Client(client.id), 1, "client_assigned");
    let body = json!({ "from": client.therapist, "to": to });
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal.with_body(body)),
        changes: vec![Change::Assigned(client.id, to)],
    }))
}

/// Retires a plan: nobody can subscribe to it any more, and who is subscribed stays so.
///
/// # Errors
/// [`Refusal::NotFound`] if there is no such plan.
pub fn retire_plan(view: &View, now: DateTime<Utc>) -> Decision {
    let plan = view.plan()?;
    if plan.retired_at.is_some() {
        return Ok(Idempotent::AlreadyApplied);
    }
    let changes = vec![Change::Retired(plan.id, now)];
    registered(Subject::Plan(plan.id), "plan_retired", changes)
}

/// A service, if it can be one.
fn service(new: NewService) -> Result<Service, Refusal> {
    let service = Service {
        id: new.id,
        name: new.name,
        minutes: new.minutes,
        price: new.price,
        notice_minutes: new.notice_minutes.unwrap_or(DAY_MINUTES),
        cancellation: new.cancellation.unwrap_or(Cancellation {
            free_until_minutes: DAY_MINUTES,
            late_cancel: LateRule::Forfeit,
            no_show: LateRule::Forfeit,
            waived_by: WaivedBy::Staff,
            grace_days: GRACE_DAYS,
            no_show_after_minutes: patience(new.minutes),
        }),
        slots: new.slots.unwrap_or_default(),
    };
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
    check_price(service.price)?;
    service.slots.policy(service.minutes)?;
    let dates = service.slots.dates_a_week;
    if !(1..=DATES_A_WEEK_MAX).contains(&dates.into()) {
        return invalid("slots.dates_a_week", dates.to_string(), "1 to 168");
    }
    let grace_days = service.cancellation.grace_days;
    if grace_days > GRACE_DAYS_MAX {
        let field = "cancellation.grace_days";
        return invalid(field, grace_days.to_string(), "0 to 366");
    }
    let patience = service.cancellation.no_show_after_minutes;
    if patience > service.minutes {
        let field = "cancellation.no_show_after_minutes";
        return invalid(field, patience.to_string(), "at most the service's minutes");
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
            return invalid(
                field,
                minutes.to_string(),
                "0 to 10080, the seven days for which sessions exist",
            );
        }
    }
    Ok(service)
}

/// Adds a plan.
///
/// # Errors
/// [`Refusal::Invalid`] for a name, number of credits, price or policy out of range,
/// [`Refusal::NotFound`] if there is no such service.
pub fn add_plan(view: &View, plan: Plan) -> Decision {
    view.service()?;
    check_name(&plan.name)?;
    check_price(plan.price)?;
    let Credits(credits) = plan.credits;
    if !(1..=PLAN_CREDITS_MAX).contains(&credits) {
        return Err(Refusal::Invalid {
            field: "credits",
            value: credits.to_string(),
            expected: "1 to 100",
        });
    }
    let LeftOver {
        expiry,
        rollover,
        carry_over,
        late_days,
    } = plan.left_over;
    if late_days > GRACE_DAYS_MAX {
        return Err(Refusal::Invalid {
            field: "late_days",
            value: late_days.to_string(),
            expected: "0 to 366",
        });
    }
    for (field, policy) in [("rollover", rollover), ("carry_over", carry_over)] {
        if let CarryOver::AtMost(most) = policy
            && !most.is_positive()
        {
            return Err(Refusal::Invalid {
                field,
                value: most.to_string(),
                expected: "none, all, or at most 1 or more",
            });
        }
    }
    if expiry == Expiry::Never && rollover != CarryOver::None {
        return Err(Refusal::Invalid {
            field: "rollover",
            value: "all or at most some".to_owned(),
            expected: "none, since credits that never expire stay where they are",
        });
    }
    let subject = Subject::Plan(plan.id);
    registered(subject, "plan_added", vec![Change::Plan(plan)])
}

fn registered(subject: Subject, kind: &'static str, changes: Vec<Change>) -> Decision {
    Ok(Idempotent::Applied(Commit {
        journal: Some(Journal::new(subject, 1, kind)),
        changes,
    }))
}

fn check_price(price: Money) -> Result<(), Refusal> {
    if price.minor >= 0 {
        return Ok(());
    }
    Err(Refusal::Invalid {
        field: "price.minor",
        value: price.minor.to_string(),
        expected: "0 or more",
    })
}

/// How long a client is waited for at a service that says nothing of it: never longer than it lasts.
#[must_use]
pub fn patience(minutes: u32) -> u32 {
    NO_SHOW_AFTER_MINUTES.min(minutes)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if is_name(name) {
        return Ok(());
    }
    Err(Refusal::Invalid {
        field: "name",
        value: name.chars().take(50).collect(),
        expected: NAME,
    })
}
