use super::command::Event;
use super::state::{Session, SessionState};

/// The session after an event.
#[must_use]
pub fn evolve(session: Session, event: &Event) -> Session {
    let version = session.version + 1;
    let with_state = |state| Session {
        state,
        version,
        ..session.clone()
    };
    match *event {
        Event::Funded => with_state(SessionState::Scheduled),
        Event::CaseOpened { reason } => with_state(SessionState::Case { reason }),
        Event::Cancelled { by, late } => with_state(SessionState::Cancelled { by, late }),
        Event::Completed => with_state(SessionState::Completed),
        Event::NoShow => with_state(SessionState::NoShow),
        Event::Rescheduled {
            starts_at, ends_at, ..
        } => Session {
            starts_at,
            ends_at,
            slot_version: session.slot_version + 1,
            version,
            ..session
        },
    }
}
