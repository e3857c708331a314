//! Certificates and clashes against a comparison of everything with everything.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::availability::Availability;
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::proof::{
    Candidate, Certificate, Clashes, Obstacle, Unproven, each_clash, prove,
};
use scheduler_core::set::{Deviations, SetError};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, LocalDateTime, Override, RecurrenceSet, Window};
use uuid::Uuid;

use crate::days::{Practice, availability, buffers, compared, practice, set};
use crate::expansion_laws::cases;

/// Every clash of the candidate's dates before an instant, found once each.
fn all_clashes(
    candidate: Candidate<'_>,
    until: DateTime<Utc>,
    practice: &Practice,
    availability: &Availability,
) -> (BTreeSet<(LocalDateTime, Obstacle)>, Vec<DateTime<Utc>>) {
    let mut found = BTreeSet::new();
    let mut starts = Vec::new();
    each_clash(
        candidate,
        until,
        &practice.calendar(),
        availability,
        |clash| {
            assert!(
                found.insert((clash.recurrence_id, clash.obstacle)),
                "twice: {clash:?}"
            );
            starts.push(clash.start);
        },
    )
    .unwrap();
    (found, starts)
}

pub(crate) fn begin(set: &RecurrenceSet, days: i64) -> DateTime<Utc> {
    set.zone().resolve(set.start()).0 + TimeDelta::days(days)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn all_clashes_of_ten_years_are_those_of_a_comparison_of_everything(
        set in set(), buffers in buffers(), practice in practice(4),
        availability in availability(), days in -30..60_i64,
    ) {
        let from = begin(&set, days);
        let candidate = Candidate { set: &set, buffers, from };
        let until = from + TimeDelta::days(3_653);
        let window = Window::new(from, until).unwrap();
        let (found, _) = all_clashes(candidate, until, &practice, &availability);
        let expected = compared(candidate, window, &practice, &availability);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_certificate_holds_in_every_year_there_is(
        set in set(), buffers in buffers(), practice in practice(3),
        availability in availability(),
        samples in prop::collection::vec(0..74_i64 * 365, 12),
    ) {
        let from = begin(&set, 0);
        let candidate = Candidate { set: &set, buffers, from };
        let calendar = practice.calendar();
        let (all, _) = all_clashes(candidate, END_OF_ZONE_DATA, &practice, &availability);
        match prove(candidate, &calendar, &availability) {
            Ok(certificate) => {
                prop_assert!(all.is_empty());
                let forever = certificate == Certificate::Forever;
                prop_assert_eq!(certificate.until(), (!forever).then_some(END_OF_ZONE_DATA));
            }
            Err(Unproven::Clashes(clashes)) => {
                prop_assert_eq!(clashes.count, all.len());
                let dates: BTreeSet<_> = all.iter().map(|clash| clash.0).collect();
                prop_assert_eq!(clashes.dates, dates.len());
                for against in &clashes.against {
                    let first = &against.first;
                    prop_assert_eq!(first.len(), against.count.min(20));
                    prop_assert!(first.is_sorted_by_key(|found| found.start));
                }
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
        for sample in samples {
            let start = from + TimeDelta::days(sample);
            let Ok(window) = Window::new(start, (start + TimeDelta::days(45)).min(END_OF_ZONE_DATA)) else {
                continue;
            };
            let later = Candidate { from: start, ..candidate };
            let (found, _) = all_clashes(later, window.end(), &practice, &availability);
            let expected = compared(candidate, window, &practice, &availability);
            prop_assert!(expected.is_subset(&all));
            prop_assert_eq!(found, expected);
        }
    }
}

pub(crate) fn once(start: &str, zone: &str, minutes: u32) -> RecurrenceSet {
    RecurrenceSet::new(start.parse().unwrap(), zone.parse().unwrap(), minutes).unwrap()
}

pub(crate) fn recurring(start: &str, zone: &str, rule: &str) -> RecurrenceSet {
    once(start, zone, 50).with_rule(rule.parse().unwrap())
}

/// What is proved of a set beside others, all of them without buffers, at any hour of any day.
pub(crate) fn proved(
    set: &RecurrenceSet,
    others: &[RecurrenceSet],
) -> Result<Certificate, Clashes> {
    let calendar = (1..)
        .zip(others)
        .fold(Calendar::default(), |calendar, (number, other)| {
            calendar.with(IntentId(Uuid::from_u128(number)), other, Buffers::NONE)
        });
    let candidate = Candidate {
        set,
        buffers: Buffers::NONE,
        from: begin(set, 0),
    };
    match prove(candidate, &calendar, &Availability::always(set.zone())) {
        Ok(certificate) => Ok(certificate),
        Err(Unproven::Clashes(clashes)) => Err(clashes),
        Err(Unproven::Set(error)) => panic!("{error}"),
    }
}

pub(crate) fn dates(clashes: &Clashes) -> Vec<String> {
    let first = clashes.against.iter().flat_map(|against| &against.first);
    first
        .map(|found| found.recurrence_id.date().to_string())
        .collect()
}

pub(crate) const LONDON: &str = "Europe/London";

#[test]
fn trap_only_the_first_two_dates_of_a_series_are_checked() {
    let mondays = recurring("2026-03-02T18:00:00", LONDON, "FREQ=WEEKLY");
    // A Monday 35 years on, and one that two rhythms reach in the same week after 22 weeks.
    let later = once("2061-03-07T18:30:00", LONDON, 50);
    assert_eq!(
        dates(&proved(&mondays, &[later]).unwrap_err()),
        ["2061-03-07"]
    );
    let rare = recurring(
        "2026-03-02T18:00:00",
        LONDON,
        "FREQ=WEEKLY;INTERVAL=11;COUNT=3",
    );
    let other = recurring(
        "2026-03-16T18:00:00",
        LONDON,
        "FREQ=WEEKLY;INTERVAL=10;COUNT=3",
    );
    let clashes = proved(&rare, &[other]).unwrap_err();
    assert_eq!(dates(&clashes), ["2026-08-03"]);
    assert_eq!((clashes.count, clashes.dates), (1, 1));
}

#[test]
fn trap_a_series_counts_as_busy_from_first_start_to_end() {
    let even = recurring("2026-03-02T18:00:00", LONDON, "FREQ=WEEKLY;INTERVAL=2");
    let odd = recurring("2026-03-09T18:00:00", LONDON, "FREQ=WEEKLY;INTERVAL=2");
    let later = recurring("2026-03-02T18:50:00", LONDON, "FREQ=WEEKLY");
    let certificate = proved(&even, &[odd, later]).unwrap();
    assert_eq!(certificate.until(), Some(END_OF_ZONE_DATA));
}

#[test]
fn trap_occurrences_straddling_an_edge_are_lost() {
    // The candidate begins while the other is running, and the proof begins while it is.
    let other = once("2026-03-02T17:30:00", LONDON, 60);
    let set = once("2026-03-02T18:00:00", LONDON, 60);
    assert!(proved(&set, std::slice::from_ref(&other)).is_err());
    let calendar = Calendar::default().with(IntentId(Uuid::nil()), &other, Buffers::NONE);
    let candidate = Candidate {
        set: &set,
        buffers: Buffers::NONE,
        from: begin(&set, 0) + TimeDelta::minutes(59),
    };
    let always = Availability::always(set.zone());
    assert!(prove(candidate, &calendar, &always).is_err());
    let over = Candidate {
        from: begin(&set, 0) + TimeDelta::minutes(60),
        ..candidate
    };
    assert!(prove(over, &calendar, &always).is_ok());
}

#[test]
fn a_time_that_the_clocks_skip_meets_what_comes_after_it() {
    // 01:30 is 02:30 on the last Sunday in March, and on no other day of the year.
    let early = recurring("2026-03-01T01:30:00", LONDON, "FREQ=WEEKLY;COUNT=60");
    let late = recurring("2026-03-01T02:30:00", LONDON, "FREQ=WEEKLY");
    let clashes = proved(&early, std::slice::from_ref(&late)).unwrap_err();
    assert_eq!(dates(&clashes), ["2026-03-29", "2027-03-28"]);
    assert_eq!(
        dates(&proved(&late, &[early]).unwrap_err()),
        ["2026-03-29", "2027-03-28"]
    );
}

#[test]
fn two_zones_meet_where_their_clocks_are_an_hour_closer() {
    // 18:00 in London is 13:00 in New York, but 14:00 for two weeks in March and one in autumn.
    let london = recurring("2026-03-02T18:00:00", LONDON, "FREQ=WEEKLY;COUNT=52");
    let york = recurring("2026-03-02T14:00:00", "America/New_York", "FREQ=WEEKLY");
    let clashes = proved(&london, &[york]).unwrap_err();
    assert_eq!(
        dates(&clashes),
        ["2026-03-09", "2026-03-16", "2026-03-23", "2026-10-26"]
    );
}

#[test]
fn it_is_for_ever_only_where_clocks_never_change() {
    let utc = |start, rule| recurring(start, "UTC", rule);
    let weekly = utc("2026-03-02T18:00:00", "FREQ=WEEKLY");
    let daily = utc("2026-03-02T17:00:00", "FREQ=DAILY");
    assert_eq!(
        proved(&weekly, std::slice::from_ref(&daily)),
        Ok(Certificate::Forever)
    );
    let london = recurring("2026-03-02T15:00:00", LONDON, "FREQ=WEEKLY");
    let through = proved(&weekly, &[daily.clone(), london]).unwrap();
    assert!(matches!(through, Certificate::ThroughZoneData { .. }));
    // Their beats meet, in years that end before or begin after what is known.
    let monthly = utc("2026-03-11T18:00:00", "FREQ=MONTHLY;BYDAY=2WE");
    assert!(matches!(
        proved(&weekly, &[monthly]),
        Ok(Certificate::ThroughZoneData { .. })
    ));
    let unknown = utc("2150-03-02T18:00:00", "FREQ=DAILY");
    assert!(matches!(
        proved(&weekly, &[unknown]),
        Ok(Certificate::ThroughZoneData { .. })
    ));
}

#[test]
fn what_is_too_much_is_decided_for_ten_years_or_not_at_all() {
    let set = recurring("2026-03-02T18:00:30", LONDON, "FREQ=WEEKLY");
    let dense = once("2026-03-02T00:00:00", LONDON, 1);
    let minutely = |rule: &str| dense.clone().with_rule(rule.parse().unwrap());
    let clashes = proved(&set, &[minutely("FREQ=MINUTELY;INTERVAL=5")]).unwrap_err();
    assert_eq!(clashes.until, begin(&set, 3_653));
    let candidate = Candidate {
        set: &minutely("FREQ=MINUTELY"),
        buffers: Buffers::NONE,
        from: begin(&dense, 0),
    };
    let answer = prove(
        candidate,
        &Calendar::default(),
        &Availability::always(dense.zone()),
    );
    // A minute each, back to back: nothing meets, and nothing has to be computed for it.
    assert!(answer.is_ok());
    let with_buffers = Candidate {
        buffers: Buffers::new(1, 0).unwrap(),
        ..candidate
    };
    let answer = prove(
        with_buffers,
        &Calendar::default(),
        &Availability::always(dense.zone()),
    );
    assert_eq!(answer, Err(Unproven::Set(SetError::TooManyOccurrences)));
}

#[test]
fn the_last_night_of_the_zone_data_is_compared_and_nothing_after_it() {
    // 23:30 to 01:00 on the last day of 2099, and the two sides of its midnight.
    let nights = once("2099-12-30T23:30:00", "UTC", 90);
    let nights = nights.with_rule("FREQ=DAILY".parse().unwrap());
    let morning = once("2099-12-31T00:30:00", "UTC", 60);
    let evening = once("2099-12-31T23:00:00", "UTC", 60);
    let after = once("2100-01-01T00:00:00", "UTC", 60);
    let clashes = proved(&nights, &[morning, evening, after.clone()]).unwrap_err();
    assert_eq!((clashes.count, clashes.dates), (2, 2));
    assert_eq!(dates(&clashes), ["2099-12-30", "2099-12-31"]);
    let candidate = Candidate {
        set: &after,
        buffers: Buffers::NONE,
        from: begin(&after, 0),
    };
    let end = END_OF_ZONE_DATA;
    let answer = prove(
        candidate,
        &Calendar::default(),
        &Availability::always(after.zone()),
    );
    assert_eq!(answer, Err(Unproven::Set(SetError::BeyondZoneData { end })));
}

#[test]
fn a_date_with_a_length_of_its_own_meets_what_the_others_do_not() {
    // The third Monday lasts till nine, over buffers, and one moved by hand lies on another.
    let mondays = recurring("2026-03-02T18:00:00", LONDON, "FREQ=WEEKLY");
    let longer = Override {
        minutes: Some(180),
        ..Override::default()
    };
    let moved = Override {
        start: Some("2026-04-07T09:30:00".parse().unwrap()),
        ..Override::default()
    };
    let mut deviations = Deviations::default();
    deviations
        .overrides
        .insert("2026-03-16T18:00:00".parse().unwrap(), longer);
    deviations
        .overrides
        .insert("2026-04-06T18:00:00".parse().unwrap(), moved);
    let mondays = mondays.with_deviations(deviations).unwrap();
    let later = recurring("2026-03-02T20:30:00", LONDON, "FREQ=WEEKLY");
    let tuesdays = recurring("2026-03-03T09:00:00", LONDON, "FREQ=WEEKLY");
    let clashes = proved(&mondays, &[later.clone(), tuesdays.clone()]).unwrap_err();
    assert_eq!(dates(&clashes), ["2026-03-16", "2026-04-06"]);
    assert_eq!((clashes.count, clashes.dates), (2, 2));
    assert_eq!(
        proved(&later, std::slice::from_ref(&mondays))
            .unwrap_err()
            .count,
        1
    );
    assert_eq!(proved(&tuesdays, &[mondays]).unwrap_err().count, 1);
}
