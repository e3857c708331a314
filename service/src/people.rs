//! Therapists and clients with what is known of them, opened. Of who is erased nothing is known.

use clinic::{Client, ClinicId, Person, PersonId, SealedPerson, Therapist};
use scheduler_core::{ClientId, TherapistId};
use store::Page;

use crate::App;
use crate::vault::VaultError;

/// A row with what is known of the person.
pub type Opened<R> = (R, Option<Person>);

/// A row of a list: what is sealed of one person may not open, which keeps nobody from reading the others.
pub type Listed<R> = (R, Result<Option<Person>, VaultError>);

/// A therapist.
///
/// # Errors
/// [`VaultError`].
pub async fn therapist(
    app: &App,
    clinic: ClinicId,
    id: TherapistId,
) -> Result<Option<Opened<Therapist>>, VaultError> {
    match app.store.therapist(clinic, id).await? {
        Some(row) => Ok(Some(opened(app, clinic, row, of_therapist).await?)),
        None => Ok(None),
    }
}

/// A client.
///
/// # Errors
/// [`VaultError`].
pub async fn client(
    app: &App,
    clinic: ClinicId,
    id: ClientId,
) -> Result<Option<Opened<Client>>, VaultError> {
    match app.store.client(clinic, id).await? {
        Some(row) => Ok(Some(opened(app, clinic, row, of_client).await?)),
        None => Ok(None),
    }
}

/// A page of therapists.
///
/// # Errors
/// [`VaultError`].
pub async fn therapists(
    app: &App,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Listed<Therapist>>, VaultError> {
    let rows = app.store.therapists(clinic, page).await?;
    all_opened(app, clinic, rows, of_therapist).await
}

/// A page of clients.
///
/// # Errors
/// [`VaultError`].
pub async fn clients(
    app: &App,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Listed<Client>>, VaultError> {
    let rows = app.store.clients(clinic, page).await?;
    all_opened(app, clinic, rows, of_client).await
}

/// Who somebody is, and what is sealed of them.
type Sealed = (PersonId, Option<SealedPerson>);

fn of_therapist(row: &Therapist) -> Sealed {
    (PersonId::Therapist(row.id), row.person.clone())
}

fn of_client(row: &Client) -> Sealed {
    (PersonId::Client(row.id), row.person.clone())
}

async fn opened<R>(
    app: &App,
    clinic: ClinicId,
    row: R,
    of: fn(&R) -> Sealed,
) -> Result<Opened<R>, VaultError> {
    let (id, sealed) = of(&row);
    let store = app.store.as_ref();
    let person = app.vault.open_person(store, clinic, id, sealed).await?;
    Ok((row, person))
}

async fn all_opened<R>(
    app: &App,
    clinic: ClinicId,
    rows: Vec<R>,
    of: fn(&R) -> Sealed,
) -> Result<Vec<Listed<R>>, VaultError> {
    let store = app.store.as_ref();
    let ids = rows.iter().map(|row| of(row).0);
    app.vault.fetch(store, clinic, ids).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, sealed) = of(&row);
        let person = match app.vault.open_person(store, clinic, id, sealed).await {
            Err(defect @ (VaultError::Unopenable { .. } | VaultError::Gone { .. })) => Err(defect),
            opened => Ok(opened?),
        };
        all.push((row, person));
    }
    Ok(all)
}
