use std::ops::ControlFlow;

use chrono::{DateTime, Utc};

use super::policy::SlotPolicy;
use crate::availability::Availability;
use crate::calendar::{Busy, Calendar};
use crate::epoch::{midnight, split};
use crate::proof::{Obstacle, instant};
use crate::set::SetError;
use crate::window::ceiling;
use crate::zone::END_OF_ZONE_DATA;
use crate::{LocalDateTime, Window};

/// What is there in a window: everything that may be in the way of a slot that starts in it,
/// computed once.
///
/// [`each_obstacle`](Self::each_obstacle) is the only place that knows what refuses a slot. A search
/// stops at the first obstacle, an explanation goes through all.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    policy: SlotPolicy,
    now: DateTime<Utc>,
    availability: &'a Availability,
    blackouts: Vec<Window>,
    /// By start.
    busy: Vec<Busy>,
    /// The longest block of them, in seconds.
    longest: i64,
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        calendar: &Calendar,
        availability: &'a Availability,
        policy: SlotPolicy,
        now: DateTime<Utc>,
        starts: Window,
    ) -> Result<Self, SetError> {
        if starts.end() > END_OF_ZONE_DATA {
            return Err(SetError::BeyondZoneData { end: starts.end() });
        }
        let length = 60 * i64::from(policy.minutes());
        let (from, to) = (starts.start().timestamp(), ceiling(starts.end()) + length);
        let away = availability.blackouts().iter().copied();
        let blackouts =
            away.filter(|away| away.start() < instant(to) && starts.start() < away.end());
        let (from, to) = policy.buffers().around(from, to);
        let mut ground = Self {
            policy,
            now,
            availability,
            blackouts: blackouts.collect(),
            busy: calendar.busy_in(from, to)?,
            longest: 0,
        };
        ground.measure();
        Ok(ground)
    }

    /// Takes an appointment away, and puts others in its place.
    pub(super) fn rearrange(&mut self, keep: impl Fn(&Busy) -> bool, more: &[Busy]) {
        self.busy.retain(keep);
        self.busy.extend(more);
        self.busy
            .sort_unstable_by_key(|busy| (busy.starts, busy.with));
        self.measure();
    }

    fn measure(&mut self) {
        let blocks = self.busy.iter().map(|busy| {
            let (starts, ends) = busy.buffers.around(busy.starts, busy.ends);
            ends - starts
        });
        self.longest = blocks.max().unwrap_or(0);
    }

    pub(super) fn is_free(&self, start: DateTime<Utc>) -> bool {
        self.each_obstacle(start, |_| ControlFlow::Break(()))
            .is_continue()
    }

    /// Whether it is free as a date of a series ([`refuses_in_series`]).
    pub(super) fn is_free_in_series(&self, start: DateTime<Utc>) -> bool {
        let found = self.each_obstacle(start, |obstacle| {
            if refuses_in_series(&obstacle) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        found.is_continue()
    }

    pub(super) fn obstacles(&self, start: DateTime<Utc>) -> Vec<Obstacle> {
        let mut found = Vec::new();
        let _ = self.each_obstacle(start, |obstacle| {
            found.push(obstacle);
            ControlFlow::Continue(())
        });
        found
    }

    /// Everything that refuses a slot that starts here, until `f` has enough.
    fn each_obstacle(
        &self,
        start: DateTime<Utc>,
        mut f: impl FnMut(Obstacle) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let earliest = self.policy.earliest(self.now);
        if start < earliest {
            f(Obstacle::Notice { earliest })?;
        }
        if let Some(until) = self.policy.until(self.now).filter(|until| start >= *until) {
            f(Obstacle::BookingWindow { until })?;
        }
        let step = self.policy.step();
        let zone = self.availability.zone();
        let wall = zone.local(start);
        if !is_on_step(wall, step) || start.timestamp_subsec_nanos() > 0 {
            f(Obstacle::OffStep { step })?;
        }
        let starts = start.timestamp();
        let ends = ceiling(start) + 60 * i64::from(self.policy.minutes());
        if !self.availability.covers(starts, ends) {
            f(Obstacle::OutsideHours)?;
        }
        for away in &self.blackouts {
            if away.overlaps(start, instant(ends)) {
                f(Obstacle::blackout(*away))?;
            }
        }
        let block = self.policy.buffers().around(starts, ends);
        // One whose appointment starts further back than the longest block is over.
        let first = self
            .busy
            .partition_point(|busy| busy.starts + self.longest <= block.0);
        let near = self.busy[first..].iter();
        for busy in near.take_while(|busy| busy.starts - self.longest < block.1) {
            if busy.meets(block) {
                f(Obstacle::busy(busy))?;
            }
        }
        // Last, as it is rarely so and takes longest to find.
        let (first, _) = zone.resolve(wall);
        if first.timestamp() != starts {
            f(Obstacle::Repeated { first })?;
        }
        ControlFlow::Continue(())
    }

    /// The starts in a window that are on a step of the therapist's wall clock, in order.
    pub(super) fn each_step(&self, starts: Window, mut f: impl FnMut(DateTime<Utc>)) {
        let table = self.availability.zone().transitions();
        let (from, to) = (ceiling(starts.start()), ceiling(starts.end()));
        let spans = table.spans()[table.at(from)..].iter();
        for span in spans.take_while(|span| span.from < to) {
            let low = from.max(span.from) + span.shift;
            let high = to.min(span.to) + span.shift;
            let (mut day, _) = split(low);
            while midnight(day) < high {
                for minute in (0..24 * 60).step_by(usize::from(self.policy.step())) {
                    let wall = midnight(day) + 60 * minute;
                    if (low..high).contains(&wall) {
                        f(instant(wall - span.shift));
                    }
                }
                day += 1;
            }
        }
    }
}

/// Whether it refuses a date of a series too. A series is booked by its first date, so that later
/// ones may be far ahead; and its dates are wall times of its own zone, whatever the therapist's
/// clock shows.
pub(super) fn refuses_in_series(obstacle: &Obstacle) -> bool {
    !matches!(
        obstacle,
        Obstacle::BookingWindow { .. } | Obstacle::Repeated { .. }
    )
}

fn is_on_step(wall: LocalDateTime, step: u16) -> bool {
    let second = wall.seconds().rem_euclid(24 * 3600);
    second % (60 * i64::from(step)) == 0
}
