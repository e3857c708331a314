//! Computing blind indexes again: after a restore of a backup, which has none, and for another key.

use chrono::{DateTime, Utc};
use clinic::{BlindIndex, ClinicId, PersonId, Scope, SealedPerson, personal_data};
use store::{Request, Store, StoreError};
use uuid::Uuid;

use super::maintenance::{Progress, Row, people};
use super::{Vault, VaultError};

impl Vault {
    /// Returns whether somebody lacks an index under one of the keys.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn lacks_indexes(&self, store: &dyn Store) -> Result<bool, VaultError> {
        for key in &self.keys()?.index {
            if store.lacks_index(key.id().0).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What indexing again did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// How many people are known.
    pub people: u64,
    /// How many of them had no indexes, or others than they have now.
    pub changed: u64,
    /// Who has none now: what is sealed of them does not open, or somebody else has their address.
    pub failed: Vec<(ClinicId, Uuid, String)>,
}

/// Gives everybody the blind indexes of their address under the keys of the key file, and removes those
/// of keys that went. Run anew after it broke off, it changes what is left. It runs while the service
/// works: a person who changes meanwhile has the indexes of the change.
///
/// Indexes of keys that are newer than the newest in the file stay: another machine has a newer file.
///
/// # Errors
/// [`VaultError`]. What was done until then stays.
pub async fn reindex(
    vault: &Vault,
    store: &dyn Store,
    now: DateTime<Utc>,
    progress: Progress<'_>,
) -> Result<Reindexed, VaultError> {
    let (mut done, mut left) = (Reindexed::default(), Vec::new());
    for clinic in store.clinics().await? {
        for Row { id, sealed, .. } in people(store, clinic).await? {
            let Some(sealed) = sealed else { continue };
            match index(vault, store, clinic, id, sealed, now).await? {
                Outcome::Same => {}
                Outcome::Changed => done.changed += 1,
                Outcome::Taken => left.push((clinic, id)),
                Outcome::Failed(why) => done.failed.push((clinic, id.uuid(), why)),
            }
            done.people += 1;
            progress(done.people);
        }
    }
    // Somebody else had an index that is theirs. By now that one has their own.
    for (clinic, id) in left {
        let Some(sealed) = super::stored(store, clinic, id).await? else {
            continue;
        };
        match index(vault, store, clinic, id, sealed, now).await? {
            Outcome::Same | Outcome::Changed => done.changed += 1,
            Outcome::Taken => {
                let why = "somebody else has this address".to_owned();
                done.failed.push((clinic, id.uuid(), why));
            }
            Outcome::Failed(why) => done.failed.push((clinic, id.uuid(), why)),
        }
    }
    Ok(done)
}

enum Outcome {
    Same,
    Changed,
    /// Somebody else has one of the indexes. The person has none now.
    Taken,
    Failed(String),
}

async fn index(
    vault: &Vault,
    store: &dyn Store,
    clinic: ClinicId,
    id: PersonId,
    sealed: SealedPerson,
    now: DateTime<Utc>,
) -> Result<Outcome, VaultError> {
    let version = sealed.version;
    let person = match vault.open_person(store, clinic, id, Some(sealed)).await {
        Ok(Some(person)) => person,
        Ok(None) => return Ok(Outcome::Same),
        Err(error @ (VaultError::Store(_) | VaultError::File(_))) => return Err(error),
        Err(error) => return Ok(Outcome::Failed(error.to_string())),
    };
    let mut indexes = vault.indexes(clinic, id, person.email())?;
    let newest = indexes.iter().map(|index| index.generation).max();
    let stored = store.indexes(clinic, id).await?;
    let newer = |index: &&BlindIndex| Some(index.generation) > newest;
    indexes.extend(stored.iter().filter(newer));
    if indexes == stored {
        return Ok(Outcome::Same);
    }
    match write(store, clinic, id, version, indexes, now).await {
        Err(StoreError::Constraint { .. }) => {
            // What it has is not its own, and may be another's.
            let none = write(store, clinic, id, version, Vec::new(), now).await;
            none.map(|()| Outcome::Taken).map_err(VaultError::from)
        }
        written => Ok(written.map(|()| Outcome::Changed)?),
    }
}

/// Writes the indexes of a version. Of somebody who has changed meanwhile, the change has written them.
async fn write(
    store: &dyn Store,
    clinic: ClinicId,
    id: PersonId,
    version: u64,
    indexes: Vec<BlindIndex>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let scope = Scope::Person {
        id,
        email: Vec::new(),
    };
    let decide = Box::new(move |view: &_| personal_data::index(view, id, version, indexes));
    let request = Request::of_console(clinic, now);
    match store.write(&request, scope, decide).await {
        Err(StoreError::Refused(clinic::Refusal::Stale { .. } | clinic::Refusal::Erased)) => Ok(()),
        written => written.map(|_| ()),
    }
}
