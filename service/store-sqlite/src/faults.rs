//! Statements that fail in the midst, commits that are refused, callers who go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use store::contract::{
    Fault, Running, Struck, Tally, dropped_at, what_goes_wrong_leaves_nothing_half_done,
};

use crate::SqliteStore;

/// Where SQLite looks up from its work: at so many places it goes on, at the next it is told to stop.
/// Negative when it is to go on for ever.
type Left = Arc<AtomicI64>;

/// Counts down, and says whether to go on.
fn goes_on(left: &AtomicI64) -> bool {
    let counted = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        (left >= 0).then(|| left - 1)
    });
    counted != Ok(0)
}

enum Kind {
    /// `SQLITE_INTERRUPT` in the midst of a statement: as after an I/O error or with a full disk, SQLite ends the
    /// transaction by itself.
    Interrupted,
    /// A commit becomes a rollback.
    Uncommitted,
    /// The caller goes away.
    Dropped,
}

struct Sqlite {
    store: SqliteStore,
    kind: Kind,
    left: Left,
}

impl Sqlite {
    /// Has every connection count, also those that came in place of one that failed.
    async fn watch(&self) {
        let mut connections = vec![self.store.writer().await.unwrap()];
        for _ in 0..crate::READERS {
            connections.push(self.store.reader().await.unwrap());
        }
        for connection in &mut connections {
            let left = self.left.clone();
            let mut handle = connection.lock_handle().await.unwrap();
            match self.kind {
                Kind::Interrupted => handle.set_progress_handler(1, move || goes_on(&left)),
                Kind::Uncommitted => handle.set_commit_hook(move || goes_on(&left)),
                Kind::Dropped => {}
            }
        }
    }
}

#[async_trait]
impl Fault for Sqlite {
    async fn strike(&self, step: u64, call: Running) -> Struck {
        if matches!(self.kind, Kind::Dropped) {
            return dropped_at(step, call).await;
        }
        self.watch().await;
        self.left.store(step.try_into().unwrap(), Ordering::SeqCst);
        let answer = call.await;
        let left = self.left.swap(-1, Ordering::SeqCst);
        Struck {
            reached: left < 0,
            answer: Some(answer),
        }
    }

    fn after(&self, step: u64) -> u64 {
        match self.kind {
            Kind::Interrupted if std::env::var_os("STANDING_CASES").is_none() => {
                step + 1 + step / 2
            }
            _ => step + 1,
        }
    }

    /// SQLite looks up once more when a statement has committed.
    fn is_silent(&self) -> bool {
        !matches!(self.kind, Kind::Uncommitted)
    }
}

async fn strike(kind: Kind) -> Tally {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clinic.db");
    SqliteStore::migrate(&file).await.unwrap();
    let store = SqliteStore::open(&file).await.unwrap();
    let fault = Sqlite {
        store: store.clone(),
        kind,
        left: Arc::new(AtomicI64::new(-1)),
    };
    let tally = what_goes_wrong_leaves_nothing_half_done(Arc::new(store), &fault).await;
    println!("{} of {} calls", tally.struck, tally.calls);
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_interrupted_leaves_nothing() {
    let tally = strike(Kind::Interrupted).await;
    assert_eq!(tally.untouched, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_refused_leaves_nothing() {
    let tally = strike(Kind::Uncommitted).await;
    assert!(tally.struck > 15, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_leaves_nothing() {
    let tally = strike(Kind::Dropped).await;
    assert!(tally.struck > 400, "{tally:?}");
}
