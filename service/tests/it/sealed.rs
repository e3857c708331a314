//! What is known of people: nowhere in the clear, opened in its own row only, by keys that can be exchanged.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::http::StatusCode;
use clinic::{ClinicId, WrappedDek};
use serde_json::{Value, json};
use standing::database::Database as Location;
use standing::vault::{self, Erased, KeyFile, Vault};
use store::{PAGE_MAX, Page};
use tokio::task::JoinSet;

use crate::clinic::Clinic;
use crate::database::Database;
use crate::erased::holding;

pub(crate) const NAME: &str = "Zebulon Quartermain";
pub(crate) const EMAIL: &str = "zebulon.quartermain@example.org";

pub(crate) async fn open() -> Clinic {
    Clinic::at("2026-03-02T08:00:00Z").await
}

pub(crate) async fn register(clinic: &Clinic, name: &str, email: Option<&str>) -> String {
    let client = json!({ "name": name, "email": email, "zone": "Europe/London" });
    let client = clinic.post("/clients", client).await;
    client["id"].as_str().unwrap().to_owned()
}

/// The vault of another process on the same key file.
fn elsewhere(clinic: &Clinic) -> Vault {
    Vault::open(&key_file(clinic)).unwrap()
}

pub(crate) fn key_file(clinic: &Clinic) -> PathBuf {
    clinic.folder.path().join("standing.keys")
}

pub(crate) async fn deks(clinic: &Clinic, owner: &str) -> Vec<WrappedDek> {
    let owner = owner.parse().unwrap();
    let store = &clinic.app.store;
    store.deks(ClinicId::FIRST, &[owner]).await.unwrap()
}

#[tokio::test]
async fn names_and_addresses_stand_nowhere_in_the_database() {
    let clinic = open().await;
    let id = register(&clinic, NAME, Some(EMAIL)).await;
    let path = format!("/clients/{id}");
    let changed = json!({ "name": format!("{NAME} II"), "email": EMAIL });
    let shown = clinic.post(&format!("{path}/person"), changed).await;
    assert_eq!(shown["name"], format!("{NAME} II"));
    assert_eq!(clinic.get(&path).await, shown);
    assert_eq!(clinic.get("/clients").await["items"][0], shown);
    let therapist = json!({ "name": NAME, "zone": "UTC", "hours": [] });
    let therapist = clinic.post("/therapists", therapist).await;
    let therapist_path = format!("/therapists/{}", therapist["id"].as_str().unwrap());
    assert_eq!(clinic.get(&therapist_path).await["name"], NAME);
    let renamed = json!({ "name": "Somebody Else" });
    clinic
        .post(&format!("{therapist_path}/person"), renamed)
        .await;
    assert_eq!(clinic.get(&therapist_path).await["name"], "Somebody Else");

    let dump = Database::open(&clinic).await.dump().await.join("\n");
    let hex = |text: &str| {
        text.bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let dump = dump.to_lowercase();
    for word in ["zebulon", "quartermain", "somebody"] {
        assert!(!dump.contains(word) && !dump.contains(&hex(word)), "{word}");
        assert!(!dump.contains(&hex(&word.to_uppercase())), "{word}");
    }
    if let Location::Sqlite(file) = &clinic.database {
        assert_eq!(holding(file.parent().unwrap(), b"Quartermain"), 0);
    }
}

#[tokio::test]
async fn an_address_is_one_client_s_and_finds_them_however_it_is_spelled() {
    let clinic = open().await;
    let id = register(&clinic, NAME, Some(EMAIL)).await;
    let other = register(&clinic, "Other", None).await;
    let admin = &clinic.admin;
    let look_up = async |email: &str| {
        let body = json!({ "email": email });
        clinic.post_as(admin, "/clients/lookup", &body).await
    };
    let found = look_up(" Zebulon.QUARTERMAIN@example.org ").await;
    assert_eq!(
        (found.status, &found.body["id"]),
        (StatusCode::OK, &json!(id))
    );
    assert_eq!(
        look_up("nobody@example.org").await.status,
        StatusCode::NOT_FOUND
    );
    let invalid = StatusCode::UNPROCESSABLE_ENTITY;
    assert_eq!(look_up("no address").await.status, invalid);

    let twice = json!({ "name": "B", "email": EMAIL.to_uppercase(), "zone": "UTC" });
    let refused = clinic.post_as(admin, "/clients", &twice).await;
    assert_eq!(refused.body["code"], "email_taken");
    let path = format!("/clients/{other}/person");
    let taken = json!({ "name": "Other", "email": EMAIL });
    let refused = clinic.post_as(admin, &path, &taken).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("email_taken"))
    );
    let none = json!({ "name": "Other", "email": "x" });
    assert_eq!(clinic.post_as(admin, &path, &none).await.status, invalid);

    // Only staff look anybody up or change them.
    let client = clinic.client_token(&id).await;
    let asked = clinic
        .post_as(&client, "/clients/lookup", &json!({ "email": EMAIL }))
        .await;
    assert_eq!(asked.status, StatusCode::NOT_FOUND);
    let asked = clinic
        .post_as(&client, &format!("/clients/{id}/person"), &taken)
        .await;
    assert_eq!(asked.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_moved_put_back_or_touched_does_not_open() {
    let clinic = open().await;
    let one = register(&clinic, NAME, None).await;
    let other = register(&clinic, "Other", None).await;
    let mut database = Database::open(&clinic).await;
    let id = |id: &str| match &clinic.database {
        Location::Sqlite(_) => format!("X'{}'", id.replace('-', "")),
        Location::Postgres(_) => format!("'{id}'"),
    };
    let (mine, theirs) = (id(&one), id(&other));
    let keep = "CREATE TABLE kept AS SELECT id, sealed, sealed_version FROM client";
    database.execute(keep).await.unwrap();
    clinic
        .post(&format!("/clients/{one}/person"), json!({ "name": "New" }))
        .await;
    let back = |what: &str| {
        format!(
            "UPDATE client SET {what} = (SELECT {what} FROM kept WHERE kept.id = client.id)
                 WHERE id = {mine}"
        )
    };
    let mend = clinic.app.store.client(
        ClinicId::FIRST,
        scheduler_core::ClientId(one.parse().unwrap()),
    );
    let whole = mend.await.unwrap().unwrap().person.unwrap();
    let whole: String = whole
        .envelope
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let whole = match &clinic.database {
        Location::Sqlite(_) => format!("UPDATE client SET sealed = X'{whole}' WHERE id = {mine}"),
        Location::Postgres(_) => {
            format!("UPDATE client SET sealed = '\\x{whole}' WHERE id = {mine}")
        }
    };
    let empty = match &clinic.database {
        Location::Sqlite(_) => format!("UPDATE client SET sealed = X'00' WHERE id = {mine}"),
        Location::Postgres(_) => format!("UPDATE client SET sealed = '\\x00' WHERE id = {mine}"),
    };
    for (what, change) in [
        (
            "another's value",
            format!(
                "UPDATE client SET sealed = (SELECT sealed FROM client WHERE id = {theirs}) WHERE id = {mine}"
            ),
        ),
        ("an older version", back("sealed")),
        ("no envelope", empty),
    ] {
        database.execute(&change).await.unwrap();
        let answer = clinic
            .get_as(&clinic.admin, &format!("/clients/{one}"))
            .await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{what}");
        assert_eq!(answer.body["code"], "unreadable", "{what}: {}", answer.body);
        let listed = clinic.get("/clients").await["items"].clone();
        let of = |id: &str| {
            let listed = listed.as_array().unwrap();
            let found = listed.iter().find(|client| client["id"] == id);
            found.unwrap().clone()
        };
        let (mine, theirs) = (of(&one), of(&other));
        assert_eq!(
            (&mine["name"], &theirs["name"]),
            (&Value::Null, &json!("Other")),
            "{what}"
        );
        assert_eq!(mine["erased"], false);
        assert_eq!(mine["error"]["code"], "unreadable", "{what}: {mine}");
        assert_eq!(theirs["error"], Value::Null);
        let (vault, progress) = (elsewhere(&clinic), &mut |_: u64| ());
        let checked = vault::verify(&vault, clinic.app.store.as_ref(), progress).await;
        let checked = checked.unwrap();
        let defects: Vec<String> = checked
            .defects
            .iter()
            .map(|(_, id, _)| id.to_string())
            .collect();
        assert_eq!(defects, std::slice::from_ref(&one), "{what}");
        assert_eq!(checked.values, 1, "{what}");
        database.execute(&whole).await.unwrap();
    }
    assert_eq!(clinic.get(&format!("/clients/{one}")).await["name"], "New");
}

/// The keys of everybody are exchanged, again and again, by another process, while people are read,
/// written, registered and erased: nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_exchanged_while_everybody_reads_and_writes() {
    let clinic = Arc::new(open().await);
    let mut ids = Vec::new();
    for number in 0..12 {
        let email = format!("person.{number}@example.org");
        ids.push(register(&clinic, &format!("Person {number}"), Some(&email)).await);
    }
    let (stop, reads, writes) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
    let mut tasks = JoinSet::new();
    for task in 0..4_usize {
        let (clinic, ids) = (clinic.clone(), ids.clone());
        let (stop, reads, writes) = (stop.clone(), reads.clone(), writes.clone());
        tasks.spawn(async move {
            let mut round = task;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let number = round % ids.len();
                let path = format!("/clients/{}", ids[number]);
                let answer = clinic.get_as(&clinic.admin, &path).await;
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
                let name = &answer.body["name"];
                let erased = number < 3 && name.is_null();
                assert!(
                    erased || name.as_str().unwrap().starts_with("Person"),
                    "{name}"
                );
                reads.fetch_add(1, Ordering::Relaxed);
                if round.is_multiple_of(3) {
                    let email = format!("person.{number}.{}@example.org", round % 2);
                    let name = format!("Person {number}, {round}");
                    let body = json!({ "name": name, "email": email });
                    let path = format!("{path}/person");
                    let answer = clinic.post_as(&clinic.admin, &path, &body).await;
                    let gone = number < 3 && answer.body["code"] == "erased";
                    assert!(gone || answer.status == StatusCode::OK, "{}", answer.body);
                    writes.fetch_add(1, Ordering::Relaxed);
                }
                if round.is_multiple_of(5) {
                    let answer = clinic.get_as(&clinic.admin, "/clients").await;
                    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
                }
            }
        });
    }
    let store = clinic.app.store.clone();
    let now = || clinic.app.clock.now();
    let (mut resealed, mut wrapped) = (0, 0);
    for erased in (0..6).map(|round| ids.get(round).filter(|_| round < 3)) {
        let other = elsewhere(&clinic);
        let progress = &mut |_: u64| ();
        let rotated = vault::rotate_deks(&other, store.as_ref(), now(), now(), progress);
        let rotated = rotated.await.unwrap();
        assert_eq!(rotated.failed, []);
        resealed += rotated.resealed;
        let rewrapped = vault::rotate_kek(&other, store.as_ref(), &mut |_| ())
            .await
            .unwrap();
        assert_eq!(rewrapped.orphans, []);
        wrapped += rewrapped.wrapped;
        let file = KeyFile::open(&key_file(&clinic)).unwrap();
        file.add_index().unwrap();
        let other = elsewhere(&clinic);
        let indexed = vault::reindex(&other, store.as_ref(), now(), &mut |_| ()).await;
        assert_eq!(indexed.unwrap().failed, []);
        if let Some(id) = erased {
            let erased = Erased {
                clinic: ClinicId::FIRST,
                client: scheduler_core::ClientId(id.parse().unwrap()),
                at: now(),
            };
            assert!(vault::erase(store.as_ref(), erased, None).await.unwrap());
            store.scrub().await.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let (reads, writes) = (
        reads.load(Ordering::Relaxed),
        writes.load(Ordering::Relaxed),
    );
    println!(
        "{reads} reads and {writes} writes beside {resealed} values sealed again and {wrapped} keys wrapped again"
    );
    assert!(reads > 20 && writes > 5 && resealed > 40 && wrapped > 40);
    // The service has not read the newer keys yet: who changed since lacks their indexes.
    let (vault, store) = (elsewhere(&clinic), store.as_ref());
    let indexed = vault::reindex(&vault, store, now(), &mut |_| ()).await;
    assert_eq!(indexed.unwrap().failed, []);
    let checked = vault::verify(&vault, store, &mut |_| ()).await.unwrap();
    assert!(checked.defects.is_empty(), "{:?}", checked.defects);
    assert_eq!((checked.values, checked.stale), (9, 0));
}

#[tokio::test]
async fn a_rotation_that_broke_off_goes_on() {
    let clinic = open().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(register(&clinic, &format!("Person {number}"), None).await);
    }
    let store = clinic.app.store.as_ref();
    let progress = &mut |_: u64| ();
    // Staged: carried to other machines, nothing else changed.
    let file = KeyFile::open(&key_file(&clinic)).unwrap();
    file.stage().unwrap();
    let before = deks(&clinic, &ids[0]).await;
    assert_eq!(
        vault::verify(&elsewhere(&clinic), store, progress)
            .await
            .unwrap()
            .stale,
        0
    );
    // Broken off after the file: two of three keys still have the old one around them.
    file.activate_newest().unwrap();
    let half = elsewhere(&clinic);
    assert_eq!(
        vault::verify(&half, store, progress).await.unwrap().stale,
        3
    );
    let rewrapped = vault::rotate_kek(&half, store, progress).await.unwrap();
    assert_eq!((rewrapped.staged, rewrapped.wrapped), (None, 3));
    assert_eq!(rewrapped.unneeded, [crypto_core::KeyId(1)]);
    assert_ne!(deks(&clinic, &ids[0]).await, before);
    // The next is a rotation of its own.
    let rewrapped = vault::rotate_kek(&half, store, progress).await.unwrap();
    assert_eq!(
        rewrapped.staged,
        Some(vault::Staged::Made(crypto_core::KeyId(3)))
    );

    // A key was added to somebody, and nothing sealed under it yet: it goes on from there, and who
    // has one that is new enough is left alone.
    let now = clinic.app.clock.now();
    let next = WrappedDek {
        generation: 2,
        ..deks(&clinic, &ids[0]).await[0].clone()
    };
    assert!(
        vault::rotate_deks(&half, store, now, now, progress)
            .await
            .unwrap()
            .people
            == 3
    );
    assert_eq!(
        deks(&clinic, &ids[0]).await[0].generation,
        2,
        "the first is gone"
    );
    assert!(!store.add_dek(ClinicId::FIRST, &next).await.unwrap());
    let again = vault::rotate_deks(&half, store, now, now, progress)
        .await
        .unwrap();
    assert_eq!(again, vault::Rotated::default());
    assert_eq!(
        clinic.get(&format!("/clients/{}", ids[0])).await["name"],
        "Person 0"
    );
}

#[tokio::test]
async fn a_key_file_is_its_owner_s_alone_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("standing.keys");
    let missing = KeyFile::open(&path).err().unwrap().to_string();
    assert!(missing.contains("standing keys init"), "{missing}");
    KeyFile::init(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(KeyFile::init(&path).unwrap(), vault::Ensured::Whole);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let file = KeyFile::open(&path).unwrap();
    assert_eq!(
        file.keys().unwrap().keks.active().id(),
        crypto_core::KeyId(1)
    );
    file.stage().unwrap();
    file.activate_newest().unwrap();
    let after = std::fs::read_to_string(&path).unwrap();
    assert!(
        after.contains("1 older") && after.contains("2 active"),
        "the states change"
    );
    let index = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("index 1 "))
            .map(str::to_owned)
    };
    assert_eq!(index(&after), index(&text));
    assert!(!folder.path().join("standing.new").exists());

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        for open in [0o640, 0o604, 0o620, 0o602, 0o610] {
            mode(open);
            let refused = KeyFile::open(&path).err().unwrap().to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
        mode(0o400);
        assert!(KeyFile::open(&path).is_ok());
        mode(0o600);
    }
    // Whatever its last line is, a new key is a key.
    std::fs::write(&path, format!("{text}# this line does not end")).unwrap();
    let file = KeyFile::open(&path).unwrap();
    let staged = vault::Staged::Made(crypto_core::KeyId(2));
    assert_eq!(file.stage().unwrap(), staged);
    let ids: Vec<u32> = file
        .keys()
        .unwrap()
        .keks
        .older_ids()
        .map(|id| id.0)
        .collect();
    assert_eq!(ids, [2]);
    // One that broke off says what it left, and nothing is changed.
    let before = std::fs::read_to_string(&path).unwrap();
    let beside = folder.path().join("standing.new");
    std::fs::write(&beside, "").unwrap();
    let refused = file.stage().unwrap_err().to_string();
    assert!(
        refused.contains("standing.new") && refused.contains("remove it"),
        "{refused}"
    );
    assert!(beside.exists());
    std::fs::remove_file(&beside).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    // A change that fails leaves nothing behind.
    std::fs::write(&path, "").unwrap();
    assert!(file.stage().is_err() && !beside.exists());
    // What is wrong with it is said without what stands in it.
    std::fs::write(&path, text.replace("1 active ", "1 active f00")).unwrap();
    let refused = KeyFile::open(&path).err().unwrap().to_string();
    assert!(
        refused.contains("line") && !refused.contains("f00"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_page_of_people_takes_one_look_at_their_keys() {
    let clinic = open().await;
    for number in 0..PAGE_MAX {
        register(&clinic, &format!("Person {number}"), None).await;
    }
    let page = Page {
        after: None,
        limit: PAGE_MAX,
    };
    let opened = standing::people::clients(&clinic.app, ClinicId::FIRST, page)
        .await
        .unwrap();
    assert!(
        opened
            .iter()
            .all(|(_, person)| matches!(person, Ok(Some(_))))
    );
    assert_eq!(opened.len(), PAGE_MAX as usize);
}

#[tokio::test]
async fn a_client_s_id_does_not_say_when_they_registered() {
    let clinic = open().await;
    let ids: Vec<uuid::Uuid> = [
        register(&clinic, "One", None).await,
        register(&clinic, "Other", None).await,
    ]
    .iter()
    .map(|id| id.parse().unwrap())
    .collect();
    assert!(ids.iter().all(|id| id.get_version_num() == 4), "{ids:?}");
}
