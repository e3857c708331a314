//! Who is erased is gone: from the database, from its files, and from dumps.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use clinic::{ClinicId, PersonId};
use scheduler_core::{ClientId, TherapistId};
use serde_json::{Value, json};
use standing::database::Database as Location;
use tokio::task::JoinHandle;

use crate::backend::cluster;
use crate::clinic::Clinic;
use crate::database::Database;
use crate::sealed::{EMAIL, NAME, deks, key_file, open, register};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_is_gone_from_every_file_and_from_dumps() {
    let clinic = open().await;
    let id = register(&clinic, NAME, Some(EMAIL)).await;
    let kept = register(&clinic, "Kept", None).await;
    let wrapped = deks(&clinic, &id).await[0].wrapped.clone();
    let kept_key = deks(&clinic, &kept).await[0].wrapped.clone();
    let folder = clinic.folder.path();
    let files = match &clinic.database {
        Location::Sqlite(file) => Some(file.parent().unwrap().to_owned()),
        Location::Postgres(_) => cluster().await.files().ok(),
    };
    match &files {
        None => {
            let said = "The server's files are not ours to read: they are not searched.\n";
            let _shown = std::io::stderr().write_all(said.as_bytes());
        }
        Some(files) => {
            let mut database = Database::open(&clinic).await;
            if let Location::Postgres(_) = clinic.database {
                let keep_no_old_logs = "ALTER SYSTEM SET wal_recycle = off";
                database.execute(keep_no_old_logs).await.unwrap();
                database.execute("SELECT pg_reload_conf()").await.unwrap();
                // In the log a key may be split between two pages; in its table it is whole.
                database.execute("CHECKPOINT").await.unwrap();
            }
            let found = holding(files, &wrapped);
            assert!(found > 0, "else the search proves nothing");
        }
    }

    // The binary does it, with the service at work on the same database.
    let standing = |arguments: &[&str]| standing(&clinic, arguments);
    clinic
        .post(
            &format!("/clients/{id}/legal-hold"),
            json!({ "held": true }),
        )
        .await;
    let (said, content) = standing(&["erase-client", &id]);
    assert!(!content && said.contains("legal hold"), "{said}");
    assert!(!folder.join("standing.erased").exists());
    clinic
        .post(
            &format!("/clients/{id}/legal-hold"),
            json!({ "held": false }),
        )
        .await;
    let shown = clinic.get(&format!("/clients/{id}")).await;
    assert_eq!(shown["legal_hold"], false);
    let elsewhere = match &clinic.database {
        Location::Sqlite(_) => None,
        Location::Postgres(_) => Some(write_elsewhere(Duration::from_secs(1)).await),
    };
    let (said, content) = standing(&["erase-client", &id]);
    assert!(content && said.contains("is erased"), "{said}");
    if let Some(elsewhere) = elsewhere {
        elsewhere.await.unwrap();
    }

    let shown = clinic.get(&format!("/clients/{id}")).await;
    assert_eq!(
        (&shown["name"], &shown["email"]),
        (&Value::Null, &Value::Null)
    );
    let looked = json!({ "email": EMAIL });
    let looked = clinic
        .post_as(&clinic.admin, "/clients/lookup", &looked)
        .await;
    assert_eq!(looked.status, StatusCode::NOT_FOUND);
    assert_eq!(
        clinic.get(&format!("/clients/{kept}")).await["name"],
        "Kept"
    );
    let change = json!({ "name": "Back" });
    let path = format!("/clients/{id}/person");
    let refused = clinic.post_as(&clinic.admin, &path, &change).await;
    assert_eq!(refused.body["code"], "erased");

    if let Some(files) = &files {
        assert_eq!(holding(files, &wrapped), 0);
    }
    let dump = dump_without_keys(&clinic).await;
    let hex: String = kept_key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!contains(&dump, &kept_key) && !contains(&dump, hex.as_bytes()));
    assert!(contains(&dump, kept.as_bytes()) || contains(&dump, uuid(&kept).as_bytes()));

    // After a restore the list erases whoever was.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let about = std::fs::metadata(folder.join("standing.erased")).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
    }
    let list = std::fs::read_to_string(folder.join("standing.erased")).unwrap();
    assert_eq!(list.lines().count(), 1);
    let (said, content) = standing(&["erase-client", "--replay", "standing.erased"]);
    assert!(content && said.contains("is erased already"), "{said}");
    let (said, content) = standing(&["verify"]);
    assert!(
        content && said.contains("1 people, 1 keys unwrap, 1 values open"),
        "{said}"
    );
}

/// Begins to write to another database of the server, and ends after this time. A server keeps what
/// is deleted meanwhile in any of its databases, unless it is waited for.
async fn write_elsewhere(time: Duration) -> JoinHandle<()> {
    let url = cluster().await.database().await.unwrap();
    let mut other = Database::at(&Location::Postgres(url)).await;
    let begin = "BEGIN; SELECT pg_current_xact_id()";
    other.execute(begin).await.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        other.execute("COMMIT").await.unwrap();
    })
}

/// Runs `standing keys` on the clinic's database and key file: what it says, and whether it succeeds.
pub(crate) fn standing(clinic: &Clinic, arguments: &[&str]) -> (String, bool) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_standing"));
    run.args(["--log", "error", "keys"])
        .args(arguments)
        .arg("--database");
    match &clinic.database {
        Location::Sqlite(path) => run.arg(path),
        Location::Postgres(url) => run.arg(url),
    };
    run.current_dir(clinic.folder.path())
        .env("STANDING_KEYS", key_file(clinic));
    let output = run.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout) + &text(output.stderr),
        output.status.success(),
    )
}

fn uuid(text: &str) -> uuid::Uuid {
    text.parse().unwrap()
}

/// A dump by the commands that the README gives.
pub(crate) async fn dump_without_keys(clinic: &Clinic) -> Vec<u8> {
    match &clinic.database {
        Location::Sqlite(_) => {
            let copy = clinic.folder.path().join("copy.db");
            let mut database = Database::open(clinic).await;
            let into = format!("VACUUM INTO '{}'", copy.display());
            database.execute(&into).await.unwrap();
            let mut database = Database::at(&Location::Sqlite(copy.clone())).await;
            let without = "PRAGMA foreign_keys = OFF; PRAGMA secure_delete = ON; DELETE FROM dek;
                 DELETE FROM blind_index; VACUUM";
            database.execute(without).await.unwrap();
            std::fs::read(copy).unwrap()
        }
        Location::Postgres(url) => {
            let installed = std::fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten();
            let newest = installed.map(|entry| entry.unwrap().path()).max();
            let program = newest.map(|version| version.join("bin/pg_dump"));
            let program = program.filter(|program| program.exists());
            let program = program.unwrap_or_else(|| PathBuf::from("pg_dump"));
            let dump = Command::new(program)
                .args([
                    "--exclude-table-data=dek",
                    "--exclude-table-data=blind_index",
                    url,
                ])
                .output()
                .unwrap();
            assert!(
                dump.status.success(),
                "{}",
                String::from_utf8_lossy(&dump.stderr)
            );
            dump.stdout
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// How many files below a folder hold these bytes. They are read as copies that another process
/// makes: to close a file of an SQLite database is to let go of all locks that one's process has on it.
pub(crate) fn holding(folder: &Path, needle: &[u8]) -> usize {
    let copies = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .args(["-r", "--"])
        .args([folder, copies.path()])
        .stderr(Stdio::null()) // sockets, and files that go meanwhile
        .status();
    copied.unwrap();
    files_holding(copies.path(), needle)
}

fn files_holding(folder: &Path, needle: &[u8]) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    let holds = entries.map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_holding(&path, needle)
        } else {
            usize::from(contains(&std::fs::read(&path).unwrap(), needle))
        }
    });
    holds.sum()
}

/// Whoever has a backup as the README makes it, and the key file, cannot tell who was erased from who was
/// never there. Nor who is there: a backup has no index at all.
#[tokio::test]
async fn a_backup_and_the_key_file_do_not_say_who_was_a_client() {
    let clinic = open().await;
    let [erased, known, never] =
        ["erased", "known", "never"].map(|name| format!("{name}@example.org"));
    let id = register(&clinic, NAME, Some(&erased)).await;
    register(&clinic, "Known", Some(&known)).await;
    // Changed once, so that an older version was there too.
    let path = format!("/clients/{id}/person");
    clinic
        .post(&path, json!({ "name": NAME, "email": "other@example.org" }))
        .await;
    clinic
        .post(&path, json!({ "name": NAME, "email": erased }))
        .await;
    let file = standing::vault::KeyFile::open(&key_file(&clinic)).unwrap();
    file.add_index().unwrap();
    let vault = standing::vault::Vault::open(&key_file(&clinic)).unwrap();
    let (store, now) = (clinic.app.store.as_ref(), clinic.app.clock.now());
    let done = standing::vault::reindex(&vault, store, now, &mut |_| ())
        .await
        .unwrap();
    assert_eq!((done.changed, done.failed), (2, Vec::new()));

    // Everything that an address becomes under the keys of the file, as bytes and as text.
    let traces = |address: &str| {
        let of = [
            PersonId::Client(ClientId(uuid::Uuid::nil())),
            PersonId::Therapist(TherapistId(uuid::Uuid::nil())),
        ];
        let indexes = of.map(|id| vault.indexes(ClinicId::FIRST, id, Some(address)).unwrap());
        let hashes: Vec<_> = indexes.concat().iter().filter_map(|one| one.hash).collect();
        assert_eq!(hashes.len(), 4, "two keys, two roles");
        let hex = hashes.iter().map(|hash| {
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            hex.into_bytes()
        });
        let bytes = hashes.iter().map(|hash| hash.to_vec());
        bytes
            .chain(hex)
            .chain([address.as_bytes().to_vec()])
            .collect::<Vec<_>>()
    };
    let whole = Database::open(&clinic)
        .await
        .dump()
        .await
        .join("\n")
        .to_lowercase();
    let is_in = |haystack: &[u8], address: &str| {
        traces(address)
            .iter()
            .any(|trace| contains(haystack, trace))
    };
    assert!(is_in(whole.as_bytes(), &erased) && is_in(whole.as_bytes(), &known));
    assert!(
        !is_in(whole.as_bytes(), &never),
        "else the search proves nothing"
    );

    let before = dump_without_keys(&clinic).await;
    let erase = standing::vault::Erased {
        clinic: ClinicId::FIRST,
        client: ClientId(uuid(&id)),
        at: now,
    };
    assert!(standing::vault::erase(store, erase, None).await.unwrap());
    if let Location::Sqlite(_) = clinic.database {
        std::fs::remove_file(clinic.folder.path().join("copy.db")).unwrap();
    }
    let after = dump_without_keys(&clinic).await;
    for dump in [before, after] {
        for address in [&erased, &known, &never] {
            assert!(!is_in(&dump, address), "{address}");
        }
    }
}
