//! What an invoice or a checkout is known by: it proves a grant once in the whole ledger.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::entry::Entry;
use crate::evidence::Evidence;
use crate::id::VendorId;

/// An invoice or a checkout, in one spelling of its id.
///
/// Letters count as small ones, and all punctuation as one hyphen, or as nothing at either end: a
/// receipt that is typed as `R-1`, `r_1` or `R-1.` is one receipt. No two ids of a payment provider
/// differ in that alone.
///
/// ```
/// use ledger_core::Proof;
///
/// let proof = Proof::checkout(&"R-1".parse()?);
/// assert_eq!(proof.as_str(), "checkout/r-1");
/// assert_eq!(proof, Proof::checkout(&"r_1.".parse()?));
/// assert_ne!(proof, Proof::invoice(&"R-1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(String);

impl Proof {
    /// An invoice, which proves a grant with each of its lines.
    #[must_use]
    pub fn invoice(id: &VendorId) -> Proof {
        Proof(format!("invoice/{}", canonical(id)))
    }

    /// A checkout, which proves one grant.
    #[must_use]
    pub fn checkout(id: &VendorId) -> Proof {
        Proof(format!("checkout/{}", canonical(id)))
    }

    /// Its text: the kind, a slash and the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Evidence {
    /// The invoice or the checkout that it is; none if a person decided.
    #[must_use]
    pub fn proof(&self) -> Option<Proof> {
        match self {
            Evidence::Manual { .. } => None,
            Evidence::Payment(payment) => Some(Proof::invoice(&payment.invoice.id)),
            Evidence::Checkout(sale) => Some(Proof::checkout(&sale.checkout.id)),
        }
    }

    /// Which line of its [proof](Evidence::proof) it is, by the item that the line is for. With the
    /// proof it is unique in the ledger. Empty for a checkout, which has one.
    #[must_use]
    pub fn proof_line(&self) -> String {
        match self {
            Evidence::Payment(payment) => canonical(&payment.plan.item),
            Evidence::Manual { .. } | Evidence::Checkout(_) => String::new(),
        }
    }

    /// Whether two say the same of one invoice or checkout, but for the spelling of its id.
    pub(crate) fn agrees_with(&self, other: &Evidence) -> bool {
        match (self, other) {
            (Evidence::Payment(one), Evidence::Payment(other)) => {
                let mut respelled = other.invoice.clone();
                respelled.id.clone_from(&one.invoice.id);
                one.invoice == respelled
            }
            (Evidence::Checkout(one), Evidence::Checkout(other)) => {
                let mut respelled = other.checkout.clone();
                respelled.id.clone_from(&one.checkout.id);
                one.checkout == respelled
            }
            _ => false,
        }
    }
}

impl Entry {
    /// The invoice or checkout that it was granted on, and which line of it. Both together are unique in
    /// the ledger: a store keeps them beside the entry, and refuses the second.
    #[must_use]
    pub fn proof(&self) -> Option<(Proof, String)> {
        match &self.body {
            Body::Grant { evidence, .. } => Some((evidence.proof()?, evidence.proof_line())),
            _ => None,
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The one spelling of an id. An id of punctuation alone is a single hyphen.
fn canonical(id: &VendorId) -> String {
    let id = id.as_str().to_ascii_lowercase();
    let words = id.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    match words.is_empty() {
        true => "-".to_owned(),
        false => words.join("-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        for (ids, expected) in [
            (
                &["R-1", "r-1", "R-1.", "r_1", "R.1:", "-R--1", "R:-_1"][..],
                "r-1",
            ),
            (&["in_1AbC"], "in-1abc"),
            (&["2026-0017", "2026.0017"], "2026-0017"),
            (&["R1"], "r1"),
            (&["-", "..", "_:"], "-"),
        ] {
            for id in ids {
                assert_eq!(canonical(&id.parse().unwrap()), expected, "{id}");
            }
        }
    }
}
