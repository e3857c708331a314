//! Clashes against a comparison of everything with everything.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::availability::{Hours, WeeklyHours};
use scheduler_core::calendar::{Item, calendar, near};
use scheduler_core::conflict::{Reason, clashes};
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

fn always() -> WeeklyHours {
    use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    let days = [Mon, Tue, Wed, Thu, Fri, Sat, Sun];
    let hours = days.map(|weekday| Hours {
        weekday,
        from: 0,
        to: 1440,
    });
    WeeklyHours::new("UTC".parse().unwrap(), hours.to_vec()).unwrap()
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
    fn every_overlap_is_found_and_nothing_else(
        wanted in weekly(), other in weekly(), third in weekly(),
        every in 1..5_usize, moved in -5_000..5_000_i64,
    ) {
        let window = wanted.window(0, 100_000);
        let intents = [intent(1, &other), intent(2, &third)];
        let sessions = sessions(&intents[0], window, every, moved);
        let items = calendar(&intents, &sessions, window).unwrap();
        let candidates = wanted.set().overlapping(window).unwrap();
        let found: Vec<(DateTime<Utc>, DateTime<Utc>)> = clashes(&candidates, &items, &always())
            .into_iter()
            .filter_map(|clash| match clash.reason {
                Reason::Busy { start, .. } => Some((clash.start, start)),
                _ => None,
            })
            .collect();
        let mut expected = Vec::new();
        for candidate in candidates.iter().filter(|candidate| !candidate.cancelled) {
            for item in items.iter().filter(|item| item.is_busy()) {
                if candidate.start < item.end() && item.start() < candidate.end {
                    expected.push((candidate.start, item.start()));
                }
            }
        }
        prop_assert_eq!(found, expected);
    }

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
}
