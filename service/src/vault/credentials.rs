//! Tokens and feeds: made with a MAC, and taken for nothing without it.

use chrono::{DateTime, Utc};
use clinic::{ClinicId, Principal, Recipient, Role, StoredSecret};
use crypto_core::{Bearer, Credential, CredentialKind};
use store::{Store, Token};
use uuid::Uuid;

use super::{Vault, VaultError, in_crypto};
use crate::random;

impl Vault {
    /// Returns the row of a new token with this secret.
    ///
    /// # Errors
    /// [`VaultError`] without a key file.
    pub fn token(
        &self,
        clinic: ClinicId,
        role: Role,
        secret: &str,
        now: DateTime<Utc>,
    ) -> Result<Token, VaultError> {
        let id = random::id(now);
        Ok(Token {
            id,
            secret: self.stored_secret(&token(id, clinic, role), secret)?,
            clinic,
            role,
            created_at: now,
        })
    }

    /// Returns whose token has a secret. A row that this service has not made is no token.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn principal(
        &self,
        store: &dyn Store,
        secret: &str,
    ) -> Result<Option<Principal>, VaultError> {
        let Some(found) = store.token(random::hash(secret)).await? else {
            return Ok(None);
        };
        let Token {
            id, clinic, role, ..
        } = found;
        let is_ours = self.is_ours(&token(id, clinic, role), &found.secret)?;
        Ok(is_ours.then_some(Principal {
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

fn token(id: Uuid, clinic: ClinicId, role: Role) -> Credential {
    Credential {
        kind: CredentialKind::Token(id),
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
