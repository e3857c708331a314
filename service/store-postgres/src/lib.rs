//! The shared store: any number of service processes on one PostgreSQL database.
//!
//! Every write locks the therapist and the client it is about before it reads, so what a decision
//! has seen is what its commit changes, and writes about others go on beside it. Claims skip what
//! others have claimed. No process leads.

#![deny(missing_docs)]

mod backup;
mod claims;
mod clock;
mod conflicts;
mod guards;
mod journal;
mod keys;
mod ledger;
mod locks;
mod outbox;
mod people;
mod plans;
mod quotas;
mod reasons;
mod rows;
mod schedule;
mod scope;
#[cfg(feature = "throwaway")]
pub mod throwaway;
mod write;
mod zone_data;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clinic::journal_chain::Line;
use clinic::scope::{Claim, Job};
use clinic::zone_data::{Outcome, Planned, ZoneMove};
use clinic::{
    BlindIndex, Client, ClinicId, Conflict, Message, MessageState, PersonId, Plan, PlanId, Quotas,
    Reason, Scope, SealedPerson, Service, Subscription, Therapist, WrappedDek,
};
use ledger_core::{Account, Entry, Key, Proof};
use scheduler_core::intent::{Intent, Record};
use scheduler_core::session::Session;
use scheduler_core::{
    ClientId, IntentId, LocalDateTime, ServiceId, SessionId, TherapistId, Window,
};
use sqlx::Connection;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use store::rows::Columns;
use store::{
    Backlog, Calendar, Claimed, Decide, Feed, Looked, Metered, OpenError, Page, PersonLine,
    Request, Store, StoreError, Token, Which, Whose, Written,
};
use uuid::Uuid;

use crate::clock::{Clock, Read};
use crate::locks::{Gates, Reading, Transaction, within};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a statement may take. None of ours needs more than a fraction of it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a statement waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a process may stand still within a transaction, so that one that was stopped does not
/// hold up the others.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a writer waits for others of this process who write to the same calendar. Without a
/// connection, so nobody else waits for it.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was idle for longer is asked whether it still answers before it is used. One
/// round trip for each use would be too many.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long this process waits for an answer, whatever the server's own timeouts say: longer than
/// all of them together. A connection that has gone silent (a lost host, a forgetful firewall) would
/// otherwise keep its caller and its place in the pool for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that was idle may take to show that it is alive.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// What the connections are called in `pg_stat_activity`, before the number of the process.
const APPLICATION_NAME: &str = "standing";

/// A clinic on a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    gates: Gates,
    clock: Clock,
}

impl PostgresStore {
    /// Opens a database whose schema is the one this program knows, with at most so many
    /// connections.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str, connections: u32) -> Result<Self, OpenError> {
        let (options, shown) = options(url)?;
        let millis = |timeout: Duration| timeout.as_millis().to_string();
        let options = options.options([
            ("statement_timeout", millis(STATEMENT_TIMEOUT)),
            ("lock_timeout", millis(LOCK_TIMEOUT)),
            (
                "idle_in_transaction_session_timeout",
                millis(IDLE_IN_TRANSACTION_TIMEOUT),
            ),
        ]);
        // A connection by itself says at once what is wrong; the pool would try until its patience ends.
        let mut first = connect(&options, &shown).await?;
        check_schema(&mut first, &shown).await?;
        let clock = Clock::load(&mut first).await;
        let clock = clock.map_err(|source| OpenError::Open {
            database: shown,
            source: Box::new(source),
        })?;
        let _closed = first.close().await;
        Ok(Self {
            pool: pool(options, connections),
            gates: Gates::new(),
            clock,
        })
    }

    /// Brings the schema of a database up to date. A migration may take longer than a statement of
    /// the service.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn migrate(url: &str) -> Result<(), OpenError> {
        let (options, shown) = options(url)?;
        let mut connection = connect(&options, &shown).await?;
        match check_schema(&mut connection, &shown).await {
            Err(OpenError::OlderSchema { .. }) => {}
            checked => return checked,
        }
        let migrated = MIGRATIONS.run(&mut connection).await;
        let filled = match &migrated {
            Ok(()) => schedule::fill_over_at(&mut connection).await,
            Err(_) => Ok(()),
        };
        let _closed = connection.close().await;
        migrated.map_err(|source| OpenError::Migrate {
            database: shown.clone(),
            source: Box::new(source),
        })?;
        filled.map_err(|source| OpenError::Migrate {
            database: shown,
            source: Box::new(source),
        })
    }

    /// The newest schema version this program knows.
    #[must_use]
    pub fn schema_version() -> i64 {
        MIGRATIONS
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or(0)
    }
}

/// What a URL says, and how the database is shown: without its password.
fn options(url: &str) -> Result<(PgConnectOptions, String), OpenError> {
    let options: PgConnectOptions = url.parse().map_err(|source| OpenError::Open {
        database: "the database of this URL".to_owned(),
        source: Box::<sqlx::Error>::new(source),
    })?;
    let user = options.get_username();
    let name = options.get_database().unwrap_or(user);
    let at = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let shown = format!("postgres://{user}@{at}/{name}");
    let name = format!("{APPLICATION_NAME}/{}", std::process::id());
    Ok((options.application_name(&name), shown))
}

async fn connect(options: &PgConnectOptions, shown: &str) -> Result<PgConnection, OpenError> {
    let connecting = PgConnection::connect_with(options);
    let connection = tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await;
    let connection = connection.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut));
    connection.map_err(|source| OpenError::Open {
        database: shown.to_owned(),
        source: Box::new(source),
    })
}

fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_IDLE {
                    let answered = tokio::time::timeout(PING_TIMEOUT, connection.ping());
                    answered.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// The schema must be the one this program knows.
async fn check_schema(db: &mut PgConnection, shown: &str) -> Result<(), OpenError> {
    let failed = |source| OpenError::Open {
        database: shown.to_owned(),
        source: Box::new(source),
    };
    let tables = "SELECT table_name::text FROM information_schema.tables
                  WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'";
    let tables: Vec<String> = sqlx::query_scalar(tables)
        .fetch_all(&mut *db)
        .await
        .map_err(failed)?;
    let applied = if tables.iter().any(|name| name == "_sqlx_migrations") {
        let applied =
            "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";
        sqlx::query_as(applied)
            .fetch_all(db)
            .await
            .map_err(failed)?
    } else if tables.is_empty() {
        Vec::new()
    } else {
        let database = shown.to_owned();
        return Err(OpenError::Foreign { database });
    };
    let known = MIGRATIONS.iter();
    let known = known.map(|one| (one.version, one.checksum.to_vec()));
    store::schema::check(shown, &applied, &known.collect::<Vec<_>>())
}

/// How often it looks for older transactions, every 20 ms: for 30 seconds.
const WAITS_MAX: u32 = 1_500;

/// Waits for transactions that make the server keep deleted keys. Writers of every database count, since the
/// snapshot of the rewrite includes them. So do readers of this one, here or on a standby. Returns whether all have
/// ended.
async fn wait_for_older_transactions(
    connection: &mut sqlx::PgConnection,
) -> Result<bool, StoreError> {
    let now = sqlx::query_scalar("SELECT pg_current_xact_id()::text");
    let now: String = now
        .fetch_one(&mut *connection)
        .await
        .map_err(rows::failed)?;
    for _ in 0..WAITS_MAX {
        let older = sqlx::query_scalar(
            "SELECT pg_snapshot_xmin(pg_current_snapshot()) < $1::xid8 \
             OR EXISTS (SELECT FROM pg_stat_activity \
                 WHERE (datname IS NULL OR datname = current_database()) \
                 AND pid <> pg_backend_pid() AND age(backend_xmin) > age($1::xid8::xid)) \
             OR EXISTS (SELECT FROM pg_replication_slots WHERE age(xmin) > age($1::xid8::xid))",
        );
        let older = older.bind(&now).fetch_one(&mut *connection).await;
        if !older.map_err(rows::failed)? {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(false)
}

/// How often it is tried to get a table for a moment.
const VACUUMS_MAX: u32 = 5;

/// Writes the tables of keys and indexes anew without what was deleted, and lets the log go that still
/// has it.
async fn scrub(pool: &PgPool) -> Result<Vec<&'static str>, StoreError> {
    let mut connection = locks::acquire(pool).await?;
    let mut left = Vec::new();
    if !wait_for_older_transactions(&mut connection).await? {
        left.push(
            "A transaction that began before still runs, in any database of the server \
             (pg_stat_activity, pg_prepared_xacts, pg_replication_slots), and keeps what was \
             deleted. Once it has ended: standing keys erase-client --replay.",
        );
    }
    for vacuum in ["VACUUM FULL dek", "VACUUM FULL blind_index"] {
        let mut vacuumed = Ok(());
        for _ in 0..VACUUMS_MAX {
            let vacuum = sqlx::raw_sql(vacuum).execute(&mut *connection);
            vacuumed = vacuum.await.map(|_| ()).map_err(rows::failed);
            if vacuumed.is_ok() {
                break;
            }
        }
        vacuumed?;
    }
    for sql in ["SELECT pg_switch_wal()", "CHECKPOINT", "CHECKPOINT"] {
        if sqlx::raw_sql(sql).execute(&mut *connection).await.is_err() {
            left.push(
                "As a superuser: SELECT pg_switch_wal(); CHECKPOINT; CHECKPOINT; so that the \
                 server's log lets the key go.",
            );
            break;
        }
    }
    let recycles: String = sqlx::query_scalar("SHOW wal_recycle")
        .fetch_one(&mut *connection)
        .await
        .map_err(rows::failed)?;
    if recycles == "on" {
        left.push(
            "Set wal_recycle = off and checkpoint twice, or wait until the server has overwritten \
             the segments of its log that it keeps for later.",
        );
    }
    Ok(left)
}

/// One question: a connection, the answer, and a limit to both.
macro_rules! read {
    ($store:ident, $db:ident => $question:expr) => {
        within(async {
            let mut reading = Reading::begin(&$store.pool).await?;
            let $db = &mut *reading;
            let answer = $question.await;
            reading.end();
            answer
        })
        .await
    };
}

impl PostgresStore {
    /// The triggers, constraints and unique indexes that the database has, a line each.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn guards(&self) -> Result<Vec<String>, StoreError> {
        let guards = read!(self, db => guards::guards(db))?;
        Ok(guards.into_iter().collect())
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn write(
        &self,
        request: &Request,
        scope: Scope,
        decide: Decide<'_>,
    ) -> Result<Written, StoreError> {
        let at = Read::just_now(request.at);
        write::write(self, at, request, scope, decide).await
    }

    async fn look(&self, request: &Request, scope: &Scope) -> Result<Looked, StoreError> {
        read!(self, db => write::look(db, request, scope))
    }

    async fn claim(
        &self,
        claim: &Claim,
        decide: Decide<'_>,
    ) -> Result<Option<Claimed>, StoreError> {
        let at = Read::just_now(claim.now);
        within(claims::claim(&self.pool, (&self.clock, at), claim, decide)).await
    }

    async fn backlog(&self, job: Job, now: DateTime<Utc>) -> Result<Backlog, StoreError> {
        read!(self, db => claims::backlog(db, job, now))
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        let sql = "SELECT clock_timestamp() AS now";
        let read = |row: &_| store::rows::instant(row, "now");
        let now = read!(self, db => rows::optional(db, sqlx::query(sql), read))?;
        store::rows::some("now", now)
    }

    async fn probe_write(&self) -> Result<(), StoreError> {
        within(async {
            let connection = locks::acquire(&self.pool).await?;
            let mut tx = Transaction::begin(connection, &[], None, None).await?;
            let sql = "UPDATE deployment SET clock = clock";
            let written = rows::execute(&mut tx, sqlx::query(sql)).await;
            tx.rollback().await;
            written.map(|_| ())
        })
        .await
    }

    async fn take_own_clock(&self) -> Result<bool, StoreError> {
        within(async {
            let mut connection = locks::acquire(&self.pool).await?;
            self.clock.take_own(&mut connection).await
        })
        .await
    }

    async fn has_own_clock(&self) -> Result<bool, StoreError> {
        let sql = "SELECT clock = 'own' AS own FROM deployment";
        let read = |row: &rows::Row| row.flag("own");
        let own = read!(self, db => rows::optional(db, sqlx::query(sql), read))?;
        Ok(own == Some(true))
    }

    async fn last_written(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let sql = "SELECT at FROM journal ORDER BY seq DESC LIMIT 1";
        let read = |row: &_| store::rows::instant(row, "at");
        read!(self, db => rows::optional(db, sqlx::query(sql), read))
    }

    async fn missing_guards(&self) -> Result<Vec<String>, StoreError> {
        read!(self, db => guards::missing(db))
    }

    async fn journal_end(&self, clinic: ClinicId) -> Result<u64, StoreError> {
        within(journal::end(&self.pool, clinic)).await
    }

    async fn journal_lines(
        &self,
        clinic: ClinicId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Line>, StoreError> {
        read!(self, db => journal::lines(db, clinic, after, limit))
    }

    async fn journal_gaps(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn close(&self) {
        self.pool.close().await;
    }

    async fn clinics(&self) -> Result<Vec<ClinicId>, StoreError> {
        read!(self, db => people::clinics(db))
    }

    async fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        read!(self, db => people::add_token(db, token))
    }

    async fn token(&self, hash: [u8; 32]) -> Result<Option<Token>, StoreError> {
        read!(self, db => people::token(db, hash))
    }

    async fn tokens(&self, page: Page) -> Result<Vec<Token>, StoreError> {
        read!(self, db => people::tokens(db, page))
    }

    async fn remove_token(&self, id: Uuid) -> Result<bool, StoreError> {
        read!(self, db => people::remove_token(db, id))
    }

    async fn therapist(
        &self,
        clinic: ClinicId,
        id: TherapistId,
    ) -> Result<Option<Therapist>, StoreError> {
        read!(self, db => people::therapist(db, clinic, id))
    }

    async fn therapists(&self, clinic: ClinicId, page: Page) -> Result<Vec<Therapist>, StoreError> {
        read!(self, db => people::therapists(db, clinic, page))
    }

    async fn client(&self, clinic: ClinicId, id: ClientId) -> Result<Option<Client>, StoreError> {
        read!(self, db => people::client(db, clinic, id))
    }

    async fn client_by_email(
        &self,
        clinic: ClinicId,
        indexes: &[[u8; 32]],
    ) -> Result<Option<Client>, StoreError> {
        read!(self, db => people::client_by_email(db, clinic, indexes))
    }

    async fn clients(&self, clinic: ClinicId, page: Page) -> Result<Vec<Client>, StoreError> {
        read!(self, db => people::clients(db, clinic, page))
    }

    async fn service(
        &self,
        clinic: ClinicId,
        id: ServiceId,
    ) -> Result<Option<Service>, StoreError> {
        read!(self, db => people::service(db, clinic, id))
    }

    async fn services(&self, clinic: ClinicId, page: Page) -> Result<Vec<Service>, StoreError> {
        read!(self, db => people::services(db, clinic, page))
    }

    async fn plan(&self, clinic: ClinicId, id: PlanId) -> Result<Option<Plan>, StoreError> {
        read!(self, db => plans::plan(db, clinic, id))
    }

    async fn plans(&self, clinic: ClinicId, page: Page) -> Result<Vec<Plan>, StoreError> {
        read!(self, db => plans::plans(db, clinic, page))
    }

    async fn reasons(&self, clinic: ClinicId) -> Result<Vec<Reason>, StoreError> {
        read!(self, db => reasons::own(db, clinic))
    }

    async fn quotas(&self, clinic: ClinicId) -> Result<Quotas, StoreError> {
        read!(self, db => quotas::of(db, clinic))
    }

    async fn conflict(&self, clinic: ClinicId, id: Uuid) -> Result<Option<Conflict>, StoreError> {
        read!(self, db => conflicts::one(db, clinic, id))
    }

    async fn conflicts(
        &self,
        clinic: ClinicId,
        only_open: bool,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Conflict>, StoreError> {
        read!(self, db => conflicts::list(db, clinic, only_open, after, limit))
    }

    async fn subscription(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Subscription>, StoreError> {
        read!(self, db => plans::subscription(db, clinic, client))
    }

    async fn intent(&self, clinic: ClinicId, id: IntentId) -> Result<Option<Intent>, StoreError> {
        read!(self, db => schedule::intent(db, clinic, id))
    }

    async fn intents(
        &self,
        clinic: ClinicId,
        whose: Whose,
        page: Page,
    ) -> Result<Vec<Intent>, StoreError> {
        read!(self, db => schedule::intents(db, clinic, whose, page))
    }

    async fn feed(&self, hash: [u8; 32]) -> Result<Option<Feed>, StoreError> {
        read!(self, db => people::feed(db, hash))
    }

    async fn misfiled(&self, clinic: ClinicId) -> Result<Vec<IntentId>, StoreError> {
        read!(self, db => schedule::misfiled(db, clinic))
    }

    async fn segments(
        &self,
        clinic: ClinicId,
        series: IntentId,
    ) -> Result<Vec<Intent>, StoreError> {
        read!(self, db => schedule::segments(db, clinic, series))
    }

    async fn history(&self, clinic: ClinicId, series: IntentId) -> Result<Vec<Record>, StoreError> {
        read!(self, db => schedule::records(db, clinic, series))
    }

    async fn session(
        &self,
        clinic: ClinicId,
        id: SessionId,
    ) -> Result<Option<Session>, StoreError> {
        read!(self, db => schedule::session(db, clinic, id))
    }

    async fn sessions(
        &self,
        clinic: ClinicId,
        whose: Whose,
        which: Which,
        page: Page,
    ) -> Result<Vec<Session>, StoreError> {
        read!(self, db => schedule::page(db, clinic, whose, which, page))
    }

    async fn session_of(
        &self,
        clinic: ClinicId,
        intent: IntentId,
        recurrence_id: LocalDateTime,
    ) -> Result<Option<Session>, StoreError> {
        read!(self, db => schedule::session_of(db, clinic,
            intent,
            recurrence_id))
    }

    async fn calendar(
        &self,
        clinic: ClinicId,
        whose: Whose,
        window: Window,
    ) -> Result<Calendar, StoreError> {
        read!(self, db => schedule::calendar(db, clinic, whose, window))
    }

    async fn unfinished(
        &self,
        clinic: ClinicId,
        whose: Whose,
        since: DateTime<Utc>,
    ) -> Result<Calendar, StoreError> {
        read!(self, db => schedule::unfinished(db, clinic, whose, since))
    }

    async fn accounts(&self) -> Result<Vec<(ClinicId, ClientId)>, StoreError> {
        read!(self, db => ledger::accounts(db))
    }

    async fn account(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Account>, StoreError> {
        read!(self, db => ledger::account(db, clinic, client))
    }

    async fn entries(
        &self,
        clinic: ClinicId,
        client: ClientId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        read!(self, db => ledger::entries(db, clinic, client, after, limit))
    }

    async fn entry(&self, clinic: ClinicId, key: &Key) -> Result<Option<Entry>, StoreError> {
        read!(self, db => ledger::entry(db, clinic, key))
    }

    async fn proven(&self, clinic: ClinicId, proof: &Proof) -> Result<Vec<Entry>, StoreError> {
        read!(self, db => ledger::proven(db, clinic, proof))
    }

    async fn message(&self, clinic: ClinicId, seq: u64) -> Result<Option<Message>, StoreError> {
        read!(self, db => outbox::message(db, clinic, seq))
    }

    async fn messages(
        &self,
        clinic: ClinicId,
        state: MessageState,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        read!(self, db => outbox::messages(db, clinic, state, after, limit))
    }

    async fn deks(&self, clinic: ClinicId, owners: &[Uuid]) -> Result<Vec<WrappedDek>, StoreError> {
        read!(self, db => keys::deks(db, clinic, owners))
    }

    async fn newest_deks(&self, limit: u32) -> Result<Vec<(ClinicId, WrappedDek)>, StoreError> {
        read!(self, db => keys::newest(db, limit))
    }

    async fn keep_key_fingerprint(&self, ours: [u8; 32]) -> Result<[u8; 32], StoreError> {
        read!(self, db => keys::keep_fingerprint(db, ours))
    }

    async fn dek_owners(&self, clinic: ClinicId, page: Page) -> Result<Vec<Uuid>, StoreError> {
        read!(self, db => keys::dek_owners(db, clinic, page))
    }

    async fn add_dek(&self, clinic: ClinicId, dek: &WrappedDek) -> Result<bool, StoreError> {
        read!(self, db => keys::add(db, clinic, dek))
    }

    async fn rewrap_dek(
        &self,
        clinic: ClinicId,
        dek: &WrappedDek,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        read!(self, db => keys::rewrap(db, clinic, dek, wrapped))
    }

    async fn drop_deks(
        &self,
        clinic: ClinicId,
        owner: Uuid,
        below: u32,
    ) -> Result<u64, StoreError> {
        read!(self, db => keys::drop_unused(db, clinic, owner, below))
    }

    async fn reseal(
        &self,
        clinic: ClinicId,
        id: PersonId,
        person: &SealedPerson,
    ) -> Result<bool, StoreError> {
        let set = read!(self, db => people::set_person(db, clinic, id, person));
        match set {
            Ok(_) => Ok(true),
            Err(StoreError::Constraint { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn indexes(&self, clinic: ClinicId, id: PersonId) -> Result<Vec<BlindIndex>, StoreError> {
        read!(self, db => keys::indexes(db, clinic, id))
    }

    async fn lacks_index(&self, generation: u32) -> Result<bool, StoreError> {
        read!(self, db => keys::lacks_index(db, generation))
    }

    async fn person_lines(
        &self,
        clinic: ClinicId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<PersonLine>, StoreError> {
        read!(self, db => keys::person_lines(db, clinic, after, limit))
    }

    async fn scrub(&self) -> Result<Vec<&'static str>, StoreError> {
        scrub(&self.pool).await
    }

    async fn zone_data(&self, generation: Option<u64>) -> Result<Option<Planned>, StoreError> {
        read!(self, db => zone_data::generation(db, generation))
    }

    async fn take_over(&self, next: &Planned) -> Result<bool, StoreError> {
        within(zone_data::take_over(&self.pool, next)).await
    }

    async fn settle_zone_data(
        &self,
        generation: u64,
        at: DateTime<Utc>,
        outcome: &Outcome,
    ) -> Result<bool, StoreError> {
        read!(self, db => zone_data::settle(db, generation, at, outcome))
    }

    async fn zone_moves(
        &self,
        clinic: ClinicId,
        generation: u64,
        page: Page,
    ) -> Result<Vec<ZoneMove>, StoreError> {
        read!(self, db => zone_data::moves(db, clinic, generation, page))
    }

    async fn meter(&self, clinic: ClinicId) -> Result<Vec<Metered>, StoreError> {
        read!(self, db => write::meter(db, clinic))
    }
}
