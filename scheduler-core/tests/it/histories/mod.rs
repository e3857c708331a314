//! Random histories of edits, against a plain list of dated appointments that is edited by hand.
//!
//! The oracle knows nothing of sets, positions, segments or machines: it is a list in which each
//! appointment has its date, its time, and what became of it, and the edits are loops over it.

mod oracle;
mod steps;
mod world;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::intent::{self, Intent};

use crate::expansion_laws::cases;
use oracle::booking;
use world::World;

/// What is done next. Numbers pick among what there is.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Skip(usize),
    Add(usize),
    Extra(u64),
    Move(usize, i64),
    Amend(usize, u32),
    Cancel(usize),
    Split(usize, i64, i64, Option<u32>),
    AmendAll(i64, i64, Option<u32>),
    Reassign(u64),
    Pause(u64, Option<u64>),
    Resume(u64),
    End(u64),
    Undo,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{
        Add, Amend, AmendAll, Cancel, End, Extra, Move, Pause, Reassign, Resume, Skip, Split, Undo,
        Wait,
    };
    let days = || -3i64..4;
    let hours = || -5i64..6;
    let minutes = || proptest::option::of(20u32..90);
    prop_oneof![
        6 => (1u64..20).prop_map(Wait),
        3 => (0usize..30).prop_map(Skip),
        2 => (0usize..30).prop_map(Add),
        1 => (1u64..60).prop_map(Extra),
        4 => (0usize..30, -60i64..61).prop_map(|(which, hours)| Move(which, hours)),
        1 => (0usize..30, 20u32..90).prop_map(|(which, minutes)| Amend(which, minutes)),
        2 => (0usize..30).prop_map(Cancel),
        3 => (0usize..12, days(), hours(), minutes()).prop_map(|(a, b, c, d)| Split(a, b, c, d)),
        2 => (days(), hours(), minutes()).prop_map(|(a, b, c)| AmendAll(a, b, c)),
        1 => (0u64..40).prop_map(Reassign),
        3 => (0u64..40, proptest::option::weighted(0.7, 1u64..30)).prop_map(|(a, b)| Pause(a, b)),
        2 => (0u64..40).prop_map(Resume),
        1 => (20u64..120).prop_map(End),
        3 => Just(Undo),
    ]
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn a_history_of_edits_is_what_it_is_on_a_plain_list(
        booking in booking(), steps in proptest::collection::vec(step(), 1..24),
    ) {
        let mut world = World::new(&booking);
        for step in &steps {
            world.step(step);
            world.check(step);
        }
        // The journal knows every moment of it.
        let mut seen: BTreeMap<DateTime<Utc>, Vec<Intent>> = BTreeMap::new();
        seen.extend(world.seen.drain(..));
        for (at, segments) in seen {
            prop_assert_eq!(intent::as_of(&world.records, at), segments);
        }
        // And the days that are left make one session of each.
        for day in 0..60 {
            world.now += TimeDelta::days(1);
            world.tick();
            if day % 20 == 19 {
                world.check(&Step::Wait(day));
            }
        }
    }
}

/// Found by chance: the session of a date moved by hand was made after the amended rule had come to
/// its time, and an undo took it to the time of the old rule.
#[test]
fn a_session_made_in_a_split_that_is_undone_has_the_time_its_date_was_moved_to() {
    let booking = oracle::Booking {
        date: chrono::NaiveDate::from_ymd_opt(2025, 1, 1).unwrap(),
        hour: 7,
        weekly: false,
        interval: 2,
        count: None,
    };
    let mut world = World::new(&booking);
    for step in [
        Step::Pause(0, None),
        Step::Move(10, 2),
        Step::AmendAll(0, 2, None),
        Step::Wait(1),
        Step::AmendAll(0, 0, None),
        Step::Wait(15),
        Step::Undo,
    ] {
        world.step(&step);
        world.check(&step);
    }
}

/// Found by chance: a date with a length of its own takes place in spite of a pause. Its session was
/// made while the pause was over, and stays when the pause is back.
#[test]
fn a_session_of_a_date_with_its_own_length_stays_when_a_pause_comes_back() {
    let booking = oracle::Booking {
        date: chrono::NaiveDate::from_ymd_opt(2025, 1, 1).unwrap(),
        hour: 7,
        weekly: true,
        interval: 1,
        count: None,
    };
    let mut world = World::new(&booking);
    for step in [
        Step::Amend(2, 20),
        Step::Wait(3),
        Step::Pause(0, None),
        Step::Resume(7),
        Step::Wait(7),
        Step::Undo,
    ] {
        world.step(&step);
        world.check(&step);
    }
}
