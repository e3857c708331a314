//! Rules as English sentences.

use chrono::{Datelike, Weekday};

use crate::epoch::{split, to_wall};
use crate::zone::{END_OF_ZONE_DATA, Resolution};
use crate::{LocalDateTime, RecurrenceSet, Zone};

use super::model::{End, Frequency, NthWeekday, Rule, Skip};
use super::times;

/// More times of day than these are not listed.
const TIMES_MAX: usize = 4;

/// What the set's rule says, as a person would: "every second Tuesday of the month at 18:00,
/// London time". `None` where this would need a sentence that could be misread; what is said is
/// all that the rule says. Deviations are not part of it.
///
/// ```
/// use scheduler_core::{RecurrenceSet, rule::english};
///
/// let set = RecurrenceSet::new("2026-01-13T18:00:00".parse()?, "Europe/London".parse()?, 50)?
///     .with_rule("FREQ=MONTHLY;BYDAY=2TU;COUNT=6".parse()?);
/// let text = english(&set).unwrap();
/// assert_eq!(text, "every second Tuesday of the month at 18:00, London time, 6 times");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn english(set: &RecurrenceSet) -> Option<String> {
    let [rule] = set.rules() else { return None };
    let plain = RecurrenceSet::new(set.start(), set.zone(), set.minutes()).ok()?;
    let compiled = plain
        .with_gap_policy(set.gap_policy())
        .with_rule(rule.clone())
        .compile();
    if compiled.is_empty() || !matches!(rule.skip, None | Some(Skip::Omit)) {
        return None;
    }
    let days = days(rule, set.start())?;
    let times = times_of_day(rule, set.start())?;
    let end = match rule.end {
        End::Never => String::new(),
        End::Count(count) => {
            // Two may have fallen on one instant where a zone skipped a day.
            let happens = compiled.rank(END_OF_ZONE_DATA) == u64::from(count);
            happens.then(|| {
                if count == 1 {
                    ", once".to_owned()
                } else {
                    format!(", {count} times")
                }
            })?
        }
        End::Until(_) => {
            let last = compiled
                .ends()
                .filter(|last| last.resolution != Resolution::Gap)?;
            let last = last.recurrence_id.date();
            format!(
                ", the last on {} {} {}",
                last.day(),
                month(last.month())?,
                last.year()
            )
        }
    };
    Some(format!("{days} at {times}, {}{end}", zone(set.zone())))
}

fn days(rule: &Rule, start: LocalDateTime) -> Option<String> {
    if !rule.by_year_day.is_empty() || !rule.by_week_no.is_empty() {
        return None;
    }
    match rule.frequency {
        Frequency::Daily => daily(rule),
        Frequency::Weekly => weekly(rule, start),
        Frequency::Monthly => monthly(rule, start),
        Frequency::Yearly => yearly(rule, start),
        Frequency::Hourly | Frequency::Minutely | Frequency::Secondly => None,
    }
}

fn daily(rule: &Rule) -> Option<String> {
    let limited = !(rule.by_month.is_empty() && rule.by_month_day.is_empty());
    if limited || !rule.by_set_pos.is_empty() {
        return None;
    }
    if rule.by_day.is_empty() {
        return Some(every(rule.interval, "day"));
    }
    let numbered = rule.by_day.iter().any(|day| day.nth.is_some());
    (rule.interval == 1 && !numbered).then(|| format!("every {}", weekdays(&rule.by_day)))
}

fn weekly(rule: &Rule, start: LocalDateTime) -> Option<String> {
    let numbered = rule.by_day.iter().any(|day| day.nth.is_some());
    if numbered || !rule.by_month.is_empty() || !rule.by_set_pos.is_empty() {
        return None;
    }
    let implied = [NthWeekday {
        nth: None,
        weekday: start.date().weekday(),
    }];
    let days = if rule.by_day.is_empty() {
        &implied[..]
    } else {
        &rule.by_day
    };
    let names = weekdays(days);
    if rule.interval == 1 {
        return Some(format!("every {names}"));
    }
    // With several days it matters where a week begins.
    let begins = if days.len() > 1 {
        format!(" (weeks begin on {})", weekday(rule.week_start))
    } else {
        String::new()
    };
    Some(format!(
        "{} on {names}{begins}",
        every(rule.interval, "week")
    ))
}

fn monthly(rule: &Rule, start: LocalDateTime) -> Option<String> {
    if !rule.by_month.is_empty() {
        return None;
    }
    let day = day_of_period(rule, start)?;
    if rule.interval == 1 {
        return Some(match day {
            DayOf::Weekday(text) => format!("every {text} of the month"),
            DayOf::Sometimes(text) => format!("on the {text} of every month that has one"),
            DayOf::Always(text) => format!("on the {text} of every month"),
        });
    }
    match day {
        DayOf::Weekday(text) | DayOf::Always(text) => {
            Some(format!("{} on the {text}", every(rule.interval, "month")))
        }
        DayOf::Sometimes(_) => None,
    }
}

fn yearly(rule: &Rule, start: LocalDateTime) -> Option<String> {
    let named = match rule.by_month.as_slice() {
        [] if rule.by_day.is_empty() && rule.by_month_day.is_empty() => start.date().month(),
        [month] => u32::from(*month),
        _ => return None,
    };
    let name = month(named)?;
    let years = every(rule.interval, "year");
    // A day that the month may lack does not come every so many years.
    let longest = if named == 2 {
        28
    } else {
        if matches!(named, 4 | 6 | 9 | 11) {
            30
        } else {
            31
        }
    };
    if rule.by_day.is_empty() && rule.by_set_pos.is_empty() {
        let day = match rule.by_month_day.as_slice() {
            [] => i32::try_from(start.date().day()).ok()?,
            [day] => i32::from(*day),
            _ => return None,
        };
        return match day {
            1.. if day <= longest => Some(format!("{years} on {day} {name}")),
            -1 => Some(format!("{years} on the last day of {name}")),
            _ => None,
        };
    }
    match day_of_period(rule, start)? {
        DayOf::Weekday(text) => Some(format!("{years} on the {text} of {name}")),
        DayOf::Always(_) | DayOf::Sometimes(_) => None,
    }
}

/// One day of a month, in words.
enum DayOf {
    Weekday(String),
    Always(String),
    /// Not every month has it.
    Sometimes(String),
}

fn day_of_period(rule: &Rule, start: LocalDateTime) -> Option<DayOf> {
    let positions = rule.by_set_pos.as_slice();
    match (
        rule.by_month_day.as_slice(),
        rule.by_day.as_slice(),
        positions,
    ) {
        ([], [], []) => day_of_month(i32::try_from(start.date().day()).ok()?),
        ([day], [], []) => day_of_month(i32::from(*day)),
        ([], [day], []) => {
            let number =
                ordinal(i32::from(day.nth?)).filter(|_| day.nth.is_some_and(|n| n.abs() <= 4))?;
            Some(DayOf::Weekday(format!("{number} {}", weekday(day.weekday))))
        }
        ([], days, [position @ (1 | -1)]) if is_working_week(days) && times_are_one(rule) => {
            let number = ordinal(i32::from(*position))?;
            Some(DayOf::Weekday(format!(
                "{number} weekday (Monday to Friday)"
            )))
        }
        _ => None,
    }
}

fn day_of_month(day: i32) -> Option<DayOf> {
    match day {
        1..=28 => Some(DayOf::Always(numeral(day))),
        29..=31 => Some(DayOf::Sometimes(numeral(day))),
        -1 => Some(DayOf::Always("last day".to_owned())),
        _ => None,
    }
}

/// With several times a day a position is one of them, not a day.
fn times_are_one(rule: &Rule) -> bool {
    rule.by_hour.len() <= 1 && rule.by_minute.len() <= 1 && rule.by_second.len() <= 1
}

fn is_working_week(days: &[NthWeekday]) -> bool {
    let mut found = days.iter().map(|day| day.weekday.num_days_from_monday());
    days.len() == 5 && days.iter().all(|day| day.nth.is_none()) && found.all(|day| day < 5)
}

fn times_of_day(rule: &Rule, start: LocalDateTime) -> Option<String> {
    let times = times::of_day(rule, split(to_wall(start)).1);
    if times.len() > TIMES_MAX || (times.len() > 1 && !rule.by_set_pos.is_empty()) {
        return None;
    }
    let text = |time: &u32| {
        time.is_multiple_of(60)
            .then(|| format!("{:02}:{:02}", time / 3600, time / 60 % 60))
    };
    let times: Option<Vec<String>> = times.iter().map(text).collect();
    Some(list(&times?))
}

/// "London time"; a zone that is not named after a place keeps its name.
fn zone(zone: Zone) -> String {
    match zone.name().rsplit_once('/') {
        Some((area, place)) if area != "Etc" && area != "SystemV" => {
            format!("{} time", place.replace('_', " "))
        }
        _ => zone.name().to_owned(),
    }
}

fn every(interval: u32, unit: &str) -> String {
    match interval {
        1 => format!("every {unit}"),
        2 => format!("every other {unit}"),
        _ => format!("every {interval} {unit}s"),
    }
}

fn weekdays(days: &[NthWeekday]) -> String {
    if is_working_week(days) {
        return "weekday (Monday to Friday)".to_owned();
    }
    list(
        &days
            .iter()
            .map(|day| weekday(day.weekday).to_owned())
            .collect::<Vec<_>>(),
    )
}

fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn numeral(day: i32) -> String {
    let suffix = match day {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    };
    format!("{day}{suffix}")
}

fn ordinal(nth: i32) -> Option<&'static str> {
    Some(match nth {
        1 => "first",
        2 => "second",
        3 => "third",
        4 => "fourth",
        -1 => "last",
        -2 => "second to last",
        -3 => "third to last",
        _ => return None,
    })
}

fn weekday(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}

fn month(number: u32) -> Option<&'static str> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    MONTHS
        .get(usize::try_from(number).ok()?.checked_sub(1)?)
        .copied()
}
