use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::ground::{Ground, refuses_in_series};
use super::policy::SlotPolicy;
use crate::availability::Availability;
use crate::bulk::Due;
use crate::calendar::{Busy, Calendar, Pattern};
use crate::proof::{COMPARED_MAX, Candidate, Obstacle, instant};
use crate::set::SetError;
use crate::zone::END_OF_ZONE_DATA;
use crate::{IntentId, LocalDateTime, Window};

/// The most dates of a series that are looked at.
pub const DATES_ASKED_MAX: usize = 200;
/// How far from a date another is looked for.
const REACH: TimeDelta = TimeDelta::days(3);
/// How much is computed at once.
const YEAR_SECONDS: i64 = 366 * 24 * 3600;

/// A date of a series that is not free. It can be skipped, or moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Which.
    pub recurrence_id: LocalDateTime,
    /// When it would start.
    pub start: DateTime<Utc>,
    /// What is in its way.
    pub obstacles: Vec<Obstacle>,
    /// The nearest start that is free, in the wall time of the series' zone; of two at the same
    /// distance the earlier. `None` if there is none within three days.
    pub instead: Option<LocalDateTime>,
}

/// How many of the first dates of a series are free, and what to do about the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternatives {
    /// How many were looked at.
    pub of: usize,
    /// How many of them are free.
    pub free: usize,
    /// The others, by start.
    pub dates: Vec<Alternative>,
}

/// Looks at the first dates of a series, at most `count` and at most [`DATES_ASKED_MAX`].
///
/// The proposals are free beside each other and beside all dates of the series, moved or not, so
/// that any of them can be taken. Booking window and step are not asked of the series' own dates;
/// lengths and buffers are the candidate's.
///
/// # Errors
/// [`SetError`] if it is beyond what a set or a calendar can compute.
pub fn alternatives(
    candidate: Candidate<'_>,
    calendar: &Calendar,
    availability: &Availability,
    policy: SlotPolicy,
    now: DateTime<Utc>,
    count: usize,
) -> Result<Alternatives, SetError> {
    let policy = policy.with_buffers(candidate.buffers);
    let pattern = Pattern::new(candidate.set, candidate.buffers);
    let dates = first_dates(&pattern, candidate.from, count.min(DATES_ASKED_MAX))?;
    let mut proposed: Vec<Busy> = Vec::new();
    let mut found = Alternatives {
        of: dates.len(),
        free: 0,
        dates: Vec::new(),
    };
    for due in &dates {
        let start = instant(due.starts);
        let around = Window::new(start - REACH, (start + REACH).min(END_OF_ZONE_DATA));
        let around = around.map_err(|_| SetError::BeyondZoneData { end: start })?;
        let length = due.ends - due.starts;
        let minutes = u32::try_from(length / 60).unwrap_or(u32::MAX);
        let policy = policy.lasting(minutes);
        let mut ground = Ground::new(calendar, availability, policy, now, around)?;
        let mut obstacles = ground.obstacles(start);
        obstacles.retain(|obstacle| {
            refuses_in_series(obstacle) && !matches!(obstacle, Obstacle::OffStep { .. })
        });
        let beside = beside(&pattern, due, around)?;
        let block = candidate.buffers.around(due.starts, due.ends);
        let earlier = beside
            .iter()
            .filter(|busy| (busy.starts, busy.with.1) < (due.starts, due.recurrence_id));
        let overlapped = earlier.filter(|busy| busy.meets(block));
        obstacles.extend(overlapped.map(|busy| Obstacle::Itself {
            recurrence_id: busy.with.1,
        }));
        if obstacles.is_empty() {
            found.free += 1;
            continue;
        }
        ground.rearrange(|_| true, &beside);
        ground.rearrange(|_| true, &proposed);
        let instead = nearest(&ground, candidate, (start, due.ends - due.starts), around);
        if let Some((starts, _)) = instead {
            let with = (IntentId(Uuid::nil()), due.recurrence_id);
            proposed.push(busy(&pattern, with, (starts, starts + length)));
        }
        found.dates.push(Alternative {
            recurrence_id: due.recurrence_id,
            start,
            obstacles,
            instead: instead.map(|(_, wall)| wall),
        });
    }
    Ok(found)
}

/// The occurrences that are not over at `from`, in order.
fn first_dates(pattern: &Pattern, from: DateTime<Utc>, count: usize) -> Result<Vec<Due>, SetError> {
    let mut dates = Vec::new();
    let mut budget = COMPARED_MAX;
    let begin = from.timestamp();
    let mut from = begin - pattern.length() + 1;
    while dates.len() < count && from < END_OF_ZONE_DATA.timestamp() {
        let near = pattern.starting_in(from, from + YEAR_SECONDS, &mut budget)?;
        dates.extend(near.into_iter().filter(|due| due.ends > begin));
        from += YEAR_SECONDS;
    }
    dates.truncate(count);
    Ok(dates)
}

/// The other dates of the series about a window.
fn beside(pattern: &Pattern, own: &Due, window: Window) -> Result<Vec<Busy>, SetError> {
    let reach = 2 * pattern.block();
    let (from, to) = (window.start().timestamp(), window.end().timestamp());
    let mut budget = COMPARED_MAX;
    let near = pattern.starting_in(from - reach, to + reach, &mut budget)?;
    let others = near.into_iter().filter(|due| due != own);
    let with = |due: &Due| (IntentId(Uuid::nil()), due.recurrence_id);
    Ok(others
        .map(|due| busy(pattern, with(&due), (due.starts, due.ends)))
        .collect())
}

fn busy(pattern: &Pattern, with: (IntentId, LocalDateTime), (starts, ends): (i64, i64)) -> Busy {
    Busy {
        with,
        starts,
        ends,
        buffers: pattern.buffers,
    }
}

/// The free start nearest to a date, as a wall time that means it.
fn nearest(
    ground: &Ground<'_>,
    candidate: Candidate<'_>,
    (date, length): (DateTime<Utc>, i64),
    around: Window,
) -> Option<(i64, LocalDateTime)> {
    // Nothing can be moved past what is known of time zones.
    let known = END_OF_ZONE_DATA - TimeDelta::seconds(length);
    let zone = candidate.set.zone();
    let mut starts = Vec::new();
    ground.each_step(around, |start| starts.push(start));
    starts.sort_by_key(|start| ((*start - date).abs(), *start));
    let mut possible = starts.into_iter().filter_map(|start| {
        let wall = zone.local(start);
        // The second time in a fold has no wall time of its own.
        (zone.resolve(wall).0 == start && start <= known).then_some((start, wall))
    });
    let (start, wall) = possible.find(|(start, _)| ground.is_free_in_series(*start))?;
    Some((start.timestamp(), wall))
}
