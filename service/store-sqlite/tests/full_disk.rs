//! A disk that is full for a moment, at each page of each write. The limit on the size of files is the process's,
//! so this test has a process of its own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use store::contract::{Fault, Running, Struck, what_goes_wrong_leaves_nothing_half_done};
use store_sqlite::SqliteStore;
use tokio::signal::unix::{SignalKind, signal};

/// How many bytes of the log of writes go by before the next is refused. A page is 4,096 bytes, with 24 before it.
const STEP: u64 = 2048;

struct FullDisk {
    /// The same file, read and checkpointed beside the store.
    beside: SqlitePool,
    log: PathBuf,
    unlimited: Rlimit,
}

#[async_trait]
impl Fault for FullDisk {
    async fn strike(&self, step: u64, call: Running) -> Struck {
        let empty = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
        empty.execute(&self.beside).await.unwrap();
        let limit = step * STEP;
        let limited = Rlimit {
            current: Some(limit),
            ..self.unlimited
        };
        setrlimit(Resource::Fsize, limited).unwrap();
        let answer = call.await;
        setrlimit(Resource::Fsize, self.unlimited).unwrap();
        let written = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        Struck {
            reached: answer.is_err() || written > limit,
            answer: Some(answer),
        }
    }

    fn is_silent(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_leaves_nothing() {
    // Whoever listens to the signal is answered with an error and lives.
    let _heard = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clinic.db");
    SqliteStore::migrate(&file).await.unwrap();
    let store = SqliteStore::open(&file).await.unwrap();
    let options = SqliteConnectOptions::new().filename(&file);
    let fault = FullDisk {
        beside: SqlitePool::connect_with(options).await.unwrap(),
        log: folder.path().join("clinic.db-wal"),
        unlimited: getrlimit(Resource::Fsize),
    };
    let tally = what_goes_wrong_leaves_nothing_half_done(Arc::new(store), &fault).await;
    println!("{} of {} calls", tally.struck, tally.calls);
    assert!(tally.struck > 300, "{tally:?}");
}
