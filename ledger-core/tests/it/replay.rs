//! Invariant 4: replaying any subset of commands any number of times gives the same state hash.

use chrono::{DateTime, Utc};
use ledger_core::{Command, Error, Idempotent};
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

/// Sends a command that was applied before. It must be recognised; only that a lot's end has not come
/// may be said anew, to a clock that was set back. `None` if the lot is due once more.
fn is_recognised(ledger: &mut Ledger, command: &Command, now: DateTime<Utc>) -> Option<bool> {
    if let Command::Expire { lot } = command
        && ledger.account.due(now).any(|due| due == *lot)
    {
        return None;
    }
    Some(match ledger.send(command, now) {
        Ok(Idempotent::AlreadyApplied) => true,
        Err(Error::NotOver { .. }) => command.kind() == "expire",
        _ => false,
    })
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
            let recognised = is_recognised(&mut ledger, &step.command, now);
            prop_assert_ne!(recognised, Some(false), "{}", step.command);
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
                    let recognised = is_recognised(&mut ledger, &retry.command, *now);
                    prop_assert_ne!(recognised, Some(false), "{}", retry.command);
                }
            }
        }
        prop_assert_eq!(ledger.account.head(), once.account.head());
        prop_assert_eq!(ledger, once);
    }
}
