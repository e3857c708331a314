//! Keyrings, wrapping, rotation and blind indexes: the life of a key.

use std::collections::{BTreeMap, BTreeSet};

use crypto_core::rotation::{Plan, Status, status};
use crypto_core::{
    Addressee, BadKeyring, BlindIndex, ClinicId, Context, Dek, DekId, IndexKey, Kek, KeyId,
    Keyring, Purpose, RowId, Version,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{cases, dek, dek_id, key, nonce, oracle, place};

fn keks(active: u32, older: &[u32]) -> Keyring<Kek> {
    // The bytes of a KEK follow from its id.
    let kek = |id: u32| Kek::new(KeyId(id), &key(u8::try_from(id).unwrap()));
    Keyring::new(kek(active), older.iter().map(|&id| kek(id))).unwrap()
}

fn rows() -> impl Iterator<Item = Context> {
    (0..).map(|row| Context {
        row: RowId(Uuid::from_u128(row)),
        ..place()
    })
}

#[test]
fn a_dek_comes_back_out_of_its_row_and_no_other() {
    let ring = keks(1, &[]);
    let wrapped = ring.wrap(dek_id(1, 1), &key(9), nonce(1));
    assert_eq!(wrapped.len(), 78 + 64);
    let unwrapped = ring.unwrap(dek_id(1, 1), &wrapped).unwrap();
    let sealed = dek(1, 1, 9)
        .seal(&place(), Purpose::Note, b"text", nonce(2))
        .unwrap();
    let opened = unwrapped.open(&place(), Purpose::Note, &sealed).unwrap();
    assert_eq!(opened.expose(), b"text");

    for other in [dek_id(2, 1), dek_id(1, 2)] {
        assert!(ring.unwrap(other, &wrapped).is_err());
        assert!(ring.rewrap(other, &wrapped, nonce(3)).is_err());
    }
    let mut other_clinic = dek_id(1, 1);
    other_clinic.owner.clinic = ClinicId(Uuid::nil());
    assert!(ring.unwrap(other_clinic, &wrapped).is_err());
    // Another KEK of the same id, and a ring without it.
    let impostor = Keyring::new(Kek::new(KeyId(1), &key(2)), []).unwrap();
    assert!(impostor.unwrap(dek_id(1, 1), &wrapped).is_err());
    assert!(keks(2, &[3]).unwrap(dek_id(1, 1), &wrapped).is_err());
    for bit in 0..wrapped.len() * 8 {
        let mut changed = wrapped.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(ring.unwrap(dek_id(1, 1), &changed).is_err());
    }
    for length in 0..wrapped.len() {
        assert!(ring.unwrap(dek_id(1, 1), &wrapped[..length]).is_err());
    }
}

/// Everything right, only that what is wrapped is no key.
#[test]
fn a_wrapped_dek_has_32_bytes() {
    let ring = keks(1, &[]);
    let context = Context {
        row: RowId(Uuid::nil()),
        field: crypto_core::Field(0),
        version: Version(1),
        ..place()
    };
    let parts = oracle::Parts {
        key: [1; 32],
        header: oracle::header(5, 1),
        context: &context,
        nonce: [1; 24],
    };
    for bytes in 0..64 {
        let mut padded = vec![0xaa; bytes];
        padded.push(0x80);
        padded.resize(64, 0);
        let opened = ring.unwrap(dek_id(1, 1), &parts.seal(&padded));
        assert_eq!(opened.is_ok(), bytes == 32, "{bytes}");
    }
}

/// From the first KEK to the second: all DEKs open all the while, and nothing they sealed changes.
#[test]
fn rotating_keks_rewraps_rows_only() {
    let before = keks(1, &[]);
    let ids: Vec<_> = (1..=50).map(|client| dek_id(client, 1)).collect();
    let mut rows: Vec<_> = ids
        .iter()
        .map(|&id| (id, before.wrap(id, &key(9), nonce(1))))
        .collect();

    let ring = keks(2, &[1]);
    while let plan = Plan::of(&ring, rows.iter().map(|(id, row)| (*id, row)))
        && let Some(&next) = plan.stale.first()
    {
        assert_eq!(plan.unneeded(&ring), []);
        assert_eq!(
            plan.stale.len() + usize::try_from(plan.current).unwrap(),
            50
        );
        for (id, row) in &mut rows {
            assert!(ring.unwrap(*id, row).is_ok());
            if *id == next {
                *row = ring.rewrap(*id, row, nonce(2)).unwrap();
            }
        }
    }
    let plan = Plan::of(&ring, rows.iter().map(|(id, row)| (*id, row)));
    assert_eq!((plan.current, plan.unneeded(&ring)), (50, vec![KeyId(1)]));
    let after = keks(2, &[]);
    let sealed = dek(7, 1, 9)
        .seal(&of(7), Purpose::Note, b"text", nonce(3))
        .unwrap();
    let (id, row) = &rows[6];
    let opened = after
        .unwrap(*id, row)
        .unwrap()
        .open(&of(7), Purpose::Note, &sealed);
    assert_eq!(opened.unwrap().expose(), b"text");
}

fn of(client: u128) -> Context {
    Context {
        owner: dek_id(client, 1).owner,
        ..place()
    }
}

#[test]
fn resealing_moves_a_value_to_the_active_generation_and_the_next_version() {
    let old = Keyring::new(dek(1, 1, 1), []).unwrap();
    let sealed = old
        .seal(&place(), Purpose::Message, b"text", nonce(1))
        .unwrap();
    let ring = Keyring::new(dek(1, 2, 2), [dek(1, 1, 1)]).unwrap();
    assert_eq!(status(&ring, &sealed), Status::Stale(KeyId(1)));
    let next = Version(place().version.0 + 1);
    let again = ring
        .reseal(&place(), next, Purpose::Message, &sealed, nonce(2))
        .unwrap();
    assert_eq!(status(&ring, &again), Status::Current);
    let there = place().at(next);
    let opened = ring.open(&there, Purpose::Message, &again).unwrap();
    assert_eq!(opened.expose(), b"text");
    // The old value is no answer in the new version, nor the new one in the old.
    assert!(ring.open(&there, Purpose::Message, &sealed).is_err());
    assert!(ring.open(&place(), Purpose::Message, &again).is_err());
    // Who has not heard of the rotation finds the key missing, and knows to load the ring anew.
    assert!(old.open(&there, Purpose::Message, &again).is_err());
    assert!(old.get(KeyId(2)).is_none());
    // What does not open is not sealed again.
    assert!(
        ring.reseal(&there, next, Purpose::Message, &sealed, nonce(3))
            .is_err()
    );
    assert!(
        ring.reseal(&place(), next, Purpose::Note, &sealed, nonce(3))
            .is_err()
    );
}

/// Without its wrapped rows a client's values are lost for good, backups of the values included,
/// and nobody else's are. Who comes back has a new DEK, which does not open them either.
#[test]
fn erasing_a_client_is_deleting_its_wrapped_deks() {
    let keks = keks(1, &[]);
    let mut rows: BTreeMap<_, _> = [(1, 0x11), (2, 0x22)]
        .map(|(client, byte)| {
            let id = dek_id(client, 1);
            (client, (id, keks.wrap(id, &key(byte), nonce(1))))
        })
        .into();
    let value = |client: u128, byte| {
        let dek = dek(client, 1, byte);
        dek.seal(&of(client), Purpose::Person, b"name", nonce(2))
            .unwrap()
    };
    let (hers, his) = (value(1, 0x11), value(2, 0x22));
    let read = |rows: &BTreeMap<u128, (DekId, Vec<u8>)>, client, sealed: &[u8]| {
        let (id, row) = rows.get(&client)?;
        let dek = keks.unwrap(*id, row).unwrap();
        let opened = dek.open(&of(client), Purpose::Person, sealed).ok()?;
        Some(opened.expose().to_vec())
    };
    assert_eq!(read(&rows, 1, &hers), Some(b"name".to_vec()));

    rows.remove(&1);
    assert_eq!(read(&rows, 1, &hers), None);
    assert_eq!(read(&rows, 2, &hers), None);
    assert_eq!(read(&rows, 2, &his), Some(b"name".to_vec()));
    rows.insert(
        1,
        (dek_id(1, 1), keks.wrap(dek_id(1, 1), &key(0x33), nonce(3))),
    );
    assert_eq!(read(&rows, 1, &hers), None);
}

#[test]
fn a_ring_has_one_owner_and_one_key_per_id() {
    let duplicate = Keyring::new(dek(1, 2, 1), [dek(1, 1, 2), dek(1, 2, 3)]);
    assert_eq!(
        duplicate.err(),
        Some(BadKeyring::Duplicate { id: KeyId(2) })
    );
    let other = Keyring::new(dek(1, 2, 1), [dek(2, 1, 2)]);
    assert_eq!(other.err(), Some(BadKeyring::OtherOwner { id: KeyId(1) }));
    let ring = keks(7, &[3, 9]);
    let ids: Vec<_> = ring.older_ids().collect();
    assert_eq!(
        (ring.active().id(), ids),
        (KeyId(7), vec![KeyId(3), KeyId(9)])
    );
    assert!(ring.get(KeyId(9)).is_some() && ring.get(KeyId(4)).is_none());
}

proptest! {
    #![proptest_config(cases(128))]

    /// The plan is what the ids of the keys say, whatever is among the rows.
    #[test]
    fn the_plan_names_every_row_once(
        rows_of in prop::collection::vec(0..6u8, 0..40),
        active in 1..5u8,
    ) {
        let generations: Vec<u8> = (1..5).collect();
        let all = |generation: u8| dek(1, u32::from(generation), generation);
        let older = generations.iter().filter(|&&g| g != active).map(|&g| all(g));
        let ring: Keyring<Dek> = Keyring::new(all(active), older).unwrap();
        // Generation 5 is not on the ring; 0 is no envelope.
        let sealed: Vec<Vec<u8>> = rows_of.iter().zip(rows()).map(|(&generation, context)| {
            if generation == 0 { return b"junk".to_vec(); }
            all(generation).seal(&context, Purpose::Note, b"text", nonce(1)).unwrap()
        }).collect();
        let plan = Plan::of(&ring, sealed.iter().enumerate());
        let numbers = |keep: &dyn Fn(u8) -> bool| -> Vec<usize> {
            rows_of.iter().enumerate().filter(|&(_, &g)| keep(g)).map(|(row, _)| row).collect()
        };
        prop_assert_eq!(&plan.stale, &numbers(&|g| (1..5).contains(&g) && g != active));
        prop_assert_eq!(&plan.orphans, &numbers(&|g| g == 0 || g == 5));
        prop_assert_eq!(plan.current, u64::try_from(numbers(&|g| g == active).len()).unwrap());
        let unneeded: BTreeSet<u32> = plan.unneeded(&ring).into_iter().map(|id| id.0).collect();
        let expected = (1..5).filter(|g| *g != active && !rows_of.contains(g)).map(u32::from);
        prop_assert_eq!(unneeded, expected.collect::<BTreeSet<_>>());
    }

    /// Spellings that mean one address have one index, and normalising twice changes nothing.
    #[test]
    fn spelling_does_not_matter(local in "[a-zäöüßéİΣ.+]{1,20}", domain in "[a-zäöü]{1,20}\\.[a-z]{2,5}") {
        let index = IndexKey::new(KeyId(1), &key(1));
        let clinic = ClinicId(Uuid::nil());
        let email = |text: &str| index.email(clinic, Addressee::Client, text).unwrap();
        let address = format!("{local}@{domain}");
        let lower: String = address.chars().flat_map(char::to_lowercase).collect();
        prop_assert!(email(&address) == email(&lower));
        let space = format!(" \t{address}\r\n");
        prop_assert!(email(&address) == email(&space));
        let other = format!("x{address}");
        prop_assert!(email(&address) != email(&other));
    }

    /// Any text is indexed or refused.
    #[test]
    fn any_address_is_answered(text in any::<String>()) {
        let index = IndexKey::new(KeyId(1), &key(1));
        for text in [text.clone(), format!("{text}@example.org")] {
            if let Err(refused) = index.email(ClinicId(Uuid::nil()), Addressee::Therapist, &text) {
                prop_assert!(refused.to_string().starts_with("a text of "));
            }
        }
    }
}

#[test]
fn a_request_has_an_index_of_its_own_kind() {
    let clinic = ClinicId(Uuid::from_u128(0xc1));
    let index = IndexKey::new(KeyId(1), &key(1));
    let message = [b"standing/v1/request", &clinic.0.as_bytes()[..], &[7; 32]].concat();
    let made = index.request(clinic, &[7; 32]);
    assert_eq!(made.as_bytes(), &oracle::hmac(&[1; 32], &message));
    assert!(index.request(ClinicId(Uuid::nil()), &[7; 32]) != made);
}

#[test]
fn an_index_is_what_the_oracle_makes_and_differs_by_key_clinic_and_addressee() {
    let clinic = ClinicId(Uuid::from_u128(0xc1));
    let index = IndexKey::new(KeyId(1), &key(1));
    let email = |of| -> BlindIndex { index.email(clinic, of, " Anna@Example.org ").unwrap() };
    for (of, label) in [
        (Addressee::Client, &b"standing/v1/client-email"[..]),
        (Addressee::Therapist, b"standing/v1/therapist-email"),
    ] {
        let message = [label, &clinic.0.as_bytes()[..], b"anna@example.org"].concat();
        assert_eq!(email(of).as_bytes(), &oracle::hmac(&[1; 32], &message));
    }
    let made = email(Addressee::Client);
    assert!(email(Addressee::Therapist) != made);
    let nowhere = ClinicId(Uuid::nil());
    let other = IndexKey::new(KeyId(1), &key(2));
    for (key, clinic) in [(&index, nowhere), (&other, clinic)] {
        let index = key.email(clinic, Addressee::Client, "anna@example.org");
        assert!(index.unwrap() != made);
    }
    let refused = index
        .email(clinic, Addressee::Client, "anna at example")
        .err();
    assert_eq!(
        refused.unwrap().to_string(),
        "a text of 15 bytes is not an e-mail address of at most 254"
    );
}
