//! Random histories of edits, against a plain list of dated appointments that is edited by hand.
//!
//! The oracle knows nothing of sets, positions, segments or machines: it is a list in which each
//! appointment has its date, its time, and what became of it, and the edits are loops over it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::intent::{
    self, Cause, Changes, Command, Edit, Edited, Event, Intent, IntentState, NewIntent, Opened,
    Overrides, Record,
};
use scheduler_core::materialize::plan;
use scheduler_core::session::{self, Party, Session, SessionState};
use scheduler_core::{
    ClientId, Idempotent, IntentId, LocalDateTime, Pause, PausedSlot, RecurrenceSet, ServiceId,
    SessionId, TherapistId, Window, zone,
};
use uuid::Uuid;

use crate::expansion_laws::cases;
use crate::zone_laws::resolve;

const HORIZON: TimeDelta = TimeDelta::days(7);
const ZONE: &str = "Europe/London";

/// What is done next. Numbers pick among what there is.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Wait(u64),
    Skip(usize),
    Add(usize),
    Extra(u64),
    Move(usize, i64),
    Amend(usize, u32),
    Cancel(usize),
    Split(usize, i64, i64, Option<u32>),
    AmendAll(i64, i64, Option<u32>),
    Reassign(u64),
    Pause(u64, Option<u64>),
    Resume(u64),
    End(u64),
    Undo,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::{
        Add, Amend, AmendAll, Cancel, End, Extra, Move, Pause, Reassign, Resume, Skip, Split, Undo,
        Wait,
    };
    let days = || -3i64..4;
    let hours = || -5i64..6;
    let minutes = || proptest::option::of(20u32..90);
    prop_oneof![
        6 => (1u64..20).prop_map(Wait),
        3 => (0usize..30).prop_map(Skip),
        2 => (0usize..30).prop_map(Add),
        1 => (1u64..60).prop_map(Extra),
        4 => (0usize..30, -60i64..61).prop_map(|(which, hours)| Move(which, hours)),
        1 => (0usize..30, 20u32..90).prop_map(|(which, minutes)| Amend(which, minutes)),
        2 => (0usize..30).prop_map(Cancel),
        3 => (0usize..12, days(), hours(), minutes()).prop_map(|(a, b, c, d)| Split(a, b, c, d)),
        2 => (days(), hours(), minutes()).prop_map(|(a, b, c)| AmendAll(a, b, c)),
        1 => (0u64..40).prop_map(Reassign),
        3 => (0u64..40, proptest::option::weighted(0.7, 1u64..30)).prop_map(|(a, b)| Pause(a, b)),
        2 => (0u64..40).prop_map(Resume),
        1 => (20u64..120).prop_map(End),
        3 => Just(Undo),
    ]
}

/// A booking: every `interval` days at one time, so often or without an end.
#[derive(Debug, Clone)]
struct Booking {
    date: NaiveDate,
    hour: u32,
    weekly: bool,
    interval: u64,
    count: Option<u32>,
}

fn booking() -> impl Strategy<Value = Booking> {
    (
        0u64..700,
        7u32..20,
        any::<bool>(),
        1u64..4,
        proptest::option::of(3u32..40),
    )
        .prop_map(|(day, hour, weekly, interval, count)| Booking {
            date: NaiveDate::from_ymd_opt(2025, 1, 1).unwrap() + Days::new(day),
            hour,
            weekly,
            interval: if weekly { interval } else { interval + 1 },
            count,
        })
}

/// One appointment of the oracle's list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dated {
    /// Never changes: which appointment it is.
    number: usize,
    /// Added by hand.
    extra: bool,
    /// The date and time by rule.
    wall: NaiveDateTime,
    /// Its own time, if it was given one.
    own: Option<NaiveDateTime>,
    minutes: u32,
    own_minutes: Option<u32>,
    skipped: bool,
    cancelled: bool,
    /// It takes place in spite of a pause.
    named: bool,
    therapist: u128,
    segment: usize,
    /// Beyond the end.
    gone: bool,
    /// A session was made of it.
    real: bool,
    /// The session was called off by a pause or an end, and would come back.
    off: bool,
}

#[derive(Debug, Clone, Default)]
struct Oracle {
    list: Vec<Dated>,
    /// By segment.
    pauses: Vec<(usize, NaiveDate, Option<NaiveDate>)>,
    ended: BTreeMap<usize, NaiveDateTime>,
}

fn instant(wall: NaiveDateTime) -> DateTime<Utc> {
    resolve(ZONE.parse().unwrap(), wall).0
}

const DAYS_WORKED_OUT: u64 = 1500;

impl Booking {
    fn list(&self) -> Vec<Dated> {
        let step = if self.weekly { 7 } else { 1 } * self.interval;
        let most = self
            .count
            .map_or(usize::MAX, |count| usize::try_from(count).unwrap());
        (0..DAYS_WORKED_OUT / step)
            .map(|n| self.date + Days::new(n * step))
            .take(most)
            .enumerate()
            .map(|(number, date)| Dated {
                number,
                wall: date.and_hms_opt(self.hour, 0, 0).unwrap(),
                own: None,
                minutes: 50,
                own_minutes: None,
                skipped: false,
                cancelled: false,
                named: false,
                therapist: 2,
                segment: 0,
                gone: false,
                real: false,
                off: false,
                extra: false,
            })
            .collect()
    }

    fn intent(&self, now: DateTime<Utc>) -> Opened {
        let rule = format!(
            "FREQ={};INTERVAL={}{}",
            if self.weekly { "WEEKLY" } else { "DAILY" },
            self.interval,
            self.count
                .map_or(String::new(), |count| format!(";COUNT={count}")),
        );
        let start = LocalDateTime::try_from(self.date.and_hms_opt(self.hour, 0, 0).unwrap());
        let set = RecurrenceSet::new(start.unwrap(), ZONE.parse().unwrap(), 50).unwrap();
        let new = NewIntent {
            id: IntentId(Uuid::from_u128(1)),
            therapist: TherapistId(Uuid::from_u128(2)),
            client: ClientId(Uuid::from_u128(3)),
            service: ServiceId(Uuid::from_u128(4)),
            set: set.with_rule(rule.parse().unwrap()),
        };
        intent::opened(new, now)
    }
}

impl Oracle {
    fn paused(&self, dated: &Dated) -> bool {
        let date = dated.wall.date();
        self.pauses.iter().any(|(segment, from, until)| {
            *segment == dated.segment && date >= *from && until.is_none_or(|until| date < until)
        })
    }

    fn start(dated: &Dated) -> DateTime<Utc> {
        instant(dated.own.unwrap_or(dated.wall))
    }

    fn end(dated: &Dated) -> DateTime<Utc> {
        let minutes = dated.own_minutes.unwrap_or(dated.minutes);
        Self::start(dated) + TimeDelta::minutes(i64::from(minutes))
    }

    /// Whether plan and pauses want it, whatever became of its session.
    fn is_wanted(&self, dated: &Dated) -> bool {
        let by_hand = if dated.real {
            dated.own.is_some()
        } else {
            dated.named || dated.own.is_some() || dated.own_minutes.is_some()
        };
        !dated.gone && !dated.skipped && (by_hand || !self.paused(dated))
    }

    fn takes_place(&self, dated: &Dated) -> bool {
        let wanted = if dated.real {
            !dated.off
        } else {
            self.is_wanted(dated)
        };
        wanted && !dated.cancelled
    }

    /// Applies an edit, and has the sessions follow that have not begun.
    fn edit(&mut self, now: DateTime<Utc>, change: impl FnOnce(&mut Self)) {
        let was: Vec<bool> = self
            .list
            .iter()
            .map(|dated| self.is_wanted(dated))
            .collect();
        change(self);
        for index in 0..was.len() {
            let wanted = self.is_wanted(&self.list[index]);
            let dated = &mut self.list[index];
            if dated.real && Self::start(dated) > now && wanted != was[index] && !dated.cancelled {
                dated.off = !wanted;
            }
        }
    }

    /// Sessions made since the change follow what is taken back.
    fn follow(&mut self, undone: &Self, now: DateTime<Utc>) {
        for index in 0..self.list.len() {
            let (wanted, was) = (self.is_wanted(&self.list[index]), &undone.list[index]);
            let dated = &mut self.list[index];
            if dated.real && Self::start(dated) > now && !dated.cancelled {
                dated.off = if wanted == undone.is_wanted(was) {
                    was.off
                } else {
                    !wanted
                };
            }
        }
    }

    fn is_over(dated: &Dated, now: DateTime<Utc>) -> bool {
        dated.real && Self::start(dated) <= now
    }

    /// A session has a time or a length of its own only where it differs.
    fn settle(dated: &mut Dated) {
        if dated
            .own
            .is_some_and(|own| instant(own) == instant(dated.wall))
        {
            dated.own = None;
        }
        dated.own_minutes = dated.own_minutes.filter(|own| *own != dated.minutes);
        dated.named = false;
    }

    /// Two that take place at the same time, at least one of them not made real yet.
    fn overlaps(&self, now: DateTime<Utc>) -> bool {
        let mut all: Vec<&Dated> = self
            .list
            .iter()
            .filter(|dated| self.takes_place(dated) && Self::end(dated) > now)
            .collect();
        all.sort_by_key(|dated| Self::start(dated));
        let mut latest: Option<&Dated> = None;
        for dated in all {
            if latest.is_some_and(|latest| Self::start(dated) < Self::end(latest)) {
                return true;
            }
            if latest.is_none_or(|latest| Self::end(latest) < Self::end(dated)) {
                latest = Some(dated);
            }
        }
        false
    }

    /// From an appointment's wall time on, another segment.
    fn split(
        &mut self,
        cut: (usize, NaiveDateTime),
        into: usize,
        shift: TimeDelta,
        minutes: Option<u32>,
        therapist: Option<u128>,
        now: DateTime<Utc>,
    ) {
        let (segment, from) = cut;
        let pauses: Vec<_> = self
            .pauses
            .iter()
            .filter(|(of, _, until)| {
                *of == segment && until.is_none_or(|until| until > from.date())
            })
            .map(|(_, from, until)| (into, *from, *until))
            .collect();
        self.pauses.extend(pauses);
        if let Some(ended) = self.ended.get(&segment).copied() {
            self.ended.insert(into, ended);
        }
        for dated in &mut self.list {
            if dated.segment != segment || dated.wall < from || Self::is_over(dated, now) {
                continue;
            }
            dated.segment = into;
            if !dated.extra {
                dated.wall += shift;
            }
            dated.minutes = minutes.unwrap_or(dated.minutes);
            dated.therapist = therapist.unwrap_or(dated.therapist);
            if dated.real {
                Self::settle(dated);
            }
        }
    }

    /// What takes place until a date, as (start, end, therapist).
    fn shown(&self, until: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>, u128)> {
        let mut shown: Vec<_> = self
            .list
            .iter()
            .filter(|dated| self.takes_place(dated) && Self::start(dated) < until)
            .map(|dated| (Self::start(dated), Self::end(dated), dated.therapist))
            .collect();
        shown.sort_unstable();
        shown
    }
}

/// The machine's side: rows, and the journal.
struct World {
    now: DateTime<Utc>,
    segments: Vec<Intent>,
    sessions: Vec<Session>,
    records: Vec<Record>,
    oracle: Oracle,
    /// The appointment of each session.
    numbers: BTreeMap<SessionId, usize>,
    /// The oracle before the last change, and whose it was.
    before: Option<(Oracle, usize)>,
    /// What the segments were, when.
    seen: Vec<(DateTime<Utc>, Vec<Intent>)>,
    refused: usize,
    applied: usize,
}

/// Start, end, therapist.
type Shown = Vec<(DateTime<Utc>, DateTime<Utc>, u128)>;

impl World {
    fn new(booking: &Booking) -> Self {
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
            numbers: BTreeMap::new(),
            before: None,
            seen: Vec::new(),
            refused: 0,
            applied: 0,
        };
        world.journal(0, Event::Created(Box::new(opened)));
        world
    }

    fn journal(&mut self, segment: usize, event: Event) {
        let cause = Cause {
            actor: Uuid::from_u128(9),
            reason: "test".to_owned(),
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

    fn happen(&mut self, segment: usize, event: Event) {
        let intent = self.segments[segment].clone();
        self.segments[segment] = intent::evolve(intent, &event);
        self.journal(segment, event);
    }

    fn apply(&mut self, segment: usize, edited: Edited) {
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
    fn shown(&self, until: DateTime<Utc>) -> Shown {
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
            shown.extend(virtuals.map(|occurrence| {
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

    fn tick(&mut self) {
        for index in 0..self.segments.len() {
            let intent = self.segments[index].clone();
            let known: BTreeSet<LocalDateTime> = self
                .sessions
                .iter()
                .filter(|session| session.intent == intent.id)
                .map(|session| session.recurrence_id)
                .collect();
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

    fn make_real(
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
            starts_at,
            ends_at,
            zone: intent.set.zone(),
            tzdb: zone::TZDB.to_owned(),
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
        let before = self.before.as_mut().map(|(before, _)| before);
        for oracle in before.into_iter().chain([&mut self.oracle]) {
            for dated in &mut oracle.list {
                if dated.number == number {
                    dated.real = true;
                    dated.off = false;
                    Oracle::settle(dated);
                }
            }
        }
        self.sessions.push(session);
    }
}

impl World {
    /// The segment that goes on, and the appointments of it that a step may pick.
    fn last(&self) -> usize {
        let standing = |intent: &Intent| intent.state != IntentState::Withdrawn;
        self.segments.iter().rposition(standing).unwrap()
    }

    fn pick(&self, which: usize) -> Option<Dated> {
        let last = self.last();
        let mut coming: Vec<&Dated> = self
            .oracle
            .list
            .iter()
            .filter(|dated| dated.segment == last && !dated.gone)
            .filter(|dated| instant(dated.wall) >= self.now && !Oracle::is_over(dated, self.now))
            .collect();
        coming.sort_by_key(|dated| dated.wall);
        coming.get(which).map(|dated| (*dated).clone())
    }

    /// Decides one edit on both sides. What the machine refuses must be wrong by the oracle too.
    fn edit(&mut self, segment: usize, edit: &Edit, change: impl FnOnce(&mut Oracle)) {
        let mut after = self.oracle.clone();
        after.edit(self.now, change);
        match intent::edit(&self.segments[segment], &self.sessions, edit, self.now) {
            Ok(Idempotent::Applied(edited)) => {
                self.apply(segment, edited);
                let before = std::mem::replace(&mut self.oracle, after);
                self.before = Some((before, segment));
                self.applied += 1;
            }
            Ok(Idempotent::AlreadyApplied) => {
                assert_eq!(
                    after.shown(self.far()),
                    self.oracle.shown(self.far()),
                    "{edit:?}"
                );
            }
            Err(error) => self.refused(&error, &after, edit),
        }
    }

    fn refused(&mut self, error: &intent::IntentError, after: &Oracle, edit: &dyn std::fmt::Debug) {
        use intent::IntentError as E;
        let now = self.now;
        let past = |oracle: &Oracle| {
            let list = oracle.list.iter();
            let mut begun = list.filter(|dated| !dated.real && oracle.takes_place(dated));
            begun.any(|dated| Oracle::start(dated) < now)
        };
        match error {
            E::Collides { .. } => assert!(after.overlaps(now), "{edit:?}: {error}"),
            E::Past { .. } => assert!(past(after) || past(&self.oracle), "{edit:?}: {error}"),
            _ => panic!("{edit:?} is refused: {error}"),
        }
        self.refused += 1;
    }

    fn touch(&mut self, dated: &Dated, command: &Command, change: impl FnOnce(&mut Dated)) {
        let mut after = self.oracle.clone();
        let found = after
            .list
            .iter_mut()
            .find(|found| found.number == dated.number);
        let found = found.unwrap();
        change(found);
        let own = found.own.is_some() || found.own_minutes.is_some() || found.cancelled;
        found.named &= own || self.oracle.paused(dated);
        match intent::decide(&self.segments[dated.segment], command, self.now) {
            Ok(Idempotent::Applied(event)) => {
                self.happen(dated.segment, event);
                let before = std::mem::replace(&mut self.oracle, after);
                self.before = Some((before, dated.segment));
                self.applied += 1;
            }
            Ok(Idempotent::AlreadyApplied) => {
                assert_eq!(
                    after.shown(self.far()),
                    self.oracle.shown(self.far()),
                    "{command:?}"
                );
            }
            Err(intent::IntentError::Gone { .. }) => {
                let paused = self.oracle.paused(dated);
                assert!(dated.skipped || dated.cancelled || paused, "{command:?}");
                self.refused += 1;
            }
            Err(error) => self.refused(&error, &after, command),
        }
    }

    fn touch_session(&mut self, dated: &Dated, command: &session::Command) -> bool {
        let numbers = &self.numbers;
        let of = |session: &&mut Session| numbers[&session.id] == dated.number;
        let session = self.sessions.iter_mut().find(of).unwrap();
        let Ok(Idempotent::Applied(event)) = session::decide(session, command, self.now) else {
            return false;
        };
        *session = session::evolve(session.clone(), &event);
        // An undo of an earlier change is another question from here on.
        self.before = None;
        true
    }

    fn far(&self) -> DateTime<Utc> {
        self.now + TimeDelta::days(300)
    }

    fn date(&self, days: u64) -> NaiveDate {
        self.now.date_naive() + Days::new(days)
    }

    fn next_id(&self) -> IntentId {
        IntentId(Uuid::from_u128(100 + self.segments.len() as u128))
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait(days) => {
                for _ in 0..days {
                    self.now += TimeDelta::days(1);
                    self.tick();
                }
                return;
            }
            Step::Undo => return self.undo(),
            _ => {}
        }
        let past = self.shown(self.now);
        self.change(step);
        assert_eq!(
            past,
            self.shown(self.now),
            "the past is changed by {step:?}"
        );
    }

    fn change(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Skip(which)
            | Step::Add(which)
            | Step::Move(which, _)
            | Step::Amend(which, _)
            | Step::Cancel(which) => {
                if let Some(dated) = self.pick(which) {
                    self.change_one(step, &dated);
                }
            }
            Step::Extra(days) => self.extra(days),
            Step::Split(which, days, hours, minutes) => {
                if let Some(dated) = self.pick(which) {
                    self.split(&dated, days, hours, minutes, None);
                }
            }
            Step::AmendAll(days, hours, minutes) => {
                if let Some(dated) = self.pick(0) {
                    self.split(&dated, days, hours, minutes, Some(dated.wall));
                }
            }
            Step::Reassign(days) => self.reassign(days),
            Step::Pause(days, length) => {
                let (segment, from) = (self.last(), self.date(days));
                let until = length.map(|length| from + Days::new(length));
                let slot = PausedSlot::Freed;
                let taken = self.oracle.pauses.iter().any(|(of, first, last)| {
                    *of == segment
                        && until.is_none_or(|until| *first < until)
                        && last.is_none_or(|last| from < last)
                });
                if !taken {
                    let edit = Edit::Pause(Pause { from, until, slot });
                    self.edit(segment, &edit, |oracle| {
                        oracle.pauses.push((segment, from, until));
                    });
                }
            }
            Step::Resume(days) => {
                let (segment, from) = (self.last(), self.date(days));
                let covering = |(of, first, last): &(usize, NaiveDate, Option<NaiveDate>)| {
                    *of == segment && *first <= from && last.is_none_or(|last| from < last)
                };
                let found = self.oracle.pauses.iter().position(covering);
                let Some(found) = found else { return };
                self.edit(segment, &Edit::Resume { from }, |oracle| {
                    oracle.pauses[found].2 = Some(from);
                });
            }
            Step::End(days) => {
                let (segment, from) = (self.last(), self.date(days));
                let cut = from.and_hms_opt(0, 0, 0).unwrap();
                if self
                    .oracle
                    .ended
                    .get(&segment)
                    .is_none_or(|ended| cut < *ended)
                {
                    self.edit(segment, &Edit::End { from }, |oracle| {
                        oracle.ended.insert(segment, cut);
                        for dated in &mut oracle.list {
                            let over = Oracle::is_over(dated, now);
                            dated.gone |= dated.segment == segment && dated.wall >= cut && !over;
                        }
                    });
                }
            }
            Step::Wait(_) | Step::Undo => {}
        }
    }

    fn change_one(&mut self, step: &Step, dated: &Dated) {
        let recurrence_id = LocalDateTime::try_from(dated.wall).unwrap();
        let paused = self.oracle.paused(dated);
        match *step {
            Step::Move(_, hours) => {
                let to = dated.wall + TimeDelta::hours(hours);
                let own = Some(to).filter(|to| instant(*to) != instant(dated.wall));
                let moves = |dated: &mut Dated| {
                    dated.named |= own.is_none() && paused;
                    dated.own = own;
                };
                if !dated.real {
                    let to = LocalDateTime::try_from(to).unwrap();
                    let command = Command::Reschedule { recurrence_id, to };
                    return self.touch(dated, &command, moves);
                }
                let length = Oracle::end(dated) - Oracle::start(dated);
                let command = session::Command::Reschedule {
                    starts_at: instant(to),
                    ends_at: instant(to) + length,
                };
                if self.touch_session(dated, &command) {
                    let number = dated.number;
                    let found = self
                        .oracle
                        .list
                        .iter_mut()
                        .find(|found| found.number == number);
                    let found = found.unwrap();
                    found.own = Some(to);
                    Oracle::settle(found);
                }
            }
            Step::Cancel(_) if dated.real => {
                let command = session::Command::Cancel {
                    by: Party::Client,
                    late: false,
                };
                if self.touch_session(dated, &command) {
                    let number = dated.number;
                    let found = self
                        .oracle
                        .list
                        .iter_mut()
                        .find(|found| found.number == number);
                    found.unwrap().cancelled = true;
                }
            }
            Step::Cancel(_) => self.touch(dated, &Command::Cancel { recurrence_id }, |dated| {
                dated.cancelled = true;
            }),
            Step::Skip(_) if !dated.real => {
                self.touch(dated, &Command::Skip { recurrence_id }, |dated| {
                    (dated.own, dated.own_minutes) = (None, None);
                    (dated.skipped, dated.cancelled, dated.named) = (true, false, false);
                });
            }
            Step::Add(_) if !dated.real => {
                self.touch(dated, &Command::Add { recurrence_id }, |dated| {
                    (dated.skipped, dated.cancelled) = (false, false);
                    dated.named |= paused;
                });
            }
            Step::Amend(_, minutes) if !dated.real => {
                let command = Command::Amend {
                    recurrence_id,
                    minutes,
                };
                self.touch(dated, &command, |dated| {
                    dated.own_minutes = Some(minutes).filter(|own| *own != dated.minutes);
                });
            }
            _ => {}
        }
    }

    fn extra(&mut self, days: u64) {
        let wall = self.date(days + 1).and_hms_opt(6, 15, 0).unwrap();
        let segment = self.last();
        let known = |dated: &Dated| dated.segment == segment && dated.wall == wall;
        let ended = self.oracle.ended.contains_key(&segment);
        if ended || self.oracle.list.iter().any(known) {
            return;
        }
        let mut dated = Dated {
            number: self.oracle.list.len(),
            extra: true,
            wall,
            own: None,
            minutes: self.segments[segment].set.minutes(),
            own_minutes: None,
            skipped: true,
            cancelled: false,
            named: false,
            therapist: self.segments[segment].therapist.0.as_u128(),
            segment,
            gone: false,
            real: false,
            off: false,
        };
        dated.named = self.oracle.paused(&dated);
        self.oracle.list.push(dated.clone());
        let before = self.before.take();
        let recurrence_id = LocalDateTime::try_from(wall).unwrap();
        self.touch(&dated, &Command::Add { recurrence_id }, |dated| {
            dated.skipped = false
        });
        if self.oracle.list.last().is_some_and(|last| last.skipped) {
            // Refused: it is nothing, not even something left out.
            self.oracle.list.pop();
            self.before = before;
        } else if let Some((before, _)) = &mut self.before {
            before.list.pop();
        }
    }

    fn split(
        &mut self,
        dated: &Dated,
        days: i64,
        hours: i64,
        minutes: Option<u32>,
        all: Option<NaiveDateTime>,
    ) {
        let (segment, cut) = (dated.segment, dated.wall);
        let pivot = self
            .oracle
            .list
            .iter()
            .filter(|other| other.segment == segment && !other.extra && !other.gone)
            .filter(|other| other.wall >= cut)
            .map(|other| other.wall)
            .min();
        let Some(pivot) = pivot else { return };
        let weekly = self.oracle.list[1].wall - self.oracle.list[0].wall >= TimeDelta::days(7);
        let days = if weekly { days } else { 0 };
        let shift = TimeDelta::days(days) + TimeDelta::hours(hours);
        if instant(pivot + shift) <= self.now {
            return;
        }
        let changes = Changes {
            start: Some(LocalDateTime::try_from(pivot + shift).unwrap()),
            minutes,
            ..Changes::default()
        };
        let (into, overrides) = (self.next_id(), Overrides::Carry);
        let at = LocalDateTime::try_from(cut).unwrap();
        let edit = match all {
            Some(_) => Edit::Amend {
                into,
                changes,
                overrides,
            },
            None => Edit::Split {
                at,
                into,
                changes,
                overrides,
            },
        };
        let (next, now) = (self.segments.len(), self.now);
        self.edit(segment, &edit, |oracle| {
            oracle.split((segment, cut), next, shift, minutes, None, now);
            if let Some(ended) = oracle.ended.get_mut(&next) {
                // What is over the end stays over it; nothing else is.
                *ended += shift;
            }
        });
    }

    fn reassign(&mut self, days: u64) {
        let (segment, date, now) = (self.last(), self.date(days), self.now);
        let first = self
            .oracle
            .list
            .iter()
            .filter(|dated| dated.segment == segment && !dated.gone && dated.wall.date() >= date)
            .filter(|dated| instant(dated.wall) >= now && !Oracle::is_over(dated, now))
            .min_by_key(|dated| dated.wall);
        let Some(first) = first.cloned() else { return };
        let rest = self.oracle.list.iter().any(|dated| {
            dated.segment == segment && !dated.extra && !dated.gone && dated.wall >= first.wall
        });
        if !rest {
            return;
        }
        let other = if first.therapist == 2 { 5 } else { 2 };
        let edit = Edit::Reassign {
            from: date,
            to: TherapistId(Uuid::from_u128(other)),
            into: self.next_id(),
        };
        let next = self.segments.len();
        self.edit(segment, &edit, |oracle| {
            let cut = (segment, first.wall);
            oracle.split(cut, next, TimeDelta::zero(), None, Some(other), now);
        });
    }

    fn undo(&mut self) {
        let Some((before, segment)) = self.before.take() else {
            return;
        };
        let decided = intent::undo(
            &self.segments[segment],
            &self.records,
            &self.sessions,
            self.now,
        );
        match decided {
            Ok(edited) => {
                self.apply(segment, edited);
                let after = std::mem::replace(&mut self.oracle, before);
                self.oracle.follow(&after, self.now);
                self.applied += 1;
            }
            Err(intent::IntentError::Happened { .. } | intent::IntentError::Overtaken { .. }) => {
                self.refused += 1
            }
            Err(error) => panic!("an undo is refused: {error}"),
        }
    }

    fn check(&mut self, step: &Step) {
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
        let segments = self.segments.clone();
        assert_eq!(intent::as_of(&self.records, self.now), segments);
        self.seen.push((self.now, segments));
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn a_history_of_edits_is_what_it_is_on_a_plain_list(
        booking in booking(), steps in proptest::collection::vec(step(), 1..24),
    ) {
        let mut world = World::new(&booking);
        for step in &steps {
            world.step(step);
            world.check(step);
        }
        // The journal knows every moment of it.
        let mut seen: BTreeMap<DateTime<Utc>, Vec<Intent>> = BTreeMap::new();
        seen.extend(world.seen.drain(..));
        for (at, segments) in seen {
            prop_assert_eq!(intent::as_of(&world.records, at), segments);
        }
        // And the days that are left make one session of each.
        for day in 0..60 {
            world.now += TimeDelta::days(1);
            world.tick();
            if day % 20 == 19 {
                world.check(&Step::Wait(day));
            }
        }
    }
}
