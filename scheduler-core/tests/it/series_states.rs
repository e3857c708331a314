//! Pauses, refusals and the journal of a series, by name.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use scheduler_core::intent::{
    self, Cause, Changes, Command, Edit, Event, Fate, IntentError, NewIntent, Overrides, Record,
};
use scheduler_core::session::{self, Party, Session, SessionError, SessionState};
use scheduler_core::set::{Lookup, SetError};
use scheduler_core::{Idempotent, IntentId, Pause, PausedSlot};

use crate::series::{
    ID, INTO, NOW, all, at, booked, date, edited, later, mondays, pause, refused, session, split,
    starts, told, utc,
};

// Pauses.

#[test]
fn a_pause_keeps_the_phase_and_an_override_is_stronger() {
    let rules = ["FREQ=WEEKLY;INTERVAL=2"];
    let fortnights = booked("2026-03-02T18:00:00", "Europe/London", &rules, NOW);
    let edit = Edit::Pause(Pause {
        slot: PausedSlot::Kept,
        ..pause("2026-03-10", Some("2026-04-20"))
    });
    let done = edited(&fortnights, &[], &edit, NOW);
    let paused = intent::evolve(fortnights.clone(), &done.event);
    let spring = (NOW, "2026-05-12T00:00:00Z");
    let rest = ["03-02 18:00", "04-27 18:00", "05-11 18:00"];
    assert_eq!(starts(&paused.set, spring.0, spring.1), rest);
    assert_eq!(paused.set.lookup(at("2026-03-16T18:00:00")), Lookup::Paused);
    assert_eq!(
        starts(&paused.set.occupying(), spring.0, spring.1).len(),
        6,
        "the slot is kept"
    );
    let named = told(
        paused,
        &Command::Add {
            recurrence_id: at("2026-03-16T18:00:00"),
        },
    );
    let with = ["03-02 18:00", "03-16 18:00", "04-27 18:00", "05-11 18:00"];
    assert_eq!(starts(&named.set, spring.0, spring.1), with);
    let resumed = edited(
        &named,
        &[],
        &Edit::Resume {
            from: date("2026-04-10"),
        },
        NOW,
    );
    let resumed = intent::evolve(named, &resumed.event);
    assert_eq!(starts(&resumed.set, spring.0, spring.1)[2], "04-13 18:00");
}

#[test]
fn a_session_that_a_pause_called_off_reopens_as_itself_with_a_new_hold() {
    let intent = mondays();
    let mine = session(&intent, "2026-03-02T18:00:00", SessionState::Scheduled);
    let mut moved = session(&intent, "2026-03-09T18:00:00", SessionState::Scheduled);
    moved.starts_at += TimeDelta::hours(1);
    moved.starts_local = moved.zone.local(moved.starts_at);
    moved.ends_at += TimeDelta::hours(1);
    let cancelled = session(
        &intent,
        "2026-03-16T18:00:00",
        SessionState::Cancelled {
            by: Party::Client,
            late: true,
            with_intent: false,
        },
    );
    let sessions = [mine.clone(), moved, cancelled];
    let done = edited(
        &intent,
        &sessions,
        &Edit::Pause(pause("2026-03-01", None)),
        NOW,
    );
    let [change] = &done.sessions[..] else {
        panic!("{:?}", done.sessions)
    };
    assert_eq!((change.session, change.fate), (mine.id, Fate::CallOff));
    let paused = intent::evolve(intent, &done.event);
    let command = change.fate.command(Party::Client, true);
    let off = applied(&mine, &command);
    assert!(matches!(
        off.state,
        SessionState::Cancelled {
            late: true,
            with_intent: true,
            ..
        }
    ));
    let sessions = [off.clone(), sessions[2].clone()];
    let done = edited(
        &paused,
        &sessions,
        &Edit::Resume {
            from: date("2026-03-01"),
        },
        NOW,
    );
    let [change] = &done.sessions[..] else {
        panic!("{:?}", done.sessions)
    };
    let back = applied(&off, &change.fate.command(Party::Client, false));
    assert_eq!((back.id, back.state), (mine.id, SessionState::Unfunded));
    assert_eq!((back.hold_generation, back.slot_version), (2, 1));
    let set = intent::evolve(paused, &done.event).set;
    assert_eq!(set, mondays().set);
}

fn applied(session: &Session, command: &session::Command) -> Session {
    match session::decide(session, command, utc(NOW)).unwrap() {
        Idempotent::Applied(event) => session::evolve(session.clone(), &event),
        Idempotent::AlreadyApplied => panic!("{command:?} was applied already"),
    }
}

// Bad input.

#[test]
fn what_cannot_be_is_refused_with_its_values() {
    let intent = mondays();
    let none = Changes::default;
    let at_ = |cut: &str| split(cut, none(), Overrides::Carry);
    assert_eq!(
        refused(&intent, &[], &at_("2026-02-23T18:00:00"), NOW),
        IntentError::SplitOutside {
            at: at("2026-02-23T18:00:00"),
            first: at("2026-03-02T18:00:00"),
            last: None,
        }
    );
    let rules = ["FREQ=WEEKLY;COUNT=2"];
    let two = booked("2026-03-02T18:00:00", "Europe/London", &rules, NOW);
    assert_eq!(
        refused(&two, &[], &at_("2026-03-16T18:00:00"), NOW),
        IntentError::SplitOutside {
            at: at("2026-03-16T18:00:00"),
            first: at("2026-03-02T18:00:00"),
            last: Some(at("2026-03-09T18:00:00")),
        }
    );
    let recurrence_id = at("2026-03-10T18:00:00");
    let error = refused(&intent, &[], &at_("2026-03-10T18:00:00"), NOW);
    assert_eq!(error, IntentError::NotGenerated { recurrence_id });
    let to = at("2026-03-12T18:00:00");
    let command = Command::Reschedule { recurrence_id, to };
    let error = intent::decide(&intent, &command, &BTreeSet::new(), utc(NOW)).unwrap_err();
    assert_eq!(error, IntentError::NotGenerated { recurrence_id });
    let (from, until) = (date("2026-03-10"), date("2026-03-09"));
    let error = refused(
        &intent,
        &[],
        &Edit::Pause(pause("2026-03-10", Some("2026-03-09"))),
        NOW,
    );
    assert_eq!(
        error,
        IntentError::Set(SetError::EmptyPause { from, until })
    );
    let error = refused(&intent, &[], &Edit::Resume { from }, NOW);
    assert_eq!(error, IntentError::NotPaused { date: from });
    let paused = edited(&intent, &[], &Edit::Pause(pause("2026-03-08", None)), NOW);
    let paused = intent::evolve(intent.clone(), &paused.event);
    let error = refused(&paused, &[], &Edit::Pause(pause("2026-03-10", None)), NOW);
    let (first, second) = (date("2026-03-08"), from);
    assert_eq!(
        error,
        IntentError::Set(SetError::PausesOverlap { first, second })
    );
    let error = intent.expect_version(7).unwrap_err();
    assert_eq!(
        error,
        IntentError::StaleVersion {
            expected: 7,
            actual: 1
        }
    );
    assert_eq!(intent.expect_version(1), Ok(()));
    // The past is spared: what has begun without a session would vanish.
    let error = refused(
        &intent,
        &[],
        &Edit::End {
            from: date("2026-03-02"),
        },
        "2026-03-02T19:00:00Z",
    );
    assert!(matches!(error, IntentError::Past { .. }), "{error}");
}

#[test]
fn two_occurrences_of_an_intent_never_share_an_instant() {
    let moved = told(
        mondays(),
        &Command::Reschedule {
            recurrence_id: at("2026-03-09T18:00:00"),
            to: at("2026-03-17T18:00:00"),
        },
    );
    let collides =
        |command: &Command| match intent::decide(&moved, command, &BTreeSet::new(), utc(NOW)) {
            Err(IntentError::Collides { with, .. }) => with,
            other => panic!("{command:?}: {other:?}"),
        };
    let recurrence_id = at("2026-03-23T18:00:00");
    for to in [
        "2026-03-17T17:11:00",
        "2026-03-17T18:00:00",
        "2026-03-17T18:49:00",
    ] {
        let to = at(to);
        let with = collides(&Command::Reschedule { recurrence_id, to });
        assert_eq!(with, at("2026-03-09T18:00:00"));
    }
    let add = Command::Add {
        recurrence_id: at("2026-03-16T18:30:00"),
    };
    assert_eq!(collides(&add), at("2026-03-16T18:00:00"));
    let recurrence_id = at("2026-03-16T18:00:00");
    let minutes = 24 * 60 + 1;
    let amend = |minutes| Command::Amend {
        recurrence_id,
        minutes,
    };
    let error = intent::decide(&moved, &amend(minutes), &BTreeSet::new(), utc(NOW)).unwrap_err();
    assert_eq!(error, IntentError::Set(SetError::Minutes { minutes }));
    assert!(
        intent::decide(&moved, &amend(24 * 60), &BTreeSet::new(), utc(NOW)).is_ok(),
        "touching is not overlapping"
    );
    // What has a session is where the session is, even if the planner must look back for another.
    let recurrence_id = at("2026-03-23T18:00:00");
    let to = at("2026-03-16T18:20:00");
    let onto = Command::Reschedule { recurrence_id, to };
    assert_eq!(collides(&onto), at("2026-03-16T18:00:00"));
    let known = BTreeSet::from([at("2026-03-16T18:00:00")]);
    let decided = intent::decide(&moved, &onto, &known, utc(NOW)).unwrap();
    assert_eq!(
        decided,
        Idempotent::Applied(Event::Rescheduled { recurrence_id, to })
    );
    // All of them moved onto the one that was moved by hand.
    let error = refused(&moved, &[], &all(later("2026-03-03T18:10:00")), NOW);
    assert!(matches!(error, IntentError::Collides { .. }), "{error}");
}

#[test]
fn a_finished_session_cannot_be_edited() {
    let intent = mondays();
    let mut over = session(&intent, "2026-03-09T18:00:00", SessionState::Completed);
    over.starts_at = utc("2026-03-03T18:00:00Z");
    let edit = split("2026-03-09T18:00:00", Changes::default(), Overrides::Carry);
    let error = refused(
        &intent,
        std::slice::from_ref(&over),
        &edit,
        "2026-03-04T00:00:00Z",
    );
    assert!(
        matches!(
            error,
            IntentError::Finished {
                state: "completed",
                ..
            }
        ),
        "{error}"
    );
    let binding = over.binding();
    for command in [
        session::Command::Rebind(binding),
        session::Command::Reopen,
        session::Command::CallOff {
            by: Party::Clinic,
            late: false,
        },
    ] {
        let answer = session::decide(&over, &command, utc(NOW));
        assert!(
            matches!(answer, Err(SessionError::IllegalState { .. })),
            "{command:?}: {answer:?}"
        );
    }
    // Called off by a person, it does not come back.
    let by_hand = session(
        &intent,
        "2026-03-09T18:00:00",
        SessionState::Cancelled {
            by: Party::Client,
            late: false,
            with_intent: false,
        },
    );
    let answer = session::decide(&by_hand, &session::Command::Reopen, utc(NOW));
    assert!(
        matches!(answer, Err(SessionError::IllegalState { .. })),
        "{answer:?}"
    );
}

// The journal.

fn record(intent: IntentId, at: &str, event: Event) -> Record {
    let cause = Cause {
        actor: "admin/9".to_owned(),
        reason: Some("asked".to_owned()),
    };
    Record {
        intent,
        at: utc(at),
        cause,
        event,
    }
}

#[test]
fn the_last_change_is_undone_until_something_of_it_has_happened() {
    let intent = mondays();
    let opened = intent::opened(
        NewIntent {
            id: intent.id,
            therapist: intent.therapist,
            client: intent.client,
            service: intent.service,
            set: intent.set.clone(),
        },
        utc(NOW),
    );
    let mut records = vec![record(ID, NOW, Event::Created(Box::new(opened)))];
    let none = intent::undo(&intent, &records, &[], utc(NOW)).unwrap_err();
    assert_eq!(none, IntentError::NothingToUndo);
    let done = edited(
        &intent,
        &[],
        &split(
            "2026-03-09T18:00:00",
            later("2026-03-10T18:00:00"),
            Overrides::Carry,
        ),
        NOW,
    );
    records.push(record(ID, NOW, done.event.clone()));
    records.push(record(
        INTO,
        NOW,
        Event::Created(Box::new(done.opened[0].clone())),
    ));
    let old = intent::evolve(intent.clone(), &done.event);
    // A session that was made meanwhile comes back too, as itself.
    let new = done.opened[0].clone().intent();
    let made = session(&new, "2026-03-10T18:00:00", SessionState::Scheduled);
    let back = intent::undo(
        &old,
        &records,
        std::slice::from_ref(&made),
        utc("2026-03-05T00:00:00Z"),
    )
    .unwrap();
    assert_eq!(back.withdrawn, [INTO]);
    let Fate::Rebind(binding) = back.sessions[0].fate else {
        panic!()
    };
    assert_eq!(
        (binding.intent, binding.recurrence_id),
        (ID, at("2026-03-09T18:00:00"))
    );
    assert_eq!(binding.starts_at, utc("2026-03-09T18:00:00Z"));
    let restored = intent::evolve(old.clone(), &back.event);
    assert_eq!((&restored.set, restored.state), (&intent.set, intent.state));
    assert_eq!(restored.version, 3);
    let withdrawn = intent::evolve(new, &Event::Withdrawn);
    assert_eq!(
        starts(&withdrawn.set, NOW, "2030-01-01T00:00:00Z"),
        Vec::<String>::new()
    );
    // On the 9th at 19:00 the old time has passed, on the 10th the new one.
    let late = intent::undo(&old, &records, &[], utc("2026-03-09T19:00:00Z")).unwrap_err();
    assert!(matches!(late, IntentError::Happened { .. }), "{late}");
    // Changed since, there.
    let skipped = Event::Skipped {
        recurrence_id: at("2026-03-24T18:00:00"),
    };
    records.push(record(INTO, NOW, skipped));
    let error = intent::undo(&old, &records, &[], utc(NOW)).unwrap_err();
    assert!(matches!(error, IntentError::Overtaken { .. }), "{error}");
}

/// Moved by hand four hours early, a session is where the amended rule has it: neither its row nor
/// the rule then tells that it was moved.
#[test]
fn an_undo_gives_a_session_back_the_time_it_was_moved_to() {
    let intent = mondays();
    let mut moved = session(&intent, "2026-03-09T18:00:00", SessionState::Scheduled);
    moved.starts_at -= TimeDelta::hours(4);
    moved.starts_local = moved.zone.local(moved.starts_at);
    moved.ends_at -= TimeDelta::hours(4);
    let changes = later("2026-03-02T14:00:00");
    let done = edited(&intent, std::slice::from_ref(&moved), &all(changes), NOW);
    let after = applied(&moved, &done.sessions[0].fate.command(Party::Clinic, false));
    assert!(!after.is_moved());
    let opened = intent::opened(
        NewIntent {
            id: intent.id,
            therapist: intent.therapist,
            client: intent.client,
            service: intent.service,
            set: intent.set.clone(),
        },
        utc(NOW),
    );
    let next = Event::Created(Box::new(done.opened[0].clone()));
    let records = [
        record(ID, NOW, Event::Created(Box::new(opened))),
        record(ID, NOW, done.event.clone()),
        record(INTO, NOW, next),
    ];
    let old = intent::evolve(intent, &done.event);
    let undo =
        |session: &Session| intent::undo(&old, &records, std::slice::from_ref(session), utc(NOW));
    let back = undo(&after).unwrap();
    let back = applied(&after, &back.sessions[0].fate.command(Party::Clinic, false));
    assert_eq!(back.binding(), moved.binding());

    // Moved again since, it is not where the split left it: an undo would overrule that.
    let mut again = after.clone();
    again.starts_at += TimeDelta::hours(1);
    again.starts_local = again.zone.local(again.starts_at);
    again.ends_at += TimeDelta::hours(1);
    let error = undo(&again).unwrap_err();
    assert!(matches!(error, IntentError::Overtaken { .. }), "{error}");
}

#[test]
fn records_are_stored_in_one_form() {
    let split = Event::Split {
        at: at("2026-03-09T18:00:00"),
        into: INTO,
        detached: Vec::new(),
        sessions: Vec::new(),
    };
    let paused = Event::Paused {
        pause: pause("2026-03-09", None),
    };
    let stored = |event| serde_json::to_string(&record(ID, NOW, event)).unwrap();
    let head = r#"{"intent":"00000000-0000-0000-0000-000000000001","at":"2026-03-01T00:00:00Z","cause":{"actor":"admin/9","reason":"asked"},"event":"#;
    let rest = r#"{"event":"split","at":"2026-03-09T18:00:00","into":"00000000-0000-0000-0000-000000000002"}}"#;
    assert_eq!(stored(split), format!("{head}{rest}"));
    let rest = r#"{"event":"paused","pause":{"from":"2026-03-09","slot":"freed"}}}"#;
    assert_eq!(stored(paused), format!("{head}{rest}"));
}
