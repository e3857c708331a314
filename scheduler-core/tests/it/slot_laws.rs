//! Slots against everything that could refuse them, looked at start by start.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::availability::Availability;
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::forecast::{Credits, first_unfunded, room};
use scheduler_core::proof::{Candidate, Obstacle, Remedy, each_clash, remedied};
use scheduler_core::set::SetError;
use scheduler_core::slots::{
    Ranking, SearchError, SlotPolicy, StandingError, StandingWish, alternatives, explain,
    explain_standing, free_slots, standing_slots,
};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, LocalDateTime, RecurrenceSet, Window, Zone};
use uuid::Uuid;

use crate::days::{Practice, availability, buffers, expanded, in_the_way, keeping, practice, set};
use crate::expansion_laws::cases;

fn policy() -> impl Strategy<Value = SlotPolicy> {
    let steps = select(&[5_u16, 10, 15, 20, 30, 60, 25][..]);
    let window = prop::option::of(1..40_u32);
    (1..30_u32, steps, buffers(), 0..4_000_u32, window).prop_map(
        |(fives, step, buffers, notice, window)| {
            let policy = SlotPolicy::new(5 * fives, step)
                .unwrap()
                .with_buffers(buffers)
                .with_notice(5 * notice)
                .unwrap();
            match window {
                Some(days) => policy.with_window(days).unwrap(),
                None => policy,
            }
        },
    )
}

/// Everything that refuses a start, worked out from the practice's list.
fn refusals(
    start: DateTime<Utc>,
    practice: &Practice,
    availability: &Availability,
    policy: SlotPolicy,
    now: DateTime<Utc>,
) -> BTreeSet<Obstacle> {
    let end = start + TimeDelta::minutes(i64::from(policy.minutes()));
    let busy = practice.busy(Window::new(start, end).unwrap());
    let mut found = in_the_way((start, end), policy.buffers(), &busy, availability);
    let tz: Tz = availability.zone().name().parse().unwrap();
    let wall = tz.from_utc_datetime(&start.naive_utc());
    let minute = wall.hour() * 60 + wall.minute();
    if !minute.is_multiple_of(u32::from(policy.step())) {
        found.insert(Obstacle::OffStep {
            step: policy.step(),
        });
    }
    // Booked by this wall time it would be the first with it.
    if let Some(first) = tz.from_local_datetime(&wall.naive_local()).earliest()
        && first != wall
    {
        let first = first.to_utc();
        found.insert(Obstacle::Repeated { first });
    }
    let earliest = policy.earliest(now);
    if start < earliest {
        found.insert(Obstacle::Notice { earliest });
    }
    if let Some(until) = policy.until(now).filter(|until| start >= *until) {
        found.insert(Obstacle::BookingWindow { until });
    }
    found
}

/// Five-minute starts; some windows begin on the day of a clock change.
fn windows() -> impl Strategy<Value = Window> {
    let changes = [
        "2026-03-29T00:00:00Z",
        "2026-10-25T00:00:00Z",
        "2026-03-08T05:00:00Z",
        "2026-11-01T04:00:00Z",
        "2026-10-03T12:00:00Z",
    ];
    let any_day = (0..500_i64 * 288).prop_map(|fives| {
        let first: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        first + TimeDelta::minutes(5 * fives)
    });
    let changes = changes.map(|at| at.parse::<DateTime<Utc>>().unwrap());
    let starts = prop_oneof![2 => any_day, 1 => select(changes.to_vec())];
    (starts, 1..100_i64).prop_map(|(start, fives)| {
        Window::new(start, start + TimeDelta::minutes(5 * fives)).unwrap()
    })
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_slot_is_listed_if_and_only_if_its_explanation_is_empty(
        practice in practice(4), availability in availability(), policy in policy(),
        window in windows(), ahead in -100..2_000_i64,
    ) {
        let now = window.start() - TimeDelta::minutes(5 * ahead);
        let calendar = practice.calendar();
        let listed = free_slots(&calendar, &availability, policy, now, window, Ranking::Earliest).unwrap();
        prop_assert!(listed.is_sorted());
        let listed: BTreeSet<DateTime<Utc>> = listed.iter().map(|slot| slot.start).collect();
        let mut start = window.start();
        while start < window.end() {
            let explained = explain(&calendar, &availability, policy, now, start).unwrap();
            prop_assert_eq!(listed.contains(&start), explained.is_empty(), "{}", start);
            let expected = refusals(start, &practice, &availability, policy, now);
            prop_assert_eq!(explained.len(), expected.len());
            prop_assert_eq!(explained.into_iter().collect::<BTreeSet<_>>(), expected, "{}", start);
            start += TimeDelta::minutes(5);
        }
        let inside = listed.iter().all(|start| window.contains(*start));
        prop_assert!(inside);
    }

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
    fn proposals_can_all_be_taken_at_once(
        set in set(), buffers in buffers(), practice in practice(4), availability in availability(),
        policy in policy(),
    ) {
        let from = set.zone().resolve(set.start()).0;
        let candidate = Candidate { set: &set, buffers, from };
        let calendar = practice.calendar();
        let asked = alternatives(candidate, &calendar, &availability, policy, from - TimeDelta::days(30), 12).unwrap();
        prop_assert_eq!(asked.free + asked.dates.len(), asked.of);
        let year = Window::new(from, from + TimeDelta::days(366 * 20)).unwrap();
        let mut own = expanded(&keeping(&set), year);
        own.retain(|at| !at.cancelled);
        own.truncate(12);
        prop_assert!(asked.of <= 12 && asked.of >= own.len());
        let Some(last) = own.last() else { return Ok(()) };
        let mut clashing = BTreeSet::new();
        each_clash(candidate, last.start + TimeDelta::seconds(1), &calendar, &availability, |found| {
            clashing.insert(found.recurrence_id);
        }).unwrap();
        let not_free: BTreeSet<LocalDateTime> = asked.dates.iter()
            .filter(|date| date.start <= last.start && !date.obstacles.is_empty())
            .map(|date| date.recurrence_id)
            .collect();
        let early = |date: &&LocalDateTime| asked.dates.iter().any(|asked| {
            asked.recurrence_id == **date && matches!(asked.obstacles[..], [Obstacle::Notice { .. }])
        });
        let only_late: BTreeSet<LocalDateTime> = not_free.iter().filter(early).copied().collect();
        prop_assert!(clashing.is_subset(&not_free));
        prop_assert!(not_free.iter().all(|date| clashing.contains(date) || only_late.contains(date)));

        let moved: Vec<(LocalDateTime, Remedy)> = asked.dates.iter()
            .map(|date| (date.recurrence_id, date.instead.map_or(Remedy::Skip, Remedy::MoveTo)))
            .collect();
        // An override of what the rule does not generate is shown, but is no date of it.
        let Ok(settled) = remedied(&set, &moved) else { return Ok(()) };
        let touched: BTreeSet<LocalDateTime> = moved.iter().map(|(date, _)| *date).collect();
        let mut left = Vec::new();
        let wide = Candidate { set: &settled, from: from - TimeDelta::days(5), ..candidate };
        each_clash(wide, last.start + TimeDelta::days(5), &calendar, &availability, |found| {
            if touched.contains(&found.recurrence_id) {
                left.push(found);
            }
        }).unwrap();
        prop_assert_eq!(left, Vec::new());
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

    #[test]
    fn no_order_of_using_credits_reaches_further(
        dates in vec(0..400_i64, 0..14),
        lots in vec((0..5_u32, 0..300_i64, prop::option::of(0..200_i64)), 0..5),
    ) {
        let at = |hours: i64| DateTime::UNIX_EPOCH + TimeDelta::hours(hours);
        let mut dates = dates;
        dates.sort_unstable();
        let credits: Vec<Credits> = lots.iter().map(|(count, from, length)| Credits {
            count: *count,
            from: at(*from),
            until: length.map(|length| at(from + length)),
        }).collect();
        let found = first_unfunded(dates.iter().map(|hours| at(*hours)), &credits);
        // One unit each, matched to dates along alternating paths; the first date that cannot be.
        let units: Vec<(i64, i64)> = lots.iter()
            .flat_map(|(count, from, length)| {
                let until = length.map_or(i64::MAX, |length| from + length);
                std::iter::repeat_n((*from, until), usize::try_from(*count).unwrap())
            })
            .collect();
        let mut owner: Vec<Option<usize>> = vec![None; units.len()];
        let unfunded = (0..dates.len()).find(|index| !matched(*index, &dates, &units, &mut owner, &mut BTreeSet::new()));
        prop_assert_eq!(found, unfunded.map(|index| at(dates[index])));
    }
}

fn matched(
    date: usize,
    dates: &[i64],
    units: &[(i64, i64)],
    owner: &mut Vec<Option<usize>>,
    seen: &mut BTreeSet<usize>,
) -> bool {
    for (unit, (from, until)) in units.iter().enumerate() {
        if *from <= dates[date] && dates[date] < *until && seen.insert(unit) {
            let other = owner[unit];
            if other.is_none_or(|other| matched(other, dates, units, owner, seen)) {
                owner[unit] = Some(date);
                return true;
            }
        }
    }
    false
}

#[test]
fn the_nearest_slot_comes_first_when_it_is_asked_for() {
    let always = Availability::always("Europe/London".parse().unwrap());
    let start: DateTime<Utc> = "2026-03-02T10:00:00Z".parse().unwrap();
    let window = Window::new(start, start + TimeDelta::hours(3)).unwrap();
    let policy = SlotPolicy::new(50, 60).unwrap();
    let wanted = Ranking::NearestTo(start + TimeDelta::minutes(90));
    let found = free_slots(&Calendar::default(), &always, policy, start, window, wanted).unwrap();
    let hours: Vec<u32> = found.iter().map(|slot| slot.start.hour()).collect();
    assert_eq!(hours, [11, 12, 10]);
    let long = Window::new(start, start + TimeDelta::days(367)).unwrap();
    let refused = free_slots(&Calendar::default(), &always, policy, start, long, wanted);
    assert_eq!(refused, Err(SearchError::TooLong { days: 367 }));
}

#[test]
fn an_hour_that_comes_twice_is_listed_once_and_one_that_is_skipped_never() {
    let policy = SlotPolicy::new(30, 30).unwrap();
    // Zone, a window around its change, what is listed in it, and the instant that comes again.
    for (zone, from, hours, listed, again) in [
        (
            "Europe/London",
            "2026-10-25T00:00:00Z",
            3,
            &["01:00", "01:30", "02:00", "02:30"][..],
            Some(("2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z")),
        ),
        (
            "America/New_York",
            "2026-11-01T05:00:00Z",
            3,
            &["01:00", "01:30", "02:00", "02:30"],
            Some(("2026-11-01T06:00:00Z", "2026-11-01T05:00:00Z")),
        ),
        (
            "Europe/London",
            "2026-03-29T00:00:00Z",
            2,
            &["00:00", "00:30", "02:00", "02:30"],
            None,
        ),
        (
            "America/New_York",
            "2026-03-08T06:00:00Z",
            2,
            &["01:00", "01:30", "03:00", "03:30"],
            None,
        ),
    ] {
        let zone: Zone = zone.parse().unwrap();
        let always = Availability::always(zone);
        let calendar = Calendar::default();
        let start: DateTime<Utc> = from.parse().unwrap();
        let window = Window::new(start, start + TimeDelta::hours(hours)).unwrap();
        let ranking = Ranking::Earliest;
        let found = free_slots(&calendar, &always, policy, start, window, ranking).unwrap();
        let walls = found.iter().map(|slot| zone.local(slot.start));
        let walls: Vec<LocalDateTime> = walls.collect();
        let times: Vec<String> = walls
            .iter()
            .map(|wall| wall.naive().format("%H:%M").to_string())
            .collect();
        assert_eq!(times, listed, "{zone}");
        // Booking by the wall time gives exactly the slot.
        for (slot, wall) in found.iter().zip(walls) {
            let booked = RecurrenceSet::new(wall, zone, 30).unwrap();
            let booked = booked.overlapping(window).unwrap();
            assert_eq!(booked[0].start, slot.start);
        }
        if let Some((again, first)) = again {
            let first = first.parse().unwrap();
            let again = again.parse().unwrap();
            let explained = explain(&calendar, &always, policy, start, again).unwrap();
            assert_eq!(explained, [Obstacle::Repeated { first }]);
        }
    }
}

#[test]
fn a_slot_that_ends_after_the_zone_data_is_an_error_and_the_last_before_is_listed() {
    let always = Availability::always("UTC".parse().unwrap());
    let calendar = Calendar::default();
    let policy = SlotPolicy::new(60, 30).unwrap();
    let (now, end) = (DateTime::UNIX_EPOCH, END_OF_ZONE_DATA);
    let hour =
        |minutes: i64| Window::new(end - TimeDelta::hours(2), end - TimeDelta::minutes(minutes));
    let list = |minutes: i64| {
        let window = hour(minutes).unwrap();
        free_slots(&calendar, &always, policy, now, window, Ranking::Earliest)
    };
    let last = end - TimeDelta::minutes(60);
    assert_eq!(
        list(59).unwrap_err(),
        SetError::BeyondZoneData {
            end: end - TimeDelta::minutes(59)
        }
        .into()
    );
    assert_eq!(list(60).unwrap().len(), 2);
    let explained = explain(&calendar, &always, policy, now, last);
    assert_eq!(explained, Ok(Vec::new()));
    let explained = explain(
        &calendar,
        &always,
        policy,
        now,
        last + TimeDelta::minutes(30),
    );
    assert!(matches!(explained, Err(SetError::BeyondZoneData { .. })));
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
fn trap_an_appointment_that_straddles_the_window_keeps_its_slots() {
    let always = Availability::always("UTC".parse().unwrap());
    let start: LocalDateTime = "2026-03-01T23:30:00".parse().unwrap();
    let night = RecurrenceSet::new(start, "UTC".parse().unwrap(), 60).unwrap();
    let buffers = Buffers::new(0, 15).unwrap();
    let calendar = Calendar::default().with(IntentId(Uuid::nil()), &night, buffers);
    let now = "2026-02-01T00:00:00Z".parse().unwrap();
    let midnight: DateTime<Utc> = "2026-03-02T00:00:00Z".parse().unwrap();
    let window = Window::new(midnight, midnight + TimeDelta::hours(1)).unwrap();
    let policy = SlotPolicy::new(30, 15).unwrap();
    let found = free_slots(&calendar, &always, policy, now, window, Ranking::Earliest).unwrap();
    let starts: Vec<u32> = found.iter().map(|slot| slot.start.minute()).collect();
    assert_eq!(starts, [45]);
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
