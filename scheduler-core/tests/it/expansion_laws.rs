//! The civil stage against the naive oracle, the rrule crate, and itself.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use scheduler_core::LocalDateTime;
use scheduler_core::rule::{Expansion, Rule};

use crate::naive::{self, Freq, Parts, Skipped};

/// Cases of each property; `STANDING_CASES=100000` runs it at length.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let given = std::env::var("STANDING_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: given.unwrap_or(usual),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(
    all: Vec<T>,
    most: usize,
) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![2 => Just(Vec::new()), 1 => subsequence(all, 1..=most)]
}

pub(crate) fn starts() -> impl Strategy<Value = NaiveDateTime> {
    let near = NaiveDate::from_ymd_opt(2023, 1, 1)
        .unwrap()
        .and_hms_opt(0, 0, 0)
        .unwrap();
    let anywhere = (0i64..3000, 0i64..86_400)
        .prop_map(move |(day, second)| near + TimeDelta::days(day) + TimeDelta::seconds(second));
    let edges = select(vec![
        (2024, 2, 29, 9, 0, 0),
        (2026, 1, 31, 23, 59, 59),
        (2025, 12, 31, 12, 0, 0),
        (2027, 1, 1, 0, 0, 0),
        (2096, 2, 29, 0, 0, 0),
    ]);
    let at = |(y, m, d, h, i, s)| {
        NaiveDate::from_ymd_opt(y, m, d)
            .unwrap()
            .and_hms_opt(h, i, s)
            .unwrap()
    };
    prop_oneof![3 => anywhere, 1 => edges.prop_map(at)]
}

fn month_days() -> Vec<i64> {
    vec![
        1, 2, 10, 13, 15, 28, 29, 30, 31, -1, -2, -3, -10, -29, -30, -31,
    ]
}

fn year_days() -> Vec<i64> {
    vec![
        1, 2, 45, 59, 60, 61, 100, 200, 364, 365, 366, -1, -2, -100, -306, -364, -365, -366,
    ]
}

/// Any rule of the language, of a frequency from a list.
pub(crate) fn rules(freqs: &'static [Freq]) -> impl Strategy<Value = Parts> {
    let dates = (
        some((1..=12).collect(), 4),
        some(vec![1, 2, 5, 20, 51, 52, 53, -1, -2, -20, -52, -53], 3),
        some(year_days(), 3),
        some(month_days(), 4),
        some(weekday_elements(), 5),
    );
    let times = (
        some((0..24).collect(), 3),
        some((0..60).collect(), 3),
        some((0..60).collect(), 3),
    );
    let positions = some(vec![1, 2, 3, 5, 10, 40, -1, -2, -4, -20], 3);
    let interval = prop_oneof![3 => Just(1i64), 3 => 1i64..8, 1 => 1i64..200];
    let skip = select(vec![
        Skipped::Omit,
        Skipped::Omit,
        Skipped::Backward,
        Skipped::Forward,
    ]);
    (
        select(freqs),
        interval,
        dates,
        times,
        positions,
        0u32..7,
        skip,
    )
        .prop_map(
            |(freq, interval, dates, times, by_set_pos, week_start, skip)| {
                let (by_month, by_week_no, by_year_day, by_month_day, by_day) = dates;
                let (by_hour, by_minute, by_second) = times;
                let parts = Parts {
                    freq,
                    interval,
                    by_month,
                    by_week_no,
                    by_year_day,
                    by_month_day,
                    by_day,
                    by_hour,
                    by_minute,
                    by_second,
                    by_set_pos,
                    week_start,
                    skip,
                };
                within_the_table(parts)
            },
        )
}

fn weekday_elements() -> Vec<(i64, u32)> {
    let plain = (0..7).map(|day| (0, day));
    let numbered = [1, 2, 4, 5, 20, 53, -1, -2, -4, -5, -53];
    let numbered = numbered
        .into_iter()
        .flat_map(|nth| (0..7).map(move |day| (nth, day)));
    plain.clone().chain(plain).chain(numbered).collect()
}

/// Takes away what the RFC's table marks N/A.
fn within_the_table(mut parts: Parts) -> Parts {
    if parts.freq != Freq::Yearly {
        parts.by_week_no.clear();
    }
    if matches!(parts.freq, Freq::Daily | Freq::Weekly | Freq::Monthly) {
        parts.by_year_day.clear();
    }
    if parts.freq == Freq::Weekly {
        parts.by_month_day.clear();
    }
    if parts.freq < Freq::Daily || !parts.by_week_no.is_empty() {
        parts.by_day.iter_mut().for_each(|(nth, _)| *nth = 0);
        parts.by_day.sort_unstable();
        parts.by_day.dedup();
    }
    // The oracle reads a day that a year lacks only in BYMONTHDAY.
    if parts.skip != Skipped::Omit {
        parts.by_year_day.retain(|day| day.abs() < 366);
        parts.by_month_day.retain(|day| *day >= -28);
    }
    // Seconds and minutes without any limit are many; keep the oracle's days short.
    if parts.freq == Freq::Secondly && parts.by_minute.is_empty() {
        parts.by_minute = vec![0, 31];
    }
    parts
}

pub(crate) fn horizon_days(freq: Freq, interval: i64) -> i64 {
    match freq {
        Freq::Secondly => 3,
        Freq::Minutely => 10,
        Freq::Hourly => 60,
        Freq::Daily => 400,
        Freq::Weekly => 800,
        Freq::Monthly => 1500.max(31 * 3 * interval).min(12_000),
        Freq::Yearly => 3000.max(366 * 3 * interval).min(12_000),
    }
}

fn local(at: NaiveDateTime) -> LocalDateTime {
    LocalDateTime::try_from(at).unwrap()
}

const LONG: &[Freq] = &[Freq::Daily, Freq::Weekly, Freq::Monthly, Freq::Yearly];
const SHORT: &[Freq] = &[Freq::Secondly, Freq::Minutely, Freq::Hourly];
pub(crate) const ALL: &[Freq] = &[
    Freq::Secondly,
    Freq::Minutely,
    Freq::Hourly,
    Freq::Daily,
    Freq::Weekly,
    Freq::Monthly,
    Freq::Yearly,
];

fn agrees_with_the_oracle(parts: &Parts, start: NaiveDateTime) -> Result<(), TestCaseError> {
    let text = parts.to_string();
    let rule: Rule = text
        .parse()
        .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    let end = start.date() + TimeDelta::days(horizon_days(parts.freq, parts.interval));
    let expected: Vec<LocalDateTime> = naive::expand(parts, start, end)
        .into_iter()
        .map(local)
        .collect();
    let expansion = Expansion::new(&rule, local(start));
    let until = local(end.and_hms_opt(23, 59, 59).unwrap())
        .plus_seconds(1)
        .unwrap();
    let found: Vec<LocalDateTime> = expansion.between(LocalDateTime::MIN, until).collect();
    prop_assert_eq!(&found, &expected, "{} from {}", text, start);
    let mut folded = Vec::new();
    expansion
        .between(LocalDateTime::MIN, until)
        .for_each(|at| folded.push(at));
    prop_assert_eq!(&folded, &expected, "{} from {}, as a loop", text, start);
    let mut back: Vec<LocalDateTime> = expansion.between(LocalDateTime::MIN, until).rev().collect();
    back.reverse();
    prop_assert_eq!(&back, &expected, "{} from {}, in reverse", text, start);
    Ok(())
}

fn keeps_its_own_laws(parts: &Parts, start: NaiveDateTime, skip: i64) -> Result<(), TestCaseError> {
    let text = parts.to_string();
    let rule: Rule = text
        .parse()
        .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    let expansion = Expansion::new(&rule, local(start));
    // Far out, where nothing was iterated before.
    let from = local(start + TimeDelta::days(skip));
    let times: Vec<LocalDateTime> = expansion
        .between(from, LocalDateTime::MAX)
        .take(30)
        .collect();
    let Some((&first, &last)) = times.first().zip(times.last()) else {
        return Ok(());
    };
    let rank = expansion.rank(first);
    for (index, at) in times.iter().enumerate() {
        let index = index as u64;
        prop_assert_eq!(
            expansion.rank(*at),
            rank + index,
            "rank of {} in {} from {}",
            at,
            text,
            start
        );
        prop_assert_eq!(
            expansion.nth(rank + index),
            Some(*at),
            "nth {} of {} from {}",
            rank + index,
            text,
            start
        );
        prop_assert!(expansion.contains(*at));
    }
    let after = last.plus_seconds(1).unwrap_or(last);
    let mut back: Vec<LocalDateTime> = expansion.between(from, after).rev().collect();
    back.reverse();
    prop_assert_eq!(&back, &times, "{} from {} after {}", text, start, from);
    if let Some(before) = expansion.last_before(first) {
        prop_assert!(before < from);
        prop_assert_eq!(expansion.next_at_or_after(before), Some(before));
        prop_assert_eq!(
            expansion.next_at_or_after(before.plus_seconds(1).unwrap()),
            Some(first)
        );
    }
    // COUNT ends where the n-th is.
    let count = rank + 3;
    if let (Ok(count), Some(nth)) = (u32::try_from(count), expansion.nth(count - 1)) {
        let counted: Rule = format!("{text};COUNT={count}").parse().unwrap();
        let counted = Expansion::new(&counted, local(start));
        prop_assert_eq!(
            counted.last(),
            Some(nth),
            "{};COUNT={} from {}",
            text,
            count,
            start
        );
        prop_assert_eq!(counted.rank(LocalDateTime::MAX), u64::from(count));
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn days_and_longer_agree_with_the_oracle(parts in rules(LONG), start in starts()) {
        agrees_with_the_oracle(&parts, start)?;
    }

    #[test]
    fn hours_and_shorter_agree_with_the_oracle(parts in rules(SHORT), start in starts()) {
        agrees_with_the_oracle(&parts, start)?;
    }

    #[test]
    fn every_rule_keeps_its_laws(parts in rules(ALL), start in starts(), skip in 0i64..40_000) {
        keeps_its_own_laws(&parts, start, skip)?;
    }
}
