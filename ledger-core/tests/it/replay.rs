//! Invariant 4: replaying any subset of commands any number of times gives the same state hash.

use ledger_core::Idempotent;
use proptest::prelude::*;

use crate::history::{Step, cases, history};
use crate::ledger::Ledger;

/// The history's steps that were applied, with their places, and the ledger they made.
fn applied(history: &[Step]) -> (Ledger, Vec<(usize, Step)>) {
    let mut ledger = Ledger::open();
    let mut applied = Vec::new();
    for (place, step) in history.iter().enumerate() {
        if let Ok(Idempotent::Applied(_)) = ledger.send(&step.command, step.now) {
            applied.push((place, step.clone()));
        }
    }
    (ledger, applied)
}

proptest! {
    #![proptest_config(cases(64))]

    /// At the end: whatever was applied is recognised, in any order and at any time.
    #[test]
    fn replays_after_the_history_change_nothing(
        history in history(),
        again in prop::collection::vec((any::<prop::sample::Index>(), 0..200usize), 1..200),
    ) {
        let (mut ledger, applied) = applied(&history);
        prop_assume!(!applied.is_empty());
        let before = ledger.clone();
        for (index, clock) in again {
            let (_, step) = &applied[index.index(applied.len())];
            let now = history[clock % history.len()].now;
            let outcome = ledger.send(&step.command, now);
            prop_assert_eq!(outcome, Ok(Idempotent::AlreadyApplied), "{}", step.command);
        }
        prop_assert_eq!(ledger.account.head(), before.account.head());
        prop_assert_eq!(ledger, before);
    }

    /// In between: retries that arrive among the other commands leave no trace, not even in what
    /// those do.
    #[test]
    fn replays_within_the_history_change_nothing(
        history in history(),
        again in prop::collection::vec((any::<prop::sample::Index>(), 0..140usize), 1..200),
    ) {
        let (once, applied) = applied(&history);
        prop_assume!(!applied.is_empty());
        let mut ledger = Ledger::open();
        for (place, Step { command, now }) in history.iter().enumerate() {
            let _ = ledger.send(command, *now);
            for (index, when) in &again {
                let (first, retry) = &applied[index.index(applied.len())];
                if place >= *first && place % 140 >= *when {
                    let outcome = ledger.send(&retry.command, *now);
                    prop_assert_eq!(outcome, Ok(Idempotent::AlreadyApplied));
                }
            }
        }
        prop_assert_eq!(ledger.account.head(), once.account.head());
        prop_assert_eq!(ledger, once);
    }
}
