//! From a rule's time parts to the seconds of a day, or of one interval shorter than a day.

use super::days::bits::index_of;
use super::model::{Frequency, Rule};

/// The times of day of a rule that recurs by days or longer periods, in seconds, in order.
pub(super) fn of_day(rule: &Rule, start: u32) -> Vec<u32> {
    let hours = or_start(&rule.by_hour, start / 3600);
    let within = of_hour(rule, start % 3600);
    let mut times = Vec::with_capacity(hours.len() * within.len());
    for hour in &hours {
        times.extend(within.iter().map(|second| hour * 3600 + second));
    }
    times
}

/// The seconds within one interval of a rule that recurs by hours, minutes or seconds, after
/// BYSETPOS.
pub(super) fn of_interval(rule: &Rule, start: u32) -> Vec<u32> {
    let within = match rule.frequency {
        Frequency::Hourly => of_hour(rule, start % 3600),
        Frequency::Minutely => seconds(rule, start % 60),
        _ => vec![0],
    };
    at_positions(within, &rule.by_set_pos)
}

/// What BYSETPOS leaves of an ordered list; all of it if there are no positions.
pub(super) fn at_positions<T: Copy + Ord>(list: Vec<T>, positions: &[i16]) -> Vec<T> {
    if positions.is_empty() {
        return list;
    }
    let count = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let mut taken: Vec<T> = positions
        .iter()
        .filter_map(|position| index_of(*position, count))
        .filter_map(|index| list.get(usize::try_from(index).ok()?).copied())
        .collect();
    taken.sort_unstable();
    taken.dedup();
    taken
}

fn of_hour(rule: &Rule, start: u32) -> Vec<u32> {
    let minutes = or_start(&rule.by_minute, start / 60);
    let seconds = seconds(rule, start % 60);
    let mut times = Vec::with_capacity(minutes.len() * seconds.len());
    for minute in &minutes {
        times.extend(seconds.iter().map(|second| minute * 60 + second));
    }
    times
}

/// "Implementations that do not support leap seconds SHOULD interpret the second 60 as equivalent
/// to the second 59" (RFC 5545 §3.3.12).
fn seconds(rule: &Rule, start: u32) -> Vec<u32> {
    let mut seconds = or_start(&rule.by_second, start);
    seconds
        .iter_mut()
        .for_each(|second| *second = (*second).min(59));
    seconds.dedup();
    seconds
}

fn or_start(list: &[u8], start: u32) -> Vec<u32> {
    if list.is_empty() {
        vec![start]
    } else {
        list.iter().map(|number| u32::from(*number)).collect()
    }
}

/// BYHOUR, BYMINUTE and BYSECOND where they limit.
pub(super) struct TimeLimit {
    hours: u64,
    minutes: u64,
    seconds: u64,
}

impl TimeLimit {
    /// The parts that limit intervals of this rule's length; `None` if there are none.
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        let by_minute = matches!(rule.frequency, Frequency::Minutely | Frequency::Secondly);
        let by_second = rule.frequency == Frequency::Secondly;
        let limit = Self {
            hours: mask(&rule.by_hour, true),
            minutes: mask(&rule.by_minute, by_minute),
            seconds: mask(&rule.by_second, by_second),
        };
        let free = [limit.hours, limit.minutes, limit.seconds] == [u64::MAX; 3];
        (!free).then_some(limit)
    }

    /// Whether this second of the day passes.
    pub(super) fn passes(&self, second: u32) -> bool {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        self.hours >> hour & self.minutes >> minute & self.seconds >> second & 1 == 1
    }
}

fn mask(list: &[u8], limits: bool) -> u64 {
    if list.is_empty() || !limits {
        return u64::MAX;
    }
    list.iter()
        .fold(0, |mask, number| mask | 1 << (*number).min(59))
}
