//! Changing when a therapist works, and what a blackout hits.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use scheduler_core::availability::{DayHours, Hours};
use scheduler_core::calendar::{Calendar, Item, calendar};
use scheduler_core::intent::Intent;
use scheduler_core::proof::Obstacle;
use scheduler_core::session::Session;
use scheduler_core::set::SetError;
use scheduler_core::slots::{Ranking, SearchError, Slot, explain, free_slots};
use scheduler_core::zone::END_OF_ZONE_DATA;
use scheduler_core::{ClientId, IntentId, LocalDateTime, ServiceId, TherapistId, Window, Zone};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::{Action, Principal, Resource, Role, allow};
use crate::series::staff_decides;
use crate::working_times::{Blackout, WorkingTimes};
use crate::{
    Change, Commit, Decision, Idempotent, Journal, Refusal, SlotRules, Subject, Therapist, View,
    reason,
};

/// What is to be different in a therapist's working times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// The hours of a normal week.
    Hours(Vec<Hours>),
    /// The hours of one date; those of the week again, if there are none given.
    Date(NaiveDate, Option<Vec<DayHours>>),
    /// One more blackout.
    Blackout(Uuid, Blackout),
    /// A blackout is taken back, or, if not, stands again.
    Withdrawn(Uuid, bool),
    /// An occurrence takes place in spite of a blackout.
    Keep(Uuid, (IntentId, LocalDateTime)),
    /// An occurrence takes place although it is outside the hours.
    KeepOutside((IntentId, LocalDateTime)),
    /// The therapist works no more from a date on, or goes on working. Staff say so.
    Retire(Option<NaiveDate>),
}

/// Changes a therapist's working times. What is booked stays: what a blackout hits are its cases.
///
/// # Errors
/// [`Refusal`] if there is no such therapist, blackout or reason, or the times cannot be.
pub fn change_times(
    view: &View,
    wanted: &Times,
    principal: Principal,
    expected: Option<u64>,
) -> Decision {
    let therapist = view.therapist()?;
    if !allow(principal, Action::Book, Resource::Therapist(therapist.id)) {
        return Err(Refusal::NotFound { what: "therapist" });
    }
    let times = &therapist.times;
    Refusal::check_version(expected, times.version)?;
    if let Times::Retire(date) = wanted
        && principal.role != Role::Admin
    {
        let date = date.map(|date| date.to_string());
        return Err(staff_decides("from", &date.unwrap_or_default()));
    }
    let after = match wanted {
        Times::Hours(hours) => times.with_hours(hours.clone())?,
        Times::Date(date, hours) => times.with_date(*date, hours.clone())?,
        Times::Blackout(id, blackout) => {
            reason::check(view, blackout.reason.as_ref())?;
            times.with_blackout(*id, blackout.clone())?
        }
        Times::Withdrawn(id, withdrawn) => {
            let withdrawn = *withdrawn;
            changed_blackout(times, *id, |blackout| blackout.withdrawn = withdrawn)?
        }
        Times::KeepOutside(address) => times.with_kept(*address)?,
        Times::Retire(date) => times.retiring_on(*date)?,
        Times::Keep(id, address) => changed_blackout(times, *id, |blackout| {
            blackout.kept.insert(*address);
        })?,
    };
    if after.is_same(times) {
        return Ok(Idempotent::AlreadyApplied);
    }
    let (subject, kind, body) = told(therapist.id, wanted);
    let journal = Journal::new(subject, after.version, kind).with_body(body);
    let changed = Therapist {
        times: after,
        ..therapist.clone()
    };
    Ok(Idempotent::Applied(Commit {
        journal: Some(journal),
        changes: vec![Change::WorkingTimes(changed)],
    }))
}

fn changed_blackout(
    times: &WorkingTimes,
    id: Uuid,
    change: impl FnOnce(&mut Blackout),
) -> Result<WorkingTimes, Refusal> {
    let blackout = times.blackouts().get(&id);
    let mut blackout = blackout
        .cloned()
        .ok_or(Refusal::NotFound { what: "blackout" })?;
    change(&mut blackout);
    Ok(times.with_blackout(id, blackout)?)
}

fn told(therapist: TherapistId, wanted: &Times) -> (Subject, &'static str, Value) {
    let blackout = |id: &Uuid| Subject::Blackout(therapist, *id);
    let own = Subject::Therapist(therapist);
    match wanted {
        Times::Hours(hours) => (own, "hours_changed", json!({ "hours": hours })),
        Times::Date(date, hours) => {
            let body = json!({ "date": date, "hours": hours });
            (own, "date_changed", body)
        }
        Times::Blackout(id, what) => (blackout(id), "blackout_added", json!(what)),
        Times::Withdrawn(id, true) => (blackout(id), "blackout_withdrawn", Value::Null),
        Times::Withdrawn(id, false) => (blackout(id), "blackout_reinstated", Value::Null),
        Times::KeepOutside((intent, at)) => {
            let body = json!({ "intent": intent, "recurrence_id": at });
            (own, "occurrence_kept", body)
        }
        Times::Retire(date) => (own, "therapist_retires", json!({ "from": date })),
        Times::Keep(id, (intent, at)) => {
            let body = json!({ "intent": intent, "recurrence_id": at });
            (blackout(id), "occurrence_kept", body)
        }
    }
}

/// A time in which a therapist does not work.
#[derive(Debug, Clone)]
pub enum Absence {
    /// Time off.
    Blackout(Blackout),
    /// Whatever is outside the hours of its date, or after a retirement, in a window.
    OutsideHours(Window),
}

impl Absence {
    /// All of it.
    ///
    /// # Errors
    /// [`Refusal::Times`] if a blackout is none.
    pub fn window(&self) -> Result<Window, Refusal> {
        match self {
            Self::Blackout(blackout) => Ok(blackout.window()?),
            Self::OutsideHours(window) => Ok(*window),
        }
    }

    /// The cases: what of a therapist's calendar takes place in it, and nobody has said that it does all the
    /// same.
    pub fn cases<'a>(
        &'a self,
        times: &'a WorkingTimes,
        calendar: &'a [Item<'a>],
    ) -> impl Iterator<Item = &'a Item<'a>> {
        calendar.iter().filter(|item| {
            let (start, end) = (item.start(), item.end());
            let is_hit = match self {
                Self::Blackout(blackout) => {
                    let meets = start < blackout.until && blackout.from < end;
                    meets && !blackout.withdrawn && !blackout.kept.contains(&item.address())
                }
                Self::OutsideHours(window) => {
                    window.contains(start) && times.is_outside(item.address(), start, end)
                }
            };
            is_hit && item.is_busy()
        })
    }
}

/// How far from a case's time another is looked for.
const REACH: TimeDelta = TimeDelta::days(7);

/// The part of the calendar that the cases of an absence and their proposals need.
///
/// # Errors
/// [`Refusal::Times`] if it is none.
pub fn around(absence: &Absence) -> Result<Window, Refusal> {
    let window = absence.window()?;
    // No appointment is longer than a day, no zone further than another.
    let reach = REACH + TimeDelta::days(2);
    let end = (window.end() + reach).min(END_OF_ZONE_DATA);
    Ok(Window::new(window.start() - reach, end).unwrap_or(window))
}

/// Whose appointments are cases.
///
/// # Errors
/// [`Refusal`] if the calendar cannot be computed there.
pub fn clients_hit(
    absence: &Absence,
    times: &WorkingTimes,
    intents: &[Intent],
    sessions: &[Session],
) -> Result<BTreeSet<ClientId>, Refusal> {
    let items = calendar(intents, sessions, absence.window()?)?;
    Ok(absence
        .cases(times, &items)
        .map(|item| parts(item).client)
        .collect())
}

/// The cases of an absence, each with the nearest time at which it could be instead: free in
/// `standing`, the calendar of everybody concerned, and beside what is proposed for the others.
///
/// # Errors
/// [`Refusal`] if the calendar cannot be computed there.
pub fn proposals<'a>(
    therapist: &'a Therapist,
    absence: &'a Absence,
    items: &'a [Item<'a>],
    standing: &Calendar,
    rules: impl Fn(ServiceId) -> SlotRules,
    now: DateTime<Utc>,
) -> Result<Vec<(&'a Item<'a>, Option<LocalDateTime>)>, Refusal> {
    let mut taken: Vec<Slot> = Vec::new();
    let mut open = Vec::new();
    let own = |item: &&Item<'_>| parts(item).therapist == therapist.id;
    for item in absence.cases(&therapist.times, items).filter(own) {
        let Parts { service, zone, .. } = parts(item);
        let start = item.start();
        let minutes = u32::try_from((item.end() - start).num_minutes()).unwrap_or(1);
        let policy = rules(service).policy(minutes)?;
        let availability = therapist.times.availability();
        let nearest = Ranking::NearestTo(start);
        let slots = match Window::new((start - REACH).max(now), start + REACH) {
            Ok(near) => free_slots(standing, availability, policy, now, near, nearest),
            Err(_) => Ok(Vec::new()),
        };
        let slots = slots.map_err(|error| match error {
            SearchError::Set(error) => Refusal::Set(error),
            SearchError::TooLong { .. } => Refusal::Set(SetError::TooManyOccurrences),
        })?;
        let slot = slots.into_iter().find(|slot| {
            let mut others = taken.iter();
            let beside = others.all(|other| slot.end <= other.start || other.end <= slot.start);
            // A move is told as wall time, which must mean this instant.
            beside && zone.resolve(zone.local(slot.start)).0 == slot.start
        });
        taken.extend(slot);
        open.push((item, slot.map(|slot| zone.local(slot.start))));
    }
    Ok(open)
}

/// Whether a therapist could have an appointment of somebody else's, at its time: `standing` is their
/// calendar, with what else the client has.
///
/// # Errors
/// [`Refusal`] if that cannot be computed.
pub fn could_have(
    therapist: &Therapist,
    item: &Item<'_>,
    standing: &Calendar,
    rules: impl Fn(ServiceId) -> SlotRules,
    now: DateTime<Utc>,
) -> Result<bool, Refusal> {
    let minutes = u32::try_from((item.end() - item.start()).num_minutes()).unwrap_or(u32::MAX);
    let policy = rules(parts(item).service).policy(minutes)?;
    let availability = therapist.times.availability();
    let obstacles = explain(standing, availability, policy, now, item.start())?;
    Ok(obstacles.iter().all(Obstacle::is_of_policy))
}

/// What both kinds of appointment have.
struct Parts {
    therapist: TherapistId,
    client: ClientId,
    service: ServiceId,
    zone: Zone,
}

fn parts(item: &Item<'_>) -> Parts {
    match item {
        Item::Virtual { intent, .. } => Parts {
            therapist: intent.therapist,
            client: intent.client,
            service: intent.service,
            zone: intent.set.zone(),
        },
        Item::Session(session) => Parts {
            therapist: session.therapist,
            client: session.client,
            service: session.service,
            zone: session.zone,
        },
    }
}
