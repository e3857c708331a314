//! What is read, property by property, and what is said of what cannot be honoured.

use scheduler_core::ical::{self, Done, IcalError, Reason};
use scheduler_core::{Window, Zone};

pub(crate) fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\nUID:a\n{lines}\nEND:VEVENT\n")
}

fn calendar(events: &str) -> ical::Calendar {
    let text = format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n");
    ical::parse(text.as_bytes(), "Europe/Berlin".parse().unwrap()).unwrap()
}

pub(crate) fn window(from: &str, to: &str) -> Window {
    let at = |date: &str| format!("{date}T00:00:00Z").parse().unwrap();
    Window::new(at(from), at(to)).unwrap()
}

/// Start and end of what takes place in March and April 2026.
fn spring(events: &str) -> Vec<String> {
    let calendar = calendar(events);
    let found = calendar
        .between(window("2026-03-01", "2026-05-01"))
        .unwrap();
    let live = found.iter().filter(|one| !one.is_cancelled);
    live.map(|one| format!("{}/{}", one.start, one.end))
        .collect()
}

pub(crate) fn starts(events: &str) -> Vec<String> {
    let found = spring(events);
    found
        .iter()
        .map(|one| one.split('/').next().unwrap().to_owned())
        .collect()
}

pub(crate) fn reasons(events: &str) -> Vec<(String, Reason, Done)> {
    let calendar = calendar(events);
    let problems = calendar.problems().iter().cloned();
    problems
        .map(|problem| (problem.property, problem.reason, problem.done))
        .collect()
}

const NIGHTLY: &str =
    "DTSTART;TZID=America/New_York:20260306T023000\nDURATION:PT50M\nRRULE:FREQ=DAILY;COUNT=4";

/// The 8th at 02:30 does not exist in New York.
#[test]
fn exclusions_are_met_however_they_are_given() {
    let all = [
        "2026-03-06T07:30:00Z",
        "2026-03-07T07:30:00Z",
        "2026-03-08T07:30:00Z",
        "2026-03-09T06:30:00Z",
    ];
    assert_eq!(starts(&event(NIGHTLY)), all);
    for (line, gone) in [
        ("EXDATE;TZID=America/New_York:20260308T023000", 2),
        ("EXDATE:20260308T023000", 2),
        ("EXDATE:20260308T073000Z", 2),
        ("EXDATE;TZID=Europe/Berlin:20260308T083000", 2),
        ("EXDATE;VALUE=DATE:20260308", 2),
        ("EXDATE;VALUE=DATE-TIME:20260306T073000Z", 0),
        ("EXDATE;TZID=\"Eastern Standard Time\":20260306T023000", 0),
    ] {
        let left: Vec<&str> = all
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != gone)
            .map(|(_, at)| *at)
            .collect();
        assert_eq!(
            starts(&event(&format!("{NIGHTLY}\n{line}"))),
            left,
            "{line}"
        );
    }
}

#[test]
fn a_start_off_its_rule_is_the_first_instance_and_counts() {
    let off = "DTSTART:20260304T100000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=3";
    assert_eq!(
        starts(&event(off)),
        [
            "2026-03-04T10:00:00Z",
            "2026-03-09T10:00:00Z",
            "2026-03-16T10:00:00Z"
        ]
    );
    let one = "DTSTART:20260304T100000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=1";
    assert_eq!(starts(&event(one)), ["2026-03-04T10:00:00Z"]);
    let excluded = format!("{off}\nEXDATE:20260304T100000Z");
    assert_eq!(
        starts(&event(&excluded)),
        ["2026-03-09T10:00:00Z", "2026-03-16T10:00:00Z"]
    );
}

#[test]
fn until_has_three_forms() {
    for until in [
        "20260310T235900",
        "20260310",
        "20260310T170000Z",
        "20260310t170000z;",
    ] {
        let lines =
            format!("DTSTART;TZID=Europe/Berlin:20260309T180000\nRRULE:FREQ=DAILY;UNTIL={until}");
        assert_eq!(starts(&event(&lines)).len(), 2, "{until}");
    }
    // Outlook writes the instant of local midnight, here in Berlin, others the date's in UTC.
    for (until, last) in [
        ("20260310", 10),
        ("20260309T230000Z", 10),
        ("20260310T000000Z", 10),
        ("20260310T235959Z", 10),
        ("20260310T225959Z", 10),
        ("20260310T120000", 10),
        ("20260310T040000Z", 10),
        ("20260309T190000Z", 10),
    ] {
        let lines = format!("DTSTART;VALUE=DATE:20260309\nRRULE:FREQ=DAILY;UNTIL={until}");
        let found = starts(&event(&lines));
        assert_eq!(found.last(), Some(&format!("2026-03-{last}")), "{until}");
    }
}

#[test]
fn lengths_are_exact_or_nominal() {
    let begins = "DTSTART;TZID=Europe/Berlin:20260328T120000";
    for (line, end) in [
        (
            "DTEND;TZID=Europe/Berlin:20260329T120000",
            "2026-03-29T10:00:00Z",
        ),
        ("DURATION:PT24H", "2026-03-29T11:00:00Z"),
        ("DURATION:P1D", "2026-03-29T10:00:00Z"),
        ("DURATION:P1DT1H", "2026-03-29T11:00:00Z"),
        ("DURATION:P1W", "2026-04-04T10:00:00Z"),
        ("DTEND;VALUE=DATE:20260329", "2026-03-28T23:00:00Z"),
        ("SUMMARY:neither", "2026-03-28T11:00:00Z"),
        (
            "DTEND;TZID=Europe/Berlin:20260327T120000",
            "2026-03-28T11:00:00Z",
        ),
        ("DURATION:-PT1H", "2026-03-28T11:00:00Z"),
    ] {
        let found = spring(&event(&format!("{begins}\n{line}")));
        assert_eq!(found, [format!("2026-03-28T11:00:00Z/{end}")], "{line}");
    }
    // DTEND is an exact length for every occurrence: 24 hours where the first had 23.
    let daily =
        format!("{begins}\nDTEND;TZID=Europe/Berlin:20260329T120000\nRRULE:FREQ=DAILY;COUNT=2");
    assert_eq!(
        spring(&event(&daily))[1],
        "2026-03-29T10:00:00Z/2026-03-30T09:00:00Z"
    );
    for (line, end) in [
        ("SUMMARY:x", "11"),
        ("DTEND;VALUE=DATE:20260312", "12"),
        ("DURATION:P2D", "12"),
        ("DTEND;VALUE=DATE:20260310", "11"),
        ("DURATION:PT36H", "12"),
        ("DTEND:20260312T000000", "12"),
    ] {
        let found = spring(&event(&format!("DTSTART;VALUE=DATE:20260310\n{line}")));
        assert_eq!(found, [format!("2026-03-10/2026-03-{end}")], "{line}");
    }
}

#[test]
fn a_window_holds_what_overlaps_it_in_effect() {
    let moved = "BEGIN:VEVENT\nUID:a\nRECURRENCE-ID:20260310T100000Z\nDTSTART:20260601T100000Z\nEND:VEVENT\n\
        BEGIN:VEVENT\nUID:a\nRECURRENCE-ID:20260601T100000Z\nDTSTART:20260312T100000Z\nEND:VEVENT\n";
    let series = event("DTSTART:20260303T100000Z\nDTEND:20260303T120000Z\nRRULE:FREQ=WEEKLY");
    let calendar = calendar(&format!("{series}{moved}"));
    let at = |text: &str| text.parse().unwrap();
    let ids = |from: &str, to: &str| -> Vec<String> {
        let window = Window::new(at(from), at(to)).unwrap();
        let found = calendar.between(window).unwrap();
        found
            .iter()
            .map(|one| one.recurrence_id.to_string())
            .collect()
    };
    assert_eq!(ids("2026-03-09T00:00:00Z", "2026-03-11T00:00:00Z"), [""; 0]);
    assert_eq!(
        ids("2026-03-12T00:00:00Z", "2026-03-13T00:00:00Z"),
        ["2026-06-01T10:00:00Z"]
    );
    assert_eq!(
        ids("2026-03-03T11:59:59Z", "2026-03-03T12:30:00Z"),
        ["2026-03-03T10:00:00Z"]
    );
    assert_eq!(ids("2026-03-03T12:00:00Z", "2026-03-03T12:30:00Z"), [""; 0]);
    // Without length: in where it starts.
    assert_eq!(
        ids("2026-06-01T10:00:00Z", "2026-06-01T10:00:01Z"),
        ["2026-03-10T10:00:00Z"]
    );
}

#[test]
fn the_newest_version_of_an_override_counts() {
    let series = event("DTSTART;TZID=Europe/Berlin:20260303T100000\nRRULE:FREQ=WEEKLY;COUNT=1");
    let at = |id: &str, hour: u8, version: &str| {
        event(&format!(
            "RECURRENCE-ID{id}\nDTSTART:20260303T{hour}0000Z\n{version}"
        ))
    };
    let local = ";TZID=Europe/Berlin:20260303T100000";
    let versions = [
        at(local, 11, "SEQUENCE:2\nDTSTAMP:20260101T000000Z"),
        at(
            ":20260303T090000Z",
            12,
            "SEQUENCE:10\nDTSTAMP:20250101T000000Z",
        ),
        at(local, 13, "SEQUENCE:10\nDTSTAMP:20240101T000000Z"),
    ];
    let text = format!("{series}{}", versions.concat());
    assert_eq!(starts(&text), ["2026-03-03T12:00:00Z"]);
    let found = calendar(&text);
    let superseded = found.problems().iter();
    let mut superseded = superseded.filter(|problem| problem.reason == Reason::Superseded);
    assert_eq!(superseded.next().map(|problem| problem.events), Some(2));
}

#[test]
fn cancelled_and_detached() {
    let daily = "DTSTART:20260301T100000Z\nRRULE:FREQ=DAILY;COUNT=3";
    let override_ = |lines: &str| event(&format!("RECURRENCE-ID:20260302T100000Z\n{lines}"));
    let without = format!("{}{}", event(daily), override_("STATUS:CANCELLED"));
    assert_eq!(
        starts(&without),
        ["2026-03-01T10:00:00Z", "2026-03-03T10:00:00Z"]
    );
    assert_eq!(reasons(&without), []);
    let called_off = format!(
        "{}{}",
        event(&format!("{daily}\nSTATUS:CANCELLED")),
        override_("DTSTART:20260302T120000Z")
    );
    assert_eq!(starts(&called_off), [""; 0]);
    assert!(
        reasons(&called_off)
            .iter()
            .any(|(_, _, done)| *done == Done::CalledOff)
    );
    // No master: it is an occurrence by itself, with the recurrence-id it says.
    assert_eq!(
        starts(&override_("DTSTART:20260304T120000Z")),
        ["2026-03-04T12:00:00Z"]
    );
    let ends = "RECURRENCE-ID;RANGE=THISANDFUTURE:20260302T100000Z\nDTSTART:20260302T100000Z\nSTATUS:CANCELLED";
    assert_eq!(
        starts(&format!("{}{}", event(daily), event(ends))),
        ["2026-03-01T10:00:00Z"]
    );
}

#[test]
fn rdate_exrule_and_several_rules() {
    let lines = "DTSTART:20260301T100000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=4\nRRULE:FREQ=WEEKLY;COUNT=2\n\
        RDATE;VALUE=PERIOD:20260315T100000Z/PT3H,20260316T100000Z/20260316T103000Z\n\
        RDATE;TZID=Europe/Berlin:20260317T110000\nEXRULE:FREQ=DAILY;INTERVAL=2;COUNT=2";
    assert_eq!(
        spring(&event(lines)),
        [
            "2026-03-02T10:00:00Z/2026-03-02T11:00:00Z",
            "2026-03-04T10:00:00Z/2026-03-04T11:00:00Z",
            "2026-03-08T10:00:00Z/2026-03-08T11:00:00Z",
            "2026-03-15T10:00:00Z/2026-03-15T13:00:00Z",
            "2026-03-16T10:00:00Z/2026-03-16T10:30:00Z",
            "2026-03-17T10:00:00Z/2026-03-17T11:00:00Z",
        ]
    );
    assert_eq!(reasons(&event(lines)), []);
}

/// Each is said, and each says what was done.
#[test]
fn nothing_is_dropped_in_silence() {
    for (lines, property, said) in [
        (
            "DTSTART:20260310T100000",
            "DTSTART",
            "it has no time zone; read in Europe/Berlin",
        ),
        (
            "DTSTART;TZID=Mars/Olympus:20260310T100000",
            "TZID",
            "no known time zone has this name, and the text does not define it; read in Europe/Berlin",
        ),
        ("DTSTART:2026", "DTSTART", "the event was left out"),
        (
            "SUMMARY:x",
            "DTSTART",
            "it is missing; the event was left out",
        ),
        (
            "DTSTART:20260310T100000Z\nRRULE:FREQ=DAILY;COUNT=2;UNTIL=20260401",
            "RRULE",
            "UNTIL=20260401 cannot stand beside COUNT; the event recurs without it",
        ),
        (
            "DTSTART:20260310T100000Z\nRRULE:RSCALE=HEBREW;FREQ=YEARLY",
            "RRULE",
            "the event recurs without it",
        ),
        (
            "DTSTART:20260310T100000Z\nRRULE:FREQ=WEEKLY;BYDAY=2MO",
            "RRULE",
            "honoured as far as it goes",
        ),
        ("DTSTART:20260310T100000Z\nEXDATE:x", "EXDATE", "left out"),
        (
            "DTSTART:20260310T100000Z\nDTEND:20260310T110000Z\nDURATION:PT2H",
            "DURATION",
            "it contradicts DTEND; the other was kept",
        ),
        (
            "DTSTART:20260310T100000Z\nDTSTART:20260311T100000Z",
            "DTSTART",
            "it is there more than once; the other was kept",
        ),
        (
            "DTSTART:20260310T100000Z\nthis is no line",
            "line",
            "this is no content line; left out",
        ),
        (
            "RECURRENCE-ID:20260310T100000Z\nDTSTART:20260310T100000Z\nRRULE:FREQ=DAILY",
            "RECURRENCE-ID",
            "it has no meaning here; read as the series",
        ),
        (
            "DTSTART;VALUE=DATE:20260310\nRRULE:FREQ=DAILY;BYHOUR=9",
            "RRULE",
            "honoured as far as it goes",
        ),
        (
            "DTSTART:20260310T100000Z\nRDATE;VALUE=DATE:20260312",
            "RDATE",
            "taken at the time of day of DTSTART",
        ),
    ] {
        let calendar = calendar(&event(lines));
        let [problem] = calendar.problems() else {
            panic!("{lines}: {:?}", calendar.problems());
        };
        assert_eq!(problem.property, property, "{lines}");
        assert!(problem.to_string().ends_with(said), "{lines}: {problem}");
        assert!(problem.line > 1, "{lines}: {problem}");
    }
    let others =
        calendar("BEGIN:VTODO\nEND:VTODO\nBEGIN:VTODO\nEND:VTODO\nBEGIN:VJOURNAL\nEND:VJOURNAL\n");
    let said: Vec<String> = others.problems().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("\"VTODO\": there are 2"), "{said:?}");
}

#[test]
fn text_is_read_as_it_comes() {
    let expected = "A söng, with; more\nlines";
    // Folded within the two bytes of ö; a byte order mark; names in lower case; no CR.
    let text = "\u{feff}begin:vcalendar\nBegin:Vevent\nuid:a\ndtstart;value=date:20260310\nsummary:A s\u{f6}ng\\, with\\; mo\n re\\nlines\nend:vevent\nend:vcalendar";
    let at = text.find('\u{f6}').unwrap() + 1;
    let mut bytes = text.as_bytes().to_vec();
    bytes.splice(at..at, *b"\r\n ");
    let calendar = ical::parse(&bytes, Zone::UTC).unwrap();
    assert_eq!(calendar.series()[0].summary(), Some(expected));
    assert_eq!(calendar.problems(), []);
}

#[test]
fn limits_are_errors_that_name_the_line() {
    let error = |text: &str| ical::parse(text.as_bytes(), Zone::UTC).unwrap_err();
    assert_eq!(error(""), IcalError::NoCalendar);
    let long = " ".repeat(ical::BYTES_MAX + 1);
    assert!(matches!(error(&long), IcalError::TooLong { .. }));
    let lines = "A:\n".repeat(ical::LINES_MAX + 1);
    assert!(matches!(error(&lines), IcalError::TooManyLines { .. }));
    let dates = "20260310T100000Z,".repeat(ical::DATES_MAX + 1);
    let dates = event(&format!("DTSTART:20260310T100000Z\nEXDATE:{dates}"));
    let dates = format!("BEGIN:VCALENDAR\n{dates}END:VCALENDAR\n");
    assert!(matches!(error(&dates), IcalError::TooManyDates { line: 5 }));
    let every_second = calendar(&event("DTSTART:20260310T100000Z\nRRULE:FREQ=SECONDLY"));
    let refused = every_second.between(window("2026-03-01", "2027-03-01"));
    assert_eq!(refused, Err(IcalError::TooManyOccurrences));
    assert!(matches!(
        every_second.between(window("2026-03-01", "2100-03-01")),
        Err(IcalError::Window(_))
    ));
}

#[test]
fn floating_times_are_in_the_calendars_zone() {
    let floating = event("DTSTART:20260310T100000\nDTEND:20260310T110000");
    assert_eq!(
        spring(&floating),
        ["2026-03-10T09:00:00Z/2026-03-10T10:00:00Z"]
    );
    let named = format!("X-WR-TIMEZONE:America/New_York\n{floating}");
    assert_eq!(
        spring(&named),
        ["2026-03-10T14:00:00Z/2026-03-10T15:00:00Z"]
    );
}

/// Each broken component costs itself.
#[test]
fn a_broken_component_leaves_the_others() {
    let at =
        |day: u8| format!("BEGIN:VEVENT\nUID:{day}\nDTSTART:202603{day:02}T100000Z\nEND:VEVENT\n");
    let (one, other) = (at(10), at(11));
    let cut = "BEGIN:VEVENT\nUID:x\nDTSTART:20260312T100000Z\nRRULE:FREQ=DAILY\n";
    let deep = "BEGIN:X\n".repeat(20) + &"END:X\n".repeat(20);
    for (text, said) in [
        (
            format!("BEGIN:VCALENDAR\n{one}{other}"),
            "its END is missing",
        ),
        (
            format!("BEGIN:VCALENDAR\n{one}{other}{cut}"),
            "\"VEVENT\": its END is missing; left out",
        ),
        (
            format!("BEGIN:VCALENDAR\n{one}{other}{cut}END:VCALENDAR\n"),
            "\"VEVENT\": its END is missing; left out",
        ),
        (
            format!("BEGIN:VCALENDAR\n{one}END:VTODO\n{other}END:VCALENDAR\n"),
            "no component of that name is open",
        ),
        (format!("{one}{other}"), "it is not inside a VCALENDAR"),
        (
            format!("BEGIN:VCALENDAR\n{one}{deep}{other}END:VCALENDAR\n"),
            "it is nested in 8 other components",
        ),
    ] {
        let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
        let found = calendar
            .between(window("2026-03-01", "2026-05-01"))
            .unwrap();
        let found: Vec<&str> = found.iter().map(|one| one.uid).collect();
        assert_eq!(found, ["10", "11"], "{text}");
        let problems: Vec<String> = calendar
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            problems.iter().any(|problem| problem.contains(said)),
            "{text}: {problems:?}"
        );
    }
}
