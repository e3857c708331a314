//! Credits: whole sessions, counted with checked arithmetic.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of credits. Unit: whole sessions; there is no half of one.
///
/// Any `i64` is a `Credits`; whether a negative one makes sense is for the entry that carries it
/// to say. Arithmetic never wraps and never saturates: it returns [`Overflow`].
///
/// ```
/// use ledger_core::Credits;
///
/// assert_eq!(Credits(4).minus(Credits::ONE), Ok(Credits(3)));
/// assert!(Credits(i64::MAX).plus(Credits::ONE).is_err());
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Credits(pub i64);

impl Credits {
    /// No credit.
    pub const ZERO: Credits = Credits(0);
    /// One session: what a hold takes.
    pub const ONE: Credits = Credits(1);

    /// The sum.
    ///
    /// # Errors
    /// [`Overflow`] if it does not fit 64 bits.
    pub fn plus(self, other: Credits) -> Result<Credits, Overflow> {
        let sum = self.0.checked_add(other.0);
        sum.map(Credits).ok_or(Overflow {
            left: self,
            sign: '+',
            right: other,
        })
    }

    /// The difference.
    ///
    /// # Errors
    /// [`Overflow`] if it does not fit 64 bits.
    pub fn minus(self, other: Credits) -> Result<Credits, Overflow> {
        let difference = self.0.checked_sub(other.0);
        difference.map(Credits).ok_or(Overflow {
            left: self,
            sign: '-',
            right: other,
        })
    }

    /// More than none.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.0 > 0
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sum or difference of credits that does not fit 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{left} {sign} {right} credits do not fit 64 bits")]
pub struct Overflow {
    left: Credits,
    sign: char,
    right: Credits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_an_error_at_both_ends_and_names_the_operands() {
        let over = Credits(i64::MAX).plus(Credits(2)).unwrap_err();
        assert_eq!(
            over.to_string(),
            "9223372036854775807 + 2 credits do not fit 64 bits"
        );
        let under = Credits(i64::MIN).minus(Credits(1)).unwrap_err();
        assert_eq!(
            under.to_string(),
            "-9223372036854775808 - 1 credits do not fit 64 bits"
        );
        assert_eq!(Credits(i64::MAX).plus(Credits(i64::MIN)), Ok(Credits(-1)));
    }

    #[test]
    fn a_fraction_is_no_credit() {
        assert_eq!(serde_json::from_str::<Credits>("3").unwrap(), Credits(3));
        assert!(serde_json::from_str::<Credits>("0.5").is_err());
        assert!(serde_json::from_str::<Credits>("\"3\"").is_err());
    }
}
