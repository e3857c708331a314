//! What one client may have of a clinic, and what a calendar need not read.

use std::sync::Arc;

use chrono::TimeDelta;
use clinic::{Change, ClinicId, Quotas, Scope, View};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{RecurrenceSet, Window};

use super::fixture::{Fixture, id, now};
use crate::{Looked, Store, StoreError, Whose};

pub async fn quotas_are_kept_and_shown_to_whoever_books(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store.clone()).await;
    let of = clinic.principal.clinic;
    let other = Fixture::open_as(store.clone(), ClinicId(id(9999)), 50_000).await;
    assert_eq!(store.quotas(of).await.unwrap(), Quotas::default());
    let mut quotas = Quotas::default();
    for minutes in [600, 700] {
        quotas.minutes_a_week = minutes;
        clinic.commit(vec![Change::Quotas(quotas)]).await.unwrap();
        assert_eq!(store.quotas(of).await.unwrap(), quotas);
    }
    assert_eq!(
        store.quotas(other.principal.clinic).await.unwrap(),
        Quotas::default()
    );

    let scopes = [
        Scope::Quotas,
        Scope::Booking {
            therapist: clinic.therapists[0],
            client: clinic.clients[0],
            service: clinic.service,
            window: Window::new(now(), END_OF_ZONE_DATA).unwrap(),
        },
    ];
    for scope in scopes {
        let needs_account = scope != Scope::Quotas;
        let decide = Box::new(move |view: &View| {
            assert_eq!(view.quotas, quotas);
            assert_eq!(view.account.is_some(), needs_account);
            Ok(clinic::Idempotent::AlreadyApplied)
        });
        let seen = store.look(&clinic.request(), &scope).await.unwrap();
        let Looked::Now(view) = seen else {
            panic!("it is not stored yet")
        };
        assert_eq!(view.quotas, quotas);
        let written: Result<_, StoreError> = store.write(&clinic.request(), scope, decide).await;
        written.unwrap();
    }
}

/// It reads what has begun by the end of its window and is not over before it, also once a date was moved. A feed
/// reads what is not over, with all of its sessions.
pub async fn a_calendar_leaves_out_what_is_over(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store.clone()).await;
    let (for_ever, mut once, mut ends) = (clinic.intent(1), clinic.intent(2), clinic.intent(3));
    let start = "2026-03-03T18:00:00".parse().unwrap();
    once.set = RecurrenceSet::new(start, "Europe/London".parse().unwrap(), 50).unwrap();
    let rule = "FREQ=WEEKLY;COUNT=10".parse().unwrap();
    ends.set = RecurrenceSet::new(start, "Europe/London".parse().unwrap(), 50).unwrap();
    ends.set = ends.set.with_rule(rule);
    let session = clinic.session(&once, 60);
    let rows = [&for_ever, &once, &ends].map(|intent| Change::NewIntent(intent.clone()));
    let rows = rows.into_iter().chain([Change::NewSession(session)]);
    clinic.commit(rows.collect()).await.unwrap();
    let of = clinic.principal.clinic;
    let everybody = [
        Whose::Clinic,
        Whose::Therapist(clinic.therapists[0]),
        Whose::Client(clinic.clients[0]),
    ];
    let read = async |whose, days: i64| {
        let from = now() + TimeDelta::days(days);
        let window = Window::new(from, from + TimeDelta::days(7)).unwrap();
        let found = store.calendar(of, whose, window).await.unwrap();
        let ids: Vec<_> = found.intents.iter().map(|intent| intent.id).collect();
        (ids, found.sessions.len())
    };
    for whose in everybody {
        assert_eq!(read(whose, -60).await, (vec![], 0));
        assert_eq!(
            read(whose, 0).await,
            (vec![for_ever.id, once.id, ends.id], 1)
        );
        assert_eq!(read(whose, 40).await, (vec![for_ever.id, ends.id], 0));
        assert_eq!(read(whose, 100).await, (vec![for_ever.id], 0));
    }
    let whose = Whose::Therapist(clinic.therapists[0]);
    let unfinished = async |days: i64| {
        let since = now() + TimeDelta::days(days);
        let found = store.unfinished(of, whose, since).await.unwrap();
        let ids: Vec<_> = found.intents.iter().map(|intent| intent.id).collect();
        (ids, found.sessions.len())
    };
    let all = vec![for_ever.id, once.id, ends.id];
    assert_eq!(unfinished(-60).await, (all, 1));
    assert_eq!(unfinished(40).await, (vec![for_ever.id, ends.id], 0));
    let deviations = scheduler_core::set::Deviations {
        additions: ["2026-06-20T18:00:00".parse().unwrap()].into(),
        ..ends.set.deviations().clone()
    };
    ends.set = ends.set.with_deviations(deviations).unwrap();
    ends.version += 1;
    clinic
        .commit(vec![Change::Intent(ends.clone())])
        .await
        .unwrap();
    for whose in everybody {
        assert_eq!(read(whose, 100).await, (vec![for_ever.id, ends.id], 0));
    }
}
