//! The invariants of an account, on random histories, against the oracle.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger_core::{
    Account, Balance, Body, Bucket, Command, Entry, HoldId, Idempotent, ReleaseReason, Stored,
    decide, evolve,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseResult, TestRunner};

use crate::history::{Step, cases, command, history, instants, run};
use crate::ledger::{Ledger, anna, at, grant, hold, hold_id, service};
use crate::oracle::{self, Verdict};
use crate::reading::{PLACES, Reading};
use crate::shown;

/// The account after some entries is what the oracle reads in them.
fn agrees(account: &Account, entries: &[Entry]) -> TestCaseResult {
    let reading = Reading::of(entries);
    prop_assert_eq!(account.lots().len(), reading.lots.len());
    let mut sum: BTreeMap<&str, i128> = BTreeMap::new();
    for lot in account.lots() {
        let read = &reading.lots[&lot.number.0];
        let mut all = 0;
        for bucket in Bucket::ALL {
            let n = i128::from(lot.balance.of(bucket).0);
            prop_assert!(n >= 0, "lot {}", lot.number);
            prop_assert_eq!(
                n,
                read.at(bucket.as_str()),
                "lot {} {:?}",
                lot.number,
                bucket
            );
            *sum.entry(bucket.as_str()).or_default() += n;
            all += n;
        }
        prop_assert_eq!(all, i128::from(lot.granted.0), "lot {}", lot.number);
        prop_assert_eq!(all, read.granted);
        prop_assert_eq!(
            i128::from(lot.balance.debt.0),
            read.debt,
            "lot {}",
            lot.number
        );
        prop_assert_eq!(
            i128::from(lot.recalled.0),
            read.recalled,
            "lot {}",
            lot.number
        );
        prop_assert!(read.debt >= 0);
        prop_assert_eq!(lot.ended, read.ended, "lot {}", lot.number);
        prop_assert_eq!(i128::from(lot.kept.0), read.kept, "lot {}", lot.number);
        prop_assert_eq!(i128::from(lot.taken.0), read.taken, "lot {}", lot.number);
        let extensions = lot.extensions.iter();
        let extensions = extensions.map(|one| (one.id, i128::from(one.left.0), one.until));
        let read_ones = read
            .extensions
            .iter()
            .map(|one| (one.id, one.left, one.until));
        prop_assert!(extensions.eq(read_ones), "lot {}", lot.number);
        prop_assert_eq!(lot.root().0, read.root);
        *sum.entry("debt").or_default() += read.debt;
    }
    prop_assert_eq!(wide(account.balance()), wide_sum(&sum));
    let services = [1, 2].map(|n| wide(account.balance_for(service(n))));
    let both: Vec<i128> = services[0]
        .iter()
        .zip(&services[1])
        .map(|(a, b)| a + b)
        .collect();
    prop_assert_eq!(both, wide_sum(&sum));
    let holds = account
        .holds()
        .map(|open| (open.id, open.clawed_by, open.slot_start));
    let read = reading
        .open
        .iter()
        .map(|(id, open)| (*id, open.clawed_by, open.slot));
    prop_assert!(holds.eq(read));
    Ok(())
}

fn wide(balance: Balance) -> Vec<i128> {
    let buckets = Bucket::ALL.into_iter().map(|bucket| balance.of(bucket).0);
    buckets.chain([balance.debt.0]).map(i128::from).collect()
}

fn wide_sum(sum: &BTreeMap<&str, i128>) -> Vec<i128> {
    let names = PLACES.into_iter().chain(["debt"]);
    names
        .map(|name| sum.get(name).copied().unwrap_or(0))
        .collect()
}

proptest! {
    #![proptest_config(cases(64))]

    /// Invariants 1 and 9, and the rules of every command: after each prefix each lot's buckets
    /// sum to what was granted and none is negative; every command comes out as the oracle says
    /// (new, done before or refused), writes the entries that it says, from the lots that a plain
    /// sort puts first; and one that is refused or done before changes nothing.
    #[test]
    fn commands_come_out_as_the_oracle_says(history in history()) {
        let mut ledger = Ledger::open();
        for Step { command, now } in &history {
            let expected = oracle::verdict(&ledger.entries, command, *now);
            let before = ledger.account.head();
            let outcome = ledger.send(command, *now);
            let verdict = match &outcome {
                Ok(Idempotent::AlreadyApplied) => Verdict::Already,
                Ok(Idempotent::Applied(new)) => Verdict::New(new.iter().map(shown::read).collect()),
                Err(error) => Verdict::Refused(shown::name(error)),
            };
            prop_assert_eq!(&verdict, &expected, "{}: {:?}", command, outcome);
            if matches!(verdict, Verdict::New(_)) {
                agrees(&ledger.account, &ledger.entries)?;
            } else {
                prop_assert_eq!(ledger.account.head(), before);
            }
        }
    }

    /// Invariant 1, between the entries of one decision too.
    #[test]
    fn buckets_sum_to_what_was_granted(history in history()) {
        let entries = run(&history).entries;
        let mut account = Account::open(anna());
        for (index, entry) in entries.iter().enumerate() {
            account = evolve(account, entry).unwrap();
            agrees(&account, &entries[..=index])?;
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
        let now = history.last().map_or(at(0), |step| step.now);
        // A clock that was set back may find lots again that can repay.
        let first = Command::Reschedule { hold: id, slot_version: 1, to: at(0) };
        prop_assert!(ledger.send(&first, now).is_ok());
        let before = ledger.account.clone();
        let mut slot_version = 1;
        for (step, to) in slots {
            slot_version += step;
            let again = Command::Reschedule { hold: id, slot_version, to };
            prop_assert!(matches!(ledger.send(&again, now), Ok(Idempotent::Applied(_))));
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
            if let Body::Grant { amount, .. }
            | Body::Transfer { amount, .. }
            | Body::Adjust { lot: Some(_), amount, .. } = entry.body
            {
                granted += i128::from(amount.0);
            }
            let mut sum = vec![0; 8];
            for lot in account.lots() {
                let buckets = wide(lot.balance);
                prop_assert_eq!(buckets[..7].iter().sum::<i128>(), i128::from(lot.granted.0));
                prop_assert!(buckets.iter().all(|&bucket| bucket >= 0));
                sum.iter_mut().zip(buckets).for_each(|(sum, bucket)| *sum += bucket);
            }
            prop_assert_eq!(wide(account.balance()), sum.clone());
            prop_assert_eq!(sum[..7].iter().sum::<i128>(), granted);
            let backed = account.holds().filter(|open| open.clawed_by.is_none());
            let parts = backed.flat_map(|open| &open.allocation);
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
                Ok(Idempotent::AlreadyApplied) => {
                    // The end of a lot with nothing left needs no entry to be done, nor does an
                    // extension that is gone.
                    let nothing = ["expire", "extend"].contains(&command.kind());
                    prop_assert!(!seen.is_empty() || nothing);
                },
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
    for _ in 0..500 {
        let mut ledger = Ledger::open();
        for Step { command, now } in history().new_tree(&mut runner).unwrap().current() {
            let outcome = match ledger.send(&command, now) {
                Ok(Idempotent::Applied(new)) => {
                    let followed = new.iter().skip(1).map(|entry| entry.body.kind());
                    for kind in
                        followed.filter(|kind| ["expire", "repay", "transfer"].contains(kind))
                    {
                        *met.entry(format!("{} then {kind}", command.kind()))
                            .or_default() += 1;
                    }
                    "new"
                }
                Ok(Idempotent::AlreadyApplied) => "already",
                Err(error) => shown::name(&error),
            };
            *met.entry(format!("{} {outcome}", command.kind()))
                .or_default() += 1;
        }
    }
    let mut all = 0;
    for (kind, outcomes) in EXPECTED {
        for outcome in outcomes.split(", ") {
            let times = met.get(&format!("{kind} {outcome}")).copied().unwrap_or(0);
            let enough = if outcome.starts_with("then") { 1 } else { 5 };
            assert!(
                times >= enough,
                "{kind} {outcome}: {times} times in {met:#?}"
            );
            all += 1;
        }
    }
    met.retain(|what, _| !what.contains(" then "));
    assert!(met.len() <= all, "{met:#?}");
}

const EXPECTED: [(&str, &str); 13] = [
    (
        "grant",
        "new, already, key conflict, amount, expiry, grant key, overflow, evidence, overlap, \
         then repay",
    ),
    (
        "hold",
        "new, already, key conflict, hold open, no credit, unknown hold, hold ended, clawed, \
         unknown entry, not released",
    ),
    (
        "release",
        "new, already, key conflict, unknown hold, reserved reason, then expire, then repay, \
         then transfer",
    ),
    ("use", "new, already, unknown hold, hold ended, clawed"),
    (
        "forfeit",
        "new, already, key conflict, unknown hold, hold ended, clawed",
    ),
    (
        "rescheduled",
        "new, already, key conflict, unknown hold, stale slot",
    ),
    ("expire", "new, already, unknown lot, not over"),
    (
        "clawback",
        "new, already, key conflict, amount, unknown lot, transferred, too much, then repay",
    ),
    (
        "reinstate",
        "new, already, unknown entry, then expire, then repay",
    ),
    (
        "transfer",
        "new, already, key conflict, amount, expiry, unknown lot, short lot, overflow",
    ),
    (
        "extend",
        "new, already, key conflict, amount, expiry, unknown lot, endless, then transfer",
    ),
    (
        "adjust",
        "new, already, key conflict, amount, overflow, short service, then repay",
    ),
    (
        "reverse",
        "new, already, key conflict, unknown entry, not reversible, misfit, then repay",
    ),
];

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
    .unwrap()
}
