//! Files as calendars write them, each after the known shape of its producer.

use scheduler_core::{Window, Zone, ical};

/// An instant or date each: start, end, and the summary.
type Listed = (String, String, String);

/// What takes place from 2026 through 2027.
fn listed(file: &str) -> (Vec<Listed>, Vec<String>) {
    let calendar = ical::parse(file.as_bytes(), Zone::UTC).unwrap();
    let years = "2026-01-01T00:00:00Z".parse().unwrap();
    let window = Window::new(years, "2028-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let found = calendar.between(window).unwrap();
    let found = found.iter().filter(|one| !one.is_cancelled).map(|one| {
        let summary = one.summary.unwrap_or_default().to_owned();
        (one.start.to_string(), one.end.to_string(), summary)
    });
    let problems = calendar.problems().iter().map(ToString::to_string);
    (found.collect(), problems.collect())
}

fn starts(found: &[Listed]) -> Vec<&str> {
    found.iter().map(|one| one.0.as_str()).collect()
}

/// Google: X-WR-TIMEZONE, times with TZID, an exclusion and a moved occurrence as components.
pub(crate) const GOOGLE: &str = "BEGIN:VCALENDAR\r
PRODID:-//Google Inc//Google Calendar 70.9054//EN\r
VERSION:2.0\r
CALSCALE:GREGORIAN\r
METHOD:PUBLISH\r
X-WR-CALNAME:practice\r
X-WR-TIMEZONE:America/New_York\r
BEGIN:VTIMEZONE\r
TZID:America/New_York\r
X-LIC-LOCATION:America/New_York\r
BEGIN:DAYLIGHT\r
TZOFFSETFROM:-0500\r
TZOFFSETTO:-0400\r
TZNAME:EDT\r
DTSTART:19700308T020000\r
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r
END:DAYLIGHT\r
BEGIN:STANDARD\r
TZOFFSETFROM:-0400\r
TZOFFSETTO:-0500\r
TZNAME:EST\r
DTSTART:19701101T020000\r
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU\r
END:STANDARD\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
DTSTART;TZID=America/New_York:20260302T090000\r
DTEND;TZID=America/New_York:20260302T095000\r
RRULE:FREQ=WEEKLY;WKST=SU;UNTIL=20260331T035959Z;BYDAY=MO\r
EXDATE;TZID=America/New_York:20260309T090000\r
DTSTAMP:20260225T101010Z\r
UID:4abc@google.com\r
CREATED:20260224T101010Z\r
LAST-MODIFIED:20260225T101010Z\r
SEQUENCE:1\r
STATUS:CONFIRMED\r
SUMMARY:Weekly\\, with \\\"Ana\\\"\r
TRANSP:OPAQUE\r
BEGIN:VALARM\r
ACTION:DISPLAY\r
TRIGGER:-P0DT0H10M0S\r
END:VALARM\r
END:VEVENT\r
BEGIN:VEVENT\r
DTSTART;TZID=America/New_York:20260324T110000\r
DTEND;TZID=America/New_York:20260324T115000\r
DTSTAMP:20260225T101010Z\r
UID:4abc@google.com\r
RECURRENCE-ID;TZID=America/New_York:20260323T090000\r
SEQUENCE:2\r
STATUS:CONFIRMED\r
SUMMARY:Moved\r
END:VEVENT\r
END:VCALENDAR\r
";

#[test]
fn google() {
    let (found, problems) = listed(GOOGLE);
    let expected = [
        "2026-03-02T14:00:00Z",
        "2026-03-16T13:00:00Z",
        "2026-03-24T15:00:00Z",
        "2026-03-30T13:00:00Z",
    ];
    assert_eq!(starts(&found), expected);
    assert_eq!(found[2].2, "Moved");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("VALARM"), "{problems:?}");
}

/// Exchange: Windows names of zones, a VTIMEZONE from 1601, exceptions in the same zone, and times
/// of midnight for all-day events.
pub(crate) const OUTLOOK: &str = "BEGIN:VCALENDAR\r
METHOD:PUBLISH\r
PRODID:Microsoft Exchange Server 2010\r
VERSION:2.0\r
BEGIN:VTIMEZONE\r
TZID:W. Europe Standard Time\r
BEGIN:STANDARD\r
DTSTART:16010101T030000\r
TZOFFSETFROM:+0200\r
TZOFFSETTO:+0100\r
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\r
END:STANDARD\r
BEGIN:DAYLIGHT\r
DTSTART:16010101T020000\r
TZOFFSETFROM:+0100\r
TZOFFSETTO:+0200\r
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\r
END:DAYLIGHT\r
END:VTIMEZONE\r
BEGIN:VTIMEZONE\r
TZID:Customized Time Zone\r
BEGIN:STANDARD\r
DTSTART:16010101T020000\r
TZOFFSETFROM:-0400\r
TZOFFSETTO:-0500\r
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=1SU;BYMONTH=11\r
END:STANDARD\r
BEGIN:DAYLIGHT\r
DTSTART:16010101T020000\r
TZOFFSETFROM:-0500\r
TZOFFSETTO:-0400\r
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=2SU;BYMONTH=3\r
END:DAYLIGHT\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
RRULE:FREQ=WEEKLY;UNTIL=20260420T160000Z;INTERVAL=2;BYDAY=MO;WKST=MO\r
EXDATE;TZID=W. Europe Standard Time:20260406T180000\r
UID:040000008200E00074C5B7101A82E008\r
SUMMARY;LANGUAGE=de-DE:Sitzung\r
DTSTART;TZID=W. Europe Standard Time:20260309T180000\r
DTEND;TZID=W. Europe Standard Time:20260309T185000\r
DTSTAMP:20260225T101010Z\r
SEQUENCE:0\r
X-MICROSOFT-CDO-ALLDAYEVENT:FALSE\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:customized\r
SUMMARY:Elsewhere\r
DTSTART;TZID=Customized Time Zone:20260310T090000\r
DTEND;TZID=Customized Time Zone:20260310T100000\r
END:VEVENT\r
END:VCALENDAR\r
";

#[test]
fn outlook() {
    let (found, problems) = listed(OUTLOOK);
    let expected = [
        "2026-03-09T17:00:00Z",
        "2026-03-10T13:00:00Z",
        "2026-03-23T17:00:00Z",
        "2026-04-20T16:00:00Z",
    ];
    assert_eq!(starts(&found), expected);
    assert_eq!(problems, [""; 0]);
}

/// Apple: exclusions one a line, all-day events over several days, floating birthdays.
pub(crate) const APPLE: &str = "BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//Apple Inc.//macOS 15.0//EN\r
CALSCALE:GREGORIAN\r
BEGIN:VEVENT\r
CREATED:20260101T000000Z\r
UID:0A1B-2C3D\r
RRULE:FREQ=YEARLY\r
DTSTART;VALUE=DATE:20240229\r
DTEND;VALUE=DATE:20240301\r
SUMMARY:Leap day\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:holiday\r
DTSTART;VALUE=DATE:20260401\r
DTEND;VALUE=DATE:20260404\r
SUMMARY:Away\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:daily\r
DTSTART;TZID=Europe/London:20260327T013000\r
DURATION:P1DT1H\r
RRULE:FREQ=DAILY;COUNT=4\r
EXDATE;TZID=Europe/London:20260328T013000\r
EXDATE;TZID=Europe/London:20260330T013000\r
SUMMARY:Night\r
END:VEVENT\r
END:VCALENDAR\r
";

#[test]
fn apple() {
    let (found, problems) = listed(APPLE);
    let expected = [
        ("2026-03-27T01:30:00Z", "2026-03-28T02:30:00Z", "Night"),
        // 01:30 does not exist on 29 March; a day later is 02:30 by the clock.
        ("2026-03-29T01:30:00Z", "2026-03-30T02:30:00Z", "Night"),
        ("2026-04-01", "2026-04-04", "Away"),
    ];
    let expected = expected.map(|(start, end, summary)| (start.into(), end.into(), summary.into()));
    assert_eq!(found, expected);
    assert_eq!(problems, [""; 0]);
}

/// Thunderbird: names of zones behind a prefix, line feeds only, tabs that fold.
pub(crate) const THUNDERBIRD: &str = "BEGIN:VCALENDAR
PRODID:-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN
VERSION:2.0
BEGIN:VTIMEZONE
TZID:/mozilla.org/20050126_1/Europe/Berlin
X-LIC-LOCATION:Europe/Berlin
BEGIN:STANDARD
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:tb
SUMMARY:A summ
\tary
DTSTART;TZID=/mozilla.org/20050126_1/Europe/Berlin:20260105T100000
DTEND;TZID=/mozilla.org/20050126_1/Europe/Berlin:20260105T110000
RRULE:FREQ=MONTHLY;BYDAY=1MO;COUNT=3
EXDATE:20260202T090000Z
END:VEVENT
BEGIN:VEVENT
UID:tb
SUMMARY:Later
RECURRENCE-ID:20260302T090000Z
DTSTART:20260302T110000Z
DTEND:20260302T120000Z
END:VEVENT
BEGIN:VTODO
UID:todo
END:VTODO
END:VCALENDAR
";

#[test]
fn thunderbird() {
    let (found, problems) = listed(THUNDERBIRD);
    assert_eq!(
        starts(&found),
        ["2026-01-05T09:00:00Z", "2026-03-02T11:00:00Z"]
    );
    assert_eq!(
        (found[0].2.as_str(), found[1].2.as_str()),
        ("A summary", "Later")
    );
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("VTODO"), "{problems:?}");
}

/// Nextcloud: this and the future moved, a single one cancelled.
pub(crate) const NEXTCLOUD: &str = "BEGIN:VCALENDAR\r
CALSCALE:GREGORIAN\r
VERSION:2.0\r
PRODID:-//IDN nextcloud.com//Calendar app 4.7.0//EN\r
BEGIN:VEVENT\r
UID:nc\r
DTSTAMP:20260101T000000Z\r
DTSTART;TZID=Europe/Vienna:20260302T160000\r
DTEND;TZID=Europe/Vienna:20260302T165000\r
RRULE:FREQ=WEEKLY;COUNT=6\r
SUMMARY:At four\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:nc\r
RECURRENCE-ID;TZID=Europe/Vienna;RANGE=THISANDFUTURE:20260316T160000\r
DTSTART;TZID=Europe/Vienna:20260317T173000\r
DTEND;TZID=Europe/Vienna:20260317T183000\r
SUMMARY:Tuesdays\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:nc\r
RECURRENCE-ID;TZID=Europe/Vienna:20260330T160000\r
DTSTART;TZID=Europe/Vienna:20260330T160000\r
STATUS:CANCELLED\r
END:VEVENT\r
END:VCALENDAR\r
";

#[test]
fn nextcloud() {
    let (found, problems) = listed(NEXTCLOUD);
    let expected = [
        ("2026-03-02T15:00:00Z", "2026-03-02T15:50:00Z", "At four"),
        ("2026-03-09T15:00:00Z", "2026-03-09T15:50:00Z", "At four"),
        ("2026-03-17T16:30:00Z", "2026-03-17T17:30:00Z", "Tuesdays"),
        ("2026-03-24T16:30:00Z", "2026-03-24T17:30:00Z", "Tuesdays"),
        ("2026-04-07T15:30:00Z", "2026-04-07T16:30:00Z", "Tuesdays"),
    ];
    let expected = expected.map(|(start, end, summary)| (start.into(), end.into(), summary.into()));
    assert_eq!(found, expected);
    assert_eq!(problems, [""; 0]);
}

pub(crate) const FILES: &[&str] = &[GOOGLE, OUTLOOK, APPLE, THUNDERBIRD, NEXTCLOUD];
