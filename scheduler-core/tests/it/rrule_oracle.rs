//! The civil stage against the `rrule` crate, on what it does right: rules in UTC, without
//! MINUTELY with BYHOUR and without the fifth weekday of a month.

use chrono::{NaiveDateTime, TimeZone};
use proptest::prelude::*;
use rrule::{RRule, Tz, Unvalidated};
use scheduler_core::LocalDateTime;
use scheduler_core::rule::{Expansion, Rule};

use crate::expansion_laws::{cases, rules, starts};
use crate::naive::{Freq, Parts, Skipped};

const ALL: &[Freq] = &[
    Freq::Minutely,
    Freq::Hourly,
    Freq::Daily,
    Freq::Weekly,
    Freq::Monthly,
    Freq::Yearly,
];

/// What `rrule` 0.14 answers differently, or takes seconds for, is not asked.
fn within_the_oracle(mut parts: Parts) -> Parts {
    parts.skip = Skipped::Omit;
    // A weekday that BYWEEKNO takes from the start, positions in an interval that the start cuts,
    // and lists of weekdays with and without numbers are where it reads the RFC otherwise.
    parts.by_week_no.clear();
    parts.by_set_pos.clear();
    if parts.by_day.iter().any(|(nth, _)| *nth == 0) {
        parts.by_day.retain(|(nth, _)| *nth == 0);
    }
    parts.by_day.retain(|(nth, _)| nth.abs() < 5);
    if parts.freq == Freq::Minutely {
        parts.by_hour.clear();
    }
    if parts.freq < Freq::Daily {
        // It loses its step over days that do not count: MINUTELY;INTERVAL=7;BYDAY=SU;BYMINUTE=46
        // leaves out three Sundays of four.
        parts.by_day.clear();
        parts.by_month.clear();
        parts.by_year_day.clear();
        parts.by_month_day.clear();
        parts.by_set_pos.clear();
    }
    if matches!(parts.freq, Freq::Daily | Freq::Weekly) {
        parts.by_day.iter_mut().for_each(|(nth, _)| *nth = 0);
        parts.by_day.sort_unstable();
        parts.by_day.dedup();
    }
    parts
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn the_rrule_crate_agrees(parts in rules(ALL), start in starts()) {
        let parts = within_the_oracle(parts);
        let text = parts.to_string();
        let unvalidated: RRule<Unvalidated> = text.parse().unwrap();
        let Ok(peer) = unvalidated.build(Tz::UTC.from_utc_datetime(&start)) else { return Ok(()) };
        let expected: Vec<NaiveDateTime> = peer.limit().all(12).dates.iter().map(chrono::DateTime::naive_utc).collect();
        let rule: Rule = text.parse().unwrap();
        let expansion = Expansion::new(&rule, LocalDateTime::try_from(start).unwrap());
        // Its limits end an iteration without a word, so it may give fewer.
        let found: Vec<NaiveDateTime> = expansion.iter().take(expected.len()).map(LocalDateTime::naive).collect();
        prop_assert_eq!(found, expected, "{} from {}", text, start);
    }
}
