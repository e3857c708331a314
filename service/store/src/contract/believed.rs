//! Accounts whose rows were edited: no decision sees them.

use std::sync::Arc;

use chrono::TimeDelta;
use clinic::scope::{Claim, Job};
use clinic::{Change, Scope, View};
use ledger_core::{
    Account, Command, Credits, Entry, Evidence, Hash, Idempotent, Key, ServiceId, Source, decide,
    evolve,
};
use serde_json::{Value, json};

use super::fixture::{Fixture, committing, id, now};
use crate::account::{Distrust, FOLDED_ENTRIES_MAX, FOLDED_EVERY};
use crate::{Store, StoreError, Written};

impl Fixture {
    /// The first client's account as it is stored.
    async fn first_account(&self) -> Account {
        let (clinic, client) = (self.principal.clinic, self.clients[0]);
        self.store.account(clinic, client).await.unwrap().unwrap()
    }

    /// Puts a snapshot in the place of the first client's, without an entry.
    async fn overwrite(&self, account: &Account) {
        let change = Change::Ledger {
            account: account.clone(),
            entries: Vec::new(),
        };
        self.commit(vec![change]).await.unwrap();
    }

    /// What a decision about the first client's account is answered, and what it writes.
    async fn decide_on_it(&self, changes: Vec<Change>) -> Result<Written, StoreError> {
        let scope = Scope::Account {
            client: self.clients[0],
            service: None,
            keys: Vec::new(),
            proof: None,
        };
        let decide = |view: &View| {
            assert!(view.account.is_some());
            committing(changes)
        };
        self.store
            .write(&self.request(), scope, Box::new(decide))
            .await
    }

    /// So many grants, from an account on.
    fn grants(&self, account: Account, count: u64) -> (Account, Vec<Entry>) {
        let (mut account, mut all) = (account, Vec::new());
        for _ in 0..count {
            let grant = Command::Grant {
                key: Key::manual_grant(id(9_000 + u128::from(account.seq()))),
                service: ServiceId(self.service.0),
                amount: Credits(1),
                source: Source::Goodwill,
                evidence: Evidence::Manual {
                    actor: id(9),
                    reason: "welcome".parse().unwrap(),
                },
                effective_at: now(),
                expires_at: Some(now() + TimeDelta::days(1)),
            };
            let Idempotent::Applied(entries) = decide(&account, &[], &grant, now()).unwrap() else {
                panic!("nothing to grant")
            };
            account = entries.iter().try_fold(account, evolve).unwrap();
            all.extend(entries);
        }
        (account, all)
    }
}

/// An account with its stored form edited.
fn edited(account: &Account, edit: impl FnOnce(&mut Value)) -> Account {
    let mut stored = serde_json::to_value(account).unwrap();
    edit(&mut stored);
    serde_json::from_value(stored).unwrap()
}

/// Forty-eight more credits in the first lot: each number agrees with the others.
fn richer(account: &Account) -> Account {
    edited(account, |stored| {
        let lot = &mut stored["lots"][0];
        for place in ["/granted", "/balance/available"] {
            let number = lot.pointer_mut(place).unwrap();
            *number = json!(number.as_i64().unwrap() + 48);
        }
    })
}

/// A snapshot that was edited, put back or given another head is shown to no decision, the worker's
/// included, and nothing is written.
pub async fn an_account_that_is_not_its_entries_is_not_decided_on(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let empty = clinic.first_account().await;
    let (first, entries) = clinic.grants(empty.clone(), 1);
    let change = |account: &Account, entries: &[Entry]| Change::Ledger {
        account: account.clone(),
        entries: entries.to_vec(),
    };
    clinic
        .decide_on_it(vec![change(&first, &entries)])
        .await
        .unwrap();
    let (second, entries) = clinic.grants(first.clone(), 1);
    clinic
        .decide_on_it(vec![change(&second, &entries)])
        .await
        .unwrap();
    let moved = edited(&second, |stored| {
        stored["head"]["hash"] = json!(Hash([7; 32]).to_string());
    });
    let ahead = edited(&second, |stored| stored["head"]["seq"] = json!(3));
    // Whether the head is what gives it away.
    let cases = [
        (richer(&second), false),
        (first, true),
        (empty, true),
        (moved, true),
        (ahead, true),
    ];
    for (forged, by_head) in cases {
        clinic.overwrite(&forged).await;
        let before = clinic.dump().await;
        let (third, entries) = clinic.grants(second.clone(), 1);
        let refused = clinic.decide_on_it(vec![change(&third, &entries)]).await;
        let account = clinic.clients[0].0;
        match refused {
            Err(StoreError::Distrusted { account: of, why }) => {
                let named = match *why {
                    Distrust::Head { stored, .. } => by_head && stored.seq == 2,
                    Distrust::Differs { seq } => !by_head && seq == 2,
                    _ => false,
                };
                assert!(of.0 == account && named, "{why}");
            }
            other => panic!("{other:?}"),
        }
        let claim = Claim {
            zone_data: None,
            job: Job::Expire,
            now: now() + TimeDelta::days(2),
            after: None,
            lease_until: None,
        };
        let never = |_: &View| panic!("it is believed");
        if let Some(claimed) = clinic.store.claim(&claim, Box::new(never)).await.unwrap() {
            let refused = matches!(claimed.outcome, Err(StoreError::Distrusted { .. }));
            assert!(refused, "{:?}", claimed.outcome);
        }
        assert_eq!(clinic.dump().await, before);
        clinic.overwrite(&second).await;
        clinic.decide_on_it(Vec::new()).await.unwrap();
    }
}

/// A long account's head is compared each time. Its entries are folded at some of its states only,
/// and `ledger verify` folds them at any.
pub async fn a_long_account_is_folded_now_and_then(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let empty = clinic.first_account().await;
    let (long, entries) = clinic.grants(empty, FOLDED_ENTRIES_MAX + 1);
    let account = long.clone();
    clinic
        .commit(vec![Change::Ledger { account, entries }])
        .await
        .unwrap();
    clinic.decide_on_it(Vec::new()).await.unwrap();
    clinic.overwrite(&richer(&long)).await;
    clinic.decide_on_it(Vec::new()).await.unwrap();
    let until = FOLDED_EVERY - long.seq() % FOLDED_EVERY;
    let (next, entries) = clinic.grants(richer(&long), until);
    let account = next.clone();
    clinic
        .decide_on_it(vec![Change::Ledger { account, entries }])
        .await
        .unwrap();
    let refused = clinic.decide_on_it(Vec::new()).await;
    assert!(
        matches!(&refused, Err(StoreError::Distrusted { why, .. })
            if matches!(**why, Distrust::Differs { .. })),
        "{refused:?}"
    );
}
