//! Forms that exporters write: which occurrence is named, dates as instants, encodings, names of
//! zones, rules, messages.

use scheduler_core::Window;
use scheduler_core::ical::{self, Done, Effect, Reason};

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\nUID:a\n{lines}\nEND:VEVENT\n")
}

fn parse(bytes: &[u8], zone: &str) -> ical::Calendar {
    ical::parse(bytes, zone.parse().unwrap()).unwrap()
}

fn calendar(events: &str, zone: &str) -> ical::Calendar {
    parse(
        format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n").as_bytes(),
        zone,
    )
}

/// The starts from 2000 through 2039, cancelled ones not.
fn starts(calendar: &ical::Calendar) -> Vec<String> {
    let at = |year: u16| format!("{year}-01-01T00:00:00Z").parse().unwrap();
    let found = calendar
        .between(Window::new(at(2000), at(2040)).unwrap())
        .unwrap();
    let live = found.iter().filter(|one| !one.is_cancelled);
    live.map(|one| one.start.to_string()).collect()
}

fn said(calendar: &ical::Calendar) -> Vec<String> {
    calendar
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// 02:30 and 03:30 of the day of a gap are one time, 01:30 of the day of a fold is two (§3.3.5).
#[test]
fn an_occurrence_is_named_by_its_instant() {
    let moved = |id: &str| event(&format!("RECURRENCE-ID{id}\nDTSTART:20300101T000000Z"));
    for (zone, time, skipped, names, others) in [
        (
            "America/New_York",
            "20260307T023000",
            "2026-03-08T07:30:00Z",
            &[
                ";TZID=America/New_York:20260308T023000",
                ";TZID=America/New_York:20260308T033000",
                ":20260308T073000Z",
                ";TZID=Asia/Tokyo:20260308T163000",
            ][..],
            &[
                ";TZID=America/New_York:20260308T043000",
                ":20260308T063000Z",
            ][..],
        ),
        (
            "Europe/Berlin",
            "20260328T023000",
            "2026-03-29T01:30:00Z",
            &[
                ";TZID=Europe/Berlin:20260329T023000",
                ";TZID=Europe/Berlin:20260329T033000",
                ":20260329T013000Z",
                ":20260329T033000",
            ],
            &[":20260329T003000Z"],
        ),
        (
            "Australia/Lord_Howe",
            "20261003T021500",
            "2026-10-03T15:45:00Z",
            &[
                ";TZID=Australia/Lord_Howe:20261004T021500",
                ";TZID=Australia/Lord_Howe:20261004T024500",
            ],
            &[";TZID=Australia/Lord_Howe:20261004T023000"],
        ),
        (
            "America/Sao_Paulo",
            "20181103T003000",
            "2018-11-04T03:30:00Z",
            &[
                ";TZID=America/Sao_Paulo:20181104T003000",
                ";TZID=America/Sao_Paulo:20181104T013000",
            ],
            &[";TZID=America/Sao_Paulo:20181104T023000"],
        ),
    ] {
        let lines = format!("DTSTART;TZID={zone}:{time}\nDURATION:PT30M\nRRULE:FREQ=DAILY;COUNT=3");
        let all = starts(&calendar(&event(&lines), "UTC"));
        assert_eq!(all[1], skipped);
        for name in names {
            let excluded = calendar(&event(&format!("{lines}\nEXDATE{name}")), "UTC");
            assert_eq!(starts(&excluded), [&*all[0], &*all[2]], "{name}");
            assert_eq!(said(&excluded), [""; 0], "{name}");
            let changed = calendar(&format!("{}{}", event(&lines), moved(name)), "UTC");
            assert_eq!(
                starts(&changed),
                [&*all[0], &*all[2], "2030-01-01T00:00:00Z"],
                "{name}"
            );
            assert_eq!(said(&changed), [""; 0], "{name}");
        }
        for name in others {
            let excluded = calendar(&event(&format!("{lines}\nEXDATE{name}")), "UTC");
            assert_eq!(starts(&excluded), all, "{name}");
            let reason = Reason::ExcludesNothing { count: 1 };
            assert_eq!(excluded.problems()[0].reason, reason, "{name}");
        }
    }
    let fold = "DTSTART;TZID=America/New_York:20261031T013000\nDURATION:PT10M\nRRULE:FREQ=DAILY;COUNT=3\nRDATE:20261101T063000Z";
    for (name, left) in [
        (":20261101T053000Z", "2026-11-01T06:30:00Z"),
        (
            ";TZID=America/New_York:20261101T013000",
            "2026-11-01T06:30:00Z",
        ),
        (":20261101T063000Z", "2026-11-01T05:30:00Z"),
    ] {
        let expected = ["2026-10-31T05:30:00Z", left, "2026-11-02T06:30:00Z"];
        let excluded = calendar(&event(&format!("{fold}\nEXDATE{name}")), "UTC");
        assert_eq!(starts(&excluded), expected, "{name}");
        let changed = calendar(&format!("{}{}", event(fold), moved(name)), "UTC");
        assert_eq!(starts(&changed)[..3], expected, "{name}");
    }
}

/// The instant of local midnight, as Outlook, Exchange and OGCS write it for events of whole days.
#[test]
fn a_date_may_be_the_instant_of_its_midnight() {
    let daily = "DTSTART;VALUE=DATE:20230301\nDTEND;VALUE=DATE:20230302\nRRULE:FREQ=DAILY;COUNT=4";
    let days = |gone: &[u8]| -> Vec<String> {
        let days = (1..5_u8).filter(|day| !gone.contains(day));
        days.map(|day| format!("2023-03-{day:02}")).collect()
    };
    for (zone, second) in [
        ("Europe/Berlin", "20230301T230000Z"),
        ("America/Los_Angeles", "20230302T080000Z"),
        ("Pacific/Kiritimati", "20230301T100000Z"),
        ("Pacific/Pago_Pago", "20230302T110000Z"),
        ("Asia/Kolkata", "20230301T183000Z"),
        ("Europe/London", "20230302T000000Z"),
        ("America/Los_Angeles", "20230302T000000Z"),
    ] {
        let excluded = calendar(&event(&format!("{daily}\nEXDATE:{second}")), zone);
        assert_eq!(starts(&excluded), days(&[2]), "{zone} {second}");
        assert_eq!(said(&excluded), [""; 0]);
        let named = format!(
            "X-WR-TIMEZONE:{zone}\n{}",
            event(&format!("{daily}\nEXDATE:{second}"))
        );
        assert_eq!(
            starts(&calendar(&named, "UTC")),
            days(&[2]),
            "{zone} {second}"
        );
        let moved = event(&format!(
            "RECURRENCE-ID:{second}\nDTSTART;VALUE=DATE:20300101"
        ));
        let moved = calendar(&format!("{}{moved}", event(daily)), zone);
        assert_eq!(starts(&moved)[..3], days(&[2]), "{zone} {second}");
        let until = format!("DTSTART;VALUE=DATE:20230301\nRRULE:FREQ=DAILY;UNTIL={second}");
        assert_eq!(
            starts(&calendar(&event(&until), zone)),
            days(&[3, 4]),
            "{zone} {second}"
        );
        let added = format!("DTSTART;VALUE=DATE:20230301\nRDATE:{second}");
        assert_eq!(
            starts(&calendar(&event(&added), zone)),
            days(&[3, 4]),
            "{zone} {second}"
        );
        let ends = format!("DTSTART;VALUE=DATE:20230301\nDTEND:{second}");
        let ends = calendar(&event(&ends), zone);
        let march = Window::new(
            "2023-03-01T00:00:00Z".parse().unwrap(),
            "2023-04-01T00:00:00Z".parse().unwrap(),
        );
        assert_eq!(
            ends.between(march.unwrap()).unwrap()[0].end.to_string(),
            "2023-03-02"
        );
    }
    // Nobody's midnight: the nearest, and it is said.
    let guessed = calendar(&event(&format!("{daily}\nEXDATE:20230301T220000Z")), "UTC");
    assert_eq!(starts(&guessed), days(&[2]));
    assert_eq!(guessed.problems()[0].effect(), Effect::OtherTime);
    // The zones that the file defines are likely ones.
    let london = "BEGIN:VTIMEZONE\nTZID:GMT Standard Time\nBEGIN:STANDARD\nDTSTART:16010101T020000\n\
        TZOFFSETFROM:+0100\nTZOFFSETTO:+0000\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\n\
        BEGIN:DAYLIGHT\nDTSTART:16010101T010000\nTZOFFSETFROM:+0000\nTZOFFSETTO:+0100\n\
        RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";
    let exchange = "DTSTART;VALUE=DATE:20200903\nRRULE:FREQ=WEEKLY;UNTIL=20200916T230000Z";
    let exchange = calendar(&format!("{london}{}", event(exchange)), "America/Lima");
    assert_eq!(starts(&exchange).last().unwrap(), "2020-09-17");
    assert_eq!(said(&exchange), [""; 0]);
}

#[test]
fn a_text_is_read_in_every_encoding() {
    let text = format!(
        "BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n",
        event("DTSTART:20260601T100000Z\r\nSUMMARY:s\u{f6}\r\n ng")
            .replace('\n', "\r\n")
            .replace("\r\r", "\r")
    );
    let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(order)
            .collect()
    };
    for (what, bytes) in [
        ("CR LF", text.clone().into_bytes()),
        ("LF", text.replace('\r', "").into_bytes()),
        ("CR", text.replace('\n', "").into_bytes()),
        (
            "CR and one LF",
            format!("{}\n", text.replace('\n', "")).into_bytes(),
        ),
        ("CR CR LF", text.replace('\r', "\r\r").into_bytes()),
        ("LF CR", text.replace("\r\n", "\n\r").into_bytes()),
        ("one mark", format!("\u{feff}{text}").into_bytes()),
        ("two marks", format!("\u{feff}\u{feff}{text}").into_bytes()),
        ("UTF-16 LE", utf16(u16::to_le_bytes)),
        ("UTF-16 BE", utf16(u16::to_be_bytes)),
    ] {
        let calendar = parse(&bytes, "UTC");
        assert_eq!(starts(&calendar), ["2026-06-01T10:00:00Z"], "{what}");
        assert_eq!(calendar.series()[0].summary(), Some("s\u{f6}ng"), "{what}");
        assert_eq!(said(&calendar), [""; 0], "{what}");
    }
}

#[test]
fn a_zone_is_known_by_what_exporters_call_it() {
    for (tzid, expected) in [
        ("UTC+01", "2026-06-01T09:00:00Z"),
        ("\"UTC-06:00\"", "2026-06-01T16:00:00Z"),
        ("(GMT +01:00)", "2026-06-01T09:00:00Z"),
        ("(GMT +01:00)", "2026-06-01T09:00:00Z"),
        ("GMT-0330", "2026-06-01T13:30:00Z"),
        (
            "\"(UTC-05:00) Eastern Time (US & Canada)\"",
            "2026-06-01T14:00:00Z",
        ),
        (
            "(UTC+01:00) Amsterdam\\, Berlin\\, Bern\\, Rome\\, Stockholm\\, Vienna",
            "2026-06-01T08:00:00Z",
        ),
        ("\"W. Europe Standard Time\"", "2026-06-01T08:00:00Z"),
        (
            "/mozilla.org/20050126_1/Europe/Berlin",
            "2026-06-01T08:00:00Z",
        ),
        ("europe/berlin", "2026-06-01T08:00:00Z"),
    ] {
        let found = calendar(
            &event(&format!("DTSTART;TZID={tzid}:20260601T100000")),
            "Asia/Tokyo",
        );
        assert_eq!(starts(&found), [expected], "{tzid}");
        assert_eq!(said(&found), [""; 0], "{tzid}");
    }
    // A name that nobody knows is said for every event that has it.
    let two = event("DTSTART;TZID=Mars:20260601T100000\nEXDATE;TZID=Mars:20260601T100000")
        + &event("DTSTART;TZID=Mars:20260601T100000").replace("UID:a", "UID:b");
    let unknown = calendar(&two, "Asia/Tokyo");
    let uids: Vec<_> = unknown
        .problems()
        .iter()
        .map(|problem| problem.uid.as_deref())
        .collect();
    assert_eq!(uids, [Some("a"), Some("b")]);
    let tokyo = "Asia/Tokyo".parse().unwrap();
    assert!(
        unknown
            .problems()
            .iter()
            .all(|problem| problem.done == Done::ReadIn(tokyo))
    );
}

#[test]
fn a_rule_keeps_what_is_clear_of_it() {
    for (rule, days, said_of) in [
        ("FREQ=DAILY;COUNT=3;X-FOO=1", 3, "X-FOO=1 is not read"),
        ("FREQ=DAILY; COUNT=3", 3, ""),
        ("FREQ=DAILY;;COUNT=3;", 3, ""),
        ("freq=daily;count=3", 3, ""),
        ("FREQ=DAILY\\;COUNT=3", 3, ""),
        ("FREQ=DAILY;COUNT=3;FREQ=DAILY", 3, ""),
        (
            "FREQ=DAILY;UNTIL=20260603T100000Z;COUNT=-1",
            3,
            "COUNT=-1 is not read",
        ),
        ("FREQ=DAILY;COUNT=3;BYDAY=", 3, "BYDAY= is not read"),
        ("", 1, ""),
        ("FREQ=DAILY;COUNT=3;UNTL=20260101", 1, "UNTL is not a part"),
        (
            "RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L",
            1,
            "RSCALE=HEBREW is not supported",
        ),
    ] {
        let found = calendar(
            &event(&format!("DTSTART:20260601T100000Z\nRRULE:{rule}")),
            "UTC",
        );
        assert_eq!(starts(&found).len(), days, "{rule}");
        let all = said(&found);
        assert_eq!(
            all.len(),
            usize::from(!said_of.is_empty()),
            "{rule}: {all:?}"
        );
        assert!(
            all.iter().all(|line| line.contains(said_of)),
            "{rule}: {all:?}"
        );
    }
    // A birthday as Windows and Google write it: once a year, and our own files say which months.
    let birthday = "DTSTART;VALUE=DATE:20240520\nRRULE:FREQ=YEARLY;BYMONTHDAY=20;COUNT=3";
    let found = calendar(&event(birthday), "UTC");
    assert_eq!(starts(&found), ["2024-05-20", "2025-05-20", "2026-05-20"]);
    assert_eq!(found.problems()[0].reason, Reason::YearlyMonthDay);
}

#[test]
fn other_forms_are_taken_for_what_they_are() {
    for (lines, expected, problems) in [
        (
            "DTSTART;VALUE=DATE:20141210\nRDATE:20131210Z\nRDATE:20121210Z",
            &["2012-12-10", "2013-12-10", "2014-12-10"][..],
            0,
        ),
        ("DTSTART:20210527Z", &["2021-05-27"], 0),
        (
            "DTSTART;VALUE=DATE:20090117T200000Z\nDTEND;VALUE=DATE:20090117T220000Z",
            &["2009-01-17T20:00:00Z"],
            1,
        ),
        ("DTSTART;VALUE=DATE:20090117T000000", &["2009-01-17"], 0),
        (
            "DTSTART:20160829T080000Z\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:20160830T080000Z/PT1H",
            &["2016-08-29T08:00:00Z"],
            0,
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20240602T120000Z",
            &["2024-06-02T12:00:00Z"],
            1,
        ),
        (
            "RECURRENCE-ID:20260601T100000Z\nDTSTART:20260601T100000Z\nRRULE:FREQ=DAILY;COUNT=2",
            &["2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z"],
            1,
        ),
    ] {
        let found = calendar(&event(lines), "UTC");
        assert_eq!(starts(&found), expected, "{lines}");
        assert_eq!(
            found.problems().len(),
            problems,
            "{lines}: {:?}",
            said(&found)
        );
    }
}

/// A series of a higher SEQUENCE that excludes what an override changes is the newer word.
#[test]
fn an_override_yields_to_a_newer_exclusion() {
    for (series, changed, expected) in [(5, 2, 2), (2, 2, 3), (1, 2, 3)] {
        let text = event(&format!(
            "SEQUENCE:{series}\nDTSTART:20260601T100000Z\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260602T100000Z"
        )) + &event(&format!(
            "SEQUENCE:{changed}\nRECURRENCE-ID:20260602T100000Z\nDTSTART:20260602T150000Z"
        ));
        let found = calendar(&text, "UTC");
        assert_eq!(starts(&found).len(), expected, "{series} {changed}");
        assert_eq!(found.problems().len(), 3 - expected);
    }
}

/// One message a fault, which names the right thing, is short, and says how many events it touches.
#[test]
fn messages_are_one_a_fault_and_bounded() {
    let quote = "DTSTART;TZID=\"W. Europe Standard Time:20200609T090000\"\nDURATION:PT1H";
    assert_eq!(said(&calendar(&event(quote), "UTC")).len(), 1);
    let floating = event("DTSTART:20260601T100000")
        + &event("DTSTART:20260602T100000").replace("UID:a", "UID:b");
    let floating = calendar(&floating, "Europe/Berlin");
    assert!(
        said(&floating)[0].ends_with("read in Europe/Berlin (2 events)"),
        "{:?}",
        said(&floating)
    );
    let twice = calendar(&event("DTSTART:20260601T100000Z").repeat(3), "UTC");
    assert!(
        said(&twice)[0].contains("another component has the same UID"),
        "{:?}",
        said(&twice)
    );
    assert_eq!(twice.problems()[0].events, 2);
    let long = "Z".repeat(200_000);
    let many = event(&format!(
        "DTSTART:20260601T100000Z\n{}",
        format!("EXDATE:{}\n", &long[..300]).repeat(3000)
    ));
    let many = calendar(&many.replace("UID:a", &format!("UID:{long}")), "UTC");
    assert_eq!(many.problems().len(), ical::PROBLEMS_MAX + 1);
    assert!(said(&many).iter().all(|line| line.len() < 500));
    let last = &many.problems()[ical::PROBLEMS_MAX];
    assert_eq!(last.reason, Reason::More { count: 2000 });
    // What may be at another time comes first.
    let worst = event("DTSTART:20260601T100000Z\nDTSTART:20260602T100000Z")
        + &event("DTSTART;TZID=Mars:20260601T100000").replace("UID:a", "UID:b");
    let worst = calendar(&worst, "UTC");
    let effects: Vec<Effect> = worst.problems().iter().map(ical::Problem::effect).collect();
    assert_eq!(effects, [Effect::OtherTime, Effect::None]);
    let range = event("DTSTART:20260601T100000Z\nRRULE:FREQ=DAILY;COUNT=5")
        + &event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260603T110000Z\nDTSTART:20260603T120000Z");
    assert_eq!(
        calendar(&range, "UTC").problems()[0].done,
        Done::MovesTheRest
    );
}

/// Every beginning of a file is read, or refused, and events that are whole are there.
#[test]
fn a_file_may_be_cut_anywhere() {
    let one = event("DTSTART:20260601T100000Z");
    let other =
        event("DTSTART:20260602T100000Z\nRRULE:FREQ=DAILY;COUNT=2").replace("UID:a", "UID:b");
    let text = format!("BEGIN:VCALENDAR\n{one}{other}END:VCALENDAR\n");
    let whole = "BEGIN:VCALENDAR\n".len() + one.len();
    for length in whole..text.len() {
        let found = starts(&parse(&text.as_bytes()[..length], "UTC"));
        assert_eq!(found[0], "2026-06-01T10:00:00Z");
        assert!(matches!(found.len(), 1 | 3), "{length}: {found:?}");
    }
}

/// Half of a definition is none, whichever line is missing: the name counts, or the zone given.
#[test]
fn a_broken_definition_is_none() {
    let lines = "BEGIN:VTIMEZONE\nTZID:NAME\nBEGIN:DAYLIGHT\nDTSTART:19700329T020000\nTZOFFSETFROM:+0100\n\
        TZOFFSETTO:+0200\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nEND:DAYLIGHT\nBEGIN:STANDARD\n\
        DTSTART:19701025T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
        RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nEND:STANDARD\nEND:VTIMEZONE\n";
    let lines: Vec<&str> = lines.lines().collect();
    for name in ["Foo", "Europe/Berlin", "W. Europe Standard Time"] {
        // Without a rule the list is short, which is another matter.
        for missing in (1..lines.len()).filter(|index| !lines[*index].starts_with("RRULE")) {
            let kept = lines
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != missing);
            let zone: String = kept.map(|(_, line)| format!("{line}\n")).collect();
            let events = event(&format!("DTSTART;TZID={name}:20260115T090000"))
                + &event(&format!("DTSTART;TZID={name}:20260715T090000")).replace("UID:a", "UID:b");
            let text = format!("{}{events}", zone.replace("NAME", name));
            let found = calendar(&text, "Europe/Berlin");
            assert_eq!(
                starts(&found),
                ["2026-01-15T08:00:00Z", "2026-07-15T07:00:00Z"],
                "{text}"
            );
            let is_told = found
                .problems()
                .iter()
                .any(|problem| problem.effect() == Effect::OtherTime);
            // Without a TZID it is nobody's definition.
            assert!(
                is_told || (missing == 1 && name != "Foo"),
                "{:?} {text}",
                said(&found)
            );
        }
    }
}

#[test]
fn an_override_of_nobody_knows_what_replaces_nothing() {
    let series = event("DTSTART:20260105T100000Z\nRRULE:FREQ=DAILY;COUNT=5");
    for id in [
        "RECURRENCE-ID;TZID=\"Europe/Berlin:20260107T110000\"",
        "RECURRENCE-ID",
        "RECURRENCE-ID:foo",
    ] {
        let changed = event(&format!("{id}\nDTSTART:20260107T150000Z"));
        let found = calendar(&format!("{series}{changed}"), "UTC");
        assert_eq!(starts(&found).len(), 5, "{id}");
        assert_eq!(found.problems().len(), 1, "{id}: {:?}", said(&found));
    }
    // A date that is nobody's midnight is said of RECURRENCE-ID too.
    let days = event("DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=DAILY;COUNT=4");
    let changed = event("RECURRENCE-ID:20260106T140000Z\nDTSTART;VALUE=DATE:20260110");
    let found = calendar(&format!("{days}{changed}"), "UTC");
    assert_eq!(found.problems()[0].effect(), Effect::OtherTime);
}
