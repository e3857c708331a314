//! The caller's side: a list of entries, an account, and nothing clever.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{
    Account, AccountId, Command, Credits, Entry, Error, Evidence, HoldId, Idempotent, Key,
    ServiceId, Source, decide, evolve,
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

    /// The stored entries that have one of the command's keys.
    pub(crate) fn seen(&self, command: &Command) -> Vec<Entry> {
        let keys = command.keys();
        self.entries
            .iter()
            .filter(|entry| keys.contains(&entry.key))
            .cloned()
            .collect()
    }

    pub(crate) fn send(
        &mut self,
        command: &Command,
        now: DateTime<Utc>,
    ) -> Result<Idempotent<Vec<Entry>>, Error> {
        let outcome = decide(&self.account, &self.seen(command), command, now)?;
        if let Idempotent::Applied(new) = &outcome {
            assert!(!new.is_empty(), "applied, and nothing written: {command}");
            let keys: Vec<Key> = new.iter().map(|entry| entry.key.clone()).collect();
            assert_eq!(keys, command.keys(), "the keys it says it writes");
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
        let outcome = self.send(command, at(0)).expect("it is allowed");
        outcome.applied().expect("it is new")
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
