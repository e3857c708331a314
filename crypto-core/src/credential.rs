//! MACs of credentials: they bind a secret's bearer to a key that the database does not have.
//!
//! A credential's row says who may do what. A bare hash of the secret beside it would make everybody
//! who can write to the database an admin: a row of one's own, or another role in the row there is.
//! So the row carries HMAC-SHA256 (RFC 2104) over everything it says, and over the hash of its secret.
//! A row that was forged or edited has no valid MAC. A row put back after it was deleted has one.
//!
//! # The bytes
//!
//! `standing/v1/credential`, then at fixed widths: kind 1 (1 token without an end, 2 feed, 3 token that
//! ends), id 16 (nil for a feed, which its bearer names), clinic 16, role 1 (1 admin, 2 operator,
//! 3 therapist, 4 client), bearer 16 (nil for staff), SHA-256 of the secret 32. Kind 3 has its end after
//! that: microseconds since 1970, signed, 8 bytes, big-endian.
//!
//! The fingerprint of the key is the same MAC over `standing/v1/fingerprint` alone.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::ZeroizeOnDrop;

use crate::context::ClinicId;
use crate::key::KeyBytes;

/// The key of credentials' MACs. It opens nothing, and no other key may have its bytes.
pub struct MacKey(Box<Hmac<Sha256>>);

/// The bearer that a secret identifies, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// What it is.
    pub kind: CredentialKind,
    /// Where it is valid.
    pub clinic: ClinicId,
    /// For whom.
    pub bearer: Bearer,
}

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A token: its bearer acts.
    Token {
        /// Its own id.
        id: Uuid,
        /// When it ends by itself, in microseconds since 1970.
        ends_at: Option<i64>,
    },
    /// A calendar feed: its bearer's appointments are read.
    Feed,
}

/// The bearer of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// The clinic's staff.
    Admin,
    /// The operator of the service.
    Operator,
    /// This therapist.
    Therapist(Uuid),
    /// This client.
    Client(Uuid),
}

impl MacKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: &KeyBytes) -> MacKey {
        let keyed = Hmac::new_from_slice(bytes.expose());
        MacKey(Box::new(keyed.expect("HMAC takes keys of every length")))
    }

    /// Returns the MAC of a credential whose secret has this SHA-256.
    #[must_use]
    pub fn mac(&self, credential: &Credential, secret: &[u8; 32]) -> [u8; 32] {
        self.over(credential, secret).finalize().into_bytes().into()
    }

    /// Returns whether this is the MAC of a credential, in a time that does not depend on where it
    /// differs.
    #[must_use]
    pub fn is_valid(&self, credential: &Credential, secret: &[u8; 32], mac: &[u8; 32]) -> bool {
        self.over(credential, secret).verify_slice(mac).is_ok()
    }

    /// Returns what a database keeps to know its key file again. It says nothing of the key.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let keyed = Hmac::clone(&self.0).chain_update(b"standing/v1/fingerprint");
        keyed.finalize().into_bytes().into()
    }

    fn over(&self, credential: &Credential, secret: &[u8; 32]) -> Hmac<Sha256> {
        let (kind, id, ends_at) = match credential.kind {
            CredentialKind::Token { id, ends_at: None } => (1, id, None),
            CredentialKind::Token { id, ends_at } => (3, id, ends_at),
            CredentialKind::Feed => (2, Uuid::nil(), None),
        };
        let ends_at = ends_at.map(i64::to_be_bytes);
        let (role, bearer) = match credential.bearer {
            Bearer::Admin => (1, Uuid::nil()),
            Bearer::Operator => (2, Uuid::nil()),
            Bearer::Therapist(id) => (3, id),
            Bearer::Client(id) => (4, id),
        };
        Hmac::clone(&self.0)
            .chain_update(b"standing/v1/credential")
            .chain_update([kind])
            .chain_update(id.as_bytes())
            .chain_update(credential.clinic.0.as_bytes())
            .chain_update([role])
            .chain_update(bearer.as_bytes())
            .chain_update(secret)
            .chain_update(ends_at.as_ref().map_or(&[][..], <[u8; 8]>::as_slice))
    }
}

impl ZeroizeOnDrop for MacKey {}
