//! Random sets, and what they mean, worked out day by day without the engine.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc, Weekday};
use proptest::prelude::*;
use scheduler_core::set::Deviations;
use scheduler_core::{LocalDateTime, Override, RecurrenceSet, Window, Zone};

/// A weekly set, described well enough to be worked out by hand.
#[derive(Debug, Clone)]
pub(crate) struct Weekly {
    pub(crate) start: NaiveDate,
    pub(crate) minute: u32,
    pub(crate) minutes: u32,
    pub(crate) zone: &'static str,
    pub(crate) interval: i64,
    pub(crate) weekdays: BTreeSet<u8>,
    overrides: Vec<Changed>,
    exclusions: Vec<usize>,
    additions: Vec<(i64, u32)>,
}

/// Which of the generated days is overridden, by how many days and minutes it is moved, and whether
/// it is cancelled.
type Changed = (usize, Option<(i64, i64)>, bool);

const ZONES: [&str; 6] = [
    "Europe/London",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "UTC",
];

pub(crate) const DAYS_WORKED_OUT: u64 = 500;

pub(crate) fn weekly() -> impl Strategy<Value = Weekly> {
    let overrides = prop::collection::vec(
        (
            0..60_usize,
            prop::option::of((-40..40_i64, -700..700_i64)),
            any::<bool>(),
        ),
        0..8,
    );
    (
        (
            0..700_u64,
            0..1440_u32,
            1..1440_u32,
            prop::sample::select(&ZONES[..]),
            1..4_i64,
        ),
        prop::collection::btree_set(0..7_u8, 1..4),
        overrides,
        prop::collection::vec(0..60_usize, 0..6),
        prop::collection::vec((0..400_i64, 0..1440_u32), 0..4),
    )
        .prop_map(
            |(
                (day, minute, minutes, zone, interval),
                mut weekdays,
                overrides,
                exclusions,
                additions,
            )| {
                let start = NaiveDate::from_ymd_opt(2018, 1, 1).unwrap() + Days::new(day);
                let own = u8::try_from(start.weekday().num_days_from_monday()).unwrap();
                weekdays.insert(own);
                Weekly {
                    start,
                    minute,
                    minutes,
                    zone,
                    interval,
                    weekdays,
                    overrides,
                    exclusions,
                    additions,
                }
            },
        )
}

fn local(date: NaiveDate, minute: u32) -> LocalDateTime {
    let time = date.and_hms_opt(minute / 60, minute % 60, 0).unwrap();
    LocalDateTime::try_from(time).unwrap()
}

impl Weekly {
    fn zone(&self) -> Zone {
        self.zone.parse().unwrap()
    }

    /// The days of the rule: within every nth week, counted from the Monday of the start's.
    fn days(&self) -> Vec<NaiveDate> {
        let monday = self.start - Days::new(u64::from(self.start.weekday().num_days_from_monday()));
        (0..DAYS_WORKED_OUT)
            .map(|offset| self.start + Days::new(offset))
            .filter(|day| ((*day - monday).num_days() / 7) % self.interval == 0)
            .filter(|day| {
                let weekday = u8::try_from(day.weekday().num_days_from_monday()).unwrap();
                self.weekdays.contains(&weekday)
            })
            .collect()
    }

    fn deviations(&self) -> Deviations {
        let days = self.days();
        let at = |position: usize| local(days[position % days.len()], self.minute);
        let overrides: BTreeMap<LocalDateTime, Override> = self
            .overrides
            .iter()
            .map(|(position, moved, cancelled)| {
                let at = at(*position);
                let start = moved
                    .map(|(days, minutes)| at.plus_seconds(days * 86_400 + minutes * 60).unwrap());
                (
                    at,
                    Override {
                        start,
                        cancelled: *cancelled,
                        ..Override::default()
                    },
                )
            })
            .collect();
        Deviations {
            additions: self
                .additions
                .iter()
                .map(|(day, minute)| local(self.start + TimeDelta::days(*day), *minute))
                .collect(),
            exclusions: self
                .exclusions
                .iter()
                .map(|position| at(*position))
                .collect(),
            overrides,
            ..Deviations::default()
        }
    }

    pub(crate) fn set(&self) -> RecurrenceSet {
        let names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let days: Vec<&str> = self
            .weekdays
            .iter()
            .map(|day| names[usize::from(*day)])
            .collect();
        let rule = format!(
            "FREQ=WEEKLY;INTERVAL={};BYDAY={}",
            self.interval,
            days.join(",")
        );
        RecurrenceSet::new(local(self.start, self.minute), self.zone(), self.minutes)
            .unwrap()
            .with_rule(rule.parse().unwrap())
            .with_deviations(self.deviations())
            .unwrap()
    }

    /// What the set means: (recurrence-id, start, cancelled), by hand. An override of a date that
    /// is excluded or not generated still shows where it was moved to, as in the set.
    pub(crate) fn worked_out(&self) -> Vec<(LocalDateTime, DateTime<Utc>, bool)> {
        let deviations = self.deviations();
        let zone = self.zone();
        let mut wall: BTreeSet<LocalDateTime> = self
            .days()
            .into_iter()
            .map(|day| local(day, self.minute))
            .collect();
        wall.extend(&deviations.additions);
        // One instant is one occurrence: a wall time that exists comes before one that is skipped.
        let mut by_instant: BTreeMap<DateTime<Utc>, (bool, LocalDateTime)> = BTreeMap::new();
        for at in wall {
            let (start, how) = zone.resolve(at);
            let rank = (how == scheduler_core::zone::Resolution::Gap, at);
            let kept = by_instant.entry(start).or_insert(rank);
            *kept = rank.min(*kept);
        }
        let mut meant: Vec<_> = by_instant
            .into_iter()
            .filter(|(_, (_, at))| !deviations.exclusions.contains(at))
            .filter(|(_, (_, at))| !deviations.overrides.contains_key(at))
            .map(|(start, (_, at))| (at, start, false))
            .collect();
        for (at, changed) in &deviations.overrides {
            let start = zone.resolve(changed.start.unwrap_or(*at)).0;
            meant.push((*at, start, changed.cancelled));
        }
        meant.sort_by_key(|(at, start, _)| (*start, *at));
        meant
    }

    /// A window within what is worked out, and far enough from its end for every move.
    pub(crate) fn window(&self, from: i64, minutes: i64) -> Window {
        let midnight = self.start.and_hms_opt(0, 0, 0).unwrap().and_utc();
        let start = midnight + TimeDelta::minutes(from);
        Window::new(start, start + TimeDelta::minutes(minutes)).unwrap()
    }
}

/// Minutes from the start's midnight that stay within what is worked out.
pub(crate) fn offset() -> impl Strategy<Value = i64> {
    -60_000..600_000_i64
}

#[test]
fn the_oracle_knows_a_fortnight() {
    let weekly = Weekly {
        start: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(),
        minute: 600,
        minutes: 50,
        zone: "UTC",
        interval: 2,
        weekdays: [u8::try_from(Weekday::Thu.num_days_from_monday()).unwrap()].into(),
        overrides: Vec::new(),
        exclusions: Vec::new(),
        additions: Vec::new(),
    };
    let days: Vec<String> = weekly
        .days()
        .iter()
        .take(3)
        .map(ToString::to_string)
        .collect();
    assert_eq!(days, ["2026-01-01", "2026-01-15", "2026-01-29"]);
}
