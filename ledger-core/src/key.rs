//! Deterministic keys: what makes a retry the same request.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{HoldId, LotId, LotNumber, VendorId, is_segment};
use crate::period::{Period, spelled};
use crate::reason::{Cause, TransferReason};

/// The name of what an entry records, unique in the ledger.
///
/// A key is made from what the entry is *about* (this hold's release, that command's grant), never
/// from the event, invoice or attempt that brought it. So a retry, a webhook delivered twice and a
/// reconciliation all arrive at the same key, and the ledger takes the first.
///
/// The form is a version and then segments: `v1/booking/{session}/hold/{gen}/use`. Segments hold
/// letters, digits and `. _ : -`; the whole has at most [`Key::MAX_BYTES`].
///
/// ```
/// use ledger_core::{HoldId, Key};
/// use uuid::Uuid;
///
/// let hold = HoldId { booking: Uuid::from_u128(7), generation: 1 };
/// let key = Key::used(hold);
/// assert_eq!(key.as_str(), "v1/booking/00000000-0000-0000-0000-000000000007/hold/1/use");
/// assert_eq!(key.as_str().parse::<Key>(), Ok(key));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

impl Key {
    /// The most bytes a key may have.
    pub const MAX_BYTES: usize = 255;

    /// `v1/booking/{session}/hold/{gen}`
    #[must_use]
    pub fn hold(hold: HoldId) -> Key {
        Key(format!(
            "v1/booking/{}/hold/{}",
            hold.booking, hold.generation
        ))
    }

    /// `v1/booking/{session}/hold/{gen}/release`: the end of the hold, whatever it ends in.
    #[must_use]
    pub fn release(hold: HoldId) -> Key {
        Key::of_hold(hold, "release")
    }

    /// `v1/booking/{session}/hold/{gen}/use`
    #[must_use]
    pub fn used(hold: HoldId) -> Key {
        Key::of_hold(hold, "use")
    }

    /// `v1/booking/{session}/hold/{gen}/forfeit`
    #[must_use]
    pub fn forfeit(hold: HoldId) -> Key {
        Key::of_hold(hold, "forfeit")
    }

    /// `v1/booking/{session}/hold/{gen}/rescheduled/{slot_version}`
    #[must_use]
    pub fn rescheduled(hold: HoldId, slot_version: u32) -> Key {
        Key::of_hold(hold, &format!("rescheduled/{slot_version}"))
    }

    /// `v1/grant/manual/{command id}`: a grant that a person decided.
    #[must_use]
    pub fn manual_grant(command: Uuid) -> Key {
        Key(format!("{MANUAL_GRANT}{command}"))
    }

    /// This is the key of a manual grant, spelled as [`Key::manual_grant`] spells it. Another
    /// spelling of the same id would be a second key for one command.
    #[must_use]
    pub fn is_manual_grant(&self) -> bool {
        let id = self
            .0
            .strip_prefix(MANUAL_GRANT)
            .and_then(|id| id.parse().ok());
        id.is_some_and(|id| Key::manual_grant(id) == *self)
    }

    /// `v1/grant/{subscription item}/{period start}`: the grant of a period that was paid for.
    #[must_use]
    pub fn period_grant(item: &VendorId, period: Period) -> Key {
        Key(format!("v1/grant/{item}/{}", spelled(period.start())))
    }

    /// `v1/grant/consultation/{checkout}`: the grant of something that was paid for once.
    #[must_use]
    pub fn consultation_grant(checkout: &VendorId) -> Key {
        Key(format!("v1/grant/consultation/{checkout}"))
    }

    /// `v1/lot/{id}/expire`: what was left of a lot at its end.
    #[must_use]
    pub fn expire(lot: LotId) -> Key {
        Key(format!("v1/lot/{lot}/expire"))
    }

    /// `v1/lot/{id}/{reason}/{command id}`: a transfer of a lot's credits.
    #[must_use]
    pub fn transfer(lot: LotId, reason: TransferReason, command: Uuid) -> Key {
        Key(format!("v1/lot/{lot}/{reason}/{command}"))
    }

    /// `v1/lot/{id}/expire/{seq}`: what was left of a lot when its end was carried out once more, by
    /// the entry with that number.
    pub(crate) fn expire_again(lot: LotId, seq: u64) -> Key {
        Key::expire(lot).then(&seq.to_string())
    }

    /// `v1/lot/{id}/extend/{command id}`: credits of a lot that outlive it.
    #[must_use]
    pub fn extend(lot: LotId, command: Uuid) -> Key {
        Key(format!("v1/lot/{lot}/extend/{command}"))
    }

    /// `v1/lot/{id}/extend/{command id}/{new lot}`: what an extension moves to a lot.
    pub(crate) fn extended(lot: LotId, command: Uuid, into: LotNumber) -> Key {
        Key::extend(lot, command).then(&into.to_string())
    }

    /// `v1/refund/{id}`, `v1/dispute/{id}/withdrawn` or `v1/void/{invoice}`: a clawback.
    #[must_use]
    pub fn clawback(cause: &Cause) -> Key {
        match cause {
            Cause::Dispute { .. } => Key(format!("{}/withdrawn", Key::cause(cause))),
            Cause::Refund { .. } | Cause::Void { .. } => Key(Key::cause(cause)),
        }
    }

    /// `v1/dispute/{id}/reinstated`, and the same of a refund or a void invoice: the inverse.
    #[must_use]
    pub fn reinstate(cause: &Cause) -> Key {
        Key(format!("{}/reinstated", Key::cause(cause)))
    }

    fn cause(cause: &Cause) -> String {
        format!("v1/{}/{}", cause.kind(), cause.id())
    }

    /// `v1/adjust/{command id}`
    #[must_use]
    pub fn adjust(command: Uuid) -> Key {
        Key(format!("v1/adjust/{command}"))
    }

    /// The entry's key and `/reversed`: so an entry is reversed once.
    #[must_use]
    pub fn reversed(entry: &Key) -> Key {
        entry.then("reversed")
    }

    /// The key and `/again/{times}`: the next payment of a period whose credits were all clawed back. `times` counts
    /// from 2.
    #[must_use]
    pub fn again(&self, times: u32) -> Key {
        self.then(&format!("again/{times}"))
    }

    /// This is [`Key::again`] of that key, spelled as that spells it.
    pub(crate) fn is_again(&self, first: &Key) -> bool {
        let times = self.0.strip_prefix(&first.0);
        let times = times.and_then(|rest| rest.strip_prefix("/again/"));
        let times = times.and_then(|times| times.parse().ok());
        times.is_some_and(|times| times > 1 && first.again(times) == *self)
    }

    /// The key and `/expire/{lot}`: what expires at once with what the entry set free.
    pub(crate) fn then_expire(&self, lot: LotNumber) -> Key {
        self.then(&format!("expire/{lot}"))
    }

    /// The key and `/restore`: a credit that is revived to be held.
    pub(crate) fn then_restore(&self) -> Key {
        self.then("restore")
    }

    /// The key and `/back`: the withdrawal of an extension.
    pub(crate) fn then_back(&self) -> Key {
        self.then("back")
    }

    /// The key and `/repay/{lot}`: what a lot's debt takes at once of what the entry set free.
    pub(crate) fn then_repay(&self, debtor: LotNumber) -> Key {
        self.then(&format!("repay/{debtor}"))
    }

    /// The text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of_hold(hold: HoldId, what: &str) -> Key {
        Key::hold(hold).then(what)
    }

    fn then(&self, what: &str) -> Key {
        Key(format!("{}/{what}", self.0))
    }
}

const MANUAL_GRANT: &str = "v1/grant/manual/";

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Key {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Key, BadKey> {
        Key::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Key {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Key, BadKey> {
        if text.len() > Key::MAX_BYTES {
            return Err(BadKey::TooLong { bytes: text.len() });
        }
        match text.strip_prefix("v1/") {
            Some(rest) if rest.split('/').all(is_segment) => Ok(Key(text)),
            _ => Err(BadKey::Form { text }),
        }
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.0
    }
}

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// Longer than [`Key::MAX_BYTES`].
    #[error("a key of {bytes} bytes is longer than {}", Key::MAX_BYTES)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Not a version and segments.
    #[error("{text:?} is not `v1/` and segments of letters, digits and . _ : -")]
    Form {
        /// What was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_agreed() {
        let hold = HoldId {
            booking: Uuid::from_u128(0xab),
            generation: 2,
        };
        let stem = "v1/booking/00000000-0000-0000-0000-0000000000ab/hold/2";
        assert_eq!(Key::hold(hold).as_str(), stem);
        assert_eq!(Key::release(hold).as_str(), format!("{stem}/release"));
        assert_eq!(Key::used(hold).as_str(), format!("{stem}/use"));
        assert_eq!(Key::forfeit(hold).as_str(), format!("{stem}/forfeit"));
        assert_eq!(
            Key::rescheduled(hold, 9).as_str(),
            format!("{stem}/rescheduled/9")
        );
        let grant = Key::manual_grant(Uuid::from_u128(0xab));
        assert_eq!(
            grant.as_str(),
            "v1/grant/manual/00000000-0000-0000-0000-0000000000ab"
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "", "v1", "v1/", "v2/a", "v1//a", "v1/a/", "v1/a b", "v1/é", "V1/a", "v1/a\n",
        ] {
            assert!(
                matches!(text.parse::<Key>(), Err(BadKey::Form { .. })),
                "{text:?}"
            );
        }
        let long = format!("v1/{}", "a".repeat(Key::MAX_BYTES));
        assert_eq!(long.parse::<Key>(), Err(BadKey::TooLong { bytes: 258 }));
        assert!(serde_json::from_str::<Key>("\"v1/a b\"").is_err());
    }

    #[test]
    fn a_manual_grant_has_one_spelling() {
        assert!(Key::manual_grant(Uuid::from_u128(0xab)).is_manual_grant());
        for text in [
            "v1/grant/manual/00000000-0000-0000-0000-0000000000AB",
            "v1/grant/manual/000000000000000000000000000000ab",
            "v1/grant/manual/x",
            "v1/grant/other",
        ] {
            assert!(!text.parse::<Key>().unwrap().is_manual_grant(), "{text}");
        }
    }
}
