use super::command::Event;
use super::state::{CaseReason, Session, SessionState};
use crate::zone::ZoneData;

/// The session after an event.
#[must_use]
pub fn evolve(session: Session, event: &Event) -> Session {
    let version = session.version + 1;
    let with_state = |state| Session {
        state,
        version,
        ..session.clone()
    };
    // What a case had held was set free: it pays with another hold.
    let is_case = matches!(session.state, SessionState::Case { .. });
    let hold_generation = session.hold_generation + u32::from(is_case);
    match event.clone() {
        Event::Funded => with_state(SessionState::Scheduled),
        // The next hold is another one.
        Event::Unfunded => Session {
            state: SessionState::Unfunded,
            hold_generation: session.hold_generation + 1,
            version,
            ..session
        },
        Event::CaseOpened { reason } => with_state(SessionState::Case { reason }),
        Event::Cancelled { by, late } => with_state(SessionState::Cancelled {
            by,
            late,
            with_intent: false,
        }),
        Event::CalledOff { by, late } => with_state(SessionState::Cancelled {
            by,
            late,
            with_intent: true,
        }),
        // A new life: its messages and its hold are not those of the last one.
        Event::Reopened => Session {
            state: SessionState::Unfunded,
            slot_version: session.slot_version + 1,
            hold_generation: session.hold_generation + 1,
            version,
            ..session
        },
        Event::Rebound { to, .. } => {
            let same = session.therapist == to.therapist
                && (session.starts_at, session.ends_at) == (to.starts_at, to.ends_at);
            Session {
                intent: to.intent,
                recurrence_id: to.recurrence_id,
                therapist: to.therapist,
                service: to.service,
                zone: to.zone,
                starts_local: to.starts_local,
                starts_at: to.starts_at,
                ends_at: to.ends_at,
                tzdb: ZoneData::installed().release().to_owned(),
                slot_version: session.slot_version + u32::from(!same),
                version,
                ..session
            }
        }
        Event::Completed => Session {
            hold_generation,
            ..with_state(SessionState::Completed)
        },
        Event::NoShow => Session {
            hold_generation,
            ..with_state(SessionState::NoShow)
        },
        Event::Rescheduled {
            starts_local,
            starts_at,
            ends_at,
            ..
        } => Session {
            starts_local,
            starts_at,
            ends_at,
            tzdb: ZoneData::installed().release().to_owned(),
            state: match session.state {
                SessionState::Case { .. } => SessionState::Unfunded,
                state => state,
            },
            slot_version: session.slot_version + 1,
            hold_generation,
            version,
            ..session
        },
        Event::Resolved {
            starts_at,
            ends_at,
            tzdb,
            taken,
            ..
        } => Session {
            state: if taken {
                SessionState::Case {
                    reason: CaseReason::Overlap,
                }
            } else {
                session.state
            },
            starts_at,
            ends_at,
            tzdb,
            slot_version: session.slot_version + 1,
            version,
            ..session
        },
    }
}
