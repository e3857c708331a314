//! Keys and what is sealed under them: to a store they are bytes that belong together.

use std::sync::Arc;

use clinic::{
    BlindIndex, Change, ClinicId, Commit, Idempotent, Journal, Notification, NotificationKind,
    PersonId, Recipient, Role, Scope, Subject, View, WrappedDek,
};
use scheduler_core::TherapistId;
use scheduler_core::intent::Event;

use super::fixture::{ALL, Fixture, blind, dek, id, now, sealed, stored};
use crate::{Page, PersonLine, Store, StoreError, Token};

/// A database belongs to the key file that was used with it first.
pub async fn the_first_fingerprint_is_kept(store: Arc<dyn Store>) {
    let keep = async |byte| store.keep_key_fingerprint([byte; 32]).await.unwrap();
    for byte in [1, 2, 1, 3] {
        assert_eq!(keep(byte).await, [1; 32]);
    }
}

/// Across clinics, by when they were made.
pub async fn the_newest_keys_come_first(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let (of, store) = (clinic.principal.clinic, &clinic.store);
    let owner = clinic.clients[0].0;
    let mut newest = dek(owner, 2);
    newest.created_at = now() + chrono::TimeDelta::days(1);
    assert!(store.add_dek(of, &newest).await.unwrap());
    let found = store.newest_deks(2).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], (of, newest));
    assert_eq!(store.newest_deks(200).await.unwrap().len(), 5);
}

/// Nothing is sealed under a key that is not there, and no key goes that something is sealed under.
pub async fn a_key_stays_while_something_is_sealed_under_it(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let (of, store) = (clinic.principal.clinic, &clinic.store);
    for person in [
        PersonId::Client(clinic.clients[0]),
        PersonId::Therapist(clinic.therapists[0]),
    ] {
        let owner = person.uuid();
        let deks = async || store.deks(of, &[owner]).await.unwrap();
        assert_eq!(deks().await, [dek(owner, 1)]);
        let change = async |version, generation| {
            let person = Change::Person {
                id: person,
                person: sealed(owner, version, generation),
            };
            clinic.commit(vec![person]).await
        };
        let refused = |outcome| matches!(outcome, Err(StoreError::Constraint { .. }));
        assert!(refused(change(2, 2).await), "there is no second key");
        assert!(store.add_dek(of, &dek(owner, 2)).await.unwrap());
        assert!(!store.add_dek(of, &dek(owner, 2)).await.unwrap());
        assert_eq!(deks().await, [dek(owner, 1), dek(owner, 2)]);
        assert_eq!(
            store.drop_deks(of, owner, 2).await.unwrap(),
            0,
            "it is in use"
        );

        change(2, 2).await.unwrap();
        assert!(refused(change(2, 2).await), "a version comes once");
        assert!(refused(change(4, 2).await), "and after the one before");
        assert_eq!(
            store.drop_deks(of, owner, 1).await.unwrap(),
            0,
            "none is below"
        );
        assert_eq!(store.drop_deks(of, owner, 2).await.unwrap(), 1);
        assert_eq!(deks().await, [dek(owner, 2)]);
        assert!(
            refused(change(3, 1).await),
            "who still has the old key is refused"
        );

        // Sealed again, where it is still what it was.
        let again = async |version| store.reseal(of, person, &sealed(owner, version, 2)).await;
        assert!(!again(2).await.unwrap() && !again(4).await.unwrap());
        assert!(again(3).await.unwrap());
        assert!(refused(
            clinic.commit(vec![Change::NewDek(dek(owner, 2))]).await
        ));
    }
    let stored = store.client(of, clinic.clients[0]).await.unwrap().unwrap();
    assert_eq!(stored.person, Some(sealed(stored.id.0, 3, 2)));
}

/// A zone that an earlier version left in the clear goes with whatever seals the client again.
pub async fn a_zone_in_the_clear_goes_once_the_client_is_sealed_again(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let (of, store) = (clinic.principal.clinic, &clinic.store);
    let zone = async |client| store.client(of, client).await.unwrap().unwrap().clear_zone;
    for client in clinic.clients {
        assert_eq!(zone(client).await, "America/New_York".parse().ok());
    }
    let [changed, resealed] = clinic.clients;
    let change = |version| Change::Person {
        id: PersonId::Client(changed),
        person: sealed(changed.0, version, 1),
    };
    clinic.commit(vec![change(4)]).await.unwrap_err();
    assert!(zone(changed).await.is_some(), "nothing was sealed");
    clinic.commit(vec![change(2)]).await.unwrap();
    assert_eq!(zone(changed).await, None);
    let reseal = async |version| {
        let person = sealed(resealed.0, version, 1);
        store.reseal(of, PersonId::Client(resealed), &person).await
    };
    assert!(!reseal(4).await.unwrap());
    assert!(zone(resealed).await.is_some(), "nothing was sealed");
    assert!(reseal(2).await.unwrap());
    assert_eq!(zone(resealed).await, None);
}

/// A key that is wrapped again replaces what it was read as, and nothing else.
pub async fn a_key_is_wrapped_again_where_it_is_what_it_was(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let (of, store) = (clinic.principal.clinic, &clinic.store);
    let owner = clinic.clients[0].0;
    let stored = dek(owner, 1);
    assert!(store.rewrap_dek(of, &stored, b"again").await.unwrap());
    assert!(!store.rewrap_dek(of, &stored, b"too late").await.unwrap());
    let again = WrappedDek {
        wrapped: b"again".to_vec(),
        ..stored.clone()
    };
    assert_eq!(
        store.deks(of, &[owner]).await.unwrap(),
        std::slice::from_ref(&again)
    );
    let nowhere = ClinicId(id(1));
    assert!(
        !store
            .rewrap_dek(nowhere, &again, b"elsewhere")
            .await
            .unwrap()
    );
    assert_eq!(store.deks(nowhere, &[owner]).await.unwrap(), []);

    // Owners, page by page, each once.
    store.add_dek(of, &dek(owner, 2)).await.unwrap();
    let mut owners = vec![clinic.therapists[0].0, clinic.therapists[1].0];
    owners.extend(clinic.clients.map(|client| client.0));
    owners.sort();
    assert_eq!(store.dek_owners(of, ALL).await.unwrap(), owners);
    let page = Page {
        after: Some(owners[0]),
        limit: 2,
    };
    assert_eq!(store.dek_owners(of, page).await.unwrap(), owners[1..3]);
    assert_eq!(store.deks(of, &owners).await.unwrap().len(), 5);
}

/// Of who is erased there are no keys, nothing sealed and no way to find them; their row stays.
pub async fn who_is_erased_keeps_a_row_and_nothing_in_it(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let (of, store) = (clinic.principal.clinic, &clinic.store);
    let client = clinic.clients[0];
    let index = [blind(client.0, 1).hash.unwrap()];
    let found = async || store.client_by_email(of, &index).await.unwrap();
    assert_eq!(found().await.map(|client| client.id), Some(client));
    let elsewhere = store.client_by_email(ClinicId(id(1)), &index).await;
    assert_eq!(elsewhere.unwrap(), None);
    store.add_dek(of, &dek(client.0, 2)).await.unwrap();
    clinic
        .commit(vec![Change::LegalHold(client, true)])
        .await
        .unwrap();
    assert!(store.client(of, client).await.unwrap().unwrap().legal_hold);

    let erase = Change::Erase(PersonId::Client(client));
    let written = clinic.commit(vec![erase]).await.unwrap();
    // The client, two keys, an index, the journal.
    assert!(matches!(written, crate::Written::Committed { rows: 5, .. }));
    assert_eq!(
        store.indexes(of, PersonId::Client(client)).await.unwrap(),
        []
    );
    assert_eq!(store.deks(of, &[client.0]).await.unwrap(), []);
    assert_eq!(found().await, None);
    let erased = store.client(of, client).await.unwrap().unwrap();
    assert_eq!(erased.person, None);
    // A writer who knew a key, and a rotation under way, come too late.
    assert!(!store.add_dek(of, &dek(client.0, 3)).await.unwrap());
    let person = PersonId::Client(client);
    let late = store.reseal(of, person, &sealed(client.0, 2, 1)).await;
    assert!(!late.unwrap());
    store.scrub().await.unwrap();
    assert_eq!(store.client(of, client).await.unwrap(), Some(erased));
}

/// A person is found by each of their indexes, and an address is one client's, and one therapist's.
pub async fn a_person_is_found_by_their_indexes_and_nobody_else_has_them(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let (of, store) = (clinic.principal.clinic, &clinic.store);
    let [one, other] = clinic.clients.map(PersonId::Client);
    let therapist = PersonId::Therapist(clinic.therapists[0]);
    let index = |generation| blind(one.uuid(), generation);
    let hashes =
        |all: &[BlindIndex]| -> Vec<[u8; 32]> { all.iter().filter_map(|one| one.hash).collect() };
    let set = async |id, indexes: &[BlindIndex]| {
        let written = clinic
            .commit(vec![Change::Indexes(id, indexes.to_vec())])
            .await;
        written.map(|written| match written {
            crate::Written::Committed { rows, .. } => rows - 1, // the journal's
            other => panic!("{other:?}"),
        })
    };
    let found = async |indexes: &[BlindIndex]| {
        let found = store.client_by_email(of, &hashes(indexes)).await.unwrap();
        found.map(|client| PersonId::Client(client.id))
    };
    assert_eq!(found(&[]).await, None);
    assert!(!store.lacks_index(1).await.unwrap() && store.lacks_index(2).await.unwrap());

    // A second key: found by either, and by both.
    let both = [index(1), index(2)];
    assert_eq!(set(one, &both).await.unwrap(), 2);
    assert_eq!(store.indexes(of, one).await.unwrap(), both);
    for asked in [&both[..1], &both[1..], &both] {
        assert_eq!(found(asked).await, Some(one));
    }
    // Without the first: one row stays as it is, one goes.
    assert_eq!(set(one, &both[1..]).await.unwrap(), 2);
    assert_eq!(
        (found(&both[..1]).await, found(&both[1..]).await),
        (None, Some(one))
    );
    // A person without an address is indexed too, so that it shows who is not.
    let none = BlindIndex {
        generation: 2,
        hash: None,
    };
    for id in [other, therapist, PersonId::Therapist(clinic.therapists[1])] {
        assert!(store.lacks_index(2).await.unwrap());
        set(id, &[none]).await.unwrap();
        assert_eq!(store.indexes(of, id).await.unwrap(), [none]);
    }
    assert!(!store.lacks_index(2).await.unwrap() && store.lacks_index(1).await.unwrap());

    // Nobody else of the same role has it.
    let taken = set(other, &both[1..]).await;
    assert!(
        matches!(taken, Err(StoreError::Constraint { .. })),
        "{taken:?}"
    );
    assert_eq!(store.indexes(of, other).await.unwrap(), [none]);
    set(therapist, &both[1..]).await.unwrap();
    assert_eq!(found(&both[1..]).await, Some(one));
    assert_eq!(set(one, &[]).await.unwrap(), 1);
    assert_eq!(found(&both[1..]).await, None, "a therapist is no client");
}

/// What the journal says of people is read in order, page by page, and nothing else of it.
pub async fn the_journal_tells_what_became_of_people(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let (of, store) = (clinic.principal.clinic, &clinic.store);
    let subjects = [
        Subject::Client(clinic.clients[0]),
        Subject::Therapist(clinic.therapists[0]),
    ];
    let mut expected = Vec::new();
    for (version, kind) in (1..).zip(PersonLine::KINDS) {
        for (subject, of) in subjects
            .iter()
            .zip([clinic.clients[0].0, clinic.therapists[0].0])
        {
            let held = (kind == "legal_hold_changed").then_some(version % 2 == 0);
            for kind in [kind, "feed_opened"] {
                let journal = Journal::new(subject.clone(), version, kind);
                let commit = Commit {
                    journal: Some(journal.with_body(serde_json::json!({ "held": held }))),
                    changes: Vec::new(),
                };
                let scope = Scope::New { therapist: None };
                let decide = Box::new(|_: &_| Ok(Idempotent::Applied(commit)));
                store.write(&clinic.request(), scope, decide).await.unwrap();
            }
            expected.push((of, kind.to_owned(), version, held));
        }
    }
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let page = store.person_lines(of, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3 && page.iter().all(|line| line.seq > after));
        after = last.seq;
        found.extend(
            page.into_iter()
                .map(|line| (line.of, line.kind, line.version, line.held)),
        );
    }
    assert_eq!(found, expected);
    assert_eq!(store.person_lines(ClinicId(id(1)), 0, 9).await.unwrap(), []);
}

/// Who erases a client sees everything of theirs that is still to come, and nothing of anybody else's. Their
/// tokens go, and a series that ends with them has its history.
pub async fn an_erasure_sees_what_goes_on_and_ends_it(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let (of, store, client) = (clinic.principal.clinic, &clinic.store, clinic.clients[0]);
    let (intent, mut others) = (clinic.intent(100), clinic.intent(101));
    (others.client, others.therapist) = (clinic.clients[1], clinic.therapists[1]);
    let (over, to_come) = (clinic.session(&intent, -600), clinic.session(&intent, 60));
    let of_other = clinic.session(&others, 60);
    let told = |session: &_| {
        let told = Notification::to_client(NotificationKind::Scheduled, session, now());
        Change::Notify(told)
    };
    let to_therapist = Notification::to_therapist(NotificationKind::Scheduled, &to_come, now());
    let rows = vec![
        Change::NewIntent(intent.clone()),
        Change::NewIntent(others.clone()),
        Change::NewSession(over),
        Change::NewSession(to_come.clone()),
        Change::NewSession(of_other.clone()),
        told(&to_come),
        told(&of_other),
        Change::Notify(to_therapist),
        Change::Feed(Recipient::Client(client), Some(stored(60))),
    ];
    clinic.commit(rows).await.unwrap();
    for (number, role) in (50..).zip([
        Role::Client(client),
        Role::Client(client),
        Role::Client(clinic.clients[1]),
        Role::Therapist(TherapistId(client.0)),
    ]) {
        let token = Token {
            id: id(u128::from(number)),
            secret: stored(number),
            clinic: of,
            role,
            created_at: now(),
            ends_at: None,
        };
        store.add_token(&token).await.unwrap();
    }
    let scope = || Scope::Erasure { client, now: now() };
    let ended = Event::Ended {
        from: intent.set.start(),
    };
    let line =
        Journal::new(Subject::Intent(intent.id), 2, "series_ended").of(&intent, ended.clone());
    let decide = Box::new(|view: &View| {
        assert_eq!(view.client.as_ref().map(|row| row.id), Some(client));
        assert!(view.account.is_some());
        assert_eq!(view.intents, std::slice::from_ref(&intent));
        assert_eq!(view.sessions, std::slice::from_ref(&to_come));
        let pending = view
            .pending
            .iter()
            .map(|message| message.notification.recipient);
        assert!(pending.eq([Recipient::Client(client)]));
        assert_eq!((view.tokens, view.has_feed), (2, true));
        Ok(Idempotent::Applied(Commit {
            journal: Some(Journal::new(Subject::Client(client), 2, "person_erased")),
            changes: vec![
                Change::Feed(Recipient::Client(client), None),
                Change::Revoke(PersonId::Client(client)),
                Change::Line(line),
                Change::Erase(PersonId::Client(client)),
            ],
        }))
    });
    let written = store
        .write(&clinic.request(), scope(), decide)
        .await
        .unwrap();
    // Two tokens, feed, client, key and index, and the commit's line; the other one counts itself.
    assert!(
        matches!(written, crate::Written::Committed { rows: 7, .. }),
        "{written:?}"
    );
    for (number, is_there) in (50..).zip([false, false, true, true]) {
        assert_eq!(store.token([number; 32]).await.unwrap().is_some(), is_there);
    }
    let history = store.history(of, intent.id).await.unwrap();
    assert!(history.iter().map(|record| &record.event).eq([&ended]));
    let erased = store.client(of, client).await.unwrap().unwrap();
    assert_eq!((erased.clear_zone, erased.therapist), (None, None));
    let decide = Box::new(|view: &View| {
        assert_eq!((view.tokens, view.has_feed), (0, false));
        Ok(Idempotent::AlreadyApplied)
    });
    store
        .write(&clinic.request(), scope(), decide)
        .await
        .unwrap();
}
