//! Standing slots against what refuses single slots on each of their dates, and room for more of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Timelike, Weekday};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::availability::Availability;
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::forecast::room;
use scheduler_core::proof::Obstacle;
use scheduler_core::slots::{
    SlotPolicy, StandingError, StandingWish, explain_standing, standing_slots,
};
use scheduler_core::{IntentId, LocalDateTime, RecurrenceSet, Window, Zone};
use uuid::Uuid;

use crate::days::{availability, buffers, practice};
use crate::expansion_laws::cases;
use crate::slot_laws::{policy, refusals, windows};

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_standing_slot_is_free_on_as_many_dates_as_it_says(
        practice in practice(3), availability in availability(), policy in policy(),
        window in windows(), weeks in 1..4_u32, dates in 1..8_u32, missing in 0..4_u32,
    ) {
        let now = window.start();
        let calendar = practice.calendar();
        let policy = SlotPolicy::new(policy.minutes(), 60).unwrap().with_buffers(policy.buffers());
        let zone = availability.zone();
        let from = zone.local(now).date();
        let at_least = dates.saturating_sub(missing);
        let wish = StandingWish { zone, from, weekdays: Vec::new(), weeks, dates, at_least };
        let found = standing_slots(&calendar, &availability, policy, now, &wish).unwrap();
        let mut expected = Vec::new();
        for hour in 0..7 * 24_i64 {
            let first = LocalDateTime::try_from(from.and_hms_opt(0, 0, 0).unwrap()).unwrap();
            let first = first.plus_seconds(hour * 3600).unwrap();
            let all = (0..i64::from(dates)).map(|n| first.plus_seconds(n * i64::from(weeks) * 604_800).unwrap());
            let missed: Vec<LocalDateTime> = all
                .filter(|date| !refusals(zone.resolve(*date).0, &practice, &availability, policy, now).is_empty())
                .collect();
            if missed.len() <= usize::try_from(dates - at_least).unwrap() {
                expected.push((first, missed));
            }
        }
        expected.sort_by_key(|(first, missed)| {
            (missed.len(), !missed.is_empty(), std::cmp::Reverse(missed.first().copied()), *first)
        });
        let found: Vec<_> = found.into_iter().map(|slot| (slot.start, slot.missed)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_standing_slot_is_listed_if_and_only_if_few_enough_dates_are_refused(
        practice in practice(3), availability in availability(), policy in policy(),
        zone in select(&["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"][..]),
        window in windows(), weeks in 1..4_u32, dates in 1..8_u32, missing in 0..8_u32,
        weekdays in vec(select(&[Weekday::Mon, Weekday::Wed, Weekday::Sun][..]), 0..3),
    ) {
        let now = window.start();
        let calendar = practice.calendar();
        let zone: Zone = zone.parse().unwrap();
        let from = zone.local(now).date();
        let at_least = dates.saturating_sub(missing).max(1);
        let wish = StandingWish { zone, from, weekdays: weekdays.clone(), weeks, dates, at_least };
        let listed = standing_slots(&calendar, &availability, policy, now, &wish).unwrap();
        let listed: BTreeMap<LocalDateTime, Vec<LocalDateTime>> =
            listed.into_iter().map(|slot| (slot.start, slot.missed)).collect();
        let midnight = LocalDateTime::try_from(from.and_hms_opt(0, 0, 0).unwrap()).unwrap();
        let mut offered = 0;
        for fives in 0..7 * 288_i64 {
            let start = midnight.plus_seconds(300 * fives).unwrap();
            let explained = explain_standing(&calendar, &availability, policy, now, &wish, start);
            if !weekdays.is_empty() && !weekdays.contains(&start.date().weekday()) {
                prop_assert_eq!(explained, Err(StandingError::NotAsked { start, from }));
                continue;
            }
            let explained = explained.unwrap();
            let refused: Vec<LocalDateTime> = explained.iter().map(|refused| refused.date).collect();
            let few = refused.len() < usize::try_from(dates - at_least + 1).unwrap();
            prop_assert_eq!(listed.get(&start), few.then_some(&refused), "{}", start);
            offered += usize::from(few);
            prop_assert!(explained.iter().all(|refused| !refused.obstacles.is_empty()));
            // Every tenth time against what refuses single slots there.
            if fives % 10 > 0 {
                continue;
            }
            let first = zone.resolve(start).0;
            for n in 0..i64::from(dates) {
                let date = start.plus_seconds(n * i64::from(weeks) * 604_800).unwrap();
                let mut expected = refusals(zone.resolve(date).0, &practice, &availability, policy, now);
                let until = policy.until(now).filter(|until| first >= *until);
                expected.retain(|obstacle| match obstacle {
                    Obstacle::BookingWindow { .. } => until.is_some(),
                    Obstacle::Repeated { .. } => false,
                    _ => true,
                });
                let found = explained.iter().find(|refused| refused.date == date);
                let found = found.map(|refused| refused.obstacles.clone()).unwrap_or_default();
                let mut named: BTreeSet<Obstacle> = found.iter().copied().collect();
                prop_assert_eq!(named.len(), found.len());
                // A skipped wall time may become one that is on a step.
                if zone.local(zone.resolve(date).0) != date {
                    let off = Obstacle::OffStep { step: policy.step() };
                    named.remove(&off);
                    expected.remove(&off);
                }
                prop_assert_eq!(named, expected, "{}", date);
            }
        }
        prop_assert_eq!(offered, listed.len());
    }

    #[test]
    fn what_there_is_room_for_fits_at_once_and_nothing_beside_it(
        practice in practice(2), availability in availability(), buffers in buffers(),
        window in windows(), fives in 6..40_u32,
    ) {
        let now = window.start();
        let policy = SlotPolicy::new(5 * fives, 60).unwrap().with_buffers(buffers);
        let zone = "UTC".parse().unwrap();
        let wish = StandingWish {
            zone, from: now.date_naive(), weekdays: Vec::new(), weeks: 1, dates: 3, at_least: 3,
        };
        let taken = room(&practice.calendar(), &availability, policy, now, &wish).unwrap();
        let mut calendar = practice.calendar();
        for (number, slot) in (500..).zip(&taken) {
            let still = standing_slots(&calendar, &availability, policy, now, &wish).unwrap();
            prop_assert!(still.contains(slot), "{:?}", slot);
            let set = RecurrenceSet::new(slot.start, zone, policy.minutes()).unwrap()
                .with_rule("FREQ=WEEKLY;COUNT=3".parse().unwrap());
            calendar = calendar.with(IntentId(Uuid::from_u128(number)), &set, buffers);
        }
        let more = standing_slots(&calendar, &availability, policy, now, &wish).unwrap();
        prop_assert_eq!(more, Vec::new());
    }
}

#[test]
fn a_client_half_an_hour_off_the_therapist_s_steps_is_offered_standing_slots() {
    // 14:30 in Kolkata is 09:00 in London in winter and 10:00 in summer, on the hour all year.
    let always = Availability::always("Europe/London".parse().unwrap());
    let policy = SlotPolicy::new(50, 60).unwrap();
    let wish = StandingWish {
        zone: "Asia/Kolkata".parse().unwrap(),
        from: "2026-03-02".parse().unwrap(),
        weekdays: vec![Weekday::Mon],
        weeks: 1,
        dates: 10,
        at_least: 10,
    };
    let now = "2026-02-01T00:00:00Z".parse().unwrap();
    let calendar = Calendar::default();
    let found = standing_slots(&calendar, &always, policy, now, &wish).unwrap();
    assert_eq!(found.len(), 24);
    assert!(found.iter().all(|slot| slot.start.naive().minute() == 30));
}

#[test]
fn a_standing_slot_is_explained_by_date() {
    let zone = "Europe/London".parse().unwrap();
    let away = Window::new(
        "2026-03-09T00:00:00Z".parse().unwrap(),
        "2026-03-10T00:00:00Z".parse().unwrap(),
    )
    .unwrap();
    let always = Availability::always(zone)
        .with_blackouts(vec![away])
        .unwrap();
    let taken = RecurrenceSet::new("2026-03-02T10:30:00".parse().unwrap(), zone, 50)
        .unwrap()
        .with_rule("FREQ=WEEKLY;COUNT=2".parse().unwrap());
    let calendar = Calendar::default().with(IntentId(Uuid::nil()), &taken, Buffers::NONE);
    let policy = SlotPolicy::new(50, 15).unwrap();
    let now = "2026-03-01T00:00:00Z".parse().unwrap();
    let wish = StandingWish {
        zone,
        from: "2026-03-02".parse().unwrap(),
        weekdays: vec![Weekday::Mon],
        weeks: 1,
        dates: 10,
        at_least: 9,
    };
    let why = |start: &str, policy| {
        let start = start.parse().unwrap();
        explain_standing(&calendar, &always, policy, now, &wish, start)
    };
    let refused = why("2026-03-02T10:00:00", policy).unwrap();
    let dates: Vec<String> = refused
        .iter()
        .map(|refused| refused.date.to_string())
        .collect();
    assert_eq!(dates, ["2026-03-02T10:00:00", "2026-03-09T10:00:00"]);
    assert!(matches!(refused[0].obstacles[..], [Obstacle::Busy { .. }]));
    assert!(matches!(
        refused[1].obstacles[..],
        [Obstacle::Blackout { .. }, Obstacle::Busy { .. }]
    ));
    let free = why("2026-03-02T12:00:00", policy).unwrap();
    assert_eq!(free.len(), 1);
    let soon = policy.with_window(1).unwrap();
    let far = why("2026-03-02T12:00:00", soon).unwrap();
    assert_eq!(far.len(), 10);
    let off = why("2026-03-02T12:07:00", policy).unwrap();
    assert_eq!(off[0].obstacles, [Obstacle::OffStep { step: 15 }]);
    let tuesday = why("2026-03-03T12:00:00", policy);
    assert!(matches!(tuesday, Err(StandingError::NotAsked { .. })));
}

#[test]
fn there_is_room_for_two_more_on_a_monday_morning() {
    use chrono::Weekday::Mon;
    use scheduler_core::availability::{Hours, WeeklyHours};
    let zone = "Europe/London".parse().unwrap();
    let hours = Hours {
        weekday: Mon,
        from: 9 * 60,
        to: 12 * 60,
    };
    let week = Availability::new(WeeklyHours::new(zone, vec![hours]).unwrap());
    let taken = RecurrenceSet::new("2026-03-02T10:00:00".parse().unwrap(), zone, 50)
        .unwrap()
        .with_rule("FREQ=WEEKLY".parse().unwrap());
    let calendar = Calendar::default().with(IntentId(Uuid::nil()), &taken, Buffers::NONE);
    let policy = SlotPolicy::new(50, 15).unwrap();
    let wish = StandingWish {
        zone,
        from: "2026-03-03".parse().unwrap(),
        weekdays: Vec::new(),
        weeks: 1,
        dates: 52,
        at_least: 52,
    };
    let now = "2026-03-01T00:00:00Z".parse().unwrap();
    let found = room(&calendar, &week, policy, now, &wish).unwrap();
    let starts: Vec<String> = found.iter().map(|slot| slot.start.to_string()).collect();
    assert_eq!(starts, ["2026-03-09T09:00:00", "2026-03-09T11:00:00"]);
    let none = StandingWish {
        at_least: 53,
        ..wish
    };
    let refused = standing_slots(&calendar, &week, policy, now, &none);
    assert_eq!(
        refused,
        Err(StandingError::AtLeast {
            at_least: 53,
            dates: 52
        })
    );
}
