//! The invariants of an account, on random histories, against the oracle.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger_core::{
    Account, Balance, Body, Command, Entry, HoldId, Idempotent, ReleaseReason, Stored, decide,
    evolve,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseResult, TestRunner};

use crate::history::{Step, command, history, instants};
use crate::ledger::{Ledger, anna, at, grant, hold, hold_id, service};
use crate::oracle::{self, Verdict};

fn wide(balance: Balance) -> [i128; 4] {
    let Balance {
        available,
        held,
        used,
        forfeited,
        ..
    } = balance;
    [available, held, used, forfeited].map(|credits| i128::from(credits.0))
}

fn run(history: &[Step]) -> Ledger {
    let mut ledger = Ledger::open();
    for Step { command, now } in history {
        let _ = ledger.send(command, *now);
    }
    ledger
}

/// The account after some entries is what the oracle reads in them.
fn agrees(account: &Account, entries: &[Entry]) -> TestCaseResult {
    let lots = oracle::buckets(entries);
    prop_assert_eq!(account.lots().len(), lots.len());
    let mut sum = [0; 4];
    for lot in account.lots() {
        let [available, held, used, forfeited] = wide(lot.balance);
        let granted = i128::from(lot.granted.0);
        let buckets = oracle::Buckets {
            granted,
            available,
            held,
            used,
            forfeited,
        };
        prop_assert_eq!(buckets, lots[&lot.number.0], "lot {}", lot.number);
        prop_assert_eq!(
            available + held + used + forfeited,
            granted,
            "lot {}",
            lot.number
        );
        prop_assert!(
            [available, held, used, forfeited]
                .iter()
                .all(|&bucket| bucket >= 0)
        );
        for (sum, bucket) in sum.iter_mut().zip([available, held, used, forfeited]) {
            *sum += bucket;
        }
    }
    prop_assert_eq!(wide(account.balance()), sum);
    let [one, two] = [1, 2].map(|n| wide(account.balance_for(service(n))));
    let both: Vec<i128> = one.iter().zip(two).map(|(one, two)| one + two).collect();
    prop_assert_eq!(both, sum.to_vec());
    Ok(())
}

proptest! {
    /// Invariant 1: each lot's buckets sum to what was granted and none is negative, after every
    /// prefix, between the two entries of a pair too.
    #[test]
    fn buckets_sum_to_what_was_granted(history in history()) {
        let entries = run(&history).entries;
        let mut account = Account::open(anna());
        for (index, entry) in entries.iter().enumerate() {
            account = evolve(account, entry).unwrap();
            agrees(&account, &entries[..=index])?;
        }
    }

    /// Every command comes out as the oracle says: new, done before or refused, and from the lot
    /// that a plain sort puts first. One that is refused or done before changes nothing.
    #[test]
    fn commands_come_out_as_the_oracle_says(history in history()) {
        let mut ledger = Ledger::open();
        for Step { command, now } in &history {
            let expected = oracle::verdict(&ledger.entries, command);
            let before = ledger.clone();
            let verdict = match ledger.send(command, *now) {
                Ok(Idempotent::AlreadyApplied) => Verdict::Already,
                Ok(Idempotent::Applied(new)) => Verdict::New(match &new[0].body {
                    Body::Grant { lot, .. } => Some(lot.0),
                    Body::Rescheduled { hold, .. } => {
                        ledger.account.hold(*hold).map(|open| open.allocation[0].lot.0)
                    }
                    body => Some(body.allocation()[0].lot.0),
                }),
                Err(error) => Verdict::Refused(oracle::name(&error)),
            };
            prop_assert_eq!(&verdict, &expected, "{}", command);
            if !matches!(verdict, Verdict::New(_)) {
                prop_assert_eq!(&ledger, &before);
            }
        }
    }

    /// Invariant 2: a hold ends at most once, and a use or forfeit stands directly after the
    /// release that announces it, with the allocation the hold began with.
    #[test]
    fn a_hold_ends_at_most_once(history in history()) {
        let entries = run(&history).entries;
        let count = |hold: HoldId, kinds: &[&str]| {
            let of = entries.iter().filter(|entry| entry.body.hold() == Some(hold));
            of.filter(|entry| kinds.contains(&entry.body.kind())).count()
        };
        for (index, entry) in entries.iter().enumerate() {
            let Some(hold) = entry.body.hold() else { continue };
            prop_assert_eq!(count(hold, &["hold"]), 1);
            prop_assert!(count(hold, &["release"]) <= 1);
            prop_assert!(count(hold, &["use", "forfeit"]) <= count(hold, &["release"]));
            let announced = match &entry.body {
                Body::Use { .. } => ReleaseReason::Used,
                Body::Forfeit { .. } => ReleaseReason::Forfeited,
                _ => continue,
            };
            let Body::Release { hold: before, reason, .. } = &entries[index - 1].body else {
                return Err(TestCaseError::fail("no release before it"));
            };
            prop_assert_eq!((*before, *reason), (hold, announced));
            let began = entries.iter().find(|entry| entry.key == ledger_core::Key::hold(hold));
            prop_assert_eq!(began.unwrap().body.allocation(), entry.body.allocation());
        }
    }

    /// Invariant 3: any number of reschedules leaves the balance, every lot and the hold's id and
    /// credit as they are, whenever the credit expires.
    #[test]
    fn reschedules_move_nothing(
        history in history(),
        slots in prop::collection::vec((1..9u32, instants()), 1..40),
    ) {
        let mut ledger = Ledger::open();
        ledger.must(&grant(200, 1));
        ledger.must(&hold(200, 0));
        for Step { command, now } in &history {
            let _ = ledger.send(command, *now);
        }
        let id = hold_id(200, 1);
        let before = ledger.account.clone();
        let mut slot_version = 0;
        for (step, to) in slots {
            slot_version += step;
            ledger.must(&Command::Reschedule { hold: id, slot_version, to });
            let open = ledger.account.hold(id).unwrap();
            prop_assert_eq!(open.slot_start.timestamp_micros(), to.timestamp_micros());
            prop_assert_eq!(&open.allocation, &before.hold(id).unwrap().allocation);
            prop_assert_eq!(ledger.account.balance(), before.balance());
            prop_assert_eq!(ledger.account.lots(), before.lots());
            prop_assert_eq!(ledger.account.holds().count(), before.holds().count());
        }
    }

    /// The time of recording never runs backwards, whatever the clock does, and is the clock's
    /// whenever that has not been set back.
    #[test]
    fn recorded_time_does_not_run_backwards(history in history()) {
        let mut ledger = Ledger::open();
        let mut last = DateTime::<Utc>::MIN_UTC;
        for Step { command, now } in &history {
            let Ok(Idempotent::Applied(new)) = ledger.send(command, *now) else { continue };
            for entry in new {
                prop_assert!(entry.recorded_at >= last);
                let clock = now.timestamp_micros().max(last.timestamp_micros());
                prop_assert_eq!(entry.recorded_at.timestamp_micros(), clock);
                prop_assert_eq!(entry.recorded_at.timestamp_subsec_nanos() % 1000, 0);
                last = entry.recorded_at;
            }
        }
    }

    /// Whatever is stored, in whatever order, no bucket becomes negative and no sum wrong: an
    /// entry fits, or it is refused.
    #[test]
    fn no_entry_breaks_an_account(
        history in history(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8), 1..200),
    ) {
        let entries = run(&history).entries;
        prop_assume!(!entries.is_empty());
        let mut account = Account::open(anna());
        let mut granted = 0;
        let mut next = 0;
        for (index, chance) in picks {
            let index = if chance == 0 { index.index(entries.len()) } else { next % entries.len() };
            let entry = relinked(&account, &entries[index]);
            next = index + 1;
            let Ok(after) = evolve(account.clone(), &entry) else { continue };
            account = after;
            if let Body::Grant { amount, .. } = entry.body {
                granted += i128::from(amount.0);
            }
            let mut sum = [0; 4];
            for lot in account.lots() {
                let buckets = wide(lot.balance);
                prop_assert_eq!(buckets.iter().sum::<i128>(), i128::from(lot.granted.0));
                prop_assert!(buckets.iter().all(|&bucket| bucket >= 0));
                sum.iter_mut().zip(buckets).for_each(|(sum, bucket)| *sum += bucket);
            }
            prop_assert_eq!(wide(account.balance()), sum);
            prop_assert_eq!(sum.iter().sum::<i128>(), granted);
            let parts = account.holds().flat_map(|open| &open.allocation);
            prop_assert_eq!(parts.map(|part| i128::from(part.amount.0)).sum::<i128>(), sum[1]);
        }
    }

    /// Whatever is passed as seen, a command is answered and not panicked over, and what it
    /// answers fits the account.
    #[test]
    fn any_seen_is_answered(
        (one, other) in (history(), history()),
        command in command(),
        now in instants(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (one, other) = (run(&one), run(&other));
        let prefix = &one.entries[..cut.index(one.entries.len() + 1)];
        let account = prefix.iter().try_fold(Account::open(anna()), evolve).unwrap();
        for seen in [&[], &one.entries[..], &other.entries[..]] {
            match decide(&account, seen, &command, now) {
                Ok(Idempotent::Applied(new)) => {
                    prop_assert!(new.iter().try_fold(account.clone(), evolve).is_ok());
                }
                Ok(Idempotent::AlreadyApplied) => prop_assert!(!seen.is_empty()),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// The histories are worth their name: everything that can come of a command comes of some, and
/// often enough to matter.
#[test]
fn histories_meet_every_case() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..100 {
        let mut ledger = Ledger::open();
        for Step { command, now } in history().new_tree(&mut runner).unwrap().current() {
            let outcome = match ledger.send(&command, now) {
                Ok(Idempotent::Applied(_)) => "new",
                Ok(Idempotent::AlreadyApplied) => "already",
                Err(error) => oracle::name(&error),
            };
            *met.entry(format!("{} {outcome}", command.kind()))
                .or_default() += 1;
        }
    }
    let expected = [
        (
            "grant",
            "new, already, key conflict, amount, expiry, grant key, overflow",
        ),
        ("hold", "new, already, key conflict, hold open, no credit"),
        (
            "release",
            "new, already, key conflict, unknown hold, reserved reason",
        ),
        ("use", "new, already, unknown hold, hold ended"),
        (
            "forfeit",
            "new, already, key conflict, unknown hold, hold ended",
        ),
        (
            "rescheduled",
            "new, already, key conflict, unknown hold, stale slot",
        ),
    ];
    let mut all = 0;
    for (kind, outcomes) in expected {
        for outcome in outcomes.split(", ") {
            let times = met.get(&format!("{kind} {outcome}")).copied().unwrap_or(0);
            assert!(times >= 20, "{kind} {outcome}: {times} times in {met:#?}");
            all += 1;
        }
    }
    assert_eq!(met.len(), all, "{met:#?}");
}

/// The entry's body as the account's next, as someone would store it who knows how to link.
fn relinked(account: &Account, entry: &Entry) -> Entry {
    let head = account.head();
    Entry::from_stored(Stored {
        account: head.account,
        seq: head.seq + 1,
        key: entry.key.clone(),
        body: entry.body.clone(),
        effective_at: at(0),
        recorded_at: at(1_000_000),
        prev_hash: head.hash,
        hash: entry.hash,
    })
}
