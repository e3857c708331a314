//! `standing backup` and `restore` while the service writes: each backup is one state, opens whole, and
//! brings nobody back who was erased.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clinic::ClinicId;
use scheduler_core::ClientId;
use serde_json::json;
use standing::database::Database as Location;
use standing::vault::{self, Erased};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::backend::{Backend, cluster, removed};
use crate::clinic::Clinic;
use crate::database::Database;
use crate::sealed::key_file;

/// How many backups are made of each database: `STANDING_BACKUPS`.
fn rounds() -> u32 {
    let rounds = std::env::var("STANDING_BACKUPS").ok();
    rounds.map_or(2, |rounds| rounds.parse().unwrap())
}

/// How often each of four writers writes: together 200 times a second.
const PACE: Duration = Duration::from_millis(20);

fn text_of(location: &Location) -> String {
    match location {
        Location::Sqlite(path) => path.display().to_string(),
        Location::Postgres(url) => url.clone(),
    }
}

fn standing(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standing"));
    command.args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// What a shell prints: the platform's own tools read what we write.
fn shell(folder: &Path, line: &str) -> String {
    let mut shell = Command::new("sh");
    let output = shell.args(["-ec", line]).current_dir(folder).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{line}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How many clients were registered, by the journal.
async fn registered(database: &Location) -> i64 {
    let mut database = Database::at(database).await;
    let registered = "SELECT count(*) FROM journal WHERE kind = 'client_registered'";
    let registered = database.number(registered).await;
    database.close().await;
    registered
}

/// How long is written before each backup.
const LEAD: Duration = Duration::from_millis(500);

/// Clients are registered, changed and erased, until it is over, except while somebody else has the gate.
async fn write(clinic: &Clinic, gate: &RwLock<()>, over: &AtomicBool, number: u32) -> u32 {
    let mut written = 0;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !over.load(Ordering::Relaxed) {
        pace.tick().await;
        let _open = gate.read().await;
        let email = format!("{number}.{written}@example.org");
        let client = json!({ "name": "Somebody", "email": email, "zone": "Europe/London" });
        let client = clinic.post("/clients", client).await;
        let id = client["id"].as_str().unwrap();
        let path = format!("/clients/{id}/person");
        let changed = json!({ "name": "Somebody else", "email": email });
        clinic.post(&path, changed).await;
        written += 2;
    }
    written
}

/// A client who is in the backup, and erased since.
async fn erase(clinic: &Clinic, client: &str, list: &Path) {
    let erased = Erased {
        clinic: ClinicId::FIRST,
        client: ClientId(client.parse().unwrap()),
        at: clinic.app.clock.now(),
    };
    let store = &*clinic.app.store;
    assert!(vault::erase(store, erased, Some(list)).await.unwrap());
}

async fn succeed(arguments: Vec<String>) -> String {
    let ran = move || standing(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(ran).await.unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    said
}

async fn backups_are_whole(backend: Backend) {
    let clinic = Arc::new(Clinic::on(backend, "2026-03-02T08:00:00Z").await);
    let parties = clinic.parties().await;
    clinic.grant(&parties, 3).await;
    let weekly = Some("FREQ=WEEKLY");
    clinic.book(&parties, "2026-03-04T10:00:00", weekly).await;
    clinic.tick().await;
    let folder = clinic.folder.path().to_owned();
    let list = folder.join("standing.erased");
    let (over, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(RwLock::new(())));
    let mut writers = JoinSet::new();
    for number in 0..4 {
        let (clinic, gate, over) = (clinic.clone(), gate.clone(), over.clone());
        writers.spawn(async move { write(&clinic, &gate, &over, number).await });
    }
    for round in 0..rounds() {
        tokio::time::sleep(LEAD).await;
        let leaves = json!({ "name": "Erased", "email": null, "zone": "UTC" });
        let leaves = clinic.post("/clients", leaves).await["id"].clone();
        let to = folder.join(format!("backup {round}"));
        let before = registered(&clinic.database).await;
        let database = text_of(&clinic.database);
        let shown = to.display().to_string();
        let arguments = ["backup", &shown, "--database", &database];
        succeed(arguments.map(str::to_owned).to_vec()).await;
        let after = registered(&clinic.database).await;
        erase(&clinic, leaves.as_str().unwrap(), &list).await;

        // A restore takes time for each person: more of them meanwhile would make the next one longer.
        let _closed = gate.write().await;
        let target = match backend {
            Backend::Sqlite => Location::Sqlite(folder.join(format!("restored {round}.db"))),
            Backend::Postgres => Location::Postgres(cluster().await.empty().await.unwrap()),
        };
        let (keys, erased) = (key_file(&clinic), list.display().to_string());
        let (database, keys) = (text_of(&target), keys.display().to_string());
        let arguments = ["restore", &shown, "--database", &database, "--keys", &keys];
        let arguments = [&arguments[..], &["--erased", &erased]].concat();
        let report = succeed(arguments.into_iter().map(str::to_owned).collect()).await;
        assert!(report.contains("1 people are erased again"), "{report}");
        assert!(report.contains("all of it is verified"), "{report}");
        let found = registered(&target).await;
        assert!(
            (before..=after).contains(&found),
            "{found} clients, {before} to {after} were there"
        );
        let mut restored = Database::at(&target).await;
        let erased = "SELECT count(*) FROM client WHERE sealed IS NULL";
        assert_eq!(restored.number(erased).await, i64::from(round) + 1);
        restored.close().await;
        match &target {
            Location::Sqlite(_) => platform_agrees(&to),
            Location::Postgres(_) => removed(&target).await,
        }
    }
    over.store(true, Ordering::Relaxed);
    let written: u32 = writers.join_all().await.into_iter().sum();
    println!("{written} writes beside {} backups", rounds());
}

/// Debian's `sqlite3` finds the data whole, loses nothing in a dump, and puts the keys back.
fn platform_agrees(backup: &Path) {
    let whole = shell(backup, "sqlite3 data.db 'PRAGMA integrity_check'");
    assert_eq!(whole, "ok");
    shell(backup, "sqlite3 data.db .dump | sqlite3 -bail dumped.db");
    let lost = "for file in data.db dumped.db; do sqlite3 $file \
        'SELECT (SELECT count(*) FROM journal), (SELECT count(*) FROM session), \
        (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM dek), (SELECT count(*) FROM outbox)'; done | sort -u | wc -l";
    assert_eq!(shell(backup, lost), "1");
    let put_back = "cp data.db whole.db && sqlite3 -bail whole.db < deks.sql && \
        sqlite3 whole.db 'PRAGMA foreign_key_check'";
    assert_eq!(shell(backup, put_back), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_file_is_one_state() {
    backups_are_whole(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_server_is_one_state() {
    backups_are_whole(Backend::Postgres).await;
}

/// Nothing is restored over something, from half a backup, or with another key file.
#[tokio::test]
async fn what_is_not_a_backup_or_not_for_here_is_refused() {
    let clinic = Clinic::on(Backend::Sqlite, "2026-03-02T08:00:00Z").await;
    clinic.parties().await;
    let folder = clinic.folder.path();
    let path = |name: &str| folder.join(name).display().to_string();
    let database = text_of(&clinic.database);
    let (keys, other) = (path("standing.keys"), path("other.keys"));
    let backup = path("backup");
    let made = standing(&["backup", &backup, "--database", &database]);
    assert!(made.status.success(), "{}", said(&made));
    let again = standing(&["backup", &backup, "--database", &database]);
    assert!(said(&again).contains("no empty folder"), "{}", said(&again));
    assert!(
        standing(&["keys", "init", "--keys", &other])
            .status
            .success()
    );
    let to = path("new.db");
    let refused = |arguments: &[&str], expected: &str| {
        let output = standing(&[&["restore"], arguments].concat());
        let text = said(&output);
        assert!(
            !output.status.success() && text.contains(expected),
            "{text}"
        );
    };
    refused(
        &[&backup, "--database", &database, "--keys", &keys],
        "new database",
    );
    refused(
        &[&backup, "--database", &to, "--keys", &other],
        "does not belong",
    );
    refused(
        &[&path("nothing"), "--database", &to, "--keys", &keys],
        "no whole backup",
    );
    assert!(!folder.join("new.db").exists() && !folder.join("new.db.restoring").exists());
    std::fs::write(folder.join("backup/deks.sql"), "DELETE FROM journal;").unwrap();
    refused(
        &[&backup, "--database", &to, "--keys", &keys],
        "not what was backed up",
    );
    std::fs::remove_file(folder.join("backup/deks.sql")).unwrap();
    refused(&[&backup, "--database", &to, "--keys", &keys], "deks.sql");
}
