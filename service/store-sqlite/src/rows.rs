//! Rows to records and back.

use chrono::{DateTime, Utc};
use clinic::{Cancellation, Client, Service, Subject, Therapist};
use ledger_core::{Account, Entry, Hash, Stored};
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::intent::Intent;
use scheduler_core::session::{Session, SessionState};
use scheduler_core::set::Deviations;
use scheduler_core::{
    ClientId, GapPolicy, IntentId, LocalDateTime, RecurrenceSet, ServiceId, SessionId, TherapistId,
    Zone,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row, Type};
use store::StoreError;
use uuid::Uuid;

/// An instant as SQLite has it: microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// A sequence number or version as SQLite has it. None of ours comes near the limit.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Stored JSON says which version of its shape it is.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    data: T,
}

pub(crate) fn deviations_json(deviations: &Deviations) -> Result<String, StoreError> {
    json(
        "set",
        &Versioned {
            v: 1,
            data: deviations,
        },
    )
}

pub(crate) fn hours_json(hours: &WeeklyHours) -> Result<String, StoreError> {
    json(
        "hours",
        &Versioned {
            v: 1,
            data: hours.hours(),
        },
    )
}

pub(crate) fn json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::corrupt(what, source))
}

fn parse_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::corrupt(what, source))
}

fn parse_versioned<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    let Versioned { v, data } = parse_json(what, text)?;
    match v {
        1 => Ok(data),
        _ => Err(StoreError::corrupt(what, format!("unknown version {v}"))),
    }
}

/// A column of a row. What does not decode is corrupt, not unavailable.
pub(crate) fn get<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    row.try_get(column)
        .map_err(|source| StoreError::corrupt(column, source))
}

/// An integer column as any narrower or unsigned number.
pub(crate) fn number<T: TryFrom<i64>>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError>
where
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(get::<i64>(row, column)?).map_err(|source| StoreError::corrupt(column, source))
}

pub(crate) fn instant(row: &SqliteRow, column: &'static str) -> Result<DateTime<Utc>, StoreError> {
    to_instant(column, get(row, column)?)
}

fn optional_instant(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let micros: Option<i64> = get(row, column)?;
    micros.map(|micros| to_instant(column, micros)).transpose()
}

fn to_instant(column: &'static str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| StoreError::corrupt(column, "out of range"))
}

fn local(row: &SqliteRow, column: &'static str) -> Result<LocalDateTime, StoreError> {
    LocalDateTime::from_seconds(get(row, column)?)
        .ok_or_else(|| StoreError::corrupt(column, "out of range"))
}

fn zone(row: &SqliteRow) -> Result<Zone, StoreError> {
    let name: &str = get(row, "zone")?;
    name.parse()
        .map_err(|source| StoreError::corrupt("zone", source))
}

pub(crate) fn therapist(row: &SqliteRow) -> Result<Therapist, StoreError> {
    let hours: Vec<Hours> = parse_versioned("hours", get(row, "hours")?)?;
    let hours = WeeklyHours::new(zone(row)?, hours);
    Ok(Therapist {
        id: TherapistId(get(row, "id")?),
        name: get(row, "name")?,
        hours: hours.map_err(|source| StoreError::corrupt("hours", source))?,
    })
}

pub(crate) fn client(row: &SqliteRow) -> Result<Client, StoreError> {
    Ok(Client {
        id: ClientId(get(row, "id")?),
        name: get(row, "name")?,
        zone: zone(row)?,
        therapist: get::<Option<Uuid>>(row, "therapist_id")?.map(TherapistId),
    })
}

pub(crate) fn service(row: &SqliteRow) -> Result<Service, StoreError> {
    let cancellation: Cancellation = parse_json("cancellation", get(row, "cancellation")?)?;
    Ok(Service {
        id: ServiceId(get(row, "id")?),
        name: get(row, "name")?,
        minutes: number(row, "minutes")?,
        price_minor: get(row, "price_minor")?,
        currency: get(row, "currency")?,
        notice_minutes: number(row, "notice_minutes")?,
        cancellation,
    })
}

pub(crate) fn intent(row: &SqliteRow) -> Result<Intent, StoreError> {
    let corrupt = |source| StoreError::corrupt("set", source);
    let mut set = RecurrenceSet::new(
        local(row, "starts_local")?,
        zone(row)?,
        number(row, "minutes")?,
    )
    .map_err(corrupt)?
    .with_gap_policy(match get(row, "gap")? {
        "omit" => GapPolicy::Omit,
        _ => GapPolicy::Shift,
    })
    .with_deviations(parse_versioned("deviations", get(row, "deviations")?)?)
    .map_err(corrupt)?;
    if let Some(rule) = get::<Option<&str>>(row, "rule")? {
        set = set.with_rule(
            rule.parse()
                .map_err(|source| StoreError::corrupt("rule", source))?,
        );
    }
    Ok(Intent {
        id: IntentId(get(row, "id")?),
        series: IntentId(get(row, "series_id")?),
        therapist: TherapistId(get(row, "therapist_id")?),
        client: ClientId(get(row, "client_id")?),
        service: ServiceId(get(row, "service_id")?),
        set,
        done_through: instant(row, "done_through")?,
        next_due_at: optional_instant(row, "next_due_at")?,
        version: number(row, "version")?,
    })
}

pub(crate) fn session(row: &SqliteRow) -> Result<Session, StoreError> {
    let state: SessionState = parse_json("state", get(row, "state_detail")?)?;
    Ok(Session {
        id: SessionId(get(row, "id")?),
        intent: IntentId(get(row, "intent_id")?),
        recurrence_id: local(row, "recurrence_id")?,
        therapist: TherapistId(get(row, "therapist_id")?),
        client: ClientId(get(row, "client_id")?),
        service: ServiceId(get(row, "service_id")?),
        starts_at: instant(row, "starts_at")?,
        ends_at: instant(row, "ends_at")?,
        zone: zone(row)?,
        tzdb: get(row, "tzdb")?,
        state,
        slot_version: number(row, "slot_version")?,
        hold_generation: number(row, "hold_generation")?,
        next_due_at: optional_instant(row, "next_due_at")?,
        version: number(row, "version")?,
    })
}

pub(crate) fn account(row: &SqliteRow) -> Result<Account, StoreError> {
    parse_json("account snapshot", get(row, "snapshot")?)
}

pub(crate) fn entry(row: &SqliteRow) -> Result<Entry, StoreError> {
    let key: &str = get(row, "key")?;
    Ok(Entry::from_stored(Stored {
        account: ledger_core::AccountId(get(row, "account_id")?),
        seq: number(row, "seq")?,
        key: key
            .parse()
            .map_err(|source| StoreError::corrupt("key", source))?,
        body: parse_json("entry body", get(row, "body")?)?,
        effective_at: instant(row, "effective_at")?,
        recorded_at: instant(row, "recorded_at")?,
        prev_hash: hash(row, "prev_hash")?,
        hash: hash(row, "hash")?,
    }))
}

fn hash(row: &SqliteRow, column: &'static str) -> Result<Hash, StoreError> {
    let bytes: &[u8] = get(row, column)?;
    let bytes = bytes
        .try_into()
        .map_err(|source: std::array::TryFromSliceError| StoreError::corrupt(column, source))?;
    Ok(Hash(bytes))
}

/// A subject as three columns of the journal: kind, id, and what further names it.
pub(crate) fn subject_columns(subject: &Subject) -> (&'static str, Uuid, Option<String>) {
    match subject {
        Subject::Therapist(id) => ("therapist", id.0, None),
        Subject::Client(id) => ("client", id.0, None),
        Subject::Service(id) => ("service", id.0, None),
        Subject::Intent(id) => ("intent", id.0, None),
        Subject::Occurrence(id, at) => ("occurrence", id.0, Some(at.to_string())),
        Subject::Entry(client, key) => ("entry", client.0, Some(key.to_string())),
    }
}

pub(crate) fn subject(row: &SqliteRow) -> Result<Subject, StoreError> {
    let corrupt = |source: String| StoreError::corrupt("journal subject", source);
    let (kind, id): (&str, Uuid) = (get(row, "subject_kind")?, get(row, "subject_id")?);
    let part: Option<&str> = get(row, "subject_part")?;
    match (kind, part) {
        ("therapist", None) => Ok(Subject::Therapist(TherapistId(id))),
        ("client", None) => Ok(Subject::Client(ClientId(id))),
        ("service", None) => Ok(Subject::Service(ServiceId(id))),
        ("intent", None) => Ok(Subject::Intent(IntentId(id))),
        ("occurrence", Some(at)) => {
            let at = at.parse().map_err(|_| corrupt(at.to_owned()))?;
            Ok(Subject::Occurrence(IntentId(id), at))
        }
        ("entry", Some(key)) => {
            let key = key.parse().map_err(|_| corrupt(key.to_owned()))?;
            Ok(Subject::Entry(ClientId(id), key))
        }
        _ => Err(corrupt(kind.to_owned())),
    }
}

/// What went wrong underneath, as the service tells it apart.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    use sqlx::error::ErrorKind;
    match &error {
        sqlx::Error::Database(refusal) => {
            let refused = !matches!(refusal.kind(), ErrorKind::Other);
            // RAISE(ABORT) in a trigger is SQLITE_CONSTRAINT_TRIGGER, which has no kind of its own.
            let raised = refusal.code().is_some_and(|code| code == "1811");
            if refused || raised {
                return StoreError::Constraint {
                    constraint: refusal.message().to_owned(),
                };
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            return StoreError::corrupt("row", error);
        }
        _ => {}
    }
    StoreError::Unavailable(Box::new(error))
}
