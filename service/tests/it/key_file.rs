//! A key file and a database that do not belong together are noticed before anything is sealed.

use std::process::Command;

use standing::vault::{self, KeyFile, Vault, VaultError};

use crate::clinic::Clinic;
use crate::sealed::{EMAIL, NAME, key_file, open, register};

/// What a vault with this file finds of the clinic's database.
async fn belongs(clinic: &Clinic, file: &std::path::Path) -> Result<(), VaultError> {
    let vault = Vault::open(file).unwrap();
    vault.belong_to(&*clinic.app.store).await
}

fn is_foreign(found: &Result<(), VaultError>) -> bool {
    matches!(found, Err(VaultError::Foreign { .. }))
}

#[tokio::test]
async fn another_key_file_is_refused_whether_people_are_there_or_not() {
    let clinic = open().await;
    let other = clinic.folder.path().join("other.keys");
    KeyFile::init(&other).unwrap();
    belongs(&clinic, &key_file(&clinic)).await.unwrap();
    assert!(is_foreign(&belongs(&clinic, &other).await), "empty");
    register(&clinic, NAME, Some(EMAIL)).await;
    assert!(is_foreign(&belongs(&clinic, &other).await), "somebody");
    belongs(&clinic, &key_file(&clinic)).await.unwrap();
}

/// A database from before fingerprints keeps the first file that opens what is there.
#[tokio::test]
async fn the_first_file_of_an_older_database_must_open_it() {
    let clinic = open().await;
    register(&clinic, NAME, Some(EMAIL)).await;
    let other = clinic.folder.path().join("other.keys");
    KeyFile::init(&other).unwrap();
    assert!(is_foreign(&belongs(&clinic, &other).await));
    belongs(&clinic, &key_file(&clinic)).await.unwrap();
}

/// A machine that did not get the file of the last rotation.
#[tokio::test]
async fn a_file_from_before_a_rotation_is_refused() {
    let clinic = open().await;
    register(&clinic, NAME, Some(EMAIL)).await;
    belongs(&clinic, &key_file(&clinic)).await.unwrap();
    let older = clinic.folder.path().join("older.keys");
    std::fs::copy(key_file(&clinic), &older).unwrap();
    let (vault, store) = (&clinic.app.vault, clinic.app.store.as_ref());
    vault::rotate_kek(vault, store, &mut |_| ()).await.unwrap();
    assert!(is_foreign(&belongs(&clinic, &older).await));
    belongs(&clinic, &key_file(&clinic)).await.unwrap();
}

#[test]
fn no_command_serves_or_changes_a_database_with_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str], keys: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standing"));
        command.current_dir(folder.path()).args(args);
        let output = command.args(["--keys", keys]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), errors)
    };
    let migrated = Command::new(env!("CARGO_BIN_EXE_standing"))
        .current_dir(folder.path())
        .arg("migrate")
        .status();
    assert!(migrated.unwrap().success());
    for keys in ["ours.keys", "other.keys"] {
        assert!(run(&["keys", "init"], keys).0);
    }
    let (made, errors) = run(&["token", "admin"], "ours.keys");
    assert!(made, "{errors}");
    let other = std::fs::read(folder.path().join("other.keys")).unwrap();
    for args in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["token", "admin"],
        &["keys", "rotate-kek"],
        &["keys", "rotate-deks"],
        &["keys", "reindex", "--new-key"],
    ] {
        let (done, errors) = run(args, "other.keys");
        assert!(
            !done && errors.contains("does not belong to this database"),
            "{args:?}: {errors}"
        );
    }
    let after = std::fs::read(folder.path().join("other.keys")).unwrap();
    assert_eq!(after, other, "no key was added to it");
}
