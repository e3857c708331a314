use chrono::{DateTime, NaiveDate, Utc};

use super::command::{Edit, Event, Opened};
use super::error::IntentError;
use super::evolve::{evolve, resumed};
use super::split::{Cut, amend, reassign, split};
use super::state::{Intent, IntentState};
use crate::pause::midnight;
use crate::session::{Binding, Command as SessionCommand, Party, Session, SessionState};
use crate::set::Lookup;
use crate::{Idempotent, IntentId, LocalDateTime, Pause, RecurrenceSet, SessionId};

/// What an edit comes to, all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// What happens to the intent.
    pub event: Event,
    /// The segments it opens: the one that goes on first, then what was detached.
    pub opened: Vec<Opened>,
    /// The segments that an undo withdraws: to each happens [`Event::Withdrawn`].
    pub withdrawn: Vec<IntentId>,
    /// What becomes of the sessions that exist, in the order in which it happens.
    pub sessions: Vec<SessionChange>,
}

/// What an edit does to one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionChange {
    /// Which.
    pub session: SessionId,
    /// What.
    pub fate: Fate,
}

/// What becomes of a session when its intent is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It becomes an occurrence of another segment, as the same row.
    Rebind(Binding),
    /// It is called off. Whether that is late is the caller's policy.
    CallOff,
    /// It takes place again, as the same row, with a new hold.
    Reopen,
}

impl Fate {
    /// The session machine's command for it.
    #[must_use]
    pub fn command(&self, by: Party, late: bool) -> SessionCommand {
        match *self {
            Self::Rebind(to) => SessionCommand::Rebind(to),
            Self::CallOff => SessionCommand::CallOff { by, late },
            Self::Reopen => SessionCommand::Reopen,
        }
    }
}

/// What an edit does to an intent and its sessions. `sessions` are those of the intent whose
/// recurrence-id is not before the edit's first date, and all that have not begun.
///
/// # Errors
/// [`IntentError`], and then nothing is changed.
pub fn edit(
    intent: &Intent,
    sessions: &[Session],
    edit: &Edit,
    now: DateTime<Utc>,
) -> Result<Idempotent<Edited>, IntentError> {
    let command = match edit {
        Edit::Amend { .. } => "amend",
        Edit::Split { .. } => "split",
        Edit::Reassign { .. } => "reassign",
        Edit::Pause(_) => "pause",
        Edit::Resume { .. } => "resume",
        Edit::End { .. } => "end",
    };
    if intent.state == IntentState::Withdrawn {
        let state = intent.state;
        return Err(IntentError::IllegalState { state, command });
    }
    let sessions: Vec<&Session> = sessions
        .iter()
        .filter(|session| session.intent == intent.id)
        .collect();
    let about = Cut {
        intent,
        sessions: &sessions,
        now,
    };
    match edit {
        Edit::Amend {
            into,
            changes,
            overrides,
        } => amend(about, *into, changes, *overrides),
        Edit::Split {
            at,
            into,
            changes,
            overrides,
        } => split(about, *at, *into, changes, *overrides),
        Edit::Reassign { from, to, into } => reassign(about, *from, *to, *into),
        Edit::Pause(wanted) => pause(about, *wanted),
        Edit::Resume { from } => resume(about, *from),
        Edit::End { from } => end(about, *from),
    }
}

fn pause(about: Cut<'_>, wanted: Pause) -> Result<Idempotent<Edited>, IntentError> {
    let set = &about.intent.set;
    let mut pauses = set.deviations().pauses.clone();
    if pauses.contains(&wanted) {
        return Ok(Idempotent::AlreadyApplied);
    }
    pauses.push(wanted);
    pauses.sort_by_key(|pause| pause.from);
    let mut deviations = set.deviations().clone();
    deviations.pauses = pauses;
    set.clone().with_deviations(deviations)?;
    about.refuse_past(set, midnight(wanted.from), wanted.until.map(midnight))?;
    Ok(about.edited(Event::Paused { pause: wanted }))
}

fn resume(about: Cut<'_>, from: NaiveDate) -> Result<Idempotent<Edited>, IntentError> {
    let set = &about.intent.set;
    let pauses = &set.deviations().pauses;
    let covered = pauses
        .iter()
        .find(|pause| pause.from <= from && pause.until.is_none_or(|until| from < until));
    let Some(pause) = covered else {
        return Err(IntentError::NotPaused { date: from });
    };
    let mut deviations = set.deviations().clone();
    deviations.pauses = resumed(pauses, from);
    let after = set.clone().with_deviations(deviations)?;
    about.refuse_past(&after, midnight(from), pause.until.map(midnight))?;
    let (at, _) = set.zone().resolve(midnight(from));
    let replan = at.max(about.now);
    Ok(about.edited(Event::Resumed { from, replan }))
}

fn end(about: Cut<'_>, from: NaiveDate) -> Result<Idempotent<Edited>, IntentError> {
    let set = &about.intent.set;
    let from = midnight(from);
    if set.deviations().ends.is_some_and(|ends| ends <= from) {
        return Ok(Idempotent::AlreadyApplied);
    }
    about.refuse_past(set, from, None)?;
    let moved = set
        .overridden()
        .find(|moved| moved.recurrence_id >= from && moved.start < about.now && !moved.cancelled);
    if let Some(moved) = moved {
        return Err(IntentError::Past {
            at: moved.start,
            now: about.now,
        });
    }
    Ok(about.edited(Event::Ended { from }))
}

impl Cut<'_> {
    /// An edit that opens no segment.
    fn edited(self, event: Event) -> Idempotent<Edited> {
        let after = evolve(self.intent.clone(), &event);
        Idempotent::Applied(Edited {
            event,
            opened: Vec::new(),
            withdrawn: Vec::new(),
            sessions: self.reconciled(&after.set),
        })
    }

    /// Refuses a change of dates in `[from, to)` of which one has begun without a session or an
    /// override: it would change the past.
    pub(super) fn refuse_past(
        self,
        set: &RecurrenceSet,
        from: LocalDateTime,
        to: Option<LocalDateTime>,
    ) -> Result<(), IntentError> {
        let compiled = set.compile();
        let first = set.zone().resolve(from).0.timestamp();
        let mut next = compiled.sequence().next(first);
        while let Some(found) = next.filter(|found| found.start() < self.now) {
            let at = found.recurrence_id;
            let inside = from <= at && to.is_none_or(|to| at < to);
            let overridden = set.deviations().overrides.contains_key(&at);
            if to.is_some_and(|to| at >= to) {
                break;
            }
            if inside && !overridden && !self.has_session(at) {
                let (at, now) = (found.start(), self.now);
                return Err(IntentError::Past { at, now });
            }
            next = compiled.sequence().next(found.unix + 1);
        }
        Ok(())
    }

    pub(super) fn has_session(self, at: LocalDateTime) -> bool {
        self.sessions
            .iter()
            .any(|session| session.recurrence_id == at)
    }

    /// What becomes of the sessions when the set becomes another with the same wall times.
    pub(super) fn reconciled(self, after: &RecurrenceSet) -> Vec<SessionChange> {
        let fate = |session: &&Session| {
            let at = session.recurrence_id;
            let moved = session.is_moved();
            let was = takes_place(self.intent.set.lookup(at), moved);
            let is = takes_place(after.lookup(at), moved);
            let fate = turned(session, was, is, self.now)?;
            let session = session.id;
            Some(SessionChange { session, fate })
        };
        self.sessions.iter().filter_map(fate).collect()
    }
}

/// What becomes of a session when it took place by its set (`was`), and does by another (`is`).
pub(super) fn turned(session: &Session, was: bool, is: bool, now: DateTime<Utc>) -> Option<Fate> {
    if session.starts_at <= now || was == is {
        return None;
    }
    match session.state {
        SessionState::Scheduled | SessionState::Unfunded | SessionState::Case { .. } if !is => {
            Some(Fate::CallOff)
        }
        SessionState::Cancelled {
            with_intent: true, ..
        } if is => Some(Fate::Reopen),
        _ => None,
    }
}

/// Whether a session takes place by what a set says of it. One that was moved by hand stays in a
/// pause, as an override does.
pub(super) fn takes_place(lookup: Lookup, moved: bool) -> bool {
    match lookup {
        Lookup::Occurrence(occurrence) => !occurrence.cancelled,
        Lookup::Paused => moved,
        Lookup::Excluded | Lookup::NotGenerated => false,
    }
}
