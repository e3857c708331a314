//! Keyrings: one active key, which seals, and older ones, which still open.

use std::collections::BTreeSet;

use crate::blind_index::IndexKey;
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

    /// Reads the text of a key file: a line for each KEK, with its id, whether it is `active` or
    /// `older`, and its bytes in hexadecimal. Empty lines and lines that begin with `#` say
    /// nothing. A line that begins with `index` is [`IndexKey::parse`](crate::IndexKey::parse)'s.
    ///
    /// The text is secret, and the caller's to wipe.
    ///
    /// ```
    /// # use crypto_core::{Kek, KeyId, Keyring};
    /// let text = format!("# since March\n2 active {}\n1 older {}\n", "5a".repeat(32), "c3".repeat(32));
    /// let keks = Keyring::<Kek>::parse(&text)?;
    /// assert_eq!(keks.active().id(), KeyId(2));
    /// # Ok::<(), crypto_core::BadKeyFile>(())
    /// ```
    ///
    /// # Errors
    /// [`BadKeyFile`] names the line, and never what stands in it.
    pub fn parse(text: &str) -> Result<Keyring<Kek>, BadKeyFile> {
        let (mut active, mut older) = (None, Vec::new());
        for (line, text) in (1..).zip(text.lines()) {
            let mut words = text.split_ascii_whitespace();
            let first = match words.next() {
                None => continue,
                Some(word) if word.starts_with('#') || word == INDEX => continue,
                Some(word) => word,
            };
            let (Some(state), Some(digits), None) = (words.next(), words.next(), words.next())
            else {
                return Err(BadKeyFile::Line { line });
            };
            let id = first.parse().map_err(|_| BadKeyFile::Line { line })?;
            let bytes = hexadecimal(digits).ok_or(BadKeyFile::Key { line })?;
            let kek = Kek::new(KeyId(id), &bytes);
            match state {
                "active" if active.is_some() => return Err(BadKeyFile::SecondActive { line }),
                "active" => active = Some(kek),
                "older" => older.push(kek),
                _ => return Err(BadKeyFile::Line { line }),
            }
        }
        let active = active.ok_or(BadKeyFile::NoActive)?;
        Ok(Keyring::new(active, older)?)
    }
}

/// How the line of a key file begins that holds the key of blind indexes.
const INDEX: &str = "index";

impl IndexKey {
    /// Reads the key of blind indexes from the text of a key file: its one line `index` and the
    /// bytes in hexadecimal.
    ///
    /// ```
    /// # use crypto_core::IndexKey;
    /// assert!(IndexKey::parse(&format!("index {}", "5a".repeat(32))).is_ok());
    /// ```
    ///
    /// # Errors
    /// [`BadKeyFile`] if there is no such line, or two, or its key is none.
    pub fn parse(text: &str) -> Result<IndexKey, BadKeyFile> {
        let mut found = None;
        for (line, text) in (1..).zip(text.lines()) {
            let mut words = text.split_ascii_whitespace();
            if words.next() != Some(INDEX) {
                continue;
            }
            let (Some(digits), None) = (words.next(), words.next()) else {
                return Err(BadKeyFile::Key { line });
            };
            let bytes = hexadecimal(digits).ok_or(BadKeyFile::Key { line })?;
            if found.replace(IndexKey::new(&bytes)).is_some() {
                return Err(BadKeyFile::SecondIndex { line });
            }
        }
        found.ok_or(BadKeyFile::NoIndex)
    }
}

/// Reads 64 hexadecimal digits, without branches or tables that depend on them.
fn hexadecimal(digits: &str) -> Option<KeyBytes> {
    let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
    let mut bytes = KeyBytes::zeros();
    let mut bad = 0;
    for (byte, pair) in bytes.expose_mut().iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let (value, unknown) = nibble(digit);
            *byte = *byte << 4 | value;
            bad |= unknown;
        }
    }
    (bad == 0).then_some(bytes)
}

/// The value of a hexadecimal digit, and whether it is none (0 or 0xff).
fn nibble(digit: u8) -> (u8, u8) {
    // 0xff where `low <= digit <= high`: neither difference borrows.
    let within = |low: u8, high: u8| {
        let below = u16::from(digit).wrapping_sub(u16::from(low)) >> 8;
        let above = u16::from(high).wrapping_sub(u16::from(digit)) >> 8;
        let [_, outside] = (below | above).to_be_bytes();
        !outside
    };
    let (number, lower, upper) = (within(b'0', b'9'), within(b'a', b'f'), within(b'A', b'F'));
    let value = number & digit.wrapping_sub(b'0')
        | lower & digit.wrapping_sub(b'a' - 10)
        | upper & digit.wrapping_sub(b'A' - 10);
    (value, !(number | lower | upper))
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

/// A text that is no key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKeyFile {
    /// Not an id, a state and a key.
    #[error("line {line} is not `<id> active|older <64 hexadecimal digits>`")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// The last word is no key.
    #[error("the key in line {line} is not 64 hexadecimal digits")]
    Key {
        /// Counted from 1.
        line: usize,
    },
    /// One key seals.
    #[error("line {line} is a second active key")]
    SecondActive {
        /// Counted from 1.
        line: usize,
    },
    /// One key seals.
    #[error("no key is active")]
    NoActive,
    /// One key makes blind indexes.
    #[error("line {line} is a second key of blind indexes")]
    SecondIndex {
        /// Counted from 1.
        line: usize,
    },
    /// One key makes blind indexes.
    #[error("there is no line `index <64 hexadecimal digits>`")]
    NoIndex,
    /// The keys are no ring.
    #[error(transparent)]
    Keyring(#[from] BadKeyring),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_as_a_digit() {
        for digit in 0..=u8::MAX {
            let expected = char::from(digit).to_digit(16);
            let (value, unknown) = nibble(digit);
            match expected {
                Some(expected) => assert_eq!((u32::from(value), unknown), (expected, 0)),
                None => assert_eq!((value, unknown), (0, 0xff)),
            }
        }
    }
}
