//! One step of a history, on both sides.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use scheduler_core::intent::{self, Changes, Command, Edit, Intent, IntentState, Overrides};
use scheduler_core::session::{self, Party, Session};
use scheduler_core::{Idempotent, IntentId, LocalDateTime, Pause, PausedSlot, TherapistId};
use uuid::Uuid;

use super::Step;
use super::oracle::{Dated, Oracle, instant};
use super::world::World;

impl World {
    /// The segment that goes on, and the appointments of it that a step may pick.
    pub(super) fn last(&self) -> usize {
        let standing = |intent: &Intent| intent.state != IntentState::Withdrawn;
        self.segments.iter().rposition(standing).unwrap()
    }

    pub(super) fn pick(&self, which: usize) -> Option<Dated> {
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
    pub(super) fn edit(&mut self, segment: usize, edit: &Edit, change: impl FnOnce(&mut Oracle)) {
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

    pub(super) fn refused(
        &mut self,
        error: &intent::IntentError,
        after: &Oracle,
        edit: &dyn std::fmt::Debug,
    ) {
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

    pub(super) fn touch(
        &mut self,
        dated: &Dated,
        command: &Command,
        change: impl FnOnce(&mut Dated),
    ) {
        let mut after = self.oracle.clone();
        let found = after
            .list
            .iter_mut()
            .find(|found| found.number == dated.number);
        let found = found.unwrap();
        change(found);
        let own = found.own.is_some() || found.own_minutes.is_some() || found.cancelled;
        found.named &= own || self.oracle.paused(dated);
        let intent = &self.segments[dated.segment];
        let known = self.known(intent.id);
        match intent::decide(intent, command, &known, self.now) {
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

    pub(super) fn touch_session(&mut self, dated: &Dated, command: &session::Command) -> bool {
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

    pub(super) fn far(&self) -> DateTime<Utc> {
        self.now + TimeDelta::days(300)
    }

    pub(super) fn date(&self, days: u64) -> NaiveDate {
        self.now.date_naive() + Days::new(days)
    }

    pub(super) fn next_id(&self) -> IntentId {
        IntentId(Uuid::from_u128(100 + self.segments.len() as u128))
    }

    pub(super) fn step(&mut self, step: &Step) {
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

    pub(super) fn change(&mut self, step: &Step) {
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

    pub(super) fn change_one(&mut self, step: &Step, dated: &Dated) {
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
                    // The usual length again does not take a date back into a pause.
                    dated.named |= dated.own_minutes.is_none() && paused;
                });
            }
            _ => {}
        }
    }

    pub(super) fn extra(&mut self, days: u64) {
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
            dated.skipped = false;
        });
        if self.oracle.list.last().is_some_and(|last| last.skipped) {
            // Refused: it is nothing, not even something left out.
            self.oracle.list.pop();
            self.before = before;
        } else if let Some((before, _)) = &mut self.before {
            before.list.pop();
        }
    }

    pub(super) fn split(
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

    pub(super) fn reassign(&mut self, days: u64) {
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

    pub(super) fn undo(&mut self) {
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
                self.refused += 1;
            }
            Err(error) => panic!("an undo is refused: {error}"),
        }
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
