//! Recurrence: occurrences delivered as instants, windows far out, many intents at once.
//!
//! Every row runs this engine, `rrule` 0.14, `ical-rs` 0.6 (civil time only: it resolves no zone,
//! so it does less) and, where one can be written, a closed form by hand as the floor. Numbers are
//! comparable within one run. `cargo bench -p benches --bench expand`
#![allow(missing_docs, clippy::unwrap_used, reason = "a program that measures")]

#[path = "expand/floor.rs"]
mod floor;
#[path = "expand/peers.rs"]
mod peers;

use std::hint::black_box;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{Compiled, RecurrenceSet, Window, for_each_due};

/// The most occurrences of one iteration; through 2099 if there are fewer.
const OCCURRENCES: usize = 10_000;

/// Name, start, zone, rule.
const RULES: [(&str, &str, &str, &str); 10] = [
    (
        "weekly MO",
        "2026-01-05T18:00:00",
        "America/New_York",
        "FREQ=WEEKLY;BYDAY=MO",
    ),
    (
        "monthly 2TU",
        "2026-01-13T18:00:00",
        "America/New_York",
        "FREQ=MONTHLY;BYDAY=2TU",
    ),
    (
        "last weekday of the month",
        "2026-01-30T18:00:00",
        "America/New_York",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    ),
    (
        "monthly on the 31st",
        "2026-01-31T18:00:00",
        "Europe/London",
        "FREQ=MONTHLY;BYMONTHDAY=31",
    ),
    (
        "yearly -1SU Oct",
        "2026-10-25T18:00:00",
        "Europe/London",
        "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
    ),
    (
        "week 20 MO",
        "2026-05-11T18:00:00",
        "Europe/London",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
    ),
    (
        "daily 9 to 17",
        "2026-01-01T09:00:00",
        "America/New_York",
        "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16,17",
    ),
    (
        "every 3rd day",
        "2026-01-01T09:00:00",
        "America/New_York",
        "FREQ=DAILY;INTERVAL=3",
    ),
    (
        "every 15 minutes",
        "2026-01-01T09:00:00",
        "America/New_York",
        "FREQ=MINUTELY;INTERVAL=15",
    ),
    (
        "hourly",
        "2026-01-01T09:00:00",
        "Europe/London",
        "FREQ=HOURLY",
    ),
];

fn set(start: &str, zone: &str, rule: &str) -> RecurrenceSet {
    RecurrenceSet::new(start.parse().unwrap(), zone.parse().unwrap(), 50)
        .unwrap()
        .with_rule(rule.parse().unwrap())
}

/// From the start to where 10,000 occurrences end, or to the end of the zone data.
fn life(compiled: &Compiled) -> Window {
    let start = compiled.nth(0).unwrap().unwrap().start();
    let end = compiled.nth(OCCURRENCES as u64).ok().flatten();
    Window::new(start, end.map_or(END_OF_ZONE_DATA, |end| end.start())).unwrap()
}

fn occurrences(c: &mut Criterion) {
    for (name, start, zone, rule) in RULES {
        let compiled = set(start, zone, rule).compile();
        let window = life(&compiled);
        let count = compiled.count_in(window).unwrap();
        let mut group = c.benchmark_group(format!("each occurrence, {name}"));
        group.throughput(Throughput::Elements(count));
        group.bench_function("standing", |b| {
            b.iter(|| {
                compiled.within(window).unwrap().for_each(|found| {
                    black_box(found.unix);
                });
            });
        });
        group.bench_function("standing, one by one", |b| {
            b.iter(|| {
                for found in compiled.within(window).unwrap() {
                    black_box(found.unix);
                }
            });
        });
        let count = usize::try_from(count).unwrap();
        group.bench_function("rrule", |b| {
            let peer = peers::rrule_set(start, zone, rule);
            b.iter(|| {
                for at in peer.into_iter().take(count) {
                    black_box(at.timestamp());
                }
            });
        });
        group.bench_function("ical-rs (civil)", |b| {
            b.iter(|| {
                for at in peers::ical_expand(start, rule).take(count) {
                    black_box(at);
                }
            });
        });
        if let Some(floor) = floor::occurrences(name, start, zone) {
            group.bench_function("floor", |b| b.iter(|| floor(count)));
        }
        group.finish();
    }
}

/// Sixty-four windows a week long, so that no answer is the last one's.
fn weeks(start: DateTime<Utc>) -> [Window; 64] {
    let at = |week: i64| start + TimeDelta::days(7 * week);
    std::array::from_fn(|week| {
        let week = i64::try_from(week).unwrap();
        Window::new(at(week), at(week + 1)).unwrap()
    })
}

fn windows(c: &mut Criterion) {
    for (name, start, zone, rule) in &RULES[..2] {
        let compiled = set(start, zone, rule).compile();
        for years in [5, 50] {
            let from = compiled.nth(0).unwrap().unwrap().start() + TimeDelta::days(years * 365);
            let weeks = weeks(from);
            let mut group =
                c.benchmark_group(format!("one 7-day window, {name}, {years} years on"));
            let mut next = 0;
            let mut week = move || {
                next = (next + 1) & 63;
                weeks[next]
            };
            group.bench_function("standing", |b| {
                b.iter(|| {
                    compiled
                        .within(black_box(week()))
                        .unwrap()
                        .for_each(|found| {
                            black_box(found.unix);
                        });
                });
            });
            group.bench_function("rrule", |b| {
                let peer = peers::rrule_set(start, zone, rule);
                b.iter(|| peers::rrule_window(&peer, week()));
            });
            group.bench_function("ical-rs (civil)", |b| {
                b.iter(|| peers::ical_window(start, rule, week()));
            });
            if let Some(floor) = floor::window(name, start, zone) {
                group.bench_function("floor", |b| b.iter(|| floor(week())));
            }
            group.finish();
        }
    }
}

const ZONES: [&str; 12] = [
    "America/New_York",
    "Europe/London",
    "Europe/Berlin",
    "Australia/Sydney",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "America/Los_Angeles",
    "America/Chicago",
    "Africa/Cairo",
    "Pacific/Auckland",
    "Europe/Paris",
];

fn bulk(c: &mut Criterion) {
    let weekdays = ["MO", "TU", "WE", "TH", "FR"];
    let sets: Vec<Compiled> = (0..100_000)
        .map(|i| {
            let start = format!(
                "2026-01-{:02}T{:02}:{:02}:00",
                5 + i % 5,
                8 + i % 11,
                15 * (i % 4)
            );
            let weekday = weekdays[i % 5];
            let rule = format!("FREQ=WEEKLY;INTERVAL={};BYDAY={weekday}", 1 + i / 5 % 2);
            set(&start, ZONES[i / 7 % 12], &rule).compile()
        })
        .collect();
    assert!(sets.iter().all(Compiled::is_inline));
    let from: DateTime<Utc> = "2028-01-10T00:00:00Z".parse().unwrap();
    let windows = [
        ("a quiet week", from),
        (
            "a week in which clocks change",
            "2028-03-20T00:00:00Z".parse().unwrap(),
        ),
    ];
    for (name, from) in windows {
        let window = Window::new(from, from + TimeDelta::days(7)).unwrap();
        let mut group = c.benchmark_group(format!("100,000 intents, {name} 2 years on"));
        group.bench_function("standing", |b| {
            b.iter(|| {
                let mut sum = 0i64;
                for_each_due(&sets, window, |_, due| sum = sum.wrapping_add(due.starts)).unwrap();
                black_box(sum)
            });
        });
        group.bench_function("standing, one call each", |b| {
            b.iter(|| {
                let mut sum = 0i64;
                for set in &sets {
                    for due in set.within(window).unwrap() {
                        sum = sum.wrapping_add(due.unix);
                    }
                }
                black_box(sum)
            });
        });
        group.bench_function("floor", |b| {
            let intents = floor::intents(&ZONES);
            b.iter(|| black_box(floor::due(&intents, window)));
        });
        group.finish();
    }
}

/// What a set costs before it is asked anything, the parsed rule given.
fn compiling(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    let impossible = (
        "impossible",
        "2026-01-05T18:00:00",
        "Europe/London",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31",
    );
    let monthly = (
        "impossible monthly",
        "2026-01-05T18:00:00",
        "Europe/London",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31",
    );
    let never = (
        "impossible by its interval",
        "2026-01-05T18:00:00",
        "Europe/London",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
    );
    let counted = (
        "weekly, COUNT=520",
        "2026-01-05T18:00:00",
        "Europe/London",
        "FREQ=WEEKLY;COUNT=520",
    );
    for (name, start, zone, rule) in RULES
        .into_iter()
        .chain([impossible, monthly, never, counted])
    {
        let set = set(start, zone, rule);
        let impossible = name.starts_with("impossible");
        assert_eq!(set.compile().is_empty(), impossible, "{name}");
        group.bench_function(BenchmarkId::new("standing", name), |b| {
            b.iter(|| {
                let compiled = black_box(&set).compile();
                if impossible {
                    compiled.is_empty()
                } else {
                    compiled.is_inline()
                }
            });
        });
    }
    for (name, start, zone, rule) in [impossible, monthly] {
        let peer = peers::rrule_set(start, zone, rule);
        group.bench_function(BenchmarkId::new("rrule", name), |b| {
            b.iter(|| black_box(peer.into_iter().next().is_none()));
        });
        group.bench_function(BenchmarkId::new("ical-rs", name), |b| {
            b.iter(|| black_box(peers::ical_expand(start, rule).next().is_none()));
        });
    }
    group.finish();
}

/// Bytes per compiled intent, which are not measured but counted.
fn sizes(_: &mut Criterion) {
    println!(
        "bytes per compiled common intent: {} (rrule: {} and its vectors, ical-rs: {} and its vectors)",
        size_of::<Compiled>(),
        size_of::<::rrule::RRuleSet>(),
        size_of::<ical::recur::expand::IcalRecurExpand>()
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200));
    targets = sizes, occurrences, windows, bulk, compiling
}
criterion_main!(benches);
