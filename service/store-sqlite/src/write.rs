//! Applying a commit: rows, ledger, outbox and one line of the journal, or nothing.

use clinic::{Change, ClinicId, Idempotent, Journal, Message, Scope, Subject, View};
use ledger_core::{Account, Entry};
use scheduler_core::intent::Intent;
use scheduler_core::session::Session;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use store::rows::{self, Columns, deviations_json, integer, json};
use store::{Decide, Idempotency, Looked, Metered, Request, StoreError, Written, history};

use crate::rows::{all, execute, execute_on_one, micros, optional};
use crate::transaction::Transaction;
use crate::{keys, outbox, people, plans, quotas, reasons, schedule, scope, zone_data};

pub(crate) async fn write(
    writer: &SqlitePool,
    request: &Request,
    scope: Scope,
    decide: Decide<'_>,
) -> Result<Written, StoreError> {
    let mut tx = Transaction::begin(writer).await?;
    let outcome = async {
        if let Some(subject) = replayed(&mut tx, request).await? {
            return Ok(Written::Replayed(subject));
        }
        zone_data::check(&mut tx, request.zone_data, false).await?;
        let view = scope::load(&mut tx, request.clinic, &scope).await?;
        decided(&mut tx, request, &view, decide).await
    };
    let outcome = outcome.await;
    finish(tx, outcome).await
}

/// What a write would find.
pub(crate) async fn look(
    db: &mut SqliteConnection,
    request: &Request,
    scope: &Scope,
) -> Result<Looked, StoreError> {
    if let Some(subject) = replayed(db, request).await? {
        return Ok(Looked::Before(subject));
    }
    let view = scope::load(db, request.clinic, scope).await?;
    Ok(Looked::Now(Box::new(view)))
}

/// Commits what is to be stored and rolls back all else, before the caller gets an answer.
pub(crate) async fn finish(
    tx: Transaction,
    outcome: Result<Written, StoreError>,
) -> Result<Written, StoreError> {
    match outcome {
        Ok(Written::Committed { .. }) => tx.commit().await?,
        _ => tx.rollback().await,
    }
    outcome
}

/// Decides, and applies what was decided.
pub(crate) async fn decided(
    tx: &mut SqliteConnection,
    request: &Request,
    view: &View,
    decide: Decide<'_>,
) -> Result<Written, StoreError> {
    let Idempotent::Applied(commit) = decide(view)? else {
        return Ok(Written::Unchanged);
    };
    let uncounted = commit.journal.is_none();
    let (mut rows, mut leased) = (0, Vec::new());
    for change in &commit.changes {
        let counted = if uncounted { rows + 1 } else { 0 };
        rows += apply(tx, request, view, change, counted, &mut leased).await?;
    }
    if let Some(line) = &commit.journal {
        rows += 1; // the journal's own
        journal(tx, request, line, rows).await?;
    }
    if request.dry_run {
        return Ok(Written::DryRun(Box::new(commit)));
    }
    let subject = commit.journal.map(|line| line.subject);
    Ok(Written::Committed {
        subject,
        rows,
        leased,
    })
}

/// What the same request was about, if it was stored before.
async fn replayed(
    db: &mut SqliteConnection,
    request: &Request,
) -> Result<Option<Subject>, StoreError> {
    let Some(Idempotency { key, request_hash }) = &request.idempotency else {
        return Ok(None);
    };
    let query = sqlx::query(
        "SELECT subject_kind, subject_id, subject_part, request_hash FROM journal
         WHERE clinic_id = ? AND actor = ? AND idempotency_key = ?",
    )
    .bind(request.clinic.0)
    .bind(request.actor.to_string())
    .bind(key);
    let found = optional(db, query, |row| {
        let same = row.bytes("request_hash")? == Some(request_hash);
        Ok((rows::subject(row)?, same))
    });
    match found.await? {
        None => Ok(None),
        Some((subject, true)) => Ok(Some(subject)),
        Some((_, false)) => Err(StoreError::KeyReused { key: key.clone() }),
    }
}

/// Writes one change and tells how many rows that took. `counted` is what a message notes as written
/// because of it; if it is leased, it is added to those that are.
async fn apply(
    db: &mut SqliteConnection,
    request: &Request,
    view: &View,
    change: &Change,
    counted: u64,
    leased: &mut Vec<Message>,
) -> Result<u64, StoreError> {
    let clinic = request.clinic;
    match change {
        Change::NewDek(dek) => keys::insert(db, clinic, dek).await,
        Change::Person { id, person } => people::set_person(db, clinic, *id, person).await,
        Change::Indexes(id, indexes) => keys::set_indexes(db, clinic, *id, indexes).await,
        Change::LegalHold(client, held) => people::hold(db, clinic, *client, *held).await,
        Change::Assigned(client, to) => people::assign(db, clinic, *client, *to).await,
        Change::ServiceTerms(service) => people::update_service(db, clinic, service).await,
        Change::Retired(plan, at) => plans::retire(db, clinic, *plan, *at).await,
        Change::Revoke(id) => people::revoke(db, clinic, *id).await,
        Change::Line(line) => {
            // The key of the request is the commit's own line's.
            let request = Request {
                idempotency: None,
                ..request.clone()
            };
            journal(db, &request, line, 1).await.map(|()| 0)
        }
        Change::Erase(id) => {
            let person = people::erase(db, clinic, *id).await?;
            Ok(person + keys::erase(db, clinic, *id).await?)
        }
        Change::Therapist(therapist) => people::insert_therapist(db, clinic, therapist).await,
        Change::WorkingTimes(therapist) => people::update_times(db, clinic, therapist).await,
        Change::Feed(whose, secret) => people::set_feed(db, clinic, *whose, secret.as_ref()).await,
        Change::Client(client) => people::insert_client(db, clinic, client).await,
        Change::Service(service) => {
            let query = sqlx::query(
                "INSERT INTO service (clinic_id, id, name, minutes, price_minor, currency,
                 notice_minutes, cancellation, slots) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            );
            let query = query
                .bind(clinic.0)
                .bind(service.id.0)
                .bind(&service.name)
                .bind(service.minutes)
                .bind(service.price.minor)
                .bind(service.price.currency.to_string())
                .bind(service.notice_minutes)
                .bind(json("cancellation", &service.cancellation)?)
                .bind(json("slots", &service.slots)?);
            execute(db, query).await
        }
        Change::Plan(plan) => plans::insert(db, clinic, plan).await,
        Change::Reason(new) => reasons::insert(db, clinic, new).await,
        Change::Quotas(new) => quotas::set(db, clinic, *new).await,
        Change::NewSubscription(new) => plans::insert_subscription(db, clinic, new).await,
        Change::Subscription(changed) => plans::update_subscription(db, clinic, changed).await,
        Change::NewIntent(intent) => insert_intent(db, clinic, intent).await,
        Change::Intent(intent) => update_intent(db, clinic, intent).await,
        Change::NewSession(session) => insert_session(db, clinic, session).await,
        Change::Session(session) => update_session(db, clinic, session).await,
        Change::Rebound(session) => rebind_session(db, clinic, session).await,
        Change::Ledger { account, entries } => {
            let before = view.account.as_ref();
            append(db, clinic, before, account, entries).await
        }
        Change::Notify(told) => outbox::insert(db, request, told, counted, leased).await,
        Change::ZoneMove(moved) => zone_data::insert_move(db, clinic, moved).await,
        Change::Message(message) => outbox::update(db, clinic, message, counted).await,
    }
}

async fn insert_intent(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    intent: &Intent,
) -> Result<u64, StoreError> {
    let set = &intent.set;
    let query = sqlx::query(
        "INSERT INTO intent (clinic_id, id, series_id, continues_id, state, continued_by,
         therapist_id, client_id, service_id, zone, starts_local, minutes, gap, rule, deviations,
         kept, done_through, next_due_at, version, over_at, begins_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(intent.id.0)
    .bind(intent.series.0)
    .bind(intent.continues.map(|id| id.0))
    .bind(intent.state.name())
    .bind(rows::continued_by(intent))
    .bind(intent.therapist.0)
    .bind(intent.client.0)
    .bind(intent.service.0)
    .bind(set.zone().name())
    .bind(set.start().seconds())
    .bind(set.minutes())
    .bind(rows::gap_name(set.gap_policy()))
    .bind(set.rule().map(ToString::to_string))
    .bind(deviations_json(set.deviations())?)
    .bind(rows::is_kept(set))
    .bind(micros(intent.done_through))
    .bind(intent.next_due_at.map(micros))
    .bind(integer(intent.version))
    .bind(schedule::over_at(intent))
    .bind(schedule::begins_at(intent));
    execute(db, query).await
}

async fn update_intent(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    intent: &Intent,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE intent SET state = ?, continued_by = ?, deviations = ?, kept = ?, done_through = ?,
         next_due_at = ?, version = ?, over_at = ?, begins_at = ?
         WHERE clinic_id = ? AND id = ?",
    )
    .bind(intent.state.name())
    .bind(rows::continued_by(intent))
    .bind(deviations_json(intent.set.deviations())?)
    .bind(rows::is_kept(&intent.set))
    .bind(micros(intent.done_through))
    .bind(intent.next_due_at.map(micros))
    .bind(integer(intent.version))
    .bind(schedule::over_at(intent))
    .bind(schedule::begins_at(intent))
    .bind(clinic.0)
    .bind(intent.id.0);
    execute_on_one(db, query).await
}

async fn insert_session(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    session: &Session,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO session (clinic_id, id, intent_id, recurrence_id, therapist_id, client_id,
         service_id, starts_local, starts_at, ends_at, zone, tzdb, state, state_detail,
         slot_version, hold_generation, next_due_at, version)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(clinic.0)
    .bind(session.id.0)
    .bind(session.intent.0)
    .bind(session.recurrence_id.seconds())
    .bind(session.therapist.0)
    .bind(session.client.0)
    .bind(session.service.0)
    .bind(session.starts_local.seconds())
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
    execute(db, query).await
}

async fn update_session(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    session: &Session,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE session SET starts_local = ?, starts_at = ?, ends_at = ?, tzdb = ?, state = ?,
         state_detail = ?, slot_version = ?, hold_generation = ?, next_due_at = ?, version = ?
         WHERE clinic_id = ? AND id = ?",
    )
    .bind(session.starts_local.seconds())
    .bind(micros(session.starts_at))
    .bind(micros(session.ends_at))
    .bind(&session.tzdb)
    .bind(session.state.name())
    .bind(json("state", &session.state)?)
    .bind(session.slot_version)
    .bind(session.hold_generation)
    .bind(session.next_due_at.map(micros))
    .bind(integer(session.version))
    .bind(clinic.0)
    .bind(session.id.0);
    execute_on_one(db, query).await
}

/// The same for one that another segment has now.
async fn rebind_session(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    session: &Session,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE session SET intent_id = ?, recurrence_id = ?, therapist_id = ?, service_id = ?,
         zone = ?, tzdb = ?, starts_local = ?, starts_at = ?, ends_at = ?, state = ?, state_detail = ?,
         slot_version = ?, hold_generation = ?, next_due_at = ?, version = ?
         WHERE clinic_id = ? AND id = ?",
    )
    .bind(session.intent.0)
    .bind(session.recurrence_id.seconds())
    .bind(session.therapist.0)
    .bind(session.service.0)
    .bind(session.zone.name())
    .bind(&session.tzdb)
    .bind(session.starts_local.seconds())
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
    execute_on_one(db, query).await
}

/// Appends entries and replaces the account's snapshot, and its finished lots if they have changed.
async fn append(
    db: &mut SqliteConnection,
    clinic: ClinicId,
    before: Option<&Account>,
    account: &Account,
    entries: &[Entry],
) -> Result<u64, StoreError> {
    let mut rows_written = 0;
    for entry in entries {
        let (proof, line) = entry.proof().unzip();
        let query = sqlx::query(
            "INSERT INTO ledger_entry (clinic_id, account_id, seq, key, body, effective_at,
             recorded_at, prev_hash, hash, proof, proof_line)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(clinic.0)
        .bind(entry.account.0)
        .bind(integer(entry.seq))
        .bind(entry.key.as_str())
        .bind(json("entry body", &entry.body)?)
        .bind(micros(entry.effective_at))
        .bind(micros(entry.recorded_at))
        .bind(entry.prev_hash.0.as_slice())
        .bind(entry.hash.0.as_slice())
        .bind(proof.map(|proof| proof.to_string()))
        .bind(line);
        rows_written += execute(db, query).await?;
    }
    let query = sqlx::query(
        "UPDATE account SET version = ?, snapshot = ?, next_due_at = ?
         WHERE clinic_id = ? AND client_id = ?",
    )
    .bind(integer(account.seq()))
    .bind(json("account snapshot", &account.unfinished())?)
    .bind(account.next_due_at().map(micros))
    .bind(clinic.0)
    .bind(account.id().0);
    rows_written += execute_on_one(db, query).await?;
    if let Some(lots) = store::account::finished(before, account)? {
        let query = sqlx::query(
            "INSERT INTO finished_lots (clinic_id, account_id, lots) VALUES (?, ?, ?)
             ON CONFLICT (clinic_id, account_id) DO UPDATE SET lots = excluded.lots",
        )
        .bind(clinic.0)
        .bind(account.id().0)
        .bind(lots);
        rows_written += execute_on_one(db, query).await?;
    }
    Ok(rows_written)
}

async fn journal(
    db: &mut SqliteConnection,
    request: &Request,
    line: &Journal,
    rows_written: u64,
) -> Result<(), StoreError> {
    let (kind, id, part) = rows::subject_columns(&line.subject);
    let given = request.idempotency.as_ref();
    let insert = sqlx::query(
        "INSERT INTO journal (clinic_id, subject_kind, subject_id, subject_part, version, kind,
         actor, body, series_id, history, at, idempotency_key, request_hash, rows_written)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(request.clinic.0)
    .bind(kind)
    .bind(id)
    .bind(part)
    .bind(integer(line.version))
    .bind(line.kind)
    .bind(request.actor.to_string())
    .bind(json("journal body", &line.body)?)
    .bind(line.history.as_ref().map(|history| history.series.0))
    .bind(line.history.as_ref().map(history::stored).transpose()?)
    .bind(micros(request.at))
    .bind(given.map(|given| given.key.as_str()))
    .bind(given.map(|given| given.request_hash.as_slice()))
    .bind(integer(rows_written));
    execute(db, insert).await.map(|_| ())
}

pub(crate) async fn meter(
    db: &mut SqliteConnection,
    clinic: ClinicId,
) -> Result<Vec<Metered>, StoreError> {
    let query = sqlx::query(
        "SELECT kind, count(*) AS commands, sum(rows_written) AS rows_written FROM journal
         WHERE clinic_id = ?1 GROUP BY kind
         UNION ALL
         SELECT kind, count(*), sum(rows_written) FROM outbox
         WHERE clinic_id = ?1 GROUP BY kind
         ORDER BY 1",
    )
    .bind(clinic.0);
    all(db, query, |row| {
        Ok(Metered {
            kind: rows::some("kind", row.text("kind")?)?.to_owned(),
            commands: rows::number(row, "commands")?,
            rows: rows::number(row, "rows_written")?,
        })
    })
    .await
}
