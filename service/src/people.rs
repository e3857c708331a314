//! Therapists and clients with what is known of them, opened. Of who is erased nothing is known.

use clinic::{Client, ClinicId, Person, PersonId, SealedPerson, Therapist};
use scheduler_core::{ClientId, TherapistId};
use store::Page;

use crate::App;
use crate::vault::VaultError;

/// A row with what is known of the person.
pub type Opened<R> = (R, Option<Person>);

/// A therapist.
///
/// # Errors
/// [`VaultError`].
pub async fn therapist(
    app: &App,
    clinic: ClinicId,
    id: TherapistId,
) -> Result<Option<Opened<Therapist>>, VaultError> {
    let row = app.store.therapist(clinic, id).await?;
    let mut opened = opened(app, clinic, row.into_iter().collect(), of_therapist).await?;
    Ok(opened.pop())
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
    let row = app.store.client(clinic, id).await?;
    let mut opened = opened(app, clinic, row.into_iter().collect(), of_client).await?;
    Ok(opened.pop())
}

/// A page of therapists.
///
/// # Errors
/// [`VaultError`].
pub async fn therapists(
    app: &App,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Opened<Therapist>>, VaultError> {
    let rows = app.store.therapists(clinic, page).await?;
    opened(app, clinic, rows, of_therapist).await
}

/// A page of clients.
///
/// # Errors
/// [`VaultError`].
pub async fn clients(
    app: &App,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Opened<Client>>, VaultError> {
    let rows = app.store.clients(clinic, page).await?;
    opened(app, clinic, rows, of_client).await
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
    rows: Vec<R>,
    of: fn(&R) -> Sealed,
) -> Result<Vec<Opened<R>>, VaultError> {
    let store = app.store.as_ref();
    let ids = rows.iter().map(|row| of(row).0);
    app.vault.fetch(store, clinic, ids).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, sealed) = of(&row);
        let person = app.vault.open_person(store, clinic, id, sealed).await?;
        all.push((row, person));
    }
    Ok(all)
}
