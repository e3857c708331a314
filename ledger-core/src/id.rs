//! The names of things: account, service, lot, hold. Ids come from the caller; none is made here.

use std::fmt;
use std::str::FromStr;

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

/// A lot, named in the ledger as a whole: whose it is, and its ordinal there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LotId {
    /// Whose lot.
    pub account: AccountId,
    /// Which of the account's.
    pub number: LotNumber,
}

/// An id that the payment provider gave: of a customer, an invoice, a subscription's item. 1 to
/// [`VendorId::MAX_BYTES`] letters, digits and `. _ : -`, so that it can be part of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VendorId(String);

impl VendorId {
    /// The most bytes an id may have. The longest known is a checkout's, of 66.
    pub const MAX_BYTES: usize = 100;

    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VendorId {
    type Err = BadVendorId;

    fn from_str(text: &str) -> Result<VendorId, BadVendorId> {
        VendorId::try_from(text.to_owned())
    }
}

impl TryFrom<String> for VendorId {
    type Error = BadVendorId;

    fn try_from(text: String) -> Result<VendorId, BadVendorId> {
        if is_segment(&text) && text.len() <= VendorId::MAX_BYTES {
            Ok(VendorId(text))
        } else {
            Err(BadVendorId { text })
        }
    }
}

impl From<VendorId> for String {
    fn from(id: VendorId) -> String {
        id.0
    }
}

/// A text that can stand between two slashes of a key.
pub(crate) fn is_segment(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// A text that is no id of a payment provider's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not 1 to {} letters, digits and . _ : -",
    VendorId::MAX_BYTES
)]
pub struct BadVendorId {
    text: String,
}

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

/// `{account}.{number}`
impl fmt::Display for LotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.account, self.number)
    }
}

impl fmt::Display for VendorId {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_ids_and_what_is_none() {
        for text in ["i", "si_Abc-1.2:3", &"a".repeat(100)] {
            assert_eq!(text.parse::<VendorId>().unwrap().as_str(), text);
        }
        for text in ["", "a/b", "a b", "ä", "a\n", &"a".repeat(101)] {
            assert!(text.parse::<VendorId>().is_err(), "{text:?}");
        }
    }
}
