//! Which lot a hold takes from, by example. Against a naive sort: see `properties`.

use ledger_core::Source;

use crate::ledger::{Ledger, at, grant, grant_of, hold};

/// Of two lots that differ in one point of the order, the earlier one is taken, whichever was
/// granted first.
#[test]
fn the_order_of_consumption_point_by_point() {
    let lot = |source, start, end: Option<i64>| (source, (start, end));
    for (first, second) in [
        (
            lot(Source::Paid, 5, Some(20)),
            lot(Source::Goodwill, 0, Some(21)),
        ),
        (
            lot(Source::Paid, 5, Some(20)),
            lot(Source::Goodwill, 0, None),
        ),
        (
            lot(Source::Goodwill, 5, Some(20)),
            lot(Source::Paid, 0, Some(20)),
        ),
        (lot(Source::Paid, 4, None), lot(Source::Paid, 5, None)),
    ] {
        for (order, expected) in [([first, second], 1), ([second, first], 2)] {
            let mut ledger = Ledger::open();
            for (n, (source, times)) in (1..).zip(order) {
                ledger.must(&grant_of(n, 1, source, times));
            }
            let hold = ledger.must(&hold(1, 10)).remove(0);
            assert_eq!(hold.body.allocation()[0].lot.0, expected, "{order:?}");
        }
    }
    // Alike in all points: the lower number.
    let mut ledger = Ledger::open();
    ledger.must(&grant(9, 1));
    ledger.must(&grant(3, 1));
    assert_eq!(ledger.must(&hold(1, 10))[0].body.allocation()[0].lot.0, 1);
}

/// A lot is valid from its start on and up to its end, at the slot's start and not when booked.
#[test]
fn a_lot_is_valid_from_its_start_to_before_its_end() {
    for (slot, valid) in [(4, false), (5, true), (19, true), (20, false)] {
        let mut ledger = Ledger::open();
        ledger.must(&grant_of(1, 1, Source::Paid, (5, Some(20))));
        assert_eq!(
            ledger.send(&hold(1, slot), at(1000)).is_ok(),
            valid,
            "slot at hour {slot}"
        );
    }
}
