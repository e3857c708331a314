//! The ledger: applying entries, a balance from a snapshot, verifying a chain.
//!
//! Histories are of one client: every month four credits, booked, now and then rescheduled or
//! cancelled, used or forfeited, expired; a refund and a dispute a year. One thread. Numbers are
//! comparable within one run. `cargo bench -p benches --bench ledger`
#![allow(missing_docs, clippy::unwrap_used, reason = "a program that measures")]

use std::hint::black_box;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ledger_core::{
    Account, AccountId, Body, Cause, Command, Credits, Entry, Evidence, ForfeitReason, HeldPolicy,
    HoldId, Idempotent, Key, ReleaseReason, ServiceId, Source, decide, evolve, fold, verify,
};
use uuid::Uuid;

const MONTH: TimeDelta = TimeDelta::days(30);

fn client() -> AccountId {
    AccountId(Uuid::from_u128(0xa))
}

/// A history of at least so many entries, as the core decides it.
fn history(count: usize) -> Vec<Entry> {
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let (mut account, mut entries) = (Account::open(client()), Vec::with_capacity(count));
    for month in 0_u32.. {
        if entries.len() >= count {
            break;
        }
        let begin = start + TimeDelta::minutes(i64::from(month));
        for command in month_of(&account, month, begin) {
            let keys = command.keys();
            let recent = entries.iter().rev().take(200);
            let seen: Vec<Entry> = recent
                .filter(|e: &&Entry| keys.contains(&e.key))
                .cloned()
                .collect();
            let Ok(Idempotent::Applied(new)) = decide(&account, &seen, &command, begin) else {
                continue;
            };
            account = new.iter().try_fold(account, evolve).unwrap();
            entries.extend(new);
        }
    }
    entries
}

/// What happens in a month. The clock moves by a minute, so that a million entries fit the years.
fn month_of(account: &Account, month: u32, begin: DateTime<Utc>) -> Vec<Command> {
    let service = ServiceId(Uuid::from_u128(1));
    let grant = Command::Grant {
        key: Key::manual_grant(Uuid::from_u128(month.into())),
        service,
        amount: Credits(4),
        source: Source::Paid,
        evidence: Evidence::Manual {
            actor: Uuid::from_u128(0xac),
            reason: "paid_by_bank_transfer".parse().unwrap(),
        },
        effective_at: begin,
        expires_at: Some(begin + TimeDelta::seconds(60)),
    };
    let mut commands = vec![grant];
    for week in 0..4_u32 {
        let booking = Uuid::from_u128(u128::from(month) << 8 | u128::from(week));
        let hold = HoldId {
            booking,
            generation: 1,
        };
        let slot_start = begin + TimeDelta::seconds(i64::from(week) + 1);
        commands.push(Command::Hold {
            hold,
            service,
            slot_start,
        });
        if week == 1 {
            let to = slot_start + MONTH;
            commands.push(Command::Reschedule {
                hold,
                slot_version: 1,
                to,
            });
        }
        commands.push(match (month % 5, week) {
            (1, 3) => Command::Release {
                hold,
                reason: ReleaseReason::Cancelled,
            },
            (2, 3) => Command::Forfeit {
                hold,
                reason: ForfeitReason::LateCancel,
            },
            _ => Command::Use { hold },
        });
    }
    if month % 12 == 11 {
        let lot = account.lot_id(account.lots().last().unwrap().number);
        let id = format!("du_{month}").parse().unwrap();
        let cause = Cause::Dispute { id };
        let held = HeldPolicy::Keep;
        commands.push(Command::Clawback {
            cause: cause.clone(),
            lot,
            amount: Credits(2),
            held,
        });
        commands.push(Command::Reinstate { cause });
    }
    commands
}

fn apply(criterion: &mut Criterion) {
    let entries = history(100_000);
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
    let entries = history(10_000);
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
    let mut entries = history(1_000_000);
    entries.truncate(1_000_000);
    let kinds = |kind| {
        entries
            .iter()
            .filter(|entry| entry.body.kind() == kind)
            .count()
    };
    let moved = entries
        .iter()
        .filter(|entry| !entry.body.allocation().is_empty())
        .count();
    println!(
        "{} holds, {} grants, {moved} that move credits",
        kinds("hold"),
        kinds("grant")
    );
    assert!(matches!(entries[0].body, Body::Grant { .. }));
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
