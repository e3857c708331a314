//! Stored rows to records, for every database alike.
//!
//! A store says how a column is read, by [`Columns`]; what the columns mean is said here, once.
//! What cannot be read is [`StoreError::Corrupt`] and names the column.

use chrono::{DateTime, TimeDelta, Utc};
use clinic::journal_chain::Line;
use clinic::{
    BlindIndex, Client, ClinicId, Conflict, Message, Notification, NotificationKind, Plan, PlanId,
    Quotas, Reason, Recipient, Role, SealedPerson, Service, StoredSecret, Subject, Subscription,
    Term, Therapist, WorkingTimes, WrappedDek, working_times::StoredTimes,
};
use ledger_core::{Account, AccountId, Credits, Entry, Hash, Money, Proof, Stored, Unfinished};
use scheduler_core::{ClientId, IntentId, LocalDateTime, ServiceId, SessionId, TherapistId, Zone};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account::Distrust;
use crate::{Feed, PersonLine, StoreError, Token};

mod schedule;

pub use schedule::{
    continued_by, deviations_json, gap_name, intent, is_kept, moves_json, outcome_json, session,
    zone_data, zone_move, zones_json,
};

/// A row, read column by column. A NULL is `None`.
pub trait Columns {
    /// A text.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], as for all of them.
    fn text(&self, column: &'static str) -> Result<Option<&str>, StoreError>;
    /// A document.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError>;
    /// Bytes.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn bytes(&self, column: &'static str) -> Result<Option<&[u8]>, StoreError>;
    /// An id.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn id(&self, column: &'static str) -> Result<Option<Uuid>, StoreError>;
    /// An integer.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn integer(&self, column: &'static str) -> Result<Option<i64>, StoreError>;
    /// A truth value.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn flag(&self, column: &'static str) -> Result<bool, StoreError>;
    /// An instant.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn instant(&self, column: &'static str) -> Result<Option<DateTime<Utc>>, StoreError>;
    /// A wall time.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    fn local(&self, column: &'static str) -> Result<Option<LocalDateTime>, StoreError>;
}

/// Stored JSON says which version of its shape it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Versioned<T> {
    pub(crate) v: u32,
    pub(crate) data: T,
}

/// A value as JSON text.
///
/// # Errors
/// [`StoreError::Corrupt`] if it has no JSON form, which each of ours has.
pub fn json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::corrupt(what, source))
}

/// JSON text as a value.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::corrupt(what, source))
}

/// The stored form of a therapist's working times.
///
/// # Errors
/// [`StoreError::Corrupt`] if they have no JSON form, which they have.
pub fn times_json(times: &WorkingTimes) -> Result<String, StoreError> {
    let data = times.to_stored();
    json("times", &Versioned { v: 1, data })
}

/// The stored form of a clinic's quotas.
///
/// # Errors
/// [`StoreError::Corrupt`] if they have no JSON form, which they have.
pub fn quotas_json(quotas: Quotas) -> Result<String, StoreError> {
    let data = quotas;
    json("quotas", &Versioned { v: 1, data })
}

/// How long before a window an intent was over whose occurrences and sessions cannot be in it, or near it,
/// whatever the zone data say by now.
pub const OVER_BEFORE: TimeDelta = TimeDelta::days(5);

/// The stored form of a subscription's terms.
///
/// # Errors
/// [`StoreError::Corrupt`] if they have no JSON form, which they have.
pub fn terms_json(terms: &[Term]) -> Result<String, StoreError> {
    let data = terms;
    json("terms", &Versioned { v: 1, data })
}

/// A sequence number or version as databases have it. None of ours comes near the limit.
#[must_use]
pub fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A role as two columns: its name, and whose it is.
#[must_use]
pub fn role_columns(role: Role) -> (&'static str, Option<Uuid>) {
    let subject = match role {
        Role::Admin | Role::Operator => None,
        Role::Therapist(id) => Some(id.0),
        Role::Client(id) => Some(id.0),
    };
    (role.name(), subject)
}

/// A subject as three columns of the journal: kind, id, and what further names it.
#[must_use]
pub fn subject_columns(subject: &Subject) -> (&'static str, Uuid, Option<String>) {
    match subject {
        Subject::Therapist(id) => ("therapist", id.0, None),
        Subject::Blackout(id, blackout) => ("blackout", id.0, Some(blackout.to_string())),
        Subject::Client(id) => ("client", id.0, None),
        Subject::Service(id) => ("service", id.0, None),
        Subject::Plan(id) => ("plan", id.0, None),
        Subject::Reason(code) => ("reason", Uuid::nil(), Some(code.to_string())),
        Subject::Quotas => ("quotas", Uuid::nil(), None),
        Subject::Conflict(id) => ("conflict", *id, None),
        Subject::Subscription(client) => ("subscription", client.0, None),
        Subject::Intent(id) => ("intent", id.0, None),
        Subject::Occurrence(id, at) => ("occurrence", id.0, Some(at.to_string())),
        Subject::Entry(client, key) => ("entry", client.0, Some(key.to_string())),
        Subject::Message(seq) => ("message", Uuid::nil(), Some(seq.to_string())),
    }
}

/// What a column must hold.
///
/// # Errors
/// [`StoreError::Corrupt`] if it is NULL.
pub fn some<T>(column: &'static str, value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::corrupt(column, "it is NULL"))
}

/// An integer column as any narrower or unsigned number.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn number<T: TryFrom<i64>>(row: &impl Columns, column: &'static str) -> Result<T, StoreError>
where
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(some(column, row.integer(column)?)?)
        .map_err(|source| StoreError::corrupt(column, source))
}

/// An id column.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn id(row: &impl Columns, column: &'static str) -> Result<Uuid, StoreError> {
    some(column, row.id(column)?)
}

pub(crate) fn text<'r>(row: &'r impl Columns, column: &'static str) -> Result<&'r str, StoreError> {
    some(column, row.text(column)?)
}

/// A text column as what it spells.
fn parsed<T: std::str::FromStr>(row: &impl Columns, column: &'static str) -> Result<T, StoreError>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text(row, column)?
        .parse()
        .map_err(|source| StoreError::corrupt(column, source))
}

/// An instant column.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn instant(row: &impl Columns, column: &'static str) -> Result<DateTime<Utc>, StoreError> {
    some(column, row.instant(column)?)
}

fn local(row: &impl Columns, column: &'static str) -> Result<LocalDateTime, StoreError> {
    some(column, row.local(column)?)
}

pub(crate) fn versioned<T: DeserializeOwned>(
    row: &impl Columns,
    column: &'static str,
) -> Result<T, StoreError> {
    let Versioned { v, data } = row.json(column)?;
    match v {
        1 => Ok(data),
        _ => Err(StoreError::corrupt(column, format!("unknown version {v}"))),
    }
}

/// A row of `token`.
///
/// # Errors
/// [`StoreError::Corrupt`], as for all rows.
pub fn token(row: &impl Columns) -> Result<Token, StoreError> {
    let role = match (text(row, "role")?, row.id("subject_id")?) {
        ("admin", None) => Role::Admin,
        ("operator", None) => Role::Operator,
        ("therapist", Some(id)) => Role::Therapist(TherapistId(id)),
        ("client", Some(id)) => Role::Client(ClientId(id)),
        (role, _) => return Err(StoreError::corrupt("role", role.to_owned())),
    };
    Ok(Token {
        id: id(row, "id")?,
        secret: secret(row)?,
        clinic: ClinicId(id(row, "clinic_id")?),
        role,
        created_at: instant(row, "created_at")?,
        ends_at: row.instant("ends_at")?,
    })
}

/// A column of 32 bytes.
///
/// # Errors
/// [`StoreError::Corrupt`], as for all rows.
pub fn digest_of(row: &impl Columns, column: &'static str) -> Result<[u8; 32], StoreError> {
    digest(column, some(column, row.bytes(column)?)?)
}

fn secret(row: &impl Columns) -> Result<StoredSecret, StoreError> {
    Ok(StoredSecret {
        hash: digest_of(row, "hash")?,
        mac: digest_of(row, "mac")?,
    })
}

/// A row of `feed`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn feed(row: &impl Columns) -> Result<Feed, StoreError> {
    let whose = Recipient::of_role(text(row, "subject_role")?, id(row, "subject_id")?);
    Ok(Feed {
        clinic: ClinicId(id(row, "clinic_id")?),
        whose: some("subject_role", whose)?,
        secret: secret(row)?,
    })
}

/// A row of `therapist`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn therapist(row: &impl Columns) -> Result<Therapist, StoreError> {
    let stored: StoredTimes = versioned(row, "times")?;
    let zone = parsed::<Zone>(row, "zone")?;
    let times = WorkingTimes::from_stored(zone, stored, number(row, "times_version")?);
    Ok(Therapist {
        id: TherapistId(id(row, "id")?),
        person: person(row)?,
        times: times.map_err(|source| StoreError::corrupt("times", source))?,
    })
}

/// What is known of a person: nothing, once they are erased.
fn person(row: &impl Columns) -> Result<Option<SealedPerson>, StoreError> {
    let Some(envelope) = row.bytes("sealed")? else {
        return Ok(None);
    };
    Ok(Some(SealedPerson {
        envelope: envelope.to_vec(),
        version: number(row, "sealed_version")?,
        generation: number(row, "dek_generation")?,
    }))
}

/// A row of `blind_index`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn blind_index(row: &impl Columns) -> Result<BlindIndex, StoreError> {
    Ok(BlindIndex {
        generation: number(row, "generation")?,
        hash: match row.bytes("hash")? {
            Some(hash) => Some(digest("hash", hash)?),
            None => None,
        },
    })
}

/// A row of `journal` about what is known of a person.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn person_line(row: &impl Columns) -> Result<PersonLine, StoreError> {
    let body: serde_json::Value = row.json("body")?;
    Ok(PersonLine {
        seq: number(row, "seq")?,
        of: id(row, "subject_id")?,
        kind: text(row, "kind")?.to_owned(),
        version: number(row, "version")?,
        held: body["held"].as_bool(),
    })
}

/// A row of `dek`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn dek(row: &impl Columns) -> Result<WrappedDek, StoreError> {
    Ok(WrappedDek {
        owner: id(row, "owner_id")?,
        generation: number(row, "generation")?,
        wrapped: some("wrapped", row.bytes("wrapped")?)?.to_vec(),
        created_at: instant(row, "created_at")?,
    })
}

/// A row of `client`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn client(row: &impl Columns) -> Result<Client, StoreError> {
    Ok(Client {
        id: ClientId(id(row, "id")?),
        person: person(row)?,
        legal_hold: row.flag("legal_hold")?,
        clear_zone: clear_zone(row)?,
        therapist: row.id("therapist_id")?.map(TherapistId),
    })
}

fn clear_zone(row: &impl Columns) -> Result<Option<Zone>, StoreError> {
    match row.text("clear_zone")? {
        Some(_) => parsed(row, "clear_zone").map(Some),
        None => Ok(None),
    }
}

/// A row of `service`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn service(row: &impl Columns) -> Result<Service, StoreError> {
    Ok(Service {
        id: ServiceId(id(row, "id")?),
        name: text(row, "name")?.to_owned(),
        minutes: number(row, "minutes")?,
        price: price(row)?,
        notice_minutes: number(row, "notice_minutes")?,
        cancellation: row.json("cancellation")?,
        slots: row.json("slots")?,
    })
}

fn price(row: &impl Columns) -> Result<Money, StoreError> {
    Ok(Money {
        minor: number(row, "price_minor")?,
        currency: parsed(row, "currency")?,
    })
}

/// A row of `plan`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn plan(row: &impl Columns) -> Result<Plan, StoreError> {
    Ok(Plan {
        id: PlanId(id(row, "id")?),
        name: text(row, "name")?.to_owned(),
        service: ServiceId(id(row, "service_id")?),
        credits: Credits(number(row, "credits")?),
        price: price(row)?,
        left_over: row.json("left_over")?,
        retired_at: row.instant("retired_at")?,
    })
}

/// A row of `reason`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn reason(row: &impl Columns) -> Result<Reason, StoreError> {
    Ok(Reason {
        code: parsed(row, "code")?,
        added_at: instant(row, "added_at")?,
    })
}

/// A row of `quotas`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn quotas(row: &impl Columns) -> Result<Quotas, StoreError> {
    versioned(row, "quotas")
}

/// The line of `journal` that keeps a conflict, with the time of the one that settles it.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn conflict(row: &impl Columns) -> Result<Conflict, StoreError> {
    Ok(Conflict {
        id: id(row, "subject_id")?,
        seq: number(row, "seq")?,
        between: row.json("body")?,
        kept_at: instant(row, "at")?,
        settled_at: row.instant("settled_at")?,
    })
}

/// A row of `subscription`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn subscription(row: &impl Columns) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        client: ClientId(id(row, "client_id")?),
        terms: versioned(row, "terms")?,
        version: number(row, "version")?,
    })
}

/// A row of `account`. Whether it agrees with the entries, [`believe`](crate::account::believe)
/// says.
///
/// # Errors
/// [`StoreError::Corrupt`], or [`StoreError::Distrusted`] if the snapshot is another account's or the row
/// is due at another time than it.
pub fn account(row: &impl Columns) -> Result<Account, StoreError> {
    let unfinished: Unfinished = row.json("snapshot")?;
    let account = unfinished.with(row.json("finished")?);
    let account = account.map_err(|error| StoreError::corrupt("account", error))?;
    let (client, found) = (AccountId(id(row, "client_id")?), account.id());
    if found != client {
        return Err(Distrust::OtherAccount { found }.of(client));
    }
    let (stored, snapshot) = (row.instant("next_due_at")?, account.next_due_at());
    if stored != snapshot {
        return Err(Distrust::Due { stored, snapshot }.of(client));
    }
    let version: u64 = number(row, "version")?;
    if version == account.seq() {
        return Ok(account);
    }
    let seq = account.seq();
    let odd = format!("the version is {version}, the snapshot at entry {seq}");
    Err(StoreError::corrupt("account", odd))
}

/// A row of `ledger_entry`.
///
/// # Errors
/// [`StoreError::Corrupt`], or [`StoreError::NewerEntry`] if the body names a kind and cannot be
/// read.
pub fn entry(row: &impl Columns) -> Result<Entry, StoreError> {
    let (account, seq) = (AccountId(id(row, "account_id")?), number(row, "seq")?);
    let body = row.json("body").map_err(|error| {
        let body = row.json::<serde_json::Value>("body").unwrap_or_default();
        match body["kind"].as_str() {
            Some(kind) => StoreError::NewerEntry {
                account,
                seq,
                kind: kind.to_owned(),
            },
            None => error,
        }
    });
    let entry = Entry::from_stored(Stored {
        account,
        seq,
        key: parsed(row, "key")?,
        body: body?,
        effective_at: instant(row, "effective_at")?,
        recorded_at: instant(row, "recorded_at")?,
        prev_hash: hash(row, "prev_hash")?,
        hash: hash(row, "hash")?,
    });
    let entry = entry.map_err(|error| StoreError::corrupt("ledger entry", error))?;
    let (proof, line) = entry.proof().unzip();
    let stored = (row.text("proof")?, row.text("proof_line")?);
    let proof = proof.as_ref().map(Proof::as_str);
    // Nothing, of a second grant on one proof from before that was refused.
    if stored.0.is_some() && stored != (proof, line.as_deref()) {
        let odd = format!("entry {seq} of account {account} was granted on another proof");
        return Err(StoreError::corrupt("ledger entry", odd));
    }
    Ok(entry)
}

fn hash(row: &impl Columns, column: &'static str) -> Result<Hash, StoreError> {
    let bytes = some(column, row.bytes(column)?)?;
    digest(column, bytes).map(Hash)
}

fn digest(column: &'static str, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes
        .try_into()
        .map_err(|source: std::array::TryFromSliceError| StoreError::corrupt(column, source))
}

/// A row of `outbox`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn message(row: &impl Columns) -> Result<Message, StoreError> {
    let role = text(row, "recipient_role")?;
    let recipient = Recipient::of_role(role, id(row, "recipient_id")?);
    let kind: NotificationKind = parsed(row, "kind")?;
    Ok(Message {
        seq: number(row, "seq")?,
        notification: Notification {
            kind,
            session: SessionId(id(row, "session_id")?),
            slot_version: number(row, "slot_version")?,
            recipient: some("recipient_role", recipient)?,
            due_at: instant(row, "due_at")?,
            moves: match kind {
                NotificationKind::ClocksChanged { .. } => versioned(row, "moves")?,
                _ => Vec::new(),
            },
        },
        state: parsed(row, "state")?,
        attempts: number(row, "attempts")?,
        next_due_at: row.instant("next_due_at")?,
        last_error: row.text("last_error")?.map(str::to_owned),
    })
}

/// What a line of the journal comes after, in a column of numbers. From the beginning on, numbers that
/// no line should have are read too.
#[must_use]
pub fn after_line(after: u64) -> i64 {
    match after {
        0 => i64::MIN,
        _ => integer(after),
    }
}

/// A row of `journal` as it is stored.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn journal_line(row: &impl Columns) -> Result<Line, StoreError> {
    let owned = |column| Ok::<_, StoreError>(row.text(column)?.map(str::to_owned));
    let seq = number(row, "seq")?;
    if seq == 0 {
        return Err(StoreError::corrupt("seq", "lines are counted from 1"));
    }
    Ok(Line {
        seq,
        subject_kind: text(row, "subject_kind")?.to_owned(),
        subject_id: id(row, "subject_id")?,
        subject_part: owned("subject_part")?,
        version: number(row, "version")?,
        kind: text(row, "kind")?.to_owned(),
        actor: text(row, "actor")?.to_owned(),
        body: text(row, "body")?.to_owned(),
        series_id: row.id("series_id")?,
        history: owned("history")?,
        at: instant(row, "at")?,
        idempotency_key: owned("idempotency_key")?,
        request_hash: row.bytes("request_hash")?.map(<[u8]>::to_vec),
        rows_written: number(row, "rows_written")?,
    })
}

/// The subject of a row of `journal`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn subject(row: &impl Columns) -> Result<Subject, StoreError> {
    let corrupt = |source: &str| StoreError::corrupt("journal subject", source.to_owned());
    let (kind, id) = (text(row, "subject_kind")?, id(row, "subject_id")?);
    match (kind, row.text("subject_part")?) {
        ("therapist", None) => Ok(Subject::Therapist(TherapistId(id))),
        ("blackout", Some(part)) => {
            let blackout = part.parse().map_err(|_| corrupt(part))?;
            Ok(Subject::Blackout(TherapistId(id), blackout))
        }
        ("client", None) => Ok(Subject::Client(ClientId(id))),
        ("service", None) => Ok(Subject::Service(ServiceId(id))),
        ("plan", None) => Ok(Subject::Plan(PlanId(id))),
        ("reason", Some(code)) => Ok(Subject::Reason(code.parse().map_err(|_| corrupt(code))?)),
        ("quotas", None) => Ok(Subject::Quotas),
        ("conflict", None) => Ok(Subject::Conflict(id)),
        ("subscription", None) => Ok(Subject::Subscription(ClientId(id))),
        ("intent", None) => Ok(Subject::Intent(IntentId(id))),
        ("occurrence", Some(at)) => {
            let at = at.parse().map_err(|_| corrupt(at))?;
            Ok(Subject::Occurrence(IntentId(id), at))
        }
        ("entry", Some(key)) => {
            let key = key.parse().map_err(|_| corrupt(key))?;
            Ok(Subject::Entry(ClientId(id), key))
        }
        ("message", Some(seq)) => Ok(Subject::Message(seq.parse().map_err(|_| corrupt(seq))?)),
        _ => Err(corrupt(kind)),
    }
}
