//! The corners of reversals, adjustments and of keys that are used again, one by one, by example.
//!
//! A lot is shown as available, held, used, forfeited, expired, clawed, moved out, and debt.

use ledger_core::{
    Command, Credits, Error, HeldPolicy, Idempotent, Key, LotNumber, Misfit, ReleaseReason, Source,
    TransferReason,
};

use crate::corners::{ending, reinstate, release, use_of};
use crate::ledger::{
    Ledger, adjust, at, claw, grant, grant_of, hold, hold_id, lot_id, refund, reverse, service,
    transfer,
};

#[test]
fn a_reversed_use_is_available_once() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 1));
    ledger.must(&hold(1, 1));
    ledger.must(&use_of(1));
    let undo = reverse(Key::used(hold_id(1, 1)));
    let done = ledger.must(&undo);
    assert!(done[0].key.as_str().ends_with("/hold/1/use/reversed"));
    assert_eq!(ledger.lot(1), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ledger.send(&undo, at(9)), Ok(Idempotent::AlreadyApplied));
    // Done is done: a reversal is not reversed, and the use stays under its key.
    let again = ledger
        .send(&reverse(done[0].key.clone()), at(9))
        .unwrap_err();
    assert!(
        matches!(
            again,
            Error::NotReversible {
                kind: "reverse",
                ..
            }
        ),
        "{again}"
    );
    assert_eq!(
        ledger.send(&use_of(1), at(9)),
        Ok(Idempotent::AlreadyApplied)
    );
    let next = Command::Hold {
        hold: hold_id(1, 2),
        service: service(1),
        slot_start: at(1),
    };
    ledger.must(&next);
    ledger.must(&Command::Use {
        hold: hold_id(1, 2),
    });
    assert_eq!(ledger.lot(1), [0, 0, 1, 0, 0, 0, 0, 0]);
}

/// What a person takes back from an end stays, and is not swept again.
#[test]
fn a_reversed_expiry_stays_available() {
    let mut ledger = ending();
    ledger.must_at(&Command::Expire { lot: lot_id(1) }, 20);
    ledger.must_at(&reverse(Key::expire(lot_id(1))), 21);
    assert_eq!(ledger.lot(1), [1, 2, 0, 0, 0, 0, 0, 0]);
    assert!(ledger.account.due(at(99)).next().is_none());
}

/// A grant, transfer or adjustment goes back whole or not at all.
#[test]
fn what_has_been_taken_from_is_not_reversed() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 2));
    ledger.must(&hold(1, 1));
    let before = ledger.clone();
    let granted = Key::manual_grant(uuid::Uuid::from_u128(1));
    let refused = ledger.send(&reverse(granted.clone()), at(1)).unwrap_err();
    let (lot, amount) = (LotNumber(1), Credits(2));
    assert_eq!(refused, Error::Misfit(Misfit::Short { lot, amount }));
    assert_eq!(ledger, before);
    ledger.must(&release(1, ReleaseReason::Cancelled));
    ledger.must(&transfer(
        1,
        1,
        TransferReason::ExpiryChange,
        2,
        (0, Some(9)),
    ));
    let moved = Key::transfer(
        lot_id(1),
        TransferReason::ExpiryChange,
        uuid::Uuid::from_u128(1),
    );
    ledger.must(&reverse(moved));
    assert_eq!(ledger.lot(1), [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ledger.lot(2), [0, 0, 0, 0, 0, 0, 2, 0]);
    ledger.must(&reverse(granted));
    assert_eq!(ledger.lot(1), [0, 0, 0, 0, 0, 2, 0, 0]);
}

#[test]
fn what_has_an_inverse_of_its_own_is_not_reversed() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 2));
    ledger.must(&hold(1, 1));
    ledger.must(&claw(refund(1), 1, 1, HeldPolicy::Keep));
    for key in [Key::hold(hold_id(1, 1)), Key::clawback(&refund(1))] {
        let refused = ledger.send(&reverse(key), at(1)).unwrap_err();
        assert!(matches!(refused, Error::NotReversible { .. }), "{refused}");
    }
    let key = Key::used(hold_id(1, 1));
    let unknown = ledger.send(&reverse(key.clone()), at(1)).unwrap_err();
    assert_eq!(unknown, Error::UnknownEntry { key });
    let never = ledger.send(&reinstate(refund(2)), at(1)).unwrap_err();
    assert_eq!(
        never,
        Error::UnknownEntry {
            key: Key::clawback(&refund(2))
        }
    );
}

#[test]
fn an_adjustment_is_all_or_nothing_and_no_debt() {
    let mut ledger = Ledger::open();
    ledger.must(&grant_of(1, 2, Source::Paid, (0, Some(20))));
    ledger.must(&adjust(1, 3));
    assert_eq!(ledger.lot(2), [3, 0, 0, 0, 0, 0, 0, 0]);
    let (amount, available) = (Credits(-6), Credits(5));
    let short = Error::ShortService {
        service: service(1),
        amount,
        available,
    };
    assert_eq!(ledger.send(&adjust(2, -6), at(0)), Err(short));
    ledger.must(&adjust(2, -4));
    assert_eq!(
        ledger.lot(1),
        [0, 0, 0, 0, 0, 2, 0, 0],
        "what expires first goes first"
    );
    assert_eq!(ledger.lot(2), [1, 0, 0, 0, 0, 2, 0, 0]);
    ledger.must(&reverse(Key::adjust(uuid::Uuid::from_u128(2))));
    assert_eq!(ledger.account.balance().available, Credits(5));
    let none = ledger.send(&adjust(3, 0), at(0)).unwrap_err();
    assert_eq!(
        none,
        Error::Amount {
            kind: "adjust",
            amount: Credits(0)
        }
    );
    let most = ledger.send(&adjust(3, i64::MIN), at(0)).unwrap_err();
    assert!(matches!(most, Error::Overflow(_)), "{most}");
    let most = ledger.send(&adjust(3, i64::MAX), at(0)).unwrap_err();
    assert!(matches!(most, Error::Overflow(_)), "{most}");
}

/// The same key with another body, of the kinds that came by webhook or by hand.
#[test]
fn another_request_under_the_same_key() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 9));
    let (keep, take) = (HeldPolicy::Keep, HeldPolicy::Take);
    let moved = |amount| transfer(1, 1, TransferReason::Grace, amount, (0, None));
    for (first, others) in [
        (
            claw(refund(1), 1, 2, keep),
            vec![claw(refund(1), 1, 3, keep), claw(refund(1), 1, 2, take)],
        ),
        (moved(1), vec![moved(2)]),
        (adjust(1, 1), vec![adjust(1, -1)]),
    ] {
        ledger.must(&first);
        assert_eq!(ledger.send(&first, at(9)), Ok(Idempotent::AlreadyApplied));
        for other in others {
            let before = ledger.clone();
            let conflict = ledger.send(&other, at(9)).unwrap_err();
            assert!(matches!(conflict, Error::KeyConflict { .. }), "{conflict}");
            assert_eq!(ledger, before);
        }
    }
}
