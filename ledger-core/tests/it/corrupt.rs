//! Entries that do not fit, however they came to be stored: each is named, with what is wrong.

use ledger_core::{
    AccountId, Bucket, Command, Corrupt, Credits, Entry, HeldPolicy, Key, LotNumber, Misfit,
    TransferReason, fold,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ledger::{
    Ledger, adjust, anna, at, claw, grant, hold, hold_id, refund, reverse, service, transfer,
};

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

/// 1 grant of 3, 2 and 3 holds, 4 and 5 a use, 6 clawback of 3 (one free, one held, one owed),
/// 7 grant of 3, 8 repay, 9 transfer, 10 adjust, 11 reinstate, 12 reverse.
fn recalled() -> Ledger {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 3));
    ledger.must(&hold(1, 24));
    ledger.must(&hold(2, 25));
    ledger.must(&Command::Use {
        hold: hold_id(1, 1),
    });
    ledger.must(&claw(refund(1), 1, 3, HeldPolicy::Take));
    ledger.must(&grant(2, 3));
    ledger.must(&transfer(1, 2, TransferReason::Grace, 1, (0, None)));
    ledger.must(&adjust(1, -1));
    ledger.must(&Command::Reinstate { cause: refund(1) });
    ledger.must(&reverse(Key::used(hold_id(1, 1))));
    let kinds: Vec<_> = ledger.entries.iter().map(|e| e.body.kind()).collect();
    let expected =
        "grant hold hold release use clawback grant repay transfer adjust reinstate reverse";
    assert_eq!(kinds.join(" "), expected);
    ledger
}

/// Each value at its pointer makes the entry of that number the first that does not fit.
#[test]
fn recalls_and_corrections_that_cannot_be() {
    let (one, two) = (LotNumber(1), LotNumber(2));
    let sum = |amount| Misfit::Sum {
        amount: Credits(amount),
    };
    let family = |lot| Misfit::Family { lot, of: one };
    let clawed = Misfit::Clawed {
        hold: hold_id(2, 1),
    };
    let short = |lot, amount| Misfit::Short {
        lot,
        amount: Credits(amount),
    };
    let whole = serde_json::to_value(recalled().entries).unwrap();
    for (pointer, value, seq, misfit) in [
        ("/5/body/amount", json!(2), 6, sum(2)),
        ("/5/body/debt", json!(-1), 6, sum(3)),
        (
            "/5/body/lot",
            json!(2),
            6,
            Misfit::Family { lot: two, of: two },
        ),
        ("/5/body/holds/0/lot", json!(2), 6, family(two)),
        (
            "/5/body/holds/0/hold/generation",
            json!(9),
            6,
            Misfit::NoHold {
                hold: hold_id(2, 9),
            },
        ),
        ("/7/body/lot", json!(2), 8, Misfit::Debt { lot: two }),
        (
            "/7/body/lot",
            json!(9),
            8,
            Misfit::Debt { lot: LotNumber(9) },
        ),
        (
            "/7/body/allocation/0/amount",
            json!(2),
            8,
            Misfit::Debt { lot: one },
        ),
        (
            "/7/body/allocation",
            json!([]),
            8,
            Misfit::Debt { lot: one },
        ),
        ("/8/body/expired", json!(2), 9, sum(1)),
        ("/8/body/expired", json!(-1), 9, sum(1)),
        ("/8/body/expired", json!(1), 9, short(two, 1)),
        ("/8/body/from", json!(9), 9, short(LotNumber(9), 1)),
        (
            "/8/body/lot",
            json!(9),
            9,
            Misfit::LotNumber { lot: LotNumber(9) },
        ),
        ("/9/body/amount", json!(1), 10, sum(1)),
        ("/9/body/amount", json!(-2), 10, sum(-2)),
        (
            "/9/body/service",
            json!(service(2)),
            10,
            Misfit::Family { lot: two, of: two },
        ),
        ("/9/body/lot", json!(4), 10, sum(-1)),
        ("/10/body/amount", json!(2), 11, sum(2)),
        ("/10/body/clawback", json!(5), 11, clawed.clone()),
        (
            "/10/body/returned/0/lot",
            json!(3),
            11,
            Misfit::Debt { lot: one },
        ),
        (
            "/11/body/moves/0/from",
            json!("held"),
            12,
            Misfit::Reversal {
                from: Some(Bucket::Held),
                to: Bucket::Available,
            },
        ),
        (
            "/11/body/moves/0/from",
            Value::Null,
            12,
            Misfit::Reversal {
                from: None,
                to: Bucket::Available,
            },
        ),
        ("/11/body/moves/0/amount", json!(2), 12, short(one, 2)),
    ] {
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
