//! Keys: KEKs, which wrap DEKs; DEKs, which seal values. Their bytes come from outside.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::context::{Context, Field, Kind, Owner, Purpose, RowId, Version};
use crate::envelope::{Nonce, OpenError, Plaintext, SealError};
use crate::xaes::Xaes256Gcm;

/// Which key, among the KEKs or among an owner's DEKs, of which it is the generation. An envelope
/// names the one it was sealed under, and only that one is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The 32 secret bytes of a key, wiped when dropped. They cannot be printed, stored or copied.
pub struct KeyBytes(Box<[u8; 32]>);

impl KeyBytes {
    /// Takes the bytes and leaves zeros. All 256 bits must be random.
    #[must_use]
    pub fn take(bytes: &mut [u8; 32]) -> KeyBytes {
        let mut key = KeyBytes::zeros();
        key.0.copy_from_slice(bytes);
        bytes.zeroize();
        key
    }

    /// To be filled in place: on the heap, so that moving the key leaves no copy behind.
    pub(crate) fn zeros() -> KeyBytes {
        KeyBytes(Box::new([0; 32]))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for KeyBytes {}

/// What a key's bytes become, once, when it is made: a key that seals and a key that commits.
///
/// HKDF-SHA256 without a salt (RFC 5869, section 3.1: the bytes are uniform already), and one label
/// each.
pub(crate) struct Subkeys {
    pub(crate) seals: Xaes256Gcm,
    pub(crate) commits: Hmac<Sha256>,
}

impl Subkeys {
    fn of(bytes: &KeyBytes) -> Box<Subkeys> {
        let (mut prk, hkdf) = Hkdf::<Sha256>::extract(None, bytes.expose());
        prk.zeroize();
        let derive = |info: &[u8]| {
            let mut subkey = Zeroizing::new([0; 32]);
            let derived = hkdf.expand(info, &mut *subkey);
            derived.expect("32 bytes are fewer than 255 hashes");
            subkey
        };
        Box::new(Subkeys {
            seals: Xaes256Gcm::new(&derive(b"standing/v1/enc")),
            commits: Hmac::new_from_slice(&*derive(b"standing/v1/com"))
                .expect("HMAC takes keys of every length"),
        })
    }
}

/// The name of a DEK: whose it is, and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DekId {
    /// Whose values it seals.
    pub owner: Owner,
    /// The first, the second, ... of its owner. A rotation adds the next.
    pub generation: KeyId,
}

impl DekId {
    /// Where a wrapped DEK stands: its row is named by owner and generation, not by an id.
    pub(crate) fn context(self) -> Context {
        Context {
            owner: self.owner,
            row: RowId(Uuid::nil()),
            field: Field(0),
            version: Version(u64::from(self.generation.0)),
        }
    }
}

/// A data encryption key: seals and opens the values of one owner.
///
/// When its wrapped rows are deleted and it is dropped, what it sealed is gone: that is how a
/// client is erased.
pub struct Dek {
    id: DekId,
    subkeys: Box<Subkeys>,
}

impl Dek {
    /// The DEK of these bytes. A new one is wrapped first:
    /// [`Keyring::wrap`](crate::Keyring::wrap).
    #[must_use]
    pub fn new(id: DekId, bytes: &KeyBytes) -> Dek {
        Dek {
            id,
            subkeys: Subkeys::of(bytes),
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> DekId {
        self.id
    }

    /// Seals a plaintext into its place. The bytes are an [`Envelope`](crate::Envelope).
    ///
    /// # Errors
    /// [`SealError`] when the context is another owner's, or the plaintext longer than
    /// [`Purpose::max_bytes`].
    pub fn seal(
        &self,
        context: &Context,
        purpose: Purpose,
        plaintext: &[u8],
        nonce: Nonce,
    ) -> Result<Vec<u8>, SealError> {
        if context.owner != self.id.owner {
            return Err(SealError::OtherOwner {
                key: self.id.owner,
                context: context.owner,
            });
        }
        let kind = Kind::from(purpose);
        let too_long = SealError::TooLong {
            bytes: plaintext.len(),
            most: purpose.max_bytes(),
        };
        let padded = kind.padding.padded(plaintext.len()).ok_or(too_long)?;
        Ok(self
            .subkeys
            .seal(self.id.generation, kind, context, plaintext, padded, nonce))
    }

    /// Opens what was sealed under this key, in this place, for this purpose.
    ///
    /// # Errors
    /// [`OpenError`] in every other case, and no word about which.
    pub fn open(
        &self,
        context: &Context,
        purpose: Purpose,
        sealed: &[u8],
    ) -> Result<Plaintext, OpenError> {
        if context.owner != self.id.owner {
            return Err(OpenError::new());
        }
        self.subkeys
            .open(self.id.generation, purpose.into(), context, sealed)
    }
}

impl ZeroizeOnDrop for Dek {}

/// A key encryption key: wraps DEKs, and does nothing else.
pub struct Kek {
    id: KeyId,
    subkeys: Box<Subkeys>,
}

impl Kek {
    /// The KEK of these bytes.
    #[must_use]
    pub fn new(id: KeyId, bytes: &KeyBytes) -> Kek {
        Kek {
            id,
            subkeys: Subkeys::of(bytes),
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn wrap(&self, id: DekId, bytes: &[u8; 32], nonce: Nonce) -> Vec<u8> {
        let kind = Kind::WRAPPED_DEK;
        let padded = kind.padding.max_bytes() + 1;
        self.subkeys
            .seal(self.id, kind, &id.context(), bytes, padded, nonce)
    }

    pub(crate) fn unwrap(&self, id: DekId, wrapped: &[u8]) -> Result<KeyBytes, OpenError> {
        let opened = self
            .subkeys
            .open(self.id, Kind::WRAPPED_DEK, &id.context(), wrapped)?;
        let mut bytes = KeyBytes::zeros();
        let whole: &[u8; 32] = opened.expose().try_into().map_err(|_| OpenError::new())?;
        bytes.expose_mut().copy_from_slice(whole);
        Ok(bytes)
    }
}

impl ZeroizeOnDrop for Kek {}

/// What the markers on [`Dek`] and [`Kek`] rest on. HMAC has none, but consists of two SHA-256
/// states and their buffer.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<(Xaes256Gcm, Sha256)>();
};
