//! The embedded store: one SQLite file in WAL mode, one writer.
//!
//! Every write takes the write lock when it begins (`BEGIN IMMEDIATE`), so what a decision has
//! seen is what its commit changes. Reads go beside it on connections of their own.

#![deny(missing_docs)]

mod backup;
mod claims;
mod conflicts;
#[cfg(test)]
mod faults;
mod file;
mod guards;
mod journal;
mod keys;
mod ledger;
mod outbox;
mod people;
mod plans;
mod probe;
mod quotas;
mod reasons;
mod rows;
mod schedule;
mod scope;
mod transaction;
mod write;
mod zone_data;

use std::path::{Path, PathBuf};

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
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqlitePool};
use store::{
    Backlog, Calendar, Claimed, Decide, Feed, Looked, Metered, OpenError, Page, PersonLine,
    Request, Store, StoreError, Token, Which, Whose, Written,
};
use uuid::Uuid;

use crate::file::{MIGRATIONS, Medium, check_schema, connect, options, own};

/// How many readers work beside the writer.
const READERS: u32 = 4;
/// How many connections there are: the readers' and the writer's.
pub const CONNECTIONS: u32 = READERS + 1;

/// A clinic on one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Where the file is, and its log of writes.
    folder: PathBuf,
}

impl SqliteStore {
    /// Opens a file whose schema is the one this program knows. Any other file is left as it is. Where nothing can
    /// be written, it is opened for reading.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let shown = path.display().to_string();
        let medium = check_schema(path, &shown).await?;
        let (writing, reading) = match medium {
            Medium::Writable => (options(path), options(path).read_only(true)),
            // A write is refused by SQLite.
            Medium::ReadOnly => (medium.reading(path), medium.reading(path)),
        };
        let writer = connect(writing, 1, &shown).await?;
        let readers = connect(reading, READERS, &shown).await?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        Ok(Self {
            writer,
            readers,
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
        })
    }

    /// Creates the file if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn migrate(path: &Path) -> Result<(), OpenError> {
        let shown = path.display().to_string();
        let older = async || match check_schema(path, &shown).await {
            Ok(_) => Ok(None),
            Err(OpenError::Missing { .. }) => Ok(Some(0)),
            Err(OpenError::OlderSchema { found, .. }) => Ok(Some(found)),
            Err(refused) => Err(refused),
        };
        own(path).map_err(|source| OpenError::Open {
            database: shown.clone(),
            source: Box::new(source),
        })?;
        let mut before = older().await?;
        while let Some(version) = before {
            let writer = connect(options(path).create_if_missing(true), 1, &shown).await?;
            let migrated = MIGRATIONS.run(&writer).await;
            let filled = match &migrated {
                Ok(()) => fill(&writer).await,
                Err(_) => Ok(()),
            };
            writer.close().await;
            let Err(source) = migrated else {
                return filled.map_err(|source| OpenError::Migrate {
                    database: shown,
                    source: Box::new(source),
                });
            };
            // Another process may have made this step at the same time; then the next is made.
            before = older().await?;
            if before.is_some_and(|found| found <= version) {
                return Err(OpenError::Migrate {
                    database: shown,
                    source: Box::new(source),
                });
            }
        }
        Ok(())
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

    async fn writer(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.writer.acquire().await.map_err(rows::failed)
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(rows::failed)
    }
}

/// Computes what a new schema has of rows that were there before.
async fn fill(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut writer = writer.acquire().await.map_err(rows::failed)?;
    schedule::fill_over_at(&mut writer).await
}

/// How often a checkpoint waits for readers who are still at an older state, each time as long as a
/// statement waits for a lock.
const CHECKPOINTS_MAX: u32 = 3;

/// Writes the file anew without what was deleted, and empties the log that still has it.
async fn scrub(writer: &SqlitePool) -> Result<Vec<&'static str>, StoreError> {
    let mut writer = writer.acquire().await.map_err(rows::failed)?;
    let vacuum = sqlx::raw_sql("VACUUM").execute(&mut *writer);
    vacuum.await.map_err(rows::failed)?;
    for _ in 0..CHECKPOINTS_MAX {
        let checkpoint = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)");
        let busy: i64 = checkpoint
            .fetch_one(&mut *writer)
            .await
            .map_err(rows::failed)?;
        if busy == 0 {
            return Ok(Vec::new());
        }
    }
    Ok(vec![
        "A reader kept the write-ahead log in use. Stop what reads the file, and run it again.",
    ])
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

    async fn look(&self, request: &Request, scope: &Scope) -> Result<Looked, StoreError> {
        write::look(&mut *self.reader().await?, request, scope).await
    }

    async fn claim(
        &self,
        claim: &Claim,
        decide: Decide<'_>,
    ) -> Result<Option<Claimed>, StoreError> {
        claims::claim(&self.writer, claim, decide).await
    }

    async fn backlog(&self, job: Job, now: DateTime<Utc>) -> Result<Backlog, StoreError> {
        claims::backlog(&mut *self.reader().await?, job, now).await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        let sql = "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now";
        let read = |row: &_| store::rows::instant(row, "now");
        let now = rows::optional(&mut *self.reader().await?, sqlx::query(sql), read).await?;
        store::rows::some("now", now)
    }

    async fn probe_write(&self) -> Result<(), StoreError> {
        probe::write(&self.writer, &self.folder).await
    }

    async fn take_own_clock(&self) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        let sql = "UPDATE deployment SET clock = 'own' WHERE clock = 'machine'
                   AND NOT EXISTS (SELECT 1 FROM journal)";
        rows::execute(&mut writer, sqlx::query(sql)).await?;
        self.has_own_clock().await
    }

    async fn has_own_clock(&self) -> Result<bool, StoreError> {
        let sql = "SELECT clock = 'own' AS own FROM deployment";
        let read = |row: &_| store::rows::number::<i64>(row, "own");
        let own = rows::optional(&mut *self.reader().await?, sqlx::query(sql), read).await?;
        Ok(own == Some(1))
    }

    async fn last_written(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let sql = "SELECT at FROM journal ORDER BY seq DESC LIMIT 1";
        let read = |row: &_| store::rows::instant(row, "at");
        rows::optional(&mut *self.reader().await?, sqlx::query(sql), read).await
    }

    async fn missing_guards(&self) -> Result<Vec<String>, StoreError> {
        guards::missing(&mut *self.reader().await?).await
    }

    async fn journal_end(&self, clinic: ClinicId) -> Result<u64, StoreError> {
        journal::end(&mut *self.reader().await?, clinic).await
    }

    async fn journal_lines(
        &self,
        clinic: ClinicId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Line>, StoreError> {
        journal::lines(&mut *self.reader().await?, clinic, after, limit).await
    }

    async fn journal_gaps(&self) -> Result<u64, StoreError> {
        journal::gaps(&mut *self.reader().await?).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn clinics(&self) -> Result<Vec<ClinicId>, StoreError> {
        people::clinics(&mut *self.reader().await?).await
    }

    async fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        people::add_token(&mut *self.writer().await?, token).await
    }

    async fn token(&self, hash: [u8; 32]) -> Result<Option<Token>, StoreError> {
        people::token(&mut *self.reader().await?, hash).await
    }

    async fn tokens(&self, page: Page) -> Result<Vec<Token>, StoreError> {
        people::tokens(&mut *self.reader().await?, page).await
    }

    async fn remove_token(&self, id: Uuid) -> Result<bool, StoreError> {
        people::remove_token(&mut *self.writer().await?, id).await
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

    async fn client_by_email(
        &self,
        clinic: ClinicId,
        indexes: &[[u8; 32]],
    ) -> Result<Option<Client>, StoreError> {
        people::client_by_email(&mut *self.reader().await?, clinic, indexes).await
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

    async fn plan(&self, clinic: ClinicId, id: PlanId) -> Result<Option<Plan>, StoreError> {
        plans::plan(&mut *self.reader().await?, clinic, id).await
    }

    async fn plans(&self, clinic: ClinicId, page: Page) -> Result<Vec<Plan>, StoreError> {
        plans::plans(&mut *self.reader().await?, clinic, page).await
    }

    async fn reasons(&self, clinic: ClinicId) -> Result<Vec<Reason>, StoreError> {
        reasons::own(&mut *self.reader().await?, clinic).await
    }

    async fn quotas(&self, clinic: ClinicId) -> Result<Quotas, StoreError> {
        quotas::of(&mut *self.reader().await?, clinic).await
    }

    async fn conflict(&self, clinic: ClinicId, id: Uuid) -> Result<Option<Conflict>, StoreError> {
        conflicts::one(&mut *self.reader().await?, clinic, id).await
    }

    async fn conflicts(
        &self,
        clinic: ClinicId,
        only_open: bool,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Conflict>, StoreError> {
        conflicts::list(&mut *self.reader().await?, clinic, only_open, after, limit).await
    }

    async fn subscription(
        &self,
        clinic: ClinicId,
        client: ClientId,
    ) -> Result<Option<Subscription>, StoreError> {
        plans::subscription(&mut *self.reader().await?, clinic, client).await
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

    async fn feed(&self, hash: [u8; 32]) -> Result<Option<Feed>, StoreError> {
        people::feed(&mut *self.reader().await?, hash).await
    }

    async fn misfiled(&self, clinic: ClinicId) -> Result<Vec<IntentId>, StoreError> {
        schedule::misfiled(&mut *self.reader().await?, clinic).await
    }

    async fn segments(
        &self,
        clinic: ClinicId,
        series: IntentId,
    ) -> Result<Vec<Intent>, StoreError> {
        schedule::segments(&mut *self.reader().await?, clinic, series).await
    }

    async fn history(&self, clinic: ClinicId, series: IntentId) -> Result<Vec<Record>, StoreError> {
        schedule::records(&mut *self.reader().await?, clinic, series).await
    }

    async fn session(
        &self,
        clinic: ClinicId,
        id: SessionId,
    ) -> Result<Option<Session>, StoreError> {
        schedule::session(&mut *self.reader().await?, clinic, id).await
    }

    async fn sessions(
        &self,
        clinic: ClinicId,
        whose: Whose,
        which: Which,
        page: Page,
    ) -> Result<Vec<Session>, StoreError> {
        schedule::page(&mut *self.reader().await?, clinic, whose, which, page).await
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

    async fn unfinished(
        &self,
        clinic: ClinicId,
        whose: Whose,
        since: DateTime<Utc>,
    ) -> Result<Calendar, StoreError> {
        schedule::unfinished(&mut *self.reader().await?, clinic, whose, since).await
    }

    async fn accounts(&self) -> Result<Vec<(ClinicId, ClientId)>, StoreError> {
        ledger::accounts(&mut *self.reader().await?).await
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

    async fn proven(&self, clinic: ClinicId, proof: &Proof) -> Result<Vec<Entry>, StoreError> {
        ledger::proven(&mut *self.reader().await?, clinic, proof).await
    }

    async fn message(&self, clinic: ClinicId, seq: u64) -> Result<Option<Message>, StoreError> {
        outbox::message(&mut *self.reader().await?, clinic, seq).await
    }

    async fn messages(
        &self,
        clinic: ClinicId,
        state: MessageState,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        outbox::messages(&mut *self.reader().await?, clinic, state, after, limit).await
    }

    async fn deks(&self, clinic: ClinicId, owners: &[Uuid]) -> Result<Vec<WrappedDek>, StoreError> {
        keys::deks(&mut *self.reader().await?, clinic, owners).await
    }

    async fn newest_deks(&self, limit: u32) -> Result<Vec<(ClinicId, WrappedDek)>, StoreError> {
        keys::newest(&mut *self.reader().await?, limit).await
    }

    async fn keep_key_fingerprint(&self, ours: [u8; 32]) -> Result<[u8; 32], StoreError> {
        keys::keep_fingerprint(&mut *self.writer().await?, ours).await
    }

    async fn dek_owners(&self, clinic: ClinicId, page: Page) -> Result<Vec<Uuid>, StoreError> {
        keys::dek_owners(&mut *self.reader().await?, clinic, page).await
    }

    async fn add_dek(&self, clinic: ClinicId, dek: &WrappedDek) -> Result<bool, StoreError> {
        keys::add(&mut *self.writer().await?, clinic, dek).await
    }

    async fn rewrap_dek(
        &self,
        clinic: ClinicId,
        dek: &WrappedDek,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        keys::rewrap(&mut *self.writer().await?, clinic, dek, wrapped).await
    }

    async fn drop_deks(
        &self,
        clinic: ClinicId,
        owner: Uuid,
        below: u32,
    ) -> Result<u64, StoreError> {
        keys::drop_unused(&mut *self.writer().await?, clinic, owner, below).await
    }

    async fn reseal(
        &self,
        clinic: ClinicId,
        id: PersonId,
        person: &SealedPerson,
    ) -> Result<bool, StoreError> {
        let set = people::set_person(&mut *self.writer().await?, clinic, id, person).await;
        match set {
            Ok(_) => Ok(true),
            Err(StoreError::Constraint { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn indexes(&self, clinic: ClinicId, id: PersonId) -> Result<Vec<BlindIndex>, StoreError> {
        keys::indexes(&mut *self.reader().await?, clinic, id).await
    }

    async fn lacks_index(&self, generation: u32) -> Result<bool, StoreError> {
        keys::lacks_index(&mut *self.reader().await?, generation).await
    }

    async fn person_lines(
        &self,
        clinic: ClinicId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<PersonLine>, StoreError> {
        keys::person_lines(&mut *self.reader().await?, clinic, after, limit).await
    }

    async fn scrub(&self) -> Result<Vec<&'static str>, StoreError> {
        scrub(&self.writer).await
    }

    async fn zone_data(&self, generation: Option<u64>) -> Result<Option<Planned>, StoreError> {
        zone_data::generation(&mut *self.reader().await?, generation).await
    }

    async fn take_over(&self, next: &Planned) -> Result<bool, StoreError> {
        zone_data::take_over(&mut *self.writer().await?, next).await
    }

    async fn settle_zone_data(
        &self,
        generation: u64,
        at: DateTime<Utc>,
        outcome: &Outcome,
    ) -> Result<bool, StoreError> {
        zone_data::settle(&mut *self.writer().await?, generation, at, outcome).await
    }

    async fn zone_moves(
        &self,
        clinic: ClinicId,
        generation: u64,
        page: Page,
    ) -> Result<Vec<ZoneMove>, StoreError> {
        zone_data::moves(&mut *self.reader().await?, clinic, generation, page).await
    }

    async fn meter(&self, clinic: ClinicId) -> Result<Vec<Metered>, StoreError> {
        write::meter(&mut *self.reader().await?, clinic).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_committed_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clinic.db");
        SqliteStore::migrate(&file).await.unwrap();
        let store = SqliteStore::open(&file).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        let level = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *writer);
        let level: i64 = level.await.unwrap();
        assert_eq!(level, 2, "FULL");
    }
}
