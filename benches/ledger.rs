//! The ledger: applying entries, a balance from a snapshot, verifying a chain.
//!
//! Histories are of one client: a package of credits after another, booked, now and then
//! rescheduled or cancelled, used or forfeited, expired; every twelfth is disputed. One thread.
//! Numbers are comparable within one run. `cargo bench -p benches --bench ledger`
#![allow(missing_docs, clippy::unwrap_used, reason = "a program that measures")]

use std::hint::black_box;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ledger_core::{
    Account, AccountId, Cause, Command, Credits, Entry, Evidence, ForfeitReason, HeldPolicy,
    HoldId, Key, ReleaseReason, ServiceId, Source, decide, evolve, fold, verify,
};
use uuid::Uuid;

fn client() -> AccountId {
    AccountId(Uuid::from_u128(0xa))
}

/// A history of at least so many entries, of packages of so many credits, as the core decides it.
fn history(count: usize, package: u32) -> Vec<Entry> {
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let (mut account, mut entries) = (Account::open(client()), Vec::with_capacity(count));
    for number in 0_u32.. {
        if entries.len() >= count {
            break;
        }
        // The clock is quick, so that a million entries fit the years there are.
        let begin = start + TimeDelta::hours(i64::from(number));
        for command in of_package(&account, number, package, begin) {
            let keys = command.keys();
            let recent = entries.iter().rev().take(10);
            let seen = recent.filter(|entry: &&Entry| keys.contains(&entry.key));
            let seen: Vec<Entry> = seen.cloned().collect();
            let decided = decide(&account, &seen, &command, begin).unwrap();
            let new = decided.applied().expect("nothing is asked twice");
            account = new.iter().try_fold(account, evolve).unwrap();
            entries.extend(new);
        }
    }
    entries
}

/// What happens with a package, until its credits are gone.
fn of_package(account: &Account, number: u32, package: u32, begin: DateTime<Utc>) -> Vec<Command> {
    let service = ServiceId(Uuid::from_u128(1));
    let grant = Command::Grant {
        key: Key::manual_grant(Uuid::from_u128(number.into())),
        service,
        amount: Credits(package.into()),
        source: Source::Paid,
        evidence: Evidence::Manual {
            actor: Uuid::from_u128(0xac),
            reason: "paid_by_bank_transfer".parse().unwrap(),
        },
        effective_at: begin,
        expires_at: Some(begin + TimeDelta::hours(1)),
    };
    let mut commands = vec![grant];
    for week in 0..package {
        let booking = Uuid::from_u128(u128::from(number) << 32 | u128::from(week));
        let hold = HoldId {
            booking,
            generation: 1,
        };
        let slot_start = begin + TimeDelta::seconds(i64::from(week));
        commands.push(Command::Hold {
            hold,
            service,
            slot_start,
        });
        if week % 4 == 1 {
            let to = slot_start + TimeDelta::days(30);
            commands.push(Command::Reschedule {
                hold,
                slot_version: 1,
                to,
            });
        }
        commands.push(match (number + week) % 20 {
            3 => Command::Release {
                hold,
                reason: ReleaseReason::Cancelled,
            },
            7 => Command::Forfeit {
                hold,
                reason: ForfeitReason::LateCancel,
            },
            _ => Command::Use { hold },
        });
    }
    if let (11, Some(last)) = (number % 12, account.lots().last()) {
        let (lot, amount, held) = (account.lot_id(last.number), Credits(2), HeldPolicy::Keep);
        let cause = Cause::Dispute {
            id: format!("du_{number}").parse().unwrap(),
        };
        commands.push(Command::Clawback {
            cause: cause.clone(),
            lot,
            amount,
            held,
        });
        commands.push(Command::Reinstate { cause });
    }
    commands
}

fn apply(criterion: &mut Criterion) {
    let entries = history(100_000, 4);
    let mut group = criterion.benchmark_group("evolve");
    group.throughput(Throughput::Elements(entries.len().try_into().unwrap()));
    group.bench_function("entries, without hashing", |bencher| {
        bencher.iter_batched_ref(
            || Some(Account::open(client())),
            |account| {
                let mut state = account.take().unwrap();
                for entry in &entries {
                    state = evolve(state, entry).unwrap();
                }
                *account = Some(state);
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("entries, with hashing", |bencher| {
        bencher.iter_batched_ref(
            || Some(Account::open(client())),
            |account| {
                let mut state = account.take().unwrap();
                for entry in &entries {
                    assert!(entry.is_sealed());
                    state = evolve(state, entry).unwrap();
                }
                *account = Some(state);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn balance(criterion: &mut Criterion) {
    let entries = history(10_000, 4);
    let folded = fold(client(), &entries).unwrap();
    let stored = serde_json::to_string(&folded).unwrap();
    let snapshot: Account = serde_json::from_str(&stored).unwrap();
    assert_eq!(snapshot, folded, "the snapshot is the fold");
    let mut group = criterion.benchmark_group("balance of an account with 10,000 entries");
    group.bench_function("from its snapshot", |bencher| {
        bencher.iter(|| black_box(&snapshot).balance());
    });
    group.bench_function("from its snapshot, of one service", |bencher| {
        let service = ServiceId(Uuid::from_u128(1));
        bencher.iter(|| black_box(&snapshot).balance_for(service));
    });
    group.bench_function("by folding the entries", |bencher| {
        bencher.iter(|| fold(client(), black_box(&entries)).unwrap().balance());
    });
    group.bench_function("reading the snapshot's JSON", |bencher| {
        bencher.iter(|| serde_json::from_str::<Account>(black_box(&stored)).unwrap());
    });
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    let mut entries = history(1_000_000, 2_000);
    entries.truncate(1_000_000);
    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Elements(1_000_000));
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(20));
    group.bench_function("1,000,000 entries", |bencher| {
        bencher.iter(|| verify(client(), black_box(&entries)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, apply, balance, chain);
criterion_main!(benches);
