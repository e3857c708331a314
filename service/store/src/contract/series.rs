//! Series: segments, their history, sessions that change their segment; working times; feeds.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use clinic::{
    Blackout, Change, Happened, History, Idempotent, Journal, Recipient, Scope, Subject, View,
};
use scheduler_core::intent::{Event, IntentState};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, Pause, PausedSlot, Window};

use super::fixture::{Fixture, id, now, stored};
use crate::{Feed, Store, StoreError};

/// What a split writes: the old segment ends, another opens, a session goes along, and the history
/// tells it.
pub async fn a_series_is_kept_with_its_history(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let of = clinic.principal.clinic;
    let first = clinic.intent(100);
    let session = clinic.session(&first, 60);
    let rows = vec![
        Change::NewIntent(first.clone()),
        Change::NewSession(session.clone()),
    ];
    clinic.commit(rows).await.unwrap();
    let mut second = clinic.intent(101);
    (second.series, second.continues) = (first.id, Some(first.id));
    second.therapist = clinic.therapists[1];
    let mut ended = first.clone();
    (ended.version, ended.state) = (2, IntentState::Continued { by: second.id });
    let mut rebound = session.clone();
    (rebound.intent, rebound.therapist) = (second.id, second.therapist);
    rebound.recurrence_id = "2026-03-09T17:00:00".parse().unwrap();
    rebound.starts_at += TimeDelta::minutes(10);
    rebound.ends_at += TimeDelta::minutes(20);
    (rebound.version, rebound.slot_version) = (3, 1);
    rebound.zone = "America/New_York".parse().unwrap();
    let split = Event::Split {
        at: "2026-03-09T18:00:00".parse().unwrap(),
        into: second.id,
        detached: Vec::new(),
        sessions: Vec::new(),
    };
    let history = History {
        series: first.id,
        reason: Some("schedule_change".parse().unwrap()),
        events: vec![
            Happened {
                intent: first.id,
                event: split.clone(),
            },
            Happened {
                intent: second.id,
                event: Event::Withdrawn,
            },
        ],
    };
    let journal = Journal {
        history: Some(history),
        ..Journal::new(Subject::Intent(second.id), 1, "series_split")
    };
    let commit = clinic::Commit {
        journal: Some(journal),
        changes: vec![
            Change::NewIntent(second.clone()),
            Change::Intent(ended.clone()),
            Change::Rebound(rebound.clone()),
        ],
    };
    let decide = Box::new(move |_: &View| Ok(Idempotent::Applied(commit)));
    let scope = Scope::New { therapist: None };
    clinic
        .store
        .write(&clinic.request(), scope, decide)
        .await
        .unwrap();

    let mut segments = clinic.store.segments(of, first.id).await.unwrap();
    segments.sort_by_key(|segment| segment.id);
    assert_eq!(segments, [ended, second.clone()]);
    let stored = clinic.store.session(of, session.id).await.unwrap();
    assert_eq!(stored, Some(rebound.clone()));
    let records = clinic.store.history(of, first.id).await.unwrap();
    let told: Vec<_> = records
        .iter()
        .map(|one| (one.intent, one.at, &one.event))
        .collect();
    let expected = [
        (first.id, now(), &split),
        (second.id, now(), &Event::Withdrawn),
    ];
    assert_eq!(told, expected);
    assert_eq!(records[0].cause.reason.as_deref(), Some("schedule_change"));
    let other = clinic.store.history(of, IntentId(id(999))).await.unwrap();
    assert_eq!(other, []);

    // A scope shows all of it, whichever segment is named, and both calendars.
    let looked = Scope::Series {
        intent: second.id,
        therapist: Some(clinic.therapists[0]),
        window: Window::new(now(), END_OF_ZONE_DATA).unwrap(),
        history: true,
    };
    let seen = Box::new(move |view: &View| {
        assert_eq!(view.intent.as_ref().map(|one| one.id), Some(second.id));
        let others: Vec<_> = view.segments.iter().map(|one| one.id).collect();
        assert_eq!(others, [first.id]);
        assert_eq!(view.sessions, [rebound]);
        assert_eq!(view.records.len(), 2);
        assert_eq!(view.therapist.as_ref().unwrap().id, first.therapist);
        assert!(!view.services.is_empty() && view.account.is_some());
        Ok(Idempotent::AlreadyApplied)
    });
    clinic
        .store
        .write(&clinic.request(), looked, seen)
        .await
        .unwrap();
}

/// Time that is kept while nothing is due stands in the way of bookings; time that is freed does
/// not.
pub async fn what_a_pause_keeps_is_in_the_way(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    for (number, slot) in [(100, PausedSlot::Kept), (101, PausedSlot::Freed)] {
        let mut intent = clinic.intent(number);
        let mut deviations = intent.set.deviations().clone();
        deviations.pauses.push(Pause {
            from: NaiveDate::from_ymd_opt(2026, 3, 1).unwrap(),
            until: None,
            slot,
        });
        intent.set = intent.set.with_deviations(deviations).unwrap();
        intent.next_due_at = None;
        clinic
            .commit(vec![Change::NewIntent(intent)])
            .await
            .unwrap();
    }
    let scope = Scope::Booking {
        therapist: clinic.therapists[0],
        client: clinic.clients[0],
        service: clinic.service,
        window: Window::new(now(), END_OF_ZONE_DATA).unwrap(),
    };
    let seen = Box::new(|view: &View| {
        let found: Vec<_> = view.intents.iter().map(|one| one.id).collect();
        assert_eq!(found, [IntentId(id(100))]);
        Ok(Idempotent::AlreadyApplied)
    });
    clinic
        .store
        .write(&clinic.request(), scope, seen)
        .await
        .unwrap();
}

pub async fn working_times_come_back_as_they_went(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let of = clinic.principal.clinic;
    let mut therapist = clinic
        .store
        .therapist(of, clinic.therapists[0])
        .await
        .unwrap()
        .unwrap();
    let kept = BTreeSet::from([(IntentId(id(7)), "2026-03-09T18:00:00".parse().unwrap())]);
    let blackout = Blackout {
        from: now(),
        until: now() + TimeDelta::days(3),
        reason: Some("training".parse().unwrap()),
        withdrawn: false,
        kept,
    };
    let date = NaiveDate::from_ymd_opt(2026, 5, 25).unwrap();
    let times = therapist.times.with_blackout(id(1), blackout).unwrap();
    therapist.times = times.with_date(date, Some(Vec::new())).unwrap();
    clinic
        .commit(vec![Change::WorkingTimes(therapist.clone())])
        .await
        .unwrap();
    let stored = clinic.store.therapist(of, therapist.id).await.unwrap();
    assert_eq!(stored, Some(therapist));
}

/// A person has one feed: a new secret ends the old one, and none ends it.
pub async fn a_feed_is_found_by_its_last_secret_only(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let whose = Recipient::Client(clinic.clients[0]);
    let other = Recipient::Therapist(clinic.therapists[0]);
    let of = clinic.principal.clinic;
    let feed = async |hash| clinic.store.feed([hash; 32]).await.unwrap();
    let shows = |whose, hash| {
        Some(Feed {
            clinic: of,
            whose,
            secret: stored(hash),
        })
    };
    let set = |whose, hash: Option<u8>| clinic.commit(vec![Change::Feed(whose, hash.map(stored))]);
    set(whose, Some(1)).await.unwrap();
    set(other, Some(2)).await.unwrap();
    assert_eq!(feed(1).await, shows(whose, 1));
    assert_eq!(feed(2).await, shows(other, 2));
    set(whose, Some(3)).await.unwrap();
    assert_eq!(feed(1).await, None);
    assert_eq!(feed(3).await, shows(whose, 3));
    let taken = set(whose, Some(2)).await;
    assert!(
        matches!(taken, Err(StoreError::Constraint { .. })),
        "{taken:?}"
    );
    set(whose, None).await.unwrap();
    assert_eq!(feed(3).await, None);
    assert_eq!(feed(2).await, shows(other, 2));
}
