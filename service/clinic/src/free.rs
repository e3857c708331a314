//! Whether a time is free: for the whole life of a booking, and for one date.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use scheduler_core::availability::Availability;
use scheduler_core::calendar::{Buffers, Calendar};
use scheduler_core::intent::Intent;
use scheduler_core::proof::{
    CERTIFIED_MIN, Candidate, Certificate, Found, Obstacle, Unproven, each_clash, prove,
};
use scheduler_core::session::Session;
use scheduler_core::set::{Occurrence, SetError};
use scheduler_core::slots::{SlotPolicy, alternatives, explain};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{
    Compiled, IntentId, LocalDateTime, RecurrenceSet, ServiceId, TherapistId, Window,
};

use crate::access::Disclosed;
use crate::policy::{ALTERNATIVES, CLASHES_LISTED_MAX, DATES_ASKED};
use crate::{Principal, Refusal, Role, Service, View};

/// Everything that can stand in the way of a change: the calendar of therapist and client as it is
/// after the change, and the therapist's hours.
pub(crate) struct Ground<'a> {
    intents: Vec<&'a Intent>,
    sessions: Vec<Session>,
    therapist: TherapistId,
    availability: &'a Availability,
    buffers: BTreeMap<ServiceId, Buffers>,
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
        let services = view.services.iter().chain(&view.service);
        let therapist = view.therapist()?;
        Ok(Self {
            intents: unchanged.chain(intents).collect(),
            sessions,
            therapist: therapist.id,
            availability: therapist.times.availability(),
            buffers: services.map(|one| (one.id, one.slots.buffers)).collect(),
        })
    }

    fn buffers(&self, service: ServiceId) -> Buffers {
        self.buffers.get(&service).copied().unwrap_or_default()
    }

    /// The recurrence-ids of an intent that are sessions.
    fn real(&self, id: IntentId) -> BTreeSet<LocalDateTime> {
        let own = self.sessions.iter().filter(|session| session.intent == id);
        own.map(|session| session.recurrence_id).collect()
    }

    /// What is in the way of the occurrences of an intent that have no session and take time which
    /// the booking has not had, through all time that is known.
    pub(crate) fn clashes(
        &self,
        intent: &Intent,
        had: &Had,
        now: DateTime<Utc>,
    ) -> Result<Vec<Found>, Refusal> {
        let (id, set) = (intent.id, &intent.set);
        let buffers = self.buffers(intent.service);
        let real = self.real(id);
        let others = self.intents.iter().filter(|intent| intent.id != id);
        let calendar = Calendar::new(others.copied(), &self.sessions, |id| self.buffers(id));
        let candidate = Candidate {
            set,
            buffers,
            from: now,
        };
        let within = |until| {
            let mut found = Vec::new();
            each_clash(candidate, until, &calendar, self.availability, |clash| {
                let is_real = real.contains(&clash.recurrence_id);
                if !is_real && !had.covers((clash.start, clash.end)) {
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
        service: &Service,
        set: &RecurrenceSet,
        principal: Principal,
        now: DateTime<Utc>,
    ) -> Result<Certificate, Refusal> {
        let buffers = service.slots.buffers;
        let intents = self.intents.iter().copied();
        let calendar = Calendar::new(intents, &self.sessions, |id| self.buffers(id));
        let candidate = Candidate {
            set,
            buffers,
            from: now,
        };
        let clashes = match prove(candidate, &calendar, self.availability) {
            Ok(certificate) => {
                let refused = self.refused(service, set, |_| true, principal, now)?;
                self.check(refused, principal)?;
                return Ok(certificate);
            }
            Err(Unproven::Set(error)) => return Err(error.into()),
            Err(Unproven::Clashes(clashes)) => clashes,
        };
        let policy = service.slots.policy(set.minutes())?;
        let (calendar, availability) = (&calendar, self.availability);
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
            disclosed: self.disclosed(principal),
        })
    }

    /// Why dates on which an intent takes time that the booking has not had are not offered to a client.
    pub(crate) fn new_refused(
        &self,
        service: &Service,
        intent: &Intent,
        had: &Had,
        principal: Principal,
        now: DateTime<Utc>,
    ) -> Result<Vec<Found>, Refusal> {
        let real = self.real(intent.id);
        let is_new = |one: &Occurrence| {
            !real.contains(&one.recurrence_id) && !had.covers((one.start, one.end))
        };
        self.refused(service, &intent.set, is_new, principal, now)
    }

    /// Why dates of a set are not offered to a client: its first ones, and all at times of their own. The
    /// first date of a series begins within the booking window, and no date is moved out of it; later dates
    /// may lie beyond. Of two hours with one name, later dates have the one that the zone gives.
    fn refused(
        &self,
        service: &Service,
        set: &RecurrenceSet,
        is_new: impl Fn(&Occurrence) -> bool,
        principal: Principal,
        now: DateTime<Utc>,
    ) -> Result<Vec<Found>, Refusal> {
        let Role::Client(_) = principal.role else {
            return Ok(Vec::new());
        };
        let mut refused = Vec::new();
        let dates = set.some_from(now, DATES_ASKED, is_new);
        for (number, date) in dates.iter().enumerate() {
            let time = (date.start, date.end);
            let generated = set.zone().resolve(date.recurrence_id).0;
            let is_own = date.start != generated;
            let found = self.offered(service, date.recurrence_id, time, principal, now)?;
            refused.extend(found.into_iter().filter(|found| match found.obstacle {
                Obstacle::BookingWindow { until } => number == 0 || is_own && generated < until,
                Obstacle::Repeated { .. } => number == 0 || is_own,
                _ => true,
            }));
        }
        Ok(refused)
    }

    /// Why a date is not offered to a client. Therapists and staff book any time that is free.
    pub(crate) fn offered(
        &self,
        service: &Service,
        recurrence_id: LocalDateTime,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
        principal: Principal,
        now: DateTime<Utc>,
    ) -> Result<Vec<Found>, Refusal> {
        let Role::Client(_) = principal.role else {
            return Ok(Vec::new());
        };
        let minutes = u32::try_from((end - start).num_minutes()).unwrap_or(u32::MAX);
        let policy = service.slots.policy(minutes)?;
        let nobody = Calendar::default();
        let mut obstacles = explain(&nobody, self.availability, policy, now, start)?;
        obstacles.retain(Obstacle::is_of_policy);
        let found = obstacles.into_iter().map(|obstacle| Found {
            recurrence_id,
            start,
            end,
            obstacle,
        });
        Ok(found.collect())
    }

    /// # Errors
    /// [`Refusal::Clash`] if anything was found.
    pub(crate) fn check(&self, mut found: Vec<Found>, principal: Principal) -> Result<(), Refusal> {
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by_key(|clash| (clash.start, clash.recurrence_id, clash.obstacle));
        let dates: BTreeSet<_> = found.iter().map(|clash| clash.recurrence_id).collect();
        let (count, dates) = (found.len(), dates.len());
        found.truncate(CLASHES_LISTED_MAX);
        Err(Refusal::Clash {
            count,
            dates,
            clashes: found,
            alternatives: None,
            disclosed: self.disclosed(principal),
        })
    }

    /// Which obstacles a refusal names to this principal.
    fn disclosed(&self, principal: Principal) -> Disclosed {
        let intents = self.intents.iter().copied();
        Disclosed::to(principal, self.therapist, intents, &self.sessions)
    }

    /// What is in the way of one date at a time of its own.
    pub(crate) fn clashes_of_one(
        &self,
        (id, recurrence_id): (IntentId, LocalDateTime),
        service: ServiceId,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
        now: DateTime<Utc>,
    ) -> Result<Vec<Found>, Refusal> {
        let itself = |obstacle: &Obstacle| match *obstacle {
            Obstacle::Busy { with, .. } => with == (id, recurrence_id),
            // Asked by `offered`, of those whom it binds.
            _ => obstacle.is_of_policy(),
        };
        let minutes = u32::try_from((end - start).num_minutes()).unwrap_or(u32::MAX);
        let policy = SlotPolicy::new(minutes, 1)?.with_buffers(self.buffers(service));
        let intents = self.intents.iter().copied();
        let calendar = Calendar::new(intents, &self.sessions, |id| self.buffers(id));
        let obstacles = explain(&calendar, self.availability, policy, now, start)?;
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

/// The time that a booking has had before it is changed.
pub(crate) struct Had(Vec<Compiled>);

impl Had {
    pub(crate) fn by<'a>(sets: impl Iterator<Item = &'a RecurrenceSet>) -> Self {
        Self(sets.map(RecurrenceSet::compile).collect())
    }

    /// Whether an appointment of it took all of this time.
    fn covers(&self, (start, end): (DateTime<Utc>, DateTime<Utc>)) -> bool {
        let Ok(window) = Window::new(start, end) else {
            return false;
        };
        let covers = |one: &Occurrence| !one.cancelled && one.start <= start && end <= one.end;
        self.0.iter().any(|set| {
            let there = set.overlapping(window);
            there.is_ok_and(|there| there.iter().any(covers))
        })
    }
}
