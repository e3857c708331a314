//! An oracle: RFC 5545 §3.3.10 read as a filter over days, hours, minutes and seconds.
//!
//! It looks at every date from the start on, valid or not, and asks of each whether the rule's
//! table lets it pass. It seeks nothing, keeps no table and shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Freq {
    Secondly,
    Minutely,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skipped {
    Omit,
    Backward,
    Forward,
}

/// A rule as lists of numbers. `by_day` holds (number or 0, weekday from Monday).
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) freq: Freq,
    pub(crate) interval: i64,
    pub(crate) by_month: Vec<u32>,
    pub(crate) by_week_no: Vec<i64>,
    pub(crate) by_year_day: Vec<i64>,
    pub(crate) by_month_day: Vec<i64>,
    pub(crate) by_day: Vec<(i64, u32)>,
    pub(crate) by_hour: Vec<u32>,
    pub(crate) by_minute: Vec<u32>,
    pub(crate) by_second: Vec<u32>,
    pub(crate) by_set_pos: Vec<i64>,
    pub(crate) week_start: u32,
    pub(crate) skip: Skipped,
}

const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: ToString>(items: &[T]) -> String {
            items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
        }
        let days: Vec<String> = self
            .by_day
            .iter()
            .map(|(nth, day)| {
                let number = if *nth == 0 {
                    String::new()
                } else {
                    nth.to_string()
                };
                format!("{number}{}", WEEKDAYS[*day as usize])
            })
            .collect();
        write!(f, "FREQ={}", format!("{:?}", self.freq).to_uppercase())?;
        write!(
            f,
            ";INTERVAL={};WKST={}",
            self.interval, WEEKDAYS[self.week_start as usize]
        )?;
        for (name, values) in [
            ("BYMONTH", list(&self.by_month)),
            ("BYWEEKNO", list(&self.by_week_no)),
            ("BYYEARDAY", list(&self.by_year_day)),
            ("BYMONTHDAY", list(&self.by_month_day)),
            ("BYDAY", days.join(",")),
            ("BYHOUR", list(&self.by_hour)),
            ("BYMINUTE", list(&self.by_minute)),
            ("BYSECOND", list(&self.by_second)),
            ("BYSETPOS", list(&self.by_set_pos)),
        ] {
            if !values.is_empty() {
                write!(f, ";{name}={values}")?;
            }
        }
        match self.skip {
            Skipped::Omit => Ok(()),
            Skipped::Backward => f.write_str(";RSCALE=GREGORIAN;SKIP=BACKWARD"),
            Skipped::Forward => f.write_str(";RSCALE=GREGORIAN;SKIP=FORWARD"),
        }
    }
}

/// A day that the rule names: its month and number in it, and the date it comes to.
struct Named {
    year: i32,
    month: u32,
    number: u32,
    date: NaiveDate,
    exists: bool,
}

/// Everything the rule generates from `start` through the day `horizon`.
pub(crate) fn expand(
    parts: &Parts,
    start: NaiveDateTime,
    horizon: NaiveDate,
) -> Vec<NaiveDateTime> {
    let mut intervals: BTreeMap<i64, BTreeSet<NaiveDateTime>> = BTreeMap::new();
    // A whole interval is needed before and after, so that positions count in all of it.
    let first = start.date() - TimeDelta::days(800);
    let last = horizon + TimeDelta::days(800);
    let margin = |date: NaiveDate| match parts.freq {
        Freq::Yearly => true,
        Freq::Monthly => (start.date() - date).num_days() < 62 && (date - horizon).num_days() < 62,
        _ => (start.date() - date).num_days() < 8 && (date - horizon).num_days() < 8,
    };
    for year in first.year()..=last.year() {
        for month in 1..=12 {
            for number in 1..=31 {
                let Some(named) = name(parts, year, month, number) else {
                    continue;
                };
                if margin(named.date) && day_passes(parts, start, &named) {
                    add_times(parts, start, &named, &mut intervals);
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    for (interval, times) in intervals {
        if interval >= 0 && interval % parts.interval == 0 {
            found.extend(at_positions(&times, &parts.by_set_pos));
        }
    }
    found.retain(|at| *at >= start && at.date() <= horizon);
    found.into_iter().collect()
}

fn at_positions(times: &BTreeSet<NaiveDateTime>, positions: &[i64]) -> Vec<NaiveDateTime> {
    let count = times.len() as i64;
    let wanted = |(index, _): &(usize, &NaiveDateTime)| {
        let index = *index as i64;
        positions.is_empty()
            || positions.contains(&(index + 1))
            || positions.contains(&(index - count))
    };
    times
        .iter()
        .enumerate()
        .filter(wanted)
        .map(|(_, at)| *at)
        .collect()
}

fn name(parts: &Parts, year: i32, month: u32, number: u32) -> Option<Named> {
    let exists = NaiveDate::from_ymd_opt(year, month, number);
    let moves = matches!(parts.freq, Freq::Monthly | Freq::Yearly);
    let date = match (exists, parts.skip) {
        (Some(date), _) => date,
        (None, Skipped::Backward) if moves => last_of_month(year, month),
        (None, Skipped::Forward) if moves => last_of_month(year, month) + TimeDelta::days(1),
        _ => return None,
    };
    Some(Named {
        year,
        month,
        number,
        date,
        exists: exists.is_some(),
    })
}

fn last_of_month(year: i32, month: u32) -> NaiveDate {
    (28..=31)
        .filter_map(|day| NaiveDate::from_ymd_opt(year, month, day))
        .next_back()
        .unwrap()
}

fn day_passes(parts: &Parts, start: NaiveDateTime, named: &Named) -> bool {
    let dated = !(parts.by_month_day.is_empty() && parts.by_year_day.is_empty());
    let weekly_numbers = !parts.by_week_no.is_empty();
    let date = named.date;
    let long = matches!(parts.freq, Freq::Monthly | Freq::Yearly);
    // What the start says where the rule says nothing.
    let implied_day = long && !dated && parts.by_day.is_empty() && !weekly_numbers;
    let implied_month = parts.freq == Freq::Yearly && implied_day && parts.by_month.is_empty();
    let implied_weekday =
        parts.by_day.is_empty() && (parts.freq == Freq::Weekly || (weekly_numbers && !dated));
    // A date that does not exist comes about only by a day of the month that generates: beside
    // BYWEEKNO or BYYEARDAY, which come first, it limits.
    let generates = parts.by_year_day.is_empty() && !weekly_numbers;
    let from_month_day = implied_day || (generates && !parts.by_month_day.is_empty());
    if !named.exists && !from_month_day {
        return false;
    }
    (!implied_month || named.month == start.month())
        && (!implied_day || named.number == start.day())
        && (!implied_weekday || date.weekday() == start.weekday())
        && (parts.by_month.is_empty() || parts.by_month.contains(&named.month))
        && (!weekly_numbers || week_passes(parts, date))
        && (parts.by_year_day.is_empty() || year_day_passes(parts, date))
        && (parts.by_month_day.is_empty() || month_day_passes(parts, named))
        && (parts.by_day.is_empty() || weekday_passes(parts, named))
}

fn month_day_passes(parts: &Parts, named: &Named) -> bool {
    let length = i64::from(last_of_month(named.year, named.month).day());
    let number = i64::from(named.number);
    parts.by_month_day.contains(&number)
        || (named.exists && parts.by_month_day.contains(&(number - length - 1)))
}

fn year_day_passes(parts: &Parts, date: NaiveDate) -> bool {
    let length = if date.leap_year() { 366 } else { 365 };
    let day = i64::from(date.ordinal());
    parts.by_year_day.contains(&day) || parts.by_year_day.contains(&(day - length - 1))
}

fn week_of(date: NaiveDate, week_start: u32) -> NaiveDate {
    let into = (date.weekday().num_days_from_monday() + 7 - week_start) % 7;
    date - TimeDelta::days(i64::from(into))
}

/// The year that numbers a week is the one that has at least four of its days.
fn week_year(date: NaiveDate, week_start: u32) -> i32 {
    (week_of(date, week_start) + TimeDelta::days(3)).year()
}

fn week_passes(parts: &Parts, date: NaiveDate) -> bool {
    let year = week_year(date, parts.week_start);
    let first = |year| {
        week_of(
            NaiveDate::from_ymd_opt(year, 1, 4).unwrap(),
            parts.week_start,
        )
    };
    let number = (date - first(year)).num_days() / 7 + 1;
    let count = (first(year + 1) - first(year)).num_days() / 7;
    parts.by_week_no.contains(&number) || parts.by_week_no.contains(&(number - count - 1))
}

fn weekday_passes(parts: &Parts, named: &Named) -> bool {
    let date = named.date;
    let ignored = !matches!(parts.freq, Freq::Monthly | Freq::Yearly);
    let in_month = parts.freq == Freq::Monthly || !parts.by_month.is_empty();
    let (before, after) = if in_month {
        let length = last_of_month(date.year(), date.month()).day();
        (i64::from(date.day0()), i64::from(length - date.day()))
    } else {
        let length = if date.leap_year() { 366 } else { 365 };
        (
            i64::from(date.ordinal0()),
            i64::from(length - date.ordinal()),
        )
    };
    // A number counts in a month or year of the interval: SKIP=FORWARD, which comes first (RFC 7529
    // §4.1), may take a date to the next of a year's months, but past the interval it has none.
    let inside = match parts.freq {
        Freq::Monthly => (date.year(), date.month()) == (named.year, named.month),
        _ if in_month => date.year() == named.year && parts.by_month.contains(&date.month()),
        _ => date.year() == named.year,
    };
    parts.by_day.iter().any(|(nth, weekday)| {
        date.weekday().num_days_from_monday() == *weekday
            && (*nth == 0
                || ignored
                || (inside && (*nth == before / 7 + 1 || *nth == -(after / 7 + 1))))
    })
}

fn add_times(
    parts: &Parts,
    start: NaiveDateTime,
    named: &Named,
    intervals: &mut BTreeMap<i64, BTreeSet<NaiveDateTime>>,
) {
    // A part limits if the interval is at most its unit long, and otherwise expands; where it is
    // not given, only longer intervals take it from the start.
    let passes = |list: &[u32], value: u32, implied: u32, from_start: bool| {
        if list.is_empty() {
            !from_start || value == implied
        } else {
            list.contains(&value)
        }
    };
    let freq = parts.freq;
    for hour in (0..24).filter(|h| passes(&parts.by_hour, *h, start.hour(), freq > Freq::Hourly)) {
        for minute in
            (0..60).filter(|m| passes(&parts.by_minute, *m, start.minute(), freq > Freq::Minutely))
        {
            for second in (0..60)
                .filter(|s| passes(&parts.by_second, *s, start.second(), freq > Freq::Secondly))
            {
                let at = named.date.and_hms_opt(hour, minute, second).unwrap();
                let interval = interval_of(parts, start, named, at);
                if interval >= 0 && interval % parts.interval == 0 {
                    intervals.entry(interval).or_default().insert(at);
                }
            }
        }
    }
}

/// The number of the interval, 0 for the start's.
fn interval_of(parts: &Parts, start: NaiveDateTime, named: &Named, at: NaiveDateTime) -> i64 {
    let by_seconds = |unit: i64| {
        let count = |at: NaiveDateTime| at.and_utc().timestamp().div_euclid(unit);
        count(at) - count(start)
    };
    match parts.freq {
        Freq::Secondly => by_seconds(1),
        Freq::Minutely => by_seconds(60),
        Freq::Hourly => by_seconds(3600),
        Freq::Daily => (at.date() - start.date()).num_days(),
        Freq::Weekly => {
            let weeks =
                week_of(at.date(), parts.week_start) - week_of(start.date(), parts.week_start);
            weeks.num_days() / 7
        }
        Freq::Monthly => {
            let count = |year: i32, month: u32| i64::from(year) * 12 + i64::from(month);
            count(named.year, named.month) - count(start.year(), start.month())
        }
        Freq::Yearly if !parts.by_week_no.is_empty() => i64::from(
            week_year(at.date(), parts.week_start) - week_year(start.date(), parts.week_start),
        ),
        Freq::Yearly => i64::from(named.year - start.year()),
    }
}
