//! What the work costs at least: each row's closed form, written by hand for that row alone, with
//! the zone's clock changes in an array.

use std::hint::black_box;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Offset, TimeZone};
use scheduler_core::Window;

const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;

/// Wall seconds at which the next offset begins, and the offset until then.
fn changes(zone: &str) -> Vec<(i64, i64)> {
    let zone: chrono_tz::Tz = zone.parse().unwrap();
    let offset = |unix: i64| {
        let at = DateTime::from_timestamp(unix, 0).unwrap().naive_utc();
        i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc())
    };
    let (mut unix, end) = (1_760_000_400, 4_102_444_800);
    let mut changes = Vec::new();
    while unix < end {
        let (before, after) = (offset(unix), offset(unix + 3600));
        if before != after {
            changes.push((unix + 3600 + before.max(after), before));
        }
        unix += 3600;
    }
    changes.push((i64::MAX, offset(end - 1)));
    changes
}

fn seconds(start: &str) -> i64 {
    start
        .parse::<NaiveDateTime>()
        .unwrap()
        .and_utc()
        .timestamp()
}

pub(crate) type Row = Box<dyn Fn(usize)>;

/// The floor of one row of occurrences, where there is one.
pub(crate) fn occurrences(name: &str, start: &str, zone: &str) -> Option<Row> {
    let changes = changes(zone);
    let start = seconds(start);
    let steps = move |step: i64| -> Row {
        Box::new(move |count| {
            let (mut index, mut wall) = (0, start);
            for _ in 0..count {
                while wall >= changes[index].0 {
                    index += 1;
                }
                black_box(wall - changes[index].1);
                wall += step;
            }
        })
    };
    match name {
        "weekly MO" => Some(steps(WEEK)),
        "every 3rd day" => Some(steps(3 * DAY)),
        "every 15 minutes" => Some(steps(900)),
        "hourly" => Some(steps(3600)),
        "monthly 2TU" => {
            let changes = self::changes(zone);
            Some(Box::new(move |count| {
                let (mut index, mut year, mut month) = (0, 2026, 1);
                for _ in 0..count {
                    let wall = second_tuesday(year, month) * DAY + 18 * 3600;
                    while wall >= changes[index].0 {
                        index += 1;
                    }
                    black_box(wall - changes[index].1);
                    month += 1;
                    if month > 12 {
                        (year, month) = (year + 1, 1);
                    }
                }
            }))
        }
        _ => None,
    }
}

/// Days since 1970, by the usual count of days in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn second_tuesday(year: i64, month: i64) -> i64 {
    let first = days(year, month, 1);
    // 1970-01-01 was a Thursday, five days before a Tuesday.
    first + (5 - first).rem_euclid(7) + 7
}

type WindowRow = Box<dyn Fn(Window) -> Option<i64>>;

/// The floor of one window: one offset, one candidate.
pub(crate) fn window(name: &str, start: &str, zone: &str) -> Option<WindowRow> {
    let changes = changes(zone);
    let first = seconds(start);
    let offset = move |unix: i64| {
        let index = changes.partition_point(|change| change.0 <= unix);
        changes[index].1
    };
    match name {
        "weekly MO" => Some(Box::new(move |window| {
            let (from, to) = (window.start().timestamp(), window.end().timestamp());
            let offset = offset(from);
            let at = first - offset + (from + offset - first + WEEK - 1) / WEEK * WEEK;
            (at < to).then_some(at)
        })),
        "monthly 2TU" => Some(Box::new(move |window| {
            let (from, to) = (window.start(), window.end().timestamp());
            let offset = offset(from.timestamp());
            let date = from.date_naive();
            let (year, month) = (i64::from(date.year()), i64::from(date.month()));
            [(year, month), (year + month / 12, month % 12 + 1)]
                .into_iter()
                .map(|(year, month)| {
                    second_tuesday(year, month) * DAY + first.rem_euclid(DAY) - offset
                })
                .find(|at| (from.timestamp()..to).contains(at))
        })),
        _ => None,
    }
}

/// First wall second, step in seconds, zone.
pub(crate) struct Intents {
    list: Vec<(i64, i64, u32)>,
    zones: Vec<Vec<(i64, i64)>>,
}

/// A hundred thousand weekly and biweekly appointments, like those of the row.
pub(crate) fn intents(zones: &[&str]) -> Intents {
    let monday = NaiveDate::from_ymd_opt(2026, 1, 5)
        .unwrap()
        .and_hms_opt(0, 0, 0)
        .unwrap();
    let monday = monday.and_utc().timestamp();
    let list = (0..100_000i64).map(|i| {
        let first = monday + i % 5 * DAY + (8 + i % 11) * 3600 + i % 4 * 900;
        (
            first,
            WEEK * (1 + i / 5 % 2),
            u32::try_from(i / 7 % 12).unwrap(),
        )
    });
    Intents {
        list: list.collect(),
        zones: zones.iter().map(|zone| changes(zone)).collect(),
    }
}

/// The sum of the starts within the window, by one division each.
pub(crate) fn due(intents: &Intents, window: Window) -> i64 {
    let (from, to) = (window.start().timestamp(), window.end().timestamp());
    let offsets: Vec<i64> = intents
        .zones
        .iter()
        .map(|changes| changes[changes.partition_point(|change| change.0 <= from)].1)
        .collect();
    let mut sum = 0i64;
    for (first, step, zone) in &intents.list {
        let offset = offsets[*zone as usize];
        let wall = first + (from + offset - first + step - 1) / step * step;
        if wall - offset < to {
            sum = sum.wrapping_add(wall - offset);
        }
    }
    sum
}
