//! Any edit, deletion or swap of entries is found, and the first broken one is named.

use ledger_core::{
    AccountId, Body, Break, Command, Credits, Entry, ForfeitReason, Hash, Head, ReleaseReason,
    Source, Stored, genesis, verify,
};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::history::{history, run};
use crate::ledger::{Ledger, anna, at, grant_of, hold, hold_id};

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
    assert_eq!(verify(anna(), &ledger.entries), Ok(ledger.account.head()));
    ledger
}

/// Where the chain is broken, if it is.
fn broken_at(entries: &[Entry]) -> Option<u64> {
    verify(anna(), entries).err().map(|broken| broken.seq)
}

fn place(index: usize) -> Option<u64> {
    Some(u64::try_from(index).unwrap() + 1)
}

proptest! {
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
        ("\"goodwill\"", "\"paid\""),
        ("\"paid\"", "\"goodwill\""),
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
        edited[index] = Entry::from_stored(row);
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
}

const GENESIS: &str = "b213d47dc1077f141d6765433eb19fbc207f95115845cde845c5063d7d3dbce2";
const FIRST: &str = "2b65b1c3a000e051b9f234d0883b6ca3a226d99f128f5bb0370832d014bf6128";
const LAST: &str = "79bdcbccfd0506b27953f30a17780a1c2d19e48dc6f7d85227eafc1ccdfa7ed0";

/// The documented bytes, from an entry's JSON.
fn documented_bytes(entry: &Value) -> Vec<u8> {
    let body = &entry["body"];
    let mut fields = vec![
        b"standing.ledger.entry.v1".to_vec(),
        hex(&entry["prev_hash"]),
        hex(&entry["account"]),
        entry["seq"].as_u64().unwrap().to_be_bytes().to_vec(),
        text(&entry["key"]),
        instant(&entry["effective_at"]),
        instant(&entry["recorded_at"]),
        text(&body["kind"]),
    ];
    if body["kind"] == "grant" {
        let evidence = &body["evidence"];
        fields.extend([
            four(&body["lot"]),
            hex(&body["service"]),
            eight(&body["amount"]),
        ]);
        fields.extend([
            text(&body["source"]),
            text(&evidence["kind"]),
            hex(&evidence["actor"]),
        ]);
        fields.extend([text(&evidence["reason"]), instant(&body["effective_at"])]);
        fields.push(instant(&body["expires_at"]));
    } else {
        fields.extend([
            hex(&body["hold"]["booking"]),
            four(&body["hold"]["generation"]),
        ]);
    }
    match body["kind"].as_str().unwrap() {
        "hold" => {
            fields.extend([hex(&body["service"]), eight(&body["amount"])]);
            fields.push(instant(&body["slot_start"]));
        }
        "release" | "forfeit" => fields.push(text(&body["reason"])),
        "rescheduled" => {
            fields.extend([four(&body["slot_version"]), instant(&body["from"])]);
            fields.push(instant(&body["to"]));
        }
        _ => {}
    }
    if let Some(parts) = body["allocation"].as_array() {
        fields.push(u32::try_from(parts.len()).unwrap().to_be_bytes().to_vec());
        for part in parts {
            fields.extend([four(&part["lot"]), eight(&part["amount"])]);
        }
    }
    let prefixed = |field: Vec<u8>| {
        [
            &u32::try_from(field.len()).unwrap().to_be_bytes()[..],
            &field[..],
        ]
        .concat()
    };
    fields.into_iter().flat_map(prefixed).collect()
}

fn text(value: &Value) -> Vec<u8> {
    value.as_str().unwrap().as_bytes().to_vec()
}

fn four(value: &Value) -> Vec<u8> {
    u32::try_from(value.as_u64().unwrap())
        .unwrap()
        .to_be_bytes()
        .to_vec()
}

fn eight(value: &Value) -> Vec<u8> {
    value.as_i64().unwrap().to_be_bytes().to_vec()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().replace('-', "");
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn instant(value: &Value) -> Vec<u8> {
    let Some(text) = value.as_str() else {
        return Vec::new();
    };
    let at: chrono::DateTime<chrono::Utc> = text.parse().unwrap();
    at.timestamp_micros().to_be_bytes().to_vec()
}

/// The kinds and what they say of themselves.
#[test]
fn bodies_name_themselves() {
    let entries = every_kind().entries;
    for Entry { body, .. } in &entries {
        assert_eq!(serde_json::to_value(body).unwrap()["kind"], body.kind());
        match body {
            Body::Grant { amount, .. } => assert_eq!((*amount, body.hold()), (Credits(9), None)),
            Body::Rescheduled { .. } => assert!(body.allocation().is_empty()),
            _ => assert_eq!(body.allocation()[0].amount, Credits::ONE),
        }
    }
}
