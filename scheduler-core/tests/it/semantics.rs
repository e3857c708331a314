//! Worked examples of the zone stage, and the traps that other engines fell into.

use chrono::{DateTime, Utc};
use scheduler_core::rule::{Expansion, Rule};
use scheduler_core::set::{Deviations, SetError};
use scheduler_core::zone::Resolution;
use scheduler_core::{GapPolicy, Instance, RecurrenceSet, Window};

fn set(start: &str, zone: &str, rule: &str) -> RecurrenceSet {
    RecurrenceSet::new(start.parse().unwrap(), zone.parse().unwrap(), 30)
        .unwrap()
        .with_rule(rule.parse().unwrap())
}

fn window(from: &str, to: &str) -> Window {
    let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
    Window::new(at(from), at(to)).unwrap()
}

fn all(set: &RecurrenceSet) -> Vec<Instance> {
    let life = window("1900-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
    set.compile().within(life).unwrap().take(100).collect()
}

fn texts(set: &RecurrenceSet) -> Vec<(String, String)> {
    let text = |found: Instance| {
        (
            found.recurrence_id.to_string(),
            found.start().format("%m-%dT%H:%MZ").to_string(),
        )
    };
    all(set).into_iter().map(text).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(local, at)| ((*local).to_owned(), (*at).to_owned()))
        .collect()
}

#[test]
fn a_skipped_time_shifts_once_and_counts() {
    let set = set(
        "2026-03-07T02:30:00",
        "America/New_York",
        "FREQ=DAILY;COUNT=3",
    );
    let expected = pairs(&[
        ("2026-03-07T02:30:00", "03-07T07:30Z"),
        ("2026-03-08T02:30:00", "03-08T07:30Z"),
        ("2026-03-09T02:30:00", "03-09T06:30Z"),
    ]);
    assert_eq!(texts(&set), expected);
    assert_eq!(all(&set)[1].resolution, Resolution::Gap);
    let omitted = set.with_gap_policy(GapPolicy::Omit);
    assert_eq!(texts(&omitted), [expected[0].clone(), expected[2].clone()]);
}

#[test]
fn hours_over_a_gap_fall_together_and_the_real_one_stays() {
    let set = set(
        "2026-03-08T01:00:00",
        "America/New_York",
        "FREQ=HOURLY;COUNT=4",
    );
    let expected = pairs(&[
        ("2026-03-08T01:00:00", "03-08T06:00Z"),
        ("2026-03-08T03:00:00", "03-08T07:00Z"),
        ("2026-03-08T04:00:00", "03-08T08:00Z"),
    ]);
    assert_eq!(texts(&set), expected);
}

#[test]
fn two_days_that_february_lacks_are_one_day_of_it() {
    let rule: Rule = "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=30,31;SKIP=BACKWARD"
        .parse()
        .unwrap();
    let expansion = Expansion::new(&rule, "2026-02-01T09:00:00".parse().unwrap());
    let february = expansion.between(
        "2026-02-01T00:00:00".parse().unwrap(),
        "2026-03-01T00:00:00".parse().unwrap(),
    );
    let february: Vec<String> = february.map(|at| at.to_string()).collect();
    assert_eq!(february, ["2026-02-28T09:00:00"]);
}

#[test]
fn a_repeated_time_is_the_first_and_says_so() {
    let set = set(
        "2026-10-31T01:30:00",
        "America/New_York",
        "FREQ=DAILY;COUNT=2",
    );
    let found = all(&set);
    assert_eq!(found[1].resolution, Resolution::Fold);
    assert_eq!(found[1].start().to_rfc3339(), "2026-11-01T05:30:00+00:00");
}

/// `rrule` 0.14 loses these days, and with COUNT runs a day longer.
#[test]
fn midnights_that_do_not_exist_lose_no_day() {
    for (zone, start, day) in [
        (
            "America/Sao_Paulo",
            "2018-11-01T00:30:00",
            "2018-11-04T00:30:00",
        ),
        (
            "America/Havana",
            "2021-03-10T00:30:00",
            "2021-03-14T00:30:00",
        ),
        (
            "America/Havana",
            "2021-11-04T00:30:00",
            "2021-11-07T00:30:00",
        ),
        ("Asia/Beirut", "2022-03-24T00:30:00", "2022-03-27T00:30:00"),
        ("Africa/Cairo", "2023-04-25T00:30:00", "2023-04-28T00:30:00"),
    ] {
        let found = all(&set(start, zone, "FREQ=DAILY;COUNT=7"));
        assert_eq!(found.len(), 7, "{zone}");
        assert!(
            found.iter().any(|at| at.recurrence_id.to_string() == day),
            "{zone}"
        );
        let last = found[6].recurrence_id.seconds() - found[0].recurrence_id.seconds();
        assert_eq!(last, 6 * 86_400, "{zone}");
    }
}

#[test]
fn a_day_that_a_country_skipped_falls_on_the_next() {
    let found = texts(&set(
        "2011-12-28T09:00:00",
        "Pacific/Apia",
        "FREQ=DAILY;COUNT=5",
    ));
    let expected = pairs(&[
        ("2011-12-28T09:00:00", "12-28T19:00Z"),
        ("2011-12-29T09:00:00", "12-29T19:00Z"),
        ("2011-12-31T09:00:00", "12-30T19:00Z"),
        ("2012-01-01T09:00:00", "12-31T19:00Z"),
    ]);
    assert_eq!(found, expected);
}

/// The same by months, where a loop follows the clock changes with a cursor.
#[test]
fn a_skipped_day_of_the_month_is_not_given_twice() {
    let rule = "FREQ=MONTHLY;BYMONTHDAY=29,30,31";
    let compiled = set("2011-12-01T09:00:00", "Pacific/Apia", rule).compile();
    let mut days = Vec::new();
    let december = window("2011-12-01T00:00:00Z", "2012-02-01T00:00:00Z");
    compiled.within(december).unwrap().for_each(|found| {
        days.push(found.recurrence_id.to_basic()[4..8].to_owned());
    });
    assert_eq!(days, ["1229", "1231", "0129", "0130", "0131"]);
}

/// SKIP comes before BYDAY (RFC 7529 §4.1): 31 November is 1 December when weekdays are counted, in
/// the months that the rule names. December is not one of them in the second rule.
#[test]
fn a_weekday_is_counted_in_the_month_that_skip_gave() {
    for (months, expected) in [
        ("11,12", &["2025-12-01T09:00:00", "2031-12-01T09:00:00"][..]),
        ("11", &[]),
    ] {
        let rule = format!(
            "RSCALE=GREGORIAN;SKIP=FORWARD;FREQ=YEARLY;BYMONTH={months};BYMONTHDAY=31;BYDAY=1MO;\
             UNTIL=20350101"
        );
        let found: Vec<String> = all(&set("2023-01-01T09:00:00", "Europe/London", &rule))
            .iter()
            .map(|at| at.recurrence_id.to_string())
            .collect();
        assert_eq!(found, expected, "{months}");
    }
}

#[test]
fn until_is_inclusive_in_all_its_forms() {
    for (until, count) in [
        ("20260308T073000Z", 2),
        ("20260308T072959Z", 1),
        ("20260308T023000", 2),
        ("20260308T022959", 1),
        ("20260308", 2),
        ("20260307", 1),
        ("20260306", 0),
    ] {
        let rule = format!("FREQ=DAILY;UNTIL={until}");
        let set = set("2026-03-07T02:30:00", "America/New_York", &rule);
        assert_eq!(all(&set).len(), count, "{until}");
        assert_eq!(set.compile().ends().is_some(), count > 0, "{until}");
        assert_eq!(set.compile().is_empty(), count == 0, "{until}");
    }
}

#[test]
fn an_exclusion_does_not_refund_count() {
    let mut deviations = Deviations::default();
    deviations
        .exclusions
        .insert("2026-03-08T02:30:00".parse().unwrap());
    deviations
        .additions
        .insert("2026-03-20T10:00:00".parse().unwrap());
    let set = set(
        "2026-03-07T02:30:00",
        "America/New_York",
        "FREQ=DAILY;COUNT=3",
    )
    .with_deviations(deviations)
    .unwrap();
    let compiled = set.compile();
    let found: Vec<String> = all(&set)
        .iter()
        .map(|at| at.recurrence_id.to_string())
        .collect();
    assert_eq!(
        found,
        [
            "2026-03-07T02:30:00",
            "2026-03-09T02:30:00",
            "2026-03-20T10:00:00"
        ]
    );
    for (index, instance) in all(&set).iter().enumerate() {
        assert_eq!(compiled.rank(instance.start()), index as u64);
        assert_eq!(compiled.nth(index as u64).unwrap(), Some(*instance));
    }
    assert_eq!(compiled.nth(3).unwrap(), None);
}

#[test]
fn several_rules_are_one_set() {
    let rules = [
        "FREQ=WEEKLY;BYDAY=MO;COUNT=4",
        "FREQ=MONTHLY;BYMONTHDAY=9;COUNT=2",
    ];
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let start = "2026-03-02T18:00:00".parse().unwrap();
    let set = RecurrenceSet::new(start, "Europe/London".parse().unwrap(), 50)
        .unwrap()
        .with_rules(rules)
        .unwrap();
    let days: Vec<String> = all(&set)
        .iter()
        .map(|found| found.recurrence_id.to_basic()[4..8].to_owned())
        .collect();
    // 9 March is a Monday and the ninth: once.
    assert_eq!(days, ["0302", "0309", "0316", "0323", "0409"]);
    assert_eq!(
        set.compile().rank("2026-03-20T00:00:00Z".parse().unwrap()),
        3
    );
}

#[test]
fn the_end_of_the_zone_data_is_said() {
    let endless = set("2026-03-02T18:00:00", "Europe/London", "FREQ=WEEKLY").compile();
    let late = "2099-12-31T00:00:00Z".parse().unwrap();
    assert!(matches!(
        endless.next_after(late),
        Err(SetError::BeyondZoneData { .. })
    ));
    assert!(matches!(
        endless.nth(1_000_000),
        Err(SetError::BeyondZoneData { .. })
    ));
    assert_eq!(endless.ends(), None);
    let beyond = window("2099-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    assert!(matches!(
        endless.within(beyond),
        Err(SetError::BeyondZoneData { .. })
    ));
    let ended = set(
        "2026-03-02T18:00:00",
        "Europe/London",
        "FREQ=WEEKLY;COUNT=2",
    )
    .compile();
    assert_eq!(ended.next_after(late), Ok(None));
    assert_eq!(ended.nth(2), Ok(None));
    assert_eq!(
        ended.ends().unwrap().recurrence_id.to_string(),
        "2026-03-09T18:00:00"
    );
}

#[test]
fn what_can_never_be_is_empty() {
    for rule in [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2",
        "FREQ=SECONDLY;BYSETPOS=2",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=17",
        "FREQ=SECONDLY;INTERVAL=86400;BYHOUR=17",
        "FREQ=HOURLY;INTERVAL=168;BYDAY=SU",
        "FREQ=DAILY;INTERVAL=7;BYDAY=SU",
        "FREQ=MINUTELY;INTERVAL=60;BYMINUTE=30",
    ] {
        let set = set("2026-03-02T18:00:00", "Europe/London", rule);
        assert!(set.compile().is_empty(), "{rule}");
        assert!(all(&set).is_empty(), "{rule}");
    }
}

#[test]
fn iteration_resumes_by_value() {
    let compiled = set("2026-03-02T18:00:00", "Europe/London", "FREQ=DAILY").compile();
    let mut running = compiled
        .within(window("2026-03-20T00:00:00Z", "2026-04-20T00:00:00Z"))
        .unwrap();
    let first: Vec<Instance> = running.by_ref().take(10).collect();
    let saved = running.rest().unwrap();
    let rest: Vec<Instance> = compiled.within(saved).unwrap().collect();
    assert_eq!(first.len() + rest.len(), 31);
    assert_eq!(rest, running.collect::<Vec<_>>());
}

#[test]
fn the_edges_of_the_calendar_are_no_trap() {
    for start in [
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59",
        "9999-12-01T00:00:00",
    ] {
        for freq in [
            "SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY",
        ] {
            for rest in [
                "",
                ";INTERVAL=4294967295",
                ";BYMONTH=12;BYMONTHDAY=31,-1",
                ";WKST=SU;BYDAY=SU",
                ";BYHOUR=23;BYMINUTE=59;BYSECOND=60;BYSETPOS=-1",
                ";COUNT=4294967295",
            ] {
                let Ok(rule) = format!("FREQ={freq}{rest}").parse::<Rule>() else {
                    continue;
                };
                let start = start.parse().unwrap();
                let expansion = Expansion::new(&rule, start);
                let forward: Vec<_> = expansion.iter().take(5).collect();
                let backward: Vec<_> = expansion.iter().rev().take(5).collect();
                assert!(forward.iter().all(|at| *at >= start), "{rule}");
                assert_eq!(forward.is_empty(), backward.is_empty(), "{rule}");
                if let Some(last) = backward.first() {
                    assert_eq!(
                        expansion.nth(expansion.rank(*last)),
                        Some(*last),
                        "{rule} {start}"
                    );
                }
            }
        }
    }
}
