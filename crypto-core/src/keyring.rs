//! Keyrings: one active key, which seals, and older ones, which still open.

use std::collections::BTreeSet;

use crate::context::{Context, Owner, Purpose, Version};
use crate::envelope::{Envelope, Nonce, OpenError, Plaintext, SealError};
use crate::key::{Dek, DekId, Kek, KeyBytes, KeyId};

use sealed::Named;

/// The keys of one kind: the [`Kek`]s of an installation, or the [`Dek`]s of one owner.
///
/// An envelope names its key. Exactly that one is tried: if it is not here, nothing is.
pub struct Keyring<K> {
    active: K,
    older: Vec<K>,
}

impl<K: Key> Keyring<K> {
    /// A ring of an active key and older ones, in any order.
    ///
    /// # Errors
    /// [`BadKeyring`] when two keys have one id, or DEKs have two owners.
    pub fn new(active: K, older: impl IntoIterator<Item = K>) -> Result<Keyring<K>, BadKeyring> {
        let mut ring = Keyring {
            active,
            older: Vec::new(),
        };
        let mut ids = BTreeSet::from([ring.active.key_id()]);
        for key in older {
            let id = key.key_id();
            if !ids.insert(id) {
                return Err(BadKeyring::Duplicate { id });
            }
            if key.key_owner() != ring.active.key_owner() {
                return Err(BadKeyring::OtherOwner { id });
            }
            ring.older.push(key);
        }
        Ok(ring)
    }

    /// The key that seals.
    #[must_use]
    pub fn active(&self) -> &K {
        &self.active
    }

    /// The key of this id. A caller that keeps rings in memory looks here whether an envelope's key
    /// is on the ring, and if not loads the ring anew: another process may have rotated.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&K> {
        std::iter::once(&self.active)
            .chain(&self.older)
            .find(|key| key.key_id() == id)
    }

    /// The ids of the keys that only open.
    pub fn older_ids(&self) -> impl Iterator<Item = KeyId> {
        self.older.iter().map(Named::key_id)
    }

    fn named_by(&self, sealed: &[u8]) -> Result<&K, OpenError> {
        let id = Envelope::parse(sealed)?.key_id();
        self.get(id).ok_or(OpenError::new())
    }
}

impl Keyring<Dek> {
    /// Seals under the active generation.
    ///
    /// # Errors
    /// As [`Dek::seal`].
    pub fn seal(
        &self,
        context: &Context,
        purpose: Purpose,
        plaintext: &[u8],
        nonce: Nonce,
    ) -> Result<Vec<u8>, SealError> {
        self.active.seal(context, purpose, plaintext, nonce)
    }

    /// Opens under the generation that the envelope names.
    ///
    /// # Errors
    /// As [`Dek::open`]; also when that generation is not on the ring.
    pub fn open(
        &self,
        context: &Context,
        purpose: Purpose,
        sealed: &[u8],
    ) -> Result<Plaintext, OpenError> {
        self.named_by(sealed)?.open(context, purpose, sealed)
    }

    /// Opens a value and seals it anew in the same place, under the active generation and as the
    /// version `to`. The caller writes it where the value and its version are still the old ones.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn reseal(
        &self,
        context: &Context,
        to: Version,
        purpose: Purpose,
        sealed: &[u8],
        nonce: Nonce,
    ) -> Result<Vec<u8>, OpenError> {
        let plaintext = self.open(context, purpose, sealed)?;
        self.seal(&context.at(to), purpose, plaintext.expose(), nonce)
            .map_err(|_| OpenError::new()) // what was sealed once has the length for it
    }
}

impl Keyring<Kek> {
    /// Wraps a DEK's bytes for its row, under the active KEK.
    #[must_use]
    pub fn wrap(&self, id: DekId, bytes: &KeyBytes, nonce: Nonce) -> Vec<u8> {
        self.active.wrap(id, bytes.expose(), nonce)
    }

    /// The DEK in the row of this owner and generation.
    ///
    /// # Errors
    /// [`OpenError`] when it was wrapped for another row, was changed, or its KEK is not on the
    /// ring.
    pub fn unwrap(&self, id: DekId, wrapped: &[u8]) -> Result<Dek, OpenError> {
        let bytes = self.named_by(wrapped)?.unwrap(id, wrapped)?;
        Ok(Dek::new(id, &bytes))
    }

    /// Unwraps a DEK and wraps it anew for the same row, under the active KEK. Nothing that the DEK
    /// sealed changes.
    ///
    /// # Errors
    /// As [`Keyring::unwrap`].
    pub fn rewrap(&self, id: DekId, wrapped: &[u8], nonce: Nonce) -> Result<Vec<u8>, OpenError> {
        let bytes = self.named_by(wrapped)?.unwrap(id, wrapped)?;
        Ok(self.wrap(id, &bytes, nonce))
    }
}

/// What a [`Keyring`] holds: [`Kek`] and [`Dek`], and nothing else.
pub trait Key: sealed::Named {}

impl Key for Kek {}
impl Key for Dek {}

mod sealed {
    use super::{Dek, Kek, KeyId, Owner};

    pub trait Named {
        fn key_id(&self) -> KeyId;
        fn key_owner(&self) -> Option<Owner>;
    }

    impl Named for Kek {
        fn key_id(&self) -> KeyId {
            self.id()
        }
        fn key_owner(&self) -> Option<Owner> {
            None
        }
    }

    impl Named for Dek {
        fn key_id(&self) -> KeyId {
            self.id().generation
        }
        fn key_owner(&self) -> Option<Owner> {
            Some(self.id().owner)
        }
    }
}

/// Keys that are no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKeyring {
    /// An id must select one key.
    #[error("two keys have the id {id}")]
    Duplicate {
        /// That id.
        id: KeyId,
    },
    /// The DEKs of a ring have one owner.
    #[error("the key of generation {id} is of another owner than the active one")]
    OtherOwner {
        /// Its generation.
        id: KeyId,
    },
}
