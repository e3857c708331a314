//! A zone's clock changes as a VTIMEZONE (RFC 5545 §3.6.5).

use std::collections::BTreeMap;

use chrono::{Datelike, Months, NaiveDate, TimeDelta};

use super::line::Lines;
use super::value::instant;
use crate::epoch::{SECONDS_PER_DAY, UNIX_EPOCH};
use crate::rule::NthWeekday;
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, Zone};

/// Fewer onsets than this are listed, more may be a rule.
const RULE_MIN: usize = 3;

/// Writes the observances of a zone that hold from one instant to another, in Unix seconds.
pub(super) fn write(lines: &mut Lines, zone: Zone, from: i64, to: i64) {
    // Local times of the first day may be another day's in UTC.
    let from = from - 2 * SECONDS_PER_DAY;
    let table = zone.transitions();
    let spans = table.spans().get(table.at(from)..).unwrap_or_default();
    let Some(first) = spans.first() else {
        return;
    };
    lines.property("BEGIN", "VTIMEZONE");
    lines.property("TZID", zone.name());
    let mut old = first.shift - UNIX_EPOCH;
    let begin = from.max(first.from) + old;
    let begin = LocalDateTime::from_seconds(begin).unwrap_or(LocalDateTime::MIN);
    observance(lines, (old, old), &[begin], None);
    // By offset before and after, in order.
    let mut changes: BTreeMap<(i64, i64), Vec<LocalDateTime>> = BTreeMap::new();
    for span in spans.iter().skip(1).take_while(|span| span.from <= to) {
        let new = span.shift - UNIX_EPOCH;
        let onset = LocalDateTime::from_seconds(span.from + old);
        changes.entry((old, new)).or_default().extend(onset);
        old = new;
    }
    let is_endless = to >= END_OF_ZONE_DATA.timestamp();
    for (offsets, onsets) in changes {
        let mut listed = Vec::new();
        let mut rest = &onsets[..];
        while let Some(onset) = rest.first() {
            let longest = (RULE_MIN..=rest.len()).rev();
            let found = longest.filter_map(|length| Some((length, yearly(rest.get(..length)?)?)));
            let Some((length, mut rule)) = found.take(1).next() else {
                listed.push(*onset);
                rest = &rest[1..];
                continue;
            };
            let (ruled, later) = rest.split_at(length);
            rest = later;
            if let Some(last) = ruled.last().filter(|_| !is_endless || !later.is_empty()) {
                let until = instant(last.seconds() - offsets.0);
                rule += &until.format(";UNTIL=%Y%m%dT%H%M%SZ").to_string();
            }
            observance(lines, offsets, ruled, Some(&rule));
        }
        if !listed.is_empty() {
            observance(lines, offsets, &listed, None);
        }
    }
    lines.property("END", "VTIMEZONE");
}

/// One STANDARD or DAYLIGHT: the first of its onsets, and the others by rule or as a list.
fn observance(
    lines: &mut Lines,
    (old, new): (i64, i64),
    onsets: &[LocalDateTime],
    rule: Option<&str>,
) {
    let [first, others @ ..] = onsets else {
        return;
    };
    let name = if new > old { "DAYLIGHT" } else { "STANDARD" };
    lines.property("BEGIN", name);
    lines.property("DTSTART", &first.to_basic());
    match rule {
        Some(rule) => lines.property("RRULE", rule),
        None if others.is_empty() => {}
        None => {
            let others: Vec<String> = others.iter().map(|at| at.to_basic()).collect();
            lines.property("RDATE", &others.join(","));
        }
    }
    lines.property("TZOFFSETFROM", &offset(old));
    lines.property("TZOFFSETTO", &offset(new));
    lines.property("END", name);
}

/// `+0100`, with seconds where there are some.
fn offset(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (minutes, seconds) = (seconds.abs() / 60, seconds.abs() % 60);
    let whole = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
    match seconds {
        0 => whole,
        seconds => format!("{whole}{seconds:02}"),
    }
}

/// The rule of onsets that come every year on the n-th weekday of a month, or on its last.
fn yearly(onsets: &[LocalDateTime]) -> Option<String> {
    let first = onsets.first()?;
    let (date, time) = (first.date(), first.time());
    let same = onsets.iter().zip(date.year()..).all(|(onset, year)| {
        let other = onset.date();
        let same_day = other.month() == date.month() && other.weekday() == date.weekday();
        other.year() == year && same_day && onset.time() == time
    });
    let all = |of: &dyn Fn(NaiveDate) -> bool| onsets.iter().all(|onset| of(onset.date()));
    let week = date.day0() / 7;
    let nth = if same && all(&|date| date.day0() / 7 == week) {
        i8::try_from(week + 1).ok()?
    } else if same && all(&is_last_of_month) {
        -1
    } else {
        return None;
    };
    let weekday = NthWeekday {
        nth: Some(nth),
        weekday: date.weekday(),
    };
    Some(format!(
        "FREQ=YEARLY;BYMONTH={};BYDAY={weekday}",
        date.month()
    ))
}

fn is_last_of_month(date: NaiveDate) -> bool {
    let next = date
        .with_day(1)
        .and_then(|first| first.checked_add_months(Months::new(1)));
    next.is_none_or(|next| date + TimeDelta::days(7) >= next)
}
