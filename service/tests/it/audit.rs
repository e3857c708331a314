//! `standing ledger`: whoever changes the ledger behind the service's back is found out.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use standing::database::Database as Location;

use crate::clinic::{Clinic, Parties};
use crate::database::Database;

/// What the binary says, and whether it is content.
pub(crate) fn ledger(
    clinic: &Clinic,
    command: &str,
    anchors: Option<&Path>,
) -> (String, String, bool) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_standing"));
    run.args(["--log", "error", "ledger", command, "--database"]);
    match &clinic.database {
        Location::Sqlite(path) => run.arg(path),
        Location::Postgres(url) => run.arg(url),
    };
    if let Some(anchors) = anchors {
        run.arg("--anchors").arg(anchors);
    }
    let output = run.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.success(),
    )
}

/// A clinic with an account of five entries.
async fn with_history() -> (Clinic, Parties) {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let parties = clinic.parties().await;
    clinic.grant(&parties, 3).await;
    clinic
        .book(&parties, "2026-03-03T18:00:00", Some("FREQ=DAILY;COUNT=2"))
        .await;
    clinic.pass(36).await;
    let sessions = clinic.get("/sessions?which=attendance_unknown").await;
    let session = sessions["items"][0]["session_id"]
        .as_str()
        .unwrap()
        .to_owned();
    clinic
        .post(&format!("/sessions/{session}/complete"), json!({}))
        .await;
    assert_eq!(clinic.ledger(&parties).await.len(), 5);
    (clinic, parties)
}

/// Takes the net away that keeps entries from being changed.
pub(crate) async fn let_entries_change(database: &mut Database) {
    let sql = match database {
        Database::Sqlite(_) => {
            "DROP TRIGGER ledger_entry_no_update; DROP TRIGGER ledger_entry_no_delete"
        }
        Database::Postgres(_) => "DROP TRIGGER ledger_entry_append_only ON ledger_entry",
    };
    database.execute(sql).await.unwrap();
}

#[tokio::test]
async fn the_first_entry_that_is_not_as_it_was_written_is_named() {
    let (clinic, parties) = with_history().await;
    let (said, complaint, content) = ledger(&clinic, "verify", None);
    assert!(content, "{said}{complaint}");
    assert_eq!(
        said,
        "1 accounts, 5 entries, 7 journal lines, 0 anchors: all chains hold, all snapshots are their folds\n"
    );
    let mut database = Database::open(&clinic).await;
    assert!(
        database
            .execute("UPDATE ledger_entry SET seq = seq WHERE seq = 1")
            .await
            .is_err(),
        "the database refuses"
    );
    assert!(database.execute("DELETE FROM ledger_entry").await.is_err());
    let_entries_change(&mut database).await;
    let text = match database {
        Database::Sqlite(_) => "CAST(body AS TEXT)",
        Database::Postgres(_) => "body::text",
    };
    let back = match database {
        Database::Sqlite(_) => "",
        Database::Postgres(_) => "::json",
    };
    for (change, entry, why) in [
        // The third entry is a hold: give it to another service; then break it altogether.
        (
            format!(
                "UPDATE ledger_entry SET body = replace({text}, '{}', '{}'){back} WHERE seq = 3",
                parties.service, parties.client
            ),
            3,
            "its contents have",
        ),
        (
            "UPDATE ledger_entry SET body = '{}' WHERE seq = 2".to_owned(),
            2,
            "cannot be read",
        ),
        (
            "DELETE FROM ledger_entry WHERE seq = 1".to_owned(),
            1,
            "entry 2 stands there",
        ),
    ] {
        database.execute(&change).await.unwrap();
        let (said, complaint, content) = ledger(&clinic, "verify", None);
        assert!(!content);
        let named = format!("account {}: ", parties.client);
        assert_eq!(said, "");
        assert!(
            complaint.contains(&named) && complaint.contains(&format!("entry {entry}")),
            "{complaint}"
        );
        assert!(complaint.contains(why) || entry == 1, "{complaint}");
        assert!(complaint.contains("1 of 1 accounts"), "{complaint}");
    }
}

#[tokio::test]
async fn what_is_cut_off_with_its_snapshot_is_found_by_a_head_that_was_kept() {
    let (clinic, parties) = with_history().await;
    let (kept, complaint, content) = ledger(&clinic, "anchor", None);
    assert!(content && kept.lines().count() == 1, "{complaint}");
    let anchors = clinic.folder.path().join("heads.jsonl");
    std::fs::write(&anchors, &kept).unwrap();
    clinic.grant(&parties, 1).await;
    let (said, complaint, content) = ledger(&clinic, "verify", Some(&anchors));
    assert!(
        content && said.contains("6 entries, 8 journal lines, 1 anchors"),
        "{said}{complaint}"
    );

    // Somebody cuts the chain to its first entry, and makes the snapshot fit.
    let client = scheduler_core::ClientId(parties.client.parse().unwrap());
    let first = clinic
        .app
        .store
        .entries(clinic::ClinicId::FIRST, client, 0, 1)
        .await
        .unwrap();
    let account = ledger_core::fold(ledger_core::AccountId(client.0), &first).unwrap();
    let snapshot = serde_json::to_string(&account).unwrap();
    let mut database = Database::open(&clinic).await;
    let_entries_change(&mut database).await;
    database
        .execute("DELETE FROM ledger_entry WHERE seq > 1")
        .await
        .unwrap();
    let forged = format!("UPDATE account SET version = 1, snapshot = '{snapshot}'");
    database.execute(&forged).await.unwrap();
    // The chain alone cannot tell. The journal still names the grant that is gone.
    let (_, said, content) = ledger(&clinic, "verify", None);
    assert!(
        !content && said.contains("credits_granted of entry"),
        "{said}"
    );
    assert!(!said.contains("account "), "{said}");
    let (_, said, content) = ledger(&clinic, "verify", Some(&anchors));
    assert!(!content && said.contains("once reached entry 5"), "{said}");

    // An account that is gone is missed too, and what is no anchor is said to be none.
    let gone = kept.replace(&parties.client, &parties.service);
    std::fs::write(&anchors, gone).unwrap();
    let (_, said, content) = ledger(&clinic, "verify", Some(&anchors));
    assert!(!content && said.contains("it is missing"), "{said}");
    std::fs::write(&anchors, "{}\n").unwrap();
    let (_, complaint, content) = ledger(&clinic, "verify", Some(&anchors));
    assert!(
        !content && complaint.contains("heads.jsonl:1 is no anchor"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_snapshot_that_was_put_back_and_entries_of_nobody_are_found() {
    let (clinic, parties) = with_history().await;
    let mut database = Database::open(&clinic).await;
    let keep = "CREATE TABLE kept AS SELECT client_id, version, snapshot FROM account";
    database.execute(keep).await.unwrap();
    clinic.grant(&parties, 1).await;
    let back = "UPDATE account SET version = (SELECT version FROM kept), \
                snapshot = (SELECT snapshot FROM kept)";
    database.execute(back).await.unwrap();
    let (_, said, content) = ledger(&clinic, "verify", None);
    let behind = "the snapshot is at entry 5, and there is an entry 6";
    assert!(!content && said.contains(behind), "{said}");

    // One that is not whole keeps no other from being anchored, and stands in no file of heads.
    let other = clinic.parties().await;
    clinic.grant(&other, 1).await;
    let (heads, said, content) = ledger(&clinic, "anchor", None);
    assert!(!content && said.contains(behind), "{said}");
    assert_eq!(heads.lines().count(), 1);
    assert!(heads.contains(&other.client), "{heads}");

    database
        .execute("UPDATE account SET version = version + 1")
        .await
        .unwrap();
    let (_, said, content) = ledger(&clinic, "verify", None);
    assert!(!content && said.contains("2 of 2 accounts"), "{said}");
    assert!(
        said.contains("the version is 2, the snapshot at entry 1"),
        "{said}"
    );
    // Entries without an account, and a clinic without a token, are looked at all the same.
    let alone = match database {
        Database::Sqlite(_) => "PRAGMA foreign_keys = OFF; DELETE FROM account; DELETE FROM token",
        Database::Postgres(_) => {
            "SET session_replication_role = replica; DELETE FROM account; DELETE FROM token"
        }
    };
    database.execute(alone).await.unwrap();
    let (_, said, content) = ledger(&clinic, "verify", None);
    assert!(
        !content && said.matches("it is missing").count() == 2,
        "{said}"
    );
}
