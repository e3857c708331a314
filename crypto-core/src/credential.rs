//! MACs of credentials: they bind a secret's bearer to a key that the database does not have.
//!
//! A credential's row says who may do what. A bare hash of the secret beside it would make everybody
//! who can write to the database an admin: a row of one's own, or another role in the row there is.
//! So the row carries HMAC-SHA256 (RFC 2104) over everything it says, and over the hash of its secret.
//! A row that was forged or edited has no valid MAC. A row put back after it was deleted has one.
//!
//! # The bytes
//!
//! `standing/v1/credential`, then at fixed widths: kind 1 (1 token, 2 feed), id 16 (nil for a feed,
//! which its bearer names), clinic 16, role 1 (1 admin, 2 operator, 3 therapist, 4 client), bearer 16
//! (nil for staff), SHA-256 of the secret 32.

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
    /// A token of this id: its bearer acts.
    Token(Uuid),
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

    fn over(&self, credential: &Credential, secret: &[u8; 32]) -> Hmac<Sha256> {
        let (kind, id) = match credential.kind {
            CredentialKind::Token(id) => (1, id),
            CredentialKind::Feed => (2, Uuid::nil()),
        };
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
    }
}

impl ZeroizeOnDrop for MacKey {}
