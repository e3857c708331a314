//! Exchanging keys, and erasing people. Each can be broken off and begun again, and runs while the
//! service works.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use clinic::{ClinicId, Commit, PersonId, Scope, SealedPerson, WrappedDek, erasure};
use crypto_core::rotation::{Plan, Status, status};
use crypto_core::{KeyId, Purpose, Version};
use scheduler_core::{ClientId, TherapistId};
use serde::{Deserialize, Serialize};
use store::{PAGE_MAX, Page, Request, Store, Written};
use uuid::Uuid;

use super::key_file::Staged;
use super::{Vault, VaultError, dek_id, place, seal, stored};
use crate::random;

/// Told how many people are done.
pub type Progress<'a> = &'a mut (dyn FnMut(u64) + Send);

/// How often a value is sealed again that somebody else changes meanwhile.
const TRIES_MAX: u32 = 8;

/// What a rotation of KEKs did.
#[derive(Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// What became of the key file; nothing, if a rotation was under way.
    pub staged: Option<Staged>,
    /// How many keys were wrapped again.
    pub wrapped: u64,
    /// Whose keys no KEK unwraps.
    pub orphans: Vec<(ClinicId, Uuid)>,
    /// The KEKs that wrap nothing in this database any more.
    pub unneeded: Vec<KeyId>,
}

/// What a rotation of DEKs did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// How many people have a new key.
    pub people: u64,
    /// How many values were sealed again.
    pub resealed: u64,
    /// How many old keys went.
    pub dropped: u64,
    /// Whose values do not open: they are left as they are.
    pub failed: Vec<(ClinicId, Uuid)>,
}

/// A line of the list of who was erased, which is replayed after a backup was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// Where.
    pub clinic: ClinicId,
    /// Who.
    pub client: ClientId,
    /// When.
    pub at: DateTime<Utc>,
}

/// Makes another KEK the active one, unless a rotation is under way, and wraps with it all that is
/// wrapped with others.
///
/// # Errors
/// [`VaultError`]. What was done until then stays.
pub async fn rotate_kek(
    vault: &Vault,
    store: &dyn Store,
    progress: Progress<'_>,
) -> Result<Rewrapped, VaultError> {
    let keks = &vault.keys()?.keks;
    let is_staged = keks.older_ids().any(|id| id > keks.active().id());
    let under_way = !plan(vault, store).await?.stale.is_empty();
    let staged = match under_way && !is_staged {
        true => None,
        false => Some(vault.key_file()?.activate_newest()?),
    };
    let (mut wrapped, mut done) = (0, 0);
    for (clinic, owner) in owners(store).await? {
        for dek in store.deks(clinic, &[owner]).await? {
            wrapped += u64::from(rewrap(vault, store, clinic, &dek).await?);
        }
        done += 1;
        progress(done);
    }
    let left = plan(vault, store).await?;
    Ok(Rewrapped {
        staged,
        wrapped,
        unneeded: left.unneeded(&vault.keys()?.keks),
        orphans: left.orphans,
    })
}

/// Wraps a key again, if it is wrapped with an older KEK and nobody else was there first.
async fn rewrap(
    vault: &Vault,
    store: &dyn Store,
    clinic: ClinicId,
    dek: &WrappedDek,
) -> Result<bool, VaultError> {
    let keys = vault.keys()?;
    let Status::Stale(_) = status(&keys.keks, &dek.wrapped) else {
        return Ok(false);
    };
    let id = dek_id(clinic, dek);
    let again = keys.keks.rewrap(id, &dek.wrapped, random::nonce());
    let again = again.map_err(|_| VaultError::Unopenable { of: dek.owner })?;
    Ok(store.rewrap_dek(clinic, dek, &again).await?)
}

/// What is wrapped with which KEK.
pub(super) async fn plan(
    vault: &Vault,
    store: &dyn Store,
) -> Result<Plan<(ClinicId, Uuid)>, VaultError> {
    let mut rows = Vec::new();
    for (clinic, owner) in owners(store).await? {
        let deks = store.deks(clinic, &[owner]).await?;
        rows.extend(deks.into_iter().map(|dek| ((clinic, owner), dek.wrapped)));
    }
    Ok(Plan::of(&vault.keys()?.keks, rows))
}

/// Gives everybody whose newest key was made before an instant a new one, seals what is theirs under
/// the newest, with zones that an earlier version has left in the clear, and removes keys that nothing is
/// sealed under any more.
///
/// # Errors
/// [`VaultError`]. What was done until then stays.
pub async fn rotate_deks(
    vault: &Vault,
    store: &dyn Store,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
    progress: Progress<'_>,
) -> Result<Rotated, VaultError> {
    let (mut rotated, mut done) = (Rotated::default(), 0);
    for (clinic, owner) in owners(store).await? {
        match rotate_one(vault, store, (clinic, owner), before, now, &mut rotated).await {
            Ok(()) => {}
            Err(VaultError::Unopenable { .. } | VaultError::Gone { .. }) => {
                rotated.failed.push((clinic, owner));
            }
            Err(error) => return Err(error),
        }
        done += 1;
        progress(done);
    }
    Ok(rotated)
}

async fn rotate_one(
    vault: &Vault,
    store: &dyn Store,
    (clinic, owner): (ClinicId, Uuid),
    before: DateTime<Utc>,
    now: DateTime<Utc>,
    rotated: &mut Rotated,
) -> Result<(), VaultError> {
    let deks = store.deks(clinic, &[owner]).await?;
    let Some(newest) = deks.last() else {
        return Ok(()); // erased meanwhile
    };
    if newest.created_at < before
        && let Some(generation) = newest.generation.checked_add(1)
    {
        let (_, next) = vault.new_dek(clinic, owner, KeyId(generation), now)?;
        rotated.people += u64::from(store.add_dek(clinic, &next).await?);
    }
    vault.rings.forget(clinic, owner);
    for id in [
        PersonId::Client(ClientId(owner)),
        PersonId::Therapist(TherapistId(owner)),
    ] {
        rotated.resealed += u64::from(reseal(vault, store, clinic, id).await?);
    }
    let deks = store.deks(clinic, &[owner]).await?;
    if let Some(newest) = deks.last() {
        rotated.dropped += store.drop_deks(clinic, owner, newest.generation).await?;
    }
    // What is cached holds the keys that went.
    vault.rings.forget(clinic, owner);
    Ok(())
}

/// Seals what is known of a person again, if it is sealed under an older key, or an earlier version has
/// left a client's zone in the clear.
async fn reseal(
    vault: &Vault,
    store: &dyn Store,
    clinic: ClinicId,
    id: PersonId,
) -> Result<bool, VaultError> {
    for _ in 0..TRIES_MAX {
        let (sealed, clear_zone) = match id {
            PersonId::Therapist(_) => (stored(store, clinic, id).await?, None),
            PersonId::Client(client) => match store.client(clinic, client).await? {
                Some(row) => (row.person, row.clear_zone),
                None => (None, None),
            },
        };
        let Some(sealed) = sealed else {
            return Ok(false);
        };
        let ring = vault.ring(store, clinic, id.uuid()).await?;
        let generation = ring.active().id().generation.0;
        if sealed.generation == generation && clear_zone.is_none() {
            return Ok(false);
        }
        let next = Version(sealed.version + 1);
        let again = if clear_zone.is_some() {
            let opened = vault.open_person(store, clinic, id, Some(sealed)).await?;
            let Some(person) = opened else {
                return Ok(false); // erased meanwhile
            };
            let zone = person.zone().or(clear_zone);
            seal(&ring, clinic, id, &person.in_zone(zone), next)?
        } else {
            let here = place(clinic, id, Version(sealed.version));
            let again = ring.reseal(
                &here,
                next,
                Purpose::Person,
                &sealed.envelope,
                random::nonce(),
            );
            SealedPerson {
                envelope: again.map_err(|_| VaultError::Unopenable { of: id.uuid() })?,
                version: next.0,
                generation,
            }
        };
        if store.reseal(clinic, id, &again).await? {
            return Ok(true);
        }
        vault.rings.forget(clinic, id.uuid());
    }
    Err(VaultError::Gone { of: id.uuid() })
}

/// Tries to erase a client, and returns what would be stored; `None` if they were erased before.
///
/// # Errors
/// [`VaultError`]; [`clinic::Refusal`] within, if there is no such client, or a legal hold forbids it.
pub async fn try_erasing(store: &dyn Store, erased: Erased) -> Result<Option<Commit>, VaultError> {
    match write_erasure(store, erased, true).await? {
        Written::DryRun(commit) => Ok(Some(*commit)),
        _ => Ok(None),
    }
}

/// Erases a client: looks whether it may be done, writes it on the list, does it. False if they were
/// erased before. Their keys vanish from the database's files with [`Store::scrub`].
///
/// # Errors
/// As [`try_erasing`].
pub async fn erase(
    store: &dyn Store,
    erased: Erased,
    list: Option<&Path>,
) -> Result<bool, VaultError> {
    if try_erasing(store, erased).await?.is_none() {
        return Ok(false);
    }
    // On the list first: who is erased and not on it would be back after a restore.
    if let Some(list) = list {
        let noted = note(list, &erased).map_err(|source| super::KeyFileError::Unusable {
            path: list.to_owned(),
            source,
        });
        noted?;
    }
    write_erasure(store, erased, false).await?;
    Ok(true)
}

async fn write_erasure(
    store: &dyn Store,
    erased: Erased,
    dry_run: bool,
) -> Result<Written, VaultError> {
    let Erased { clinic, client, at } = erased;
    let request = Request {
        dry_run,
        ..Request::of_console(clinic, at)
    };
    let scope = Scope::Erasure { client, now: at };
    let decide = Box::new(move |view: &_| erasure::erase(view, at));
    Ok(store.write(&request, scope, decide).await?)
}

fn note(list: &Path, erased: &Erased) -> std::io::Result<()> {
    let line = serde_json::to_string(erased)? + "\n";
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(list)?;
    // One that an earlier version made may be open to others: it says who was erased, and when.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// Whoever has keys, in all clinics.
pub(super) async fn owners(store: &dyn Store) -> Result<Vec<(ClinicId, Uuid)>, VaultError> {
    let mut all = Vec::new();
    for clinic in store.clinics().await? {
        let mut after = None;
        loop {
            let page = Page {
                after,
                limit: PAGE_MAX,
            };
            let owners = store.dek_owners(clinic, page).await?;
            let Some(last) = owners.last() else { break };
            after = Some(*last);
            all.extend(owners.into_iter().map(|owner| (clinic, owner)));
        }
    }
    Ok(all)
}

/// A person's row.
pub(super) struct Row {
    pub(super) id: PersonId,
    pub(super) sealed: Option<SealedPerson>,
    pub(super) held: bool,
    /// An earlier version has left a zone in the clear.
    pub(super) zone_in_clear: bool,
}

/// The people of a clinic.
pub(super) async fn people(store: &dyn Store, clinic: ClinicId) -> Result<Vec<Row>, VaultError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_MAX,
        };
        let clients = store.clients(clinic, page).await?;
        let Some(last) = clients.last() else { break };
        after = Some(last.id.0);
        all.extend(clients.into_iter().map(|row| Row {
            id: PersonId::Client(row.id),
            zone_in_clear: row.clear_zone.is_some(),
            sealed: row.person,
            held: row.legal_hold,
        }));
    }
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_MAX,
        };
        let therapists = store.therapists(clinic, page).await?;
        let Some(last) = therapists.last() else { break };
        after = Some(last.id.0);
        all.extend(therapists.into_iter().map(|row| Row {
            id: PersonId::Therapist(row.id),
            sealed: row.person,
            held: false,
            zone_in_clear: false,
        }));
    }
    Ok(all)
}
