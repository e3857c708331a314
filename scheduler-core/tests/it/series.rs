//! Edits of a series by name: what other products get wrong, scopes, what goes along.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::intent::{
    self, Changes, Command, Edit, Edited, Event, Fate, Intent, IntentError, IntentState, NewIntent,
    Overrides,
};
use scheduler_core::rule::End;
use scheduler_core::session::{Party, Session, SessionState};
use scheduler_core::set::Lookup;
use scheduler_core::{
    ClientId, Idempotent, IntentId, LocalDateTime, Occurrence, Pause, PausedSlot, RecurrenceSet,
    ServiceId, SessionId, TherapistId, Window,
};
use uuid::Uuid;

use crate::expansion_laws::cases;

pub(crate) const ID: IntentId = IntentId(Uuid::from_u128(1));
pub(crate) const INTO: IntentId = IntentId(Uuid::from_u128(2));

pub(crate) fn at(text: &str) -> LocalDateTime {
    text.parse().unwrap()
}

pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) fn booked(start: &str, zone: &str, rules: &[&str], now: &str) -> Intent {
    let set = RecurrenceSet::new(at(start), zone.parse().unwrap(), 50).unwrap();
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let new = NewIntent {
        id: ID,
        therapist: TherapistId(Uuid::from_u128(12)),
        client: ClientId(Uuid::from_u128(13)),
        service: ServiceId(Uuid::from_u128(14)),
        set: set.with_rules(rules).unwrap(),
    };
    intent::created(new, utc(now))
}

/// Every Monday at 18:00 in London, from 2 March 2026.
pub(crate) fn mondays() -> Intent {
    let rules = ["FREQ=WEEKLY"];
    booked(
        "2026-03-02T18:00:00",
        "Europe/London",
        &rules,
        "2026-03-01T00:00:00Z",
    )
}

pub(crate) const NOW: &str = "2026-03-01T00:00:00Z";

pub(crate) fn told(intent: Intent, command: &Command) -> Intent {
    match intent::decide(&intent, command, &BTreeSet::new(), utc(NOW)).unwrap() {
        Idempotent::Applied(event) => intent::evolve(intent, &event),
        Idempotent::AlreadyApplied => panic!("{command:?} was applied already"),
    }
}

pub(crate) fn edited(intent: &Intent, sessions: &[Session], edit: &Edit, now: &str) -> Edited {
    match intent::edit(intent, sessions, edit, utc(now)).unwrap() {
        Idempotent::Applied(edited) => edited,
        Idempotent::AlreadyApplied => panic!("{edit:?} was applied already"),
    }
}

pub(crate) fn refused(
    intent: &Intent,
    sessions: &[Session],
    edit: &Edit,
    now: &str,
) -> IntentError {
    intent::edit(intent, sessions, edit, utc(now)).unwrap_err()
}

pub(crate) fn session(intent: &Intent, recurrence_id: &str, state: SessionState) -> Session {
    let recurrence_id = at(recurrence_id);
    let (starts_at, _) = intent.set.zone().resolve(recurrence_id);
    Session {
        id: SessionId::of_occurrence(intent.id, recurrence_id),
        intent: intent.id,
        recurrence_id,
        therapist: intent.therapist,
        client: intent.client,
        service: intent.service,
        starts_local: recurrence_id,
        starts_at,
        ends_at: intent.set.end_of(starts_at),
        zone: intent.set.zone(),
        tzdb: "test".to_owned(),
        state,
        slot_version: 0,
        hold_generation: 1,
        next_due_at: None,
        version: 2,
    }
}

pub(crate) fn occurrences(set: &RecurrenceSet, from: &str, to: &str) -> Vec<Occurrence> {
    let window = Window::new(utc(from), utc(to)).unwrap();
    set.overlapping(window).unwrap()
}

/// The local starts of what takes place, as `03-02 18:00`.
pub(crate) fn starts(set: &RecurrenceSet, from: &str, to: &str) -> Vec<String> {
    let shown = occurrences(set, from, to).into_iter();
    let shown = shown.filter(|occurrence| !occurrence.cancelled);
    let local = shown.map(|occurrence| set.zone().local(occurrence.start));
    local
        .map(|at| at.naive().format("%m-%d %H:%M").to_string())
        .collect()
}

pub(crate) fn split(at_: &str, changes: Changes, overrides: Overrides) -> Edit {
    Edit::Split {
        at: at(at_),
        into: INTO,
        changes,
        overrides,
    }
}

pub(crate) fn later(start: &str) -> Changes {
    Changes {
        start: Some(at(start)),
        ..Changes::default()
    }
}

pub(crate) fn all(changes: Changes) -> Edit {
    Edit::Amend {
        into: INTO,
        changes,
        overrides: Overrides::Carry,
    }
}

pub(crate) fn pause(from: &str, until: Option<&str>) -> Pause {
    Pause {
        from: date(from),
        until: until.map(date),
        slot: PausedSlot::Freed,
    }
}

// Traps of other products.

#[test]
fn moving_one_occurrence_adds_no_new_ones() {
    let moved = told(
        mondays(),
        &Command::Reschedule {
            recurrence_id: at("2026-03-09T18:00:00"),
            to: at("2026-03-11T10:00:00"),
        },
    );
    let month = ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
    let expected = [
        "03-02 18:00",
        "03-11 10:00",
        "03-16 18:00",
        "03-23 18:00",
        "03-30 18:00",
    ];
    assert_eq!(starts(&moved.set, month.0, month.1), expected);
    // Nor does a change of all the others.
    let edit = all(later("2026-03-02T19:00:00"));
    let after = edited(&moved, &[], &edit, NOW).opened.remove(0);
    let expected = [
        "03-02 19:00",
        "03-11 10:00",
        "03-16 19:00",
        "03-23 19:00",
        "03-30 19:00",
    ];
    assert_eq!(starts(&after.set, month.0, month.1), expected);
}

#[test]
fn a_change_of_start_time_revives_no_cancelled_date() {
    let skipped = told(
        mondays(),
        &Command::Skip {
            recurrence_id: at("2026-03-09T18:00:00"),
        },
    );
    let cancelled = told(
        skipped,
        &Command::Cancel {
            recurrence_id: at("2026-03-16T18:00:00"),
        },
    );
    let called_off = SessionState::Cancelled {
        by: Party::Client,
        late: false,
        with_intent: false,
    };
    let first = session(&cancelled, "2026-03-02T18:00:00", called_off);
    for overrides in [Overrides::Carry, Overrides::Detach, Overrides::Drop] {
        let edit = split(
            "2026-03-02T18:00:00",
            later("2026-03-03T09:00:00"),
            overrides,
        );
        let done = edited(&cancelled, std::slice::from_ref(&first), &edit, NOW);
        let new = &done.opened[0].set;
        let month = starts(new, "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
        // The first is a session, which is called off and comes along as that.
        assert_eq!(month, ["03-03 09:00", "03-24 09:00", "03-31 09:00"]);
        let [change] = &done.sessions[..] else {
            panic!("{:?}", done.sessions)
        };
        let Fate::Rebind(binding) = change.fate else {
            panic!("{change:?}")
        };
        assert_eq!(binding.recurrence_id, at("2026-03-03T09:00:00"));
        assert_eq!(change.session, first.id);
        let shown = occurrences(new, "2026-03-16T00:00:00Z", "2026-03-18T00:00:00Z");
        assert!(shown[0].cancelled, "what was called off is still shown so");
    }
}

#[test]
fn an_excluded_date_given_in_another_zone_stays_excluded_as_text() {
    let text = "DTSTART;TZID=America/Sao_Paulo:20181102T003000\r\nRRULE:FREQ=DAILY;COUNT=5\r\n\
        EXDATE;TZID=Europe/London:20181104T030000\r\n";
    let set = RecurrenceSet::from_text(text, 50).unwrap();
    // 00:30 does not exist on 4 November in São Paulo: it is 01:30 there, 03:30 in London.
    assert!(
        !set.deviations()
            .exclusions
            .contains(&at("2018-11-04T00:30:00"))
    );
    let text = text.replace("T030000", "T033000");
    let set = RecurrenceSet::from_text(&text, 50).unwrap();
    assert_eq!(set.lookup(at("2018-11-04T00:30:00")), Lookup::Excluded);
    let again = RecurrenceSet::from_text(&set.to_text(), 50).unwrap();
    assert_eq!(again.lookup(at("2018-11-04T00:30:00")), Lookup::Excluded);
    assert_eq!(again, set);
}

// Splits.

#[test]
fn a_split_leaves_the_rest_of_count_and_keeps_the_lineage() {
    let rules = ["FREQ=WEEKLY;COUNT=10"];
    let ten = booked("2026-03-02T18:00:00", "Europe/London", &rules, NOW);
    let done = edited(
        &ten,
        &[],
        &split("2026-03-23T18:00:00", Changes::default(), Overrides::Carry),
        NOW,
    );
    let new = &done.opened[0];
    assert_eq!(new.set.rule().unwrap().end(), End::Count(7));
    assert_eq!((new.id, new.series, new.continues), (INTO, ID, Some(ID)));
    let old = intent::evolve(ten, &done.event);
    assert_eq!(old.state, IntentState::Continued { by: INTO });
    assert_eq!(occurrences(&old.set, NOW, "2027-01-01T00:00:00Z").len(), 3);
    assert_eq!(occurrences(&new.set, NOW, "2027-01-01T00:00:00Z").len(), 7);
    // A segment of a segment is of the same series.
    let new = new.clone().intent();
    let edit = Edit::Split {
        at: at("2026-04-06T18:00:00"),
        into: IntentId(Uuid::from_u128(3)),
        changes: Changes::default(),
        overrides: Overrides::Carry,
    };
    let third = edited(&new, &[], &edit, NOW).opened.remove(0);
    assert_eq!((third.series, third.continues), (ID, Some(INTO)));
    assert_eq!(third.set.rule().unwrap().end(), End::Count(5));
}

#[test]
fn until_moves_with_the_times_so_that_the_last_date_is_not_lost() {
    for until in ["20260330T180000", "20260330T170000Z", "20260330"] {
        let rule = format!("FREQ=WEEKLY;UNTIL={until}");
        let five = booked("2026-03-02T18:00:00", "Europe/London", &[&rule], NOW);
        let done = edited(&five, &[], &all(later("2026-03-04T19:30:00")), NOW);
        let new = starts(&done.opened[0].set, NOW, "2027-01-01T00:00:00Z");
        assert_eq!(new.len(), 5, "{until}");
        assert_eq!(new.last().unwrap(), "04-01 19:30");
    }
}

#[test]
fn a_split_on_a_day_that_stands_for_another_goes_on_with_the_other() {
    let rules = ["RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD"];
    let months = booked("2026-01-31T18:00:00", "UTC", &rules, "2026-01-01T00:00:00Z");
    let edit = split("2026-02-28T18:00:00", Changes::default(), Overrides::Carry);
    let done = edited(&months, &[], &edit, NOW.replace("03-01", "02-01").as_str());
    let new = starts(
        &done.opened[0].set,
        "2026-01-01T00:00:00Z",
        "2026-06-01T00:00:00Z",
    );
    assert_eq!(
        new,
        ["02-28 18:00", "03-31 18:00", "04-30 18:00", "05-31 18:00"]
    );
    // Every second month, with the day skipped forward into a month that has no turn of its own.
    let rules = ["RSCALE=GREGORIAN;FREQ=MONTHLY;INTERVAL=2;SKIP=FORWARD"];
    let months = booked("2025-12-31T18:00:00", "UTC", &rules, "2025-12-01T00:00:00Z");
    let edit = split("2026-03-01T18:00:00", Changes::default(), Overrides::Carry);
    let error = refused(&months, &[], &edit, "2026-01-01T00:00:00Z");
    assert_eq!(
        error,
        IntentError::Unsplittable {
            at: at("2026-03-01T18:00:00")
        }
    );
}

#[test]
fn dates_changed_by_hand_are_carried_detached_or_dropped() {
    let moved = told(
        mondays(),
        &Command::Reschedule {
            recurrence_id: at("2026-03-16T18:00:00"),
            to: at("2026-03-18T08:00:00"),
        },
    );
    let moved = told(
        moved,
        &Command::Amend {
            recurrence_id: at("2026-03-16T18:00:00"),
            minutes: 80,
        },
    );
    let edit = |overrides| {
        edited(
            &moved,
            &[],
            &split(
                "2026-03-09T18:00:00",
                later("2026-03-10T18:00:00"),
                overrides,
            ),
            NOW,
        )
    };
    let march = |set: &RecurrenceSet| starts(set, NOW, "2026-03-25T00:00:00Z");
    let carried = edit(Overrides::Carry);
    assert_eq!(
        march(&carried.opened[0].set),
        ["03-10 18:00", "03-18 08:00", "03-24 18:00"]
    );
    let dropped = edit(Overrides::Drop);
    assert_eq!(
        march(&dropped.opened[0].set),
        ["03-10 18:00", "03-17 18:00", "03-24 18:00"]
    );
    let detached = edit(Overrides::Detach);
    assert_eq!(
        march(&detached.opened[0].set),
        ["03-10 18:00", "03-24 18:00"]
    );
    let alone = &detached.opened[1];
    assert_eq!(march(&alone.set), ["03-18 08:00"]);
    assert_eq!((alone.set.minutes(), alone.series), (80, ID));
    let Event::Split { detached: ids, .. } = detached.event else {
        panic!()
    };
    assert_eq!(ids, [alone.id]);
}

#[test]
fn what_is_finished_after_the_pivot_stays_and_is_not_repeated() {
    // The session of the 16th was moved to the 4th, and is over; that of the 9th is to come.
    let intent = mondays();
    let mut over = session(&intent, "2026-03-16T18:00:00", SessionState::Completed);
    over.starts_at = utc("2026-03-04T18:00:00Z");
    over.ends_at = utc("2026-03-04T18:50:00Z");
    let coming = session(&intent, "2026-03-09T18:00:00", SessionState::Scheduled);
    let sessions = [over, coming.clone()];
    let done = edited(
        &intent,
        &sessions,
        &all(later("2026-03-09T20:00:00")),
        "2026-03-05T00:00:00Z",
    );
    let new = starts(&done.opened[0].set, NOW, "2026-03-31T00:00:00Z");
    assert_eq!(new, ["03-09 20:00", "03-23 20:00", "03-30 20:00"]);
    let [change] = &done.sessions[..] else {
        panic!("{:?}", done.sessions)
    };
    let Fate::Rebind(binding) = change.fate else {
        panic!("{change:?}")
    };
    assert_eq!(
        (change.session, binding.starts_at),
        (coming.id, utc("2026-03-09T20:00:00Z"))
    );
}

#[test]
fn another_zone_keeps_wall_times_and_what_was_agreed_by_hand_keeps_its_instant() {
    let moved = told(
        mondays(),
        &Command::Reschedule {
            recurrence_id: at("2026-03-09T18:00:00"),
            to: at("2026-03-09T20:00:00"),
        },
    );
    let changes = Changes {
        zone: Some("America/New_York".parse().unwrap()),
        ..Changes::default()
    };
    let new = edited(&moved, &[], &all(changes), NOW).opened.remove(0).set;
    assert_eq!(
        starts(&new, NOW, "2026-03-17T00:00:00Z"),
        ["03-02 18:00", "03-09 16:00", "03-16 18:00"]
    );
}

const RULES: [&[&str]; 12] = [
    &["FREQ=DAILY;COUNT=40"],
    &["FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH,SU"],
    &["FREQ=WEEKLY;INTERVAL=3;WKST=SU;BYDAY=SU,MO;COUNT=25"],
    &["FREQ=MONTHLY"],
    &["FREQ=MONTHLY;BYDAY=2TU,-1FR;COUNT=30"],
    &["FREQ=MONTHLY;BYDAY=MO,TU,WE;BYSETPOS=1,-1"],
    &["RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD;COUNT=20"],
    &["RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=BACKWARD"],
    &["FREQ=YEARLY;BYWEEKNO=1,20;BYDAY=MO,SU"],
    &["FREQ=HOURLY;INTERVAL=7;COUNT=60"],
    &["FREQ=DAILY;BYHOUR=1,2,9;BYMINUTE=30;UNTIL=20260420T120000Z"],
    &[
        "FREQ=WEEKLY;BYDAY=MO",
        "FREQ=MONTHLY;BYMONTHDAY=1,15;COUNT=12",
    ],
];

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_split_without_a_change_is_no_change(
        rules in select(&RULES[..]), day in 0i64..31, pick in 0usize..25,
        zone in select(vec!["Europe/London", "America/New_York", "UTC"]),
    ) {
        let start = at("2026-01-31T01:30:00").plus_seconds(86_400 * (day - 15)).unwrap();
        let intent = booked(&start.to_string(), zone, rules, "2025-12-01T00:00:00Z");
        let life = ("2025-12-01T00:00:00Z", "2029-12-01T00:00:00Z");
        let before = occurrences(&intent.set, life.0, life.1);
        prop_assume!(!before.is_empty());
        let cut = before[pick % before.len()].recurrence_id;
        let edit = split(&cut.to_string(), Changes::default(), Overrides::Carry);
        let done = match intent::edit(&intent, &[], &edit, utc(life.0)) {
            Ok(Idempotent::Applied(done)) => done,
            // Two rules rarely have one start; nothing else is refused.
            Err(IntentError::Unsplittable { .. } | IntentError::OffRule { .. }) if rules.len() > 1 => return Ok(()),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        let old = intent::evolve(intent, &done.event);
        let mut after = occurrences(&old.set, life.0, life.1);
        prop_assert!(after.iter().all(|left| left.recurrence_id < cut));
        after.extend(occurrences(&done.opened[0].set, life.0, life.1));
        after.sort_by_key(|occurrence| (occurrence.start, occurrence.recurrence_id));
        prop_assert_eq!(after, before);
    }
}
