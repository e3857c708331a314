//! How many occurrences a week can hold, said without expanding anything, against a count of what there
//! is.

use chrono::{Days, NaiveDate, NaiveDateTime, TimeDelta};
use proptest::prelude::*;
use scheduler_core::rule::{End, Rule};
use scheduler_core::set::Deviations;
use scheduler_core::{RecurrenceSet, Window};

use crate::expansion_laws::{ALL, cases, horizon_days, rules, starts};
use crate::naive::{self, Parts};
use crate::random::weekly;

/// The most of these dates, in order, that lie within seven in a row.
fn most_in_seven(dates: &[NaiveDate]) -> u64 {
    let weeks = dates.iter().enumerate().map(|(index, first)| {
        let after = *first + Days::new(7);
        dates[index..]
            .iter()
            .take_while(|date| **date < after)
            .count()
    });
    weeks.max().unwrap_or(0) as u64
}

fn is_never_denser(parts: &Parts, start: NaiveDateTime) -> Result<(), TestCaseError> {
    let text = parts.to_string();
    let rule: Rule = text.parse().unwrap();
    let end = start.date() + TimeDelta::days(horizon_days(parts.freq, parts.interval));
    let times = naive::expand(parts, start, end);
    let dates: Vec<NaiveDate> = times.iter().map(NaiveDateTime::date).collect();
    let (found, said) = (most_in_seven(&dates), rule.densest_week());
    prop_assert!(
        found <= said,
        "{text} from {start}: {found}, more than {said}"
    );
    Ok(())
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn no_week_of_a_rule_holds_more_than_it_says(parts in rules(ALL), start in starts()) {
        is_never_denser(&parts, start)?;
    }

    #[test]
    fn no_week_of_a_set_holds_more_than_it_says(weekly in weekly()) {
        let set = weekly.set();
        let year = Window::new(
            "2017-01-01T00:00:00Z".parse().unwrap(),
            "2022-01-01T00:00:00Z".parse().unwrap(),
        );
        let held = set.overlapping(year.unwrap()).unwrap();
        let held = held.iter().filter(|one| !one.cancelled);
        let mut dates: Vec<_> = held.map(|one| set.zone().local(one.start).date()).collect();
        dates.sort_unstable();
        prop_assert!(most_in_seven(&dates) <= set.densest_week());
    }

    #[test]
    fn nothing_of_a_set_takes_place_once_it_is_over(weekly in weekly(), weeks in 1..60_u32) {
        let rule = weekly.set().rule().unwrap().clone().with_end(End::Count(weeks));
        let set = weekly.set().with_rule(rule);
        let over = set.over_at().unwrap();
        let after = Window::new(over, "2030-01-01T00:00:00Z".parse().unwrap()).unwrap();
        prop_assert_eq!(set.overlapping(after).unwrap(), vec![]);
        let all = Window::new("2017-01-01T00:00:00Z".parse().unwrap(), over).unwrap();
        let last = set.overlapping(all).unwrap().into_iter().map(|one| one.end).max();
        prop_assert!(last.is_none_or(|last| last <= over));
        prop_assert_eq!(weekly.set().over_at(), None);
        if let Some(begins) = set.begins_at() {
            let before = Window::new("2010-01-01T00:00:00Z".parse().unwrap(), begins).unwrap();
            prop_assert_eq!(set.overlapping(before).unwrap(), vec![]);
        }
    }
}

#[test]
fn ordinary_rules_say_exactly_how_dense_they_are() {
    for (rule, most) in [
        ("FREQ=SECONDLY", 604_800),
        ("FREQ=SECONDLY;INTERVAL=7", 86_400),
        ("FREQ=SECONDLY;BYHOUR=9;BYMINUTE=0;BYSECOND=0,30", 14),
        ("FREQ=MINUTELY", 10_080),
        ("FREQ=MINUTELY;INTERVAL=11", 917),
        ("FREQ=MINUTELY;INTERVAL=1440", 7),
        ("FREQ=HOURLY", 168),
        ("FREQ=HOURLY;INTERVAL=48", 4),
        ("FREQ=HOURLY;BYDAY=SA,SU;BYHOUR=10,11", 4),
        ("FREQ=DAILY", 7),
        ("FREQ=DAILY;INTERVAL=3", 3),
        ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", 5),
        ("FREQ=DAILY;BYHOUR=8,9,10,11,12,13,14,15,16,17,18,19", 84),
        ("FREQ=DAILY;BYHOUR=8,9,10;BYSETPOS=1", 7),
        ("FREQ=DAILY;COUNT=5", 5),
        ("FREQ=WEEKLY", 1),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", 2),
        ("FREQ=MONTHLY", 1),
        ("FREQ=MONTHLY;BYMONTHDAY=1,15", 2),
        ("FREQ=MONTHLY;BYDAY=1MO,3MO", 1),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", 2),
        ("FREQ=YEARLY", 1),
        ("FREQ=YEARLY;BYMONTH=12", 1),
        ("FREQ=YEARLY;BYMONTH=12;BYDAY=MO,TU,WE,TH,FR", 5),
        ("FREQ=YEARLY;BYWEEKNO=20,21", 1),
        (
            "FREQ=YEARLY;BYMONTH=6;BYMONTHDAY=1,2,3;BYHOUR=9,10;BYMINUTE=0,30",
            12,
        ),
    ] {
        assert_eq!(rule.parse::<Rule>().unwrap().densest_week(), most, "{rule}");
    }
}

#[test]
fn additions_and_moved_dates_count_beside_the_rule() {
    let set = RecurrenceSet::new(
        "2026-03-02T18:00:00".parse().unwrap(),
        "Europe/London".parse().unwrap(),
        50,
    );
    let once = set.unwrap();
    assert_eq!(once.densest_week(), 1);
    let weekly = once.with_rule("FREQ=WEEKLY".parse().unwrap());
    let more = (3..9).map(|day| format!("2026-03-{day:02}T09:00:00").parse().unwrap());
    let deviations = Deviations {
        additions: more.collect(),
        ..Deviations::default()
    };
    let weekly = weekly.with_deviations(deviations).unwrap();
    assert_eq!(weekly.densest_week(), 7);
}
