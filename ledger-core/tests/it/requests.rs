//! What a request is: whether it makes sense by itself, and whether it was made before.

use chrono::{DateTime, Utc};
use ledger_core::{
    AmountPolicy, Body, Command, Entry, Evidence, Invoice, Money, ReleaseReason, VendorId,
};

use crate::ledger::anna;
use crate::oracle::{Verdict, refused};
use crate::reading::release_of;

/// What is wrong with a command whatever the account.
pub(crate) fn by_itself(command: &Command) -> Result<(), Verdict> {
    match command {
        Command::Grant {
            amount,
            effective_at: from,
            expires_at: to,
            ..
        }
        | Command::Transfer {
            amount,
            effective_at: from,
            expires_at: to,
            ..
        } => {
            if amount.0 < 1 {
                return refused("amount");
            }
            if to.is_some_and(|to| to.timestamp_micros() <= from.timestamp_micros()) {
                return refused("expiry");
            }
        }
        Command::Clawback { amount, .. } | Command::Extend { amount, .. } if amount.0 < 1 => {
            return refused("amount");
        }
        Command::Adjust { amount, .. } if amount.0 == 0 => return refused("amount"),
        Command::Release {
            reason: ReleaseReason::Used | ReleaseReason::Forfeited | ReleaseReason::Rebooked,
            ..
        } => {
            return refused("reserved reason");
        }
        _ => {}
    }
    let Command::Grant { key, evidence, .. } = command else {
        return Ok(());
    };
    match evidence {
        Evidence::Manual { .. } if key.as_str().starts_with("v1/grant/manual/") => Ok(()),
        Evidence::Manual { .. } => refused("grant key"),
        Evidence::Payment(payment) => {
            let (plan, invoice) = (&payment.plan, &payment.invoice);
            let item = &plan.item;
            let (start, end) = (payment.period.start(), payment.period.end());
            let proves = invoice.status.as_str() == "paid"
                && (&invoice.customer, invoice.livemode) == (&plan.customer, plan.livemode)
                && invoice.subscription.as_ref() == Some(&plan.subscription)
                && invoice.reason.as_str().starts_with("subscription_c")
                && lines_for(invoice, item.as_str()) == [(Some(plan.price.as_str()), start, end)]
                && charged(invoice, item.as_str()).is_some_and(|(price, less)| match plan.amount {
                    AmountPolicy::Exactly(fee) => fee == price,
                    AmountPolicy::AtLeast(fee) => {
                        fee.currency == price.currency && fee.minor <= price.minor - less
                    }
                });
            let asked = format!("v1/grant/{item}/{}", start.format("%Y-%m-%dT%H:%M:%SZ"));
            let is_plans = *command == plan.grant(payment.period, invoice.clone());
            if proves && is_plans && key.as_str() == asked {
                Ok(())
            } else {
                refused("evidence")
            }
        }
        other => panic!("no history has {other}"),
    }
}

/// What the item's line charges, and how much less discounts make it.
fn charged(invoice: &Invoice, item: &str) -> Option<(Money, i64)> {
    let is_items = |line: &&ledger_core::InvoiceLine| {
        !line.proration && line.item.as_ref().map(VendorId::as_str) == Some(item)
    };
    match invoice.lines.iter().find(is_items)?.charge {
        Some(charge) => Some((charge.price, charge.discount.minor)),
        None => (invoice.lines.len() == 1).then_some((invoice.paid, 0)),
    }
}

/// Whether what is to prove a grant has proven another: with the same line, or as something else.
pub(crate) fn proven_otherwise(entries: &[Entry], command: &Command) -> Result<(), Verdict> {
    let Command::Grant {
        evidence: Evidence::Payment(asked),
        ..
    } = command
    else {
        return Ok(());
    };
    for entry in entries {
        if let Body::Grant {
            evidence: Evidence::Payment(stored),
            ..
        } = &entry.body
            && folded(&stored.invoice.id) == folded(&asked.invoice.id)
        {
            let mut respelled = asked.invoice.clone();
            respelled.id = stored.invoice.id.clone();
            if stored.plan.item == asked.plan.item || respelled != stored.invoice {
                return refused("proven");
            }
        }
    }
    Ok(())
}

/// The words of an id in small letters.
fn folded(id: &VendorId) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    for c in id.as_str().chars().chain(['-']) {
        if "._:-".contains(c) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        } else {
            word.extend(c.to_lowercase());
        }
    }
    words
}

type InvoiceLine<'a> = (Option<&'a str>, DateTime<Utc>, DateTime<Utc>);

fn lines_for<'a>(invoice: &'a Invoice, item: &str) -> Vec<InvoiceLine<'a>> {
    let of_item = invoice.lines.iter().filter(|line| {
        let its = line.item.as_ref().map(VendorId::as_str);
        its == Some(item) && !line.proration
    });
    of_item
        .map(|line| {
            (
                line.price.as_ref().map(VendorId::as_str),
                line.start,
                line.end,
            )
        })
        .collect()
}

/// Whether it was asked before, or something else under its name.
pub(crate) fn before(entries: &[Entry], command: &Command) -> Result<(), Verdict> {
    let key = command.key();
    if let Command::Rebook { hold, into } = command
        && release_of(entries, *hold) == Some(ReleaseReason::Rebooked)
        && entries.windows(2).any(|two| {
            let ends = matches!(&two[0].body, Body::Release { hold: h, .. } if h == hold);
            ends && matches!(&two[1].body, Body::Hold { hold: h, .. } if h == into)
        })
    {
        return Err(Verdict::Already);
    }
    let Some(stored) = entries.iter().find(|entry| entry.key == key) else {
        let (Command::Use { hold } | Command::Forfeit { hold, .. } | Command::Rebook { hold, .. }) =
            command
        else {
            return Ok(());
        };
        return match release_of(entries, *hold) {
            Some(_) => refused("hold ended"),
            None => Ok(()),
        };
    };
    let micros = |at: &DateTime<Utc>| at.timestamp_micros();
    let same = match (command, &stored.body) {
        (
            Command::Grant {
                service,
                amount,
                source,
                evidence,
                effective_at,
                expires_at,
                ..
            },
            Body::Grant {
                service: s,
                amount: n,
                source: o,
                evidence: e,
                effective_at: f,
                expires_at: t,
                ..
            },
        ) => {
            let proof = match (evidence, e) {
                (Evidence::Payment(a), Evidence::Payment(b)) => {
                    let mut respelled = a.invoice.clone();
                    respelled.id = b.invoice.id.clone();
                    let is_one = folded(&a.invoice.id) == folded(&b.invoice.id);
                    is_one && a.period == b.period && respelled == b.invoice
                }
                (a, b) => a == b,
            };
            proof
                && (s, n, o, micros(f)) == (service, amount, source, micros(effective_at))
                && t.as_ref().map(micros) == expires_at.as_ref().map(micros)
        }
        (
            Command::Hold {
                service,
                slot_start,
                ..
            }
            | Command::Restore {
                service,
                slot_start,
                ..
            },
            Body::Hold {
                service: s,
                slot_start: t,
                ..
            },
        ) => s == service && micros(t) == micros(slot_start),
        (Command::Release { reason, .. }, Body::Release { reason: r, .. }) => r == reason,
        (Command::Forfeit { reason, .. }, Body::Forfeit { reason: r, .. }) => r == reason,
        (Command::Reschedule { to, .. }, Body::Rescheduled { to: t, .. }) => {
            micros(t) == micros(to)
        }
        (
            Command::Clawback {
                lot, amount, held, ..
            },
            Body::Clawback {
                lot: l,
                amount: n,
                asked,
                held: h,
                ..
            },
        ) => {
            let n = asked.as_ref().unwrap_or(n);
            (lot.account, lot.number, amount, held) == (anna(), *l, n, h)
        }
        (
            Command::Extend {
                reason,
                amount,
                until,
                ..
            },
            Body::Extend {
                reason: r,
                amount: n,
                until: t,
                ..
            },
        ) => (r, n, t.as_ref().map(micros)) == (reason, amount, until.as_ref().map(micros)),
        (
            Command::Transfer {
                amount,
                effective_at,
                expires_at,
                ..
            },
            Body::Transfer {
                amount: n,
                effective_at: f,
                expires_at: t,
                ..
            },
        ) => {
            (n, micros(f)) == (amount, micros(effective_at))
                && t.as_ref().map(micros) == expires_at.as_ref().map(micros)
        }
        (
            Command::Adjust {
                service,
                amount,
                actor,
                reason,
                ..
            },
            Body::Adjust {
                service: s,
                amount: n,
                actor: a,
                reason: r,
                ..
            },
        ) => (s, n, a, r) == (service, amount, actor, reason),
        (
            Command::Reverse { actor, reason, .. },
            Body::Reverse {
                actor: a,
                reason: r,
                ..
            },
        ) => (a, r) == (actor, reason),
        // A lot's end is carried out as often as there is something to expire.
        (Command::Expire { .. }, Body::Expire { .. }) => return Ok(()),
        (Command::Use { .. }, Body::Use { .. })
        | (Command::Unextend { .. }, Body::Extend { .. })
        | (Command::Reinstate { .. }, Body::Reinstate { .. }) => true,
        _ => false,
    };
    if same {
        Err(Verdict::Already)
    } else {
        refused("key conflict")
    }
}
