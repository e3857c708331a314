//! A plain list of dated appointments, edited by loops.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use scheduler_core::intent::Overrides;

use crate::zone_laws::resolve;

/// One appointment of the oracle's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dated {
    /// Never changes: which appointment it is.
    pub(super) number: usize,
    /// Added by hand.
    pub(super) extra: bool,
    /// The zone of its wall times.
    pub(super) zone: Tz,
    /// The date and time by rule.
    pub(super) wall: NaiveDateTime,
    /// Its own time, if it was given one.
    pub(super) own: Option<NaiveDateTime>,
    pub(super) minutes: u32,
    pub(super) own_minutes: Option<u32>,
    pub(super) skipped: bool,
    pub(super) cancelled: bool,
    /// It takes place in spite of a pause.
    pub(super) named: bool,
    pub(super) therapist: u128,
    pub(super) segment: usize,
    /// Beyond the end.
    pub(super) gone: bool,
    /// A session was made of it.
    pub(super) real: bool,
    /// The session was called off by a pause or an end, and would come back.
    pub(super) off: bool,
    /// The last edit took its own time and length from it.
    pub(super) dropped: bool,
}

/// From an appointment's wall time on, another segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    /// The segment that is split, and where.
    pub(super) segment: usize,
    pub(super) from: NaiveDateTime,
    pub(super) into: usize,
    pub(super) shift: TimeDelta,
    pub(super) minutes: Option<u32>,
    pub(super) therapist: Option<u128>,
    pub(super) overrides: Overrides,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Oracle {
    pub(super) list: Vec<Dated>,
    /// By segment.
    pub(super) pauses: Vec<(usize, NaiveDate, Option<NaiveDate>)>,
    pub(super) ended: BTreeMap<usize, NaiveDateTime>,
}

impl Dated {
    /// The instant of a wall time.
    pub(super) fn at(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        resolve(self.zone, wall).0
    }

    /// The instant of its date and time by rule.
    pub(super) fn by_rule(&self) -> DateTime<Utc> {
        self.at(self.wall)
    }

    /// Nothing of it is different from the rule any more.
    fn drop_own(&mut self) {
        (self.own, self.own_minutes, self.named) = (None, None, false);
    }

    /// Whether it was changed by hand, has no session yet, and takes place.
    fn is_changed(&self) -> bool {
        let by_hand = self.own.is_some() || self.own_minutes.is_some() || self.named;
        by_hand && !(self.real || self.gone || self.cancelled)
    }
}

impl Oracle {
    pub(super) fn paused(&self, dated: &Dated) -> bool {
        let date = dated.wall.date();
        self.pauses.iter().any(|(segment, from, until)| {
            *segment == dated.segment && date >= *from && until.is_none_or(|until| date < until)
        })
    }

    pub(super) fn start(dated: &Dated) -> DateTime<Utc> {
        dated.at(dated.own.unwrap_or(dated.wall))
    }

    pub(super) fn end(dated: &Dated) -> DateTime<Utc> {
        let minutes = dated.own_minutes.unwrap_or(dated.minutes);
        Self::start(dated) + TimeDelta::minutes(i64::from(minutes))
    }

    /// Whether plan and pauses want it, whatever became of its session.
    pub(super) fn is_wanted(&self, dated: &Dated) -> bool {
        let by_hand = if dated.real {
            dated.named || dated.own.is_some()
        } else {
            dated.named || dated.own.is_some() || dated.own_minutes.is_some()
        };
        !dated.gone && !dated.skipped && (by_hand || !self.paused(dated))
    }

    pub(super) fn takes_place(&self, dated: &Dated) -> bool {
        let wanted = if dated.real {
            !dated.off
        } else {
            self.is_wanted(dated)
        };
        wanted && !dated.cancelled
    }

    /// Applies an edit, and has the sessions follow that have not begun.
    pub(super) fn edit(&mut self, now: DateTime<Utc>, change: impl FnOnce(&mut Self)) {
        let was: Vec<(bool, Option<NaiveDateTime>)> = self
            .list
            .iter()
            .map(|dated| (self.is_wanted(dated), dated.own))
            .collect();
        for dated in &mut self.list {
            dated.dropped = false;
        }
        change(self);
        for (index, (was, own)) in was.into_iter().enumerate() {
            // One that somebody has moved is not called off because the rule now comes to its time,
            // unless what they did is dropped.
            let as_moved = Dated {
                own: own.filter(|_| !self.list[index].dropped),
                ..self.list[index].clone()
            };
            let wanted = self.is_wanted(&as_moved);
            let dated = &mut self.list[index];
            if dated.real && Self::start(dated) > now && wanted != was && !dated.cancelled {
                dated.off = !wanted;
            }
        }
    }

    /// Sessions made since the change follow what is taken back.
    pub(super) fn follow(&mut self, undone: &Self, now: DateTime<Utc>) {
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
            dated.named &= !dated.real;
        }
    }

    pub(super) fn is_over(dated: &Dated, now: DateTime<Utc>) -> bool {
        dated.real && Self::start(dated) <= now
    }

    /// A session has a time or a length of its own only where it differs.
    pub(super) fn settle(dated: &mut Dated) {
        let by_rule = dated.by_rule();
        dated.own = dated.own.filter(|own| dated.at(*own) != by_rule);
        dated.own_minutes = dated.own_minutes.filter(|own| *own != dated.minutes);
        dated.named = false;
    }

    /// Two that take place at the same time, at least one of them not made real yet.
    pub(super) fn overlaps(&self, now: DateTime<Utc>) -> bool {
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

    pub(super) fn split(&mut self, split: Split, now: DateTime<Utc>) {
        let Split { segment, into, .. } = split;
        let date = split.from.date();
        let pauses: Vec<_> = self
            .pauses
            .iter()
            .filter(|(of, _, until)| *of == segment && until.is_none_or(|until| until > date))
            .map(|(_, from, until)| (into, *from, *until))
            .collect();
        self.pauses.extend(pauses);
        if let Some(ended) = self.ended.get(&segment).copied() {
            self.ended.insert(into, ended);
        }
        if split.overrides == Overrides::Detach {
            self.detach(split);
        }
        for dated in &mut self.list {
            let in_reach = dated.segment == segment && dated.wall >= split.from;
            if !in_reach || Self::is_over(dated, now) {
                continue;
            }
            dated.segment = into;
            if !dated.extra {
                dated.wall += split.shift;
            }
            dated.minutes = split.minutes.unwrap_or(dated.minutes);
            dated.therapist = split.therapist.unwrap_or(dated.therapist);
            // What was called off stays as it was called off; a session's row says that itself.
            if split.overrides == Overrides::Drop && (dated.real || !dated.cancelled) {
                dated.drop_own();
                dated.dropped = true;
            }
            if dated.real {
                Self::settle(dated);
            }
        }
    }

    /// Dates changed by hand leave the list of the series as they are, in the order of their dates,
    /// and each is an appointment of a segment of its own. The series has nothing in their places.
    fn detach(&mut self, split: Split) {
        let leaves = |index: &usize| {
            let dated = &self.list[*index];
            dated.segment == split.segment && dated.wall >= split.from && dated.is_changed()
        };
        let mut leaving: Vec<usize> = (0..self.list.len()).filter(leaves).collect();
        leaving.sort_by_key(|index| self.list[*index].wall);
        for (index, segment) in leaving.into_iter().zip(split.into + 1..) {
            let number = self.list.len();
            let left = &mut self.list[index];
            let mut alone = left.clone();
            left.drop_own();
            left.skipped = true;
            (alone.number, alone.segment) = (number, segment);
            alone.wall = alone.own.unwrap_or(alone.wall);
            alone.minutes = alone.own_minutes.unwrap_or(alone.minutes);
            alone.drop_own();
            self.list.push(alone);
        }
    }

    /// What takes place until a date, as (start, end, therapist).
    pub(super) fn shown(&self, until: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>, u128)> {
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
