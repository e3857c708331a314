//! From a rule and its start to a shape: every combination of parts is one of few.

use crate::epoch::{
    DAY_MAX, Day, SECONDS_PER_DAY, WALL_MAX, Wall, date_of, gcd, midnight, month_of_year, split,
    weekday,
};

use super::dates::{ALL_MONTHS, DateParts};
use super::days::Days;
use super::days::bits::{DayBits, index_of};
use super::days::periodic::Periodic;
use super::days::steady::{Monthly, Step, Weeks};
use super::days::tables::{DayTable, MonthTable, WeekTable, YearTable};
use super::expand::Shape;
use super::model::{Frequency, Rule, Skip};
use super::shape::{Cycle, Positions, Several};
use super::times::{self, TimeLimit};

/// No interval is longer than the calendar, in any unit of days or more.
const INTERVAL_MAX: u32 = 4_000_000;
/// Up to this many times a day are kept as a list; more are a cycle.
const LISTED_TIMES_MAX: usize = 1_440;

/// The shape of everything the rule generates from `start` on, without its end.
pub(super) fn shape(rule: &Rule, start: Wall) -> Shape {
    let (day, second) = split(start);
    if matches!(
        rule.frequency,
        Frequency::Hourly | Frequency::Minutely | Frequency::Secondly
    ) {
        return shorter_than_a_day(rule, start);
    }
    let timed =
        !(rule.by_hour.is_empty() && rule.by_minute.is_empty() && rule.by_second.is_empty());
    let mut times = if timed {
        times::of_day(rule, second)
    } else {
        Vec::new()
    };
    // One time a day: positions are positions among days, and part of the pattern.
    let mut positions: &[i16] = &rule.by_set_pos;
    if rule.frequency == Frequency::Daily {
        times = times::at_positions(if timed { times } else { vec![second] }, positions);
        positions = &[];
        if times.is_empty() {
            return Shape::Empty;
        }
    }
    let time = match times.as_slice() {
        [] => second,
        [time] => *time,
        _ if positions.is_empty() => return several(days(rule, day, Some(&[])), times, start),
        _ => return positioned(rule, start, times),
    };
    match days(rule, day, Some(positions)) {
        Some(days) => single(days, time, start),
        None => Shape::Empty,
    }
}

fn single(days: Days, time: u32, start: Wall) -> Shape {
    let (day, second) = split(start);
    let first = days.next(day + i32::from(second > time));
    if first > DAY_MAX {
        return Shape::Empty;
    }
    Shape::Single {
        days,
        first,
        last: DAY_MAX,
        time,
    }
}

fn several(days: Option<Days>, times: Vec<u32>, start: Wall) -> Shape {
    let Some(days) = days else {
        return Shape::Empty;
    };
    let mut shape = Several {
        days,
        times: times.into(),
        first: start,
        last: WALL_MAX,
    };
    match shape.next(start) {
        Some(first) => {
            shape.first = first;
            Shape::Several(Box::new(shape))
        }
        None => Shape::Empty,
    }
}

/// BYSETPOS over several times a day, in weeks, months and years.
fn positioned(rule: &Rule, start: Wall, times: Vec<u32>) -> Shape {
    let Some(days) = days(rule, split(start).0, None) else {
        return Shape::Empty;
    };
    if let Days::Weeks(weeks) = days {
        // Every week is like every other.
        let in_week = (0..7i64).filter(|bit| weeks.mask >> bit & 1 == 1);
        let all = in_week.flat_map(|day| {
            times
                .iter()
                .map(move |time| day * SECONDS_PER_DAY + i64::from(*time))
        });
        let offsets = times::at_positions(all.collect(), &rule.by_set_pos);
        let length = 7 * SECONDS_PER_DAY * i64::from(weeks.every);
        return cycle(midnight(weeks.origin), length, offsets, None, start);
    }
    let positions = Positions::new(days, times, &rule.by_set_pos, start);
    let first = positions
        .as_ref()
        .and_then(|positions| positions.next(start));
    match (positions, first) {
        (Some(mut positions), Some(first)) => {
            positions.first = first;
            Shape::Positions(Box::new(positions))
        }
        _ => Shape::Empty,
    }
}

fn cycle(origin: Wall, length: i64, offsets: Vec<i64>, filter: Option<Days>, start: Wall) -> Shape {
    if offsets.is_empty() {
        return Shape::Empty;
    }
    let mut cycle = Cycle::new(origin, length, offsets.into(), filter, start);
    match cycle.next(start) {
        Some(first) => {
            cycle.first = first;
            Shape::Cycle(Box::new(cycle))
        }
        None => Shape::Empty,
    }
}

/// The days of a rule of days or longer periods, after `positions`; `None` if there are none.
/// Positions that are not given yet are applied later, to whole periods: no closed form then.
fn days(rule: &Rule, start: Day, positions: Option<&[i16]>) -> Option<Days> {
    match rule.frequency {
        Frequency::Weekly => weekly(rule, start, positions),
        Frequency::Monthly => monthly(rule, start, positions),
        Frequency::Yearly => yearly(rule, start, positions),
        _ => daily(rule, start),
    }
}

fn interval(rule: &Rule) -> u32 {
    rule.interval.min(INTERVAL_MAX)
}

fn daily(rule: &Rule, start: Day) -> Option<Days> {
    let every = interval(rule);
    if rule.by_month.is_empty() && rule.by_month_day.is_empty() && rule.by_day.is_empty() {
        return Some(Days::Step(Step {
            origin: start,
            every,
        }));
    }
    if every == 1 {
        return limit(rule, start);
    }
    let parts = DateParts {
        skip: Skip::Omit,
        ..DateParts::given(rule, false)
    };
    let filter = MonthTable::new(parts.months, false, |weekday, length| {
        parts.of_month(weekday, length)
    });
    if filter.is_empty() {
        return None;
    }
    Some(Days::FilteredSteps(Box::new(Periodic::new(
        start,
        every,
        DayTable { filter },
    ))))
}

/// The days that BYMONTH, BYYEARDAY, BYMONTHDAY and BYDAY leave of all days.
fn limit(rule: &Rule, start: Day) -> Option<Days> {
    let parts = DateParts {
        skip: Skip::Omit,
        ..DateParts::given(rule, false)
    };
    if parts.is_impossible() {
        return None;
    }
    if !parts.year_days.is_empty() {
        let table = YearTable::new(None, false, false, |kind| parts.of_year(kind));
        return years(start, 1, table);
    }
    if parts.month_days.is_empty() && parts.months == ALL_MONTHS {
        let origin = start - weekday(start);
        return Some(Days::Weeks(Weeks {
            origin,
            every: 1,
            mask: parts.weekdays,
        }));
    }
    let table = MonthTable::new(parts.months, false, |weekday, length| {
        parts.of_month(weekday, length)
    });
    months(start, 1, table)
}

fn months(start: Day, every: u32, table: MonthTable) -> Option<Days> {
    (!table.is_empty()).then(|| Days::Months(Box::new(Periodic::new(start, every, table))))
}

fn years(start: Day, every: u32, table: YearTable) -> Option<Days> {
    (!table.is_empty()).then(|| Days::Years(Box::new(Periodic::new(start, every, table))))
}

fn weekly(rule: &Rule, start: Day, positions: Option<&[i16]>) -> Option<Days> {
    let week_start = rule.week_start.num_days_from_monday().cast_signed();
    let bit = |weekday: i32| 1u8 << (weekday - week_start).rem_euclid(7);
    let listed = rule
        .by_day
        .iter()
        .map(|day| day.weekday.num_days_from_monday().cast_signed());
    let mut mask = listed.fold(0, |mask, weekday| mask | bit(weekday));
    if mask == 0 {
        mask = bit(weekday(start));
    }
    let every = interval(rule);
    let origin = start - (weekday(start) - week_start).rem_euclid(7);
    if !rule.by_month.is_empty() {
        let months = rule
            .by_month
            .iter()
            .fold(0, |mask, month| mask | 1 << (month - 1));
        let base = -(7 - week_start) % 7;
        let positions = positions.unwrap_or(&[]);
        let table = WeekTable {
            base,
            mask,
            months,
            positions: positions.into(),
        };
        return Some(Days::FilteredWeeks(Box::new(Periodic::new(
            start, every, table,
        ))));
    }
    if let Some(positions) = positions.filter(|positions| !positions.is_empty()) {
        let left = DayBits::from_mask(u64::from(mask)).at_positions(positions);
        mask = (0..7)
            .filter(|bit| left.has(*bit))
            .fold(0, |mask, bit| mask | 1 << bit);
    }
    (mask != 0).then_some(Days::Weeks(Weeks {
        origin,
        every,
        mask,
    }))
}

fn monthly(rule: &Rule, start: Day, positions: Option<&[i16]>) -> Option<Days> {
    let mut parts = DateParts::given(rule, true);
    parts.numbers_in_month = true;
    let date = date_of(start);
    let implied = [i8::try_from(date.day).unwrap_or(1)];
    if parts.month_days.is_empty() && !parts.has_weekdays() {
        parts.month_days = &implied;
    }
    let every = interval(rule);
    if parts.months == ALL_MONTHS
        && let Some((nth, weekday)) = one_a_month(&parts, positions, 28)
    {
        return Some(Days::Monthly(Monthly {
            origin: date.month(),
            every,
            nth,
            weekday,
        }));
    }
    if parts.is_impossible() {
        return None;
    }
    let spills = parts.may_spill();
    let positions = positions.unwrap_or(&[]);
    let table = MonthTable::new(parts.months, spills, |weekday, length| {
        let mask = parts.of_month(weekday, length);
        if positions.is_empty() {
            mask
        } else {
            at_positions(mask, positions)
        }
    });
    months(start, every, table)
}

/// BYSETPOS on the days of a month.
fn at_positions(mask: u32, positions: &[i16]) -> u32 {
    let mut taken = 0;
    for &position in positions {
        if let Some(index) = index_of(position, i64::from(mask.count_ones())) {
            let mut left = mask;
            for _ in 0..index {
                left &= left - 1;
            }
            taken |= left & left.wrapping_neg();
        }
    }
    taken
}

/// The number and weekday of a [`Monthly`] pattern, if the parts mean one: a day of the month or a
/// numbered weekday that months of at least `shortest` days all have.
fn one_a_month(parts: &DateParts<'_>, positions: Option<&[i16]>, shortest: i8) -> Option<(i8, u8)> {
    let positions = positions?;
    match (
        parts.month_days,
        parts.numbered.as_slice(),
        parts.weekdays,
        positions,
    ) {
        ([day], [], 0, []) => (day.abs() <= shortest).then_some((*day, Monthly::ANY)),
        ([], [day], 0, []) => {
            let weekday = u8::try_from(day.weekday.num_days_from_monday()).ok()?;
            day.nth
                .filter(|nth| nth.abs() <= 4)
                .map(|nth| (nth, weekday))
        }
        // BYDAY=TU;BYSETPOS=2 is BYDAY=2TU.
        ([], [], weekdays, [position]) if weekdays.is_power_of_two() => {
            let nth = i8::try_from(*position).ok().filter(|nth| nth.abs() <= 4)?;
            Some((nth, u8::try_from(weekdays.trailing_zeros()).ok()?))
        }
        _ => None,
    }
}

fn yearly(rule: &Rule, start: Day, positions: Option<&[i16]>) -> Option<Days> {
    let mut parts = DateParts::given(rule, true);
    let date = date_of(start);
    let every = interval(rule);
    let all = positions.unwrap_or(&[]);
    let dated = !(parts.month_days.is_empty() && parts.year_days.is_empty());
    if !parts.week_numbers.is_empty() {
        if !dated && !parts.has_weekdays() {
            parts.weekdays = 1 << weekday(start);
        }
        let neighbours = !parts.year_days.is_empty();
        let table = YearTable::new(Some(parts.week_start), neighbours, false, |kind| {
            chosen(parts.of_week_year(kind), all)
        });
        return years(start, every, table);
    }
    let implied = [i8::try_from(date.day).unwrap_or(1)];
    if !dated && !parts.has_weekdays() {
        parts.month_days = &implied;
        if rule.by_month.is_empty() {
            parts.months = 1 << date.month0;
        }
    }
    if parts.months.is_power_of_two() && parts.year_days.is_empty() {
        let month0 = parts.months.trailing_zeros().cast_signed();
        let shortest = month_of_year(0, false, month0).1;
        let in_month = parts.numbers_in_month || parts.numbered.is_empty();
        if in_month
            && let Some((nth, weekday)) =
                one_a_month(&parts, positions, i8::try_from(shortest).ok()?)
        {
            let origin = 12 * date.year + month0;
            return Some(Days::Monthly(Monthly {
                origin,
                every: 12 * every,
                nth,
                weekday,
            }));
        }
    }
    if parts.year_days.is_empty() && parts.is_impossible() {
        return None;
    }
    let spills = parts.may_spill();
    let table = YearTable::new(None, false, spills, |kind| chosen(parts.of_year(kind), all));
    years(start, every, table)
}

fn chosen(days: DayBits, positions: &[i16]) -> DayBits {
    if positions.is_empty() {
        days
    } else {
        days.at_positions(positions)
    }
}

/// FREQ=HOURLY, MINUTELY and SECONDLY: a lattice of seconds, limited by days and by times of day.
fn shorter_than_a_day(rule: &Rule, start: Wall) -> Shape {
    let unit: u32 = match rule.frequency {
        Frequency::Hourly => 3600,
        Frequency::Minutely => 60,
        _ => 1,
    };
    let (day, second) = split(start);
    let within = times::of_interval(rule, second);
    let dated = [
        rule.by_month.len(),
        rule.by_year_day.len(),
        rule.by_month_day.len(),
        rule.by_day.len(),
    ];
    let filter = if dated == [0; 4] {
        None
    } else {
        Some(limit(rule, day))
    };
    if within.is_empty() || matches!(filter, Some(None)) {
        return Shape::Empty;
    }
    let filter = filter.flatten();
    let limit = TimeLimit::of(rule);
    let passes = |second: u32| limit.as_ref().is_none_or(|limit| limit.passes(second));
    let origin = start - i64::from(second % unit);
    let step = i64::from(rule.interval) * i64::from(unit);
    if SECONDS_PER_DAY % step == 0 {
        let count = usize::try_from(SECONDS_PER_DAY / step).unwrap_or(usize::MAX);
        if limit.is_some() || count.saturating_mul(within.len()) <= LISTED_TIMES_MAX {
            let times = each_day(split(origin).1, step, &within, passes);
            return listed(filter, times, start);
        }
    }
    let Some(limit) = limit else {
        let offsets = within.iter().map(|second| i64::from(*second)).collect();
        return cycle(origin, step, offsets, filter, start);
    };
    // With times of day the lattice repeats after as many steps as bring it to midnight again.
    let shared =
        i64::try_from(gcd(step.unsigned_abs(), SECONDS_PER_DAY.unsigned_abs())).unwrap_or(1);
    let steps = SECONDS_PER_DAY / shared;
    let within: Vec<i64> = within.iter().map(|second| i64::from(*second)).collect();
    let hits = (0..steps)
        .map(|number| number * step)
        .take_while(|offset| origin + offset <= WALL_MAX)
        .filter(|offset| limit.passes(split(origin + offset).1))
        .flat_map(|offset| within.iter().map(move |second| offset + second));
    cycle(origin, steps * step, hits.collect(), filter, start)
}

/// The times of every day on a lattice that divides the day and goes through `origin`.
fn each_day(origin: u32, step: i64, within: &[u32], passes: impl Fn(u32) -> bool) -> Vec<u32> {
    let step = u32::try_from(step).unwrap_or(u32::MAX);
    let mut times = Vec::new();
    let mut at = origin % step;
    while i64::from(at) < SECONDS_PER_DAY {
        if passes(at) {
            times.extend(within.iter().map(|second| at + second));
        }
        at += step;
    }
    times
}

fn listed(filter: Option<Days>, times: Vec<u32>, start: Wall) -> Shape {
    let days = filter.unwrap_or(Days::Step(Step {
        origin: split(start).0,
        every: 1,
    }));
    match times.as_slice() {
        [] => Shape::Empty,
        [time] => single(days, *time, start),
        _ => several(Some(days), times, start),
    }
}
