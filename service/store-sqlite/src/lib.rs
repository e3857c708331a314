//! The embedded store: one SQLite file in WAL mode, one writer.
//!
//! Every write takes the write lock when it begins (`BEGIN IMMEDIATE`), so what a decision has
//! seen is what its commit changes. Reads go beside it on connections of their own.

#![deny(missing_docs)]

mod claims;
mod ledger;
mod people;
mod rows;
mod schedule;
mod scope;
mod write;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use clinic::scope::Claim;
use clinic::{Client, ClinicId, Principal, Scope, Service, Therapist};
use ledger_core::{Account, Entry, Key};
use scheduler_core::intent::Intent;
use scheduler_core::session::Session;
use scheduler_core::{
    ClientId, IntentId, LocalDateTime, ServiceId, SessionId, TherapistId, Window,
};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use store::{
    Calendar, Claimed, Decide, Metered, Page, Request, Store, StoreError, Token, Whose, Written,
};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a statement waits for a lock, and a caller for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many readers work beside the writer.
const READERS: u32 = 4;

/// A clinic on one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite refuses the file.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: String,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// A program newer than this one has changed the schema.
    #[error(
        "{path} has schema version {found}, this program knows up to {known}: use the newer program"
    )]
    NewerSchema {
        /// The file.
        path: String,
        /// The version in the file.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot migrate {path}")]
    Migrate {
        /// The file.
        path: String,
        /// What went wrong.
        #[source]
        source: MigrateError,
    },
}

impl SqliteStore {
    /// Opens the file, creating it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_or(path, true).await
    }

    /// Opens a file that is there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_existing(path: &Path) -> Result<Self, OpenError> {
        Self::open_or(path, false).await
    }

    async fn open_or(path: &Path, create: bool) -> Result<Self, OpenError> {
        let shown = path.display().to_string();
        let failed = |source| OpenError::Open {
            path: shown.clone(),
            source,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let pool = |size| {
            SqlitePoolOptions::new()
                .max_connections(size)
                .acquire_timeout(PATIENCE)
        };
        let writer = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        migrate(&writer, &shown).await?;
        let readers = pool(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(failed)?;
        Ok(Self { writer, readers })
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

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(rows::failed)
    }

    /// Waits for what is under way and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn migrate(writer: &SqlitePool, path: &str) -> Result<(), OpenError> {
    match MIGRATIONS.run(writer).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) => Err(OpenError::NewerSchema {
            path: path.to_owned(),
            found,
            known: SqliteStore::schema_version(),
        }),
        Err(source) => Err(OpenError::Migrate {
            path: path.to_owned(),
            source,
        }),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn write(
        &self,
        request: &Request,
        scope: Scope,
        decide: Decide<'_>,
    ) -> Result<Written, StoreError> {
        write::write(&self.writer, request, scope, decide).await
    }

    async fn claim(
        &self,
        claim: &Claim,
        decide: Decide<'_>,
    ) -> Result<Option<Claimed>, StoreError> {
        claims::claim(&self.writer, claim, decide).await
    }

    async fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        people::add_token(
            &mut *self.writer.acquire().await.map_err(rows::failed)?,
            token,
        )
        .await
    }

    async fn principal(&self, token_hash: [u8; 32]) -> Result<Option<Principal>, StoreError> {
        people::principal(&mut *self.reader().await?, token_hash).await
    }

    async fn therapist(
        &self,
        clinic: ClinicId,
        id: TherapistId,
    ) -> Result<Option<Therapist>, StoreError> {
        people::therapist(&mut *self.reader().await?, clinic, id).await
    }

    async fn therapists(&self, clinic: ClinicId, page: Page) -> Result<Vec<Therapist>, StoreError> {
        people::therapists(&mut *self.reader().await?, clinic, page).await
    }

    async fn client(&self, clinic: ClinicId, id: ClientId) -> Result<Option<Client>, StoreError> {
        people::client(&mut *self.reader().await?, clinic, id).await
    }

    async fn clients(&self, clinic: ClinicId, page: Page) -> Result<Vec<Client>, StoreError> {
        people::clients(&mut *self.reader().await?, clinic, page).await
    }

    async fn service(
        &self,
        clinic: ClinicId,
        id: ServiceId,
    ) -> Result<Option<Service>, StoreError> {
        people::service(&mut *self.reader().await?, clinic, id).await
    }

    async fn services(&self, clinic: ClinicId, page: Page) -> Result<Vec<Service>, StoreError> {
        people::services(&mut *self.reader().await?, clinic, page).await
    }

    async fn intent(&self, clinic: ClinicId, id: IntentId) -> Result<Option<Intent>, StoreError> {
        schedule::intent(&mut *self.reader().await?, clinic, id).await
    }

    async fn intents(
        &self,
        clinic: ClinicId,
        whose: Whose,
        page: Page,
    ) -> Result<Vec<Intent>, StoreError> {
        schedule::intents(&mut *self.reader().await?, clinic, whose, page).await
    }

    async fn session(
        &self,
        clinic: ClinicId,
        id: SessionId,
    ) -> Result<Option<Session>, StoreError> {
        schedule::session(&mut *self.reader().await?, clinic, id).await
    }

    async fn session_of(
        &self,
        clinic: ClinicId,
        intent: IntentId,
        recurrence_id: LocalDateTime,
    ) -> Result<Option<Session>, StoreError> {
        schedule::session_of(&mut *self.reader().await?, clinic, intent, recurrence_id).await
    }

    async fn calendar(
        &self,
        clinic: ClinicId,
        whose: Whose,
        window: Window,
    ) -> Result<Calendar, StoreError> {
        schedule::calendar(&mut *self.reader().await?, clinic, whose, window).await
    }

    async fn account(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Account>, StoreError> {
        ledger::account(&mut *self.reader().await?, clinic, client).await
    }

    async fn entries(
        &self,
        clinic: ClinicId,
        client: ClientId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        ledger::entries(&mut *self.reader().await?, clinic, client, after, limit).await
    }

    async fn entry(&self, clinic: ClinicId, key: &Key) -> Result<Option<Entry>, StoreError> {
        ledger::entry(&mut *self.reader().await?, clinic, key).await
    }

    async fn meter(&self, clinic: ClinicId) -> Result<Vec<Metered>, StoreError> {
        write::meter(&mut *self.reader().await?, clinic).await
    }
}
