//! Finding people by their addresses: after a restore, while a key is exchanged, and with rows that
//! somebody has swapped.

use std::sync::Arc;

use axum::http::StatusCode;
use clinic::{BlindIndex, ClinicId, PersonId};
use scheduler_core::ClientId;
use serde_json::json;
use standing::vault::{self, KeyFile, Reindexed, Vault};

use crate::clinic::Clinic;
use crate::database::Database;
use crate::sealed::{EMAIL, NAME, key_file, open, register};

const OTHER: &str = "other@example.org";

async fn reindex(clinic: &Clinic) -> Reindexed {
    let vault = Vault::open(&key_file(clinic)).unwrap();
    let (store, now) = (clinic.app.store.as_ref(), clinic.app.clock.now());
    vault::reindex(&vault, store, now, &mut |_| ())
        .await
        .unwrap()
}

async fn defects(clinic: &Clinic) -> Vec<String> {
    let vault = Vault::open(&key_file(clinic)).unwrap();
    let checked = vault::verify(&vault, clinic.app.store.as_ref(), &mut |_| ()).await;
    let defects = checked.unwrap().defects.into_iter();
    defects
        .map(|(_, id, what)| format!("{id}: {what}"))
        .collect()
}

async fn indexes(clinic: &Clinic, id: &str) -> Vec<BlindIndex> {
    let id = PersonId::Client(ClientId(id.parse().unwrap()));
    clinic.app.store.indexes(ClinicId::FIRST, id).await.unwrap()
}

/// The id of the client who is found by an address.
async fn found(clinic: &Clinic, email: &str) -> Option<String> {
    let body = json!({ "email": email });
    let answer = clinic
        .post_as(&clinic.admin, "/clients/lookup", &body)
        .await;
    match answer.status {
        StatusCode::OK => Some(answer.body["id"].as_str().unwrap().to_owned()),
        StatusCode::NOT_FOUND => None,
        other => panic!("{other}: {}", answer.body),
    }
}

async fn refuses_twice(clinic: &Clinic, email: &str) {
    let twice = json!({ "name": "Twice", "email": email, "zone": "UTC" });
    let answer = clinic.post_as(&clinic.admin, "/clients", &twice).await;
    assert_eq!(answer.body["code"], "email_taken", "{}", answer.body);
}

/// The service reads its key file anew, as it does within a minute.
fn read_keys_again(clinic: &mut Clinic) {
    clinic.app.vault = Arc::new(Vault::open(&key_file(clinic)).unwrap());
    clinic.send_to(clinic.app.sink.clone());
}

#[tokio::test]
async fn after_a_restore_everybody_is_found_again() {
    let clinic = open().await;
    let id = register(&clinic, NAME, Some(EMAIL)).await;
    register(&clinic, "Other", None).await;
    let therapist = json!({ "name": "T", "email": EMAIL, "zone": "UTC", "hours": [] });
    let therapist = clinic.post("/therapists", therapist).await;
    assert_eq!(defects(&clinic).await, [""; 0]);
    let before = indexes(&clinic, &id).await;
    let lacks = async || {
        clinic
            .app
            .vault
            .lacks_indexes(&*clinic.app.store)
            .await
            .unwrap()
    };
    assert!(!lacks().await);

    // One address, two people, and the bare database does not say so.
    let person = PersonId::Therapist(scheduler_core::TherapistId(
        therapist["id"].as_str().unwrap().parse().unwrap(),
    ));
    let of_therapist = clinic
        .app
        .store
        .indexes(ClinicId::FIRST, person)
        .await
        .unwrap();
    assert!(of_therapist[0].hash.is_some() && of_therapist[0].hash != before[0].hash);

    let mut database = Database::open(&clinic).await;
    database.execute("DELETE FROM blind_index").await.unwrap();
    assert!(lacks().await);
    let missing = defects(&clinic).await;
    assert!(
        missing.len() == 3 && missing[0].contains("keys reindex"),
        "{missing:?}"
    );
    assert_eq!(found(&clinic, EMAIL).await, None);
    let done = reindex(&clinic).await;
    assert_eq!((done.people, done.changed, done.failed), (3, 3, Vec::new()));
    assert_eq!(indexes(&clinic, &id).await, before);
    assert_eq!(found(&clinic, EMAIL).await, Some(id));
    assert!(!lacks().await);
    assert_eq!(
        reindex(&clinic).await.changed,
        0,
        "it changes nothing again"
    );
    assert_eq!(defects(&clinic).await, [""; 0]);
}

#[tokio::test]
async fn everybody_is_found_while_the_key_is_exchanged() {
    let mut clinic = open().await;
    let id = register(&clinic, NAME, Some(EMAIL)).await;
    let of = |all: Vec<BlindIndex>| all.iter().map(|one| one.generation).collect::<Vec<_>>();
    let file = KeyFile::open(&key_file(&clinic)).unwrap();
    assert_eq!(file.add_index().unwrap(), crypto_core::KeyId(2));

    // Processes with the old and with the new file, before and after everybody is indexed again.
    for generations in [vec![1], vec![1, 2]] {
        assert_eq!(of(indexes(&clinic, &id).await), generations);
        assert_eq!(found(&clinic, EMAIL).await, Some(id.clone()));
        refuses_twice(&clinic, EMAIL).await;
        read_keys_again(&mut clinic);
        assert_eq!(found(&clinic, EMAIL).await, Some(id.clone()));
        refuses_twice(&clinic, EMAIL).await;
        reindex(&clinic).await;
    }
    let other = register(&clinic, "Other", Some(OTHER)).await;
    assert_eq!(of(indexes(&clinic, &other).await), [1, 2]);

    // The old key's line goes, and then its indexes.
    let text = std::fs::read_to_string(key_file(&clinic)).unwrap();
    let kept = text.lines().filter(|line| !line.starts_with("index 1 "));
    let kept: Vec<&str> = kept.collect();
    std::fs::write(key_file(&clinic), kept.join("\n")).unwrap();
    read_keys_again(&mut clinic);
    for email in [EMAIL, OTHER] {
        assert!(found(&clinic, email).await.is_some());
        refuses_twice(&clinic, email).await;
    }
    assert_eq!(
        defects(&clinic).await.len(),
        2,
        "what is left of the old key is said"
    );
    assert_eq!(reindex(&clinic).await.changed, 2);
    assert_eq!(of(indexes(&clinic, &id).await), [2]);
    assert_eq!(found(&clinic, EMAIL).await, Some(id));
    assert_eq!(defects(&clinic).await, [""; 0]);
}

/// A machine that has not got the new key file yet leaves the newer key's indexes alone.
#[tokio::test]
async fn an_older_key_file_does_not_undo_a_newer_one() {
    let clinic = open().await;
    let id = register(&clinic, NAME, Some(EMAIL)).await;
    let older = Vault::open(&key_file(&clinic)).unwrap();
    KeyFile::open(&key_file(&clinic))
        .unwrap()
        .add_index()
        .unwrap();
    reindex(&clinic).await;
    let before = indexes(&clinic, &id).await;
    assert_eq!(before.len(), 2);
    let (store, now) = (clinic.app.store.as_ref(), clinic.app.clock.now());
    let done = vault::reindex(&older, store, now, &mut |_| ())
        .await
        .unwrap();
    assert_eq!((done.changed, indexes(&clinic, &id).await), (0, before));
}

#[tokio::test]
async fn a_swapped_index_finds_nobody_and_is_reported() {
    let clinic = open().await;
    let one = register(&clinic, NAME, Some(EMAIL)).await;
    let other = register(&clinic, "Other", Some(OTHER)).await;
    let mut database = Database::open(&clinic).await;
    for swap in [
        "CREATE TABLE kept AS SELECT * FROM blind_index",
        "UPDATE blind_index SET hash = NULL",
        "UPDATE blind_index SET hash = (SELECT hash FROM kept WHERE kept.person_id <> blind_index.person_id)",
    ] {
        database.execute(swap).await.unwrap();
    }
    assert_eq!(
        (found(&clinic, EMAIL).await, found(&clinic, OTHER).await),
        (None, None)
    );
    let said = defects(&clinic).await;
    assert_eq!(said.len(), 2, "{said:?}");
    for id in [&one, &other] {
        let says = |said: &String| said.contains(id) && said.contains("not that of their address");
        assert!(said.iter().any(says), "{said:?}");
    }
    let done = reindex(&clinic).await;
    assert_eq!((done.changed, done.failed), (2, Vec::new()));
    let both = (found(&clinic, EMAIL).await, found(&clinic, OTHER).await);
    assert_eq!(both, (Some(one), Some(other)));
    assert_eq!(defects(&clinic).await, [""; 0]);
}

/// A row from the past opens, with the key that it was sealed under. The journal knows better.
#[tokio::test]
async fn a_person_s_row_from_the_past_is_reported() {
    let clinic = open().await;
    let id = register(&clinic, NAME, Some(EMAIL)).await;
    let mut database = Database::open(&clinic).await;
    for keep in [
        "CREATE TABLE kept AS SELECT * FROM client",
        "CREATE TABLE kept_dek AS SELECT * FROM dek",
    ] {
        database.execute(keep).await.unwrap();
    }
    let path = format!("/clients/{id}/person");
    clinic
        .post(&path, json!({ "name": NAME, "email": OTHER }))
        .await;
    // A rotation raises the version of what is known without a line about it.
    let (store, now) = (clinic.app.store.as_ref(), clinic.app.clock.now());
    let vault = Vault::open(&key_file(&clinic)).unwrap();
    let rotated = vault::rotate_deks(&vault, store, now, now, &mut |_| ())
        .await
        .unwrap();
    assert_eq!(rotated.resealed, 1);
    assert_eq!(defects(&clinic).await, [""; 0]);

    for back in [
        "INSERT INTO dek SELECT * FROM kept_dek",
        "UPDATE client SET sealed = (SELECT sealed FROM kept), sealed_version = 1, dek_generation = 1",
        "UPDATE blind_index SET hash = NULL",
    ] {
        database.execute(back).await.unwrap();
    }
    clinic.app.vault.forget(
        ClinicId::FIRST,
        PersonId::Client(ClientId(id.parse().unwrap())),
    );
    assert_eq!(
        clinic.get(&format!("/clients/{id}")).await["email"],
        EMAIL,
        "it is served"
    );
    reindex(&clinic).await;
    let said = defects(&clinic).await;
    assert!(
        said.len() == 1 && said[0].contains("put back from the past"),
        "{said:?}"
    );

    // Nor does a legal hold go, or come, unnoticed; nor somebody who was erased come back.
    let new = json!({ "name": "New" });
    clinic.post(&path, new).await;
    clinic.post(&path, json!({ "name": "Newer" })).await;
    assert_eq!(defects(&clinic).await, [""; 0]);
    let held = format!("/clients/{id}/legal-hold");
    for (held_now, stored, is) in [(true, "false", "false"), (false, "true", "true")] {
        clinic.post(&held, json!({ "held": held_now })).await;
        assert_eq!(defects(&clinic).await, [""; 0]);
        let change = format!("UPDATE client SET legal_hold = {stored}");
        database.execute(&change).await.unwrap();
        let said = defects(&clinic).await;
        let says = format!("the legal hold is {is}");
        assert!(said.len() == 1 && said[0].contains(&says), "{said:?}");
        let back = format!("UPDATE client SET legal_hold = {held_now}");
        database.execute(&back).await.unwrap();
    }
    for keep in [
        "DROP TABLE kept",
        "DROP TABLE kept_dek",
        "CREATE TABLE kept AS SELECT * FROM client",
        "CREATE TABLE kept_dek AS SELECT * FROM dek",
    ] {
        database.execute(keep).await.unwrap();
    }
    let erased = vault::Erased {
        clinic: ClinicId::FIRST,
        client: ClientId(id.parse().unwrap()),
        at: now,
    };
    assert!(vault::erase(store, erased, None).await.unwrap());
    assert_eq!(defects(&clinic).await, [""; 0]);
    for back in [
        "INSERT INTO dek SELECT * FROM kept_dek",
        "UPDATE client SET sealed = (SELECT sealed FROM kept), dek_generation =
             (SELECT dek_generation FROM kept), sealed_version = (SELECT sealed_version FROM kept)",
    ] {
        database.execute(back).await.unwrap();
    }
    let said = defects(&clinic).await;
    assert!(
        said.iter().any(|said| said.contains("erase them again")),
        "{said:?}"
    );
}
