//! The corners of holds, ends, clawbacks and transfers, one by one, by example.
//!
//! A lot is shown as available, held, used, forfeited, expired, clawed, moved out, and debt.

use ledger_core::{
    Cause, Command, Credits, Entry, Error, ForfeitReason, HeldPolicy, Idempotent, LotNumber,
    ReleaseReason, Source, TransferReason,
};

use crate::ledger::{
    Ledger, adjust, at, claw, grant, grant_of, hold, hold_id, lot_id, refund, service, transfer,
};

fn kinds(entries: &[Entry]) -> Vec<&'static str> {
    entries.iter().map(|entry| entry.body.kind()).collect()
}

pub(crate) fn release(booking: u8, reason: ReleaseReason) -> Command {
    Command::Release {
        hold: hold_id(booking, 1),
        reason,
    }
}

pub(crate) fn use_of(booking: u8) -> Command {
    Command::Use {
        hold: hold_id(booking, 1),
    }
}

pub(crate) fn reinstate(cause: Cause) -> Command {
    Command::Reinstate { cause }
}

/// A lot of three that ends at hour 20, with two of them held for hours 10 and 12.
pub(crate) fn ending() -> Ledger {
    let mut ledger = Ledger::open();
    ledger.must(&grant_of(1, 3, Source::Paid, (0, Some(20))));
    ledger.must(&hold(1, 10));
    ledger.must(&hold(2, 12));
    ledger
}

#[test]
fn a_lot_ends_at_its_end_and_not_before() {
    let mut ledger = ending();
    let expire = Command::Expire { lot: lot_id(1) };
    let early = ledger.send(&expire, at(20) - chrono::TimeDelta::microseconds(1));
    assert!(matches!(early, Err(Error::NotOver { .. })), "{early:?}");
    assert_eq!(ledger.account.next_due_at(), Some(at(20)));
    assert!(ledger.account.due(at(19)).next().is_none());
    assert!(ledger.account.due(at(20)).eq([lot_id(1)]));
    let ended = ledger.must_at(&expire, 21);
    assert_eq!(
        (ended[0].effective_at, ended[0].recorded_at),
        (at(20), at(21))
    );
    assert_eq!(ledger.lot(1), [0, 2, 0, 0, 1, 0, 0, 0]);
    assert_eq!(ledger.send(&expire, at(22)), Ok(Idempotent::AlreadyApplied));
    assert_eq!(ledger.account.next_due_at(), None);
}

#[test]
fn a_lot_without_an_end_and_one_of_nobody_do_not_expire() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 1));
    let never = ledger
        .send(&Command::Expire { lot: lot_id(1) }, at(900))
        .unwrap_err();
    assert!(
        matches!(
            never,
            Error::NotOver {
                expires_at: None,
                ..
            }
        ),
        "{never}"
    );
    let none = ledger
        .send(&Command::Expire { lot: lot_id(2) }, at(900))
        .unwrap_err();
    assert!(matches!(none, Error::UnknownLot { .. }), "{none}");
}

/// Held beyond the end, and then: cancelled by the client it expires, cancelled by the clinic it
/// stays, used or forfeited it is used or forfeited.
#[test]
fn a_held_credit_outlives_its_lot() {
    let mut ledger = ending();
    let released = ledger.must_at(&release(1, ReleaseReason::Cancelled), 30);
    assert_eq!(kinds(&released), ["expire", "release", "expire"]);
    let key = "v1/booking/00000000-0000-0000-0000-000000000b01/hold/1/release/expire/1";
    assert_eq!(released[2].key.as_str(), key);
    assert_eq!(ledger.lot(1), [0, 1, 0, 0, 2, 0, 0, 0]);
    ledger.must_at(&release(2, ReleaseReason::ClinicCancelled), 31);
    assert_eq!(ledger.lot(1), [1, 0, 0, 0, 2, 0, 0, 0]);
    // And stays: its end is behind it.
    assert!(ledger.account.due(at(99)).next().is_none());
    let expire = Command::Expire { lot: lot_id(1) };
    assert_eq!(ledger.send(&expire, at(99)), Ok(Idempotent::AlreadyApplied));

    let late = Command::Forfeit {
        hold: hold_id(2, 1),
        reason: ForfeitReason::NoShow,
    };
    let mut ledger = ending();
    assert_eq!(kinds(&ledger.must_at(&use_of(1), 30)), ["release", "use"]);
    assert_eq!(kinds(&ledger.must_at(&late, 30)), ["release", "forfeit"]);
    assert_eq!(ledger.lot(1), [1, 0, 1, 1, 0, 0, 0, 0]);
    assert!(ledger.account.due(at(30)).eq([lot_id(1)]));
}

/// In time it is free again, and expires with the rest.
#[test]
fn a_credit_released_before_the_end_expires_at_it() {
    let mut ledger = ending();
    let released = ledger.must_at(&release(1, ReleaseReason::Skipped), 19);
    assert_eq!(kinds(&released), ["release"]);
    ledger.must_at(&Command::Expire { lot: lot_id(1) }, 20);
    assert_eq!(ledger.lot(1), [0, 1, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn a_clawback_takes_what_is_free_then_what_is_held_and_the_rest_is_owed() {
    for (held, lot) in [
        (HeldPolicy::Keep, [0, 2, 1, 0, 0, 1, 0, 3]),
        (HeldPolicy::Take, [0, 0, 1, 0, 0, 3, 0, 1]),
    ] {
        let mut ledger = Ledger::open();
        ledger.must(&grant(1, 4));
        for booking in 1..=3 {
            ledger.must(&hold(booking, 24));
        }
        ledger.must(&use_of(3));
        ledger.must(&claw(refund(1), 1, 4, held));
        assert_eq!(ledger.lot(1), lot, "{held:?}");
        let more = ledger
            .send(&claw(refund(2), 1, 1, held), at(1))
            .unwrap_err();
        let (amount, left) = (Credits(1), Credits(0));
        assert_eq!(
            more,
            Error::TooMuch {
                lot: lot_id(1),
                amount,
                left
            }
        );
    }
}

/// By policy the latest slots lose their credits. Such a hold is open and empty: it moves, it is
/// not used, and released it gives nothing back; then the booking may hold another credit.
#[test]
fn a_hold_that_lost_its_credit() {
    let mut ledger = ending();
    ledger.must(&claw(refund(1), 1, 2, HeldPolicy::Take));
    let clawed = |booking| ledger.account.hold(hold_id(booking, 1)).unwrap().clawed_by;
    assert_eq!((clawed(1), clawed(2)), (None, Some(4)));
    let hold = hold_id(2, 1);
    let lost = Error::Clawed { hold, clawback: 4 };
    assert_eq!(ledger.send(&use_of(2), at(12)), Err(lost.clone()));
    let late = Command::Forfeit {
        hold,
        reason: ForfeitReason::LateCancel,
    };
    assert_eq!(ledger.send(&late, at(12)), Err(lost));
    ledger.must(&Command::Reschedule {
        hold,
        slot_version: 1,
        to: at(13),
    });
    let before = ledger.account.balance();
    let released = ledger.must(&release(2, ReleaseReason::ClinicCancelled));
    assert!(released[0].body.allocation().is_empty());
    assert_eq!(ledger.account.balance(), before);
    ledger.must(&grant(2, 1));
    let again = Command::Hold {
        hold: hold_id(2, 2),
        service: service(1),
        slot_start: at(13),
    };
    ledger.must(&again);
    // The hold is gone, so what is reinstated is free.
    ledger.must(&reinstate(refund(1)));
    assert_eq!(ledger.lot(1), [2, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_reinstated_hold_has_its_credit_again() {
    let mut ledger = ending();
    ledger.must(&claw(refund(1), 1, 3, HeldPolicy::Take));
    assert_eq!(ledger.lot(1), [0, 0, 0, 0, 0, 3, 0, 0]);
    // After the end too: what is held does not expire, what was free would have.
    let back = ledger.must_at(&reinstate(refund(1)), 30);
    assert_eq!(kinds(&back), ["reinstate", "expire"]);
    assert_eq!(ledger.lot(1), [0, 2, 0, 0, 1, 0, 0, 0]);
    ledger.must_at(&use_of(2), 30);
}

/// What the clinic left there after the end was no longer about to expire, and is not after a
/// clawback and its inverse.
#[test]
fn a_credit_that_stayed_after_the_end_stays_when_reinstated() {
    let mut ledger = ending();
    ledger.must_at(&release(1, ReleaseReason::ClinicCancelled), 30);
    ledger.must_at(&claw(refund(1), 1, 1, HeldPolicy::Keep), 31);
    assert_eq!(ledger.lot(1), [0, 1, 0, 0, 1, 1, 0, 0]);
    assert_eq!(
        kinds(&ledger.must_at(&reinstate(refund(1)), 32)),
        ["reinstate"]
    );
    assert_eq!(ledger.lot(1), [1, 1, 0, 0, 1, 0, 0, 0]);
}

/// A credit of a lot that owes goes to what is owed when it comes free; the next grant pays the
/// rest, before anybody can hold it.
#[test]
fn debt_is_repaid_by_what_comes_free_and_by_what_comes() {
    let mut ledger = ending();
    ledger.must(&use_of(1));
    ledger.must(&claw(refund(1), 1, 3, HeldPolicy::Keep));
    assert_eq!(ledger.lot(1), [0, 1, 1, 0, 0, 1, 0, 2]);
    let freed = ledger.must(&release(2, ReleaseReason::Cancelled));
    assert_eq!(kinds(&freed), ["release", "repay"]);
    assert_eq!(ledger.lot(1), [0, 0, 1, 0, 0, 2, 0, 1]);
    let granted = ledger.must(&grant(2, 4));
    assert_eq!(kinds(&granted), ["grant", "repay"]);
    let key = "v1/grant/manual/00000000-0000-0000-0000-000000000002/repay/1";
    assert_eq!(granted[1].key.as_str(), key);
    assert_eq!(ledger.lot(2), [3, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(ledger.account.balance().debt, Credits(0));
    // Reinstated, each credit goes back where it was taken.
    ledger.must(&reinstate(refund(1)));
    assert_eq!(ledger.lot(1), [2, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(ledger.lot(2), [4, 0, 0, 0, 0, 0, 0, 0]);
}

/// What is owed for one service is not paid with another's credits, nor with those of a lot whose
/// end has come.
#[test]
fn debt_is_repaid_in_kind() {
    let mut ledger = ending();
    ledger.must(&use_of(1));
    ledger.must(&claw(refund(1), 1, 3, HeldPolicy::Keep));
    let mut other = grant(2, 4);
    if let Command::Grant { service: of, .. } = &mut other {
        *of = service(2);
    }
    assert_eq!(kinds(&ledger.must(&other)), ["grant"]);
    let freed = ledger.must_at(&release(2, ReleaseReason::Cancelled), 30);
    assert_eq!(kinds(&freed), ["release", "expire"]);
    assert_eq!(ledger.lot(1), [0, 0, 1, 0, 1, 1, 0, 2]);
    // A person may forgive it.
    assert_eq!(
        kinds(&ledger.must_at(&adjust(1, 2), 31)),
        ["adjust", "repay"]
    );
    assert_eq!(ledger.account.balance().debt, Credits(0));
}

/// A debt is repaid at once by other credits of the service: whether they came before the refund
/// or after it makes no difference.
#[test]
fn a_debt_takes_from_other_lots_first_in_the_order_of_consumption() {
    let mut ledger = Ledger::open();
    ledger.must(&grant_of(1, 1, Source::Paid, (0, Some(5))));
    ledger.must(&hold(1, 1));
    ledger.must(&use_of(1));
    ledger.must(&grant(2, 2));
    ledger.must(&grant_of(3, 2, Source::Goodwill, (0, None)));
    let clawed = ledger.must(&claw(refund(1), 1, 1, HeldPolicy::Keep));
    assert_eq!(kinds(&clawed), ["clawback", "repay"]);
    assert_eq!(ledger.lot(1), [0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(
        (ledger.lot(2)[0], ledger.lot(3)[0]),
        (2, 1),
        "goodwill before paid"
    );
}

/// The credits of a lot are its money's wherever they are.
#[test]
fn a_clawback_follows_transferred_credits() {
    let mut ledger = Ledger::open();
    ledger.must(&grant(1, 4));
    ledger.must(&hold(1, 1));
    ledger.must(&use_of(1));
    ledger.must(&transfer(1, 1, TransferReason::CarryOver, 2, (0, Some(50))));
    assert_eq!(ledger.lot(1), [1, 0, 1, 0, 0, 0, 2, 0]);
    assert_eq!(ledger.lot(2), [2, 0, 0, 0, 0, 0, 0, 0]);
    let theirs = ledger
        .send(&claw(refund(1), 2, 1, HeldPolicy::Keep), at(0))
        .unwrap_err();
    assert_eq!(
        theirs,
        Error::Transferred {
            lot: lot_id(2),
            origin: LotNumber(1)
        }
    );
    ledger.must(&claw(refund(1), 1, 4, HeldPolicy::Keep));
    assert_eq!(ledger.lot(1), [0, 0, 1, 0, 0, 1, 2, 1]);
    assert_eq!(ledger.lot(2), [0, 0, 0, 0, 0, 2, 0, 0]);
}

/// A rollover and grace take what has expired too, after what is free; a change of plan does not.
#[test]
fn a_rollover_after_the_end_revives() {
    for (reason, revives) in [
        (TransferReason::Rollover, true),
        (TransferReason::Grace, true),
        (TransferReason::CarryOver, false),
        (TransferReason::ExpiryChange, false),
    ] {
        let mut ledger = ending();
        ledger.must_at(&Command::Expire { lot: lot_id(1) }, 20);
        ledger.must_at(&release(1, ReleaseReason::ClinicCancelled), 21);
        let both = transfer(1, 1, reason, 2, (20, Some(40)));
        if revives {
            ledger.must_at(&both, 22);
            assert_eq!(ledger.lot(1), [0, 1, 0, 0, 0, 0, 2, 0]);
            assert_eq!(ledger.lot(2), [2, 0, 0, 0, 0, 0, 0, 0]);
        } else {
            let (amount, movable) = (Credits(2), Credits(1));
            let short = Error::ShortLot {
                lot: lot_id(1),
                amount,
                movable,
            };
            assert_eq!(ledger.send(&both, at(22)), Err(short));
            ledger.must_at(&transfer(1, 1, reason, 1, (20, Some(40))), 22);
        }
        // What is held stays with its booking, in the old lot.
        ledger.must_at(&use_of(2), 23);
        assert_eq!(ledger.lot(1)[2], 1);
    }
}
