//! Sets as text, in and out, and rules as English.

use proptest::prelude::*;
use scheduler_core::rule::english;
use scheduler_core::set::{Deviations, SetError};
use scheduler_core::{Instance, LocalDateTime, RecurrenceSet, SetTextError, Window, Zone};

use crate::expansion_laws::{cases, rules};
use crate::naive::Freq;

fn read(text: &str) -> Result<RecurrenceSet, SetTextError> {
    RecurrenceSet::from_text(text, 50)
}

fn exclusions(text: &str) -> Vec<String> {
    read(text)
        .unwrap()
        .deviations()
        .exclusions
        .iter()
        .map(|at| at.to_basic())
        .collect()
}

const DAILY: &str = "DTSTART;TZID=America/New_York:20260301T023000\nRRULE:FREQ=DAILY\n";

#[test]
fn exclusions_are_met_however_they_are_given() {
    for (line, excluded) in [
        (
            "EXDATE;TZID=America/New_York:20260305T023000",
            "20260305T023000",
        ),
        ("EXDATE:20260305T023000", "20260305T023000"),
        ("EXDATE:20260305T073000Z", "20260305T023000"),
        (
            "EXDATE;TZID=Europe/Berlin:20260305T083000",
            "20260305T023000",
        ),
        // The shifted occurrence, by its instant.
        ("EXDATE:20260308T073000Z", "20260308T023000"),
        ("EXDATE;VALUE=DATE:20260308", "20260308T023000"),
        // No occurrence at that instant: its wall time.
        ("EXDATE:20260305T100000Z", "20260305T050000"),
    ] {
        assert_eq!(exclusions(&format!("{DAILY}{line}")), [excluded], "{line}");
    }
    let hourly = "DTSTART;TZID=Europe/London:20260301T000000\nRRULE:FREQ=HOURLY;INTERVAL=6\nEXDATE;VALUE=DATE:20260302";
    assert_eq!(exclusions(hourly).len(), 4);
}

/// `rrule` 0.14 prints an exclusion without its zone, and the excluded date is back.
#[test]
fn an_excluded_date_stays_excluded_in_text() {
    let set = read(&format!(
        "{DAILY}EXDATE;TZID=America/New_York:20260305T023000"
    ))
    .unwrap();
    let expected = "DTSTART;TZID=America/New_York:20260301T023000\r\nRRULE:FREQ=DAILY\r\n\
        EXDATE;TZID=America/New_York:20260305T023000\r\n";
    assert_eq!(set.to_text(), expected);
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error("RRULE:FREQ=DAILY").contains("DTSTART is given 0 times"));
    assert!(error(&format!("{DAILY}{DAILY}")).contains("DTSTART is given 2 times"));
    assert!(error("DTSTART:20260301T023000").contains("20260301T023000 has no time zone"));
    assert!(error(&format!("{DAILY}EXRULE:FREQ=DAILY")).contains("EXRULE"));
    assert!(error(&format!("{DAILY}EXDATE:2026")).contains("EXDATE cannot be \"2026\""));
    assert!(error(&format!("{DAILY}RDATE;VALUE=PERIOD:2026")).contains("VALUE=PERIOD"));
    assert!(
        error(&format!("{DAILY}RRULE:FREQ=DAILY;BYHOUR=24")).contains("BYHOUR cannot be \"24\"")
    );
    assert!(error("DTSTART;TZID=Mars/Olympus:20260301T023000").contains("Mars/Olympus"));
    let seconds = "DTSTART:20260301T000000Z\nRRULE:FREQ=SECONDLY\nEXDATE;VALUE=DATE:20260302";
    assert_eq!(
        read(seconds),
        Err(SetTextError::Set(SetError::TooManyDeviations))
    );
}

const ALL: &[Freq] = &[
    Freq::Secondly,
    Freq::Hourly,
    Freq::Daily,
    Freq::Weekly,
    Freq::Monthly,
    Freq::Yearly,
];

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_round_trip_is_the_identity(
        parts in proptest::collection::vec(rules(ALL), 0..3),
        start in 0i64..4_000_000_000,
        added in proptest::collection::btree_set(0i64..4_000_000_000, 0..20),
        excluded in proptest::collection::btree_set(0i64..4_000_000_000, 0..20),
        zone in proptest::sample::select(vec!["Europe/London", "UTC", "Pacific/Apia"]),
    ) {
        let local = |seconds: i64| LocalDateTime::from_seconds(seconds).unwrap();
        let rules = parts.iter().map(|rule| rule.to_string().parse().unwrap()).collect();
        let deviations = Deviations {
            additions: added.into_iter().map(local).collect(),
            exclusions: excluded.into_iter().map(local).collect(),
            ..Deviations::default()
        };
        let set = RecurrenceSet::new(local(start), zone.parse::<Zone>().unwrap(), 50).unwrap()
            .with_rules(rules).unwrap()
            .with_deviations(deviations).unwrap();
        let text = set.to_text();
        prop_assert!(text.lines().all(|line| line.len() <= 75));
        prop_assert_eq!(read(&text).unwrap(), set, "{}", text);
    }
}

#[test]
fn english_is_right_or_absent() {
    let at_six = |start: &str, zone: &str, rule: &str| {
        let set = RecurrenceSet::new(start.parse().unwrap(), zone.parse().unwrap(), 50).unwrap();
        english(&set.with_rule(rule.parse().unwrap()))
    };
    for (rule, expected) in [
        ("FREQ=DAILY", "every day at 18:00, London time"),
        (
            "FREQ=DAILY;INTERVAL=3",
            "every 3 days at 18:00, London time",
        ),
        ("FREQ=WEEKLY", "every Tuesday at 18:00, London time"),
        (
            "FREQ=WEEKLY;INTERVAL=2",
            "every other week on Tuesday at 18:00, London time",
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU",
            "every other week on Tuesday and Sunday (weeks begin on Monday) at 18:00, London time",
        ),
        (
            "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
            "every weekday (Monday to Friday) at 18:00, London time",
        ),
        (
            "FREQ=WEEKLY;BYHOUR=9,18",
            "every Tuesday at 09:00 and 18:00, London time",
        ),
        (
            "FREQ=MONTHLY;BYDAY=2TU",
            "every second Tuesday of the month at 18:00, London time",
        ),
        (
            "FREQ=MONTHLY;BYDAY=-1FR",
            "every last Friday of the month at 18:00, London time",
        ),
        (
            "FREQ=MONTHLY",
            "on the 13th of every month at 18:00, London time",
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=31",
            "on the 31st of every month that has one at 18:00, London time",
        ),
        (
            "FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=-1",
            "every 3 months on the last day at 18:00, London time",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "every last weekday (Monday to Friday) of the month at 18:00, London time",
        ),
        (
            "FREQ=YEARLY",
            "every year on 13 January at 18:00, London time",
        ),
        (
            "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
            "every year on the last Sunday of October at 18:00, London time",
        ),
        (
            "FREQ=WEEKLY;COUNT=10",
            "every Tuesday at 18:00, London time, 10 times",
        ),
        // Through the 26th at noon is through the 20th.
        (
            "FREQ=WEEKLY;UNTIL=20260127T120000Z",
            "every Tuesday at 18:00, London time, the last on 20 January 2026",
        ),
    ] {
        let found = at_six("2026-01-13T18:00:00", "Europe/London", rule);
        assert_eq!(found.as_deref(), Some(expected), "{rule}");
    }
    for rule in [
        "FREQ=WEEKLY;BYMONTH=2",
        "FREQ=MONTHLY;BYDAY=5MO",
        "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR",
        "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=31",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYDAY=20MO",
        "FREQ=YEARLY;BYWEEKNO=20",
        "FREQ=MINUTELY;INTERVAL=15",
        "FREQ=DAILY;BYSECOND=1",
        "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=BACKWARD",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=9,18",
        "FREQ=WEEKLY;UNTIL=20250101",
    ] {
        assert_eq!(
            at_six("2026-01-13T18:00:00", "Europe/London", rule),
            None,
            "{rule}"
        );
    }
    let in_utc = at_six("2026-01-13T18:00:00", "UTC", "FREQ=DAILY");
    assert_eq!(in_utc.as_deref(), Some("every day at 18:00, UTC"));
}

#[test]
fn sets_and_places_in_them_are_data() {
    let text = format!("{DAILY}EXDATE:20260305T073000Z\nRDATE:20260305T100000Z");
    let set = read(&text)
        .unwrap()
        .with_gap_policy(scheduler_core::GapPolicy::Omit);
    let json = serde_json::to_string(&set).unwrap();
    assert_eq!(
        json,
        r#"{"start":"2026-03-01T02:30:00","zone":"America/New_York","minutes":50,"gap":"omit","rules":["FREQ=DAILY"],"deviations":{"additions":["2026-03-05T05:00:00"],"exclusions":["2026-03-05T02:30:00"]}}"#
    );
    assert_eq!(serde_json::from_str::<RecurrenceSet>(&json).unwrap(), set);
    let refused = json.replace(":50", ":0");
    assert!(serde_json::from_str::<RecurrenceSet>(&refused).is_err());

    let compiled = set.compile();
    let window = r#"{"start":"2026-03-04T00:00:00Z","end":"2026-03-20T00:00:00Z"}"#;
    let window: Window = serde_json::from_str(window).unwrap();
    let mut running = compiled.within(window).unwrap();
    let third = running.nth(2).unwrap();
    let saved = serde_json::to_string(&running.rest()).unwrap();
    let resumed: Window = serde_json::from_str(&saved).unwrap();
    assert_eq!(compiled.within(resumed).unwrap().next(), running.next());
    let third_as_data = serde_json::to_string(&third).unwrap();
    assert_eq!(
        serde_json::from_str::<Instance>(&third_as_data).unwrap(),
        third
    );
}
