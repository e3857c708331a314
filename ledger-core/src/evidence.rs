//! Why a grant was made: its source and its evidence, in ids and codes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::canonical::Canonical;
use crate::instant::whole_micros;
use crate::payment::{Checkout, Payment, Sale};

/// Where credits come from. The order is the order of consumption: what was given goes before
/// what was paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Given.
    Goodwill,
    /// Paid for.
    Paid,
}

impl Source {
    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Goodwill => "goodwill",
            Source::Paid => "paid",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a grant rests on. There is no grant without it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Evidence {
    /// A person decided it.
    Manual {
        /// Who.
        actor: Uuid,
        /// Why.
        reason: ReasonCode,
    },
    /// A period of a subscription's item was paid for.
    Payment(Box<Payment>),
    /// Something was paid for once.
    Checkout(Box<Sale>),
}

impl Evidence {
    /// Its kind's stored name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Evidence::Manual { .. } => "manual",
            Evidence::Payment(_) => "payment",
            Evidence::Checkout(_) => "checkout",
        }
    }

    /// Whether two grants with this evidence ask for the same: one invoice or checkout, told again with the
    /// same facts. A second paid invoice for one period is money that was taken twice, and no retry.
    pub(crate) fn asks_the_same(&self, other: &Evidence) -> bool {
        match (self, other) {
            (Evidence::Payment(one), Evidence::Payment(two)) => {
                let asked = |payment: &Payment| (payment.plan.item.clone(), payment.period);
                let is_one = self.proof() == other.proof();
                is_one && asked(one) == asked(two) && self.agrees_with(other)
            }
            (Evidence::Checkout(one), Evidence::Checkout(two)) => {
                one.checkout.id == two.checkout.id && self.agrees_with(other)
            }
            (one, other) => one == other,
        }
    }

    /// Cuts instants off at whole microseconds, as an entry has them.
    pub(crate) fn truncate(&mut self) {
        match self {
            Evidence::Manual { .. } => {}
            Evidence::Payment(payment) => {
                for line in &mut payment.invoice.lines {
                    line.start = whole_micros(line.start);
                    line.end = whole_micros(line.end);
                }
            }
            Evidence::Checkout(sale) => {
                let from = &mut sale.purchase.valid_from;
                *from = whole_micros(*from);
            }
        }
    }

    pub(crate) fn write(&self, to: &mut Canonical<'_>) {
        to.text(self.kind());
        match self {
            Evidence::Manual { actor, reason } => {
                to.uuid(*actor).text(reason.as_str());
            }
            Evidence::Payment(payment) => payment.write(to),
            Evidence::Checkout(sale) => sale.write(to),
        }
    }
}

/// In words, for a conflict that shows two requests side by side.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Manual { actor, reason } => write!(f, "by {actor} for {reason}"),
            Evidence::Payment(payment) => {
                let Payment {
                    plan,
                    period,
                    invoice,
                } = &**payment;
                write!(
                    f,
                    "for {period} of item {} by invoice {} of customer {}, who paid {}",
                    plan.item, invoice.id, invoice.customer, invoice.paid
                )
            }
            Evidence::Checkout(sale) => {
                let Checkout {
                    id, customer, paid, ..
                } = &sale.checkout;
                write!(
                    f,
                    "by checkout {id} of customer {customer}, who paid {paid}"
                )
            }
        }
    }
}

/// A reason as a code: `[a-z][a-z0-9_]{0,63}`.
///
/// No free text: an entry is never erased, so it must hold nothing about a person. What there is
/// to say in words belongs where it can be erased.
///
/// ```
/// use ledger_core::ReasonCode;
///
/// assert!("welcome_gift".parse::<ReasonCode>().is_ok());
/// assert!("Anna's mother was ill".parse::<ReasonCode>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReasonCode(String);

impl ReasonCode {
    /// The most bytes a code may have.
    pub const MAX_BYTES: usize = 64;

    /// The text of the code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ReasonCode {
    type Err = BadReasonCode;

    fn from_str(text: &str) -> Result<ReasonCode, BadReasonCode> {
        ReasonCode::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ReasonCode {
    type Error = BadReasonCode;

    fn try_from(text: String) -> Result<ReasonCode, BadReasonCode> {
        let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let fits = text.len() <= ReasonCode::MAX_BYTES
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(rest);
        // The text itself is not repeated: it may be what a person wrote about another.
        if fits {
            Ok(ReasonCode(text))
        } else {
            Err(BadReasonCode { bytes: text.len() })
        }
    }
}

impl From<ReasonCode> for String {
    fn from(code: ReasonCode) -> String {
        code.0
    }
}

/// A text that is no reason code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text of {bytes} bytes is not a code of the form [a-z][a-z0-9_]{{0,63}}")]
pub struct BadReasonCode {
    bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_what_is_none() {
        for text in ["a", "late_2", &"a".repeat(64)] {
            assert_eq!(text.parse::<ReasonCode>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "_a",
            "2a",
            "A",
            "a b",
            "a-b",
            "ä",
            "a\n",
            &"a".repeat(65),
        ] {
            assert!(text.parse::<ReasonCode>().is_err(), "{text:?}");
        }
        let refused = "Said X".parse::<ReasonCode>().unwrap_err().to_string();
        assert_eq!(
            refused,
            "a text of 6 bytes is not a code of the form [a-z][a-z0-9_]{0,63}"
        );
    }
}
