//! A plain list of dated appointments, edited by loops.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scheduler_core::intent::{self, NewIntent, Opened};
use scheduler_core::{ClientId, IntentId, LocalDateTime, RecurrenceSet, ServiceId, TherapistId};
use uuid::Uuid;

use crate::zone_laws::resolve;

const ZONE: &str = "Europe/London";

/// A booking: every `interval` days at one time, so often or without an end.
#[derive(Debug, Clone)]
pub(super) struct Booking {
    pub(super) date: NaiveDate,
    pub(super) hour: u32,
    pub(super) weekly: bool,
    pub(super) interval: u64,
    pub(super) count: Option<u32>,
}

pub(super) fn booking() -> impl Strategy<Value = Booking> {
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
pub(super) struct Dated {
    /// Never changes: which appointment it is.
    pub(super) number: usize,
    /// Added by hand.
    pub(super) extra: bool,
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
}

#[derive(Debug, Clone, Default)]
pub(super) struct Oracle {
    pub(super) list: Vec<Dated>,
    /// By segment.
    pub(super) pauses: Vec<(usize, NaiveDate, Option<NaiveDate>)>,
    pub(super) ended: BTreeMap<usize, NaiveDateTime>,
}

pub(super) fn instant(wall: NaiveDateTime) -> DateTime<Utc> {
    resolve(ZONE.parse().unwrap(), wall).0
}

pub(super) const DAYS_WORKED_OUT: u64 = 1500;

impl Booking {
    pub(super) fn list(&self) -> Vec<Dated> {
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

    pub(super) fn intent(&self, now: DateTime<Utc>) -> Opened {
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
    pub(super) fn paused(&self, dated: &Dated) -> bool {
        let date = dated.wall.date();
        self.pauses.iter().any(|(segment, from, until)| {
            *segment == dated.segment && date >= *from && until.is_none_or(|until| date < until)
        })
    }

    pub(super) fn start(dated: &Dated) -> DateTime<Utc> {
        instant(dated.own.unwrap_or(dated.wall))
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
        change(self);
        for (index, (was, own)) in was.into_iter().enumerate() {
            // One that somebody has moved is not called off because the rule now comes to its time.
            let as_moved = Dated {
                own,
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

    /// From an appointment's wall time on, another segment.
    pub(super) fn split(
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
