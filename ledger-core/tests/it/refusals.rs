//! Bad input: typed errors that name the values, and an account that stays as it was.

use ledger_core::{
    Account, Command, Credits, Error, ForfeitReason, Idempotent, Key, ReleaseReason, Source,
    evolve, fold,
};
use serde_json::json;

use crate::ledger::{Ledger, anna, at, grant, grant_of, hold, hold_id, service};

/// Sends a command that must be refused, and nothing must have happened.
fn refused(ledger: &mut Ledger, command: &Command) -> Error {
    let before = ledger.clone();
    let error = ledger.send(command, at(1)).expect_err("it is not allowed");
    assert_eq!(*ledger, before);
    error
}

fn release(reason: ReleaseReason) -> Command {
    Command::Release {
        hold: hold_id(1, 1),
        reason,
    }
}

const USE: Command = Command::Use {
    hold: ledger_core::HoldId {
        booking: BOOKING,
        generation: 1,
    },
};
const BOOKING: uuid::Uuid = uuid::Uuid::from_u128(0xb01);
const LATE: Command = Command::Forfeit {
    hold: ledger_core::HoldId {
        booking: BOOKING,
        generation: 1,
    },
    reason: ForfeitReason::LateCancel,
};

/// An account with two credits and a hold.
fn held() -> Ledger {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 2));
    ledger.must(&hold(1, 24));
    ledger
}

#[test]
fn another_request_under_the_same_key_names_both() {
    let mut ledger = held();
    let error = refused(&mut ledger, &hold(1, 25));
    assert_eq!(
        error.to_string(),
        "key v1/booking/00000000-0000-0000-0000-000000000b01/hold/1 is taken by entry 2 of account \
         00000000-0000-0000-0000-00000000000a: stored is `hold \
         00000000-0000-0000-0000-000000000b01/1 of service 00000000-0000-0000-0000-000000005e01 at \
         2026-03-03T09:00:00Z`, asked was `hold 00000000-0000-0000-0000-000000000b01/1 of service \
         00000000-0000-0000-0000-000000005e01 at 2026-03-03T10:00:00Z`"
    );
    for other in [
        grant(1, 3),
        grant_of(1, 2, Source::Goodwill, (0, None)),
        grant_of(1, 2, Source::Paid, (1, None)),
        grant_of(1, 2, Source::Paid, (0, Some(9))),
    ] {
        let error = refused(&mut ledger, &other);
        assert!(
            matches!(error, Error::KeyConflict { seq: 1, .. }),
            "{error}"
        );
    }
    // After a reschedule the hold's own request is still the one it began with.
    ledger.must(&Command::Reschedule {
        hold: hold_id(1, 1),
        slot_version: 1,
        to: at(25),
    });
    assert_eq!(
        ledger.send(&hold(1, 24), at(1)),
        Ok(Idempotent::AlreadyApplied)
    );
    assert!(matches!(
        refused(&mut ledger, &hold(1, 25)),
        Error::KeyConflict { seq: 2, .. }
    ));
    let other = Command::Reschedule {
        hold: hold_id(1, 1),
        slot_version: 1,
        to: at(26),
    };
    assert!(matches!(
        refused(&mut ledger, &other),
        Error::KeyConflict { seq: 3, .. }
    ));
}

#[test]
fn another_accounts_entry_has_the_key() {
    let theirs = held();
    let bob = ledger_core::AccountId(uuid::Uuid::from_u128(0xb));
    let account = Account::open(bob);
    for command in [grant(1, 2), hold(1, 24)] {
        let error = ledger_core::decide(&account, &theirs.entries, &command, at(0)).unwrap_err();
        assert!(
            matches!(error, Error::KeyConflict { account, .. } if account == anna()),
            "{error}"
        );
    }
}

#[test]
fn a_hold_that_never_began_cannot_end() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 2));
    let moved = Command::Reschedule {
        hold: hold_id(1, 1),
        slot_version: 1,
        to: at(25),
    };
    for command in [release(ReleaseReason::Cancelled), USE, LATE, moved] {
        let error = refused(&mut ledger, &command);
        assert_eq!(
            error,
            Error::UnknownHold {
                hold: hold_id(1, 1)
            }
        );
    }
}

#[test]
fn a_hold_that_ended_cannot_end_in_something_else() {
    let cancelled = release(ReleaseReason::Cancelled);
    let skipped = release(ReleaseReason::Skipped);
    let no_show = Command::Forfeit {
        hold: hold_id(1, 1),
        reason: ForfeitReason::NoShow,
    };
    let ended = |reason| Error::HoldEnded {
        hold: hold_id(1, 1),
        reason,
    };
    for (first, reason, others, conflicts) in [
        (
            &cancelled,
            ReleaseReason::Cancelled,
            [&USE, &LATE],
            vec![&skipped],
        ),
        (
            &USE,
            ReleaseReason::Used,
            [&LATE, &no_show],
            vec![&cancelled],
        ),
    ] {
        let mut ledger = held();
        ledger.must(first);
        assert_eq!(ledger.send(first, at(9)), Ok(Idempotent::AlreadyApplied));
        for other in others {
            assert_eq!(refused(&mut ledger, other), ended(reason));
        }
        for other in conflicts {
            let error = refused(&mut ledger, other);
            assert!(
                matches!(error, Error::KeyConflict { seq: 3, .. }),
                "{error}"
            );
        }
    }
    let mut ledger = held();
    ledger.must(&LATE);
    assert_eq!(ledger.send(&LATE, at(9)), Ok(Idempotent::AlreadyApplied));
    assert_eq!(refused(&mut ledger, &USE), ended(ReleaseReason::Forfeited));
    assert!(matches!(
        refused(&mut ledger, &no_show),
        Error::KeyConflict { seq: 4, .. }
    ));
    // The booking takes a credit again under the next generation.
    let again = Command::Hold {
        hold: hold_id(1, 2),
        service: service(1),
        slot_start: at(24),
    };
    ledger.must(&again);
}

#[test]
fn a_pairs_reason_is_not_for_a_release() {
    let mut ledger = held();
    for reason in [ReleaseReason::Used, ReleaseReason::Forfeited] {
        let error = refused(&mut ledger, &release(reason));
        assert_eq!(
            error,
            Error::ReservedReason {
                hold: hold_id(1, 1),
                reason
            }
        );
    }
    // Nor after the fact, when the same release is among the entries.
    ledger.must(&USE);
    let error = refused(&mut ledger, &release(ReleaseReason::Used));
    assert!(matches!(error, Error::ReservedReason { .. }), "{error}");
}

#[test]
fn a_booking_has_one_open_hold() {
    let mut ledger = held();
    let second = Command::Hold {
        hold: hold_id(1, 2),
        service: service(1),
        slot_start: at(24),
    };
    let expected = Error::HoldOpen {
        hold: hold_id(1, 2),
        open: hold_id(1, 1),
        service: service(1),
        slot_start: at(24),
    };
    assert_eq!(refused(&mut ledger, &second), expected);
    // A caller that does not pass what it has stored is refused too.
    for command in [hold(1, 24), hold(1, 25)] {
        let error = ledger_core::decide(&ledger.account, &[], &command, at(0)).unwrap_err();
        assert!(matches!(error, Error::HoldOpen { .. }), "{error}");
    }
}

#[test]
fn without_a_credit_there_is_no_hold() {
    let mut ledger = Ledger::open();
    ledger.must(&grant_of(1, 3, Source::Paid, (0, Some(24))));
    let error = refused(&mut ledger, &hold(1, 24));
    let (service, slot_start) = (service(1), at(24));
    assert_eq!(
        error,
        Error::NoCredit {
            service,
            slot_start,
            available: Credits(3)
        }
    );
    assert_eq!(
        error.to_string(),
        "no credit of service 00000000-0000-0000-0000-000000005e01 is valid at \
         2026-03-03T09:00:00Z (3 available for other times)"
    );
    let service = crate::ledger::service(2);
    let other = Command::Hold {
        hold: hold_id(1, 1),
        service,
        slot_start: at(1),
    };
    let expected = Error::NoCredit {
        service,
        slot_start: at(1),
        available: Credits(0),
    };
    assert_eq!(refused(&mut ledger, &other), expected);
}

#[test]
fn an_overtaken_reschedule_is_stale() {
    let mut ledger = held();
    let to = |slot_version| Command::Reschedule {
        hold: hold_id(1, 1),
        slot_version,
        to: at(25),
    };
    ledger.must(&to(5));
    let expected = Error::StaleSlot {
        hold: hold_id(1, 1),
        slot_version: 4,
        current: 5,
    };
    assert_eq!(refused(&mut ledger, &to(4)), expected);
    // A caller that does not pass what it has stored is refused too.
    let again = ledger_core::decide(&ledger.account, &[], &to(5), at(1)).unwrap_err();
    let expected = Error::StaleSlot {
        hold: hold_id(1, 1),
        slot_version: 5,
        current: 5,
    };
    assert_eq!(again, expected);
    ledger.must(&to(6));
}

#[test]
fn grants_that_are_none() {
    let mut ledger = Ledger::open();
    for amount in [0, -1, i64::MIN] {
        let error = refused(&mut ledger, &grant(1, amount));
        assert_eq!(
            error,
            Error::Amount {
                kind: "grant",
                amount: Credits(amount)
            }
        );
    }
    for end in [4, 5] {
        let error = refused(&mut ledger, &grant_of(1, 1, Source::Paid, (5, Some(end))));
        assert_eq!(
            error,
            Error::Expiry {
                kind: "grant",
                effective_at: at(5),
                expires_at: at(end)
            }
        );
    }
    // Less than a microsecond is no time at all.
    let mut short = grant_of(1, 1, Source::Paid, (5, Some(5)));
    if let Command::Grant {
        expires_at: Some(end),
        ..
    } = &mut short
    {
        *end += chrono::TimeDelta::nanoseconds(999);
    }
    assert!(matches!(refused(&mut ledger, &short), Error::Expiry { .. }));
    let mut under_a_holds_key = grant(1, 1);
    if let Command::Grant { key, .. } = &mut under_a_holds_key {
        *key = Key::hold(hold_id(1, 1));
    }
    let error = refused(&mut ledger, &under_a_holds_key);
    assert_eq!(
        error,
        Error::GrantKey {
            key: Key::hold(hold_id(1, 1))
        }
    );
}

#[test]
fn more_than_can_be_counted() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, i64::MAX - 1));
    let error = refused(&mut ledger, &grant(2, 2));
    assert!(matches!(error, Error::Overflow(_)), "{error}");
    // What is used counts too: the sum over all buckets must fit.
    ledger.must(&hold(1, 24));
    ledger.must(&USE);
    assert!(matches!(
        refused(&mut ledger, &grant(2, 2)),
        Error::Overflow(_)
    ));
    ledger.must(&grant(2, 1));
}

#[test]
fn the_numbers_of_an_account_run_out() {
    let ledger = held();
    let mut snapshot = serde_json::to_value(&ledger.account).unwrap();
    for (seq, fits) in [
        (u64::MAX - 2, true),
        (u64::MAX - 1, false),
        (u64::MAX, false),
    ] {
        snapshot["head"]["seq"] = json!(seq);
        let account: Account = serde_json::from_value(snapshot.clone()).unwrap();
        let outcome = ledger_core::decide(&account, &[], &USE, at(1));
        assert_eq!(outcome.is_ok(), fits, "{seq}");
        if let Err(error) = outcome {
            assert_eq!(error, Error::Full { account: anna() });
        }
    }
}

#[test]
fn an_account_cut_off_within_a_pair_takes_nothing_else() {
    let mut ledger = held();
    let pair = ledger.must(&USE);
    let cut = fold(anna(), &ledger.entries[..3]).unwrap();
    let error = ledger_core::decide(&cut, &[], &grant(2, 1), at(1)).unwrap_err();
    assert_eq!(
        error,
        Error::HalfPair {
            account: anna(),
            hold: hold_id(1, 1)
        }
    );
    assert_eq!(evolve(cut, &pair[1]).unwrap(), ledger.account);
}
