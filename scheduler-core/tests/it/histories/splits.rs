//! Steps that are about the whole of a series, or add to it.

use chrono::{NaiveDateTime, TimeDelta};
use scheduler_core::intent::{self, Changes, Command, Edit, Overrides};
use scheduler_core::{LocalDateTime, TherapistId};
use uuid::Uuid;

use super::Wanted;
use super::booking::Every;
use super::oracle::{Dated, Oracle, Split};
use super::world::World;

impl World {
    /// A date that the rule does not have. No two hours here are the same instant on any date, so that
    /// each is an occurrence of its own.
    pub(super) fn extra(&mut self, days: u64, hour: u32) {
        let wall = self.date(days + 1).and_hms_opt(hour, 15, 0).unwrap();
        let segment = self.last();
        let known = |dated: &Dated| dated.segment == segment && dated.wall == wall;
        let ended = self.oracle.ended.contains_key(&segment);
        if ended || self.oracle.list.iter().any(known) {
            return;
        }
        let mut dated = Dated {
            number: self.oracle.list.len(),
            extra: true,
            zone: self.oracle.list[0].zone,
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
            dropped: false,
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

    /// This and what follows, or all.
    pub(super) fn split(&mut self, dated: &Dated, wanted: &Wanted, all: bool) {
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
        let shift = self.shift(pivot, wanted);
        if dated.at(pivot + shift) <= self.now {
            return;
        }
        let Wanted {
            minutes, overrides, ..
        } = *wanted;
        let changes = Changes {
            start: Some(LocalDateTime::try_from(pivot + shift).unwrap()),
            minutes,
            ..Changes::default()
        };
        let into = self.next_id();
        let at = LocalDateTime::try_from(cut).unwrap();
        let edit = if all {
            Edit::Amend {
                into,
                changes,
                overrides,
            }
        } else {
            Edit::Split {
                at,
                into,
                changes,
                overrides,
            }
        };
        let (next, now) = (self.segments.len(), self.now);
        let split = Split {
            segment,
            from: cut,
            into: next,
            shift,
            minutes,
            therapist: None,
            overrides,
        };
        self.edit(segment, &edit, |oracle| {
            oracle.split(split, now);
            if let Some(ended) = oracle.ended.get_mut(&next) {
                // What is over the end stays over it; nothing else is.
                *ended += shift;
            }
        });
    }

    /// By how much the appointments are to be shifted. Where the rule names their days, they stay on
    /// these, and hours over midnight begin again in the same day.
    fn shift(&self, pivot: NaiveDateTime, wanted: &Wanted) -> TimeDelta {
        let hours = TimeDelta::hours(wanted.hours);
        match self.every {
            Every::Day => hours,
            Every::Week => TimeDelta::days(wanted.days) + hours,
            Every::Weekdays(_) | Every::MonthDay(_) => {
                let (time, _) = pivot.time().overflowing_add_signed(hours);
                pivot.date().and_time(time) - pivot
            }
        }
    }

    pub(super) fn reassign(&mut self, days: u64) {
        let (segment, date, now) = (self.last(), self.date(days), self.now);
        let first = self
            .oracle
            .list
            .iter()
            .filter(|dated| dated.segment == segment && !dated.gone && dated.wall.date() >= date)
            .filter(|dated| dated.by_rule() >= now && !Oracle::is_over(dated, now))
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
        let split = Split {
            segment,
            from: first.wall,
            into: next,
            shift: TimeDelta::zero(),
            minutes: None,
            therapist: Some(other),
            overrides: Overrides::Carry,
        };
        self.edit(segment, &edit, |oracle| oracle.split(split, now));
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
}
