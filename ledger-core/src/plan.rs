//! What a client is entitled to: a plan and a period give a grant's key, dates and evidence.
//!
//! Policies are data here. What they say was asked for is kept in the grant's entry beside what
//! the payment provider said, so that an auditor can compare the two without any other source.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::account::Command;
use crate::amount::Credits;
use crate::canonical::Canonical;
use crate::evidence::{Evidence, Source};
use crate::id::{ServiceId, VendorId};
use crate::instant::micros;
use crate::key::Key;
use crate::lot::Lot;
use crate::money::Money;
use crate::payment::{Charge, Checkout, Invoice, Payment, Sale};
use crate::period::Period;
use crate::reason::TransferReason;

/// What one item of a client's subscription brings in every period that is paid for.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use ledger_core::*;
/// use uuid::Uuid;
///
/// let anchor: DateTime<Utc> = "2026-01-31T08:00:00Z".parse()?;
/// let fee = Money { minor: 24_000, currency: "GBP".parse()? };
/// let plan = Plan {
///     customer: "cus_1".parse()?,
///     livemode: true,
///     subscription: "sub_1".parse()?,
///     item: "si_1".parse()?,
///     price: "price_4".parse()?,
///     service: ServiceId(Uuid::from_u128(1)),
///     credits: Credits(4),
///     amount: AmountPolicy::Exactly(fee),
///     expiry: Expiry::PeriodEnd,
/// };
/// let period = Renewal { anchor, months: 1 }.period(0)?;
/// let invoice = Invoice {
///     id: "in_1".parse()?,
///     status: InvoiceStatus::Paid,
///     customer: "cus_1".parse()?,
///     livemode: true,
///     subscription: Some("sub_1".parse()?),
///     reason: "subscription_cycle".parse()?,
///     lines: vec![InvoiceLine {
///         item: Some("si_1".parse()?),
///         price: Some("price_4".parse()?),
///         proration: false,
///         start: period.start(),
///         end: period.end(),
///         charge: None,
///     }],
///     paid: fee,
/// };
/// let grant = plan.grant(period, invoice);
/// assert_eq!(grant.key().as_str(), "v1/grant/si_1/2026-01-31T08:00:00Z");
/// let account = Account::open(AccountId(Uuid::from_u128(2)));
/// assert!(decide(&account, &[], &grant, anchor).is_ok());
///
/// let another = Renewal { anchor, months: 1 }.period(1)?;
/// let Command::Grant { evidence: Evidence::Payment(payment), .. } = grant else { unreachable!() };
/// let refused = decide(&account, &[], &plan.grant(another, payment.invoice), anchor);
/// assert!(matches!(refused, Err(Error::Evidence { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Who pays.
    pub customer: VendorId,
    /// In live mode, not in the provider's test mode.
    pub livemode: bool,
    /// The subscription.
    pub subscription: VendorId,
    /// Which of its items: paid periods of one item never overlap.
    pub item: VendorId,
    /// The price of the plan.
    pub price: VendorId,
    /// What the credits pay for.
    pub service: ServiceId,
    /// How many credits a period brings. Positive.
    pub credits: Credits,
    /// What must be charged for a period.
    pub amount: AmountPolicy,
    /// When the credits expire.
    pub expiry: Expiry,
}

/// What a single payment brings, such as a consultation's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    /// Who pays.
    pub customer: VendorId,
    /// In live mode, not in the provider's test mode.
    pub livemode: bool,
    /// What the credits pay for.
    pub service: ServiceId,
    /// How many credits it brings. Positive.
    pub credits: Credits,
    /// What must be charged.
    pub amount: AmountPolicy,
    /// From when they are valid; they do not expire.
    #[serde(with = "micros")]
    pub valid_from: DateTime<Utc>,
}

/// What must be charged. Discounts are the clinic's to give: [`Exactly`](AmountPolicy::Exactly) does not
/// see them, and [`AtLeast`](AmountPolicy::AtLeast) bounds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountPolicy {
    /// This price, before discounts.
    Exactly(Money),
    /// This or more, in its currency, after discounts.
    AtLeast(Money),
}

/// When the credits of a period expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// With the period: they are valid for slots that start before its end.
    PeriodEnd,
    /// Never.
    Never,
}

/// How many of a lot's credits go over to another lot, on a change of plan or a rollover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CarryOver {
    /// None of them.
    None,
    /// All that are left.
    All,
    /// All that are left, but no more than this.
    AtMost(Credits),
}

impl Plan {
    /// The grant of a period: its key, its dates, and the invoice as its evidence. Whether the
    /// invoice proves it, [`decide`](fn@crate::decide) says.
    #[must_use]
    pub fn grant(&self, period: Period, invoice: Invoice) -> Command {
        Command::Grant {
            key: self.key(period),
            service: self.service,
            amount: self.credits,
            source: Source::Paid,
            effective_at: period.start(),
            expires_at: self.expires_at(period),
            evidence: Evidence::Payment(Box::new(Payment {
                plan: self.clone(),
                period,
                invoice,
            })),
        }
    }

    /// The grant of a period that was taken back whole and is paid for again, the `times`-th time: 2 is
    /// the first time after it was taken back.
    #[must_use]
    pub fn grant_again(&self, period: Period, invoice: Invoice, times: u32) -> Command {
        let mut grant = self.grant(period, invoice);
        if let Command::Grant { key, .. } = &mut grant {
            *key = key.again(times);
        }
        grant
    }

    /// The key of a period's grant: by the item and the period's start alone.
    #[must_use]
    pub fn key(&self, period: Period) -> Key {
        Key::period_grant(&self.item, period)
    }

    /// The end of the lot that a period brings. Its start is the period's.
    #[must_use]
    pub fn expires_at(&self, period: Period) -> Option<DateTime<Utc>> {
        match self.expiry {
            Expiry::PeriodEnd => Some(period.end()),
            Expiry::Never => None,
        }
    }

    pub(crate) fn write(&self, to: &mut Canonical<'_>) {
        to.text(self.customer.as_str())
            .bool(self.livemode)
            .text(self.subscription.as_str())
            .text(self.item.as_str())
            .text(self.price.as_str())
            .uuid(self.service.0)
            .i64(self.credits.0);
        self.amount.write(to);
        to.text(match self.expiry {
            Expiry::PeriodEnd => "period_end",
            Expiry::Never => "never",
        });
    }
}

impl Purchase {
    /// The grant of what was bought, with the checkout as its evidence.
    #[must_use]
    pub fn grant(&self, checkout: Checkout) -> Command {
        Command::Grant {
            key: Key::consultation_grant(&checkout.id),
            service: self.service,
            amount: self.credits,
            source: Source::Paid,
            effective_at: self.valid_from,
            expires_at: None,
            evidence: Evidence::Checkout(Box::new(Sale {
                purchase: self.clone(),
                checkout,
            })),
        }
    }

    pub(crate) fn write(&self, to: &mut Canonical<'_>) {
        to.text(self.customer.as_str())
            .bool(self.livemode)
            .uuid(self.service.0)
            .i64(self.credits.0);
        self.amount.write(to);
        to.instant(self.valid_from);
    }
}

impl AmountPolicy {
    /// A charge is what it must be.
    #[must_use]
    pub fn is_met_by(self, charge: Charge) -> bool {
        match self {
            AmountPolicy::Exactly(amount) => charge.price == amount,
            AmountPolicy::AtLeast(amount) => {
                let net = charge.price.minus(charge.discount);
                net.is_ok_and(|net| net.currency == amount.currency && net.minor >= amount.minor)
            }
        }
    }

    fn write(self, to: &mut Canonical<'_>) {
        let (kind, money) = match self {
            AmountPolicy::Exactly(money) => ("exactly", money),
            AmountPolicy::AtLeast(money) => ("at_least", money),
        };
        to.text(kind).money(money);
    }
}

impl CarryOver {
    /// How many of this lot's credits go over: of those that a transfer for this reason may
    /// [move](Lot::movable). What is held stays with its booking, in the old lot.
    #[must_use]
    pub fn of(self, lot: &Lot, reason: TransferReason) -> Credits {
        let movable = lot.movable(reason);
        match self {
            CarryOver::None => Credits::ZERO,
            CarryOver::All => movable,
            CarryOver::AtMost(most) => movable.min(most).max(Credits::ZERO),
        }
    }
}

impl fmt::Display for AmountPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AmountPolicy::Exactly(money) => write!(f, "exactly {money}"),
            AmountPolicy::AtLeast(money) => write!(f, "at least {money}"),
        }
    }
}
