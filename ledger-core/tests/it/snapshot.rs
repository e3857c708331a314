//! Snapshots affect cost, never meaning; stored forms read back as they were.

use ledger_core::{
    Account, BadSnapshot, Command, Entry, HeldPolicy, Lot, ReleaseReason, Unfinished, evolve, fold,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::history::{Step, cases, history};
use crate::ledger::{Ledger, adjust, anna, claw, grant, grant_of, hold, hold_id, refund};

fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

proptest! {
    #![proptest_config(cases(64))]

    /// After every command the snapshot is the fold of the entries, and a ledger that is written
    /// down and read back after every command goes the same way as one that is not.
    #[test]
    fn a_snapshot_is_the_fold(history in history()) {
        let mut kept = Ledger::open();
        let mut stored = Ledger::open();
        for Step { command, now } in &history {
            let outcome = kept.send(command, *now);
            prop_assert_eq!(stored.send(command, *now), outcome);
            stored.account = round_trip(&stored.account);
            prop_assert_eq!(&kept, &stored);
            prop_assert_eq!(&fold(anna(), &kept.entries).unwrap(), &kept.account);
        }
        for entry in &kept.entries {
            prop_assert_eq!(&round_trip(entry), entry);
        }
    }

    /// Between the two entries of a pair too.
    #[test]
    fn every_prefix_reads_back(history in history()) {
        let mut ledger = Ledger::open();
        for Step { command, now } in &history {
            let _ = ledger.send(command, *now);
        }
        let mut account = Account::open(anna());
        for entry in &ledger.entries {
            account = evolve(account, entry).unwrap();
            prop_assert_eq!(&round_trip(&account), &account);
            let finished: Vec<Lot> = account.finished().cloned().collect();
            let whole = round_trip(&account.unfinished()).with(round_trip(&finished));
            prop_assert_eq!(whole.as_ref(), Ok(&account));
        }
    }
}

/// What is finished is neither written with what is not, nor missed, nor there twice.
#[test]
fn finished_lots_are_kept_apart() {
    let mut ledger = Ledger::open();
    for number in 1..=100 {
        ledger.must(&grant(number, 1));
        ledger.must(&hold(number, 1));
        ledger.must(&Command::Use {
            hold: hold_id(number, 1),
        });
    }
    ledger.must(&grant(101, 1));
    let account = &ledger.account;
    let finished: Vec<Lot> = account.finished().cloned().collect();
    assert_eq!(finished.len(), 100);
    let size = |value: &str| value.len();
    let unfinished = serde_json::to_string(&account.unfinished()).unwrap();
    assert!(size(&unfinished) < 1_000, "{unfinished}");
    assert!(size(&serde_json::to_string(account).unwrap()) > 20_000);
    let with = |finished: Vec<Lot>| round_trip(&account.unfinished()).with(finished);
    assert_eq!(with(finished.clone()).as_ref(), Ok(account));
    let missing = with(finished[1..].to_vec()).unwrap_err();
    assert!(matches!(missing, BadSnapshot::Ordinal { ordinal: 1, .. }));
    let twice = [finished.clone(), vec![finished[9].clone()]].concat();
    let twice = with(twice).unwrap_err();
    assert!(matches!(twice, BadSnapshot::Ordinal { ordinal: 11, .. }));
    // As it was stored before, whole.
    let whole: Unfinished = serde_json::from_str(&serde_json::to_string(account).unwrap()).unwrap();
    assert_eq!(whole.with(Vec::new()).as_ref(), Ok(account));
}

/// What has ended leaves the snapshot: its size does not grow with the number of entries.
#[test]
fn ended_holds_leave_the_snapshot() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 1000));
    let size = |ledger: &Ledger| serde_json::to_string(&ledger.account).unwrap().len();
    let before = size(&ledger);
    for booking in 0..200 {
        ledger.must(&hold(booking, 1));
        ledger.must(&Command::Use {
            hold: hold_id(booking, 1),
        });
    }
    assert_eq!(ledger.entries.len(), 601);
    assert!(
        size(&ledger) <= before + 12,
        "{before} bytes became {}",
        size(&ledger)
    );
}

/// The forms in which an account and an entry are stored, to the letter: what is in a database
/// must be readable for good.
#[test]
fn stored_forms() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 2));
    let entry = ledger.must(&hold(1, 24)).remove(0);
    let (first, second) = (ledger.entries[0].hash, entry.hash);
    assert_eq!(
        serde_json::to_value(&entry).unwrap(),
        json!({
            "account": "00000000-0000-0000-0000-00000000000a",
            "seq": 2,
            "key": "v1/booking/00000000-0000-0000-0000-000000000b01/hold/1",
            "body": {
                "kind": "hold",
                "hold": {"booking": "00000000-0000-0000-0000-000000000b01", "generation": 1},
                "service": "00000000-0000-0000-0000-000000005e01",
                "amount": 1,
                "slot_start": "2026-03-03T09:00:00Z",
                "allocation": [{"lot": 1, "amount": 1}],
            },
            "effective_at": "2026-03-02T09:00:00Z",
            "recorded_at": "2026-03-02T09:00:00Z",
            "prev_hash": first.to_string(),
            "hash": second.to_string(),
        })
    );
    assert_eq!(
        serde_json::to_value(&ledger.account).unwrap(),
        json!({
            "v": 3,
            "head": {
                "account": "00000000-0000-0000-0000-00000000000a",
                "seq": 2,
                "hash": second.to_string(),
            },
            "recorded_at": "2026-03-02T09:00:00Z",
            "lots": [{
                "number": 1,
                "service": "00000000-0000-0000-0000-000000005e01",
                "source": "paid",
                "granted": 2,
                "effective_at": "2026-03-02T09:00:00Z",
                "expires_at": null,
                "balance": {
                    "available": 1, "held": 1, "used": 0, "forfeited": 0,
                    "expired": 0, "clawed": 0, "moved_out": 0, "debt": 0,
                },
            }],
            "holds": [{
                "id": {"booking": "00000000-0000-0000-0000-000000000b01", "generation": 1},
                "service": "00000000-0000-0000-0000-000000005e01",
                "slot_start": "2026-03-03T09:00:00Z",
                "slot_version": null,
                "allocation": [{"lot": 1, "amount": 1}],
                "since": 2,
            }],
        })
    );
}

/// A snapshot whose numbers disagree with each other is not read.
#[test]
fn an_inconsistent_snapshot_is_refused() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 2));
    ledger.must(&hold(1, 24));
    let whole = serde_json::to_value(&ledger.account).unwrap();
    let edited = |pointer: &str, value: Value| {
        let mut snapshot = whole.clone();
        *snapshot.pointer_mut(pointer).unwrap() = value;
        serde_json::from_value::<Account>(snapshot)
            .unwrap_err()
            .to_string()
    };
    let lot = ledger.account.lots()[0].number;
    let bad_lot = BadSnapshot::Lot { lot }.to_string();
    let holds = BadSnapshot::Holds.to_string();
    for v in [1, 4] {
        let unknown = BadSnapshot::Version { v }.to_string();
        assert_eq!(edited("/v", json!(v)), unknown);
    }
    assert_eq!(edited("/lots/0/granted", json!(3)), bad_lot);
    assert_eq!(edited("/lots/0/balance/used", json!(1)), bad_lot);
    let buckets = |available: i64, held: i64, used: i64, debt: i64| {
        json!({
            "available": available, "held": held, "used": used, "forfeited": 0,
            "expired": 0, "clawed": 0, "moved_out": 0, "debt": debt,
        })
    };
    assert_eq!(edited("/lots/0/balance", buckets(2, 1, -1, 0)), bad_lot);
    assert_eq!(edited("/lots/0/balance", buckets(1, 1, 0, -1)), bad_lot);
    assert_eq!(edited("/lots/0/balance", buckets(0, 2, 0, 0)), holds);
    let recalled = BadSnapshot::Recalled { lot }.to_string();
    assert_eq!(
        edited("/lots/0/balance", buckets(1, 1, 0, 1)),
        recalled,
        "no clawback"
    );
    for (field, value) in [
        ("recalled", json!(3)),
        ("recalled", json!(-1)),
        ("repaid", json!([{"lot": 1, "amount": 1}])),
        ("origin", json!(1)),
        ("origin", json!(7)),
    ] {
        let mut snapshot = whole.clone();
        snapshot["lots"][0][field] = value;
        let refused = serde_json::from_value::<Account>(snapshot).unwrap_err();
        assert_eq!(refused.to_string(), recalled, "{field}");
    }
    let mut unbacked = whole.clone();
    unbacked["holds"][0]["clawed_by"] = json!(3);
    let refused = serde_json::from_value::<Account>(unbacked).unwrap_err();
    assert_eq!(
        refused.to_string(),
        holds,
        "a hold without a credit holds none"
    );
    assert_eq!(
        edited("/lots/0/number", json!(2)),
        "lot 2 is in the place of lot 1"
    );
    assert_eq!(
        edited("/lots/0/balance/used", json!(i64::MAX)),
        BadSnapshot::TooMuch.to_string()
    );
    assert_eq!(edited("/holds", json!([])), holds);
    assert_eq!(edited("/holds/0/allocation/0/lot", json!(2)), holds);
    let twisted = json!([{"lot": 1, "amount": 2}, {"lot": 1, "amount": -1}]);
    assert_eq!(edited("/holds/0/allocation", twisted), holds);
    let twice = json!([whole["holds"][0], whole["holds"][0]]);
    assert_eq!(edited("/holds", twice), holds);
    let finer = edited("/recorded_at", json!("2026-03-02T09:00:00.0000001Z"));
    assert!(finer.contains("not in whole microseconds"), "{finer}");
}

/// What a reader of entries does not know, or should not believe, it refuses.
#[test]
fn an_odd_entry_is_refused() {
    let mut ledger = Ledger::open();
    let entry = ledger.must(&grant(1, 2)).remove(0);
    let whole = serde_json::to_value(&entry).unwrap();
    for (pointer, value, why) in [
        ("/body/kind", json!("gift"), "unknown variant"),
        ("/body/amount", json!(1.5), "invalid type"),
        (
            "/body/evidence/reason",
            json!("Her mother was ill"),
            "not a code",
        ),
        (
            "/body/effective_at",
            json!("2026-03-02T09:00:00.0000001Z"),
            "whole microseconds",
        ),
        (
            "/body/expires_at",
            json!("2026-03-02T09:00:00.0000001Z"),
            "whole microseconds",
        ),
        ("/key", json!("v1/grant manual"), "segments"),
        ("/seq", json!(-1), "invalid value"),
    ] {
        let mut odd = whole.clone();
        *odd.pointer_mut(pointer).unwrap() = value;
        let refused = serde_json::from_value::<Entry>(odd)
            .unwrap_err()
            .to_string();
        assert!(refused.contains(why), "{pointer}: {refused}");
    }
    let mut more = whole.clone();
    more["body"]["note"] = json!("x");
    assert!(serde_json::from_value::<Entry>(more).is_err());
}

/// A snapshot of the version before is read, and says what it left out: what was kept after its lot's
/// end, and what a person took.
#[test]
fn the_version_before_is_read() {
    let mut ledger = Ledger::open();
    ledger.must(&grant_of(1, 5, ledger_core::Source::Paid, (0, Some(10))));
    ledger.must(&grant(2, 6));
    ledger.must(&hold(1, 5));
    ledger.must(&adjust(3, -1));
    ledger.must(&claw(refund(1), 2, 2, HeldPolicy::Keep));
    let cancel = Command::Release {
        hold: hold_id(1, 1),
        reason: ReleaseReason::ClinicCancelled,
    };
    ledger.must_at(&cancel, 20);
    let lot = &ledger.account.lots()[0];
    assert_eq!((lot.kept.0, lot.taken.0), (1, 1));
    let mut stored = serde_json::to_value(&ledger.account).unwrap();
    stored["v"] = json!(2);
    for lot in stored["lots"].as_array_mut().unwrap() {
        let lot = lot.as_object_mut().unwrap();
        lot.remove("kept");
        lot.remove("taken");
    }
    let read: Account = serde_json::from_value(stored).unwrap();
    assert_eq!(read, ledger.account);
    assert!(read.is_snapshot_of(&fold(anna(), &ledger.entries).unwrap()));
}
