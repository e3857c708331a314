//! What is written, line by line.

use scheduler_core::ical::{self, Header, Outgoing, WriteError};
use scheduler_core::set::Deviations;
use scheduler_core::{GapPolicy, Override, Pause, PausedSlot, RecurrenceSet, Zone};

use crate::ical_round_trip::text_of;

fn set(start: &str, zone: &str, rule: &str) -> RecurrenceSet {
    let set = RecurrenceSet::new(start.parse().unwrap(), zone.parse().unwrap(), 50).unwrap();
    set.with_rule(rule.parse().unwrap())
}

fn with(set: RecurrenceSet, change: impl FnOnce(&mut Deviations)) -> RecurrenceSet {
    let mut deviations = Deviations::default();
    change(&mut deviations);
    set.with_deviations(deviations).unwrap()
}

/// The lines of a name, unfolded.
fn lines<'a>(text: &'a str, name: &'a str) -> Vec<&'a str> {
    text.split("\r\n")
        .filter(|line| line.starts_with(name))
        .collect()
}

fn mondays() -> RecurrenceSet {
    set("2026-03-02T18:00:00", "Europe/London", "FREQ=WEEKLY")
}

#[test]
fn a_series_is_written_as_it_is() {
    let monday = mondays();
    let monday = with(monday, |deviations| {
        deviations
            .exclusions
            .insert("2026-03-09T18:00:00".parse().unwrap());
        deviations
            .additions
            .insert("2026-03-12T10:00:00".parse().unwrap());
        let moved = Override {
            start: Some("2026-03-17T19:00:00".parse().unwrap()),
            minutes: Some(80),
            cancelled: false,
        };
        deviations
            .overrides
            .insert("2026-03-16T18:00:00".parse().unwrap(), moved);
        let cancelled = Override {
            cancelled: true,
            ..Override::default()
        };
        deviations
            .overrides
            .insert("2026-03-23T18:00:00".parse().unwrap(), cancelled);
        deviations.ends = Some("2026-11-02T18:00:00".parse().unwrap());
    });
    let header = Header {
        method: Some("REQUEST"),
        stamp: "2026-01-01T00:00:00Z".parse().unwrap(),
        product: "-//Test//Test//EN",
    };
    let one = Outgoing {
        uid: "a",
        sequence: 7,
        summary: Some("Tea; with, milk"),
        set: &monday,
    };
    let expected = "BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Test//Test//EN
CALSCALE:GREGORIAN
METHOD:REQUEST
BEGIN:VTIMEZONE
TZID:Europe/London
BEGIN:STANDARD
DTSTART:20260228T180000
TZOFFSETFROM:+0000
TZOFFSETTO:+0000
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20260329T010000
TZOFFSETFROM:+0000
TZOFFSETTO:+0100
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:20261025T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0000
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:a
DTSTAMP:20260101T000000Z
SEQUENCE:7
SUMMARY:Tea\\; with\\, milk
DTSTART;TZID=Europe/London:20260302T180000
DURATION:PT50M
RRULE:FREQ=WEEKLY;UNTIL=20261026T180000Z
RDATE;TZID=Europe/London:20260312T100000
EXDATE;TZID=Europe/London:20260309T180000
END:VEVENT
BEGIN:VEVENT
UID:a
DTSTAMP:20260101T000000Z
SEQUENCE:7
SUMMARY:Tea\\; with\\, milk
RECURRENCE-ID;TZID=Europe/London:20260316T180000
DTSTART;TZID=Europe/London:20260317T190000
DURATION:PT80M
END:VEVENT
BEGIN:VEVENT
UID:a
DTSTAMP:20260101T000000Z
SEQUENCE:7
SUMMARY:Tea\\; with\\, milk
RECURRENCE-ID;TZID=Europe/London:20260323T180000
DTSTART;TZID=Europe/London:20260323T180000
DURATION:PT50M
STATUS:CANCELLED
END:VEVENT
END:VCALENDAR
";
    assert_eq!(
        ical::write(&header, &[one]).unwrap(),
        expected.replace('\n', "\r\n")
    );
}

/// `rrule` 0.14 loses the zone of EXDATE, and the excluded date is back.
#[test]
fn an_excluded_date_keeps_its_zone() {
    let text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=America/New_York:20260301T023000\r\n\
        DURATION:PT50M\r\nRRULE:FREQ=DAILY\r\nEXDATE;TZID=America/New_York:20260305T023000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
    let sets = calendar.series()[0].to_sets().unwrap();
    let again = text_of(&sets[0]);
    assert_eq!(
        lines(&again, "EXDATE"),
        ["EXDATE;TZID=America/New_York:20260305T023000"]
    );
}

#[test]
fn a_pause_is_exclusions_and_an_open_one_an_end() {
    let slot = PausedSlot::Freed;
    let date = |text: &str| text.parse().unwrap();
    let paused = with(mondays(), |deviations| {
        deviations.pauses = vec![
            Pause {
                from: date("2026-03-09"),
                until: Some(date("2026-03-23")),
                slot,
            },
            Pause {
                from: date("2026-04-01"),
                until: None,
                slot,
            },
        ];
        // Changed by hand, within the open pause: it takes place, so it must be there.
        deviations
            .overrides
            .insert("2026-04-06T18:00:00".parse().unwrap(), Override::default());
    });
    let text = text_of(&paused);
    assert_eq!(
        lines(&text, "EXDATE"),
        ["EXDATE;TZID=Europe/London:20260309T180000,20260316T180000"]
    );
    assert_eq!(
        lines(&text, "RRULE:FREQ=WEEKLY"),
        ["RRULE:FREQ=WEEKLY;UNTIL=20260330T170000Z"]
    );
    assert_eq!(
        lines(&text, "RDATE;"),
        ["RDATE;TZID=Europe/London:20260406T180000"]
    );
}

#[test]
fn what_a_zone_skips_is_excluded_where_it_is_omitted() {
    let nightly = set(
        "2026-03-01T02:30:00",
        "America/New_York",
        "FREQ=DAILY;UNTIL=20280401",
    );
    let text = text_of(&nightly.clone().with_gap_policy(GapPolicy::Omit));
    let skipped = "EXDATE;TZID=America/New_York:20260308T023000,20270314T023000,20280312T02300";
    assert_eq!(lines(&text, "EXDATE"), [skipped]);
    assert_eq!(lines(&text_of(&nightly), "EXDATE"), [""; 0]);
    let always = set("2026-03-01T02:30:00", "America/New_York", "FREQ=DAILY");
    let text = text_of(&always.with_gap_policy(GapPolicy::Omit)).replace("\r\n ", "");
    assert_eq!(lines(&text, "EXDATE")[0].matches(',').count(), 73);
}

/// DTSTART counts for every reader, so it is an occurrence.
#[test]
fn a_start_off_the_rule_is_no_dtstart() {
    let text = text_of(&set(
        "2026-03-04T18:00:00",
        "UTC",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;COUNT=3",
    ));
    // The week of the start counts, and its Monday is over.
    assert_eq!(lines(&text, "DTSTART"), ["DTSTART:20260316T180000Z"]);
    assert_eq!(
        lines(&text, "RRULE"),
        ["RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3;BYDAY=MO"]
    );
    // A monthly rule that takes its day from the start has no other first.
    let text = text_of(&set(
        "2026-01-31T18:00:00",
        "UTC",
        "FREQ=MONTHLY;BYMONTH=3;COUNT=2",
    ));
    assert_eq!(lines(&text, "DTSTART"), ["DTSTART:20260331T180000Z"]);
}

/// RFC 5545 §3.3.10: beside a DTSTART with a time zone, UNTIL is in UTC.
#[test]
fn an_end_of_any_form_is_the_last_occurrence_in_utc() {
    let until = |start, zone, rule: &str| {
        let text = text_of(&set(start, zone, rule));
        let found = lines(&text, "RRULE:FREQ=WEEKLY").concat();
        let until = found.split("UNTIL=").nth(1).map(str::to_owned);
        until.unwrap_or(found)
    };
    for (zone, rule, expected) in [
        ("Europe/London", "20260420T100000", "20260420T090000Z"),
        ("Europe/London", "20260420T105959", "20260420T090000Z"),
        ("Europe/London", "20260420", "20260420T090000Z"),
        ("Europe/London", "20260420T090000Z", "20260420T090000Z"),
        ("Europe/London", "20260420T085959Z", "20260413T090000Z"),
        ("America/New_York", "20260420", "20260420T140000Z"),
        ("UTC", "20260420", "20260420T100000Z"),
        ("UTC", "20260419", "20260413T100000Z"),
        // Past the zone data it is the end itself, in a year of four digits.
        ("America/New_York", "21500105", "21500106T045959Z"),
        ("America/New_York", "99991231", "99991231T235959Z"),
    ] {
        let rule = format!("FREQ=WEEKLY;UNTIL={rule}");
        assert_eq!(
            until("2026-03-02T10:00:00", zone, &rule),
            expected,
            "{rule}"
        );
    }
}

/// 02:30 becomes 03:30 on 8 March, after 03:00, which the end leaves out.
#[test]
fn an_end_in_a_gap_comes_before_what_it_leaves_out() {
    let rule = "FREQ=DAILY;UNTIL=20260308T023000;BYHOUR=2,3;BYMINUTE=0,30;BYSETPOS=2,3";
    let text = text_of(&set("2026-03-07T02:30:00", "America/New_York", rule));
    let text = text.replace("\r\n ", "");
    let expected = "RRULE:FREQ=DAILY;UNTIL=20260307T080000Z;BYHOUR=2,3;BYMINUTE=0,30;BYSETPOS=2,3";
    assert_eq!(lines(&text, "RRULE:FREQ=DAILY"), [expected]);
    let shifted = "RDATE;TZID=America/New_York:20260308T023000";
    assert_eq!(lines(&text, "RDATE;"), [shifted]);
    assert_eq!(lines(&text, "EXDATE"), [""; 0]);
}

#[test]
fn an_end_before_the_start_leaves_no_occurrence() {
    let text = text_of(&set(
        "2026-03-02T10:00:00",
        "Europe/London",
        "FREQ=WEEKLY;UNTIL=20260301",
    ));
    assert_eq!(lines(&text, "RRULE:FREQ=WEEKLY"), [""; 0]);
    let excluded = "EXDATE;TZID=Europe/London:20260302T100000";
    assert_eq!(lines(&text, "EXDATE"), [excluded]);
}

#[test]
fn a_zone_is_written_as_rules_where_it_has_some() {
    let text = text_of(&set(
        "2026-01-05T18:00:00",
        "America/New_York",
        "FREQ=WEEKLY",
    ));
    let rules = lines(&text, "RRULE:FREQ=YEARLY");
    assert_eq!(
        rules,
        [
            "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU",
            "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU"
        ]
    );
    // Morocco's clocks followed the moon until September 2026: a list.
    let text = text_of(&set(
        "2020-01-06T18:00:00",
        "Africa/Casablanca",
        "FREQ=WEEKLY",
    ));
    assert_eq!(lines(&text, "RDATE:").len(), 2);
}

#[test]
fn text_cannot_break_out_of_its_line() {
    let header = Header {
        method: None,
        stamp: "2026-01-01T00:00:00Z".parse().unwrap(),
        product: "x\r\nX-BAD:1",
    };
    let monday = mondays();
    let one = Outgoing {
        uid: "u\r\nX-BAD:2",
        sequence: 0,
        summary: Some("s\rX-BAD:3\nEND:VEVENT"),
        set: &monday,
    };
    let text = ical::write(&header, &[one]).unwrap();
    assert!(
        !text.contains("\nX-BAD") && !text.contains("\rX-BAD"),
        "{text}"
    );
    assert_eq!(text.matches("\r\nEND:VEVENT").count(), 1);
    let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
    assert_eq!(
        calendar.series()[0].summary(),
        Some("s X-BAD:3\nEND:VEVENT")
    );
    assert_eq!(calendar.series()[0].uid(), "u\nX-BAD:2");
}

#[test]
fn too_many_dates_are_refused() {
    let slot = PausedSlot::Kept;
    let hourly = set("2026-01-01T00:00:00", "UTC", "FREQ=HOURLY");
    let long = with(hourly, |deviations| {
        let (from, until) = ("2026-01-01".parse().unwrap(), "2029-01-01".parse().ok());
        deviations.pauses = vec![Pause { from, until, slot }];
    });
    let header = Header {
        method: None,
        stamp: "2026-01-01T00:00:00Z".parse().unwrap(),
        product: "x",
    };
    let one = Outgoing {
        uid: "a",
        sequence: 0,
        summary: None,
        set: &long,
    };
    let refused = WriteError::TooManyDates {
        uid: "a".to_owned(),
    };
    assert_eq!(ical::write(&header, &[one]), Err(refused));
}

/// The first wall time of the rule is in a gap, which shifts it past the rule's end: it is no DTSTART.
#[test]
fn a_first_time_that_a_gap_shifts_past_the_end_is_not_written() {
    let rule = "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,20;UNTIL=20260308T070000Z";
    let start = "2026-03-08T02:15:00".parse().unwrap();
    let set = RecurrenceSet::new(start, "America/New_York".parse().unwrap(), 50).unwrap();
    let set = set.with_rule(rule.parse().unwrap());
    let window = scheduler_core::Window::new(
        "2026-03-01T00:00:00Z".parse().unwrap(),
        "2026-04-01T00:00:00Z".parse().unwrap(),
    );
    crate::ical_round_trip::comes_back(&set, window.unwrap()).unwrap();
}
