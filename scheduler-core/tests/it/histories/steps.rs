//! One step of a history, on both sides.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use scheduler_core::intent::{self, Command, Edit, IntentState};
use scheduler_core::session::{self, Party, Session};
use scheduler_core::{Idempotent, IntentId, LocalDateTime, Pause, PausedSlot};
use uuid::Uuid;

use super::Step;
use super::oracle::{Dated, Oracle};
use super::world::World;

impl World {
    /// The segment that goes on, and the appointments of it that a step may pick.
    pub(super) fn last(&self) -> usize {
        let goes_on = |segment: &usize| {
            let state = self.segments[*segment].state;
            state != IntentState::Withdrawn && !self.is_alone(*segment)
        };
        (0..self.segments.len()).rfind(goes_on).unwrap()
    }

    /// Whether a segment is one date that was detached from the series.
    pub(super) fn is_alone(&self, segment: usize) -> bool {
        self.segments[segment].set.rules().is_empty()
    }

    /// Of dates that were detached, which no edit of the series concerns, those only that a step may
    /// change by itself.
    pub(super) fn pick(&self, which: usize, one: bool) -> Option<Dated> {
        let last = self.last();
        let mut coming: Vec<&Dated> = self
            .oracle
            .list
            .iter()
            .filter(|dated| dated.segment == last || one && self.is_alone(dated.segment))
            .filter(|dated| !dated.gone && dated.by_rule() >= self.now)
            .filter(|dated| !Oracle::is_over(dated, self.now))
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
            // One that was called off is shown where it was to take place, and is past when that is.
            Err(intent::IntentError::Past { .. })
                if dated.cancelled && Oracle::start(dated) < self.now =>
            {
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
                if let Some(dated) = self.pick(which, true) {
                    self.change_one(step, &dated);
                }
            }
            Step::Extra(days, hour) => self.extra(days, hour),
            Step::Split(which, ref changes) => {
                if let Some(dated) = self.pick(which, false) {
                    self.split(&dated, changes, false);
                }
            }
            Step::AmendAll(ref changes) => {
                if let Some(dated) = self.pick(0, false) {
                    self.split(&dated, changes, true);
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
                let own = Some(to).filter(|to| dated.at(*to) != dated.by_rule());
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
                    starts_local: LocalDateTime::try_from(to).unwrap(),
                    length,
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
}
