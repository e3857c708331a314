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

/// Those of accounts.
fn accounts(path: &std::path::Path) -> Vec<Anchor> {
    let mut anchors = lines(path);
    anchors.retain(|anchor| anchor.head.is_some());
    anchors
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
    let heads = accounts(&path);
    assert_eq!(heads.len(), 3);
    let last = heads[2].head.unwrap();
    assert_eq!(
        (last.account.to_string(), last.seq),
        (anna.client.clone(), 3)
    );

    // A process that broke off in a line, and the next one.
    drop(file);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{{\"clinic\":\"0000")).unwrap();
    let file = open();
    assert_eq!(lines(&path), whole);
    assert_eq!(keep(&clinic, &file).await.heads, 0);
    clinic.grant(&dora, 1).await;
    assert_eq!(keep(&clinic, &file).await.heads, 1);
    assert_eq!(accounts(&path).len(), 4);
    std::fs::write(&path, format!("{text}{{}}\n")).unwrap();
    let refused = AnchorFile::open(&path);
    let bad = text.lines().count() + 1;
    assert!(matches!(refused, Err(AnchorError::Line { line, .. }) if line == bad));
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
    clinic.grant(&parties, 1).await;
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
    assert_eq!(accounts(&path).len(), 1);
}

#[tokio::test]
async fn lines_of_the_journal_that_were_edited_deleted_or_added_are_found() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 4).await;
    let path = clinic.folder.path().join("heads.jsonl");
    let file = Arc::new(Mutex::new(AnchorFile::open(&path).unwrap()));
    keep(&clinic, &file).await;
    clinic.grant(&parties, 1).await;
    keep(&clinic, &file).await;
    clinic.grant(&parties, 1).await; // not anchored yet
    let found = async |anchors: &[Anchor]| {
        let (store, now) = (clinic.app.store.as_ref(), clinic.app.clock.now());
        let findings = examine(store, now, anchors).await;
        let found = findings
            .into_iter()
            .find(|finding| finding.check == "journal");
        found.unwrap()
    };
    let anchors = lines(&path);
    assert_eq!(
        anchors
            .iter()
            .filter(|anchor| anchor.journal.is_some())
            .count(),
        2
    );
    assert!(found(&anchors).await.is_fine());

    let mut database = Database::open(&clinic).await;
    let (open, again) = match database {
        Database::Sqlite(_) => (
            "DROP TRIGGER journal_no_update; DROP TRIGGER journal_no_delete",
            "DELETE FROM journal; INSERT INTO journal SELECT * FROM kept",
        ),
        Database::Postgres(_) => (
            "DROP TRIGGER journal_append_only ON journal;
             ALTER TABLE journal ALTER seq SET GENERATED BY DEFAULT",
            "DELETE FROM journal; INSERT INTO journal SELECT * FROM kept",
        ),
    };
    database.execute(open).await.unwrap();
    let keep = "CREATE TABLE kept AS SELECT * FROM journal";
    database.execute(keep).await.unwrap();
    let added = |seq: i64| {
        format!(
            "INSERT INTO journal (seq, clinic_id, subject_kind, subject_id, version, kind, actor,
             body, at, rows_written) SELECT {seq}, clinic_id, 'client', subject_id, 1, 'forged',
             actor, body, at, 1 FROM kept WHERE seq = 2"
        )
    };
    for (edit, said) in [
        (
            "UPDATE journal SET actor = 'tick' WHERE seq = 1".to_owned(),
            "are not as they were",
        ),
        (
            "UPDATE journal SET body = '{}' WHERE seq = 2".to_owned(),
            "are not as they were",
        ),
        (
            "UPDATE journal SET seq = 1000 WHERE seq = 3".to_owned(),
            "are not as they were",
        ),
        (
            "DELETE FROM journal WHERE seq = 2".to_owned(),
            "are not as they were",
        ),
        (
            "DELETE FROM journal WHERE kind = 'credits_granted'".to_owned(),
            "is missing",
        ),
        ("DELETE FROM journal".to_owned(), "is missing"),
        (added(0), "lines are counted from 1"),
        (added(-1), "seq"),
    ] {
        database.execute(&edit).await.unwrap();
        let journal = found(&anchors).await;
        assert!(
            !journal.is_fine() && journal.seen.contains(said),
            "{edit}: {journal}"
        );
        database.execute(again).await.unwrap();
    }
    assert!(found(&anchors).await.is_fine());

    // A line about an entry is held against the ledger, also without anchors.
    let_entries_change(&mut database).await;
    database
        .execute("DELETE FROM ledger_entry WHERE seq = 2")
        .await
        .unwrap();
    let journal = found(&[]).await;
    assert!(
        journal.seen.contains("credits_granted of entry"),
        "{journal}"
    );
}
