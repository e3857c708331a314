//! Looking whether everything opens, and is what the journal says of it.

use std::collections::HashMap;

use clinic::{ClinicId, Person, PersonId, SealedPerson};
use crypto_core::KeyId;
use scheduler_core::ClientId;
use store::{PAGE_MAX, PersonLine, Store, StoreError};
use uuid::Uuid;

use super::maintenance::{Erased, Progress, Row, owners, people, plan, try_erasing};
use super::{Vault, VaultError};

/// What was found in all that is sealed.
#[derive(Debug, Default)]
pub struct Checked {
    /// How many people have keys.
    pub people: u64,
    /// How many of their keys unwrap.
    pub keys: u64,
    /// How many values open.
    pub values: u64,
    /// How many keys are wrapped under an older KEK.
    pub stale: u64,
    /// How many clients' zones an earlier version has left in the clear.
    pub zones_in_clear: u64,
    /// The KEKs that wrap nothing in this database.
    pub unneeded: Vec<KeyId>,
    /// What does not open, or is not what it should be: whose, and why.
    pub defects: Vec<(ClinicId, Uuid, String)>,
}

/// Opens everything that is sealed. What is opened is held against the blind indexes, and what is
/// stored of a person against the newest line of the journal about them: a row from the past, whole and
/// with its key, opens too.
///
/// # Errors
/// [`VaultError`], other than that something does not open: that is what is looked for.
pub async fn verify(
    vault: &Vault,
    store: &dyn Store,
    progress: Progress<'_>,
) -> Result<Checked, VaultError> {
    let mut checked = Checked::default();
    for (clinic, owner) in owners(store).await? {
        for dek in store.deks(clinic, &[owner]).await? {
            match vault.unwrap_one(clinic, &dek) {
                Ok(_) => checked.keys += 1,
                Err(error) => checked.defects.push((clinic, owner, error.to_string())),
            }
        }
        checked.people += 1;
        progress(checked.people);
    }
    for clinic in store.clinics().await? {
        // A row may change between two looks. It is wrong if it fits neither what the journal said
        // before it was read, nor what it said after.
        let before = told(store, clinic).await?;
        let rows = people(store, clinic).await?;
        let after = told(store, clinic).await?;
        let of = |all: &HashMap<Uuid, Told>, id| all.get(&id).copied().unwrap_or_default();
        for row in rows {
            let id = row.id.uuid();
            checked.zones_in_clear += u64::from(row.zone_in_clear);
            let defect = against_journal(&row, of(&before, id), of(&after, id));
            let mut defects: Vec<String> = defect.into_iter().collect();
            if let PersonId::Client(client) = row.id
                && row.sealed.is_none()
                && goes_on(store, clinic, client).await?
            {
                let what = "something of who is erased goes on: standing keys erase-client";
                defects.push(what.to_owned());
            }
            match vault
                .open_person(store, clinic, row.id, row.sealed.clone())
                .await
            {
                Ok(person) => {
                    checked.values += u64::from(person.is_some());
                    defects.extend(wrong_index(vault, store, clinic, &row, person.as_ref()).await?);
                }
                Err(error @ VaultError::Store(_)) => return Err(error),
                Err(error) => defects.push(error.to_string()),
            }
            for defect in defects {
                let defect = (clinic, id, defect);
                if !checked.defects.contains(&defect) {
                    checked.defects.push(defect);
                }
            }
        }
    }
    let plan = plan(vault, store).await?;
    checked.stale = u64::try_from(plan.stale.len()).unwrap_or(u64::MAX);
    checked.unneeded = plan.unneeded(&vault.keys()?.keks);
    Ok(checked)
}

/// What the journal says of a person last.
#[derive(Clone, Copy, Default)]
struct Told {
    version: u64,
    erased: bool,
    held: bool,
}

async fn told(store: &dyn Store, clinic: ClinicId) -> Result<HashMap<Uuid, Told>, VaultError> {
    let (mut all, mut after) = (HashMap::<Uuid, Told>::new(), 0);
    loop {
        let lines = store.person_lines(clinic, after, PAGE_MAX).await?;
        let Some(last) = lines.last() else { break };
        after = last.seq;
        for PersonLine {
            of,
            kind,
            version,
            held,
            ..
        } in lines
        {
            let told = all.entry(of).or_default();
            told.version = version;
            told.erased |= kind == "person_erased";
            told.held = held.unwrap_or(told.held);
        }
    }
    Ok(all)
}

/// What the journal's lines before and after the row was read do not allow. A key rotation raises the
/// version without a line, so a row may be newer than its line.
fn against_journal(row: &Row, before: Told, after: Told) -> Option<String> {
    match &row.sealed {
        Some(_) if before.erased => {
            let again = "erase them again: standing keys erase-client";
            return Some(format!("the journal says that they are erased; {again}"));
        }
        Some(sealed) if sealed.version < before.version => {
            let (is, was) = (sealed.version, before.version);
            let from = "it was put back from the past";
            return Some(format!(
                "what is known is version {is}, the journal has {was}: {from}"
            ));
        }
        _ => {}
    }
    let fits = [before.held, after.held].contains(&row.held);
    (!fits).then(|| {
        let (is, was) = (row.held, after.held);
        format!("the legal hold is {is}, the journal says {was}")
    })
}

/// Whether an erased client has a token or a feed, or something to come.
async fn goes_on(
    store: &dyn Store,
    clinic: ClinicId,
    client: ClientId,
) -> Result<bool, VaultError> {
    let at = store.now().await?;
    let again = Erased { clinic, client, at };
    match try_erasing(store, again).await {
        Ok(left) => Ok(left.is_some()),
        Err(VaultError::Store(StoreError::Refused(_))) => Ok(true),
        Err(error) => Err(error),
    }
}

/// What is wrong with how a person is found.
async fn wrong_index(
    vault: &Vault,
    store: &dyn Store,
    clinic: ClinicId,
    row: &Row,
    person: Option<&Person>,
) -> Result<Option<String>, VaultError> {
    let stored = store.indexes(clinic, row.id).await?;
    let Some(person) = person else {
        let left =
            (!stored.is_empty()).then(|| "a blind index is left of who is erased".to_owned());
        return Ok(left);
    };
    let expected = vault.indexes(clinic, row.id, person.email())?;
    if stored == expected {
        return Ok(None);
    }
    // Changed since the row was read, with their indexes.
    let version = |sealed: &Option<SealedPerson>| sealed.as_ref().map(|sealed| sealed.version);
    if version(&super::stored(store, clinic, row.id).await?) != version(&row.sealed) {
        return Ok(None);
    }
    let of = |generation: u32| stored.iter().find(|one| one.generation == generation);
    let differs = expected
        .iter()
        .any(|one| of(one.generation).is_some_and(|found| found != one));
    let what = match differs {
        true => "a blind index is not that of their address",
        false => "blind indexes are missing, or are of keys that the key file lacks",
    };
    Ok(Some(format!("{what}: standing keys reindex")))
}
