//! Two times: entries are recorded in the order of the chain, and what is over is judged by the
//! clock of the command alone.

use chrono::{DateTime, TimeDelta, Utc};
use ledger_core::{Command, Credits, Idempotent, Key, ReleaseReason, TransferReason};
use proptest::prelude::*;

use crate::history::cases;
use crate::ledger::{Ledger, at, extend, grant_of, hold, hold_id, lot_id, transfer};

/// The audit's case: one hold under a clock that was years ahead, and all after it right.
#[test]
fn a_clock_that_was_ahead_ends_no_lot_for_the_commands_after_it() {
    let mut ledger = Ledger::open();
    ledger.must(&grant_of(1, 4, ledger_core::Source::Paid, (0, Some(100))));
    ledger.must(&hold(1, 24));
    ledger.must_at(&hold(2, 30), 600_000);
    let cancel = Command::Release {
        hold: hold_id(1, 1),
        reason: ReleaseReason::Cancelled,
    };
    let entries = ledger.must_at(&cancel, 10);
    assert_eq!(entries.len(), 1, "in time: nothing expires");
    assert_eq!(entries[0].recorded_at, at(600_000), "the chain's order");
    assert_eq!(entries[0].effective_at, at(10));
    assert_eq!(ledger.lot(1), [3, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ledger.account.due(at(99)).count(), 0);
    let expire = Command::Expire { lot: lot_id(1) };
    ledger.must_at(&expire, 100);
    assert_eq!(ledger.lot(1), [0, 1, 0, 0, 3, 0, 0, 0]);
}

/// What came free under a clock that was behind is due all the same, once the clock is right.
#[test]
fn a_clock_that_was_behind_revives_nothing() {
    let mut ledger = Ledger::open();
    ledger.must(&grant_of(1, 2, ledger_core::Source::Paid, (0, Some(10))));
    ledger.must(&hold(1, 5));
    let expire = Command::Expire { lot: lot_id(1) };
    ledger.must_at(&expire, 10);
    let cancel = Command::Release {
        hold: hold_id(1, 1),
        reason: ReleaseReason::Cancelled,
    };
    ledger.must_at(&cancel, -1000);
    assert_eq!(ledger.lot(1), [1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(ledger.account.next_due_at(), Some(at(10)));
    let again = ledger.must_at(&expire, 11);
    assert!(
        again[0].key.as_str().ends_with("/expire/5"),
        "{}",
        again[0].key
    );
    assert_eq!(ledger.lot(1), [0, 0, 0, 0, 2, 0, 0, 0]);
}

/// What a client and a clinic do with one account, each on a lot or a booking of its own, so that a
/// step can be left out without making another impossible.
#[derive(Clone, Debug)]
enum Step {
    Hold { booking: u8, slot: i64 },
    Cancel { booking: u8, clinic: bool },
    Use { booking: u8 },
    Expire { lot: u32 },
    Extend { id: u8, lot: u32, until: i64 },
    Rollover { id: u8, lot: u32, until: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1..6u8, 0..60i64).prop_map(|(booking, slot)| Step::Hold { booking, slot }),
        4 => (1..6u8, any::<bool>()).prop_map(|(booking, clinic)| Step::Cancel { booking, clinic }),
        2 => (1..6u8).prop_map(|booking| Step::Use { booking }),
        3 => (1..5u32).prop_map(|lot| Step::Expire { lot }),
        2 => (1..9u8, 1..5u32, 1..80i64).prop_map(|(id, lot, until)| Step::Extend { id, lot, until }),
        1 => (1..9u8, 1..5u32, 1..80i64)
            .prop_map(|(id, lot, until)| Step::Rollover { id, lot, until }),
    ];
    prop::collection::vec(step, 1..40)
}

impl Step {
    fn command(&self) -> Command {
        match *self {
            Step::Hold { booking, slot } => hold(booking, slot),
            Step::Cancel { booking, clinic } => Command::Release {
                hold: hold_id(booking, 1),
                reason: if clinic {
                    ReleaseReason::ClinicCancelled
                } else {
                    ReleaseReason::Cancelled
                },
            },
            Step::Use { booking } => Command::Use {
                hold: hold_id(booking, 1),
            },
            Step::Expire { lot } => Command::Expire { lot: lot_id(lot) },
            Step::Extend { id, lot, until } => {
                extend(id, lot, TransferReason::Grace, 1, Some(until))
            }
            Step::Rollover { id, lot, until } => {
                transfer(id, lot, TransferReason::Rollover, 1, (0, Some(until)))
            }
        }
    }
}

/// Three lots of different length, and one without end.
fn client() -> Ledger {
    let mut ledger = Ledger::open();
    for (n, end) in [(1, Some(20)), (2, Some(40)), (3, Some(60)), (4, None)] {
        ledger.must(&grant_of(n, 3, ledger_core::Source::Paid, (0, end)));
    }
    ledger
}

proptest! {
    #![proptest_config(cases(256))]

    /// A command that moves nothing itself may come at any wrong time, ahead or behind: all commands
    /// after it at right times come out as if it had come at the right time.
    #[test]
    fn one_command_at_any_wrong_time_changes_nothing_but_its_own_entries(
        steps in steps(),
        place in any::<prop::sample::Index>(),
        wrong in prop_oneof![-1_000_000..-1000i64, -80..80i64, 1000..1_000_000i64],
    ) {
        let place = place.index(steps.len());
        let (mut right, mut poisoned) = (client(), client());
        // A grant in a service of its own: it writes one entry whatever the clock says.
        let stray = |n: u8| {
            let Command::Grant { key: _, amount, source, evidence, effective_at, expires_at, .. } =
                grant_of(n, 1, ledger_core::Source::Paid, (0, None))
            else {
                unreachable!()
            };
            let key = Key::manual_grant(uuid::Uuid::from_u128(99));
            let service = crate::ledger::service(2);
            Command::Grant { key, service, amount, source, evidence, effective_at, expires_at }
        };
        for (hour, step) in (0..).zip(&steps) {
            let now = at(hour * 2);
            if usize::try_from(hour).unwrap() == place {
                right.must_at(&stray(9), hour * 2);
                let late: DateTime<Utc> = now + TimeDelta::hours(wrong);
                prop_assert!(matches!(poisoned.send(&stray(9), late), Ok(Idempotent::Applied(_))));
            }
            let (one, other) = (right.send(&step.command(), now), poisoned.send(&step.command(), now));
            let bodies = |outcome: Result<Idempotent<Vec<ledger_core::Entry>>, _>| match outcome {
                Ok(Idempotent::Applied(new)) => {
                    Ok(new.into_iter().map(|entry| (entry.key, entry.body, entry.effective_at)).collect())
                }
                Ok(Idempotent::AlreadyApplied) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
            prop_assert_eq!(bodies(one), bodies(other), "{:?}", step);
            prop_assert_eq!(right.account.lots(), poisoned.account.lots());
            prop_assert_eq!(right.account.next_due_at(), poisoned.account.next_due_at());
        }
    }

    /// Every available credit is good for some slot to come, or has a date at which it is due: after
    /// every command, whatever came before.
    #[test]
    fn every_available_credit_can_be_held_or_is_due(
        history in crate::history::history(),
    ) {
        let mut ledger = Ledger::open();
        for crate::history::Step { command, now } in &history {
            if !matches!(ledger.send(command, *now), Ok(Idempotent::Applied(_))) {
                continue;
            }
            let now = *now;
            for lot in ledger.account.lots() {
                let good = ledger.account.good_until(lot);
                let sum = good.iter().fold(0, |sum, (amount, _)| sum + amount.0);
                prop_assert_eq!(sum, lot.balance.available.0, "lot {}", lot.number);
                let due = ledger.account.next_due_at();
                for (_, until) in good {
                    let over = until.is_some_and(|until| until <= now);
                    prop_assert!(!over || due.is_some_and(|due| due <= now), "lot {}", lot.number);
                }
            }
            // One credit at least of each service that has one, at a slot within its time.
            let far = at(1_000_000);
            let endless = ledger.account.lots().iter().any(|lot| {
                let kept = ledger.account.good_until(lot).iter().any(|(_, until)| until.is_none_or(|until| until > far));
                lot.service == crate::ledger::service(1) && kept && lot.effective_at < far
            });
            let free = (100..255u8).find(|n| ledger.account.holds().all(|open| open.id.booking != hold_id(*n, 1).booking));
            let probe = Command::Hold {
                hold: hold_id(free.unwrap(), 7),
                service: crate::ledger::service(1),
                slot_start: far,
            };
            let held = ledger_core::decide(&ledger.account, &[], &probe, now);
            prop_assert_eq!(held.is_ok(), endless, "{}", command);
        }
    }
}

/// What is kept after its lot's end is good for any slot.
#[test]
fn a_credit_that_the_clinic_sets_free_after_the_end_can_be_held() {
    let mut ledger = Ledger::open();
    ledger.must(&grant_of(1, 1, ledger_core::Source::Paid, (0, Some(10))));
    ledger.must(&hold(1, 5));
    let cancel = Command::Release {
        hold: hold_id(1, 1),
        reason: ReleaseReason::ClinicCancelled,
    };
    ledger.must_at(&cancel, 20);
    let lot = &ledger.account.lots()[0];
    assert_eq!(ledger.account.good_until(lot), [(Credits(1), None)]);
    assert_eq!(ledger.account.next_due_at(), None);
    ledger.must_at(&hold(2, 5_000), 21);
    assert_eq!(ledger.lot(1), [0, 1, 0, 0, 0, 0, 0, 0]);
}
