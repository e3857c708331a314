//! The envelope: what a sealed value is in bytes, how it is made, and how it is opened.

use hmac::Mac;
use zeroize::{ZeroizeOnDrop, optimization_barrier};

use crate::context::{CONTEXT_BYTES, Context, Kind, Owner};
use crate::key::{KeyId, Subkeys};
use crate::pad::MARK;

/// A sealed value, taken apart but not opened. Nothing of it can be trusted yet; it says which key
/// to fetch.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    header: &'a [u8; HEADER],
    nonce: &'a [u8; NONCE],
    commitment: &'a [u8; COMMITMENT],
    body: &'a [u8],
    tag: &'a [u8; TAG],
}

impl<'a> Envelope<'a> {
    /// What an envelope has beside the padded plaintext.
    pub const OVERHEAD_BYTES: usize = HEADER + NONCE + COMMITMENT + TAG;

    /// Takes sealed bytes apart.
    ///
    /// # Errors
    /// [`OpenError`] when they are too short or of an unknown suite.
    pub fn parse(sealed: &'a [u8]) -> Result<Envelope<'a>, OpenError> {
        let parts = || {
            let (header, rest) = sealed.split_first_chunk()?;
            let (nonce, rest) = rest.split_first_chunk()?;
            let (commitment, rest) = rest.split_first_chunk()?;
            let (body, tag) = rest.split_last_chunk()?;
            Some(Envelope {
                header,
                nonce,
                commitment,
                body,
                tag,
            })
        };
        let envelope = parts().ok_or(OpenError::new())?;
        if envelope.header[0] != SUITE {
            return Err(OpenError::new());
        }
        Ok(envelope)
    }

    /// The key it says it was sealed under: a DEK's generation, or a KEK's id.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        let [_, _, id @ ..] = *self.header;
        KeyId(u32::from_be_bytes(id))
    }
}

/// AES-256-GCM as XAES-256-GCM, with a commitment by HMAC-SHA256.
const SUITE: u8 = 0x01;
const HEADER: usize = 6;
const NONCE: usize = 24;
const COMMITMENT: usize = 32;
const TAG: usize = 16;

fn header(key: KeyId, kind: Kind) -> [u8; HEADER] {
    let [a, b, c, d] = key.0.to_be_bytes();
    [SUITE, kind.byte, a, b, c, d]
}

/// 24 random bytes, good for one envelope: sealing consumes them.
///
/// XAES-256-GCM takes random nonces without counting: two of 2^80 envelopes under one key share one
/// with a probability of 2^-32 (C2SP XAES-256-GCM).
pub struct Nonce([u8; NONCE]);

impl Nonce {
    /// These bytes, which must come from a cryptographic source for every call.
    #[must_use]
    pub fn from_random(bytes: [u8; 24]) -> Nonce {
        Nonce(bytes)
    }
}

/// An opened value, wiped when dropped. It cannot be printed, stored or copied by accident.
pub struct Plaintext {
    padded: Vec<u8>,
    bytes: usize,
}

impl Plaintext {
    /// The plaintext. What is copied out of here is the caller's to wipe.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.padded[..self.bytes]
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        // All at once: zeroize goes byte by byte, which takes half as long again as opening does.
        self.padded.fill(0);
        optimization_barrier(self.padded.as_slice());
    }
}

impl ZeroizeOnDrop for Plaintext {}

/// What nonce, header and context are, one after the other. The commitment covers all of it; GCM's
/// associated data is all but the nonce.
struct Bound([u8; NONCE + HEADER + CONTEXT_BYTES]);

impl Bound {
    fn new(nonce: &[u8; NONCE], header: [u8; HEADER], context: &Context) -> Bound {
        let mut bytes = [0; NONCE + HEADER + CONTEXT_BYTES];
        bytes[..NONCE].copy_from_slice(nonce);
        bytes[NONCE..NONCE + HEADER].copy_from_slice(&header);
        bytes[NONCE + HEADER..].copy_from_slice(&context.bytes());
        Bound(bytes)
    }

    fn associated_data(&self) -> &[u8] {
        &self.0[NONCE..]
    }
}

impl Subkeys {
    /// Seals a plaintext, padded to a length above its own.
    pub(crate) fn seal(
        &self,
        key: KeyId,
        kind: Kind,
        context: &Context,
        plaintext: &[u8],
        padded: usize,
        Nonce(nonce): Nonce,
    ) -> Vec<u8> {
        let header = header(key, kind);
        let bound = Bound::new(&nonce, header, context);
        let commitment = self.commits.clone().chain_update(bound.0).finalize();

        let mut sealed = Vec::with_capacity(Envelope::OVERHEAD_BYTES + padded);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&commitment.into_bytes());
        let body = sealed.len();
        sealed.extend_from_slice(plaintext);
        sealed.push(MARK);
        sealed.resize(body + padded, 0);
        // In place: the plaintext stands nowhere else.
        let tag = self
            .seals
            .seal(&nonce, bound.associated_data(), &mut sealed[body..])
            .expect("no padded form is as long as the 64 GiB that GCM takes");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Length, suite, purpose and key id; commitment; tag; padding. Whatever fails, the error is
    /// the same. What is compared before the commitment is public and of fixed length.
    pub(crate) fn open(
        &self,
        key: KeyId,
        kind: Kind,
        context: &Context,
        sealed: &[u8],
    ) -> Result<Plaintext, OpenError> {
        let envelope = Envelope::parse(sealed)?;
        let header = header(key, kind);
        if *envelope.header != header || !kind.padding.has(envelope.body.len()) {
            return Err(OpenError::new());
        }
        let bound = Bound::new(envelope.nonce, header, context);
        self.commits
            .clone()
            .chain_update(bound.0)
            .verify_slice(envelope.commitment) // in constant time
            .map_err(|_| OpenError::new())?;

        let mut opened = Plaintext {
            padded: envelope.body.to_vec(),
            bytes: 0,
        };
        self.seals
            .open(
                envelope.nonce,
                bound.associated_data(),
                &mut opened.padded,
                envelope.tag,
            )
            .map_err(|_| OpenError::new())?;
        let bytes = kind.padding.unpadded(&opened.padded);
        opened.bytes = bytes.ok_or(OpenError::new())?;
        Ok(opened)
    }
}

/// A value that does not open.
///
/// Swapped, replayed, truncated, changed by a bit, sealed under another key or for something else:
/// the error does not say which, because whoever may change rows would learn from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open here")]
pub struct OpenError(());

impl OpenError {
    pub(crate) fn new() -> OpenError {
        OpenError(())
    }
}

/// Why something was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The key is one owner's, the place another's. Sealed so, the value would outlive its owner's
    /// erasure.
    #[error("the key is of owner {key}, the context of owner {context}")]
    OtherOwner {
        /// Whose key.
        key: Owner,
        /// Whose place.
        context: Owner,
    },
    /// Longer than its purpose allows.
    #[error("a plaintext of {bytes} bytes is longer than {most}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
}
