use std::collections::{BTreeMap, BTreeSet};

use super::once_a_minute;
use super::pattern::{Buffers, Pattern};
use crate::intent::Intent;
use crate::session::Session;
use crate::set::{RecurrenceSet, SetError};
use crate::window::ceiling;
use crate::{IntentId, LocalDateTime, ServiceId};

/// Everything that takes somebody's time, for good: every intent as its compiled set, and the
/// sessions at their own times. It holds no occurrence; questions compute them.
///
/// Sessions are given as [`calendar`](super::calendar) wants them for the time that is asked about:
/// every session that takes place in it, and every session of these intents whose recurrence-id is
/// in it or near. An occurrence that has a session, in whatever state, is that session.
///
/// ```
/// use scheduler_core::calendar::{Buffers, Calendar};
/// use scheduler_core::{IntentId, RecurrenceSet};
///
/// let mondays = RecurrenceSet::new("2026-03-02T18:00:00".parse()?, "Europe/London".parse()?, 50)?
///     .with_rule("FREQ=WEEKLY;BYDAY=MO".parse()?);
/// let calendar = Calendar::default().with(IntentId(uuid::Uuid::nil()), &mondays, Buffers::NONE);
/// assert_eq!(calendar.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    kept: Vec<Kept>,
    /// The live ones, by start.
    sessions: Vec<Busy>,
}

/// An intent, and which of its occurrences are sessions.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) id: IntentId,
    pub(crate) pattern: Pattern,
    made: BTreeSet<LocalDateTime>,
}

/// An appointment that takes place, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) with: (IntentId, LocalDateTime),
    pub(crate) starts: i64,
    pub(crate) ends: i64,
    pub(crate) buffers: Buffers,
}

impl Busy {
    /// Whether its block overlaps another block.
    pub(crate) fn meets(&self, (starts, ends): (i64, i64)) -> bool {
        let (own_starts, own_ends) = self.buffers.around(self.starts, self.ends);
        own_starts < ends && starts < own_ends
    }
}

impl Kept {
    /// Whether this occurrence exists only as intent.
    pub(crate) fn is_virtual(&self, recurrence_id: LocalDateTime) -> bool {
        !self.made.contains(&recurrence_id)
    }
}

impl Calendar {
    /// The calendar of these intents and sessions; `buffers` knows those of each service.
    pub fn new<'a>(
        intents: impl IntoIterator<Item = &'a Intent>,
        sessions: &[Session],
        buffers: impl Fn(ServiceId) -> Buffers,
    ) -> Self {
        let mut made: BTreeMap<IntentId, BTreeSet<LocalDateTime>> = BTreeMap::new();
        for session in sessions {
            let of_intent = made.entry(session.intent).or_default();
            of_intent.insert(session.recurrence_id);
        }
        let kept = intents.into_iter().map(|intent| Kept {
            id: intent.id,
            pattern: Pattern::new(&intent.set, buffers(intent.service)),
            made: made.remove(&intent.id).unwrap_or_default(),
        });
        let kept = kept.collect();
        let live = sessions.iter().filter(|session| session.state.is_live());
        let mut sessions: Vec<Busy> = live
            .map(|session| Busy {
                with: (session.intent, session.recurrence_id),
                starts: session.starts_at.timestamp(),
                ends: ceiling(session.ends_at),
                buffers: buffers(session.service),
            })
            .collect();
        sessions.sort_unstable_by_key(|busy| (busy.starts, busy.with));
        Self { kept, sessions }
    }

    /// The same with one more set.
    #[must_use]
    pub fn with(mut self, id: IntentId, set: &RecurrenceSet, buffers: Buffers) -> Self {
        self.kept.push(Kept {
            id,
            pattern: Pattern::new(set, buffers),
            made: BTreeSet::new(),
        });
        self
    }

    /// The same without an intent and its sessions: what stands beside it.
    #[must_use]
    pub fn without(mut self, id: IntentId) -> Self {
        self.kept.retain(|kept| kept.id != id);
        self.sessions.retain(|busy| busy.with.0 != id);
        self
    }

    /// How many intents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing takes any time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.sessions.is_empty()
    }

    pub(crate) fn kept(&self) -> &[Kept] {
        &self.kept
    }

    pub(crate) fn sessions(&self) -> &[Busy] {
        &self.sessions
    }

    /// What takes place and whose block overlaps `[from, to)`, by start.
    pub(crate) fn busy_in(&self, from: i64, to: i64) -> Result<Vec<Busy>, SetError> {
        let sessions = self.sessions.iter();
        let mut found: Vec<Busy> = sessions
            .filter(|busy| busy.meets((from, to)))
            .copied()
            .collect();
        for kept in &self.kept {
            let pattern = &kept.pattern;
            let (before, _) = pattern.buffers.seconds();
            // One that starts earlier than a block ago is over.
            let first = from - pattern.block();
            let mut budget = once_a_minute((first, to + before));
            for due in pattern.starting_in(first, to + before, &mut budget)? {
                let busy = Busy {
                    with: (kept.id, due.recurrence_id),
                    starts: due.starts,
                    ends: due.ends,
                    buffers: pattern.buffers,
                };
                if busy.meets((from, to)) && kept.is_virtual(due.recurrence_id) {
                    found.push(busy);
                }
            }
        }
        found.sort_unstable_by_key(|busy| (busy.starts, busy.with));
        Ok(found)
    }
}
