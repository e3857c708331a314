//! Splits: from one occurrence on, another segment.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::command::{Changes, Event, NewIntent, Opened, Overrides, Taken};
use super::decide::{create, refuse_past};
use super::edit::{Edited, Fate, SessionChange, takes_place, turned};
use super::error::IntentError;
use super::rebind::Rebinding;
use super::segment::segment;
use super::state::{Intent, IntentState};
use crate::pause::midnight;
use crate::session::{Binding, Session};
use crate::set::{Deviations, Lookup};
use crate::window::ceiling;
use crate::zone::END_OF_ZONE_DATA;
use crate::{Idempotent, IntentId, LocalDateTime, Override, RecurrenceSet, TherapistId, Window};

/// What is edited: the intent, its sessions, and when.
#[derive(Clone, Copy)]
pub(super) struct Cut<'a> {
    pub(super) intent: &'a Intent,
    pub(super) sessions: &'a [&'a Session],
    pub(super) now: DateTime<Utc>,
}

pub(super) fn amend(
    about: Cut<'_>,
    into: IntentId,
    changes: &Changes,
    overrides: Overrides,
) -> Result<Idempotent<Edited>, IntentError> {
    let at = about.first_to_come(LocalDateTime::MIN, "amend")?;
    if overrides == Overrides::Carry && about.is_as_wanted(at, changes) {
        return Ok(Idempotent::AlreadyApplied);
    }
    about.split_at(at, into, changes, overrides)
}

pub(super) fn reassign(
    about: Cut<'_>,
    from: NaiveDate,
    to: TherapistId,
    into: IntentId,
) -> Result<Idempotent<Edited>, IntentError> {
    if about.intent.therapist == to {
        return Ok(Idempotent::AlreadyApplied);
    }
    let at = about.first_to_come(midnight(from), "reassign")?;
    let changes = Changes {
        therapist: Some(to),
        ..Changes::default()
    };
    about.split_at(at, into, &changes, Overrides::Carry)
}

pub(super) fn split(
    about: Cut<'_>,
    at: LocalDateTime,
    into: IntentId,
    changes: &Changes,
    overrides: Overrides,
) -> Result<Idempotent<Edited>, IntentError> {
    let set = &about.intent.set;
    if set.lookup(at) == Lookup::NotGenerated {
        return Err(outside(set, at));
    }
    refuse_past(set.zone().resolve(at).0, about.now)?;
    let session = about
        .sessions
        .iter()
        .find(|session| session.recurrence_id == at && about.is_over(session));
    if let Some(session) = session {
        return Err(IntentError::Finished {
            recurrence_id: at,
            state: session.state.name(),
            starts_at: session.starts_at,
            command: "split",
        });
    }
    about.split_at(at, into, changes, overrides)
}

/// Why a set cannot be split at what it does not generate.
fn outside(set: &RecurrenceSet, at: LocalDateTime) -> IntentError {
    let compiled = set.generating().compile();
    let last = compiled.ends().map(|last| last.recurrence_id);
    let first = compiled.nth(0).ok().flatten();
    match first.map(|first| first.recurrence_id) {
        Some(first) if at < first || last.is_some_and(|last| last < at) => {
            IntentError::SplitOutside { at, first, last }
        }
        _ => IntentError::NotGenerated { recurrence_id: at },
    }
}

impl Cut<'_> {
    fn is_over(self, session: &Session) -> bool {
        session.state.is_final() || session.starts_at <= self.now
    }

    /// The first occurrence from a recurrence-id on that has not begun and whose session is not
    /// over. Skipped and paused ones count: their positions go along.
    fn first_to_come(
        self,
        from: LocalDateTime,
        command: &'static str,
    ) -> Result<LocalDateTime, IntentError> {
        let compiled = self.intent.set.generating().compile();
        let mut next = compiled.sequence().next(ceiling(self.now));
        while let Some(found) = next {
            let at = found.recurrence_id;
            let mut sessions = self.sessions.iter();
            let over = sessions.any(|known| known.recurrence_id == at && self.is_over(known));
            if at >= from && !over {
                return Ok(at);
            }
            let later = self.intent.set.zone().resolve(from).0.timestamp() - 48 * 3600;
            next = compiled.sequence().next(later.max(found.unix + 1));
        }
        let now = self.now;
        Err(IntentError::NothingLeft { command, now })
    }

    /// Whether changes are none.
    fn is_as_wanted(self, at: LocalDateTime, changes: &Changes) -> bool {
        let Intent {
            set,
            therapist,
            service,
            ..
        } = self.intent;
        changes.start.is_none_or(|start| start == at)
            && changes.zone.is_none_or(|zone| zone == set.zone())
            && changes.gap.is_none_or(|gap| gap == set.gap_policy())
            && changes
                .minutes
                .is_none_or(|minutes| minutes == set.minutes())
            && changes.therapist.is_none_or(|other| other == *therapist)
            && changes.service.is_none_or(|other| other == *service)
            && changes
                .rules
                .as_ref()
                .is_none_or(|rules| rules == set.rules())
    }

    /// Splits before the occurrence `at`, which is still to come.
    fn split_at(
        self,
        at: LocalDateTime,
        into: IntentId,
        changes: &Changes,
        overrides: Overrides,
    ) -> Result<Idempotent<Edited>, IntentError> {
        let old = self.intent;
        let bare = segment(&old.set, at, changes)?;
        let therapist = changes.therapist.unwrap_or(old.therapist);
        let service = changes.service.unwrap_or(old.service);
        let new = NewIntent {
            id: into,
            therapist,
            client: old.client,
            service,
            set: bare.clone(),
        };
        create(&new, self.now)?;
        let map = Rebinding::new(&old.set, at, &bare, bare.start());
        let (deviations, detached) = self.deviations(&map, at, &bare, overrides);
        let set = bare.with_deviations(deviations)?;
        let real = self.sessions.iter();
        let real = real.filter_map(|session| map.to(session.recurrence_id));
        refuse_overlaps(&old.set, at, &set, &map, &real.collect(), self.now)?;
        let goes_on = Opened {
            id: into,
            series: old.series,
            continues: Some(old.id),
            therapist,
            client: old.client,
            service,
            set,
            state: old.state,
            done_through: old.done_through.min(self.now),
        };
        let sessions = self.rebound(&map, at, &goes_on, overrides);
        let detached: Vec<Opened> = detached
            .into_iter()
            .map(|(recurrence_id, set)| self.detached(into, recurrence_id, set))
            .collect();
        let event = Event::Split {
            at,
            into,
            detached: detached.iter().map(|opened| opened.id).collect(),
            sessions: self.taken(&sessions),
        };
        Ok(Idempotent::Applied(Edited {
            event,
            opened: std::iter::once(goes_on).chain(detached).collect(),
            withdrawn: Vec::new(),
            sessions,
        }))
    }

    /// A date that was changed by hand, as an intent of its own.
    fn detached(self, into: IntentId, recurrence_id: LocalDateTime, set: RecurrenceSet) -> Opened {
        let name = recurrence_id.to_string();
        Opened {
            id: IntentId(Uuid::new_v5(&into.0, name.as_bytes())),
            series: self.intent.series,
            continues: Some(self.intent.id),
            therapist: self.intent.therapist,
            client: self.intent.client,
            service: self.intent.service,
            set,
            state: IntentState::Active,
            done_through: self.now,
        }
    }

    /// Where the new segment deviates, and what is detached from it.
    fn deviations(
        self,
        map: &Rebinding,
        at: LocalDateTime,
        bare: &RecurrenceSet,
        choice: Overrides,
    ) -> (Deviations, Vec<(LocalDateTime, RecurrenceSet)>) {
        let old = &self.intent.set;
        let given = old.deviations();
        let mut deviations = Deviations {
            additions: map.added().iter().copied().collect(),
            ends: bare.deviations().ends,
            ..Deviations::default()
        };
        let exclusions = given.exclusions.range(at..);
        let over = self.sessions.iter().filter(|session| self.is_over(session));
        let over = over.map(|session| &session.recurrence_id);
        deviations.exclusions = exclusions
            .chain(over)
            .filter_map(|left_out| map.to(*left_out))
            .collect();
        let mut detached = Vec::new();
        for (recurrence_id, changed) in given.overrides.range(at..) {
            let start = changed.start.unwrap_or(*recurrence_id);
            let begun = old.zone().resolve(start).0 < self.now;
            let Some(to) = map.to(*recurrence_id) else {
                continue;
            };
            if changed.cancelled || begun || choice == Overrides::Carry {
                let start = changed.start.map(|start| in_zone(start, old, bare));
                let changed = Override { start, ..*changed };
                deviations.overrides.insert(to, changed);
            } else if choice == Overrides::Detach {
                let minutes = changed.minutes.unwrap_or(old.minutes());
                let once = RecurrenceSet::new(start, old.zone(), minutes);
                if let Ok(once) = once {
                    detached.push((*recurrence_id, once));
                    deviations.exclusions.insert(to);
                }
            }
        }
        let date = at.date();
        let pauses = given.pauses.iter();
        let pauses = pauses.filter(|pause| pause.until.is_none_or(|until| until > date));
        deviations.pauses = pauses.copied().collect();
        (deviations, detached)
    }

    /// The sessions that are bound to another segment.
    fn taken(self, changes: &[SessionChange]) -> Vec<Taken> {
        let taken = |change: &SessionChange| {
            let Fate::Rebind(to) = change.fate else {
                return None;
            };
            let mut sessions = self.sessions.iter();
            let session = sessions.find(|session| session.id == change.session)?;
            Some(Taken {
                session: session.id,
                recurrence_id: session.recurrence_id,
                was: (session.starts_at, session.ends_at),
                is: (to.starts_at, to.ends_at),
                local: Some((session.starts_local, to.starts_local)),
            })
        };
        changes.iter().filter_map(taken).collect()
    }

    /// What becomes of the sessions from the cut on.
    fn rebound(
        self,
        map: &Rebinding,
        at: LocalDateTime,
        new: &Opened,
        choice: Overrides,
    ) -> Vec<SessionChange> {
        let mut changes = Vec::new();
        let target = Target {
            id: new.id,
            therapist: new.therapist,
            service: new.service,
            set: &new.set,
            regular: choice == Overrides::Drop,
            taken: None,
        };
        for session in self.sessions {
            if session.recurrence_id >= at && !self.is_over(session) {
                changes.extend(rebound(session, &self.intent.set, map, &target, self.now));
            }
        }
        changes
    }
}

/// The segment that a session comes to.
pub(super) struct Target<'a> {
    pub(super) id: IntentId,
    pub(super) therapist: TherapistId,
    pub(super) service: crate::ServiceId,
    pub(super) set: &'a RecurrenceSet,
    /// Whether sessions lose a time and a length of their own.
    pub(super) regular: bool,
    /// Of a split that is undone, the sessions that it took along, as they were.
    pub(super) taken: Option<&'a [Taken]>,
}

/// What becomes of one session that has not begun. A time or a length of its own stays, and what a
/// split had taken along becomes what it was.
pub(super) fn rebound(
    session: &Session,
    old: &RecurrenceSet,
    map: &Rebinding,
    target: &Target<'_>,
    now: DateTime<Utc>,
) -> Vec<SessionChange> {
    let change = |fate| SessionChange {
        session: session.id,
        fate,
    };
    let moved = session.is_moved();
    let was = takes_place(old.lookup(session.recurrence_id), moved);
    let mut known = target.taken.into_iter().flatten();
    let taken = known.find(|taken| taken.session == session.id);
    let recurrence_id = match taken {
        Some(taken) => Some(taken.recurrence_id),
        None => map.to(session.recurrence_id),
    };
    let Some(recurrence_id) = recurrence_id else {
        let gone = turned(session, was, false, now);
        return gone.map(change).into_iter().collect();
    };
    let (regular, _) = target.set.zone().resolve(recurrence_id);
    let length = session.ends_at - session.starts_at;
    let usual = length == TimeDelta::minutes(i64::from(old.minutes()));
    // One that was made since, of a date that is changed by hand in the segment it comes back to, and
    // that nobody has moved, has the time of that: by the other rule it may have been the regular one.
    let overrides = &target.set.deviations().overrides;
    let by_hand = overrides.get(&recurrence_id);
    let by_hand = by_hand.filter(|_| target.taken.is_some() && session.slot_version == 0);
    let zone = target.set.zone();
    let (starts_local, length) = match (taken, by_hand) {
        (Some(taken), _) => taken.was_in(zone),
        (None, Some(changed)) => {
            let minutes = changed.minutes.unwrap_or(target.set.minutes());
            let length = TimeDelta::minutes(i64::from(minutes));
            (changed.start.unwrap_or(recurrence_id), length)
        }
        (None, None) => {
            let starts_local = match moved && !target.regular {
                true if zone == session.zone => session.starts_local,
                true => zone.local(session.starts_at),
                false => recurrence_id,
            };
            let length = if usual || target.regular {
                TimeDelta::minutes(i64::from(target.set.minutes()))
            } else {
                length
            };
            (starts_local, length)
        }
    };
    let (starts_at, _) = zone.resolve(starts_local);
    let binding = Binding {
        intent: target.id,
        recurrence_id,
        therapist: target.therapist,
        service: target.service,
        zone,
        starts_local,
        starts_at,
        ends_at: starts_at + length,
    };
    let moved = if taken.is_some() || by_hand.is_some() {
        starts_at != regular
    } else {
        // One that loses its own time has nothing that a pause would leave alone.
        moved && !target.regular
    };
    let is = takes_place(target.set.lookup(recurrence_id), moved);
    let mut changes = vec![change(Fate::Rebind(binding))];
    changes.extend(turned(session, was, is, now).map(change));
    changes
}

/// The same instant as wall time in the other set's zone.
fn in_zone(start: LocalDateTime, old: &RecurrenceSet, new: &RecurrenceSet) -> LocalDateTime {
    if old.zone() == new.zone() {
        return start;
    }
    new.zone().local(old.zone().resolve(start).0)
}

/// Refuses a new segment whose dates changed by hand, or those that stay with the old one, meet
/// another of its occurrences. Those that have a session are where the session is, which the set
/// does not say: whoever checks the calendar finds them.
fn refuse_overlaps(
    old: &RecurrenceSet,
    at: LocalDateTime,
    new: &RecurrenceSet,
    map: &Rebinding,
    real: &BTreeSet<LocalDateTime>,
    now: DateTime<Utc>,
) -> Result<(), IntentError> {
    let bare = new.bare();
    let first = bare.lookup(new.start());
    let by_hand = new.deviations().additions.iter();
    let by_hand = by_hand.filter_map(|added| match new.lookup(*added) {
        Lookup::Occurrence(occurrence) => Some(occurrence),
        _ => None,
    });
    let first = match first {
        Lookup::Occurrence(first) if new.lookup(new.start()) == Lookup::Occurrence(first) => {
            Some(first)
        }
        _ => None,
    };
    let stay = old.overridden().filter(|left| left.recurrence_id < at);
    let changed = new.overridden().chain(by_hand).chain(first);
    let changed = changed.filter(|changed| !real.contains(&changed.recurrence_id));
    for (occurrence, own) in changed
        .map(|occurrence| (occurrence, true))
        .chain(stay.map(|occurrence| (occurrence, false)))
        .filter(|(occurrence, _)| !occurrence.cancelled && occurrence.start >= now)
    {
        let Ok(window) = Window::new(occurrence.start, occurrence.end.min(END_OF_ZONE_DATA)) else {
            continue;
        };
        let others = new.overlapping(window)?;
        let in_the_way = others.iter().find(|other| {
            let itself = own && other.recurrence_id == occurrence.recurrence_id;
            !(other.cancelled || itself || real.contains(&other.recurrence_id))
        });
        if let Some(other) = in_the_way {
            return Err(IntentError::Collides {
                recurrence_id: occurrence.recurrence_id,
                with: other.recurrence_id,
                start: other.start,
            });
        }
    }
    let doubled = map.added().iter();
    match doubled
        .copied()
        .find(|added| bare.lookup(*added) != Lookup::NotGenerated)
    {
        None => Ok(()),
        Some(added) => Err(IntentError::Collides {
            recurrence_id: added,
            with: added,
            start: new.zone().resolve(added).0,
        }),
    }
}
