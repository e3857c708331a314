//! The caller's side: a list of entries, an account, and nothing clever.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    Account, AccountId, AmountPolicy, Cause, Charge, Command, Credits, Entry, Error, Evidence,
    Expiry, HeldPolicy, HoldId, Idempotent, Invoice, InvoiceLine, InvoiceStatus, Key, LotId,
    LotNumber, Money, Period, Plan, ServiceId, Source, TransferReason, decide, evolve,
};
use uuid::Uuid;

/// An account and all its entries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ledger {
    pub(crate) account: Account,
    pub(crate) entries: Vec<Entry>,
}

impl Ledger {
    pub(crate) fn open() -> Ledger {
        Ledger {
            account: Account::open(anna()),
            entries: Vec::new(),
        }
    }

    /// The stored entries that have one of the command's keys, or its proof.
    pub(crate) fn seen(&self, command: &Command) -> Vec<Entry> {
        seen(&self.entries, command)
    }

    pub(crate) fn send(
        &mut self,
        command: &Command,
        now: DateTime<Utc>,
    ) -> Result<Idempotent<Vec<Entry>>, Error> {
        let outcome = decide(&self.account, &self.seen(command), command, now)?;
        if let Idempotent::Applied(new) = &outcome {
            assert!(!new.is_empty(), "applied, and nothing written: {command}");
            let says = command.keys();
            for entry in new {
                let follows = format!("{}/", command.key());
                let its = says.contains(&entry.key) || entry.key.as_str().starts_with(&follows);
                // Ends that are carried out first, and what extensions move.
                let of_lot = entry.key.as_str().starts_with("v1/lot/");
                assert!(its || of_lot, "{} is not a key of {command}", entry.key);
            }
            self.account = new
                .iter()
                .try_fold(self.account.clone(), evolve)
                .expect("what is decided for an account fits it");
            self.entries.extend(new.iter().cloned());
        }
        Ok(outcome)
    }

    /// Sends a command that is new and allowed.
    pub(crate) fn must(&mut self, command: &Command) -> Vec<Entry> {
        self.must_at(command, 0)
    }

    /// The same, so many hours later.
    pub(crate) fn must_at(&mut self, command: &Command, hours: i64) -> Vec<Entry> {
        let outcome = self.send(command, at(hours)).expect("it is allowed");
        outcome.applied().expect("it is new")
    }

    /// What a lot has: available, held, used, forfeited, expired, clawed, moved out, and debt.
    pub(crate) fn lot(&self, number: u32) -> [i64; 8] {
        let lot = self.account.lot(LotNumber(number)).expect("a lot");
        let balance = lot.balance;
        let buckets = ledger_core::Bucket::ALL.map(|bucket| balance.of(bucket).0);
        let mut all = [0; 8];
        all[..7].copy_from_slice(&buckets);
        all[7] = balance.debt.0;
        all
    }
}

pub(crate) fn anna() -> AccountId {
    AccountId(Uuid::from_u128(0xa))
}

pub(crate) fn service(n: u8) -> ServiceId {
    ServiceId(Uuid::from_u128(0x5e00 + u128::from(n)))
}

pub(crate) fn hold_id(booking: u8, generation: u32) -> HoldId {
    HoldId {
        booking: Uuid::from_u128(0xb00 + u128::from(booking)),
        generation,
    }
}

/// So many hours after the beginning of these tests' time.
pub(crate) fn at(hours: i64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-03-02T09:00:00Z".parse().unwrap();
    start + TimeDelta::hours(hours)
}

pub(crate) fn grant(n: u8, amount: i64) -> Command {
    grant_of(n, amount, Source::Paid, (0, None))
}

pub(crate) fn grant_of(
    n: u8,
    amount: i64,
    source: Source,
    (start, end): (i64, Option<i64>),
) -> Command {
    Command::Grant {
        key: Key::manual_grant(Uuid::from_u128(u128::from(n))),
        service: service(1),
        amount: Credits(amount),
        source,
        evidence: Evidence::Manual {
            actor: Uuid::from_u128(0xac),
            reason: "welcome".parse().unwrap(),
        },
        effective_at: at(start),
        expires_at: end.map(at),
    }
}

pub(crate) fn hold(booking: u8, hours: i64) -> Command {
    Command::Hold {
        hold: hold_id(booking, 1),
        service: service(1),
        slot_start: at(hours),
    }
}

pub(crate) fn lot_id(number: u32) -> LotId {
    LotId {
        account: anna(),
        number: LotNumber(number),
    }
}

pub(crate) fn refund(n: u8) -> Cause {
    let id = format!("re_{n}").parse().unwrap();
    Cause::Refund { id }
}

pub(crate) fn claw(cause: Cause, lot: u32, amount: i64, held: HeldPolicy) -> Command {
    Command::Clawback {
        cause,
        lot: lot_id(lot),
        amount: Credits(amount),
        held,
    }
}

pub(crate) fn transfer(
    n: u8,
    lot: u32,
    reason: TransferReason,
    amount: i64,
    (start, end): (i64, Option<i64>),
) -> Command {
    Command::Transfer {
        id: Uuid::from_u128(n.into()),
        lot: lot_id(lot),
        reason,
        amount: Credits(amount),
        effective_at: at(start),
        expires_at: end.map(at),
    }
}

pub(crate) fn extend(
    n: u8,
    lot: u32,
    reason: TransferReason,
    amount: i64,
    until: Option<i64>,
) -> Command {
    Command::Extend {
        id: Uuid::from_u128(n.into()),
        lot: lot_id(lot),
        reason,
        amount: Credits(amount),
        until: until.map(at),
    }
}

pub(crate) fn adjust(n: u8, amount: i64) -> Command {
    Command::Adjust {
        id: Uuid::from_u128(n.into()),
        service: service(1),
        amount: Credits(amount),
        actor: Uuid::from_u128(0xac),
        reason: "counted_wrong".parse().unwrap(),
    }
}

/// What a store loads for a command.
pub(crate) fn seen(entries: &[Entry], command: &Command) -> Vec<Entry> {
    let (keys, proof) = (command.keys(), command.proof());
    let is_on = |entry: &Entry| {
        let granted_on = entry.proof().map(|(proof, _)| proof);
        proof.is_some() && granted_on == proof
    };
    entries
        .iter()
        .filter(|entry| keys.contains(&entry.key) || is_on(entry))
        .cloned()
        .collect()
}

pub(crate) fn reverse(entry: Key) -> Command {
    Command::Reverse {
        entry,
        actor: Uuid::from_u128(0xac),
        reason: "by_mistake".parse().unwrap(),
    }
}

/// So many credits of a period, for 6,000 pence each.
pub(crate) fn plan(item: u8, credits: i64) -> Plan {
    let pence = Money {
        minor: credits * 6_000,
        currency: "GBP".parse().unwrap(),
    };
    Plan {
        customer: "cus_anna".parse().unwrap(),
        livemode: true,
        subscription: "sub_1".parse().unwrap(),
        item: format!("si_{item}").parse().unwrap(),
        price: format!("price_{credits}").parse().unwrap(),
        service: service(1),
        credits: Credits(credits),
        amount: AmountPolicy::Exactly(pence),
        expiry: Expiry::PeriodEnd,
    }
}

pub(crate) fn period(start: i64, end: i64) -> Period {
    Period::new(at(start), at(end)).unwrap()
}

/// An invoice that proves the period, the proration of a change of plan among its lines.
pub(crate) fn invoice(plan: &Plan, period: Period) -> Invoice {
    let (AmountPolicy::Exactly(paid) | AmountPolicy::AtLeast(paid)) = plan.amount;
    let line = |proration| InvoiceLine {
        item: Some(plan.item.clone()),
        price: Some(plan.price.clone()),
        proration,
        start: period.start(),
        end: period.end(),
        charge: Some(Charge {
            price: paid,
            discount: Money { minor: 0, ..paid },
        }),
    };
    Invoice {
        id: format!("in_{}_{}", plan.item, period.start().timestamp())
            .parse()
            .unwrap(),
        status: InvoiceStatus::Paid,
        customer: plan.customer.clone(),
        livemode: plan.livemode,
        subscription: Some(plan.subscription.clone()),
        reason: "subscription_cycle".parse().unwrap(),
        lines: vec![line(true), line(false)],
        paid,
    }
}

/// The grant of a period that was paid for.
pub(crate) fn paid(item: u8, credits: i64, (start, end): (i64, i64)) -> Command {
    let (plan, period) = (plan(item, credits), period(start, end));
    plan.grant(period, invoice(&plan, period))
}
