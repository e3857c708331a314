//! Slots against everything that could refuse them, looked at start by start.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::availability::Availability;
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::forecast::{Credits, first_unfunded};
use scheduler_core::proof::{Candidate, Obstacle, Remedy, each_clash, remedied};
use scheduler_core::set::SetError;
use scheduler_core::slots::{Ranking, SearchError, SlotPolicy, alternatives, explain, free_slots};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, LocalDateTime, RecurrenceSet, Window, Zone};
use uuid::Uuid;

use crate::days::{Practice, availability, buffers, expanded, in_the_way, keeping, practice, set};
use crate::expansion_laws::cases;

pub(crate) fn policy() -> impl Strategy<Value = SlotPolicy> {
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
pub(crate) fn refusals(
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
pub(crate) fn windows() -> impl Strategy<Value = Window> {
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
