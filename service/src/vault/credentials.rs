//! Tokens and feeds: made with a MAC, and taken for nothing without it.

use chrono::{DateTime, Utc};
use clinic::{ClinicId, Principal, Recipient, Role, StoredSecret};
use crypto_core::{Bearer, Credential, CredentialKind};
use store::{Store, Token};
use uuid::Uuid;

use super::{Vault, VaultError, in_crypto};
use crate::random;

impl Vault {
    /// Returns the row of a new token with this secret, and with the instant from which it is none.
    ///
    /// # Errors
    /// [`VaultError`] without a key file.
    pub fn token(
        &self,
        clinic: ClinicId,
        role: Role,
        secret: &str,
        now: DateTime<Utc>,
        ends_at: Option<DateTime<Utc>>,
    ) -> Result<Token, VaultError> {
        let id = random::id(now);
        Ok(Token {
            id,
            secret: self.stored_secret(&token(id, clinic, role, ends_at), secret)?,
            clinic,
            role,
            created_at: now,
            ends_at,
        })
    }

    /// Returns whose token has a secret. A row that this service has not made is no token, nor is one
    /// that has ended.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn principal(
        &self,
        store: &dyn Store,
        secret: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Principal>, VaultError> {
        let Some(found) = store.token(random::hash(secret)).await? else {
            return Ok(None);
        };
        let Token {
            id,
            clinic,
            role,
            ends_at,
            ..
        } = found;
        let is_ours = self.is_ours(&token(id, clinic, role, ends_at), &found.secret)?;
        let counts = is_ours && ends_at.is_none_or(|end| now < end);
        Ok(counts.then_some(Principal {
            clinic,
            credential: id,
            role,
        }))
    }

    /// Returns what is stored of the secret of somebody's feed.
    ///
    /// # Errors
    /// [`VaultError`] without a key file.
    pub fn feed_secret(
        &self,
        clinic: ClinicId,
        whose: Recipient,
        secret: &str,
    ) -> Result<StoredSecret, VaultError> {
        self.stored_secret(&feed(clinic, whose), secret)
    }

    /// Returns whose feed is behind a secret.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn feed(
        &self,
        store: &dyn Store,
        secret: &str,
    ) -> Result<Option<(ClinicId, Recipient)>, VaultError> {
        let Some(found) = store.feed(random::hash(secret)).await? else {
            return Ok(None);
        };
        let is_ours = self.is_ours(&feed(found.clinic, found.whose), &found.secret)?;
        Ok(is_ours.then_some((found.clinic, found.whose)))
    }

    fn stored_secret(
        &self,
        credential: &Credential,
        secret: &str,
    ) -> Result<StoredSecret, VaultError> {
        let hash = random::hash(secret);
        let mac = self.keys()?.mac.mac(credential, &hash);
        Ok(StoredSecret { hash, mac })
    }

    fn is_ours(&self, credential: &Credential, stored: &StoredSecret) -> Result<bool, VaultError> {
        let StoredSecret { hash, mac } = stored;
        Ok(self.keys()?.mac.is_valid(credential, hash, mac))
    }
}

fn token(id: Uuid, clinic: ClinicId, role: Role, ends_at: Option<DateTime<Utc>>) -> Credential {
    let ends_at = ends_at.map(|end| end.timestamp_micros());
    Credential {
        kind: CredentialKind::Token { id, ends_at },
        clinic: in_crypto(clinic),
        bearer: match role {
            Role::Admin => Bearer::Admin,
            Role::Operator => Bearer::Operator,
            Role::Therapist(id) => Bearer::Therapist(id.0),
            Role::Client(id) => Bearer::Client(id.0),
        },
    }
}

fn feed(clinic: ClinicId, whose: Recipient) -> Credential {
    Credential {
        kind: CredentialKind::Feed,
        clinic: in_crypto(clinic),
        bearer: match whose {
            Recipient::Therapist(id) => Bearer::Therapist(id.0),
            Recipient::Client(id) => Bearer::Client(id.0),
        },
    }
}
