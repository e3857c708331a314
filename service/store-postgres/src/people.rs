//! Therapists, clients, services, and people's credentials.

use clinic::{
    Client, ClinicId, PersonId, Recipient, SealedPerson, Service, StoredSecret, Therapist,
};
use ledger_core::{Account, AccountId};
use scheduler_core::{ClientId, ServiceId, TherapistId, Zone};
use sqlx::postgres::PgConnection;
use store::rows::{self, Columns, integer, json, times_json};
use store::{Feed, PAGE_MAX, Page, StoreError, Token};
use uuid::Uuid;

use crate::rows::{Document, Instant, Row, all, execute, execute_on_one, failed, optional};

pub(crate) async fn add_token(db: &mut PgConnection, token: &Token) -> Result<(), StoreError> {
    let (role, subject) = rows::role_columns(token.role);
    let insert = sqlx::query(
        "INSERT INTO token (id, clinic_id, hash, mac, role, subject_id, created_at, ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(token.id)
    .bind(token.clinic.0)
    .bind(token.secret.hash.as_slice())
    .bind(token.secret.mac.as_slice())
    .bind(role)
    .bind(subject)
    .bind(Instant(token.created_at))
    .bind(token.ends_at.map(Instant));
    execute(db, insert).await.map(|_| ())
}

pub(crate) async fn token(
    db: &mut PgConnection,
    hash: [u8; 32],
) -> Result<Option<Token>, StoreError> {
    let query = sqlx::query("SELECT * FROM token WHERE hash = $1").bind(hash.as_slice());
    optional(db, query, rows::token).await
}

/// Tokens of all clinics, by id.
pub(crate) async fn tokens(db: &mut PgConnection, page: Page) -> Result<Vec<Token>, StoreError> {
    let query = sqlx::query("SELECT * FROM token WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(i64::from(page.limit.min(PAGE_MAX)));
    all(db, query, rows::token).await
}

/// Deletes a token.
pub(crate) async fn remove_token(db: &mut PgConnection, id: Uuid) -> Result<bool, StoreError> {
    let query = sqlx::query("DELETE FROM token WHERE id = $1").bind(id);
    Ok(execute(db, query).await? == 1)
}

/// How many tokens somebody has.
pub(crate) async fn tokens_of(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "SELECT count(*) AS tokens FROM token
         WHERE clinic_id = $1 AND role = $2 AND subject_id = $3",
    )
    .bind(clinic.0)
    .bind(id.role())
    .bind(id.uuid());
    let count = optional(db, query, |row| rows::number(row, "tokens")).await?;
    rows::some("tokens", count)
}

/// Whether somebody has a feed.
pub(crate) async fn has_feed(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM feed WHERE clinic_id = $1 AND subject_role = $2 AND subject_id = $3",
    )
    .bind(clinic.0)
    .bind(id.role())
    .bind(id.uuid());
    Ok(optional(db, query, rows::feed).await?.is_some())
}

/// Deletes all of somebody's tokens.
pub(crate) async fn revoke(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<u64, StoreError> {
    let query =
        sqlx::query("DELETE FROM token WHERE clinic_id = $1 AND role = $2 AND subject_id = $3")
            .bind(clinic.0)
            .bind(id.role())
            .bind(id.uuid());
    execute(db, query).await
}

/// Puts somebody's feed behind another secret, or closes it.
pub(crate) async fn set_feed(
    db: &mut PgConnection,
    clinic: ClinicId,
    whose: Recipient,
    secret: Option<&StoredSecret>,
) -> Result<u64, StoreError> {
    let query = match secret {
        Some(_) => sqlx::query(
            "INSERT INTO feed (clinic_id, subject_role, subject_id, hash, mac)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (clinic_id, subject_role, subject_id) DO UPDATE
             SET hash = excluded.hash, mac = excluded.mac",
        ),
        None => sqlx::query(
            "DELETE FROM feed WHERE clinic_id = $1 AND subject_role = $2 AND subject_id = $3",
        ),
    };
    let query = query.bind(clinic.0).bind(whose.role()).bind(whose.id());
    match secret {
        Some(StoredSecret { hash, mac }) => {
            let query = query.bind(hash.as_slice()).bind(mac.as_slice());
            execute(db, query).await
        }
        None => execute(db, query).await,
    }
}

/// Whose feed is behind a secret.
pub(crate) async fn feed(
    db: &mut PgConnection,
    hash: [u8; 32],
) -> Result<Option<Feed>, StoreError> {
    let query = sqlx::query("SELECT * FROM feed WHERE hash = $1").bind(hash.as_slice());
    optional(db, query, rows::feed).await
}

/// The clinics that have people or credentials.
pub(crate) async fn clinics(db: &mut PgConnection) -> Result<Vec<ClinicId>, StoreError> {
    let query = sqlx::query(
        "SELECT clinic_id FROM token UNION SELECT clinic_id FROM therapist
         UNION SELECT clinic_id FROM client ORDER BY clinic_id",
    );
    all(db, query, |row| rows::id(row, "clinic_id").map(ClinicId)).await
}

pub(crate) async fn therapist(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: TherapistId,
) -> Result<Option<Therapist>, StoreError> {
    let sql = "SELECT * FROM therapist WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::therapist).await
}

pub(crate) async fn therapists(
    db: &mut PgConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Therapist>, StoreError> {
    let sql = "SELECT * FROM therapist WHERE clinic_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    many(db, sql, clinic, page, rows::therapist).await
}

pub(crate) async fn client(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: ClientId,
) -> Result<Option<Client>, StoreError> {
    let sql = "SELECT * FROM client WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::client).await
}

pub(crate) async fn clients(
    db: &mut PgConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Client>, StoreError> {
    let sql = "SELECT * FROM client WHERE clinic_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    many(db, sql, clinic, page, rows::client).await
}

pub(crate) async fn service(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: ServiceId,
) -> Result<Option<Service>, StoreError> {
    let sql = "SELECT * FROM service WHERE clinic_id = $1 AND id = $2";
    one(db, sql, clinic, id.0, rows::service).await
}

pub(crate) async fn services(
    db: &mut PgConnection,
    clinic: ClinicId,
    page: Page,
) -> Result<Vec<Service>, StoreError> {
    let sql = "SELECT * FROM service WHERE clinic_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    many(db, sql, clinic, page, rows::service).await
}

/// The three parties of a booking.
pub(crate) type Parties = (Option<Therapist>, Option<Client>, Option<Service>);

/// Therapist, client and service in one round trip.
pub(crate) async fn parties(
    db: &mut PgConnection,
    clinic: ClinicId,
    therapist: TherapistId,
    client: ClientId,
    service: ServiceId,
) -> Result<Parties, StoreError> {
    let query = sqlx::query(
        "SELECT 'therapist' AS record, id, sealed, sealed_version, dek_generation,
           zone, times, times_version, NULL::boolean AS legal_hold, NULL::uuid AS therapist_id,
           NULL AS clear_zone, NULL AS name, NULL::integer AS minutes, NULL::bigint AS price_minor, NULL AS currency,
           NULL::integer AS notice_minutes, NULL::json AS cancellation, NULL::json AS slots
         FROM therapist WHERE clinic_id = $1 AND id = $2
         UNION ALL
         SELECT 'client', id, sealed, sealed_version, dek_generation, NULL, NULL,
           NULL, legal_hold, therapist_id, clear_zone, NULL, NULL, NULL, NULL, NULL, NULL, NULL
         FROM client WHERE clinic_id = $1 AND id = $3
         UNION ALL
         SELECT 'service', id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, name, minutes,
           price_minor, currency, notice_minutes, cancellation, slots
         FROM service WHERE clinic_id = $1 AND id = $4",
    )
    .bind(clinic.0)
    .bind(therapist.0)
    .bind(client.0)
    .bind(service.0);
    let mut parties = (None, None, None);
    for row in query.fetch_all(db).await.map_err(failed)? {
        let row = Row(row);
        match rows::some("record", row.text("record")?)? {
            "therapist" => parties.0 = Some(rows::therapist(&row)?),
            "client" => parties.1 = Some(rows::client(&row)?),
            _ => parties.2 = Some(rows::service(&row)?),
        }
    }
    Ok(parties)
}

/// Every service of a clinic.
pub(crate) async fn all_services(
    db: &mut PgConnection,
    clinic: ClinicId,
) -> Result<Vec<Service>, StoreError> {
    let query = sqlx::query("SELECT * FROM service WHERE clinic_id = $1").bind(clinic.0);
    all(db, query, rows::service).await
}

/// Columns of what is known of a person.
fn sealed(person: Option<&SealedPerson>) -> Sealed<'_> {
    Sealed {
        envelope: person.map(|person| person.envelope.as_slice()),
        version: person.map(|person| integer(person.version)),
        generation: person.map(|person| i64::from(person.generation)),
    }
}

struct Sealed<'a> {
    envelope: Option<&'a [u8]>,
    version: Option<i64>,
    generation: Option<i64>,
}

pub(crate) async fn insert_therapist(
    db: &mut PgConnection,
    clinic: ClinicId,
    therapist: &Therapist,
) -> Result<u64, StoreError> {
    let known = sealed(therapist.person.as_ref());
    let query = sqlx::query(
        "INSERT INTO therapist (clinic_id, id, sealed, sealed_version, dek_generation,
         zone, times, times_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(clinic.0)
    .bind(therapist.id.0)
    .bind(known.envelope)
    .bind(known.version)
    .bind(known.generation)
    .bind(therapist.times.zone().name())
    .bind(Document(times_json(&therapist.times)?))
    .bind(integer(therapist.times.version));
    execute(db, query).await
}

pub(crate) async fn update_times(
    db: &mut PgConnection,
    clinic: ClinicId,
    therapist: &Therapist,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE therapist SET times = $1, times_version = $2 WHERE clinic_id = $3 AND id = $4",
    )
    .bind(Document(times_json(&therapist.times)?))
    .bind(integer(therapist.times.version))
    .bind(clinic.0)
    .bind(therapist.id.0);
    execute_on_one(db, query).await
}

/// A client, with an empty account.
pub(crate) async fn insert_client(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: &Client,
) -> Result<u64, StoreError> {
    let known = sealed(client.person.as_ref());
    let query = sqlx::query(
        "INSERT INTO client (clinic_id, id, sealed, sealed_version, dek_generation,
         legal_hold, clear_zone, therapist_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(clinic.0)
    .bind(client.id.0)
    .bind(known.envelope)
    .bind(known.version)
    .bind(known.generation)
    .bind(client.legal_hold)
    .bind(client.clear_zone.map(Zone::name))
    .bind(client.therapist.map(|id| id.0));
    let rows = execute(db, query).await?;
    let account = Account::open(AccountId(client.id.0));
    let query = sqlx::query(
        "INSERT INTO account (clinic_id, client_id, version, snapshot) VALUES ($1, $2, $3, $4)",
    )
    .bind(clinic.0)
    .bind(client.id.0)
    .bind(integer(account.seq()))
    .bind(Document(json("account snapshot", &account)?));
    Ok(rows + execute(db, query).await?)
}

/// What is known of a person, in the place of the version before.
pub(crate) async fn set_person(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: PersonId,
    person: &SealedPerson,
) -> Result<u64, StoreError> {
    let sql = match id {
        PersonId::Therapist(_) => {
            "UPDATE therapist SET sealed = $1, sealed_version = $2, dek_generation = $3
             WHERE clinic_id = $4 AND id = $5 AND sealed_version = $2 - 1"
        }
        PersonId::Client(_) => {
            "UPDATE client SET sealed = $1, sealed_version = $2, dek_generation = $3,
             clear_zone = NULL WHERE clinic_id = $4 AND id = $5 AND sealed_version = $2 - 1"
        }
    };
    let known = sealed(Some(person));
    let query = sqlx::query(sql)
        .bind(known.envelope)
        .bind(known.version)
        .bind(known.generation)
        .bind(clinic.0)
        .bind(id.uuid());
    match execute(db, query).await? {
        1 => Ok(1),
        _ => Err(StoreError::Constraint {
            constraint: "person_version".to_owned(),
        }),
    }
}

pub(crate) async fn hold(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
    held: bool,
) -> Result<u64, StoreError> {
    let query = sqlx::query("UPDATE client SET legal_hold = $1 WHERE clinic_id = $2 AND id = $3")
        .bind(held)
        .bind(clinic.0)
        .bind(client.0);
    execute_on_one(db, query).await
}

/// Assigns a client to a therapist.
pub(crate) async fn assign(
    db: &mut PgConnection,
    clinic: ClinicId,
    client: ClientId,
    therapist: Option<TherapistId>,
) -> Result<u64, StoreError> {
    let sql = "UPDATE client SET therapist_id = $1 WHERE clinic_id = $2 AND id = $3";
    let query = sqlx::query(sql)
        .bind(therapist.map(|id| id.0))
        .bind(clinic.0)
        .bind(client.0);
    execute_on_one(db, query).await
}

/// Changes the terms of a service.
pub(crate) async fn update_service(
    db: &mut PgConnection,
    clinic: ClinicId,
    service: &Service,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE service SET name = $1, price_minor = $2, currency = $3, notice_minutes = $4,
         cancellation = $5, slots = $6 WHERE clinic_id = $7 AND id = $8",
    )
    .bind(&service.name)
    .bind(service.price.minor)
    .bind(service.price.currency.to_string())
    .bind(i64::from(service.notice_minutes))
    .bind(Document(json("cancellation", &service.cancellation)?))
    .bind(Document(json("slots", &service.slots)?))
    .bind(clinic.0)
    .bind(service.id.0);
    execute_on_one(db, query).await
}

/// Nothing is known of them any more, and nothing finds them.
pub(crate) async fn erase(
    db: &mut PgConnection,
    clinic: ClinicId,
    id: PersonId,
) -> Result<u64, StoreError> {
    let sql = match id {
        PersonId::Therapist(_) => {
            "UPDATE therapist SET sealed = NULL, sealed_version = NULL, dek_generation = NULL
             WHERE clinic_id = $1 AND id = $2"
        }
        PersonId::Client(_) => {
            "UPDATE client SET sealed = NULL, sealed_version = NULL, dek_generation = NULL,
             clear_zone = NULL, therapist_id = NULL WHERE clinic_id = $1 AND id = $2"
        }
    };
    let query = sqlx::query(sql).bind(clinic.0).bind(id.uuid());
    execute_on_one(db, query).await
}

/// The client with any of these blind indexes.
pub(crate) async fn client_by_email(
    db: &mut PgConnection,
    clinic: ClinicId,
    indexes: &[[u8; 32]],
) -> Result<Option<Client>, StoreError> {
    if indexes.is_empty() {
        return Ok(None);
    }
    let query = sqlx::query(
        "SELECT client.* FROM client JOIN blind_index AS found
           ON found.clinic_id = client.clinic_id AND found.person_id = client.id
         WHERE found.clinic_id = $1 AND found.role = 'client' AND found.hash = ANY($2) LIMIT 1",
    )
    .bind(clinic.0)
    .bind(indexes.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>());
    optional(db, query, rows::client).await
}

/// The row of a clinic with this id.
pub(crate) async fn one<T>(
    db: &mut PgConnection,
    sql: &'static str,
    clinic: ClinicId,
    id: Uuid,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let query = sqlx::query(sql).bind(clinic.0).bind(id);
    optional(db, query, read).await
}

/// A page of a clinic's rows.
pub(crate) async fn many<T>(
    db: &mut PgConnection,
    sql: &'static str,
    clinic: ClinicId,
    page: Page,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let query = sqlx::query(sql)
        .bind(clinic.0)
        .bind(page.after.unwrap_or(Uuid::nil()))
        .bind(i64::from(page.limit.min(store::PAGE_MAX)));
    all(db, query, read).await
}
