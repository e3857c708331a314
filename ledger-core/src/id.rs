//! The names of things: account, service, lot, hold. Ids come from the caller; none is made here.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A client's account: one per client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub Uuid);

/// What is booked and paid for, such as a consultation or a session. A credit of one service
/// never pays for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceId(pub Uuid);

/// The ordinal of a lot within its account, from 1, in the order of the grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LotNumber(pub u32);

/// A hold: the booking it is for, and which of that booking's holds it is.
///
/// A booking whose hold ended and that needs a credit again takes the next generation. A
/// reschedule is no new hold: it keeps this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldId {
    /// The booking's id: the session.
    pub booking: Uuid,
    /// Counts the holds of this booking.
    pub generation: u32,
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LotNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `{booking}/{generation}`
impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.booking, self.generation)
    }
}
