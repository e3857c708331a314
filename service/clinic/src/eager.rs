//! What the same commands would have written in an eager design: one that keeps, for every future
//! date, a session, a slot of the therapist's and the placeholder of a meeting, a year ahead.
//!
//! It is what the meter compares with. `benches/src/eager` is such a design, on real databases; its
//! rows are those that are counted here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::intent::{Intent, IntentState};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::set::{OCCURRENCES_MAX, Occurrence};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{LocalDateTime, RecurrenceSet, Window};

use crate::{Change, Decision, Idempotent, View};

/// How far ahead it writes dates out.
pub const AHEAD: TimeDelta = TimeDelta::weeks(52);
/// The rows that it keeps of each.
pub const ROWS_PER_DATE: u64 = 3;

/// How many rows more than a decision commits, or fewer, it would have written for the same command.
#[must_use]
pub fn more_rows(view: &View, decision: &Decision, now: DateTime<Utc>) -> i64 {
    let Ok(Idempotent::Applied(commit)) = decision else {
        return 0;
    };
    let changes = &commit.changes;
    let has = |is: fn(&Change) -> bool| changes.iter().any(is);
    let makes = has(|change| matches!(change, Change::NewSession(_)));
    let opens = has(|change| matches!(change, Change::NewIntent(_)));
    if makes && opens {
        // One date to another therapist: three rows there and here.
        return 0;
    }
    let is_split = opens && has(|change| matches!(change, Change::Intent(_)));
    let dates = |count: u64| signed(count.saturating_mul(ROWS_PER_DATE));
    let mut more = 0;
    for change in changes {
        more += match change {
            // A split rewrites what is there, and its booking is one row still. Sessions that go
            // along are rows of ours too.
            Change::NewIntent(after) if is_split => {
                let along = |change: &&Change| matches!(change, Change::Rebound(one) if one.intent == after.id);
                let along = length(changes.iter().filter(along).count());
                rewritten(view, after, now, along) - 1
            }
            Change::NewIntent(after) => dates(ahead(&after.set, now)),
            // What is planned is written already, and it tops the year up by as much.
            Change::Intent(_) if makes => -1,
            Change::NewSession(_) => dates(1) - 1,
            Change::Intent(_) if is_split => 0,
            // What comes back from a segment that is taken back is counted where it comes to.
            Change::Intent(after) if after.state == IntentState::Withdrawn => -1,
            Change::Intent(after) => {
                let back = withdrawn(view, changes, now);
                let goes_on = after.state == IntentState::Active && back.is_none();
                changed(view, after, &back.unwrap_or_default(), now) - i64::from(goes_on)
            }
            Change::Session(after) | Change::Rebound(after) if has_moved(view, after) => 2,
            _ => 0,
        };
    }
    more
}

/// When something takes place.
type Time = (DateTime<Utc>, DateTime<Utc>);

fn times(dates: Option<BTreeMap<LocalDateTime, Occurrence>>) -> BTreeSet<Time> {
    let dates = dates.unwrap_or_default().into_values();
    dates.map(|one| (one.start, one.end)).collect()
}

/// If a split is taken back, when the dates of what is withdrawn are.
fn withdrawn(view: &View, changes: &[Change], now: DateTime<Utc>) -> Option<BTreeSet<Time>> {
    let mut intents = changes.iter().filter_map(|change| match change {
        Change::Intent(after) if after.state == IntentState::Withdrawn => Some(after.id),
        _ => None,
    });
    let gone = intents.next()?;
    let mut all = view.segments.iter().chain(&view.intent);
    let before = all.find(|before| before.id == gone);
    let dates = before.and_then(|before| within(&before.set, now, until(&before.set, now)));
    Some(times(dates))
}

/// The rows that it rewrites where a segment goes on: all of a date that has another time, else its
/// session and its slot.
fn rewritten(view: &View, after: &Intent, now: DateTime<Utc>, along: u64) -> i64 {
    let until = until(&after.set, now);
    let was = view.intent.as_ref();
    let was = times(was.and_then(|before| within(&before.set, now, until)));
    let Some(will) = within(&after.set, now, until) else {
        return signed(length(OCCURRENCES_MAX));
    };
    let rows = will.values().map(|one| rows_of(one, &was)).sum::<u64>();
    signed(rows.saturating_sub(along * ROWS_PER_DATE))
}

/// What it rewrites of a date: its meeting stays as it is if there was one at that time.
fn rows_of(date: &Occurrence, was: &BTreeSet<Time>) -> u64 {
    ROWS_PER_DATE - u64::from(was.contains(&(date.start, date.end)))
}

/// How many rows it would have written by now for the dates of a set alone: from its start to a year
/// ahead of now.
#[must_use]
pub fn rows_of_dates(set: &RecurrenceSet, now: DateTime<Utc>) -> u64 {
    let (start, _) = set.zone().resolve(set.start());
    let until = until(set, now);
    let dates = within(set, start.min(now), until);
    length(dates.map_or(OCCURRENCES_MAX, |dates| dates.len())) * ROWS_PER_DATE
}

fn until(set: &RecurrenceSet, now: DateTime<Utc>) -> DateTime<Utc> {
    let (start, _) = set.zone().resolve(set.start());
    (start.max(now) + AHEAD).min(END_OF_ZONE_DATA)
}

/// How many dates of a set it has written out.
fn ahead(set: &RecurrenceSet, now: DateTime<Utc>) -> u64 {
    let dates = within(set, now, until(set, now));
    length(dates.map_or(OCCURRENCES_MAX, |dates| dates.len()))
}

/// The rows of the dates that it has written out and that are different by another set, sessions left
/// out: they are rows of ours too. `back` is when those are that come back from another segment.
fn changed(view: &View, after: &Intent, back: &BTreeSet<Time>, now: DateTime<Utc>) -> i64 {
    let mut all = view.segments.iter().chain(&view.intent);
    let Some(before) = all.find(|before| before.id == after.id) else {
        return 0;
    };
    let until = until(&before.set, now);
    let (Some(was), Some(will)) = (
        within(&before.set, now, until),
        within(&after.set, now, until),
    ) else {
        return signed(length(OCCURRENCES_MAX).saturating_mul(ROWS_PER_DATE));
    };
    let real = view.known(after.id);
    let dates: BTreeSet<&LocalDateTime> = was.keys().chain(will.keys()).collect();
    let rows = dates
        .into_iter()
        .map(|at| match (was.get(at), will.get(at)) {
            _ if real.contains(at) => 0,
            (was, will) if was == will => 0,
            (_, Some(will)) => rows_of(will, back),
            (_, None) => ROWS_PER_DATE,
        });
    signed(rows.sum())
}

/// What takes place in a window; `None` if that is too much to be listed.
fn within(
    set: &RecurrenceSet,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Option<BTreeMap<LocalDateTime, Occurrence>> {
    let Ok(window) = Window::new(from, until) else {
        return Some(BTreeMap::new());
    };
    let found = set.overlapping(window).ok()?.into_iter();
    let found = found.filter(|one| !one.cancelled);
    Some(found.map(|one| (one.recurrence_id, one)).collect())
}

/// Whether a session has another time, another therapist, or no time any more: its slot and its
/// meeting would change with it.
fn has_moved(view: &View, after: &Session) -> bool {
    let mut known = view.sessions.iter().chain(&view.session);
    let Some(before) = known.find(|before| before.id == after.id) else {
        return false;
    };
    let place = |one: &Session| (one.starts_at, one.ends_at, one.therapist);
    let called_off =
        before.state.is_live() && matches!(after.state, SessionState::Cancelled { .. });
    place(before) != place(after) || called_off
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
