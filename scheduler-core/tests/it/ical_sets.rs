//! Sets of an intent from what was read.

use scheduler_core::ical::{self, Reason};
use scheduler_core::{Window, Zone};

use crate::ical_files::NEXTCLOUD;

fn series(events: &str) -> ical::Series {
    let text = format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n");
    let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
    calendar.series()[0].clone()
}

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\nUID:a\n{lines}\nEND:VEVENT\n")
}

/// The starts of all sets in 2026, in order, cancelled ones not.
fn starts(series: &ical::Series) -> Vec<String> {
    let year = Window::new(
        "2026-01-01T00:00:00Z".parse().unwrap(),
        "2027-01-01T00:00:00Z".parse().unwrap(),
    )
    .unwrap();
    let sets = series.to_sets().unwrap();
    let all = sets.iter().flat_map(|set| set.overlapping(year).unwrap());
    let live = all.filter(|one| !one.cancelled);
    live.map(|one| one.start.format("%m-%d %H:%M").to_string())
        .collect()
}

#[test]
fn a_range_opens_a_segment() {
    let text = NEXTCLOUD.as_bytes();
    let calendar = ical::parse(text, Zone::UTC).unwrap();
    let series = &calendar.series()[0];
    let sets = series.to_sets().unwrap();
    let rules: Vec<String> = sets
        .iter()
        .map(|set| set.rule().unwrap().to_string())
        .collect();
    assert_eq!(rules, ["FREQ=WEEKLY;COUNT=6", "FREQ=WEEKLY;COUNT=4"]);
    assert_eq!(
        sets[0].deviations().ends.unwrap().to_basic(),
        "20260316T160000"
    );
    assert_eq!((sets[0].minutes(), sets[1].minutes()), (50, 60));
    assert_eq!(
        starts(series),
        [
            "03-02 15:00",
            "03-09 15:00",
            "03-17 16:30",
            "03-24 16:30",
            "04-07 15:30"
        ]
    );
}

/// What a range makes of a rule, for rules that can and cannot be moved along.
#[test]
fn a_range_moves_rule_exclusions_and_end() {
    let range = |id: &str, start: &str| {
        event(&format!(
            "RECURRENCE-ID;RANGE=THISANDFUTURE:{id}\nDTSTART:{start}\nDURATION:PT1H"
        ))
    };
    for (rule, id, start, expected) in [
        (
            "FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20260316T100000Z\nEXDATE:20260311T100000Z",
            "20260309T100000Z",
            "20260310T110000Z",
            &["03-02 10:00", "03-04 10:00", "03-10 11:00", "03-17 11:00"][..],
        ),
        (
            "FREQ=MONTHLY;BYDAY=1MO;COUNT=3",
            "20260406T100000Z",
            "20260406T090000Z",
            &["03-02 10:00", "04-06 09:00", "05-04 09:00"],
        ),
        // The day after a first Monday is no rule, but it ends.
        (
            "FREQ=MONTHLY;BYDAY=1MO;COUNT=3",
            "20260406T100000Z",
            "20260407T100000Z",
            &["03-02 10:00", "04-07 10:00", "05-05 10:00"],
        ),
        // From the first on: there is only one segment.
        (
            "FREQ=DAILY;COUNT=3",
            "20260302T100000Z",
            "20260302T120000Z",
            &["03-02 12:00", "03-03 12:00", "03-04 12:00"],
        ),
    ] {
        let master = event(&format!(
            "DTSTART:20260302T100000Z\nDURATION:PT1H\nRRULE:{rule}"
        ));
        let series = series(&format!("{master}{}", range(id, start)));
        assert_eq!(starts(&series), expected, "{rule}");
    }
    let endless = event("DTSTART:20260302T100000Z\nDURATION:PT1H\nRRULE:FREQ=MONTHLY;BYDAY=1MO");
    let refused = series(&format!(
        "{endless}{}",
        range("20260406T100000Z", "20260407T100000Z")
    ));
    assert_eq!(refused.to_sets().unwrap_err()[0].reason, Reason::NoRule);
}

#[test]
fn deviations_come_along() {
    let master = event(
        "DTSTART;TZID=America/New_York:20260306T023000\nDURATION:PT50M\nRRULE:FREQ=DAILY;COUNT=5\n\
        EXDATE;VALUE=DATE:20260307\nEXDATE:20260308T073000Z,20300101T000000Z\nRDATE;VALUE=PERIOD:20260320T100000Z/PT20M",
    );
    let moved = event("RECURRENCE-ID:20260309T063000Z\nDTSTART:20260309T150000Z\nDURATION:PT80M");
    let series = series(&format!("{master}{moved}"));
    let sets = series.to_sets().unwrap();
    let deviations = sets[0].deviations();
    let exclusions: Vec<String> = deviations
        .exclusions
        .iter()
        .map(|at| at.to_basic())
        .collect();
    assert_eq!(exclusions, ["20260307T023000", "20260308T023000"]);
    let minutes: Vec<Option<u32>> = deviations
        .overrides
        .values()
        .map(|changed| changed.minutes)
        .collect();
    assert_eq!(minutes, [Some(80), Some(20)]);
    assert_eq!(
        starts(&series),
        ["03-06 07:30", "03-09 15:00", "03-10 06:30", "03-20 10:00"]
    );
}

#[test]
fn detached_occurrences_are_a_set_without_a_rule() {
    let one = event("RECURRENCE-ID:20260302T100000Z\nDTSTART:20260302T100000Z\nDURATION:PT50M");
    let other = event("RECURRENCE-ID:20260309T100000Z\nDTSTART:20260310T100000Z\nDURATION:PT20M");
    let series = series(&format!("{one}{other}"));
    assert_eq!(starts(&series), ["03-02 10:00", "03-10 10:00"]);
}

#[test]
fn what_a_booking_cannot_have_is_said() {
    let at = "DTSTART:20260302T100000Z";
    for (lines, reason) in [
        ("DTSTART;VALUE=DATE:20260302".to_owned(), Reason::AllDay),
        (format!("{at}\nDURATION:PT25H"), Reason::Length),
        (format!("{at}\nDURATION:PT90S"), Reason::Length),
        (at.to_owned(), Reason::Length),
        (format!("{at}\nDURATION:P1D"), Reason::NominalLength),
        (
            format!("{at}\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY"),
            Reason::ExceptionRule,
        ),
        (
            format!("{at}\nDURATION:PT1H\nSTATUS:CANCELLED"),
            Reason::Cancelled,
        ),
        (
            // The second 01:30 of the day on which clocks go back.
            "DTSTART;TZID=America/New_York:20261030T013000\nDURATION:PT1H\nRDATE:20261101T063000Z"
                .to_owned(),
            Reason::NoSuchWall {
                zone: "America/New_York".parse().unwrap(),
            },
        ),
    ] {
        let problems = series(&event(&lines)).to_sets().unwrap_err();
        assert_eq!(problems[0].reason, reason, "{lines}");
        assert_eq!(problems[0].uid.as_deref(), Some("a"));
    }
}
