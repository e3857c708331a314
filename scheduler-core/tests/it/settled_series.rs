//! Series whose clashes were settled: some of their dates are skipped or moved before they are booked.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::availability::Availability;
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::intent::{self, IntentError, NewIntent};
use scheduler_core::proof::{Candidate, Remedy, RemedyError, Unproven, prove_remedied, remedied};
use scheduler_core::set::Deviations;
use scheduler_core::slots::{SlotPolicy, alternatives};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{
    ClientId, GapPolicy, IntentId, LocalDateTime, Override, Pause, PausedSlot, RecurrenceSet,
    ServiceId, TherapistId,
};
use uuid::Uuid;

use crate::expansion_laws::cases;
use crate::proofs::{LONDON, begin, dates, once, proved, recurring};

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_set_that_can_be_booked_can_be_booked_with_any_of_its_dates_settled(
        weekly in select(&["FREQ=WEEKLY;COUNT=6", "FREQ=DAILY;INTERVAL=3", "FREQ=MONTHLY;BYDAY=2TU"][..]),
        zone in select(&["Europe/London", "America/New_York", "UTC"][..]),
        settled in vec((0..6_u64, prop::option::of(1..300_i64)), 0..8),
    ) {
        let plain = recurring("2026-03-10T18:00:00", zone, weekly);
        let plain = match plain.zone().name() {
            "UTC" => plain.with_gap_policy(GapPolicy::Omit),
            _ => plain,
        };
        let now = begin(&plain, -1);
        let compiled = plain.compile();
        let mut remedies: BTreeMap<LocalDateTime, Remedy> = BTreeMap::new();
        for (n, later) in settled {
            let Some(at) = compiled.nth(n).ok().flatten() else { continue };
            let at = at.recurrence_id;
            let to = later.map(|fives| at.plus_seconds(300 * fives).unwrap());
            remedies.insert(at, to.map_or(Remedy::Skip, Remedy::MoveTo));
        }
        let remedies: Vec<(LocalDateTime, Remedy)> = remedies.into_iter().collect();
        let set = remedied(&plain, &remedies).unwrap();
        let skipped = remedies.iter().filter(|(_, remedy)| *remedy == Remedy::Skip).count();
        let is_empty = weekly.contains("COUNT=6") && skipped == 6;
        let start = plain.start();
        prop_assert_eq!(intent::create(&new(plain), now), Ok(()));
        let created = intent::create(&new(set.clone()), now);
        let expected = if is_empty { Err(IntentError::Empty { start }) } else { Ok(()) };
        prop_assert_eq!(created, expected);
        // A start that the rule does not generate stays off it, deviating or not.
        let off = set.with_start("2026-03-11T17:59:00".parse().unwrap());
        let off = off.with_rule("FREQ=WEEKLY;BYDAY=TU".parse().unwrap());
        let created = intent::create(&new(off), now);
        let is_off = matches!(created, Err(IntentError::OffRule { .. }));
        prop_assert!(is_off, "{:?}", created);
    }
}

fn new(set: RecurrenceSet) -> NewIntent {
    let id = Uuid::nil();
    NewIntent {
        id: IntentId(id),
        therapist: TherapistId(id),
        client: ClientId(id),
        service: ServiceId(id),
        set,
    }
}

#[test]
fn a_series_whose_first_date_was_settled_can_be_booked() {
    let mondays = recurring("2026-03-02T18:00:00", LONDON, "FREQ=WEEKLY;COUNT=2");
    let now = begin(&mondays, -1);
    let first = mondays.start();
    let second = first.plus_seconds(604_800).unwrap();
    let at = |text: &str| Remedy::MoveTo(text.parse().unwrap());
    let settled = |remedies: &[(LocalDateTime, Remedy)]| {
        let set = remedied(&mondays, remedies).unwrap();
        intent::create(&new(set), now)
    };
    assert_eq!(settled(&[(first, Remedy::Skip)]), Ok(()));
    assert_eq!(settled(&[(first, at("2026-03-03T09:00:00"))]), Ok(()));
    // Also behind the second date, or before itself.
    assert_eq!(settled(&[(first, at("2026-03-20T09:00:00"))]), Ok(()));
    assert_eq!(settled(&[(first, at("2026-03-02T09:00:00"))]), Ok(()));
    let past = settled(&[(second, at("2026-02-20T09:00:00"))]);
    assert!(matches!(past, Err(IntentError::Past { .. })), "{past:?}");
    let none = settled(&[(first, Remedy::Skip), (second, Remedy::Skip)]);
    assert_eq!(none, Err(IntentError::Empty { start: first }));
    // A cancelled start, and one that a pause covers.
    let mut deviations = Deviations::default();
    let cancelled = Override {
        cancelled: true,
        ..Override::default()
    };
    deviations.overrides.insert(first, cancelled);
    let set = mondays.clone().with_deviations(deviations).unwrap();
    assert_eq!(intent::create(&new(set), now), Ok(()));
    let pause = Pause {
        from: first.date(),
        until: Some(second.date()),
        slot: PausedSlot::Kept,
    };
    let deviations = Deviations {
        pauses: vec![pause],
        ..Deviations::default()
    };
    let set = mondays.clone().with_deviations(deviations).unwrap();
    assert_eq!(intent::create(&new(set), now), Ok(()));
    // A start that only an addition generates.
    let mut deviations = Deviations::default();
    let tuesday = "2026-03-03T18:00:00".parse().unwrap();
    deviations.additions.insert(tuesday);
    deviations.exclusions.insert(tuesday);
    let set = recurring("2026-03-03T18:00:00", LONDON, "FREQ=WEEKLY;BYDAY=MO")
        .with_deviations(deviations)
        .unwrap();
    assert_eq!(intent::create(&new(set), now), Ok(()));
    // A second rule that says what has no effect is refused like a first.
    let rules = ["FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=1MO"];
    let rules = rules.map(|rule| rule.parse().unwrap()).to_vec();
    let set = mondays.clone().with_rules(rules).unwrap();
    let created = intent::create(&new(set), now);
    assert!(matches!(created, Err(IntentError::Ineffective(_))));
}

#[test]
fn a_date_whose_slot_a_pause_keeps_can_be_settled_and_one_whose_slot_is_free_is_in_nobody_s_way() {
    let mondays = recurring("2026-03-02T18:00:00", LONDON, "FREQ=WEEKLY;COUNT=4");
    let paused = |slot| {
        let pause = Pause {
            from: "2026-03-09".parse().unwrap(),
            until: Some("2026-03-16".parse().unwrap()),
            slot,
        };
        let pauses = vec![pause];
        let deviations = Deviations {
            pauses,
            ..Deviations::default()
        };
        mondays.clone().with_deviations(deviations).unwrap()
    };
    let other = once("2026-03-09T18:30:00", LONDON, 50);
    let others = std::slice::from_ref(&other);
    let (kept, freed) = (paused(PausedSlot::Kept), paused(PausedSlot::Freed));
    assert!(proved(&freed, others).is_ok());
    assert!(proved(&other, std::slice::from_ref(&freed)).is_ok());
    assert!(proved(&other, std::slice::from_ref(&kept)).is_err());
    let clashes = proved(&kept, others).unwrap_err();
    assert_eq!(dates(&clashes), ["2026-03-09"]);
    let recurrence_id = clashes.against[0].first[0].recurrence_id;
    let skipped = remedied(&kept, &[(recurrence_id, Remedy::Skip)]).unwrap();
    assert!(proved(&skipped, others).is_ok());
    let to = "2026-03-10T18:00:00".parse().unwrap();
    let moved = remedied(&kept, &[(recurrence_id, Remedy::MoveTo(to))]).unwrap();
    assert!(proved(&moved, others).is_ok());
    let gone = remedied(&freed, &[(recurrence_id, Remedy::Skip)]);
    assert_eq!(gone, Err(RemedyError::Gone { recurrence_id }));
}

#[test]
fn a_remedied_series_is_proved_again() {
    let mondays = recurring("2026-03-02T18:00:00", LONDON, "FREQ=WEEKLY;COUNT=24");
    let taken = recurring(
        "2026-03-09T18:30:00",
        LONDON,
        "FREQ=WEEKLY;INTERVAL=6;COUNT=4",
    );
    let calendar = Calendar::default().with(IntentId(Uuid::nil()), &taken, Buffers::NONE);
    let always = Availability::always(mondays.zone());
    let from = begin(&mondays, -1);
    let candidate = Candidate {
        set: &mondays,
        buffers: Buffers::NONE,
        from,
    };
    let policy = SlotPolicy::new(50, 15).unwrap();
    let asked = alternatives(candidate, &calendar, &always, policy, from, 24).unwrap();
    assert_eq!((asked.free, asked.of), (20, 24));
    let instead: Vec<String> = asked
        .dates
        .iter()
        .map(|date| date.instead.unwrap().to_string())
        .collect();
    assert_eq!(instead[0], "2026-03-09T17:30:00");
    let mut remedies: Vec<(LocalDateTime, Remedy)> = asked
        .dates
        .iter()
        .map(|date| (date.recurrence_id, Remedy::MoveTo(date.instead.unwrap())))
        .collect();
    remedies[1].1 = Remedy::Skip;
    let (set, certificate) = prove_remedied(candidate, &remedies, &calendar, &always).unwrap();
    assert_eq!(certificate.until(), Some(END_OF_ZONE_DATA));
    assert_eq!(set.deviations().exclusions.len(), 1);
    assert_eq!(set.deviations().overrides.len(), 3);
    // Not all of them, twice the same, one that is not there.
    let some = prove_remedied(candidate, &remedies[1..], &calendar, &always);
    assert!(
        matches!(some, Err(RemedyError::Unproven(Unproven::Clashes(clashes))) if clashes.dates == 1)
    );
    let recurrence_id = remedies[0].0;
    let twice = [remedies[0], remedies[0]];
    assert_eq!(
        remedied(&mondays, &twice),
        Err(RemedyError::Twice { recurrence_id })
    );
    let skipped = remedied(&set, &remedies[1..2]);
    assert_eq!(
        skipped,
        Err(RemedyError::Gone {
            recurrence_id: remedies[1].0
        })
    );
    let absent = "2026-03-03T18:00:00".parse().unwrap();
    let none = remedied(&mondays, &[(absent, Remedy::Skip)]);
    assert_eq!(
        none,
        Err(RemedyError::NotGenerated {
            recurrence_id: absent
        })
    );
}
