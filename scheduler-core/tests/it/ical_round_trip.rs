//! iCalendar: what is written is read back, and nothing that is read can break the reader.

use chrono::{DateTime, NaiveDate, Utc};
use proptest::prelude::*;
use scheduler_core::ical::{self, Header, Outgoing};
use scheduler_core::set::Deviations;
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{
    GapPolicy, LocalDateTime, Override, Pause, PausedSlot, RecurrenceSet, Window, Zone,
};

use crate::expansion_laws::{cases, rules};
use crate::ical_files::FILES;
use crate::naive::Freq;
use crate::random::weekly;

/// Recurrence-id, start, end, cancelled.
type Seen = (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>, bool);

pub(crate) fn text_of(set: &RecurrenceSet) -> String {
    let header = Header {
        method: Some("PUBLISH"),
        stamp: "2026-01-01T00:00:00Z".parse().unwrap(),
        product: "-//Test//Test//EN",
    };
    let one = Outgoing {
        uid: "one@test",
        sequence: 3,
        summary: Some(
            "Session, weekly; in a room\nwith a very long name that has to be folded söméwhere",
        ),
        set,
    };
    ical::write(&header, &[one]).unwrap()
}

fn by_set(set: &RecurrenceSet, window: Window) -> Vec<Seen> {
    let all = set.overlapping(window).unwrap();
    let mut seen: Vec<Seen> = all
        .iter()
        .map(|one| {
            let id = set.zone().resolve(one.recurrence_id).0;
            (id, one.start, one.end, one.cancelled)
        })
        .collect();
    seen.sort_unstable();
    seen
}

fn by_text(text: &str, window: Window) -> Vec<Seen> {
    let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
    let mut seen: Vec<Seen> = calendar
        .between(window)
        .unwrap()
        .iter()
        .map(|one| {
            let times = (one.recurrence_id.instant(), one.start.instant());
            (times.0, times.1, one.end.instant(), one.is_cancelled)
        })
        .collect();
    seen.sort_unstable();
    seen
}

/// The same occurrences, well-formed text, and sets again with the same occurrences.
pub(crate) fn comes_back(set: &RecurrenceSet, window: Window) -> Result<(), TestCaseError> {
    let text = text_of(set);
    prop_assert!(text.split("\r\n").all(|line| line.len() <= 75), "{}", text);
    prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    let meant = by_set(set, window);
    prop_assert_eq!(by_text(&text, window), meant.clone(), "{}", text);
    let calendar = ical::parse(text.as_bytes(), Zone::UTC).unwrap();
    let [series] = calendar.series() else {
        return Err(TestCaseError::fail("not one series"));
    };
    if let Ok(sets) = series.to_sets() {
        let [again] = &sets[..] else {
            prop_assert!(meant.is_empty(), "no set of {}", text);
            return Ok(());
        };
        prop_assert_eq!(by_set(again, window), meant, "as a set, from {}", text);
    }
    Ok(())
}

fn life() -> Window {
    Window::new(
        "2018-01-01T00:00:00Z".parse().unwrap(),
        "2032-01-01T00:00:00Z".parse().unwrap(),
    )
    .unwrap()
}

fn pauses() -> impl Strategy<Value = Vec<Pause>> {
    let stretch = (0..500_u64, 1..60_u64, 1..40_u64, any::<bool>());
    prop::option::of(stretch).prop_map(|stretch| {
        let Some((from, length, apart, open)) = stretch else {
            return Vec::new();
        };
        let day = |offset| {
            let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
            first + chrono::Days::new(offset)
        };
        let slot = PausedSlot::Kept;
        let mut pauses = vec![Pause {
            from: day(from),
            until: Some(day(from + length)),
            slot,
        }];
        if open {
            let from = day(from + length + apart);
            pauses.push(Pause {
                from,
                until: None,
                slot,
            });
        }
        pauses
    })
}

const ALL: &[Freq] = &[
    Freq::Hourly,
    Freq::Daily,
    Freq::Weekly,
    Freq::Monthly,
    Freq::Yearly,
];

fn local(seconds: i64) -> LocalDateTime {
    LocalDateTime::from_seconds(seconds).unwrap()
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn weekly_sets_come_back(
        weekly in weekly(),
        pauses in pauses(),
        ends in prop::option::of(0..600_i64),
        omit in any::<bool>(),
    ) {
        let set = weekly.set();
        let mut deviations = set.deviations().clone();
        deviations.pauses = pauses;
        deviations.ends = ends.and_then(|days| set.start().plus_seconds(days * 86_400 + 3600));
        let gap = if omit { GapPolicy::Omit } else { GapPolicy::Shift };
        let set = set.with_gap_policy(gap).with_deviations(deviations).unwrap();
        comes_back(&set, life())?;
    }

    #[test]
    fn any_rules_come_back(
        parts in prop::collection::vec(rules(ALL), 0..3),
        start in 1_750_000_000..1_800_000_000_i64,
        added in prop::collection::btree_set(1_740_000_000..1_850_000_000_i64, 0..5),
        excluded in prop::collection::btree_set(0..400_usize, 0..8),
        overridden in prop::collection::btree_map(
            0..100_usize, (prop::option::of(-200_000..200_000_i64), prop::option::of(1..1440_u32), any::<bool>()), 0..5),
        ends in prop::option::of(1_750_000_000..1_900_000_000_i64),
        zone in prop::sample::select(vec![
            "Europe/London", "America/New_York", "UTC", "Pacific/Apia", "America/Havana",
            "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca",
        ]),
        whole in any::<bool>(),
    ) {
        let start = if whole { start / 900 * 900 } else { start };
        let rules = parts.iter().map(|rule| rule.to_string().parse().unwrap()).collect();
        let zone: Zone = zone.parse().unwrap();
        let set = RecurrenceSet::new(local(start), zone, 50).unwrap().with_rules(rules).unwrap();
        let window = Window::new("2025-01-01T00:00:00Z".parse().unwrap(), "2027-06-01T00:00:00Z".parse().unwrap()).unwrap();
        let ids: Vec<LocalDateTime> = set.compile().within(window).unwrap().take(400)
            .map(|one| one.recurrence_id).collect();
        let pick = |index: usize| ids.get(index % ids.len().max(1)).copied();
        let deviations = Deviations {
            additions: added.into_iter().map(local).collect(),
            exclusions: excluded.into_iter().filter_map(pick).collect(),
            overrides: overridden.into_iter().filter_map(|(index, (moved, minutes, cancelled))| {
                let id = pick(index)?;
                let start = moved.and_then(|moved| id.plus_seconds(moved));
                Some((id, Override { start, minutes, cancelled }))
            }).collect(),
            pauses: Vec::new(),
            ends: ends.map(local),
        };
        let set = set.with_deviations(deviations).unwrap();
        prop_assume!(set.compile().count_in(window).unwrap() < 15_000);
        comes_back(&set, window)?;
    }

    /// A zone that goes out as a VTIMEZONE is known by it when its name is not.
    #[test]
    fn a_written_zone_is_known_by_its_offsets(weekly in weekly()) {
        let text = text_of(&weekly.set());
        prop_assume!(text.contains("TZID="));
        let renamed = text.replace("\r\n ", "").replace("TZID=", "TZID=Our ").replace("TZID:", "TZID:Our ");
        let until = "2029-01-01T00:00:00Z".parse().unwrap();
        let window = Window::new(life().start(), until).unwrap();
        prop_assert_eq!(by_text(&renamed, window), by_text(&text, window), "{}", renamed);
    }

    #[test]
    fn mutated_files_never_break_the_reader(
        file in prop::sample::select(FILES),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..5_u8), 1..12),
    ) {
        let mut bytes = file.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at.min(bytes.len()), byte),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.truncate(at.max(bytes.len() * 3 / 4)),
                // A line again, somewhere else.
                _ => {
                    let from = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
                    let line: Vec<u8> = bytes[from..].iter().copied().take_while(|b| *b != b'\n').chain([b'\n']).collect();
                    bytes.splice(from..from, line);
                }
            }
        }
        if let Ok(calendar) = ical::parse(&bytes, Zone::UTC) {
            let printed = calendar.problems().iter().map(ToString::to_string);
            prop_assert!(printed.clone().all(|line| !line.contains('\n')));
            let _ = calendar.between(life());
            let _ = calendar.between(Window::new(DateTime::<Utc>::MIN_UTC, END_OF_ZONE_DATA).unwrap());
            for series in calendar.series() {
                let _ = series.to_sets();
            }
        }
    }

    #[test]
    fn bytes_never_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ical::parse(&bytes, Zone::UTC);
    }
}
