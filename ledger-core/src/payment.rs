//! Evidence of payment: what the provider says, and whether it proves what is asked.
//!
//! An invoice proves a period of a plan if five conditions hold:
//!
//! 1. it is paid, by the plan's customer, and of the plan's mode (live or test);
//! 2. it belongs to the plan's subscription;
//! 3. it was made because the subscription began or because a period of it did: an invoice for a
//!    change of plan never grants;
//! 4. it has exactly one line, no proration, of the plan's item and price, and that line's period
//!    is to the microsecond the one asked for;
//! 5. what that line charges meets the plan's policy.
//!
//! What was paid is another amount than what a line charges: an invoice has other lines, tax comes
//! on top, and a discount, the customer's balance or a credit note pays without money. That all of it
//! is settled, however, the status says. Only where a lone line has no charge of its own, the amount
//! paid is taken for it.
//!
//! Facts come typed from whoever read them at the provider; a fact that is not there cannot be
//! guessed here. Source: the provider's objects, <https://docs.stripe.com/api/invoices/object>.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::amount::Credits;
use crate::canonical::Canonical;
use crate::evidence::{ReasonCode, Source};
use crate::id::{ServiceId, VendorId};
use crate::instant::micros;
use crate::key::Key;
use crate::money::Money;
use crate::period::{Period, spelled};
use crate::plan::{AmountPolicy, Plan, Purchase};

/// What a grant for a period asks, and the invoice that is to prove it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// The plan.
    pub plan: Plan,
    /// The period asked for.
    pub period: Period,
    /// What the provider says.
    pub invoice: Invoice,
}

/// What a grant for a single payment asks, and the checkout that is to prove it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sale {
    /// What was to be bought.
    pub purchase: Purchase,
    /// What the provider says.
    pub checkout: Checkout,
}

/// The facts of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invoice {
    /// Its id.
    pub id: VendorId,
    /// Its status.
    pub status: InvoiceStatus,
    /// Whom it is to.
    pub customer: VendorId,
    /// In live mode, not in the provider's test mode.
    pub livemode: bool,
    /// The subscription it belongs to, if it does to one.
    pub subscription: Option<VendorId>,
    /// Why it was made, as the provider calls it: `subscription_cycle`.
    pub reason: ReasonCode,
    /// All its lines, at most [`Invoice::LINES_MAX`].
    pub lines: Vec<InvoiceLine>,
    /// What was paid.
    pub paid: Money,
}

/// A line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvoiceLine {
    /// The subscription's item it is for, if it is for one.
    pub item: Option<VendorId>,
    /// The price it charges, if it has one.
    pub price: Option<VendorId>,
    /// It corrects a period that changed midway.
    pub proration: bool,
    /// The start of its period. It may have none: then its end is its start.
    #[serde(with = "micros")]
    pub start: DateTime<Utc>,
    /// The end of its period.
    #[serde(with = "micros")]
    pub end: DateTime<Utc>,
    /// What it charges. Without it, the line must be the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Charge>,
}

/// What is charged for one thing, tax aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Before discounts. Of a proration it may be negative.
    pub price: Money,
    /// How much less all discounts on it make.
    pub discount: Money,
}

/// The status of an invoice. Only one of them is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// Not yet final.
    Draft,
    /// Final, and waiting for payment.
    Open,
    /// Paid.
    Paid,
    /// Given up.
    Uncollectible,
    /// Taken back.
    Void,
}

/// The facts of a checkout: a payment that is made once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkout {
    /// Its id.
    pub id: VendorId,
    /// It is paid.
    pub is_paid: bool,
    /// Who paid.
    pub customer: VendorId,
    /// In live mode, not in the provider's test mode.
    pub livemode: bool,
    /// What was paid.
    pub paid: Money,
    /// What was charged. Without it, what was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Charge>,
}

/// The fields of a grant that its evidence is to prove.
pub(crate) struct Claim<'a> {
    pub(crate) key: &'a Key,
    pub(crate) service: ServiceId,
    pub(crate) amount: Credits,
    pub(crate) source: Source,
    pub(crate) dates: (DateTime<Utc>, Option<DateTime<Utc>>),
}

impl Invoice {
    /// The most lines an invoice may have as evidence, which is kept for good.
    pub const LINES_MAX: usize = 100;

    /// The one line that is no proration and of this item.
    fn line_of(&self, item: &VendorId) -> Result<&InvoiceLine, Mismatch> {
        let of_item = |line: &&InvoiceLine| !line.proration && line.item.as_ref() == Some(item);
        let mut lines = self.lines.iter().filter(of_item);
        let (first, others) = (lines.next(), lines.count());
        let count = usize::from(first.is_some()).saturating_add(others);
        let within = self.lines.len() <= Invoice::LINES_MAX;
        let item = || item.clone();
        first
            .filter(|_| others == 0 && within)
            .ok_or_else(|| Mismatch::Lines {
                item: item(),
                count,
                of: self.lines.len(),
            })
    }
}

impl Payment {
    /// Whether the invoice proves the period, and the grant is what the plan brings for it.
    pub(crate) fn check(&self, claim: &Claim<'_>) -> Result<(), Mismatch> {
        let Payment {
            plan,
            period,
            invoice,
        } = self;
        if invoice.status != InvoiceStatus::Paid {
            return Err(Mismatch::Status {
                found: invoice.status,
            });
        }
        same_payer(
            &plan.customer,
            &invoice.customer,
            plan.livemode,
            invoice.livemode,
        )?;
        if invoice.subscription.as_ref() != Some(&plan.subscription) {
            let (asked, found) = (plan.subscription.clone(), invoice.subscription.clone());
            return Err(Mismatch::Subscription { asked, found });
        }
        let reason = invoice.reason.as_str();
        if !["subscription_create", "subscription_cycle"].contains(&reason) {
            let found = invoice.reason.clone();
            return Err(Mismatch::Reason { found });
        }
        let line = invoice.line_of(&plan.item)?;
        if line.price.as_ref() != Some(&plan.price) {
            let (asked, found) = (plan.price.clone(), line.price.clone());
            return Err(Mismatch::Price { asked, found });
        }
        if (line.start, line.end) != (period.start(), period.end()) {
            let (start, end) = (line.start, line.end);
            return Err(Mismatch::Period {
                asked: *period,
                start,
                end,
            });
        }
        let charge = match line.charge {
            Some(charge) => charge,
            None if invoice.lines.len() == 1 => Charge::paid(invoice.paid),
            None => {
                let (item, of) = (plan.item.clone(), invoice.lines.len());
                return Err(Mismatch::NoCharge { item, of });
            }
        };
        met(plan.amount, charge)?;
        let first = plan.key(*period);
        let is_again = claim.key.is_again(&first);
        claim.check(&Claim {
            key: if is_again { claim.key } else { &first },
            service: plan.service,
            amount: plan.credits,
            source: Source::Paid,
            dates: (period.start(), plan.expires_at(*period)),
        })
    }

    pub(crate) fn write(&self, to: &mut Canonical<'_>) {
        let Payment {
            plan,
            period,
            invoice,
        } = self;
        plan.write(to);
        to.instant(period.start()).instant(period.end());
        to.text(invoice.id.as_str())
            .text(invoice.status.as_str())
            .text(invoice.customer.as_str())
            .bool(invoice.livemode)
            .text_option(invoice.subscription.as_ref().map(VendorId::as_str))
            .text(invoice.reason.as_str())
            .count(invoice.lines.len());
        for line in &invoice.lines {
            to.text_option(line.item.as_ref().map(VendorId::as_str))
                .text_option(line.price.as_ref().map(VendorId::as_str))
                .bool_and(line.proration, line.charge.is_some())
                .instant(line.start)
                .instant(line.end);
            if let Some(charge) = line.charge {
                charge.write(to);
            }
        }
        to.money(invoice.paid);
    }
}

impl Sale {
    /// Whether the checkout proves the purchase, and the grant is what it brings.
    pub(crate) fn check(&self, claim: &Claim<'_>) -> Result<(), Mismatch> {
        let Sale { purchase, checkout } = self;
        if !checkout.is_paid {
            let checkout = checkout.id.clone();
            return Err(Mismatch::Unpaid { checkout });
        }
        same_payer(
            &purchase.customer,
            &checkout.customer,
            purchase.livemode,
            checkout.livemode,
        )?;
        let charge = checkout.charge;
        met(
            purchase.amount,
            charge.unwrap_or(Charge::paid(checkout.paid)),
        )?;
        claim.check(&Claim {
            key: &Key::consultation_grant(&checkout.id),
            service: purchase.service,
            amount: purchase.credits,
            source: Source::Paid,
            dates: (purchase.valid_from, None),
        })
    }

    pub(crate) fn write(&self, to: &mut Canonical<'_>) {
        let Sale { purchase, checkout } = self;
        purchase.write(to);
        to.text(checkout.id.as_str())
            .bool_and(checkout.is_paid, checkout.charge.is_some())
            .text(checkout.customer.as_str())
            .bool(checkout.livemode)
            .money(checkout.paid);
        if let Some(charge) = checkout.charge {
            charge.write(to);
        }
    }
}

impl Charge {
    /// The charge of what was paid for as it is.
    fn paid(price: Money) -> Charge {
        let none = Money { minor: 0, ..price };
        Charge {
            price,
            discount: none,
        }
    }

    fn write(self, to: &mut Canonical<'_>) {
        to.money(self.price).money(self.discount);
    }
}

/// In words, for a conflict.
impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.discount.minor {
            0 => write!(f, "{}", self.price),
            _ => write!(f, "{} less {}", self.price, self.discount),
        }
    }
}

impl Claim<'_> {
    fn check(&self, proven: &Claim<'_>) -> Result<(), Mismatch> {
        if self.key != proven.key {
            let (asked, proven) = (self.key.clone(), proven.key.clone());
            Err(Mismatch::Key { asked, proven })
        } else if self.service != proven.service {
            let (asked, proven) = (self.service, proven.service);
            Err(Mismatch::Service { asked, proven })
        } else if self.amount != proven.amount {
            let (asked, proven) = (self.amount, proven.amount);
            Err(Mismatch::Credits { asked, proven })
        } else if self.source != proven.source {
            let (asked, proven) = (self.source, proven.source);
            Err(Mismatch::Source { asked, proven })
        } else if self.dates != proven.dates {
            let (asked, proven) = (self.dates, proven.dates);
            Err(Mismatch::Dates { asked, proven })
        } else {
            Ok(())
        }
    }
}

fn same_payer(
    asked: &VendorId,
    found: &VendorId,
    asked_live: bool,
    found_live: bool,
) -> Result<(), Mismatch> {
    if asked != found {
        let (asked, found) = (asked.clone(), found.clone());
        Err(Mismatch::Customer { asked, found })
    } else if asked_live != found_live {
        let (asked, found) = (asked_live, found_live);
        Err(Mismatch::Livemode { asked, found })
    } else {
        Ok(())
    }
}

fn met(asked: AmountPolicy, found: Charge) -> Result<(), Mismatch> {
    if asked.is_met_by(found) {
        Ok(())
    } else {
        Err(Mismatch::Amount { asked, found })
    }
}

impl InvoiceStatus {
    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            InvoiceStatus::Draft => "draft",
            InvoiceStatus::Open => "open",
            InvoiceStatus::Paid => "paid",
            InvoiceStatus::Uncollectible => "uncollectible",
            InvoiceStatus::Void => "void",
        }
    }
}

/// Which condition fails, with what was asked and what the evidence says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Condition 1: the invoice is not paid.
    #[error("the invoice is {}, not paid", found.as_str())]
    Status {
        /// Its status.
        found: InvoiceStatus,
    },
    /// Condition 1, of a checkout: it is not paid.
    #[error("checkout {checkout} is not paid")]
    Unpaid {
        /// The checkout.
        checkout: VendorId,
    },
    /// Condition 1: another customer's.
    #[error("it is of customer {found}, not {asked}")]
    Customer {
        /// The plan's.
        asked: VendorId,
        /// The evidence's.
        found: VendorId,
    },
    /// Condition 1: of test mode where live mode is asked, or the reverse.
    #[error("its livemode is {found}, not {asked}")]
    Livemode {
        /// The plan's.
        asked: bool,
        /// The evidence's.
        found: bool,
    },
    /// Condition 2: of another subscription, or of none.
    #[error("it is of subscription {}, not {asked}", or_none(found.as_ref()))]
    Subscription {
        /// The plan's.
        asked: VendorId,
        /// The invoice's.
        found: Option<VendorId>,
    },
    /// Condition 3: made for another reason than a period that began.
    #[error("its reason is {found}, not subscription_create or subscription_cycle")]
    Reason {
        /// The invoice's.
        found: ReasonCode,
    },
    /// Condition 4: not exactly one line of the item, or more lines than can be kept.
    #[error("{count} of its {of} lines are of item {item} and no proration, not 1 of 100 at most")]
    Lines {
        /// The plan's item.
        item: VendorId,
        /// How many lines are of it and no proration.
        count: usize,
        /// Of how many.
        of: usize,
    },
    /// Condition 4: the line charges another price.
    #[error("its line is of price {}, not {asked}", or_none(found.as_ref()))]
    Price {
        /// The plan's.
        asked: VendorId,
        /// The line's.
        found: Option<VendorId>,
    },
    /// Condition 4: the line is for another period.
    #[error("its line is for {} to {}, not for {asked}", spelled(*start), spelled(*end))]
    Period {
        /// The period asked for.
        asked: Period,
        /// The start of the line's.
        start: DateTime<Utc>,
        /// The end of the line's.
        end: DateTime<Utc>,
    },
    /// Condition 5: what is charged does not meet the policy.
    #[error("{found} is charged, not {asked}")]
    Amount {
        /// What must be charged.
        asked: AmountPolicy,
        /// What is.
        found: Charge,
    },
    /// Condition 5: what the line charges is not known, and what was paid is for other lines too.
    #[error("its line of item {item}, one of {of}, does not say what it charges")]
    NoCharge {
        /// The plan's item.
        item: VendorId,
        /// How many lines it has.
        of: usize,
    },
    /// The grant's key is not the one of what is proven.
    #[error("it proves what has key {proven}, not {asked}")]
    Key {
        /// The grant's.
        asked: Key,
        /// Of what is proven.
        proven: Key,
    },
    /// The grant is of another service than the plan.
    #[error("it proves credits of service {proven}, not {asked}")]
    Service {
        /// The grant's.
        asked: ServiceId,
        /// The plan's.
        proven: ServiceId,
    },
    /// The grant is of more or fewer credits than the plan brings.
    #[error("it proves {proven} credits, not {asked}")]
    Credits {
        /// The grant's.
        asked: Credits,
        /// The plan's.
        proven: Credits,
    },
    /// What was paid for is not given.
    #[error("it proves {proven} credits, not {asked} ones")]
    Source {
        /// The grant's.
        asked: Source,
        /// What a payment proves.
        proven: Source,
    },
    /// The grant's dates are not those that the period and the plan give.
    #[error("it proves credits valid in {proven:?}, not in {asked:?}")]
    Dates {
        /// The grant's start and end.
        asked: (DateTime<Utc>, Option<DateTime<Utc>>),
        /// What is proven.
        proven: (DateTime<Utc>, Option<DateTime<Utc>>),
    },
}

fn or_none(id: Option<&VendorId>) -> &str {
    id.map_or("none", VendorId::as_str)
}
