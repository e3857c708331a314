//! What a store can answer instead.

use chrono::{DateTime, Utc};
use clinic::Refusal;
use ledger_core::AccountId;

use crate::account::Distrust;

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The decision refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The idempotency key stands for another request.
    #[error("the idempotency key {key:?} was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// A constraint of the database refuses what a rule let through, or a race was lost.
    #[error("the database refuses: {constraint}")]
    Constraint {
        /// What it said.
        constraint: String,
    },
    /// The database is planned with other zone data than the writer's, or is not yet settled after a
    /// change of it.
    #[error("generation {planned} of the zone data plans this database, the writer has {ours}")]
    OtherZoneData {
        /// The last generation.
        planned: u64,
        /// The writer's generation.
        ours: u64,
    },
    /// The writer's clock is away from the database's. Nothing was stored.
    #[error("the writer's clock says {writer}, the database's {database}")]
    ClockSkew {
        /// The writer's time.
        writer: DateTime<Utc>,
        /// The database's.
        database: DateTime<Utc>,
    },
    /// Somebody else is writing to what was claimed. It comes again.
    #[error("somebody else is writing to it")]
    Busy,
    /// The database does not answer, or not in time. Trying again may help.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An account's row does not agree with its entries. Nothing is written to the account.
    #[error("account {account} is not as it was written: {why}")]
    Distrusted {
        /// Whose row.
        account: AccountId,
        /// The difference.
        #[source]
        why: Box<Distrust>,
    },
    /// An entry of the ledger has a form that this program cannot read: a newer version wrote it.
    /// Nothing is written to the account.
    #[error(
        "account {account} has an entry {seq} of kind {kind:?} that this program cannot read: a newer \
         version wrote it"
    )]
    NewerEntry {
        /// Whose entry.
        account: AccountId,
        /// Its number.
        seq: u64,
        /// The kind that it names.
        kind: String,
    },
    /// What is stored cannot be read.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        /// Which kind of row or column.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// A stored value that cannot be read.
    pub fn corrupt(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt {
            what,
            source: source.into(),
        }
    }
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there.
    #[error("there is no {database}: `standing migrate` creates it")]
    Missing {
        /// Which.
        database: String,
    },
    /// It refuses, or is no database.
    #[error("cannot open {database}")]
    Open {
        /// Which.
        database: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was last written to it is in a log beside it, which is read only where something can be written.
    #[error(
        "{database} cannot be read where nothing can be written: {log} is not merged into it. Copy both to where \
         there is room"
    )]
    UnmergedLog {
        /// Which.
        database: String,
        /// The log.
        log: String,
    },
    /// A program newer than this one has changed the schema.
    #[error(
        "{database} has schema version {found}, this program knows up to {known}: use the newer program"
    )]
    NewerSchema {
        /// Which.
        database: String,
        /// The version it has.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The schema is not there or not up to date.
    #[error(
        "{database} has schema version {found}, this program needs {known}: run `standing migrate`"
    )]
    OlderSchema {
        /// Which.
        database: String,
        /// The version it has; 0 is none.
        found: i64,
        /// The version this program needs.
        known: i64,
    },
    /// The schema was made by another program, or by an unreleased state of this one.
    #[error(
        "{database} has a schema version {version} that is not this program's: use the program that \
         made it, or another database"
    )]
    OtherSchema {
        /// Which.
        database: String,
        /// The first version that differs.
        version: i64,
    },
    /// It holds another program's tables.
    #[error("{database} belongs to another program: name another database")]
    Foreign {
        /// Which.
        database: String,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot migrate {database}")]
    Migrate {
        /// Which.
        database: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
