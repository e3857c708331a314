//! The file of anchors that the worker keeps, and what is found by it.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use ledger_core::{AccountId, fold};
use scheduler_core::ClientId;
use standing::anchors::{Anchor, AnchorError, AnchorFile, Anchored, anchor};
use standing::doctor::examine;

use crate::audit::let_entries_change;
use crate::clinic::Clinic;
use crate::database::Database;

async fn keep(clinic: &Clinic, file: &Arc<Mutex<AnchorFile>>) -> Anchored {
    let now = clinic.app.clock.now();
    anchor(&*clinic.app.store, file, now).await.unwrap()
}

fn lines(path: &std::path::Path) -> Vec<Anchor> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[tokio::test]
async fn each_changed_account_has_one_line_and_a_file_is_taken_up_again() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let (anna, dora) = (clinic.parties().await, clinic.parties().await);
    let path = clinic.folder.path().join("heads.jsonl");
    let open = || Arc::new(Mutex::new(AnchorFile::open(&path).unwrap()));
    let file = open();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        keep(&clinic, &file).await.heads,
        0,
        "no account has entries"
    );

    clinic.grant(&anna, 1).await;
    clinic.grant(&dora, 1).await;
    assert_eq!(keep(&clinic, &file).await.heads, 2);
    clinic.grant(&anna, 1).await;
    clinic.grant(&anna, 1).await;
    assert_eq!(keep(&clinic, &file).await.heads, 1);
    assert_eq!(keep(&clinic, &file).await.heads, 0);
    let whole = lines(&path);
    assert_eq!(whole.len(), 3);
    assert_eq!(whole[2].head.account.to_string(), anna.client);
    assert_eq!(whole[2].head.seq, 3);

    // A process that broke off in a line, and the next one.
    drop(file);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{{\"clinic\":\"0000")).unwrap();
    let file = open();
    assert_eq!(lines(&path), whole);
    assert_eq!(keep(&clinic, &file).await.heads, 0);
    clinic.grant(&dora, 1).await;
    assert_eq!(keep(&clinic, &file).await.heads, 1);
    assert_eq!(lines(&path).len(), 4);
    std::fs::write(&path, format!("{text}{{}}\n")).unwrap();
    let refused = AnchorFile::open(&path);
    assert!(matches!(refused, Err(AnchorError::Line { line: 4, .. })));
}

#[tokio::test]
async fn deleted_entries_of_an_account_that_was_reset_are_found() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 4).await;
    let path = clinic.folder.path().join("heads.jsonl");
    let file = Arc::new(Mutex::new(AnchorFile::open(&path).unwrap()));
    assert_eq!(keep(&clinic, &file).await.heads, 1);
    let found = async |check: &str| {
        let (store, now) = (clinic.app.store.as_ref(), clinic.app.clock.now());
        let findings = examine(store, now, &lines(&path)).await;
        let found = findings.into_iter().find(|finding| finding.check == check);
        found.unwrap()
    };
    for check in ["ledger", "anchors"] {
        assert!(found(check).await.is_fine());
    }
    // Changes of which none is kept for more than a day are pointed out.
    clinic.grant(&parties, 1).await;
    assert!(found("anchors").await.is_fine());
    clinic.app.clock.advance(chrono::TimeDelta::hours(25));
    assert!(!found("anchors").await.is_fine());

    let account = fold(AccountId(parties.client.parse().unwrap()), &[]).unwrap();
    let empty = serde_json::to_string(&account).unwrap();
    let mut database = Database::open(&clinic).await;
    let_entries_change(&mut database).await;
    database.execute("DELETE FROM ledger_entry").await.unwrap();
    let reset = format!("UPDATE account SET version = 0, snapshot = '{empty}', next_due_at = NULL");
    database.execute(&reset).await.unwrap();
    let ledger = found("ledger").await;
    assert!(ledger.seen.contains("once reached entry 1"), "{ledger}");

    // The worker says so too, and keeps nothing of that account: also when it has grown again.
    for _ in 0..2 {
        let Anchored { heads, defects } = keep(&clinic, &file).await;
        assert_eq!((heads, defects.len()), (0, 1));
        assert_eq!(defects[0].1, ClientId(parties.client.parse().unwrap()));
        clinic.grant(&parties, 4).await;
    }
    assert_eq!(lines(&path).len(), 1);
}
