//! Clock changes, and recurrences around them, against Python's zoneinfo as recorded data.
//!
//! Source: `tests/data/zones/{generate,transitions}.py`, which say how each value was computed.

use chrono::{DateTime, Utc};
use scheduler_core::zone::ZoneData;
use scheduler_core::{LocalDateTime, RecurrenceSet, Window, Zone};

const CORPUS: &str = include_str!("../data/zones/zones.tsv");
const TRANSITIONS: &str = include_str!("../data/zones/transitions.tsv");

/// PyPI calls 2026f 2026.6.
fn assert_is_of_the_release(corpus: &str) {
    let release = ZoneData::installed().release();
    let (year, letter) = release.split_at(4);
    let number = letter.bytes().next().unwrap() - b'a' + 1;
    let recorded = format!("# tzdata {year}.{number},");
    assert!(
        corpus.starts_with(&recorded),
        "{release}: {}",
        corpus.lines().next().unwrap()
    );
}

/// The seconds that a zone's clocks are ahead of UTC.
fn offset(zone: Zone, unix: i64) -> i64 {
    zone.local(DateTime::from_timestamp(unix, 0).unwrap())
        .seconds()
        - unix
}

#[test]
fn every_zone_changes_its_clocks_when_zoneinfo_says_so_and_never_else() {
    const FIRST: i64 = -2_208_988_800;
    const END: i64 = 4_102_444_800;
    assert_is_of_the_release(TRANSITIONS);
    let (mut zones, mut changes) = (0, 0);
    for line in TRANSITIONS.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap();
        let (names, first, rest) = (field(), field(), field());
        let mut expected = vec![(FIRST, first.parse::<i64>().unwrap())];
        let mut unix = 0;
        for pair in rest.split_whitespace() {
            let (since, offset) = pair.split_once('=').unwrap();
            unix += since.parse::<i64>().unwrap();
            expected.push((unix, offset.parse().unwrap()));
        }
        expected.push((END, i64::MIN));
        for name in names.split(',') {
            let zone: Zone = name.parse().unwrap();
            for pair in expected.windows(2) {
                let ((from, expected), (to, _)) = (pair[0], pair[1]);
                // An odd step meets all hours of the day and all days of the year.
                let within = (from..to).step_by(300_007).chain([to - 1]);
                for unix in within {
                    assert_eq!(offset(zone, unix), expected, "{name} at {unix}");
                }
                changes += 1;
            }
            zones += 1;
        }
    }
    assert_eq!(zones, ZoneData::installed().names().count());
    println!("{zones} zones, {changes} stretches of one offset");
}

#[test]
fn the_zones_whose_law_changed_in_2026_are_of_today() {
    // tz-announce 2026a to 2026f: the hours from UTC in July and in December of 2026.
    for (name, july, december) in [
        ("America/Vancouver", -7, -7),
        ("America/Edmonton", -6, -6),
        ("America/Inuvik", -6, -6),
        ("America/Winnipeg", -5, -5),
        ("Africa/Casablanca", 1, 0),
        ("Africa/El_Aaiun", 1, 0),
        ("America/Havana", -4, -4),
        ("Europe/Chisinau", 3, 2),
        ("Canada/Pacific", -7, -7),
    ] {
        let zone: Zone = name.parse().unwrap();
        let hours = |date: &str| {
            let at: DateTime<Utc> = format!("{date}T12:00:00Z").parse().unwrap();
            offset(zone, at.timestamp()) / 3600
        };
        assert_eq!(
            (hours("2026-07-01"), hours("2026-12-01")),
            (july, december),
            "{name}"
        );
    }
}

fn window() -> Window {
    let at = |text: &str| text.parse().unwrap();
    Window::new(at("1900-01-01T00:00:00Z"), at("2100-01-01T00:00:00Z")).unwrap()
}

#[test]
fn zones_around_their_clock_changes_are_as_zoneinfo_has_them() {
    assert_is_of_the_release(CORPUS);
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
