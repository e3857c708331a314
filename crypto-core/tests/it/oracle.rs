//! Everything again, from SHA-256 and single AES blocks: by the texts of the standards, slowly, and
//! without a line of the crate.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherEncrypt, KeyInit};
use crypto_core::Context;
use sha2::{Digest, Sha256};

/// RFC 2104, for keys of at most a block; longer ones are hashed first.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner);
    outer.finalize().into()
}

/// RFC 5869. `None` above 255 hashes.
pub(crate) fn hkdf(salt: &[u8], key: &[u8], info: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let prk = hmac(salt, key);
    let (mut okm, mut last) = (Vec::new(), Vec::new());
    for counter in 1..=bytes.div_ceil(32) {
        let counter = u8::try_from(counter).ok()?;
        last = hmac(&prk, &[&last[..], info, &[counter]].concat()).to_vec();
        okm.extend_from_slice(&last);
    }
    okm.truncate(bytes);
    Some(okm)
}

pub(crate) fn block(key: &[u8; 32], block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    block.into()
}

/// GF(2^128) of NIST SP 800-38D, section 6.3: the first bit is the coefficient of x^0.
pub(crate) fn multiply(x: u128, y: u128) -> u128 {
    const R: u128 = 0xe1 << 120;
    let (mut z, mut v) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            z ^= v;
        }
        v = v >> 1 ^ if v & 1 == 1 { R } else { 0 };
    }
    z
}

/// The inverse: x^(2^128 - 2), as the group has 2^128 - 1 elements.
pub(crate) fn inverse(x: u128) -> u128 {
    let (mut power, mut result) = (x, 1 << 127);
    for _ in 1..128 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}

/// The blocks that GHASH reads: associated data, ciphertext, their lengths.
pub(crate) fn ghash_blocks(associated: &[u8], ciphertext: &[u8]) -> Vec<u128> {
    let bits = |part: &[u8]| u128::try_from(part.len() * 8).unwrap();
    let padded = |part: &[u8]| {
        part.chunks(16)
            .map(|chunk| {
                let mut block = [0; 16];
                block[..chunk.len()].copy_from_slice(chunk);
                u128::from_be_bytes(block)
            })
            .collect::<Vec<_>>()
    };
    let lengths = bits(associated) << 64 | bits(ciphertext);
    [padded(associated), padded(ciphertext), vec![lengths]].concat()
}

pub(crate) fn ghash(h: u128, blocks: &[u128]) -> u128 {
    blocks.iter().fold(0, |y, block| multiply(y ^ block, h))
}

/// NIST SP 800-38D, sections 6.5 and 7.1, for nonces of 96 bits: the keystream from counter 2 on.
pub(crate) fn keystream(key: &[u8; 32], nonce: &[u8; 12], bytes: usize) -> Vec<u8> {
    let blocks = (2..).map(|counter| block(key, counter_block(nonce, counter)));
    blocks
        .take(bytes.div_ceil(16))
        .flatten()
        .take(bytes)
        .collect()
}

pub(crate) fn counter_block(nonce: &[u8; 12], counter: u32) -> [u8; 16] {
    let mut block = [0; 16];
    block[..12].copy_from_slice(nonce);
    block[12..].copy_from_slice(&counter.to_be_bytes());
    block
}

pub(crate) fn gcm_tag(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    sealed: &[u8],
) -> [u8; 16] {
    let h = u128::from_be_bytes(block(key, [0; 16]));
    let mask = u128::from_be_bytes(block(key, counter_block(nonce, 1)));
    (mask ^ ghash(h, &ghash_blocks(associated, sealed))).to_be_bytes()
}

pub(crate) fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter()
        .zip(other)
        .map(|(one, other)| one ^ other)
        .collect()
}

/// Ciphertext, then tag.
pub(crate) fn gcm(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    plaintext: &[u8],
) -> Vec<u8> {
    let sealed = xor(plaintext, &keystream(key, nonce, plaintext.len()));
    let tag = gcm_tag(key, nonce, associated, &sealed);
    [&sealed[..], &tag].concat()
}

/// The key and nonce that XAES-256-GCM gives to GCM: CMAC of the nonce's first half, twice.
///
/// Source: <https://c2sp.org/XAES-256-GCM>
pub(crate) fn xaes_key(key: &[u8; 32], nonce: &[u8; 24]) -> ([u8; 32], [u8; 12]) {
    let l = u128::from_be_bytes(block(key, [0; 16]));
    let k1 = l << 1 ^ if l >> 127 == 1 { 0x87 } else { 0 };
    let half = |index: u8| {
        let mut message = [0, index, b'X', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        message[4..].copy_from_slice(&nonce[..12]);
        block(key, (u128::from_be_bytes(message) ^ k1).to_be_bytes())
    };
    let mut derived = [0; 32];
    derived[..16].copy_from_slice(&half(1));
    derived[16..].copy_from_slice(&half(2));
    (derived, nonce[12..].try_into().unwrap())
}

pub(crate) fn context(context: &Context) -> Vec<u8> {
    [
        &context.owner.clinic.0.as_bytes()[..],
        &context.owner.client.0.as_bytes()[..],
        &context.row.0.as_bytes()[..],
        &context.field.0.to_be_bytes(),
        &context.version.0.to_be_bytes(),
    ]
    .concat()
}

/// All that goes into an envelope, free to choose.
pub(crate) struct Parts<'a> {
    pub(crate) key: [u8; 32],
    pub(crate) header: [u8; 6],
    pub(crate) context: &'a Context,
    pub(crate) nonce: [u8; 24],
}

impl Parts<'_> {
    fn subkey(&self, info: &[u8]) -> [u8; 32] {
        hkdf(&[0; 32], &self.key, info, 32)
            .unwrap()
            .try_into()
            .unwrap()
    }

    /// The key and nonce that GCM seals the body under.
    pub(crate) fn gcm_key(&self) -> ([u8; 32], [u8; 12]) {
        xaes_key(&self.subkey(b"standing/v1/enc"), &self.nonce)
    }

    pub(crate) fn associated(&self) -> Vec<u8> {
        [&self.header[..], &context(self.context)].concat()
    }

    pub(crate) fn commitment(&self) -> [u8; 32] {
        let bound = [&self.nonce[..], &self.associated()].concat();
        hmac(&self.subkey(b"standing/v1/com"), &bound)
    }

    /// An envelope around ciphertext and tag.
    pub(crate) fn envelope(&self, ciphertext_and_tag: &[u8]) -> Vec<u8> {
        [
            &self.header[..],
            &self.nonce,
            &self.commitment(),
            ciphertext_and_tag,
        ]
        .concat()
    }

    /// An envelope of bytes that are padded, or not, as the test wants them.
    pub(crate) fn seal(&self, padded: &[u8]) -> Vec<u8> {
        let (key, nonce) = self.gcm_key();
        self.envelope(&gcm(&key, &nonce, &self.associated(), padded))
    }
}

pub(crate) fn header(purpose: u8, key_id: u32) -> [u8; 6] {
    let [a, b, c, d] = key_id.to_be_bytes();
    [1, purpose, a, b, c, d]
}
