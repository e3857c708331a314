//! Random series: their sets, and those sets written and read again, have what the calendar shows.
//!
//! The series have rules of every kind beside each other, RDATE with and without a length, EXDATE in
//! UTC, in other zones and as dates, overrides, and RANGE=THISANDFUTURE that moves, turns, shortens or
//! cancels what follows, in the series' zone or in another. `STANDING_CASES=100000` runs it at length.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::ical::{self, Header, Outgoing};
use scheduler_core::{LocalDateTime, Window, Zone};

use crate::expansion_laws::{cases, rules};
use crate::naive::Freq;

const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "UTC",
];

/// A rule that many series have, or any.
fn rule() -> impl Strategy<Value = String> {
    let common = select(vec![
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;WKST=SU",
        "FREQ=WEEKLY;BYDAY=MO,WE,FR",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,MO;WKST=MO",
        "FREQ=MONTHLY",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=YEARLY",
        "FREQ=HOURLY",
        "FREQ=HOURLY;INTERVAL=5",
        "FREQ=DAILY;BYHOUR=1,2,3",
        "FREQ=MINUTELY;INTERVAL=90",
        "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=BACKWARD",
    ]);
    let common = common.prop_map(str::to_owned);
    const ALL: &[Freq] = &[
        Freq::Hourly,
        Freq::Daily,
        Freq::Weekly,
        Freq::Monthly,
        Freq::Yearly,
    ];
    let any = rules(ALL).prop_map(|parts| parts.to_string());
    let rule = prop_oneof![4 => common, 1 => any];
    let end = prop_oneof![
        3 => Just(String::new()),
        2 => (1..40_u32).prop_map(|count| format!(";COUNT={count}")),
        2 => (0..500_i64).prop_map(|days| format!(";UNTIL={}Z", at(days * 86_400 + 43_200).to_basic())),
    ];
    (rule, end).prop_map(|(rule, end)| rule + &end)
}

/// So many seconds after the beginning of 2026.
fn at(seconds: i64) -> LocalDateTime {
    LocalDateTime::from_seconds(1_767_225_600 + seconds).unwrap()
}

/// A time of an occurrence, as the text may name it: which one, and in which form.
#[derive(Debug, Clone)]
struct Named {
    index: prop::sample::Index,
    form: u8,
    /// Or else any time, so many seconds after the beginning of 2026.
    other: Option<i64>,
}

fn named() -> impl Strategy<Value = Named> {
    let other = prop::option::weighted(0.1, (0..500_000_i64).prop_map(|minutes| minutes * 60));
    (any::<prop::sample::Index>(), 0..4_u8, other).prop_map(|(index, form, other)| Named {
        index,
        form,
        other,
    })
}

/// An override: what it changes, by how much it moves, in which zone, for how long, cancelled.
type Changed = (Named, i64, &'static str, u32, bool, bool);

fn changed() -> impl Strategy<Value = Changed> {
    let moved = select(vec![
        0,
        0,
        0,
        3600,
        -1800,
        86_400,
        -86_400,
        2 * 86_400,
        7 * 86_400 + 5400,
    ]);
    let minutes = select(vec![30_u32, 60, 50]);
    let flag = |weight| prop::bool::weighted(weight);
    (
        named(),
        moved,
        select(&ZONES[..]),
        minutes,
        flag(0.15),
        flag(0.5),
    )
}

#[derive(Debug, Clone)]
struct Case {
    zone: &'static str,
    start: i64,
    rules: Vec<String>,
    added: Vec<(Named, bool)>,
    excluded: Vec<(Named, bool)>,
    changes: Vec<Changed>,
    ranges: Vec<Changed>,
}

prop_compose! {
    fn case()(
        zone in select(&ZONES[..]),
        days in 0..120_i64,
        time in select(vec![9 * 3600, 2 * 3600 + 1800, 0, 23 * 3600 + 2700, 3600 + 1800]),
        rules in prop::collection::vec(rule(), 0..3),
        added in prop::collection::vec((named(), any::<bool>()), 0..4),
        excluded in prop::collection::vec((named(), prop::bool::weighted(0.2)), 0..4),
        changes in prop::collection::vec(changed(), 0..4),
        ranges in prop::collection::vec(changed(), 0..3),
    ) -> Case {
        Case { zone, start: days * 86_400 + time, rules, added, excluded, changes, ranges }
    }
}

fn instant(unix: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(unix, 0).unwrap()
}

fn window() -> Window {
    Window::new(
        "2025-12-20T00:00:00Z".parse().unwrap(),
        "2027-06-01T00:00:00Z".parse().unwrap(),
    )
    .unwrap()
}

fn parse(text: &str) -> ical::Calendar {
    ical::parse(text.as_bytes(), Zone::UTC).unwrap()
}

impl Case {
    fn zone(&self) -> Zone {
        self.zone.parse().unwrap()
    }

    /// A property of a time, in one of the forms that a text may have.
    fn time(&self, name: &str, unix: i64, form: u8) -> String {
        let zoned = |zone: &str| {
            let wall = zone
                .parse::<Zone>()
                .unwrap()
                .local(instant(unix))
                .to_basic();
            if zone == "UTC" {
                format!("{name}:{wall}Z")
            } else {
                format!("{name};TZID={zone}:{wall}")
            }
        };
        match form {
            0 | 1 => zoned(self.zone),
            2 => zoned("UTC"),
            _ => zoned("Asia/Tokyo"),
        }
    }

    fn master(&self) -> String {
        let start = at(self.start).to_basic();
        let start = match self.zone {
            "UTC" => format!("DTSTART:{start}Z"),
            zone => format!("DTSTART;TZID={zone}:{start}"),
        };
        let rules: String = self
            .rules
            .iter()
            .map(|rule| format!("RRULE:{rule}\n"))
            .collect();
        format!("{start}\nDURATION:PT50M\n{rules}")
    }

    /// The whole text. What names occurrences names those that the rules generate.
    fn text(&self) -> String {
        let event = |lines: &str| format!("BEGIN:VEVENT\nUID:a\n{lines}END:VEVENT\n");
        let calendar = |events: &str| format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n");
        let master = self.master();
        let generated: Vec<i64> = parse(&calendar(&event(&master)))
            .between(window())
            .map(|found| {
                found
                    .iter()
                    .take(60)
                    .map(|one| one.start.instant().timestamp())
                    .collect()
            })
            .unwrap_or_default();
        let unix = |named: &Named| match (named.other, generated.len()) {
            (Some(seconds), _) => at(seconds).seconds(),
            (None, 0) => at(self.start).seconds(),
            (None, length) => generated[named.index.index(length)],
        };
        let mut lines = master;
        for (named, has_length) in &self.added {
            let unix = unix(named) + 1800 * i64::from(named.form % 2);
            let mut line = self.time("RDATE", unix, named.form);
            if *has_length {
                line = line.replacen("RDATE", "RDATE;VALUE=PERIOD", 1) + "/PT20M";
            }
            lines += &format!("{line}\n");
        }
        for (named, is_date) in &self.excluded {
            let unix = unix(named);
            let line = if *is_date {
                let date = self.zone().local(instant(unix)).date();
                format!("EXDATE;VALUE=DATE:{}", date.format("%Y%m%d"))
            } else {
                self.time("EXDATE", unix, named.form)
            };
            lines += &format!("{line}\n");
        }
        let mut events = event(&lines);
        for (changes, range) in [(&self.changes, ""), (&self.ranges, ";RANGE=THISANDFUTURE")] {
            for (named, moved, zone, minutes, is_cancelled, is_own_zone) in changes {
                let unix = unix(named);
                let id = self.time(&format!("RECURRENCE-ID{range}"), unix, named.form);
                let zone: Zone = if *is_own_zone {
                    self.zone()
                } else {
                    zone.parse().unwrap()
                };
                // On the clocks of the zone that it moves to.
                let wall = zone
                    .local(instant(unix))
                    .plus_seconds(*moved)
                    .unwrap()
                    .to_basic();
                let start = match zone {
                    Zone::UTC => format!("DTSTART:{wall}Z"),
                    zone => format!("DTSTART;TZID={zone}:{wall}"),
                };
                let status = if *is_cancelled {
                    "STATUS:CANCELLED\n"
                } else {
                    ""
                };
                events += &event(&format!("{id}\n{start}\nDURATION:PT{minutes}M\n{status}"));
            }
        }
        calendar(&events)
    }
}

type Seen = (DateTime<Utc>, DateTime<Utc>);

fn shown(calendar: &ical::Calendar, window: Window) -> Vec<Seen> {
    let found = calendar.between(window).unwrap();
    let live = found.iter().filter(|one| !one.is_cancelled);
    let mut seen: Vec<Seen> = live
        .map(|one| (one.start.instant(), one.end.instant()))
        .collect();
    seen.sort_unstable();
    seen
}

/// The first few that only one of two has.
fn same(seen: &[Seen], expected: &[Seen]) -> Result<(), String> {
    let only = |one: &[Seen], other: &[Seen]| -> Vec<String> {
        let only = one.iter().filter(|found| !other.contains(found)).take(3);
        only.map(|(start, end)| format!("{start}/{end}")).collect()
    };
    if seen == expected {
        return Ok(());
    }
    Err(format!(
        "too many: {:?}, missing: {:?}",
        only(seen, expected),
        only(expected, seen)
    ))
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn sets_are_what_the_calendar_shows(case in case()) {
        let text = case.text();
        let calendar = parse(&text);
        let series = &calendar.series()[0];
        if let Ok(sets) = series.to_sets() {
            let far = Window::new(
                "2043-02-20T00:00:00Z".parse().unwrap(),
                "2043-04-10T00:00:00Z".parse().unwrap(),
            ).unwrap();
            for window in [window(), far] {
                let Ok(found) = calendar.between(window) else { continue };
                prop_assume!(found.len() < 15_000);
                let expected = shown(&calendar, window);
                let of_sets = sets.iter().flat_map(|set| set.overlapping(window).unwrap());
                let live = of_sets.filter(|one| !one.cancelled);
                let mut seen: Vec<Seen> = live.map(|one| (one.start, one.end)).collect();
                seen.sort_unstable();
                same(&seen, &expected).map_err(|difference| {
                    TestCaseError::fail(format!("{difference} in the sets of {text}"))
                })?;
                let uids: Vec<String> = (0..sets.len()).map(|n| format!("u{n}")).collect();
                let outgoing: Vec<Outgoing<'_>> = sets.iter().zip(&uids).map(|(set, uid)| {
                    Outgoing { uid, sequence: 0, summary: None, set }
                }).collect();
                let header = Header {
                    method: None,
                    stamp: "2026-01-01T00:00:00Z".parse().unwrap(),
                    product: "-//Test//Test//EN",
                };
                if let Ok(written) = ical::write(&header, &outgoing) {
                    let again = parse(&written);
                    same(&shown(&again, window), &expected).map_err(|difference| {
                        TestCaseError::fail(format!("{difference} of {text} written as {written}"))
                    })?;
                }
            }
        }
    }
}
