//! Recurrences around clock changes, against Python's zoneinfo as recorded data.
//!
//! Source: `tests/data/zones/generate.py`, which says how each value was computed.

use scheduler_core::zone::TZDB;
use scheduler_core::{LocalDateTime, RecurrenceSet, Window};

const CORPUS: &str = include_str!("../data/zones/zones.tsv");

fn window() -> Window {
    let at = |text: &str| text.parse().unwrap();
    Window::new(at("1900-01-01T00:00:00Z"), at("2100-01-01T00:00:00Z")).unwrap()
}

#[test]
fn zones_around_their_clock_changes_are_as_zoneinfo_has_them() {
    // PyPI calls 2025b 2025.2.
    assert!(
        CORPUS.starts_with("# tzdata 2025.2,") && TZDB == "2025b",
        "{TZDB}"
    );
    let mut count = 0;
    for line in CORPUS.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap();
        let (zone, start, rule, expected) = (field(), field(), field(), field());
        let expected: Vec<(LocalDateTime, i64)> = expected
            .split(',')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(wall, unix)| {
                (
                    LocalDateTime::from_basic(wall).unwrap(),
                    unix.parse().unwrap(),
                )
            })
            .collect();
        let start = LocalDateTime::from_basic(start).unwrap();
        let set = RecurrenceSet::new(start, zone.parse().unwrap(), 30)
            .unwrap()
            .with_rule(rule.parse().unwrap())
            .compile();
        // The data holds at most eighty wall times of a rule, some of which fell together.
        let found: Vec<(LocalDateTime, i64)> = set
            .within(window())
            .unwrap()
            .take(expected.len())
            .map(|instance| (instance.recurrence_id, instance.unix))
            .collect();
        assert_eq!(found, expected, "{zone} {start} {rule}");
        count += 1;
    }
    assert_eq!(count, 39 * 9);
}
