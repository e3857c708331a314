//! Any bytes as a calendar: nothing panics, nothing runs on forever, and the sets of a series, and
//! those sets written and read again, have the occurrences that the calendar shows.
#![no_main]

use chrono::{DateTime, Utc};
use libfuzzer_sys::fuzz_target;
use scheduler_core::ical::{self, Calendar, Header, Outgoing, PROBLEMS_MAX};
use scheduler_core::{RecurrenceSet, Window, Zone};

fuzz_target!(|bytes: &[u8]| {
    let zone: Zone = "Europe/Berlin".parse().expect("a zone");
    let Ok(calendar) = ical::parse(bytes, zone) else {
        return;
    };
    assert!(calendar.problems().len() <= PROBLEMS_MAX + 1);
    for problem in calendar.problems() {
        let line = problem.to_string();
        assert!(!line.contains('\n') && line.len() < 4_000, "{line}");
    }
    let whole = calendar.between(window());
    for series in calendar.series() {
        let Ok(sets) = series.to_sets() else {
            continue;
        };
        let text = written(&sets);
        if let (Ok(_), [_]) = (&whole, calendar.series()) {
            let expected = shown(&calendar);
            let of_sets = sets.iter().map(|set| set.overlapping(window()));
            if let Ok(of_sets) = of_sets.collect::<Result<Vec<_>, _>>() {
                let live = of_sets.iter().flatten().filter(|one| !one.cancelled);
                let mut found: Vec<_> = live.map(|one| (one.start, one.end)).collect();
                found.sort_unstable();
                assert_eq!(found, expected);
            }
            if let Some(text) = text {
                let again = ical::parse(text.as_bytes(), Zone::UTC).expect("our own text");
                if again.between(window()).is_ok() {
                    assert_eq!(shown(&again), expected, "{text}");
                }
            }
        }
    }
});

fn window() -> Window {
    let at = |text: &str| text.parse().expect("an instant");
    Window::new(at("2025-12-01T00:00:00Z"), at("2026-12-01T00:00:00Z")).expect("a window")
}

fn shown(calendar: &Calendar) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let found = calendar.between(window()).expect("it was answered before");
    let live = found.iter().filter(|one| !one.is_cancelled);
    let mut seen: Vec<_> = live.map(|one| (one.start.instant(), one.end.instant())).collect();
    seen.sort_unstable();
    seen
}

fn written(sets: &[RecurrenceSet]) -> Option<String> {
    let uids: Vec<String> = (0..sets.len()).map(|n| format!("u{n}")).collect();
    let outgoing = sets.iter().zip(&uids).map(|(set, uid)| Outgoing {
        uid,
        sequence: 0,
        summary: None,
        set,
    });
    let outgoing: Vec<Outgoing<'_>> = outgoing.collect();
    let header = Header {
        method: None,
        stamp: "2026-01-01T00:00:00Z".parse().expect("an instant"),
        product: "-//Fuzz//Fuzz//EN",
    };
    ical::write(&header, &outgoing).ok()
}
