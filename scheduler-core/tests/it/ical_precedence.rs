//! Which counts of several messages about an event, of several definitions of a zone, and of the
//! instances that COUNT may count.

use scheduler_core::Zone;
use scheduler_core::ical::{self, Done, Reason};

use crate::ical_import::{event, reasons, starts, window};

const INVITED: &str = "SEQUENCE:1\nDTSTAMP:20260101T000000Z\nDTSTART:20260309T100000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=3";

/// RFC 5546 §3.2.5: METHOD:CANCEL need not say when.
#[test]
fn a_cancellation_without_a_start_cancels() {
    let all = [
        "2026-03-09T10:00:00Z",
        "2026-03-16T10:00:00Z",
        "2026-03-23T10:00:00Z",
    ];
    let without_second = [all[0], all[2]];
    let message = |method: &str, lines: &str| {
        let event = event(lines);
        format!("BEGIN:VCALENDAR\nMETHOD:{method}\n{event}END:VCALENDAR\n")
    };
    let invited = message("REQUEST", INVITED);
    for (method, lines, left, said) in [
        (
            "CANCEL",
            "SEQUENCE:2\nDTSTAMP:20260102T000000Z",
            &[][..],
            "",
        ),
        ("REQUEST", "SEQUENCE:2\nSTATUS:CANCELLED", &[], ""),
        ("CANCEL", "SEQUENCE:1\nDTSTAMP:20260101T000000Z", &[], ""),
        (
            "CANCEL",
            "SEQUENCE:0\nDTSTAMP:20260102T000000Z",
            &all,
            "higher SEQUENCE",
        ),
        ("REQUEST", "SEQUENCE:2", &all, "missing"),
        (
            "CANCEL",
            "SEQUENCE:2\nRECURRENCE-ID:20260316T100000Z",
            &without_second,
            "",
        ),
        (
            "REQUEST",
            "STATUS:CANCELLED\nRECURRENCE-ID:20260316T100000Z",
            &without_second,
            "",
        ),
        (
            "CANCEL",
            "SEQUENCE:2\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260316T100000Z",
            &all[..1],
            "",
        ),
    ] {
        let cancelled = message(method, lines);
        for text in [
            format!("{invited}{cancelled}"),
            format!("{cancelled}{invited}"),
        ] {
            let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
            let found = calendar
                .between(window("2026-03-01", "2026-05-01"))
                .unwrap();
            let live = found.iter().filter(|one| !one.is_cancelled);
            let live: Vec<String> = live.map(|one| one.start.to_string()).collect();
            assert_eq!(live, left, "{text}");
            let problems = calendar.problems().iter();
            let problems: Vec<String> = problems.map(ToString::to_string).collect();
            assert_eq!(problems.is_empty(), said.is_empty(), "{problems:?}");
            assert!(
                problems.iter().all(|one| one.contains(said)),
                "{problems:?}"
            );
        }
    }
    // Its override is cancelled with it, and what is not there cannot be.
    let moved = message(
        "REQUEST",
        "SEQUENCE:1\nRECURRENCE-ID:20260316T100000Z\nDTSTART:20260317T100000Z",
    );
    let gone = message("CANCEL", "SEQUENCE:2");
    let calendar = ical::parse(format!("{invited}{moved}{gone}").as_bytes(), Zone::UTC).unwrap();
    let found = calendar
        .between(window("2026-03-01", "2026-05-01"))
        .unwrap();
    assert!(found.len() == 3 && found.iter().all(|one| one.is_cancelled));
    assert_eq!(calendar.problems(), []);
    let alone = ical::parse(gone.as_bytes(), Zone::UTC).unwrap();
    let problem = &alone.problems()[0];
    assert_eq!(
        (&problem.reason, &problem.done),
        (&Reason::Missing, &Done::EventLeftOut)
    );
    assert!(alone.series().is_empty());
}

/// RFC 5545 §3.8.5.3 leaves open whether COUNT counts a DTSTART that the rule does not have.
#[test]
fn a_start_that_is_excluded_and_counted_is_a_problem() {
    let monday = "DTSTART:20260309T090000Z\nRRULE:FREQ=WEEKLY;COUNT=3;BYDAY=";
    let counted = vec![("RRULE".to_owned(), Reason::CountedStart, Done::StartCounted)];
    for (lines, left, said) in [
        (
            "TU\nRRULE:FREQ=WEEKLY;COUNT=3;BYDAY=WE\nEXDATE:20260309T090000Z",
            4,
            &counted,
        ),
        ("TU\nEXDATE:20260309T090000Z", 2, &counted),
        ("TU\nEXDATE:20260310T090000Z", 2, &vec![]),
        ("TU", 3, &vec![]),
        ("MO\nEXDATE:20260309T090000Z", 2, &vec![]),
    ] {
        let event = event(&format!("{monday}{lines}"));
        assert_eq!(starts(&event).len(), left, "{lines}");
        assert_eq!(&reasons(&event), said, "{lines}");
    }
}

/// A TZID that is defined twice means the first definition that can be read.
#[test]
fn a_second_definition_counts_if_the_first_cannot_be_read() {
    let zone = |offset: &str, start: &str| {
        format!(
            "BEGIN:VTIMEZONE\nTZID:House\nBEGIN:STANDARD\n{start}TZOFFSETFROM:{offset}\n\
             TZOFFSETTO:{offset}\nEND:STANDARD\nEND:VTIMEZONE\n"
        )
    };
    let good = |offset| zone(offset, "DTSTART:19700101T000000\n");
    let bad = zone("+0300", "");
    let empty = "BEGIN:VTIMEZONE\nTZID:House\nEND:VTIMEZONE\n";
    let event = event("DTSTART;TZID=House:20260309T100000\nDURATION:PT1H");
    let cannot = "an observance lacks DTSTART, TZOFFSETFROM or TZOFFSETTO";
    let bad_definition = |why| Reason::BadDefinition { why };
    for (zones, expected, said) in [
        (
            format!("{bad}{}", good("+0100")),
            "2026-03-09T09:00:00Z",
            vec![bad_definition(cannot)],
        ),
        (
            format!("{empty}{}", good("+0100")),
            "2026-03-09T09:00:00Z",
            vec![bad_definition("it has no observance")],
        ),
        (
            format!("{bad}{empty}{}{}{bad}", good("+0100"), good("+0200")),
            "2026-03-09T09:00:00Z",
            vec![bad_definition(cannot), Reason::Repeated, Reason::Repeated],
        ),
        (
            format!("{}{bad}{}", good("+0100"), good("+0200")),
            "2026-03-09T09:00:00Z",
            vec![Reason::Repeated, Reason::Repeated],
        ),
    ] {
        let text = format!("{zones}{event}");
        assert_eq!(starts(&text), [expected], "{zones}");
        let found = reasons(&text);
        let expected: Vec<_> = said
            .into_iter()
            .map(|reason| ("TZID".to_owned(), reason, Done::KeptOther))
            .collect();
        assert_eq!(found, expected, "{zones}");
    }
}
