use chrono::{DateTime, TimeDelta, Utc};

use super::command::{Binding, Command, Event};
use super::state::{Party, Session, SessionState};
use crate::zone::{END_OF_ZONE_DATA, ZoneData};
use crate::{Idempotent, LocalDateTime};

/// Why a command on a session is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The session's state does not allow it.
    #[error("cannot {command} a session that is {}", .state.name())]
    IllegalState {
        /// Where the session stands.
        state: SessionState,
        /// What was asked.
        command: &'static str,
    },
    /// Nobody can know yet how it went.
    #[error("cannot {command} a session before it starts at {starts_at}, it is {now}")]
    NotStarted {
        /// When it starts.
        starts_at: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
        /// What was asked.
        command: &'static str,
    },
    /// Its time has begun, and with it the choice of a client to stay away.
    #[error("cannot {command} a session that started at {starts_at}, it is {now}")]
    AlreadyStarted {
        /// When it started.
        starts_at: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
        /// What was asked.
        command: &'static str,
    },
    /// The new time is past what is known of time zones.
    #[error("cannot reschedule to {starts_at}: time zones are known until {END_OF_ZONE_DATA}")]
    BeyondZoneData {
        /// The time asked for.
        starts_at: DateTime<Utc>,
    },
    /// The new time is in the past.
    #[error("cannot reschedule to {starts_at}, it is {now}")]
    IntoThePast {
        /// The time asked for.
        starts_at: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
    },
}

/// What a command does to a session.
///
/// # Errors
/// [`SessionError`], naming the state, the command and the times.
pub fn decide(
    session: &Session,
    command: &Command,
    now: DateTime<Utc>,
) -> Result<Idempotent<Event>, SessionError> {
    use SessionState::{Cancelled, Case, Completed, Missed, NoShow, Scheduled, Unfunded};
    let started = session.starts_at <= now;
    let event = match (session.state, command) {
        (Scheduled, Command::Fund)
        | (Scheduled | Unfunded, Command::Restore)
        | (Unfunded, Command::Unfund)
        | (Completed, Command::Complete)
        | (NoShow, Command::NoShow)
        | (Cancelled { .. }, Command::Cancel { .. } | Command::CallOff { .. }) => {
            return Ok(Idempotent::AlreadyApplied);
        }
        (Case { reason }, Command::OpenCase { reason: again }) if reason == *again => {
            return Ok(Idempotent::AlreadyApplied);
        }
        (Unfunded, Command::Fund) => Event::Funded,
        (Scheduled, Command::Unfund) if started => {
            return Err(already_started(session, command, now));
        }
        (Scheduled, Command::Unfund) => Event::Unfunded,
        (Unfunded, Command::OpenCase { reason }) => Event::CaseOpened { reason: *reason },
        (
            Scheduled | Unfunded | Case { .. },
            Command::Reschedule {
                starts_local,
                length,
            },
        ) => {
            return reschedule(session, *starts_local, *length, now);
        }
        (Scheduled | Unfunded | Case { .. } | Cancelled { .. }, Command::Resolve { taken }) => {
            return resolve(session, *taken, now);
        }
        (Scheduled | Unfunded | Case { .. }, Command::Cancel { by, late }) => {
            if started && *by == Party::Client {
                return Err(already_started(session, command, now));
            }
            Event::Cancelled {
                by: *by,
                late: *late,
            }
        }
        (
            Scheduled | Unfunded | Case { .. } | Cancelled { .. },
            Command::CallOff { .. } | Command::Rebind(_) | Command::Reopen | Command::Restore,
        ) if started => return Err(already_started(session, command, now)),
        (Scheduled | Unfunded | Case { .. }, Command::CallOff { by, late }) => Event::CalledOff {
            by: *by,
            late: *late,
        },
        (
            Cancelled {
                with_intent: true, ..
            },
            Command::Reopen,
        )
        | (Cancelled { .. } | Case { .. }, Command::Restore) => Event::Reopened,
        (Scheduled | Unfunded | Case { .. } | Cancelled { .. }, Command::Rebind(to)) => {
            return rebind(session, *to, now);
        }
        (Scheduled | Unfunded | Case { .. }, Command::Complete | Command::NoShow) if !started => {
            return Err(SessionError::NotStarted {
                starts_at: session.starts_at,
                now,
                command: command.name(),
            });
        }
        (Scheduled | Unfunded | Case { .. } | Missed, Command::Complete) => Event::Completed,
        (Scheduled | Unfunded | Case { .. } | Missed, Command::NoShow) => Event::NoShow,
        (state, _) => {
            return Err(SessionError::IllegalState {
                state,
                command: command.name(),
            });
        }
    };
    Ok(Idempotent::Applied(event))
}

fn reschedule(
    session: &Session,
    starts_local: LocalDateTime,
    length: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Idempotent<Event>, SessionError> {
    let (starts_at, _) = session.zone.resolve(starts_local);
    let ends_at = starts_at + length;
    let is_case = matches!(session.state, SessionState::Case { .. });
    if (session.starts_at, session.ends_at) == (starts_at, ends_at) && !is_case {
        return Ok(Idempotent::AlreadyApplied);
    }
    let command = Command::Reschedule {
        starts_local,
        length,
    };
    if session.starts_at <= now {
        return Err(already_started(session, &command, now));
    }
    if starts_at <= now {
        return Err(SessionError::IntoThePast { starts_at, now });
    }
    if ends_at > END_OF_ZONE_DATA {
        return Err(SessionError::BeyondZoneData { starts_at });
    }
    Ok(Idempotent::Applied(Event::Rescheduled {
        from: session.starts_at,
        starts_local,
        starts_at,
        ends_at,
    }))
}

/// You might expect that a session whose new start has passed is refused. It is not: its wall time is
/// what therapist and client have in their calendars, and by the new law they meet then.
fn resolve(
    session: &Session,
    taken: bool,
    now: DateTime<Utc>,
) -> Result<Idempotent<Event>, SessionError> {
    let (starts_at, ends_at) = session.resolved();
    if starts_at == session.starts_at {
        return Ok(Idempotent::AlreadyApplied);
    }
    if session.starts_at <= now {
        return Err(already_started(session, &Command::Resolve { taken }, now));
    }
    if ends_at > END_OF_ZONE_DATA {
        return Err(SessionError::BeyondZoneData { starts_at });
    }
    Ok(Idempotent::Applied(Event::Resolved {
        from: session.starts_at,
        starts_at,
        ends_at,
        tzdb: ZoneData::installed().release().to_owned(),
        taken: taken && session.state.is_live(),
    }))
}

fn rebind(
    session: &Session,
    to: Binding,
    now: DateTime<Utc>,
) -> Result<Idempotent<Event>, SessionError> {
    let from = session.binding();
    let starts_at = to.starts_at;
    if from == to {
        return Ok(Idempotent::AlreadyApplied);
    }
    if starts_at <= now {
        return Err(SessionError::IntoThePast { starts_at, now });
    }
    if to.ends_at > END_OF_ZONE_DATA {
        return Err(SessionError::BeyondZoneData { starts_at });
    }
    Ok(Idempotent::Applied(Event::Rebound { from, to }))
}

fn already_started(session: &Session, command: &Command, now: DateTime<Utc>) -> SessionError {
    SessionError::AlreadyStarted {
        starts_at: session.starts_at,
        now,
        command: command.name(),
    }
}
