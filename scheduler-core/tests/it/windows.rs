//! Windows by effective interval.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use scheduler_core::set::{Deviations, Lookup, Occurrence, SetError};
use scheduler_core::zone::Resolution;
use scheduler_core::{GapPolicy, LocalDateTime, Override, RecurrenceSet, Window};

use crate::random::{offset, weekly};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_window_is_what_overlaps_it(weekly in weekly(), from in offset(), length in 1..80_000_i64) {
        let window = weekly.window(from, length);
        let set = weekly.set();
        let found: Vec<_> = set
            .overlapping(window)
            .unwrap()
            .into_iter()
            .map(|occurrence| (occurrence.recurrence_id, occurrence.start, occurrence.cancelled))
            .collect();
        let expected: Vec<_> = weekly
            .worked_out()
            .into_iter()
            .filter(|(_, start, _)| window.overlaps(*start, set.end_of(*start)))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_first_from_an_instant_is_the_first_of_all(weekly in weekly(), from in offset()) {
        let from = weekly.window(from, 1).start();
        let first = weekly.set().first_from(from, |_| true).map(|found| (found.recurrence_id, found.start));
        let expected = weekly
            .worked_out()
            .into_iter()
            .find(|(_, start, cancelled)| *start >= from && !cancelled)
            .map(|(at, start, _)| (at, start));
        prop_assert_eq!(first, expected);
    }

    #[test]
    fn whatever_a_window_shows_can_be_looked_up(weekly in weekly(), from in offset()) {
        let set = weekly.set();
        let excluded = &set.deviations().exclusions;
        for shown in set.overlapping(weekly.window(from, 40_000)).unwrap() {
            if !excluded.contains(&shown.recurrence_id) {
                prop_assert_eq!(set.lookup(shown.recurrence_id), Lookup::Occurrence(shown));
            }
        }
    }
}

fn set(start: &str, zone: &str, rule: &str) -> RecurrenceSet {
    RecurrenceSet::new(start.parse().unwrap(), zone.parse().unwrap(), 30)
        .unwrap()
        .with_rule(rule.parse().unwrap())
}

fn window(from: &str, to: &str) -> Window {
    Window::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
}

fn shown(occurrences: &[Occurrence]) -> Vec<(String, String)> {
    let instant = |at: DateTime<Utc>| at.format("%FT%RZ").to_string();
    occurrences
        .iter()
        .map(|occurrence| {
            (
                occurrence.recurrence_id.to_string(),
                instant(occurrence.start),
            )
        })
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(at, start)| ((*at).to_owned(), (*start).to_owned()))
        .collect()
}

#[test]
fn a_skipped_wall_time_is_shifted_once_and_counted() {
    let daily = set(
        "2026-03-07T02:30:00",
        "America/New_York",
        "FREQ=DAILY;COUNT=3",
    );
    let found = daily
        .overlapping(window("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"))
        .unwrap();
    assert_eq!(
        shown(&found),
        pairs(&[
            ("2026-03-07T02:30:00", "2026-03-07T07:30Z"),
            ("2026-03-08T02:30:00", "2026-03-08T07:30Z"),
            ("2026-03-09T02:30:00", "2026-03-09T06:30Z"),
        ])
    );
    assert_eq!(found[1].resolution, Resolution::Gap);
    let omitting = daily.with_gap_policy(GapPolicy::Omit);
    let found = omitting
        .overlapping(window("2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"))
        .unwrap();
    assert_eq!(found, []);
}

#[test]
fn two_wall_times_of_one_instant_are_one_occurrence_the_one_that_exists() {
    let hourly = set(
        "2026-03-08T01:00:00",
        "America/New_York",
        "FREQ=HOURLY;COUNT=4",
    );
    let found = hourly
        .overlapping(window("2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"))
        .unwrap();
    assert_eq!(
        shown(&found),
        pairs(&[
            ("2026-03-08T01:00:00", "2026-03-08T06:00Z"),
            ("2026-03-08T03:00:00", "2026-03-08T07:00Z"),
            ("2026-03-08T04:00:00", "2026-03-08T08:00Z"),
        ])
    );
    let dropped = "2026-03-08T02:00:00".parse().unwrap();
    assert_eq!(hourly.lookup(dropped), Lookup::NotGenerated);
}

#[test]
fn midnight_that_a_zone_skips_loses_no_day() {
    let daily = set(
        "2018-11-02T00:30:00",
        "America/Sao_Paulo",
        "FREQ=DAILY;COUNT=4",
    );
    let found = daily
        .overlapping(window("2018-11-01T00:00:00Z", "2018-12-01T00:00:00Z"))
        .unwrap();
    let days: Vec<String> = found
        .iter()
        .map(|occurrence| occurrence.recurrence_id.to_string())
        .collect();
    assert_eq!(
        days,
        [
            "2018-11-02T00:30:00",
            "2018-11-03T00:30:00",
            "2018-11-04T00:30:00",
            "2018-11-05T00:30:00",
        ]
    );
}

#[test]
fn until_is_inclusive_in_each_of_its_forms() {
    let last = |until: &str| {
        let rule = format!("FREQ=DAILY;UNTIL={until}");
        let daily = set("2026-06-01T18:00:00", "America/New_York", &rule);
        let found = daily
            .overlapping(window("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"))
            .unwrap();
        found.last().unwrap().recurrence_id.date().to_string()
    };
    assert_eq!(last("20260605"), "2026-06-05");
    assert_eq!(last("20260605T180000"), "2026-06-05");
    assert_eq!(last("20260605T175959"), "2026-06-04");
    assert_eq!(last("20260605T220000Z"), "2026-06-05");
    assert_eq!(last("20260605T215959Z"), "2026-06-04");
}

#[test]
fn moved_in_is_in_moved_out_is_out_and_straddling_is_in() {
    let at = |text: &str| text.parse::<LocalDateTime>().unwrap();
    let moved = |to: &str| Override {
        start: Some(at(to)),
        ..Override::default()
    };
    let deviations = Deviations {
        overrides: [
            (at("2026-03-02T10:00:00"), moved("2026-05-01T10:00:00")),
            (at("2026-09-07T10:00:00"), moved("2026-03-04T23:45:00")),
        ]
        .into(),
        ..Deviations::default()
    };
    let weekly = set("2026-03-02T10:00:00", "UTC", "FREQ=WEEKLY")
        .with_deviations(deviations)
        .unwrap();
    let day = |date: &str, next: &str| {
        let midnight = |date: &str| format!("{date}T00:00:00Z");
        shown(
            &weekly
                .overlapping(window(&midnight(date), &midnight(next)))
                .unwrap(),
        )
    };
    assert_eq!(day("2026-03-02", "2026-03-03"), []);
    let straddling = pairs(&[("2026-09-07T10:00:00", "2026-03-04T23:45Z")]);
    assert_eq!(day("2026-03-04", "2026-03-05"), straddling);
    assert_eq!(day("2026-03-05", "2026-03-06"), straddling);
    assert_eq!(day("2026-09-07", "2026-09-08"), []);
    assert_eq!(
        day("2026-05-01", "2026-05-02"),
        pairs(&[("2026-03-02T10:00:00", "2026-05-01T10:00Z")])
    );
}

#[test]
fn what_cannot_be_computed_is_an_error_and_no_silent_end() {
    let weekly = set("2026-03-02T10:00:00", "UTC", "FREQ=WEEKLY");
    let beyond = weekly.overlapping(window("2099-01-01T00:00:00Z", "2100-01-01T00:00:01Z"));
    assert!(matches!(beyond, Err(SetError::BeyondZoneData { .. })));
    let minutely = set("2026-03-02T10:00:00", "UTC", "FREQ=MINUTELY");
    let many = minutely.overlapping(window("2026-03-02T00:00:00Z", "2026-04-02T00:00:00Z"));
    assert_eq!(many, Err(SetError::TooManyOccurrences));
    let zero = RecurrenceSet::new(
        "2026-03-02T10:00:00".parse().unwrap(),
        "UTC".parse().unwrap(),
        0,
    );
    assert_eq!(zero.unwrap_err(), SetError::Minutes { minutes: 0 });
}
