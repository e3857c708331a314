//! MACs of credentials: every byte of what they say is under them.

use crypto_core::{Bearer, ClinicId, Credential, CredentialKind, KeyBytes, MacKey};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{cases, oracle};

fn mac_key() -> MacKey {
    MacKey::new(&KeyBytes::take(&mut std::array::from_fn(|byte| {
        u8::try_from(byte).unwrap()
    })))
}

/// Computed with Python's `hmac`, `hashlib` and `uuid`, from the table in the module's documentation:
///
/// ```python
/// secret = sha256(b"standing_" + b"0f" * 32).digest()
/// hmac.new(bytes(range(32)), b"standing/v1/credential" + bytes([kind]) + UUID(int=id).bytes
///     + UUID(int=0xc1).bytes + bytes([role]) + UUID(int=bearer).bytes + secret
///     + end.to_bytes(8, "big", signed=True), sha256).hexdigest()   # the end only of kind 3
/// ```
#[test]
fn recorded_macs() {
    let secret = Sha256::digest(format!("standing_{}", "0f".repeat(32))).into();
    let id = Uuid::from_u128(0x70);
    let token = CredentialKind::Token { id, ends_at: None };
    let ends = CredentialKind::Token {
        id,
        ends_at: Some(1_800_000_000_000_000),
    };
    let (therapist, client) = (
        Bearer::Therapist(Uuid::from_u128(0x33)),
        Bearer::Client(Uuid::from_u128(0x33)),
    );
    for (kind, bearer, expected) in [
        (
            token,
            Bearer::Admin,
            "7fd04d65348cb5724115fd5267982a551ff94213d15b342290e12ae97a861247",
        ),
        (
            token,
            Bearer::Operator,
            "dcdde746468e99fa4bfdaaa28d0fc060d5abc403f4ff9d06273a874bb117b7a8",
        ),
        (
            token,
            therapist,
            "4167feef1ae1daa0a0c64c6042dd4f1de05fd8770b6daeb46100f0c2d977f9a0",
        ),
        (
            token,
            client,
            "9ed0a1f718b3f119432c65a594de2a0b9fc21e8bee3580cc7c988121f26d1669",
        ),
        (
            ends,
            client,
            "edfc97e48fcd65229c1d5fac5290fd3528dbbafc8efeb882ebfd0d5a7bcdf427",
        ),
        (
            CredentialKind::Feed,
            therapist,
            "51f972c44724e5f0a02456dc072c54e5791287f74292fbc14c797f435f9604f6",
        ),
        (
            CredentialKind::Feed,
            client,
            "312f4fc09c00febece2b9c8cd0ba093c55a3952446a31a44b3f4f9c5ae31567e",
        ),
    ] {
        let clinic = ClinicId(Uuid::from_u128(0xc1));
        let credential = Credential {
            kind,
            clinic,
            bearer,
        };
        let made = mac_key().mac(&credential, &secret);
        let hex: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{credential:?}");
        assert!(mac_key().is_valid(&credential, &secret, &made));
    }
}

#[test]
fn a_fingerprint_is_of_one_key() {
    let raw: Vec<u8> = (0..32).collect();
    let expected = oracle::hmac(&raw, b"standing/v1/fingerprint");
    assert_eq!(mac_key().fingerprint(), expected);
    assert_ne!(MacKey::new(&crate::key(1)).fingerprint(), expected);
}

fn credentials() -> impl Strategy<Value = (Credential, [u8; 32])> {
    // Few ids, so that they meet in different places.
    let id = (0..3_u128).prop_map(Uuid::from_u128);
    let kind = prop_oneof![
        (id.clone(), proptest::option::of(-1_i64..2))
            .prop_map(|(id, ends_at)| CredentialKind::Token { id, ends_at }),
        Just(CredentialKind::Feed)
    ];
    let bearer = prop_oneof![
        Just(Bearer::Admin),
        Just(Bearer::Operator),
        id.clone().prop_map(Bearer::Therapist),
        id.clone().prop_map(Bearer::Client),
    ];
    let secret = (0..2_u8).prop_map(|byte| [byte; 32]);
    (kind, id, bearer, secret).prop_map(|(kind, clinic, bearer, secret)| {
        let credential = Credential {
            kind,
            clinic: ClinicId(clinic),
            bearer,
        };
        (credential, secret)
    })
}

/// The message, by the table in the module's documentation.
fn message(credential: &Credential, secret: &[u8; 32]) -> Vec<u8> {
    let (kind, id, end) = match credential.kind {
        CredentialKind::Token { id, ends_at: None } => (1, id.as_u128(), vec![]),
        CredentialKind::Token {
            id,
            ends_at: Some(end),
        } => (3, id.as_u128(), end.to_be_bytes().to_vec()),
        CredentialKind::Feed => (2, 0, vec![]),
    };
    let (role, bearer) = match credential.bearer {
        Bearer::Admin => (1, 0),
        Bearer::Operator => (2, 0),
        Bearer::Therapist(id) => (3, id.as_u128()),
        Bearer::Client(id) => (4, id.as_u128()),
    };
    let mut message = b"standing/v1/credential".to_vec();
    message.push(kind);
    message.extend(id.to_be_bytes());
    message.extend(credential.clinic.0.as_u128().to_be_bytes());
    message.push(role);
    message.extend(bearer.to_be_bytes());
    message.extend(secret);
    message.extend(end);
    message
}

proptest! {
    #![proptest_config(cases(512))]

    /// A MAC is valid for what it was made of, and for nothing that differs in anything.
    #[test]
    fn a_mac_is_of_one_credential((one, secret) in credentials(), (other, of) in credentials()) {
        let key = mac_key();
        let mac = key.mac(&one, &secret);
        let raw: Vec<u8> = (0..32).collect();
        prop_assert_eq!(mac, oracle::hmac(&raw, &message(&one, &secret)));
        prop_assert_eq!(key.is_valid(&other, &of, &mac), (one, secret) == (other, of));
        prop_assert_eq!(
            message(&one, &secret) == message(&other, &of), (one, secret) == (other, of)
        );
    }
}

#[test]
fn another_key_or_a_changed_mac_is_not_valid() {
    let credential = Credential {
        kind: CredentialKind::Feed,
        clinic: ClinicId(Uuid::nil()),
        bearer: Bearer::Admin,
    };
    let mac = mac_key().mac(&credential, &[7; 32]);
    assert!(!MacKey::new(&crate::key(1)).is_valid(&credential, &[7; 32], &mac));
    for bit in 0..256 {
        let mut changed = mac;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!mac_key().is_valid(&credential, &[7; 32], &changed));
    }
}
