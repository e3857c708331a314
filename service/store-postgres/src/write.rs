//! Applying a commit: rows, ledger, outbox and one line of the journal, or nothing.

use clinic::{Address, Change, ClinicId, Idempotent, Journal, Message, Scope, Subject, View};
use ledger_core::{Account, Entry};
use scheduler_core::LocalDateTime;
use scheduler_core::intent::Intent;
use scheduler_core::session::Session;
use sqlx::QueryBuilder;
use sqlx::postgres::{PgConnection, PgPool, Postgres};
use store::rows::{self, Columns, deviations_json, integer, json};
use store::{Decide, Idempotency, Looked, Metered, Request, StoreError, Written, history};

use crate::PostgresStore;
use crate::clock::{Clock, Read};
use crate::locks::{self, Parties, Reading, Transaction, ZoneData, within};
use crate::rows::{Document, Instant, Local, all, execute, execute_on_one, optional};
use crate::{keys, outbox, people, plans, quotas, reasons, scope, zone_data};

/// How often a write begins anew because the parties of its occurrence have changed while it
/// waited for them.
const ATTEMPTS_MAX: u32 = 5;

pub(crate) async fn write(
    store: &PostgresStore,
    at: Read,
    request: &Request,
    scope: Scope,
    decide: Decide<'_>,
) -> Result<Written, StoreError> {
    let (pool, clock) = (&store.pool, (&store.clock, at));
    // A decision is made once, in whichever attempt comes to it.
    let mut decide = Some(decide);
    for _ in 0..ATTEMPTS_MAX {
        let parties = match named(&scope) {
            Some(address) => {
                let find = async {
                    let mut reading = Reading::begin(pool).await?;
                    let parties = locks::parties(&mut reading, request.clinic, address).await;
                    reading.end();
                    parties
                };
                within(find).await?
            }
            None => None,
        };
        let locks = locks::of_write(request, &scope, parties);
        let _passed = store.gates.pass(&locks).await?;
        let attempt = attempt(pool, clock, request, &scope, parties, &locks, &mut decide);
        if let Some(outcome) = within(attempt).await? {
            return Ok(outcome);
        }
    }
    Err(StoreError::Busy)
}

/// The occurrence, or the intent by any of its own, whose parties have to be found before they can
/// be locked.
fn named(scope: &Scope) -> Option<Address> {
    match *scope {
        Scope::Occurrence { address, .. } => Some(address),
        Scope::Waiver(session) => Some(Address::Session(session)),
        Scope::Series { intent, .. } => Some(Address::Occurrence(intent, LocalDateTime::MIN)),
        _ => None,
    }
}

/// One transaction; nothing, if the occurrence has other parties than those that were locked.
async fn attempt(
    pool: &PgPool,
    clock: (&Clock, Read),
    request: &Request,
    scope: &Scope,
    parties: Option<Parties>,
    locks: &[i64],
    decide: &mut Option<Decide<'_>>,
) -> Result<Option<Written>, StoreError> {
    let zone_data = request.zone_data.map(ZoneData::last);
    let connection = locks::acquire(pool).await?;
    let mut tx = Transaction::begin(connection, locks, zone_data, Some(clock)).await?;
    let outcome = match see(&mut tx, request, scope, parties).await {
        Ok(Seen::Before(subject)) => Ok(Written::Replayed(subject)),
        Ok(Seen::Now(view)) => match decide.take() {
            Some(decide) => decided(&mut tx, request, &view, decide).await,
            None => Err(StoreError::Busy),
        },
        Ok(Seen::OtherParties) => {
            tx.rollback().await;
            return Ok(None);
        }
        Err(error) => Err(error),
    };
    finish(tx, outcome).await.map(Some)
}

/// What a write finds once it has its locks.
enum Seen {
    /// The same request, stored before.
    Before(Subject),
    /// An occurrence that has other parties than those that were locked.
    OtherParties,
    /// What the decision is made on.
    Now(Box<View>),
}

async fn see(
    db: &mut PgConnection,
    request: &Request,
    scope: &Scope,
    locked: Option<Parties>,
) -> Result<Seen, StoreError> {
    if let Some(subject) = replayed(db, request).await? {
        return Ok(Seen::Before(subject));
    }
    let view = scope::load(db, request.clinic, scope).await?;
    let parties = view.intent.as_ref();
    let parties = parties.map(|intent| (intent.therapist, intent.client));
    if named(scope).is_some() && parties != locked {
        return Ok(Seen::OtherParties);
    }
    Ok(Seen::Now(Box::new(view)))
}

/// What a write would find.
pub(crate) async fn look(
    db: &mut PgConnection,
    request: &Request,
    scope: &Scope,
) -> Result<Looked, StoreError> {
    if let Some(subject) = replayed(db, request).await? {
        return Ok(Looked::Before(subject));
    }
    let view = scope::load(db, request.clinic, scope).await?;
    Ok(Looked::Now(Box::new(view)))
}

/// Decides, and applies what was decided.
pub(crate) async fn decided(
    db: &mut PgConnection,
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
        rows += apply(db, request, view, change, counted, &mut leased).await?;
    }
    if let Some(line) = &commit.journal {
        rows += 1; // the journal's own
        journal(db, request, line, rows).await?;
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

/// What the same request was about, if it was stored before.
async fn replayed(db: &mut PgConnection, request: &Request) -> Result<Option<Subject>, StoreError> {
    let Some(Idempotency { key, request_hash }) = &request.idempotency else {
        return Ok(None);
    };
    let query = sqlx::query(
        "SELECT subject_kind, subject_id, subject_part, request_hash FROM journal
         WHERE clinic_id = $1 AND actor = $2 AND idempotency_key = $3",
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
    db: &mut PgConnection,
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
                 notice_minutes, cancellation, slots)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            );
            let query = query
                .bind(clinic.0)
                .bind(service.id.0)
                .bind(&service.name)
                .bind(i64::from(service.minutes))
                .bind(service.price.minor)
                .bind(service.price.currency.to_string())
                .bind(i64::from(service.notice_minutes))
                .bind(Document(json("cancellation", &service.cancellation)?))
                .bind(Document(json("slots", &service.slots)?));
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
    db: &mut PgConnection,
    clinic: ClinicId,
    intent: &Intent,
) -> Result<u64, StoreError> {
    let set = &intent.set;
    let query = sqlx::query(
        "INSERT INTO intent (clinic_id, id, series_id, continues_id, state, continued_by,
         therapist_id, client_id, service_id, zone, starts_local, minutes, gap, rule, deviations,
         kept, done_through, next_due_at, version, over_at, begins_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
         $19, coalesce($20, 'infinity'), coalesce($21, 'infinity'))",
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
    .bind(Local(set.start()))
    .bind(i64::from(set.minutes()))
    .bind(rows::gap_name(set.gap_policy()))
    .bind(set.rule().map(ToString::to_string))
    .bind(Document(deviations_json(set.deviations())?))
    .bind(rows::is_kept(set))
    .bind(Instant(intent.done_through))
    .bind(intent.next_due_at.map(Instant))
    .bind(integer(intent.version))
    .bind(set.over_at().map(Instant))
    .bind(set.begins_at().map(Instant));
    execute(db, query).await
}

async fn update_intent(
    db: &mut PgConnection,
    clinic: ClinicId,
    intent: &Intent,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE intent SET state = $1, continued_by = $2, deviations = $3, kept = $4,
         done_through = $5, next_due_at = $6, version = $7,
         over_at = coalesce($10, 'infinity'), begins_at = coalesce($11, 'infinity')
         WHERE clinic_id = $8 AND id = $9",
    )
    .bind(intent.state.name())
    .bind(rows::continued_by(intent))
    .bind(Document(deviations_json(intent.set.deviations())?))
    .bind(rows::is_kept(&intent.set))
    .bind(Instant(intent.done_through))
    .bind(intent.next_due_at.map(Instant))
    .bind(integer(intent.version))
    .bind(clinic.0)
    .bind(intent.id.0)
    .bind(intent.set.over_at().map(Instant))
    .bind(intent.set.begins_at().map(Instant));
    execute_on_one(db, query).await
}

async fn insert_session(
    db: &mut PgConnection,
    clinic: ClinicId,
    session: &Session,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "INSERT INTO session (clinic_id, id, intent_id, recurrence_id, therapist_id, client_id,
         service_id, starts_local, starts_at, ends_at, zone, tzdb, state, state_detail,
         slot_version, hold_generation, next_due_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(clinic.0)
    .bind(session.id.0)
    .bind(session.intent.0)
    .bind(Local(session.recurrence_id))
    .bind(session.therapist.0)
    .bind(session.client.0)
    .bind(session.service.0)
    .bind(Local(session.starts_local))
    .bind(Instant(session.starts_at))
    .bind(Instant(session.ends_at))
    .bind(session.zone.name())
    .bind(&session.tzdb)
    .bind(session.state.name())
    .bind(Document(json("state", &session.state)?))
    .bind(i64::from(session.slot_version))
    .bind(i64::from(session.hold_generation))
    .bind(session.next_due_at.map(Instant))
    .bind(integer(session.version));
    execute(db, query).await
}

async fn update_session(
    db: &mut PgConnection,
    clinic: ClinicId,
    session: &Session,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE session SET starts_local = $1, starts_at = $2, ends_at = $3, tzdb = $4, state = $5,
         state_detail = $6, slot_version = $7, hold_generation = $8, next_due_at = $9, version = $10
         WHERE clinic_id = $11 AND id = $12",
    )
    .bind(Local(session.starts_local))
    .bind(Instant(session.starts_at))
    .bind(Instant(session.ends_at))
    .bind(&session.tzdb)
    .bind(session.state.name())
    .bind(Document(json("state", &session.state)?))
    .bind(i64::from(session.slot_version))
    .bind(i64::from(session.hold_generation))
    .bind(session.next_due_at.map(Instant))
    .bind(integer(session.version))
    .bind(clinic.0)
    .bind(session.id.0);
    execute_on_one(db, query).await
}

/// The same for one that another segment has now.
async fn rebind_session(
    db: &mut PgConnection,
    clinic: ClinicId,
    session: &Session,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "UPDATE session SET intent_id = $1, recurrence_id = $2, therapist_id = $3, service_id = $4,
         zone = $5, tzdb = $6, starts_local = $7, starts_at = $8, ends_at = $9, state = $10,
         state_detail = $11, slot_version = $12, hold_generation = $13, next_due_at = $14,
         version = $15 WHERE clinic_id = $16 AND id = $17",
    )
    .bind(session.intent.0)
    .bind(Local(session.recurrence_id))
    .bind(session.therapist.0)
    .bind(session.service.0)
    .bind(session.zone.name())
    .bind(&session.tzdb)
    .bind(Local(session.starts_local))
    .bind(Instant(session.starts_at))
    .bind(Instant(session.ends_at))
    .bind(session.state.name())
    .bind(Document(json("state", &session.state)?))
    .bind(i64::from(session.slot_version))
    .bind(i64::from(session.hold_generation))
    .bind(session.next_due_at.map(Instant))
    .bind(integer(session.version))
    .bind(clinic.0)
    .bind(session.id.0);
    execute_on_one(db, query).await
}

/// Appends entries and replaces the account's snapshot, and its finished lots if they have changed.
async fn append(
    db: &mut PgConnection,
    clinic: ClinicId,
    before: Option<&Account>,
    account: &Account,
    entries: &[Entry],
) -> Result<u64, StoreError> {
    let mut rows_written = 0;
    if !entries.is_empty() {
        rows_written += insert_entries(db, clinic, entries).await?;
    }
    let query = sqlx::query(
        "UPDATE account SET version = $1, snapshot = $2, next_due_at = $3
         WHERE clinic_id = $4 AND client_id = $5",
    )
    .bind(integer(account.seq()))
    .bind(Document(json("account snapshot", &account.unfinished())?))
    .bind(account.next_due_at().map(Instant))
    .bind(clinic.0)
    .bind(account.id().0);
    rows_written += execute_on_one(db, query).await?;
    if let Some(lots) = store::account::finished(before, account)? {
        let query = sqlx::query(
            "INSERT INTO finished_lots (clinic_id, account_id, lots) VALUES ($1, $2, $3)
             ON CONFLICT (clinic_id, account_id) DO UPDATE SET lots = excluded.lots",
        )
        .bind(clinic.0)
        .bind(account.id().0)
        .bind(Document(lots));
        rows_written += execute_on_one(db, query).await?;
    }
    Ok(rows_written)
}

/// All entries of a command in one statement.
async fn insert_entries(
    db: &mut PgConnection,
    clinic: ClinicId,
    entries: &[Entry],
) -> Result<u64, StoreError> {
    let bodies: Result<Vec<String>, StoreError> = entries
        .iter()
        .map(|entry| json("entry body", &entry.body))
        .collect();
    let mut insert = QueryBuilder::<Postgres>::new(
        "INSERT INTO ledger_entry (clinic_id, account_id, seq, key, body, effective_at,
         recorded_at, prev_hash, hash, proof, proof_line) ",
    );
    insert.push_values(entries.iter().zip(bodies?), |mut row, (entry, body)| {
        let (proof, line) = entry.proof().unzip();
        row.push_bind(clinic.0)
            .push_bind(entry.account.0)
            .push_bind(integer(entry.seq))
            .push_bind(entry.key.as_str())
            .push_bind(Document(body))
            .push_bind(Instant(entry.effective_at))
            .push_bind(Instant(entry.recorded_at))
            .push_bind(entry.prev_hash.0.as_slice())
            .push_bind(entry.hash.0.as_slice())
            .push_bind(proof.map(|proof| proof.to_string()))
            .push_bind(line);
    });
    execute(db, insert.build()).await
}

async fn journal(
    db: &mut PgConnection,
    request: &Request,
    line: &Journal,
    rows_written: u64,
) -> Result<(), StoreError> {
    let (kind, id, part) = rows::subject_columns(&line.subject);
    let given = request.idempotency.as_ref();
    let insert = sqlx::query(
        "INSERT INTO journal (clinic_id, subject_kind, subject_id, subject_part, version, kind,
         actor, body, series_id, history, at, idempotency_key, request_hash, rows_written)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(request.clinic.0)
    .bind(kind)
    .bind(id)
    .bind(part)
    .bind(integer(line.version))
    .bind(line.kind)
    .bind(request.actor.to_string())
    .bind(Document(json("journal body", &line.body)?))
    .bind(line.history.as_ref().map(|history| history.series.0))
    .bind(
        line.history
            .as_ref()
            .map(history::stored)
            .transpose()?
            .map(Document),
    )
    .bind(Instant(request.at))
    .bind(given.map(|given| given.key.as_str()))
    .bind(given.map(|given| given.request_hash.as_slice()))
    .bind(integer(rows_written));
    execute(db, insert).await.map(|_| ())
}

pub(crate) async fn meter(
    db: &mut PgConnection,
    clinic: ClinicId,
) -> Result<Vec<Metered>, StoreError> {
    let query = sqlx::query(
        "SELECT kind COLLATE \"C\" AS kind, count(*) AS commands,
           sum(rows_written)::bigint AS rows_written
         FROM journal WHERE clinic_id = $1 GROUP BY kind
         UNION ALL
         SELECT kind, count(*), sum(rows_written)::bigint FROM outbox
         WHERE clinic_id = $1 GROUP BY kind
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
