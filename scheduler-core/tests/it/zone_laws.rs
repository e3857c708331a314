//! The zone stage against an oracle that resolves every wall time through chrono-tz, sorts and
//! drops what is double; and against itself.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::rule::{Expansion, Rule};
use scheduler_core::{GapPolicy, Instance, LocalDateTime, RecurrenceSet, Window, Zone};

use crate::expansion_laws::{cases, rules};
use crate::naive::{Freq, Parts};

/// Zones that change their clocks in every way there is, and a day on which they do.
const ZONES: [(&str, (i32, u32, u32)); 14] = [
    ("America/New_York", (2026, 3, 8)),
    ("America/New_York", (2026, 11, 1)),
    ("Europe/London", (2026, 3, 29)),
    ("Europe/Berlin", (2026, 10, 25)),
    ("Australia/Sydney", (2026, 4, 5)),
    ("Australia/Sydney", (2026, 10, 4)),
    ("Australia/Lord_Howe", (2026, 10, 4)),
    ("America/Havana", (2021, 3, 14)),
    ("America/Havana", (2021, 11, 7)),
    ("Asia/Beirut", (2023, 3, 30)),
    ("Africa/Cairo", (2024, 4, 26)),
    ("America/Sao_Paulo", (2018, 11, 4)),
    ("America/Sao_Paulo", (2018, 2, 18)),
    ("Pacific/Apia", (2011, 12, 30)),
];

/// The instant of a wall time, and whether the zone skips it.
pub(crate) fn resolve(zone: Tz, wall: NaiveDateTime) -> (DateTime<Utc>, bool) {
    match zone.offset_from_local_datetime(&wall) {
        LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => {
            ((wall - offset.fix()).and_utc(), false)
        }
        LocalResult::None => {
            // The offset that held two days before; no zone here changes twice in that time.
            let before = (wall - TimeDelta::days(2)).and_utc().naive_utc();
            let offset = zone.offset_from_utc_datetime(&before).fix();
            ((wall - offset).and_utc(), true)
        }
    }
}

type Found = (i64, LocalDateTime);

fn expected(parts: &Parts, start: NaiveDateTime, zone: Tz, omit: bool, days: i64) -> Vec<Found> {
    let rule: Rule = parts.to_string().parse().unwrap();
    let start = LocalDateTime::try_from(start).unwrap();
    let end = start.plus_seconds(days * 86_400).unwrap();
    // The civil stage has its own oracle.
    let mut all: Vec<(i64, bool, LocalDateTime)> = Expansion::new(&rule, start)
        .between(start, end)
        .map(|local| {
            let (at, skipped) = resolve(zone, local.naive());
            (at.timestamp(), skipped, local)
        })
        .filter(|(_, skipped, _)| !(omit && *skipped))
        .collect();
    all.sort_unstable();
    all.dedup_by_key(|(at, _, _)| *at);
    all.into_iter().map(|(at, _, local)| (at, local)).collect()
}

fn found(instance: Instance) -> Found {
    (instance.unix, instance.recurrence_id)
}

fn window(from: i64, to: i64) -> Window {
    let at = |unix| DateTime::from_timestamp(unix, 0).unwrap();
    Window::new(at(from), at(to)).unwrap()
}

fn frequent() -> impl Strategy<Value = Parts> {
    let freqs: &[Freq] = &[
        Freq::Minutely,
        Freq::Hourly,
        Freq::Hourly,
        Freq::Daily,
        Freq::Daily,
        Freq::Weekly,
    ];
    rules(freqs)
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn instants_are_those_of_the_oracle(
        mut parts in frequent(),
        (zone, (year, month, day)) in select(&ZONES),
        second in 0i64..86_400,
        omit: bool,
        dense: bool,
        cuts in prop_oneof![(0i64..400_000, 1i64..200_000), (270_000i64..380_000, 1i64..8_000)],
    ) {
        if dense {
            // Most limits leave nothing in a few days.
            parts.by_month.clear();
            parts.by_month_day.clear();
            parts.by_year_day.clear();
            parts.by_day.clear();
            parts.by_set_pos.clear();
        }
        let start = NaiveDate::from_ymd_opt(year, month, day).unwrap().and_hms_opt(0, 0, 0).unwrap()
            - TimeDelta::days(3) + TimeDelta::seconds(second);
        let tz: Tz = zone.parse().unwrap();
        let expected = expected(&parts, start, tz, omit, 7);
        let policy = if omit { GapPolicy::Omit } else { GapPolicy::Shift };
        let local = LocalDateTime::try_from(start).unwrap();
        let set = RecurrenceSet::new(local, zone.parse::<Zone>().unwrap(), 30).unwrap()
            .with_gap_policy(policy)
            .with_rule(parts.to_string().parse().unwrap());
        let compiled = set.compile();
        let first = resolve(tz, start).0.timestamp() - 100_000;
        let all = window(first, first + 100_000 + 6 * 86_400);
        let expected: Vec<Found> =
            expected.into_iter().filter(|(at, _)| *at < all.end().timestamp()).collect();
        let name = format!("{parts} from {start} in {zone}");
        let forward: Vec<Found> = compiled.within(all).unwrap().map(found).collect();
        prop_assert_eq!(&forward, &expected, "{}", name);
        let mut looped = Vec::new();
        compiled.within(all).unwrap().for_each(|instance| looped.push(found(instance)));
        prop_assert_eq!(&looped, &expected, "{} as a loop", name);
        let mut back: Vec<Found> = compiled.within(all).unwrap().rev().map(found).collect();
        back.reverse();
        prop_assert_eq!(&back, &expected, "{} in reverse", name);

        // A window is a filtered scan, wherever it is cut.
        let (from, length) = cuts;
        let part = window(first + from, first + from + length);
        let wanted: Vec<Found> =
            forward.iter().copied().filter(|(at, _)| part.start().timestamp() <= *at && *at < part.end().timestamp()).collect();
        prop_assert_eq!(&compiled.within(part).unwrap().map(found).collect::<Vec<_>>(), &wanted, "{} in part", name);
        let mut looped = Vec::new();
        compiled.within(part).unwrap().for_each(|instance| looped.push(found(instance)));
        prop_assert_eq!(&looped, &wanted, "{} in part as a loop", name);
        prop_assert_eq!(compiled.count_in(part).unwrap(), wanted.len() as u64, "count of {}", name);

        for (index, (at, local)) in forward.iter().enumerate().step_by(1 + forward.len() / 20) {
            let at = DateTime::from_timestamp(*at, 0).unwrap();
            prop_assert_eq!(compiled.rank(at), index as u64, "rank of {} in {}", local, name);
            let nth = compiled.nth(index as u64).unwrap().map(found);
            prop_assert_eq!(nth, Some((at.timestamp(), *local)), "nth {} of {}", index, name);
        }
    }
}

/// Every quarter of an hour as a daily start, every window around the change.
#[test]
fn windows_cut_a_clock_change_anywhere() {
    for (zone, (year, month, day)) in ZONES {
        let change = NaiveDate::from_ymd_opt(year, month, day)
            .unwrap()
            .and_hms_opt(0, 0, 0)
            .unwrap();
        let first = change.and_utc().timestamp() - 30 * 3600;
        for quarter in 0..96 {
            let start = change - TimeDelta::days(4) + TimeDelta::minutes(15 * quarter);
            let start = LocalDateTime::try_from(start).unwrap();
            let daily = RecurrenceSet::new(start, zone.parse().unwrap(), 30)
                .unwrap()
                .with_rule("FREQ=DAILY".parse().unwrap())
                .compile();
            let all: Vec<Found> = daily
                .within(window(first, first + 80 * 3600))
                .unwrap()
                .map(found)
                .collect();
            for cut in (0..70 * 3600).step_by(900) {
                let part = window(first + cut, first + cut + 7 * 3600);
                let inside = |at: i64| first + cut <= at && at < first + cut + 7 * 3600;
                let wanted: Vec<Found> =
                    all.iter().copied().filter(|(at, _)| inside(*at)).collect();
                let mut looped = Vec::new();
                daily
                    .within(part)
                    .unwrap()
                    .for_each(|instance| looped.push(found(instance)));
                assert_eq!(looped, wanted, "{zone} {start} {part:?}");
                let mut back: Vec<Found> = daily.within(part).unwrap().rev().map(found).collect();
                back.reverse();
                assert_eq!(back, wanted, "{zone} {start} {part:?} in reverse");
                assert_eq!(daily.count_in(part).unwrap(), wanted.len() as u64);
            }
        }
    }
}

const ALL: &[Freq] = &[
    Freq::Minutely,
    Freq::Hourly,
    Freq::Daily,
    Freq::Weekly,
    Freq::Monthly,
    Freq::Yearly,
];

proptest! {
    #![proptest_config(cases(500))]

    /// One at a time, as a loop and backwards, over years and their clock changes.
    #[test]
    fn steps_loops_and_reverses_are_one_sequence(
        parts in rules(ALL),
        (zone, (year, month, day)) in select(&ZONES),
        second in 0i64..86_400,
        taken in 0usize..40,
    ) {
        let start = NaiveDate::from_ymd_opt(year - 1, month, day).unwrap().and_hms_opt(0, 0, 0).unwrap()
            + TimeDelta::seconds(second);
        let local = LocalDateTime::try_from(start).unwrap();
        let set = RecurrenceSet::new(local, zone.parse::<Zone>().unwrap(), 30).unwrap()
            .with_rule(parts.to_string().parse().unwrap());
        let compiled = set.compile();
        let first = start.and_utc().timestamp() - 100_000;
        let years = window(first, first + 12 * 366 * 86_400);
        let stepped: Vec<Instance> = compiled.within(years).unwrap().take(400).collect();
        let Some(last) = stepped.last() else { return Ok(()) };
        let part = window(first, last.unix + 1);
        let name = format!("{parts} from {start} in {zone}");
        let mut looped = Vec::new();
        compiled.within(part).unwrap().for_each(|instance| looped.push(instance));
        prop_assert_eq!(&looped, &stepped, "{} as a loop", name);
        let mut back: Vec<Instance> = compiled.within(part).unwrap().rev().collect();
        back.reverse();
        prop_assert_eq!(&back, &stepped, "{} in reverse", name);
        // From both ends.
        let mut ends = compiled.within(part).unwrap();
        let mut both: Vec<Instance> = ends.by_ref().take(taken).collect();
        let mut behind: Vec<Instance> = ends.by_ref().rev().take(3).collect();
        both.extend(ends);
        behind.reverse();
        both.extend(behind);
        prop_assert_eq!(&both, &stepped, "{} from both ends", name);
    }
}
