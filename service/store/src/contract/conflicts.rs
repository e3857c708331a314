//! Evidence that was refused, until somebody settles it.

use std::sync::Arc;

use clinic::conflict::{self, Between};
use clinic::{ClinicId, Conflict, Scope, View};
use tokio::task::JoinSet;

use super::fixture::{Fixture, id, now};
use crate::{Request, Store, Written};

fn between(clinic: &Fixture, asked: u32) -> Between {
    Between {
        client: clinic.clients[0],
        stored_client: clinic.clients[1],
        stored: "v1/a in_1".to_owned(),
        asked: format!("v1/a in_{asked}"),
    }
}

async fn keep(store: Arc<dyn Store>, request: Request, between: Between) -> Written {
    let scope = Scope::Conflict(between.id());
    let decide = Box::new(move |view: &View| conflict::keep(view, &between));
    let kept = store.write(&request, scope, decide).await;
    kept.unwrap()
}

pub async fn conflicts_are_kept_once_and_listed_until_settled(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store.clone()).await;
    let other = Fixture::open_as(store.clone(), ClinicId(id(9999)), 50_000).await;
    let of = clinic.principal.clinic;
    let list = async |only_open, after, limit| {
        let listed = store.conflicts(of, only_open, after, limit).await.unwrap();
        listed.into_iter().collect::<Vec<Conflict>>()
    };
    assert_eq!(list(false, 0, 9).await, []);
    for asked in [2, 3, 4] {
        let mut at_once = JoinSet::new();
        for _ in 0..4 {
            at_once.spawn(keep(
                store.clone(),
                clinic.request(),
                between(&clinic, asked),
            ));
        }
        let kept = at_once.join_all().await;
        let kept = kept.iter().filter(|one| **one != Written::Unchanged);
        assert_eq!(kept.count(), 1);
    }
    let all = list(true, 0, 9).await;
    let asked: Vec<_> = all.iter().map(|one| one.between.clone()).collect();
    assert_eq!(asked, [2, 3, 4].map(|asked| between(&clinic, asked)));
    for one in &all {
        assert_eq!((one.kept_at, one.settled_at), (now(), None));
        assert_eq!(
            store.conflict(of, one.id).await.unwrap().as_ref(),
            Some(one)
        );
    }
    assert_eq!(list(true, all[0].seq, 1).await, all[1..2]);
    let elsewhere = other.principal.clinic;
    assert_eq!(store.conflicts(elsewhere, false, 0, 9).await.unwrap(), []);
    assert_eq!(store.conflict(elsewhere, all[0].id).await.unwrap(), None);

    for expected in [true, false] {
        let settle = |view: &View| conflict::settle(view, None, clinic.principal);
        let scope = Scope::Conflict(all[1].id);
        let settled = store
            .write(&clinic.request(), scope, Box::new(settle))
            .await;
        assert_eq!(settled.unwrap() != Written::Unchanged, expected);
    }
    assert_eq!(list(true, 0, 9).await, [all[0].clone(), all[2].clone()]);
    let settled = Conflict {
        settled_at: Some(now()),
        ..all[1].clone()
    };
    assert_eq!(list(false, all[0].seq, 9).await, [settled, all[2].clone()]);
}
