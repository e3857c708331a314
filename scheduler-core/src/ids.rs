use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::LocalDateTime;

/// A newtype around a UUID, so that one kind of id cannot stand where another is meant.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// An intent: one segment of a standing booking.
    IntentId
}
id! {
    /// A session: an occurrence that was made real.
    SessionId
}
id! {
    /// Whose time is booked.
    TherapistId
}
id! {
    /// Who booked it.
    ClientId
}
id! {
    /// What is booked: a consultation, a session.
    ServiceId
}

impl SessionId {
    /// The id of the session of one occurrence: a name-based UUID (RFC 9562, version 5) in the
    /// intent's namespace. Planning twice gives the same id, so a crashed tick that runs again
    /// cannot make a second session.
    #[must_use]
    pub fn of_occurrence(intent: IntentId, recurrence_id: LocalDateTime) -> Self {
        Self(Uuid::new_v5(
            &intent.0,
            recurrence_id.to_string().as_bytes(),
        ))
    }
}
