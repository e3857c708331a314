//! VTIMEZONE: a zone that a file defines gives the instants that it defines, or a problem says so.
//!
//! The oracle reads RFC 5545 §3.6.5 by the letter: onsets as instants, the last one that has begun
//! decides; a wall time that is skipped has the offset from before the gap (§3.3.5 with erratum 4271),
//! one that is there twice is the first. It shares no code with the reader.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Weekday};
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::ical::{self, Effect};
use scheduler_core::{Window, Zone};

use crate::expansion_laws::cases;

pub(crate) const TRANSITIONS: &str = include_str!("../data/zones/transitions.tsv");
pub(crate) const DAY: i64 = 86_400;

/// Onsets as instants with the offset from then on, in order, and the offset before.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    pub(crate) before: i64,
    pub(crate) onsets: Vec<(i64, i64)>,
}

impl Clock {
    pub(crate) fn offset(&self, unix: i64) -> i64 {
        let begun = self.onsets.iter().take_while(|onset| onset.0 <= unix);
        begun.last().map_or(self.before, |onset| onset.1)
    }

    pub(crate) fn instant(&self, wall: NaiveDateTime) -> i64 {
        let wall = wall.and_utc().timestamp();
        let all = self.onsets.iter().map(|onset| onset.1).chain([self.before]);
        let shown = all
            .map(|offset| wall - offset)
            .filter(|unix| unix + self.offset(*unix) == wall);
        // Skipped: as if the offset from before the gap went on.
        let before = [self.before]
            .into_iter()
            .chain(self.onsets.iter().map(|onset| onset.1));
        let mut gaps = self.onsets.iter().zip(before);
        let gap =
            gaps.find(|((unix, after), before)| (unix + before..unix + after).contains(&wall));
        let skipped = gap.map_or(0, |(_, before)| wall - before);
        shown.min().unwrap_or(skipped)
    }
}

pub(crate) fn offset_text(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (minutes, seconds) = (seconds.abs() / 60, seconds.abs() % 60);
    let text = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
    if seconds == 0 {
        text
    } else {
        format!("{text}{seconds:02}")
    }
}

pub(crate) fn basic(wall: NaiveDateTime) -> String {
    wall.format("%Y%m%dT%H%M%S").to_string()
}

pub(crate) fn local(unix: i64) -> NaiveDateTime {
    DateTime::from_timestamp(unix, 0).unwrap().naive_utc()
}

/// A VTIMEZONE that lists every onset by itself.
fn listed(name: &str, clock: &Clock) -> String {
    let mut text = format!("BEGIN:VTIMEZONE\nTZID:{name}\n");
    let mut from = clock.before;
    for (unix, to) in &clock.onsets {
        let start = basic(local(unix + from));
        let (old, new) = (offset_text(from), offset_text(*to));
        let _ = write!(
            text,
            "BEGIN:STANDARD\nDTSTART:{start}\nTZOFFSETFROM:{old}\nTZOFFSETTO:{new}\nEND:STANDARD\n"
        );
        from = *to;
    }
    text + "END:VTIMEZONE\n"
}

pub(crate) fn event(uid: &str, tzid: &str, start: NaiveDateTime, rule: &str) -> String {
    let start = basic(start);
    format!(
        "BEGIN:VEVENT\nUID:{uid}\nDTSTART;TZID={tzid}:{start}\nDURATION:PT1H\n{rule}END:VEVENT\n"
    )
}

/// Compares a weekly series with the oracle for a month each of some years. A difference that a
/// problem of another time speaks of is not silent.
pub(crate) fn silently_wrong(text: &str, clock: &Clock, start: NaiveDateTime) -> Option<String> {
    let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
    let told = calendar
        .problems()
        .iter()
        .any(|problem| problem.effect() == Effect::OtherTime);
    for years in [0, 5, 10, 20, 60] {
        let from = start + TimeDelta::days(365 * years);
        let window = Window::new(from.and_utc(), from.and_utc() + TimeDelta::days(40)).unwrap();
        let Ok(found) = calendar.between(window) else {
            continue;
        };
        let found: Vec<i64> = found
            .iter()
            .map(|one| one.start.instant().timestamp())
            .collect();
        let first = (years * 365 / 7 - 1).max(0);
        let walls = (first..).map(|week| start + TimeDelta::weeks(week));
        let unix = walls.map(|wall| clock.instant(wall));
        let (begin, end) = window.edges();
        let expected: Vec<i64> = unix
            .skip_while(|unix| unix + 3600 <= begin)
            .take_while(|unix| *unix < end)
            .collect();
        if found != expected && !told {
            return Some(format!("{found:?} is not {expected:?} in\n{text}"));
        }
    }
    None
}

trait Edges {
    fn edges(self) -> (i64, i64);
}

impl Edges for Window {
    fn edges(self) -> (i64, i64) {
        (self.start().timestamp(), self.end().timestamp())
    }
}

/// Every IANA zone under a name of its own, with events that begin in every decade.
#[test]
fn every_zone_is_known_by_its_own_definition() {
    let mut count = 0;
    for line in TRANSITIONS.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let (_, first) = (fields.next().unwrap(), fields.next().unwrap());
        let mut onsets = Vec::new();
        let mut unix = 0;
        for pair in fields.next().unwrap().split_whitespace() {
            let (since, offset) = pair.split_once('=').unwrap();
            unix += since.parse::<i64>().unwrap();
            onsets.push((unix, offset.parse().unwrap()));
        }
        let before: i64 = first.parse().unwrap();
        if onsets.is_empty() {
            onsets.push((-2_208_988_800, before));
        }
        let clock = Clock { before, onsets };
        let zone = listed("House", &clock);
        for year in [1970, 1987, 2004, 2016, 2026, 2030] {
            for (time, rule) in [(9, ""), (2, "RRULE:FREQ=WEEKLY\n")] {
                let start = NaiveDate::from_ymd_opt(year, 3, 1)
                    .unwrap()
                    .and_hms_opt(time, 30, 0);
                let start = start.unwrap();
                let event = event("a", "House", start, rule);
                let text = format!("BEGIN:VCALENDAR\n{zone}{event}END:VCALENDAR\n");
                if rule.is_empty() {
                    let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
                    let day = Window::new(
                        start.and_utc() - TimeDelta::days(3),
                        start.and_utc() + TimeDelta::days(3),
                    );
                    let found = calendar.between(day.unwrap()).unwrap();
                    assert_eq!(
                        found[0].start.instant().timestamp(),
                        clock.instant(start),
                        "{text}"
                    );
                    assert!(calendar.problems().is_empty(), "{:?}", calendar.problems());
                } else {
                    assert_eq!(silently_wrong(&text, &clock, start), None);
                }
                count += 1;
            }
        }
    }
    println!("{count} series");
}

#[test]
fn every_constant_offset_is_the_offset() {
    for quarters in -48..=56 {
        let clock = Clock {
            before: quarters * 900,
            onsets: vec![(0, quarters * 900)],
        };
        let zone = listed("House", &clock);
        for year in [1999, 2016, 2026] {
            let start = NaiveDate::from_ymd_opt(year, 1, 15)
                .unwrap()
                .and_hms_opt(12, 0, 0)
                .unwrap();
            for rule in ["", "RRULE:FREQ=WEEKLY;COUNT=4500\n", "RRULE:FREQ=WEEKLY\n"] {
                let event = event("a", "House", start, rule);
                let text = format!("BEGIN:VCALENDAR\n{zone}{event}END:VCALENDAR\n");
                let weekly =
                    Some(silently_wrong(&text, &clock, start)).filter(|_| !rule.is_empty());
                assert_eq!(weekly.flatten(), None);
                let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
                // What takes place once is booked at its instant, whatever zone comes near.
                if rule.is_empty() {
                    let set = &calendar.series()[0].to_sets().unwrap()[0];
                    let first = set.first_from(start.and_utc() - TimeDelta::days(2), |_| true);
                    assert_eq!(
                        first.unwrap().start.timestamp(),
                        clock.instant(start),
                        "{text}"
                    );
                }
            }
        }
    }
}

/// The n-th of a weekday of a month, or the last.
pub(crate) fn nth(year: i32, month: u32, weekday: Weekday, nth: i8) -> NaiveDate {
    let first = NaiveDate::from_ymd_opt(year, month, 1).unwrap();
    let days = (0..31).map(|day| first + Days::new(day));
    let mut days: Vec<NaiveDate> = days
        .filter(|day| day.month() == month && day.weekday() == weekday)
        .collect();
    if nth < 0 {
        days.pop().unwrap()
    } else {
        days[usize::try_from(nth - 1).unwrap()]
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Rules of a summer time at any offset, from any year on and to any year or none, under a name
    /// of their own, of a zone or of Windows.
    #[test]
    fn rules_of_summer_time_count(
        standard in -48..=56_i64,
        ahead in select(vec![1800_i64, 3600, 3600, 3600, 7200]),
        spring in (select(vec![2_u32, 3, 4, 9, 10]), select(vec![-1_i8, 1, 2, 3])),
        autumn in (select(vec![5_u32, 8, 11, 12]), select(vec![-1_i8, 1, 4])),
        from in select(vec![1601, 1970, 1987, 1996, 2007, 2020]),
        ends in prop::option::of(2025..2040_i32),
        year in 1990..2031_i32,
        name in select(vec!["House", "Europe/Berlin", "GMT", "Eastern Standard Time", "/x/y/Asia/Tokyo"]),
    ) {
        let standard = standard * 900;
        let summer = standard + ahead;
        let ends = ends.unwrap_or(2200);
        let mut onsets = Vec::new();
        let at = |date: NaiveDate, offset: i64| date.and_hms_opt(2, 0, 0).unwrap().and_utc().timestamp() - offset;
        for year in from.max(1900)..ends.min(2110) {
            onsets.push((at(nth(year, spring.0, Weekday::Sun, spring.1), standard), summer));
            onsets.push((at(nth(year, autumn.0, Weekday::Sun, autumn.1), summer), standard));
        }
        onsets.sort_unstable();
        let before = if spring.0 < autumn.0 { standard } else { summer };
        let clock = Clock { before, onsets };
        let observance = |kind: &str, (month, week): (u32, i8), old: i64, new: i64| {
            let start = basic(nth(from, month, Weekday::Sun, week).and_hms_opt(2, 0, 0).unwrap());
            let until = if ends < 2200 { format!(";UNTIL={ends}0101T000000Z") } else { String::new() };
            format!(
                "BEGIN:{kind}\nDTSTART:{start}\nTZOFFSETFROM:{}\nTZOFFSETTO:{}\n\
                 RRULE:FREQ=YEARLY;BYMONTH={month};BYDAY={week}SU{until}\nEND:{kind}\n",
                offset_text(old), offset_text(new),
            )
        };
        let zone = format!(
            "BEGIN:VTIMEZONE\nTZID:{name}\n{}{}END:VTIMEZONE\n",
            observance("DAYLIGHT", spring, standard, summer),
            observance("STANDARD", autumn, summer, standard),
        );
        let start = NaiveDate::from_ymd_opt(year, 1, 4).unwrap().and_hms_opt(12, 0, 0).unwrap();
        let event = event("a", name, start, "RRULE:FREQ=WEEKLY\n");
        // A birthday long ago says nothing of when the meeting is.
        let old = "BEGIN:VEVENT\nUID:old\nDTSTART;VALUE=DATE:16040229\nRRULE:FREQ=YEARLY;UNTIL=16200101\nEND:VEVENT\n";
        let text = format!("BEGIN:VCALENDAR\n{zone}{old}{event}END:VCALENDAR\n");
        // Before the first onset nobody knows what summer it was.
        prop_assume!(i64::from(year) > i64::from(from));
        prop_assert_eq!(silently_wrong(&text, &clock, start), None);
    }
}

/// An IANA zone is only a name for a definition: where they differ the definition counts, and where
/// the definition is a part of the zone's data the zone does.
#[test]
fn a_name_does_not_win_over_a_definition() {
    let single = |from: &str, to: &str, onset: &str, rule: &str| {
        format!(
            "BEGIN:STANDARD\nDTSTART:{onset}\nTZOFFSETFROM:{from}\nTZOFFSETTO:{to}\n{rule}END:STANDARD\n"
        )
    };
    let british = single(
        "+0100",
        "+0000",
        "19961027T020000",
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\n",
    ) + &single(
        "+0000",
        "+0100",
        "19960331T010000",
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\n",
    );
    // What an exporter lists of Berlin, when its events end in 2021.
    let part = single("+0100", "+0200", "20210328T020000", "")
        + &single("+0200", "+0100", "20211031T030000", "");
    for (tzid, body, start, rule, expected, said) in [
        (
            "GMT",
            &british,
            "20260601T180000",
            "",
            "2026-06-01T17:00:00Z",
            "differs from GMT",
        ),
        (
            "GMT",
            &british,
            "20260115T180000",
            "",
            "2026-01-15T18:00:00Z",
            "",
        ),
        (
            "Europe/London",
            &british,
            "20260601T180000",
            "RRULE:FREQ=WEEKLY\n",
            "2026-06-01T17:00:00Z",
            "",
        ),
        (
            "Europe/Berlin",
            &part,
            "20210601T180000",
            "",
            "2021-06-01T16:00:00Z",
            "",
        ),
        (
            "Europe/Berlin",
            &part,
            "20260601T180000",
            "",
            "2026-06-01T16:00:00Z",
            "does not cover all times",
        ),
        (
            "Europe/Berlin",
            &british,
            "20260601T180000",
            "RRULE:FREQ=WEEKLY\n",
            "2026-06-01T17:00:00Z",
            "differs from Europe/Berlin",
        ),
        (
            "Moon",
            &british,
            "20260601T180000",
            "RRULE:FREQ=WEEKLY\n",
            "2026-06-01T17:00:00Z",
            "",
        ),
    ] {
        let text = format!(
            "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:{tzid}\n{body}END:VTIMEZONE\n\
             BEGIN:VEVENT\nUID:a\nDTSTART;TZID={tzid}:{start}\nDURATION:PT1H\n{rule}END:VEVENT\nEND:VCALENDAR\n"
        );
        let calendar = ical::parse(text.as_bytes(), "America/Lima".parse().unwrap()).unwrap();
        let life = Window::new(
            "2021-01-01T00:00:00Z".parse().unwrap(),
            "2027-01-01T00:00:00Z".parse().unwrap(),
        );
        let found = calendar.between(life.unwrap()).unwrap();
        assert_eq!(found[0].start.to_string(), expected, "{text}");
        let problems: Vec<String> = calendar
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(problems.is_empty(), said.is_empty(), "{problems:?} {text}");
        assert!(
            said.is_empty() || problems[0].contains(said),
            "{problems:?}"
        );
    }
}
