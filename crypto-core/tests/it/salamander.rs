//! "Invisible salamanders": one ciphertext, two keys, two plaintexts. GCM's tag is a polynomial over
//! GF(2^128), so one free block makes it come out right under both keys.
//!
//! Source: Dodis, Grubbs, Ristenpart, Woodage, Fast Message Franking: From Invisible Salamanders to
//! Encryptment, CRYPTO 2018.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use crypto_core::{Dek, KeyBytes, Keyring, Purpose};

use crate::oracle::{
    Parts, block, counter_block, gcm_tag, ghash, ghash_blocks, header, inverse, keystream,
    multiply, xor,
};
use crate::{dek_id, place};

/// Changes the block at `free` so that one tag holds under both keys, and returns it.
fn both_tags(
    keys: [&[u8; 32]; 2],
    nonces: [&[u8; 12]; 2],
    associated: &[u8],
    ciphertext: &mut [u8],
    free: usize,
) -> [u8; 16] {
    assert!(ciphertext.len().is_multiple_of(16) && associated.len().is_multiple_of(16));
    ciphertext[free * 16..][..16].fill(0);
    let blocks = ghash_blocks(associated, ciphertext);
    let place = associated.len() / 16 + free;
    // tag = mask + ghash of the rest + free block * h^power, and the two tags shall be equal.
    let mut sides = [(0, 0); 2];
    for (side, (key, nonce)) in sides.iter_mut().zip(keys.into_iter().zip(nonces)) {
        let h = u128::from_be_bytes(block(key, [0; 16]));
        let mask = u128::from_be_bytes(block(key, counter_block(nonce, 1)));
        let power = (place + 1..blocks.len()).fold(h, |power, _| multiply(power, h));
        *side = (mask ^ ghash(h, &blocks), power);
    }
    let [(one, one_power), (other, other_power)] = sides;
    let solved = multiply(one ^ other, inverse(one_power ^ other_power));
    ciphertext[free * 16..][..16].copy_from_slice(&solved.to_be_bytes());
    let tag = gcm_tag(keys[0], nonces[0], associated, ciphertext);
    assert_eq!(tag, gcm_tag(keys[1], nonces[1], associated, ciphertext));
    tag
}

fn open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    sealed: &[u8],
    tag: [u8; 16],
) -> Vec<u8> {
    let mut opened = sealed.to_vec();
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(
            nonce.into(),
            associated,
            opened.as_mut_slice().into(),
            &tag.into(),
        )
        .unwrap();
    opened
}

#[test]
fn the_field_is_one() {
    // Source: NIST's GCM specification, test case 2: H and the GHASH of one block.
    let h = 0x66e9_4bd4_ef8a_2c3b_884c_fa59_ca34_2b2e;
    let x = 0x0388_dace_60b6_a392_f328_c2b9_71b2_fe78;
    assert_eq!(multiply(x, h), 0x5e2e_c746_9170_6288_2c85_b068_5353_deb7);
    assert_eq!(multiply(inverse(h), h), 1 << 127);
    assert_eq!(multiply(multiply(x, h), inverse(h)), x);
}

/// Plain AES-GCM opens it under both keys, and reads two different letters.
#[test]
fn plain_aes_gcm_opens_one_ciphertext_under_two_keys() {
    let (one, other, nonce) = ([1; 32], [2; 32], [3; 12]);
    let letters = [
        b"Session as agreed, Monday 18:00.",
        b"I never want to see you again!!!",
    ];
    // Sixteen blocks: one letter in the first two, the other in the next two.
    let mut sealed = vec![0; 256];
    sealed[..32].copy_from_slice(&xor(letters[0], &keystream(&one, &nonce, 32)));
    sealed[32..64].copy_from_slice(&xor(letters[1], &keystream(&other, &nonce, 64)[32..]));
    let tag = both_tags([&one, &other], [&nonce, &nonce], &[], &mut sealed, 15);
    assert_eq!(open(&one, &nonce, &[], &sealed, tag)[..32], letters[0][..]);
    assert_eq!(
        open(&other, &nonce, &[], &sealed, tag)[32..64],
        letters[1][..]
    );
}

/// The same in an envelope: everything right under two DEKs, suite, purpose, key id, context, tag
/// and even the padding. Only the commitment differs, and it is one DEK's or the other's.
#[test]
fn an_envelope_of_two_keys_opens_under_one() {
    let context = place();
    let header = header(1, 1);
    let keys = [[0x11; 32], [0x22; 32]];
    let parts = |key, nonce| Parts {
        key,
        header,
        context: &context,
        nonce,
    };
    // A full bucket has one byte of padding. It comes out right under both keys when the last bytes
    // of the keystreams are equal, which is so for one nonce in 256.
    let (nonce, gcm_keys) = (0u64..)
        .map(|seed| {
            let mut nonce = [0x5a; 24];
            nonce[..8].copy_from_slice(&seed.to_be_bytes());
            (nonce, keys.map(|key| parts(key, nonce).gcm_key()))
        })
        .find(|(_, keys)| {
            let [one, other] = keys.map(|(key, nonce)| keystream(&key, &nonce, 256)[255]);
            one == other
        })
        .unwrap();
    let [(one, half), (other, _)] = gcm_keys;
    let associated = parts(keys[0], nonce).associated();
    let mut sealed = vec![0x77; 256];
    sealed[255] = keystream(&one, &half, 256)[255] ^ 0x80;
    let tag = both_tags([&one, &other], [&half, &half], &associated, &mut sealed, 0);
    for key in [&one, &other] {
        assert_eq!(open(key, &half, &associated, &sealed, tag)[255], 0x80);
    }

    let body = [&sealed[..], &tag].concat();
    let deks = keys.map(|mut key| Dek::new(dek_id(1, 1), &KeyBytes::take(&mut key)));
    let envelopes = keys.map(|key| parts(key, nonce).envelope(&body));
    for (index, dek) in deks.into_iter().enumerate() {
        let ring = Keyring::new(dek, []).unwrap();
        let own = ring.open(&context, Purpose::Message, &envelopes[index]);
        assert_eq!(own.unwrap().expose().len(), 255);
        let others = &envelopes[1 - index];
        assert!(ring.open(&context, Purpose::Message, others).is_err());
    }
}
