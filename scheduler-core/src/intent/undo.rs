//! Undoing the last change of an intent.

use chrono::{DateTime, Utc};

use super::command::{Event, Taken};
use super::edit::{Edited, Fate, SessionChange};
use super::error::IntentError;
use super::journal::{Record, fold};
use super::rebind::Rebinding;
use super::split::{Cut, Target, rebound};
use super::state::{Intent, IntentState};
use crate::pause::midnight;
use crate::session::Session;
use crate::{IntentId, LocalDateTime, Override, RecurrenceSet};

/// What undoing an intent's last change does. `records` are the journal of its series, in order;
/// `sessions` are those of the intent, and of the segments that the change opened, whose
/// recurrence-id is in reach of the change or has been overridden, and all that have not begun.
///
/// # Errors
/// [`IntentError`] if there is no change, the last one is of a session, something of it has begun since,
/// or what came of it has been changed since. Then nothing is changed.
pub fn undo(
    intent: &Intent,
    records: &[Record],
    sessions: &[Session],
    now: DateTime<Utc>,
) -> Result<Edited, IntentError> {
    if intent.state == IntentState::Withdrawn {
        return Err(IntentError::IllegalState {
            state: intent.state,
            command: "undo a change of",
        });
    }
    let own: Vec<&Record> = records
        .iter()
        .filter(|record| record.intent == intent.id)
        .collect();
    let Past {
        last,
        before,
        made_since,
    } = without_last(&own)?;
    let own_sessions: Vec<&Session> = sessions
        .iter()
        .filter(|session| session.intent == intent.id)
        .collect();
    let about = Cut {
        intent,
        sessions: &own_sessions,
        now,
    };
    let (from, to) = reach(&last.event, &before);
    for set in [&before.set, &intent.set] {
        refuse_begun(set, from, to, last.at, now)?;
    }
    refuse_begun_sessions(&own_sessions, from, to, last.at, now)?;
    let mut set = before.set.clone();
    let own_ids = own_sessions.iter().map(|session| session.recurrence_id);
    let mut real: Vec<LocalDateTime> = own_ids.collect();
    let mut as_it_was = set.clone();
    let overrides = &mut as_it_was.deviations_mut().overrides;
    overrides.retain(|at, _| !real.contains(at));
    overrides.extend(made_since);
    let mut changes = about.reconciled(&as_it_was);
    let mut withdrawn = Vec::new();
    match &last.event {
        Event::Split {
            at,
            into,
            detached,
            sessions: taken,
        } => {
            let back = Back {
                at: *at,
                into: *into,
                taken,
                since: last.at,
                now,
            };
            let (returned, returning) = back.sessions(&before, records, sessions)?;
            real.extend(returned);
            changes.extend(returning);
            withdrawn.push(*into);
            for id in detached {
                let overtaken = IntentError::Overtaken { recurrence_id: *at };
                if sessions.iter().any(|session| session.intent == *id) {
                    return Err(overtaken);
                }
                unchanged(records, *id).ok_or(overtaken)?;
                withdrawn.push(*id);
            }
        }
        Event::Skipped { recurrence_id }
        | Event::Added { recurrence_id }
        | Event::Rescheduled { recurrence_id, .. }
        | Event::Amended { recurrence_id, .. }
        | Event::Cancelled { recurrence_id }
            if about.has_session(*recurrence_id) =>
        {
            let recurrence_id = *recurrence_id;
            return Err(IntentError::Overtaken { recurrence_id });
        }
        _ => {}
    }
    // The journal has the overrides of sessions that came back from a segment that was taken back
    // before: they were made there, and their rows alone say what they are.
    for recurrence_id in real {
        set.deviations_mut().overrides.remove(&recurrence_id);
    }
    Ok(Edited {
        event: Event::Undone {
            set: Box::new(set),
            was: before.state,
            replan: now,
        },
        opened: Vec::new(),
        withdrawn,
        sessions: changes,
    })
}

/// The change of an intent that an undo would take back, with who made it and why.
#[must_use]
pub fn undoable(intent: IntentId, records: &[Record]) -> Option<&Record> {
    let own: Vec<&Record> = records
        .iter()
        .filter(|record| record.intent == intent)
        .collect();
    without_last(&own).ok().map(|past| past.last)
}

/// The change that the last undo of an intent took back.
#[must_use]
pub fn undone(intent: IntentId, records: &[Record]) -> Option<&Record> {
    let own = records.iter().filter(|record| record.intent == intent);
    let own: Vec<&Record> = own.collect();
    let is_undo = |record: &&Record| matches!(record.event, Event::Undone { .. });
    let undo = own.iter().rposition(is_undo)?;
    without_last(&own[..undo]).ok().map(|past| past.last)
}

/// What an undo goes back over.
struct Past<'a> {
    /// The last change that has not been undone.
    last: &'a Record,
    /// The intent without it.
    before: Intent,
    /// The overrides, at the time of the change, of occurrences that became sessions since. They
    /// have left the set, and say whether a pause that comes back leaves the session alone.
    made_since: Vec<(LocalDateTime, Override)>,
}

fn without_last<'a>(own: &[&'a Record]) -> Result<Past<'a>, IntentError> {
    let mut kept: Vec<&Record> = Vec::new();
    let changes = |record: &Record| {
        !matches!(
            record.event,
            Event::Materialized { .. }
                | Event::PlannedAgain { .. }
                | Event::Created(_)
                | Event::Withdrawn
        )
    };
    let last_change = |kept: &[&Record]| kept.iter().rposition(|record| changes(record));
    for record in own {
        match (&record.event, last_change(&kept)) {
            (Event::Undone { .. }, Some(index)) => drop(kept.remove(index)),
            (Event::Undone { .. }, None) => {}
            _ => kept.push(record),
        }
    }
    let index = last_change(&kept).ok_or(IntentError::NothingToUndo)?;
    let last = kept.remove(index);
    if let Event::SessionChanged {
        recurrence_id,
        kind,
    } = &last.event
    {
        return Err(IntentError::SessionChangedLast {
            recurrence_id: *recurrence_id,
            kind: kind.clone(),
        });
    }
    let since = kept[index..]
        .iter()
        .filter_map(|record| match &record.event {
            Event::Materialized { recurrence_ids, .. } => Some(recurrence_ids),
            _ => None,
        });
    let then = fold(kept[..index].iter().copied()).pop();
    let then = then.ok_or(IntentError::NothingToUndo)?;
    let overrides = &then.set.deviations().overrides;
    let made_since = since
        .flatten()
        .filter_map(|at| overrides.get(at).map(|changed| (*at, *changed)))
        .collect();
    let before = fold(kept).pop().ok_or(IntentError::NothingToUndo)?;
    Ok(Past {
        last,
        before,
        made_since,
    })
}

/// The recurrence-ids that an event is about, `[from, to)`.
fn reach(event: &Event, before: &Intent) -> (LocalDateTime, Option<LocalDateTime>) {
    let one = |at: LocalDateTime| (at, at.plus_seconds(1));
    match event {
        Event::Skipped { recurrence_id }
        | Event::Added { recurrence_id }
        | Event::Rescheduled { recurrence_id, .. }
        | Event::Amended { recurrence_id, .. }
        | Event::Cancelled { recurrence_id } => one(*recurrence_id),
        Event::Paused { pause } => (midnight(pause.from), pause.until.map(midnight)),
        Event::Resumed { from, .. } => {
            let until = before.set.deviations().pause_of(midnight(*from));
            let until = until.and_then(|pause| pause.until);
            (midnight(*from), until.map(midnight))
        }
        Event::Ended { from } => (*from, None),
        Event::Split { at, .. } => (*at, None),
        Event::Created(_)
        | Event::SessionChanged { .. }
        | Event::Undone { .. }
        | Event::Withdrawn
        | Event::PlannedAgain { .. }
        | Event::Materialized { .. } => (LocalDateTime::MAX, None),
    }
}

/// Refuses if one of the recurrence-ids has begun since the change, in effect. What began at the very
/// instant of the change had begun before it.
fn refuse_begun(
    set: &RecurrenceSet,
    from: LocalDateTime,
    to: Option<LocalDateTime>,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), IntentError> {
    let inside = |at: LocalDateTime| from <= at && to.is_none_or(|to| at < to);
    let compiled = set.compile();
    let overrides = &set.deviations().overrides;
    let mut generated = compiled.sequence().next(since.timestamp());
    while let Some(found) = generated.filter(|found| found.start() < now) {
        let at = found.start();
        if at > since
            && inside(found.recurrence_id)
            && !overrides.contains_key(&found.recurrence_id)
        {
            return Err(IntentError::Happened { at, now });
        }
        generated = compiled.sequence().next(found.unix + 1);
    }
    let begun = set.overridden().find(|occurrence| {
        inside(occurrence.recurrence_id)
            && !occurrence.cancelled
            && since < occurrence.start
            && occurrence.start < now
    });
    match begun {
        None => Ok(()),
        Some(begun) => Err(IntentError::Happened {
            at: begun.start,
            now,
        }),
    }
}

/// The same for sessions, whose rows alone say when they begin. One that was called off counts: its
/// time is over, and it could not come back.
fn refuse_begun_sessions(
    sessions: &[&Session],
    from: LocalDateTime,
    to: Option<LocalDateTime>,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), IntentError> {
    let begun = sessions.iter().find(|session| {
        let at = session.recurrence_id;
        from <= at
            && to.is_none_or(|to| at < to)
            && session.starts_at <= now
            && session.starts_at > since
    });
    match begun {
        None => Ok(()),
        Some(begun) => Err(IntentError::Happened {
            at: begun.starts_at,
            now,
        }),
    }
}

/// A segment as it is, if nobody has changed it.
fn unchanged(records: &[Record], id: IntentId) -> Option<Intent> {
    let own = records.iter().filter(|record| record.intent == id);
    let known = |record: &&Record| {
        matches!(
            record.event,
            Event::Created(_) | Event::Materialized { .. } | Event::PlannedAgain { .. }
        )
    };
    if !own.clone().all(|record| known(&record)) {
        return None;
    }
    fold(own).pop()
}

/// The segment that a split opened, as it is taken back.
struct Back<'a> {
    at: LocalDateTime,
    into: IntentId,
    taken: &'a [Taken],
    since: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl Back<'_> {
    /// The recurrence-ids, in the old segment, of the sessions that come back, and what becomes of
    /// them.
    fn sessions(
        &self,
        before: &Intent,
        records: &[Record],
        sessions: &[Session],
    ) -> Result<(Vec<LocalDateTime>, Vec<SessionChange>), IntentError> {
        let Self { since, now, .. } = *self;
        let overtaken = |recurrence_id| IntentError::Overtaken { recurrence_id };
        let opened = unchanged(records, self.into).ok_or(overtaken(self.at))?;
        refuse_begun(&opened.set, LocalDateTime::MIN, None, since, now)?;
        let there = sessions.iter();
        let there: Vec<&Session> = there.filter(|known| known.intent == self.into).collect();
        refuse_begun_sessions(&there, LocalDateTime::MIN, None, since, now)?;
        let map = Rebinding::new(&opened.set, LocalDateTime::MIN, &before.set, self.at);
        let target = Target {
            id: before.id,
            therapist: before.therapist,
            service: before.service,
            set: &before.set,
            regular: false,
            taken: Some(self.taken),
        };
        let mut returned = Vec::new();
        let mut changes = Vec::new();
        for session in there {
            let mut taken = self.taken.iter();
            if taken.any(|taken| taken.session == session.id && !taken.is_unmoved(session)) {
                return Err(overtaken(session.recurrence_id));
            }
            for change in rebound(session, &opened.set, &map, &target, now) {
                if let Fate::Rebind(to) = change.fate {
                    if to.starts_at <= now {
                        let at = to.starts_at;
                        return Err(IntentError::Happened { at, now });
                    }
                    returned.push(to.recurrence_id);
                }
                changes.push(change);
            }
        }
        Ok((returned, changes))
    }
}
