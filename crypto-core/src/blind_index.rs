//! Blind indexes: finding a row by an e-mail address that the database cannot read.
//!
//! The index of an address is HMAC-SHA256 (RFC 2104) under a key of its own. Equal addresses of one
//! clinic's clients have equal indexes, and so have equal addresses of its therapists, and that is all
//! the database learns. Without the key, addresses cannot be tried out. Nothing links the indexes of a
//! person in two clinics, or as a client and as a therapist.
//!
//! Whoever has the key and an index can ask whether it is a given address. So an index has to go with
//! the person: it is deleted when they are erased, and no backup has it, since it can be computed again
//! from the sealed address. A key is replaced by indexing every address under a second key first.
//!
//! # Normalisation
//!
//! Two spellings of an address have one index when they differ only in white space around them, in
//! the case of letters, or in how Unicode composes a letter (NFC). Mailboxes that differ in case
//! alone exist by RFC 5321 and nowhere else. Nothing more is guessed: dots and `+tags` are part of
//! the address, and `bücher.example` and `xn--bcher-kva.example` are two.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::context::ClinicId;
use crate::key::{KeyBytes, KeyId};

/// A key of blind indexes. It opens nothing, and no other key may have its bytes.
pub struct IndexKey {
    id: KeyId,
    keyed: Box<Hmac<Sha256>>,
}

/// Whose address is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// A client's.
    Client,
    /// A therapist's.
    Therapist,
}

impl IndexKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(id: KeyId, bytes: &KeyBytes) -> IndexKey {
        let keyed = Hmac::new_from_slice(bytes.expose());
        let keyed = Box::new(keyed.expect("HMAC takes keys of every length"));
        IndexKey { id, keyed }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The index of an e-mail address in a clinic, over `standing/v1/client-email` or
    /// `standing/v1/therapist-email`, the clinic's 16 bytes and the normalised address.
    ///
    /// # Errors
    /// [`BadEmail`] when the text is no address, which is then not repeated.
    pub fn email(
        &self,
        clinic: ClinicId,
        of: Addressee,
        address: &str,
    ) -> Result<BlindIndex, BadEmail> {
        let normal = normal(address).ok_or(BadEmail {
            bytes: address.len(),
        })?;
        let label: &[u8] = match of {
            Addressee::Client => b"standing/v1/client-email",
            Addressee::Therapist => b"standing/v1/therapist-email",
        };
        Ok(self.mac(label, clinic, normal.as_bytes()))
    }

    /// The index of a request in a clinic, by its digest, over `standing/v1/request`, the clinic's 16
    /// bytes and the digest. A bare digest of what a person sent, kept to recognise it again, could be
    /// found out by trying: names are few.
    #[must_use]
    pub fn request(&self, clinic: ClinicId, digest: &[u8; 32]) -> BlindIndex {
        self.mac(b"standing/v1/request", clinic, digest)
    }

    fn mac(&self, label: &[u8], clinic: ClinicId, message: &[u8]) -> BlindIndex {
        let mac = Hmac::clone(&self.keyed)
            .chain_update(label)
            .chain_update(clinic.0.as_bytes())
            .chain_update(message);
        BlindIndex(mac.finalize().into_bytes().into())
    }
}

impl ZeroizeOnDrop for IndexKey {}

/// RFC 5321, section 4.5.3.1.3: a path has 256 bytes, two of which are its brackets.
const MAX_ADDRESS_BYTES: usize = 254;

/// The one spelling of an address; `None` when it is none.
fn normal(address: &str) -> Option<Zeroizing<String>> {
    let address = address.trim();
    if address.len() > MAX_ADDRESS_BYTES {
        return None;
    }
    let (local, domain) = address.rsplit_once('@')?;
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if local.is_empty() || domain.is_empty() || address.contains(odd) {
        return None;
    }
    // With room for every letter to grow, so that no part is left behind in an older allocation.
    let mut normal = Zeroizing::new(String::with_capacity(address.len() * 4));
    normal.extend(address.nfc().flat_map(char::to_lowercase).nfc());
    Some(normal)
}

/// What is stored beside a sealed address, to find it by. It is no secret, and no name to log a
/// person under either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlindIndex([u8; 32]);

impl BlindIndex {
    /// The bytes to store and to look for.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text that is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a text of {bytes} bytes is not an e-mail address of at most {}",
    MAX_ADDRESS_BYTES
)]
pub struct BadEmail {
    bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(address: &str) -> Option<String> {
        normal(address).map(|normal| String::from(normal.as_str()))
    }

    #[test]
    fn spellings_of_one_address() {
        for (one, other) in [
            ("anna@example.org", " Anna@EXAMPLE.org\r\n"),
            ("an\u{e9}@example.org", "ANE\u{301}@example.org"),
            ("\"a@b\"@example.org", "\"A@B\"@example.org"),
        ] {
            assert_eq!(spelled(one), spelled(other));
            assert!(spelled(one).is_some());
        }
        for other in [
            "an.na@example.org",
            "anna+x@example.org",
            "anna@example.com",
        ] {
            assert_ne!(spelled("anna@example.org"), spelled(other));
        }
    }

    #[test]
    fn what_is_no_address() {
        let long = format!("{}@example.org", "a".repeat(243));
        for bad in [
            "", " ", "anna", "@", "a@", "@b", "a b@c", "a@b c", "a\0@b", &long,
        ] {
            assert_eq!(spelled(bad), None, "{bad:?}");
        }
        assert!(spelled(&long[1..]).is_some());
    }
}
