//! What is known of people, sealed on its way into the database and opened on its way out.
//!
//! The key file holds the KEKs, the keys of blind indexes and the key of credentials' MACs. Each person has keys of their own, their
//! DEKs, which stand wrapped in the database; unwrapped they live in memory for a minute at most.
//! `crypto-core` does the sealing; here is where keys and nonces come from, and where a value stands.

mod belonging;
mod credentials;
mod indexing;
mod key_file;
mod maintenance;
mod rings;
mod verify;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clinic::{BlindIndex, ClinicId, Person, PersonId, SealedPerson, WrappedDek};
use crypto_core::{
    Addressee, Context, Dek, DekId, Envelope, Field, IndexKey, KeyId, Keyring, Keys, OpenError,
    Owner, Purpose, RowId, Version,
};
use store::{Store, StoreError};
use zeroize::Zeroizing;

pub use indexing::{Reindexed, reindex};
pub use key_file::{Ensured, KeyFile, KeyFileError, Staged};
pub use maintenance::{
    Erased, Progress, Rewrapped, Rotated, erase, rotate_deks, rotate_kek, try_erasing,
};

pub use verify::{Checked, verify};

use crate::random;
use rings::Rings;

/// The numbers of sealed fields, in all tables. None is ever used for another.
const PERSON_OF_CLIENT: Field = Field(1);
const PERSON_OF_THERAPIST: Field = Field(2);

/// How often a value is read again whose key was exchanged in between.
const READS_MAX: u32 = 4;

/// The one place that seals and opens.
pub struct Vault {
    keys: Option<KeyFile>,
    rings: Rings,
}

/// Why something is not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The process was started without a key file.
    #[error("there is no key file")]
    Closed,
    /// The key file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The key file is not the one that the database is sealed under.
    #[error(
        "the key file {} does not belong to this database: it is another database's, or from before a \
         key was added to it. Every machine needs the same file", file.display()
    )]
    Foreign {
        /// Which file.
        file: std::path::PathBuf,
    },
    /// A value does not open in its place.
    #[error("what is sealed of {of} does not open")]
    Unopenable {
        /// Whose it is.
        of: uuid::Uuid,
    },
    /// The key that a value names is not there, or not any more.
    #[error("a key of {of} is not there")]
    Gone {
        /// Whose it is.
        of: uuid::Uuid,
    },
    /// What is to be sealed is longer than it may be.
    #[error(transparent)]
    Seal(#[from] crypto_core::SealError),
    /// The store has its own reasons.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Vault {
    /// A vault with the keys of a file.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        Ok(Self::with(KeyFile::open(path)?))
    }

    /// A vault with new keys that are nowhere but in memory. What it seals is gone with it.
    ///
    /// # Errors
    /// [`KeyFileError`], which new keys do not give.
    pub fn temporary() -> Result<Self, KeyFileError> {
        Ok(Self::with(KeyFile::temporary()?))
    }

    /// A vault without keys, for what never looks at a person.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            keys: None,
            rings: Rings::default(),
        }
    }

    fn with(keys: KeyFile) -> Self {
        Self {
            keys: Some(keys),
            rings: Rings::default(),
        }
    }

    fn key_file(&self) -> Result<&KeyFile, VaultError> {
        self.keys.as_ref().ok_or(VaultError::Closed)
    }

    fn keys(&self) -> Result<Arc<Keys>, VaultError> {
        Ok(self.key_file()?.keys()?)
    }

    /// The blind indexes of a person with this e-mail address, or with none: one under each key. A text
    /// that is no address has the indexes of none.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn indexes(
        &self,
        clinic: ClinicId,
        id: PersonId,
        address: Option<&str>,
    ) -> Result<Vec<BlindIndex>, VaultError> {
        let of = match id {
            PersonId::Therapist(_) => Addressee::Therapist,
            PersonId::Client(_) => Addressee::Client,
        };
        let keys = self.keys()?;
        let under = |key: &IndexKey| {
            let index = address.map(|address| key.email(in_crypto(clinic), of, address));
            BlindIndex {
                generation: key.id().0,
                hash: index.and_then(Result::ok).map(|index| *index.as_bytes()),
            }
        };
        Ok(keys.index.iter().map(under).collect())
    }

    /// The digest of a request, for the journal. Only whoever has the newest key of blind indexes can check
    /// a guessed request against it. With that key it becomes worthless.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn blind(&self, clinic: ClinicId, request: &[u8; 32]) -> Result<[u8; 32], VaultError> {
        let keys = self.keys()?;
        let newest = keys
            .index
            .last()
            .expect("a key file has a key of blind indexes");
        Ok(*newest.request(in_crypto(clinic), request).as_bytes())
    }

    /// Seals what is known of somebody new, under their first key, and makes what finds them.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn seal_new(
        &self,
        clinic: ClinicId,
        id: PersonId,
        person: &Person,
        now: DateTime<Utc>,
    ) -> Result<(SealedPerson, WrappedDek, Vec<BlindIndex>), VaultError> {
        let (dek, wrapped) = self.new_dek(clinic, id.uuid(), KeyId(1), now)?;
        let ring = Keyring::new(dek, []).expect("one key is a ring");
        let sealed = seal(&ring, clinic, id, person, Version(1))?;
        Ok((sealed, wrapped, self.indexes(clinic, id, person.email())?))
    }

    /// Seals what is known of somebody, in place of a version that was read, and makes what finds them.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn seal_again(
        &self,
        store: &dyn Store,
        clinic: ClinicId,
        id: PersonId,
        person: &Person,
        version: u64,
    ) -> Result<(SealedPerson, Vec<BlindIndex>), VaultError> {
        let ring = self.ring(store, clinic, id.uuid()).await?;
        let sealed = seal(&ring, clinic, id, person, Version(version + 1))?;
        Ok((sealed, self.indexes(clinic, id, person.email())?))
    }

    /// Opens what is sealed of a person. If its key was exchanged meanwhile, the row is read again.
    /// `None` is somebody who is erased.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn open_person(
        &self,
        store: &dyn Store,
        clinic: ClinicId,
        id: PersonId,
        sealed: Option<SealedPerson>,
    ) -> Result<Option<Person>, VaultError> {
        let mut sealed = sealed;
        for _ in 0..READS_MAX {
            let Some(now) = &sealed else { return Ok(None) };
            match self.open_sealed(store, clinic, id, now).await {
                Err(VaultError::Gone { .. }) => sealed = stored(store, clinic, id).await?,
                opened => return opened.map(Some),
            }
        }
        Err(VaultError::Gone { of: id.uuid() })
    }

    async fn open_sealed(
        &self,
        store: &dyn Store,
        clinic: ClinicId,
        id: PersonId,
        sealed: &SealedPerson,
    ) -> Result<Person, VaultError> {
        let unopenable = || VaultError::Unopenable { of: id.uuid() };
        let named = Envelope::parse(&sealed.envelope).map_err(|_| unopenable())?;
        let mut ring = self.ring(store, clinic, id.uuid()).await?;
        if ring.get(named.key_id()).is_none() {
            self.rings.forget(clinic, id.uuid());
            ring = self.ring(store, clinic, id.uuid()).await?;
        }
        if ring.get(named.key_id()).is_none() {
            return Err(VaultError::Gone { of: id.uuid() });
        }
        let place = place(clinic, id, Version(sealed.version));
        let opened = ring.open(&place, Purpose::Person, &sealed.envelope);
        let opened = opened.map_err(|OpenError { .. }| unopenable())?;
        serde_json::from_slice(opened.expose()).map_err(|_| unopenable())
    }

    /// Forgets a person's keys: another process may have exchanged them.
    pub fn forget(&self, clinic: ClinicId, id: PersonId) {
        self.rings.forget(clinic, id.uuid());
    }

    /// Reads the keys of many people at once, before what they sealed is opened one by one.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn fetch(
        &self,
        store: &dyn Store,
        clinic: ClinicId,
        people: impl IntoIterator<Item = PersonId>,
    ) -> Result<(), VaultError> {
        let people = people.into_iter().map(PersonId::uuid);
        let missing = people.filter(|owner| self.rings.get(clinic, *owner).is_none());
        let missing: Vec<uuid::Uuid> = missing.collect();
        if missing.is_empty() {
            return Ok(());
        }
        let deks = store.deks(clinic, &missing).await?;
        for deks in deks.chunk_by(|one, other| one.owner == other.owner) {
            // One that does not unwrap says so when it is needed.
            if let Ok(ring) = self.unwrap(clinic, deks) {
                self.rings.put(clinic, deks[0].owner, Arc::new(ring));
            }
        }
        Ok(())
    }

    /// A person's keys.
    async fn ring(
        &self,
        store: &dyn Store,
        clinic: ClinicId,
        owner: uuid::Uuid,
    ) -> Result<Arc<Keyring<Dek>>, VaultError> {
        if let Some(ring) = self.rings.get(clinic, owner) {
            return Ok(ring);
        }
        let deks = store.deks(clinic, &[owner]).await?;
        if deks.is_empty() {
            return Err(VaultError::Gone { of: owner });
        }
        let ring = Arc::new(self.unwrap(clinic, &deks)?);
        self.rings.put(clinic, owner, ring.clone());
        Ok(ring)
    }

    /// A person's ring from its rows, of which the last is active.
    fn unwrap(&self, clinic: ClinicId, deks: &[WrappedDek]) -> Result<Keyring<Dek>, VaultError> {
        let mut ring = deks.iter().map(|dek| self.unwrap_one(clinic, dek));
        let active = ring.next_back().ok_or(VaultError::Closed)??;
        let of = active.id().owner.client.0;
        let older = ring.collect::<Result<Vec<_>, _>>()?;
        Keyring::new(active, older).map_err(|_| VaultError::Unopenable { of })
    }

    fn unwrap_one(&self, clinic: ClinicId, dek: &WrappedDek) -> Result<Dek, VaultError> {
        let of = dek.owner;
        let named = Envelope::parse(&dek.wrapped).map_err(|_| VaultError::Unopenable { of })?;
        let keys = self.key_file()?.keys_with(named.key_id())?;
        let unwrapped = keys.keks.unwrap(dek_id(clinic, dek), &dek.wrapped);
        unwrapped.map_err(|_| VaultError::Unopenable { of })
    }

    /// A new key of a person's, and its row.
    fn new_dek(
        &self,
        clinic: ClinicId,
        owner: uuid::Uuid,
        generation: KeyId,
        now: DateTime<Utc>,
    ) -> Result<(Dek, WrappedDek), VaultError> {
        let bytes = random::key();
        let mut row = WrappedDek {
            owner,
            generation: generation.0,
            wrapped: Vec::new(),
            created_at: now,
        };
        let id = dek_id(clinic, &row);
        row.wrapped = self.keys()?.keks.wrap(id, &bytes, random::nonce());
        Ok((Dek::new(id, &bytes), row))
    }
}

fn seal(
    ring: &Keyring<Dek>,
    clinic: ClinicId,
    id: PersonId,
    person: &Person,
    version: Version,
) -> Result<SealedPerson, VaultError> {
    // With room for all of it, so that no shorter copy is left behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(Person::JSON_BYTES_MAX));
    let written = serde_json::to_writer(&mut *plaintext, person);
    written.map_err(|_| VaultError::Unopenable { of: id.uuid() })?;
    let place = place(clinic, id, version);
    let envelope = ring.seal(&place, Purpose::Person, &plaintext, random::nonce())?;
    Ok(SealedPerson {
        envelope,
        version: version.0,
        generation: ring.active().id().generation.0,
    })
}

/// What is stored of a person now.
async fn stored(
    store: &dyn Store,
    clinic: ClinicId,
    id: PersonId,
) -> Result<Option<SealedPerson>, StoreError> {
    Ok(match id {
        PersonId::Therapist(id) => store
            .therapist(clinic, id)
            .await?
            .and_then(|row| row.person),
        PersonId::Client(id) => store.client(clinic, id).await?.and_then(|row| row.person),
    })
}

/// Where what is known of a person stands.
fn place(clinic: ClinicId, id: PersonId, version: Version) -> Context {
    Context {
        owner: owner(clinic, id.uuid()),
        row: RowId(id.uuid()),
        field: match id {
            PersonId::Therapist(_) => PERSON_OF_THERAPIST,
            PersonId::Client(_) => PERSON_OF_CLIENT,
        },
        version,
    }
}

fn dek_id(clinic: ClinicId, dek: &WrappedDek) -> DekId {
    DekId {
        owner: owner(clinic, dek.owner),
        generation: KeyId(dek.generation),
    }
}

fn owner(clinic: ClinicId, person: uuid::Uuid) -> Owner {
    Owner {
        clinic: in_crypto(clinic),
        client: crypto_core::ClientId(person),
    }
}

fn in_crypto(clinic: ClinicId) -> crypto_core::ClinicId {
    crypto_core::ClinicId(clinic.0)
}
