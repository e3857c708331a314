//! The planner: idempotent, order-free, and never wrong about when it is needed next.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::intent::{self, Command, Intent, NewIntent};
use scheduler_core::materialize::{next_due_at, plan, plan_again, plan_window};
use scheduler_core::{
    ClientId, Idempotent, IntentId, LocalDateTime, RecurrenceSet, ServiceId, SessionId,
    TherapistId, Window,
};
use uuid::Uuid;

use crate::random::{offset, weekly};

const HORIZON: TimeDelta = TimeDelta::days(7);

fn intent(set: RecurrenceSet, now: DateTime<Utc>) -> Intent {
    let new = NewIntent {
        id: IntentId(Uuid::from_u128(1)),
        therapist: TherapistId(Uuid::from_u128(2)),
        client: ClientId(Uuid::from_u128(3)),
        service: ServiceId(Uuid::from_u128(4)),
        set,
    };
    intent::created(new, now)
}

/// One tick: what it makes, and the intent after it.
fn tick(
    intent: Intent,
    known: &mut BTreeSet<LocalDateTime>,
    now: DateTime<Utc>,
) -> (Intent, Vec<(LocalDateTime, DateTime<Utc>)>) {
    let planned = plan(&intent, known, now, HORIZON).unwrap();
    known.extend(planned.sessions.iter().map(|session| session.recurrence_id));
    let made = planned
        .sessions
        .iter()
        .map(|session| (session.recurrence_id, session.start));
    let made = made.collect();
    (intent::evolve(intent, &planned.event), made)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn planning_two_adjoining_intervals_is_planning_their_union(
        weekly in weekly(), from in offset(), first in 1..40_000_i64, second in 1..40_000_i64,
    ) {
        let set = weekly.set();
        let ac = weekly.window(from, first + second);
        let ab = weekly.window(from, first);
        let bc = Window::new(ab.end(), ac.end()).unwrap();
        let none = BTreeSet::new();
        let union = plan_window(&set, &none, ac).unwrap();
        let mut parts = plan_window(&set, &none, ab).unwrap();
        parts.extend(plan_window(&set, &none, bc).unwrap());
        prop_assert_eq!(&union, &parts);
        // In either order: what one has made, the other leaves out.
        let known = parts.iter().map(|made| made.recurrence_id).collect();
        prop_assert_eq!(plan_window(&set, &known, ac).unwrap(), vec![]);
    }

    #[test]
    fn however_often_it_ticks_each_occurrence_becomes_one_session(
        weekly in weekly(), hours in prop::collection::vec(0..600_i64, 1..20),
    ) {
        let start = weekly.window(0, 1).start();
        let set = weekly.set();
        let mut now = start;
        let mut ticking = intent(set.clone(), now);
        let (mut known, mut made) = (BTreeSet::new(), Vec::new());
        for step in hours {
            now += TimeDelta::hours(step);
            let (after, sessions) = tick(ticking, &mut known, now);
            made.extend(sessions);
            let (after, again) = tick(after, &mut known, now);
            prop_assert_eq!(again, vec![]);
            ticking = after;
        }
        made.sort_by_key(|(at, start)| (*start, *at));
        let expected: Vec<_> = weekly
            .worked_out()
            .into_iter()
            .filter(|(_, at, cancelled)| *at >= start && *at <= now + HORIZON && !cancelled)
            .map(|(at, start, _)| (at, start))
            .collect();
        prop_assert_eq!(made, expected);
    }

    #[test]
    fn it_is_due_exactly_when_it_has_something_to_do(weekly in weekly(), hour in 0..2000_i64) {
        let now = weekly.window(0, 1).start();
        let mut known = BTreeSet::new();
        let (ticked, _) = tick(intent(weekly.set(), now), &mut known, now);
        let due = next_due_at(&ticked, &known, HORIZON).unwrap();
        let then = now + TimeDelta::hours(hour);
        let (_, made) = tick(ticked.clone(), &mut known.clone(), then);
        prop_assert_eq!(!made.is_empty(), due <= then, "due {}", due);
        let (_, made) = tick(ticked.clone(), &mut known.clone(), due - TimeDelta::microseconds(1));
        prop_assert_eq!(made, vec![]);
        let (_, made) = tick(ticked, &mut known, due);
        prop_assert!(!made.is_empty());
    }

    #[test]
    fn a_move_to_before_what_is_planned_is_not_lost(
        weekly in weekly(), which in 0..20_usize, hour in 1..160_i64,
    ) {
        let now = weekly.window(0, 1).start();
        let mut known = BTreeSet::new();
        let (ticked, _) = tick(intent(weekly.set(), now), &mut known, now);
        let later: Vec<_> = ticked
            .set
            .overlapping(weekly.window(20_000, 200_000))
            .unwrap()
            .into_iter()
            .filter(|at| !at.cancelled && !ticked.set.deviations().exclusions.contains(&at.recurrence_id))
            .filter(|at| !known.contains(&at.recurrence_id))
            .collect();
        prop_assume!(!later.is_empty());
        let recurrence_id = later[which % later.len()].recurrence_id;
        let to = ticked.set.zone().local(now + TimeDelta::hours(hour));
        let command = Command::Reschedule { recurrence_id, to };
        let decided = intent::decide(&ticked, &command, &BTreeSet::new(), now);
        let Ok(Idempotent::Applied(event)) = decided else {
            return Err(TestCaseError::reject("not generated"));
        };
        let moved = intent::evolve(ticked, &event);
        let due = next_due_at(&moved, &known, HORIZON).unwrap();
        prop_assert!(due <= now);
        let (_, made) = tick(moved.clone(), &mut known, now);
        let ids: Vec<_> = made.iter().map(|(at, _)| *at).collect();
        prop_assert_eq!(ids, vec![recurrence_id]);
    }

    /// Under unchanged data planning again is nothing. Where a change of law moves occurrences by
    /// hours, which is as if `done_through` had moved the other way, none is passed over.
    #[test]
    fn what_a_change_of_law_moves_to_before_what_is_planned_is_not_lost(
        weekly in weekly(), hours in 1..26_i64,
    ) {
        let now = weekly.window(0, 1).start();
        let mut known = BTreeSet::new();
        let (ticked, _) = tick(intent(weekly.set(), now), &mut known, now);
        prop_assert_eq!(plan_again(&ticked, &known, now).unwrap(), None);
        let by = TimeDelta::hours(hours);
        let mut ahead = ticked.clone();
        ahead.done_through += by;
        let passed_over = Window::new(ticked.done_through, ahead.done_through).unwrap();
        let passed_over = plan_window(&ticked.set, &known, passed_over).unwrap();
        let Some(event) = plan_again(&ahead, &known, now).unwrap() else {
            prop_assert_eq!(passed_over, vec![]);
            return Ok(());
        };
        let again = intent::evolve(ahead, &event);
        let planned = plan(&again, &known, now, HORIZON + by).unwrap();
        prop_assert_eq!(&planned.sessions[..passed_over.len()], &passed_over[..]);
        prop_assert_eq!(plan_again(&again, &known, now).unwrap(), None);
    }
}

#[test]
fn the_session_of_an_occurrence_has_one_id_for_ever() {
    let at = "2026-03-02T18:00:00".parse().unwrap();
    let id = SessionId::of_occurrence(IntentId(Uuid::from_u128(7)), at);
    // As Python's uuid.uuid5(uuid.UUID(int=7), "2026-03-02T18:00:00") has it.
    assert_eq!(id.to_string(), "53f6b54f-0547-5870-b07d-f8effef5a5e0");
}

/// However far apart dates are, the step that is planned begins at the first of them.
#[test]
fn a_rare_date_is_made_when_it_is_due() {
    let start = "2026-03-02T18:00:00".parse().unwrap();
    let set = RecurrenceSet::new(start, "Europe/London".parse().unwrap(), 50).unwrap();
    let set = set.with_rule("FREQ=YEARLY;INTERVAL=5".parse().unwrap());
    let mut now = "2026-03-01T00:00:00Z".parse().unwrap();
    let (mut ticking, mut known) = (intent(set, now), BTreeSet::new());
    for _ in 0..10 {
        let (after, made) = tick(ticking, &mut known, now);
        assert_eq!(made.len(), 1);
        now = next_due_at(&after, &known, HORIZON).unwrap();
        ticking = after;
    }
}
