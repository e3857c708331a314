//! Bookings as other calendars see them, and those that come from other calendars.

use chrono::{DateTime, Utc};
use scheduler_core::intent::{self, Changes, Edit, Intent, NewIntent, Overrides};
use scheduler_core::session::{Session, SessionState};
use scheduler_core::set::{Lookup, Override, SetError};
use scheduler_core::{ClientId, Idempotent, IntentId, RecurrenceSet, ServiceId, TherapistId};
use uuid::Uuid;

use crate::{Change, Commit, Decision, Journal, Recipient, Refusal, Subject};

/// What a feed or file calls every appointment: whoever reads along learns nothing.
pub const SUMMARY: &str = "Appointment";

/// A segment with what its sessions say in the place of what its rule says of them.
///
/// # Errors
/// [`SetError::TooManyDeviations`].
pub fn as_lived(intent: &Intent, sessions: &[Session]) -> Result<RecurrenceSet, SetError> {
    let set = &intent.set;
    let mut deviations = set.deviations().clone();
    for session in sessions
        .iter()
        .filter(|session| session.intent == intent.id)
    {
        let at = session.recurrence_id;
        if matches!(set.lookup(at), Lookup::NotGenerated | Lookup::Excluded) {
            continue;
        }
        let minutes = (session.ends_at - session.starts_at).num_minutes();
        let minutes = u32::try_from(minutes).unwrap_or(set.minutes());
        let start = set.zone().local(session.starts_at);
        let lived = Override {
            start: (start != at && session.is_moved()).then_some(start),
            minutes: (minutes != set.minutes()).then_some(minutes),
            cancelled: matches!(
                session.state,
                SessionState::Cancelled { .. } | SessionState::Case { .. } | SessionState::Missed
            ),
        };
        let paused = matches!(set.lookup(at), Lookup::Paused);
        if lived != Override::default() && !(paused && lived.cancelled) {
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
/// it begins in the future, else what its rule gives from now on, with what is left of COUNT and
/// with its dates that were changed.
///
/// # Errors
/// [`Refusal`] if nothing is to come, or it cannot be cut.
pub fn to_come(set: &RecurrenceSet, now: DateTime<Utc>) -> Result<RecurrenceSet, Refusal> {
    if set.zone().resolve(set.start()).0 >= now {
        return Ok(set.clone());
    }
    let next = set.compile().next_after(now)?;
    let Some(next) = next else {
        return Err(Refusal::Intent(intent::IntentError::NothingLeft {
            command: "import",
            now,
        }));
    };
    let nobody = Uuid::nil();
    let whole = NewIntent {
        id: IntentId(nobody),
        therapist: TherapistId(nobody),
        client: ClientId(nobody),
        service: ServiceId(nobody),
        set: set.clone(),
    };
    let cut = Edit::Split {
        at: next.recurrence_id,
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
/// None.
pub fn change_feed(whose: Recipient, secret: Option<[u8; 32]>) -> Decision {
    let subject = match whose {
        Recipient::Client(id) => Subject::Client(id),
        Recipient::Therapist(id) => Subject::Therapist(id),
    };
    let kind = match secret {
        Some(_) => "feed_opened",
        None => "feed_closed",
    };
    Ok(Idempotent::Applied(Commit {
        journal: Some(Journal::new(subject, 1, kind)),
        changes: vec![Change::Feed(whose, secret)],
    }))
}
