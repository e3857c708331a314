//! The two machines: every state against every command, and the intent's own refusals.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::intent::{self, Intent, IntentError, NewIntent};
use scheduler_core::session::{
    CaseReason, Command, Event, Party, Session, SessionError, SessionState, decide, evolve,
    wall_time_of,
};
use scheduler_core::{
    ClientId, Idempotent, IntentId, RecurrenceSet, ServiceId, SessionId, TherapistId,
};
use uuid::Uuid;

const STATES: [SessionState; 7] = [
    SessionState::Scheduled,
    SessionState::Unfunded,
    SessionState::Case {
        reason: CaseReason::Overlap,
    },
    SessionState::Completed,
    SessionState::NoShow,
    SessionState::Cancelled {
        by: Party::Client,
        late: false,
        with_intent: false,
    },
    SessionState::Missed,
];

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn session(state: SessionState) -> Session {
    let recurrence_id = "2026-03-02T18:00:00".parse().unwrap();
    let intent = IntentId(Uuid::from_u128(1));
    Session {
        id: SessionId::of_occurrence(intent, recurrence_id),
        intent,
        recurrence_id,
        therapist: TherapistId(Uuid::from_u128(2)),
        client: ClientId(Uuid::from_u128(3)),
        service: ServiceId(Uuid::from_u128(4)),
        starts_local: recurrence_id,
        starts_at: at("2026-03-02T18:00:00Z"),
        ends_at: at("2026-03-02T18:50:00Z"),
        zone: "UTC".parse().unwrap(),
        tzdb: "test".to_owned(),
        state,
        slot_version: 0,
        hold_generation: 1,
        next_due_at: None,
        version: 1,
    }
}

fn commands() -> Vec<Command> {
    vec![
        Command::Fund,
        Command::OpenCase {
            reason: CaseReason::Overlap,
        },
        Command::Reschedule {
            starts_local: "2026-03-03T18:00:00".parse().unwrap(),
            length: TimeDelta::minutes(50),
        },
        Command::Cancel {
            by: Party::Clinic,
            late: false,
        },
        Command::Complete,
        Command::NoShow,
        Command::Restore,
    ]
}

/// `+` applies, `=` is already so, `-` is refused; after the session has started and before, in the
/// order of [`commands`].
#[test]
fn every_state_answers_every_command() {
    let started = [
        ("scheduled", "=--+++="),
        ("unfunded", "++-+++="),
        ("case", "-=-+++-"),
        ("completed", "----=--"),
        ("no_show", "-----=-"),
        ("cancelled", "---=---"),
        ("missed", "----++-"),
    ];
    answers(at("2026-03-02T19:00:00Z"), started);
    let to_come = [
        ("scheduled", "=-++--="),
        ("unfunded", "++++--="),
        ("case", "-=++--+"),
        ("completed", "----=--"),
        ("no_show", "-----=-"),
        ("cancelled", "---=--+"),
        // It has started by the time at which it comes into being.
        ("missed", "----++-"),
    ];
    answers(at("2026-03-02T17:00:00Z"), to_come);
}

fn answers(now: DateTime<Utc>, table: [(&str, &str); 7]) {
    for (state, (name, row)) in STATES.into_iter().zip(table) {
        assert_eq!(state.name(), name);
        for (command, expected) in commands().iter().zip(row.chars()) {
            let answer = match decide(&session(state), command, now) {
                Ok(Idempotent::Applied(event)) => {
                    let after = evolve(session(state), &event);
                    assert_eq!(after.version, 2);
                    // What was applied is done: asking again changes nothing.
                    let again = decide(&after, command, now);
                    assert_eq!(again, Ok(Idempotent::AlreadyApplied), "{command:?}");
                    '+'
                }
                Ok(Idempotent::AlreadyApplied) => '=',
                Err(_) => '-',
            };
            assert_eq!(answer, expected, "{name}: {command:?}");
        }
    }
}

#[test]
fn before_it_starts_it_can_be_moved_and_not_settled() {
    let now = at("2026-03-02T17:59:59Z");
    let scheduled = session(SessionState::Scheduled);
    for command in [Command::Complete, Command::NoShow] {
        let refused = decide(&scheduled, &command, now);
        assert!(matches!(refused, Err(SessionError::NotStarted { .. })));
    }
    let [_, _, reschedule, ..] = &commands()[..] else {
        unreachable!()
    };
    let Ok(Idempotent::Applied(event)) = decide(&scheduled, reschedule, now) else {
        panic!("it is not rescheduled");
    };
    let moved = evolve(scheduled.clone(), &event);
    assert_eq!((moved.slot_version, moved.hold_generation), (1, 1));
    assert_eq!(moved.id, scheduled.id);
    let back = Command::Reschedule {
        starts_local: "2026-03-02T16:59:59".parse().unwrap(),
        length: TimeDelta::hours(1),
    };
    assert!(matches!(
        decide(&scheduled, &back, now),
        Err(SessionError::IntoThePast { .. })
    ));
}

#[test]
fn once_it_has_started_a_client_cannot_call_it_off_and_the_clinic_can() {
    let now = at("2026-03-02T18:00:00Z");
    let scheduled = session(SessionState::Scheduled);
    let cancel = |by| decide(&scheduled, &Command::Cancel { by, late: true }, now);
    assert!(matches!(
        cancel(Party::Client),
        Err(SessionError::AlreadyStarted { .. })
    ));
    let event = Event::Cancelled {
        by: Party::Clinic,
        late: true,
    };
    assert_eq!(cancel(Party::Clinic), Ok(Idempotent::Applied(event)));
}

/// A session as other zone data had computed it: `hours` away from what its wall time means now.
fn by_other_law(state: SessionState, hours: i64) -> Session {
    let mut session = session(state);
    session.starts_at += TimeDelta::hours(hours);
    session.ends_at += TimeDelta::hours(hours);
    session
}

#[test]
fn a_session_to_come_is_resolved_again_once_and_keeps_wall_time_and_hold() {
    let now = at("2026-03-01T08:00:00Z");
    for state in STATES {
        for taken in [false, true] {
            let stale = by_other_law(state, -1);
            let command = Command::Resolve { taken };
            let Ok(Idempotent::Applied(event)) = decide(&stale, &command, now) else {
                assert!(state.is_final(), "{state:?}");
                continue;
            };
            let after = evolve(stale.clone(), &event);
            assert_eq!(after.starts_at, at("2026-03-02T18:00:00Z"));
            assert_eq!(after.ends_at, at("2026-03-02T18:50:00Z"));
            assert_eq!(after.starts_local, stale.starts_local);
            assert_eq!(after.hold_generation, stale.hold_generation);
            let expected = match taken && state.is_live() {
                true => SessionState::Case {
                    reason: CaseReason::Overlap,
                },
                false => state,
            };
            assert_eq!(after.state, expected);
            // By the same data it is what it is.
            assert_eq!(after.shifted(now), None);
            assert_eq!(
                decide(&after, &command, now),
                Ok(Idempotent::AlreadyApplied)
            );
        }
    }
}

#[test]
fn a_session_that_has_begun_is_not_resolved_again() {
    let stale = by_other_law(SessionState::Scheduled, -1);
    let begun = decide(&stale, &Command::Resolve { taken: false }, stale.starts_at);
    assert!(matches!(begun, Err(SessionError::AlreadyStarted { .. })));
    assert_eq!(stale.shifted(stale.starts_at), None);
    // One that begins in the past by the new law had not begun by the old one.
    let later = by_other_law(SessionState::Scheduled, 1);
    let half_past = at("2026-03-02T18:30:00Z");
    let moved = decide(&later, &Command::Resolve { taken: false }, half_past);
    assert!(matches!(moved, Ok(Idempotent::Applied(_))));
}

/// A wall time that was not stored is found again, by the data that the session was made with.
#[test]
fn a_wall_time_is_found_by_the_release_that_computed_the_instant() {
    let vancouver = "America/Vancouver".parse().unwrap();
    let london = "Europe/London".parse().unwrap();
    for (zone, recurrence_id, starts_at, expected) in [
        // 2025b had Vancouver back on standard time in November 2026.
        (
            vancouver,
            "2026-11-09T10:00:00",
            "2026-11-09T18:00:00Z",
            "2026-11-09T10:00:00",
        ),
        // Moved by hand, or as an occurrence.
        (
            vancouver,
            "2026-11-09T10:00:00",
            "2026-11-09T21:30:00Z",
            "2026-11-09T13:30:00",
        ),
        // Skipped, shifted by the gap.
        (
            london,
            "2026-03-29T01:30:00",
            "2026-03-29T01:30:00Z",
            "2026-03-29T01:30:00",
        ),
        (
            london,
            "2026-03-29T01:30:00",
            "2026-03-29T02:30:00Z",
            "2026-03-29T03:30:00",
        ),
    ] {
        let recurrence_id = recurrence_id.parse().unwrap();
        let found = wall_time_of(zone, recurrence_id, at(starts_at), "2025b");
        assert_eq!(found.to_string(), expected);
    }
}

fn new(start: &str, rule: Option<&str>) -> NewIntent {
    let mut set =
        RecurrenceSet::new(start.parse().unwrap(), "Europe/London".parse().unwrap(), 50).unwrap();
    if let Some(rule) = rule {
        set = set.with_rule(rule.parse().unwrap());
    }
    NewIntent {
        id: IntentId(Uuid::from_u128(1)),
        therapist: TherapistId(Uuid::from_u128(2)),
        client: ClientId(Uuid::from_u128(3)),
        service: ServiceId(Uuid::from_u128(4)),
        set,
    }
}

fn weekly() -> Intent {
    let new = new("2026-03-02T18:00:00", Some("FREQ=WEEKLY"));
    intent::created(new, at("2026-03-01T00:00:00Z"))
}

#[test]
fn a_start_off_its_rule_is_refused_with_the_nearest_that_are_on_it() {
    let nearest = |start: &str, rule: &str| match intent::create(
        &new(start, Some(rule)),
        at("2026-01-01T00:00:00Z"),
    ) {
        Err(IntentError::OffRule { nearest, .. }) => {
            nearest.iter().map(ToString::to_string).collect::<Vec<_>>()
        }
        other => panic!("{rule}: {other:?}"),
    };
    assert_eq!(
        nearest("2026-03-03T18:00:00", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO"),
        ["2026-03-02T18:00:00", "2026-03-09T18:00:00"]
    );
    assert_eq!(
        nearest("2026-03-03T18:00:00", "FREQ=MONTHLY;BYDAY=-1FR"),
        ["2026-02-27T18:00:00", "2026-03-27T18:00:00"]
    );
    assert_eq!(
        nearest("2026-03-02T08:00:00", "FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0"),
        ["2026-03-01T10:00:00", "2026-03-02T09:00:00"]
    );
}

#[test]
fn an_intent_that_means_nothing_or_the_past_is_refused() {
    let create = |start: &str, rule: Option<&str>| {
        intent::create(&new(start, rule), at("2026-03-02T12:00:00Z"))
    };
    let never = create(
        "2026-03-02T18:00:00",
        Some("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
    );
    assert!(matches!(never, Err(IntentError::Empty { .. })), "{never:?}");
    let past = create("2026-03-02T11:00:00", None);
    assert!(matches!(past, Err(IntentError::Past { .. })), "{past:?}");
    let ineffective = create("2026-03-02T18:00:00", Some("FREQ=WEEKLY;BYDAY=1MO"));
    assert!(
        matches!(ineffective, Err(IntentError::Ineffective(_))),
        "{ineffective:?}"
    );
    assert_eq!(create("2026-03-02T18:00:00", None), Ok(()));
}

#[test]
fn an_occurrence_that_is_gone_says_what_it_was() {
    let now = at("2026-03-01T00:00:00Z");
    let recurrence_id = "2026-03-09T18:00:00".parse().unwrap();
    let skip = intent::Command::Skip { recurrence_id };
    let cancel = intent::Command::Cancel { recurrence_id };
    let to = "2026-03-10T18:00:00".parse().unwrap();
    let reschedule = intent::Command::Reschedule { recurrence_id, to };
    let apply = |intent: Intent, command: &intent::Command| match intent::decide(
        &intent,
        command,
        &BTreeSet::new(),
        now,
    )
    .unwrap()
    {
        Idempotent::Applied(event) => intent::evolve(intent, &event),
        Idempotent::AlreadyApplied => panic!("{command:?} was applied already"),
    };
    let skipped = apply(weekly(), &skip);
    assert_eq!(
        intent::decide(&skipped, &skip, &BTreeSet::new(), now),
        Ok(Idempotent::AlreadyApplied)
    );
    for command in [&cancel, &reschedule] {
        let refused = intent::decide(&skipped, command, &BTreeSet::new(), now);
        assert!(
            matches!(refused, Err(IntentError::Gone { was: "skipped", .. })),
            "{refused:?}"
        );
    }
    let cancelled = apply(weekly(), &cancel);
    assert_eq!(
        intent::decide(&cancelled, &cancel, &BTreeSet::new(), now),
        Ok(Idempotent::AlreadyApplied)
    );
    let refused = intent::decide(&cancelled, &reschedule, &BTreeSet::new(), now);
    assert!(
        matches!(
            refused,
            Err(IntentError::Gone {
                was: "cancelled",
                ..
            })
        ),
        "{refused:?}"
    );
    // Moved away and back is as it was, but for the version.
    let back = intent::Command::Reschedule {
        recurrence_id,
        to: recurrence_id,
    };
    let returned = apply(apply(weekly(), &reschedule), &back);
    assert_eq!(returned.set, weekly().set);
    assert_eq!(returned.version, 3);
}
