//! A calendar of sessions and virtual occurrences: each once.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use scheduler_core::calendar::{Item, calendar, near, page};
use scheduler_core::intent::{Intent, NewIntent, created};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{ClientId, IntentId, ServiceId, SessionId, TherapistId, Window};
use uuid::Uuid;

use crate::random::{Weekly, weekly};

fn intent(number: u128, weekly: &Weekly) -> Intent {
    let new = NewIntent {
        id: IntentId(Uuid::from_u128(number)),
        therapist: TherapistId(Uuid::from_u128(100)),
        client: ClientId(Uuid::from_u128(number + 200)),
        service: ServiceId(Uuid::from_u128(300)),
        set: weekly.set(),
    };
    created(new, DateTime::UNIX_EPOCH)
}

/// Sessions of some of an intent's occurrences, some of them moved.
fn sessions(intent: &Intent, window: Window, every: usize, moved: i64) -> Vec<Session> {
    let made = intent
        .set
        .overlapping(window)
        .unwrap()
        .into_iter()
        .step_by(every);
    made.map(|at| Session {
        id: SessionId::of_occurrence(intent.id, at.recurrence_id),
        intent: intent.id,
        recurrence_id: at.recurrence_id,
        therapist: intent.therapist,
        client: intent.client,
        service: intent.service,
        starts_local: intent
            .set
            .zone()
            .local(at.start + TimeDelta::minutes(moved)),
        starts_at: at.start + TimeDelta::minutes(moved),
        ends_at: at.end + TimeDelta::minutes(moved),
        zone: intent.set.zone(),
        tzdb: "test".to_owned(),
        state: if at.cancelled {
            SessionState::Missed
        } else {
            SessionState::Scheduled
        },
        slot_version: 0,
        hold_generation: 1,
        next_due_at: None,
        version: 1,
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn an_occurrence_is_in_a_calendar_once_as_a_session_if_it_has_one(
        weekly in weekly(), every in 1..5_usize, moved in -5_000..5_000_i64,
    ) {
        let window = weekly.window(10_000, 60_000);
        let intent = intent(1, &weekly);
        // All sessions whose recurrence-id is near the window, wherever they were moved to. Those
        // of overrides are known by their overrides being gone, so leave overrides out of it.
        let (from, to) = near(window);
        let wide = weekly.window(-10_000, 100_000);
        let known: Vec<Session> = sessions(&intent, wide, every, moved)
            .into_iter()
            .filter(|made| !intent.set.deviations().overrides.contains_key(&made.recurrence_id))
            .filter(|made| (from..=to).contains(&made.recurrence_id)
                || window.overlaps(made.starts_at, made.ends_at))
            .collect();
        let items = calendar([&intent], &known, window).unwrap();
        for item in &items {
            let same = items.iter().filter(|other| other.address() == item.address()).count();
            prop_assert_eq!(same, 1);
            let made = known.iter().any(|session| (session.intent, session.recurrence_id) == item.address());
            prop_assert_eq!(made, matches!(item, Item::Session(_)));
            prop_assert!(window.overlaps(item.start(), item.end()));
        }
    }

    #[test]
    fn pages_one_after_another_are_the_calendar(
        first in weekly(), second in weekly(), every in 1..5_usize, moved in -5_000..5_000_i64,
        limit in 1..40_usize, days in 1..700_i64,
    ) {
        let window = first.window(10_000, 24 * 60 * days);
        let intents = [intent(1, &first), intent(2, &second)];
        let known = sessions(&intents[0], first.window(-10_000, 400_000), every, moved);
        let all = calendar(&intents, &known, window).unwrap();
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let items = page(&intents, &known, window, after, limit).unwrap();
            prop_assert!(items.len() <= limit);
            paged.extend(items.iter().copied());
            match items.last().filter(|_| items.len() == limit) {
                Some(last) => after = Some((last.start(), last.address())),
                None => break,
            }
        }
        prop_assert_eq!(paged, all);
    }
}
