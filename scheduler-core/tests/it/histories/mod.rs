//! Random histories of edits, against a plain list of dated appointments that is edited by hand.
//!
//! The oracle knows nothing of sets, positions, segments or machines: it is a list in which each
//! appointment has its date, its time, and what became of it, and the edits are loops over it.

mod booking;
mod oracle;
mod splits;
mod steps;
mod world;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::intent::{self, Intent, Overrides};

use crate::expansion_laws::cases;
use booking::{Booking, Every, booking};
use world::World;

/// What is done next. Numbers pick among what there is.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Skip(usize),
    Add(usize),
    Extra(u64, u32),
    Move(usize, i64),
    Amend(usize, u32),
    Cancel(usize),
    Split(usize, Wanted),
    AmendAll(Wanted),
    Reassign(u64),
    Pause(u64, Option<u64>),
    Resume(u64),
    End(u64),
    Undo,
}

/// What is to be different from a date on: the days where that can be, the time, the length.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    days: i64,
    hours: i64,
    minutes: Option<u32>,
    overrides: Overrides,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let overrides = prop_oneof![
        2 => Just(Overrides::Carry),
        1 => Just(Overrides::Drop),
        1 => Just(Overrides::Detach),
    ];
    let minutes = proptest::option::of(20u32..90);
    (-3i64..4, -5i64..6, minutes, overrides).prop_map(|(days, hours, minutes, overrides)| Wanted {
        days,
        hours,
        minutes,
        overrides,
    })
}

/// Which of those that are to come: often one that another step has picked before.
fn which() -> impl Strategy<Value = usize> {
    prop_oneof![1 => 0usize..4, 1 => 0usize..30]
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{
        Add, Amend, AmendAll, Cancel, End, Extra, Move, Pause, Reassign, Resume, Skip, Split, Undo,
        Wait,
    };
    prop_oneof![
        6 => (1u64..20).prop_map(Wait),
        3 => which().prop_map(Skip),
        2 => which().prop_map(Add),
        1 => (1u64..60, select(&[6, 2])).prop_map(|(days, hour)| Extra(days, hour)),
        4 => (which(), -60i64..61).prop_map(|(which, hours)| Move(which, hours)),
        1 => (which(), 20u32..90).prop_map(|(which, minutes)| Amend(which, minutes)),
        2 => which().prop_map(Cancel),
        3 => (0usize..12, wanted()).prop_map(|(which, wanted)| Split(which, wanted)),
        2 => wanted().prop_map(AmendAll),
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

/// At seven in London, every so many days or weeks.
fn london(every: Every, interval: u64) -> Booking {
    Booking {
        zone: chrono_tz::Europe::London,
        date: NaiveDate::from_ymd_opt(2025, 1, 1).unwrap(),
        hour: 7,
        every,
        interval,
        count: None,
    }
}

/// The same days and length, so many hours later.
fn later(hours: i64, overrides: Overrides) -> Wanted {
    Wanted {
        days: 0,
        hours,
        minutes: None,
        overrides,
    }
}

fn run(booking: &Booking, steps: &[Step]) {
    let mut world = World::new(booking);
    for step in steps {
        world.step(step);
        world.check(step);
    }
}

/// Found by chance: the session of a date moved by hand was made after the amended rule had come to
/// its time, and an undo took it to the time of the old rule.
#[test]
fn a_session_made_in_a_split_that_is_undone_has_the_time_its_date_was_moved_to() {
    let steps = [
        Step::Pause(0, None),
        Step::Move(10, 2),
        Step::AmendAll(later(2, Overrides::Carry)),
        Step::Wait(1),
        Step::AmendAll(later(0, Overrides::Carry)),
        Step::Wait(15),
        Step::Undo,
    ];
    run(&london(Every::Day, 2), &steps);
}

/// Found by chance: a date with a length of its own takes place in spite of a pause. Its session was
/// made while the pause was over, and stays when the pause is back.
#[test]
fn a_session_of_a_date_with_its_own_length_stays_when_a_pause_comes_back() {
    let steps = [
        Step::Amend(2, 20),
        Step::Wait(3),
        Step::Pause(0, None),
        Step::Resume(7),
        Step::Wait(7),
        Step::Undo,
    ];
    run(&london(Every::Week, 1), &steps);
}

/// Found by chance: a session that somebody has moved stays in a pause, but not once an edit has
/// dropped what they did. It stayed, at the time of the rule.
#[test]
fn a_moved_session_in_a_pause_is_called_off_when_its_time_is_dropped() {
    let steps = [
        Step::Move(2, -1),
        Step::Wait(7),
        Step::Pause(0, None),
        Step::AmendAll(later(0, Overrides::Drop)),
        Step::Undo,
    ];
    run(&london(Every::Day, 4), &steps);
}

/// Found by chance: a date that was moved, called off and added again takes place where it was moved
/// to. The planner looked back to its time by rule only, and never made it a session.
#[test]
fn a_date_moved_to_an_earlier_time_and_called_off_is_planned_when_it_is_added_again() {
    let steps = [
        Step::Move(4, -7),
        Step::Cancel(4),
        Step::Wait(25),
        Step::Add(0),
        Step::Wait(6),
    ];
    run(&london(Every::Week, 1), &steps);
}
