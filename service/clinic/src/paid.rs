//! What was paid for a month or a consultation, and how the rest of its price was settled.

use ledger_core::{BadSum, Charge, Money};

use crate::Refusal;

/// What was paid, and why that is not the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// What was paid.
    pub amount: Money,
    /// By how much less the clinic has charged.
    pub discount: Option<Money>,
    /// What the customer's balance, a credit note or another payment has settled of it.
    pub from_balance: Option<Money>,
    /// The part of all that which is tax on top of the price.
    pub tax: Option<Money>,
}

impl Paid {
    /// The price as it is.
    #[must_use]
    pub fn just(amount: Money) -> Self {
        Self {
            amount,
            discount: None,
            from_balance: None,
            tax: None,
        }
    }

    /// What was charged: what was paid and what was settled otherwise, without tax; nothing if nothing
    /// but the amount is known, which then is the price.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if a part is negative, or they make no sum.
    pub(crate) fn charge(&self) -> Result<Option<Charge>, Refusal> {
        let parts = [
            ("discount", self.discount),
            ("from_balance", self.from_balance),
            ("tax", self.tax),
        ];
        for (field, part) in parts {
            if let Some(part) = part.filter(|part| part.minor < 0) {
                return Err(Refusal::Invalid {
                    field,
                    value: part.to_string(),
                    expected: "0 or more",
                });
            }
        }
        if parts.iter().all(|(_, part)| part.is_none()) {
            return Ok(None);
        }
        let none = Money {
            minor: 0,
            ..self.amount
        };
        let [discount, from_balance, tax] = parts.map(|(_, part)| part.unwrap_or(none));
        let price = || -> Result<Money, BadSum> {
            let settled = self.amount.plus(discount)?.plus(from_balance)?;
            settled.minus(tax)
        };
        let price = price().map_err(|error| Refusal::Invalid {
            field: "paid",
            value: error.to_string(),
            expected: "amounts of one currency that make a sum",
        })?;
        Ok(Some(Charge { price, discount }))
    }
}
