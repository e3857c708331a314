//! Accounts under many writers: the database ends where the pure core does.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use clinic::account::ByHand;
use clinic::paid::Paid;
use clinic::scope::{Claim, Job};
use clinic::{Change, Commit, Idempotent, Journal, Refusal, Scope, Subject, View, account};
use ledger_core::{
    Account, AccountId, Cause, Command, Credits, Entry, Evidence, ForfeitReason, HeldPolicy,
    HoldId, Key, LotId, LotNumber, ReleaseReason, ServiceId, Source, TransferReason, decide,
    evolve, fold, verify,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fixture::{Fixture, id, now};
use crate::{PAGE_MAX, Store, StoreError, Written};

/// How many write to one account at once.
const WRITERS: u128 = 16;
/// How many commands each sends, most of them also sent by another.
const COMMANDS: u128 = 30;

/// A command that was carried out: the number of its first entry, itself, and when.
type Done = (u64, Command, DateTime<Utc>);

impl Fixture {
    /// The first client's account in the ledger.
    fn account(&self) -> AccountId {
        AccountId(self.clients[0].0)
    }

    /// Sends a command to the first client's account, and notes what it wrote.
    async fn send(
        &self,
        command: Command,
        at: DateTime<Utc>,
        done: &Mutex<Vec<Done>>,
    ) -> Result<Written, StoreError> {
        let client = self.clients[0];
        let scope = Scope::Account {
            client,
            service: None,
            keys: command.keys(),
            proof: command.proof(),
        };
        let write = |view: &View| {
            let account = view.account()?;
            let decided = decide(account, &view.entries, &command, at)?;
            let Some(entries) = decided.applied() else {
                return Ok(Idempotent::AlreadyApplied);
            };
            let after = entries.iter().try_fold(account.clone(), evolve)?;
            let first = account.seq() + 1;
            done.lock().unwrap().push((first, command.clone(), at));
            let subject = Subject::Entry(client, command.key());
            Ok(Idempotent::Applied(Commit {
                journal: Some(Journal::new(subject, first, "tested")),
                changes: vec![Change::Ledger {
                    account: after,
                    entries,
                }],
            }))
        };
        self.store
            .write(&self.request(), scope, Box::new(write))
            .await
    }

    /// The first client's account as it is stored, and all its entries.
    async fn stored(&self) -> (Account, Vec<Entry>) {
        let (clinic, client) = (self.principal.clinic, self.clients[0]);
        let account = self.store.account(clinic, client).await.unwrap().unwrap();
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.seq);
            let more = self.store.entries(clinic, client, after, PAGE_MAX).await;
            let more = more.unwrap();
            if more.is_empty() {
                return (account, entries);
            }
            entries.extend(more);
        }
    }

    /// One of a few hundred commands about a few bookings and lots, each the same for its number.
    fn command(&self, number: u128) -> Command {
        let service = ServiceId(self.service.0);
        let random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        let one_of = |many: u128| u32::try_from(random % many).unwrap();
        let hold = HoldId {
            booking: id(500 + random % 7),
            generation: 1 + one_of(5),
        };
        let lot = LotId {
            account: self.account(),
            number: LotNumber(1 + one_of(11)),
        };
        let day = |ahead: u128| now() + TimeDelta::days(i64::try_from(ahead).unwrap());
        let reason = "counted".parse().unwrap();
        match number % 12 {
            0 | 1 => Command::Grant {
                key: Key::manual_grant(id(number)),
                service,
                amount: Credits(1 + i64::from(one_of(4))),
                source: Source::Paid,
                evidence: Evidence::Manual {
                    actor: id(9),
                    reason,
                },
                effective_at: now(),
                expires_at: number.is_multiple_of(24).then(|| day(1 + random % 9)),
            },
            2..=4 => Command::Hold {
                hold,
                service,
                slot_start: day(1 + random % 12),
            },
            5 => Command::Release {
                hold,
                reason: ReleaseReason::Cancelled,
            },
            6 => Command::Use { hold },
            7 => Command::Forfeit {
                hold,
                reason: ForfeitReason::NoShow,
            },
            8 => Command::Reschedule {
                hold,
                slot_version: 1 + one_of(3),
                to: day(2),
            },
            9 => Command::Adjust {
                id: id(number),
                service,
                amount: Credits(i64::from(one_of(5)) - 2),
                actor: id(9),
                reason,
            },
            10 => Command::Clawback {
                cause: Cause::Refund {
                    id: format!("re_{number}").parse().unwrap(),
                },
                lot,
                amount: Credits::ONE,
                held: HeldPolicy::Take,
            },
            _ => Command::Transfer {
                id: id(number),
                lot,
                reason: TransferReason::Rollover,
                amount: Credits::ONE,
                effective_at: now(),
                expires_at: None,
            },
        }
    }
}

/// Many writers of one account, each command sent by two of them and the clock uneven: what is
/// stored is what the pure core gives for the same commands in the order in which they came.
pub async fn writers_of_one_account_end_where_the_core_does(store: Arc<dyn Store>) {
    let clinic = Arc::new(Fixture::open(store).await);
    let (barrier, done) = (Arc::new(Barrier::new(16)), Arc::new(Mutex::default()));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (clinic, barrier, done) = (clinic.clone(), barrier.clone(), Arc::clone(&done));
        writers.spawn(async move {
            barrier.wait().await;
            for step in 0..COMMANDS {
                let number = writer / 2 * COMMANDS + step;
                let at = now() + TimeDelta::hours(i64::try_from(number * 7 % 90).unwrap());
                let sent = clinic.send(clinic.command(number), at, &done).await;
                match sent {
                    Ok(_) | Err(StoreError::Refused(Refusal::Ledger(_))) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
    }
    writers.join_all().await;

    let (snapshot, stored) = clinic.stored().await;
    let mut done: Vec<Done> = done.lock().unwrap().clone();
    done.sort_by_key(|(first, ..)| *first);
    assert!(done.len() > 60, "only {} commands did anything", done.len());
    let (mut pure, mut entries) = (Account::open(clinic.account()), Vec::<Entry>::new());
    for (_, command, at) in &done {
        let keys = command.keys();
        let seen = entries.iter().filter(|entry| keys.contains(&entry.key));
        let seen: Vec<Entry> = seen.cloned().collect();
        let written = decide(&pure, &seen, command, *at).unwrap().applied();
        let written = written.unwrap();
        pure = written.iter().try_fold(pure, evolve).unwrap();
        entries.extend(written);
    }
    assert_eq!(stored, entries);
    assert_eq!(snapshot, pure);
    assert_eq!(fold(clinic.account(), &stored).unwrap(), snapshot);
    assert_eq!(verify(clinic.account(), &stored).unwrap(), snapshot.head());
}

/// A command that is sent a thousand times, by sixteen at once, is one entry.
pub async fn a_thousand_retries_are_one_entry(store: Arc<dyn Store>) {
    let clinic = Arc::new(Fixture::open(store).await);
    let (barrier, done) = (Arc::new(Barrier::new(16)), Arc::new(Mutex::default()));
    let command = Command::Adjust {
        id: Uuid::from_u128(7),
        service: ServiceId(clinic.service.0),
        amount: Credits(3),
        actor: id(9),
        reason: "counted".parse().unwrap(),
    };
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let (clinic, barrier, done) = (clinic.clone(), barrier.clone(), Arc::clone(&done));
        let command = command.clone();
        writers.spawn(async move {
            barrier.wait().await;
            let mut committed = 0;
            for _ in (writer..1000).step_by(16) {
                match clinic.send(command.clone(), now(), &done).await.unwrap() {
                    Written::Committed { .. } => committed += 1,
                    other => assert_eq!(other, Written::Unchanged),
                }
            }
            committed
        });
    }
    let committed: Vec<u32> = writers.join_all().await;
    assert_eq!(committed.iter().sum::<u32>(), 1);
    let (account, entries) = clinic.stored().await;
    assert_eq!(
        (entries.len(), account.balance().available),
        (1, Credits(3))
    );
    // Another request under its key is refused, and changes nothing.
    let Command::Adjust {
        id,
        service,
        actor,
        reason,
        ..
    } = command
    else {
        unreachable!("it is an adjustment")
    };
    let other = Command::Adjust {
        amount: Credits(4),
        id,
        service,
        actor,
        reason,
    };
    let refused = clinic.send(other, now(), &done).await.unwrap_err();
    let refused = matches!(
        refused,
        StoreError::Refused(Refusal::Ledger(ledger_core::Error::KeyConflict { .. }))
    );
    assert!(refused);
    assert_eq!(clinic.stored().await, (account, entries));
}

/// Of many who enter one receipt at once, for two clients and in three spellings, one does. The others
/// are refused with what it has bought.
pub async fn a_receipt_buys_once_whoever_shows_it(store: Arc<dyn Store>) {
    let clinic = Arc::new(Fixture::open(store).await);
    let principal = clinic.principal;
    let service = clinic.store.service(principal.clinic, clinic.service);
    let price = service.await.unwrap().unwrap().price;
    let barrier = Arc::new(Barrier::new(12));
    let mut writers = JoinSet::new();
    for writer in 0..12_usize {
        let (clinic, barrier) = (clinic.clone(), barrier.clone());
        writers.spawn(async move {
            let what = ByHand::Purchase {
                service: clinic.service,
                checkout: ["R-1", "r_1", "R-1."][writer % 3].parse().unwrap(),
                paid: Paid::just(price),
            };
            let scope = what.scope(clinic.clients[writer % 2]);
            barrier.wait().await;
            let decide = |view: &View| account::by_hand(view, &what, principal, None, now());
            match clinic
                .store
                .write(&clinic.request(), scope, Box::new(decide))
                .await
            {
                Ok(written) => matches!(written, Written::Committed { .. }),
                Err(StoreError::Refused(Refusal::Ledger(
                    ledger_core::Error::Proven { .. } | ledger_core::Error::KeyConflict { .. },
                ))) => false,
                Err(error) => panic!("{error:?}"),
            }
        });
    }
    let bought = writers.join_all().await;
    assert_eq!(bought.into_iter().filter(|bought| *bought).count(), 1);
    let mut credits = 0;
    for client in &clinic.clients[..2] {
        let account = clinic.store.account(principal.clinic, *client).await;
        credits += account.unwrap().unwrap().balance().available.0;
    }
    assert_eq!(credits, 1);
    // What the rules let through, the database refuses.
    let what = ByHand::Purchase {
        service: clinic.service,
        checkout: "r:1".parse().unwrap(),
        paid: Paid::just(price),
    };
    for client in &clinic.clients[..2] {
        let decide = |view: &View| {
            let blind = View {
                entries: Vec::new(),
                ..view.clone()
            };
            account::by_hand(&blind, &what, principal, None, now())
        };
        let written = clinic
            .store
            .write(&clinic.request(), what.scope(*client), Box::new(decide))
            .await;
        assert!(matches!(written, Err(StoreError::Constraint { .. })));
    }
}

/// An account is due when a lot of it ends, and not before, and not again.
pub async fn accounts_are_due_when_credits_expire(store: Arc<dyn Store>) {
    let clinic = Fixture::open(store).await;
    let done = Mutex::default();
    let end = now() + TimeDelta::days(3);
    let grant = Command::Grant {
        key: Key::manual_grant(id(1)),
        service: ServiceId(clinic.service.0),
        amount: Credits(2),
        source: Source::Goodwill,
        evidence: Evidence::Manual {
            actor: id(9),
            reason: "welcome".parse().unwrap(),
        },
        effective_at: now(),
        expires_at: Some(end),
    };
    clinic.send(grant, now(), &done).await.unwrap();
    let claim = |now| Claim {
        zone_data: None,
        job: Job::Expire,
        now,
        after: None,
        lease_until: None,
    };
    let due = async |at| clinic.store.backlog(Job::Expire, at).await.unwrap().due;
    let before = end - TimeDelta::microseconds(1);
    assert_eq!((due(before).await, due(end).await), (0, 1));
    let never = |_: &View| panic!("nothing is due");
    let claimed = clinic.store.claim(&claim(before), Box::new(never)).await;
    assert!(claimed.unwrap().is_none());
    let expire = |view: &View| {
        assert!(view.client.is_some());
        account::expire(view, end)
    };
    let claimed = clinic.store.claim(&claim(end), Box::new(expire)).await;
    let claimed = claimed.unwrap().unwrap();
    assert_eq!(claimed.position.due_at, end);
    assert_eq!(claimed.position.id, clinic.clients[0].0.as_u128());
    // The entry, the account, its finished lots, the journal.
    assert!(matches!(
        claimed.outcome.unwrap(),
        Written::Committed { rows: 4, .. }
    ));
    let (account, entries) = clinic.stored().await;
    assert_eq!(account.balance().expired, Credits(2));
    assert_eq!(entries[1].effective_at, end);
    assert_eq!(due(end + TimeDelta::days(9)).await, 0);
}
