//! Any edit, deletion or swap of entries is found, and the first broken one is named.

use std::collections::BTreeSet;

use ledger_core::{
    AccountId, AmountPolicy, Break, Cause, Checkout, Command, Credits, Entry, ForfeitReason, Hash,
    Head, HeldPolicy, Key, Money, Purchase, ReleaseReason, Source, Stored, TransferReason, genesis,
    verify, verify_anchored,
};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::documented::documented_bytes;
use crate::history::{cases, history, run};
use crate::ledger::{
    Ledger, adjust, anna, at, claw, extend, grant_of, hold, hold_id, paid, refund, reverse,
    service, transfer,
};

/// A short history with an entry of every kind, reason and source.
fn every_kind() -> Ledger {
    let mut ledger = Ledger::open();
    let no_show = Command::Forfeit {
        hold: hold_id(3, 1),
        reason: ForfeitReason::NoShow,
    };
    let late = Command::Forfeit {
        hold: hold_id(4, 1),
        reason: ForfeitReason::LateCancel,
    };
    let moved = Command::Reschedule {
        hold: hold_id(2, 1),
        slot_version: 7,
        to: at(30),
    };
    ledger.must(&grant_of(1, 9, Source::Goodwill, (0, Some(100))));
    ledger.must(&grant_of(2, 9, Source::Paid, (0, None)));
    for booking in 1..=6 {
        ledger.must(&hold(booking, 24));
    }
    let release = |booking, reason| Command::Release {
        hold: hold_id(booking, 1),
        reason,
    };
    ledger.must(&release(1, ReleaseReason::Cancelled));
    ledger.must(&release(5, ReleaseReason::ClinicCancelled));
    ledger.must(&release(6, ReleaseReason::Skipped));
    for command in [
        moved,
        Command::Use {
            hold: hold_id(2, 1),
        },
        no_show,
        late,
    ] {
        ledger.must(&command);
    }
    ledger.must(&paid(1, 4, (0, 100)));
    ledger.must(&purchase());
    ledger.must(&grant_of(3, 2, Source::Paid, (0, Some(10))));
    for booking in 7..=8 {
        ledger.must(&hold(booking, 9));
    }
    for command in [
        reverse(Key::used(hold_id(2, 1))),
        transfer(1, 1, TransferReason::Rollover, 1, (0, Some(100))),
        transfer(2, 1, TransferReason::CarryOver, 1, (0, Some(100))),
        transfer(3, 2, TransferReason::ExpiryChange, 1, (0, None)),
        extend(5, 1, TransferReason::Rollover, 2, Some(300)),
        Command::Rebook {
            hold: hold_id(7, 1),
            into: hold_id(9, 1),
        },
        Command::Restore {
            hold: hold_id(10, 1),
            of: hold_id(1, 1),
            service: service(1),
            slot_start: at(24),
            extension: Uuid::from_u128(0x99),
            actor: Uuid::from_u128(7),
            reason: "reopened".parse().unwrap(),
        },
        adjust(1, 2),
        adjust(2, -1),
        claw(refund(1), 5, 2, HeldPolicy::Take),
        claw(void(), 1, 9, HeldPolicy::Keep),
        claw(dispute(), 2, 9, HeldPolicy::Keep),
        Command::Reinstate { cause: refund(1) },
        Command::Reinstate { cause: dispute() },
    ] {
        ledger.must(&command);
    }
    let due = ledger.account.due(at(200)).next().expect("a lot that ends");
    ledger.must_at(&Command::Expire { lot: due }, 200);
    let ended = ledger
        .account
        .lots()
        .iter()
        .filter(|lot| lot.balance.expired.0 > 0);
    let revived = ended
        .map(|lot| lot.number.0)
        .next_back()
        .expect("a lot that expired");
    ledger.must_at(
        &transfer(4, revived, TransferReason::Grace, 1, (0, None)),
        201,
    );
    assert_eq!(verify(anna(), &ledger.entries), Ok(ledger.account.head()));
    let kinds: BTreeSet<_> = ledger
        .entries
        .iter()
        .map(|entry| entry.body.kind())
        .collect();
    assert_eq!(kinds.len(), 14, "{kinds:?}");
    ledger
}

fn void() -> Cause {
    let id = "in_9".parse().unwrap();
    Cause::Void { id }
}

fn dispute() -> Cause {
    let id = "du_9".parse().unwrap();
    Cause::Dispute { id }
}

fn purchase() -> Command {
    let amount = Money {
        minor: 9_000,
        currency: "GBP".parse().unwrap(),
    };
    let purchase = Purchase {
        customer: "cus_anna".parse().unwrap(),
        livemode: true,
        service: crate::ledger::service(1),
        credits: Credits::ONE,
        amount: AmountPolicy::AtLeast(amount),
        valid_from: at(0),
    };
    purchase.grant(Checkout {
        id: "cs_1".parse().unwrap(),
        is_paid: true,
        customer: "cus_anna".parse().unwrap(),
        livemode: true,
        paid: amount,
        charge: None,
    })
}

/// Where the chain is broken, if it is.
fn broken_at(entries: &[Entry]) -> Option<u64> {
    verify(anna(), entries).err().map(|broken| broken.seq)
}

fn place(index: usize) -> Option<u64> {
    Some(u64::try_from(index).unwrap() + 1)
}

proptest! {
    #![proptest_config(cases(64))]

    /// What was decided verifies, up to the account's head, and from there on every deletion,
    /// swap, repetition and truncation is found at its place.
    #[test]
    fn the_chain_holds_and_rearranging_breaks_it(
        history in history(),
        (one, other) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let Ledger { account, entries } = run(&history);
        prop_assert_eq!(verify(anna(), &entries), Ok(account.head()));
        prop_assume!(entries.len() >= 2);
        let (one, other) = (one.index(entries.len()), other.index(entries.len()));

        let mut deleted = entries.clone();
        deleted.remove(one);
        if one + 1 < entries.len() {
            prop_assert_eq!(broken_at(&deleted), place(one));
        } else {
            prop_assert_ne!(verify(anna(), &deleted), Ok(account.head()));
        }

        let mut swapped = entries.clone();
        swapped.swap(one, other);
        prop_assert_eq!(broken_at(&swapped), place(one.min(other)).filter(|_| one != other));

        let mut repeated = entries.clone();
        repeated.insert(one, entries[one].clone());
        prop_assert_eq!(broken_at(&repeated), place(one + 1));

        let cut = verify(anna(), &entries[..one]).unwrap();
        prop_assert_eq!(cut.seq, u64::try_from(one).unwrap());
        prop_assert_ne!(cut, account.head());
    }

    /// Any bit of an entry's stored text: it no longer reads, or reads as the same entry, or the
    /// chain is broken there.
    #[test]
    fn a_flipped_bit_is_found(
        history in history(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 50),
    ) {
        let mut entries = run(&history).entries;
        prop_assume!(!entries.is_empty());
        for (index, bit) in flips {
            let index = index.index(entries.len());
            let text = serde_json::to_vec(&entries[index]).unwrap();
            flip(&mut entries, index, text.clone(), bit.index(text.len() * 8))?;
        }
    }

    /// The hash is that of the fields as documented, written from the stored form by another hand.
    #[test]
    fn the_hash_is_over_the_documented_fields(history in history()) {
        for entry in run(&history).entries {
            let bytes = documented_bytes(&serde_json::to_value(&entry).unwrap());
            prop_assert_eq!(&entry.canonical_bytes(), &bytes);
            prop_assert_eq!(Hash(Sha256::digest(&bytes).into()), entry.hash);
            prop_assert!(entry.is_sealed());
        }
    }
}

fn flip(
    entries: &mut [Entry],
    index: usize,
    mut text: Vec<u8>,
    bit: usize,
) -> Result<bool, TestCaseError> {
    text[bit / 8] ^= 1 << (bit % 8);
    let Ok(edited) = serde_json::from_slice::<Entry>(&text) else {
        return Ok(false);
    };
    if edited == entries[index] {
        return Ok(false);
    }
    let original = std::mem::replace(&mut entries[index], edited);
    let found = broken_at(entries);
    entries[index] = original;
    prop_assert_eq!(found, place(index), "{}", String::from_utf8_lossy(&text));
    Ok(true)
}

/// Every bit of every entry of a history with all kinds.
#[test]
fn every_bit_of_every_kind() {
    let mut entries = every_kind().entries;
    let mut found = 0;
    for index in 0..entries.len() {
        let text = serde_json::to_vec(&entries[index]).unwrap();
        for bit in 0..text.len() * 8 {
            found += usize::from(flip(&mut entries, index, text.clone(), bit).unwrap());
        }
    }
    assert!(found > 10_000, "only {found} flips gave another entry");
}

/// One code for another, and a date for none: edits that are more than a bit.
#[test]
fn exchanged_codes_are_found() {
    let mut entries = every_kind().entries;
    let exchanges = [
        ("\"source\":\"goodwill\"", "\"source\":\"paid\""),
        ("\"source\":\"paid\"", "\"source\":\"goodwill\""),
        ("\"reason\":\"welcome\"", "\"reason\":\"sorry\""),
        (
            "\"expires_at\":null",
            "\"expires_at\":\"2027-01-01T00:00:00Z\"",
        ),
        (
            "\"expires_at\":\"2026-03-06T13:00:00Z\"",
            "\"expires_at\":null",
        ),
        ("\"cancelled\"", "\"skipped\""),
        ("\"clinic_cancelled\"", "\"cancelled\""),
        ("\"skipped\"", "\"clinic_cancelled\""),
        ("\"used\"", "\"forfeited\""),
        ("\"forfeited\"", "\"used\""),
        ("\"no_show\"", "\"late_cancel\""),
        ("\"late_cancel\"", "\"no_show\""),
        ("[{\"lot\":1,\"amount\":1}]", "[{\"lot\":2,\"amount\":1}]"),
        ("[{\"lot\":1,\"amount\":1}]", "[]"),
        (
            "[{\"lot\":1,\"amount\":1}]",
            "[{\"lot\":1,\"amount\":1},{\"lot\":2,\"amount\":1}]",
        ),
        ("\"amount\":9", "\"amount\":900"),
    ];
    for (old, new) in exchanges {
        let mut met = false;
        for index in 0..entries.len() {
            let text = serde_json::to_string(&entries[index]).unwrap();
            if text.contains(old) {
                met = true;
                let edited = serde_json::from_str(&text.replace(old, new)).unwrap();
                let original = std::mem::replace(&mut entries[index], edited);
                assert_eq!(broken_at(&entries), place(index), "{old} -> {new}");
                entries[index] = original;
            }
        }
        assert!(met, "no entry has {old}");
    }
}

/// An editor who also computes the entry's hash anew is found at the next entry, or by the head.
#[test]
fn a_resealed_edit_is_found_at_the_next_entry() {
    let Ledger { account, entries } = every_kind();
    for index in 0..entries.len() {
        let mut edited = entries.clone();
        let Entry {
            seq,
            key,
            body,
            effective_at,
            recorded_at,
            prev_hash,
            ..
        } = entries[index].clone();
        let recorded_at = recorded_at + chrono::TimeDelta::microseconds(1);
        let hash = Hash([0; 32]);
        let account_id = anna();
        let row = Stored {
            account: account_id,
            seq,
            key,
            body,
            effective_at,
            recorded_at,
            prev_hash,
            hash,
        };
        edited[index] = Entry::from_stored(row).unwrap();
        assert!(!edited[index].is_sealed());
        edited[index].hash = Hash(Sha256::digest(edited[index].canonical_bytes()).into());
        assert!(edited[index].is_sealed());
        match verify(anna(), &edited) {
            Ok(head) => {
                assert_eq!(index, entries.len() - 1);
                assert_ne!(head, account.head());
            }
            Err(broken) => {
                assert_eq!(Some(broken.seq), place(index + 1));
                assert!(matches!(broken.how, Break::Link { .. }), "{broken}");
            }
        }
    }
}

/// A chain whose hashes are all right must still count from 1 without gaps.
#[test]
fn a_sealed_gap_is_a_gap() {
    let mut entries = every_kind().entries;
    entries.truncate(2);
    entries[1].seq = 3;
    entries[1].hash = Hash(Sha256::digest(entries[1].canonical_bytes()).into());
    let broken = verify(anna(), &entries).unwrap_err();
    assert_eq!((broken.seq, broken.how), (2, Break::Seq { found: 3 }));
}

/// One account's chain is no other's: entries say whose they are, and the genesis does.
#[test]
fn a_chain_belongs_to_its_account() {
    let other = AccountId(Uuid::from_u128(0xb));
    let mut entries = every_kind().entries;
    let broken = verify(other, &entries).unwrap_err();
    assert_eq!(
        (broken.seq, broken.how),
        (1, Break::Account { found: anna() })
    );
    for entry in &mut entries {
        entry.account = other;
    }
    let broken = verify(other, &entries).unwrap_err();
    let link = Break::Link {
        expected: genesis(other),
        found: genesis(anna()),
    };
    assert_eq!((broken.seq, broken.how), (1, link));
    assert_eq!(verify(other, []), Ok(Head::empty(other)));
}

/// Hashes that are stored must be the hashes of tomorrow's release.
#[test]
fn hashes_stay_what_they_are() {
    let entries = every_kind().entries;
    assert_eq!(genesis(anna()).to_string(), GENESIS);
    assert_eq!(entries[0].hash.to_string(), FIRST);
    assert_eq!(entries.last().unwrap().hash.to_string(), LAST);
    // As they were written before an invoice's lines had charges.
    let (mut prev, mut older) = (genesis(anna()), Vec::new());
    for entry in entries {
        let mut json = serde_json::to_value(&entry).unwrap();
        if let Some(invoice) = json.pointer_mut("/body/evidence/invoice") {
            invoice["id"] = "in_1".into();
            for line in invoice["lines"].as_array_mut().unwrap() {
                line.as_object_mut().unwrap().remove("charge").unwrap();
            }
        }
        let mut entry: Entry = serde_json::from_value(json).unwrap();
        entry.prev_hash = prev;
        entry.hash = Hash(Sha256::digest(entry.canonical_bytes()).into());
        prev = entry.hash;
        older.push(entry);
    }
    assert_eq!(prev.to_string(), LAST_WITHOUT_CHARGES);
    assert!(verify(anna(), &older).is_ok());
}

const GENESIS: &str = "b213d47dc1077f141d6765433eb19fbc207f95115845cde845c5063d7d3dbce2";
const FIRST: &str = "2b65b1c3a000e051b9f234d0883b6ca3a226d99f128f5bb0370832d014bf6128";
const LAST: &str = "647bcbc34e9531affbf9cc250d98762be1f19fb4997b3cdb442b665a030bf3d2";
const LAST_WITHOUT_CHARGES: &str =
    "42b3395c1c55e5491adc6a948a59e2538290a082b0211ff5ca8d7cccc7dd870a";

/// The kinds and what they say of themselves.
#[test]
fn bodies_name_themselves() {
    for entry in every_kind().entries {
        let stored = serde_json::to_value(&entry.body).unwrap();
        assert_eq!(stored["kind"], entry.body.kind());
        let hold = entry
            .body
            .hold()
            .map(|hold| serde_json::to_value(hold).unwrap());
        assert_eq!(stored.get("hold"), hold.as_ref());
        let parts = serde_json::to_value(entry.body.allocation()).unwrap();
        assert_eq!(
            stored.get("allocation").unwrap_or(&Value::Array(vec![])),
            &parts
        );
    }
}

/// Heads that were kept find what the chain alone does not tell: that it was cut off, or written
/// anew from some entry on; and a chain that has only grown passes through all of them.
#[test]
fn a_chain_passes_through_its_anchored_heads() {
    let Ledger { account, entries } = every_kind();
    let head = |count: usize| verify(anna(), &entries[..count]).unwrap();
    let anchors = [head(20), head(0), head(7)];
    assert_eq!(
        verify_anchored(anna(), &entries, &anchors),
        Ok(account.head())
    );
    assert_eq!(
        verify_anchored(anna(), &entries, &[account.head()]),
        Ok(account.head())
    );

    let cut = verify_anchored(anna(), &entries[..19], &anchors).unwrap_err();
    let anchored = anchors[0];
    assert_eq!((cut.seq, cut.how), (20, Break::Truncated { anchored }));

    let mut other = Ledger::open();
    for n in 1..=30 {
        other.must(&grant_of(n, 1, Source::Paid, (0, None)));
    }
    let broken = verify_anchored(anna(), &other.entries, &anchors).unwrap_err();
    let anchored = anchors[2];
    let found = verify(anna(), &other.entries[..7]).unwrap().hash;
    assert_eq!(
        (broken.seq, broken.how),
        (7, Break::Anchor { anchored, found })
    );
}

/// Every field of every body is in the hash: a changed value in the stored form, whichever, is
/// found at its entry.
#[test]
fn every_stored_value_is_hashed() {
    let mut entries = every_kind().entries;
    for index in 0..entries.len() {
        let whole = serde_json::to_value(&entries[index]).unwrap();
        for pointer in leaves(&whole, String::new()) {
            for other in others(whole.pointer(&pointer).unwrap()) {
                let mut edited = whole.clone();
                *edited.pointer_mut(&pointer).unwrap() = other;
                let Ok(edited) = serde_json::from_value::<Entry>(edited) else {
                    continue;
                };
                let original = std::mem::replace(&mut entries[index], edited);
                assert_eq!(broken_at(&entries), place(index), "{pointer}");
                entries[index] = original;
            }
        }
    }
}

/// Where the values are that hold no other.
fn leaves(value: &Value, at: String) -> Vec<String> {
    let within = |inner: &mut dyn Iterator<Item = (String, &Value)>| {
        inner
            .flat_map(|(name, value)| leaves(value, format!("{at}/{name}")))
            .collect()
    };
    match value {
        Value::Object(fields) => within(&mut fields.iter().map(|(name, v)| (name.clone(), v))),
        Value::Array(all) => within(&mut all.iter().enumerate().map(|(i, v)| (i.to_string(), v))),
        _ => vec![at],
    }
}

/// Other values of the same form.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(n) => vec![Value::from(n.as_i64().unwrap() + 1)],
        Value::Bool(b) => vec![Value::from(!b)],
        Value::Null => ["2027-01-01T00:00:00Z", "x", "available"]
            .map(Value::from)
            .to_vec(),
        Value::String(text) => {
            let mut others = vec![Value::Null, Value::from(format!("{text}x"))];
            let names = [
                "keep",
                "take",
                "held",
                "used",
                "clawed",
                "available",
                "paid",
                "goodwill",
                "void",
                "grace",
                "rollover",
                "never",
                "period_end",
                "EUR",
                "2027-01-01T00:00:00Z",
                "00000000-0000-0000-0000-0000000000ff",
            ];
            others.extend(
                names
                    .into_iter()
                    .filter(|name| name != text)
                    .map(Value::from),
            );
            others
        }
        _ => Vec::new(),
    }
}
