//! Exact-period payment evidence: five conditions, each with what fails it; and renewal periods
//! against a calendar that counts days.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    AmountPolicy, Charge, Checkout, Command, Credits, Error, Expiry, Idempotent, Invoice,
    InvoiceStatus, Key, Mismatch, Money, Period, Plan, Purchase, Renewal, Source,
};
use proptest::prelude::*;

use crate::history::cases;
use crate::ledger::{Ledger, at, invoice, period, plan, service};

fn mismatch(command: &Command) -> Mismatch {
    let mut ledger = Ledger::open();
    match ledger.send(command, at(0)) {
        Err(Error::Evidence { key, mismatch }) => {
            assert_eq!(key, command.key());
            *mismatch
        }
        other => panic!("{other:?}"),
    }
}

/// The plan's grant of a period, with an invoice that is changed in one point.
fn faulty(change: impl Fn(&mut Invoice)) -> Mismatch {
    let (plan, period) = (plan(1, 4), period(0, 100));
    let mut invoice = invoice(&plan, period);
    change(&mut invoice);
    mismatch(&plan.grant(period, invoice))
}

#[test]
fn each_condition_names_what_was_asked_and_what_was_found() {
    let id = |text: &str| text.parse().unwrap();
    for status in [
        InvoiceStatus::Draft,
        InvoiceStatus::Open,
        InvoiceStatus::Uncollectible,
        InvoiceStatus::Void,
    ] {
        let found = faulty(|invoice| invoice.status = status);
        assert_eq!(found, Mismatch::Status { found: status });
    }
    let (asked, found) = (id("cus_anna"), id("cus_bob"));
    assert_eq!(
        faulty(|i| i.customer = id("cus_bob")),
        Mismatch::Customer { asked, found }
    );
    let (asked, found) = (true, false);
    assert_eq!(
        faulty(|i| i.livemode = false),
        Mismatch::Livemode { asked, found }
    );
    for found in [None, Some(id("sub_2"))] {
        let asked = id("sub_1");
        let other = found.clone();
        let met = faulty(|i| i.subscription.clone_from(&other));
        assert_eq!(met, Mismatch::Subscription { asked, found });
    }
    for text in ["subscription_update", "manual", "subscription_threshold"] {
        let found = text.parse().unwrap();
        assert_eq!(
            faulty(|i| i.reason = text.parse().unwrap()),
            Mismatch::Reason { found }
        );
    }
    let lines = |count, of| Mismatch::Lines {
        item: id("si_1"),
        count,
        of,
    };
    assert_eq!(faulty(|i| i.lines.clear()), lines(0, 0));
    assert_eq!(
        faulty(|i| i.lines.retain(|line| line.proration)),
        lines(0, 1)
    );
    assert_eq!(faulty(|i| i.lines[1].item = Some(id("si_2"))), lines(0, 2));
    assert_eq!(faulty(|i| i.lines.push(i.lines[1].clone())), lines(2, 3));
    assert_eq!(
        faulty(|i| i.lines.resize(101, i.lines[0].clone())),
        lines(1, 101)
    );
    let (asked, found) = (id("price_4"), Some(id("price_8")));
    let other = found.clone();
    let met = faulty(|i| i.lines[1].price.clone_from(&other));
    assert_eq!(met, Mismatch::Price { asked, found });
    let short = TimeDelta::microseconds(1);
    let (asked, start, end) = (period(0, 100), at(0), at(100) - short);
    assert_eq!(
        faulty(|i| i.lines[1].end -= short),
        Mismatch::Period { asked, start, end }
    );
    let (start, end) = (at(0) + short, at(100));
    assert_eq!(
        faulty(|i| i.lines[1].start += short),
        Mismatch::Period { asked, start, end }
    );
    let paid = |minor| Money {
        minor,
        currency: "GBP".parse().unwrap(),
    };
    let asked = AmountPolicy::Exactly(paid(24_000));
    for price in [paid(0), paid(23_999), paid(24_001)] {
        let discount = paid(0);
        let found = Charge { price, discount };
        assert_eq!(
            faulty(|i| i.lines[1].charge = Some(found)),
            Mismatch::Amount { asked, found }
        );
        // Without a charge, a lone line charges what was paid.
        let met = faulty(|i| {
            i.lines.remove(0);
            i.lines[0].charge = None;
            i.paid = price;
        });
        assert_eq!(met, Mismatch::Amount { asked, found });
    }
    let met = faulty(|i| {
        let charge = i.lines[1].charge.as_mut().unwrap();
        charge.price.currency = "EUR".parse().unwrap();
    });
    assert!(matches!(met, Mismatch::Amount { .. }), "{met}");
    let (item, of) = (id("si_1"), 2);
    assert_eq!(
        faulty(|i| i.lines[1].charge = None),
        Mismatch::NoCharge { item, of }
    );
    assert_eq!(
        faulty(|i| i.customer = id("cus_bob")).to_string(),
        "it is of customer cus_bob, not cus_anna"
    );
}

/// A grant that claims more, or something else, than the evidence proves.
#[test]
fn the_grant_is_what_the_plan_brings() {
    let (plan, period) = (plan(1, 4), period(0, 100));
    let right = plan.grant(period, invoice(&plan, period));
    let change = |change: &dyn Fn(&mut Command)| {
        let mut grant = right.clone();
        change(&mut grant);
        mismatch(&grant)
    };
    let with = change(&|grant| {
        if let Command::Grant { amount, .. } = grant {
            *amount = Credits(5);
        }
    });
    let (asked, proven) = (Credits(5), Credits(4));
    assert_eq!(with, Mismatch::Credits { asked, proven });
    let with = change(&|grant| {
        if let Command::Grant { source, .. } = grant {
            *source = Source::Goodwill;
        }
    });
    assert!(matches!(with, Mismatch::Source { .. }), "{with}");
    let with = change(&|grant| {
        if let Command::Grant { service: of, .. } = grant {
            *of = service(2);
        }
    });
    assert!(matches!(with, Mismatch::Service { .. }), "{with}");
    let with = change(&|grant| {
        if let Command::Grant { expires_at, .. } = grant {
            *expires_at = None;
        }
    });
    assert!(matches!(with, Mismatch::Dates { .. }), "{with}");
    // Under another period's key, or a manual one, it would be granted twice.
    let with = change(&|grant| {
        if let Command::Grant { key, .. } = grant {
            *key = Key::manual_grant(uuid::Uuid::from_u128(1));
        }
    });
    assert!(matches!(with, Mismatch::Key { .. }), "{with}");
}

/// A retry and a reconciliation are one grant. Another invoice or another plan for the same period is a
/// conflict: money may have been taken twice.
#[test]
fn a_period_is_granted_once() {
    let (four, period) = (plan(1, 4), period(0, 100));
    let mut ledger = Ledger::open();
    ledger.must(&four.grant(period, invoice(&four, period)));
    let mut reissued = invoice(&four, period);
    reissued.id = "in_reissued".parse().unwrap();
    reissued.lines.remove(0);
    let other = ledger.send(&four.grant(period, reissued), at(50));
    let other = other.unwrap_err().to_string();
    let first = invoice(&four, period);
    assert!(
        other.contains("in_reissued") && other.contains(first.id.as_str()),
        "{other}"
    );
    let again = ledger.send(&four.grant(period, first), at(50));
    assert_eq!(again, Ok(Idempotent::AlreadyApplied));
    let eight = plan(1, 8);
    let other = ledger
        .send(&eight.grant(period, invoice(&eight, period)), at(50))
        .unwrap_err();
    assert!(matches!(other, Error::KeyConflict { .. }), "{other}");
    assert_eq!(ledger.account.balance().available, Credits(4));
}

#[test]
fn policies_of_amount_and_expiry() {
    let mut plan = plan(1, 4);
    let fee = |minor| Money {
        minor,
        currency: "GBP".parse().unwrap(),
    };
    plan.amount = AmountPolicy::AtLeast(fee(20_000));
    plan.expiry = Expiry::Never;
    let period = period(0, 100);
    let mut paid = invoice(&plan, period);
    let mut discount = |minor| {
        paid.lines[1].charge.as_mut().unwrap().discount = fee(minor);
        plan.grant(period, paid.clone())
    };
    let short = mismatch(&discount(1));
    assert!(matches!(short, Mismatch::Amount { .. }), "{short}");
    let paid = discount(0);
    let mut ledger = Ledger::open();
    ledger.must(&paid);
    assert_eq!(ledger.account.lots()[0].expires_at, None);
}

#[test]
fn a_consultation_is_granted_for_its_checkout() {
    let fee = |minor| Money {
        minor,
        currency: "GBP".parse().unwrap(),
    };
    let purchase = Purchase {
        customer: "cus_anna".parse().unwrap(),
        livemode: true,
        service: service(1),
        credits: Credits::ONE,
        amount: AmountPolicy::Exactly(fee(9_000)),
        valid_from: at(0),
    };
    let checkout = Checkout {
        id: "cs_1".parse().unwrap(),
        is_paid: true,
        customer: "cus_anna".parse().unwrap(),
        livemode: true,
        paid: fee(9_000),
        charge: None,
    };
    let mut ledger = Ledger::open();
    let granted = ledger.must(&purchase.grant(checkout.clone()));
    assert_eq!(granted[0].key.as_str(), "v1/grant/consultation/cs_1");
    let again = ledger.send(&purchase.grant(checkout.clone()), at(9));
    assert_eq!(again, Ok(Idempotent::AlreadyApplied));
    let unpaid = Checkout {
        is_paid: false,
        ..checkout.clone()
    };
    let checkout_id = "cs_1".parse().unwrap();
    assert_eq!(
        mismatch(&purchase.grant(unpaid)),
        Mismatch::Unpaid {
            checkout: checkout_id
        }
    );
    let test_mode = Checkout {
        livemode: false,
        ..checkout.clone()
    };
    let met = mismatch(&purchase.grant(test_mode));
    assert!(matches!(met, Mismatch::Livemode { .. }), "{met}");
    let cheap = Checkout {
        paid: fee(1),
        ..checkout
    };
    let met = mismatch(&purchase.grant(cheap));
    assert!(matches!(met, Mismatch::Amount { .. }), "{met}");
}

/// Days of a month, as a child learns them.
fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Midnight of a date, by counting days from 1970 on.
fn midnight(year: i64, month: i64, day: i64) -> i64 {
    let years = (1970..year).map(|y| (1..=12).map(|m| days_of(y, m)).sum::<i64>());
    let months = (1..month).map(|m| days_of(year, m));
    (years.sum::<i64>() + months.sum::<i64>() + day - 1) * 86_400
}

proptest! {
    #![proptest_config(cases(200))]

    /// Each boundary is the anchor's day of a later month, or that month's last, at the anchor's
    /// time of day; periods leave no gap; and the period of an instant has it.
    #[test]
    fn renewals_keep_the_anchors_day(
        (year, month, day) in (1970..2090i64, 1..=12i64, 1..=31i64),
        second in 0..86_400i64,
        (months, ordinal) in (1..=13u32, 0..200u32),
        inside in 0..10_000u32,
    ) {
        let day = day.min(days_of(year, month));
        let instant = |secs| DateTime::<Utc>::from_timestamp(secs, 0).unwrap();
        let anchor = instant(midnight(year, month, day) + second);
        let boundary = |n: u32| {
            let passed = month - 1 + i64::from(n * months);
            let (year, month) = (year + passed / 12, passed % 12 + 1);
            instant(midnight(year, month, day.min(days_of(year, month))) + second)
        };
        let renewal = Renewal { anchor, months };
        let found = renewal.period(ordinal).unwrap();
        prop_assert_eq!(found, Period::new(boundary(ordinal), boundary(ordinal + 1)).unwrap());
        let length = found.end().signed_duration_since(found.start());
        let at = found.start() + length * i32::try_from(inside).unwrap() / 10_000;
        prop_assert_eq!(renewal.period_at(at).unwrap(), Some(found));
        prop_assert_eq!(renewal.period_at(found.end()).unwrap(), renewal.period(ordinal + 1).ok());
        let before = anchor - TimeDelta::microseconds(1);
        prop_assert_eq!(renewal.period_at(before).unwrap(), None);
    }
}

#[test]
fn the_last_of_january_comes_back_in_march() {
    let day = |text: &str| {
        format!("{text}T08:00:00Z")
            .parse::<DateTime<Utc>>()
            .unwrap()
    };
    let renewal = Renewal {
        anchor: day("2024-01-31"),
        months: 1,
    };
    let starts: Vec<_> = (0..4).map(|n| renewal.period(n).unwrap().start()).collect();
    let expected = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"].map(day);
    assert_eq!(starts, expected);
    let plan: Plan = plan(7, 4);
    let key = plan.key(renewal.period(1).unwrap());
    assert_eq!(key.as_str(), "v1/grant/si_7/2024-02-29T08:00:00Z");
}
