//! Onsets of a VTIMEZONE that are close together, fall on one instant, or are not quite those of the
//! zone that it is named after.
//!
//! The oracle is that of `ical_zones`: of all onsets as instants the last that has begun decides
//! (RFC 5545 §3.6.5). Of several at one instant it takes the onset that changes from the offset before,
//! else the later in the text.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Weekday};
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::ical;
use scheduler_core::{Window, Zone};

use crate::expansion_laws::cases;
use crate::ical_zones::{Clock, DAY, TRANSITIONS, basic, event, local, nth, offset_text};

/// One onset in the text: its wall time, and the offset before and from then on.
type Written = (NaiveDateTime, i64, i64);

/// What the onsets say, in the order of the text.
fn clock(onsets: &[Written]) -> Clock {
    let instant = |one: &Written| one.0.and_utc().timestamp() - one.1;
    let mut instants: Vec<i64> = onsets.iter().map(instant).collect();
    instants.sort_unstable();
    instants.dedup();
    let mut before = None;
    let mut found: Vec<(i64, i64)> = Vec::new();
    for unix in instants {
        let here: Vec<&Written> = onsets.iter().filter(|one| instant(one) == unix).collect();
        let offset = found.last().map(|last| last.1);
        let mut fitting = here.iter().filter(|one| Some(one.1) == offset);
        let one = fitting.next_back().or(here.last()).unwrap();
        before = before.or(Some(one.1));
        found.push((unix, one.2));
    }
    Clock {
        before: before.unwrap_or(0),
        onsets: found,
    }
}

fn observance(kind: &str, (wall, from, to): Written, rule: &str) -> String {
    format!(
        "BEGIN:{kind}\nDTSTART:{}\nTZOFFSETFROM:{}\nTZOFFSETTO:{}\n{rule}END:{kind}\n",
        basic(wall),
        offset_text(from),
        offset_text(to),
    )
}

fn calendar(name: &str, observances: &str, events: &str) -> ical::Calendar {
    let text = format!(
        "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:{name}\n{observances}END:VTIMEZONE\n{events}END:VCALENDAR\n"
    );
    ical::parse(text.as_bytes(), Zone::UTC).unwrap()
}

fn starts(calendar: &ical::Calendar, from: NaiveDateTime, days: i64) -> Vec<i64> {
    let from = from.and_utc();
    let window = Window::new(from, from + TimeDelta::days(days)).unwrap();
    let found = calendar.between(window).unwrap();
    found
        .iter()
        .map(|one| one.start.instant().timestamp())
        .collect()
}

fn said(calendar: &ical::Calendar) -> Vec<String> {
    let problems = calendar.problems().iter();
    problems.map(ToString::to_string).collect()
}

fn date(year: i32, month: u32, day: u32) -> NaiveDateTime {
    let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
    date.and_hms_opt(0, 0, 0).unwrap()
}

proptest! {
    #![proptest_config(cases(300))]

    /// Both rules of a summer time begin at one wall time, or minutes apart, as Zimbra and Microsoft's
    /// CDO write them. What clocks show for an hour in 1971 touches no later event.
    #[test]
    fn seeds_of_rules_touch_no_later_event(
        standard in -48..=52_i64,
        ahead in select(vec![1800_i64, 3600, 3600, 7200]),
        spring in (select(vec![2_u32, 3, 4, 9, 10]), select(vec![-1_i8, 1, 2])),
        autumn in (select(vec![5_u32, 8, 11, 12]), select(vec![-1_i8, 1])),
        from in select(vec![1601, 1902, 1970, 1971, 1987, 2001]),
        apart in select(vec![0_i64, 0, 0, 3600, -3600, 7200, 1800, -60, 1, -7200]),
        summer_first in any::<bool>(),
        hour in select(vec![0_i64, 2, 3]),
        later in 1..30,
        month in 1..=12_u32,
    ) {
        let (standard, summer) = (standard * 900, standard * 900 + ahead);
        let seed = date(from, 1, 1) + TimeDelta::hours(hour);
        let two = TimeDelta::hours(hour);
        let mut kinds = [("DAYLIGHT", spring, standard, summer, 0), ("STANDARD", autumn, summer, standard, apart)];
        if !summer_first {
            kinds.reverse();
        }
        let mut text = String::new();
        let mut onsets = Vec::new();
        for (kind, (month, week), old, new, apart) in kinds {
            let seed = seed + TimeDelta::seconds(apart);
            let rule = format!("RRULE:FREQ=YEARLY;BYMONTH={month};BYDAY={week}SU;BYHOUR={hour};BYMINUTE=0;BYSECOND=0\n");
            text += &observance(kind, (seed, old, new), &rule);
            onsets.push((seed, old, new));
            for year in from.max(1890)..2045 {
                let onset = nth(year, month, Weekday::Sun, week).and_time(chrono::NaiveTime::MIN) + two;
                if onset > seed {
                    onsets.push((onset, old, new));
                }
            }
        }
        let clock = clock(&onsets);
        let year = from.max(1902) + later;
        for (hour, minute) in [(1, 30), (12, 0)] {
            let start = NaiveDate::from_ymd_opt(year, month, 3).unwrap().and_hms_opt(hour, minute, 0).unwrap();
            let calendar = calendar("House", &text, &event("a", "House", start, "RRULE:FREQ=DAILY;COUNT=400\n"));
            let walls = (0..400).map(|day| start + TimeDelta::days(day));
            let mut expected: Vec<i64> = walls.map(|wall| clock.instant(wall)).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(said(&calendar), Vec::<String>::new(), "{}", text);
            prop_assert_eq!(starts(&calendar, start - TimeDelta::days(3), 410), expected, "{}", text);
        }
    }

    /// Any onsets at all, among them some at one instant and some crossed, are read. A time that is not
    /// by the letter is near onsets that are too close, and a problem says so.
    #[test]
    fn onsets_are_read_however_close(
        onsets in prop::collection::vec(
            (select(vec![0_i64, 1, 1, 60, 1800, 3600, 3600, 7200, 86_400, 20_000_000]), 0..7_usize, 0..7_usize, any::<bool>()),
            1..14,
        ),
        shuffled in any::<prop::sample::Index>(),
        at in -100_000..200_000_i64,
        near in any::<prop::sample::Index>(),
    ) {
        let offsets = [0, 3600, -3600, 7200, -18_000, 34_200, 43_200];
        let mut unix = date(2001, 1, 1).and_utc().timestamp();
        let mut before = 0;
        let mut written: Vec<Written> = Vec::new();
        for (since, old, new, follows) in onsets {
            unix += since;
            let old = if follows { before } else { offsets[old] };
            written.push((local(unix + old), old, offsets[new]));
            before = offsets[new];
        }
        let middle = shuffled.index(written.len());
        written.rotate_left(middle);
        let clock = clock(&written);
        let text: String = written.iter().map(|one| observance("STANDARD", *one, "")).collect();
        let near = clock.onsets[near.index(clock.onsets.len())].0;
        let start = local(near + at);
        let calendar = calendar("House", &text, &event("a", "House", start, ""));
        let problems = said(&calendar);
        prop_assert!(problems.iter().all(|problem| problem.contains("no clock can show it")), "{problems:?}");
        let close = clock.onsets.windows(2).any(|pair| pair[1].0 - pair[0].0 < 2 * DAY);
        prop_assert!(close || problems.is_empty(), "{problems:?} {text}");
        if problems.is_empty() {
            prop_assert_eq!(starts(&calendar, start - TimeDelta::days(3), 6), vec![clock.instant(start)], "{}", text);
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Apple's iCal lists the onsets of a year or two under the zone's name, the first from +0000, some
    /// at a wall time that is off by hours. The name says what they mean, in those years and in others.
    #[test]
    fn onsets_written_badly_are_those_of_the_zone_named(
        zone in select(vec![
            "America/Chicago", "US/Central", "Europe/London", "Europe/Paris", "Australia/Sydney",
            "America/Sao_Paulo", "Asia/Tehran", "Australia/Lord_Howe", "Central Standard Time",
        ]),
        first in 1985..2006_i32,
        years in 1..4,
        off in prop::collection::vec(select(vec![0_i64, 0, 0, 3600, -3600, 7200, 50_400, -39_600]), 8),
        from_zero in any::<bool>(),
        near in prop::option::of((any::<prop::sample::Index>(), -60..60_i64)),
        at in (1980..2030_i32, 1..13_u32, 1..29_u32, 0..24_u32),
    ) {
        let iana = if zone.ends_with("Time") { "America/Chicago" } else { zone };
        let meant: Zone = iana.parse().unwrap();
        let (_, onsets) = recorded(iana);
        let (from, to) = (date(first, 1, 1).and_utc().timestamp(), date(first + years, 1, 1).and_utc().timestamp());
        let listed: Vec<(i64, i64)> = onsets.into_iter().filter(|onset| (from..to).contains(&onset.0)).collect();
        prop_assume!(listed.len() > 1);
        let mut before = if from_zero { 0 } else { listed[1].1 };
        let mut text = String::new();
        for ((unix, offset), off) in listed.iter().zip(off) {
            text += &observance("STANDARD", (local(unix + off + before), before, *offset), "");
            before = *offset;
        }
        let (year, month, day, hour) = at;
        let start = NaiveDate::from_ymd_opt(year, month, day).unwrap().and_hms_opt(hour, 30, 0).unwrap();
        let start = near.map_or(start, |(onset, hours)| {
            let (unix, offset) = listed[onset.index(listed.len())];
            local(unix + offset + hours * 3600 - 1800)
        });
        let resolved = meant.resolve(scheduler_core::LocalDateTime::from_seconds(start.and_utc().timestamp()).unwrap());
        for rule in ["", "RRULE:FREQ=YEARLY;COUNT=30\n"] {
            let calendar = calendar(zone, &text, &event("a", zone, start, rule));
            let found = starts(&calendar, start - TimeDelta::days(3), 6);
            prop_assert_eq!(found, vec![resolved.0.timestamp()], "{} {}", text, start);
        }
    }
}

/// A zone's offset before its first recorded onset, and its onsets.
fn recorded(zone: &str) -> (i64, Vec<(i64, i64)>) {
    let mut lines = TRANSITIONS.lines();
    let line = lines
        .find(|line| {
            line.split('\t')
                .next()
                .unwrap()
                .split(',')
                .any(|name| name == zone)
        })
        .unwrap();
    let mut fields = line.split('\t').skip(1);
    let first = fields.next().unwrap().parse().unwrap();
    let mut unix = 0;
    let onsets = fields.next().unwrap().split_whitespace().map(|pair| {
        let (since, offset) = pair.split_once('=').unwrap();
        unix += since.parse::<i64>().unwrap();
        (unix, offset.parse().unwrap())
    });
    (first, onsets.collect())
}

/// Where a list of the zone's offsets is not the zone's, it counts from its first onset to its last, and
/// a problem says what was done there and elsewhere. Other offsets than the zone's count at all times.
#[test]
fn a_list_counts_as_far_as_it_goes() {
    // iCal did not know that summer ended on 2 April for the Games of 2006.
    let sydney = "BEGIN:STANDARD\nDTSTART:20060325T160000\nTZOFFSETFROM:+0000\nTZOFFSETTO:+1000\nEND:STANDARD\n\
                  BEGIN:DAYLIGHT\nDTSTART:20061029T020000\nTZOFFSETFROM:+1000\nTZOFFSETTO:+1100\nEND:DAYLIGHT\n";
    let other = sydney
        .replace(":+1000", ":+0930")
        .replace(":+1100", ":+1030");
    for (zone, start, rule, expected, told) in [
        (
            sydney,
            date(2003, 8, 1),
            "",
            "2003-07-31T14:00:00Z",
            "does not cover all times",
        ),
        (
            sydney,
            date(2003, 1, 1),
            "",
            "2002-12-31T13:00:00Z",
            "does not cover all times",
        ),
        (sydney, date(2006, 8, 1), "", "2006-07-31T14:00:00Z", ""),
        (
            sydney,
            date(2007, 8, 1),
            "",
            "2007-07-31T14:00:00Z",
            "does not cover all times",
        ),
        (sydney, date(2007, 1, 1), "", "2006-12-31T13:00:00Z", ""),
        (
            sydney,
            date(2006, 3, 28),
            "",
            "2006-03-27T14:00:00Z",
            "differs from Australia/Sydney",
        ),
        (
            sydney,
            date(2003, 1, 1),
            "RRULE:FREQ=DAILY\n",
            "2002-12-31T13:00:00Z",
            "differs from Australia/Sydney",
        ),
        (
            sydney,
            date(2003, 1, 1),
            "RRULE:FREQ=DAILY\n",
            "2002-12-31T13:00:00Z",
            "does not cover all times",
        ),
        (
            &*other,
            date(2006, 8, 1),
            "",
            "2006-07-31T14:30:00Z",
            "differs from Australia/Sydney",
        ),
        (
            &*other,
            date(2007, 8, 1),
            "",
            "2007-07-31T13:30:00Z",
            "differs from Australia/Sydney",
        ),
    ] {
        let calendar = calendar(
            "Australia/Sydney",
            zone,
            &event("a", "Australia/Sydney", start, rule),
        );
        let window = Window::new(
            start.and_utc() - TimeDelta::days(2),
            start.and_utc() + TimeDelta::days(2),
        );
        let found = calendar.between(window.unwrap()).unwrap();
        assert_eq!(found[0].start.to_string(), expected, "{start}");
        let said = said(&calendar);
        assert_eq!(said.is_empty(), told.is_empty(), "{start} {said:?}");
        assert!(
            said.iter().any(|said| said.contains(told)) || told.is_empty(),
            "{start} {said:?}"
        );
    }
}

/// Today's offsets without their rules, as of 1970, when the zone had no summer time: the name counts.
#[test]
fn offsets_without_rules_are_those_of_the_named_zone() {
    let both = "BEGIN:DAYLIGHT\nDTSTART:19700101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nEND:DAYLIGHT\n\
                BEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nEND:STANDARD\n";
    for (start, expected) in [
        (date(2024, 1, 10), "2024-01-09T23:00:00Z"),
        (date(2024, 7, 10), "2024-07-09T22:00:00Z"),
    ] {
        let calendar = calendar(
            "Europe/Berlin",
            both,
            &event("a", "Europe/Berlin", start, ""),
        );
        let window = Window::new(
            start.and_utc() - TimeDelta::days(2),
            start.and_utc() + TimeDelta::days(2),
        );
        let found = calendar.between(window.unwrap()).unwrap();
        assert_eq!(found[0].start.to_string(), expected, "{start}");
    }
}

/// Of two onsets at one instant the onset counts that changes from the offset before.
#[test]
fn of_two_onsets_at_one_instant_one_counts() {
    let onset = |at: &str, from: &str, to: &str| {
        format!(
            "BEGIN:STANDARD\nDTSTART:{at}\nTZOFFSETFROM:{from}\nTZOFFSETTO:{to}\nEND:STANDARD\n"
        )
    };
    let first = onset("20010101T000000", "+0200", "+0100");
    let fitting = onset("20020101T010000", "+0100", "+0300");
    let other = onset("20020101T000000", "+0000", "+0500");
    for (text, expected) in [
        (format!("{first}{fitting}{other}"), "2002-05-31T21:00:00Z"),
        (format!("{first}{other}{fitting}"), "2002-05-31T21:00:00Z"),
        (format!("{fitting}{other}"), "2002-05-31T19:00:00Z"),
        (format!("{other}{fitting}"), "2002-05-31T21:00:00Z"),
    ] {
        let calendar = calendar("House", &text, &event("a", "House", date(2002, 6, 1), ""));
        let found = starts(&calendar, date(2002, 5, 30), 4);
        let expected: chrono::DateTime<chrono::Utc> = expected.parse().unwrap();
        assert_eq!(found, [expected.timestamp()], "{text}");
    }
}
