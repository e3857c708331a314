//! Whole sets (several rules, additions, exclusions, overrides) against a plain oracle.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::rule::{Expansion, Rule};
use scheduler_core::set::{Deviations, Lookup};
use scheduler_core::{
    Instance, LocalDateTime, Occurrence, Override, Pause, PausedSlot, RecurrenceSet, Window,
    for_each_due,
};

use crate::expansion_laws::cases;
use crate::zone_laws::resolve;

const RULES: [&str; 9] = [
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=2;COUNT=9",
    "FREQ=WEEKLY;BYDAY=MO,TU,SU",
    "FREQ=WEEKLY;INTERVAL=2",
    "FREQ=HOURLY;INTERVAL=5;COUNT=60",
    "FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=0,30",
    "FREQ=MONTHLY;BYMONTHDAY=1,4,8,30",
    "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=MINUTELY;INTERVAL=90",
];

const CHANGES: [(&str, (i32, u32, u32)); 5] = [
    ("America/New_York", (2026, 3, 8)),
    ("Europe/London", (2026, 10, 25)),
    ("America/Sao_Paulo", (2018, 11, 4)),
    ("Pacific/Apia", (2011, 12, 30)),
    ("UTC", (2026, 7, 1)),
];

/// The sequence before exclusions: by instant, the wall time that keeps it.
fn generated(set: &RecurrenceSet, tz: Tz, through: LocalDateTime) -> BTreeMap<i64, LocalDateTime> {
    let rules = set.rules().iter();
    let mut walls: BTreeSet<LocalDateTime> = rules
        .flat_map(|rule| {
            Expansion::new(rule, set.start())
                .between(set.start(), through)
                .collect::<Vec<_>>()
        })
        .collect();
    walls.extend(&set.deviations().additions);
    if set.rules().is_empty() {
        walls.insert(set.start());
    }
    let mut all: Vec<_> = walls
        .into_iter()
        .filter(|wall| set.deviations().ends.is_none_or(|ends| *wall < ends))
        .map(|wall| (resolve(tz, wall.naive()), wall))
        .map(|((at, skipped), wall)| (at.timestamp(), skipped, wall))
        .collect();
    all.sort_unstable();
    let mut kept = BTreeMap::new();
    for (at, _, wall) in all {
        kept.entry(at).or_insert(wall);
    }
    kept
}

fn at(unix: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(unix, 0).unwrap()
}

/// Start, end, recurrence-id, moved, cancelled.
type Shown = (i64, i64, LocalDateTime, bool, bool);

fn shown(occurrence: &Occurrence) -> Shown {
    let Occurrence {
        start,
        end,
        recurrence_id,
        moved,
        cancelled,
        ..
    } = *occurrence;
    (
        start.timestamp(),
        end.timestamp(),
        recurrence_id,
        moved,
        cancelled,
    )
}

fn is_paused(set: &RecurrenceSet, wall: LocalDateTime) -> bool {
    let date = wall.naive().date();
    let mut pauses = set.deviations().pauses.iter();
    pauses.any(|pause| date >= pause.from && pause.until.is_none_or(|until| date < until))
}

fn expected(
    set: &RecurrenceSet,
    tz: Tz,
    kept: &BTreeMap<i64, LocalDateTime>,
    window: Window,
) -> Vec<Shown> {
    let deviations = set.deviations();
    let length = i64::from(set.minutes()) * 60;
    let plain = kept
        .iter()
        .filter(|(_, wall)| {
            !deviations.exclusions.contains(wall)
                && !deviations.overrides.contains_key(wall)
                && !is_paused(set, **wall)
        })
        .map(|(at, wall)| (*at, at + length, *wall, false, false));
    let standing = deviations.overrides.iter();
    let standing = standing.filter(|(wall, _)| deviations.ends.is_none_or(|ends| **wall < ends));
    let overridden = standing.map(|(wall, changed)| {
        let starts_at = |wall: LocalDateTime| resolve(tz, wall.naive()).0.timestamp();
        let starts = starts_at(changed.start.unwrap_or(*wall));
        (
            starts,
            starts
                + changed
                    .minutes
                    .map_or(length, |minutes| i64::from(minutes) * 60),
            *wall,
            starts != starts_at(*wall),
            changed.cancelled,
        )
    });
    let mut all: Vec<Shown> = plain
        .chain(overridden)
        .filter(|(start, end, ..)| window.overlaps(at(*start), at(*end)))
        .collect();
    all.sort_unstable_by_key(|(start, _, wall, ..)| (*start, *wall));
    all
}

/// Pauses one after the other: how many days until each, and how many it lasts.
fn pauses(mut date: NaiveDate, rests: &[(u64, Option<u64>)]) -> Vec<Pause> {
    let mut pauses = Vec::new();
    for (gap, days) in rests {
        let from = date + Days::new(*gap);
        let until = days.map(|days| from + Days::new(days));
        pauses.push(Pause {
            from,
            until,
            slot: PausedSlot::Freed,
        });
        let Some(until) = until else { break };
        date = until;
    }
    pauses
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_set_shows_what_the_oracle_shows(
        rules in proptest::collection::vec(select(&RULES), 0..4),
        (zone, (year, month, day)) in select(&CHANGES),
        quarter in 0i64..96,
        minutes in select(vec![15u32, 50, 180, 1440]),
        added in proptest::collection::btree_set(0i64..800, 0..8),
        excluded in proptest::collection::btree_set(0i64..800, 0..12),
        moved in proptest::collection::btree_map(0i64..800, (proptest::option::of(0i64..800), any::<bool>(), proptest::option::of(1u32..=1440)), 0..8),
        rests in proptest::collection::vec((0u64..4, proptest::option::weighted(0.9, 1u64..4)), 0..3),
        ends in proptest::option::weighted(0.3, 0i64..800),
        cut in (0i64..9 * 96, 1i64..700),
    ) {
        let tz: Tz = zone.parse().unwrap();
        let change = NaiveDate::from_ymd_opt(year, month, day).unwrap().and_hms_opt(0, 0, 0).unwrap();
        let start = LocalDateTime::try_from(change - TimeDelta::days(4) + TimeDelta::minutes(15 * quarter)).unwrap();
        // Deviations lie on quarters of hours from the start on, where rules are too.
        let near = |number: i64| start.plus_seconds(900 * number).unwrap();
        let overrides = moved.iter().map(|(wall, (to, cancelled, minutes))| {
            (near(*wall), Override { start: to.map(near), cancelled: *cancelled, minutes: *minutes })
        });
        let set = RecurrenceSet::new(start, zone.parse().unwrap(), minutes).unwrap()
            .with_rules(rules.iter().map(|rule| rule.parse::<Rule>().unwrap()).collect()).unwrap()
            .with_deviations(Deviations {
                additions: added.into_iter().map(near).collect(),
                exclusions: excluded.into_iter().map(near).collect(),
                overrides: overrides.collect(),
                pauses: pauses(start.date(), &rests),
                ends: ends.map(near),
            }).unwrap();
        let kept = generated(&set, tz, near(1600));
        let first = change.and_utc().timestamp() - 5 * 86_400;
        let window = Window::new(at(first + 900 * cut.0), at(first + 900 * (cut.0 + cut.1))).unwrap();

        let expected = expected(&set, tz, &kept, window);
        let found: Vec<Shown> = set.overlapping(window).unwrap().iter().map(shown).collect();
        prop_assert_eq!(&found, &expected);
        let compiled = set.compile();
        let mut due = Vec::new();
        let sets = [compiled.clone(), compiled.clone()];
        for_each_due(&sets, window, |index, found| due.push((index, shown(&found.into())))).unwrap();
        let twice: Vec<(usize, Shown)> = [0, 1].iter().flat_map(|index| expected.iter().map(|shown| (*index, *shown))).collect();
        prop_assert_eq!(due, twice);

        // The sequence itself: without exclusions, before overrides.
        let sequence: Vec<(i64, LocalDateTime)> = kept
            .iter()
            .map(|(at, wall)| (*at, *wall))
            .filter(|(at, wall)| *at < first + 10 * 86_400 && !set.deviations().exclusions.contains(wall) && !is_paused(&set, *wall))
            .collect();
        let life = Window::new(at(first - 86_400), at(first + 10 * 86_400)).unwrap();
        let pair = |instance: Instance| (instance.unix, instance.recurrence_id);
        let forward: Vec<_> = compiled.within(life).unwrap().map(pair).collect();
        prop_assert_eq!(&forward, &sequence);
        let mut back: Vec<_> = compiled.within(life).unwrap().rev().map(pair).collect();
        back.reverse();
        prop_assert_eq!(&back, &sequence);
        for (index, (unix, wall)) in sequence.iter().enumerate().take(30) {
            let rank = compiled.rank(at(*unix));
            prop_assert_eq!(rank, index as u64);
            prop_assert_eq!(compiled.nth(rank).unwrap().map(pair), Some((*unix, *wall)));
            prop_assert_eq!(compiled.next_after(at(unix - 1)).unwrap().map(pair), Some((*unix, *wall)));
            prop_assert_eq!(compiled.last_before(at(unix + 1)).unwrap().map(pair), Some((*unix, *wall)));
            prop_assert!(matches!(set.lookup(*wall), Lookup::Occurrence(_)));
        }
        for wall in &set.deviations().exclusions {
            let lookup = set.lookup(*wall);
            let was_generated = kept.values().any(|kept| kept == wall);
            prop_assert_eq!(lookup == Lookup::Excluded, was_generated);
            prop_assert_eq!(lookup == Lookup::NotGenerated, !was_generated);
        }
        for wall in kept.values().filter(|wall| is_paused(&set, **wall)) {
            let deviations = set.deviations();
            let shown = deviations.exclusions.contains(wall) || deviations.overrides.contains_key(wall);
            prop_assert_eq!(set.lookup(*wall) == Lookup::Paused, !shown);
        }
        let next = set.first_from(window.start(), |_| true).map(|found| shown(&found));
        let wanted = expected_first(&set, tz, &kept, window.start());
        if wanted.is_some() {
            prop_assert_eq!(next, wanted);
        }
    }
}

/// The first that takes place from an instant on, as far as the oracle looked.
fn expected_first(
    set: &RecurrenceSet,
    tz: Tz,
    kept: &BTreeMap<i64, LocalDateTime>,
    from: DateTime<Utc>,
) -> Option<Shown> {
    let all = Window::new(from, from + TimeDelta::days(10)).unwrap();
    let shown = expected(set, tz, kept, all);
    shown
        .into_iter()
        .find(|(start, _, _, _, cancelled)| at(*start) >= from && !cancelled)
}
