//! Bookings as other calendars see them, and those that come from other calendars.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use scheduler_core::intent::{self, Changes, Edit, Intent, IntentError, NewIntent, Overrides};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::set::{DEVIATIONS_MAX, Lookup, Override, SetError};
use scheduler_core::{
    ClientId, Idempotent, IntentId, LocalDateTime, RecurrenceSet, ServiceId, TherapistId,
};
use uuid::Uuid;

use crate::access::{Action, Principal, Resource, StoredSecret, allow};
use crate::{Change, Commit, Decision, Journal, Recipient, Refusal, Subject, View};

/// What a feed or file calls every appointment: whoever reads along learns nothing.
pub const SUMMARY: &str = "Appointment";

/// A segment with what its sessions say in the place of what its rule says of them: the latest of
/// them, if a set cannot deviate in so many dates ([`DEVIATIONS_MAX`]).
///
/// # Errors
/// [`SetError`], if the set could not be made.
pub fn as_lived(intent: &Intent, sessions: &[Session]) -> Result<RecurrenceSet, SetError> {
    let set = &intent.set;
    let mut deviations = set.deviations().clone();
    let own = sessions.iter();
    let mut own: Vec<&Session> = own.filter(|session| session.intent == intent.id).collect();
    own.sort_by_key(|session| Reverse(session.recurrence_id));
    for session in own {
        if deviations.count() >= DEVIATIONS_MAX {
            break;
        }
        let at = session.recurrence_id;
        let paused = match set.lookup(at) {
            Lookup::NotGenerated | Lookup::Excluded => continue,
            Lookup::Paused => true,
            Lookup::Occurrence(_) => false,
        };
        let minutes = (session.ends_at - session.starts_at).num_minutes();
        let minutes = u32::try_from(minutes).unwrap_or(set.minutes());
        let start = set.zone().local(session.starts_at);
        let lived = Override {
            start: (start != at && session.is_moved()).then_some(start),
            minutes: (minutes != set.minutes()).then_some(minutes),
            cancelled: matches!(session.state, SessionState::Cancelled { .. }),
        };
        // A pause calls its sessions off; one that was brought back since takes place all the same.
        let differs = if paused {
            !lived.cancelled
        } else {
            lived != Override::default()
        };
        if differs {
            deviations.overrides.insert(at, lived);
        }
    }
    set.clone().with_deviations(deviations)
}

/// The revision of a series' iCalendar components: no change of a segment or a session leaves it as
/// it was, and none lowers it (RFC 5545 §3.8.7.4). `sessions` are those of the whole series.
#[must_use]
pub fn sequence(intent: &Intent, sessions: &[Session]) -> u32 {
    let all = sessions.iter().map(|session| session.version);
    u32::try_from(intent.version + all.sum::<u64>()).unwrap_or(u32::MAX)
}

/// What is still to come of a series that another calendar kept, as a booking: the whole of it if
/// it begins in the future, else what its rule gives from now on, with what is left of COUNT, with
/// its dates that were changed, and with those of before that were moved to after now.
///
/// # Errors
/// [`Refusal`] if nothing is to come, or it cannot be cut.
pub fn to_come(set: &RecurrenceSet, now: DateTime<Utc>) -> Result<RecurrenceSet, Refusal> {
    let starts = |at: LocalDateTime| set.zone().resolve(at).0;
    if starts(set.start()) >= now {
        return Ok(set.clone());
    }
    let mut put_off = Vec::new();
    for (at, changed) in &set.deviations().overrides {
        let is_over = starts(*at) < now && matches!(set.lookup(*at), Lookup::Occurrence(_));
        match changed.start {
            Some(start) if is_over && !changed.cancelled && starts(start) >= now => {
                put_off.push((*at, start, changed.minutes));
            }
            _ => {}
        }
    }
    let next = set.compile().next_after(now)?;
    let rest = match (next, put_off.first()) {
        (Some(next), _) => from_there(set, next.recurrence_id, now)?,
        (None, Some((_, start, _))) => RecurrenceSet::new(*start, set.zone(), set.minutes())?,
        (None, None) => {
            return Err(Refusal::Intent(IntentError::NothingLeft {
                command: "import",
                now,
            }));
        }
    };
    let mut deviations = rest.deviations().clone();
    let brought_forward = deviations.overrides.iter().filter(|(_, changed)| {
        let start = changed.start.filter(|_| !changed.cancelled);
        start.is_some_and(|start| starts(start) < now)
    });
    let brought_forward: Vec<LocalDateTime> = brought_forward.map(|(at, _)| *at).collect();
    for at in brought_forward {
        deviations.overrides.remove(&at);
        deviations.exclusions.insert(at);
    }
    for (at, start, minutes) in put_off {
        let is_first = next.is_none() && start == rest.start();
        if !is_first && rest.lookup(start) != Lookup::NotGenerated {
            return Err(Refusal::Intent(IntentError::Collides {
                recurrence_id: at,
                with: start,
                start: starts(start),
            }));
        }
        if !is_first {
            deviations.additions.insert(start);
        }
        if minutes.is_some_and(|minutes| minutes != rest.minutes()) {
            let longer = Override {
                minutes,
                ..Override::default()
            };
            deviations.overrides.insert(start, longer);
        }
    }
    Ok(rest.with_deviations(deviations)?)
}

/// What a set's rule gives from one of its dates on.
fn from_there(
    set: &RecurrenceSet,
    at: LocalDateTime,
    now: DateTime<Utc>,
) -> Result<RecurrenceSet, Refusal> {
    let nobody = Uuid::nil();
    let whole = NewIntent {
        id: IntentId(nobody),
        therapist: TherapistId(nobody),
        client: ClientId(nobody),
        service: ServiceId(nobody),
        set: set.clone(),
    };
    let cut = Edit::Split {
        at,
        into: IntentId(Uuid::from_u128(1)),
        changes: Changes::default(),
        overrides: Overrides::Carry,
    };
    let whole = intent::created(whole, now);
    match intent::edit(&whole, &[], &cut, now)? {
        Idempotent::Applied(mut edited) if !edited.opened.is_empty() => {
            Ok(edited.opened.swap_remove(0).set)
        }
        _ => Ok(set.clone()),
    }
}

/// A segment's number of rules is one at most: that is what is stored.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn check_rules(set: &RecurrenceSet) -> Result<(), Refusal> {
    match set.rules() {
        [] | [_] => Ok(()),
        rules => Err(Refusal::Invalid {
            field: "rule",
            value: rules.len().to_string(),
            expected: "one rule at most",
        }),
    }
}

/// Gives somebody a feed behind a secret, or takes it away. There is one at most: a new secret ends
/// the old one.
///
/// # Errors
/// [`Refusal::NotFound`] if there is no such person, or their feed is not the principal's to give.
pub fn change_feed(
    view: &View,
    whose: Recipient,
    secret: Option<StoredSecret>,
    principal: Principal,
) -> Decision {
    let (subject, resource, what) = match whose {
        Recipient::Client(id) => {
            let assigned = view.client.as_ref().and_then(|client| client.therapist);
            (
                Subject::Client(id),
                Resource::Client { id, assigned },
                "client",
            )
        }
        Recipient::Therapist(id) => (Subject::Therapist(id), Resource::Therapist(id), "therapist"),
    };
    if !allow(principal, Action::Book, resource) {
        return Err(Refusal::NotFound { what });
    }
    match whose {
        Recipient::Client(_) => drop(view.client()?),
        Recipient::Therapist(_) => drop(view.therapist()?),
    }
    let kind = match secret {
        Some(_) => "feed_opened",
        None => "feed_closed",
    };
    Ok(Idempotent::Applied(Commit {
        journal: Some(Journal::new(subject, 1, kind)),
        changes: vec![Change::Feed(whose, secret)],
    }))
}
