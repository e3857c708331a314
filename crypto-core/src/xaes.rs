//! XAES-256-GCM: AES-256-GCM under a key that each message's nonce derives, so that nonces of 192
//! bits can be random and nothing needs counting.
//!
//! Source: <https://c2sp.org/XAES-256-GCM>. The names are the specification's.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, Error};
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::aes::{Aes256Enc, Block};
use aes_gcm::{AesGcm, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// GCM only ever encrypts blocks. Without the round keys that decrypt, a key is made faster, which
/// counts when every message has its own.
type Gcm = AesGcm<Aes256Enc, U12>;

pub(crate) struct Xaes256Gcm {
    aes: Aes256Enc,
    k1: Zeroizing<[u8; 16]>,
}

impl Xaes256Gcm {
    pub(crate) fn new(key: &[u8; 32]) -> Xaes256Gcm {
        let aes = Aes256Enc::new(key.into());
        let mut l = Block::default();
        aes.encrypt_block(&mut l);
        // L doubled in GF(2^128), without a branch on its first bit.
        let doubled = Zeroizing::new(u128::from_be_bytes(l.into()));
        let k1 = (*doubled << 1) ^ ((*doubled >> 127) * 0b1000_0111);
        l.zeroize();
        Xaes256Gcm {
            aes,
            k1: Zeroizing::new(k1.to_be_bytes()),
        }
    }

    /// Encrypts in place and returns the tag.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; 24],
        associated: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; 16], Error> {
        let (gcm, nonce) = self.derive(nonce);
        let tag = gcm.encrypt_inout_detached(&nonce.into(), associated, bytes.into())?;
        Ok(tag.into())
    }

    /// Decrypts in place what the tag is true of; leaves anything else as it is.
    pub(crate) fn open(
        &self,
        nonce: &[u8; 24],
        associated: &[u8],
        bytes: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Error> {
        let (gcm, nonce) = self.derive(nonce);
        gcm.decrypt_inout_detached(&nonce.into(), associated, bytes.into(), tag.into())
    }

    /// Kx, ready for use, and Nx.
    fn derive(&self, nonce: &[u8; 24]) -> (Gcm, [u8; 12]) {
        let (first, second) = nonce.split_at(12);
        let message = |counter: u8| {
            let mut block = Block::from(*self.k1);
            block[1] ^= counter;
            block[2] ^= b'X';
            for (byte, nonce) in block[4..].iter_mut().zip(first) {
                *byte ^= nonce;
            }
            block
        };
        let mut halves = [message(1), message(2)];
        self.aes.encrypt_blocks(&mut halves);
        let mut kx = Zeroizing::new([0; 32]);
        for (half, block) in kx.chunks_exact_mut(16).zip(&mut halves) {
            half.copy_from_slice(block);
            block.zeroize();
        }
        let mut nx = [0; 12];
        nx.copy_from_slice(second);
        (Gcm::new((&*kx).into()), nx)
    }
}

impl ZeroizeOnDrop for Xaes256Gcm {}

/// What the marker rests on.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<(Aes256Enc, Gcm)>();
};

#[cfg(test)]
mod tests {
    use shake::{ExtendableOutput, Shake128, Update, XofReader};

    use super::*;

    /// Seals, checks that it opens, and returns ciphertext and tag.
    fn seal(key: &[u8; 32], nonce: &[u8; 24], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let xaes = Xaes256Gcm::new(key);
        let mut sealed = plaintext.to_vec();
        let tag = xaes.seal(nonce, associated, &mut sealed).unwrap();
        let mut opened = sealed.clone();
        xaes.open(nonce, associated, &mut opened, &tag).unwrap();
        assert_eq!(opened, plaintext);
        sealed.extend_from_slice(&tag);
        sealed
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Source: <https://c2sp.org/XAES-256-GCM>, test vectors: both values of L's first bit.
    #[test]
    fn c2sp_vectors() {
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
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
            assert_eq!(
                hex(&seal(&key, nonce, associated, b"XAES-256-GCM")),
                expected
            );
        }
    }

    /// Keys, nonces and texts from SHAKE-128, and SHAKE-128 over all that is sealed.
    fn accumulated(rounds: u32) -> String {
        let mut input = Shake128::default().finalize_xof();
        let mut sum = Shake128::default();
        for _ in 0..rounds {
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
            sum.update(&seal(&key, &nonce, &associated, &plaintext));
        }
        let mut digest = [0; 32];
        sum.finalize_xof().read(&mut digest);
        hex(&digest)
    }

    /// Source: <https://c2sp.org/XAES-256-GCM>, accumulated randomized tests
    #[test]
    fn c2sp_accumulated_ten_thousand() {
        let expected = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
        assert_eq!(accumulated(10_000), expected);
    }

    /// Source: as above.
    #[test]
    fn c2sp_accumulated_million() {
        let expected = "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15";
        assert_eq!(accumulated(1_000_000), expected);
    }
}
