use std::ops::Range;
use std::rc::Rc;

use super::clashes::{Met, With, instant};
use super::suspects::Suspects;
use super::{COMPARED_MAX, Candidate};
use crate::availability::Availability;
use crate::bulk::Due;
use crate::calendar::{Buffers, Busy, Calendar, Pattern};
use crate::epoch::SECONDS_PER_DAY;
use crate::rule::{Beat, Block};
use crate::set::SetError;
use crate::window::ceiling;
use crate::zone::END_OF_ZONE_DATA;

use chrono::{DateTime, Utc};

/// Once stretches of this length together were asked for, they are looked up in the candidate's
/// whole life, which is computed once.
const LONG_SECONDS: i64 = 366 * SECONDS_PER_DAY;

/// The comparison of one candidate with everything.
pub(super) struct Search<'a> {
    candidate: Pattern,
    /// The same without buffers: hours and blackouts are not about them.
    bare: Pattern,
    /// The beginning: what is over by then is not compared.
    from: i64,
    /// The first start that may not be over at the beginning, and the first that is too late.
    span: (i64, i64),
    reach: i64,
    calendar: &'a Calendar,
    availability: &'a Availability,
    budget: usize,
    /// How long the stretches were that were asked for so far, in seconds.
    asked: i64,
    /// The candidate's whole life, once it is needed.
    life: Option<Rc<Vec<Due>>>,
    periodic: bool,
}

/// Some of the candidate's occurrences, by start.
struct Own {
    found: Rc<Vec<Due>>,
    range: Range<usize>,
    is_life: bool,
}

impl Own {
    fn as_slice(&self) -> &[Due] {
        &self.found[self.range.clone()]
    }

    fn each(&self) -> impl Iterator<Item = (usize, &Due)> {
        self.as_slice().iter().enumerate()
    }

    fn met<'a>(&self, index: usize, due: &'a Due, with: With<'a>) -> Met<'a> {
        let place = self.is_life.then_some(self.range.start + index);
        Met { due, place, with }
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(
        candidate: Candidate<'_>,
        until: DateTime<Utc>,
        calendar: &'a Calendar,
        availability: &'a Availability,
    ) -> Self {
        let bare = Pattern::new(candidate.set, Buffers::NONE);
        let pattern = Pattern::new(candidate.set, candidate.buffers);
        let blocks = calendar.kept().iter().map(|kept| kept.pattern.block());
        let longest = blocks.max().unwrap_or(0).max(pattern.block());
        let from = candidate.from.timestamp();
        Self {
            from,
            span: (from - bare.length() + 1, ceiling(until)),
            reach: pattern.block() + longest,
            candidate: pattern,
            bare,
            calendar,
            availability,
            budget: COMPARED_MAX,
            asked: 0,
            life: None,
            periodic: false,
        }
    }

    pub(super) fn run(&mut self, f: &mut impl FnMut(Met<'_>)) -> Result<(), SetError> {
        let candidate = self.candidate.clone();
        let mut suspects = Suspects::new(&candidate, self.span, self.reach);
        self.sessions(&suspects, f)?;
        for (index, kept) in self.calendar.kept().iter().enumerate() {
            let windows = suspects.with_pattern(&kept.pattern);
            self.intent(index, &windows, f)?;
        }
        let windows = suspects.with_itself();
        self.itself(&windows, f)?;
        self.hours(&mut suspects, f)?;
        self.blackouts(&suspects, f)?;
        self.periodic = !suspects.met;
        Ok(())
    }

    /// The candidate's whole life, if it was needed.
    pub(super) fn life(&self) -> &[Due] {
        self.life.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether nothing that was compared depends on how far it was looked.
    pub(super) fn holds_forever(&self) -> bool {
        let zone = self.candidate.zone();
        let kept = self.calendar.kept().iter().map(|kept| &kept.pattern);
        let end = END_OF_ZONE_DATA.timestamp();
        let mut patterns = kept.chain([&self.candidate]);
        let blackouts = self.availability.blackouts();
        let dated = self.availability.dated().keys().next_back();
        self.periodic
            && zone.transitions().spans().len() == 1
            && self.availability.zone() == zone
            && patterns.all(|pattern| {
                let extra = pattern.extras.last();
                // What begins only after the zone data has no life here, and is not empty.
                pattern.zone() == zone
                    && (pattern.life.is_some() || pattern.compiled.is_empty())
                    && extra.is_none_or(|last| *last < end - SECONDS_PER_DAY)
            })
            && blackouts.iter().all(|away| away.end() < END_OF_ZONE_DATA)
            && dated.is_none_or(|last| *last < END_OF_ZONE_DATA.date_naive())
    }

    /// The candidate's occurrences that start in a stretch and take place, by start.
    fn own(&mut self, (from, to): (i64, i64)) -> Result<Own, SetError> {
        self.asked += to - from;
        let life = match &self.life {
            Some(life) => Rc::clone(life),
            None if self.asked <= LONG_SECONDS => {
                let found = self.own_from(from, to)?;
                let range = 0..found.len();
                return Ok(Own {
                    found,
                    range,
                    is_life: false,
                });
            }
            None => {
                let (from, to) = self.span;
                let life = self.own_from(from, to)?;
                self.life = Some(Rc::clone(&life));
                life
            }
        };
        let from = life.partition_point(|due| due.starts < from);
        let to = life.partition_point(|due| due.starts < to);
        Ok(Own {
            found: life,
            range: from..to.max(from),
            is_life: true,
        })
    }

    fn own_from(&mut self, from: i64, to: i64) -> Result<Rc<Vec<Due>>, SetError> {
        let mut found = self.candidate.starting_in(from, to, &mut self.budget)?;
        found.retain(|due| due.ends > self.from);
        Ok(Rc::new(found))
    }

    fn sessions(
        &mut self,
        suspects: &Suspects<'_>,
        f: &mut impl FnMut(Met<'_>),
    ) -> Result<(), SetError> {
        let (before, after) = self.candidate.buffers.seconds();
        let length = self.candidate.length();
        for busy in self.calendar.sessions() {
            let (starts, ends) = busy.buffers.around(busy.starts, busy.ends);
            // The starts whose block reaches into the session's.
            let starts = starts - length - after + 1;
            for window in suspects.merged(vec![(starts, ends + before)]) {
                let own = self.own(window)?;
                for (index, due) in own.each() {
                    if busy.meets(self.block(due)) {
                        f(own.met(index, due, With::Busy(busy)));
                    }
                }
            }
        }
        Ok(())
    }

    fn intent(
        &mut self,
        index: usize,
        windows: &[(i64, i64)],
        f: &mut impl FnMut(Met<'_>),
    ) -> Result<(), SetError> {
        let kept = &self.calendar.kept()[index];
        // How far apart two starts can be, of which one block overlaps the other.
        let reach = self.candidate.block() + kept.pattern.block();
        let (before, after) = self.candidate.buffers.seconds();
        for &window in windows {
            let own = self.own(window)?;
            let slice = own.as_slice();
            let (Some(first), Some(last)) = (slice.first(), slice.last()) else {
                continue;
            };
            let (from, to) = (first.starts - reach + 1, last.starts + reach);
            let budget = &mut self.budget;
            let mut begin = 0;
            kept.pattern.each_starting_in(from, to, budget, |other| {
                let near = |due: &Due| due.starts <= other.starts - reach;
                while slice.get(begin).is_some_and(near) {
                    begin += 1;
                }
                if !kept.is_virtual(other.recurrence_id) {
                    return;
                }
                let busy = Busy {
                    with: (kept.id, other.recurrence_id),
                    starts: other.starts,
                    ends: other.ends,
                    buffers: kept.pattern.buffers,
                };
                let (starts, ends) = busy.buffers.around(busy.starts, busy.ends);
                // The appointment of a candidate whose block overlaps that.
                let (starts, ends) = (starts - after, ends + before);
                let near = slice.iter().enumerate().skip(begin);
                for (index, due) in near.take_while(|(_, due)| due.starts < ends) {
                    if starts < due.ends {
                        f(own.met(index, due, With::Busy(&busy)));
                    }
                }
            })?;
        }
        Ok(())
    }

    fn itself(
        &mut self,
        windows: &[(i64, i64)],
        f: &mut impl FnMut(Met<'_>),
    ) -> Result<(), SetError> {
        for &(from, to) in windows {
            let budget = &mut self.budget;
            let own = self.candidate.starting_in(from - self.reach, to, budget)?;
            let mut begin = 0;
            let first = own.partition_point(|due| due.starts < from);
            for (index, due) in own.iter().enumerate().skip(first) {
                while own[begin].starts <= due.starts - self.reach {
                    begin += 1;
                }
                if due.ends <= self.from {
                    continue;
                }
                let (starts, _) = self.block(due);
                for earlier in &own[begin..index] {
                    if self.block(earlier).1 > starts {
                        let with = With::Itself(earlier.recurrence_id);
                        f(Met {
                            due,
                            place: None,
                            with,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn hours(
        &mut self,
        suspects: &mut Suspects<'_>,
        f: &mut impl FnMut(Met<'_>),
    ) -> Result<(), SetError> {
        let closed = self.availability.closed_in_week();
        let closed = closed
            .into_iter()
            .map(|(phase, length)| Block { phase, length });
        let closed = Beat::new(7 * SECONDS_PER_DAY, closed.collect());
        let zone = self.availability.zone();
        let mut windows = suspects.with_week(self.bare.beats.as_deref(), closed, zone);
        windows.extend(self.availability.around_dates());
        for window in suspects.merged(windows) {
            let own = self.own(window)?;
            for (index, due) in own.each() {
                if !self.availability.covers(due.starts, due.ends) {
                    f(own.met(index, due, With::OutsideHours));
                }
            }
        }
        Ok(())
    }

    fn blackouts(
        &mut self,
        suspects: &Suspects<'_>,
        f: &mut impl FnMut(Met<'_>),
    ) -> Result<(), SetError> {
        for &blackout in self.availability.blackouts() {
            let from = blackout.start().timestamp() - self.bare.length();
            for window in suspects.merged(vec![(from, ceiling(blackout.end()))]) {
                let own = self.own(window)?;
                for (index, due) in own.each() {
                    if blackout.overlaps(instant(due.starts), instant(due.ends)) {
                        f(own.met(index, due, With::Blackout(blackout)));
                    }
                }
            }
        }
        Ok(())
    }

    fn block(&self, due: &Due) -> (i64, i64) {
        self.candidate.buffers.around(due.starts, due.ends)
    }
}
