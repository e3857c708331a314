//! Edits of a series by name: scopes, what goes along, what is refused, what other products get
//! wrong.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use scheduler_core::intent::{
    self, Cause, Changes, Command, Edit, Edited, Event, Fate, Intent, IntentError, IntentState,
    NewIntent, Overrides, Record,
};
use scheduler_core::rule::End;
use scheduler_core::session::{self, Party, Session, SessionError, SessionState};
use scheduler_core::set::{Lookup, SetError};
use scheduler_core::{
    ClientId, Idempotent, IntentId, LocalDateTime, Occurrence, Pause, PausedSlot, RecurrenceSet,
    ServiceId, SessionId, TherapistId, Window,
};
use uuid::Uuid;

use crate::expansion_laws::cases;

const ID: IntentId = IntentId(Uuid::from_u128(1));
const INTO: IntentId = IntentId(Uuid::from_u128(2));

fn at(text: &str) -> LocalDateTime {
    text.parse().unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn booked(start: &str, zone: &str, rules: &[&str], now: &str) -> Intent {
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
fn mondays() -> Intent {
    let rules = ["FREQ=WEEKLY"];
    booked(
        "2026-03-02T18:00:00",
        "Europe/London",
        &rules,
        "2026-03-01T00:00:00Z",
    )
}

const NOW: &str = "2026-03-01T00:00:00Z";

fn told(intent: Intent, command: &Command) -> Intent {
    match intent::decide(&intent, command, utc(NOW)).unwrap() {
        Idempotent::Applied(event) => intent::evolve(intent, &event),
        Idempotent::AlreadyApplied => panic!("{command:?} was applied already"),
    }
}

fn edited(intent: &Intent, sessions: &[Session], edit: &Edit, now: &str) -> Edited {
    match intent::edit(intent, sessions, edit, utc(now)).unwrap() {
        Idempotent::Applied(edited) => edited,
        Idempotent::AlreadyApplied => panic!("{edit:?} was applied already"),
    }
}

fn refused(intent: &Intent, sessions: &[Session], edit: &Edit, now: &str) -> IntentError {
    intent::edit(intent, sessions, edit, utc(now)).unwrap_err()
}

fn session(intent: &Intent, recurrence_id: &str, state: SessionState) -> Session {
    let recurrence_id = at(recurrence_id);
    let (starts_at, _) = intent.set.zone().resolve(recurrence_id);
    Session {
        id: SessionId::of_occurrence(intent.id, recurrence_id),
        intent: intent.id,
        recurrence_id,
        therapist: intent.therapist,
        client: intent.client,
        service: intent.service,
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

fn occurrences(set: &RecurrenceSet, from: &str, to: &str) -> Vec<Occurrence> {
    let window = Window::new(utc(from), utc(to)).unwrap();
    set.overlapping(window).unwrap()
}

/// The local starts of what takes place, as `03-02 18:00`.
fn starts(set: &RecurrenceSet, from: &str, to: &str) -> Vec<String> {
    let shown = occurrences(set, from, to).into_iter();
    let shown = shown.filter(|occurrence| !occurrence.cancelled);
    let local = shown.map(|occurrence| set.zone().local(occurrence.start));
    local
        .map(|at| at.naive().format("%m-%d %H:%M").to_string())
        .collect()
}

fn split(at_: &str, changes: Changes, overrides: Overrides) -> Edit {
    Edit::Split {
        at: at(at_),
        into: INTO,
        changes,
        overrides,
    }
}

fn later(start: &str) -> Changes {
    Changes {
        start: Some(at(start)),
        ..Changes::default()
    }
}

fn all(changes: Changes) -> Edit {
    Edit::Amend {
        into: INTO,
        changes,
        overrides: Overrides::Carry,
    }
}

fn pause(from: &str, until: Option<&str>) -> Pause {
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
        prop_assume!(pick < before.len());
        let cut = before[pick].recurrence_id;
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
    let error = intent::decide(&intent, &command, utc(NOW)).unwrap_err();
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
    let collides = |command: &Command| match intent::decide(&moved, command, utc(NOW)) {
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
    let error = intent::decide(&moved, &amend(minutes), utc(NOW)).unwrap_err();
    assert_eq!(error, IntentError::Set(SetError::Minutes { minutes }));
    assert!(
        intent::decide(&moved, &amend(24 * 60), utc(NOW)).is_ok(),
        "touching is not overlapping"
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
        actor: Uuid::from_u128(9),
        reason: "asked".to_owned(),
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

#[test]
fn records_are_stored_in_one_form() {
    let split = Event::Split {
        at: at("2026-03-09T18:00:00"),
        into: INTO,
        detached: Vec::new(),
    };
    let paused = Event::Paused {
        pause: pause("2026-03-09", None),
    };
    let stored = |event| serde_json::to_string(&record(ID, NOW, event)).unwrap();
    let head = r#"{"intent":"00000000-0000-0000-0000-000000000001","at":"2026-03-01T00:00:00Z","cause":{"actor":"00000000-0000-0000-0000-000000000009","reason":"asked"},"event":"#;
    let rest = r#"{"event":"split","at":"2026-03-09T18:00:00","into":"00000000-0000-0000-0000-000000000002"}}"#;
    assert_eq!(stored(split), format!("{head}{rest}"));
    let rest = r#"{"event":"paused","pause":{"from":"2026-03-09","slot":"freed"}}}"#;
    assert_eq!(stored(paused), format!("{head}{rest}"));
}
