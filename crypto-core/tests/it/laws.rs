//! Properties of sealing and opening, against the oracle.

use crypto_core::{
    ClientId, ClinicId, Context, Dek, DekId, Envelope, Field, KeyBytes, KeyId, Keyring, Nonce,
    Owner, Purpose, RowId, SealError, Version,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::oracle::{Parts, header};
use crate::{cases, dek, dek_id, nonce, owner, place};

fn ids() -> impl Strategy<Value = Uuid> {
    prop_oneof![any::<u128>(), 0..3u128, Just(u128::MAX)].prop_map(Uuid::from_u128)
}

fn contexts() -> impl Strategy<Value = Context> {
    (ids(), ids(), ids(), any::<u16>(), any::<u64>()).prop_map(
        |(clinic, client, row, field, version)| Context {
            owner: Owner {
                clinic: ClinicId(clinic),
                client: ClientId(client),
            },
            row: RowId(row),
            field: Field(field),
            version: Version(version),
        },
    )
}

fn purposes() -> impl Strategy<Value = Purpose> {
    prop::sample::select(Purpose::ALL.to_vec())
}

/// Texts of every kind of length: short, around a padded length, long.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..300usize, 2 => 1000..1100usize, 1 => 0..20_000usize];
    (length, any::<[u8; 32]>())
        .prop_map(|(length, pattern)| pattern.iter().copied().cycle().take(length).collect())
}

/// The purpose's byte and its padded lengths, written down once more.
fn by_the_book(purpose: Purpose, bytes: usize) -> Option<(u8, usize)> {
    let bucket = |lengths: &[usize]| lengths.iter().copied().find(|&length| length > bytes);
    let padme = || {
        let length = (bytes + 1).max(256);
        // The shortest form that keeps log2(log2 length) + 1 digits behind the first.
        let exponent = (0..).find(|&e| length >> (e + 1) == 0)?;
        let kept = (0..).find(|&k| exponent >> k == 0)?;
        let unit = 1 << (exponent - kept);
        let padded = length.div_ceil(unit) * unit;
        (padded <= 1 << 20).then_some(padded)
    };
    let (byte, padded) = match purpose {
        Purpose::Message => (1, bucket(&[256, 1024, 4096, 16_384, 65_536])),
        Purpose::Note => (2, padme()),
        Purpose::VideoJoin => (3, bucket(&[256, 1024, 4096, 16_384, 65_536])),
        Purpose::TotpSeed => (4, bucket(&[128])),
        Purpose::Person => (6, padme()),
        other => unreachable!("{other:?}"),
    };
    Some((byte, padded?))
}

proptest! {
    #![proptest_config(cases(1024))]

    /// What is sealed is, byte for byte, what the oracle makes of the specification; and it opens.
    #[test]
    fn an_envelope_is_what_the_oracle_makes(
        context in contexts(),
        purpose in purposes(),
        text in texts(),
        key in any::<[u8; 32]>(),
        generation in any::<u32>(),
        nonce in any::<[u8; 24]>(),
    ) {
        let id = DekId { owner: context.owner, generation: KeyId(generation) };
        let dek = Dek::new(id, &KeyBytes::take(&mut key.clone()));
        let sealed = dek.seal(&context, purpose, &text, Nonce::from_random(nonce));
        let Some((byte, padded)) = by_the_book(purpose, text.len()) else {
            let most = purpose.max_bytes();
            let too_long = SealError::TooLong { bytes: text.len(), most };
            prop_assert_eq!(sealed, Err(too_long));
            prop_assert_eq!(purpose.sealed_bytes(text.len()), None);
            return Ok(());
        };
        let sealed = sealed.unwrap();
        prop_assert_eq!(purpose.sealed_bytes(text.len()), Some(sealed.len()));
        let parts = Parts { key, header: header(byte, generation), context: &context, nonce };
        let mut whole = text.clone();
        whole.push(0x80);
        whole.resize(padded, 0);
        prop_assert!(parts.seal(&whole) == sealed);
        prop_assert_eq!(Envelope::parse(&sealed).map(|e| e.key_id()), Ok(KeyId(generation)));
        let opened = dek.open(&context, purpose, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), text);
    }

    /// Any bytes at all are refused and not panicked over, also with a header that looks right.
    #[test]
    fn any_bytes_are_refused(
        mut bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            (0..2000usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
            prop::sample::select(vec![256usize, 1024]).prop_map(|n| vec![1; n + 78]),
        ],
        purpose in purposes(),
        looks_right in any::<bool>(),
    ) {
        let ring = Keyring::new(dek(1, 3, 0x33), []).unwrap();
        if looks_right {
            for (byte, right) in bytes.iter_mut().zip(header(1, 3)) {
                *byte = right;
            }
        }
        prop_assert!(ring.open(&place(), purpose, &bytes).is_err());
        prop_assert!(ring.active().open(&place(), purpose, &bytes).is_err());
    }

    /// A value opens in its own context and in no other.
    #[test]
    fn no_other_context_opens(one in contexts(), other in contexts(), purpose in purposes()) {
        let id = DekId { owner: one.owner, generation: KeyId(1) };
        let dek = Dek::new(id, &crate::key(5));
        let sealed = dek.seal(&one, purpose, b"text", nonce(1)).unwrap();
        prop_assert!(dek.open(&one, purpose, &sealed).is_ok());
        prop_assert_eq!(dek.open(&other, purpose, &sealed).is_ok(), one == other);
        let moved = Context { row: other.row, ..one };
        prop_assert_eq!(dek.open(&moved, purpose, &sealed).is_ok(), moved == one);
        let replayed = one.at(other.version);
        prop_assert_eq!(dek.open(&replayed, purpose, &sealed).is_ok(), replayed == one);
    }
}

/// Lengths at which the padded length changes, for every purpose, up to the longest.
#[test]
fn the_longest_and_one_more() {
    let dek = dek(1, 1, 5);
    for purpose in Purpose::ALL {
        let most = purpose.max_bytes();
        let text = vec![0x80; most + 1]; // marks all over
        let sealed = dek
            .seal(&place(), purpose, &text[..most], nonce(1))
            .unwrap();
        assert_eq!(sealed.len(), 78 + most + 1);
        assert_eq!(by_the_book(purpose, most).unwrap().1, most + 1);
        let opened = dek.open(&place(), purpose, &sealed).unwrap();
        assert!(opened.expose() == &text[..most]);
        let bytes = most + 1;
        let refused = dek.seal(&place(), purpose, &text, nonce(1)).unwrap_err();
        assert_eq!(refused, SealError::TooLong { bytes, most });
        assert_eq!(purpose.sealed_bytes(usize::MAX), None);
    }
}

/// A DEK seals in its owner's places only: a value under another's key would outlive its erasure.
#[test]
fn another_owners_place_is_refused() {
    let there = Context {
        owner: owner(2),
        ..place()
    };
    let refused = dek(1, 1, 5).seal(&there, Purpose::Note, b"", nonce(1));
    let expected = SealError::OtherOwner {
        key: owner(1),
        context: owner(2),
    };
    assert_eq!(refused, Err(expected));
    assert_eq!(
        expected.to_string(),
        "the key is of owner 00000000-0000-0000-0000-0000000000c1/00000000-0000-0000-0000-000000000001, \
         the context of owner 00000000-0000-0000-0000-0000000000c1/00000000-0000-0000-0000-000000000002"
    );
}

/// The error says nothing about the value, nor why.
#[test]
fn the_error_is_opaque() {
    let ring = Keyring::new(dek(1, 1, 5), []).unwrap();
    let refused = ring.open(&place(), Purpose::Note, b"secret").err().unwrap();
    assert_eq!(refused.to_string(), "the sealed value does not open here");
    assert_eq!(format!("{refused:?}"), "OpenError(())");
    assert_eq!(dek_id(1, 1), ring.active().id());
}

/// An envelope as it was when the format was fixed. If this test has to change, what is stored can
/// no longer be read.
#[test]
fn the_format_is_fixed() {
    let dek = dek(1, 0x0102_0304, 0x42);
    let sealed = dek.seal(
        &place(),
        Purpose::TotpSeed,
        b"12345678901234567890",
        nonce(0x24),
    );
    let sealed = sealed.unwrap();
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = concat!(
        "01",
        "04",
        "01020304",
        "242424242424242424242424242424242424242424242424",
        "626338d8ca345e3d5177d700c6359a626f1c77db862371e8ff94185353cb0423",
        "7fc8c957f2474a3513b44809c52b5d73f5db028cff5d06fb0ff5b341ac81c74b",
        "823c7bd4beb5dd3be711f17f3518f47eef10a783af346ffe3c5be2b29d346bee",
        "9c21ac30395546b44b7f27164d914db50099af57747b639b83c1783f7c225fc6",
        "b25718d86615777fc6b0bdd4507c927a7a859350a78c9353fad8ab838b1118af",
        "8a5c1a27f6fbe73f72d118a2bfdbc638",
    );
    assert_eq!(hex, expected);
}
