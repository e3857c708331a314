//! The machine's side of a history.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::intent::{self, Cause, Edited, Event, Intent, Record};
use scheduler_core::materialize::plan;
use scheduler_core::session::{self, Party, Session, SessionState};
use scheduler_core::{Idempotent, IntentId, LocalDateTime, SessionId, Window, zone};

use super::Step;
use super::booking::{Booking, Every};
use super::oracle::Oracle;

const HORIZON: TimeDelta = TimeDelta::days(7);

/// The machine's side: rows, and the journal.
pub(super) struct World {
    pub(super) now: DateTime<Utc>,
    pub(super) segments: Vec<Intent>,
    pub(super) sessions: Vec<Session>,
    pub(super) records: Vec<Record>,
    pub(super) oracle: Oracle,
    pub(super) every: Every,
    /// The appointment of each session.
    pub(super) numbers: BTreeMap<SessionId, usize>,
    /// The oracle before the last change, and whose it was.
    pub(super) before: Option<(Oracle, usize)>,
    /// What the segments were, when.
    pub(super) seen: Vec<(DateTime<Utc>, Vec<Intent>)>,
    pub(super) refused: usize,
    pub(super) applied: usize,
}

/// Start, end, therapist.
pub(super) type Shown = Vec<(DateTime<Utc>, DateTime<Utc>, u128)>;

impl World {
    pub(super) fn new(booking: &Booking) -> Self {
        let midnight = booking.date.and_hms_opt(0, 0, 0).unwrap().and_utc();
        let now = midnight - TimeDelta::days(2);
        let opened = booking.intent(now);
        let mut world = Self {
            now,
            segments: vec![opened.clone().intent()],
            sessions: Vec::new(),
            records: Vec::new(),
            oracle: Oracle {
                list: booking.list(),
                ..Oracle::default()
            },
            every: booking.every.clone(),
            numbers: BTreeMap::new(),
            before: None,
            seen: Vec::new(),
            refused: 0,
            applied: 0,
        };
        world.journal(0, Event::Created(Box::new(opened)));
        world
    }

    pub(super) fn journal(&mut self, segment: usize, event: Event) {
        let cause = Cause {
            actor: "admin/9".to_owned(),
            reason: Some("test".to_owned()),
        };
        let record = Record {
            intent: self.segments[segment].id,
            at: self.now,
            cause,
            event,
        };
        let text = serde_json::to_string(&record).unwrap();
        let back: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(back, record, "{text}");
        self.records.push(record);
    }

    pub(super) fn happen(&mut self, segment: usize, event: Event) {
        let intent = self.segments[segment].clone();
        self.segments[segment] = intent::evolve(intent, &event);
        self.journal(segment, event);
    }

    pub(super) fn apply(&mut self, segment: usize, edited: Edited) {
        for change in &edited.sessions {
            let index = self
                .sessions
                .iter()
                .position(|session| session.id == change.session);
            let session = &mut self.sessions[index.unwrap()];
            let command = change.fate.command(Party::Clinic, false);
            let decided = session::decide(session, &command, self.now);
            let Ok(Idempotent::Applied(event)) = decided else {
                panic!("{change:?} is refused: {decided:?}, {session:?}");
            };
            *session = session::evolve(session.clone(), &event);
            if let Ok(Idempotent::Applied(funded)) =
                session::decide(session, &session::Command::Fund, self.now)
            {
                *session = session::evolve(session.clone(), &funded);
            }
        }
        self.happen(segment, edited.event);
        for opened in edited.opened {
            self.segments.push(opened.clone().intent());
            let last = self.segments.len() - 1;
            self.journal(last, Event::Created(Box::new(opened)));
        }
        for id in edited.withdrawn {
            let index = self
                .segments
                .iter()
                .position(|known| known.id == id)
                .unwrap();
            self.happen(index, Event::Withdrawn);
        }
    }

    /// What takes place until an instant: sessions, and occurrences without one.
    pub(super) fn shown(&self, until: DateTime<Utc>) -> Shown {
        let real: BTreeSet<_> = self
            .sessions
            .iter()
            .map(|session| (session.intent, session.recurrence_id))
            .collect();
        assert_eq!(
            real.len(),
            self.sessions.len(),
            "two sessions of one occurrence"
        );
        let mut shown: Shown = self
            .sessions
            .iter()
            .filter(|session| !matches!(session.state, SessionState::Cancelled { .. }))
            .map(|session| {
                (
                    session.starts_at,
                    session.ends_at,
                    session.therapist.0.as_u128(),
                )
            })
            .collect();
        let from = self.now - TimeDelta::days(900);
        for intent in &self.segments {
            let window = Window::new(from, until).unwrap();
            let virtuals = intent.set.overlapping(window).unwrap();
            let virtuals = virtuals.iter().filter(|occurrence| {
                !occurrence.cancelled && !real.contains(&(intent.id, occurrence.recurrence_id))
            });
            let virtuals: Vec<_> = virtuals.collect();
            let missing = virtuals
                .iter()
                .find(|occurrence| occurrence.start < self.now);
            assert_eq!(missing, None, "it has begun and was never planned");
            shown.extend(virtuals.into_iter().map(|occurrence| {
                (
                    occurrence.start,
                    occurrence.end,
                    intent.therapist.0.as_u128(),
                )
            }));
        }
        shown.retain(|(start, ..)| *start < until);
        shown.sort_unstable();
        shown
    }

    pub(super) fn known(&self, intent: IntentId) -> BTreeSet<LocalDateTime> {
        let own = self.sessions.iter();
        let own = own.filter(|session| session.intent == intent);
        own.map(|session| session.recurrence_id).collect()
    }

    pub(super) fn tick(&mut self) {
        for index in 0..self.segments.len() {
            let intent = self.segments[index].clone();
            let known = self.known(intent.id);
            let planned = plan(&intent, &known, self.now, HORIZON).unwrap();
            for occurrence in &planned.sessions {
                self.make_real(
                    &intent,
                    occurrence.recurrence_id,
                    occurrence.start,
                    occurrence.end,
                );
            }
            self.happen(index, planned.event);
        }
        for session in &mut self.sessions {
            if session.ends_at <= self.now && session.state == SessionState::Scheduled {
                session.state = SessionState::Completed;
            }
        }
    }

    pub(super) fn make_real(
        &mut self,
        intent: &Intent,
        recurrence_id: LocalDateTime,
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
    ) {
        let session = Session {
            id: SessionId::of_occurrence(intent.id, recurrence_id),
            intent: intent.id,
            recurrence_id,
            therapist: intent.therapist,
            client: intent.client,
            service: intent.service,
            starts_local: intent.set.zone().local(starts_at),
            starts_at,
            ends_at,
            zone: intent.set.zone(),
            tzdb: zone::ZoneData::installed().release().to_owned(),
            state: SessionState::Scheduled,
            slot_version: 0,
            hold_generation: 1,
            next_due_at: None,
            version: intent.version + 1,
        };
        let dated = self.oracle.list.iter().find(|dated| {
            self.oracle.takes_place(dated)
                && !dated.real
                && Oracle::start(dated) == starts_at
                && self.segments[dated.segment].id == intent.id
        });
        let number = dated.expect("what becomes real is in the list").number;
        let none = self.numbers.insert(session.id, number);
        assert_eq!(none, None, "an id is given twice");
        for dated in &mut self.oracle.list {
            if dated.number == number {
                (dated.real, dated.off) = (true, false);
                Oracle::settle(dated);
            }
        }
        let before = self
            .before
            .iter_mut()
            .flat_map(|(before, _)| &mut before.list);
        for dated in before.filter(|dated| dated.number == number) {
            // If it is taken back, the date is still one that was named, if only by its length.
            let named = dated.named || dated.own_minutes.is_some();
            (dated.real, dated.off) = (true, false);
            Oracle::settle(dated);
            dated.named = named;
        }
        self.sessions.push(session);
    }

    pub(super) fn check(&mut self, step: &Step) {
        let until = self.far();
        assert_eq!(
            self.shown(until),
            self.oracle.shown(until),
            "after {step:?}"
        );
        let numbers: BTreeSet<_> = self.numbers.values().collect();
        assert_eq!(
            numbers.len(),
            self.numbers.len(),
            "an appointment has two sessions"
        );
        for session in &self.sessions {
            let mut own = self
                .segments
                .iter()
                .filter(|known| known.id == session.intent);
            let overridden = own.any(|intent| {
                let overrides = &intent.set.deviations().overrides;
                overrides.contains_key(&session.recurrence_id)
            });
            assert!(
                !overridden,
                "a session has an override beside it after {step:?}"
            );
        }
        let segments = self.segments.clone();
        assert_eq!(intent::as_of(&self.records, self.now), segments);
        self.seen.push((self.now, segments));
    }
}
