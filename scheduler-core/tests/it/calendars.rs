//! A calendar of sessions and virtual occurrences: each once.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::calendar::{Item, calendar, near, page};
use scheduler_core::intent::{Intent, NewIntent, created};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::{ClientId, IntentId, ServiceId, SessionId, TherapistId, Window};
use uuid::Uuid;

use crate::days::practice;
use crate::expansion_laws::cases;
use crate::random::{Weekly, weekly};
use crate::slot_laws::windows;

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

/// Whether each minute of a window is taken, asked minute by minute, and joined.
fn taken_by_the_minute(
    blocks: &[(DateTime<Utc>, DateTime<Utc>)],
    window: Window,
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let minutes = (window.end() - window.start()).num_minutes();
    let mut taken = vec![false; usize::try_from(minutes).unwrap()];
    for (start, end) in blocks {
        let of = |at: &DateTime<Utc>| (*at - window.start()).num_minutes().clamp(0, minutes);
        for minute in of(start)..of(end) {
            taken[usize::try_from(minute).unwrap()] = true;
        }
    }
    let mut joined: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (minute, _) in (0..).zip(&taken).filter(|(_, is_taken)| **is_taken) {
        let start = window.start() + TimeDelta::minutes(minute);
        let end = start + TimeDelta::minutes(1);
        match joined.last_mut().filter(|last| last.1 == start) {
            Some(last) => last.1 = end,
            None => joined.push((start, end)),
        }
    }
    joined
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_time_is_busy_if_the_minute_is_taken(
        practice in practice(5), start in windows(), days in 1..200_i64, limit in 1..12_usize,
    ) {
        let window = Window::new(start.start(), start.start() + TimeDelta::days(days)).unwrap();
        let blocks: Vec<_> = practice.busy(window).iter().map(|taken| taken.block).collect();
        let naive = taken_by_the_minute(&blocks, window);
        let calendar = practice.calendar();
        let found = calendar.busy(window, usize::MAX).unwrap();
        let found: Vec<_> = found.iter().map(|busy| (busy.start(), busy.end())).collect();
        prop_assert_eq!(&found, &naive);
        // Page by page it is the same.
        let (mut paged, mut rest) = (Vec::new(), Some(window));
        while let Some(asked) = rest {
            let page = calendar.busy(asked, limit).unwrap();
            prop_assert!(page.len() <= limit);
            paged.extend(page.iter().map(|busy| (busy.start(), busy.end())));
            let last = page.last().filter(|_| page.len() == limit);
            rest = last.and_then(|last| Window::new(last.end(), window.end()).ok());
        }
        prop_assert_eq!(paged, naive);
    }
}
