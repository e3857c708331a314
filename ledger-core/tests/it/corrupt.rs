//! Entries that do not fit, however they came to be stored: each is named, with what is wrong.

use ledger_core::{AccountId, Command, Corrupt, Credits, Entry, LotNumber, Misfit, fold};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ledger::{Ledger, anna, at, grant, hold, hold_id, service};

/// 1 grant, 2 hold, 3 and 4 rescheduled, 5 release, 6 use.
fn ledger() -> Ledger {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 2));
    ledger.must(&hold(1, 24));
    for (slot_version, to) in [(1, at(25)), (2, at(26))] {
        ledger.must(&Command::Reschedule {
            hold: hold_id(1, 1),
            slot_version,
            to,
        });
    }
    ledger.must(&Command::Use {
        hold: hold_id(1, 1),
    });
    ledger
}

/// Each value at its pointer must make the entry of that number the first that does not fit.
fn found(cases: impl IntoIterator<Item = (&'static str, Value, u64, Misfit)>) {
    let whole = serde_json::to_value(ledger().entries).unwrap();
    for (pointer, value, seq, misfit) in cases {
        let mut entries = whole.clone();
        *entries.pointer_mut(pointer).unwrap() = value;
        let entries: Vec<Entry> = serde_json::from_value(entries).unwrap();
        let expected = Corrupt {
            account: anna(),
            seq,
            misfit,
        };
        assert_eq!(fold(anna(), &entries), Err(expected), "{pointer}");
    }
}

#[test]
fn entries_that_do_not_follow() {
    let bob = AccountId(Uuid::from_u128(0xb));
    found([
        ("/0/account", json!(bob), 1, Misfit::Account { found: bob }),
        ("/1/seq", json!(9), 9, Misfit::Seq { last: 1 }),
        ("/1/seq", json!(0), 0, Misfit::Seq { last: 1 }),
        ("/0/prev_hash", json!("0".repeat(64)), 1, Misfit::Link),
        ("/1/prev_hash", json!("0".repeat(64)), 2, Misfit::Link),
        (
            "/1/recorded_at",
            json!("2026-03-02T08:59:59.999999Z"),
            2,
            Misfit::Time,
        ),
    ]);
}

#[test]
fn amounts_and_allocations_that_are_not_there() {
    let hold = hold_id(1, 1);
    let (one, two) = (LotNumber(1), LotNumber(2));
    let other = || Misfit::Allocation { hold };
    let none = |amount| Misfit::Amount {
        amount: Credits(amount),
    };
    found([
        ("/0/body/lot", json!(2), 1, Misfit::LotNumber { lot: two }),
        (
            "/0/body/lot",
            json!(0),
            1,
            Misfit::LotNumber { lot: LotNumber(0) },
        ),
        ("/0/body/amount", json!(0), 1, none(0)),
        ("/1/body/amount", json!(-1), 2, none(-1)),
        ("/1/body/amount", json!(2), 2, other()),
        ("/1/body/allocation", json!([]), 2, other()),
        (
            "/1/body/service",
            json!(service(2)),
            2,
            Misfit::Service { hold, lot: one },
        ),
        (
            "/1/body/allocation/0/lot",
            json!(2),
            2,
            Misfit::Short {
                lot: two,
                amount: Credits(1),
            },
        ),
        (
            "/1/body/allocation",
            json!([{"lot": 1, "amount": 2}, {"lot": 1, "amount": -1}]),
            2,
            Misfit::Short {
                lot: one,
                amount: Credits(-1),
            },
        ),
        ("/4/body/allocation/0/amount", json!(2), 5, other()),
        ("/5/body/allocation/0/amount", json!(2), 6, other()),
    ]);
}

#[test]
fn holds_that_are_not_open_or_not_there() {
    let (hold, second) = (hold_id(1, 1), hold_id(1, 2));
    let whole = serde_json::to_value(ledger().entries).unwrap();
    let body = |index: usize| whole[index]["body"].clone();
    found([
        ("/2/body", body(1), 3, Misfit::HoldOpen { hold }),
        (
            "/2/body/hold/generation",
            json!(2),
            3,
            Misfit::NoHold { hold: second },
        ),
        ("/2/body/from", json!(at(23)), 3, Misfit::Slot { hold }),
        ("/2/body/slot_version", json!(2), 4, Misfit::Slot { hold }),
        (
            "/4/body/hold/generation",
            json!(2),
            5,
            Misfit::NoHold { hold: second },
        ),
    ]);
}

#[test]
fn pairs_that_are_torn() {
    let hold = hold_id(1, 1);
    let whole = serde_json::to_value(ledger().entries).unwrap();
    let body = |index: usize| whole[index]["body"].clone();
    found([
        (
            "/4/body/reason",
            json!("cancelled"),
            6,
            Misfit::Unannounced { hold },
        ),
        (
            "/4/body/reason",
            json!("forfeited"),
            6,
            Misfit::Unannounced { hold },
        ),
        (
            "/5/body/hold/generation",
            json!(2),
            6,
            Misfit::Unannounced {
                hold: hold_id(1, 2),
            },
        ),
        ("/3/body", body(5), 4, Misfit::Unannounced { hold }),
        ("/5/body", body(0), 6, Misfit::Unfinished),
        ("/5/body", body(4), 6, Misfit::Unfinished),
    ]);
}
