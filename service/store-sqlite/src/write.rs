//! Applying a commit: rows, ledger, outbox and one line of the journal, or nothing.

use chrono::{DateTime, Utc};
use clinic::{Actor, Change, ClinicId, Commit, Idempotent, Notification, Scope, Subject};
use ledger_core::{Account, Entry};
use scheduler_core::GapPolicy;
use scheduler_core::intent::Intent;
use scheduler_core::session::Session;
use sqlx::Transaction;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool};
use store::{Decide, Idempotency, Metered, Request, StoreError, Written};

use crate::rows::{self, deviations_json, failed, get, hours_json, integer, json, micros};
use crate::scope;

/// Who writes and when, for the journal.
pub(crate) struct Author<'a> {
    pub(crate) actor: Actor,
    pub(crate) at: DateTime<Utc>,
    pub(crate) idempotency: Option<&'a Idempotency>,
}

pub(crate) async fn write(
    writer: &SqlitePool,
    request: &Request,
    scope: Scope,
    decide: Decide<'_>,
) -> Result<Written, StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let clinic = request.principal.clinic;
    let author = Author {
        actor: Actor::Principal(request.principal),
        at: request.at,
        idempotency: request.idempotency.as_ref(),
    };
    if let Some(subject) = replayed(&mut tx, clinic, &author).await? {
        return Ok(Written::Replayed(subject));
    }
    let view = scope::load(&mut tx, clinic, &scope).await?;
    finish(tx, clinic, &author, decide(&view)?).await
}

/// Applies what was decided and commits.
pub(crate) async fn finish(
    mut tx: Transaction<'_, Sqlite>,
    clinic: ClinicId,
    author: &Author<'_>,
    decided: Idempotent<Commit>,
) -> Result<Written, StoreError> {
    let Idempotent::Applied(commit) = decided else {
        return Ok(Written::Unchanged);
    };
    let mut rows_written = 1; // the journal's own
    for change in &commit.changes {
        rows_written += apply(&mut tx, clinic, change).await?;
    }
    journal(&mut tx, clinic, author, &commit, rows_written).await?;
    tx.commit().await.map_err(failed)?;
    Ok(Written::Committed(commit.journal.subject))
}

/// What the same request was about, if it was stored before.
async fn replayed(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    author: &Author<'_>,
) -> Result<Option<Subject>, StoreError> {
    let Some(Idempotency { key, request_hash }) = author.idempotency else {
        return Ok(None);
    };
    let row = sqlx::query(
        "SELECT subject_kind, subject_id, subject_part, request_hash FROM journal
         WHERE clinic_id = ? AND actor = ? AND idempotency_key = ?",
    )
    .bind(clinic.0)
    .bind(author.actor.to_string())
    .bind(key)
    .fetch_optional(db)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let stored: &[u8] = get(&row, "request_hash")?;
    if stored == request_hash {
        rows::subject(&row).map(Some)
    } else {
        Err(StoreError::KeyReused { key: key.clone() })
    }
}

async fn apply(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    change: &Change,
) -> Result<u64, StoreError> {
    match change {
        Change::Therapist(therapist) => {
            let query = sqlx::query(
                "INSERT INTO therapist (clinic_id, id, name, zone, hours) VALUES (?, ?, ?, ?, ?)",
            );
            let query = query
                .bind(clinic.0)
                .bind(therapist.id.0)
                .bind(&therapist.name)
                .bind(therapist.hours.zone().name())
                .bind(hours_json(&therapist.hours)?);
            Ok(query.execute(db).await.map_err(failed)?.rows_affected())
        }
        Change::Client(client) => {
            let query = sqlx::query(
                "INSERT INTO client (clinic_id, id, name, zone, therapist_id) VALUES (?, ?, ?, ?, ?)",
            );
            let query = query
                .bind(clinic.0)
                .bind(client.id.0)
                .bind(&client.name)
                .bind(client.zone.name())
                .bind(client.therapist.map(|id| id.0));
            let rows = query
                .execute(&mut *db)
                .await
                .map_err(failed)?
                .rows_affected();
            let account = Account::open(ledger_core::AccountId(client.id.0));
            let query = sqlx::query(
                "INSERT INTO account (clinic_id, client_id, version, snapshot) VALUES (?, ?, ?, ?)",
            );
            let query = query
                .bind(clinic.0)
                .bind(client.id.0)
                .bind(integer(account.seq()))
                .bind(json("account snapshot", &account)?);
            Ok(rows + query.execute(db).await.map_err(failed)?.rows_affected())
        }
        Change::Service(service) => {
            let query = sqlx::query(
                "INSERT INTO service (clinic_id, id, name, minutes, price_minor, currency,
                 notice_minutes, cancellation) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            );
            let query = query
                .bind(clinic.0)
                .bind(service.id.0)
                .bind(&service.name)
                .bind(service.minutes)
                .bind(service.price_minor)
                .bind(&service.currency)
                .bind(service.notice_minutes)
                .bind(json("cancellation", &service.cancellation)?);
            Ok(query.execute(db).await.map_err(failed)?.rows_affected())
        }
        Change::NewIntent(intent) => insert_intent(db, clinic, intent).await,
        Change::Intent(intent) => update_intent(db, clinic, intent).await,
        Change::NewSession(session) => insert_session(db, clinic, session).await,
        Change::Session(session) => update_session(db, clinic, session).await,
        Change::Ledger { account, entries } => append(db, clinic, account, entries).await,
        Change::Notify(notification) => notify(db, clinic, notification).await,
    }
}

async fn insert_intent(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    intent: &Intent,
) -> Result<u64, StoreError> {
    let set = &intent.set;
    let gap = match set.gap_policy() {
        GapPolicy::Shift => "shift",
        GapPolicy::Omit => "omit",
    };
    let query = sqlx::query(
        "INSERT INTO intent (clinic_id, id, series_id, therapist_id, client_id, service_id, zone,
         starts_local, minutes, gap, rule, deviations, done_through, next_due_at, version)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(intent.id.0)
    .bind(intent.series.0)
    .bind(intent.therapist.0)
    .bind(intent.client.0)
    .bind(intent.service.0)
    .bind(set.zone().name())
    .bind(set.start().seconds())
    .bind(set.minutes())
    .bind(gap)
    .bind(set.rule().map(ToString::to_string))
    .bind(deviations_json(set.deviations())?)
    .bind(micros(intent.done_through))
    .bind(intent.next_due_at.map(micros))
    .bind(integer(intent.version));
    Ok(query.execute(db).await.map_err(failed)?.rows_affected())
}

async fn update_intent(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    intent: &Intent,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE intent SET deviations = ?, done_through = ?, next_due_at = ?, version = ?
         WHERE clinic_id = ? AND id = ?",
    )
    .bind(deviations_json(intent.set.deviations())?)
    .bind(micros(intent.done_through))
    .bind(intent.next_due_at.map(micros))
    .bind(integer(intent.version))
    .bind(clinic.0)
    .bind(intent.id.0);
    one_row(query.execute(db).await.map_err(failed)?.rows_affected())
}

async fn insert_session(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    session: &Session,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO session (clinic_id, id, intent_id, recurrence_id, therapist_id, client_id,
         service_id, starts_at, ends_at, zone, tzdb, state, state_detail, slot_version,
         hold_generation, next_due_at, version)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(session.id.0)
    .bind(session.intent.0)
    .bind(session.recurrence_id.seconds())
    .bind(session.therapist.0)
    .bind(session.client.0)
    .bind(session.service.0)
    .bind(micros(session.starts_at))
    .bind(micros(session.ends_at))
    .bind(session.zone.name())
    .bind(&session.tzdb)
    .bind(session.state.name())
    .bind(json("state", &session.state)?)
    .bind(session.slot_version)
    .bind(session.hold_generation)
    .bind(session.next_due_at.map(micros))
    .bind(integer(session.version));
    Ok(query.execute(db).await.map_err(failed)?.rows_affected())
}

async fn update_session(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    session: &Session,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE session SET starts_at = ?, ends_at = ?, state = ?, state_detail = ?,
         slot_version = ?, hold_generation = ?, next_due_at = ?, version = ?
         WHERE clinic_id = ? AND id = ?",
    )
    .bind(micros(session.starts_at))
    .bind(micros(session.ends_at))
    .bind(session.state.name())
    .bind(json("state", &session.state)?)
    .bind(session.slot_version)
    .bind(session.hold_generation)
    .bind(session.next_due_at.map(micros))
    .bind(integer(session.version))
    .bind(clinic.0)
    .bind(session.id.0);
    one_row(query.execute(db).await.map_err(failed)?.rows_affected())
}

/// Appends entries and replaces the account's snapshot.
async fn append(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    account: &Account,
    entries: &[Entry],
) -> Result<u64, StoreError> {
    let mut rows_written = 0;
    for entry in entries {
        let query = sqlx::query(
            "INSERT INTO ledger_entry (clinic_id, account_id, seq, key, body, effective_at,
             recorded_at, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(clinic.0)
        .bind(entry.account.0)
        .bind(integer(entry.seq))
        .bind(entry.key.as_str())
        .bind(json("entry body", &entry.body)?)
        .bind(micros(entry.effective_at))
        .bind(micros(entry.recorded_at))
        .bind(entry.prev_hash.0.as_slice())
        .bind(entry.hash.0.as_slice());
        rows_written += query
            .execute(&mut *db)
            .await
            .map_err(failed)?
            .rows_affected();
    }
    let query = sqlx::query(
        "UPDATE account SET version = ?, snapshot = ? WHERE clinic_id = ? AND client_id = ?",
    )
    .bind(integer(account.seq()))
    .bind(json("account snapshot", account)?)
    .bind(clinic.0)
    .bind(account.id().0);
    let updated = one_row(query.execute(db).await.map_err(failed)?.rows_affected())?;
    Ok(rows_written + updated)
}

/// The same thing is told once: a second row with its dedupe key is left out.
async fn notify(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    notification: &Notification,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO outbox (clinic_id, dedupe_key, kind, session_id, slot_version, recipient_id,
         due_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (clinic_id, dedupe_key) DO NOTHING",
    )
    .bind(clinic.0)
    .bind(notification.dedupe_key())
    .bind(notification.kind)
    .bind(notification.session.0)
    .bind(notification.slot_version)
    .bind(notification.recipient.0)
    .bind(micros(notification.due_at));
    Ok(query.execute(db).await.map_err(failed)?.rows_affected())
}

async fn journal(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    author: &Author<'_>,
    commit: &Commit,
    rows_written: u64,
) -> Result<(), StoreError> {
    let line = &commit.journal;
    let (kind, id, part) = rows::subject_columns(&line.subject);
    sqlx::query(
        "INSERT INTO journal (clinic_id, subject_kind, subject_id, subject_part, version, kind,
         actor, body, at, idempotency_key, request_hash, rows_written)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(kind)
    .bind(id)
    .bind(part)
    .bind(integer(line.version))
    .bind(line.kind)
    .bind(author.actor.to_string())
    .bind(json("journal body", &line.body)?)
    .bind(micros(author.at))
    .bind(author.idempotency.map(|given| given.key.as_str()))
    .bind(author.idempotency.map(|given| given.request_hash.to_vec()))
    .bind(integer(rows_written))
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(())
}

/// A change of a row that the decision has just read changes exactly that row.
fn one_row(rows_affected: u64) -> Result<u64, StoreError> {
    if rows_affected == 1 {
        Ok(1)
    } else {
        Err(StoreError::corrupt(
            "row",
            format!("{rows_affected} rows changed instead of one"),
        ))
    }
}

pub(crate) async fn meter(
    db: &mut SqliteConnection,
    clinic: ClinicId,
) -> Result<Vec<Metered>, StoreError> {
    let rows = sqlx::query(
        "SELECT kind, count(*) AS commands, sum(rows_written) AS rows_written FROM journal
         WHERE clinic_id = ? GROUP BY kind ORDER BY kind",
    )
    .bind(clinic.0)
    .fetch_all(db)
    .await
    .map_err(failed)?;
    let metered = rows.iter().map(|row| {
        Ok(Metered {
            kind: get(row, "kind")?,
            commands: rows::number(row, "commands")?,
            rows: rows::number(row, "rows_written")?,
        })
    });
    metered.collect()
}
