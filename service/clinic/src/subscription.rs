//! Subscribing to a plan, changing and ending it, and the credits of a month that was paid for.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    Account, Body, CarryOver, Credits, Evidence, Invoice, InvoiceLine, InvoiceStatus, Lot,
    LotNumber, Period, Proof, TransferReason, VendorId,
};
use scheduler_core::{ClientId, Zone};
use serde_json::json;
use uuid::Uuid;

use crate::account::credited;
use crate::credit::Posting;
use crate::paid::Paid;
use crate::plan::{Month, customer};
use crate::{
    Change, Commit, Decision, Idempotent, Journal, PlanId, Refusal, Subject, Subscription, Term,
    View,
};

/// The most terms of a subscription: a change of plan every week for twenty years.
pub const TERMS_MAX: usize = 1000;

/// An invoice that was paid for a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidInvoice {
    /// Its number.
    pub id: VendorId,
    /// The period that it charges.
    pub period: Period,
    /// How much was paid, and how the rest of the price was settled.
    pub paid: Paid,
}

impl PaidInvoice {
    /// What it is known by in the ledger.
    #[must_use]
    pub fn proof(&self) -> Proof {
        Proof::invoice(&self.id)
    }
}

/// Subscribes a client to a plan from an instant on, or, with no plan, ends the subscription then. The
/// plan's months are counted in a zone, which an end does not need. Fractions of a second are cut off.
/// What was to begin later is replaced. A month that is paid for runs to its end.
///
/// # Errors
/// [`Refusal`] if there is no such client or plan, the instant is past, or what would be replaced
/// has been paid for.
pub fn subscribe(
    view: &View,
    plan: Option<PlanId>,
    (from, zone): (DateTime<Utc>, Option<Zone>),
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    let client = view.client()?.id;
    // Providers bill periods of whole seconds: no other invoice could prove one of its months.
    let whole = |at: DateTime<Utc>| DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at);
    let (from, now) = (whole(from), whole(now));
    if plan.is_some() {
        let plan = view.plan()?;
        let subscribed = view.subscription.as_ref();
        let subscribed = subscribed.and_then(|known| known.month_at(now));
        if plan.retired_at.is_some() && subscribed.is_none_or(|month| month.plan != plan.id) {
            return Err(Refusal::Invalid {
                field: "plan_id",
                value: plan.id.to_string(),
                expected: "a plan that is not retired",
            });
        }
    }
    let before = view.subscription.as_ref();
    Refusal::check_version(expected, before.map_or(0, |before| before.version))?;
    let invalid = |expected| {
        Err(Refusal::Invalid {
            field: "from",
            value: from.to_rfc3339(),
            expected,
        })
    };
    if from < now {
        return invalid("now or later");
    }
    let known = before.map_or(&[][..], |before| &before.terms);
    if known.is_empty() && plan.is_none() {
        let what = "subscription";
        return Err(Refusal::NotFound { what });
    }
    let kept = known.iter().take_while(|term| term.from < from);
    let mut terms: Vec<Term> = kept.copied().collect();
    let zone = match (zone, plan) {
        (Some(zone), _) => zone,
        (None, None) => known.last().map_or(Zone::UTC, |term| term.zone),
        (None, Some(_)) => {
            return Err(Refusal::Invalid {
                field: "zone",
                value: "none".to_owned(),
                expected: "a zone, since none is known of the client",
            });
        }
    };
    let in_force = terms.last().and_then(|term| term.plan);
    if in_force != plan || terms.is_empty() {
        terms.push(Term { from, zone, plan });
    }
    if terms == known {
        return Ok(Idempotent::AlreadyApplied);
    }
    if terms.len() > TERMS_MAX && plan.is_some() {
        return invalid("a subscription with at most 1000 changes");
    }
    let is_replaced = |at: &usize| known.get(*at) != terms.get(*at);
    let mut replaced = (0..known.len()).filter(is_replaced);
    if let Some((before, account)) = before.zip(view.account.as_ref())
        && replaced.any(|term| lot_of(account, &before.item(term), |_| true).is_some())
    {
        return invalid("a time after what has been paid for begins");
    }
    let after = Subscription {
        client,
        terms,
        version: before.map_or(1, |before| before.version + 1),
    };
    if plan.is_some() && after.month_at(from).is_none() {
        return invalid("a time whose month can be told");
    }
    let kind = match plan {
        None => "subscription_ended",
        Some(_) if in_force.is_some() => "plan_changed",
        Some(_) => "subscribed",
    };
    let journal = Journal::new(Subject::Subscription(client), after.version, kind)
        .with_body(json!({ "plan": plan, "from": from }));
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![match before {
            None => Change::NewSubscription(after),
            Some(_) => Change::Subscription(after),
        }],
    }))
}

/// Grants the credits of the month that begins at an instant, on the invoice that proves that it
/// was paid. What is left of the month before goes over when that ends, by the plan; sessions that
/// waited for a credit get one. A month that was taken back can be paid for again, by another invoice.
///
/// # Errors
/// [`Refusal`] if no month begins then, or the invoice does not prove it.
pub fn grant_month(
    view: &View,
    starts_at: DateTime<Utc>,
    invoice: PaidInvoice,
    expected: Option<u64>,
    now: DateTime<Utc>,
) -> Decision {
    let client = view.client()?.id;
    let account = view.account()?;
    Refusal::check_version(expected, account.seq())?;
    let subscription = view.subscription()?;
    let month = subscription.month_starting(starts_at);
    let month = month.ok_or_else(|| Refusal::NoMonth {
        starts_at,
        around: subscription.month_at(starts_at).map(|month| month.period),
    })?;
    let plan = view.plan()?;
    let is_first =
        subscription.terms.get(month.term).map(|term| term.from) == Some(month.period.start());
    let in_ledger = subscription.in_ledger(&month, plan);
    let times = times(view, subscription, &month, &invoice.id)?;
    let invoice = facts(client, &in_ledger, invoice, is_first)?;
    let command = match times {
        1 => in_ledger.grant(month.period, invoice),
        _ => in_ledger.grant_again(month.period, invoice, times),
    };
    let Some(mut posting) = Posting::of(account).post(&view.entries, &command, now)? else {
        return Ok(Idempotent::AlreadyApplied);
    };
    let into = |month: &Month| (month.period.start(), in_ledger.expires_at(month.period));
    if let Some(lot) = lot_of_month(posting.account(), subscription, &month) {
        let until = now + TimeDelta::days(plan.left_over.late_days.into());
        let id = Uuid::new_v5(&account.id().0, command.key().as_str().as_bytes());
        let reason = TransferReason::Grace;
        posting = posting.extend(id, lot, reason, plan.credits, Some(until), now)?;
    }
    let rollover = (TransferReason::Rollover, plan.left_over.rollover);
    if is_first {
        // From the last month that was paid for by another plan, if it was not over by then.
        if let Some(lot) = carried(account, subscription, &month) {
            let policy = plan.left_over.carry_over;
            let over = account.lot(lot).is_some_and(|lot| lot.is_over_at(now));
            let reason = match over {
                true => TransferReason::Rollover,
                false => TransferReason::CarryOver,
            };
            posting = go_over(posting, lot, (reason, policy), into(&month), now)?;
        }
    } else if let Some(lot) = lot_ending(account, subscription, &month) {
        posting = go_over(posting, lot, rollover, into(&month), now)?;
    }
    // The month after it may have been paid for before.
    if let Some(next) = subscription.month_starting(month.period.end())
        && next.term == month.term
        && lot_of_month(posting.account(), subscription, &next).is_some()
        && let Some(lot) = lot_of_month(posting.account(), subscription, &month)
    {
        posting = go_over(posting, lot, rollover, into(&next), now)?;
    }
    credited(view, posting, command.key(), "month_paid", now)
}

/// How many times the month is paid for with this invoice: 1, unless it was taken back before.
fn times(
    view: &View,
    subscription: &Subscription,
    month: &Month,
    invoice: &VendorId,
) -> Result<u32, Refusal> {
    let account = view.account()?;
    for (times, key) in (1..).zip(subscription.keys(month)) {
        let entry = view.entries.iter().find(|entry| entry.key == key);
        let Some(Body::Grant { lot, evidence, .. }) = entry.map(|entry| &entry.body) else {
            return Ok(times);
        };
        if !account.lot(*lot).is_some_and(Lot::is_gone) {
            return Ok(times);
        }
        // What was taken back is not entered again by what had proved it.
        if matches!(evidence, Evidence::Payment(payment) if payment.invoice.id == *invoice) {
            return Err(Refusal::Reversed { key });
        }
    }
    let key = subscription.key(month);
    Err(Refusal::Reversed { key })
}

/// The lot that a month has brought, once it was paid for.
#[must_use]
pub fn lot_of_month(
    account: &Account,
    subscription: &Subscription,
    month: &Month,
) -> Option<LotNumber> {
    let is_this = |period: Period| period == month.period;
    lot_of(account, &subscription.item(month.term), is_this)
}

/// The invoice as the ledger asks for it.
fn facts(
    client: ClientId,
    plan: &ledger_core::Plan,
    invoice: PaidInvoice,
    is_first: bool,
) -> Result<Invoice, Refusal> {
    let reason = if is_first {
        "subscription_create"
    } else {
        "subscription_cycle"
    };
    Ok(Invoice {
        id: invoice.id,
        status: InvoiceStatus::Paid,
        customer: customer(client),
        livemode: true,
        subscription: Some(plan.subscription.clone()),
        reason: reason.parse().expect("letters and underscores are a code"),
        lines: vec![InvoiceLine {
            item: Some(plan.item.clone()),
            price: Some(plan.price.clone()),
            proration: false,
            start: invoice.period.start(),
            end: invoice.period.end(),
            charge: invoice.paid.charge()?,
        }],
        paid: invoice.paid.amount,
    })
}

/// Lets what is left of a lot at its end go over, as far as the policy says: to the end of the month
/// that was paid for. Whether the lot's end has been carried out makes no difference: of one that is
/// over, what has expired goes over at once. What had a grace meanwhile goes over too.
fn go_over(
    posting: Posting,
    number: LotNumber,
    (reason, policy): (TransferReason, CarryOver),
    (starts_at, expires_at): (DateTime<Utc>, Option<DateTime<Utc>>),
    now: DateTime<Utc>,
) -> Result<Posting, Refusal> {
    let account = posting.account();
    let Some(lot) = account.lot(number) else {
        return Ok(posting);
    };
    let most = match policy {
        CarryOver::None => return Ok(posting),
        CarryOver::All => lot.granted,
        CarryOver::AtMost(most) => most.min(lot.granted),
    };
    let sooner = |lot: &Lot| {
        lot.expires_at
            .is_some_and(|end| expires_at.is_none_or(|until| end < until))
    };
    // What the lot has comes first, then what has left it for a while, then what it may have yet.
    let mut left = most.0 - lot.movable(reason).0.min(most.0);
    let mut parts = Vec::new();
    let graces = account.lots().iter();
    for grace in graces.filter(|grace| grace.origin == Some(number) && sooner(grace)) {
        let there = grace.movable(reason).0 + grace.balance.held.0;
        let amount = left.min(there);
        left -= amount;
        parts.push((grace.number, amount));
    }
    let graces: i64 = parts.iter().map(|(_, amount)| amount).sum();
    parts.insert(0, (number, most.0 - graces));
    let mut posting = posting;
    for (number, amount) in parts {
        let name = format!("{number} into {}", starts_at.timestamp_micros());
        let id = Uuid::new_v5(&posting.account().id().0, name.as_bytes());
        posting = posting.extend(id, number, reason, Credits(amount), expires_at, now)?;
    }
    Ok(posting)
}

/// The lot of the month that ends when this one starts.
fn lot_ending(account: &Account, subscription: &Subscription, month: &Month) -> Option<LotNumber> {
    let ends = |period: Period| period.end() == month.period.start();
    lot_of(account, &subscription.item(month.term), ends)
}

/// The lot of the last month that was paid for by an earlier term, if it had not ended before this
/// month began. A term that was not paid for is as if it had not been.
fn carried(account: &Account, subscription: &Subscription, month: &Month) -> Option<LotNumber> {
    let start = month.period.start();
    let running = |period: Period| period.start() < start && start <= period.end();
    let mut earlier = (0..month.term).rev();
    earlier.find_map(|term| lot_of(account, &subscription.item(term), running))
}

/// The last lot that was paid for as this item, in a period that is wanted.
fn lot_of(
    account: &Account,
    item: &VendorId,
    wanted: impl Fn(Period) -> bool,
) -> Option<LotNumber> {
    // Of one that was taken back whole there is nothing.
    let lots = account.lots().iter().filter(|lot| !lot.is_gone());
    let paid = lots.filter_map(|lot| Some((lot.number, lot.paid.as_ref()?)));
    let of_item = paid.filter(|(_, paid)| paid.item == *item && wanted(paid.period));
    let last = of_item.max_by_key(|(_, paid)| paid.period.start());
    last.map(|(number, _)| number)
}
