//! A decision that is made before the locks, while somebody else writes.

use std::sync::Mutex;

use clinic::{ClinicId, Principal, Quotas, Role, Scope, View, quota};
use store::{Request, Written};
use tokio::runtime::Handle;

use crate::clinic::Clinic;

/// The second decision is made on what is there then, and that one counts.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_by_the_time_of_the_locks_is_decided_anew() {
    let clinic = Clinic::at("2026-03-02T08:00:00Z").await;
    let admin = Principal {
        clinic: ClinicId::FIRST,
        credential: uuid::Uuid::nil(),
        role: Role::Admin,
    };
    let request = Request {
        dry_run: true,
        ..Request::of(admin, clinic.app.clock.now())
    };
    let with = |standing_bookings| Quotas {
        standing_bookings,
        ..Quotas::default()
    };
    let seen = Mutex::new(Vec::new());
    let decide = |view: &View| {
        let mut seen = seen.lock().unwrap();
        seen.push(view.quotas);
        if seen.len() == 1 {
            let other = Request::of(admin, clinic.app.clock.now());
            let set = Box::new(|view: &View| quota::set(view, with(7), admin));
            let written = clinic.app.store.write(&other, Scope::Quotas, set);
            Handle::current().block_on(written).unwrap();
        }
        quota::set(view, with(view.quotas.standing_bookings + 1), admin)
    };
    let written = clinic.app.write(&request, Scope::Quotas, Box::new(decide));
    let Written::DryRun(commit) = written.await.unwrap() else {
        panic!("it is only tried")
    };
    assert_eq!(seen.into_inner().unwrap(), [Quotas::default(), with(7)]);
    assert_eq!(commit.changes, [clinic::Change::Quotas(with(8))]);
    let stored = clinic.app.store.quotas(ClinicId::FIRST).await.unwrap();
    assert_eq!(stored, with(7));
}
