//! Why an entry was written, as codes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::VendorId;

/// What a hold ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReleaseReason {
    /// The client cancelled in time.
    Cancelled,
    /// The clinic cancelled.
    ClinicCancelled,
    /// This one of a series is skipped.
    Skipped,
    /// The booking became another one, which holds the same credit.
    Rebooked,
    /// Nobody came, and the client keeps the credit all the same.
    NoShow,
    /// The session took place: a [`Body::Use`](crate::Body::Use) follows. Not for a release command.
    Used,
    /// The credit is lost: a [`Body::Forfeit`](crate::Body::Forfeit) follows. Not for a release command.
    Forfeited,
}

/// Why a credit is forfeited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForfeitReason {
    /// Cancelled after the free window.
    LateCancel,
    /// Not cancelled, and nobody came.
    NoShow,
}

/// Why the money for a lot went back, and which fact of the provider's says so.
///
/// ```
/// use ledger_core::{Cause, Key};
///
/// let dispute = Cause::Dispute { id: "du_1".parse()? };
/// assert_eq!(Key::clawback(&dispute).as_str(), "v1/dispute/du_1/withdrawn");
/// assert_eq!(Key::reinstate(&dispute).as_str(), "v1/dispute/du_1/reinstated");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Cause {
    /// The clinic gave it back.
    Refund {
        /// The refund.
        id: VendorId,
    },
    /// The client's bank took it back.
    Dispute {
        /// The dispute.
        id: VendorId,
    },
    /// The invoice was void.
    Void {
        /// The invoice.
        id: VendorId,
    },
}

/// What a clawback does to credits of its lot that are held. Data of the clinic's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldPolicy {
    /// The bookings keep their credits, and the account owes them.
    Keep,
    /// The bookings lose their credits, the latest slot first, and keep an empty hold: it can be
    /// released and rescheduled but not used, and a reinstatement fills it again.
    Take,
}

/// Why credits go from one lot to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferReason {
    /// What is left of a period goes over to the next. May take credits that have expired.
    Rollover,
    /// The plan changed midway.
    CarryOver,
    /// The credits get another end.
    ExpiryChange,
    /// The clinic lets them live on: after it cancelled itself, or out of goodwill. May take
    /// credits that have expired.
    Grace,
    /// What had set the credit free was undone: it is held again. Takes credits that have expired.
    Restored,
}

impl TransferReason {
    /// Whether it may take credits that have expired: what rolls over is known only after the
    /// period has ended, and grace is for what is lost.
    #[must_use]
    pub fn revives(self) -> bool {
        match self {
            TransferReason::Rollover | TransferReason::Grace | TransferReason::Restored => true,
            TransferReason::CarryOver | TransferReason::ExpiryChange => false,
        }
    }

    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TransferReason::Rollover => "rollover",
            TransferReason::CarryOver => "carry_over",
            TransferReason::ExpiryChange => "expiry_change",
            TransferReason::Grace => "grace",
            TransferReason::Restored => "restored",
        }
    }
}

impl Cause {
    /// The stored name of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::Refund { .. } => "refund",
            Cause::Dispute { .. } => "dispute",
            Cause::Void { .. } => "void",
        }
    }

    /// The cause of a clawback when the same money went back once more: a dispute that was won, and
    /// is lost in arbitration after all. `times` counts from 2; what is told again under the same
    /// number is the same clawback. `None` for less, or if the id gets too long.
    ///
    /// ```
    /// use ledger_core::{Cause, Key};
    ///
    /// let dispute = Cause::Dispute { id: "du_1".parse()? };
    /// let again = dispute.again(2).unwrap();
    /// assert_eq!(Key::clawback(&again).as_str(), "v1/dispute/du_1:2/withdrawn");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn again(&self, times: u32) -> Option<Cause> {
        let id = VendorId::try_from(format!("{}:{times}", self.id()));
        let id = id.ok().filter(|_| times > 1)?;
        Some(match self {
            Cause::Refund { .. } => Cause::Refund { id },
            Cause::Dispute { .. } => Cause::Dispute { id },
            Cause::Void { .. } => Cause::Void { id },
        })
    }

    /// The provider's id of it.
    #[must_use]
    pub fn id(&self) -> &VendorId {
        match self {
            Cause::Refund { id } | Cause::Dispute { id } | Cause::Void { id } => id,
        }
    }
}

impl HeldPolicy {
    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HeldPolicy::Keep => "keep",
            HeldPolicy::Take => "take",
        }
    }
}

impl ReleaseReason {
    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ReleaseReason::Cancelled => "cancelled",
            ReleaseReason::ClinicCancelled => "clinic_cancelled",
            ReleaseReason::Skipped => "skipped",
            ReleaseReason::Rebooked => "rebooked",
            ReleaseReason::NoShow => "no_show",
            ReleaseReason::Used => "used",
            ReleaseReason::Forfeited => "forfeited",
        }
    }
}

impl ForfeitReason {
    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ForfeitReason::LateCancel => "late_cancel",
            ForfeitReason::NoShow => "no_show",
        }
    }
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ForfeitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for TransferReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `{kind} {id}`
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.id())
    }
}
