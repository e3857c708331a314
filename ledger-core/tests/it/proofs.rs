//! An invoice proves one grant with each of its lines, a checkout one, whoever's and however spelled;
//! and what a line charges is asked of the line.

use std::collections::BTreeMap;

use ledger_core::{
    Account, AccountId, AmountPolicy, Charge, Checkout, Command, Credits, Entry, Error, Idempotent,
    Money, Period, Plan, Purchase, decide, evolve,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::history::cases;
use crate::ledger::{at, invoice, period, plan, service};

/// Two accounts and all their entries.
struct Books {
    accounts: [Account; 2],
    entries: Vec<Entry>,
}

impl Books {
    fn open() -> Books {
        let ids = [1, 2].map(|id| AccountId(Uuid::from_u128(id)));
        Books {
            accounts: ids.map(Account::open),
            entries: Vec::new(),
        }
    }

    fn send(&mut self, who: usize, command: &Command) -> Result<bool, Error> {
        match decide(&self.accounts[who], &self.entries, command, at(0))? {
            Idempotent::AlreadyApplied => Ok(false),
            Idempotent::Applied(entries) => {
                for entry in entries {
                    self.accounts[who] = evolve(self.accounts[who].clone(), &entry).unwrap();
                    self.entries.push(entry);
                }
                Ok(true)
            }
        }
    }
}

/// Spellings of a few ids, each with the id that it spells.
fn spelled() -> impl Strategy<Value = (u8, String)> {
    let between = prop_oneof![Just("-"), Just("_"), Just(".:"), Just("--")];
    let after = prop_oneof![3 => Just(""), 1 => Just("."), 1 => Just("-_")];
    (0..3u8, any::<bool>(), between, after).prop_map(|(id, large, between, after)| {
        let text = format!("in{between}a{id}{after}");
        let text = if large { text.to_uppercase() } else { text };
        (id, text)
    })
}

/// What each of two clients, a person or their company, is billed for: two items.
fn items(who: usize, item: u8) -> Plan {
    let mut plan = plan(item, 4);
    plan.customer = format!("cus_{who}").parse().unwrap();
    plan.item = format!("si_{who}_{item}").parse().unwrap();
    plan
}

proptest! {
    #![proptest_config(cases(300))]

    /// Whatever is asked in whatever order: each line of an invoice, by whatever spelling, has granted at
    /// most once, all grants of an invoice rest on the same facts, and a refusal names both.
    #[test]
    fn an_invoice_proves_once_with_each_line(
        asked in prop::collection::vec(
            (0..2usize, 1..3u8, 0..3i64, spelled(), any::<bool>(), 0..2i64), 1..40,
        ),
    ) {
        let mut books = Books::open();
        let mut granted: BTreeMap<(u8, usize, u8), ()> = BTreeMap::new();
        let mut facts = BTreeMap::new();
        for (who, item, month, (id, text), both, more) in asked {
            let (plan, period) = (items(who, item), period(100 * month, 100 * month + 100));
            let mut invoice = invoice(&plan, period);
            invoice.id = text.parse().unwrap();
            invoice.lines.remove(0);
            if both {
                invoice.lines = [1, 2].map(|item| {
                    let mut line = invoice.lines[0].clone();
                    line.item = Some(items(who, item).item);
                    line
                }).to_vec();
            }
            invoice.paid.minor += more;
            let said = (who, month, both, more, (!both).then_some(item));
            let key = plan.key(period);
            let stored = books.entries.iter().find(|entry| entry.key == key).cloned();
            let is_known = granted.contains_key(&(id, who, item));
            let differs = facts.get(&id).is_some_and(|known| *known != said);
            let result = books.send(who, &plan.grant(period, invoice));
            match result {
                Ok(true) => {
                    prop_assert!(!is_known && !differs && stored.is_none());
                    granted.insert((id, who, item), ());
                    facts.insert(id, said);
                }
                Ok(false) => prop_assert!(stored.is_some() && is_known && !differs),
                Err(Error::KeyConflict { stored: by, asked, .. }) => {
                    prop_assert!(stored.is_some() && (differs || !is_known));
                    let shown = [by, asked].map(|one| one.to_string().to_lowercase());
                    prop_assert!(shown.iter().all(|one| one.contains("invoice in")), "{:?}", shown);
                }
                Err(Error::Proven { key: by, asked_key, stored, asked, .. }) => {
                    prop_assert!(is_known || differs);
                    prop_assert_eq!(&asked_key, &key);
                    prop_assert_ne!(&by, &asked_key);
                    let shown = [stored, asked].map(|one| one.to_string().to_lowercase());
                    prop_assert!(shown.iter().all(|one| one.contains("invoice in")), "{:?}", shown);
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
        let proofs = books.entries.iter().filter_map(Entry::proof);
        let mut proofs: Vec<_> = proofs.collect();
        let all = proofs.len();
        proofs.sort();
        proofs.dedup();
        prop_assert_eq!(proofs.len(), all);
        prop_assert_eq!(granted.len(), all);
    }

    /// A receipt buys once, however it is spelled and whoever shows it.
    #[test]
    fn a_checkout_buys_once(shown in prop::collection::vec((0..2usize, spelled()), 1..20)) {
        let mut books = Books::open();
        let mut bought: BTreeMap<u8, (usize, String)> = BTreeMap::new();
        for (who, (id, text)) in shown {
            let result = books.send(who, &purchase(&text, gbp(9_000), None));
            match bought.get(&id) {
                None => {
                    prop_assert_eq!(result, Ok(true));
                    bought.insert(id, (who, text));
                }
                Some(first) if *first == (who, text) => prop_assert_eq!(result, Ok(false)),
                Some(_) => {
                    let is_named = matches!(
                        result, Err(Error::Proven { .. } | Error::KeyConflict { .. })
                    );
                    prop_assert!(is_named, "{:?}", result);
                }
            }
        }
        let credits: i64 = books.accounts.iter().map(|account| account.balance().available.0).sum();
        prop_assert_eq!(credits, i64::try_from(bought.len()).unwrap());
    }

    /// What a line charges is asked of the line: of an invoice with other lines, with discounts, tax or
    /// money from a balance, whatever was paid.
    #[test]
    fn a_line_is_asked_for_its_own_charge(
        price in 0..4i64,
        discount in -1..4i64,
        (asked, exactly) in (0..4i64, any::<bool>()),
        other in prop::option::of(-3..4i64),
        paid in -3..9i64,
        says in any::<bool>(),
    ) {
        let mut plan = plan(1, 4);
        plan.amount = match exactly {
            true => AmountPolicy::Exactly(gbp(asked)),
            false => AmountPolicy::AtLeast(gbp(asked)),
        };
        let month = period(0, 100);
        let mut invoice = invoice(&plan, month);
        let charge = |price, discount| Some(Charge { price: gbp(price), discount: gbp(discount) });
        invoice.lines[1].charge = charge(price, discount).filter(|_| says);
        match other {
            Some(price) => invoice.lines[0].charge = charge(price, 0),
            None => drop(invoice.lines.remove(0)),
        }
        invoice.paid = gbp(paid);
        let (price, net) = match says {
            true => (price, price - discount),
            false => (paid, paid),
        };
        let is_charged = if exactly { price == asked } else { net >= asked };
        let is_known = says || other.is_none();
        let result = Books::open().send(0, &plan.grant(month, invoice));
        prop_assert_eq!(result.is_ok(), is_known && is_charged, "{:?}", result);
    }
}

fn gbp(minor: i64) -> Money {
    Money {
        minor,
        currency: "GBP".parse().unwrap(),
    }
}

fn purchase(checkout: &str, paid: Money, charge: Option<Charge>) -> Command {
    let purchase = Purchase {
        customer: "cus_anna".parse().unwrap(),
        livemode: true,
        service: service(1),
        credits: Credits::ONE,
        amount: AmountPolicy::Exactly(gbp(9_000)),
        valid_from: at(0),
    };
    purchase.grant(Checkout {
        id: checkout.parse().unwrap(),
        is_paid: true,
        customer: "cus_anna".parse().unwrap(),
        livemode: true,
        paid,
        charge,
    })
}

/// A consultation that a voucher pays for whole is granted, and kept as what it was.
#[test]
fn a_discount_of_all_of_it_is_no_lack_of_money() {
    let charge = Charge {
        price: gbp(9_000),
        discount: gbp(9_000),
    };
    let mut books = Books::open();
    let free = purchase("cs_1", gbp(0), Some(charge));
    assert_eq!(books.send(0, &free), Ok(true));
    assert_eq!(books.send(0, &free), Ok(false));
    let refused = books.send(0, &purchase("cs_2", gbp(0), None)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the evidence of v1/grant/consultation/cs_2 does not prove it: 0 GBP is charged, not exactly \
         9000 GBP"
    );
    // The charge is hashed: without it, the entry is another.
    let mut edited = books.entries[0].clone();
    assert!(edited.is_sealed());
    let json = serde_json::to_string(&edited).unwrap();
    let json = json.replace(r#""discount":{"minor":9000"#, r#""discount":{"minor":0"#);
    edited = serde_json::from_str(&json).unwrap();
    assert!(!edited.is_sealed());
}

/// Two months of one invoice: the second is refused in words that a bookkeeper can follow.
#[test]
fn a_conflict_names_both() {
    let plan = plan(1, 4);
    let months: [Period; 2] = [period(0, 720), period(720, 1440)];
    let mut books = Books::open();
    let mut first = invoice(&plan, months[0]);
    first.id = "2026-0017".parse().unwrap();
    assert_eq!(books.send(0, &plan.grant(months[0], first)), Ok(true));
    let mut second = invoice(&plan, months[1]);
    second.id = "2026.0017".parse().unwrap();
    let refused = books.send(0, &plan.grant(months[1], second)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "invoice/2026-0017 has proven entry 1 of account 00000000-0000-0000-0000-000000000001, \
         v1/grant/si_1/2026-03-02T09:00:00Z, for 2026-03-02T09:00:00Z to 2026-04-01T09:00:00Z of item \
         si_1 by invoice 2026-0017 of customer cus_anna, who paid 24000 GBP; it cannot prove \
         v1/grant/si_1/2026-04-01T09:00:00Z, for 2026-04-01T09:00:00Z to 2026-05-01T09:00:00Z of item \
         si_1 by invoice 2026.0017 of customer cus_anna, who paid 24000 GBP"
    );
}
