//! The shared store: any number of service processes on one PostgreSQL database.
//!
//! Every write locks the therapist and the client it is about before it reads, so what a decision
//! has seen is what its commit changes, and writes about others go on beside it. Claims skip what
//! others have claimed. No process leads.

#![deny(missing_docs)]

mod claims;
mod ledger;
mod locks;
mod outbox;
mod people;
mod rows;
mod schedule;
mod scope;
#[cfg(feature = "throwaway")]
pub mod throwaway;
mod write;

use std::cmp::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clinic::scope::{Claim, Job};
use clinic::{Client, ClinicId, Message, MessageState, Principal, Scope, Service, Therapist};
use ledger_core::{Account, Entry, Key};
use scheduler_core::intent::Intent;
use scheduler_core::session::Session;
use scheduler_core::{
    ClientId, IntentId, LocalDateTime, ServiceId, SessionId, TherapistId, Window,
};
use sqlx::Connection;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, Postgres};
use store::{
    Backlog, Calendar, Claimed, Decide, Metered, OpenError, Page, Request, Store, StoreError,
    Token, Which, Whose, Written,
};

use crate::locks::Gates;

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
/// What the connections are called in `pg_stat_activity`, before the number of the process.
const APPLICATION_NAME: &str = "standing";

/// A clinic on a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    gates: Gates,
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
        let _closed = first.close().await;
        Ok(Self {
            pool: pool(options, connections),
            gates: Gates::new(),
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
        let outcome = match MIGRATIONS.run(&mut connection).await {
            Ok(()) => Ok(()),
            Err(MigrateError::VersionMissing(_)) => check_schema(&mut connection, &shown).await,
            Err(source) => Err(OpenError::Migrate {
                database: shown,
                source: Box::new(source),
            }),
        };
        let _closed = connection.close().await;
        outcome
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

    async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        locks::acquire(&self.pool).await
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
    let connection = PgConnection::connect_with(options).await;
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
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// The schema must be the one this program knows, neither older nor newer.
async fn check_schema(db: &mut PgConnection, shown: &str) -> Result<(), OpenError> {
    let known = PostgresStore::schema_version();
    let failed = |source| OpenError::Open {
        database: shown.to_owned(),
        source: Box::new(source),
    };
    let table = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let migrated: bool = sqlx::query_scalar(table)
        .fetch_one(&mut *db)
        .await
        .map_err(failed)?;
    let found: i64 = if migrated {
        let newest = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
        sqlx::query_scalar(newest)
            .fetch_one(db)
            .await
            .map_err(failed)?
    } else {
        0
    };
    let database = shown.to_owned();
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(OpenError::OlderSchema {
            database,
            found,
            known,
        }),
        Ordering::Greater => Err(OpenError::NewerSchema {
            database,
            found,
            known,
        }),
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
        write::write(&self.pool, &self.gates, request, scope, decide).await
    }

    async fn claim(
        &self,
        claim: &Claim,
        decide: Decide<'_>,
    ) -> Result<Option<Claimed>, StoreError> {
        claims::claim(&self.pool, claim, decide).await
    }

    async fn backlog(&self, job: Job, now: DateTime<Utc>) -> Result<Backlog, StoreError> {
        claims::backlog(&mut *self.connection().await?, job, now).await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        let sql = "SELECT clock_timestamp() AS now";
        let read = |row: &_| store::rows::instant(row, "now");
        let now = rows::optional(&mut *self.connection().await?, sqlx::query(sql), read).await?;
        store::rows::some("now", now)
    }

    async fn close(&self) {
        self.pool.close().await;
    }

    async fn clinics(&self) -> Result<Vec<ClinicId>, StoreError> {
        people::clinics(&mut *self.connection().await?).await
    }

    async fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        people::add_token(&mut *self.connection().await?, token).await
    }

    async fn principal(&self, token_hash: [u8; 32]) -> Result<Option<Principal>, StoreError> {
        people::principal(&mut *self.connection().await?, token_hash).await
    }

    async fn therapist(
        &self,
        clinic: ClinicId,
        id: TherapistId,
    ) -> Result<Option<Therapist>, StoreError> {
        people::therapist(&mut *self.connection().await?, clinic, id).await
    }

    async fn therapists(&self, clinic: ClinicId, page: Page) -> Result<Vec<Therapist>, StoreError> {
        people::therapists(&mut *self.connection().await?, clinic, page).await
    }

    async fn client(&self, clinic: ClinicId, id: ClientId) -> Result<Option<Client>, StoreError> {
        people::client(&mut *self.connection().await?, clinic, id).await
    }

    async fn clients(&self, clinic: ClinicId, page: Page) -> Result<Vec<Client>, StoreError> {
        people::clients(&mut *self.connection().await?, clinic, page).await
    }

    async fn service(
        &self,
        clinic: ClinicId,
        id: ServiceId,
    ) -> Result<Option<Service>, StoreError> {
        people::service(&mut *self.connection().await?, clinic, id).await
    }

    async fn services(&self, clinic: ClinicId, page: Page) -> Result<Vec<Service>, StoreError> {
        people::services(&mut *self.connection().await?, clinic, page).await
    }

    async fn intent(&self, clinic: ClinicId, id: IntentId) -> Result<Option<Intent>, StoreError> {
        schedule::intent(&mut *self.connection().await?, clinic, id).await
    }

    async fn intents(
        &self,
        clinic: ClinicId,
        whose: Whose,
        page: Page,
    ) -> Result<Vec<Intent>, StoreError> {
        schedule::intents(&mut *self.connection().await?, clinic, whose, page).await
    }

    async fn session(
        &self,
        clinic: ClinicId,
        id: SessionId,
    ) -> Result<Option<Session>, StoreError> {
        schedule::session(&mut *self.connection().await?, clinic, id).await
    }

    async fn sessions(
        &self,
        clinic: ClinicId,
        whose: Whose,
        which: Which,
        page: Page,
    ) -> Result<Vec<Session>, StoreError> {
        schedule::page(&mut *self.connection().await?, clinic, whose, which, page).await
    }

    async fn session_of(
        &self,
        clinic: ClinicId,
        intent: IntentId,
        recurrence_id: LocalDateTime,
    ) -> Result<Option<Session>, StoreError> {
        schedule::session_of(
            &mut *self.connection().await?,
            clinic,
            intent,
            recurrence_id,
        )
        .await
    }

    async fn calendar(
        &self,
        clinic: ClinicId,
        whose: Whose,
        window: Window,
    ) -> Result<Calendar, StoreError> {
        schedule::calendar(&mut *self.connection().await?, clinic, whose, window).await
    }

    async fn account(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Account>, StoreError> {
        ledger::account(&mut *self.connection().await?, clinic, client).await
    }

    async fn entries(
        &self,
        clinic: ClinicId,
        client: ClientId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        ledger::entries(&mut *self.connection().await?, clinic, client, after, limit).await
    }

    async fn entry(&self, clinic: ClinicId, key: &Key) -> Result<Option<Entry>, StoreError> {
        ledger::entry(&mut *self.connection().await?, clinic, key).await
    }

    async fn message(&self, clinic: ClinicId, seq: u64) -> Result<Option<Message>, StoreError> {
        outbox::message(&mut *self.connection().await?, clinic, seq).await
    }

    async fn messages(
        &self,
        clinic: ClinicId,
        state: MessageState,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        outbox::messages(&mut *self.connection().await?, clinic, state, after, limit).await
    }

    async fn meter(&self, clinic: ClinicId) -> Result<Vec<Metered>, StoreError> {
        write::meter(&mut *self.connection().await?, clinic).await
    }
}
