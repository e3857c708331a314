//! Whether a time is free: for the whole life of a booking, and for one date.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use scheduler_core::availability::Availability;
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::intent::Intent;
use scheduler_core::proof::{
    CERTIFIED_MIN, Candidate, Certificate, Found, Obstacle, Unproven, each_clash, prove,
};
use scheduler_core::session::Session;
use scheduler_core::set::{Lookup, SetError};
use scheduler_core::slots::{SlotPolicy, alternatives, explain};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{IntentId, LocalDateTime, RecurrenceSet};

use crate::policy::{ALTERNATIVES, CLASHES_LISTED_MAX, STEP_MINUTES};
use crate::{Principal, Refusal, Role, View};

/// Everything that can stand in the way of a change: the calendar of therapist and client as it is
/// after the change, and the therapist's hours.
pub(crate) struct Ground<'a> {
    intents: Vec<&'a Intent>,
    sessions: Vec<Session>,
    availability: Availability,
}

impl<'a> Ground<'a> {
    /// What is in view, with these intents and sessions in the place of what they were.
    pub(crate) fn new(
        view: &'a View,
        intents: &'a [Intent],
        sessions: &[Session],
    ) -> Result<Self, Refusal> {
        let changed: BTreeSet<IntentId> = intents.iter().map(|intent| intent.id).collect();
        let mut seen = BTreeSet::new();
        let unchanged = view.intents.iter().chain(&view.segments);
        let unchanged =
            unchanged.filter(|intent| !changed.contains(&intent.id) && seen.insert(intent.id));
        let replaced: BTreeSet<_> = sessions.iter().map(|session| session.id).collect();
        let rest = view.sessions.iter().chain(&view.session);
        let rest = rest.filter(|session| !replaced.contains(&session.id));
        let mut sessions: Vec<Session> = rest.chain(sessions).cloned().collect();
        sessions.sort_by_key(|session| session.id);
        sessions.dedup_by_key(|session| session.id);
        Ok(Self {
            intents: unchanged.chain(intents).collect(),
            sessions,
            availability: Availability::new(view.therapist()?.hours.clone()),
        })
    }

    /// What is in the way of the occurrences of a set that have no session and do not take place
    /// yet by another set, through all time that is known.
    pub(crate) fn clashes(
        &self,
        id: IntentId,
        set: &RecurrenceSet,
        before: Option<&RecurrenceSet>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Found>, Refusal> {
        let own = self.sessions.iter().filter(|session| session.intent == id);
        let real: BTreeSet<LocalDateTime> = own.map(|session| session.recurrence_id).collect();
        let others = self.intents.iter().filter(|intent| intent.id != id);
        let calendar = Calendar::new(others.copied(), &self.sessions, |_| Buffers::NONE);
        let candidate = Candidate {
            set,
            buffers: Buffers::NONE,
            from: now,
        };
        let takes_place = |at: LocalDateTime| match before.map(|before| before.lookup(at)) {
            Some(Lookup::Occurrence(before)) if !before.cancelled => Some(before.start),
            _ => None,
        };
        let within = |until| {
            let mut found = Vec::new();
            each_clash(candidate, until, &calendar, &self.availability, |clash| {
                let at = clash.recurrence_id;
                if !real.contains(&at) && takes_place(at) != Some(clash.start) {
                    found.push(clash);
                }
            })?;
            Ok(found)
        };
        let found = match within(END_OF_ZONE_DATA) {
            Err(SetError::TooManyOccurrences) => {
                within((now + CERTIFIED_MIN).min(END_OF_ZONE_DATA))
            }
            decided => decided,
        };
        Ok(found?)
    }

    /// Proves that a new booking is free for its whole life.
    pub(crate) fn proof(
        &self,
        set: &RecurrenceSet,
        principal: Principal,
        now: DateTime<Utc>,
    ) -> Result<Certificate, Refusal> {
        let intents = self.intents.iter().copied();
        let calendar = Calendar::new(intents, &self.sessions, |_| Buffers::NONE);
        let candidate = Candidate {
            set,
            buffers: Buffers::NONE,
            from: now,
        };
        let clashes = match prove(candidate, &calendar, &self.availability) {
            Ok(certificate) => return Ok(certificate),
            Err(Unproven::Set(error)) => return Err(error.into()),
            Err(Unproven::Clashes(clashes)) => clashes,
        };
        let minutes = set.minutes();
        let policy = SlotPolicy::new(minutes, STEP_MINUTES);
        let policy = policy.map_err(|_| SetError::Minutes { minutes })?;
        let (calendar, availability) = (&calendar, &self.availability);
        let found = alternatives(candidate, calendar, availability, policy, now, ALTERNATIVES)?;
        let first = clashes.against.into_iter();
        let mut first: Vec<Found> = first.flat_map(|against| against.first).collect();
        first.sort_by_key(|clash| (clash.start, clash.recurrence_id, clash.obstacle));
        first.truncate(CLASHES_LISTED_MAX);
        Err(Refusal::Clash {
            count: clashes.count,
            dates: clashes.dates,
            clashes: first,
            alternatives: Some(found),
            disclosed: principal.role == Role::Admin,
        })
    }

    /// What is in the way of one date at a time of its own.
    pub(crate) fn clashes_of_one(
        &self,
        (id, recurrence_id): (IntentId, LocalDateTime),
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Found>, Refusal> {
        let itself = |obstacle: &Obstacle| match *obstacle {
            Obstacle::Busy { with, .. } => with == (id, recurrence_id),
            // Whoever moves a date need not keep to what is offered.
            Obstacle::Notice { .. } | Obstacle::BookingWindow { .. } | Obstacle::OffStep { .. } => {
                true
            }
            _ => false,
        };
        let minutes = u32::try_from((end - start).num_minutes()).unwrap_or(u32::MAX);
        let policy = SlotPolicy::new(minutes, 1).map_err(|_| SetError::Minutes { minutes })?;
        let intents = self.intents.iter().copied();
        let calendar = Calendar::new(intents, &self.sessions, |_| Buffers::NONE);
        let obstacles = explain(&calendar, &self.availability, policy, now, start)?;
        let in_the_way = obstacles.into_iter().filter(|obstacle| !itself(obstacle));
        let found = in_the_way.map(|obstacle| Found {
            recurrence_id,
            start,
            end,
            obstacle,
        });
        Ok(found.collect())
    }
}

impl Refusal {
    /// # Errors
    /// [`Refusal::Clash`] if anything was found.
    pub(crate) fn check_clashes(mut found: Vec<Found>, principal: Principal) -> Result<(), Self> {
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by_key(|clash| (clash.start, clash.recurrence_id, clash.obstacle));
        let dates: BTreeSet<_> = found.iter().map(|clash| clash.recurrence_id).collect();
        let (count, dates) = (found.len(), dates.len());
        found.truncate(CLASHES_LISTED_MAX);
        Err(Self::Clash {
            count,
            dates,
            clashes: found,
            alternatives: None,
            disclosed: principal.role == Role::Admin,
        })
    }
}
