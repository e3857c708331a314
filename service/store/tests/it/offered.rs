//! A client books what the service offers, on every date: notice, step and booking window are asked of
//! all that newly takes time, whatever rule or resolution brings it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use clinic::booking::{self, NewBooking};
use clinic::{Change, Commit, Idempotent, Refusal, Role, SlotRules, View};
use ledger_core::CarryOver;
use proptest::prelude::*;
use scheduler_core::intent::Intent;
use scheduler_core::proof::{Found, Obstacle, Remedy};
use scheduler_core::set::Occurrence;
use scheduler_core::{GapPolicy, IntentId, LocalDateTime, Window};
use store::{Request, Store, StoreError};
use uuid::Uuid;

use crate::world::{CLIENT, Policy, SERVICE, THERAPISTS, World, by, cases, opened, wait, zone};

const RULES: [&str; 7] = [
    "FREQ=WEEKLY;COUNT=5",
    "FREQ=DAILY;COUNT=6",
    "FREQ=DAILY;COUNT=6;BYHOUR=9,15;BYMINUTE=0,10",
    "FREQ=WEEKLY;COUNT=4;BYDAY=MO,WE;BYMINUTE=0,25",
    "FREQ=MINUTELY;INTERVAL=1439;COUNT=5",
    "FREQ=DAILY;INTERVAL=9;COUNT=4",
    "FREQ=MONTHLY;COUNT=3",
];

/// A booking, in minutes from now, and dates that are to be elsewhere.
#[derive(Clone, Debug)]
struct Wish {
    minutes: i64,
    rule: Option<&'static str>,
    /// Which date, and by how many minutes it is moved from now on; none leaves it out.
    resolved: Vec<(usize, Option<i64>)>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let resolved = (0..5usize, proptest::option::weighted(0.8, 1..60_000i64));
    (
        (1..400i64).prop_map(|quarters| quarters * 15),
        proptest::option::weighted(0.8, proptest::sample::select(&RULES[..])),
        proptest::collection::vec(resolved, 0..3),
    )
        .prop_map(|(minutes, rule, resolved)| Wish {
            minutes,
            rule,
            resolved,
        })
}

fn slots() -> impl Strategy<Value = SlotRules> {
    (
        proptest::sample::select(&[5u16, 15, 30, 60][..]),
        proptest::sample::select(&[0u32, 60, 4_320][..]),
        proptest::option::of(1..30u32),
    )
        .prop_map(|(step_minutes, notice_minutes, window_days)| SlotRules {
            step_minutes,
            notice_minutes,
            window_days,
            ..SlotRules::default()
        })
}

fn open(slots: SlotRules) -> World {
    let policy = Policy {
        credits: 4,
        rollover: CarryOver::None,
        grace_days: 7,
    };
    World::offering(policy, slots)
}

/// What the client's wish comes to: the intent, or why not.
fn book(world: &World, wish: &Wish) -> Option<Result<Intent, Refusal>> {
    // On the wall clock's minute: where the clocks change, there may be none.
    let start = zone().local(world.now + TimeDelta::minutes(wish.minutes));
    let id = IntentId(Uuid::from_u128(0xf00));
    let mut wanted = NewBooking {
        id,
        therapist: THERAPISTS[0],
        client: CLIENT,
        service: SERVICE,
        start,
        zone: zone(),
        minutes: None,
        rule: wish.rule.map(|rule| rule.parse().unwrap()),
        gap: GapPolicy::default(),
        resolutions: Vec::new(),
    };
    let dates = dates_of(&wanted);
    let mut seen = BTreeSet::new();
    for &(which, to) in &wish.resolved {
        let Some(&date) = dates.get(which).filter(|date| seen.insert(**date)) else {
            continue;
        };
        let to = to.map(|minutes| zone().local(world.now + TimeDelta::minutes(minutes)));
        wanted
            .resolutions
            .push((date, to.map_or(Remedy::Skip, Remedy::MoveTo)));
    }
    let principal = by(Role::Client(CLIENT));
    let scope = booking::scope(&wanted).unwrap();
    let (decided, now) = (std::sync::Mutex::new(None), world.now);
    let request = Request::of(principal, now);
    let decide = Box::new(|view: &View| {
        let decision = booking::book(view, wanted, principal, now);
        let intent = decision.clone().map(|applied| match applied {
            Idempotent::Applied(Commit { changes, .. }) => changes.into_iter().find_map(new_intent),
            _ => None,
        });
        *decided.lock().unwrap() = Some(intent);
        decision
    });
    match wait(world.store.write(&request, scope, decide)) {
        Ok(_) | Err(StoreError::Refused(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let decided = decided.into_inner().unwrap().unwrap();
    match decided {
        Ok(intent) => intent.map(Ok),
        Err(refusal) => Some(Err(refusal)),
    }
}

fn new_intent(change: Change) -> Option<Intent> {
    match change {
        Change::NewIntent(intent) => Some(intent),
        _ => None,
    }
}

/// The recurrence-ids of a wish's first dates.
fn dates_of(wanted: &NewBooking) -> Vec<LocalDateTime> {
    let set = scheduler_core::RecurrenceSet::new(wanted.start, wanted.zone, 50).unwrap();
    let set = match &wanted.rule {
        Some(rule) => set.with_rule(rule.clone()),
        None => set,
    };
    all(&set).into_iter().map(|one| one.recurrence_id).collect()
}

fn all(set: &scheduler_core::RecurrenceSet) -> Vec<Occurrence> {
    let window = Window::new(opened(), opened() + TimeDelta::days(730)).unwrap();
    let mut all = set.overlapping(window).unwrap();
    all.retain(|one| !one.cancelled);
    all.sort_by_key(|one| one.start);
    all
}

/// Whether the service offers all of these dates, as the documentation says it.
fn is_offered(dates: &[Occurrence], slots: &SlotRules, now: DateTime<Utc>) -> bool {
    let too_far = |at: DateTime<Utc>| {
        let days = slots.window_days.map(|days| TimeDelta::days(days.into()));
        days.is_some_and(|days| at >= now + days)
    };
    let is_offered = |(number, date): (usize, &Occurrence)| {
        let soon = date.start < now + TimeDelta::minutes(slots.notice_minutes.into());
        let wall = zone().local(date.start).time();
        let on_step = wall.second() == 0
            && (wall.hour() * 60 + wall.minute()).is_multiple_of(slots.step_minutes.into());
        let generated = zone().resolve(date.recurrence_id).0;
        let moved_out = generated != date.start && !too_far(generated);
        let far = too_far(date.start) && (number == 0 || moved_out);
        !soon && on_step && !far
    };
    dates.iter().enumerate().all(is_offered)
}

fn is_policy(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Clash { clashes, .. }
        if clashes.iter().all(|clash| clash.obstacle.is_of_policy()))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_date_of_a_booking_is_offered(slots in slots(), wish in wish()) {
        let world = open(slots);
        let Some(booked) = book(&world, &wish) else { return Ok(()) };
        match booked {
            Ok(intent) => {
                let dates = all(&intent.set);
                prop_assert!(is_offered(&dates, &slots, world.now), "{:?}", dates);
            }
            Err(refusal) if is_policy(&refusal) => {
                // By staff it can be booked: nothing else is in the way.
                let Refusal::Clash { clashes, .. } = refusal else { return Ok(()) };
                let is_true = |one: &Found| match one.obstacle {
                    Obstacle::Notice { earliest } => one.start < earliest,
                    Obstacle::BookingWindow { until } => one.start >= until,
                    Obstacle::OffStep { .. } | Obstacle::Repeated { .. } => true,
                    _ => false,
                };
                prop_assert!(clashes.iter().all(is_true), "{:?}", clashes);
            }
            Err(_) => {}
        }
    }
}
